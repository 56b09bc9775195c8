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
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

/// Floodfills of one IPv4 /16 (IPv6: /32) among one answer of [`PeerView::closest_floodfills`], on the live network.
const SUBNET_MAX: usize = 2;
/// A floodfill that we have known for so long is no longer fresh.
const SETTLED_MS: u64 = 2 * 3_600_000;

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

    /// The floodfill for `key` to ask after those that were `asked`: one whose subnet has not been asked twice already,
    /// as long as there is such a one near, so that the questions of a search do not all go to one place (D4).
    ///
    /// Once [`SILENT_MAX`] of the asked were `silent`, every second one is the nearest of those that we have had contact
    /// with and that left no more questions open than they answered, however far and whatever its subnet: whoever fills
    /// the network with floodfills that do not exist does not keep us from it.
    pub fn next_floodfill(
        &self,
        key: &Hash,
        wall_ms: u64,
        asked: &[RouterHash],
        silent: usize,
        exclude: impl Fn(&RouterHash) -> bool,
    ) -> Option<Arc<PeerEntry>> {
        let skip = |h: &RouterHash| asked.contains(h) || exclude(h);
        if silent >= SILENT_MAX && asked.len().is_multiple_of(2) {
            let routing = RoutingKey::new(key, wall_ms);
            let known = |p: &&Arc<PeerEntry>| p.standing.contacted && p.standing.answers >= 0.5;
            let known = self.0.floodfills.iter().filter(known);
            let known = known.filter(|p| p.dialable(wall_ms) && !skip(&p.hash));
            if let Some(found) = closest(&routing, known, |p| p.hash, 1).first() {
                return Some(Arc::clone(found));
            }
        }
        let first = || self.closest_floodfills(key, wall_ms, skip, 1).into_iter().next();
        if !self.0.policy.diverse || asked.len() < SUBNET_MAX {
            return first();
        }
        let subnets: Vec<IpAddr> = asked.iter().filter_map(|h| self.get(h)?.subnets.main()).collect();
        let crowded = |subnet: IpAddr| subnets.iter().filter(|s| **s == subnet).count() >= SUBNET_MAX;
        let near = self.closest_floodfills(key, wall_ms, skip, NEXT_FROM);
        let elsewhere = near.into_iter().find(|p| p.subnets.main().is_none_or(|subnet| !crowded(subnet)));
        elsewhere.or_else(first)
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
        let mut picked = if self.0.policy.diverse { diversify(near, n, wall_ms) } else { near };
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

/// Silent floodfills of one search that make us turn to those that we know.
const SILENT_MAX: usize = 2;
/// [`PeerView::next_floodfill`] asks for so many at a time.
const NEXT_FROM: usize = 8;

/// Picks `n` of the nearest such that no subnet has more than [`SUBNET_MAX`] and at least half, as far as there are
/// as many, are floodfills that we have had contact with and know for [`SETTLED_MS`], so that an adversary who settles
/// fresh floodfills near a key does not surround it (D3, D4).
fn diversify(near: Vec<&Arc<PeerEntry>>, n: usize, wall_ms: u64) -> Vec<&Arc<PeerEntry>> {
    let strange = |p: &PeerEntry| !p.standing.contacted;
    let young = |p: &PeerEntry| strange(p) || p.first_heard_ms.saturating_add(SETTLED_MS) > wall_ms;
    let most = |doubtful: &dyn Fn(&PeerEntry) -> bool| {
        let sound = near.iter().filter(|p| !doubtful(p)).count();
        n.saturating_sub(sound.min(n.div_ceil(2)))
    };
    let (strangers_max, young_max) = (most(&strange), most(&young));
    let mut picked: Vec<&Arc<PeerEntry>> = Vec::with_capacity(n);
    let (mut strangers, mut fresh) = (0, 0);
    for peer in near {
        if picked.len() == n {
            break;
        }
        let place = peer.subnets.main();
        let crowd = picked.iter().filter(|p| place.is_some() && p.subnets.main() == place).count();
        let doubtful = (strange(peer) && strangers >= strangers_max) || (young(peer) && fresh >= young_max);
        if crowd >= SUBNET_MAX || doubtful {
            continue;
        }
        strangers += usize::from(strange(peer));
        fresh += usize::from(young(peer));
        picked.push(peer);
    }
    picked
}

#[cfg(test)]
mod tests;
