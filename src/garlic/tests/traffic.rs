// SPDX-License-Identifier: MIT
//! Much traffic: tag windows under loss, reorder and duplicates, and the Diffie-Hellman ratchet.

use super::super::payload::{Content, OUTER, PADDING_MAX, cells};
use super::super::{Limits, SealOptions, State};
use super::world::{World, ms, secs};
use crate::base::Rng;
use crate::wire::DestHash;

/// Sends `count` numbered messages each way, one of each every millisecond, within the allowance.
fn exchange(w: &mut World, count: u32) -> [u32; 2] {
    let mut sent = [0; 2];
    while sent.iter().any(|s| *s < count) {
        for (from, to) in [(0, 1), (1, 0)] {
            let remote = w.remote(to);
            if sent[from] < count && w.nodes[from].sessions.in_flight_allowance(w.now, &remote) > 0 {
                w.send(from, to, &sent[from].to_be_bytes()).unwrap();
                sent[from] += 1;
            }
        }
        w.run(ms(1));
    }
    w.run(secs(2));
    sent
}

fn distinct(received: &[Vec<u8>]) -> usize {
    let mut all = received.to_vec();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), received.len(), "nothing twice");
    all.len()
}

#[test]
fn whatever_the_wire_delivers_is_opened() {
    let mut w = World::connected(20);
    (w.jitter_ms, w.loss_percent) = (60, 5);
    exchange(&mut w, 3000);
    let got: usize = w.nodes.iter().map(|n| distinct(&n.received)).sum();
    assert!(got + w.lost >= 6000, "{got} came, {} were lost", w.lost);
    assert!(w.nodes.iter().all(|n| n.errors.is_empty()), "{:?}", w.nodes[0].errors);
}

#[test]
fn g4_copies_are_opened_once() {
    let mut w = World::connected(21);
    (w.jitter_ms, w.twice_percent) = (30, 20);
    exchange(&mut w, 500);
    for node in &w.nodes {
        assert_eq!(distinct(&node.received), 500);
        assert!(node.errors.len() > 50, "the copies: {}", node.errors.len());
    }
}

#[test]
fn many_messages_cross_ratchet_steps_each_way() {
    let mut w = World::connected(22);
    (w.jitter_ms, w.loss_percent) = (20, 2);
    exchange(&mut w, 36_000);
    assert!(w.nodes.iter().all(|n| n.errors.is_empty()));
    let got: usize = w.nodes.iter().map(|n| distinct(&n.received)).sum();
    assert!(got + w.lost >= 72_000, "{got} came, {} were lost", w.lost);
    for (node, other) in [(0, 1), (1, 0)] {
        let remote = w.remote(other);
        let stats = w.nodes[node].sessions.stats(w.now, &remote).unwrap();
        assert!(stats.send_set.unwrap().0 >= 2, "{stats:?}");
        let m = w.nodes[node].sessions.metrics();
        assert_eq!((m.session_restarted.get(), m.next_key_dropped.get()), (0, 0));
        assert!(stats.tags < 3200 && stats.skipped_keys < 1100, "{stats:?}");
    }
}

#[test]
fn ratchet_steps_survive_heavy_loss() {
    let limits = Limits { ratchet_after: 200, ..Limits::default() };
    for seed in 0..2 {
        let mut w = World::with(23 + seed, 2, limits);
        w.connect();
        (w.jitter_ms, w.loss_percent) = (40, 30);
        exchange(&mut w, 4000);
        let remote = w.remote(1);
        let stats = w.nodes[0].sessions.stats(w.now, &remote).unwrap();
        assert!(stats.send_set.unwrap().0 >= 6, "{stats:?}");
        assert!(w.nodes.iter().all(|n| n.errors.is_empty()), "seed {seed}: {:?}", w.nodes[0].errors.len());
        let got: usize = w.nodes.iter().map(|n| distinct(&n.received)).sum();
        assert!(got + w.lost >= 8000);
    }
}

#[test]
fn one_way_traffic_ratchets_too() {
    let limits = Limits { ratchet_after: 200, ..Limits::default() };
    let mut w = World::with(30, 2, limits);
    w.connect();
    for n in 0..3000u32 {
        w.send(0, 1, &n.to_be_bytes()).unwrap();
        w.run(ms(10));
    }
    w.run(secs(2));
    assert_eq!(distinct(&w.nodes[1].received), 3000);
    let remote = w.remote(1);
    assert!(w.nodes[0].sessions.stats(w.now, &remote).unwrap().send_set.unwrap().0 >= 8);
}

#[test]
fn an_old_tag_set_is_replaced_by_the_clock() {
    let mut w = World::connected(31);
    for _ in 0..400 {
        w.send(0, 1, b"x").unwrap();
        w.send(1, 0, b"x").unwrap();
        w.run(secs(10));
    }
    let remote = w.remote(1);
    assert_eq!(w.nodes[0].sessions.stats(w.now, &remote).unwrap().send_set.unwrap().0, 1);
}

#[test]
fn g4_tags_reach_as_far_ahead_and_behind_as_promised() {
    let mut w = World::connected(32);
    let messages: Vec<Vec<u8>> = (0..60u8).flat_map(|n| w.seal(0, 1, &[n])).collect();
    w.give(1, messages[59].clone());
    assert_eq!(w.nodes[1].received, [vec![59]], "59 lost in front do no harm");
    for message in messages[..59].iter().rev() {
        w.give(1, message.clone());
    }
    assert_eq!(w.nodes[1].received.len(), 60, "late ones are still read");
    w.give(1, messages[0].clone());
    assert_eq!(w.nodes[1].received.len(), 60, "but only once");
    let remote = w.remote(0);
    let stats = w.nodes[1].sessions.stats(w.now, &remote).unwrap();
    assert_eq!(stats.skipped_keys, 0);

    let ahead: Vec<Vec<u8>> = (0..200u8).flat_map(|n| w.seal(0, 1, &[n])).collect();
    let before = w.nodes[1].errors.len();
    w.give(1, ahead[199].clone());
    assert_eq!(w.nodes[1].errors.len(), before + 1, "200 ahead is too far");
}

#[test]
fn g4_what_is_too_late_is_trimmed() {
    let mut w = World::connected(33);
    let late = w.seal(0, 1, b"late").remove(0);
    for n in 0..700u32 {
        w.send(0, 1, &n.to_be_bytes()).unwrap();
        w.run(ms(100));
    }
    let before = w.nodes[1].received.len();
    w.give(1, late);
    assert_eq!(w.nodes[1].received.len(), before);
    let remote = w.remote(0);
    let stats = w.nodes[1].sessions.stats(w.now, &remote).unwrap();
    assert_eq!(stats.skipped_keys, 0, "{stats:?}");
}

#[test]
fn full_stream_packets_fill_two_cells_exactly() {
    let mut w = World::connected(34);
    w.send(0, 1, b"x").unwrap();
    w.run(secs(8)); // everything owed is sent
    let mut sizes = Vec::new();
    for _ in 0..40 {
        let payload = vec![7; 23 + 22 + 1812 - 4];
        sizes.extend(w.seal(0, 1, &payload).iter().map(|m| m.len() + 16));
    }
    assert!(sizes.iter().all(|s| (1954..=1956).contains(s)), "{sizes:?}");
}

#[test]
fn messages_near_a_bound_are_filled_up_to_it_and_none_goes_over() {
    let mut rng = Rng::from_seed(1);
    for len in 0..3000 {
        let data = [vec![0; len]];
        let content = Content::data(DestHash::default(), &data);
        let mut out = Vec::new();
        content.write(World::new(1).now, &mut rng, 24, &mut out);
        let (bare, padded) = (OUTER + 24 + content.len(), OUTER + 24 + out.len());
        assert_eq!(cells(bare), cells(padded), "length {len}");
        assert!(padded <= bare + PADDING_MAX);
        for bound in [964, 1956, 2952] {
            if bare <= bound && bare + PADDING_MAX >= bound {
                assert!(padded + 2 >= bound, "length {len}: {padded}");
            }
        }
    }
    assert_eq!([964, 965, 1956, 1957, 2952, 2953, 3949].map(cells), [1, 2, 2, 3, 3, 4, 5]);
}

#[test]
fn small_payloads_share_a_message() {
    let mut w = World::connected(35);
    let remote = w.remote(1);
    let payloads: Vec<Vec<u8>> = (0..10u8).map(|n| vec![n; 300]).collect();
    let sealed = w.nodes[0].sessions.seal(w.now, &remote, &payloads, SealOptions::default()).unwrap();
    assert_eq!(sealed.messages.len(), 2);
    for message in sealed.messages {
        assert!(message.len() <= 1956 - 16);
        w.give(1, message);
    }
    assert_eq!(w.nodes[1].received, payloads);
}

#[test]
fn large_datagrams_pass_and_too_large_ones_do_not() {
    let mut w = World::new(36);
    let large = vec![9; 40_000];
    w.send(0, 1, &large).unwrap();
    w.run(secs(3));
    w.send(0, 1, &large).unwrap();
    w.run(secs(1));
    assert_eq!(w.nodes[1].received, [large.clone(), large]);
    assert_eq!(w.send(0, 1, &vec![0; 62_000]), Err(super::super::Error::TooLarge));
    assert_eq!(w.state(0, 1), State::Established);
}

#[test]
fn a_sender_cannot_make_us_step_at_every_message() {
    let limits = Limits { ratchet_after: 0, ..Limits::default() };
    let mut w = World::with(37, 2, limits);
    w.connect();
    w.delay_ms = 1;
    let remote = w.remote(1);
    let before = w.nodes[0].sessions.stats(w.now, &remote).unwrap().send_set.unwrap().0;
    for n in 0..1000u32 {
        w.send(0, 1, &n.to_be_bytes()).unwrap();
        w.send(1, 0, &n.to_be_bytes()).unwrap();
        w.run(ms(1));
    }
    let after = w.nodes[0].sessions.stats(w.now, &remote).unwrap().send_set.unwrap().0;
    assert!((4..=12).contains(&(after - before)), "{before} {after}");
    assert_eq!(distinct(&w.nodes[1].received), 1000);
}
