// SPDX-License-Identifier: MIT
//! Lease sets for one destination: looking them up and publishing its own.
//!
//! Everything goes through the destination's own tunnels and is sealed to the floodfill, so neither the floodfill
//! nor anybody on the way learns which router asks or stores; nothing found here enters the router's database.
//! Both engines are owned by the destination's task, which passes on garlic messages whose tag they know and
//! DeliveryStatus messages whose token they know. Spec: network database, "LeaseSet lookup" and "Publishing".

mod lookup;
mod publish;
#[cfg(test)]
mod tests;

pub use lookup::{LeaseAction, LeaseLookups, LookupFailure, LookupReason};
pub use publish::{LeasePublisher, PublishAction};

use super::message::{ReplyTunnel, garlic_for_router, lookup as lookup_message};
use super::tags::Tags;
use super::view::PeerEntry;
use crate::base::{Now, Rng};
use crate::crypto::Verified;
use crate::wire::{
    DatabaseLookup, DestHash, EncryptedLeaseSet, Hash, I2np, LeaseSet2, LookupKind, StoreData, Wire,
};
use std::sync::Arc;

/// A sealed question for a lease set, whose answer comes to `reply` under a fresh tag for `purpose`.
fn sealed_lookup<P>(
    rng: &mut Rng,
    now: Now,
    tags: &mut Tags<P>,
    purpose: P,
    (key, floodfill, reply): (Hash, &PeerEntry, ReplyTunnel),
) -> Option<I2np> {
    let (encryption, _) = tags.issue(rng, now.mono, purpose);
    let question = DatabaseLookup {
        key,
        from: reply.gateway,
        reply_tunnel: Some(reply.tunnel),
        kind: LookupKind::LeaseSet,
        excluded: Vec::new(),
        encryption,
    };
    let inner = lookup_message(rng, now.wall_ms, &question);
    garlic_for_router(rng, now, &floodfill.key, &inner)
}

/// A lease set in the form in which floodfills get it.
#[derive(Clone, Debug)]
pub enum Publication {
    /// For everybody who knows the destination's hash.
    Plain(Arc<Verified<LeaseSet2>>),
    /// For those who know the day's blinded key and can open it.
    Encrypted(Arc<Verified<EncryptedLeaseSet>>),
}

impl From<Arc<Verified<LeaseSet2>>> for Publication {
    fn from(set: Arc<Verified<LeaseSet2>>) -> Self {
        Self::Plain(set)
    }
}

impl From<Arc<Verified<EncryptedLeaseSet>>> for Publication {
    fn from(set: Arc<Verified<EncryptedLeaseSet>>) -> Self {
        Self::Encrypted(set)
    }
}

impl Publication {
    /// The key under which it is stored.
    pub fn key(&self) -> Hash {
        match self {
            Self::Plain(set) => set.destination().hash().into(),
            Self::Encrypted(set) => set.store_key(),
        }
    }

    /// When it was signed, seconds since 1970.
    pub fn published_s(&self) -> u32 {
        match self {
            Self::Plain(set) => set.published_s(),
            Self::Encrypted(set) => set.published_s(),
        }
    }

    /// The body for a DatabaseStore.
    fn data(&self) -> StoreData {
        match self {
            Self::Plain(set) => StoreData::LeaseSet2(set.raw().to_vec()),
            Self::Encrypted(set) => StoreData::Encrypted(set.raw().to_vec()),
        }
    }

    /// Whether `data` is this version or a newer one of the same.
    fn is_in(&self, now: Now, data: &StoreData) -> bool {
        let found = match (self, data) {
            (Self::Plain(set), StoreData::LeaseSet2(bytes)) => {
                check_lease_set(now, set.destination().hash(), bytes).map(|found| found.published_s())
            }
            (Self::Encrypted(set), StoreData::Encrypted(bytes)) => {
                check_encrypted(now, set.store_key(), bytes).map(|found| found.published_s())
            }
            _ => None,
        };
        found.is_some_and(|at| at >= self.published_s())
    }
}

/// Checks an encrypted lease set that came as an answer: key, signature of the blinded key, and that it still runs.
fn check_encrypted(now: Now, key: Hash, bytes: &[u8]) -> Option<Verified<EncryptedLeaseSet>> {
    let set = EncryptedLeaseSet::from_bytes(bytes).ok()?;
    let now_s = now.wall_s();
    let ahead = set.published_s() > now_s.saturating_add(120);
    let lapsed = set.offline().is_some_and(|o| o.expires_s < now_s);
    if set.store_key() != key || set.expires_s() <= now_s || ahead || lapsed {
        return None;
    }
    Verified::check(set).ok()
}

/// Checks a lease set that came as an answer: whose it is, signature, and that a lease still runs.
fn check_lease_set(now: Now, hash: DestHash, bytes: &[u8]) -> Option<Verified<LeaseSet2>> {
    let set = LeaseSet2::from_bytes(bytes).ok()?;
    let now_s = now.wall_s();
    let runs = set.leases().iter().any(|l| l.end_s > now_s) && set.expires_s() > now_s;
    let ahead = set.published_s() > now_s.saturating_add(120);
    let lapsed = set.offline().is_some_and(|o| o.expires_s < now_s);
    if set.destination().hash() != hash || !runs || ahead || lapsed {
        return None;
    }
    Verified::check(set).ok()
}
