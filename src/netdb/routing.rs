// SPDX-License-Identifier: MIT
//! Routing keys: where in the key space an entry lives today.
//!
//! The routing key of an entry is `SHA-256(key || "yyyymmdd")` with the UTC date, so that nobody can settle
//! next to a key for longer than a day. Routers themselves do not move: the distance is the exclusive-or of the
//! routing key with a router's plain hash, read as a 256-bit number. Neither appears on the wire.
//! Spec: network database, "Kademlia Closeness Metric".

use crate::crypto::sha256;
use crate::wire::{Hash, RouterHash};

const DAY_MS: u64 = 86_400_000;

/// Time around UTC midnight during which an entry is kept at the floodfills of both days.
pub(crate) const MIDNIGHT_WINDOW_MS: u64 = 600_000;

/// A key on one particular day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoutingKey([u8; 32]);

/// Exclusive-or distance; the derived order compares it as a big-endian number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Distance([u8; 32]);

impl RoutingKey {
    /// The routing key of `key` on the UTC day that contains `wall_ms`.
    pub fn new(key: &Hash, wall_ms: u64) -> Self {
        Self(sha256(&[key.as_bytes(), &date(wall_ms)]))
    }

    /// How far `router` is from this key.
    pub fn distance(&self, router: &RouterHash) -> Distance {
        let mut d = self.0;
        for (a, b) in d.iter_mut().zip(router.as_bytes()) {
            *a ^= b;
        }
        Distance(d)
    }

    /// The bytes, for tests and statistics.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The other day whose floodfills should hold an entry too, as a time inside that day: tomorrow shortly before
/// UTC midnight, yesterday shortly after it.
pub const fn neighbour_day(wall_ms: u64, window_ms: u64) -> Option<u64> {
    let into = wall_ms % DAY_MS;
    if into + window_ms >= DAY_MS {
        Some(wall_ms + window_ms)
    } else if into < window_ms {
        Some(wall_ms.saturating_sub(window_ms))
    } else {
        None
    }
}

/// Number of the UTC day since 1970: changes exactly when routing keys do.
pub const fn day_number(wall_ms: u64) -> u64 {
    wall_ms / DAY_MS
}

/// `yyyymmdd` in ASCII, UTC, proleptic Gregorian calendar; years beyond 9999 wrap, which no clock reaches.
pub fn date(wall_ms: u64) -> [u8; 8] {
    // Days since 0000-03-01, so that a leap day ends its year (Hinnant's civil calendar arithmetic).
    let days = wall_ms / DAY_MS + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let digit = |n: u64| b'0' + u8::try_from(n % 10).unwrap_or(0);
    [
        digit(year / 1000),
        digit(year / 100),
        digit(year / 10),
        digit(year),
        digit(month / 10),
        digit(month),
        digit(day / 10),
        digit(day),
    ]
}

/// The `n` items nearest to `key`, nearest first. One pass, at most `n` kept: cheap for any number of items.
pub fn closest<T>(
    key: &RoutingKey,
    items: impl Iterator<Item = T>,
    hash: impl Fn(&T) -> RouterHash,
    n: usize,
) -> Vec<T> {
    let mut best: Vec<(Distance, T)> = Vec::with_capacity(n.min(64) + 1);
    if n == 0 {
        return Vec::new();
    }
    for item in items {
        let distance = key.distance(&hash(&item));
        if best.len() == n && best.last().is_some_and(|(worst, _)| distance >= *worst) {
            continue;
        }
        let at = best.partition_point(|(d, _)| *d < distance);
        best.insert(at, (distance, item));
        best.truncate(n);
    }
    best.into_iter().map(|(_, item)| item).collect()
}

#[cfg(test)]
mod tests;
