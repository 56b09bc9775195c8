// SPDX-License-Identifier: MIT
//! An honest router that links to the victim again and again: how long that takes, and how often it fails.

use crate::Args;
use crate::linked::Attacker;
use crate::pace::Report;
use anyhow::Result;
use samovar::base::Rng;
use std::time::Duration;
use tokio::time::{Instant, sleep};

pub async fn run(args: &Args) -> Result<Report> {
    let (victim, mut rng) = (args.victim()?, Rng::from_os()?);
    args.ready()?;
    let end = Instant::now() + Duration::from_secs_f64(args.seconds);
    let (mut times, mut failed, mut n) = (Vec::new(), 0, 0);
    while Instant::now() < end {
        let mut router = Attacker::new(args, &mut rng, n).await?;
        n += 1;
        let begun = Instant::now();
        match router.link(&victim.info).await {
            Ok(()) => times.push(begun.elapsed().as_secs_f64() * 1_000.0),
            Err(_) => failed += 1,
        }
        router.stop().await;
        sleep(Duration::from_millis(500)).await;
    }
    times.sort_by(f64::total_cmp);
    let at = |part: f64| {
        times.get(((times.len() as f64 * part) as usize).min(times.len().saturating_sub(1))).copied()
    };
    let mut report = Report::default();
    report.count("linked", times.len() as u64);
    report.count("failed", failed);
    report.add("p50_ms", at(0.5).unwrap_or(-1.0));
    report.add("p95_ms", at(0.95).unwrap_or(-1.0));
    report.add("most_ms", times.last().copied().unwrap_or(-1.0));
    Ok(report)
}
