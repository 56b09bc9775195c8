// SPDX-License-Identifier: MIT
//! The lease sets that we keep as floodfill.
//!
//! Only what was stored at us directly, or in a garlic message to our router, comes in here; what our own
//! destinations fetch never does, so nobody can find out from outside what our clients talk to. Bounded by number
//! and bytes; when full, the lease sets farthest from us go first.

use super::super::routing::RoutingKey;
use super::Refusal;
use crate::base::Now;
use crate::crypto::Verified;
use crate::wire::{EncryptedLeaseSet, Hash, LeaseSet1, LeaseSet2, RouterHash, SelfSigned, StoreData, Wire};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longest time that a lease set may still run: ten minutes of tunnel, and slack for clocks.
const AHEAD_MAX_MS: u64 = 15 * 60_000;
/// Furthest in the future that it may be signed.
const FUTURE_MAX_MS: u64 = 2 * 60_000;
/// How long it is kept past its end, for clocks that differ.
const GRACE_MS: u64 = 20_000;

/// A stored lease set.
#[derive(Clone, Debug)]
pub(crate) struct LeaseEntry {
    /// As it goes into a DatabaseStore.
    kind: Kind,
    bytes: Arc<[u8]>,
    /// Orders versions: larger is newer.
    version: u64,
    /// When it ends, ms since 1970.
    expires_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain1,
    Plain2,
    Encrypted,
}

impl LeaseEntry {
    /// The body for a DatabaseStore.
    pub(crate) fn data(&self) -> StoreData {
        let bytes = self.bytes.to_vec();
        match self.kind {
            Kind::Plain1 => StoreData::LeaseSet1(bytes),
            Kind::Plain2 => StoreData::LeaseSet2(bytes),
            Kind::Encrypted => StoreData::Encrypted(bytes),
        }
    }
}

/// The table.
#[derive(Debug)]
pub(crate) struct LeaseSets {
    own: RouterHash,
    table: BTreeMap<Hash, LeaseEntry>,
    bytes: usize,
    count_max: usize,
    bytes_max: usize,
}

impl LeaseSets {
    /// Bytes of all of them.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) const fn new(own: RouterHash, count_max: usize, bytes_max: usize) -> Self {
        Self { own, table: BTreeMap::new(), bytes: 0, count_max, bytes_max }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// The entry of `key` if it has not ended.
    pub(crate) fn get(&self, now: Now, key: &Hash) -> Option<&LeaseEntry> {
        self.table.get(key).filter(|e| e.expires_ms + GRACE_MS > now.wall_ms)
    }

    /// Checks everything and takes the entry in.
    pub(crate) fn admit(&mut self, now: Now, key: Hash, data: &StoreData) -> Result<(), Refusal> {
        let entry = match data {
            StoreData::LeaseSet2(bytes) => self.check_plain(now, key, bytes)?,
            StoreData::Encrypted(bytes) => self.check_encrypted(now, key, bytes)?,
            StoreData::LeaseSet1(bytes) => self.check_old(now, key, bytes)?,
            StoreData::RouterInfo(_) | StoreData::Meta(_) => return Err(Refusal::UnknownType),
        };
        self.bytes += entry.bytes.len();
        if let Some(old) = self.table.insert(key, entry) {
            self.bytes -= old.bytes.len();
        }
        if self.table.len() > self.count_max || self.bytes > self.bytes_max {
            self.evict(now);
        }
        Ok(())
    }

    fn check_plain(&self, now: Now, key: Hash, bytes: &[u8]) -> Result<LeaseEntry, Refusal> {
        let set = LeaseSet2::from_bytes(bytes).map_err(Refusal::Malformed)?;
        if Hash::from(set.destination().hash()) != key {
            return Err(Refusal::WrongKey);
        }
        if set.is_unpublished() {
            return Err(Refusal::Unpublished);
        }
        let last_lease = set.leases().iter().map(|l| l.end_s).max().unwrap_or(0);
        if set.leases().iter().any(|l| u64::from(l.end_s) * 1000 > now.wall_ms + AHEAD_MAX_MS) {
            return Err(Refusal::FromFuture);
        }
        if let Some(offline) = set.offline()
            && offline.expires_s < now.wall_s()
        {
            return Err(Refusal::TooOld);
        }
        // A lease set without leases withdraws the destination: it is kept until it expires.
        let end_s = if last_lease == 0 { set.expires_s() } else { last_lease.min(set.expires_s()) };
        self.check_times(now, key, set.published_s(), end_s)?;
        let entry = LeaseEntry {
            kind: Kind::Plain2,
            bytes: set.raw().clone(),
            version: set.published_s().into(),
            expires_ms: u64::from(end_s) * 1000,
        };
        signed(set)?;
        Ok(entry)
    }

    fn check_encrypted(&self, now: Now, key: Hash, bytes: &[u8]) -> Result<LeaseEntry, Refusal> {
        let set = EncryptedLeaseSet::from_bytes(bytes).map_err(Refusal::Malformed)?;
        if set.store_key() != key {
            return Err(Refusal::WrongKey);
        }
        if set.offline().is_some_and(|o| o.expires_s < now.wall_s()) {
            return Err(Refusal::TooOld);
        }
        self.check_times(now, key, set.published_s(), set.expires_s())?;
        let entry = LeaseEntry {
            kind: Kind::Encrypted,
            bytes: set.raw().clone(),
            version: set.published_s().into(),
            expires_ms: u64::from(set.expires_s()) * 1000,
        };
        signed(set)?;
        Ok(entry)
    }

    fn check_old(&self, now: Now, key: Hash, bytes: &[u8]) -> Result<LeaseEntry, Refusal> {
        let set = LeaseSet1::from_bytes(bytes).map_err(Refusal::Malformed)?;
        if Hash::from(set.hash()) != key {
            return Err(Refusal::WrongKey);
        }
        if set.end_ms() > now.wall_ms + AHEAD_MAX_MS {
            return Err(Refusal::FromFuture);
        }
        if set.end_ms() <= now.wall_ms {
            return Err(Refusal::TooOld);
        }
        self.check_newer(now, key, set.version_ms())?;
        let entry = LeaseEntry {
            kind: Kind::Plain1,
            bytes: set.raw().clone(),
            version: set.version_ms(),
            expires_ms: set.end_ms(),
        };
        signed(set)?;
        Ok(entry)
    }

    fn check_times(&self, now: Now, key: Hash, published_s: u32, end_s: u32) -> Result<(), Refusal> {
        let (published_ms, end_ms) = (u64::from(published_s) * 1000, u64::from(end_s) * 1000);
        if published_ms > now.wall_ms + FUTURE_MAX_MS || end_ms > now.wall_ms + AHEAD_MAX_MS {
            return Err(Refusal::FromFuture);
        }
        if end_ms <= now.wall_ms {
            return Err(Refusal::TooOld);
        }
        self.check_newer(now, key, published_s.into())
    }

    fn check_newer(&self, now: Now, key: Hash, version: u64) -> Result<(), Refusal> {
        match self.get(now, &key) {
            Some(old) if old.version >= version => Err(Refusal::NotNewer),
            _ => Ok(()),
        }
    }

    /// Removes what has ended.
    pub(crate) fn expire(&mut self, now: Now) {
        self.table.retain(|_, e| e.expires_ms + GRACE_MS > now.wall_ms);
        self.bytes = self.table.values().map(|e| e.bytes.len()).sum();
    }

    fn evict(&mut self, now: Now) {
        self.expire(now);
        let mut order: Vec<_> = self
            .table
            .keys()
            .map(|key| (RoutingKey::new(key, now.wall_ms).distance(&self.own), *key))
            .collect();
        order.sort_unstable();
        while (self.table.len() > self.count_max - self.count_max / 20
            || self.bytes > self.bytes_max - self.bytes_max / 20)
            && let Some((_, key)) = order.pop()
        {
            if let Some(gone) = self.table.remove(&key) {
                self.bytes -= gone.bytes.len();
            }
        }
    }
}

fn signed<T: SelfSigned>(value: T) -> Result<(), Refusal> {
    Verified::check(value).map(drop).map_err(|_| Refusal::BadSignature)
}

#[cfg(test)]
mod tests;
