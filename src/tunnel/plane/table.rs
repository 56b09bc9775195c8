// SPDX-License-Identifier: MIT
//! All tunnels, in a slab: by receive id, by outbound handle, and in the order in which they end.
//!
//! Tunnels live ten minutes, so two queues (transit, own) in order of expiry replace timers: an insertion looks at
//! the back, an expiry at the front. Slots carry a generation, so a key outlives its tunnel without harm.

use std::collections::VecDeque;

use super::gateway::Parcel;
use super::join::Partials;
use super::message::InstallError;
use super::policer::Share;
use crate::base::{Map, Mono, Rng, map};
use crate::crypto::layer::LayerKeys;
use crate::tunnel::types::{HOPS_MAX, HopKeys, Install, NextHop, PoolId, TunnelConfig, TunnelKey};
use crate::wire::{RouterHash, TunnelId};

/// Where a tunnel lies in the slab, and which of the tunnels that ever lay there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SlotKey {
    index: usize,
    generation: u32,
}

/// Limits the bytes of one tunnel: a bucket of two seconds' worth.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    rate: u32,
    /// In bytes times a million, so that short times count.
    level: u64,
    filled: Mono,
}

impl Bucket {
    const SCALE: u64 = 1_000_000;
    const BURST_S: u64 = 2;

    fn new(rate: u32, now: Mono) -> Self {
        Self { rate, level: u64::from(rate) * Self::BURST_S * Self::SCALE, filled: now }
    }

    /// Takes `bytes` if they are there.
    pub(super) fn take(&mut self, now: Mono, bytes: usize) -> bool {
        let full = u64::from(self.rate) * Self::BURST_S * Self::SCALE;
        let gained = now.0.saturating_sub(self.filled.0).saturating_mul(u64::from(self.rate));
        self.level = self.level.saturating_add(gained).min(full);
        self.filled = now;
        let Some(rest) = self.level.checked_sub(bytes as u64 * Self::SCALE) else { return false };
        self.level = rest;
        true
    }
}

/// Our part in a tunnel, with expanded keys.
#[derive(Debug)]
pub(super) enum Role {
    Gateway {
        next: NextHop,
        keys: LayerKeys,
    },
    Participant {
        next: NextHop,
        keys: LayerKeys,
    },
    Endpoint {
        keys: LayerKeys,
        partials: Partials,
    },
    /// Layers in the order of the cell's way.
    Inbound {
        owner: PoolId,
        hops: Vec<LayerKeys>,
        partials: Partials,
    },
    /// Layers in the order of the cell's way.
    Outbound {
        first: NextHop,
        hops: Vec<LayerKeys>,
    },
    ZeroInbound {
        owner: PoolId,
    },
    ZeroOutbound,
}

/// One tunnel.
#[derive(Debug)]
pub(super) struct Tunnel {
    pub(super) key: TunnelKey,
    pub(super) role: Role,
    pub(super) previous: Option<RouterHash>,
    pub(super) bucket: Option<Bucket>,
    /// Transit: what it carried of what all may carry.
    pub(super) share: Share,
    /// At a gateway: what waits for the end of the turn.
    pub(super) parcels: Vec<Parcel>,
    pub(super) transit: bool,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    tunnel: Option<Tunnel>,
}

/// The table.
#[derive(Debug)]
pub(super) struct Table {
    slots: Vec<Slot>,
    free: Vec<usize>,
    receive: Map<TunnelId, SlotKey>,
    outbound: Map<TunnelId, SlotKey>,
    transit_order: VecDeque<(Mono, SlotKey)>,
    own_order: VecDeque<(Mono, SlotKey)>,
    transit: usize,
    own: usize,
    transit_max: usize,
    own_max: usize,
}

impl Table {
    pub(super) fn new(rng: &mut Rng, transit_max: usize, own_max: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            receive: map(rng),
            outbound: map(rng),
            transit_order: VecDeque::new(),
            own_order: VecDeque::new(),
            transit: 0,
            own: 0,
            transit_max,
            own_max,
        }
    }

    /// Transit tunnels.
    pub(super) const fn transit(&self) -> usize {
        self.transit
    }

    /// Tunnels of our own.
    pub(super) const fn own(&self) -> usize {
        self.own
    }

    /// Changes the limit of transit tunnels; those over it live on to their end.
    pub(super) const fn set_transit_max(&mut self, max: usize) {
        self.transit_max = max;
    }

    pub(super) fn insert(&mut self, now: Mono, install: &Install) -> Result<(), InstallError> {
        let config = &install.config;
        self.check(now, install)?;
        let tunnel = Tunnel {
            key: config.key(),
            role: role(config),
            previous: previous(config),
            bucket: install.rate.map(|rate| Bucket::new(rate, now)),
            share: Share::default(),
            parcels: Vec::new(),
            transit: config.is_transit(),
        };
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, tunnel: None });
            self.slots.len() - 1
        });
        let slot = self.slots.get_mut(index).ok_or(InstallError::Full)?;
        let key = SlotKey { index, generation: slot.generation };
        slot.tunnel = Some(tunnel);
        match config.key() {
            TunnelKey::Receive(id) => self.receive.insert(id, key),
            TunnelKey::Outbound(handle) => self.outbound.insert(handle, key),
        };
        let order = match config.is_transit() {
            true => {
                self.transit += 1;
                &mut self.transit_order
            }
            false => {
                self.own += 1;
                &mut self.own_order
            }
        };
        let later = order.iter().rev().take_while(|(at, _)| *at > install.expires).count();
        order.insert(order.len() - later, (install.expires, key));
        Ok(())
    }

    fn check(&self, now: Mono, install: &Install) -> Result<(), InstallError> {
        let config = &install.config;
        let zero_next = match config {
            TunnelConfig::Gateway { next, .. }
            | TunnelConfig::Participant { next, .. }
            | TunnelConfig::Outbound { first: next, .. } => next.tunnel.0 == 0,
            _ => false,
        };
        let taken = match config.key() {
            TunnelKey::Receive(TunnelId(0)) | TunnelKey::Outbound(TunnelId(0)) => {
                return Err(InstallError::ZeroId);
            }
            TunnelKey::Receive(id) => self.receive.contains_key(&id),
            TunnelKey::Outbound(handle) => self.outbound.contains_key(&handle),
        };
        let (count, max) = match config.is_transit() {
            true => (self.transit, self.transit_max),
            false => (self.own, self.own_max),
        };
        let bad_hops = match config {
            TunnelConfig::Inbound { hops, .. } | TunnelConfig::Outbound { hops, .. } => {
                hops.is_empty() || hops.len() > HOPS_MAX
            }
            _ => false,
        };
        match () {
            () if zero_next => Err(InstallError::ZeroId),
            () if bad_hops => Err(InstallError::Hops),
            () if taken => Err(InstallError::Duplicate),
            () if count >= max => Err(InstallError::Full),
            () if install.expires <= now => Err(InstallError::Expired),
            () => Ok(()),
        }
    }

    /// The slot of a tunnel.
    pub(super) fn find(&self, key: TunnelKey) -> Option<SlotKey> {
        match key {
            TunnelKey::Receive(id) => self.receive.get(&id).copied(),
            TunnelKey::Outbound(handle) => self.outbound.get(&handle).copied(),
        }
    }

    pub(super) fn get(&self, key: SlotKey) -> Option<&Tunnel> {
        let slot = self.slots.get(key.index)?;
        slot.tunnel.as_ref().filter(|_| slot.generation == key.generation)
    }

    pub(super) fn get_mut(&mut self, key: SlotKey) -> Option<&mut Tunnel> {
        let slot = self.slots.get_mut(key.index)?;
        slot.tunnel.as_mut().filter(|_| slot.generation == key.generation)
    }

    /// The incomplete messages of an endpoint's tunnel.
    pub(super) fn partials(&self, key: SlotKey) -> Option<&Partials> {
        match &self.get(key)?.role {
            Role::Endpoint { partials, .. } | Role::Inbound { partials, .. } => Some(partials),
            _ => None,
        }
    }

    /// As [`Self::partials`].
    pub(super) fn partials_mut(&mut self, key: SlotKey) -> Option<&mut Partials> {
        match &mut self.get_mut(key)?.role {
            Role::Endpoint { partials, .. } | Role::Inbound { partials, .. } => Some(partials),
            _ => None,
        }
    }

    /// Takes a tunnel out.
    pub(super) fn remove(&mut self, key: SlotKey) -> Option<Tunnel> {
        let slot = self.slots.get_mut(key.index).filter(|s| s.generation == key.generation)?;
        let tunnel = slot.tunnel.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.index);
        match tunnel.key {
            TunnelKey::Receive(id) => self.receive.remove(&id),
            TunnelKey::Outbound(handle) => self.outbound.remove(&handle),
        };
        let (count, mut order) = match tunnel.transit {
            true => (&mut self.transit, std::mem::take(&mut self.transit_order)),
            false => (&mut self.own, std::mem::take(&mut self.own_order)),
        };
        *count = count.saturating_sub(1);
        // Removal before the end leaves an entry behind; sweep before they outnumber the tunnels.
        if order.len() > 2 * *count + 64 {
            order.retain(|(_, k)| self.get(*k).is_some());
        }
        match tunnel.transit {
            true => self.transit_order = order,
            false => self.own_order = order,
        }
        Some(tunnel)
    }

    /// A tunnel whose time is over.
    pub(super) fn next_expired(&mut self, now: Mono) -> Option<SlotKey> {
        for order in [&mut self.transit_order, &mut self.own_order] {
            while let Some(&(at, key)) = order.front().filter(|(at, _)| *at <= now) {
                debug_assert!(at <= now);
                order.pop_front();
                let slot = self.slots.get(key.index);
                if slot.is_some_and(|s| s.generation == key.generation && s.tunnel.is_some()) {
                    return Some(key);
                }
            }
        }
        None
    }

    /// When the next tunnel ends.
    pub(super) fn next_expiry(&self) -> Option<Mono> {
        let transit = self.transit_order.front().map(|(at, _)| *at);
        let own = self.own_order.front().map(|(at, _)| *at);
        [transit, own].into_iter().flatten().min()
    }
}

fn expand(keys: &HopKeys) -> LayerKeys {
    LayerKeys::new(&keys.layer, &keys.iv)
}

fn role(config: &TunnelConfig) -> Role {
    match config {
        TunnelConfig::Gateway { next, keys, .. } => Role::Gateway { next: *next, keys: expand(keys) },
        TunnelConfig::Participant { next, keys, .. } => Role::Participant { next: *next, keys: expand(keys) },
        TunnelConfig::Endpoint { keys, .. } => {
            Role::Endpoint { keys: expand(keys), partials: Partials::default() }
        }
        TunnelConfig::Inbound { owner, hops, .. } => {
            let hops = hops.iter().map(expand).collect();
            Role::Inbound { owner: *owner, hops, partials: Partials::default() }
        }
        TunnelConfig::Outbound { first, hops, .. } => {
            Role::Outbound { first: *first, hops: hops.iter().map(expand).collect() }
        }
        TunnelConfig::ZeroInbound { owner, .. } => Role::ZeroInbound { owner: *owner },
        TunnelConfig::ZeroOutbound { .. } => Role::ZeroOutbound,
    }
}

const fn previous(config: &TunnelConfig) -> Option<RouterHash> {
    match config {
        TunnelConfig::Participant { previous, .. }
        | TunnelConfig::Endpoint { previous, .. }
        | TunnelConfig::Inbound { previous, .. } => *previous,
        _ => None,
    }
}
