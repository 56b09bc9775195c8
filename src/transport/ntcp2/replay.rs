// SPDX-License-Identifier: MIT
//! Which first messages were seen before.
//!
//! A message 1 is good for the clock skew that we allow, so every encrypted ephemeral key is remembered for more than
//! twice that. Two generations swap roles; memory is bounded by [`ENTRIES_MAX`], and when a generation is full it
//! becomes the old one early (the oldest are forgotten first). Only keys of authentic messages get here.

use crate::base::{Mono, Rng, Set, set};
use std::time::Duration;

/// Keys kept at most, in both generations together.
const ENTRIES_MAX: usize = 65_536;
/// Time that one generation collects: with the one before, keys are kept for 130 to 260 seconds.
const GENERATION: Duration = Duration::from_secs(130);

/// The memory of message 1 keys.
#[derive(Debug)]
pub(crate) struct ReplayCache {
    current: Set<[u8; 32]>,
    previous: Set<[u8; 32]>,
    since: Mono,
}

impl ReplayCache {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self { current: set(rng), previous: set(rng), since: Mono(0) }
    }

    /// Remembers `key`; false when it was known.
    pub(crate) fn insert(&mut self, now: Mono, key: [u8; 32]) -> bool {
        if now.since(self.since) > GENERATION || self.current.len() >= ENTRIES_MAX / 2 {
            std::mem::swap(&mut self.current, &mut self.previous);
            self.current.clear();
            if now.since(self.since) > 2 * GENERATION {
                self.previous.clear();
            }
            self.since = now;
        }
        !self.previous.contains(&key) && self.current.insert(key)
    }
}
