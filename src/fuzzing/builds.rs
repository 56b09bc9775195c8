// SPDX-License-Identifier: MIT
//! Tunnel builds: a network of builders with an adversary on every link, and a hop whose creator lies.
//!
//! A build that somebody tampered with never yields a tunnel with other hops or ids than asked for, a hop never carries
//! more than its limits, and once the line is good again pools fill up.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::Target;
use super::input::Input;
use super::people::{Person, WALL_MS, start};
use crate::base::{Mono, Now, Rng};
use crate::crypto::{X25519Public, X25519Secret, noise_n};
use crate::netdb::{Facts, PeerEntry, PeerView, Standing, ViewPolicy};
use crate::tunnel::build::{Action, Builder, BuilderConfig, Input as BuildInput, RouterKeys};
use crate::tunnel::plane::{Action as PlaneAction, Input as PlaneInput, Plane, PlaneConfig, Via};
use crate::tunnel::{PoolConfig, PoolId, TunnelConfig};
use crate::wire::build_record::{BuildRecords, BuildRequest, HOP_PREFIX, HopRole, LongKeys, RecordSize};
use crate::wire::{I2np, I2npKind, Mapping, MessageId, RouterHash, TunnelId};

pub(super) const BUILDS: &[Target] =
    &[("build_net", build_net, net_seeds), ("build_request", build_request, request_seeds)];

const ROUTERS: usize = 4;
const STEPS: usize = 150;
const WIRE_MAX: usize = 128;

struct Known {
    keys: RouterKeys,
    entry: Arc<PeerEntry>,
}

/// Routers that all know each other.
static ALL: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let known = |n: usize| {
        let person = Person::new(n as u64 + 1);
        let info = person.verified(&format!("198.18.{n}.1"), "OR");
        let facts = Arc::new(Facts::parse(&info).expect("an X25519 router"));
        let secret = X25519Secret::from_bytes(*person.encryption.to_bytes());
        let entry = PeerEntry {
            info,
            facts,
            standing: Standing::default(),
            connected: false,
            first_heard_ms: WALL_MS,
        };
        Known { keys: RouterKeys::new(person.hash(), secret), entry: Arc::new(entry) }
    };
    (0..ROUTERS).map(known).collect()
});

static VIEWS: LazyLock<Vec<PeerView>> = LazyLock::new(|| {
    let view = |own: usize| {
        let peers = (0..ROUTERS).filter(|n| *n != own).map(|n| ALL[n].entry.clone()).collect();
        PeerView::new(peers, Some(ALL[own].entry.clone()), ViewPolicy::default(), 1)
    };
    (0..ROUTERS).map(view).collect()
});

struct World {
    now: Now,
    nodes: Vec<(Builder, Plane)>,
    /// From, to, message.
    wire: Vec<(usize, usize, I2np)>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::from_seed(seed);
        let config = BuilderConfig::test_network();
        let nodes = ALL
            .iter()
            .map(|known| {
                let builder = Builder::new(known.keys.clone(), config.clone(), rng.fork("builder"));
                (builder, Plane::new(known.keys.hash, PlaneConfig::default(), rng.fork("plane")))
            })
            .collect();
        let mut world = Self { now: start(), nodes, wire: Vec::new() };
        let pool = PoolConfig::symmetric(2, 1);
        world.give(0, BuildInput::OpenPool { id: PoolId::EXPLORATORY, config: pool, explicit: Vec::new() });
        world
    }

    fn give(&mut self, at: usize, input: BuildInput) {
        self.nodes[at].0.handle(self.now, &VIEWS[at], input);
        self.drain(at);
    }

    fn drain(&mut self, at: usize) {
        let now = self.now;
        let (builder, plane) = &mut self.nodes[at];
        for _ in 0..10_000 {
            let mut idle = true;
            while let Some(action) = builder.poll_action() {
                idle = false;
                match action {
                    Action::Plane(input) => plane.handle(now, input),
                    Action::Pool(_, state) => {
                        for tunnel in &state.inbound {
                            assert!(tunnel.hops.iter().all(|h| VIEWS[at].get(h).is_some()));
                            assert!(tunnel.id.0 != 0 && tunnel.receive.0 != 0);
                        }
                        for tunnel in &state.outbound {
                            assert!(tunnel.hops.iter().all(|h| VIEWS[at].get(h).is_some()));
                        }
                    }
                    _ => {}
                }
            }
            while let Some(action) = plane.poll_action() {
                idle = false;
                match action {
                    PlaneAction::Send { peer, messages, .. } => {
                        let Some(to) = ALL.iter().position(|k| k.keys.hash == peer) else { continue };
                        self.wire.extend(messages.into_iter().map(|m| (at, to, m)));
                    }
                    PlaneAction::Control { from, via, message, .. } => {
                        builder.handle(now, &VIEWS[at], BuildInput::Message { from, via, message });
                    }
                    PlaneAction::Refused { key, .. } => {
                        builder.handle(now, &VIEWS[at], BuildInput::Refused(key))
                    }
                    PlaneAction::Up { .. } => {}
                }
            }
            if idle {
                assert!(self.nodes[at].0.transit_tunnels() <= 2500);
                self.wire.truncate(WIRE_MAX);
                return;
            }
        }
        panic!("a router that never falls silent");
    }

    fn deliver(&mut self, (from, to, message): (usize, usize, I2np)) {
        let peer = ALL[from].keys.hash;
        self.nodes[to].1.handle(self.now, PlaneInput::FromPeer { peer, messages: vec![message] });
        self.drain(to);
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.later(time);
        for at in 0..ROUTERS {
            let (builder, plane) = &mut self.nodes[at];
            if builder.poll_timeout().is_some_and(|t| t <= self.now.mono) {
                builder.handle_timeout(self.now, &VIEWS[at]);
            }
            if plane.poll_timeout().is_some_and(|t| t <= self.now.mono) {
                plane.handle_timeout(self.now);
            }
            self.drain(at);
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let choice = input.byte();
        match choice % 16 {
            0..=7 if !self.wire.is_empty() => {
                let at = if choice & 128 == 0 { 0 } else { input.below(self.wire.len()) };
                let flight = self.wire.remove(at);
                self.deliver(flight);
            }
            8 if !self.wire.is_empty() => drop(self.wire.remove(input.below(self.wire.len()))),
            9 if !self.wire.is_empty() => {
                let flight = self.wire[input.below(self.wire.len())].clone();
                self.deliver(flight);
            }
            10 | 11 if !self.wire.is_empty() => {
                let mut flight = self.wire.remove(input.below(self.wire.len()));
                input.damage(&mut flight.2.body);
                if choice & 128 != 0 {
                    flight.2.kind = input.pick(&[
                        I2npKind::SHORT_TUNNEL_BUILD,
                        I2npKind::OUTBOUND_TUNNEL_BUILD_REPLY,
                        I2npKind::GARLIC,
                        I2npKind::TUNNEL_GATEWAY,
                        I2npKind::VARIABLE_TUNNEL_BUILD,
                    ]);
                }
                self.deliver(flight);
            }
            12 => {
                let peer = ALL[input.below(ROUTERS)].keys.hash;
                let report =
                    if choice & 128 == 0 { BuildInput::LinkDown(peer) } else { BuildInput::PeerFailed(peer) };
                self.give(0, report);
            }
            13 => {
                let pool = PoolConfig::symmetric(input.byte() % 4, 1 + input.byte() % 3);
                let id = PoolId(u32::from(choice >> 7));
                self.give(0, BuildInput::OpenPool { id, config: pool, explicit: Vec::new() });
            }
            14 if choice & 128 != 0 => self.give(0, BuildInput::Suspect(PoolId::EXPLORATORY)),
            14 => self.give(0, BuildInput::ClosePool(PoolId(1))),
            _ => self.pass(Duration::from_millis(u64::from(input.byte()) * 40)),
        }
    }
}

/// Honest routers and bad lines.
pub fn build_net(data: &[u8]) {
    let mut input = Input::new(data);
    let mut world = World::new(u64::from(input.byte() % 4));
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
    }
    // From here on the line is good. Tired routers are tried again, so it may take a while.
    let pool = PoolConfig::symmetric(1, 1);
    world.give(0, BuildInput::OpenPool { id: PoolId::EXPLORATORY, config: pool, explicit: Vec::new() });
    for _ in 0..1200 {
        for flight in std::mem::take(&mut world.wire) {
            world.deliver(flight);
        }
        if world.nodes[0].0.pool_state(PoolId::EXPLORATORY).is_some_and(|state| state.is_ready()) {
            return;
        }
        world.pass(Duration::from_millis(250));
    }
    panic!("no tunnels: {:?}", world.nodes[0].0.pool_report(PoolId::EXPLORATORY).map(|r| r.to_string()));
}

fn net_seeds() -> Vec<Vec<u8>> {
    let honest = [vec![0u8; 30], vec![15, 3], vec![0; 30]].concat();
    let tampered = [vec![1, 0, 0, 10, 0, 200, 0, 3, 0, 0, 0, 15, 255, 15, 255], vec![0; 40]].concat();
    vec![
        honest,
        tampered,
        [vec![2, 13, 1, 1, 0x8d, 2, 1], vec![0, 0, 8, 0, 9, 0, 0x8b, 0, 90, 0, 1, 4], vec![0; 20]].concat(),
    ]
}

/// A creator that seals what it likes into the records for one hop.
pub fn build_request(data: &[u8]) {
    let mut input = Input::new(data);
    let mut now = start();
    let me = &ALL[0];
    let mut builder = Builder::new(me.keys.clone(), BuilderConfig::default(), Rng::from_seed(1));
    let mut rng = Rng::from_seed(2);
    let mut count = 0;
    while !input.is_empty() && count < 40 {
        count += 1;
        let size = if input.byte() < 180 { RecordSize::Short } else { RecordSize::Long };
        let from = (input.byte() < 230).then(|| ALL[1 + input.below(ROUTERS - 1)].keys.hash);
        let body = records(&mut input, &mut rng, size, me, now);
        let kind = if input.byte() < 245 { size.request_kind() } else { size.reply_kind() };
        let message = I2np { kind, id: MessageId(9), expiration_ms: now.wall_ms + 5000, body };
        let before = builder.transit_tunnels();
        builder.handle(now, &VIEWS[0], BuildInput::Message { from, via: Via::Direct, message });
        assert!(builder.transit_tunnels() <= before + 1);
        let mut installs = 0;
        while let Some(action) = builder.poll_action() {
            let Action::Plane(order) = action else { continue };
            match order {
                PlaneInput::Install(install) => {
                    installs += 1;
                    check_install(&install.config, install.expires, now, me.keys.hash);
                }
                PlaneInput::Send { message, .. } => assert!(message.body.len() < 8000),
                _ => {}
            }
        }
        assert!(installs <= 1);
        if input.byte() > 220 {
            now = now.later(Duration::from_secs(u64::from(input.byte())));
            builder.handle_timeout(now, &VIEWS[0]);
        }
    }
}

fn check_install(config: &TunnelConfig, expires: Mono, now: Now, me: RouterHash) {
    assert!(config.is_transit() && expires > now.mono && expires.since(now.mono) <= Duration::from_secs(660));
    if let TunnelConfig::Gateway { receive, next, .. } | TunnelConfig::Participant { receive, next, .. } =
        config
    {
        assert!(receive.0 != 0 && next.tunnel.0 != 0 && next.router != me);
    }
}

/// A build message with a record for us among others.
fn records(input: &mut Input<'_>, rng: &mut Rng, size: RecordSize, me: &Known, now: Now) -> Vec<u8> {
    if input.byte() > 245 {
        return input.chunk(900).to_vec();
    }
    let count = 1 + input.byte() % 8;
    let mut records = BuildRecords::zeroed(size, count);
    records.iter_mut().for_each(|record| rng.fill(record));
    let mut clear = clear(input, size, now);
    if input.byte() < 240 {
        clear.resize(size.clear_len(), 0);
    }
    let slot = input.below(usize::from(count));
    let key: &X25519Public = &me.keys.public;
    let sealed = noise_n::seal(rng, key, &clear).expect("a good key");
    if let Some(record) = records.get_mut(slot) {
        record[..HOP_PREFIX].copy_from_slice(&me.keys.hash.0[..HOP_PREFIX]);
        let room = &mut record[HOP_PREFIX..];
        let len = room.len().min(sealed.len());
        room[..len].copy_from_slice(&sealed[..len]);
    }
    let mut body = records.into_body();
    if input.byte() > 235 {
        input.damage(&mut body);
    }
    body
}

fn clear(input: &mut Input<'_>, size: RecordSize, now: Now) -> Vec<u8> {
    if input.byte() > 240 {
        return input.chunk(464).to_vec();
    }
    let id = |input: &mut Input<'_>| TunnelId(u32::from(input.byte() % 32));
    let keys = (size == RecordSize::Long).then(|| LongKeys {
        layer: [1; 32],
        iv: [2; 32],
        reply: [3; 32],
        reply_iv: [4; 16],
    });
    let mut options = Mapping::new();
    if input.byte() > 200 {
        options.set(&String::from_utf8_lossy(input.chunk(9)), &String::from_utf8_lossy(input.chunk(90)));
    }
    let request = BuildRequest {
        receive: id(input),
        next_tunnel: id(input),
        next: match input.below(ROUTERS + 1) {
            ROUTERS => RouterHash([8; 32]),
            n => ALL[n].keys.hash,
        },
        role: input.pick(&[HopRole::InboundGateway, HopRole::Participant, HopRole::OutboundEndpoint]),
        layer_type: if input.byte() > 240 { 1 } else { 0 },
        minutes: ((now.wall_ms / 60_000) as u32)
            .saturating_add(u32::from(input.byte() % 16))
            .saturating_sub(9),
        next_message: MessageId(input.u32()),
        options,
        keys,
    };
    let mut out = Vec::new();
    request.encode(&mut out);
    out
}

fn request_seeds() -> Vec<Vec<u8>> {
    let ask =
        |role: u8, size: u8| vec![size, 0, 1, 0, 3, 0, 0, 5, 6, 2, role, 0, 9, 0, 0, 0, 1, 0, 1, 0, 0, 0];
    vec![
        ask(0, 0),
        ask(1, 0),
        ask(2, 0),
        ask(1, 255),
        [ask(0, 0), ask(2, 0), ask(1, 0), ask(1, 200)].concat(),
    ]
}
