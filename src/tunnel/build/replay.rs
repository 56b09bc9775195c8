// SPDX-License-Identifier: MIT
//! A memory of values that must not come twice, such as ephemeral keys.
//!
//! Two generations turn over after a fixed time or when the younger is full, so an entry lives between one and two
//! turns and memory stays bounded. Under a flood the memory gets shorter; the rate limit in front of it keeps that
//! to a few minutes.

use crate::base::{Mono, Rng, Set};

/// Remembers 16-byte fronts of random values.
#[derive(Debug)]
pub(super) struct Replay {
    young: Set<[u8; 16]>,
    old: Set<[u8; 16]>,
    turn_us: u64,
    turns_at: Mono,
    per_generation: usize,
}

impl Replay {
    /// Keeps values for at least `turn_us` unless more than `per_generation` come within that time.
    pub(super) fn new(rng: &mut Rng, turn_us: u64, per_generation: usize) -> Self {
        Self {
            young: crate::base::set(rng),
            old: crate::base::set(rng),
            turn_us,
            turns_at: Mono(0),
            per_generation,
        }
    }

    /// Whether `value` is known, as of the last insertion.
    pub(super) fn contains(&self, value: &[u8; 32]) -> bool {
        value.first_chunk::<16>().is_some_and(|front| self.old.contains(front) || self.young.contains(front))
    }

    /// Remembers `value`; false if it was known.
    pub(super) fn insert(&mut self, now: Mono, value: &[u8; 32]) -> bool {
        if now >= self.turns_at {
            self.turn(now);
        }
        let Some(front) = value.first_chunk::<16>() else { return false };
        if self.old.contains(front) || self.young.contains(front) {
            return false;
        }
        if self.young.len() >= self.per_generation {
            self.turn(now);
        }
        self.young.insert(*front)
    }

    fn turn(&mut self, now: Mono) {
        std::mem::swap(&mut self.young, &mut self.old);
        self.young.clear();
        if now.0 >= self.turns_at.0.saturating_add(self.turn_us) {
            self.old.clear();
        }
        self.turns_at = Mono(now.0.saturating_add(self.turn_us));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t2_a_full_memory_forgets_the_older_half_and_not_before_it_must() {
        let mut seen = Replay::new(&mut Rng::from_seed(1), 600_000_000, 100);
        let key = |n: u8| [n; 32];
        let now = Mono::from_secs(1);
        assert!((0..200).all(|n| seen.insert(now, &key(n))));
        assert!((0..200).all(|n| !seen.insert(now, &key(n))), "at the limit all are known");
        assert!(seen.insert(now, &key(200)), "one past it");
        assert!(!seen.insert(now, &key(150)));
        assert!(seen.insert(now, &key(50)), "the older half is gone");
        assert!(seen.young.len() + seen.old.len() <= 200);
    }
}
