// SPDX-License-Identifier: MIT
//! One budget of memory for a router: what its parts hold, in bytes, and what it can no longer afford.
//!
//! The budget measures and advises, it does not allocate. Whoever holds bytes that others can make grow tells an
//! [`Account`] (a sum that changes often) or takes a [`Charge`] (one item). Before it takes on more it asks: work for
//! others is given up in the order of [`Ask`], own streams get smaller [`shares`](Budget::share), so that they push
//! back on peers and programs and lose nothing. Accounts report in grains, so the sum may be off by [`GRAIN`] for each
//! of them. An account or charge gives back what it had when it is dropped: nothing held means a sum of zero.
//! Requirement Z3 of the limits; `docs/limits.md` has the table.

use super::Counter;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Accounts report changes of at least so many bytes.
const GRAIN: usize = 4096;
/// Percent of the budget from which on own streams get less than their full share.
const EASY: u64 = 80;
/// Percent of the budget at which they get the least.
const TIGHT: u64 = 98;
/// Percent that own streams leave to everything else, whether it is used or not: what programs do not read cannot be
/// taken back when links, tables and clients need room.
const OTHERS: u64 = 25;

/// Who holds bytes: the children of the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Read buffers of links to other routers.
    TransportIn,
    /// What waits to be sent to other routers.
    TransportOut,
    /// Tunnels, incomplete messages, the replay filter.
    Tunnels,
    /// Routers, lease sets, profiles.
    NetDb,
    /// Garlic sessions, and what waits to be opened.
    Garlic,
    /// Buffers and pipes of streams.
    Streams,
    /// Datagrams that wait for the network or for a program.
    Datagrams,
    /// Buffers of SAM clients.
    Sam,
}

impl Part {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::TransportIn,
        Self::TransportOut,
        Self::Tunnels,
        Self::NetDb,
        Self::Garlic,
        Self::Streams,
        Self::Datagrams,
        Self::Sam,
    ];

    /// Its name among the counters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TransportIn => "transport_in",
            Self::TransportOut => "transport_out",
            Self::Tunnels => "tunnels",
            Self::NetDb => "netdb",
            Self::Garlic => "garlic",
            Self::Streams => "streams",
            Self::Datagrams => "datagrams",
            Self::Sam => "sam",
        }
    }
}

/// What may be given up, first things first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ask {
    /// Carrying one more tunnel for others.
    TransitTunnel,
    /// Keeping a RouterInfo or lease set for others that was not kept before.
    Keeping,
    /// Looking at a request for a tunnel of others at all.
    TransitBuild,
    /// Passing on traffic of others.
    TransitData,
    /// Getting to know more routers.
    Exploration,
    /// Holding a datagram of ours.
    Datagram,
}

impl Ask {
    const ALL: [Self; 6] = [
        Self::TransitTunnel,
        Self::Keeping,
        Self::TransitBuild,
        Self::TransitData,
        Self::Exploration,
        Self::Datagram,
    ];

    /// Percent of the budget from which on the answer is no.
    const fn percent(self) -> u64 {
        match self {
            Self::TransitTunnel | Self::Keeping => 80,
            Self::TransitBuild => 95,
            Self::TransitData => 96,
            Self::Exploration => 97,
            Self::Datagram => 98,
        }
    }

    const fn counter(self) -> &'static str {
        match self {
            Self::TransitTunnel => "refused_transit_tunnel",
            Self::Keeping => "refused_keeping",
            Self::TransitBuild => "refused_transit_build",
            Self::TransitData => "refused_transit_data",
            Self::Exploration => "refused_exploration",
            Self::Datagram => "refused_datagram",
        }
    }
}

struct Shared {
    max: u64,
    used: AtomicU64,
    peak: AtomicU64,
    parts: [AtomicU64; Part::ALL.len()],
    refused: [Counter; Ask::ALL.len()],
}

/// The budget of one router. Clones are the same budget.
#[derive(Clone)]
pub struct Budget(Arc<Shared>);

impl Default for Budget {
    /// A budget that is never short, for engines on their own.
    fn default() -> Self {
        Self::new(u64::MAX)
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Budget({} of {} bytes)", self.used(), self.max())
    }
}

impl Budget {
    /// A budget of `max` bytes.
    pub fn new(max: u64) -> Self {
        Self(Arc::new(Shared {
            max: max.max(1),
            used: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            parts: std::array::from_fn(|_| AtomicU64::new(0)),
            refused: std::array::from_fn(|_| Counter::default()),
        }))
    }

    /// All there is.
    pub fn max(&self) -> u64 {
        self.0.max
    }

    /// What all parts hold together.
    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// What one part holds.
    pub fn used_by(&self, part: Part) -> u64 {
        self.0.parts.get(part as usize).map_or(0, |n| n.load(Ordering::Relaxed))
    }

    /// An empty account.
    pub fn account(&self, part: Part) -> Account {
        Account { budget: self.clone(), part, held: 0, told: 0 }
    }

    /// Counts `bytes` until the charge is dropped.
    pub fn charge(&self, part: Part, bytes: usize) -> Charge {
        self.add(part, bytes as u64);
        Charge { budget: self.clone(), part, bytes: bytes as u64 }
    }

    /// Whether there is memory for this.
    pub fn fits(&self, ask: Ask) -> bool {
        self.used() < self.part_of(ask.percent())
    }

    /// As [`Self::fits`], for something that waits for the answer: a no is counted.
    pub fn allows(&self, ask: Ask) -> bool {
        let fits = self.fits(ask);
        if !fits && let Some(counter) = self.0.refused.get(ask as usize) {
            counter.inc();
        }
        fits
    }

    /// What one buffer of our own traffic may hold: all of `full` as long as there is plenty, `least` at the end. A buffer
    /// that holds nothing may always take something, so nobody is stuck. Streams count as if the rest held a quarter.
    pub fn share(&self, full: usize, least: usize) -> usize {
        let streams = self.used_by(Part::Streams).saturating_add(self.part_of(OTHERS));
        let (used, easy) = (self.used().max(streams), self.part_of(EASY));
        if used < easy || full <= least {
            return full;
        }
        let span = self.part_of(TIGHT).saturating_sub(easy).max(1);
        let over = u128::from((used - easy).min(span));
        let cut = (full - least) as u128 * over / u128::from(span);
        full.saturating_sub(usize::try_from(cut).unwrap_or(full))
    }

    /// Names and values for the router's counters.
    pub fn snapshot(&self) -> Vec<(&'static str, u64)> {
        let mut all =
            vec![("max", self.max()), ("used", self.used()), ("peak", self.0.peak.load(Ordering::Relaxed))];
        all.extend(Part::ALL.map(|part| (part.name(), self.used_by(part))));
        all.extend(Ask::ALL.iter().zip(&self.0.refused).map(|(ask, n)| (ask.counter(), n.get())));
        all
    }

    fn part_of(&self, percent: u64) -> u64 {
        let max = u128::from(self.0.max) * u128::from(percent) / 100;
        u64::try_from(max).unwrap_or(u64::MAX)
    }

    fn add(&self, part: Part, bytes: u64) {
        let before = self.0.used.fetch_add(bytes, Ordering::Relaxed);
        self.0.peak.fetch_max(before.saturating_add(bytes), Ordering::Relaxed);
        if let Some(n) = self.0.parts.get(part as usize) {
            n.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    fn sub(&self, part: Part, bytes: u64) {
        self.0.used.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(n) = self.0.parts.get(part as usize) {
            n.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

/// The bytes of one holder. Changes are told to the budget in grains.
pub struct Account {
    budget: Budget,
    part: Part,
    held: usize,
    told: usize,
}

impl Default for Account {
    /// An account of nobody's budget.
    fn default() -> Self {
        Budget::default().account(Part::Streams)
    }
}

impl Account {
    /// The holder has so many bytes now.
    pub fn set(&mut self, bytes: usize) {
        self.held = bytes;
        if bytes.abs_diff(self.told) >= GRAIN || (bytes == 0 && self.told > 0) {
            if bytes > self.told {
                self.budget.add(self.part, (bytes - self.told) as u64);
            } else {
                self.budget.sub(self.part, (self.told - bytes) as u64);
            }
            self.told = bytes;
        }
    }

    /// The holder has `more` bytes in place of `less`.
    pub fn swap(&mut self, less: usize, more: usize) {
        self.set(self.held.saturating_sub(less).saturating_add(more));
    }

    /// What the holder has.
    pub const fn held(&self) -> usize {
        self.held
    }

    /// The budget that it belongs to.
    pub const fn budget(&self) -> &Budget {
        &self.budget
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.budget.sub(self.part, self.told as u64);
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Account({}, {} bytes)", self.part.name(), self.held)
    }
}

/// One item's bytes, given back when dropped.
pub struct Charge {
    budget: Budget,
    part: Part,
    bytes: u64,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.sub(self.part, self.bytes);
    }
}

impl fmt::Debug for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Charge({}, {} bytes)", self.part.name(), self.bytes)
    }
}

#[cfg(test)]
mod tests;
