// SPDX-License-Identifier: MIT
use super::*;
use crate::base::Budget;
use crate::wire::{I2npKind, MessageId};
use std::task::Waker;

const CONN: ConnId = ConnId(1);

const BYTES_MAX: usize = 1024 * 1024;
const TRANSIT_BYTES_MAX: usize = BYTES_MAX / 4 * 3;

fn limits() -> QueueLimits {
    crate::transport::TransportConfig::default().queue()
}

fn now() -> Now {
    Now { mono: Mono::from_secs(100), wall_ms: 1_000_000 }
}

fn message(id: u32, bytes: usize) -> I2np {
    I2np { kind: I2npKind::TUNNEL_DATA, id: MessageId(id), expiration_ms: 1_060_000, body: vec![0; bytes] }
}

fn messages(ids: std::ops::Range<u32>, bytes: usize) -> Vec<I2np> {
    ids.map(|id| message(id, bytes)).collect()
}

fn sender() -> (PeerSender, Arc<TransportMetrics>) {
    let metrics = Arc::new(TransportMetrics::default());
    let sender = PeerSender::new(metrics.clone(), limits(), &Budget::default());
    sender.attach(CONN);
    (sender, metrics)
}

fn take(sender: &PeerSender, at: Now, bytes: usize) -> Vec<u32> {
    let mut out = Vec::new();
    sender.take(at, CONN, bytes, &mut out);
    out.iter().map(|m| m.id.0).collect()
}

fn after_ms(ms: u64) -> Now {
    now().later(Duration::from_millis(ms))
}

#[test]
fn control_goes_first_and_the_rest_in_order() {
    let (sender, _) = sender();
    sender.push(now(), messages(0..2, 10), Class::Transit);
    sender.push(now(), messages(2..4, 10), Class::Own);
    sender.push(now(), messages(4..5, 10), Class::Control);
    assert_eq!(take(&sender, now(), 10_000), [4, 0, 1, 2, 3]);
    assert_eq!(sender.bytes(), 0);
}

#[test]
fn n8_a_quarter_is_kept_for_our_own_traffic() {
    let (sender, metrics) = sender();
    let dropped = sender.push(now(), messages(0..1600, 1000), Class::Transit);
    let room = TRANSIT_BYTES_MAX / (1000 + OVERHEAD);
    assert_eq!(dropped, 1600 - room);
    assert_eq!(metrics.dropped_full.get(), dropped as u64);
    let own = (BYTES_MAX - sender.bytes()) / (1000 + OVERHEAD);
    assert!(own > 200);
    assert_eq!(sender.push(now(), messages(0..own as u32, 1000), Class::Own), 0);
    assert!(sender.bytes() <= BYTES_MAX);
}

#[test]
fn n8_own_traffic_pushes_the_oldest_transit_out_and_is_itself_refused_at_the_end() {
    let (sender, metrics) = sender();
    sender.push(now(), messages(0..600, 1000), Class::Transit);
    assert_eq!(sender.push(now(), messages(1000..1800, 1000), Class::Own), 0);
    assert!(sender.bytes() <= BYTES_MAX);
    let evicted = metrics.dropped_full.get();
    assert!(evicted > 0);
    let all = take(&sender, now(), usize::MAX);
    assert_eq!(all.first().copied(), Some(evicted as u32), "the oldest went");
    assert_eq!(all.len() as u64, 1400 - evicted);
    let refused = sender.push(now(), messages(0..1600, 1000), Class::Own);
    assert_eq!(refused, 1600 - BYTES_MAX / (1000 + OVERHEAD));
}

#[test]
fn n8_transit_is_dropped_early_in_proportion_to_the_wait() {
    let drops_at = |ms: u64| {
        let (sender, metrics) = sender();
        sender.push(now(), messages(0..1, 10), Class::Transit);
        let dropped = sender.push(after_ms(ms), messages(0..100, 10), Class::Transit);
        assert_eq!(metrics.dropped_late.get(), dropped as u64);
        assert_eq!(sender.push(after_ms(ms), messages(0..100, 10), Class::Own), 0, "ours is not");
        dropped
    };
    assert_eq!(drops_at(125), 0);
    assert!((15..=25).contains(&drops_at(150)));
    assert!((45..=55).contains(&drops_at(188)));
    assert_eq!(drops_at(250), 100);
}

#[test]
fn what_expired_or_waited_too_long_is_not_sent() {
    let (sender, metrics) = sender();
    sender.push(now(), messages(0..1, 10), Class::Transit);
    sender.push(now(), messages(1..2, 10), Class::Own);
    let mut short = message(2, 10);
    short.expiration_ms = now().wall_ms + 100;
    sender.push(now(), vec![short.clone()], Class::Own);
    assert_eq!(take(&sender, after_ms(600), 10_000), [1]);
    assert_eq!((metrics.dropped_stale.get(), metrics.dropped_expired.get()), (1, 1));
    assert_eq!(sender.push(after_ms(600), vec![short], Class::Own), 1);
    sender.push(now(), messages(3..4, 10), Class::Control);
    assert!(take(&sender, after_ms(5_100), 10_000).is_empty());
}

#[test]
fn n8_expired_messages_make_room_before_transit_does() {
    let (sender, metrics) = sender();
    sender.push(now(), messages(0..400, 1000), Class::Transit);
    let mut short = messages(400..960, 1000);
    short.iter_mut().for_each(|m| m.expiration_ms = now().wall_ms + 50);
    sender.push(now(), short, Class::Own);
    assert_eq!(sender.push(after_ms(100), messages(1300..1301, 60_000), Class::Own), 0);
    assert_eq!(metrics.dropped_expired.get(), 560);
    assert_eq!(metrics.dropped_full.get(), 0);
}

#[test]
fn while_dialling_32_messages_wait_and_nobody_takes() {
    let metrics = Arc::new(TransportMetrics::default());
    let sender = PeerSender::new(metrics.clone(), limits(), &Budget::default());
    assert_eq!(sender.push(now(), messages(0..40, 10), Class::Own), 8);
    assert_eq!(metrics.dropped_dialling.get(), 8);
    assert!(take(&sender, now(), 10_000).is_empty());
    sender.attach(CONN);
    assert_eq!(take(&sender, now(), 10_000).len(), 32);
}

#[test]
fn only_the_attached_connection_is_served() {
    let (sender, _) = sender();
    let mut cx = Context::from_waker(Waker::noop());
    sender.push(now(), messages(0..1, 10), Class::Own);
    assert!(sender.poll_ready(CONN, &mut cx).is_ready());
    sender.attach(ConnId(2));
    assert!(sender.poll_ready(CONN, &mut cx).is_pending());
    assert!(sender.poll_ready(ConnId(2), &mut cx).is_ready());
}

#[test]
fn a_closed_queue_drops_all_and_says_so() {
    let (sender, metrics) = sender();
    sender.push(now(), messages(0..3, 10), Class::Own);
    assert_eq!(sender.close(), 3);
    assert!(sender.is_closed());
    assert_eq!(sender.push(now(), messages(0..2, 10), Class::Control), 2);
    assert_eq!((metrics.dropped_closed.get(), sender.bytes()), (5, 0));
}

#[test]
fn a_take_stops_at_its_share() {
    let (sender, _) = sender();
    sender.push(now(), messages(0..100, 1000), Class::Own);
    assert_eq!(take(&sender, now(), 10_000).len(), 10);
    assert_eq!(take(&sender, now(), usize::MAX).len(), 90);
}

#[test]
fn z3_transit_goes_first_when_memory_is_short_and_our_own_stays() {
    let budget = Budget::new(1_000_000);
    let metrics = Arc::new(TransportMetrics::default());
    let sender = PeerSender::new(metrics.clone(), limits(), &budget);
    sender.attach(CONN);
    assert_eq!(sender.push(now(), messages(0..9, 10_000), Class::Transit), 0);
    assert_eq!(budget.used_by(Part::TransportOut), sender.bytes() as u64);
    let others = budget.charge(Part::Streams, 960_000 - sender.bytes() - 1);
    assert_eq!(sender.push(now(), messages(9..10, 10_000), Class::Transit), 0, "just below 96 percent");
    assert_eq!(sender.push(now(), messages(10..13, 10_000), Class::Transit), 3);
    assert_eq!(metrics.dropped_memory.get(), 3);
    assert_eq!(
        sender.push(now(), messages(13..20, 10_000), Class::Own),
        0,
        "our own is never given up for this"
    );
    assert_eq!(sender.push(now(), messages(20..22, 10_000), Class::Control), 0);
    let mut taken = Vec::new();
    sender.take(now(), CONN, usize::MAX, &mut taken);
    assert_eq!(taken.len(), 19);
    assert_eq!(budget.used_by(Part::TransportOut), 0);
    drop(others);
    assert_eq!(sender.push(now(), messages(22..23, 10_000), Class::Transit), 0);
    sender.close();
    drop(sender);
    assert_eq!(budget.used(), 0);
}

/// A message of this tunnel.
fn cell(tunnel: u32, id: u32) -> I2np {
    let mut cell = message(id, 1_028);
    cell.body[..4].copy_from_slice(&tunnel.to_be_bytes());
    cell
}

#[test]
fn t6_a_greedy_tunnel_does_not_push_fifty_modest_ones_out_of_a_peers_queue() {
    let (sender, metrics) = sender();
    let mut rng = crate::base::Rng::from_seed(6);
    let tunnels: Vec<u32> = (0..51).map(|_| rng.nonzero_u32()).collect();
    let (mut offered, mut kept, mut hog_sent) = (0, 0, 0);
    // For ten seconds: the peer takes 1,000 cells a second, the hog offers 5,000, each of the others 10.
    for ms in 0..10_000u64 {
        let at = after_ms(ms);
        for _ in 0..5 {
            sender.push(at, vec![cell(tunnels[0], 0)], Class::Transit);
        }
        for (n, tunnel) in tunnels.iter().enumerate().skip(1) {
            if (ms + n as u64 * 37).is_multiple_of(100) {
                offered += 1;
                sender.push(at, vec![cell(*tunnel, 1)], Class::Transit);
            }
        }
        let mut out = Vec::new();
        sender.take(at, CONN, 1, &mut out);
        kept += out.iter().filter(|m| m.id.0 == 1).count();
        hog_sent += out.iter().filter(|m| m.id.0 == 0).count();
    }
    assert!(kept * 100 >= offered * 90, "the modest kept {kept} of {offered}");
    assert!(hog_sent >= 3_500, "the hog has what is left: {hog_sent}");
    assert_eq!(metrics.dropped_stale.get(), 0);
    assert!(sender.waiting(after_ms(10_000)) <= Duration::from_millis(260), "and the queue stays short");
}

#[test]
fn t6_what_waits_of_each_tunnel_is_counted_out_as_it_was_counted_in() {
    let (sender, _) = sender();
    for n in 0..400 {
        sender.push(now(), vec![cell(n * 77, n)], Class::Transit);
    }
    sender.push(now(), messages(1000..1900, 1000), Class::Own); // pushes some transit out
    assert!(sender.shared.metrics.dropped_full.get() > 0);
    take(&sender, now(), usize::MAX);
    let state = sender.shared.lock();
    assert_eq!((state.flows.active, state.transit_bytes, state.bytes), (0, 0, 0));
    assert!(state.flows.groups.iter().all(|f| f.bytes == 0));
}

#[test]
fn t6_a_tunnel_alone_may_fill_the_room_and_among_others_a_part_of_it() {
    let room = TRANSIT_BYTES_MAX / (1_028 + OVERHEAD);
    let (alone, _) = sender();
    let pushed = |sender: &PeerSender, tunnel, n: usize| {
        n - sender.push(now(), vec![cell(tunnel, 0); n], Class::Transit)
    };
    assert_eq!(pushed(&alone, 1, room + 1), room);
    let (shared, metrics) = sender();
    for other in 2..10 {
        assert_eq!(pushed(&shared, other * 7_919, 1), 1);
    }
    assert_eq!(pushed(&shared, 1, room), room / 4, "a quarter at least is everybody's");
    assert_eq!(metrics.dropped_full.get(), (room - room / 4) as u64);
}
