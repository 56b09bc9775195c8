// SPDX-License-Identifier: MIT
//! The plane: five routers with tunnels over them and an adversary on every link; and an endpoint whose creator lies.
//!
//! What comes out of a tunnel went in at the other end. Whatever is counted as received is counted once more by its
//! fate, and what waits stays within its bounds.

use std::time::Duration;

use super::Target;
use super::input::Input;
use super::people::start;
use crate::base::{Now, Rng};
use crate::crypto::layer::LayerKeys;
use crate::tunnel::plane::{Action, Input as PlaneInput, Plane, PlaneConfig};
use crate::tunnel::{Delivery, HopKeys, Install, NextHop, PoolId, TunnelConfig, TunnelKey};
use crate::wire::tunnel_data::{self, CAPACITY, CELL_LEN, encode_body, encode_follow, encode_head};
use crate::wire::{I2np, I2npKind, MessageId, RouterHash, TunnelGateway, TunnelId, Wire};

pub(super) const TUNNELS: &[Target] =
    &[("tunnel_chain", tunnel_chain, chain_seeds), ("tunnel_endpoint", tunnel_endpoint, endpoint_seeds)];

const ROUTERS: usize = 5;
const POOL: PoolId = PoolId(3);
const STEPS: usize = 120;

fn hash(router: usize) -> RouterHash {
    RouterHash([router as u8 + 1; 32])
}

fn keys(n: u8) -> HopKeys {
    HopKeys::new(&[n; 32], &[n ^ 0x55; 32])
}

/// Everything that was counted on its way in was counted once more by what became of it.
fn balanced(plane: &Plane) {
    let m = plane.metrics();
    let cells = [
        &m.cells_forwarded,
        &m.cells_opened,
        &m.cells_dropped_checksum,
        &m.cells_dropped_duplicate,
        &m.cells_dropped_unknown,
        &m.cells_dropped_role,
        &m.cells_dropped_sender,
        &m.cells_dropped_malformed,
        &m.cells_dropped_late,
        &m.cells_dropped_rate,
    ];
    assert_eq!(m.cells_received.get(), cells.iter().map(|c| c.get()).sum::<u64>(), "cells");
    let gateway = [
        &m.gateway_packed,
        &m.gateway_delivered,
        &m.gateway_dropped_unknown,
        &m.gateway_dropped_role,
        &m.gateway_dropped_malformed,
        &m.gateway_dropped_late,
        &m.gateway_dropped_rate,
    ];
    assert_eq!(m.gateway_received.get(), gateway.iter().map(|c| c.get()).sum::<u64>(), "gateway");
    let joins = [
        &m.join_completed,
        &m.join_dropped_late,
        &m.join_dropped_tunnel,
        &m.join_dropped_total,
        &m.join_dropped_malformed,
        &m.join_dropped_gone,
    ];
    let (messages, bytes) = plane.incomplete();
    let done = joins.iter().map(|c| c.get()).sum::<u64>();
    assert_eq!(m.join_started.get(), done + messages as u64, "fragments");
    assert!(bytes <= 4 << 20);
    let gone = m.tunnels_expired.get() + m.tunnels_removed.get();
    let live = (plane.transit_tunnels() + plane.own_tunnels()) as u64;
    assert_eq!(m.tunnels_installed.get(), gone + live, "tunnels");
}

struct World {
    now: Now,
    planes: Vec<Plane>,
    /// From, to, message.
    wire: Vec<(RouterHash, usize, I2np)>,
    sent: Vec<Vec<u8>>,
    arrived: usize,
    handle: TunnelId,
    lease: (RouterHash, TunnelId),
}

impl World {
    /// Router 0 has an inbound tunnel over 1 and 2, router 3 an outbound one over 4 and 1.
    fn new() -> Self {
        let mut rng = Rng::from_seed(1);
        let planes =
            (0..ROUTERS).map(|at| Plane::new(hash(at), PlaneConfig::default(), rng.fork("plane"))).collect();
        let id = TunnelId;
        let mut world = Self {
            now: start(),
            planes,
            wire: Vec::new(),
            sent: Vec::new(),
            arrived: 0,
            handle: id(900),
            lease: (hash(1), id(11)),
        };
        let next = |router: usize, tunnel: u32| NextHop { router: hash(router), tunnel: TunnelId(tunnel) };
        let previous = |router: usize| Some(hash(router));
        let participant = |receive, before, next, keys| TunnelConfig::Participant {
            receive: TunnelId(receive),
            previous: previous(before),
            next,
            keys,
        };
        world.install(1, TunnelConfig::Gateway { receive: id(11), next: next(2, 12), keys: keys(1) });
        world.install(2, participant(12, 1, next(0, 13), keys(2)));
        let hops = vec![keys(1), keys(2)];
        world.install(0, TunnelConfig::Inbound { receive: id(13), owner: POOL, previous: previous(2), hops });
        world.install(4, participant(21, 3, next(1, 22), keys(3)));
        world.install(1, TunnelConfig::Endpoint { receive: id(22), previous: previous(4), keys: keys(4) });
        let hops = vec![keys(3), keys(4)];
        let (first, endpoint) = (next(4, 21), hash(1));
        world.install(3, TunnelConfig::Outbound { handle: id(900), owner: POOL, first, endpoint, hops });
        world
    }

    fn install(&mut self, router: usize, config: TunnelConfig) {
        let expires = self.now.mono + Duration::from_secs(600);
        self.planes[router].handle(self.now, PlaneInput::Install(Install { config, expires, rate: None }));
        self.drain(router);
    }

    fn drain(&mut self, router: usize) {
        while let Some(action) = self.planes[router].poll_action() {
            match action {
                Action::Send { peer, messages, .. } => {
                    let to = usize::from(peer.0[0]).wrapping_sub(1);
                    assert!(to != router, "sends to itself");
                    if to < ROUTERS {
                        self.wire.extend(messages.into_iter().map(|m| (hash(router), to, m)));
                    }
                }
                Action::Up { pool, messages } => {
                    assert_eq!((pool, router), (POOL, 0));
                    for message in messages {
                        self.arrived += 1;
                        assert!(self.sent.contains(&message.body), "nobody sent this");
                    }
                }
                Action::Control { message, .. } => {
                    assert!(
                        message.kind != I2npKind::TUNNEL_DATA && message.kind != I2npKind::TUNNEL_GATEWAY
                    );
                }
                Action::Refused { .. } => {}
            }
        }
        balanced(&self.planes[router]);
    }

    fn deliver(&mut self, from: RouterHash, to: usize, message: I2np) {
        self.planes[to].handle(self.now, PlaneInput::FromPeer { peer: from, messages: vec![message] });
        self.drain(to);
    }

    fn send(&mut self, len: usize, delivery: Delivery) {
        let id = self.sent.len() as u32 + 1;
        let mut body = vec![id as u8; len];
        body.extend_from_slice(&id.to_be_bytes());
        self.sent.push(body.clone());
        let expiration_ms = self.now.wall_ms + 8000;
        let message = I2np { kind: I2npKind::DATA, id: MessageId(id), expiration_ms, body };
        let order = PlaneInput::Out { handle: self.handle, messages: vec![(delivery, message)] };
        self.planes[3].handle(self.now, order);
        self.drain(3);
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let choice = input.byte();
        match choice % 16 {
            0..=2 => {
                let delivery = match choice >> 4 {
                    0..=11 => Delivery::Tunnel(self.lease.0, self.lease.1),
                    12 => Delivery::Router(hash(input.below(ROUTERS))),
                    13 => Delivery::Local,
                    _ => Delivery::Tunnel(hash(input.below(ROUTERS)), TunnelId(input.u32() % 40)),
                };
                let len = if choice & 128 == 0 { input.below(1200) } else { input.below(62_000) };
                self.send(len, delivery);
            }
            3..=8 if !self.wire.is_empty() => {
                let (from, to, message) = self.wire.remove(0);
                self.deliver(from, to, message);
            }
            9 if !self.wire.is_empty() => {
                let (from, to, message) = self.wire.remove(input.below(self.wire.len()));
                self.deliver(from, to, message);
            }
            10 if !self.wire.is_empty() => {
                let (from, to, message) = self.wire[input.below(self.wire.len())].clone();
                let from = if choice & 128 == 0 { from } else { hash(input.below(ROUTERS)) };
                self.deliver(from, to, message);
            }
            11 if !self.wire.is_empty() => drop(self.wire.remove(input.below(self.wire.len()))),
            12 if !self.wire.is_empty() => {
                let at = input.below(self.wire.len());
                let (from, to, mut message) = self.wire.remove(at);
                // Inside a gateway message everything is in the clear: there a changed body is another message.
                if message.kind == I2npKind::TUNNEL_DATA {
                    input.damage(&mut message.body);
                } else {
                    message.body.truncate(input.below(message.body.len() + 1));
                }
                self.deliver(from, to, message);
            }
            13 => {
                for _ in 0..input.below(100).min(self.wire.len()) {
                    let (from, to, message) = self.wire.remove(0);
                    self.deliver(from, to, message);
                }
            }
            14 => self.pass(Duration::from_millis(u64::from(input.u16()))),
            _ => {
                let body = input.chunk(1100).to_vec();
                let kind = if choice & 128 == 0 { I2npKind::TUNNEL_DATA } else { I2npKind::TUNNEL_GATEWAY };
                let expiration_ms = self.now.wall_ms + u64::from(input.u16());
                let message = I2np { kind, id: MessageId(1), expiration_ms, body };
                // From the gateway's side anything may come down the inbound tunnel, but not out of it as ours.
                let to = 1 + input.below(ROUTERS - 1);
                if kind == I2npKind::TUNNEL_DATA {
                    self.deliver(hash(input.below(ROUTERS)), to, message);
                }
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.later(time);
        for router in 0..ROUTERS {
            self.planes[router].handle_timeout(self.now);
            self.drain(router);
        }
    }

    fn run(&mut self) {
        while !self.wire.is_empty() {
            let (from, to, message) = self.wire.remove(0);
            self.deliver(from, to, message);
        }
    }
}

/// An honest chain with a bad line.
pub fn tunnel_chain(data: &[u8]) {
    let mut input = Input::new(data);
    let mut world = World::new();
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
    }
    world.run();
    if world.now.mono < start().mono + Duration::from_secs(500) {
        let before = world.arrived;
        world.send(3000, Delivery::Tunnel(world.lease.0, world.lease.1));
        world.run();
        assert_eq!(world.arrived, before + 1, "a good line carries again");
    }
    world.pass(Duration::from_secs(700));
    for plane in &world.planes {
        assert_eq!((plane.incomplete(), plane.own_tunnels(), plane.transit_tunnels()), ((0, 0), 0, 0));
    }
}

fn chain_seeds() -> Vec<Vec<u8>> {
    vec![
        vec![0, 200, 0, 3, 3, 3, 3, 3],
        vec![0x80, 30, 0, 13, 99, 13, 99, 10, 1, 12, 0, 9, 0, 5, 1, 11, 2],
        vec![0, 2, 0, 0xc0, 4, 9, 1, 13, 99, 14, 200, 0, 0xd0, 9, 9, 0xe0, 3, 2, 1, 0, 0, 9],
    ]
}

/// Makes a cell that is clear for the last of `hops` to work on it.
fn cell_for(layers: &[LayerKeys], encrypts: bool, id: u32, fragments: &[u8], iv: u8) -> Vec<u8> {
    let mut body = encode_body(TunnelId(id), &[iv; 16], fragments, |room| room.fill(1));
    let cell: &mut [u8; CELL_LEN] = (&mut body[4..]).try_into().unwrap();
    for layer in layers {
        // What we do to it is undone in advance.
        if encrypts { layer.decrypt(cell) } else { layer.encrypt(cell) }
    }
    body
}

/// The creator of a tunnel that ends here, or the gateway of one of ours, sends any fragments.
pub fn tunnel_endpoint(data: &[u8]) {
    let mut input = Input::new(data);
    let mut now = start();
    let mut plane = Plane::new(hash(0), PlaneConfig::default(), Rng::from_seed(1));
    let expires = now.mono + Duration::from_secs(600);
    let (endpoint, inbound) = (TunnelId(5), TunnelId(6));
    for config in [
        TunnelConfig::Endpoint { receive: endpoint, previous: None, keys: keys(1) },
        TunnelConfig::Inbound { receive: inbound, owner: POOL, previous: None, hops: vec![keys(2)] },
        TunnelConfig::Gateway {
            receive: TunnelId(7),
            next: NextHop { router: hash(0), tunnel: endpoint },
            keys: keys(3),
        },
        TunnelConfig::ZeroInbound { receive: TunnelId(8), owner: PoolId::EXPLORATORY },
    ] {
        plane.handle(now, PlaneInput::Install(Install { config, expires, rate: None }));
    }
    let layer = |n: u8| [LayerKeys::new(&[n; 32], &[n ^ 0x55; 32])];
    let (ours, theirs) = (layer(1), layer(2));
    let mut count = 0u8;
    while !input.is_empty() && count < 200 {
        count += 1;
        let fragments = fragments(&mut input, now);
        let body = match input.byte() % 3 {
            0 => cell_for(&theirs, false, 6, &fragments, count),
            1 => cell_for(&ours, true, 5, &fragments, count),
            _ => {
                let tunnel = TunnelId(u32::from(input.byte() % 10));
                let gateway = TunnelGateway { tunnel, message: fragments.clone() };
                let message = I2np {
                    kind: I2npKind::TUNNEL_GATEWAY,
                    id: MessageId(1),
                    expiration_ms: now.wall_ms + 5000,
                    body: gateway.to_bytes(),
                };
                plane.handle(now, PlaneInput::FromPeer { peer: hash(1), messages: vec![message] });
                Vec::new()
            }
        };
        let message =
            I2np { kind: I2npKind::TUNNEL_DATA, id: MessageId(1), expiration_ms: now.wall_ms + 5000, body };
        plane.handle(now, PlaneInput::FromPeer { peer: hash(1), messages: vec![message] });
        while let Some(action) = plane.poll_action() {
            match action {
                Action::Up { pool, messages } => {
                    assert!(pool == POOL && messages.iter().all(|m| m.body.len() <= 62_708));
                    let refused =
                        [I2npKind::TUNNEL_DATA, I2npKind::TUNNEL_GATEWAY, I2npKind::DATABASE_LOOKUP];
                    assert!(messages.iter().all(|m| !refused.contains(&m.kind)));
                }
                Action::Send { peer, .. } => assert_ne!(peer, hash(0)),
                Action::Control { .. } | Action::Refused { .. } => {}
            }
        }
        balanced(&plane);
        assert!(plane.incomplete().0 <= 128);
        if input.byte() > 200 {
            now = now.later(Duration::from_millis(u64::from(input.u16())));
            plane.handle_timeout(now);
        }
        if input.byte() > 252 {
            plane.handle(now, PlaneInput::Remove(TunnelKey::Receive(inbound)));
        }
    }
    plane.handle_timeout(now.later(Duration::from_secs(700)));
    balanced(&plane);
    assert_eq!(plane.incomplete(), (0, 0));
}

/// Fragments with sensible or odd instructions, up to one cell of them.
fn fragments(input: &mut Input<'_>, now: Now) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..=input.below(5) {
        let mut message = Vec::new();
        if input.flag() {
            let kinds = [I2npKind::DATA, I2npKind::GARLIC, I2npKind::TUNNEL_DATA, I2npKind::TUNNEL_GATEWAY];
            let inner = I2np {
                kind: input.pick(&kinds),
                id: MessageId(u32::from(input.byte())),
                expiration_ms: now.wall_ms + 5000,
                body: input.chunk(200).to_vec(),
            };
            inner.encode_long(&mut message);
        } else {
            message.extend_from_slice(input.chunk(300));
        }
        let len = if input.byte() < 250 { message.len() as u16 } else { input.u16() };
        let id = MessageId(u32::from(input.byte() % 8));
        let delivery = match input.byte() % 4 {
            0 => Delivery::Local,
            1 => Delivery::Router(hash(input.below(3))),
            2 => Delivery::Tunnel(hash(input.below(3)), TunnelId(u32::from(input.byte() % 10))),
            _ => Delivery::Local,
        };
        match input.byte() % 4 {
            0 => encode_head(&mut out, &delivery, None, len),
            1 => encode_head(&mut out, &delivery, Some(id), len),
            _ => {
                let number = 1 + input.byte() % tunnel_data::FRAGMENT_MAX;
                let number = if input.byte() < 200 { 1 + number % 4 } else { number };
                encode_follow(&mut out, id, number, input.byte() > 180, len);
            }
        }
        out.extend_from_slice(&message);
    }
    out.truncate(CAPACITY);
    out
}

fn endpoint_seeds() -> Vec<Vec<u8>> {
    let whole = vec![0u8, 1, 0, 7, 3, 1, 2, 3, 0, 1, 0, 0, 0, 0];
    let first = vec![0u8, 0, 0, 4, 9, 9, 9, 9, 0, 2, 1, 2, 1, 1, 0, 0];
    let last = vec![0u8, 0, 0, 4, 8, 8, 8, 8, 0, 2, 1, 2, 3, 0, 0, 255, 1, 0, 0];
    vec![whole.clone(), [first.clone(), last.clone()].concat(), [last, first, whole].concat()]
}
