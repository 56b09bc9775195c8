// SPDX-License-Identifier: MIT
//! The limit on what all transit tunnels carry together, shared out fairly among them.
//!
//! One token bucket of a second for the router. While it is more than half full every tunnel may send. Below that,
//! a tunnel that has carried more than its share in the present second waits for the next: its share is the limit
//! divided by the number of tunnels that carried anything, so a greedy tunnel is cut before a modest one loses a cell.
//! Without a limit nothing is counted but the bytes. Design: limits 3.4, T4 and T6.

use crate::base::Mono;

/// Length of a window, and of the bucket.
const WINDOW_US: u64 = 1_000_000;
/// Smallest share: four cells a second, so that a tunnel is never silenced by the number of others.
const SHARE_MIN: u64 = 4 * 1_028;
/// Windows over which the load is averaged: a quarter of a minute.
const AVERAGE_OVER: u64 = 15;

/// What one tunnel has carried in one window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    window: u64,
    bytes: u64,
}

/// The limit of one router.
#[derive(Debug)]
pub(super) struct Policer {
    /// Bytes a second; `None`: no limit.
    limit: Option<u32>,
    /// Tokens, in millionths of a byte.
    level: u64,
    filled: Mono,
    /// Number of the present window since the start.
    window: u64,
    /// Bytes admitted in it, and tunnels that carried them.
    bytes: u64,
    active: u64,
    /// Tunnels that carried something in the window before.
    active_before: u64,
    /// Bytes a second, averaged.
    average: u64,
}

impl Policer {
    pub(super) const fn new(limit: Option<u32>) -> Self {
        let level = match limit {
            Some(limit) => limit as u64 * WINDOW_US,
            None => 0,
        };
        Self { limit, level, filled: Mono(0), window: 0, bytes: 0, active: 0, active_before: 0, average: 0 }
    }

    /// Whether a tunnel may carry `bytes` now; counts them if so.
    pub(super) fn take(&mut self, now: Mono, share: &mut Share, bytes: usize) -> bool {
        self.turn(now);
        let bytes = bytes as u64;
        if share.window != self.window {
            *share = Share { window: self.window, bytes: 0 };
        }
        if let Some(limit) = self.limit
            && !self.admits(now, limit, share.bytes, bytes)
        {
            return false;
        }
        self.active += u64::from(share.bytes == 0);
        share.bytes = share.bytes.saturating_add(bytes);
        self.bytes = self.bytes.saturating_add(bytes);
        true
    }

    fn admits(&mut self, now: Mono, limit: u32, carried: u64, bytes: u64) -> bool {
        let full = u64::from(limit) * WINDOW_US;
        let gained = now.since(self.filled).as_micros().saturating_mul(u128::from(limit));
        self.level = self.level.saturating_add(u64::try_from(gained).unwrap_or(u64::MAX)).min(full);
        self.filled = now;
        let fair = (u64::from(limit) / self.active.max(self.active_before).max(1)).max(SHARE_MIN);
        if self.level < full / 2 && carried.saturating_add(bytes) > fair {
            return false;
        }
        let Some(rest) = self.level.checked_sub(bytes.saturating_mul(WINDOW_US)) else { return false };
        self.level = rest;
        true
    }

    /// How much of the limit is in use, averaged over a quarter of a minute, in percent; 0 without a limit.
    pub(super) fn load_percent(&mut self, now: Mono) -> u8 {
        self.turn(now);
        let Some(limit) = self.limit else { return 0 };
        let percent = self.average.saturating_mul(100).checked_div(limit.into()).unwrap_or(100);
        u8::try_from(percent.min(100)).unwrap_or(100)
    }

    /// Moves on to the present window.
    fn turn(&mut self, now: Mono) {
        let window = now.0 / WINDOW_US;
        let passed = window.saturating_sub(self.window);
        if passed == 0 {
            return;
        }
        self.average = (self.average * (AVERAGE_OVER - 1) + self.bytes) / AVERAGE_OVER;
        for _ in 1..passed.min(20 * AVERAGE_OVER) {
            self.average = self.average * (AVERAGE_OVER - 1) / AVERAGE_OVER;
        }
        self.active_before = if passed == 1 { self.active } else { 0 };
        (self.window, self.bytes, self.active) = (window, 0, 0);
    }
}

#[cfg(test)]
mod tests;
