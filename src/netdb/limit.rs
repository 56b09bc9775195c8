// SPDX-License-Identifier: MIT
//! Token buckets and per-key counters that bound what strangers can make us do.

use crate::base::{Map, Mono, Rng, map};
use std::hash::Hash;
use std::time::Duration;

/// A budget that refills steadily.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    tokens: u64,
    burst: u64,
    per_second: u64,
    filled: Mono,
}

impl Bucket {
    pub(super) const fn new(per_second: u64, burst: u64) -> Self {
        Self { tokens: burst, burst, per_second, filled: Mono(0) }
    }

    /// Takes one token if there is one.
    pub(super) fn take(&mut self, now: Mono) -> bool {
        let micros = now.0.saturating_sub(self.filled.0);
        let earned = micros.saturating_mul(self.per_second) / 1_000_000;
        if earned > 0 {
            self.tokens = self.tokens.saturating_add(earned).min(self.burst);
            self.filled = now;
        }
        if self.tokens == 0 {
            return false;
        }
        self.tokens -= 1;
        true
    }
}

/// Counts events per key within a window; all keys start afresh together. When more keys come than fit, the
/// surplus is not told apart and passes: a shared [`Bucket`] stands behind.
#[derive(Debug)]
pub(super) struct PerKey<K> {
    counts: Map<K, u32>,
    window: Duration,
    ends: Mono,
    limit: u32,
    keys_max: usize,
}

impl<K: Hash + Eq> PerKey<K> {
    pub(super) fn new(rng: &mut Rng, limit: u32, window: Duration, keys_max: usize) -> Self {
        Self { counts: map(rng), window, ends: Mono(0), limit, keys_max }
    }

    /// Counts one event; whether it is within the limit.
    pub(super) fn allow(&mut self, now: Mono, key: K) -> bool {
        if now >= self.ends {
            self.counts.clear();
            self.ends = now.after(self.window);
        }
        if self.counts.len() >= self.keys_max && !self.counts.contains_key(&key) {
            return true;
        }
        let count = self.counts.entry(key).or_insert(0);
        *count = count.saturating_add(1);
        *count <= self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::new(10, 5);
        let start = Mono::from_secs(100);
        assert_eq!((0..20).filter(|_| bucket.take(start)).count(), 5);
        let later = start + Duration::from_millis(300);
        assert_eq!((0..20).filter(|_| bucket.take(later)).count(), 3);
    }

    #[test]
    fn keys_are_limited_apart_and_windows_end() {
        let mut rng = Rng::from_seed(1);
        let mut limit = PerKey::new(&mut rng, 2, Duration::from_secs(60), 3);
        let now = Mono::from_secs(1);
        assert_eq!([1, 1, 1, 2].map(|k| limit.allow(now, k)), [true, true, false, true]);
        assert!((10..50).all(|k| limit.allow(now, k)), "surplus keys pass");
        assert!(limit.counts.len() <= 3);
        assert!(limit.allow(now + Duration::from_secs(61), 1));
    }
}
