// SPDX-License-Identifier: MIT
//! Deadlines of many things behind one runtime timer.

use super::Mono;
use std::collections::{BTreeMap, BTreeSet};

/// At most one deadline for each key; setting it again moves it. All operations take O(log n).
#[derive(Clone, Debug)]
pub struct TimerQueue<K> {
    by_time: BTreeSet<(Mono, K)>,
    by_key: BTreeMap<K, Mono>,
}

impl<K: Ord + Clone> Default for TimerQueue<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Ord + Clone> TimerQueue<K> {
    /// An empty queue.
    pub const fn new() -> Self {
        Self { by_time: BTreeSet::new(), by_key: BTreeMap::new() }
    }

    /// Sets or moves the deadline of `key`.
    pub fn set(&mut self, key: K, at: Mono) {
        match self.by_key.insert(key.clone(), at) {
            Some(old) if old == at => return,
            Some(old) => {
                self.by_time.remove(&(old, key.clone()));
            }
            None => {}
        }
        self.by_time.insert((at, key));
    }

    /// Removes the deadline of `key`.
    pub fn cancel(&mut self, key: &K) {
        if let Some(at) = self.by_key.remove(key) {
            self.by_time.remove(&(at, key.clone()));
        }
    }

    /// The deadline of `key`.
    pub fn get(&self, key: &K) -> Option<Mono> {
        self.by_key.get(key).copied()
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Mono> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes the earliest key whose deadline has come.
    pub fn pop_due(&mut self, now: Mono) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }

    /// Number of deadlines.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}
