// SPDX-License-Identifier: MIT
//! Streams while links lose packets, deliver them late, out of order and twice.

use std::time::Duration;

use samovar::sim::LinkProfile;

use super::kit::{Plan, Stage, play};
use super::ledger::Talk;

/// Three sessions, each talks with the next: much one way, much the other way, and something small.
pub(crate) async fn talks(stage: Stage) -> String {
    let sessions = stage.sessions(0..3).await;
    for (i, from) in sessions.iter().enumerate() {
        let to = &sessions[(i + 1) % sessions.len()];
        stage.ledger.call(from, to, Talk::of(60_000, 5_000));
        stage.ledger.call(from, to, Talk::of(0, 40_000));
        stage.ledger.call(from, to, Talk::of(1, 1));
    }
    let tally = stage.all_through().await;
    format!("{} streams, {} kB", tally.through, tally.bytes / 1000)
}

pub(crate) fn lossy(loss: f64) -> LinkProfile {
    LinkProfile {
        jitter: Duration::from_millis(30),
        reorder: 0.1,
        duplicate: 0.02,
        ..LinkProfile::default().lossy(loss)
    }
}

pub(crate) fn five(seed: u64) -> String {
    play(seed, Plan::of(8).link(lossy(0.05)), talks)
}

pub(crate) fn twenty(seed: u64) -> String {
    play(seed, Plan::of(8).link(lossy(0.2)), talks)
}
