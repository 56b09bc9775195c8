// SPDX-License-Identifier: MIT
//! The disk of a simulated machine: files in memory, each of them written whole or not at all, that outlive a router.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Files by name. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    full: AtomicBool,
}

impl PartialEq for Disk {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Disk {}

impl Disk {
    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.0.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names of all files.
    pub fn names(&self) -> Vec<String> {
        self.files().keys().cloned().collect()
    }

    /// What is in a file.
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        self.files().get(name).cloned()
    }

    /// Replaces a file, as an operator or an accident would.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        self.files().insert(name.to_owned(), bytes);
    }

    /// Removes a file.
    pub fn remove(&self, name: &str) {
        self.files().remove(name);
    }

    /// Makes every write fail from now on, or not any more.
    pub fn set_full(&self, full: bool) {
        self.0.full.store(full, Ordering::Relaxed);
    }

    /// Replaces a file, as a router does.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        if self.0.full.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.put(name, bytes.to_vec());
        Ok(())
    }

    /// Stored RouterInfos.
    pub(super) fn routers(&self) -> Vec<Vec<u8>> {
        let files = self.files();
        let below = files.range("netDb/".to_owned()..).take_while(|(name, _)| name.starts_with("netDb/"));
        below.map(|(_, bytes)| bytes.clone()).collect()
    }
}
