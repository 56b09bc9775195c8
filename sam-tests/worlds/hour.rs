// SPDX-License-Identifier: MIT
//! The measure of speed: fifty routers and an hour of network time.

use std::time::Duration;

use samovar::destination::SessionConfig;
use samovar::sim::{self, RouterSetup};

/// One world. Says what it costs; `SIM_ROUTERS` and `SIM_MINUTES` make it smaller or larger.
pub(crate) fn run(seed: u64) -> String {
    let number =
        |name: &str, usual: u64| std::env::var(name).ok().map_or(usual, |v| v.parse().expect("a number"));
    let routers = usize::try_from(number("SIM_ROUTERS", 50)).expect("few");
    let minutes = number("SIM_MINUTES", 60);
    let outcome = sim::run(seed, |world| async move {
        let nodes = world.network(routers, |_| RouterSetup::default()).await;
        let mut sessions = Vec::new();
        for node in nodes.iter().take(10) {
            let config = SessionConfig::transient().tunnels(2, 2);
            sessions.push(node.router().session(config).await.expect("opens"));
        }
        world.sleep(Duration::from_secs(minutes * 60)).await;
        let sum = |room: &str, name: &str| nodes.iter().map(|n| n.counter(room, name)).sum::<u64>();
        (sum("tunnel_build", "builds_succeeded"), sum("plane_task", "turns"))
    });
    format!(
        "{routers} routers, {:?}: {} events, {} MB, {:?}",
        outcome.passed,
        outcome.events,
        outcome.net.bytes >> 20,
        outcome.value
    )
}
