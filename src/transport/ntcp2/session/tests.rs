// SPDX-License-Identifier: MIT
use super::super::keys::DirectionKeys;
use super::*;
use crate::base::Rng;
use crate::crypto::Secret32;
use crate::wire::{I2npKind, MessageId};
use proptest::prelude::*;

fn keys(send: u8, receive: u8) -> DataKeys {
    let direction = |n| DirectionKeys { cipher: Secret32::new([n; 32]), sip: Secret32::new([n ^ 0x55; 32]) };
    DataKeys { send: direction(send), receive: direction(receive) }
}

fn now() -> Now {
    Now { mono: Mono::from_secs(50), wall_ms: 1_777_000_000_000 }
}

fn pair() -> (Session, Session) {
    let a = Session::new(now(), Rng::from_seed(1), &keys(1, 2));
    let b = Session::new(now(), Rng::from_seed(2), &keys(2, 1));
    (a, b)
}

fn message(id: u32, bytes: usize) -> I2np {
    I2np {
        kind: I2npKind(18),
        id: MessageId(id),
        expiration_ms: 1_777_000_008_000,
        body: vec![id as u8; bytes],
    }
}

/// Feeds `wire` in pieces as a socket would, keeping what is left in front; every event that came out.
fn feed(session: &mut Session, wire: &[u8], chunk: usize) -> Vec<Event> {
    let mut buf = Vec::new();
    let mut events = Vec::new();
    for piece in wire.chunks(chunk) {
        buf.extend_from_slice(piece);
        let done = session.read(now(), &mut buf);
        buf.drain(..done);
        assert!(buf.len() < session.needs(), "a complete frame was left unopened");
        events.extend(std::iter::from_fn(|| session.poll_event()));
    }
    assert!(!session.is_open() || buf.is_empty());
    events
}

#[test]
fn messages_share_frames_of_16_kib_and_a_long_one_has_its_own() {
    let (mut a, mut b) = pair();
    let sent: Vec<_> = (0..40).map(|id| message(id, 1028)).chain([message(99, 62_708)]).collect();
    let mut wire = Vec::new();
    assert_eq!(a.write(now(), &mut sent.clone(), &mut wire), 0);
    feed(&mut b, &wire, usize::MAX);
    assert_eq!(b.opener.frames(), 4, "15, 15, 10 and the long one");
    assert_eq!(b.take_messages(), sent);
    assert!(!b.has_messages());
}

#[test]
fn what_cannot_be_framed_is_dropped() {
    let (mut a, mut b) = pair();
    let mut wire = Vec::new();
    let mut batch = vec![message(1, 10), message(2, 65_520), message(3, 10)];
    assert_eq!(a.write(now(), &mut batch, &mut wire), 1);
    feed(&mut b, &wire, 100);
    assert_eq!(b.take_messages().len(), 2);
    let mut alone = vec![message(2, 65_520)];
    let before = wire.len();
    assert_eq!(a.write(now(), &mut alone, &mut wire), 1);
    assert_eq!(wire.len(), before, "no empty frame");
}

#[test]
fn router_infos_come_out_as_events_and_too_many_are_counted() {
    let (mut a, mut b) = pair();
    let mut wire = Vec::new();
    for _ in 0..LinkLimits::USUAL.router_infos + 3 {
        a.write_info(now(), b"info", &mut wire);
    }
    let events = feed(&mut b, &wire, usize::MAX);
    assert_eq!(
        events,
        vec![Event::RouterInfo { raw: b"info".to_vec(), flood: false }; LinkLimits::USUAL.router_infos]
    );
    assert_eq!((b.take_events_dropped(), b.take_events_dropped()), (3, 0));
}

#[test]
fn a_termination_ends_both_sides() {
    let (mut a, mut b) = pair();
    let mut wire = Vec::new();
    a.write(now(), &mut vec![message(1, 10)], &mut wire);
    a.close(TerminationReason::Shutdown, &mut wire);
    a.close(TerminationReason::Normal, &mut wire);
    assert_eq!(a.poll_event(), Some(Event::Closed(Closed::ByUs(TerminationReason::Shutdown))));
    assert_eq!(a.poll_event(), None);
    wire.extend_from_slice(&[1; 100]);
    let events = feed(&mut b, &wire, usize::MAX);
    assert_eq!(events, [Event::Closed(Closed::ByPeer(TerminationReason::Shutdown))]);
    assert_eq!(b.take_messages().len(), 1, "what came before it counts");
    assert!(!a.is_open() && !b.is_open() && a.poll_timeout().is_none() && b.poll_timeout().is_none());
}

#[test]
fn traffic_in_either_direction_keeps_a_session_open() {
    let (mut a, mut b) = pair();
    let first = b.poll_timeout().unwrap();
    assert!((115..=125).contains(&first.since(now().mono).as_secs()));
    let later = now().later(Duration::from_secs(100));
    let mut wire = Vec::new();
    a.write(later, &mut vec![message(1, 10)], &mut wire);
    b.read(later, &mut wire);
    let mut out = Vec::new();
    for session in [&mut a, &mut b] {
        session.handle_timeout(now().later(Duration::from_secs(200)), &mut out);
        assert!(session.is_open() && out.is_empty());
    }
    // Padding and time are no traffic.
    let mut wire = Vec::new();
    a.write_info(now().later(Duration::from_secs(210)), b"x", &mut wire);
    b.read(now().later(Duration::from_secs(210)), &mut wire);
    b.handle_timeout(now().later(Duration::from_secs(226)), &mut out);
    assert!(!b.is_open() && !out.is_empty());
    assert!(matches!(b.events.back(), Some(Event::Closed(Closed::ByUs(TerminationReason::Idle)))));
}

#[test]
fn n7_bad_lengths_and_bad_tags_end_alike_after_a_while() {
    for wire in [vec![0u8; 2], vec![0xff; 70_000]] {
        let (mut a, mut b) = pair();
        let mut good = Vec::new();
        a.write(now(), &mut vec![message(1, 50)], &mut good);
        for (at, mask) in [(0, 0xff), (good.len() - 1, 1), (5, 0x80)] {
            let (_, mut fresh) = pair();
            let mut bad = good.clone();
            bad[at] ^= mask;
            bad.extend_from_slice(&wire);
            let done = fresh.read(now(), &mut bad);
            if fresh.is_open() {
                assert!(done < bad.len()); // a longer length: it waits for more
                continue;
            }
            assert_eq!(done, bad.len());
            assert!(fresh.take_messages().is_empty());
            assert_eq!(fresh.read(now(), &mut [1, 2, 3]), 3, "what follows is swallowed");
            let at = fresh.poll_timeout().unwrap();
            assert!((100..=4_000).contains(&at.since(now().mono).as_millis()));
            let mut out = Vec::new();
            fresh.handle_timeout(now().later(Duration::from_secs(5)), &mut out);
            assert_eq!(fresh.poll_event(), Some(Event::Closed(Closed::ByUs(TerminationReason::Aead))));
            assert!(!out.is_empty());
        }
        drop(b.take_messages());
    }
}

#[test]
fn unknown_blocks_are_skipped_and_malformed_ones_end_only_their_frame() {
    let (mut a, mut b) = pair();
    let mut wire = Vec::new();
    for tail in [&[0x63u8, 0, 2, 1, 2][..], &[3, 0, 200, 1][..], &[0, 0, 1, 9][..]] {
        let frame = Sealer::begin(&mut wire);
        put_i2np(&mut wire, &message(1, 5));
        wire.extend_from_slice(tail);
        a.sealer.finish(&mut wire, frame);
    }
    a.write(now(), &mut vec![message(2, 5)], &mut wire);
    feed(&mut b, &wire, usize::MAX);
    assert_eq!(b.take_messages().len(), 4);
    assert!(b.is_open());
}

#[test]
fn lengths_on_the_wire_follow_the_published_masks() {
    // From the key-schedule script: SipHash keys of one direction and the first three masks.
    let sip = [
        0xa4, 0x03, 0xf1, 0x2b, 0x31, 0x4b, 0x34, 0xe9, 0x16, 0xc4, 0xb4, 0xcc, 0x4c, 0x04, 0xe4, 0x82, 0xa1,
        0xdb, 0x1e, 0x10, 0x8c, 0x59, 0x38, 0x6b, 0x42, 0xa2, 0xa5, 0x15, 0xc6, 0xe4, 0x5d, 0xda,
    ];
    let mut sealer = Sealer::new(&DirectionKeys { cipher: Secret32::new([0; 32]), sip: Secret32::new(sip) });
    for mask in [0x5bc8u16, 0x4c0d, 0xf279] {
        let mut out = Vec::new();
        let frame = Sealer::begin(&mut out);
        out.extend_from_slice(&[254, 0, 1, 0]);
        sealer.finish(&mut out, frame);
        assert_eq!(u16::from_be_bytes([out[0], out[1]]) ^ mask, 4 + 16);
    }
}

proptest! {
    #[test]
    fn any_batches_in_any_pieces_arrive_whole_and_in_order(
        sizes in proptest::collection::vec(0usize..5_000, 1..60),
        batch in 1usize..20,
        chunk in 1usize..9_000,
    ) {
        let (mut a, mut b) = pair();
        let sent: Vec<_> = sizes.iter().zip(0..).map(|(size, id)| message(id, *size)).collect();
        let mut wire = Vec::new();
        for some in sent.chunks(batch) {
            a.write(now(), &mut some.to_vec(), &mut wire);
        }
        feed(&mut b, &wire, chunk);
        prop_assert_eq!(b.take_messages(), sent);
    }

    #[test]
    fn n7_a_changed_bit_is_never_taken_for_a_message(at in 0usize..600, bit in 0u8..8) {
        let (mut a, mut b) = pair();
        let sent = [message(1, 200), message(2, 200)];
        let mut wire = Vec::new();
        for one in &sent {
            a.write(now(), &mut vec![one.clone()], &mut wire);
        }
        let at = at % wire.len();
        wire[at] ^= 1 << bit;
        b.read(now(), &mut wire);
        let got = b.take_messages();
        prop_assert!(got.len() < 2 && got.iter().zip(&sent).all(|(x, y)| x == y));
    }

    #[test]
    fn arbitrary_bytes_never_panic(wire in proptest::collection::vec(any::<u8>(), 0..3_000), chunk in 1usize..500) {
        let (mut a, _) = pair();
        feed_any(&mut a, &wire, chunk);
        prop_assert!(!a.has_messages());
    }
}

fn feed_any(session: &mut Session, wire: &[u8], chunk: usize) {
    let mut buf = Vec::new();
    for piece in wire.chunks(chunk) {
        buf.extend_from_slice(piece);
        let done = session.read(now(), &mut buf);
        buf.drain(..done);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn keys_of_a_session_go_with_it() {
    use crate::crypto::tests::heap::{Search, in_child};
    if in_child("transport::ntcp2::session::tests::keys_of_a_session_go_with_it") {
        return;
    }
    let secret = |n: u8| crate::crypto::sha256(&[b"ntcp2", &[n]]);
    let direction = |n| DirectionKeys { cipher: Secret32::new(secret(n)), sip: Secret32::new(secret(n + 1)) };
    let mut search = Search::new();
    [1, 3].iter().for_each(|n| search.add("cipher", &secret(*n)));
    // The state of the mask moves on, its key stays.
    [2, 4].iter().for_each(|n| search.add("siphash", &secret(*n)[..16]));
    let mut sessions = Vec::new();
    for at in 0..10 {
        let keys = DataKeys { send: direction(1), receive: direction(3) };
        sessions.push(Session::new(now(), Rng::from_seed(at), &keys));
        let mut wire = Vec::new();
        sessions
            .iter_mut()
            .for_each(|session| _ = session.write(now(), &mut vec![message(1, 99)], &mut wire));
    }
    search.expect_all("while they are open");
    drop(sessions);
    search.expect_nothing("after the end");
}

#[test]
fn n7_of_ten_thousand_frames_with_a_changed_bit_all_end_their_session() {
    let mut rng = Rng::from_seed(10);
    for n in 0..10_000u32 {
        let (mut a, mut b) = pair();
        let mut wire = Vec::new();
        a.write(now(), &mut vec![message(n, 100)], &mut wire);
        let at = rng.index(wire.len());
        wire[at] ^= 1 << rng.below(8);
        b.read(now(), &mut wire);
        let late = now().later(Duration::from_secs(4));
        if b.is_open() {
            // A longer length waits for bytes that never come: the idle limit ends it.
            assert!(at < 2 && !b.has_messages(), "byte {at} of frame {n}");
            continue;
        }
        let mut out = Vec::new();
        b.handle_timeout(late, &mut out);
        assert!(!b.has_messages());
        assert!(matches!(b.poll_event(), Some(Event::Closed(Closed::ByUs(_)))), "byte {at} of frame {n}");
    }
}

#[test]
fn a_session_ends_before_its_counters_do() {
    let (mut a, mut b) = pair();
    a.sealer.age(1024 + 2);
    b.opener.age(1024 + 2);
    let mut wire = Vec::new();
    for id in [1, 2] {
        assert!(a.is_open());
        a.write(now(), &mut vec![message(id, 50)], &mut wire);
    }
    assert!(!a.is_open(), "the key is spent");
    assert_eq!(a.poll_event(), Some(Event::Closed(Closed::ByUs(TerminationReason::Normal))));
    let events = feed(&mut b, &wire, usize::MAX);
    assert_eq!(b.take_messages().len(), 2, "what was written arrives");
    assert_eq!(events, [Event::Closed(Closed::ByPeer(TerminationReason::Normal))]);
}

#[test]
fn no_counter_is_used_twice() {
    let frame = |left| {
        let (mut a, mut b) = pair();
        a.sealer.age(left);
        b.opener.age(left);
        let mut wire = Vec::new();
        a.write(now(), &mut vec![message(1, 50)], &mut wire);
        b.read(now(), &mut wire.clone());
        (wire.len(), b.take_messages().len())
    };
    assert_eq!(frame(2).1, 1, "the last one but one, and the Termination");
    assert_eq!(frame(0), (0, 0), "nothing leaves under a spent key");
    let (mut a, mut b) = pair();
    let mut wire = Vec::new();
    a.write(now(), &mut vec![message(1, 50)], &mut wire);
    b.opener.age(0);
    b.read(now(), &mut wire);
    assert!(!b.is_open() && b.take_messages().is_empty(), "and nothing is taken");
}
