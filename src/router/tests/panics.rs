// SPDX-License-Identifier: MIT
//! What a panic in one task costs (row Z4): that task's own, or an orderly end of the router within two seconds.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::network;
use crate::destination::{DestinationKeys, SessionConfig};
use crate::router::{Router, RouterConfig, Stage};

const SOON: Duration = Duration::from_secs(2);

#[tokio::test]
async fn z4_a_panic_in_a_task_that_cannot_be_missed_stops_the_router() {
    for name in ["plane", "control", "transport manager", "transport accept"] {
        let routers = network(1).await;
        tokio::task::yield_now().await;
        routers[0].inner.tasks.doom(name);
        tokio::time::timeout(SOON, routers[0].stopped()).await.unwrap_or_else(|_| panic!("{name} hangs"));
        tokio::time::timeout(SOON * 5, routers[0].clone().shutdown()).await.expect("ends");
    }
}

#[tokio::test]
async fn z4_a_panic_in_a_session_costs_that_session_alone() {
    let routers = network(4).await;
    routers[0].ready_within(Stage::Tunnels, Duration::from_secs(20)).await.expect("tunnels");
    let keys = DestinationKeys::generate(&mut crate::base::Rng::from_seed(4)).expect("keys");
    let config =
        || SessionConfig { unpublished: true, ..SessionConfig::with_keys(keys.clone()).tunnels(0, 1) };
    let session = routers[0].session(config()).await.expect("opens");
    routers[0].inner.tasks.doom("destination");
    tokio::time::timeout(SOON, session.closed()).await.expect("its program is told");
    assert!(!routers[0].inner.tasks.token().is_cancelled(), "the router lives");
    routers[0].inner.tasks.doom("");
    // Its destination is free again.
    let again = tokio::time::timeout(Duration::from_secs(20), routers[0].session(config())).await;
    again.expect("in time").expect("opens again").close().await;
    for router in routers {
        router.shutdown().await;
    }
}

async fn hello(router: &Router) -> (BufReader<TcpStream>, String) {
    let stream = TcpStream::connect(router.sam_addr().expect("a bridge")).await.expect("connects");
    let mut client = BufReader::new(stream);
    client.write_all(b"HELLO VERSION\n").await.expect("writes");
    let mut line = String::new();
    client.read_line(&mut line).await.expect("reads");
    (client, line)
}

#[tokio::test]
async fn z4_a_panic_for_one_sam_client_costs_that_client_alone() {
    let config = RouterConfig {
        net_id: 98,
        test_network: true,
        sam: Some(([127, 0, 0, 1], 0).into()),
        ..RouterConfig::default()
    };
    let router = Router::builder().config(config).start().await.expect("starts");
    let (mut client, line) = hello(&router).await;
    assert!(line.contains("RESULT=OK"), "{line}");
    router.inner.tasks.doom("sam_conn");
    let mut rest = String::new();
    let end = tokio::time::timeout(SOON, client.read_line(&mut rest)).await.expect("closed in time");
    assert!(matches!(end, Ok(0) | Err(_)), "{rest}");
    router.inner.tasks.doom("");
    let (_other, line) = hello(&router).await;
    assert!(line.contains("RESULT=OK"), "{line}");
    router.shutdown().await;
}
