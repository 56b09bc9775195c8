// SPDX-License-Identifier: MIT
//! Much at once, and for long.

use std::time::Duration;

use super::kit::{Plan, Stage, play};
use super::ledger::Talk;

/// Nothing wrong at all: streams, ten minutes, streams. Of the builds 95 % must succeed.
pub(crate) fn healthy(seed: u64) -> String {
    play(seed, Plan::of(9).builds(95), async |stage: Stage| {
        let sessions = stage.sessions([0, 1, 2, 3]).await;
        for round in 0..2 {
            for (i, from) in sessions.iter().enumerate() {
                let to = &sessions[(i + 1 + round) % sessions.len()];
                stage.ledger.call(from, to, Talk::of(50_000, 50_000));
            }
            stage.seconds(90).await;
        }
        let tally = stage.all_through().await;
        format!("{} streams, {} kB", tally.through, tally.bytes / 1000)
    })
}

/// A thousand streams between twenty destinations on ten routers, begun within a minute.
pub(crate) fn thousand(seed: u64) -> String {
    play(seed, Plan::of(10), async |stage: Stage| {
        let sessions = stage.sessions((0..20).map(|i| i % 10)).await;
        let mut rng = stage.world.rng("pairs");
        for _ in 0..1000 {
            let from = usize::try_from(rng.below(20)).expect("small");
            let to = (from + 1 + usize::try_from(rng.below(19)).expect("small")) % 20;
            let (up, down) = (rng.below(4_000), rng.below(4_000));
            stage.ledger.call(
                &sessions[from],
                &sessions[to],
                Talk::of(up, down).over(Duration::from_secs(20)),
            );
            stage.world.sleep(Duration::from_millis(60)).await;
        }
        let tally = stage.all_through().await;
        format!("{} streams, {} kB", tally.through, tally.bytes / 1000)
    })
}

/// Streams that live for an hour, through six generations of tunnels, while shorter ones come and go.
pub(crate) fn expiry(seed: u64) -> String {
    play(seed, Plan::of(8), async |stage: Stage| {
        let sessions = stage.sessions([1, 3]).await;
        let long = Talk::of(300_000, 300_000).over(Duration::from_secs(3600));
        stage.ledger.call(&sessions[0], &sessions[1], long);
        stage.ledger.call(&sessions[1], &sessions[0], long);
        for _ in 0..12 {
            stage.ledger.call(&sessions[0], &sessions[1], Talk::of(20_000, 20_000));
            stage.seconds(300).await;
        }
        let tally = stage.all_through().await;
        format!("{} streams, {} kB", tally.through, tally.bytes / 1000)
    })
}
