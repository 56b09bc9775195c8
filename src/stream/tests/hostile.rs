// SPDX-License-Identifier: MIT
use super::world::*;
use crate::base::Rng;
use crate::stream::{CloseReason, Config};
use crate::wire::StreamPacket;
use crate::wire::i2cp_gzip::{self, Ports};
use std::time::Duration;

fn data(send_id: u32, receive_id: u32, sequence: u32) -> StreamPacket<'static> {
    StreamPacket { send_id, receive_id, sequence, payload: b"x", ..StreamPacket::default() }
}

fn bytes(packet: &StreamPacket<'_>) -> Vec<u8> {
    let mut w = Vec::new();
    packet.encode(&mut w);
    w
}

/// A SYN of the first side, out of its wrapper.
fn syn(w: &mut World) -> Vec<u8> {
    let (to, now) = (w.hash(1), w.now);
    w.sides[0].table.connect(now, to, PORTS, Default::default()).unwrap();
    let packet = w.sides[0].table.poll_packet(now).unwrap();
    i2cp_gzip::decode(&packet.bytes, 8192).unwrap().data.into_owned()
}

#[test]
fn r3_a_syn_for_somebody_else_or_replayed_or_forged_opens_nothing() {
    let mut w = World::new(1, Path::clean(10));
    let raw = syn(&mut w);
    let (now, alice) = (w.now, w.hash(0));
    let table = &mut w.sides[1].table;
    // The receiver's hash.
    let mut other = raw.clone();
    other[20] ^= 1;
    table.handle_packet(now, Some(alice), PORTS, &other);
    // The signature.
    let mut forged = raw.clone();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    table.handle_packet(now, Some(alice), PORTS, &forged);
    table.handle_packet(now, None, PORTS, &forged);
    // A session that belongs to another sender.
    let bob = w.sides[1].local.hash();
    let table = &mut w.sides[1].table;
    table.handle_packet(now, Some(bob), PORTS, &raw);
    assert_eq!(table.len(), 0);
    table.handle_packet(now, Some(alice), PORTS, &raw);
    assert_eq!(table.len(), 1);
    // Again while it lives: the same stream. After its death: nothing.
    table.handle_packet(now, Some(alice), PORTS, &raw);
    assert_eq!(table.len(), 1);
    table.reset_all(now);
    while table.poll_packet(now).is_some() {}
    assert_eq!(table.len(), 0);
    table.handle_packet(now, Some(alice), PORTS, &raw);
    assert_eq!(table.len(), 0);
    assert_eq!(table.metrics().syns_dropped_replayed.get(), 1);
}

#[test]
fn r1_a_flood_of_syns_of_one_peer_is_cut_off() {
    let config = Config { streams_max: 100_000, ..Config::default() };
    let mut w = World::with(2, Path::clean(10), config);
    let syns: Vec<_> = (0..400).map(|_| syn(&mut w)).collect();
    let (now, alice) = (w.now, w.hash(0));
    let table = &mut w.sides[1].table;
    for raw in &syns {
        table.handle_packet(now, Some(alice), PORTS, raw);
    }
    assert_eq!(table.len(), 64);
    assert!(table.metrics().syns_dropped_rate.get() >= 200);
    assert!(table.metrics().syns_refused.get() <= 64);
}

#[test]
fn r2_lying_acks_change_nothing() {
    let mut w = World::new(3, Path::clean(50));
    let id = w.connect(App::default());
    assert!(w.run(Duration::from_secs(10), |w| w.sides[0].apps[&id].connected));
    let other = w.served();
    w.app(0, id).outgoing = noise(3, 200_000);
    w.work(0);
    let (now, bob) = (w.now, w.hash(1));
    for through in [1000, u32::MAX, 0x7fff_ffff] {
        let lie =
            StreamPacket { send_id: id.0, receive_id: other.0, ack_through: through, ..Default::default() };
        w.sides[0].table.handle_packet(now, Some(bob), PORTS, &bytes(&lie));
    }
    // From nobody in particular, from another sender, for another stream.
    let close = StreamPacket { flags: crate::wire::stream_packet::CLOSE, ..data(id.0, other.0, 1) };
    w.sides[0].table.handle_packet(now, None, PORTS, &bytes(&close));
    let reset = StreamPacket { flags: crate::wire::stream_packet::RESET, ..data(id.0, other.0, 1) };
    w.sides[0].table.handle_packet(now, None, PORTS, &bytes(&reset));
    let alice = w.hash(0);
    w.sides[0].table.handle_packet(now, Some(alice), PORTS, &bytes(&data(id.0, other.0, 1)));
    w.sides[0].table.handle_packet(now, Some(bob), PORTS, &bytes(&data(id.0, other.0 ^ 1, 1)));
    assert!(w.run(Duration::from_secs(60), |w| w.sides[1].apps[&other].received.len() == 200_000));
    assert_eq!(w.app(1, other).received, noise(3, 200_000));
    assert!(w.app(0, id).received.is_empty() && w.app(0, id).closed.is_none());
}

#[test]
fn resets_of_unknown_streams_are_rare() {
    let mut w = World::new(4, Path::clean(10));
    let (now, alice) = (w.now, w.hash(0));
    let table = &mut w.sides[1].table;
    for n in 1..1000 {
        table.handle_packet(now, Some(alice), PORTS, &bytes(&data(n, 7, n)));
        table.handle_packet(now, None, PORTS, &bytes(&data(n, 7, n)));
    }
    let mut replies = 0;
    while let Some(packet) = table.poll_packet(now) {
        replies += 1;
        let raw = i2cp_gzip::decode(&packet.bytes, 8192).unwrap();
        let reset = StreamPacket::decode(&raw.data, None).unwrap();
        assert!(reset.has(crate::wire::stream_packet::RESET) && reset.sequence > 0 && reset.send_id == 7);
    }
    assert_eq!(replies, 1);
}

#[test]
fn early_data_waits_for_its_syn() {
    let mut w = World::new(5, Path::clean(10));
    let raw = syn(&mut w);
    let (now, alice) = (w.now, w.hash(0));
    let theirs = u32::from_be_bytes(raw[4..8].try_into().unwrap());
    let table = &mut w.sides[1].table;
    table.handle_packet(now, Some(alice), PORTS, &bytes(&data(0, theirs, 2)));
    table.handle_packet(now, Some(alice), PORTS, &bytes(&data(0, theirs, 1)));
    assert_eq!(table.len(), 0);
    table.handle_packet(now, Some(alice), PORTS, &raw);
    table.handle_packet(now, Some(alice), PORTS, &bytes(&data(0, theirs, 3)));
    w.work(1);
    let other = w.served();
    assert_eq!(w.app(1, other).received, b"xxx");
    // Far more than is kept.
    let table = &mut w.sides[1].table;
    for n in 0..10_000 {
        table.handle_packet(now, Some(alice), PORTS, &bytes(&data(0, 1_000_000 + n, 1)));
    }
    assert!(table.metrics().packets_dropped_early.get() > 9_000);
}

/// Random and mutated packets in all states: no panic, and honest streams live on.
#[test]
fn garbage_of_every_kind_is_survived() {
    for seed in 0..20 {
        let mut w = World::new(100 + seed, Path { loss: 50, ..Path::clean(20) });
        w.sides[1].server = |app| app.closes = Closes::HalfThenFull;
        let honest =
            w.connect(App { outgoing: noise(seed, 100_000), closes: Closes::HalfThenFull, ..App::default() });
        let mut rng = Rng::from_seed(seed);
        let recorded = syn(&mut w);
        for round in 0..1500u32 {
            let until = w.now.mono + Duration::from_millis(2);
            w.step(until);
            let victim = rng.index(2);
            let mut raw = match rng.below(4) {
                0 => {
                    let len = rng.index(300);
                    let mut raw = vec![0; len];
                    rng.fill(&mut raw);
                    raw
                }
                1 => recorded.clone(),
                _ => {
                    let mut packet = data(rng.u32(), rng.u32(), rng.u32() % 600);
                    packet.flags = rng.u32() as u16;
                    packet.ack_through = rng.u32() % 1000;
                    packet.nacks = (0..rng.below(300)).map(|_| rng.u32() % 700).collect();
                    packet.delay_ms = (rng.below(2) == 0).then(|| rng.u32() as u16);
                    bytes(&packet)
                }
            };
            if !raw.is_empty() {
                let at = rng.index(raw.len());
                raw[at] = raw[at].wrapping_add(round as u8);
            }
            let now = w.now;
            // Not from the honest peer: nobody can speak in its name.
            let from = if rng.below(2) == 0 { None } else { Some(crate::wire::DestHash(rng.bytes())) };
            w.sides[victim].table.handle_packet(now, from, Ports::default(), &raw);
            w.work(victim);
        }
        let done = w.run(Duration::from_secs(600), |w| w.sides[0].apps[&honest].closed.is_some());
        assert!(done, "seed {seed}");
        assert_eq!(w.app(0, honest).closed, Some(CloseReason::Graceful), "seed {seed}");
        assert!(w.sides[1].apps.values().any(|a| a.received == noise(seed, 100_000)), "seed {seed}");
    }
}

/// A peer that speaks with its own right key but lies about everything may kill its own stream, and no more.
#[test]
fn r2_a_lying_peer_costs_bounded_memory() {
    for seed in 0..10 {
        let mut w = World::new(200 + seed, Path::clean(20));
        let id = w.connect(App::default());
        assert!(w.run(Duration::from_secs(10), |w| w.sides[0].apps[&id].connected));
        let other = w.served();
        let mut rng = Rng::from_seed(seed);
        w.app(0, id).outgoing = noise(1, 1 << 20);
        w.app(0, id).asleep = true;
        let payload = vec![0; 4000];
        for _ in 0..5000 {
            let mut packet = data(id.0, other.0, rng.u32() % 2000);
            packet.payload = &payload;
            packet.ack_through = rng.u32() % 800;
            packet.nacks = (0..rng.below(255)).map(|_| rng.u32() % 800).collect();
            packet.delay_ms = (rng.below(4) == 0).then(|| [0, 100, 60_000, 60_001, 65_535][rng.index(5)]);
            let (now, bob) = (w.now, w.hash(1));
            w.sides[0].table.handle_packet(now, Some(bob), PORTS, &bytes(&packet));
            let until = w.now.mono + Duration::from_millis(1);
            w.step(until);
            assert!(w.sides[0].table.readable(id) <= 3 << 20);
        }
    }
}
