// SPDX-License-Identifier: MIT
//! Names of encrypted lease sets on their way to a destination, and those that have led to one.
//!
//! A name is looked for under today's key; near UTC midnight, when its owner's clock may show another day, under the
//! other day's key as well. Who was found once is looked for by name again, since the netDb does not know its hash.
//! At most [`PENDING_MAX`] names are looked for at once, and [`KNOWN_MAX`] destinations remembered.

use super::encrypted::BlindedAccess;
use super::{Error, ErrorKind};
use crate::base::{Map, Now, Rng, map};
use crate::crypto::{BlindedKey, Verified};
use crate::netdb::neighbour_day;
use crate::wire::{BlindedName, DestHash, EncryptedLeaseSet, Hash, LeaseSet2};
use std::sync::Arc;

const PENDING_MAX: usize = 64;
const KNOWN_MAX: usize = 1024;
/// How far from UTC midnight the key of the other day is tried too: as long as a lease set can live.
const OTHER_DAY_MS: u64 = 660_000;

/// Who waits for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiter {
    /// A call with this token.
    Call(u64),
    /// Whoever wants a newer lease set of this destination.
    Refresh(DestHash),
}

#[derive(Debug)]
struct Seek {
    name: BlindedName,
    access: Arc<BlindedAccess>,
    day: BlindedKey,
    /// A time in the other day, if its key is still to be tried.
    other: Option<u64>,
    waiters: Vec<Waiter>,
}

/// What a name came to.
#[derive(Debug)]
pub(crate) struct Sought {
    pub(crate) result: Result<Arc<Verified<LeaseSet2>>, Error>,
    pub(crate) waiters: Vec<Waiter>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Blinded {
    access: Arc<BlindedAccess>,
    pending: Map<Hash, Seek>,
    known: Map<DestHash, (BlindedName, Arc<BlindedAccess>)>,
    named: Map<BlindedName, DestHash>,
}

impl Blinded {
    pub(crate) fn new(access: BlindedAccess, rng: &mut Rng) -> Self {
        Self { access: Arc::new(access), pending: map(rng), known: map(rng), named: map(rng) }
    }

    /// Whether the netDb knows this destination by a blinded key alone, as far as we know.
    pub(crate) fn is_known(&self, hash: &DestHash) -> bool {
        self.known.contains_key(hash)
    }

    /// The destination that a name has led to.
    pub(crate) fn named(&self, name: &BlindedName) -> Option<DestHash> {
        self.named.get(name).copied()
    }

    /// Begins to look for a name; answers the key to ask the netDb for, or `None` if that is under way.
    pub(crate) fn seek(
        &mut self,
        now: Now,
        name: BlindedName,
        access: Option<Arc<BlindedAccess>>,
        waiter: Waiter,
    ) -> Result<Option<Hash>, Error> {
        let access = access.unwrap_or_else(|| self.access.clone());
        let day = access.blind(&name, now.wall_ms)?;
        let key = day.store_key();
        if let Some(seek) = self.pending.get_mut(&key) {
            if !seek.waiters.contains(&waiter) {
                seek.waiters.push(waiter);
            }
            return Ok(None);
        }
        if self.pending.len() >= PENDING_MAX {
            let text = format!("{PENDING_MAX} encrypted lease sets are being looked for already");
            return Err(Error::new(ErrorKind::Limit, text));
        }
        let other = neighbour_day(now.wall_ms, OTHER_DAY_MS);
        self.pending.insert(key, Seek { name, access, day, other, waiters: vec![waiter] });
        Ok(Some(key))
    }

    /// As [`Self::seek`], for a destination that was found by a name before.
    pub(crate) fn refresh(&mut self, now: Now, hash: DestHash) -> Result<Option<Hash>, Error> {
        let Some((name, access)) = self.known.get(&hash).cloned() else { return Ok(None) };
        self.seek(now, name, Some(access), Waiter::Refresh(hash))
    }

    /// The netDb had something under `key`.
    pub(crate) fn found(
        &mut self,
        now: Now,
        key: &Hash,
        set: &Verified<EncryptedLeaseSet>,
    ) -> Option<Sought> {
        let seek = self.pending.remove(key)?;
        let result = seek.access.open(now, &seek.name, &seek.day, set).map(Arc::new);
        if let Ok(set) = &result {
            self.remember(set.destination().hash(), seek.name, seek.access);
        }
        Some(Sought { result, waiters: seek.waiters })
    }

    /// The netDb had nothing under `key`. Answers the next key to try, or what it came to; `None` if it was no name.
    pub(crate) fn failed(&mut self, key: &Hash, error: &Error) -> Option<Result<Hash, Sought>> {
        let mut seek = self.pending.remove(key)?;
        if let Some(other) = seek.other.take()
            && let Ok(day) = seek.access.blind(&seek.name, other)
        {
            let next = day.store_key();
            seek.day = day;
            self.pending.insert(next, seek);
            return Some(Ok(next));
        }
        let error = if seek.name.needs_secret() && error.kind() == ErrorKind::LeaseSetNotFound {
            error.clone().with_words("a wrong secret looks the same")
        } else {
            error.clone()
        };
        Some(Err(Sought { result: Err(error), waiters: seek.waiters }))
    }

    /// A lease set that came bundled says that the netDb has it in encrypted form alone.
    pub(crate) fn learn(&mut self, set: &LeaseSet2) {
        let hash = set.destination().hash();
        if set.is_encrypted_in_netdb()
            && !self.known.contains_key(&hash)
            && let Some(name) = BlindedName::of(set.destination(), false, false)
        {
            self.remember(hash, name, self.access.clone());
        }
    }

    fn remember(&mut self, hash: DestHash, name: BlindedName, access: Arc<BlindedAccess>) {
        if self.known.len() >= KNOWN_MAX && !self.known.contains_key(&hash) {
            let first = self.known.keys().min().copied();
            let gone = first.and_then(|hash| self.known.remove(&hash));
            gone.map(|(name, _)| self.named.remove(&name));
        }
        if let Some((old, _)) = self.known.insert(hash, (name, access)) {
            self.named.remove(&old);
        }
        self.named.insert(name, hash);
    }
}

#[cfg(test)]
mod tests;
