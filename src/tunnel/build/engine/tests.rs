// SPDX-License-Identifier: MIT
//! Whole networks of builders and planes in one process, on a clock moved by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::*;
use crate::netdb::Report;
use crate::tunnel::build::testing::{TestRouter, WALL_MS, routers, view};
use crate::tunnel::plane::{Action as PlaneAction, Plane, PlaneConfig};
use crate::tunnel::{Delivery, PoolSide};

const CLIENT: PoolId = PoolId(1);

struct Node {
    router: TestRouter,
    builder: Builder,
    plane: Plane,
    view: PeerView,
    states: BTreeMap<PoolId, Arc<PoolState>>,
    troubles: Vec<String>,
    reports: Vec<(RouterHash, Report)>,
    netdb: Vec<(I2np, Option<RouterHash>)>,
    up: Vec<(PoolId, I2np)>,
    needed: Vec<RouterHash>,
    refused: usize,
    dead: bool,
}

struct World {
    now: Now,
    nodes: Vec<Node>,
    by_hash: BTreeMap<RouterHash, usize>,
    /// (time, serial) -> (from, to, messages): messages in flight.
    wire: BTreeMap<(u64, u64), (usize, usize, Vec<I2np>)>,
    serial: u64,
    latency: Duration,
    sent: usize,
}

impl World {
    fn new(seed: u64, count: usize, config: &BuilderConfig) -> Self {
        let mut rng = Rng::from_seed(seed);
        let all = routers(&mut rng, count);
        let nodes: Vec<Node> = all
            .iter()
            .map(|router| Node {
                builder: Builder::new(router.keys.clone(), config.clone(), rng.fork("builder")),
                plane: Plane::new(router.keys.hash, PlaneConfig::default(), rng.fork("plane")),
                view: view(router, &all),
                router: router.clone(),
                states: BTreeMap::new(),
                troubles: Vec::new(),
                reports: Vec::new(),
                netdb: Vec::new(),
                up: Vec::new(),
                needed: Vec::new(),
                refused: 0,
                dead: false,
            })
            .collect();
        let by_hash = all.iter().enumerate().map(|(at, r)| (r.keys.hash, at)).collect();
        let now = Now { mono: Mono::from_secs(1), wall_ms: WALL_MS };
        let latency = Duration::from_millis(10);
        Self { now, nodes, by_hash, wire: BTreeMap::new(), serial: 0, latency, sent: 0 }
    }

    fn give(&mut self, at: usize, input: Input) {
        let node = &mut self.nodes[at];
        node.builder.handle(self.now, &node.view, input);
        self.drain(at);
    }

    fn open(&mut self, at: usize, id: PoolId, config: PoolConfig) {
        self.give(at, Input::OpenPool { id, config, explicit: Vec::new() });
    }

    /// Moves everything that one router has to say.
    fn drain(&mut self, at: usize) {
        let now = self.now;
        loop {
            let node = &mut self.nodes[at];
            let mut idle = true;
            while let Some(action) = node.builder.poll_action() {
                idle = false;
                match action {
                    Action::Plane(input) => node.plane.handle(now, input),
                    Action::Pool(id, state) => drop(node.states.insert(id, state)),
                    Action::Trouble(_, report) => node.troubles.push(report.to_string()),
                    Action::Profile(hash, report) => node.reports.push((hash, report)),
                    Action::Netdb { message, from } => node.netdb.push((message, from)),
                    Action::NeedRouterInfo(hash) => node.needed.push(hash),
                }
            }
            while let Some(action) = node.plane.poll_action() {
                idle = false;
                match action {
                    PlaneAction::Send { peer, messages, .. } => {
                        self.serial += 1;
                        self.sent += messages.len();
                        let arrives = now.mono.after(self.latency).0;
                        let to = self.by_hash[&peer];
                        self.wire.insert((arrives, self.serial), (at, to, messages));
                    }
                    PlaneAction::Up { pool, messages } => {
                        node.up.extend(messages.into_iter().map(|m| (pool, m)));
                    }
                    PlaneAction::Control { from, via, message, .. } => {
                        let input = Input::Message { from, via, message };
                        node.builder.handle(now, &node.view, input);
                    }
                    PlaneAction::Refused { key, reason } => {
                        node.refused += 1;
                        assert!(!matches!(reason, crate::tunnel::plane::InstallError::Hops));
                        node.builder.handle(now, &node.view, Input::Refused(key));
                    }
                }
            }
            if idle {
                return;
            }
        }
    }

    fn next_event(&self) -> Option<Mono> {
        let wire = self.wire.keys().next().map(|(at, _)| Mono(*at));
        let timers = self.nodes.iter().filter(|n| !n.dead);
        let timers = timers
            .filter_map(|n| [n.builder.poll_timeout(), n.plane.poll_timeout()].into_iter().flatten().min());
        wire.into_iter().chain(timers).min()
    }

    fn run(&mut self, time: Duration) {
        let end = self.now.mono.after(time);
        while let Some(at) = self.next_event()
            && at <= end
        {
            self.step_to(at.max(self.now.mono));
        }
        self.now = self.now.later(end.since(self.now.mono));
    }

    /// Runs until `done`, at most `time`; answers how long it took.
    fn run_until(&mut self, time: Duration, done: impl Fn(&Self) -> bool) -> Option<Duration> {
        let start = self.now.mono;
        let end = start.after(time);
        while !done(self) {
            let at = self.next_event().filter(|at| *at <= end)?;
            self.step_to(at.max(self.now.mono));
        }
        Some(self.now.mono.since(start))
    }

    fn step_to(&mut self, at: Mono) {
        let mono_before = self.now.mono;
        let wall_ms = WALL_MS + (at.0 - 1_000_000) / 1000;
        self.now = Now { mono: at.max(mono_before), wall_ms };
        while let Some(((time, serial), _)) = self.wire.first_key_value()
            && *time <= at.0
        {
            let key = (*time, *serial);
            let (from, to, messages) = self.wire.remove(&key).expect("just seen");
            if self.nodes[to].dead || self.nodes[from].dead {
                continue;
            }
            let peer = self.nodes[from].router.keys.hash;
            let node = &mut self.nodes[to];
            node.plane.handle(self.now, crate::tunnel::plane::Input::FromPeer { peer, messages });
            self.drain(to);
        }
        for at in 0..self.nodes.len() {
            let (now, node) = (self.now, &mut self.nodes[at]);
            if node.dead {
                continue;
            }
            if node.builder.poll_timeout().is_some_and(|t| t <= now.mono) {
                node.builder.handle_timeout(now, &node.view);
            }
            if node.plane.poll_timeout().is_some_and(|t| t <= now.mono) {
                node.plane.handle_timeout(now);
            }
            self.drain(at);
        }
    }

    fn is_full(&self, at: usize, id: PoolId, config: PoolConfig) -> bool {
        self.nodes[at].states.get(&id).is_some_and(|state| {
            state.inbound.len() >= usize::from(config.inbound.quantity)
                && state.outbound.len() >= usize::from(config.outbound.quantity)
        })
    }

    fn open_exploratory(&mut self, config: PoolConfig) {
        for at in 0..self.nodes.len() {
            self.open(at, PoolId::EXPLORATORY, config);
        }
        let took = self.run_until(Duration::from_secs(10), |w| {
            (0..w.nodes.len()).all(|at| w.is_full(at, PoolId::EXPLORATORY, config))
        });
        assert!(took.is_some(), "exploratory pools fill: {:?}", self.nodes[0].troubles);
    }

    fn kill(&mut self, at: usize) {
        self.nodes[at].dead = true;
    }

    /// Sends a message out through each tunnel and in through each tunnel of a pool; answers how many arrive.
    fn round_trips(&mut self, at: usize, id: PoolId) -> (usize, usize) {
        let state = self.nodes[at].states[&id].clone();
        let before = self.nodes[at].up.len();
        let mut sent = 0;
        for out in &state.outbound {
            for back in &state.inbound {
                sent += 1;
                let message = I2np {
                    kind: I2npKind::DATA,
                    id: MessageId(sent),
                    expiration_ms: self.now.wall_ms + 8_000,
                    body: vec![7; 2000],
                };
                let delivery = Delivery::Tunnel(back.gateway, back.id);
                let input = crate::tunnel::plane::Input::Out {
                    handle: out.handle,
                    messages: vec![(delivery, message)],
                };
                self.nodes[at].plane.handle(self.now, input);
                self.drain(at);
            }
        }
        self.run(Duration::from_secs(2));
        let got = self.nodes[at].up[before..].iter().filter(|(pool, _)| *pool == id).count();
        (sent as usize, got)
    }
}

fn test_config() -> BuilderConfig {
    BuilderConfig::test_network()
}

#[test]
fn pools_of_every_length_fill_and_carry() {
    let mut world = World::new(1, 12, &test_config());
    world.open_exploratory(PoolConfig::EXPLORATORY);
    for length in 0..=7 {
        let (at, id) = (usize::from(length), PoolId(100 + u32::from(length)));
        let config = PoolConfig::symmetric(length, 2);
        world.open(at, id, config);
        let took = world.run_until(Duration::from_secs(5), |w| w.is_full(at, id, config));
        assert!(took.is_some_and(|t| t < Duration::from_secs(1)), "length {length}: {took:?}");
        let state = world.nodes[at].states[&id].clone();
        assert!(state.inbound.iter().all(|t| t.hops.len() == usize::from(length)));
        assert!(state.outbound.iter().all(|t| t.hops.len() == usize::from(length)));
        let (sent, got) = world.round_trips(at, id);
        assert_eq!((sent >= 4, got), (true, sent), "length {length}");
    }
    assert_eq!(world.nodes.iter().map(|n| n.refused).sum::<usize>(), 0);
}

#[test]
fn a_new_session_is_ready_in_a_few_round_trips() {
    let mut world = World::new(2, 10, &test_config());
    world.open_exploratory(PoolConfig::EXPLORATORY);
    let config = PoolConfig::symmetric(3, 5);
    world.open(0, CLIENT, config);
    let ready = world
        .run_until(Duration::from_secs(5), |w| w.nodes[0].states.get(&CLIENT).is_some_and(|s| s.is_ready()));
    // Out through two hops, along three and back through two more at ten milliseconds each.
    assert!(ready.is_some_and(|t| t <= Duration::from_millis(120)), "{ready:?}");
    let full = world.run_until(Duration::from_secs(5), |w| w.is_full(0, CLIENT, config));
    assert!(full.is_some_and(|t| t <= Duration::from_millis(250)), "{full:?}");
}

#[test]
fn the_smallest_networks_have_tunnels_too() {
    for count in 2..=4 {
        let mut world = World::new(30 + count as u64, count, &test_config());
        world.open_exploratory(PoolConfig::symmetric(2, 2));
        world.open(0, CLIENT, PoolConfig::symmetric(3, 2));
        let took =
            world.run_until(Duration::from_secs(5), |w| w.is_full(0, CLIENT, PoolConfig::symmetric(3, 2)));
        assert!(took.is_some(), "{count} routers: {:?}", world.nodes[0].troubles);
        let (sent, got) = world.round_trips(0, CLIENT);
        assert_eq!(sent, got);
    }
}

#[test]
fn bootstrap_may_be_answered_directly() {
    let config = BuilderConfig { zero_hop_bootstrap: true, ..test_config() };
    let mut world = World::new(4, 5, &config);
    world.open(0, PoolId::EXPLORATORY, PoolConfig::symmetric(1, 2));
    let ready = world.run_until(Duration::from_secs(1), |w| {
        w.nodes[0].states.get(&PoolId::EXPLORATORY).is_some_and(|s| s.is_ready())
    });
    assert_eq!(ready, Some(Duration::from_millis(20)), "one hop and back");
}

#[test]
fn exploratory_pools_without_hops_are_there_at_once() {
    let mut world = World::new(5, 6, &test_config());
    world.open(0, PoolId::EXPLORATORY, PoolConfig::symmetric(0, 1));
    assert!(world.nodes[0].states[&PoolId::EXPLORATORY].is_ready());
    world.open(0, CLIENT, PoolConfig::symmetric(2, 2));
    let took = world.run_until(Duration::from_secs(1), |w| w.is_full(0, CLIENT, PoolConfig::symmetric(2, 2)));
    assert!(took.is_some_and(|t| t < Duration::from_millis(100)), "{took:?}");
    let (sent, got) = world.round_trips(0, CLIENT);
    assert_eq!(sent, got);
}

#[test]
fn explicit_hops_are_used_in_order() {
    let mut world = World::new(6, 8, &test_config());
    world.open_exploratory(PoolConfig::EXPLORATORY);
    let wished: Vec<RouterHash> = [3, 5, 2].iter().map(|at| world.nodes[*at].router.keys.hash).collect();
    let config = PoolConfig::symmetric(3, 1);
    world.give(0, Input::OpenPool { id: CLIENT, config, explicit: wished.clone() });
    world.run_until(Duration::from_secs(1), |w| w.is_full(0, CLIENT, config)).expect("built");
    let state = world.nodes[0].states[&CLIENT].clone();
    assert!(state.outbound.iter().all(|t| t.hops == wished));
    let reversed: Vec<RouterHash> = wished.iter().rev().copied().collect();
    assert!(state.inbound.iter().all(|t| t.hops == reversed));
}

#[test]
fn an_hour_passes_without_a_gap() {
    let mut world = World::new(7, 8, &test_config());
    world.open_exploratory(PoolConfig::EXPLORATORY);
    world.open(0, CLIENT, PoolConfig::symmetric(3, 2));
    world
        .run_until(Duration::from_secs(2), |w| w.is_full(0, CLIENT, PoolConfig::symmetric(3, 2)))
        .expect("built");
    let mut seen = BTreeSet::new();
    for minute in 0..60 {
        world.run(Duration::from_secs(60));
        for at in 0..world.nodes.len() {
            let state = &world.nodes[at].states[&PoolId::EXPLORATORY];
            assert!(state.is_ready(), "exploratory pool of {at}, minute {minute}");
        }
        let state = world.nodes[0].states[&CLIENT].clone();
        assert!(
            (2..=4).contains(&state.inbound.len()) && (2..=4).contains(&state.outbound.len()),
            "minute {minute}: {state:?}"
        );
        for tunnel in &state.inbound {
            assert!(tunnel.expires > world.now.mono);
            seen.insert(tunnel.receive);
        }
        let (sent, got) = world.round_trips(0, CLIENT);
        assert_eq!(sent, got, "minute {minute}");
    }
    assert!(
        (12..=20).contains(&seen.len()),
        "two tunnels, replaced every eight to nine minutes: {}",
        seen.len()
    );
    for node in &world.nodes {
        let metrics = node.builder.metrics();
        assert_eq!(metrics.tests_failed.get(), 0);
        assert_eq!(
            metrics.builds_timed_out.get() + metrics.builds_tampered.get() + metrics.replies_unknown.get(),
            0
        );
        assert!(metrics.tests_passed.get() > 200);
        assert!(node.builder.transit_tunnels() < 120, "expired transit is forgotten");
    }
    assert!(world.nodes[0].builder.builds.is_empty() && world.nodes[0].builder.garlic.tags() < 64);
}

#[test]
fn a_dead_hop_is_noticed_and_replaced() {
    let mut world = World::new(8, 10, &test_config());
    world.open_exploratory(PoolConfig::EXPLORATORY);
    let config = PoolConfig::symmetric(2, 2);
    world.open(0, CLIENT, config);
    world.run_until(Duration::from_secs(2), |w| w.is_full(0, CLIENT, config)).expect("built");
    let victim = world.nodes[0].states[&CLIENT].outbound[0].hops[1];
    let victim_at = world.by_hash[&victim];
    world.kill(victim_at);
    // As netDb would: whoever cannot be reached is not chosen for a while.
    for node in &mut world.nodes {
        let own = node.router.clone();
        let alive = world.by_hash.keys().filter(|h| **h != victim).filter_map(|h| node.view.get(h).cloned());
        let peers = alive.filter(|p| p.hash != own.keys.hash).collect();
        node.view = PeerView::new(peers, Some(own.entry), crate::netdb::ViewPolicy::default(), 2);
    }
    let uses = |w: &World| {
        let state = &w.nodes[0].states[&CLIENT];
        let hops = state.inbound.iter().map(|t| &t.hops).chain(state.outbound.iter().map(|t| &t.hops));
        hops.flatten().any(|h| *h == victim)
    };
    let took = world.run_until(Duration::from_secs(90), |w| !uses(w) && w.is_full(0, CLIENT, config));
    assert!(took.is_some_and(|t| t < Duration::from_secs(60)), "{took:?}");
    let (sent, got) = world.round_trips(0, CLIENT);
    assert_eq!(sent, got);
    assert!(world.nodes[0].builder.metrics().tunnels_failed.get() > 0);
    assert!(
        world.nodes[0]
            .reports
            .iter()
            .any(|(hash, r)| *hash == victim && matches!(r, Report::TestFailed { .. }))
    );
}

#[test]
fn the_last_tunnel_stays_until_another_stands() {
    let mut world = World::new(9, 4, &test_config());
    world.open_exploratory(PoolConfig::symmetric(1, 1));
    let config = PoolConfig::symmetric(1, 1);
    world.open(0, CLIENT, config);
    world.run_until(Duration::from_secs(2), |w| w.is_full(0, CLIENT, config)).expect("built");
    for at in 1..4 {
        world.kill(at);
    }
    world.run(Duration::from_secs(120));
    let state = world.nodes[0].states[&CLIENT].clone();
    assert!(!state.inbound.is_empty() && !state.outbound.is_empty(), "broken is better than none");
    let metrics = world.nodes[0].builder.metrics().clone();
    assert!(metrics.tunnels_failed.get() >= 2);
    let sent = metrics.builds_sent.get();
    world.run(Duration::from_secs(300));
    let later = metrics.builds_sent.get() - sent;
    assert!(later < 400, "failing builds pause: {later} in five minutes");
    world.run(Duration::from_secs(300));
    let state = world.nodes[0].states[&CLIENT].clone();
    assert!(state.inbound.is_empty() && state.outbound.is_empty(), "their time is over");
    let trouble = world.nodes[0].troubles.last().expect("told");
    assert!(trouble.contains("builds succeeded"), "{trouble}");
    let before = world.nodes[0].troubles.len();
    world.nodes[1..].iter_mut().for_each(|n| n.dead = false);
    let ready = |w: &World| w.nodes[0].states[&CLIENT].is_ready();
    assert!(world.run_until(Duration::from_secs(60), ready).is_some(), "it recovers");
    assert!(world.nodes[0].troubles[before..].contains(&"ready".to_string()), "and says so");
}

#[test]
fn a_network_that_restarts_is_used_again_within_seconds() {
    restart(false);
}

#[test]
fn so_is_one_that_could_not_be_reached_meanwhile() {
    restart(true);
}

fn restart(hard: bool) {
    let mut world = World::new(19, 6, &test_config());
    world.open_exploratory(PoolConfig::symmetric(1, 2));
    let config = PoolConfig::symmetric(2, 2);
    world.open(0, CLIENT, config);
    world.run_until(Duration::from_secs(2), |w| w.is_full(0, CLIENT, config)).expect("built");
    world.run(Duration::from_secs(60));
    // All others lose all their tunnels at once.
    let fresh = World::new(19, 6, &test_config());
    for (at, node) in fresh.nodes.into_iter().enumerate().skip(1) {
        world.nodes[at] = node;
    }
    let peers: Vec<RouterHash> = world.nodes[1..].iter().map(|n| n.router.keys.hash).collect();
    for peer in peers {
        world.give(0, Input::LinkDown(peer));
        if hard {
            world.give(0, Input::PeerFailed(peer));
        }
    }
    let before = world.now.mono;
    let works = |w: &World| {
        let state = &w.nodes[0].states[&CLIENT];
        state.is_ready()
            && state.inbound.iter().all(|t| t.created > before)
            && state.outbound.iter().all(|t| t.created > before)
    };
    let took = world.run_until(Duration::from_secs(120), works);
    assert!(took.is_some_and(|t| t < Duration::from_secs(15)), "{took:?}");
    let (sent, got) = world.round_trips(0, CLIENT);
    assert_eq!(sent, got);
}

/// Gives a router the view that its own experience makes, as netDb does.
fn learn(world: &mut World, at: usize, profiles: &mut crate::netdb::Profiles) {
    let now = world.now;
    let node = &mut world.nodes[at];
    for (hash, report) in node.reports.drain(..) {
        profiles.report(now, hash, report);
    }
    profiles.rank(now);
    let peers = node.view.iter().map(|peer| {
        let mut entry = crate::netdb::PeerEntry::clone(peer);
        entry.standing = profiles.standing(&peer.hash);
        Arc::new(entry)
    });
    let own = node.view.own().cloned();
    node.view = PeerView::new(peers.collect(), own, crate::netdb::ViewPolicy::default(), 2);
}

#[test]
fn t9_routers_that_swallow_everything_are_found_out() {
    let mut world = World::new(21, 25, &test_config());
    let mut profiles = crate::netdb::Profiles::new(&mut Rng::from_seed(4));
    world.open_exploratory(PoolConfig::symmetric(1, 2));
    // A fifth accepts connections and forwards nothing.
    (1..6).for_each(|at| world.kill(at));
    world.open(0, CLIENT, PoolConfig::symmetric(2, 4));
    for _ in 0..30 {
        world.run(Duration::from_secs(10));
        learn(&mut world, 0, &mut profiles);
    }
    let metrics = world.nodes[0].builder.metrics().clone();
    let (sent, good) = (metrics.builds_sent.get(), metrics.builds_succeeded.get());
    for _ in 0..120 {
        world.run(Duration::from_secs(10));
        learn(&mut world, 0, &mut profiles);
        assert!(world.nodes[0].states[&CLIENT].is_ready());
    }
    let (sent, good) = (metrics.builds_sent.get() - sent, metrics.builds_succeeded.get() - good);
    assert!(sent >= 20 && good * 10 >= sent * 7, "{good} of {sent} builds after five minutes");
    let (sent, got) = world.round_trips(0, CLIENT);
    assert_eq!(sent, got);
}

#[test]
fn refusals_and_silence_are_explained() {
    let mut world = World::new(10, 4, &test_config());
    world.open_exploratory(PoolConfig::symmetric(1, 1));
    for at in 1..4 {
        world.give(at, Input::Transit(false));
    }
    world.open(0, CLIENT, PoolConfig::symmetric(2, 1));
    world.run(Duration::from_secs(3));
    let trouble = world.nodes[0].troubles.last().expect("told").clone();
    assert!(trouble.starts_with("no outbound tunnel: 0 of ") && trouble.contains(" refused"), "{trouble}");
    assert!(trouble.contains("code 30"), "{trouble}");
    assert!(world.nodes[0].reports.iter().any(|(_, r)| *r == Report::BuildRejected));

    let mut alone = World::new(11, 1, &test_config());
    alone.open(0, PoolId::EXPLORATORY, PoolConfig::EXPLORATORY);
    let trouble = alone.nodes[0].troubles.last().expect("told").clone();
    assert!(trouble.contains("no router known"), "{trouble}");
}

#[test]
fn an_unreachable_first_hop_costs_no_time() {
    let mut world = World::new(12, 6, &test_config());
    world.open_exploratory(PoolConfig::symmetric(1, 1));
    let config = PoolConfig::symmetric(1, 1);
    let peers: Vec<RouterHash> = world.nodes[1..].iter().map(|n| n.router.keys.hash).collect();
    world.wire.clear();
    world.open(0, CLIENT, config);
    world.wire.clear();
    for peer in peers {
        world.give(0, Input::PeerFailed(peer));
    }
    let took = world.run_until(Duration::from_secs(3), |w| {
        w.nodes[0].states.get(&CLIENT).is_some_and(|s| !s.outbound.is_empty())
    });
    assert!(took.is_some(), "{:?}", world.nodes[0].troubles);
    assert!(world.nodes[0].builder.metrics().builds_unsent.get() >= 2);
}

#[test]
fn unknown_next_routers_are_asked_for_and_waited_for() {
    let mut world = World::new(13, 5, &test_config());
    // Router 1 knows nobody.
    let full = world.nodes[1].view.clone();
    world.nodes[1].view = PeerView::default();
    let hops = vec![world.nodes[1].router.keys.hash, world.nodes[2].router.keys.hash];
    world.open(0, PoolId::EXPLORATORY, PoolConfig::symmetric(1, 1));
    world.run_until(Duration::from_secs(2), |w| {
        w.is_full(0, PoolId::EXPLORATORY, PoolConfig::symmetric(1, 1))
    });
    let config = PoolConfig::symmetric(2, 1);
    world.give(0, Input::OpenPool { id: CLIENT, config, explicit: hops.clone() });
    world.run(Duration::from_millis(200));
    assert!(world.nodes[1].needed.contains(&hops[1]));
    assert!(world.nodes[0].states.get(&CLIENT).is_none_or(|s| s.outbound.is_empty()));
    world.nodes[1].view = full;
    world.give(1, Input::ViewChanged);
    world.run(Duration::from_millis(200));
    assert!(!world.nodes[0].states[&CLIENT].outbound.is_empty());

    world.nodes[1].view = PeerView::default();
    world.give(0, Input::ClosePool(CLIENT));
    let transit = world.nodes[1].builder.transit_tunnels();
    world.give(0, Input::OpenPool { id: PoolId(2), config, explicit: hops });
    world.run(Duration::from_secs(4));
    world.give(0, Input::ClosePool(PoolId(2)));
    world.run(Duration::from_secs(6));
    let metrics = world.nodes[1].builder.metrics();
    assert!(metrics.requests_dropped_next_unknown.get() > 0);
    assert_eq!(world.nodes[1].builder.transit_tunnels(), transit, "what could not go on is given up");
}

#[test]
fn closing_a_pool_leaves_nothing_behind() {
    let mut world = World::new(14, 6, &test_config());
    world.open_exploratory(PoolConfig::EXPLORATORY);
    world.open(0, CLIENT, PoolConfig::symmetric(2, 3));
    world
        .run_until(Duration::from_secs(2), |w| w.is_full(0, CLIENT, PoolConfig::symmetric(2, 3)))
        .expect("built");
    world.open(0, PoolId(2), PoolConfig::symmetric(2, 3));
    world.give(0, Input::ClosePool(CLIENT));
    world.give(0, Input::ClosePool(PoolId(2)));
    world.run(Duration::from_secs(40));
    let builder = &world.nodes[0].builder;
    assert_eq!((builder.pools.len(), builder.flights), (1, 0));
    assert!(builder.builds.is_empty());
    assert!(builder.pool_state(CLIENT).is_none());
}

#[test]
fn many_pools_share_the_limit_of_builds() {
    let mut world = World::new(15, 12, &test_config());
    world.open_exploratory(PoolConfig::EXPLORATORY);
    for n in 0..40 {
        world.open(0, PoolId(10 + n), PoolConfig::symmetric(2, 2));
        assert!(world.nodes[0].builder.flights <= 24);
    }
    let took = world.run_until(Duration::from_secs(20), |w| {
        assert!(w.nodes[0].builder.flights <= 24);
        (0..40).all(|n| w.is_full(0, PoolId(10 + n), PoolConfig::symmetric(2, 2)))
    });
    assert!(took.is_some_and(|t| t < Duration::from_secs(2)), "{took:?}");
}

#[test]
fn variance_and_backup_are_honoured() {
    let mut world = World::new(16, 12, &test_config());
    world.open_exploratory(PoolConfig::EXPLORATORY);
    let side = PoolSide { length: 2, variance: -1, quantity: 6, backup: 2 };
    let config = PoolConfig { inbound: side, outbound: PoolSide { variance: 2, ..side } };
    world.open(0, CLIENT, config);
    world.run(Duration::from_secs(1));
    let state = world.nodes[0].states[&CLIENT].clone();
    assert_eq!((state.inbound.len(), state.outbound.len()), (8, 8));
    assert!(state.inbound.iter().all(|t| (1..=3).contains(&t.hops.len())));
    assert!(state.outbound.iter().all(|t| (2..=4).contains(&t.hops.len())));
    let lengths: BTreeSet<usize> = state.outbound.iter().map(|t| t.hops.len()).collect();
    assert!(lengths.len() > 1);
}

#[test]
fn garlic_out_of_a_tunnel_tells_nobody_whose_it_is() {
    use crate::tunnel::build::router_garlic::seal_for_router;
    let mut world = World::new(17, 4, &test_config());
    world.open_exploratory(PoolConfig::symmetric(1, 1));
    let mut rng = Rng::from_seed(1);
    let key = world.nodes[0].router.keys.public;
    let inner = I2np {
        kind: I2npKind::DATABASE_LOOKUP,
        id: MessageId(5),
        expiration_ms: world.now.wall_ms + 8000,
        body: vec![1; 67],
    };
    let sealed = seal_for_router(&mut rng, world.now, &key, &inner).expect("sealed");
    let via = Via::Tunnel(PoolId::EXPLORATORY);
    world.give(0, Input::Message { from: None, via, message: sealed.clone() });
    assert!(world.nodes[0].netdb.is_empty());
    world.give(0, Input::Message { from: None, via: Via::Direct, message: sealed.clone() });
    assert_eq!(world.nodes[0].netdb.len(), 1, "as a router we answer");
    assert_eq!(world.nodes[0].netdb[0].0.body, inner.body);
    world.give(0, Input::Message { from: None, via: Via::Direct, message: sealed });
    assert_eq!(world.nodes[0].netdb.len(), 1, "once");
}

#[test]
fn long_records_of_other_routers_are_answered_in_kind() {
    use crate::tunnel::NextHop;
    use crate::tunnel::build::creator::{self, Hop, Plan};
    use crate::tunnel::build::hop::minutes;
    use crate::wire::build_record::BuildRecords;
    use crate::wire::{TunnelGateway, Wire};
    let mut world = World::new(20, 2, &test_config());
    let mut rng = Rng::from_seed(3);
    let (creator, hop) = (world.nodes[0].router.keys.clone(), world.nodes[1].router.keys.clone());
    // One hop in, one hop out, both asked for directly and answered to the creator, as i2pd begins.
    for (direction, reply) in [(Direction::Inbound, MessageId(501)), (Direction::Outbound, MessageId(502))] {
        let hops = [Hop { hash: hop.hash, key: hop.public }];
        let end = NextHop { router: creator.hash, tunnel: TunnelId(99) };
        let (minutes, size) = (minutes(world.now), RecordSize::Long);
        let plan = Plan { direction, hops: &hops, end, reply, minutes, me: creator.hash, size };
        let request = creator::request(&mut rng, &plan).expect("built");
        let message = I2np {
            kind: I2npKind::VARIABLE_TUNNEL_BUILD,
            id: MessageId(77),
            expiration_ms: world.now.wall_ms + 8_000,
            body: request.records.clone().into_body(),
        };
        let node = &mut world.nodes[1];
        let input = Input::Message { from: Some(creator.hash), via: Via::Direct, message };
        node.builder.handle(world.now, &node.view, input);
        let mut answers = Vec::new();
        while let Some(action) = node.builder.poll_action() {
            match action {
                Action::Plane(PlaneInput::Install(install)) => {
                    assert!(answers.is_empty(), "installed before anything is sent");
                    assert!(install.config.is_transit());
                }
                Action::Plane(PlaneInput::Send { to, message }) => {
                    assert_eq!(to, creator.hash);
                    answers.push(message);
                }
                other => panic!("{other:?}"),
            }
        }
        let mut answer = answers.pop().expect("answered");
        if direction == Direction::Outbound {
            assert_eq!(answer.kind, I2npKind::TUNNEL_GATEWAY);
            let gateway = TunnelGateway::from_bytes(&answer.body).expect("decodes");
            assert_eq!(gateway.tunnel, TunnelId(99));
            answer = I2np::decode_long(&gateway.message).expect("decodes");
            assert_eq!(answer.kind, I2npKind::VARIABLE_TUNNEL_BUILD_REPLY);
        } else {
            assert_eq!(answer.kind, I2npKind::VARIABLE_TUNNEL_BUILD);
        }
        assert_eq!(answer.id, reply);
        let records = BuildRecords::decode(RecordSize::Long, answer.body).expect("records");
        assert_eq!(request.pending.read(records), Ok(vec![0]));
    }
    assert_eq!(world.nodes[1].builder.transit_tunnels(), 2);
}

#[test]
fn messages_without_sense_change_nothing() {
    let mut world = World::new(18, 4, &test_config());
    world.open_exploratory(PoolConfig::symmetric(1, 1));
    let mut rng = Rng::from_seed(2);
    let from = Some(world.nodes[1].router.keys.hash);
    for kind in 0..=255u8 {
        for len in [0usize, 1, 3, 40, 219, 873, 2113] {
            let mut body = vec![0; len];
            rng.fill(&mut body);
            let message = I2np {
                kind: I2npKind(kind),
                id: MessageId(rng.u32()),
                expiration_ms: world.now.wall_ms + 8000,
                body,
            };
            for via in [Via::Direct, Via::Tunnel(PoolId::EXPLORATORY)] {
                let from = if via == Via::Direct { from } else { None };
                world.give(0, Input::Message { from, via, message: message.clone() });
            }
        }
    }
    assert!(world.nodes[0].states[&PoolId::EXPLORATORY].is_ready());
    let metrics = world.nodes[0].builder.metrics();
    assert!(metrics.messages_dropped_kind.get() > 0 && metrics.replies_unknown.get() > 0);
}
