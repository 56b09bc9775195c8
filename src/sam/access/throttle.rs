// SPDX-License-Identifier: MIT
//! How often an address may guess: a few wrong passwords, five as a rule, within a minute are free, then one try a second.
//!
//! Pure: time comes in. At most `ADDRESSES_MAX` addresses are remembered; the one whose trouble began first is
//! forgotten for a new one. An IPv6 address counts as its /64, which is what one customer gets.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use tokio::time::Instant;

/// How long a wrong password is remembered after the last one.
const MEMORY: Duration = Duration::from_secs(60);
/// Time between tries afterwards.
const PACE: Duration = Duration::from_secs(1);
/// Tries of one address that may wait.
const WAITING_MAX: u32 = 4;
/// Addresses remembered.
const ADDRESSES_MAX: usize = 1024;

/// When a try may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// At once.
    Now,
    /// Then; the moment is reserved.
    At(Instant),
    /// Not in the foreseeable future.
    Never,
}

#[derive(Debug)]
struct Trouble {
    failures: u32,
    /// The first failure.
    since: Instant,
    /// The last failure.
    last: Instant,
    /// The next free moment.
    next: Instant,
}

/// The memory of failures.
#[derive(Debug)]
pub(super) struct Throttle {
    /// Wrong passwords that cost no time.
    free: u32,
    addresses: BTreeMap<IpAddr, Trouble>,
}

impl Throttle {
    /// A memory without failures; so many are free.
    pub(super) const fn new(free: u32) -> Self {
        Self { free, addresses: BTreeMap::new() }
    }

    /// When `address` may try.
    pub(super) fn turn(&mut self, now: Instant, address: IpAddr) -> Turn {
        let key = key(address);
        let Some(trouble) = self.addresses.get_mut(&key) else { return Turn::Now };
        if now.saturating_duration_since(trouble.last) > MEMORY {
            self.addresses.remove(&key);
            return Turn::Now;
        }
        if trouble.failures < self.free {
            return Turn::Now;
        }
        let at = trouble.next.max(now);
        if at > now + PACE * WAITING_MAX {
            return Turn::Never;
        }
        trouble.next = at + PACE;
        Turn::At(at)
    }

    /// A wrong password came from `address`.
    pub(super) fn failed(&mut self, now: Instant, address: IpAddr) {
        let key = key(address);
        if !self.addresses.contains_key(&key) && self.addresses.len() >= ADDRESSES_MAX {
            let oldest = self.addresses.iter().min_by_key(|(_, trouble)| trouble.since).map(|(ip, _)| *ip);
            oldest.map(|ip| self.addresses.remove(&ip));
        }
        let fresh = Trouble { failures: 0, since: now, last: now, next: now + PACE };
        let trouble = self.addresses.entry(key).or_insert(fresh);
        trouble.failures = trouble.failures.saturating_add(1);
        trouble.last = now;
        if trouble.failures == self.free {
            trouble.next = now + PACE;
        }
    }

    /// How many addresses are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.addresses.len()
    }
}

fn key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}
