// SPDX-License-Identifier: MIT
//! Streams and the router's budget of memory (row Z3): they slow down, lose nothing, and give everything back.
use super::world::*;
use crate::base::{Budget, Part};
use crate::stream::CloseReason;
use bytes::Bytes;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(3600);
const MAX: u64 = 4 << 20;

fn world(seed: u64, budget: &Budget) -> World {
    let mut w = World::new(seed, Path::clean(50));
    w.sides.iter_mut().for_each(|s| s.table.set_budget(budget));
    w
}

#[test]
fn z3_streams_give_back_every_byte_they_held() {
    let budget = Budget::new(1 << 30);
    let mut w = world(1, &budget);
    w.sides[1].server = |app| app.closes = Closes::AfterPeer;
    let outgoing = noise(1, 600_000);
    let ids: Vec<_> = (0..10)
        .map(|_| {
            w.connect(App { outgoing: outgoing.clone(), closes: Closes::HalfThenFull, ..App::default() })
        })
        .collect();
    w.run_for(Duration::from_millis(400));
    let held = budget.used_by(Part::Streams);
    assert!(held > 500_000, "{held}");
    assert!(held.abs_diff(w.sides.iter().map(|s| s.table.memory() as u64).sum()) < 4 * 4096);
    assert!(w.run(LONG, |w| w.sides.iter().all(|s| s.table.is_empty())));
    assert!(ids.iter().all(|id| w.sides[0].apps[id].closed == Some(CloseReason::Graceful)));
    assert_eq!((budget.used(), w.sides[0].table.memory(), w.sides[1].table.memory()), (0, 0, 0));
}

#[test]
fn z3_streams_move_on_when_the_budget_is_used_up() {
    // Somebody else holds everything there is.
    let budget = Budget::new(MAX);
    let _all = budget.charge(Part::Datagrams, 2 * MAX as usize);
    let mut w = world(2, &budget);
    w.sides[1].server = |app| app.closes = Closes::AfterPeer;
    let data = noise(2, 300_000);
    let id = w.connect(App { outgoing: data.clone(), closes: Closes::HalfThenFull, ..App::default() });
    let mut most = 0;
    let done = w.run(LONG, |w| {
        most = most.max(w.sides[0].table.memory());
        w.sides.iter().all(|s| s.table.is_empty())
    });
    assert!(done, "stuck: {:?}", w.sides[0].table.stats(id));
    assert_eq!(w.sides[0].apps[&id].closed, Some(CloseReason::Graceful));
    assert!(w.sides[1].apps.values().any(|a| a.received == data));
    assert!(most < 96 * 1024, "{most} bytes in a stream that should hold little");
}

#[test]
fn z3_a_reader_that_sleeps_is_given_less_when_memory_is_short() {
    let unread = |budget: &Budget| {
        let mut w = world(3, budget);
        w.sides[1].server = |app| app.asleep = true;
        w.connect(App { outgoing: noise(3, 3_000_000), ..App::default() });
        w.run_for(Duration::from_secs(30));
        let id = w.served();
        let unread = w.sides[1].table.readable(id);
        // It wakes up, and nothing is lost.
        w.app(1, id).asleep = false;
        w.work(1);
        let all = w.run(LONG, |w| w.sides[1].apps[&id].received.len() == 3_000_000);
        assert!(all, "{:?}", w.sides[1].table.stats(id));
        assert_eq!(w.app(1, id).received, noise(3, 3_000_000));
        unread
    };
    let plenty = unread(&Budget::new(1 << 30));
    assert!((400_000..=1 << 20).contains(&plenty), "{plenty}");
    let short = Budget::new(MAX);
    let _all = short.charge(Part::Sam, MAX as usize);
    let little = unread(&short);
    assert!((1..=48 * 1024).contains(&little), "{little}");
}

#[test]
fn z3_a_writer_is_held_back_and_called_again() {
    let budget = Budget::new(MAX);
    let mut w = world(4, &budget);
    let id = w.connect(App::default());
    assert!(w.run(LONG, |w| w.sides[0].apps[&id].connected));
    w.cut = true;
    let all = budget.charge(Part::Sam, MAX as usize);
    let taken = w.sides[0].table.write(w.now, id, Bytes::from(vec![0; 1 << 20]));
    assert_eq!(taken, 16 * 1024, "the least share");
    drop(all);
    let more = w.sides[0].table.write(w.now, id, Bytes::from(vec![0; 1 << 20]));
    assert_eq!(more, 256 * 1024 - 16 * 1024, "the full share again");
}

#[test]
fn z3_many_streams_together_keep_near_the_budget() {
    // The least shares of 60 streams are 7 MiB; unbounded they would hold more than 60.
    let max = 16 << 20;
    let budget = Budget::new(max);
    let mut w = world(5, &budget);
    w.sides[1].server = |app| app.asleep = true;
    let outgoing = noise(5, 1_500_000);
    for _ in 0..60 {
        w.connect(App { outgoing: outgoing.clone(), ..App::default() });
    }
    let mut most = 0;
    w.run(Duration::from_secs(60), |_| {
        most = most.max(budget.used());
        false
    });
    assert!(most > max / 2, "{most}");
    assert!(most < max - max / 8, "{most} bytes, of {max}: the others have their part");
    // All of them wake up and get everything.
    let ids: Vec<_> = w.sides[1].apps.keys().copied().collect();
    for id in ids {
        w.app(1, id).asleep = false;
    }
    let done = w.run(LONG, |w| w.sides[1].apps.values().all(|a| a.received.len() == 1_500_000));
    assert!(done);
    assert!(w.sides[1].apps.values().all(|a| a.received == outgoing));
}
