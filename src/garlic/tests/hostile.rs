// SPDX-License-Identifier: MIT
//! Bad bytes, old bytes, too many bytes.

use super::super::chain::Chains;
use super::super::handshake::{Ephemeral, Static, new_session_ephemeral, open_new_session};
use super::super::window::{Lookahead, SetId, TagMap, Window};
use super::super::{Error, Limits, OpenedKind, Received, State, Strangers};
use super::world::{World, ms, secs};
use crate::base::{Budget, Mono, Part, Rng};
use crate::crypto::{X25519Secret, tagged};
use crate::wire::garlic::{Clove, Delivery, put_clove, put_date_time};
use crate::wire::{DestHash, I2npKind, MessageId, RouterHash, TunnelId};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

fn new_session(w: &mut World) -> Vec<u8> {
    w.seal(0, 1, b"hello").remove(0)
}

#[test]
fn g3_a_repeated_new_session_is_dropped() {
    let mut w = World::new(40);
    let message = new_session(&mut w);
    w.give(1, message.clone());
    w.give(1, message.clone());
    assert_eq!(w.nodes[1].errors, [Error::Replay]);
    w.run(secs(200));
    w.give(1, message);
    assert_eq!(w.nodes[1].errors, [Error::Replay; 2], "still remembered within the clock window");
}

#[test]
fn g3_a_new_session_must_be_of_now() {
    for (shift_s, good) in [(-301i64, false), (-299, true), (119, true), (121, false)] {
        let mut w = World::new(41);
        let there = w.now;
        w.now.wall_ms = there.wall_ms.saturating_add_signed(shift_s * 1000);
        let message = new_session(&mut w);
        w.now = there;
        w.give(1, message);
        let want: &[Error] = if good { &[] } else { &[Error::OutOfTime] };
        assert_eq!(w.nodes[1].errors, want, "{shift_s}");
    }
}

/// One message of each form, and the engines to open them.
fn forms() -> Vec<(&'static str, World, usize, Vec<u8>)> {
    let mut ns = World::new(42);
    let ns_message = new_session(&mut ns);
    let mut nsr = World::new(43);
    nsr.send(0, 1, b"hello").unwrap();
    nsr.run(ms(60));
    let nsr_message = nsr.seal(1, 0, b"hi").remove(0);
    let mut es = World::connected(44);
    let es_message = es.seal(0, 1, b"word").remove(0);
    vec![("NS", ns, 1, ns_message), ("NSR", nsr, 0, nsr_message), ("ES", es, 1, es_message)]
}

#[test]
fn every_truncation_and_every_flipped_byte_is_refused_and_the_true_message_still_opens() {
    for (form, mut w, to, message) in forms() {
        for cut in 0..message.len() {
            let mut bad = message[..cut].to_vec();
            let errors = w.nodes[to].errors.len();
            w.give(to, bad.clone());
            assert_eq!(w.nodes[to].errors.len(), errors + 1, "{form} cut at {cut}");
            if cut > 4 {
                // The same with a length that agrees.
                bad[..4].copy_from_slice(&(cut as u32 - 4).to_be_bytes());
                w.give(to, bad);
                assert_eq!(w.nodes[to].errors.len(), errors + 2, "{form} cut at {cut}");
            }
            w.run(ms(50)); // refills the budget
        }
        let received = w.nodes[to].received.len();
        for at in 4..message.len() {
            // Bits that Elligator2 ignores are no part of the message.
            let free = (form == "NS" && at == 4 + 31) || (form == "NSR" && at == 4 + 8 + 31);
            let mut bad = message.clone();
            bad[at] ^= if free { 1 } else { 1 << (at % 8) };
            w.give(to, bad);
            assert_eq!(w.nodes[to].received.len(), received, "{form} flipped at {at}");
            w.run(ms(50));
        }
        w.run(ms(1));
        w.give(to, message);
        assert_eq!(w.nodes[to].received.len(), received + 1, "{form}");
    }
}

#[test]
fn trailing_bytes_behind_the_length_are_ignored() {
    for (form, mut w, to, mut message) in forms() {
        message.extend_from_slice(b"more");
        w.give(to, message);
        assert_eq!(w.nodes[to].errors, [], "{form}");
    }
}

#[test]
fn g3_new_sessions_beyond_the_budget_are_not_decrypted() {
    let mut w = World::new(45);
    let mut rng = Rng::from_seed(5);
    for _ in 0..300 {
        let mut message = rng.bytes::<204>().to_vec();
        message[..4].copy_from_slice(&200u32.to_be_bytes());
        message[35] &= 0x1f;
        w.give(1, message);
    }
    let count = |e: Error| w.nodes[1].errors.iter().filter(|x| **x == e).count();
    assert_eq!((count(Error::BadMac), count(Error::RateLimited)), (200, 100));
    w.run(secs(1));
    let message = new_session(&mut w);
    w.give(1, message);
    assert_eq!(w.nodes[1].received.len(), 1, "a second later honest ones pass");
}

/// Something that no destination can open, of a New Session's shape.
fn bogus(rng: &mut Rng) -> Vec<u8> {
    let mut message = rng.bytes::<204>().to_vec();
    message[..4].copy_from_slice(&200u32.to_be_bytes());
    message[35] &= 0x1f;
    message
}

#[test]
fn g3_beyond_the_budget_not_even_the_ephemeral_key_is_decoded() {
    let mut w = World::new(54);
    let mut rng = Rng::from_seed(6);
    let honest = new_session(&mut w);
    w.give(1, honest.clone());
    for _ in 0..199 {
        w.give(1, bogus(&mut rng));
    }
    w.nodes[1].errors.clear();
    // A repetition is known only by its decoded key; too short a message costs nothing, and takes nothing.
    w.give(1, honest.clone());
    w.run(ms(21));
    w.give(1, honest[..99].to_vec());
    w.give(1, honest);
    assert_eq!(w.nodes[1].errors[..1], [Error::RateLimited]);
    assert_eq!(w.nodes[1].errors[2..], [Error::Replay]);
}

#[test]
fn g3_known_tags_pass_whole_through_a_flood_of_twenty_thousand_a_second() {
    let mut w = World::connected(55);
    w.nodes[1].sessions.share(Arc::new(Strangers::new(500)));
    let mut rng = Rng::from_seed(7);
    let before = w.nodes[1].received.len();
    for _ in 0..200 {
        for _ in 0..100 {
            w.give(1, bogus(&mut rng));
        }
        for message in w.seal(0, 1, b"honest") {
            w.give(1, message);
        }
        w.run(ms(5));
    }
    let (node, count) = (&w.nodes[1], |e: Error| w.nodes[1].errors.iter().filter(|x| **x == e).count());
    assert_eq!(node.received.len() - before, 200, "all of the session that stands");
    assert_eq!(count(Error::BadMac) + count(Error::RateLimited), 20_000);
    let opened = count(Error::BadMac);
    assert!(
        (900..=1_200).contains(&opened),
        "half of the burst, a second of the rate, and some more: {opened}"
    );
}

#[test]
fn g3_a_flood_within_the_processors_means_is_decrypted_and_newcomers_with_it() {
    for (in_time, wanted) in [(true, 1_900..=2_000), (false, 490..=510)] {
        let mut w = World::new(56);
        w.nodes[1].sessions.share(Arc::new(Strangers::new(500)));
        let mut rng = Rng::from_seed(8);
        let start = w.now;
        let mut last = 0;
        for ms in 0..8_000u64 {
            let now = start.later(Duration::from_millis(ms));
            let sessions = &mut w.nodes[1].sessions;
            let due =
                sessions.poll_timeout().map(|at| at + Duration::from_millis(if in_time { 0 } else { 40 }));
            if due.is_some_and(|due| due <= now.mono) {
                sessions.handle_timeout(now);
            }
            let opened =
                (0..2).filter(|_| sessions.open(now, bogus(&mut rng)).err() == Some(Error::BadMac)).count();
            last += if ms >= 7_000 { opened } else { 0 };
        }
        assert!(wanted.contains(&last), "{last} of the last 2,000, in time: {in_time}");
    }
}

#[test]
fn g3_all_destinations_together_have_five_times_the_rate_and_no_more() {
    let all = Arc::new(Strangers::new(500));
    let mut worlds: Vec<World> = (0..3).map(|n| World::new(57 + n)).collect();
    let mut rng = Rng::from_seed(9);
    let start = worlds[0].now;
    worlds.iter_mut().for_each(|w| w.nodes[1].sessions.share(all.clone()));
    let mut last = 0;
    for ms in 0..6_000u64 {
        let now = start.later(Duration::from_millis(ms));
        for w in &mut worlds {
            let sessions = &mut w.nodes[1].sessions;
            if sessions.poll_timeout().is_some_and(|due| due <= now.mono) {
                sessions.handle_timeout(now);
            }
            let mut open = || sessions.open(now, bogus(&mut rng)).err() == Some(Error::BadMac);
            let opened = (0..3).filter(|_| open()).count();
            last += if ms >= 5_000 { opened } else { 0 };
        }
    }
    assert!((2_400..=2_510).contains(&last), "{last} of the last 9,000");
}

#[test]
fn g4_sessions_and_tags_stay_within_their_bounds() {
    let limits = Limits { sessions: 20, tags: 600, ..Limits::default() };
    let mut w = World::with(46, 2, limits);
    w.connect();
    let mut strangers = Vec::new();
    for n in 0..60 {
        let mut other = World::with(1000 + n, 1, Limits::default());
        let remote = w.remote(1);
        let now = w.now;
        let sealed = other.nodes[0].sessions.seal(now, &remote, &[b"x"], Default::default()).unwrap();
        w.give(1, sealed.messages[0].clone());
        let stranger = other.remote(0);
        let answer = w.nodes[1].sessions.seal(now, &stranger, &[b"y"], Default::default()).unwrap();
        assert_eq!(answer.messages.len(), 1);
        strangers.push(stranger);
        w.send(0, 1, b"still there").unwrap();
        w.run(ms(300));
    }
    let sessions = &w.nodes[1].sessions;
    assert!(sessions.peers.len() <= 20 && sessions.tags.len() <= 600);
    assert_eq!(sessions.by_key.len(), sessions.peers.len());
    assert!(sessions.metrics().session_evicted.get() >= 40);
    assert_eq!(w.nodes[1].received.iter().filter(|r| *r == b"still there").count(), 60, "the busy one stays");
    let held: usize = sessions.sets.values().map(|s| s.window.tags()).sum();
    assert!(sessions.tags.len() <= held);
}

#[test]
fn z3_sessions_count_as_memory_while_they_last() {
    let budget = Budget::new(1 << 30);
    let mut w = World::with(48, 2, Limits::default());
    w.nodes[1].sessions.set_budget(&budget);
    assert_eq!(budget.used(), 0);
    for n in 0..40 {
        let mut other = World::with(2000 + n, 1, Limits::default());
        let remote = w.remote(1);
        let sealed = other.nodes[0].sessions.seal(w.now, &remote, &[b"x"], Default::default()).unwrap();
        w.give(1, sealed.messages[0].clone());
    }
    w.run(secs(6));
    let used = budget.used_by(Part::Garlic);
    assert!((40_000..400_000).contains(&used), "{used} bytes of forty remotes");
    w.run(secs(900));
    assert!(budget.used_by(Part::Garlic) < used / 4, "only the memory of keys is left");
    w.nodes[1].restart(w.now, true);
    assert_eq!(budget.used(), 0);
}

#[test]
fn pending_new_sessions_are_bounded() {
    let mut w = World::new(47);
    w.loss_percent = 100;
    for _ in 0..200 {
        let _ = w.send(0, 1, &[1; 1500]);
        w.run(ms(900));
    }
    let remote = w.remote(1);
    let stats = w.nodes[0].sessions.stats(w.now, &remote).unwrap();
    assert!(stats.receive_sets <= 24, "{stats:?}");
    assert!(stats.held <= 24, "{stats:?}");
}

#[test]
fn a_one_time_reply_opens_once_and_only_in_time() {
    let mut w = World::new(48);
    let mut payload = Vec::new();
    let clove = |kind, delivery| Clove {
        delivery,
        kind,
        id: MessageId(3),
        expires_s: w.now.wall_s() + 10,
        body: b"\0\0\0\x01x",
    };
    put_clove(&clove(I2npKind::DATABASE_SEARCH_REPLY, Delivery::Local), &mut payload);
    put_clove(&clove(I2npKind::DATABASE_STORE, Delivery::Local), &mut payload);
    put_clove(&clove(I2npKind::DATA, Delivery::Router(RouterHash([1; 32]))), &mut payload);
    put_clove(&clove(I2npKind::GARLIC, Delivery::Local), &mut payload);
    let tunnel = Delivery::Tunnel { gateway: RouterHash([1; 32]), tunnel: TunnelId(1) };
    put_clove(&clove(I2npKind::DELIVERY_STATUS, tunnel), &mut payload);
    let body = tagged::seal(&[5; 32], [6; 8], &payload);
    let mut message = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    message.extend_from_slice(&body);
    let now = w.now;
    let sessions = &mut w.nodes[0].sessions;
    sessions.register_reply_tag([6; 8], [5; 32], now.mono + secs(60));
    assert!(sessions.open(now.later(secs(61)), message.clone()).is_err());
    let opened = sessions.open(now, message.clone()).unwrap();
    assert_eq!(opened.kind, OpenedKind::OneTime([6; 8]));
    assert!(opened.sender.is_none());
    let kinds: Vec<I2npKind> = opened
        .cloves
        .iter()
        .map(|c| match c {
            Received::Message { kind, .. } => *kind,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, [I2npKind::DATABASE_STORE, I2npKind::DATABASE_SEARCH_REPLY]);
    assert_eq!(sessions.metrics().clove_dropped.get(), 3);
    assert!(sessions.open(now, message).is_err(), "once");
    for n in 0..1000u64 {
        sessions.register_reply_tag(n.to_be_bytes(), [0; 32], Mono(n));
    }
    assert_eq!(sessions.one_time.len(), 256);
}

#[test]
fn g6_cloves_for_other_destinations_are_not_taken() {
    let mut w = World::connected(49);
    let mut wrong = w.remote(1);
    wrong.hash = DestHash([9; 32]);
    // The initiator's idea of the destination is not proven to it yet, so it may be misled.
    let sealed = w.nodes[0].sessions.seal(w.now, &wrong, &[b"x"], Default::default());
    let message = sealed.unwrap().messages.remove(0);
    w.give(1, message);
    assert_eq!(w.nodes[1].received.len(), 0);
    assert_eq!(w.nodes[1].sessions.metrics().clove_dropped.get(), 1);
}

/// A New Session made by hand: `payload` from a static key to node 1.
fn handmade(
    w: &mut World,
    secret: [u8; 32],
    payload: &[u8],
) -> (super::super::handshake::Initiator, Static, Vec<u8>) {
    let ours = Static::new(X25519Secret::from_bytes(secret));
    let mut message = vec![0; 4];
    let to = w.remote(1).key;
    let eph = Ephemeral::random(&mut w.rng);
    let initiator = super::super::handshake::Initiator::seal(&ours, &to, eph, payload, &mut message).unwrap();
    let len = u32::try_from(message.len() - 4).unwrap();
    message[..4].copy_from_slice(&len.to_be_bytes());
    (initiator, ours, message)
}

#[test]
fn g7_a_lease_set_is_believed_only_from_its_owner() {
    let mut w = World::new(50);
    // Node 0's lease set, out of its own New Session.
    let message = new_session(&mut w);
    let theirs = Static::new(X25519Secret::from_bytes(static_key_of(1, 50)));
    let eph = new_session_ephemeral(&message[4..]).unwrap();
    let stolen = open_new_session(&theirs, eph, &message[4..]).unwrap().payload;
    let (_, _, message) = handmade(&mut w, [77; 32], &stolen);
    w.give(1, message);
    assert_eq!(w.nodes[1].lease_sets, 0);
    assert_eq!(w.nodes[1].received.len(), 1, "its data is still data");
    assert_eq!(w.nodes[1].sessions.metrics().lease_set_dropped.get(), 1);
    w.run(secs(3));
    assert_eq!(w.nodes[1].sent, 0, "nobody to answer to");
    w.run(secs(20));
    let peers = w.nodes[1].sessions.peers.len();
    assert_eq!(peers, 0, "dropped after ten seconds");
}

/// The static key that the harness gives to a node.
fn static_key_of(node: u64, seed: u64) -> [u8; 32] {
    let mut rng = Rng::from_seed(seed * 100 + node);
    let _ = crate::crypto::SigningKey::random(&mut rng);
    let _: [u8; 32] = rng.bytes();
    rng.bytes()
}

#[test]
fn a_reply_that_repeats_its_ephemeral_is_read() {
    let mut w = World::new(51);
    let message = new_session(&mut w);
    let theirs = Static::new(X25519Secret::from_bytes(static_key_of(1, 51)));
    let eph = new_session_ephemeral(&message[4..]).unwrap();
    let (_, responder) = open_new_session(&theirs, eph, &message[4..]).unwrap().bound.unwrap();
    let mut tags = responder.reply_tags();
    let eph = Ephemeral::random(&mut w.rng);
    let mut replies = Vec::new();
    for n in 0..3u8 {
        let mut payload = Vec::new();
        let body = [0, 0, 0, 1, n];
        let hash = w.remote(0).hash;
        let clove = Clove {
            delivery: Delivery::Destination(hash),
            kind: I2npKind::DATA,
            id: MessageId(1),
            expires_s: w.now.wall_s() + 8,
            body: &body,
        };
        put_clove(&clove, &mut payload);
        let mut reply = vec![0; 4];
        responder.seal_reply(tags.advance(), &eph, &payload, &mut reply).unwrap();
        let len = u32::try_from(reply.len() - 4).unwrap();
        reply[..4].copy_from_slice(&len.to_be_bytes());
        replies.push(reply);
    }
    for reply in replies {
        w.give(0, reply);
    }
    assert_eq!(w.nodes[0].received.concat(), [0, 1, 2]);
    assert_eq!(w.state(0, 1), State::Established);
    let remote = w.remote(1);
    let stats = w.nodes[0].sessions.stats(w.now, &remote).unwrap();
    assert_eq!(stats.receive_sets, 2, "the reply tags and one session: {stats:?}");
}

#[test]
fn a_new_session_without_a_time_or_with_two_is_refused() {
    let mut w = World::new(52);
    for times in [0, 2] {
        let mut payload = Vec::new();
        (0..times).for_each(|_| put_date_time(w.now.wall_s(), &mut payload));
        payload.resize(payload.len().max(7), 0xfe);
        let (_, _, message) = handmade(&mut w, [78; 32], &payload);
        w.give(1, message);
    }
    assert_eq!(w.nodes[1].errors, [Error::OutOfTime; 2]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), framed: bool) {
        let mut w = World::new(53);
        let mut bytes = bytes;
        if framed && bytes.len() >= 4 {
            let len = u32::try_from(bytes.len() - 4).unwrap();
            bytes[..4].copy_from_slice(&len.to_be_bytes());
        }
        w.give(1, bytes);
        prop_assert_eq!(w.nodes[1].received.len(), 0);
    }

    /// Well-sealed nonsense: a peer that holds the keys may put anything into a payload.
    #[test]
    fn no_payload_makes_it_panic(payload in proptest::collection::vec(any::<u8>(), 7..300), blocks in proptest::collection::vec((0u8..14, proptest::collection::vec(any::<u8>(), 0..60)), 0..12)) {
        let mut w = World::new(54);
        let mut framed = Vec::new();
        put_date_time(w.now.wall_s(), &mut framed);
        for (kind, data) in &blocks {
            framed.push(*kind);
            framed.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
            framed.extend_from_slice(data);
        }
        for body in [payload, framed] {
            let (_, _, message) = handmade(&mut w, [79; 32], &body);
            w.give(1, message);
        }
        w.run(secs(2));
        prop_assert!(w.nodes[1].sessions.peers.len() <= 1);
    }
}

proptest! {
    // Each case is minutes of traffic.
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Two engines under arbitrary traffic, faults and pauses: nothing twice, and in the end they talk.
    #[test]
    fn they_always_find_back_together(seed in 0u64..1000, steps in proptest::collection::vec((0u8..8, 0u64..3000), 1..40)) {
        let mut w = World::new(2000 + seed);
        w.jitter_ms = 100;
        for (what, pause) in steps {
            match what {
                0 | 1 => drop(w.send(0, 1, &pause.to_be_bytes())),
                2 | 3 => drop(w.send(1, 0, &pause.to_be_bytes())),
                4 => w.loss_percent = pause / 60,
                5 => { let now = w.now; w.nodes[(pause % 2) as usize].restart(now, pause % 3 == 0); }
                6 => { let now = w.now; w.nodes[(pause % 2) as usize].publish(now); }
                _ => w.run(secs(pause / 10)),
            }
            w.run(ms(pause));
        }
        (w.loss_percent, w.jitter_ms) = (0, 0);
        w.run(secs(150));
        let before = w.nodes[1].received.len();
        for _ in 0..80 {
            let _ = w.send(0, 1, b"at last");
            w.run(secs(1));
        }
        prop_assert!(w.nodes[1].received.len() > before);
        let before = w.nodes[0].received.len();
        for _ in 0..80 {
            let _ = w.send(1, 0, b"at last");
            w.run(secs(1));
        }
        prop_assert!(w.nodes[0].received.len() > before);
    }
}

#[test]
fn g3_all_destinations_share_a_budget_and_each_has_its_part() {
    let all = Arc::new(Strangers::new(500));
    let mut rng = Rng::from_seed(51);
    let mut bogus = |w: &mut World, count: usize| {
        let before = w.nodes[1].errors.iter().filter(|e| **e == Error::BadMac).count();
        for _ in 0..count {
            let mut message = rng.bytes::<204>().to_vec();
            message[..4].copy_from_slice(&200u32.to_be_bytes());
            message[35] &= 0x1f;
            w.give(1, message);
        }
        w.nodes[1].errors.iter().filter(|e| **e == Error::BadMac).count() - before
    };
    let mut worlds: Vec<World> = (0..2).map(|n| World::new(60 + n)).collect();
    for w in &mut worlds {
        w.nodes[1].sessions.share(all.clone());
    }
    // Its own two hundred, and of what others leave up to half of the burst.
    assert_eq!(bogus(&mut worlds[0], 2_000), 500);
    assert_eq!(bogus(&mut worlds[1], 200), 200, "the other one's part is still there");
    assert_eq!(bogus(&mut worlds[1], 2_000), 0, "and nothing is spare");
}

#[test]
fn g6_sixty_four_cloves_are_taken_and_one_more_is_not() {
    for (count, taken) in [(64, 64), (65, 64)] {
        let mut w = World::new(52);
        let mut payload = Vec::new();
        put_date_time(w.now.wall_s(), &mut payload);
        for n in 0..count {
            let clove = Clove {
                delivery: Delivery::Local,
                kind: I2npKind::DATA,
                id: MessageId(n),
                expires_s: w.now.wall_s() + 10,
                body: &[0, 0, 0, 1, 7],
            };
            put_clove(&clove, &mut payload);
        }
        let (_, _, message) = handmade(&mut w, [5; 32], &payload);
        w.give(1, message);
        assert_eq!(w.nodes[1].received.len(), taken);
        assert_eq!(w.nodes[1].sessions.metrics().clove_dropped.get(), u64::from(count) - taken as u64);
    }
}

#[test]
fn g6_nothing_is_sent_on_for_strangers() {
    for delivery in [
        Delivery::Router(RouterHash([9; 32])),
        Delivery::Tunnel { gateway: RouterHash([9; 32]), tunnel: TunnelId(7) },
        Delivery::Destination(DestHash([9; 32])),
    ] {
        let mut w = World::new(53);
        let mut payload = Vec::new();
        put_date_time(w.now.wall_s(), &mut payload);
        let expires_s = w.now.wall_s() + 10;
        let body = &[0, 0, 0, 1, 7];
        put_clove(&Clove { delivery, kind: I2npKind::DATA, id: MessageId(1), expires_s, body }, &mut payload);
        let (_, _, message) = handmade(&mut w, [5; 32], &payload);
        w.give(1, message);
        assert_eq!((w.nodes[1].received.len(), w.nodes[1].others.len()), (0, 0));
        assert_eq!(w.nodes[1].sessions.metrics().clove_dropped.get(), 1);
    }
}

#[test]
fn g4_a_window_keeps_within_lowered_bounds() {
    let limits = Limits { tags_at_first: 24, tags_ahead: 192, tags_behind: 64, ..Limits::default() };
    for (look, first) in [(Lookahead::first(&limits), 24), (Lookahead::later(&limits), 96)] {
        let mut tags = TagMap::new(&mut Rng::from_seed(1));
        let (mut window, _) =
            Window::new(SetId(1), Mono(0), Chains::new(&[1; 32], &[2; 32]), look, &mut tags);
        assert_eq!((window.tags(), tags.len()), (first, first));
        // Every second message is lost.
        for index in (1..2_000).step_by(2) {
            assert!(window.key(index).is_some());
            window.accept(Mono(1), index, &mut tags);
            assert!(window.tags() <= 192 + 64 && tags.len() <= 192 + 32, "{index}: {}", window.tags());
            assert!(window.skipped() <= 64);
        }
        assert!(window.tags() > 192, "the bounds are used");
    }
}
