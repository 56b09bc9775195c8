// SPDX-License-Identifier: MIT
//! Twenty routers, sessions and streams, and nothing wrong.

use std::time::Duration;

use samovar::destination::{Session, SessionConfig};
use samovar::sim::{self, Node, RouterSetup, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Opens a session on each of the first `count` routers.
pub(crate) async fn sessions(nodes: &[Node], count: usize) -> Vec<Session> {
    let mut sessions = Vec::new();
    for node in nodes.iter().take(count) {
        let config = SessionConfig::transient().tunnels(2, 2);
        let opened = tokio::time::timeout(Duration::from_secs(60), node.router().session(config)).await;
        sessions.push(opened.expect("opens in time").expect("opens"));
    }
    sessions
}

/// What stream number `from` to number `to` carries.
fn pattern(seed: u64, from: usize, to: usize, len: usize) -> Vec<u8> {
    let start = seed as usize * 7919 + from * 101 + to * 13;
    (start..start + len).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// Every session calls the next and sends it `len` bytes, which come back.
pub(crate) async fn exchange(world: &World, nodes: &[Node], count: usize, len: usize) {
    let sessions = sessions(nodes, count).await;
    for (from, client) in sessions.iter().enumerate() {
        let to = (from + 1) % sessions.len();
        let server = &sessions[to];
        let sent = pattern(world.seed(), from, to, len);
        world.secret(&sent[..16.min(len)]);
        let talk = async {
            let target = server.destination().clone();
            let (far, near) = tokio::join!(server.accept(), client.connect(target));
            let (mut far, mut near) = (far.expect("accepts").stream, near.expect("connects"));
            let serve = async {
                let mut got = vec![0; len];
                far.read_exact(&mut got).await.expect("reads");
                far.write_all(&got).await.expect("writes");
                far.shutdown().await.expect("shuts");
            };
            let mut back = Vec::new();
            let call = async {
                near.write_all(&sent).await.expect("writes");
                near.read_to_end(&mut back).await.expect("reads");
            };
            tokio::join!(serve, call);
            assert!(back == sent, "{} of {len} bytes came back", back.len());
        };
        tokio::time::timeout(Duration::from_secs(300), talk).await.expect("talks in time");
    }
    for session in &sessions {
        session.close().await;
    }
    assert_eq!(world.leaks(), [], "plaintext on a link");
}

/// One world.
pub(crate) fn run(seed: u64) -> String {
    let outcome = sim::run(seed, |world| async move {
        let nodes = world.network(20, |_| RouterSetup::default()).await;
        exchange(&world, &nodes, 6, 200_000).await;
        world.sleep(Duration::from_secs(15 * 60)).await;
        exchange(&world, &nodes, 6, 200_000).await;
        let count = |name| nodes.iter().map(|n| n.counter("tunnel_build", name)).sum::<u64>();
        for node in &nodes {
            node.shutdown().await;
        }
        world.sleep(Duration::from_secs(60)).await;
        assert_eq!(world.net_stats().open, 0, "connections are left");
        (count("builds_started"), world.net_stats())
    });
    format!("{:?} of network time, {} MB on the links", outcome.passed, outcome.net.bytes >> 20)
}
