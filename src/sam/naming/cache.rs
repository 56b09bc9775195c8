// SPDX-License-Identifier: MIT
//! Names that were looked up on the network a moment ago.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::wire::{DestHash, Destination};

/// How long a destination that was found is remembered.
const FOUND: Duration = Duration::from_secs(600);
/// How long a destination that was not found is not asked for again.
const MISSING: Duration = Duration::from_secs(30);
/// Most hashes remembered; the one that expires first goes.
const ENTRIES_MAX: usize = 1024;

/// Destinations by hash, found or known to be missing.
#[derive(Debug, Default)]
pub(in crate::sam) struct LookupCache {
    inner: Mutex<BTreeMap<DestHash, (Instant, Option<Destination>)>>,
}

impl LookupCache {
    /// What is known: nothing, that it is missing, or the destination.
    pub(in crate::sam) fn get(&self, hash: DestHash) -> Option<Option<Destination>> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.get(&hash).filter(|(until, _)| *until > Instant::now()).map(|(_, found)| found.clone())
    }

    /// Remembers the outcome of a look-up.
    pub(in crate::sam) fn put(&self, hash: DestHash, found: Option<Destination>) {
        let now = Instant::now();
        let until = now + if found.is_some() { FOUND } else { MISSING };
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.len() >= ENTRIES_MAX && !inner.contains_key(&hash) {
            inner.retain(|_, (until, _)| *until > now);
            let first = inner.iter().min_by_key(|(_, (until, _))| *until).map(|(hash, _)| *hash);
            if let Some(first) = first.filter(|_| inner.len() >= ENTRIES_MAX) {
                inner.remove(&first);
            }
        }
        inner.insert(hash, (until, found));
    }
}

#[cfg(test)]
impl LookupCache {
    /// How many hashes are remembered.
    pub(in crate::sam) fn len(&self) -> usize {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
