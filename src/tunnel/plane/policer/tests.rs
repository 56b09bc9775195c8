// SPDX-License-Identifier: MIT
use super::*;
use std::time::Duration;

const CELL: usize = 1_028;

/// Offers `offered` cells a second of each tunnel for `seconds`, in steps of a millisecond, and answers what passed.
fn run(policer: &mut Policer, offered: &[u64], seconds: u64) -> Vec<u64> {
    let mut shares = vec![Share::default(); offered.len()];
    let mut passed = vec![0; offered.len()];
    for ms in 0..seconds * 1_000 {
        let now = Mono::from_secs(10).after(Duration::from_millis(ms));
        for (at, rate) in offered.iter().enumerate() {
            // Spread over the second, each tunnel at its own phase.
            let before = (ms + at as u64 * 7) * rate / 1_000;
            let after = (ms + 1 + at as u64 * 7) * rate / 1_000;
            for _ in before..after {
                passed[at] += u64::from(policer.take(now, &mut shares[at], CELL));
            }
        }
    }
    passed
}

#[test]
fn t6_one_hog_costs_fifty_normal_tunnels_next_to_nothing() {
    let mut policer = Policer::new(Some(1_000 * CELL as u32));
    let mut offered = vec![10; 50];
    offered.push(5_000);
    let passed = run(&mut policer, &offered, 20);
    let (hog, normal) = (passed[50], passed[..50].iter().sum::<u64>());
    assert!(normal * 100 >= 50 * 10 * 20 * 90, "normal tunnels kept {normal} of 10000");
    assert!(hog + normal <= 1_000 * 21, "the limit holds: {}", hog + normal);
    assert!(hog + normal >= 1_000 * 20 / 2, "and is used: {}", hog + normal);
}

#[test]
fn t6_the_limit_holds_exactly_and_one_byte_more_does_not_pass() {
    let mut policer = Policer::new(Some(10_280));
    let now = Mono::from_secs(5);
    let mut shares = [Share::default(); 3];
    let passed: u64 = (0..30).map(|i| u64::from(policer.take(now, &mut shares[i % 3], CELL))).sum();
    assert_eq!(passed, 10, "a bucket of one second");
    assert!(!policer.take(now, &mut shares[0], 1));
    assert!(policer.take(Mono::from_secs(6), &mut shares[0], CELL));
}

#[test]
fn t6_without_a_limit_everything_passes() {
    let mut policer = Policer::new(None);
    let mut share = Share::default();
    assert!((0..100_000).all(|_| policer.take(Mono::from_secs(1), &mut share, 60_000)));
    assert_eq!(policer.load_percent(Mono::from_secs(30)), 0);
}

#[test]
fn t4_load_is_the_average_share_of_the_limit() {
    let mut policer = Policer::new(Some(1_000 * CELL as u32));
    run(&mut policer, &[700], 120);
    let end = Mono::from_secs(130);
    assert!((68..=70).contains(&policer.load_percent(end)), "{}", policer.load_percent(end));
    assert_eq!(policer.load_percent(Mono::from_secs(1_000)), 0, "silence is no load");
}
