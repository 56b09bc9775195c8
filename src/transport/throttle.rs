// SPDX-License-Identifier: MIT
//! Shapes the bytes of all links together, one direction each: what is over the limit waits, nothing is dropped here.
//!
//! Links ask before they write or read and say afterwards how much it was, so the balance may go below zero; then all
//! wait until it is made up. What waits too long in a peer's queue is dropped there, transit first; a socket that is
//! not read slows its peer down. Owned by all connections of a router together.

use crate::base::Mono;
use std::sync::{Mutex, PoisonError};

/// How much may go at once after a pause, as a part of a second.
const BURST_PART: i64 = 4;
/// Smallest piece that a link may take.
const PIECE_MIN: u32 = 4 * 1024;

/// A limit of bytes a second.
#[derive(Debug)]
pub(crate) struct Throttle {
    rate: Option<u32>,
    /// Millionths of a byte, and when that was.
    balance: Mutex<(i64, Mono)>,
}

impl Throttle {
    /// At most `rate` bytes a second; `None` never makes anybody wait.
    pub(crate) const fn new(rate: Option<u32>) -> Self {
        Self { rate, balance: Mutex::new((0, Mono(0))) }
    }

    /// When there is something to be had again; `None`: now.
    pub(crate) fn wait_until(&self, now: Mono) -> Option<Mono> {
        let rate = i64::from(self.rate?.max(1));
        let mut state = self.balance.lock().unwrap_or_else(PoisonError::into_inner);
        let (balance, at) = *state;
        let elapsed = i64::try_from(now.since(at).as_micros()).unwrap_or(i64::MAX);
        let full = rate.saturating_mul(1_000_000) / BURST_PART;
        let balance = balance.saturating_add(elapsed.saturating_mul(rate)).min(full);
        *state = (balance, at.max(now));
        if balance >= 0 {
            return None;
        }
        let micros = balance.unsigned_abs().div_ceil(rate.unsigned_abs());
        Some(Mono(now.0.saturating_add(micros.max(1_000))))
    }

    /// Notes that `bytes` went.
    pub(crate) fn spend(&self, bytes: usize) {
        if self.rate.is_some() {
            let mut state = self.balance.lock().unwrap_or_else(PoisonError::into_inner);
            let cost = i64::try_from(bytes).unwrap_or(i64::MAX).saturating_mul(1_000_000);
            state.0 = state.0.saturating_sub(cost);
        }
    }

    /// How much of `bytes` a link takes at once, so that many links take turns under a small limit.
    pub(crate) fn piece(&self, bytes: usize) -> usize {
        let piece = self.rate.map_or(u32::MAX, |rate| (rate / 20).max(PIECE_MIN));
        bytes.min(usize::try_from(piece).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Writes as much as possible for ten seconds and answers how much that was.
    fn greedy(throttle: &Throttle, piece: usize) -> usize {
        let (mut now, end, mut sent) = (Mono::from_secs(1), Mono::from_secs(11), 0);
        while now < end {
            match throttle.wait_until(now) {
                Some(at) => now = at,
                None => {
                    throttle.spend(piece);
                    sent += piece;
                }
            }
        }
        sent
    }

    #[test]
    fn what_goes_is_the_rate_and_a_burst() {
        for (rate, piece) in [(100_000, 4_096), (100_000, 65_536), (5_000_000, 65_536)] {
            let sent = greedy(&Throttle::new(Some(rate)), piece);
            let (low, high) = (rate as usize * 10, rate as usize * 10 + rate as usize / 4 + 2 * piece);
            assert!((low..=high).contains(&sent), "{sent} not in {low}..={high}");
        }
    }

    #[test]
    fn without_a_limit_nobody_waits() {
        let throttle = Throttle::new(None);
        throttle.spend(usize::MAX);
        assert_eq!((throttle.wait_until(Mono(0)), throttle.piece(65_536)), (None, 65_536));
    }

    #[test]
    fn under_a_small_limit_links_take_small_pieces() {
        assert_eq!(Throttle::new(Some(1_000)).piece(65_536), 4_096);
        assert_eq!(Throttle::new(Some(200_000)).piece(65_536), 10_000);
    }

    #[test]
    fn a_pause_is_worth_a_quarter_of_a_second_and_no_more() {
        let throttle = Throttle::new(Some(1_000_000));
        let now = Mono::from_secs(1_000);
        assert_eq!(throttle.wait_until(now), None);
        throttle.spend(250_000);
        assert_eq!(throttle.wait_until(now), None, "at the limit");
        throttle.spend(1_000);
        let at = throttle.wait_until(now);
        assert_eq!(at, Some(now.after(Duration::from_millis(1))), "one past it");
    }
}
