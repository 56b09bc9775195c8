// SPDX-License-Identifier: MIT
//! Replays every transcript of `sam-tests/transcripts` against the bridge over a stand-in router, over a network of
//! real routers in this process, and against any other bridges when `SAMOVAR_SAM` names some:
//! `SAMOVAR_SAM=127.0.0.1:7656,127.0.0.1:7666 cargo test --test transcripts`.
//!
//! Transcripts whose first line is `# stand-in only` depend on the stand-in and stay away from real bridges.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test stops at the first thing that is not as it should be, and says what"
)]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use samovar::base::Tasks;
use samovar::router::devnet::{Devnet, DevnetConfig};
use samovar::sam::{SamConfig, SamServer};

mod replay;
mod stand_in;

/// The library as the stand-in sees it.
mod api {
    pub use samovar::base::Rng;
    pub use samovar::crypto::sign::AnySigningKey;
    pub use samovar::sam::{
        Backend, Binding, Boxed, BoxedStream, ConnectOptions, DatagramCounts, Failure, InDatagram, Incoming,
        OutDatagram, Peer, PrivateKeys, ResultCode, RouterStatus, SamDatagrams, SamListener, SamSession,
        SamStream, Sender, SessionConfig, SessionStatus, Style,
    };
    pub use samovar::wire::{DestHash, Destination, KeysAndCert, SigType};
}

const STAND_IN_ONLY: &str = "# stand-in only";

fn transcripts() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sam-tests/transcripts");
    let mut all: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "txt"))
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                std::fs::read_to_string(&path).unwrap(),
            )
        })
        .collect();
    all.sort();
    assert!(!all.is_empty());
    all
}

/// Those that every bridge must hold.
fn for_real_bridges() -> Vec<(String, String)> {
    transcripts().into_iter().filter(|(_, script)| !script.starts_with(STAND_IN_ONLY)).collect()
}

async fn replay_all(bridges: &[SocketAddr], all: Vec<(String, String)>) {
    let mut failures = Vec::new();
    for (name, script) in all {
        if let Err(why) = replay::replay(&script, bridges).await {
            failures.push(format!("{name}, {why}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test]
async fn transcripts_hold_over_the_stand_in() {
    let network = stand_in::Network::default();
    let tasks = Tasks::new();
    let mut bridges = Vec::new();
    for seed in 1..=2 {
        let config = SamConfig::at(SocketAddr::from(([127, 0, 0, 1], 0)));
        let server = SamServer::start(config, stand_in::StandIn::new(&network, seed), &tasks).await.unwrap();
        bridges.push(server.address().unwrap());
    }
    replay_all(&bridges, transcripts()).await;
    tasks.stop();
    tasks.finished().await;
}

async fn hold_over_a_network() {
    let sam = vec![SocketAddr::from(([127, 0, 0, 1], 0)); 2];
    let network = Devnet::start(DevnetConfig { sam, ..DevnetConfig::default() }).await.unwrap();
    network.ready(Duration::from_secs(60)).await.unwrap();
    replay_all(&network.sam(), for_real_bridges()).await;
    network.shutdown().await;
}

#[tokio::test]
async fn transcripts_hold_over_real_routers_on_one_thread() {
    hold_over_a_network().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transcripts_hold_over_real_routers_on_many_threads() {
    hold_over_a_network().await;
}

#[tokio::test]
async fn transcripts_hold_over_other_bridges() {
    let Ok(list) = std::env::var("SAMOVAR_SAM") else { return };
    let bridges: Vec<SocketAddr> = list.split(',').map(|text| text.trim().parse().unwrap()).collect();
    replay_all(&bridges, for_real_bridges()).await;
}
