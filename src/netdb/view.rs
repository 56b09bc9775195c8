// SPDX-License-Identifier: MIT
//! The picture of the network that other rooms work with: an immutable snapshot, cheap to clone.
//!
//! The netDb engine makes a new [`PeerView`] when something changed, at most every 250 ms; a reader keeps the one it
//! has for as long as one decision takes. Entries are shared between snapshots, so a new one costs a pointer per
//! router.

use super::facts::Facts;
use super::routing::{RoutingKey, closest};
use super::standing::Standing;
use crate::crypto::Verified;
use crate::wire::{Hash, RouterHash, RouterInfo, RouterVersion};
use std::ops::Deref;
use std::sync::Arc;

/// Floodfills of one IPv4 /16 among one answer of [`PeerView::closest_floodfills`], on the live network.
const SUBNET_MAX: usize = 2;

/// One known router: what it publishes, what we measured. Derefs to its [`Facts`].
#[derive(Clone, Debug)]
pub struct PeerEntry {
    /// Its RouterInfo, signature checked.
    pub info: Arc<Verified<RouterInfo>>,
    /// What the RouterInfo says, parsed once.
    pub facts: Arc<Facts>,
    /// What our own experience says.
    pub standing: Standing,
    /// Whether a transport session is up.
    pub connected: bool,
    /// Wall-clock time at which we first heard of it.
    pub first_heard_ms: u64,
}

impl Deref for PeerEntry {
    type Target = Facts;
    fn deref(&self) -> &Facts {
        &self.facts
    }
}

impl PeerEntry {
    /// Whether asking it for a tunnel now makes sense as far as our own experience goes.
    pub const fn rested(&self, wall_ms: u64) -> bool {
        self.standing.rest_until_ms <= wall_ms
            && (self.connected || self.standing.unreachable_until_ms <= wall_ms)
    }

    /// Whether we could open (or already have) a transport session to it.
    pub fn dialable(&self, wall_ms: u64) -> bool {
        self.connected
            || (self.facts.has_published_address() && self.standing.unreachable_until_ms <= wall_ms)
    }
}

/// Rules for picking floodfills that depend on the network we are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ViewPolicy {
    /// Floodfills with an older version are not used.
    pub min_floodfill_version: RouterVersion,
    /// Spread requests over subnets and prefer floodfills that we have had contact with. Off in test networks,
    /// where all routers share an address range.
    pub diverse: bool,
}

#[derive(Debug, Default)]
struct Inner {
    peers: Vec<Arc<PeerEntry>>,
    floodfills: Vec<Arc<PeerEntry>>,
    own: Option<Arc<PeerEntry>>,
    policy: ViewPolicy,
    generation: u64,
}

/// An immutable snapshot of the known routers.
#[derive(Clone, Debug, Default)]
pub struct PeerView(Arc<Inner>);

impl PeerView {
    /// A snapshot of `peers`, in any order and without ourselves; `own` is our own entry once there is one.
    pub fn new(
        mut peers: Vec<Arc<PeerEntry>>,
        own: Option<Arc<PeerEntry>>,
        policy: ViewPolicy,
        generation: u64,
    ) -> Self {
        peers.sort_unstable_by_key(|p| p.hash);
        let floodfills =
            peers.iter().filter(|p| p.usable_floodfill(policy.min_floodfill_version)).cloned().collect();
        Self(Arc::new(Inner { peers, floodfills, own, policy, generation }))
    }

    /// The entry of `hash`, ours included.
    pub fn get(&self, hash: &RouterHash) -> Option<&Arc<PeerEntry>> {
        match self.0.peers.binary_search_by_key(hash, |p| p.hash) {
            Ok(at) => self.0.peers.get(at),
            Err(_) => self.0.own.as_ref().filter(|own| own.hash == *hash),
        }
    }

    /// Our own entry, once our RouterInfo exists.
    pub fn own(&self) -> Option<&Arc<PeerEntry>> {
        self.0.own.as_ref()
    }

    /// All routers but ourselves, ordered by hash.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<PeerEntry>> + Clone {
        self.0.peers.iter()
    }

    /// All routers but ourselves, ordered by hash, for picking by index.
    pub fn peers(&self) -> &[Arc<PeerEntry>] {
        &self.0.peers
    }

    /// All usable floodfills but ourselves.
    pub fn floodfills(&self) -> &[Arc<PeerEntry>] {
        &self.0.floodfills
    }

    /// Number of known routers, without ourselves.
    pub fn len(&self) -> usize {
        self.0.peers.len()
    }

    /// Whether no router is known.
    pub fn is_empty(&self) -> bool {
        self.0.peers.is_empty()
    }

    /// Counts up with each snapshot.
    pub fn generation(&self) -> u64 {
        self.0.generation
    }

    /// Up to `n` floodfills for `key` on the day of `wall_ms`, nearest first.
    ///
    /// Floodfills that cannot be reached just now come only when there are too few others, and we ourselves, if
    /// floodfill, come last of all: in a small network a router's own database may be the only one there is.
    pub fn closest_floodfills(
        &self,
        key: &Hash,
        wall_ms: u64,
        exclude: impl Fn(&RouterHash) -> bool,
        n: usize,
    ) -> Vec<Arc<PeerEntry>> {
        let routing = RoutingKey::new(key, wall_ms);
        let candidates = || self.0.floodfills.iter().filter(|p| !exclude(&p.hash));
        let reach = if self.0.policy.diverse { n.saturating_mul(4) } else { n };
        let near = closest(&routing, candidates().filter(|p| p.dialable(wall_ms)), |p| p.hash, reach);
        let mut picked = if self.0.policy.diverse { diversify(near, n) } else { near };
        if picked.len() < n {
            let missing = n - picked.len();
            let rest = candidates().filter(|p| !picked.iter().any(|q| q.hash == p.hash));
            let rest = closest(&routing, rest, |p| p.hash, missing);
            picked.extend(rest);
        }
        let mut picked: Vec<Arc<PeerEntry>> = picked.into_iter().cloned().collect();
        if picked.len() < n
            && let Some(own) = &self.0.own
            && own.floodfill
            && !exclude(&own.hash)
        {
            picked.push(own.clone());
        }
        picked
    }
}

/// Picks `n` of the nearest such that no subnet has more than [`SUBNET_MAX`] and at least half are floodfills that
/// answered us before, so that an adversary who settles fresh floodfills near a key does not surround it.
fn diversify(near: Vec<&Arc<PeerEntry>>, n: usize) -> Vec<&Arc<PeerEntry>> {
    let mut picked: Vec<&Arc<PeerEntry>> = Vec::with_capacity(n);
    let mut strangers = 0;
    let known = near.iter().filter(|p| p.standing.contacted).count();
    let strangers_max = n.saturating_sub(known.min(n.div_ceil(2)));
    for peer in near {
        if picked.len() == n {
            break;
        }
        let crowd = picked.iter().filter(|p| p.subnet.is_some() && p.subnet == peer.subnet).count();
        if crowd >= SUBNET_MAX || (!peer.standing.contacted && strangers >= strangers_max) {
            continue;
        }
        strangers += usize::from(!peer.standing.contacted);
        picked.push(peer);
    }
    picked
}

#[cfg(test)]
mod tests;
