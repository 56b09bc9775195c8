// SPDX-License-Identifier: MIT
//! The limits of streams, at the limit and one past it, named by their rows (R1 to R5).
use super::world::*;
use crate::base::{Mono, Now, Rng};
use crate::stream::Bounds;
use crate::stream::closed::Closed;
use crate::stream::{CloseReason, Config, Event, Table};
use crate::wire::i2cp_gzip;
use crate::wire::stream_packet::{CHOKE_MIN, RESET};
use crate::wire::{DestHash, StreamPacket};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(3600);

fn now() -> Now {
    Now { mono: Mono::from_secs(1), wall_ms: 1_700_000_000_000 }
}

/// A destination that only receives.
fn server(config: Config) -> Table {
    let mut rng = Rng::from_seed(77);
    let (local, key) = destination(&mut rng);
    let mut table = Table::new(local, key, None, config, rng);
    table.listen(0);
    table
}

/// A destination that only calls.
struct Caller {
    table: Table,
    hash: DestHash,
}

impl Caller {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::from_seed(seed);
        let (local, key) = destination(&mut rng);
        let hash = local.hash();
        Self {
            table: Table::new(local, key, None, Config { streams_max: 100_000, ..Config::default() }, rng),
            hash,
        }
    }

    /// A fresh SYN.
    fn syn(&mut self, at: Now, to: &Table) -> Vec<u8> {
        self.table.connect(at, to.author.hash, PORTS, Default::default()).unwrap();
        let packet = self.table.poll_packet(at).unwrap();
        i2cp_gzip::decode(&packet.bytes, 8192).unwrap().data.into_owned()
    }

    fn call(&mut self, at: Now, to: &mut Table) {
        let raw = self.syn(at, to);
        to.handle_packet(at, Some(self.hash), PORTS, &raw);
    }
}

fn resets(table: &mut Table, at: Now) -> usize {
    let packets = std::iter::from_fn(|| table.poll_packet(at));
    let is_reset = |bytes: &[u8]| {
        let raw = i2cp_gzip::decode(bytes, 8192).unwrap();
        StreamPacket::decode(&raw.data, None).unwrap().has(RESET)
    };
    packets.filter(|p| is_reset(&p.bytes)).count()
}

fn incoming(table: &mut Table) -> Vec<crate::stream::StreamId> {
    std::iter::from_fn(|| table.poll_event())
        .filter_map(|e| if let Event::Incoming { id, .. } = e { Some(id) } else { None })
        .collect()
}

#[test]
fn r1_one_peer_may_have_64_streams_waiting_and_all_together_1024() {
    let mut table = server(Config::default());
    let mut first = Caller::new(0);
    for _ in 0..64 {
        first.call(now(), &mut table);
    }
    assert_eq!((table.len(), table.metrics().syns_refused.get()), (64, 0));
    first.call(now(), &mut table);
    assert_eq!((table.len(), table.metrics().syns_refused.get()), (64, 1), "the 65th");
    // Whoever accepts one makes a place for another, of the same peer.
    let waiting = incoming(&mut table);
    assert!(table.accept(now(), waiting[0]));
    first.call(now(), &mut table);
    assert_eq!((table.len(), table.metrics().syns_refused.get()), (65, 1));
    let mut later = now();
    for seed in 1..16 {
        let mut peer = Caller::new(seed);
        // A second each, for the signatures.
        later = later.later(Duration::from_secs(1));
        for _ in 0..64 {
            peer.call(later, &mut table);
        }
    }
    assert_eq!((table.waiting, table.len(), table.metrics().syns_refused.get()), (1024, 1025, 1));
    Caller::new(99).call(later, &mut table);
    assert_eq!((table.waiting, table.metrics().syns_refused.get()), (1024, 2), "the 1,025th");
    // Nobody accepts: those that came to a crowd are gone after 10 s, the first ones after 60 s.
    table.handle_timeout(later.later(Duration::from_secs(11)));
    while table.poll_packet(later.later(Duration::from_secs(11))).is_some() {}
    assert_eq!(table.waiting, 512);
    let end = later.later(Duration::from_secs(61));
    table.handle_timeout(end);
    while table.poll_packet(end).is_some() {}
    assert_eq!((table.waiting, table.len()), (0, 1));
    assert!(table.peers.values().all(|p| p.unaccepted == 0));
}

#[test]
fn r1_signatures_are_checked_up_to_the_budget_and_one_a_token_later() {
    let mut table = server(Config { syn_checks: 5, ..Config::default() });
    let mut callers: Vec<Caller> = (0..7).map(Caller::new).collect();
    for caller in &mut callers[..6] {
        caller.call(now(), &mut table);
    }
    assert_eq!((table.len(), table.metrics().syns_dropped_rate.get()), (5, 1));
    let later = now().later(Duration::from_millis(200));
    callers[6].call(later, &mut table);
    assert_eq!((table.len(), table.metrics().syns_dropped_rate.get()), (6, 1));
    // A SYN that fails the cheap checks costs none of it.
    let mut raw = callers[0].syn(later, &table);
    raw[20] ^= 1;
    let later = later.later(Duration::from_millis(200));
    table.handle_packet(later, Some(callers[0].hash), PORTS, &raw);
    callers[0].call(later, &mut table);
    assert_eq!(table.len(), 7);
}

#[test]
fn r1_limits_per_minute_hour_and_day_end_with_their_period() {
    let config = Config { per_peer_limits: [2, 5, 6], ..Config::default() };
    let mut table = server(config);
    let mut caller = Caller::new(1);
    let mut other = Caller::new(2);
    let minute = Duration::from_secs(60);
    let mut taken = Vec::new();
    let mut at = now();
    // Three calls a minute for five minutes, then an hour later, then a day later.
    for wait in [Duration::ZERO, minute, minute, minute, 60 * minute, 60 * minute, 1440 * minute] {
        at = at.later(wait);
        table.handle_timeout(at);
        let before = table.metrics().streams_accepted.get();
        for _ in 0..3 {
            caller.call(at, &mut table);
        }
        taken.push(table.metrics().streams_accepted.get() - before);
    }
    assert_eq!(taken, [2, 2, 1, 0, 1, 0, 2]);
    other.call(at, &mut table);
    assert_eq!(table.metrics().syns_refused_limits.get(), 21 - 8);
    assert_eq!(table.metrics().streams_accepted.get(), 9, "another peer has limits of its own");
}

#[test]
fn r1_limits_of_all_peers_together_and_the_choice_to_drop() {
    for drop in [false, true] {
        let config = Config { total_limits: [3, 0, 0], limits_drop: drop, ..Config::default() };
        let mut table = server(config);
        let mut callers: Vec<Caller> = (0..5).map(Caller::new).collect();
        for caller in &mut callers {
            caller.call(now(), &mut table);
        }
        assert_eq!((table.len(), table.metrics().syns_refused_limits.get()), (3, 2));
        assert_eq!(resets(&mut table, now()), if drop { 0 } else { 2 });
    }
}

#[test]
fn r1_who_waits_for_an_acceptor_may_send_little() {
    let mut w = World::new(1, Path::clean(20));
    w.sides[1].accepts = false;
    let data = noise(1, 1 << 20);
    let id = w.connect(App { outgoing: data.clone(), ..App::default() });
    w.run_for(Duration::from_secs(20));
    let waiting = w.sides[1].incoming[0];
    let held = w.sides[1].table.memory();
    assert!((16 * 1024..200 * 1024).contains(&held), "{held}");
    // Accepted, it goes on at once and at full width.
    let now = w.now;
    assert!(w.sides[1].table.accept(now, waiting));
    w.sides[1].apps.insert(waiting, App { connected: true, ..App::default() });
    w.app(1, waiting).asleep = false;
    let took = w.now.mono;
    assert!(w.run(LONG, |w| w.sides[1].apps[&waiting].received.len() == data.len()));
    assert_eq!(w.app(1, waiting).received, data);
    assert!(w.now.mono.since(took) < Duration::from_secs(5), "{:?}", w.now.mono.since(took));
    assert_eq!(w.app(0, id).closed, None);
}

/// Opens a stream from our side to a peer whose packets the test makes.
fn with_peer(seed: u64) -> (World, crate::stream::StreamId, crate::stream::StreamId) {
    let mut w = World::new(seed, Path::clean(50));
    let id = w.connect(App::default());
    assert!(w.run(LONG, |w| w.sides[0].apps[&id].connected));
    let other = w.served();
    w.run_for(Duration::from_secs(1));
    // From now on the peer is the test's.
    w.cut = true;
    (w, id, other)
}

fn tell(w: &mut World, packet: &StreamPacket<'_>) {
    let mut raw = Vec::new();
    packet.encode(&mut raw);
    let (now, peer) = (w.now, w.hash(1));
    w.sides[0].table.handle_packet(now, Some(peer), PORTS, &raw);
    w.work(0);
}

#[test]
fn r2_acks_ahead_of_what_was_sent_gain_nothing() {
    let (mut w, id, other) = with_peer(2);
    w.app(0, id).outgoing = noise(2, 4 << 20);
    w.work(0);
    let first = w.sides[0].table.stats(id).unwrap();
    // The peer acknowledges everything at once that was ever sent, and more, without having got it.
    let mut last = 0;
    for round in 0..2000u32 {
        let until = w.now.mono + Duration::from_millis(1);
        w.step(until);
        let sent = w.sides[0].table.stats(id).unwrap().packets_sent as u32;
        for through in [sent.saturating_sub(1), sent, sent + 1, sent + round, u32::MAX] {
            let ack = StreamPacket {
                send_id: id.0,
                receive_id: other.0,
                ack_through: through,
                ..Default::default()
            };
            tell(&mut w, &ack);
        }
        last = sent;
    }
    let stats = w.sides[0].table.stats(id).unwrap();
    assert!(stats.window <= 512 && stats.in_flight <= 512, "{stats:?}");
    assert!(last >= first.packets_sent as u32);
    assert!(w.sides[0].table.memory() < 2 << 20, "{}", w.sides[0].table.memory());
    assert!(stats.srtt_us > 0);
}

#[test]
fn r2_a_peer_that_chokes_for_ever_gets_probes_and_holds_little() {
    let (mut w, id, other) = with_peer(3);
    w.app(0, id).outgoing = noise(3, 8 << 20);
    let choke = StreamPacket {
        send_id: id.0,
        receive_id: other.0,
        ack_through: 0,
        delay_ms: Some(CHOKE_MIN),
        ..Default::default()
    };
    tell(&mut w, &choke);
    let sent = w.sent[0];
    for _ in 0..600 {
        w.run_for(Duration::from_secs(1));
        tell(&mut w, &choke);
    }
    let stats = w.sides[0].table.stats(id).unwrap();
    assert!(stats.choked);
    assert!(w.sent[0] - sent < 2500, "{} packets in ten minutes of choke", w.sent[0] - sent);
    assert!(w.sides[0].table.memory() < 1 << 20, "{}", w.sides[0].table.memory());
    // Once it is silent the stream ends, however often it choked before.
    assert!(w.run(Duration::from_secs(600), |w| w.sides[0].apps[&id].closed.is_some()));
    assert_eq!(w.app(0, id).closed, Some(CloseReason::PeerSilent));
}

#[test]
fn r2_repetitions_end_at_their_limit() {
    for limit in [1, 3, 12] {
        let config = Config { resends_max: limit, ..Config::default() };
        let mut w = World::with(4, Path::clean(50), config);
        let id = w.connect(App::default());
        assert!(w.run(LONG, |w| w.sides[0].apps[&id].connected));
        w.run_for(Duration::from_secs(1));
        w.cut = true;
        w.app(0, id).outgoing = b"x".to_vec();
        assert!(w.run(LONG, |w| w.sides[0].apps[&id].closed.is_some()));
        assert_eq!(w.app(0, id).closed, Some(CloseReason::PeerSilent));
        // One timeout for each repetition, and one that finds the limit reached.
        let timeouts = w.sides[0].table.metrics().packets_repeated.get();
        assert!(timeouts <= u64::from(2 * limit + 2), "{timeouts} repetitions with a limit of {limit}");
    }
}

#[test]
fn r3_syns_are_remembered_up_to_the_limit_and_the_oldest_goes() {
    let mut closed = Closed::new(&mut Rng::from_seed(1), Bounds::USUAL);
    for mark in 0..16_384u64 {
        assert!(closed.remember_syn(mark));
    }
    assert!((0..16_384).all(|mark| closed.knows_syn(mark)));
    assert!(!closed.remember_syn(5), "a replay");
    assert!(closed.remember_syn(16_384), "one past the limit");
    assert!(!closed.knows_syn(0) && closed.knows_syn(1) && closed.knows_syn(16_384));
}

#[test]
fn r5_half_open_streams_end_and_leave_nothing() {
    // Calls that nobody answers, and answers that nobody takes.
    let mut w = World::new(5, Path::clean(20));
    w.cut = true;
    for _ in 0..50 {
        w.connect(App { closes: Closes::WhenWritten, outgoing: vec![1; 10], ..App::default() });
    }
    w.run_for(Duration::from_secs(600));
    assert!(w.sides[0].table.is_empty(), "{} calls are left", w.sides[0].table.len());
    let mut table = server(Config::default());
    let mut caller = Caller::new(6);
    for _ in 0..50 {
        caller.call(now(), &mut table);
    }
    let ids = incoming(&mut table);
    for id in &ids {
        assert!(table.accept(now(), *id));
    }
    // The peer is gone for ever; the programs write nothing and wait.
    let mut at = now();
    for _ in 0..300 {
        at = at.later(Duration::from_secs(1));
        table.handle_timeout(at);
        while table.poll_packet(at).is_some() {}
    }
    let ended =
        std::iter::from_fn(|| table.poll_event()).filter(|e| matches!(e, Event::Closed { .. })).count();
    assert_eq!(ended, 50, "within five minutes");
    ids.iter().for_each(|id| table.close(at, *id));
    while table.poll_packet(at).is_some() {}
    assert_eq!((table.len(), table.waiting, table.by_remote.len(), table.memory()), (0, 0, 0, 0));
}

/// Open and close, over and over. `STREAMS=n` tries more.
#[test]
fn r5_many_streams_opened_and_closed_leak_nothing() {
    let rounds = std::env::var("STREAMS").ok().and_then(|n| n.parse().ok()).unwrap_or(1500) / 50;
    let config = Config {
        syn_per_peer: (u32::MAX, u32::MAX),
        syn_checks: u32::MAX,
        streams_max: 100,
        ..Config::default()
    };
    let mut w = World::with(7, Path { loss: 20, ..Path::clean(1) }, config);
    w.sides[1].server = |app| app.closes = Closes::AfterPeer;
    for round in 0..rounds {
        for n in 0..50 {
            // Ends of all kinds: in order, by reset, without a word.
            let closes = if n % 3 == 0 { Closes::Never } else { Closes::WhenWritten };
            let id = w.connect(App { outgoing: noise(n, 10), closes, ..App::default() });
            if n % 3 == 0 {
                let now = w.now;
                w.sides[0].table.reset(now, id);
            }
        }
        let ended = w.run(Duration::from_secs(900), |w| w.sides.iter().all(|s| s.table.is_empty()));
        assert!(ended, "round {round}: {} and {} are left", w.sides[0].table.len(), w.sides[1].table.len());
        w.sides.iter_mut().for_each(|s| s.apps.clear());
        w.sides[1].incoming.clear();
    }
    for side in &w.sides {
        let t = &side.table;
        assert_eq!((t.len(), t.waiting, t.by_remote.len(), t.memory()), (0, 0, 0, 0));
        assert!(t.peers.values().all(|p| p.streams == 0 && p.in_flight == 0 && p.unaccepted == 0));
    }
}
