// SPDX-License-Identifier: MIT
//! A budget of events a second that many tasks share without a lock.

use super::Mono;
use std::sync::atomic::{AtomicU64, Ordering};

/// So many events a second over time, and a burst. One number: the time up to which the budget is spent.
#[derive(Debug)]
pub struct SharedRate {
    cost_us: u64,
    burst_us: u64,
    spent_until: AtomicU64,
}

impl SharedRate {
    /// `per_second` events, at most `burst` at once; begins full.
    pub fn new(per_second: u32, burst: u32) -> Self {
        let cost_us = 1_000_000 / u64::from(per_second.max(1));
        Self { cost_us, burst_us: cost_us * u64::from(burst.max(1)), spent_until: AtomicU64::new(0) }
    }

    /// Takes one if there is one.
    pub fn take(&self, now: Mono) -> bool {
        self.take_up_to(now, self.burst_us)
    }

    /// Takes one if half of the burst is left after it: for those who have had their share already.
    pub fn take_spare(&self, now: Mono) -> bool {
        self.take_up_to(now, self.burst_us / 2)
    }

    fn take_up_to(&self, now: Mono, most_us: u64) -> bool {
        let full = now.0.saturating_add(most_us);
        let mut seen = self.spent_until.load(Ordering::Relaxed);
        loop {
            let next = seen.max(now.0).saturating_add(self.cost_us);
            if next > full {
                return false;
            }
            match self.spent_until.compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(other) => seen = other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_shared_rate_gives_its_burst_and_then_its_rate() {
        let rate = SharedRate::new(500, 1_000);
        let now = Mono::from_secs(100);
        assert_eq!((0..5_000).filter(|_| rate.take(now)).count(), 1_000);
        assert_eq!((0..5_000).filter(|_| rate.take(now.after(Duration::from_secs(1)))).count(), 500);
        assert_eq!((0..5_000).filter(|_| rate.take(now.after(Duration::from_secs(100)))).count(), 1_000);
    }

    #[test]
    fn what_is_spare_ends_at_half_of_the_burst() {
        let rate = SharedRate::new(500, 1_000);
        let now = Mono::from_secs(100);
        assert_eq!((0..5_000).filter(|_| rate.take_spare(now)).count(), 500);
        assert_eq!((0..5_000).filter(|_| rate.take(now)).count(), 500);
    }
}
