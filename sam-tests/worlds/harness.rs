// SPDX-License-Identifier: MIT
//! Chooses scenarios and seeds, runs worlds side by side, and says how to repeat what failed.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A scenario: a function of a seed that panics when something is wrong and returns a line of figures if not.
pub(crate) struct Scenario {
    /// As in `SCENARIO=`.
    pub(crate) name: &'static str,
    /// Seeds of an ordinary run, from 1 on; `SEEDS=` says otherwise.
    pub(crate) seeds: u64,
    /// Runs one world, or several.
    pub(crate) run: fn(u64) -> String,
}

/// What one run gave.
struct Done {
    name: &'static str,
    seed: u64,
    took: Duration,
    result: Result<String, String>,
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().filter(|v| !v.is_empty()).map(|v| v.parse().expect("a number"))
}

/// Runs what the environment and the arguments ask for. Arguments are names of scenarios or parts of them.
pub(crate) fn main(scenarios: &'static [Scenario]) -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    if std::env::args().any(|a| a == "--list") {
        scenarios.iter().for_each(|s| println!("{}: test", s.name));
        return ExitCode::SUCCESS;
    }
    if std::env::var_os("SIM_SKIP").is_some() {
        println!("worlds are for `make sim`, which optimises them");
        return ExitCode::SUCCESS;
    }
    let chosen = std::env::var("SCENARIO").unwrap_or_default();
    let wanted = |s: &&Scenario| {
        (chosen.is_empty() || s.name == chosen)
            && (args.is_empty() || args.iter().any(|a| s.name.contains(a)))
    };
    let mut queue = VecDeque::new();
    for scenario in scenarios.iter().filter(wanted) {
        match number("SEED") {
            Some(seed) => queue.push_back((scenario, seed)),
            None => {
                // Some are run by name alone.
                let usual = if chosen.is_empty() { scenario.seeds } else { scenario.seeds.max(1) };
                let seeds = match number("SEEDS") {
                    Some(_) if usual == 0 => 0,
                    Some(seeds) => seeds,
                    None => usual,
                };
                queue.extend((1..=seeds).map(|seed| (scenario, seed)));
            }
        }
    }
    if queue.is_empty() {
        let names: Vec<&str> = scenarios.iter().map(|s| s.name).collect();
        eprintln!("no such scenario; there are: {}", names.join(", "));
        return ExitCode::FAILURE;
    }
    if std::env::var_os("RUST_LOG").is_some() {
        use tracing_subscriber::layer::SubscriberExt as _;
        use tracing_subscriber::util::SubscriberInitExt as _;
        let filter = std::env::var("RUST_LOG").unwrap_or_default();
        let filter: tracing_subscriber::filter::Targets = filter.parse().expect("RUST_LOG is a filter");
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    }
    report(&run_all(queue))
}

fn run_all(queue: VecDeque<(&'static Scenario, u64)>) -> Vec<Done> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let jobs = number("SIM_JOBS").map_or(cores, |n| usize::try_from(n).expect("few")).clamp(1, queue.len());
    let (queue, done) = (Mutex::new(queue), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            let worker = std::thread::Builder::new().stack_size(8 << 20);
            let work = || {
                while let Some((scenario, seed)) = { queue.lock().expect("no panic here").pop_front() } {
                    let result = run_one(scenario, seed);
                    done.lock().expect("no panic here").push(result);
                }
            };
            worker.spawn_scoped(scope, work).expect("a thread");
        }
    });
    done.into_inner().expect("no panic here")
}

#[allow(clippy::disallowed_methods, reason = "wall time of a run, outside of any world")]
fn run_one(scenario: &'static Scenario, seed: u64) -> Done {
    let start = Instant::now();
    let caught = catch_unwind(AssertUnwindSafe(|| (scenario.run)(seed)));
    let result = caught.map_err(|cause| match cause.downcast::<String>() {
        Ok(text) => *text,
        Err(cause) => cause.downcast::<&str>().map_or("a panic".into(), |t| (*t).to_owned()),
    });
    let done = Done { name: scenario.name, seed, took: start.elapsed(), result };
    let seconds = done.took.as_secs_f64();
    match &done.result {
        Ok(figures) => println!("ok    {:<16} seed {:<6} {seconds:7.1} s  {figures}", done.name, done.seed),
        Err(why) => println!("FAIL  {:<16} seed {:<6} {seconds:7.1} s  {why}", done.name, done.seed),
    }
    done
}

/// Network time in minutes, with which figures begin that have it.
fn minutes(done: &Done) -> Option<f64> {
    done.result.as_ref().ok()?.trim_start().split_once(" min")?.0.parse().ok()
}

/// One line for each scenario.
fn table(all: &[Done]) {
    println!(
        "{:<16} {:>5} {:>14} {:>12} {:>9}  result",
        "scenario", "seeds", "network, min", "wall, s", "longest"
    );
    let mut names: Vec<&str> = all.iter().map(|d| d.name).collect();
    names.dedup();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let of: Vec<&Done> = all.iter().filter(|d| d.name == name).collect();
        let network: f64 = of.iter().filter_map(|d| minutes(d)).sum();
        let wall: f64 = of.iter().map(|d| d.took.as_secs_f64()).sum();
        let longest = of.iter().map(|d| d.took.as_secs_f64()).fold(0.0, f64::max);
        let failed = of.iter().filter(|d| d.result.is_err()).count();
        let result = if failed == 0 { "ok".to_owned() } else { format!("{failed} failed") };
        println!("{name:<16} {:>5} {network:>14.1} {wall:>12.1} {longest:>9.1}  {result}", of.len());
    }
}

fn report(all: &[Done]) -> ExitCode {
    table(all);
    let failed: Vec<&Done> = all.iter().filter(|d| d.result.is_err()).collect();
    println!("{} worlds, {} failed", all.len(), failed.len());
    for done in &failed {
        println!("repeat with: make sim SCENARIO={} SEED={}", done.name, done.seed);
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
