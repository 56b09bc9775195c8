// SPDX-License-Identifier: MIT
//! Routers that a session depends on lose power, all of one kind at once, while streams are busy.

use std::collections::BTreeSet;
use std::time::Duration;

use samovar::destination::Session;
use samovar::sim::{Crash, Node};

use super::kit::{Plan, Stage, play};
use super::ledger::Talk;

/// Time over which the streams are spread; the deaths come after a quarter of it.
const LONG: Duration = Duration::from_secs(160);

/// Routers that stand at one end of a session's tunnels: the gateways of the inbound ones or the endpoints of the
/// outbound ones. Where that is a router with a session, the next hop.
async fn ends(stage: &Stage, session: &Session, inbound: bool) -> Vec<Node> {
    let status = session.status().await.expect("the session lives");
    let tunnels = if inbound { status.inbound } else { status.outbound };
    let homes = [1, 3].map(|i| stage.nodes[i].router().hash().to_string());
    let mut names = BTreeSet::new();
    for (mut hops, _) in tunnels {
        if !inbound {
            hops.reverse();
        }
        names.extend(hops.into_iter().find(|hop| !homes.contains(hop)));
    }
    stage
        .nodes
        .iter()
        .filter(|n| n.running().is_some_and(|r| names.contains(&r.hash().to_string())))
        .cloned()
        .collect()
}

/// Kills these and lets two streams live through it; those that come back do so after a minute.
async fn killing(stage: &Stage, sessions: &[Session], victims: impl AsyncFnOnce() -> Vec<Node>) -> String {
    let (server, client) = (&sessions[0], &sessions[1]);
    stage.ledger.call(client, server, Talk::of(40_000, 40_000).over(LONG));
    stage.ledger.call(server, client, Talk::of(30_000, 2_000).over(LONG));
    stage.world.sleep(LONG / 4).await;
    let victims = victims().await;
    assert!(!victims.is_empty(), "nobody to kill");
    for node in &victims {
        node.crash(Crash::Power).await;
    }
    stage.seconds(60).await;
    for node in &victims {
        node.start().await.expect("starts again");
    }
    let tally = stage.all_through().await;
    // New streams find each other as well.
    stage.ledger.call(client, server, Talk::of(5_000, 5_000));
    stage.all_through().await;
    format!("{} died, {} streams lived", victims.len(), tally.through)
}

fn plan() -> Plan {
    // What was on its way to the dead counts as sent and never as received.
    Plan::of(11).faults()
}

pub(crate) fn gateways(seed: u64) -> String {
    play(seed, plan(), async |stage: Stage| {
        let sessions = stage.sessions([1, 3]).await;
        let of = &sessions[0];
        killing(&stage, &sessions, async || others(ends(&stage, of, true).await)).await
    })
}

pub(crate) fn endpoints(seed: u64) -> String {
    play(seed, plan(), async |stage: Stage| {
        let sessions = stage.sessions([1, 3]).await;
        let of = &sessions[0];
        killing(&stage, &sessions, async || others(ends(&stage, of, false).await)).await
    })
}

pub(crate) fn floodfills(seed: u64) -> String {
    play(seed, plan(), async |stage: Stage| {
        let sessions = stage.sessions([1, 3]).await;
        killing(&stage, &sessions, async || {
            let keeps = |n: &&Node| n.counter("netdb", "lease_sets_kept") > 0;
            others(stage.nodes.iter().filter(keeps).cloned().collect())
        })
        .await
    })
}

/// The routers of the sessions themselves live on.
fn others(mut nodes: Vec<Node>) -> Vec<Node> {
    nodes.retain(|n| n.index() != 1 && n.index() != 3);
    nodes
}
