// SPDX-License-Identifier: MIT
//! The budget at its limits and one beyond, and that nothing held means zero.

use super::{Account, Ask, Budget, GRAIN, Part};
use crate::base::Rng;

/// Fills a budget of 100 pages of 10,000 bytes with `bytes`.
fn filled(bytes: usize) -> (Budget, super::Charge) {
    filled_by(Part::NetDb, bytes)
}

fn filled_by(part: Part, bytes: usize) -> (Budget, super::Charge) {
    let budget = Budget::new(1_000_000);
    let charge = budget.charge(part, bytes);
    (budget, charge)
}

#[test]
fn z3_each_class_is_given_up_at_its_limit_and_not_before() {
    let limits = [
        (Ask::TransitTunnel, 800_000),
        (Ask::Keeping, 800_000),
        (Ask::TransitBuild, 950_000),
        (Ask::TransitData, 960_000),
        (Ask::Exploration, 970_000),
        (Ask::Datagram, 980_000),
    ];
    for (ask, limit) in limits {
        assert!(filled(limit - 1).0.allows(ask), "{ask:?}");
        let (budget, charge) = filled(limit);
        assert!(!budget.allows(ask), "{ask:?}");
        let refused: u64 =
            budget.snapshot().iter().filter(|(name, _)| name.starts_with("refused_")).map(|(_, n)| n).sum();
        assert_eq!(refused, 1);
        drop(charge);
        assert!(budget.allows(ask), "{ask:?} after the memory was given back");
    }
}

#[test]
fn z3_own_streams_shrink_and_are_never_refused() {
    let share = |bytes| filled(bytes).0.share(512 * 1024, 16 * 1024);
    assert_eq!(share(799_999), 512 * 1024);
    assert_eq!(share(800_000), 512 * 1024);
    let half = share(890_000);
    assert!((260_000..280_000).contains(&half), "{half}");
    for beyond in [980_000, 1_000_000, 1_000_001, 3_000_000] {
        assert_eq!(share(beyond), 16 * 1024);
    }
    assert_eq!(filled(1_000_000).0.share(1000, 16 * 1024), 1000, "what is small stays as it is");
}

#[test]
fn z3_streams_leave_a_quarter_to_the_others() {
    let share = |bytes| filled_by(Part::Streams, bytes).0.share(512 * 1024, 16 * 1024);
    assert_eq!((share(550_000), share(550_001) < 512 * 1024), (512 * 1024, true));
    assert!(share(729_999) > 16 * 1024);
    assert_eq!(share(730_000), 16 * 1024);
    // What others hold counts only beyond that quarter.
    let (budget, _streams) = filled_by(Part::Streams, 600_000);
    let alone = budget.share(512 * 1024, 16 * 1024);
    let _others = budget.charge(Part::Sam, 250_000);
    assert_eq!(budget.share(512 * 1024, 16 * 1024), alone);
    let _more = budget.charge(Part::Sam, 50_000);
    assert!(budget.share(512 * 1024, 16 * 1024) < alone);
}

#[test]
fn z3_accounts_report_in_grains_and_give_everything_back() {
    let budget = Budget::new(1_000_000);
    let mut account = budget.account(Part::Sam);
    account.set(GRAIN - 1);
    assert_eq!(budget.used(), 0);
    account.set(GRAIN);
    assert_eq!((budget.used(), budget.used_by(Part::Sam)), (GRAIN as u64, GRAIN as u64));
    account.swap(GRAIN, 1);
    assert_eq!(budget.used(), GRAIN as u64, "one byte off a grain is not worth a word");
    account.set(0);
    assert_eq!(budget.used(), 0);
    account.set(10 * GRAIN);
    drop(account);
    assert_eq!((budget.used(), budget.used_by(Part::Sam)), (0, 0));
}

#[test]
fn z3_the_parts_sum_to_the_whole_at_any_time() {
    let budget = Budget::new(u64::MAX);
    let mut rng = Rng::from_seed(3);
    let mut accounts: Vec<Account> = Part::ALL.iter().map(|part| budget.account(*part)).collect();
    let mut charges = Vec::new();
    for _ in 0..20_000 {
        match rng.below(4) {
            0 => charges.push(budget.charge(Part::ALL[rng.index(Part::ALL.len())], rng.index(5000))),
            1 if !charges.is_empty() => drop(charges.swap_remove(rng.index(charges.len()))),
            _ => {
                let at = rng.index(accounts.len());
                accounts[at].set(rng.index(100_000));
            }
        }
        assert_eq!(Part::ALL.map(|part| budget.used_by(part)).iter().sum::<u64>(), budget.used());
        let held: usize = accounts.iter().map(Account::held).sum();
        let charged: u64 = charges.iter().map(|c| c.bytes).sum();
        let off = budget.used().abs_diff(held as u64 + charged);
        assert!(off < (GRAIN * accounts.len()) as u64, "{off} bytes off");
    }
    drop((accounts, charges));
    assert_eq!(budget.used(), 0);
    assert!(budget.snapshot().iter().any(|(name, peak)| *name == "peak" && *peak > 0));
}

#[test]
fn z3_threads_lose_no_byte() {
    let budget = Budget::new(1 << 30);
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let budget = budget.clone();
            scope.spawn(move || {
                let mut rng = Rng::from_seed(seed);
                let mut account = budget.account(Part::Tunnels);
                for _ in 0..20_000 {
                    account.set(rng.index(1 << 20));
                    drop(budget.charge(Part::Datagrams, rng.index(2000)));
                }
            });
        }
    });
    assert_eq!(budget.used(), 0);
}
