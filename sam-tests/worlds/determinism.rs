// SPDX-License-Identifier: MIT
//! One seed, two runs, one trace.

use std::time::Duration;

use samovar::sim::{self, Crash, LinkProfile, Outcome, RouterSetup, World};

use crate::kit::{self, Plan};
use crate::{healthy, loss};

/// Everything that has to do with chance: sessions, streams, loss, churn, clocks.
async fn eventful(world: World) -> u64 {
    let nodes = world.network(12, |_| RouterSetup::default()).await;
    world.set_default_link(LinkProfile::default().lossy(0.02));
    healthy::exchange(&world, &nodes, 3, 50_000).await;
    nodes[5].restart_after(Crash::Power, Duration::from_secs(20)).await.expect("starts again");
    nodes[6].restart_after(Crash::Process, Duration::from_secs(1)).await.expect("starts again");
    nodes[7].jump_clock(30_000);
    world.partition(&[&nodes[8..]]);
    world.sleep(Duration::from_secs(60)).await;
    world.heal();
    nodes[9].suspend();
    world.sleep(Duration::from_secs(300)).await;
    nodes[9].resume();
    healthy::exchange(&world, &nodes[..4], 2, 20_000).await;
    world.net_stats().bytes
}

/// Runs the world twice and compares.
pub(crate) fn run(seed: u64) -> String {
    let once = || sim::run(seed, eventful);
    let (one, two): (Outcome<u64>, Outcome<u64>) = (once(), once());
    let part = one.marks.iter().zip(&two.marks).find(|(a, b)| a != b);
    assert_eq!(one.trace, two.trace, "two runs part before {:?} ms", part.map(|(a, _)| a.0));
    assert_eq!(one.value, two.value);
    format!("{} events, trace {}", one.events, one.trace)
}

/// The same for a world with all checks on, in which the books of streams are kept.
pub(crate) fn play(seed: u64) -> String {
    let once = || kit::outcome(seed, Plan::of(8).link(loss::lossy(0.05)), loss::talks);
    let (one, two) = (once(), once());
    assert_eq!((one.trace, one.events), (two.trace, two.events));
    format!("{} events, trace {}", one.events, one.trace)
}
