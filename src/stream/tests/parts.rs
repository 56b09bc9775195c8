// SPDX-License-Identifier: MIT
//! The parts of a stream by themselves.
use crate::base::Mono;
use crate::stream::Bounds;
use crate::stream::congestion::{AckFacts, Control};
use crate::stream::peers::{Bucket, Quota};
use crate::stream::recv::{Insert, RecvBuffer};
use crate::stream::rtt::Rtt;
use crate::stream::send::{SendBuffer, SentKind};
use bytes::Bytes;
use std::time::Duration;

const AHEAD_MAX: u32 = Bounds::USUAL.ahead;
const BYTES_MAX: usize = Bounds::USUAL.unread;
const UNSENT_MAX: usize = Bounds::USUAL.unsent;

const MS: Duration = Duration::from_millis(1);

#[test]
fn timeouts_follow_the_round_trips_within_their_bounds() {
    let mut rtt = Rtt::default();
    let syn: Vec<u64> = (0..5).map(|n| rtt.timeout(n).as_millis() as u64).collect();
    assert_eq!(syn, [1_500, 3_000, 6_000, 9_000, 9_000]);
    rtt.sample(Mono::from_secs(1), MS * 2);
    assert_eq!(rtt.timeout(0), MS * 300);
    assert_eq!(rtt.timeout(2), MS * 1200);
    assert_eq!(rtt.timeout(40), MS * 10_000);
    for n in 0..50 {
        rtt.sample(Mono::from_secs(n), MS * 1000);
    }
    assert!(rtt.timeout(0) > MS * 1000 && rtt.timeout(0) < MS * 1300, "{:?}", rtt.timeout(0));
    assert_eq!(rtt.least(), Some(MS * 2));
    assert!(rtt.least_is_stale(Mono::from_secs(60)));
}

#[test]
fn a_receive_buffer_orders_bounds_and_names_what_is_missing() {
    let mut buffer = RecvBuffer::new(BYTES_MAX, AHEAD_MAX);
    assert_eq!(buffer.insert(0, b"", false), Insert::InOrder(0));
    assert_eq!(buffer.insert(3, b"c", false), Insert::OutOfOrder);
    assert_eq!(buffer.insert(5, b"e", true), Insert::OutOfOrder);
    assert_eq!(buffer.insert(3, b"c", false), Insert::Duplicate);
    assert_eq!(buffer.gaps(), (5, vec![1, 2, 4]));
    assert_eq!(buffer.insert(AHEAD_MAX + 1, b"x", false), Insert::Refused);
    assert_eq!(buffer.insert(1, b"a", false), Insert::InOrder(1));
    assert_eq!(buffer.insert(2, b"b", false), Insert::InOrder(2));
    assert!(!buffer.is_closed());
    assert_eq!(buffer.insert(4, b"d", false), Insert::InOrder(2));
    assert!(buffer.is_closed() && !buffer.has_gaps());
    assert_eq!(buffer.gaps(), (5, vec![]));
    assert_eq!(buffer.insert(6, b"beyond the end", false), Insert::Duplicate);
    let all: Vec<u8> = std::iter::from_fn(|| buffer.read(1)).flatten().collect();
    assert_eq!(all, b"abcde");
}

#[test]
fn more_holes_than_an_ack_can_name_lower_what_is_acknowledged() {
    let mut buffer = RecvBuffer::new(BYTES_MAX, AHEAD_MAX);
    buffer.insert(0, b"", false);
    for n in (2..=510).step_by(2) {
        assert_eq!(buffer.insert(n, b"x", false), Insert::OutOfOrder);
    }
    let (through, missing) = buffer.gaps();
    assert_eq!((through, missing.len()), (510, 255));
    buffer.insert(512, b"x", false);
    let (through, missing) = buffer.gaps();
    assert_eq!((through, missing.len()), (510, 255), "the 256th hole is not passed over in silence");
}

#[test]
fn a_full_receive_buffer_refuses_and_chokes_until_half_empty() {
    let mut buffer = RecvBuffer::new(BYTES_MAX, AHEAD_MAX);
    buffer.insert(0, b"", false);
    let payload = vec![0; 4096];
    let mut n = 1;
    while buffer.insert(n, &payload, false) != Insert::Refused {
        n += 1;
    }
    assert!(buffer.is_choking() && buffer.readable() <= BYTES_MAX);
    while buffer.is_choking() {
        assert!(buffer.read(1000).is_some());
    }
    assert!(buffer.readable() <= 256 * 1024);
    assert!(matches!(buffer.insert(n, &payload, false), Insert::InOrder(4096)));
}

fn filled(packets: u32) -> (SendBuffer, Control) {
    let (mut send, mut control) = (SendBuffer::new(UNSENT_MAX), Control::new(512));
    for n in 0..packets {
        let number = send.push(SentKind::Data, Bytes::from_static(b"payload"));
        assert_eq!(number, n);
        let now = Mono::from_millis(u64::from(n));
        let stamp = control.on_send(now, send.in_flight());
        assert!(!send.transmit(now, number, stamp));
    }
    (send, control)
}

/// What i2pd 2.45.1 sends when packets 10 to 299 are missing and 300 has come.
#[test]
fn an_ack_that_hides_more_holes_than_it_can_name_does_not_free_the_first_of_them() {
    let (mut send, mut control) = filled(301);
    let acked = send.on_ack(Mono::from_millis(400), 10, &[], None);
    assert_eq!((acked.facts.acked, send.span()), (10, 291));
    // 10 still waits: it can be sent again, and then all is well.
    let (lost, _) = send.detect_losses(Mono::from_secs(9), MS * 100);
    assert_eq!(lost, 0, "nothing was overtaken");
    assert!(send.lose_first());
    assert_eq!(send.next_lost(), Some(10));
    let stamp = control.on_send(Mono::from_secs(10), send.in_flight());
    assert!(send.transmit(Mono::from_secs(10), 10, stamp));
    let rest: Vec<u32> = (50..300).collect();
    send.on_ack(Mono::from_secs(11), 300, &rest, None);
    assert_eq!(send.span(), 251);
    // The last packet of all is believed at once.
    send.on_ack(Mono::from_secs(12), 300, &[], None);
    assert!(send.all_acked());
}

#[test]
fn acks_with_holes_lose_what_was_overtaken_and_nothing_else() {
    let (mut send, mut control) = filled(10);
    let acked = send.on_ack(Mono::from_millis(100), 7, &[2, 6], None);
    assert_eq!((acked.facts.acked, acked.facts.in_flight, acked.bytes), (6, 4, 42));
    // Packet 2 was overtaken by five, packet 6 by one alone; 8 and 9 by none.
    let (lost, again) = send.detect_losses(Mono::from_millis(100), MS * 100);
    assert_eq!((lost, send.next_lost(), again.is_some()), (1, Some(2), true));
    let (lost, _) = send.detect_losses(again.unwrap(), MS * 100);
    assert_eq!((lost, send.in_flight()), (1, 2));
    let stamp = control.on_send(Mono::from_millis(300), send.in_flight());
    assert!(send.transmit(Mono::from_millis(300), 2, stamp), "a repetition");
    // The ack comes so soon that it answers the first transmission: patience grows.
    let acked = send.on_ack(Mono::from_millis(301), 9, &[6], Some(MS * 100));
    assert_eq!(acked.spurious, 1);
    assert!(acked.facts.rtt.is_some() && !send.all_acked());
    assert_eq!(send.span(), 4);
    send.on_ack(Mono::from_millis(302), 9, &[], None);
    assert!(send.all_acked() && send.in_flight() == 0 && send.span() == 0);
}

#[test]
fn acks_of_nothing_and_of_the_future_are_ignored() {
    let (mut send, _) = filled(5);
    for through in [5, 6, u32::MAX] {
        assert_eq!(send.on_ack(Mono::from_millis(50), through, &[], None).facts.acked, 0);
    }
    assert_eq!(send.on_ack(Mono::from_millis(50), 4, &[4, 3, 2, 1, 0, 0, 99], None).facts.acked, 0);
    assert_eq!(send.on_ack(Mono::from_millis(50), 4, &[], None).facts.acked, 5);
    assert_eq!(send.on_ack(Mono::from_millis(50), 4, &[], None).facts.acked, 0);
}

#[test]
fn writes_are_cut_and_gathered_without_losing_a_byte() {
    let now = Mono::from_secs(1);
    let mut send = SendBuffer::new(UNSENT_MAX);
    let data: Vec<u8> = (0..10_000u32).map(|n| (n % 251) as u8).collect();
    let mut rest = &data[..];
    for len in [1, 7, 1812, 1811, 1813, 3, 4000, 553] {
        let (head, tail) = rest.split_at(len);
        assert_eq!(send.write(now, Bytes::copy_from_slice(head)), len);
        rest = tail;
    }
    assert!(rest.is_empty());
    let mut out = Vec::new();
    while send.unsent() > 0 {
        let cut = send.cut(now, 1812);
        assert!(cut.len() == 1812 || send.unsent() == 0);
        out.extend_from_slice(&cut);
    }
    assert_eq!(out, data);
    assert_eq!(send.write(now, Bytes::from(vec![0; UNSENT_MAX + 5])), UNSENT_MAX);
    assert_eq!(send.room(), 0);
}

/// Sends at the window's speed over a path of `rtt` and `rate` packets a second for a while.
fn settled(rtt: Duration, rate: f64) -> (Control, Rtt) {
    let (mut control, mut estimate) = (Control::new(512), Rtt::default());
    let mut now = Mono::from_secs(1);
    for _ in 0..200 {
        let window = control.window();
        let stamps: Vec<_> = (0..window).map(|n| control.on_send(now, n)).collect();
        // The packets of a window arrive one after the other, at the rate of the path.
        let long = rtt.max(Duration::from_secs_f64(f64::from(window) / rate));
        for (n, stamp) in stamps.into_iter().enumerate() {
            let at = now + rtt + (long - rtt) * (n as u32 + 1) / window;
            let facts = AckFacts {
                acked: 1,
                in_flight_before: window - n as u32,
                in_flight: window - n as u32 - 1,
                newest: Some(stamp),
                rtt: Some(at.since(now)),
                ..AckFacts::default()
            };
            estimate.sample(at, at.since(now));
            control.on_ack(at, &facts, &mut estimate);
        }
        now = now + long;
    }
    (control, estimate)
}

#[test]
fn the_window_follows_the_path() {
    let (slow, rtt) = settled(MS * 200, 100.0);
    assert!((20..=100).contains(&slow.window()), "{}", slow.window());
    assert!(slow.interval(&rtt) >= MS * 4, "{:?}", slow.interval(&rtt));
    let (fast, _) = settled(MS * 200, 100_000.0);
    assert_eq!(fast.window(), 512);
}

#[test]
fn a_timeout_and_a_choke_shrink_the_window() {
    let (mut control, _) = settled(MS * 50, 100_000.0);
    let span = control.span_max();
    control.on_choke();
    assert!(control.span_max() <= span && control.window() <= 256);
    control.on_timeout();
    assert_eq!(control.window(), 4);
    let control = Control::new(1);
    assert_eq!(control.window(), 1, "a client's smallest window is honoured");
}

#[test]
fn tokens_come_back_and_quotas_end_with_their_period() {
    let mut bucket = Bucket::full(Mono::from_secs(1), 3);
    let took = (0..5).filter(|_| bucket.take(Mono::from_secs(1), 2, 3)).count();
    assert_eq!(took, 3);
    assert!(bucket.take(Mono::from_millis(1500), 2, 3) && !bucket.take(Mono::from_millis(1500), 2, 3));
    let mut quota = Quota::default();
    let at = |s| Mono::from_secs(s);
    assert!(quota.take(at(1), [2, 0, 3]) && quota.take(at(2), [2, 0, 3]) && !quota.take(at(3), [2, 0, 3]));
    assert!(quota.take(at(61), [2, 0, 3]));
    assert!(!quota.take(at(121), [2, 0, 3]), "the day is full");
    assert!(quota.take(at(86_401), [2, 0, 3]));
}
