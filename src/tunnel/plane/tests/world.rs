// SPDX-License-Identifier: MIT
//! Some planes and the wire between them.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::{Mono, Now, Rng};
use crate::tunnel::plane::{Action, Input, Plane, PlaneConfig, Via};
use crate::tunnel::types::{Class, Delivery, HopKeys, Install, NextHop, PoolId, TunnelConfig};
use crate::wire::{I2np, I2npKind, MessageId, RouterHash, TunnelId};

pub(super) const WALL: u64 = 1_800_000_000_000;

/// A batch on its way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) from: usize,
    pub(super) to: RouterHash,
    pub(super) class: Class,
    pub(super) messages: Vec<I2np>,
}

/// What a router's control was told.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) from: Option<RouterHash>,
    pub(super) via: Via,
    pub(super) message: I2np,
}

pub(super) struct World {
    pub(super) planes: Vec<Plane>,
    pub(super) up: Vec<Vec<(PoolId, I2np)>>,
    pub(super) control: Vec<Vec<Told>>,
    pub(super) refused: Vec<Action>,
    pub(super) wire: VecDeque<Flight>,
    pub(super) now: Now,
    pub(super) rng: Rng,
}

/// An inbound tunnel as a sender sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    pub(super) gateway: RouterHash,
    pub(super) id: TunnelId,
}

impl Lease {
    pub(super) fn delivery(&self) -> Delivery {
        Delivery::Tunnel(self.gateway, self.id)
    }
}

pub(super) fn hash(i: usize) -> RouterHash {
    RouterHash([i as u8 + 1; 32])
}

impl World {
    pub(super) fn new(routers: usize) -> Self {
        Self::with(routers, 1, PlaneConfig::default())
    }

    pub(super) fn with(routers: usize, seed: u64, config: PlaneConfig) -> Self {
        let mut rng = Rng::from_seed(seed);
        let planes = (0..routers).map(|i| Plane::new(hash(i), config, rng.fork("plane"))).collect();
        Self {
            planes,
            up: (0..routers).map(|_| Vec::new()).collect(),
            control: (0..routers).map(|_| Vec::new()).collect(),
            refused: Vec::new(),
            wire: VecDeque::new(),
            now: Now { mono: Mono::from_secs(1), wall_ms: WALL },
            rng,
        }
    }

    pub(super) fn input(&mut self, router: usize, input: Input) {
        self.planes[router].handle(self.now, input);
        self.drain(router);
    }

    /// Takes all actions of a router: to the wire or to the books.
    pub(super) fn drain(&mut self, router: usize) {
        while let Some(action) = self.planes[router].poll_action() {
            match action {
                Action::Send { peer, class, messages } => {
                    assert_ne!(peer, hash(router), "sends to itself");
                    self.wire.push_back(Flight { from: router, to: peer, class, messages });
                }
                Action::Up { pool, messages } => {
                    self.up[router].extend(messages.into_iter().map(|m| (pool, m)));
                }
                Action::Control { from, via, message, .. } => {
                    self.control[router].push(Told { from, via, message });
                }
                refused @ Action::Refused { .. } => self.refused.push(refused),
            }
        }
    }

    /// Delivers until nothing flies.
    pub(super) fn run(&mut self) {
        while let Some(flight) = self.wire.pop_front() {
            self.deliver(flight);
        }
    }

    pub(super) fn deliver(&mut self, flight: Flight) {
        let to = usize::from(flight.to.0[0]) - 1;
        let peer = hash(flight.from);
        self.input(to, Input::FromPeer { peer, messages: flight.messages });
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now = self.now.later(time);
        for i in 0..self.planes.len() {
            self.planes[i].handle_timeout(self.now);
            self.drain(i);
        }
    }

    pub(super) fn keys(&mut self) -> HopKeys {
        HopKeys::new(&self.rng.bytes(), &self.rng.bytes())
    }

    pub(super) fn id(&mut self) -> TunnelId {
        TunnelId(self.rng.nonzero_u32())
    }

    pub(super) fn install(&mut self, router: usize, config: TunnelConfig) {
        let expires = self.now.mono + Duration::from_secs(600);
        self.input(router, Input::Install(Install { config, expires, rate: None }));
    }

    /// Installs an inbound tunnel of `owner` over `path`, gateway first.
    pub(super) fn inbound(&mut self, owner: usize, pool: PoolId, path: &[usize]) -> Lease {
        let mut ids: Vec<TunnelId> = path.iter().map(|_| self.id()).collect();
        let receive = self.id();
        ids.push(receive);
        if path.is_empty() {
            self.install(owner, TunnelConfig::ZeroInbound { receive, owner: pool });
            return Lease { gateway: hash(owner), id: receive };
        }
        let mut hops = Vec::new();
        for (i, &router) in path.iter().enumerate() {
            let keys = self.keys();
            hops.push(keys.clone());
            let after = path.get(i + 1).copied().unwrap_or(owner);
            let next = NextHop { router: hash(after), tunnel: ids[i + 1] };
            let config = match i {
                0 => TunnelConfig::Gateway { receive: ids[i], next, keys },
                _ => {
                    let previous = Some(hash(path[i - 1]));
                    TunnelConfig::Participant { receive: ids[i], previous, next, keys }
                }
            };
            self.install(router, config);
        }
        let previous = path.last().map(|&p| hash(p));
        self.install(owner, TunnelConfig::Inbound { receive, owner: pool, previous, hops });
        Lease { gateway: hash(path[0]), id: ids[0] }
    }

    /// Installs an outbound tunnel of `owner` over `path`; gives its handle.
    pub(super) fn outbound(&mut self, owner: usize, pool: PoolId, path: &[usize]) -> TunnelId {
        let handle = self.id();
        let Some(&last) = path.last() else {
            self.install(owner, TunnelConfig::ZeroOutbound { handle, owner: pool });
            return handle;
        };
        let ids: Vec<TunnelId> = path.iter().map(|_| self.id()).collect();
        let mut hops = Vec::new();
        for (i, &router) in path.iter().enumerate() {
            let keys = self.keys();
            hops.push(keys.clone());
            let previous = Some(hash(if i == 0 { owner } else { path[i - 1] }));
            let config = match path.get(i + 1) {
                None => TunnelConfig::Endpoint { receive: ids[i], previous, keys },
                Some(&after) => {
                    let next = NextHop { router: hash(after), tunnel: ids[i + 1] };
                    TunnelConfig::Participant { receive: ids[i], previous, next, keys }
                }
            };
            self.install(router, config);
        }
        let first = NextHop { router: hash(path[0]), tunnel: ids[0] };
        self.install(
            owner,
            TunnelConfig::Outbound { handle, owner: pool, first, endpoint: hash(last), hops },
        );
        handle
    }

    /// A message of `len` random bytes.
    pub(super) fn message(&mut self, len: usize) -> I2np {
        let mut body = vec![0; len];
        self.rng.fill(&mut body);
        let id = MessageId(self.rng.nonzero_u32());
        I2np { kind: I2npKind::DATA, id, expiration_ms: self.now.wall_ms + 8000, body }
    }

    pub(super) fn out(&mut self, router: usize, handle: TunnelId, messages: Vec<(Delivery, I2np)>) {
        self.input(router, Input::Out { handle, messages });
    }

    /// Messages that reached the owner of `pool` at `router`, taken.
    pub(super) fn take_up(&mut self, router: usize, pool: PoolId) -> Vec<I2np> {
        let all = std::mem::take(&mut self.up[router]);
        assert!(all.iter().all(|(p, _)| *p == pool), "a message for another pool");
        all.into_iter().map(|(_, m)| m).collect()
    }

    /// Everything that was counted as received was counted once more by its fate.
    pub(super) fn assert_conserved(&self) {
        for plane in &self.planes {
            let m = plane.metrics();
            let cells = m.cells_forwarded.get()
                + m.cells_opened.get()
                + m.cells_dropped_checksum.get()
                + m.cells_dropped_duplicate.get()
                + m.cells_dropped_unknown.get()
                + m.cells_dropped_role.get()
                + m.cells_dropped_sender.get()
                + m.cells_dropped_malformed.get()
                + m.cells_dropped_late.get()
                + m.cells_dropped_rate.get()
                + m.cells_dropped_bandwidth.get();
            assert_eq!(m.cells_received.get(), cells, "cells");
            let gateway = m.gateway_packed.get()
                + m.gateway_delivered.get()
                + m.gateway_dropped_unknown.get()
                + m.gateway_dropped_role.get()
                + m.gateway_dropped_malformed.get()
                + m.gateway_dropped_late.get()
                + m.gateway_dropped_rate.get()
                + m.gateway_dropped_bandwidth.get();
            assert_eq!(m.gateway_received.get(), gateway, "gateway messages");
            let out = m.out_packed.get()
                + m.out_delivered.get()
                + m.out_dropped_unknown.get()
                + m.out_dropped_size.get()
                + m.out_dropped_delivery.get();
            assert_eq!(m.out_received.get(), out, "messages to outbound tunnels");
            let joins = m.join_completed.get()
                + m.join_dropped_late.get()
                + m.join_dropped_tunnel.get()
                + m.join_dropped_total.get()
                + m.join_dropped_malformed.get()
                + m.join_dropped_gone.get();
            assert_eq!(m.join_started.get(), joins + plane.incomplete().0 as u64, "joined messages");
            let gone = m.tunnels_expired.get() + m.tunnels_removed.get();
            let live = (plane.transit_tunnels() + plane.own_tunnels()) as u64;
            assert_eq!(m.tunnels_installed.get(), gone + live, "tunnels");
        }
    }
}
