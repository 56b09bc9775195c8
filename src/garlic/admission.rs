// SPDX-License-Identifier: MIT
//! What stands before the public-key work of a New Session: a budget and a memory of those seen.

use crate::base::{Mono, Pace, Rng, Set, set};
use crate::crypto::X25519Public;
use std::collections::VecDeque;
use std::time::Duration;

/// How long an ephemeral key is remembered: as long as its message passes the clock window.
const REMEMBER: Duration = Duration::from_secs(420);

/// Ephemeral keys of the New Sessions that were accepted lately.
#[derive(Debug)]
pub(super) struct ReplayFilter {
    seen: Set<[u8; 32]>,
    order: VecDeque<(Mono, [u8; 32])>,
    max: usize,
}

impl ReplayFilter {
    pub(super) fn new(rng: &mut Rng, max: usize) -> Self {
        Self { seen: set(rng), order: VecDeque::new(), max }
    }

    /// How many keys are remembered.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn contains(&self, key: &X25519Public) -> bool {
        self.seen.contains(&key.0)
    }

    /// Remembers a key; the oldest goes when there are too many.
    pub(super) fn insert(&mut self, now: Mono, key: &X25519Public) {
        while let Some((at, old)) = self.order.front() {
            if self.order.len() < self.max && now.since(*at) < REMEMBER {
                break;
            }
            self.seen.remove(old);
            self.order.pop_front();
        }
        if self.seen.insert(key.0) {
            self.order.push_back((now, key.0));
        }
    }
}

/// Unused extras are kept this long.
const EXTRA_KEPT_US: u64 = 200_000;

/// Tokens beyond the rate: none while the pace is at 100 %.
#[derive(Debug)]
pub(super) struct Extra {
    pub(super) pace: Pace,
    per_second: u32,
    micro_tokens: u64,
    updated: Mono,
}

impl Extra {
    /// For a rate of so many a second, and up to so many percent of it.
    pub(super) fn new(per_second: u32, percent: u32) -> Self {
        Self { pace: Pace::new(percent.max(100)), per_second, micro_tokens: 0, updated: Mono::default() }
    }

    /// Takes one token if there is one; to be asked when the rate is used up.
    pub(super) fn take(&mut self, now: Mono) -> bool {
        self.pace.press(now);
        let rate = u64::from(self.per_second) * u64::from(self.pace.percent().saturating_sub(100)) / 100;
        let elapsed_us = now.0.saturating_sub(self.updated.0).min(EXTRA_KEPT_US);
        self.updated = self.updated.max(now);
        let most = rate.saturating_mul(EXTRA_KEPT_US);
        self.micro_tokens = self.micro_tokens.saturating_add(rate.saturating_mul(elapsed_us)).min(most);
        match self.micro_tokens.checked_sub(1_000_000) {
            Some(left) => {
                self.micro_tokens = left;
                true
            }
            None => false,
        }
    }
}

/// A token bucket in microseconds of credit.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Cost of one token.
    cost_us: u64,
    max_us: u64,
    credit_us: u64,
    updated: Mono,
}

impl Bucket {
    /// `rate` tokens per second, at most `burst` at once; begins full.
    pub(super) fn new(rate: u32, burst: u32) -> Self {
        let cost_us = 1_000_000 / u64::from(rate.max(1));
        let max_us = cost_us * u64::from(burst.max(1));
        Self { cost_us, max_us, credit_us: max_us, updated: Mono::default() }
    }

    /// Takes one token if there is one.
    pub(super) fn take(&mut self, now: Mono) -> bool {
        self.credit_us = self.credit_us.saturating_add(now.0.saturating_sub(self.updated.0)).min(self.max_us);
        self.updated = self.updated.max(now);
        match self.credit_us.checked_sub(self.cost_us) {
            Some(left) => {
                self.credit_us = left;
                true
            }
            None => false,
        }
    }
}
