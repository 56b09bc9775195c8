// SPDX-License-Identifier: MIT
use super::*;
use crate::netdb::testing::at;

fn router(n: u32) -> RouterHash {
    RouterHash(crate::crypto::sha256(&[&n.to_be_bytes()]))
}

fn profiles() -> Profiles {
    Profiles::new(&mut Rng::from_seed(1))
}

const HOUR: u64 = 3_600_000;

#[test]
fn capacity_grows_with_agreement_and_losses_weigh_more_than_refusals() {
    let mut p = profiles();
    for _ in 0..2 {
        p.report(at(0), router(2), Report::BuildRejected);
        p.report(at(0), router(3), Report::BuildTimedOut { hops: 1 });
    }
    for _ in 0..4 {
        p.report(at(0), router(1), Report::BuildAgreed);
        p.report(at(0), router(2), Report::BuildAgreed);
        p.report(at(0), router(3), Report::BuildAgreed);
    }
    let capacity = |n| p.standing(&router(n)).capacity;
    assert!(capacity(1) > capacity(2) && capacity(2) > capacity(3) && capacity(3) > capacity(99));
    assert!((capacity(99) - 0.5).abs() < 1e-6, "the unknown are neither good nor bad");
}

#[test]
fn losses_in_a_row_weigh_more_than_old_fame_for_a_while() {
    let mut p = profiles();
    for _ in 0..4 {
        p.report(at(0), router(1), Report::BuildAgreed);
    }
    for _ in 0..4 {
        p.report(at(1_000), router(1), Report::BuildTimedOut { hops: 2 });
    }
    let capacity = |p: &Profiles| p.standing(&router(1)).capacity;
    assert!(capacity(&p) < 0.4, "it has changed: {}", capacity(&p));
    let mut later = profiles();
    later.load(&p.save());
    assert!(capacity(&later) > 1.0, "what was in a row is not saved");
    p.report(at(HOUR), router(1), Report::TestPassed { rtt_ms: 10 });
    assert!(capacity(&p) > 1.0, "it gets another chance: {}", capacity(&p));
    for _ in 0..4 {
        p.report(at(HOUR), router(1), Report::BuildTimedOut { hops: 2 });
    }
    p.report(at(HOUR), router(1), Report::BuildAgreed);
    assert!(capacity(&p) > 1.0, "and agreeing ends the row: {}", capacity(&p));
}

#[test]
fn who_lost_in_a_row_is_named_while_that_fades() {
    let mut p = profiles();
    for _ in 0..4 {
        p.report(at(0), router(1), Report::BuildAgreed);
    }
    p.rank(at(1_000));
    for _ in 0..4 {
        p.report(at(1_000), router(1), Report::BuildTimedOut { hops: 2 });
    }
    p.rank(at(1_000));
    assert_eq!(p.rank(at(46_000)), [], "nothing has changed");
    assert_eq!(p.rank(at(300_000)), [router(1)], "it is less bad than it was");
    assert_eq!(p.rank(at(345_000)), [], "and that was said");
    let named = (0..80u64).filter(|n| !p.rank(at(345_000 + n * 45_000)).is_empty()).count();
    assert!((5..30).contains(&named), "at each step that matters, not each time: {named}");
}

#[test]
fn tiers_follow_capacity_and_speed() {
    let mut p = profiles();
    for n in 0..40 {
        for _ in 0..=n {
            p.report(at(0), router(n), Report::BuildAgreed);
        }
        p.report(at(0), router(n), Report::TestPassed { rtt_ms: 1_000 - 20 * n });
    }
    for _ in 0..10 {
        p.report(at(0), router(100), Report::BuildRejected);
    }
    p.rank(at(0));
    let tier = |n| p.standing(&router(n)).tier;
    assert_eq!((tier(0), tier(39), tier(100)), (Tier::Standard, Tier::Fast, Tier::Failing));
    let count = |t| (0..40).filter(|n| tier(*n) == t).count();
    assert!(
        count(Tier::Fast) >= 5 && count(Tier::HighCapacity) >= 5,
        "{} {}",
        count(Tier::Fast),
        count(Tier::HighCapacity)
    );
    assert!(p.rank(at(0)).is_empty(), "ranking twice changes nothing");
}

#[test]
fn time_heals_and_fame_fades() {
    let mut p = profiles();
    for _ in 0..8 {
        p.report(at(0), router(1), Report::BuildRejected);
        p.report(at(0), router(2), Report::BuildAgreed);
    }
    let now = p.standing(&router(2)).capacity;
    assert_eq!(p.standing(&router(1)).tier, Tier::Failing);
    p.rank(at(24 * HOUR));
    assert_eq!(p.standing(&router(1)).tier, Tier::Standard);
    assert!(p.standing(&router(2)).capacity < now / 2.0);
}

#[test]
fn a_refusal_and_a_failed_dial_mean_a_rest() {
    let mut p = profiles();
    let now = at(0);
    p.report(now, router(1), Report::BuildRejected);
    p.report(now, router(1), Report::DialFailed);
    let s = p.standing(&router(1));
    assert_eq!(s.rest_until_ms, now.wall_ms + 20_000);
    assert_eq!(s.unreachable_until_ms, now.wall_ms + 480_000);
    p.report(now, router(1), Report::Connected);
    p.report(now, router(1), Report::BuildAgreed);
    let s = p.standing(&router(1));
    assert_eq!((s.rest_until_ms, s.unreachable_until_ms), (0, 0));
}

#[test]
fn the_table_is_bounded_and_keeps_the_experienced() {
    let mut p = profiles();
    p.limit = 100;
    for _ in 0..5 {
        p.report(at(0), router(0), Report::BuildAgreed);
    }
    for n in 1..1_000 {
        p.report(at(0), router(n), Report::DialFailed);
        assert!(p.len() <= 100);
    }
    assert!(p.standing(&router(0)).capacity > 1.0);
}

#[test]
fn profiles_survive_a_restart_and_rubbish_is_skipped() {
    let mut p = profiles();
    for n in 0..5 {
        for _ in 0..=n {
            p.report(at(0), router(n), Report::BuildAgreed);
        }
        p.report(at(0), router(n), Report::TestPassed { rtt_ms: 120 });
    }
    let text = p.save();
    let mut q = profiles();
    assert_eq!(q.load(&text), 5);
    for n in 0..5 {
        let (a, b) = (p.standing(&router(n)), q.standing(&router(n)));
        assert!((a.capacity - b.capacity).abs() < 0.01 && (a.speed - b.speed).abs() < 0.01);
        assert!(b.contacted);
    }
    let mut r = profiles();
    assert_eq!(r.load("something else\n1 2 3"), 0);
    let spoiled = text.replace(" 120.0 ", " NaN ").replacen("1.00", "-1e99", 1) + "\nend of file";
    assert_eq!(r.load(&spoiled), 0);
}
