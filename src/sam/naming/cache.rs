// SPDX-License-Identifier: MIT
//! Names that were looked up on the network a moment ago, and the hosts file as it is on disk now.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::Hosts;
use crate::wire::{DestHash, Destination};

/// How long a destination that was found is remembered.
const FOUND: Duration = Duration::from_secs(600);
/// How long a destination that was not found is not asked for again.
const MISSING: Duration = Duration::from_secs(30);
/// Most hashes remembered; the one that expires first goes.
const ENTRIES_MAX: usize = 1024;
/// How often the hosts file's date is looked at.
const CHECK_EVERY: Duration = Duration::from_secs(5);
/// Largest hosts file that is read.
const FILE_MAX: u64 = 64 * 1024 * 1024;

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

/// A hosts file that is read again when it changes.
#[derive(Debug)]
pub(in crate::sam) struct HostsFile {
    path: Option<PathBuf>,
    inner: tokio::sync::Mutex<Loaded>,
}

#[derive(Debug, Default)]
struct Loaded {
    hosts: Arc<Hosts>,
    modified: Option<SystemTime>,
    checked: Option<Instant>,
}

impl HostsFile {
    pub(in crate::sam) fn new(path: Option<PathBuf>) -> Self {
        Self { path, inner: tokio::sync::Mutex::default() }
    }

    /// The names as the file has them now; empty without a file.
    pub(in crate::sam) async fn hosts(&self) -> Arc<Hosts> {
        let mut loaded = self.inner.lock().await;
        let fresh = loaded.checked.is_some_and(|at| at.elapsed() < CHECK_EVERY);
        if let Some(path) = self.path.as_ref().filter(|_| !fresh) {
            loaded.checked = Some(Instant::now());
            let meta = tokio::fs::metadata(path).await.ok().filter(|meta| meta.len() <= FILE_MAX);
            let modified = meta.and_then(|meta| meta.modified().ok());
            if modified != loaded.modified {
                loaded.modified = modified;
                let bytes = if modified.is_some() {
                    tokio::fs::read(path).await.unwrap_or_default()
                } else {
                    Vec::new()
                };
                let hosts = Hosts::parse(&String::from_utf8_lossy(&bytes));
                tracing::info!(names = hosts.len(), skipped = hosts.skipped(), "hosts file read");
                loaded.hosts = Arc::new(hosts);
            }
        }
        loaded.hosts.clone()
    }
}

#[cfg(test)]
impl LookupCache {
    /// How many hashes are remembered.
    pub(in crate::sam) fn len(&self) -> usize {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
