// SPDX-License-Identifier: MIT
//! The table of RouterInfos.
//!
//! Owned by the engine. Every entry passed [`Routers::admit`]: hash, network, version, age and order in time are
//! checked before the signature, since that costs a thousand times as much. At most `routers_max` entries; when
//! full, a twentieth goes at once, those first that we know least of and that lie farthest from us in key space.

use super::super::facts::Facts;
use super::super::routing::{Distance, RoutingKey};
use super::super::standing::{Standing, Tier};
use super::super::view::{PeerEntry, PeerView, ViewPolicy};
use super::{Origin, Refusal};
use crate::base::Now;
use crate::crypto::Verified;
use crate::wire::{Hash, RouterHash, RouterInfo, Wire};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
/// Furthest in the future that a RouterInfo may be signed.
const FUTURE_MAX_MS: u64 = 2 * MINUTE_MS;
/// Oldest that anything from the network may be.
const AGE_MAX_MS: u64 = 27 * HOUR_MS;
/// Oldest that a floodfill takes once it knows enough routers.
const AGE_MAX_FLOODFILL_MS: u64 = 90 * MINUTE_MS;
/// Oldest that a file may be. Stale addresses are better than none; expiry sorts them out later.
const AGE_MAX_DISK_MS: u64 = 30 * 24 * HOUR_MS;
/// With no more than this many routers nothing expires.
const SMALL_NETWORK: usize = 90;
/// From this number on entries live the shortest time.
const LARGE_NETWORK: usize = 6_000;

/// What became of an entry that passed all checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// The router was unknown.
    New,
    /// It replaced an older RouterInfo.
    Updated,
}

/// Limits and rules of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) own: RouterHash,
    pub(crate) net_id: u8,
    pub(crate) floodfill: bool,
    pub(crate) limit: usize,
    pub(crate) view: ViewPolicy,
}

/// All known routers but ourselves.
#[derive(Debug)]
pub(crate) struct Routers {
    rules: Rules,
    table: BTreeMap<RouterHash, Arc<PeerEntry>>,
    generation: u64,
    changed: Changed,
}

/// What is newer in the table than in the last snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Changed {
    /// Nothing.
    Nothing,
    /// What we think of routers: readers can wait a little for it.
    Standing,
    /// Which routers there are.
    Routers,
}

impl Routers {
    pub(crate) const fn new(rules: Rules) -> Self {
        Self { rules, table: BTreeMap::new(), generation: 0, changed: Changed::Routers }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn get(&self, hash: &RouterHash) -> Option<&Arc<PeerEntry>> {
        self.table.get(hash)
    }

    pub(crate) fn contains(&self, hash: &RouterHash) -> bool {
        self.table.contains_key(hash)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<PeerEntry>> {
        self.table.values()
    }

    pub(crate) fn is_over_full(&self) -> bool {
        self.table.len() > self.rules.limit
    }

    /// Checks everything but the signature. What passes would change the table if its signature holds.
    pub(crate) fn examine(
        &self,
        now: Now,
        bytes: &[u8],
        origin: Origin,
    ) -> Result<(RouterInfo, Facts), Refusal> {
        let info = RouterInfo::from_bytes(bytes).map_err(Refusal::Malformed)?;
        let hash = info.hash();
        if hash == self.rules.own {
            return Err(Refusal::Own);
        }
        if info.net_id() != Some(self.rules.net_id) {
            return Err(Refusal::WrongNetwork);
        }
        if info.version().is_none() {
            return Err(Refusal::NoVersion);
        }
        let published = info.published_ms();
        if published > now.wall_ms.saturating_add(FUTURE_MAX_MS) {
            return Err(Refusal::FromFuture);
        }
        if now.wall_ms.saturating_sub(published) > self.age_max(origin) {
            return Err(Refusal::TooOld);
        }
        if self.table.get(&hash).is_some_and(|old| old.published_ms >= published) {
            return Err(Refusal::NotNewer);
        }
        let facts = Facts::parse(&info).ok_or(Refusal::OldCryptography)?;
        Ok((info, facts))
    }

    /// Checks the signature and takes the entry in.
    pub(crate) fn admit(
        &mut self,
        now: Now,
        (info, facts): (RouterInfo, Facts),
        standing: Standing,
    ) -> Result<Admitted, Refusal> {
        let info = Verified::check(info).map_err(|_| Refusal::BadSignature)?;
        let mut entry = PeerEntry {
            info: Arc::new(info),
            facts: Arc::new(facts),
            standing,
            connected: false,
            first_heard_ms: now.wall_ms,
        };
        self.changed = Changed::Routers;
        match self.table.entry(entry.hash) {
            Entry::Occupied(mut slot) => {
                entry.connected = slot.get().connected;
                entry.first_heard_ms = slot.get().first_heard_ms;
                slot.insert(Arc::new(entry));
                Ok(Admitted::Updated)
            }
            Entry::Vacant(slot) => {
                slot.insert(Arc::new(entry));
                Ok(Admitted::New)
            }
        }
    }

    const fn age_max(&self, origin: Origin) -> u64 {
        match origin {
            Origin::Disk | Origin::Bundle => AGE_MAX_DISK_MS,
            Origin::Store if self.rules.floodfill => AGE_MAX_FLOODFILL_MS,
            _ => AGE_MAX_MS,
        }
    }

    /// Notes what our own experience says of a router.
    pub(crate) fn set_standing(&mut self, hash: &RouterHash, standing: Standing) {
        if let Some(slot) = self.table.get_mut(hash)
            && slot.standing != standing
        {
            Arc::make_mut(slot).standing = standing;
            self.changed = self.changed.max(Changed::Standing);
        }
    }

    /// Notes that a transport session came up or went down.
    pub(crate) fn set_connected(&mut self, hash: &RouterHash, connected: bool) {
        if let Some(slot) = self.table.get_mut(hash)
            && slot.connected != connected
        {
            Arc::make_mut(slot).connected = connected;
            self.changed = self.changed.max(Changed::Standing);
        }
    }

    /// Marks the picture as changed by something outside the table.
    pub(crate) const fn touch(&mut self) {
        self.changed = Changed::Routers;
    }

    pub(crate) const fn changed(&self) -> Changed {
        self.changed
    }

    /// A fresh snapshot.
    pub(crate) fn view(&mut self, own: Option<Arc<PeerEntry>>) -> PeerView {
        self.changed = Changed::Nothing;
        self.generation += 1;
        PeerView::new(self.table.values().cloned().collect(), own, self.rules.view, self.generation)
    }

    /// Makes room when the table is full. Answers who went.
    pub(crate) fn evict(&mut self, now: Now) -> Vec<RouterHash> {
        if self.table.len() <= self.rules.limit {
            return Vec::new();
        }
        let here = RoutingKey::new(&Hash::from(self.rules.own), now.wall_ms);
        let mut order: Vec<((u8, std::cmp::Reverse<Distance>), RouterHash)> = self
            .table
            .values()
            .map(|e| ((worth(e), std::cmp::Reverse(here.distance(&e.hash))), e.hash))
            .collect();
        order.sort_unstable();
        let surplus = self.table.len().saturating_sub(self.rules.limit) + self.rules.limit / 20;
        order.truncate(surplus);
        self.remove(order.into_iter().map(|(_, hash)| hash))
    }

    /// Removes what is too old to be believed. Answers who went.
    pub(crate) fn expire(&mut self, now: Now) -> Vec<RouterHash> {
        if self.table.len() <= SMALL_NETWORK {
            return Vec::new();
        }
        let age_max = self.lifetime_ms();
        let old: Vec<RouterHash> = self
            .table
            .values()
            .filter(|e| !e.connected && now.wall_ms.saturating_sub(e.published_ms) > age_max)
            .map(|e| e.hash)
            .take(self.table.len() - SMALL_NETWORK)
            .collect();
        self.remove(old.into_iter())
    }

    /// From 27 hours in a small network down to 90 minutes in a large one.
    fn lifetime_ms(&self) -> u64 {
        if self.rules.floodfill {
            return AGE_MAX_FLOODFILL_MS;
        }
        let known = self.table.len().min(LARGE_NETWORK) as u64;
        AGE_MAX_MS - (AGE_MAX_MS - AGE_MAX_FLOODFILL_MS) * known / LARGE_NETWORK as u64
    }

    fn remove(&mut self, hashes: impl Iterator<Item = RouterHash>) -> Vec<RouterHash> {
        let gone: Vec<RouterHash> = hashes.filter(|hash| self.table.remove(hash).is_some()).collect();
        if !gone.is_empty() {
            self.changed = Changed::Routers;
        }
        gone
    }
}

/// How dearly we would part with a router; the lowest go first.
fn worth(entry: &PeerEntry) -> u8 {
    if entry.connected {
        return 5;
    }
    match entry.standing.tier {
        Tier::Fast | Tier::HighCapacity => 4,
        Tier::Standard if entry.standing.contacted && entry.standing.capacity >= 0.5 => 3,
        Tier::Standard if entry.standing.contacted => 2,
        Tier::Standard => 1,
        Tier::Failing => 0,
    }
}

#[cfg(test)]
mod tests;
