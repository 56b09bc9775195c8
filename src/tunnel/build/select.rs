// SPDX-License-Identifier: MIT
//! Which routers become the hops of a tunnel.
//!
//! Pure: a [`PeerView`], a wish and randomness in, hops out. Rules that protect anonymity or that the network
//! forces hold always (no router twice, never ourselves, one hop per subnet and family, every hop able to reach the
//! next); preferences (tier, rest after a refusal, share of our tunnels) are given up one after the other when too few
//! routers are left. Within a pool hops are ordered by a secret of the pool, against predecessor attacks.
//! Spec: peer selection; tunnel implementation, "Peer Ordering".

use std::fmt;
use std::sync::Arc;

use super::creator::{Direction, Hop};
use crate::base::{Map, Rng, Set};
use crate::crypto::sha256;
use crate::netdb::{BandwidthClass, Congestion, PeerEntry, PeerView, Tier};
use crate::wire::{RouterHash, RouterVersion};

/// Random sets that are tried before the search goes through all of them.
const SAMPLES: usize = 48;
/// Steps of the full search.
const SEARCH_STEPS: usize = 4_000;
/// A tier is used alone if it has at least this many routers, or three for each hop.
const TIER_ALONE_MIN: usize = 10;
/// So many routers, or two for each hop, are enough to leave out others that are worse: when builds failed lately, a few
/// that have shown what they are worth beat any number of strangers, who may be one attacker's.
const FEW: usize = 3;
/// A router of this capacity has agreed to tunnels of ours, and lost fewer. Tiers are computed now and then, and leave out
/// half of those who agree; this is known at once.
const CAPACITY_PROVEN: f32 = 1.0;
/// A router of less capacity has only ever refused or lost what we asked of it, or lost several builds in a row lately.
const CAPACITY_DOUBTFUL: f32 = 0.4;
/// Below this number of known routers the share of one router in our tunnels is not limited.
const SHARE_FROM: usize = 12;
/// A router that says it is crowded is avoided for this long.
const CONGESTION_MS: u64 = 900_000;

/// Rules that depend on the network.
#[derive(Clone, Debug)]
pub struct SelectPolicy {
    /// Oldest version that may be a hop.
    pub min_version: RouterVersion,
    /// At most one hop of a tunnel in an IPv4 /16 and in a family, and the limit on one router's share holds.
    pub diverse: bool,
    /// Gateways of our inbound tunnels must say that they are reachable and publish an IPv4 address, endpoints must
    /// speak IPv4, and routers that state little or no bandwidth are left out.
    pub strict_ends: bool,
    /// Most of our tunnels that one router may be in, in percent.
    pub share_percent: usize,
    /// Build shorter tunnels than asked for when there are not enough routers.
    pub shorten: bool,
}

impl Default for SelectPolicy {
    fn default() -> Self {
        Self {
            min_version: RouterVersion(0, 9, 59),
            diverse: true,
            strict_ends: true,
            share_percent: 33,
            shorten: false,
        }
    }
}

impl SelectPolicy {
    /// For a private network of a few routers on one machine.
    pub fn test_network() -> Self {
        Self {
            min_version: RouterVersion(0, 0, 0),
            diverse: false,
            strict_ends: false,
            share_percent: 33,
            shorten: true,
        }
    }
}

/// What is wanted.
#[derive(Debug)]
pub(super) struct Want<'a> {
    pub(super) direction: Direction,
    /// Number of hops, at least one.
    pub(super) length: usize,
    /// Secret of the pool, for the order of hops.
    pub(super) pool_key: &'a [u8; 32],
    /// For a destination rather than for the router.
    pub(super) client: bool,
    /// Builds failed lately: prefer routers that are known to be good.
    pub(super) careful: bool,
    /// Use these, in this order from us, instead of choosing.
    pub(super) explicit: &'a [RouterHash],
    /// How many of our tunnels each router is in.
    pub(super) usage: &'a Map<RouterHash, usize>,
    /// How many tunnels we have.
    pub(super) tunnels: usize,
    /// Routers that just now could not be reached or refused, which the view may not know yet.
    pub(super) avoid: &'a Set<RouterHash>,
    pub(super) wall_ms: u64,
}

/// Why no hops were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoHops {
    /// No router is known at all.
    NobodyKnown,
    /// Fewer usable routers than hops.
    TooFew {
        /// Known routers.
        known: usize,
        /// Those that may be hops at all.
        usable: usize,
        /// Hops wanted.
        wanted: usize,
    },
    /// Enough routers, but no way to put them in a row so that each reaches the next.
    NoChain {
        /// Those that may be hops at all.
        usable: usize,
        /// Hops wanted.
        wanted: usize,
    },
    /// A router that was asked for by name is not known.
    Unknown(RouterHash),
}

impl fmt::Display for NoHops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NobodyKnown => f.write_str("no router known"),
            Self::TooFew { known, usable, wanted } => {
                write!(f, "{usable} of {known} known routers usable, {wanted} wanted")
            }
            Self::NoChain { usable, wanted } => {
                write!(f, "no {wanted} of {usable} usable routers can reach each other")
            }
            Self::Unknown(hash) => write!(f, "router {hash} not known"),
        }
    }
}

/// How much of the preferences is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ease {
    /// All preferences.
    None,
    /// Any tier.
    AnyTier,
    /// Routers that refused or failed just now, too.
    Tired,
    /// Routers that are in a third of our tunnels, too: better than no tunnel, and needed behind a firewall, where
    /// few can be the hop next to us.
    Overused,
}

struct Search<'a> {
    view: &'a PeerView,
    policy: &'a SelectPolicy,
    want: &'a Want<'a>,
}

/// Finds hops in the order of the tunnel: gateway or first hop first.
pub(super) fn select(
    view: &PeerView,
    policy: &SelectPolicy,
    want: &Want<'_>,
    rng: &mut Rng,
) -> Result<Vec<Hop>, NoHops> {
    if !want.explicit.is_empty() {
        return explicit(view, want);
    }
    if view.is_empty() {
        return Err(NoHops::NobodyKnown);
    }
    let search = Search { view, policy, want };
    let usable: Vec<&Arc<PeerEntry>> = view.iter().filter(|p| search.usable(p)).collect();
    let mut length = want.length;
    if usable.len() < length {
        if !policy.shorten || usable.is_empty() {
            return Err(NoHops::TooFew { known: view.len(), usable: usable.len(), wanted: length });
        }
        length = usable.len();
    }
    loop {
        for ease in [Ease::None, Ease::AnyTier, Ease::Tired, Ease::Overused] {
            let candidates = search.candidates(&usable, ease, length);
            if candidates.len() >= length
                && let Some(hops) = search.find(rng, candidates, length)
            {
                return Ok(hops);
            }
        }
        if !policy.shorten || length <= 1 {
            return Err(NoHops::NoChain { usable: usable.len(), wanted: length });
        }
        length -= 1;
    }
}

fn explicit(view: &PeerView, want: &Want<'_>) -> Result<Vec<Hop>, NoHops> {
    let mut hops = Vec::new();
    for hash in want.explicit.iter().take(want.length) {
        let entry = view.get(hash).ok_or(NoHops::Unknown(*hash))?;
        hops.push(Hop { hash: *hash, key: entry.key });
    }
    if want.direction == Direction::Inbound {
        hops.reverse();
    }
    Ok(hops)
}

fn is_proven(peer: &PeerEntry) -> bool {
    let standing = &peer.standing;
    standing.tier >= Tier::HighCapacity
        || (standing.tier == Tier::Standard && standing.capacity >= CAPACITY_PROVEN)
}

impl Search<'_> {
    /// Rules that are never given up.
    fn usable(&self, peer: &PeerEntry) -> bool {
        let ours = self.view.own().is_some_and(|own| own.hash == peer.hash);
        !ours
            && !peer.hidden
            && peer.version >= self.policy.min_version
            && peer.congestion != Congestion::Refusing
            && (!self.policy.strict_ends || peer.class > BandwidthClass::K)
    }

    fn share_allows(&self, hash: &RouterHash) -> bool {
        if !self.policy.diverse || self.view.len() < SHARE_FROM {
            return true;
        }
        let used = self.want.usage.get(hash).copied().unwrap_or(0);
        let limit = (self.want.tunnels.saturating_mul(self.policy.share_percent) / 100).max(2);
        used < limit
    }

    fn candidates<'v>(
        &self,
        usable: &[&'v Arc<PeerEntry>],
        ease: Ease,
        length: usize,
    ) -> Vec<&'v Arc<PeerEntry>> {
        if ease == Ease::Overused {
            return usable.to_vec();
        }
        let fair = usable.iter().filter(|p| self.share_allows(&p.hash)).copied();
        if ease == Ease::Tired {
            return fair.collect();
        }
        let mut rested: Vec<_> = fair.filter(|p| self.rested(p)).collect();
        if ease != Ease::None {
            return rested;
        }
        let floors: &[Tier] = match (self.want.client, self.want.careful) {
            (true, _) => &[Tier::Fast, Tier::HighCapacity],
            (false, true) => &[Tier::HighCapacity],
            (false, false) => &[],
        };
        let (enough, few) = (TIER_ALONE_MIN.max(length.saturating_mul(3)), FEW.max(length.saturating_mul(2)));
        for floor in floors {
            let good = |p: &Arc<PeerEntry>| p.standing.tier >= *floor && self.wide_enough(p);
            if rested.iter().filter(|p| good(p)).count() >= enough {
                rested.retain(|p| good(p));
                return rested;
            }
        }
        if self.want.careful {
            // Of so few each has a large share of our tunnels; that is better than none.
            let proven = usable.iter().filter(|p| self.rested(p) && is_proven(p) && self.wide_enough(p));
            let proven: Vec<_> = proven.copied().collect();
            if proven.len() >= few {
                return proven;
            }
            // A RouterInfo alone does not show that there is anybody.
            let met = |p: &Arc<PeerEntry>| {
                p.standing.contacted && p.standing.capacity >= CAPACITY_DOUBTFUL && self.wide_enough(p)
            };
            if rested.iter().filter(|p| met(p)).count() >= few {
                rested.retain(|p| met(p));
                return rested;
            }
        }
        rested.retain(|p| p.standing.tier >= Tier::Standard && self.wide_enough(p));
        let hopeful = |p: &Arc<PeerEntry>| p.standing.capacity >= CAPACITY_DOUBTFUL;
        if rested.iter().filter(|p| hopeful(p)).count() >= few {
            rested.retain(|p| hopeful(p));
        }
        rested
    }

    /// Tunnels of clients take no routers of the smallest class.
    fn wide_enough(&self, peer: &PeerEntry) -> bool {
        !self.want.client || !self.policy.strict_ends || peer.class > BandwidthClass::L
    }

    /// Neither tired nor, by its own fresh word, crowded.
    fn rested(&self, peer: &PeerEntry) -> bool {
        let fresh = self.want.wall_ms.saturating_sub(peer.published_ms) < CONGESTION_MS;
        peer.rested(self.want.wall_ms)
            && !(peer.congestion == Congestion::High && fresh)
            && !self.want.avoid.contains(&peer.hash)
    }

    /// Random sets in the pool's order first; if none fits, any order, all combinations within bounds.
    fn find(&self, rng: &mut Rng, mut candidates: Vec<&Arc<PeerEntry>>, length: usize) -> Option<Vec<Hop>> {
        for _ in 0..SAMPLES {
            for at in 0..length {
                let other = at + rng.index(candidates.len() - at);
                candidates.swap(at, other);
            }
            let mut chain: Vec<&Arc<PeerEntry>> = candidates.iter().take(length).copied().collect();
            self.put_in_order(&mut chain);
            if self.fits(&chain) {
                return Some(hops(&chain));
            }
        }
        rng.shuffle(&mut candidates);
        let mut steps = SEARCH_STEPS;
        let mut chain = Vec::with_capacity(length);
        self.extend(&candidates, length, &mut chain, &mut steps).then(|| hops(&chain))
    }

    /// The pool's order counts from us: for inbound tunnels the hop next to us is the last one.
    fn put_in_order(&self, chain: &mut [&Arc<PeerEntry>]) {
        chain.sort_by_cached_key(|p| order_key(self.want.pool_key, &p.hash));
        if self.want.direction == Direction::Inbound {
            chain.reverse();
        }
    }

    fn fits(&self, chain: &[&Arc<PeerEntry>]) -> bool {
        (0..chain.len()).all(|at| self.may_follow(chain, at, chain.len()))
    }

    /// Whether the hop at `at` goes with those before it, and with us if it is at our end.
    fn may_follow(&self, chain: &[&Arc<PeerEntry>], at: usize, length: usize) -> bool {
        let Some((peer, before)) = chain.get(..=at).and_then(<[_]>::split_last) else { return false };
        if before.iter().any(|p| p.hash == peer.hash || (self.policy.diverse && related(p, peer))) {
            return false;
        }
        if before.last().is_some_and(|previous| !can_reach(previous, peer)) {
            return false;
        }
        let (first, last) = (at == 0, at + 1 == length);
        match self.want.direction {
            Direction::Outbound => (!first || self.we_reach(peer)) && (!last || self.good_endpoint(peer)),
            Direction::Inbound => (!first || self.good_gateway(peer)) && (!last || self.reaches_us(peer)),
        }
    }

    /// Depth-first search without the pool's order.
    fn extend<'v>(
        &self,
        candidates: &[&'v Arc<PeerEntry>],
        length: usize,
        chain: &mut Vec<&'v Arc<PeerEntry>>,
        steps: &mut usize,
    ) -> bool {
        if chain.len() == length {
            return true;
        }
        for peer in candidates {
            if *steps == 0 {
                return false;
            }
            *steps -= 1;
            chain.push(peer);
            if self.may_follow(chain, chain.len() - 1, length)
                && self.extend(candidates, length, chain, steps)
            {
                return true;
            }
            chain.pop();
        }
        false
    }

    fn we_reach(&self, peer: &PeerEntry) -> bool {
        peer.connected
            || self.view.own().is_none_or(|own| {
                let silent = !own.speaks_v4 && !own.speaks_v6; // nothing known about ourselves yet
                (own.speaks_v4 || silent) && peer.ntcp2_v4.is_some()
                    || (own.speaks_v6 || silent) && peer.ntcp2_v6.is_some()
            }) && peer.has_published_address()
    }

    fn reaches_us(&self, peer: &PeerEntry) -> bool {
        peer.connected || self.view.own().is_none_or(|own| can_reach(peer, own))
    }

    fn good_endpoint(&self, peer: &PeerEntry) -> bool {
        !self.policy.strict_ends || peer.speaks_v4
    }

    /// Strangers must be able to reach a gateway.
    fn good_gateway(&self, peer: &PeerEntry) -> bool {
        if self.policy.strict_ends {
            peer.reachable && peer.ntcp2_v4.is_some()
        } else {
            peer.has_published_address()
        }
    }
}

/// Whether `from` can open a connection to `to`.
fn can_reach(from: &PeerEntry, to: &PeerEntry) -> bool {
    from.speaks_v4 && to.ntcp2_v4.is_some() || from.speaks_v6 && to.ntcp2_v6.is_some()
}

/// Whether two routers may well have the same operator.
fn related(a: &PeerEntry, b: &PeerEntry) -> bool {
    let family = a.family.is_some() && a.family == b.family;
    a.subnets.meet(&b.subnets) || family
}

/// Distance of the hash, mixed with the pool's secret, from that secret.
fn order_key(pool_key: &[u8; 32], hash: &RouterHash) -> [u8; 32] {
    let mut mixed = sha256(&[&hash.0, pool_key]);
    for (byte, key) in mixed.iter_mut().zip(pool_key) {
        *byte ^= key;
    }
    mixed
}

fn hops(chain: &[&Arc<PeerEntry>]) -> Vec<Hop> {
    chain.iter().map(|p| Hop { hash: p.hash, key: p.key }).collect()
}

#[cfg(test)]
mod tests;
