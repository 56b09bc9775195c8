// SPDX-License-Identifier: MIT
//! What a destination knows of its remotes: their lease sets, the path in use, packets that wait for a lease set.
//!
//! At most [`PEERS_MAX`] remotes; the one unused for longest is forgotten. A cache of one destination is never shared
//! with another: what one of them knows must not show through the other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::paths::{self, Change, Path};
use super::{Error, ErrorKind};
use crate::base::{Map, Mono, Now, Rng, map};
use crate::crypto::{Verified, X25519Public};
use crate::stream::OutPacket;
use crate::tunnel::PoolState;
use crate::wire::{DestHash, Destination, LeaseSet2};

const PEERS_MAX: usize = 4096;
const WAITING_MAX: usize = 64;
/// A lease set whose last lease ends this soon is looked up again while there is traffic.
const REFRESH_S: u32 = 90;
/// Time between two such lookups.
const REFRESH_PAUSE: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
struct Peer {
    lease_set: Option<Arc<Verified<LeaseSet2>>>,
    path: Option<Path>,
    waiting: VecDeque<OutPacket>,
    used: Mono,
    refreshed: Option<Mono>,
    suspect: bool,
    /// Packets to it went unanswered: what it publishes may have changed.
    stale: bool,
}

/// All remotes of a destination.
#[derive(Debug)]
pub(crate) struct Peers {
    peers: Map<DestHash, Peer>,
}

impl Peers {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self { peers: map(rng) }
    }

    pub(crate) fn len(&self) -> usize {
        self.peers.len()
    }

    fn entry(&mut self, hash: DestHash) -> &mut Peer {
        if self.peers.len() >= PEERS_MAX && !self.peers.contains_key(&hash) {
            let oldest = self.peers.iter().min_by_key(|(h, p)| (p.used, **h)).map(|(h, _)| *h);
            if let Some(oldest) = oldest {
                self.peers.remove(&oldest);
            }
        }
        self.peers.entry(hash).or_default()
    }

    /// Takes a lease set in if it is newer than the one we have and not expired.
    ///
    /// True if the remote has begun anew: it had another encryption key before.
    pub(crate) fn learn(&mut self, now: Now, ls: Arc<Verified<LeaseSet2>>) -> bool {
        if paths::latest_end_s(&ls) <= now.wall_s() {
            return false;
        }
        let peer = self.entry(ls.destination().hash());
        peer.used = now.mono;
        let newer = peer.lease_set.as_ref().is_none_or(|old| ls.published_s() > old.published_s());
        // Newer or not, it is what there is.
        peer.suspect = false;
        peer.stale = false;
        if !newer {
            return false;
        }
        let key = ls.x25519();
        let old = peer.lease_set.replace(ls);
        old.is_some_and(|old| old.x25519() != key)
    }

    /// Whether we can send to it: a lease set with our encryption type and a lease that has not ended.
    pub(crate) fn is_usable(&self, now: Now, hash: &DestHash) -> bool {
        self.peers
            .get(hash)
            .and_then(|p| p.lease_set.as_ref().filter(|_| !p.suspect))
            .is_some_and(|ls| ls.x25519().is_some() && paths::latest_end_s(ls) > now.wall_s())
    }

    /// Whether datagrams can be sent to it: as [`Self::is_usable`], but a remote that keeps silent will do.
    pub(crate) fn has_lease(&self, now: Now, hash: &DestHash) -> bool {
        let ls = self.peers.get(hash).and_then(|p| p.lease_set.as_ref());
        ls.is_some_and(|ls| ls.x25519().is_some() && paths::latest_end_s(ls) > now.wall_s())
    }

    /// Whether its lease set is good, but has no encryption that we speak.
    pub(crate) fn is_foreign(&self, now: Now, hash: &DestHash) -> bool {
        let ls = self.peers.get(hash).and_then(|p| p.lease_set.as_ref());
        ls.is_some_and(|ls| ls.x25519().is_none() && paths::latest_end_s(ls) > now.wall_s())
    }

    pub(crate) fn why_unusable(&self, now: Now, hash: &DestHash) -> Error {
        let Some(ls) = self.peers.get(hash).and_then(|p| p.lease_set.as_ref()) else {
            return Error::new(ErrorKind::LeaseSetNotFound, "lease set not found");
        };
        if ls.x25519().is_none() {
            let kinds: Vec<String> = ls.keys().iter().map(|k| k.kind.to_string()).collect();
            let text = format!("no common encryption type: the peer has {}, we have 4", kinds.join(","));
            return Error::new(ErrorKind::Incompatible, text);
        }
        let ago = now.wall_s().saturating_sub(paths::latest_end_s(ls));
        Error::new(ErrorKind::LeaseSetNotFound, format!("the last lease of the peer ended {ago} s ago"))
    }

    /// The peer does not answer: its lease set shall be looked up before the next call.
    pub(crate) fn suspect(&mut self, hash: &DestHash) {
        if let Some(peer) = self.peers.get_mut(hash) {
            peer.suspect = true;
        }
    }

    /// The peer may have begun anew: its lease set shall be looked up while the one we have stays in use.
    pub(crate) fn doubt(&mut self, hash: &DestHash) {
        if let Some(peer) = self.peers.get_mut(hash) {
            peer.stale = true;
        }
    }

    pub(crate) fn destination(&self, hash: &DestHash) -> Option<Destination> {
        Some(self.peers.get(hash)?.lease_set.as_ref()?.destination().clone())
    }

    /// The destination, if its lease set has not ended.
    pub(crate) fn current(&self, now: Now, hash: &DestHash) -> Option<Destination> {
        let ls = self.peers.get(hash)?.lease_set.as_ref()?;
        (paths::latest_end_s(ls) > now.wall_s()).then(|| ls.destination().clone())
    }

    /// The options of the lease set that we hold.
    pub(crate) fn options(&self, hash: &DestHash) -> Vec<(String, String)> {
        let ls = self.peers.get(hash).and_then(|p| p.lease_set.as_ref());
        let pairs = ls.into_iter().flat_map(|ls| ls.options().iter());
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    pub(crate) fn key(&self, hash: &DestHash) -> Option<X25519Public> {
        self.peers.get(hash)?.lease_set.as_ref()?.x25519().map(X25519Public)
    }

    /// Keeps packets until the lease set is there; answers how many found no room.
    pub(crate) fn wait(&mut self, hash: DestHash, packets: Vec<OutPacket>) -> usize {
        let waiting = &mut self.entry(hash).waiting;
        let room = WAITING_MAX.saturating_sub(waiting.len());
        let lost = packets.len().saturating_sub(room);
        waiting.extend(packets.into_iter().take(room));
        lost
    }

    pub(crate) fn take_waiting(&mut self, hash: &DestHash) -> Vec<OutPacket> {
        self.peers.get_mut(hash).map(|p| p.waiting.drain(..).collect()).unwrap_or_default()
    }

    /// The path to use now, and whether it differs from the one before.
    pub(crate) fn path(
        &mut self,
        now: Now,
        rng: &mut Rng,
        to: DestHash,
        change: Change,
        pool: &PoolState,
    ) -> Option<(Path, bool)> {
        let peer = self.peers.get_mut(&to)?;
        let ls = peer.lease_set.as_ref()?;
        let path = paths::choose(now, rng, peer.path, change, pool, ls)?;
        let changed = peer.path.is_some_and(|old| {
            (old.outbound, old.lease.gateway, old.lease.tunnel)
                != (path.outbound, path.lease.gateway, path.lease.tunnel)
        });
        peer.path = Some(path);
        peer.used = now.mono;
        Some((path, changed))
    }

    /// The date of its lease set, if we have one.
    pub(crate) fn dated(&self, hash: &DestHash) -> Option<u32> {
        self.peers.get(hash)?.lease_set.as_ref().map(|ls| ls.published_s())
    }

    /// Whether the lease set is about to end and shall be looked up; says so once in a while.
    pub(crate) fn wants_refresh(&mut self, now: Now, hash: &DestHash) -> bool {
        let Some(peer) = self.peers.get_mut(hash) else { return false };
        let Some(ls) = &peer.lease_set else { return false };
        let soon =
            paths::latest_end_s(ls) < now.wall_s().saturating_add(REFRESH_S) || peer.suspect || peer.stale;
        let rested = peer.refreshed.is_none_or(|at| now.mono.since(at) >= REFRESH_PAUSE);
        if soon && rested {
            peer.refreshed = Some(now.mono);
        }
        soon && rested
    }
}
