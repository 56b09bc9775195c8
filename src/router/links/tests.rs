// SPDX-License-Identifier: MIT
use super::*;
use crate::base::{Mono, Queue, QueueReceiver, Rng};
use crate::tunnel::build::AdmissionLimits;
use crate::wire::MessageId;

const BUILDS: usize = 128;

fn outlets() -> (ControlOutlets, QueueReceiver<ToControl>, QueueReceiver<ToControl>) {
    let (replies, replies_rx) = Queue::bounded("replies", 512);
    let (builds, builds_rx) = Queue::bounded("builds", BUILDS);
    let (database, _) = Queue::bounded("database", 8);
    let (dials, _) = Queue::bounded("dials", 8);
    let (refused, _) = Queue::bounded("refused", 8);
    let gate = Gate::new(&AdmissionLimits::default(), &mut Rng::from_seed(1));
    let metrics = Arc::new(GateMetrics::default());
    let outlets = ControlOutlets { replies, builds, database, dials, refused, gate, metrics };
    (outlets, replies_rx, builds_rx)
}

fn message(kind: I2npKind) -> I2np {
    I2np { kind, id: MessageId(1), expiration_ms: 0, body: vec![0; 873] }
}

fn peer(n: u8) -> RouterHash {
    RouterHash([n; 32])
}

fn at(ms: u64) -> Now {
    Now { mono: Mono::from_millis(ms), wall_ms: 1_777_000_000_000 + ms }
}

fn drain(queue: &mut QueueReceiver<ToControl>) -> Vec<ToControl> {
    std::iter::from_fn(|| queue.try_recv()).collect()
}

#[test]
fn t2_a_flood_from_five_peers_leaves_the_places_to_twenty_honest_ones() {
    let (mut outlets, _replies, mut builds) = outlets();
    let (mut honest_sent, mut honest_taken) = (0, 0);
    // Ten seconds: 20,000 requests a second from five peers, ten a second from twenty others; control comes by every
    // ten milliseconds.
    for turn in 0..1_000u64 {
        let now = at(turn * 10);
        for n in 0..200u64 {
            let from = peer(u8::try_from(n % 5).unwrap());
            outlets.control(now, Some(from), Via::Direct, false, message(I2npKind::SHORT_TUNNEL_BUILD));
        }
        if turn % 10 == 0 {
            let from = peer(100 + u8::try_from(turn / 10 % 20).unwrap());
            honest_sent += 1;
            outlets.control(now, Some(from), Via::Direct, false, message(I2npKind::SHORT_TUNNEL_BUILD));
        }
        honest_taken += drain(&mut builds).iter().filter(|m| m.from >= Some(peer(100))).count();
    }
    assert!(honest_taken * 100 >= honest_sent * 80, "{honest_taken} of {honest_sent}");
    assert_eq!(outlets.metrics.requests_dropped_peer.get(), 200_000 - 5 * 27);
}

#[test]
fn t2_the_queue_of_requests_holds_128_and_one_more_is_counted() {
    let (mut outlets, _replies, mut builds) = outlets();
    for n in 0..=128u8 {
        let taken = outlets.control(
            at(0),
            Some(peer(n)),
            Via::Direct,
            false,
            message(I2npKind::VARIABLE_TUNNEL_BUILD),
        );
        assert_eq!(taken, n < 128);
    }
    assert_eq!(outlets.metrics.requests_dropped_full.get(), 1);
    assert_eq!(drain(&mut builds).len(), BUILDS);
}

#[test]
fn t3_answers_to_our_own_builds_do_not_wait_behind_a_flood() {
    let (mut outlets, mut replies, _builds) = outlets();
    for n in 0..10_000u32 {
        let from = RouterHash([u8::try_from(n % 251).unwrap(); 32]);
        outlets.control(at(1), Some(from), Via::Direct, false, message(I2npKind::SHORT_TUNNEL_BUILD));
        outlets.control(at(1), Some(from), Via::Direct, false, message(I2npKind::GARLIC));
    }
    for kind in [I2npKind::SHORT_TUNNEL_BUILD, I2npKind::OUTBOUND_TUNNEL_BUILD_REPLY, I2npKind::GARLIC] {
        assert!(outlets.control(at(1), Some(peer(3)), Via::Direct, true, message(kind)));
    }
    assert_eq!(drain(&mut replies).len(), 3);
    assert_eq!(outlets.metrics.replies_dropped_full.get(), 0);
    assert!(outlets.metrics.requests_dropped_full.get() > 0);
}

#[test]
fn g3_one_peer_has_a_quarter_of_the_garlic_that_is_opened_for_strangers() {
    let (mut outlets, _replies, mut builds) = outlets();
    let mut taken = 0;
    for n in 0..2_000 {
        taken +=
            usize::from(outlets.control(at(n), Some(peer(1)), Via::Direct, false, message(I2npKind::GARLIC)));
        drain(&mut builds);
    }
    assert_eq!(taken, 1_250, "in ten seconds");
    assert_eq!(outlets.metrics.garlic_dropped_peer.get(), 750);
    assert!(outlets.control(at(2_000), Some(peer(2)), Via::Direct, false, message(I2npKind::GARLIC)));
    assert!(outlets.control(at(10_000), Some(peer(1)), Via::Direct, false, message(I2npKind::GARLIC)));
}
