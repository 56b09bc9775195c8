// SPDX-License-Identifier: MIT
use super::*;
use crate::netdb::testing::{Manner, Sim, TestDestination};
use std::sync::Arc;
use std::time::Duration;

const fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn publish(sim: &mut Sim, client: usize, owner: &TestDestination) {
    let set = Verified::check(owner.lease_set(sim.now)).unwrap();
    let now = sim.now;
    sim.clients[client].publisher.publish(now, Arc::new(set));
    sim.drain_client(client);
}

fn find(sim: &mut Sim, client: usize, owner: &TestDestination) {
    let now = sim.now;
    sim.clients[client].lookups.find(now, owner.destination.hash());
    sim.drain_client(client);
}

fn found(sim: &Sim, client: usize) -> usize {
    sim.clients[client].found.iter().filter(|a| matches!(a, LeaseAction::Found { .. })).count()
}

fn failure(sim: &Sim, client: usize) -> Option<LookupFailure> {
    sim.clients[client].found.iter().rev().find_map(|a| match a {
        LeaseAction::Failed { failure, .. } => Some(failure.clone()),
        _ => None,
    })
}

fn count(sim: &Sim, client: usize, wanted: impl Fn(&PublishAction) -> bool) -> usize {
    sim.clients[client].events.iter().filter(|a| wanted(a)).count()
}

fn published(a: &PublishAction) -> bool {
    matches!(a, PublishAction::Published { .. })
}

fn verified(a: &PublishAction) -> bool {
    matches!(a, PublishAction::Verified { .. })
}

#[test]
fn a_published_lease_set_is_found_by_another_destination() {
    for floodfills in 1..=4 {
        let mut sim = Sim::new(floodfills as u64, 6, floodfills);
        sim.introduce_all();
        let (a, b) = (sim.client(4, 5), sim.client(5, 4));
        let owner = TestDestination::new(&mut sim.rng);
        publish(&mut sim, a, &owner);
        sim.run(Duration::from_millis(500));
        assert_eq!(count(&sim, a, published), 1, "{floodfills} floodfills");
        find(&mut sim, b, &owner);
        find(&mut sim, b, &owner);
        sim.run(Duration::from_millis(500));
        assert_eq!(found(&sim, b), 1, "{floodfills} floodfills; callers share one lookup");
        sim.run(secs(10));
        assert_eq!(count(&sim, a, verified), 1, "{floodfills} floodfills");
    }
}

#[test]
fn a_router_can_be_its_own_and_only_floodfill() {
    let mut sim = Sim::new(11, 3, 1);
    sim.introduce(0, 1);
    let (a, b) = (sim.client(0, 0), sim.client(0, 1));
    let owner = TestDestination::new(&mut sim.rng);
    publish(&mut sim, a, &owner);
    sim.run(secs(1));
    assert_eq!(count(&sim, a, published), 1);
    find(&mut sim, b, &owner);
    sim.run(secs(1));
    assert_eq!(found(&sim, b), 1);
}

#[test]
fn silent_floodfills_cost_time_but_not_the_lease_set() {
    let mut sim = Sim::new(12, 8, 6);
    sim.introduce_all();
    for i in 0..4 {
        sim.nodes[i].manner = Manner::Silent;
    }
    let (a, b) = (sim.client(6, 7), sim.client(7, 6));
    let owner = TestDestination::new(&mut sim.rng);
    publish(&mut sim, a, &owner);
    sim.run(secs(10));
    assert_eq!(count(&sim, a, published), 1);
    find(&mut sim, b, &owner);
    sim.run(secs(8));
    assert_eq!(found(&sim, b), 1);
}

#[test]
fn floodfills_that_we_know_are_found_among_many_that_do_not_exist() {
    for seed in 0..4 {
        let mut sim = Sim::new(30 + seed, 42, 40);
        sim.introduce_all();
        for i in 2..40 {
            sim.nodes[i].manner = Manner::Silent;
        }
        for (client, floodfill) in [(40, 0), (40, 1), (41, 0), (41, 1)] {
            sim.connect(client, floodfill);
        }
        let (a, b) = (sim.client(40, 41), sim.client(41, 40));
        let owner = TestDestination::new(&mut sim.rng);
        publish(&mut sim, a, &owner);
        sim.run(secs(4));
        assert_eq!(count(&sim, a, published), 1, "seed {seed}");
        find(&mut sim, b, &owner);
        sim.run(secs(5));
        assert_eq!(found(&sim, b), 1, "seed {seed}");
        sim.run(secs(60));
        assert_eq!(count(&sim, a, verified), 1, "seed {seed}");
    }
}

#[test]
fn d7_a_floodfill_that_confirms_and_keeps_nothing_is_found_out() {
    let mut sim = Sim::new(13, 7, 4);
    sim.introduce_all();
    let (a, b) = (sim.client(5, 6), sim.client(6, 5));
    let owner = TestDestination::new(&mut sim.rng);
    // The three nearest lie.
    let view = sim.nodes[5].engine.view().clone();
    let nearest = view.closest_floodfills(&owner.key(), sim.now.wall_ms, |_| false, 3);
    for node in 0..4 {
        if nearest.iter().any(|e| e.hash == sim.hash(node)) {
            sim.nodes[node].manner = Manner::Liar;
        }
    }
    publish(&mut sim, a, &owner);
    sim.run(secs(5));
    assert_eq!(count(&sim, a, published), 1, "they say so");
    sim.run(secs(60));
    assert_eq!(count(&sim, a, verified), 1, "repaired elsewhere");
    find(&mut sim, b, &owner);
    sim.run(secs(3));
    assert_eq!(found(&sim, b), 1);
}

#[test]
fn failures_explain_themselves() {
    let mut sim = Sim::new(14, 5, 2);
    let owner = TestDestination::new(&mut sim.rng);
    let lonely = sim.client(3, 4);
    find(&mut sim, lonely, &owner);
    sim.run(secs(11));
    assert_eq!(failure(&sim, lonely).unwrap().reason, LookupReason::NoFloodfills);
    sim.introduce_all();
    let b = sim.client(4, 3);
    find(&mut sim, b, &owner);
    sim.run(secs(11));
    let why = failure(&sim, b).unwrap();
    assert_eq!((why.reason, why.asked, why.answered), (LookupReason::NotFound, 4, 4));
    let text = why.to_string();
    assert!(text.starts_with("lease set not found: 4 questions to "), "{text}");
    assert_eq!(why.floodfills.len(), 2);
    for (floodfill, answered) in &why.floodfills {
        assert!(*answered && text.contains(&floodfill.to_string()), "{text}");
    }
    sim.nodes[0].manner = Manner::Silent;
    sim.nodes[1].manner = Manner::Silent;
    let c = sim.client(4, 3);
    find(&mut sim, c, &owner);
    sim.run(secs(11));
    let why = failure(&sim, c).unwrap();
    assert_eq!((why.reason, why.answered), (LookupReason::NoAnswer, 0));
    assert!(why.asked >= 4);
    let now = sim.now;
    sim.clients[c].lookups.set_tunnels(now, super::super::Tunnels::default());
    find(&mut sim, c, &owner);
    sim.run(secs(11));
    assert_eq!(failure(&sim, c).unwrap().reason, LookupReason::NoTunnels);
}

#[test]
fn what_is_absent_is_remembered_for_a_while_only() {
    let mut sim = Sim::new(15, 4, 2);
    sim.introduce_all();
    let (a, b) = (sim.client(2, 3), sim.client(3, 2));
    let owner = TestDestination::new(&mut sim.rng);
    find(&mut sim, b, &owner);
    sim.run(secs(5));
    assert!(failure(&sim, b).is_some());
    publish(&mut sim, a, &owner);
    sim.run(secs(1));
    sim.clients[b].found.clear();
    find(&mut sim, b, &owner);
    assert!(failure(&sim, b).is_some(), "from memory");
    sim.run(secs(10));
    find(&mut sim, b, &owner);
    sim.run(secs(1));
    assert_eq!(found(&sim, b), 1);
}

#[test]
fn a_lookup_begun_just_before_the_lease_set_arrives_still_finds_it() {
    let mut sim = Sim::new(16, 4, 1);
    sim.introduce_all();
    let (a, b) = (sim.client(2, 3), sim.client(3, 2));
    let owner = TestDestination::new(&mut sim.rng);
    find(&mut sim, b, &owner);
    sim.run(Duration::from_millis(300));
    publish(&mut sim, a, &owner);
    sim.run(secs(3));
    assert_eq!(found(&sim, b), 1);
}

#[test]
fn a_new_version_is_published_after_the_shortest_interval() {
    let mut sim = Sim::new(17, 5, 2);
    sim.introduce_all();
    let a = sim.client(3, 4);
    let owner = TestDestination::new(&mut sim.rng);
    publish(&mut sim, a, &owner);
    sim.run(secs(2));
    publish(&mut sim, a, &owner);
    sim.run(secs(2));
    assert_eq!(count(&sim, a, published), 1);
    sim.run(secs(8));
    assert_eq!(count(&sim, a, published), 2);
}

#[test]
fn publishing_waits_for_tunnels_and_floodfills() {
    let mut sim = Sim::new(18, 4, 1);
    let a = sim.client(2, 3);
    let owner = TestDestination::new(&mut sim.rng);
    publish(&mut sim, a, &owner);
    sim.run(secs(5));
    assert_eq!(count(&sim, a, published), 0);
    sim.introduce_all();
    sim.run(secs(2));
    assert_eq!(count(&sim, a, published), 1);
}

#[test]
fn midnight_brings_a_new_store() {
    let mut sim = Sim::new(19, 5, 3);
    sim.introduce_all();
    sim.run(secs(12 * 3600 - 120));
    let a = sim.client(3, 4);
    let owner = TestDestination::new(&mut sim.rng);
    publish(&mut sim, a, &owner);
    sim.run(secs(30));
    assert_eq!(count(&sim, a, verified), 1);
    sim.run(secs(180));
    assert_eq!(count(&sim, a, verified), 2);
}

#[test]
fn lookups_are_bounded() {
    let mut sim = Sim::new(20, 3, 1);
    let b = sim.client(1, 2);
    let now = sim.now;
    for n in 0..200_u8 {
        sim.clients[b].lookups.find(now, DestHash([n; 32]));
    }
    sim.drain_client(b);
    assert_eq!(failure(&sim, b).unwrap().reason, LookupReason::Busy);
    assert_eq!(sim.clients[b].found.len(), 200 - 64);
}

#[test]
fn a_newer_lease_set_is_found_although_the_nearest_floodfills_have_the_old_one() {
    let mut sim = Sim::new(23, 8, 6);
    sim.introduce_all();
    let (a, b) = (sim.client(6, 7), sim.client(7, 6));
    let owner = TestDestination::new(&mut sim.rng);
    let old_s = sim.now.wall_s();
    publish(&mut sim, a, &owner);
    sim.run(secs(1));
    // Cut off from whoever has it, the owner publishes elsewhere.
    let view = sim.nodes[6].engine.view().clone();
    let nearest = view.closest_floodfills(&owner.key(), sim.now.wall_ms, |_| false, 3);
    let holders: Vec<usize> = (0..6).filter(|i| nearest.iter().any(|e| e.hash == sim.hash(*i))).collect();
    holders.iter().for_each(|i| sim.nodes[*i].manner = Manner::Silent);
    sim.run(secs(60));
    publish(&mut sim, a, &owner);
    sim.run(secs(20));
    holders.iter().for_each(|i| sim.nodes[*i].manner = Manner::Honest);
    let dates = |sim: &Sim| -> Vec<u32> {
        let sets = sim.clients[b].found.iter().filter_map(|a| match a {
            LeaseAction::Found { lease_set, .. } => Some(lease_set.published_s()),
            _ => None,
        });
        sets.collect()
    };
    let now = sim.now;
    sim.clients[b].lookups.find_newer(now, owner.destination.hash(), old_s);
    sim.drain_client(b);
    sim.run(secs(8));
    assert!(dates(&sim).last().is_some_and(|at| *at > old_s), "{:?}, known: {old_s}", dates(&sim));
    // What is no newer anywhere is an answer as well, after a while.
    let now = sim.now;
    sim.clients[b].lookups.find_newer(now, owner.destination.hash(), u32::MAX);
    sim.drain_client(b);
    sim.run(secs(10));
    assert_eq!(dates(&sim).len(), 2);
    assert!(!sim.clients[b].lookups.is_looking(&owner.destination.hash()));
}
