// SPDX-License-Identifier: MIT
//! Who may connect: the first look at an inbound connection, before anything is read from it. Requirements N1, N5.
//!
//! Each address (IPv6: each /64) has a rate of its own, and all addresses together have one. Addresses from which, or
//! to which, a handshake has gone well before share a budget of their own, so that a flood of strangers from many
//! addresses does not shut out the routers that we know. Limits: [`ADDRESSES_MAX`] rates, [`KNOWN_MAX`] known
//! addresses; when either is full the oldest entry goes.

use super::addr;
use crate::base::{Map, Mono, Rng, map};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Addresses whose rate is remembered.
const ADDRESSES_MAX: usize = 4_096;
/// Addresses that are known from good handshakes.
const KNOWN_MAX: usize = 4_096;
/// A rate is forgotten after so long without a connection; by then it is full again.
const FORGET: Duration = Duration::from_secs(60);

/// A budget of connections: so many a second, and a burst.
struct Bucket {
    /// Millionths of a connection.
    tokens: u64,
    at: Mono,
}

impl Bucket {
    const ONE: u64 = 1_000_000;

    fn new(now: Mono, burst: u32) -> Self {
        Self { tokens: u64::from(burst) * Self::ONE, at: now }
    }

    fn take(&mut self, now: Mono, per_second: u32, burst: u32) -> bool {
        let elapsed = u64::try_from(now.since(self.at).as_micros()).unwrap_or(u64::MAX);
        let gained = elapsed.saturating_mul(per_second.into());
        self.tokens = self.tokens.saturating_add(gained).min(u64::from(burst) * Self::ONE);
        self.at = now;
        let granted = self.tokens >= Self::ONE;
        if granted {
            self.tokens -= Self::ONE;
        }
        granted
    }
}

/// Rates: so many a second, and so many at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    /// Of one address.
    pub(super) address: (u32, u32),
    /// Of all strangers.
    pub(super) strangers: (u32, u32),
    /// Of all known addresses, besides that.
    pub(super) known: (u32, u32),
}

/// What is remembered about addresses.
pub(super) struct Door {
    rates: Rates,
    addresses: Map<IpAddr, Bucket>,
    /// The keys of `addresses`, oldest first.
    order: VecDeque<IpAddr>,
    strangers: Bucket,
    /// When the last handshake with each went well.
    known: Map<IpAddr, Mono>,
    acquaintances: Bucket,
}

impl Door {
    pub(super) fn new(rates: Rates, rng: &mut Rng) -> Self {
        Self {
            rates,
            addresses: map(rng),
            order: VecDeque::new(),
            strangers: Bucket::new(Mono::default(), rates.strangers.1),
            known: map(rng),
            acquaintances: Bucket::new(Mono::default(), rates.known.1),
        }
    }

    /// Whether a connection from here may go on.
    pub(super) fn admit(&mut self, now: Mono, ip: IpAddr) -> bool {
        let ip = key(ip);
        if !self.addresses.contains_key(&ip) {
            while self.addresses.len() >= ADDRESSES_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.addresses.remove(&oldest);
            }
            self.order.push_back(ip);
        }
        let (rate, burst) = self.rates.address;
        let own = self.addresses.entry(ip).or_insert_with(|| Bucket::new(now, burst));
        if !own.take(now, rate, burst) {
            return false;
        }
        let Rates { strangers: (rate, burst), known, .. } = self.rates;
        self.known.contains_key(&ip) && self.acquaintances.take(now, known.0, known.1)
            || self.strangers.take(now, rate, burst)
    }

    /// A handshake with this address has gone well.
    pub(super) fn met(&mut self, now: Mono, ip: IpAddr) {
        let ip = key(ip);
        if self.known.len() >= KNOWN_MAX
            && !self.known.contains_key(&ip)
            && let Some(oldest) = self.known.iter().min_by_key(|(_, at)| **at).map(|(ip, _)| *ip)
        {
            self.known.remove(&oldest);
        }
        self.known.insert(ip, now);
    }

    /// Forgets rates that are full again; to be called now and then.
    pub(super) fn sweep(&mut self, now: Mono) {
        let addresses = &mut self.addresses;
        addresses.retain(|_, bucket| now.since(bucket.at) < FORGET);
        self.order.retain(|ip| addresses.contains_key(ip));
    }

    #[cfg(test)]
    fn remembered(&self) -> (usize, usize, usize) {
        (self.addresses.len(), self.order.len(), self.known.len())
    }
}

/// What an address is counted under.
fn key(ip: IpAddr) -> IpAddr {
    match addr::canonical(ip) {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests;
