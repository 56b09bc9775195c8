// SPDX-License-Identifier: MIT
//! Which first messages were seen before.
//!
//! A message 1 is good for the clock skew that we allow, so every encrypted ephemeral key is remembered for more than
//! twice that. Two generations swap roles; memory is bounded by `LinkLimits::replay_entries`, and when a generation is full it
//! becomes the old one early (the oldest are forgotten first). Only keys of authentic messages get here.

use crate::base::{Mono, Rng, Set, set};
use std::time::Duration;

/// Time that one generation collects: with the one before, keys are kept for 130 to 260 seconds.
const GENERATION: Duration = Duration::from_secs(130);

/// The memory of message 1 keys.
#[derive(Debug)]
pub(crate) struct ReplayCache {
    current: Set<[u8; 32]>,
    previous: Set<[u8; 32]>,
    since: Mono,
    /// Keys kept at most, in both generations together.
    max: usize,
}

impl ReplayCache {
    /// A memory of at most `max` keys.
    pub(crate) fn new(rng: &mut Rng, max: usize) -> Self {
        Self { current: set(rng), previous: set(rng), since: Mono(0), max }
    }

    /// Remembers `key`; false when it was known.
    pub(crate) fn insert(&mut self, now: Mono, key: [u8; 32]) -> bool {
        if now.since(self.since) > GENERATION {
            self.turn(now);
        }
        if self.previous.contains(&key) || self.current.contains(&key) {
            return false;
        }
        if self.current.len() >= self.max / 2 {
            self.turn(now);
        }
        self.current.insert(key)
    }

    fn turn(&mut self, now: Mono) {
        std::mem::swap(&mut self.current, &mut self.previous);
        self.current.clear();
        if now.since(self.since) > 2 * GENERATION {
            self.previous.clear();
        }
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRIES_MAX: usize = crate::transport::LinkLimits::USUAL.replay_entries;

    fn key(n: u64) -> [u8; 32] {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&n.to_be_bytes());
        key
    }

    #[test]
    fn n3_of_a_thousand_replays_none_is_taken_while_its_first_message_is_good() {
        let mut cache = ReplayCache::new(&mut Rng::from_seed(1), ENTRIES_MAX);
        let start = Mono::from_secs(1_000);
        assert!((0..1_000).all(|n| cache.insert(start, key(n))));
        for later in [0, 60, 120, 130] {
            let now = start.after(Duration::from_secs(later));
            assert!((0..1_000).all(|n| !cache.insert(now, key(n))), "after {later} s");
        }
    }

    #[test]
    fn n3_what_is_kept_is_bounded_and_the_oldest_go() {
        let mut cache = ReplayCache::new(&mut Rng::from_seed(2), ENTRIES_MAX);
        let now = Mono::from_secs(1_000);
        let most = ENTRIES_MAX as u64;
        assert!((0..most).all(|n| cache.insert(now, key(n))));
        assert!(cache.current.len() + cache.previous.len() <= ENTRIES_MAX);
        assert!(!cache.insert(now, key(0)), "at the limit nothing is forgotten");
        assert!(cache.insert(now, key(most)), "one past it the older half goes");
        assert!(cache.current.len() + cache.previous.len() <= ENTRIES_MAX);
        assert!(cache.insert(now, key(0)));
        assert!(!cache.insert(now, key(most - 1)));
    }

    #[test]
    fn n3_an_idle_router_forgets() {
        let mut cache = ReplayCache::new(&mut Rng::from_seed(3), ENTRIES_MAX);
        assert!(cache.insert(Mono::from_secs(10), key(1)));
        assert!(cache.insert(Mono::from_secs(10 + 3 * 130), key(1)));
    }
}
