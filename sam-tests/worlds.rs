// SPDX-License-Identifier: MIT
//! Scenarios in simulated networks, each over many seeds.
//!
//! `make sim SEEDS=20 [SCENARIO=name] [SEED=n]`, or `cargo test --features sim --test worlds`. A failure prints the
//! command that repeats it. `SIM_JOBS` says how many worlds run at once (default: one a processor).
//!
//! What every world checks is said in `worlds/kit.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test stops at the first thing that is not as it should be, and says what"
)]

#[path = "worlds/clocks.rs"]
mod clocks;
#[path = "worlds/content.rs"]
mod content;
#[path = "worlds/counters.rs"]
mod counters;
#[path = "worlds/deaths.rs"]
mod deaths;
#[path = "worlds/determinism.rs"]
mod determinism;
#[path = "worlds/ghosts.rs"]
mod ghosts;
#[path = "worlds/harness.rs"]
mod harness;
#[path = "worlds/healthy.rs"]
mod healthy;
#[path = "worlds/hostile.rs"]
mod hostile;
#[path = "worlds/hour.rs"]
mod hour;
#[path = "worlds/kit.rs"]
mod kit;
#[path = "worlds/ledger.rs"]
mod ledger;
#[path = "worlds/load.rs"]
mod load;
#[path = "worlds/loss.rs"]
mod loss;
#[path = "worlds/sam.rs"]
mod sam;
#[path = "worlds/splits.rs"]
mod splits;

use harness::Scenario;

/// All scenarios. Each entry: its name, how many seeds it has in an ordinary run, and itself.
const SCENARIOS: &[Scenario] = &[
    Scenario { name: "determinism", seeds: 1, run: determinism::run },
    Scenario { name: "determinism-play", seeds: 1, run: determinism::play },
    Scenario { name: "healthy", seeds: 20, run: load::healthy },
    Scenario { name: "twenty", seeds: 0, run: healthy::run },
    Scenario { name: "thousand", seeds: 20, run: load::thousand },
    Scenario { name: "expiry", seeds: 20, run: load::expiry },
    Scenario { name: "sam-vanish", seeds: 20, run: sam::vanishing },
    Scenario { name: "hour", seeds: 1, run: hour::run },
    Scenario { name: "loss-5", seeds: 20, run: loss::five },
    Scenario { name: "loss-20", seeds: 20, run: loss::twenty },
    Scenario { name: "gateways-die", seeds: 20, run: deaths::gateways },
    Scenario { name: "endpoints-die", seeds: 20, run: deaths::endpoints },
    Scenario { name: "floodfills-die", seeds: 20, run: deaths::floodfills },
    Scenario { name: "droppers", seeds: 20, run: hostile::droppers },
    Scenario { name: "liars", seeds: 20, run: hostile::liars },
    Scenario { name: "ghosts", seeds: 8, run: ghosts::ghosts },
    Scenario { name: "partition", seeds: 20, run: splits::partition },
    Scenario { name: "clock-hour", seeds: 20, run: clocks::hour },
    Scenario { name: "clock-day", seeds: 20, run: clocks::day },
    Scenario { name: "suspend", seeds: 20, run: clocks::suspend },
    Scenario { name: "address", seeds: 20, run: splits::moving },
    Scenario { name: "churn", seeds: 20, run: splits::churn },
];

fn main() -> std::process::ExitCode {
    harness::main(SCENARIOS)
}
