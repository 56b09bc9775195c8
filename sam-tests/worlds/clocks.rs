// SPDX-License-Identifier: MIT
//! Clocks that jump and machines that sleep.

use std::time::Duration;

use super::kit::{Plan, Stage, play};
use super::ledger::Talk;

/// A machine's clock jumps and stays wrong. Streams of others do not notice; the router finds the time by its peers,
/// and its own traffic is back after a minute. Then the clock is set right again, with the same demand.
fn jump(seed: u64, ms: i64) -> String {
    let ms = if seed.is_multiple_of(2) { -ms } else { ms };
    play(seed, Plan::of(8).faults(), async move |stage: Stage| {
        let sessions = stage.sessions([1, 3, 5]).await;
        let (odd, a, b) = (&sessions[0], &sessions[1], &sessions[2]);
        let others = stage.ledger.call(a, b, Talk::of(20_000, 20_000).over(Duration::from_secs(220)));
        let own = stage.ledger.call(odd, a, Talk::of(20_000, 20_000).over(Duration::from_secs(220)));
        stage.seconds(20).await;
        let known = stage.nodes[1].counter("netdb", "routers_known");
        for jump in [ms, -ms] {
            stage.nodes[1].jump_clock(jump);
            stage.seconds(60).await;
            let left = stage.nodes[1].counter("netdb", "routers_known");
            assert!(
                left * 10 >= known * 9,
                "{left} of {known} routers are still known after a jump of {jump} ms"
            );
            let calls = [
                stage.ledger.call(odd, b, Talk::of(3_000, 3_000)),
                stage.ledger.call(b, odd, Talk::of(3_000, 3_000)),
            ];
            stage.seconds(45).await;
            stage.ledger.must(&calls, "a call a minute after the jump");
        }
        stage.settle().await;
        stage.ledger.must(&[others], "a stream of routers with right clocks");
        stage.ledger.must(&[own], "a stream of the router whose clock jumped");
        format!("jumps of {} s", ms / 1000)
    })
}

pub(crate) fn hour(seed: u64) -> String {
    jump(seed, 3_600_000)
}

pub(crate) fn day(seed: u64) -> String {
    jump(seed, 86_400_000)
}

/// A laptop sleeps for two hours. Its streams may be dead, which both ends then know; a minute after it wakes it can
/// call and be called. Monotonic clocks stand still meanwhile, or go on, as the seed has it.
pub(crate) fn suspend(seed: u64) -> String {
    play(seed, Plan::of(8).faults(), async move |stage: Stage| {
        let sessions = stage.sessions([1, 3, 5]).await;
        let (sleeper, a, b) = (&sessions[0], &sessions[1], &sessions[2]);
        let long = Talk::of(20_000, 20_000).over(Duration::from_secs(120));
        stage.ledger.call(sleeper, a, long);
        stage.ledger.call(b, sleeper, long);
        stage.seconds(30).await;
        stage.nodes.iter().for_each(|n| n.change_setup(|setup| setup.counts_sleep = seed % 4 >= 2));
        stage.nodes[1].suspend();
        // Every tenth seed keeps the rest of the network awake; in the others all of it sleeps, as on one machine.
        let awake = seed % 10 == 1;
        let others = awake.then(|| stage.ledger.call(a, b, long));
        let asleep: Vec<_> = stage.nodes.iter().filter(|n| !awake && n.index() != 1).collect();
        asleep.iter().for_each(|n| n.suspend());
        stage.seconds(7200).await;
        asleep.iter().for_each(|n| n.resume());
        stage.nodes[1].resume();
        stage.seconds(60).await;
        let short = Talk::of(5_000, 5_000);
        let calls = [stage.ledger.call(sleeper, b, short), stage.ledger.call(a, sleeper, short)];
        let tally = stage.settle().await;
        stage.ledger.must(others.as_slice(), "a stream of routers that were awake");
        stage.ledger.must(&calls, "a call a minute after waking");
        format!("{} of {} streams lived", tally.through, tally.talks)
    })
}
