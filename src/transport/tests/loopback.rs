// SPDX-License-Identifier: MIT
//! Over TCP on 127.0.0.1, on both runtimes.

use super::fixture::{Node, linked, within};
use crate::transport::{Class, CloseReason, DialError, TransportEvent};
use crate::wire::ntcp2_block::TerminationReason;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Makes a test for each runtime.
macro_rules! on_both_runtimes {
    ($($name:ident)*) => {
        mod current_thread {
            $(#[tokio::test] async fn $name() { super::super::fixture::within(super::$name()).await; })*
        }
        mod multi_thread {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::super::fixture::within(super::$name()).await; })*
        }
    };
}

on_both_runtimes! {
    messages_cross_in_order_in_both_directions
    messages_that_wait_for_a_dial_arrive
    a_full_plane_stops_reading_but_not_writing
    shutdown_is_told_to_the_peer
    a_dial_to_nobody_fails_and_backs_off
    a_peer_that_starts_anew_replaces_its_old_session
    a_new_router_info_is_sent_to_peers
    garbage_gets_no_answer
    ipv6_works_beside_ipv4
    n1_silent_connections_do_not_keep_an_honest_peer_out
}

async fn messages_cross_in_order_in_both_directions() {
    let (mut a, mut b, to_b, to_a) = linked(Node::tcp(1).await, Node::tcp(2).await).await;
    const COUNT: u32 = 3_000;
    let mut sent = 0;
    let (mut at_a, mut at_b) = (Vec::new(), Vec::new());
    while (at_b.len() as u32) < COUNT || (at_a.len() as u32) < COUNT {
        // 64 at a time stay well inside the queue's bounds, so nothing is dropped.
        let batch: Vec<_> =
            (sent..COUNT.min(sent + 64)).map(|id| a.message(id, 1 + (id as usize * 37) % 3_000)).collect();
        sent += batch.len() as u32;
        let count = batch.len();
        assert_eq!(to_b.push(a.clock.now(), batch.clone(), Class::Own), 0);
        assert_eq!(to_a.push(b.clock.now(), batch, Class::Transit), 0);
        at_b.extend(b.receive(a.hash(), count).await);
        at_a.extend(a.receive(b.hash(), count).await);
    }
    assert!(at_a.iter().copied().eq(0..COUNT) && at_b.iter().copied().eq(0..COUNT));
    assert_eq!(a.metrics.messages_out.get(), u64::from(COUNT));
    assert_eq!(b.metrics.messages_in.get(), u64::from(COUNT));
    a.stop().await;
    b.stop().await;
}

async fn messages_that_wait_for_a_dial_arrive() {
    let (mut a, mut b) = (Node::tcp(1).await, Node::tcp(2).await);
    let big = a.message(9, 60_000);
    a.dial(&b, vec![a.message(1, 10), big]);
    a.dial(&b, vec![a.message(2, 10)]);
    assert_eq!(b.receive(a.hash(), 3).await, [1, 9, 2]);
    a.up(b.hash()).await;
    a.stop().await;
    b.stop().await;
}

async fn a_full_plane_stops_reading_but_not_writing() {
    let (mut a, mut b, to_b, to_a) = linked(Node::tcp(1).await, Node::tcp(2).await).await;
    // Nobody takes from b's plane queue: what a sends piles up in the sockets and in a's queue.
    let mut pushed = 0;
    loop {
        let dropped = to_b.push(a.clock.now(), (0..32).map(|id| a.message(id, 4_000)).collect(), Class::Own);
        pushed += 32 - dropped;
        if dropped > 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(to_b.bytes() > 200 * 1024);
    to_a.push(b.clock.now(), vec![b.message(7, 100)], Class::Own);
    assert_eq!(a.receive(b.hash(), 1).await, [7]);
    assert_eq!(b.receive(a.hash(), pushed).await.len(), pushed);
    a.stop().await;
    b.stop().await;
}

async fn shutdown_is_told_to_the_peer() {
    let (a, mut b, to_b, to_a) = linked(Node::tcp(1).await, Node::tcp(2).await).await;
    let peer = a.hash();
    a.stop().await;
    match b.event().await {
        TransportEvent::Down { peer: who, reason } => {
            assert_eq!((who, reason), (peer, CloseReason::ByPeer(TerminationReason::Shutdown)));
        }
        other => panic!("{other:?}"),
    }
    assert!(to_a.is_closed());
    assert_eq!(to_a.push(b.clock.now(), vec![b.message(1, 1)], Class::Own), 1);
    drop(to_b);
    b.stop().await;
}

async fn a_dial_to_nobody_fails_and_backs_off() {
    let (mut a, b) = (Node::tcp(1).await, Node::tcp(2).await);
    let nowhere = b.identity.info(SocketAddr::new([127, 0, 0, 1].into(), 1), b.clock.now().wall_ms, "R");
    for expected in [DialError::Connect(std::io::ErrorKind::ConnectionRefused), DialError::Backoff] {
        a.handle.dial(Arc::clone(&nowhere), vec![a.message(1, 1)], Class::Own);
        match a.event().await {
            TransportEvent::DialFailed { reason, messages, .. } => {
                assert_eq!((reason, messages), (expected, 1))
            }
            other => panic!("{other:?}"),
        }
    }
    a.stop().await;
    b.stop().await;
}

async fn a_peer_that_starts_anew_replaces_its_old_session() {
    let (a, mut b, _, to_a) = linked(Node::tcp(1).await, Node::tcp(2).await).await;
    // The same identity again, as after a crash that b has not noticed.
    let mut again = Node::tcp(1).await;
    again.dial(&b, vec![again.message(5, 10)]);
    assert_eq!(b.receive(a.hash(), 1).await, [5]);
    to_a.push(b.clock.now(), vec![b.message(6, 10)], Class::Own);
    assert_eq!(again.receive(b.hash(), 1).await, [6]);
    assert_eq!(b.metrics.sessions.get(), 1);
    for node in [a, b, again] {
        node.stop().await;
    }
}

async fn a_new_router_info_is_sent_to_peers() {
    let (a, mut b, ..) = linked(Node::tcp(1).await, Node::tcp(2).await).await;
    let only_newer = a.identity.info(a.at, a.clock.now().wall_ms + 1, "XR");
    a.publish.send_replace(only_newer);
    let changed = a.identity.info(a.at, a.clock.now().wall_ms + 2, "XfR");
    a.publish.send_replace(changed.clone());
    loop {
        match b.events.recv().await.expect("an event") {
            TransportEvent::RouterInfo { from, raw, .. } if raw == changed.raw().to_vec() => {
                assert_eq!(from, a.hash());
                break;
            }
            _ => {}
        }
    }
    a.stop().await;
    b.stop().await;
}

async fn garbage_gets_no_answer() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let at = SocketAddr::new([127, 0, 0, 1].into(), 0);
    let hasty =
        |config: &mut crate::transport::TransportConfig| config.links.probe_time = Duration::from_secs(2);
    let b = Node::start(2, at, Arc::new(crate::base::TcpNet), crate::base::Clock::system(), hasty).await;
    let mut socket = tokio::net::TcpStream::connect(b.at).await.unwrap();
    socket.write_all(&[0x16; 64]).await.unwrap();
    let mut answer = Vec::new();
    // It ends after 1 to 10 seconds as a rule, by a reset. Here after 2 at most.
    let end = within(socket.read_to_end(&mut answer)).await;
    assert!(answer.is_empty());
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    b.stop().await;
}

async fn ipv6_works_beside_ipv4() {
    let Ok(probe) = tokio::net::TcpListener::bind("[::1]:0").await else { return }; // a machine without IPv6
    let port = probe.local_addr().unwrap().port();
    drop(probe);
    let start = |seed| async move {
        let at = SocketAddr::new("::1".parse().unwrap(), if seed == 1 { port } else { 0 });
        let both = |config: &mut crate::transport::TransportConfig| {
            config.bind.push(SocketAddr::new([127, 0, 0, 1].into(), at.port()));
        };
        Node::start(seed, at, Arc::new(crate::base::TcpNet), crate::base::Clock::system(), both).await
    };
    let (a, b) = (start(1).await, start(2).await);
    assert!(a.at.is_ipv6() && b.at.is_ipv6());
    let (a, mut b, to_b, _) = linked(a, b).await;
    to_b.push(a.clock.now(), vec![a.message(3, 10)], Class::Own);
    assert_eq!(b.receive(a.hash(), 1).await, [3]);
    a.stop().await;
    b.stop().await;
}

async fn n1_silent_connections_do_not_keep_an_honest_peer_out() {
    let strict = |config: &mut crate::transport::TransportConfig| {
        config.test_network = false;
        config.pending_max = 16;
    };
    let at = |last, port| SocketAddr::new([127, 0, 0, last].into(), port);
    let net = Arc::new(crate::base::TcpNet);
    let b = Node::start(2, at(1, 0), net.clone(), crate::base::Clock::system(), strict).await;
    let mut silent = Vec::new();
    for last in 2..60 {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(at(last, 0)).unwrap();
        silent.push(socket.connect(b.at).await.unwrap());
    }
    let from_its_address = |config: &mut crate::transport::TransportConfig| {
        config.published = config.bind.clone();
        config.bind_outgoing = true;
    };
    let mut a = Node::start(1, at(200, 0), net, crate::base::Clock::system(), from_its_address).await;
    a.dial(&b, vec![]);
    tokio::time::timeout(Duration::from_secs(5), a.up(b.hash())).await.expect("linked in time");
    assert!(b.metrics.accept_evicted.get() >= 58 - 16);
    a.stop().await;
    b.stop().await;
}

/// A measure, not a test: `cargo test --release --lib transport::tests::loopback::rate -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "a measure"]
async fn rate() {
    const COUNT: usize = 64 * 1024;
    let (a, mut b, to_b, _) = linked(Node::tcp(1).await, Node::tcp(2).await).await;
    let start = a.clock.now().mono;
    let send = async {
        for first in (0..COUNT).step_by(32) {
            while to_b.bytes() > 128 * 1024 {
                tokio::task::yield_now().await;
            }
            let batch = (first..first + 32).map(|id| a.message(id as u32, 1028)).collect();
            assert_eq!(to_b.push(a.clock.now(), batch, Class::Own), 0);
        }
    };
    let (mut batches, mut messages) = (0, 0);
    let receive = async {
        while messages < COUNT {
            messages += b.plane.recv().await.expect("a batch").messages.len();
            batches += 1;
        }
    };
    tokio::join!(send, receive);
    let seconds = a.clock.now().mono.since(start).as_secs_f64();
    println!("{:.1} MiB/s, {batches} batches", COUNT as f64 / 1024.0 / seconds);
    a.stop().await;
    b.stop().await;
}
