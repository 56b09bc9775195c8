// SPDX-License-Identifier: MIT
use super::world::*;
use crate::base::Rng;
use crate::stream::{CloseReason, Config, ConnectOptions, StreamId, Table};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn a_stream_opens_and_bytes_cross_both_ways() {
    let mut w = World::new(1, Path::clean(50));
    w.sides[1].server = |app| app.outgoing = noise(2, 100_000);
    let id = w.connect(App { outgoing: noise(1, 100_000), ..App::default() });
    let done = w.run(LONG, |w| {
        w.sides[0].apps[&id].received.len() == 100_000
            && w.sides[1].apps.values().any(|a| a.received.len() == 100_000)
    });
    assert!(done);
    assert_eq!(w.app(0, id).received, noise(2, 100_000));
    let other = w.served();
    assert_eq!(w.app(1, other).received, noise(1, 100_000));
    assert!(w.now.mono.0 < 4_000_000, "took {:?}", w.now.mono);
}

#[test]
fn data_travels_in_the_syn_and_in_its_answer() {
    let mut w = World::new(3, Path::clean(500));
    w.sides[1].server = |app| app.outgoing = b"answer".to_vec();
    let id = w.connect(App { outgoing: b"question".to_vec(), ..App::default() });
    assert!(w.run(LONG, |w| w.sides[0].apps[&id].received == b"answer"));
    let took = w.now.mono.0 - 1_000_000;
    assert!(took < 1_050_000, "one round trip, not {took} us");
    let other = w.served();
    assert_eq!(w.app(1, other).received, b"question");
    w.run_for(Duration::from_secs(5));
    assert_eq!(w.kinds.get(&(0, "data")), None);
    assert_eq!(w.kinds.get(&(1, "data")), None);
    assert_eq!((w.kinds[&(0, "syn")], w.kinds[&(1, "syn")]), (1, 1));
}

/// Random paths: every byte arrives once and in order, or the stream fails with an error. `SEEDS=n` tries more.
#[test]
fn r4_bytes_in_are_bytes_out_over_bad_paths() {
    let seeds = std::env::var("SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    for seed in 0..seeds {
        let mut rng = Rng::from_seed(1000 + seed);
        let path = Path {
            delay: Duration::from_millis(rng.between(0, 400)),
            jitter: Duration::from_millis(rng.between(0, 200)),
            loss: rng.between(0, 300),
            duplicate: rng.between(0, 200),
            rate: if rng.below(2) == 0 { 0 } else { rng.between(50, 2000) },
            queue: rng.between(10, 300),
            reorder: rng.below(2) == 0,
        };
        let mut w = World::new(seed, path);
        w.proven = seed % 3 != 0;
        w.sides[1].server = |app| {
            app.outgoing = noise(7, 60_000);
            app.chunk = 3000;
            app.closes = Closes::HalfThenFull;
        };
        let size = usize::try_from(rng.between(1, 150_000)).unwrap();
        let chunk = usize::try_from(rng.between(1, 20_000)).unwrap();
        let data = noise(seed, size);
        let id =
            w.connect(App { outgoing: data.clone(), chunk, closes: Closes::HalfThenFull, ..App::default() });
        let ended = w.run(LONG, |w| w.sides.iter().all(|s| s.table.is_empty()));
        assert!(
            ended,
            "seed {seed} {path:?}: never ended: {:?} {:?}",
            w.sides[0].table.stats(id),
            w.sides[1].incoming
        );
        let a = &w.sides[0].apps[&id];
        if a.closed == Some(CloseReason::ConnectTimeout) {
            continue;
        }
        let served = w.served();
        let b = &w.sides[1].apps[&served];
        assert!(data.starts_with(&b.received), "seed {seed}: wrong bytes at b");
        assert!(noise(7, 60_000).starts_with(&a.received), "seed {seed}: wrong bytes at a");
        if a.closed == Some(CloseReason::Graceful) && b.closed == Some(CloseReason::Graceful) {
            assert_eq!(b.received.len(), size, "seed {seed}: bytes lost");
            assert_eq!(a.received.len(), 60_000, "seed {seed}: bytes lost");
        } else {
            assert!(path.loss > 200, "seed {seed} {path:?}: failed with {:?} and {:?}", a.closed, b.closed);
        }
    }
}

#[test]
fn one_byte_writes_are_merged() {
    let mut w = World::new(4, Path::clean(50));
    let id = w.connect(App { chunk: 1, outgoing: noise(4, 20_000), ..App::default() });
    assert!(w.run(LONG, |w| w.sides[1].apps.values().any(|a| a.received.len() == 20_000)));
    assert!(w.sides[0].table.stats(id).unwrap().packets_sent < 40);
}

#[test]
fn r2_a_sleeping_reader_chokes_its_peer_and_nothing_is_lost() {
    for loss in [0, 100] {
        let mut w = World::new(5, Path { loss, ..Path::clean(20) });
        w.sides[1].server = |app| app.asleep = true;
        let data = noise(5, 4 << 20);
        let id = w.connect(App { outgoing: data.clone(), ..App::default() });
        w.run_for(Duration::from_secs(300));
        let other = w.served();
        let held = w.sides[1].table.readable(other);
        assert!((400_000..=2 << 20).contains(&held), "{held} bytes wait");
        assert!(w.sides[0].table.stats(id).unwrap().choked);
        let sent = w.sent[0];
        w.run_for(Duration::from_secs(60));
        assert!(w.sent[0] - sent < 250, "probes only: {}", w.sent[0] - sent);
        w.app(1, other).asleep = false;
        assert!(w.run(LONG, |w| w.sides[1].apps[&other].received.len() == data.len()));
        assert_eq!(w.app(1, other).received, data);
        assert_eq!(w.app(0, id).closed, None);
    }
}

#[test]
fn three_hundred_holes_are_filled() {
    let mut w = World::new(6, Path { delay: Duration::from_millis(500), ..Path::clean(0) });
    let id = w.connect(App::default());
    assert!(w.run(LONG, |w| w.sides[0].apps[&id].connected));
    // Grow the window first.
    let data = noise(6, 12 << 20);
    w.app(0, id).outgoing = data.clone();
    let other = w.served();
    assert!(w.run(LONG, |w| w.sides[1].apps[&other].received.len() > 6 << 20));
    w.path.loss = 650;
    w.run_for(Duration::from_millis(1500));
    w.path.loss = 0;
    assert!(w.run(LONG, |w| w.sides[1].apps[&other].received.len() == data.len()));
    assert_eq!(w.app(1, other).received, data);
}

#[test]
fn a_dead_path_ends_the_stream_and_hints_to_switch() {
    let mut w = World::new(7, Path::clean(50));
    let id = w.connect(App::default());
    assert!(w.run(LONG, |w| w.sides[0].apps[&id].connected));
    w.cut = true;
    w.app(0, id).outgoing = noise(1, 5000);
    assert!(w.run(Duration::from_secs(200), |w| w.sides[0].apps[&id].closed.is_some()));
    assert_eq!(w.app(0, id).closed, Some(CloseReason::PeerSilent));
    let stats = w.sides[0].table.stats(id).unwrap();
    assert!(stats.timeouts >= 12, "{stats:?}");
}

#[test]
fn r5_who_only_listens_learns_of_a_dead_peer_within_two_minutes() {
    for seed in 0..20 {
        let mut w = World::new(100 + seed, Path::clean(50 + 10 * seed));
        let id = w.connect(App::default());
        assert!(w.run(LONG, |w| w.sides[0].apps[&id].connected));
        let other = w.served();
        w.app(1, other).outgoing = noise(seed, 300_000);
        assert!(w.run(LONG, |w| w.sides[0].apps[&id].received.len() > 100_000));
        w.cut = true;
        assert!(w.run(Duration::from_secs(115), |w| w.sides[0].apps[&id].closed.is_some()), "seed {seed}");
        assert_eq!(w.app(0, id).closed, Some(CloseReason::PeerSilent));
    }
}

#[test]
fn a_broken_path_that_heals_loses_nothing() {
    let mut w = World::new(8, Path::clean(100));
    let data = noise(8, 2 << 20);
    let id = w.connect(App { outgoing: data.clone(), ..App::default() });
    assert!(w.run(LONG, |w| w.sides[1].apps.values().any(|a| a.received.len() > 500_000)));
    w.cut = true;
    w.run_for(Duration::from_secs(20));
    w.cut = false;
    let other = w.served();
    assert!(w.run(Duration::from_secs(60), |w| w.sides[1].apps[&other].received.len() == data.len()));
    assert_eq!(w.app(1, other).received, data);
    assert_eq!(w.app(0, id).closed, None);
}

#[test]
fn a_thousand_streams_share_a_path() {
    let config = Config {
        backlog: 2000,
        backlog_per_peer: 2000,
        syn_per_peer: (5000, 5000),
        syn_checks: 5000,
        ..Config::default()
    };
    let path = Path { jitter: Duration::from_millis(20), loss: 10, ..Path::clean(40) };
    let mut w = World::with(9, path, config);
    w.sides[1].server = |app| {
        app.outgoing = noise(9, 5000);
        app.closes = Closes::HalfThenFull;
    };
    let ids: Vec<StreamId> = (0..1000)
        .map(|n| w.connect(App { outgoing: noise(n, 3000), closes: Closes::HalfThenFull, ..App::default() }))
        .collect();
    assert!(w.run(LONG, |w| w.sides.iter().all(|s| s.table.is_empty())));
    for id in ids {
        assert_eq!(w.app(0, id).received, noise(9, 5000));
        assert_eq!(w.app(0, id).closed, Some(CloseReason::Graceful));
    }
    assert_eq!(w.sides[1].apps.len(), 1000);
}

#[test]
fn the_limit_of_a_peer_holds_over_all_its_streams() {
    let mut w = World::new(10, Path::clean(100));
    let to = w.hash(1);
    w.sides[0].table.set_inflight_limit(w.now, to, 24);
    let ids: Vec<StreamId> =
        (0..10).map(|n| w.connect(App { outgoing: noise(n, 200_000), ..App::default() })).collect();
    let mut most = 0;
    let done = w.run(LONG, |w| {
        most = most.max(w.sides[0].table.in_flight(to));
        w.sides[1].apps.values().filter(|a| a.received.len() == 200_000).count() == ids.len()
    });
    assert!(done);
    assert!(most <= 24, "{most}");
    w.run_for(Duration::from_secs(10));
    assert_eq!(w.sides[0].table.in_flight(to), 0);
}

#[test]
fn an_idle_stream_stays_and_asks_now_and_then() {
    let mut w = World::new(11, Path::clean(100));
    let id = w.connect(App::default());
    assert!(w.run(LONG, |w| w.sides[0].apps[&id].connected));
    let before = w.sent;
    w.run_for(LONG);
    assert_eq!(w.app(0, id).closed, None);
    let asked = w.sent[0] + w.sent[1] - before[0] - before[1];
    assert!((40..420).contains(&asked), "{asked} packets in an hour");
    w.cut = true;
    assert!(w.run(Duration::from_secs(400), |w| {
        w.sides.iter().all(|s| s.apps.values().all(|a| a.closed.is_some()))
    }));
}

#[test]
fn pings_are_answered() {
    let mut w = World::new(12, Path::clean(10));
    let to = w.hash(1);
    w.sides[0].table.ping(to, PORTS, b"are you there");
    w.run_for(Duration::from_secs(1));
    assert_eq!(w.sides[0].pongs, [b"are you there".to_vec()]);
    for _ in 0..50 {
        w.sides[0].table.ping(to, PORTS, b"flood");
    }
    w.run_for(Duration::from_secs(1));
    assert!(w.sides[0].pongs.len() <= 3);
}

#[test]
fn a_stream_to_oneself_works() {
    let mut w = World::new(13, Path::clean(1));
    // Both ends in one table: packets of the first side go back to it.
    let own = w.hash(0);
    let now = w.now;
    let id = w.sides[0].table.connect(now, own, PORTS, Default::default()).unwrap();
    w.sides[0]
        .apps
        .insert(id, App { outgoing: noise(1, 50_000), closes: Closes::HalfThenFull, ..App::default() });
    w.sides[0].dirty.insert(id);
    w.sides[0].server = |app| app.closes = Closes::HalfThenFull;
    w.proven = false;
    assert!(w.run(LONG, |w| w.sides[0].table.is_empty()));
    assert!(w.sides[0].apps.values().any(|a| a.received == noise(1, 50_000)));
}

#[test]
fn calls_that_found_no_room_go_out_when_there_is_room() {
    let mut w = World::new(77, Path::clean(20));
    let to = w.hash(1);
    let table = &mut w.sides[0].table;
    table.set_inflight_limit(w.now, to, 4);
    for port in 0..10 {
        let ports = crate::wire::i2cp_gzip::Ports { from: port, to: 0 };
        assert!(table.connect(w.now, to, ports, ConnectOptions::default()).is_some());
    }
    let sent = |table: &mut Table| std::iter::from_fn(|| table.poll_packet(w.now)).count();
    assert_eq!(sent(table), 4);
    table.set_inflight_limit(w.now, to, 24);
    assert_eq!(sent(table), 6);
}
