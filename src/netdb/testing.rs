// SPDX-License-Identifier: MIT
//! Routers, destinations and a small network of engines for the tests of this room, with a hand-moved clock.

use super::client::{LeaseAction, LeaseLookups, LeasePublisher, PublishAction};
use super::message::{ReplyTunnel, Tunnels, local_cloves, sealed_part};
use super::{Action, Config, Engine, Input, Source};
use crate::base::{Mono, Now, Rng};
use crate::crypto::{SigningKey, Verified, X25519Secret, noise_n};
use crate::wire::{
    DeliveryStatus, Destination, Hash, I2np, I2npKind, Lease2, LeaseSet2, LeaseSetKey, Mapping,
    RouterAddress, RouterHash, RouterIdentity, RouterInfo, SigType, TunnelGateway, TunnelId, Wire, b64,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Noon of some day, so that no test is near midnight by accident.
pub(super) const NOON: u64 = 1_767_225_600_000 + 43_200_000;
pub(super) const NET_ID: u8 = 77;

pub(super) fn at(ms: u64) -> Now {
    Now { mono: Mono::from_millis(1_000 + ms), wall_ms: NOON + ms }
}

/// What a made-up router publishes.
#[derive(Clone)]
pub(super) struct Make {
    pub(super) caps: &'static str,
    pub(super) version: &'static str,
    pub(super) net_id: &'static str,
    pub(super) host: Option<String>,
    pub(super) published_ms: u64,
    pub(super) family: Option<&'static str>,
}

impl Default for Make {
    fn default() -> Self {
        Self {
            caps: "LR",
            version: "0.9.64",
            net_id: "77",
            host: Some("198.18.1.1".into()),
            published_ms: NOON,
            family: None,
        }
    }
}

/// A router with all its keys.
pub(super) struct TestRouter {
    signing: SigningKey,
    secret: X25519Secret,
    identity: RouterIdentity,
}

impl TestRouter {
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self::with_secret(rng, X25519Secret::random(&mut Rng::from_seed(9)))
    }

    /// Distinct encryption key: slower to make, needed where garlic is opened.
    pub(super) fn with_secret(rng: &mut Rng, secret: X25519Secret) -> Self {
        let signing = SigningKey::random(rng);
        let keys = crate::wire::KeysAndCert::build(
            SigType::Ed25519,
            &signing.public(),
            4,
            &secret.public().0,
            rng.bytes(),
        );
        Self { signing, secret, identity: RouterIdentity::new(keys) }
    }

    pub(super) fn hash(&self) -> RouterHash {
        self.identity.hash()
    }

    pub(super) fn info(&self, make: &Make) -> RouterInfo {
        let mut options = Mapping::new();
        options.set("caps", make.caps);
        options.set("netId", make.net_id);
        options.set("router.version", make.version);
        if let Some(family) = make.family {
            options.set("family", family);
        }
        let mut address = Mapping::new();
        address.set("v", "2");
        address.set("s", &b64::encode(&[5; 32]));
        match &make.host {
            Some(host) => {
                address.set("host", host);
                address.set("port", "17001");
                address.set("i", &b64::encode(&[6; 16]));
            }
            None => address.set("caps", "4"),
        }
        let addresses = vec![RouterAddress { cost: 3, style: "NTCP2".into(), options: address }];
        RouterInfo::build(&self.identity, make.published_ms, addresses, options, |m| {
            self.signing.sign(m).to_vec()
        })
    }

    pub(super) fn bytes(&self, make: &Make) -> Vec<u8> {
        self.info(make).raw().to_vec()
    }

    pub(super) fn verified(&self, make: &Make) -> Arc<Verified<RouterInfo>> {
        Arc::new(Verified::check(self.info(make)).unwrap())
    }
}

/// A destination with its keys.
pub(super) struct TestDestination {
    signing: SigningKey,
    pub(super) destination: Destination,
}

impl TestDestination {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let signing = SigningKey::random(rng);
        let keys = crate::wire::KeysAndCert::build(SigType::Ed25519, &signing.public(), 0, &[], rng.bytes());
        Self { signing, destination: Destination::new(keys) }
    }

    pub(super) fn key(&self) -> Hash {
        self.destination.hash().into()
    }

    /// Signed now, with one lease of ten minutes.
    pub(super) fn lease_set(&self, now: Now) -> LeaseSet2 {
        self.lease_set_with(now.wall_s(), now.wall_s() + 600, false)
    }

    pub(super) fn lease_set_with(&self, published_s: u32, end_s: u32, unpublished: bool) -> LeaseSet2 {
        let keys = vec![LeaseSetKey { kind: 4, key: vec![7; 32] }];
        let leases = vec![Lease2 { gateway: RouterHash([1; 32]), tunnel: TunnelId(9), end_s }];
        LeaseSet2::build(&self.destination, published_s, end_s, unpublished, keys, leases, |m| {
            self.signing.sign(m).to_vec()
        })
    }
}

/// How a node treats what reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Honest,
    /// Takes everything, answers nothing.
    Silent,
    /// Confirms stores but keeps nothing and never finds anything.
    Liar,
}

pub(super) struct Node {
    pub(super) router: TestRouter,
    pub(super) engine: Engine,
    pub(super) manner: Manner,
    pub(super) log: Vec<Action>,
}

/// The netDb part of a destination.
pub(super) struct Client {
    pub(super) lookups: LeaseLookups,
    pub(super) publisher: LeasePublisher,
    pub(super) found: Vec<LeaseAction>,
    pub(super) events: Vec<PublishAction>,
    /// Router on which it runs.
    home: usize,
}

#[derive(Clone, Copy)]
enum Owner {
    Node(usize),
    Client(usize),
}

/// Engines joined by a network in which every message takes 50 ms, tunnels included.
pub(super) struct Sim {
    pub(super) now: Now,
    pub(super) nodes: Vec<Node>,
    pub(super) clients: Vec<Client>,
    index: BTreeMap<RouterHash, usize>,
    tunnels: BTreeMap<(RouterHash, TunnelId), Owner>,
    queue: BTreeMap<(Mono, u64), (RouterHash, RouterHash, I2np)>,
    sent: u64,
    pub(super) rng: Rng,
}

const LATENCY: Duration = Duration::from_millis(50);

impl Sim {
    /// Routers of which the first `floodfills` are floodfills. Nobody knows anybody.
    pub(super) fn new(seed: u64, routers: usize, floodfills: usize) -> Self {
        let mut rng = Rng::from_seed(seed);
        let now = at(0);
        let mut sim = Self {
            now,
            nodes: Vec::new(),
            clients: Vec::new(),
            index: BTreeMap::new(),
            tunnels: BTreeMap::new(),
            queue: BTreeMap::new(),
            sent: 0,
            rng: Rng::from_seed(seed + 1),
        };
        for i in 0..routers {
            let secret = X25519Secret::random(&mut rng);
            let router = TestRouter::with_secret(&mut rng, secret);
            let mut config = Config::for_test_network(router.hash(), NET_ID);
            if i < floodfills {
                config = config.with_floodfill();
            }
            let engine = Engine::new(config, now, rng.fork("netdb"));
            sim.index.insert(router.hash(), i);
            sim.nodes.push(Node { router, engine, manner: Manner::Honest, log: Vec::new() });
        }
        for i in 0..routers {
            let info = sim.nodes[i].router.verified(&sim.make(i, floodfills));
            sim.input(i, Input::Own(info));
        }
        sim
    }

    fn make(&self, i: usize, floodfills: usize) -> Make {
        Make {
            caps: if i < floodfills { "XfR" } else { "XR" },
            host: Some(format!("198.18.{}.1", i % 250)),
            published_ms: self.now.wall_ms,
            ..Make::default()
        }
    }

    pub(super) fn hash(&self, i: usize) -> RouterHash {
        self.nodes[i].router.hash()
    }

    /// `who` learns about `whom`, as from a bootstrap file.
    pub(super) fn introduce(&mut self, who: usize, whom: usize) {
        let bytes = self.nodes[whom].engine.view().own().unwrap().info.raw().to_vec();
        self.input(who, Input::Load(bytes));
    }

    pub(super) fn introduce_all(&mut self) {
        for i in 0..self.nodes.len() {
            for j in 0..self.nodes.len() {
                if i != j {
                    self.introduce(i, j);
                }
            }
        }
    }

    /// A transport session between the two.
    pub(super) fn connect(&mut self, a: usize, b: usize) {
        let (ha, hb) = (self.hash(a), self.hash(b));
        self.input(a, Input::Up(hb));
        self.input(b, Input::Up(ha));
    }

    /// Gives a node's router exploratory tunnels: the way back leads through `gateway`.
    pub(super) fn exploratory(&mut self, node: usize, gateway: usize) {
        let tunnels = self.tunnel(Owner::Node(node), gateway);
        self.input(node, Input::Exploratory(tunnels));
    }

    /// A destination on router `home`, with tunnels whose way back leads through `gateway`.
    pub(super) fn client(&mut self, home: usize, gateway: usize) -> usize {
        let id = self.clients.len();
        let tunnels = self.tunnel(Owner::Client(id), gateway);
        let mut client = Client {
            lookups: LeaseLookups::new(self.rng.fork("lookups")),
            publisher: LeasePublisher::new(self.rng.fork("publisher")),
            found: Vec::new(),
            events: Vec::new(),
            home,
        };
        client.lookups.set_tunnels(self.now, tunnels.clone());
        client.publisher.set_tunnels(self.now, tunnels);
        self.clients.push(client);
        self.drain_client(id);
        id
    }

    fn tunnel(&mut self, owner: Owner, gateway: usize) -> Tunnels {
        let tunnel = TunnelId(1_000 + u32::try_from(self.tunnels.len()).unwrap());
        let reply = ReplyTunnel { gateway: self.hash(gateway), tunnel };
        self.tunnels.insert((reply.gateway, tunnel), owner);
        Tunnels { inbound: vec![reply], outbound: vec![TunnelId(1)] }
    }

    pub(super) fn input(&mut self, node: usize, input: Input) {
        self.nodes[node].engine.handle(self.now, input);
        self.drain(node);
    }

    fn drain(&mut self, node: usize) {
        while let Some(action) = self.nodes[node].engine.poll_action() {
            match action.clone() {
                Action::Send { to, message } => {
                    let from = self.hash(node);
                    self.post(from, to, message, LATENCY);
                }
                Action::SendThrough { to, message, .. } => {
                    // Comes out at some other router, here nobody in particular.
                    self.post(RouterHash([0xee; 32]), to, message, LATENCY * 2);
                }
                Action::RefreshOwn => {
                    let floodfills =
                        if self.nodes[node].engine.view().own().unwrap().floodfill { node + 1 } else { 0 };
                    let info = self.nodes[node].router.verified(&self.make(node, floodfills));
                    self.nodes[node].engine.handle(self.now, Input::Own(info));
                }
                _ => {}
            }
            if !matches!(action, Action::ViewChanged(_)) {
                self.nodes[node].log.push(action);
            }
        }
    }

    pub(super) fn drain_client(&mut self, id: usize) {
        let view = self.nodes[self.clients[id].home].engine.view().clone();
        let now = self.now;
        self.clients[id].lookups.set_view(view.clone());
        self.clients[id].publisher.set_view(now, view);
        while let Some(action) = self.clients[id].lookups.poll_action() {
            match action {
                LeaseAction::Send { to, message, .. } => {
                    self.post(RouterHash([0xee; 32]), to, message, LATENCY * 2);
                }
                LeaseAction::Suspect => {}
                LeaseAction::FindRouter(hash) => self.input(self.clients[id].home, Input::FindRouter(hash)),
                other => self.clients[id].found.push(other),
            }
        }
        while let Some(action) = self.clients[id].publisher.poll_action() {
            match action {
                PublishAction::Send { to, message, .. } => {
                    self.post(RouterHash([0xee; 32]), to, message, LATENCY * 2);
                }
                other => self.clients[id].events.push(other),
            }
        }
    }

    pub(super) fn post(&mut self, from: RouterHash, to: RouterHash, message: I2np, delay: Duration) {
        self.sent += 1;
        self.queue.insert((self.now.mono + delay, self.sent), (from, to, message));
    }

    fn deliver(&mut self, from: RouterHash, to: RouterHash, message: I2np) {
        let Some(node) = self.index.get(&to).copied() else { return };
        match message.kind {
            I2npKind::TUNNEL_GATEWAY => {
                let outer = TunnelGateway::from_bytes(&message.body).unwrap();
                let inner = I2np::decode_long(&outer.message).unwrap();
                match self.tunnels.get(&(to, outer.tunnel)) {
                    Some(Owner::Node(owner)) => {
                        self.input(*owner, Input::Message { source: Source::Exploratory, message: inner });
                    }
                    Some(Owner::Client(id)) => self.deliver_to_client(*id, &inner),
                    None => {}
                }
            }
            _ if self.nodes[node].manner == Manner::Silent => {}
            I2npKind::GARLIC => {
                let secret = &self.nodes[node].router.secret;
                let sealed = sealed_part(&message.body).unwrap();
                let opened = noise_n::open(secret, &secret.public(), sealed).unwrap();
                for clove in local_cloves(&opened.payload) {
                    self.hand_over(node, Source::Garlic, clove);
                }
            }
            _ => self.hand_over(node, Source::Direct(from), message),
        }
    }

    fn hand_over(&mut self, node: usize, source: Source, message: I2np) {
        if self.nodes[node].manner == Manner::Liar {
            self.lie(node, source, message);
            return;
        }
        self.input(node, Input::Message { source, message });
    }

    /// A liar spoils the signature of what is stored at it: acknowledged, but not kept.
    fn lie(&mut self, node: usize, source: Source, mut message: I2np) {
        if message.kind == I2npKind::DATABASE_STORE
            && let Some(last) = message.body.last_mut()
        {
            *last ^= 1;
        }
        self.input(node, Input::Message { source, message });
    }

    fn deliver_to_client(&mut self, id: usize, message: &I2np) {
        let now = self.now;
        let client = &mut self.clients[id];
        match message.kind {
            I2npKind::DELIVERY_STATUS => {
                let status = DeliveryStatus::from_bytes(&message.body).unwrap();
                client.publisher.on_status(now, status.id);
            }
            I2npKind::GARLIC => {
                let known = client.lookups.open_tagged(now, &message.body)
                    || client.publisher.open_tagged(now, &message.body);
                assert!(known, "an answer without a known tag");
            }
            _ => panic!("plain {:?} in a client tunnel", message.kind),
        }
        self.drain_client(id);
    }

    /// Lets `d` pass.
    pub(super) fn run(&mut self, d: Duration) {
        let end = self.now.later(d);
        loop {
            let mut next = end.mono;
            next = next.min(self.queue.first_key_value().map_or(next, |((at, _), _)| *at));
            for node in &self.nodes {
                next = next.min(node.engine.poll_timeout().unwrap_or(next));
            }
            for client in &self.clients {
                next = next.min(client.lookups.poll_timeout().unwrap_or(next));
                next = next.min(client.publisher.poll_timeout().unwrap_or(next));
            }
            self.now = Now {
                mono: next.max(self.now.mono),
                wall_ms: NOON - 1_000 + next.max(self.now.mono).as_millis(),
            };
            while let Some(entry) = self.queue.first_entry()
                && entry.key().0 <= self.now.mono
            {
                let (from, to, message) = entry.remove();
                self.deliver(from, to, message);
            }
            self.tick();
            if self.now.mono >= end.mono {
                return;
            }
        }
    }

    fn tick(&mut self) {
        for node in 0..self.nodes.len() {
            if self.nodes[node].engine.poll_timeout().is_some_and(|t| t <= self.now.mono) {
                self.nodes[node].engine.handle_timeout(self.now);
                self.drain(node);
            }
        }
        for id in 0..self.clients.len() {
            let now = self.now;
            let client = &mut self.clients[id];
            if client.lookups.poll_timeout().is_some_and(|at| at <= now.mono) {
                client.lookups.handle_timeout(now);
            }
            if client.publisher.poll_timeout().is_some_and(|at| at <= now.mono) {
                client.publisher.handle_timeout(now);
            }
            self.drain_client(id);
        }
    }

    pub(super) fn log(&self, node: usize, wanted: impl Fn(&Action) -> bool) -> usize {
        self.nodes[node].log.iter().filter(|a| wanted(a)).count()
    }
}
