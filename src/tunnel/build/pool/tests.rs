// SPDX-License-Identifier: MIT
use super::*;

fn side(length: u8, quantity: u8) -> Side {
    Side::new(PoolSide { length, variance: 0, quantity, backup: 0 })
}

fn tunnel(n: u32, created: Mono) -> Tunnel {
    let (expires, replace) =
        (created.after(Duration::from_secs(600)), created.after(Duration::from_secs(500)));
    Tunnel::new(
        TunnelKey::Receive(TunnelId(n)),
        TunnelId(n),
        vec![RouterHash([1; 32])],
        created,
        expires,
        replace,
    )
}

const fn at(s: u64) -> Mono {
    Mono::from_secs(s)
}

#[test]
fn an_empty_side_wants_all_at_once_and_at_least_two() {
    let limits = Limits::default();
    assert_eq!(side(3, 1).wanted(at(0), &limits), 2);
    assert_eq!(side(3, 3).wanted(at(0), &limits), 3);
    assert_eq!(side(3, 16).wanted(at(0), &limits), 4, "four at a time");
    assert_eq!(side(0, 1).wanted(at(0), &limits), 1, "no race where there is nothing to win");
}

#[test]
fn builds_that_take_long_get_company() {
    let limits = Limits::default();
    let mut side = side(3, 1);
    (1..=2).for_each(|n| side.started(at(1), MessageId(n)));
    assert_eq!(side.wanted(at(2), &limits), 0);
    assert_eq!(side.next_deadline(at(2), &limits), Mono::from_millis(2_500));
    assert_eq!(side.wanted(at(4), &limits), 2);
    (3..=4).for_each(|n| side.started(at(4), MessageId(n)));
    assert_eq!(side.wanted(at(9), &limits), 0, "four at most");
    side.add(tunnel(1, at(4)));
    assert!(side.landed(MessageId(1)) && !side.landed(MessageId(1)));
    assert_eq!(side.wanted(at(9), &limits), 0, "with a tunnel there is no hurry");
}

#[test]
fn successors_are_built_before_the_end() {
    let limits = Limits::default();
    let mut side = side(2, 1);
    side.add(tunnel(1, at(0)));
    assert_eq!((side.wanted(at(499), &limits), side.next_deadline(at(1), &limits)), (0, at(500)));
    assert_eq!(side.wanted(at(500), &limits), 1);
    side.started(at(500), MessageId(1));
    side.landed(MessageId(1));
    side.add(tunnel(2, at(500)));
    assert!(side.prune(at(599)).is_empty());
    assert_eq!(side.prune(at(600)).len(), 1);
}

#[test]
fn pauses_grow_with_failures_and_end_with_success() {
    let limits = Limits::default();
    let mut rng = Rng::from_seed(1);
    let mut side = side(2, 1);
    let mut pauses = Vec::new();
    for _ in 0..12 {
        side.fail(at(10), &mut rng, BuildFailure::TimedOut);
        pauses.push(side.retry_at.since(at(10)));
    }
    assert_eq!(pauses[..2], [Duration::ZERO; 2], "the first failures cost nothing");
    assert!(pauses[2] >= Duration::from_millis(187) && pauses[2] <= Duration::from_millis(313));
    assert!(pauses[11] >= Duration::from_millis(11_250) && pauses[11] <= Duration::from_millis(18_750));
    assert!(side.is_careful(at(10), &limits));
    assert_eq!(side.wanted(at(10), &limits), 0);
    side.add(tunnel(1, at(10)));
    assert_eq!((side.retry_at, side.is_careful(at(10), &limits)), (Mono(0), false));
}

#[test]
fn a_starved_side_tries_again_when_woken() {
    let limits = Limits::default();
    let mut rng = Rng::from_seed(2);
    let mut side = side(2, 1);
    side.fail(at(10), &mut rng, BuildFailure::NoPath);
    assert_eq!((side.wanted(at(10), &limits), side.next_deadline(at(10), &limits)), (0, at(11)));
    side.wake();
    assert_eq!(side.wanted(at(10), &limits), 2);
    side.fail(at(10), &mut rng, BuildFailure::TimedOut);
    assert!(!side.is_careful(at(10), &limits), "want of a path is no failure of the network");
}

#[test]
fn a_side_without_tunnels_is_careful_once_its_first_builds_are_not_answered() {
    let limits = Limits::default();
    let mut side = side(2, 1);
    side.started(at(10), MessageId(1));
    assert!(!side.is_careful(at(11), &limits));
    assert!(side.is_careful(at(12), &limits));
    side.add(tunnel(1, at(12)));
    assert!(!side.is_careful(at(12), &limits), "with a tunnel there is no hurry");
}

#[test]
fn two_missed_tests_break_a_tunnel_and_one_success_mends_it() {
    let mut side = side(2, 2);
    side.add(tunnel(1, at(0)));
    let key = TunnelKey::Receive(TunnelId(1));
    assert!(!side.tested(key, false));
    assert!(side.tested(key, false), "broken now");
    assert!(!side.tested(key, false), "told once");
    assert!(side.prune(at(1)).is_empty() && !side.is_live(), "kept: there is no other");
    assert!(!side.tested(key, true));
    assert!(side.is_live());
    assert!(!side.tested(key, false) && side.tested(key, false));
    side.add(tunnel(2, at(1)));
    assert_eq!(side.prune(at(2)).len(), 1);
    assert_eq!(side.tunnels.len(), 1);
    assert!(!side.tested(key, true), "unknown tunnels do not matter");
}

#[test]
fn lengths_stay_in_their_bounds() {
    let mut rng = Rng::from_seed(3);
    for (length, variance, low, high) in
        [(3, 0, 3, 3), (3, 2, 3, 5), (3, -2, 1, 5), (1, -3, 1, 4), (7, 3, 7, 7), (0, 0, 0, 0), (0, 2, 0, 2)]
    {
        let side = Side::new(PoolSide { length, variance, quantity: 1, backup: 0 });
        let drawn: Vec<usize> = (0..200).map(|_| side.draw_length(&mut rng)).collect();
        assert_eq!(
            (drawn.iter().min(), drawn.iter().max()),
            (Some(&low), Some(&high)),
            "{length} {variance}"
        );
    }
}

#[test]
fn reports_read_as_reasons() {
    let mut rng = Rng::from_seed(4);
    let mut pool = Pool::new(PoolId(1), PoolConfig::CLIENT, Vec::new(), &mut rng);
    (0..14).for_each(|n| pool.outbound.started(at(1), MessageId(n)));
    (0..3).for_each(|_| pool.outbound.fail(at(1), &mut rng, BuildFailure::TimedOut));
    pool.inbound.add(tunnel(1, at(1)));
    assert_eq!(
        pool.report().to_string(),
        "no outbound tunnel: 0 of 14 builds succeeded, 3 unanswered, 14 under way, last: timed out"
    );
    pool.outbound.add(tunnel(2, at(1)));
    assert_eq!(pool.report().to_string(), "ready");
    assert_eq!(
        PoolReport::default().to_string(),
        "no outbound tunnel: 0 of 0 builds succeeded; no inbound tunnel: 0 of 0 builds succeeded"
    );
}
