// SPDX-License-Identifier: MIT
//! Our own lease set: which inbound tunnels are in it, and when a new version is due.
//!
//! The first version waits a moment for all wanted tunnels; later ones gather changes for a few seconds, unless
//! tunnels in the present version have died. Spec: common structures, "LeaseSet2".

use crate::base::{Mono, Now};
use crate::crypto::X25519Public;
use crate::tunnel::{InboundTunnel, PoolState};
use crate::wire::{Lease2, LeaseSet2, LeaseSetContent, LeaseSetKey, Mapping, RouterHash, TunnelId};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::DestinationKeys;
use crate::base::Rng;

/// How long the first version waits for the remaining tunnels after the first one.
const FIRST_WAIT: Duration = Duration::from_millis(600);
/// How long changes are gathered.
const GATHER: Duration = Duration::from_secs(3);
/// How long changes are gathered when a published tunnel has died.
const GATHER_URGENT: Duration = Duration::from_millis(200);
/// Tunnels with less life than this are not offered to others while there are better ones.
const LIFE_MIN: Duration = Duration::from_secs(90);
/// Leases end a little before their tunnels.
const MARGIN_S: u64 = 10;
/// A UTC day.
const DAY_MS: u64 = 86_400_000;
/// Encryption type of ECIES-X25519-AEAD-Ratchet.
const ENCRYPTION_ECIES: u16 = 4;

/// Most options of a lease set.
const OPTIONS_MAX: usize = 16;
/// Most bytes of them: the lease set goes along with first messages and should fit their tunnel messages.
const OPTION_BYTES_MAX: usize = 1024;

type Lease = (RouterHash, TunnelId);

/// What is published and what should be.
#[derive(Debug)]
pub(crate) struct Leases {
    wanted: usize,
    unpublished: bool,
    options: Mapping,
    /// It is published in encrypted form, under a key that lasts until UTC midnight.
    encrypted: bool,
    /// When the day of the present version ends.
    midnight: Option<Mono>,
    /// Date of the newest version of this destination, whichever session made it.
    published_s: Arc<AtomicU32>,
    current: Vec<Lease>,
    tunnels: Vec<InboundTunnel>,
    first_seen: Option<Mono>,
    due: Option<Mono>,
}

impl Leases {
    /// `wanted`: tunnels for which the first version waits.
    pub(crate) fn new(wanted: usize, unpublished: bool, encrypted: bool) -> Self {
        Self {
            wanted,
            unpublished,
            options: Mapping::new(),
            encrypted,
            midnight: None,
            published_s: Arc::default(),
            current: Vec::new(),
            tunnels: Vec::new(),
            first_seen: None,
            due: None,
        }
    }

    /// Goes on from the date of an earlier session of the same destination.
    pub(crate) fn continue_from(&mut self, published_s: Arc<AtomicU32>) {
        self.published_s = published_s;
    }

    /// Options that every version carries; what is beyond the bounds is left out.
    pub(crate) fn with_options(mut self, options: &[(String, String)]) -> Self {
        let mut room = OPTION_BYTES_MAX;
        for (key, value) in options.iter().take(OPTIONS_MAX) {
            let size = key.len() + value.len();
            if !key.is_empty() && key.len().max(value.len()) <= 255 && size <= room {
                room -= size;
                self.options.set(key, value);
            }
        }
        self
    }

    /// The options.
    pub(crate) fn options(&self) -> Vec<(String, String)> {
        self.options.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    /// The pool has changed.
    pub(crate) fn update(&mut self, now: Now, pool: &PoolState) {
        self.tunnels = select(now, &pool.inbound);
        let wanted: Vec<Lease> = self.tunnels.iter().map(|t| (t.gateway, t.id)).collect();
        if wanted.is_empty() || wanted == self.current {
            return;
        }
        let first_seen = *self.first_seen.get_or_insert(now.mono);
        let at = if self.current.is_empty() {
            if wanted.len() >= self.wanted { now.mono } else { first_seen + FIRST_WAIT }
        } else if self.current.iter().all(|l| wanted.contains(l)) {
            now.mono + GATHER
        } else {
            now.mono + GATHER_URGENT
        };
        self.due = Some(self.due.map_or(at, |old| old.min(at)));
    }

    /// When a new version wants to be made.
    pub(crate) fn due(&self) -> Option<Mono> {
        [self.due, self.midnight].into_iter().flatten().min()
    }

    /// Makes the new version if it is due.
    pub(crate) fn make(
        &mut self,
        now: Now,
        keys: &DestinationKeys,
        encryption: &X25519Public,
        rng: &mut Rng,
    ) -> Option<LeaseSet2> {
        self.due().filter(|at| *at <= now.mono)?;
        self.due = None;
        self.midnight =
            self.encrypted.then(|| now.mono + Duration::from_millis(DAY_MS - now.wall_ms % DAY_MS));
        let leases: Vec<Lease2> = self
            .tunnels
            .iter()
            .filter(|t| t.expires > now.mono)
            .map(|t| Lease2 { gateway: t.gateway, tunnel: t.id, end_s: end_s(now, t.expires) })
            .collect();
        let end = leases.iter().map(|l| l.end_s).max()?;
        // "Newer" means a greater second, so two versions never share one.
        let published_s = now.wall_s().max(self.published_s.load(Ordering::Relaxed).saturating_add(1));
        self.published_s.store(published_s, Ordering::Relaxed);
        self.current = leases.iter().map(|l| (l.gateway, l.tunnel)).collect();
        let key = LeaseSetKey { kind: ENCRYPTION_ECIES, key: encryption.as_bytes().to_vec() };
        let sign = |bytes: &[u8]| keys.signing().sign_parts(rng, &[bytes]);
        let content = LeaseSetContent {
            published_s,
            expires_s: end,
            unpublished: self.unpublished,
            encrypted: self.encrypted,
            offline: keys.offline().cloned(),
            keys: vec![key],
            leases,
            options: self.options.clone(),
        };
        Some(LeaseSet2::build_with(keys.destination(), content, sign))
    }
}

fn end_s(now: Now, expires: Mono) -> u32 {
    let left = expires.since(now.mono).as_secs().saturating_sub(MARGIN_S);
    now.wall_s().saturating_add(u32::try_from(left).unwrap_or(u32::MAX))
}

/// The tunnels to offer: those with enough life, or all when none has; in an order that does not depend on age.
fn select(now: Now, inbound: &[InboundTunnel]) -> Vec<InboundTunnel> {
    let long: Vec<_> = inbound.iter().filter(|t| t.expires.since(now.mono) >= LIFE_MIN).cloned().collect();
    let mut chosen = if long.is_empty() { inbound.to_vec() } else { long };
    chosen.sort_by_key(|t| (std::cmp::Reverse(t.expires), t.gateway, t.id));
    chosen.truncate(usize::from(crate::wire::LEASES_MAX));
    chosen.sort_by_key(|t| (t.gateway, t.id));
    chosen
}

#[cfg(test)]
mod tests;
