// SPDX-License-Identifier: MIT
//! The network itself changes: it parts and comes together, machines move, come and go.

use std::net::IpAddr;
use std::time::Duration;

use samovar::sim::{Crash, Nat, RouterSetup};

use super::kit::{Plan, Stage, play};
use super::ledger::Talk;

/// Two halves cannot reach each other for five minutes. Streams within a half live; those across fail or live, and
/// know it. Half a minute after the end calls across work again.
pub(crate) fn partition(seed: u64) -> String {
    play(seed, Plan::of(12).faults(), async |stage: Stage| {
        let (west, east) = stage.nodes.split_at(6);
        let (w, e) = (stage.sessions([1, 3]).await, stage.sessions([7, 9]).await);
        let across = Talk::of(20_000, 20_000).over(Duration::from_secs(120));
        let within = Talk::of(20_000, 20_000).over(Duration::from_secs(360));
        let inner = [stage.ledger.call(&w[0], &w[1], within), stage.ledger.call(&e[0], &e[1], within)];
        stage.ledger.call(&w[0], &e[0], across);
        stage.ledger.call(&e[1], &w[1], across);
        stage.seconds(30).await;
        stage.world.partition(&[west, east]);
        stage.seconds(300).await;
        stage.world.heal();
        stage.seconds(30).await;
        let calls: Vec<usize> = [(&w[0], &e[0]), (&e[1], &w[1]), (&w[1], &e[0]), (&w[0], &w[1])]
            .iter()
            .map(|(from, to)| stage.ledger.call(from, to, Talk::of(5_000, 5_000)))
            .collect();
        let tally = stage.settle().await;
        stage.ledger.must(&calls, "a call after the network came together");
        stage.ledger.must(&inner, "a stream within a half");
        format!("{} of {} streams lived", tally.through, tally.talks)
    })
}

/// Machines get another address while streams are busy: their connections are dead and nobody is told. One is a client
/// behind a translator, as a telephone that leaves the house: its streams live. The other publishes its address, and
/// comes back after its router has been started with the new one; streams of others live without it.
pub(crate) fn moving(seed: u64) -> String {
    let setup = |i| RouterSetup { nat: if i == 1 { Nat::Cone } else { Nat::Open }, ..RouterSetup::default() };
    play(seed, Plan { setup, ..Plan::of(10).faults() }, async |stage: Stage| {
        let sessions = stage.sessions([1, 3, 5]).await;
        let long = Talk::of(20_000, 20_000).over(Duration::from_secs(150));
        let others = stage.ledger.call(&sessions[1], &sessions[2], long);
        let own = stage.ledger.call(&sessions[0], &sessions[1], long);
        stage.seconds(20).await;
        for (node, octet) in [(7, 7), (1, 1)] {
            stage.nodes[node].move_to(IpAddr::from([176, 20 + octet, 3, 9]));
        }
        stage.seconds(100).await;
        let node = &stage.nodes[7];
        node.restart_after(Crash::Process, Duration::from_secs(5)).await.expect("starts at its new address");
        stage.seconds(60).await;
        let again = stage.ledger.call(&sessions[2], &sessions[0], Talk::of(5_000, 5_000));
        let moved = stage.session(7).await;
        let new = stage.ledger.call(&sessions[2], &moved, Talk::of(5_000, 5_000));
        let tally = stage.settle().await;
        stage.ledger.must(&[others], "a stream of routers that did not move");
        stage.ledger.must(&[own], "a stream of the client that moved");
        stage.ledger.must(&[again, new], "a call to a router that moved");
        format!("{} of {} streams lived", tally.through, tally.talks)
    })
}

/// A tenth of the routers lose power each minute and come back after one, for five minutes. Those with sessions stay.
pub(crate) fn churn(seed: u64) -> String {
    play(seed, Plan::of(12).faults(), async |stage: Stage| {
        let sessions = stage.sessions([0, 1, 2]).await;
        let mut rng = stage.world.rng("churn");
        let mut died = 0;
        for minute in 0..5u64 {
            let node = stage.nodes[3 + usize::try_from(rng.below(9)).expect("small")].clone();
            let kind = if rng.below(2) == 0 { Crash::Power } else { Crash::Process };
            died += 1;
            let (from, to) = (minute as usize % 3, (minute as usize + 1) % 3);
            let talk = Talk::of(15_000, 15_000).over(Duration::from_secs(90));
            stage.ledger.call(&sessions[from], &sessions[to], talk);
            node.restart_after(kind, Duration::from_secs(50)).await.expect("starts again");
            stage.seconds(10).await;
        }
        let tally = stage.all_through().await;
        format!("{died} deaths, {} streams lived", tally.through)
    })
}
