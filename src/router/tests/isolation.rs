// SPDX-License-Identifier: MIT
//! A router whose network swallows everything: every wait ends, programs are told, builds get rare.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::identity::{PublicFace, RouterKeys};
use super::super::{Router, RouterConfig};
use crate::base::{BoxFuture, Connection, Listener, Net, Rng};
use crate::destination::{ErrorKind, SessionConfig};

const WALL_MS: u64 = 1_777_000_000_000;

/// Connections that are never made and never refused.
struct BlackHole;

struct Deaf(SocketAddr);

impl Net for BlackHole {
    fn connect(&self, _: SocketAddr, _: Option<IpAddr>) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(std::future::pending())
    }
    fn listen(&self, at: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move { Ok(Box::new(Deaf(at)) as Box<dyn Listener>) })
    }
}

impl Listener for Deaf {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(std::future::pending())
    }
    fn local_addr(&self) -> SocketAddr {
        self.0
    }
}

fn counter(router: &Router, name: &str) -> u64 {
    router.counters().iter().find(|(_, n, _)| *n == name).map_or(0, |(.., value)| *value)
}

async fn lost_router() -> Router {
    let config = RouterConfig {
        host: vec![IpAddr::from([10, 0, 0, 1])],
        port: 9_999,
        net_id: 99,
        test_network: true,
        sam: None,
        ..RouterConfig::default()
    };
    let builder = Router::builder().config(config).net(Arc::new(BlackHole)).deterministic(5, WALL_MS);
    let router = builder.start().await.expect("starts");
    let mut rng = Rng::from_seed(9);
    let others = (2..12).map(|n| {
        let face = PublicFace {
            net_id: 99,
            addresses: vec![(IpAddr::from([10, 0, 0, n]), 9_999)],
            floodfill: n % 2 == 0,
            bandwidth: 'X',
            ..PublicFace::default()
        };
        RouterKeys::generate(&mut rng).router_info(WALL_MS, &face).raw().to_vec()
    });
    router.load_routers(others.collect()).await;
    router
}

#[tokio::test(start_paused = true)]
async fn z5_in_a_black_hole_every_wait_ends() {
    let router = lost_router().await;
    let begun = Instant::now();
    let error = router.session(SessionConfig::transient()).await.expect_err("there is nobody");
    assert!(begun.elapsed() <= Duration::from_secs(70), "{:?}", begun.elapsed());
    assert_eq!(error.kind(), ErrorKind::NoTunnels);
    tokio::time::sleep(Duration::from_secs(300)).await;
    let failed = counter(&router, "outbound_failed");
    assert!(failed >= 10, "dials end: {failed}");
    assert!(counter(&router, "searches_failed") + counter(&router, "explorations") > 0);
    assert_eq!(router.status().borrow().connected, 0);
    let begun = Instant::now();
    router.shutdown().await;
    assert!(begun.elapsed() <= Duration::from_secs(8));
}

#[tokio::test(start_paused = true)]
async fn k9_a_router_that_is_cut_off_says_so_and_builds_once_in_ten_seconds() {
    let router = lost_router().await;
    tokio::time::sleep(Duration::from_secs(70)).await;
    assert!(router.status().borrow().cut_off_since.is_some());
    // Programs need not wait for five minutes.
    let begun = Instant::now();
    let error = router.session(SessionConfig::transient()).await.expect_err("there is nobody");
    assert!(begun.elapsed() <= Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(error.explain().contains("no other router has answered for"), "{}", error.explain());
    let before = counter(&router, "builds_sent");
    tokio::time::sleep(Duration::from_secs(100)).await;
    let built = counter(&router, "builds_sent") - before;
    assert!((1..=11).contains(&built), "{built} builds in 100 s");
    router.shutdown().await;
}
