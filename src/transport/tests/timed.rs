// SPDX-License-Identifier: MIT
//! Over memory, in paused time: what takes seconds and minutes.

use super::fixture::{Identity, MemoryNet, Node, linked};
use crate::transport::{Class, CloseReason, DialError, Failure, TransportEvent};
use crate::wire::ntcp2_block::TerminationReason;
use std::sync::Arc;
use std::time::Duration;

async fn pair() -> (Node, Node) {
    let net = MemoryNet::new();
    (Node::memory(1, &net, |_| {}).await, Node::memory(2, &net, |_| {}).await)
}

async fn ping(from: &Node, sender: &crate::transport::PeerSender, to: &mut Node, id: u32) {
    assert_eq!(sender.push(from.clock.now(), vec![from.message(id, 100)], Class::Own), 0);
    assert_eq!(to.receive(from.hash(), 1).await, [id]);
}

#[tokio::test(start_paused = true)]
async fn two_routers_that_dial_each_other_at_once_stay_linked() {
    for (first, second) in [(0, 0), (0, 5), (5, 0), (0, 21), (21, 0), (0, 41), (41, 0)] {
        let (mut a, mut b) = pair().await;
        let (a_waits, b_waits) = (Duration::from_millis(first), Duration::from_millis(second));
        let dial_a = async {
            tokio::time::sleep(a_waits).await;
            a.dial(&b, vec![a.message(1, 10)]);
        };
        let dial_b = async {
            tokio::time::sleep(b_waits).await;
            b.dial(&a, vec![b.message(2, 10)]);
        };
        tokio::join!(dial_a, dial_b);
        assert_eq!(b.receive(a.hash(), 1).await, [1]);
        assert_eq!(a.receive(b.hash(), 1).await, [2]);
        let (to_b, to_a) = (a.up(b.hash()).await, b.up(a.hash()).await);
        for id in 10..40 {
            ping(&a, &to_b, &mut b, id).await;
            ping(&b, &to_a, &mut a, id).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!((a.metrics.sessions.get(), b.metrics.sessions.get()), (1, 1));
        assert!(a.events.try_recv().is_none_or(|e| matches!(e, TransportEvent::RouterInfo { .. })));
        assert_eq!(a.tasks.len(), 3, "only one connection is left, with the manager and the acceptor");
        a.stop().await;
        b.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_session_is_closed_after_two_minutes() {
    let (a, b) = pair().await;
    let (mut a, b, ..) = linked(a, b).await;
    let start = a.clock.now();
    let TransportEvent::Down { reason, .. } = a.event().await else { panic!("not down") };
    assert!(matches!(
        reason,
        CloseReason::ByUs(TerminationReason::Idle) | CloseReason::ByPeer(TerminationReason::Idle)
    ));
    let took = a.clock.now().mono.since(start.mono).as_secs();
    assert!((115..=126).contains(&took), "{took} s");
    a.stop().await;
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn k6_all_links_are_made_anew_after_a_sleep() {
    let (a, b) = pair().await;
    let (mut a, mut b, ..) = linked(a, b).await;
    a.handle.disconnect_all();
    assert!(matches!(a.event().await, TransportEvent::Down { .. }));
    assert!(matches!(b.event().await, TransportEvent::Down { .. }));
    a.dial(&b, vec![]);
    a.up(b.hash()).await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_banned_router_is_cut_off_and_refused_both_ways() {
    let (a, b) = pair().await;
    let (mut a, mut b, ..) = linked(a, b).await;
    a.handle.ban(b.hash(), Duration::from_secs(60));
    assert!(matches!(a.event().await, TransportEvent::Down { .. }));
    let TransportEvent::Down { reason, .. } = b.event().await else { panic!("not down") };
    assert_eq!(reason, CloseReason::ByPeer(TerminationReason::Banned));
    a.dial(&b, vec![]);
    let TransportEvent::DialFailed { reason, .. } = a.event().await else { panic!("dialled") };
    assert_eq!(reason, DialError::Banned);
    tokio::time::sleep(Duration::from_secs(61)).await;
    a.dial(&b, vec![]);
    a.up(b.hash()).await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn n6_a_router_with_other_keys_than_published_is_not_reached() {
    let (mut a, b) = pair().await;
    let mut stranger = Identity::new(2);
    stranger.secret[5] ^= 1;
    let info = stranger.info(b.at, b.clock.now().wall_ms, "R");
    a.handle.dial(Arc::clone(&info), vec![a.message(1, 1)], Class::Own);
    let TransportEvent::DialFailed { reason, .. } = a.event().await else { panic!("linked") };
    let expected = [Failure::Timeout, Failure::Closed].map(DialError::Handshake);
    assert!(expected.contains(&reason), "{reason:?}");
    a.stop().await;
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn limits_of_sessions_hold() {
    let net = MemoryNet::new();
    let one = |config: &mut crate::transport::TransportConfig| config.sessions_max = 1;
    let mut hub = Node::memory(1, &net, one).await;
    let (mut a, mut b) = (Node::memory(2, &net, |_| {}).await, Node::memory(3, &net, |_| {}).await);
    a.dial(&hub, vec![]);
    a.up(hub.hash()).await;
    b.dial(&hub, vec![]);
    assert!(matches!(b.event().await, TransportEvent::DialFailed { .. }));
    hub.up(a.hash()).await;
    hub.dial(&b, vec![]);
    let TransportEvent::DialFailed { reason, .. } = hub.event().await else { panic!("dialled") };
    assert_eq!(reason, DialError::Full);
    for node in [hub, a, b] {
        node.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn n8_a_peer_that_stops_reading_is_given_up() {
    let (a, b) = pair().await;
    let (mut a, b, to_b, _) = linked(a, b).await;
    let start = a.clock.now();
    // b's plane is never emptied; a goes on sending until the socket is full, and then for half a minute more.
    loop {
        to_b.push(a.clock.now(), (0..64).map(|id| a.message(id, 1_000)).collect(), Class::Transit);
        assert!(to_b.bytes() <= 1024 * 1024);
        if let Ok(event) = tokio::time::timeout(Duration::from_millis(50), a.event()).await {
            let TransportEvent::Down { reason, .. } = event else { panic!("{event:?}") };
            assert_eq!(reason, CloseReason::Stalled);
            break;
        }
    }
    assert!(a.clock.now().mono.since(start.mono) > Duration::from_secs(29));
    assert!(a.metrics.dropped_late.get() > 0, "transit is dropped while the peer does not read");
    a.stop().await;
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn n7_an_idle_connection_is_small() {
    let size = super::super::task::connection_future_bytes();
    assert!(size < 6 * 1024, "{size} bytes");
}
