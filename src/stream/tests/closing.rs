// SPDX-License-Identifier: MIT
use super::world::*;
use crate::stream::{CloseReason, Config, ConnectOptions};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(3600);

fn open(seed: u64, path: Path) -> (World, crate::stream::StreamId, crate::stream::StreamId) {
    let mut w = World::new(seed, path);
    let id = w.connect(App::default());
    assert!(w.run(LONG, |w| w.sides[0].apps[&id].connected && !w.sides[1].apps.is_empty()));
    w.run_for(Duration::from_secs(1));
    let other = w.served();
    (w, id, other)
}

#[test]
fn a_close_delivers_everything_first() {
    for (seed, loss) in [(1, 0), (2, 50), (3, 200)] {
        let mut w = World::new(seed, Path { loss, ..Path::clean(80) });
        w.sides[1].server = |app| app.closes = Closes::AfterPeer;
        let data = noise(seed, 300_000);
        let id = w.connect(App { outgoing: data.clone(), closes: Closes::WhenWritten, ..App::default() });
        assert!(w.run(LONG, |w| w.sides.iter().all(|s| s.table.is_empty())), "loss {loss}");
        let other = w.served();
        assert_eq!(w.app(1, other).received, data);
        assert_eq!(w.app(0, id).closed, Some(CloseReason::Graceful));
        assert_eq!(w.app(1, other).closed, Some(CloseReason::Graceful));
    }
}

#[test]
fn both_sides_may_close_at_once() {
    let (mut w, id, other) = open(4, Path::clean(100));
    let now = w.now;
    w.sides[0].table.close(now, id);
    w.sides[1].table.close(now, other);
    w.app(0, id).gone = true;
    w.app(1, other).gone = true;
    assert!(w.run(Duration::from_secs(5), |w| w.sides.iter().all(|s| s.table.is_empty())));
    assert_eq!(w.app(0, id).closed, Some(CloseReason::Graceful));
    assert_eq!(w.app(1, other).closed, Some(CloseReason::Graceful));
    assert!(!w.kinds.contains_key(&(0, "reset")) && !w.kinds.contains_key(&(1, "reset")));
}

/// Who is done when the peer's CLOSE comes says once more what came: nobody has to repeat anything.
#[test]
fn the_last_close_is_acknowledged() {
    for seed in 0..10 {
        let mut w = World::new(90 + seed, Path::clean(20 + 40 * seed));
        w.sides[1].server = |app| app.closes = Closes::AfterPeer;
        let id = w.connect(App { outgoing: noise(90, 10), closes: Closes::WhenWritten, ..App::default() });
        assert!(w.run(LONG, |w| w.sides.iter().all(|s| s.table.is_empty())));
        assert_eq!(w.app(0, id).closed, Some(CloseReason::Graceful));
        for side in &w.sides {
            assert_eq!(side.table.metrics().packets_repeated.get(), 0, "seed {seed}");
        }
    }
}

/// The peer has closed, ours is on its way with holes before it: its ack alone ends nothing.
#[test]
fn the_second_close_delivers_everything_as_well() {
    for seed in 0..20 {
        let mut w = World::new(50 + seed, Path { loss: 150, ..Path::clean(30) });
        w.sides[1].server = |app| {
            app.outgoing = noise(51, 200_000);
            app.closes = Closes::WhenWrittenAndPeerDone;
        };
        let id = w.connect(App { outgoing: noise(50, 2000), closes: Closes::HalfThenFull, ..App::default() });
        assert!(w.run(LONG, |w| w.sides.iter().all(|s| s.table.is_empty())), "seed {seed}");
        assert_eq!(w.app(0, id).received.len(), 200_000, "seed {seed}");
        assert_eq!(w.app(0, id).received, noise(51, 200_000));
    }
}

#[test]
fn a_half_closed_stream_still_gets_its_answer() {
    let (mut w, id, other) = open(5, Path::clean(100));
    let now = w.now;
    w.app(0, id).outgoing = b"request".to_vec();
    w.app(0, id).closes = Closes::HalfThenFull;
    assert!(w.run(LONG, |w| w.sides[1].apps[&other].received == b"request"));
    // No CLOSE goes out while the answer may still come, for i2pd would drop it.
    w.app(1, other).outgoing = noise(5, 500_000);
    w.app(1, other).closes = Closes::WhenWritten;
    assert!(w.run(LONG, |w| w.sides[0].apps[&id].received.len() > 400_000));
    assert_eq!(w.kinds.get(&(0, "close")), None);
    assert!(w.run(LONG, |w| w.sides[0].apps[&id].remote_closed));
    assert_eq!(w.app(0, id).received, noise(5, 500_000));
    assert!(w.run(Duration::from_secs(5), |w| w.sides.iter().all(|s| s.table.is_empty())));
    assert!(w.now.mono > now.mono);
}

#[test]
fn a_peer_that_waits_for_the_end_gets_it_after_the_linger() {
    let (mut w, id, other) = open(6, Path::clean(100));
    w.app(0, id).outgoing = b"all there is".to_vec();
    w.app(0, id).closes = Closes::HalfThenFull;
    let start = w.now.mono;
    assert!(w.run(LONG, |w| w.sides[1].apps[&other].remote_closed));
    let took = w.now.mono.since(start);
    assert!(took > Duration::from_millis(600) && took < Duration::from_millis(1200), "{took:?}");
    // And the other direction is still open.
    w.app(1, other).outgoing = noise(6, 100_000);
    w.app(1, other).closes = Closes::AfterPeer;
    assert!(w.run(LONG, |w| w.sides[0].apps[&id].received.len() == 100_000));
    assert!(w.run(LONG, |w| w.sides.iter().all(|s| s.table.is_empty())));
    assert_eq!(w.app(0, id).closed, Some(CloseReason::Graceful));
}

/// A path that is gone for a while costs a stream nothing, nor does it if one side has closed already.
#[test]
fn a_half_closed_stream_outlives_a_gap() {
    let (mut w, id, other) = open(8, Path::clean(100));
    w.app(0, id).outgoing = b"all there is".to_vec();
    w.app(0, id).closes = Closes::HalfThenFull;
    assert!(w.run(LONG, |w| w.sides[1].apps[&other].remote_closed));
    w.app(1, other).outgoing = noise(8, 500_000);
    w.app(1, other).closes = Closes::AfterPeer;
    assert!(w.run(LONG, |w| w.sides[0].apps[&id].received.len() > 100_000));
    w.cut = true;
    w.run_for(Duration::from_secs(45));
    w.cut = false;
    assert!(w.run(LONG, |w| w.sides.iter().all(|s| s.table.is_empty())));
    assert_eq!(w.app(0, id).received, noise(8, 500_000));
    assert_eq!([w.app(0, id).closed, w.app(1, other).closed], [Some(CloseReason::Graceful); 2]);
}

/// A close that got lost each time is said once more to a peer that asks later.
#[test]
fn a_close_that_was_lost_is_repeated_for_who_asks() {
    let (mut w, id, other) = open(9, Path::clean(100));
    w.app(0, id).outgoing = b"all there is".to_vec();
    w.app(0, id).closes = Closes::HalfThenFull;
    assert!(w.run(LONG, |w| w.sides[1].apps[&other].remote_closed));
    w.run_for(Duration::from_secs(2));
    w.cut = true;
    w.app(1, other).closes = Closes::AfterPeer;
    assert!(w.run(Duration::from_secs(60), |w| w.sides[1].table.is_empty()));
    assert_eq!(w.app(1, other).closed, Some(CloseReason::Graceful), "what it said has arrived");
    assert_eq!(w.app(0, id).closed, None);
    w.cut = false;
    assert!(w.run(Duration::from_secs(60), |w| w.sides[0].apps[&id].closed.is_some()));
    assert_eq!(w.app(0, id).closed, Some(CloseReason::Graceful));
    assert!(!w.kinds.contains_key(&(1, "reset")));
}

/// Who has said everything and waits for the rest asks as well whether the other is still there.
#[test]
fn a_half_closed_stream_notices_that_its_peer_is_gone() {
    for ends in [false, true] {
        let (mut w, id, other) = open(7, Path::clean(100));
        w.app(0, id).outgoing = b"all there is".to_vec();
        w.app(0, id).closes = Closes::HalfThenFull;
        assert!(w.run(LONG, |w| w.sides[1].apps[&other].remote_closed));
        let before = w.sent;
        w.run_for(LONG);
        let asked = w.sent[0] + w.sent[1] - before[0] - before[1];
        assert!((40..420).contains(&asked), "{asked} packets in an hour");
        assert!(!w.kinds.contains_key(&(1, "reset")));
        assert_eq!((w.app(0, id).closed, w.app(1, other).closed), (None, None));
        if ends {
            w.app(1, other).outgoing = noise(7, 100_000);
            w.app(1, other).closes = Closes::AfterPeer;
            assert!(w.run(LONG, |w| w.sides.iter().all(|s| s.table.is_empty())));
            assert_eq!(w.app(0, id).closed, Some(CloseReason::Graceful));
            assert_eq!(w.app(0, id).received, noise(7, 100_000));
        } else {
            w.cut = true;
            let closes = w.kinds[&(0, "close")];
            assert!(w.run(Duration::from_secs(150), |w| w.sides[0].apps[&id].closed.is_some()));
            assert_eq!(w.app(0, id).closed, Some(CloseReason::PeerSilent));
            assert!(w.kinds[&(0, "close")] > closes);
        }
    }
}

#[test]
fn a_reset_ends_both_sides_after_what_came_before() {
    for proven in [true, false] {
        let (mut w, id, other) = open(7, Path::clean(100));
        w.proven = proven;
        w.app(1, other).asleep = true;
        w.app(0, id).outgoing = noise(7, 10_000);
        w.run_for(Duration::from_secs(2));
        let now = w.now;
        w.sides[0].table.reset(now, id);
        w.app(0, id).gone = true;
        assert!(w.run(Duration::from_secs(2), |w| w.sides[1].apps[&other].closed.is_some()));
        assert_eq!(w.app(1, other).closed, Some(CloseReason::ResetByPeer));
        w.app(1, other).asleep = false;
        w.work(1);
        assert_eq!(w.app(1, other).received, noise(7, 10_000));
        assert!(!w.sides[1].table.is_finished(other), "a reset is no orderly end");
        let now = w.now;
        w.sides[1].table.close(now, other);
        w.work(1);
        assert!(w.sides.iter().all(|s| s.table.is_empty()));
    }
}

#[test]
fn closing_before_anything_was_sent_leaves_nothing_behind() {
    let mut w = World::new(8, Path::clean(100));
    let to = w.hash(1);
    let now = w.now;
    let id = w.sides[0].table.connect(now, to, PORTS, ConnectOptions::default()).unwrap();
    w.sides[0].table.close(now, id);
    w.run_for(Duration::from_secs(1));
    assert!(w.sides.iter().all(|s| s.table.is_empty()));
    // While the SYN is under way.
    let id = w.connect(App::default());
    let now = w.now;
    w.sides[0].table.close(now, id);
    w.app(0, id).gone = true;
    w.run_for(Duration::from_secs(200));
    assert_eq!(w.sides[1].incoming.len(), 1);
    assert!(w.sides.iter().all(|s| s.table.is_empty()));
}

#[test]
fn data_and_close_before_the_answer_are_delivered() {
    let mut w = World::new(9, Path::clean(300));
    w.sides[1].server = |app| app.closes = Closes::AfterPeer;
    let id = w.connect(App { outgoing: noise(9, 5000), closes: Closes::WhenWritten, ..App::default() });
    assert!(w.run(LONG, |w| w.sides.iter().all(|s| s.table.is_empty())));
    let other = w.served();
    assert_eq!(w.app(1, other).received, noise(9, 5000));
    assert_eq!(w.app(0, id).closed, Some(CloseReason::Graceful));
}

#[test]
fn an_unanswered_syn_times_out() {
    let mut w = World::new(10, Path::clean(100));
    w.cut = true;
    let id = w.connect(App::default());
    let start = w.now.mono;
    assert!(w.run(LONG, |w| w.sides[0].apps[&id].closed.is_some()));
    assert_eq!(w.app(0, id).closed, Some(CloseReason::ConnectTimeout));
    assert_eq!(w.now.mono.since(start), Duration::from_secs(60));
    assert!((6..=12).contains(&w.sent[0]), "{} SYNs", w.sent[0]);
}

#[test]
fn a_peer_without_listener_refuses() {
    for proven in [true, false] {
        let mut w = World::new(11, Path::clean(100));
        w.proven = proven;
        w.sides[1].table.unlisten(0);
        w.sides[1].table.listen(81);
        let id = w.connect(App::default());
        assert!(w.run(Duration::from_secs(1), |w| w.sides[0].apps[&id].closed.is_some()));
        assert_eq!(w.app(0, id).closed, Some(CloseReason::ResetByPeer));
        w.sides[1].table.listen(80);
        let id = w.connect(App::default());
        assert!(w.run(Duration::from_secs(1), |w| w.sides[0].apps[&id].connected));
    }
}

#[test]
fn waiting_streams_are_held_and_then_reset_and_their_number_is_bounded() {
    let mut w = World::new(12, Path::clean(10));
    w.sides[1].accepts = false;
    let ids: Vec<_> = (0..70).map(|_| w.connect(App { outgoing: vec![1; 3000], ..App::default() })).collect();
    w.run_for(Duration::from_secs(1));
    let refused =
        ids.iter().filter(|id| w.sides[0].apps[id].closed == Some(CloseReason::ResetByPeer)).count();
    assert_eq!(refused, 6, "the newest are refused");
    let first = w.sides[1].incoming[0];
    let now = w.now;
    assert!(w.sides[1].table.accept(now, first));
    assert_eq!(w.sides[1].table.readable(first), 3000);
    w.run_for(Duration::from_secs(70));
    assert_eq!(w.sides[1].table.len(), 1);
    assert_eq!(w.sides[0].apps.values().filter(|a| a.closed.is_none()).count(), 1);
    let (now, second) = (w.now, w.sides[1].incoming[1]);
    assert!(!w.sides[1].table.accept(now, second));
}

#[test]
fn r1_limits_of_the_client_refuse_further_streams() {
    let config = Config { per_peer_limits: [3, 0, 0], ..Config::default() };
    let mut w = World::with(13, Path::clean(10), config);
    let ids: Vec<_> = (0..5).map(|_| w.connect(App::default())).collect();
    w.run_for(Duration::from_secs(1));
    assert_eq!(ids.iter().filter(|id| w.sides[0].apps[id].connected).count(), 3);
    w.run_for(Duration::from_secs(60));
    let id = w.connect(App::default());
    assert!(w.run(Duration::from_secs(1), |w| w.sides[0].apps[&id].connected));
}

#[test]
fn a_closed_peer_that_goes_on_is_told() {
    let (mut w, id, other) = open(14, Path::clean(50));
    let now = w.now;
    w.sides[1].table.close(now, other);
    w.app(1, other).gone = true;
    w.app(0, id).outgoing = noise(1, 1 << 20);
    assert!(w.run(Duration::from_secs(30), |w| w.sides[0].apps[&id].closed.is_some()));
    assert_eq!(w.app(0, id).closed, Some(CloseReason::ResetByPeer));
}

#[test]
fn a_closed_peer_that_says_little_now_and_then_is_told_too() {
    let (mut w, id, other) = open(32, Path::clean(20));
    let now = w.now;
    w.sides[1].table.close(now, other);
    w.app(1, other).gone = true;
    for _ in 0..5 {
        w.app(0, id).outgoing.extend_from_slice(b"x");
        w.run_for(Duration::from_secs(4));
    }
    assert!(w.run(Duration::from_secs(5), |w| w.sides[0].apps[&id].closed.is_some()));
    assert!(w.kinds.contains_key(&(1, "reset")));
}

#[test]
fn r5_streams_one_after_the_other_leave_no_trace() {
    let mut w =
        World::with(15, Path::clean(1), Config { syn_per_peer: (100_000, 100_000), ..Config::default() });
    w.sides[1].server = |app| app.closes = Closes::AfterPeer;
    for n in 0..300u64 {
        let id = w.connect(App { outgoing: noise(n, 10), closes: Closes::WhenWritten, ..App::default() });
        assert!(w.run(LONG, |w| w.sides[0].table.is_empty()), "{n}");
        assert_eq!(w.app(0, id).closed, Some(CloseReason::Graceful));
        w.sides[0].apps.clear();
        w.sides[1].apps.clear();
    }
    w.run_for(Duration::from_secs(120));
    assert!(w.sides.iter().all(|s| s.table.is_empty() && s.table.poll_timeout().is_none()));
}
