// SPDX-License-Identifier: MIT
//! Routers that keep none of the rules: they lose everything, or lie about what they store.

use std::time::Duration;

use samovar::sim::{Answers, Builds, Node, Stores};

use super::kit::{BuildCount, Plan, Stage, play};
use super::ledger::Talk;

/// Two of ten routers stay connected and lose whatever is not for their own sake. After five minutes the others must
/// succeed with 70 % of the builds that succeed in a healthy network, and streams must work.
pub(crate) fn droppers(seed: u64) -> String {
    play(seed, Plan::of(10), async |stage: Stage| {
        let healthy = BuildCount::of(&stage.nodes);
        let (bad, good) = stage.nodes.split_at(2);
        for node in bad {
            let misdeeds = node.misdeeds();
            misdeeds.lose_transit(1000);
            misdeeds.builds(Builds::Ignore);
            misdeeds.answers(Answers::Ignore);
            misdeeds.stores(Stores::Ignore);
        }
        let sessions = stage.sessions([3, 5, 7]).await;
        stage.ledger.call(&sessions[0], &sessions[1], Talk::of(20_000, 5_000).over(Duration::from_secs(120)));
        stage.seconds(300).await;
        let before = BuildCount::of(good);
        stage.ledger.call(&sessions[1], &sessions[2], Talk::of(20_000, 5_000).over(Duration::from_secs(150)));
        stage.ledger.call(&sessions[2], &sessions[0], Talk::of(20_000, 20_000));
        // Every tunnel is replaced once in this time; those that stand are not built anew before.
        stage.seconds(660).await;
        let after = BuildCount::of(good).since(before);
        let (base, now) = (healthy.percent(), after.percent());
        assert!(after.ended >= 20, "too few builds to judge: {after:?}");
        assert!(
            now * 100 >= base * 70,
            "{now} % of builds succeed beside bad peers, {base} % in health: {after:?}"
        );
        stage.all_through().await;
        format!("{base} % of builds in health, {now} % beside bad peers")
    })
}

/// Half of the floodfills confirm what they are given, forget it, and deny everything, naming routers that do not
/// exist. Nine of ten first calls to a destination must find it, and each within a minute.
pub(crate) fn liars(seed: u64) -> String {
    play(seed, Plan::of(12), async |stage: Stage| {
        let liars: Vec<&Node> = stage.nodes.iter().step_by(4).collect();
        for node in &liars {
            node.misdeeds().answers(Answers::Deny);
            node.misdeeds().stores(Stores::Forget);
        }
        let sessions = stage.sessions([1, 3, 5, 7, 9]).await;
        let start = stage.world.now();
        let mut calls = 0;
        for from in &sessions {
            for to in sessions.iter().filter(|to| to.destination() != from.destination()) {
                stage.ledger.call(from, to, Talk::of(1_000, 1_000));
                calls += 1;
            }
        }
        let tally = stage.settle().await;
        assert!(tally.through * 10 >= calls * 9, "{tally:?}: {}", stage.ledger.failures().join("; "));
        let took = stage.world.now() - start;
        assert!(took < Duration::from_secs(60), "the last was found after {took:?}");
        format!("{} of {calls} calls found their destination, {} liars", tally.through, liars.len())
    })
}
