// SPDX-License-Identifier: MIT
//! Whole routers in one process, over loopback TCP.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Router, RouterConfig, Stage};
use crate::destination::SessionConfig;

mod bounds;
mod isolation;
mod keys;
mod memory;
mod panics;
#[cfg(target_os = "linux")]
mod wiped;

/// Routers that know each other; half of them floodfills.
async fn network(n: usize) -> Vec<Router> {
    network_at(n, None).await
}

/// The same, with clocks that show this time at the start.
async fn network_at(n: usize, wall_ms: Option<u64>) -> Vec<Router> {
    let level = std::env::var("RUST_LOG").ok().and_then(|level| level.parse().ok());
    let level = level.unwrap_or(tracing_subscriber::filter::LevelFilter::ERROR);
    let _ = tracing_subscriber::fmt().with_max_level(level).with_test_writer().try_init();
    let mut routers = Vec::new();
    for i in 0..n {
        let config = RouterConfig {
            host: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            net_id: 99,
            test_network: true,
            floodfill: i % 2 == 0,
            sam: None,
            ..RouterConfig::default()
        };
        let mut builder = Router::builder().config(config);
        if let Some(wall_ms) = wall_ms {
            builder = builder.deterministic(1000 + i as u64, wall_ms);
        }
        routers.push(builder.start().await.expect("starts"));
    }
    let infos: Vec<Vec<u8>> = routers.iter().map(|r| r.info().raw().to_vec()).collect();
    for router in &routers {
        router.load_routers(infos.clone()).await;
    }
    routers
}

async fn echo_works(routers: &[Router], hops: u8) {
    for router in routers {
        router.ready_within(Stage::Tunnels, Duration::from_secs(20)).await.expect("tunnels");
    }
    let config = SessionConfig::transient().tunnels(hops, 2);
    let limit = Duration::from_secs(30);
    let server = tokio::time::timeout(limit, routers[0].session(config.clone()))
        .await
        .expect("in time")
        .expect("opens");
    let client =
        tokio::time::timeout(limit, routers[1].session(config)).await.expect("in time").expect("opens");
    let listener = server.listen(0).expect("listens");
    let target = server.destination().clone();
    let connect = async { client.connect(target).await };
    let (accepted, connected) =
        tokio::time::timeout(limit, async { tokio::join!(listener.accept(), connect) })
            .await
            .expect("in time");
    let (mut far, mut near) = (accepted.expect("accepts"), connected.expect("connects"));
    assert_eq!(far.peer().hash(), client.destination().hash());
    let sent: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
    let copy = sent.clone();
    let write = async move {
        near.write_all(&copy).await.expect("writes");
        near.shutdown().await.expect("shuts");
        let mut back = Vec::new();
        near.read_to_end(&mut back).await.expect("reads");
        back
    };
    let serve = async move {
        let mut got = Vec::new();
        far.read_to_end(&mut got).await.expect("reads");
        far.write_all(&got).await.expect("writes");
        far.shutdown().await.expect("shuts");
        got
    };
    let (back, got) = tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(write, serve) })
        .await
        .expect("in time");
    assert!(got == sent, "{} of {} bytes arrived", got.len(), sent.len());
    assert!(back == sent, "{} of {} bytes came back", back.len(), sent.len());
    server.close().await;
    client.close().await;
}

async fn run(hops: u8) {
    let routers = network(6).await;
    echo_works(&routers, hops).await;
    for router in routers {
        router.shutdown().await;
    }
}

#[tokio::test]
async fn bytes_cross_zero_hops() {
    run(0).await;
}

#[tokio::test]
async fn bytes_cross_one_hop() {
    run(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_cross_two_hops_on_many_threads() {
    run(2).await;
}

#[tokio::test]
async fn bytes_cross_two_hops_on_one_thread() {
    run(2).await;
}

#[tokio::test]
async fn a_shutdown_resets_the_streams_of_its_sessions() {
    let routers = network(5).await;
    for router in &routers {
        router.ready_within(Stage::Tunnels, Duration::from_secs(20)).await.expect("tunnels");
    }
    let config = SessionConfig::transient().tunnels(1, 2);
    let server = routers[0].session(config.clone()).await.expect("opens");
    let client = routers[1].session(config).await.expect("opens");
    let listener = server.listen(0).expect("listens");
    let target = server.destination().clone();
    let (far, near) = tokio::join!(listener.accept(), client.connect(target));
    let (mut far, mut near) = (far.expect("accepts"), near.expect("connects"));
    near.write_all(b"hello").await.expect("writes");
    let mut got = [0; 5];
    far.read_exact(&mut got).await.expect("reads");
    routers[0].shutdown().await;
    let end = tokio::time::timeout(Duration::from_secs(10), near.read(&mut got))
        .await
        .expect("the peer hears of it");
    assert!(end.is_err(), "a reset, not an orderly end: {end:?}");
    drop(far);
}

#[tokio::test]
async fn z2_4096_calls_of_a_session_wait_and_one_more_is_refused() {
    let routers = network(3).await;
    let config = SessionConfig::transient().tunnels(1, 1);
    let session = std::sync::Arc::new(routers[0].session(config).await.expect("opens"));
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..4_096 {
        let session = session.clone();
        calls.spawn(async move { session.accept().await.map(|_| ()) });
    }
    while session.status().await.expect("lives").waiting_accepts < 4_096 {
        tokio::task::yield_now().await;
    }
    let error = session.accept().await.expect_err("one past the limit");
    assert_eq!(error.kind(), crate::destination::ErrorKind::Limit);
    let error = session.connect(session.destination().clone()).await.expect_err("of any kind");
    assert_eq!(error.kind(), crate::destination::ErrorKind::Limit);
    calls.shutdown().await;
    let (far, near) = tokio::join!(session.accept(), session.connect(session.destination().clone()));
    assert!(far.is_ok() && near.is_ok(), "who gave up makes room at once");
}

#[tokio::test]
async fn a_destination_can_be_opened_again_right_after_its_close_and_not_twice() {
    let routers = network(5).await;
    for router in &routers {
        router.ready_within(Stage::Tunnels, Duration::from_secs(20)).await.expect("tunnels");
    }
    let keys = routers[0].new_keys(crate::wire::SigType::Ed25519).expect("keys");
    let config = SessionConfig::with_keys(keys).tunnels(1, 1);
    let first = routers[0].session(config.clone()).await.expect("opens");
    let twice = routers[0].session(config.clone()).await.expect_err("is in use");
    assert_eq!(twice.kind(), crate::destination::ErrorKind::DuplicateDestination);
    first.begin_close();
    let second =
        tokio::time::timeout(Duration::from_secs(20), routers[0].session(config)).await.expect("in time");
    assert_eq!(second.expect("opens again").destination(), first.destination());
}

#[tokio::test]
async fn who_begins_anew_with_the_same_keys_can_be_called_by_those_who_knew_him() {
    let routers = network(5).await;
    for router in &routers {
        router.ready_within(Stage::Tunnels, Duration::from_secs(20)).await.expect("tunnels");
    }
    let keys = routers[0].new_keys(crate::wire::SigType::Ed25519).expect("keys");
    let config = || SessionConfig::with_keys(keys.clone()).tunnels(1, 2);
    let caller = routers[1].session(SessionConfig::transient().tunnels(1, 2)).await.expect("opens");
    let limit = Duration::from_secs(25);
    for _ in 0..2 {
        let server = routers[0].session(config()).await.expect("opens");
        let target = server.destination().clone();
        let call = async { tokio::join!(server.accept(), caller.connect(target)) };
        let (far, near) = tokio::time::timeout(limit, call).await.expect("in time");
        let (mut far, mut near) = (far.expect("accepts").stream, near.expect("connects"));
        near.write_all(b"hello").await.expect("writes");
        let mut got = [0; 5];
        far.read_exact(&mut got).await.expect("reads");
        server.close().await;
    }
}

mod datagrams;
