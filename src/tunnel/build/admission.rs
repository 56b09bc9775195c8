// SPDX-License-Identifier: MIT
//! Who may ask for transit tunnels, how often, and when we say no.
//!
//! A request must pass its previous hop's bucket to be looked at, and the router's own before public-key work is done
//! for it; over either it is dropped without an answer. After decryption the number of tunnels we carry decides between accepting and code 30.
//! Limits: [`AdmissionLimits`]; at most [`AdmissionLimits::peers`] are counted at a time. Design: limits 3.4, T2-T4.

use crate::base::{Ask, Budget, Map, Mono, Pace, Rng};
use crate::wire::RouterHash;

/// Window in which requests of one peer are counted.
const REQUEST_WINDOW_US: u64 = 110_000_000;
/// Window in which accepted tunnels per neighbour are counted.
const ACCEPT_WINDOW_US: u64 = 220_000_000;

/// Bounds of what we do for others. The defaults are those of the live network.
#[derive(Clone, Debug)]
pub struct AdmissionLimits {
    /// Most transit tunnels at once; 0 refuses all with code 30.
    pub transit_max: usize,
    /// Smallest and largest number of requests from one previous hop in 110 s (2 % of our transit in between).
    pub requests_per_peer: (usize, usize),
    /// Smallest and largest number of accepted tunnels per neighbour in 220 s (1 % of our transit in between).
    pub accepts_per_peer: (usize, usize),
    /// Requests that are worth public-key work per second, over a longer time; more while the processor keeps up, see
    /// `pace_percent`.
    pub requests_per_second: u32,
    /// Requests that may come at once.
    pub requests_burst: u32,
    /// KB a second that all transit may use; `None`: no limit.
    pub transit_kbs: Option<u32>,
    /// Garlic messages of strangers that the router opens per second, over a longer time; twice as many at once.
    pub garlic_per_second: u32,
    /// Peers counted within one window; the first request of any further peer is refused until the window turns.
    pub peers: usize,
    /// Rate of all requests while the processor keeps up, in percent of `requests_per_second`.
    pub pace_percent: u32,
    /// Keys of requests that are remembered against replays, in each of two generations.
    pub request_keys: usize,
    /// Keys of strangers' garlic that are remembered against replays, in each of two generations.
    pub garlic_keys: usize,
    /// Tags of garlic to the router that are expected; beyond it the oldest goes.
    pub garlic_tags: usize,
    /// Refuse a participant whose next hop is its previous hop. Honest creators never build so, but some versions
    /// do in very small networks.
    pub refuse_turn_back: bool,
    /// The router's memory: short of it, requests are refused and at last not looked at. Default: never short.
    pub budget: Budget,
}

impl Default for AdmissionLimits {
    fn default() -> Self {
        Self {
            transit_max: 2500,
            requests_per_peer: (7, 27),
            accepts_per_peer: (4, 22),
            requests_per_second: 200,
            requests_burst: 500,
            transit_kbs: None,
            garlic_per_second: 500,
            peers: 8192,
            pace_percent: 500,
            request_keys: 65_536,
            garlic_keys: 32_768,
            garlic_tags: 4096,
            refuse_turn_back: true,
            budget: Budget::default(),
        }
    }
}

impl AdmissionLimits {
    /// For a private network of a few routers, where each neighbour carries a large part of all traffic.
    pub fn test_network() -> Self {
        Self {
            requests_per_peer: (2_000, 2_000),
            accepts_per_peer: (2_000, 2_000),
            refuse_turn_back: false,
            ..Self::default()
        }
    }
}

/// Counts per peer that are forgotten all at once when their window ends.
#[derive(Debug)]
struct Window {
    length_us: u64,
    ends: Mono,
    counts: Map<RouterHash, usize>,
    peers_max: usize,
}

impl Window {
    fn new(rng: &mut Rng, length_us: u64, peers_max: usize) -> Self {
        Self { length_us, ends: Mono(0), counts: crate::base::map(rng), peers_max }
    }

    fn turn(&mut self, now: Mono) {
        if now >= self.ends {
            self.counts.clear();
            self.ends = Mono(now.0.saturating_add(self.length_us));
        }
    }

    /// Counts one more for `peer` unless that would pass `limit`.
    fn take(&mut self, now: Mono, peer: &RouterHash, limit: usize) -> bool {
        self.turn(now);
        if !self.has_room(peer, limit) {
            return false;
        }
        *self.counts.entry(*peer).or_insert(0) += 1;
        true
    }

    fn has_room(&self, peer: &RouterHash, limit: usize) -> bool {
        match self.counts.get(peer) {
            Some(count) => *count < limit,
            None => limit > 0 && self.counts.len() < self.peers_max,
        }
    }
}

/// What stands before the queue of strangers' requests: nobody may fill it alone.
///
/// The plane asks here, so that a flood costs a look-up and no place in the queue. Nothing passes that the builder would
/// drop unseen, and whoever stays below its limits is never refused.
#[derive(Debug)]
pub struct Gate {
    requests: Window,
    requests_max: usize,
    garlic: Window,
    garlic_max: usize,
}

/// Window in which garlic messages of one peer are counted.
const GARLIC_WINDOW_US: u64 = 10_000_000;

impl Gate {
    /// For these limits.
    pub fn new(limits: &AdmissionLimits, rng: &mut Rng) -> Self {
        Self {
            requests: Window::new(rng, REQUEST_WINDOW_US, limits.peers),
            requests_max: limits.requests_per_peer.1,
            garlic: Window::new(rng, GARLIC_WINDOW_US, limits.peers),
            // A quarter of what is opened in all.
            garlic_max: usize::try_from(limits.garlic_per_second).unwrap_or(usize::MAX).saturating_mul(10)
                / 4,
        }
    }

    /// Whether a build request that this router sent may have a place.
    pub fn request(&mut self, now: Mono, from: &RouterHash) -> bool {
        self.requests.take(now, from, self.requests_max)
    }

    /// The same for a garlic message to the router.
    pub fn garlic(&mut self, now: Mono, from: &RouterHash) -> bool {
        self.garlic.take(now, from, self.garlic_max)
    }
}

/// Tokens that refill with time.
#[derive(Debug)]
pub(super) struct TokenBucket {
    micro_tokens: u64,
    at: Mono,
}

impl TokenBucket {
    /// A full one.
    pub(super) fn full(burst: u32) -> Self {
        Self { micro_tokens: u64::from(burst).saturating_mul(1_000_000), at: Mono(0) }
    }

    /// Takes one token.
    pub(super) fn take(&mut self, now: Mono, per_second: u32, burst: u32) -> bool {
        let elapsed_us = now.0.saturating_sub(self.at.0);
        self.at = now;
        let cap = u64::from(burst).saturating_mul(1_000_000);
        let refill = elapsed_us.saturating_mul(u64::from(per_second));
        self.micro_tokens = self.micro_tokens.saturating_add(refill).min(cap);
        match self.micro_tokens.checked_sub(1_000_000) {
            Some(left) => {
                self.micro_tokens = left;
                true
            }
            None => false,
        }
    }

    /// Whether less than half of the burst is left.
    pub(super) fn is_low(&self, burst: u32) -> bool {
        self.micro_tokens < u64::from(burst).saturating_mul(500_000)
    }
}

/// Which bound a request ran into before it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Throttled {
    /// Too many from this previous hop.
    Peer,
    /// The router is short of memory.
    Memory,
}

/// The admission state of one router.
#[derive(Debug)]
pub(super) struct Admission {
    limits: AdmissionLimits,
    open: bool,
    load_percent: u8,
    requests: Window,
    accepts: Window,
    router: TokenBucket,
    pace: Pace,
}

impl Admission {
    /// Starts with full buckets.
    pub(super) fn new(limits: AdmissionLimits, rng: &mut Rng) -> Self {
        Self {
            open: true,
            load_percent: 0,
            requests: Window::new(rng, REQUEST_WINDOW_US, limits.peers),
            accepts: Window::new(rng, ACCEPT_WINDOW_US, limits.peers),
            router: TokenBucket::full(limits.requests_burst),
            pace: Pace::new(limits.pace_percent),
            limits,
        }
    }

    /// The bounds it was made with.
    pub(super) const fn limits(&self) -> &AdmissionLimits {
        &self.limits
    }

    /// Whether turning back to the previous hop is refused.
    pub(super) const fn refuses_turn_back(&self) -> bool {
        self.limits.refuse_turn_back
    }

    /// Stops or resumes accepting; while stopped every request is answered with code 30.
    pub(super) const fn set_open(&mut self, open: bool) {
        self.open = open;
    }

    /// Tells how much of the bandwidth for others is in use.
    pub(super) const fn set_load(&mut self, percent: u8) {
        self.load_percent = percent;
    }

    /// KB a second that transit has left; `None`: no limit.
    pub(super) fn bandwidth_left(&self) -> Option<u32> {
        let left = u64::from(100 - self.load_percent.min(100));
        let kbs = u64::from(self.limits.transit_kbs?) * left / 100;
        Some(u32::try_from(kbs).unwrap_or(u32::MAX))
    }

    /// To be asked before a request is looked at; `transit` is the number of tunnels carried now.
    pub(super) fn request(
        &mut self,
        now: Mono,
        from: Option<&RouterHash>,
        transit: usize,
    ) -> Result<(), Throttled> {
        if !self.limits.budget.allows(Ask::TransitBuild) {
            return Err(Throttled::Memory);
        }
        if let Some(from) = from {
            let (low, high) = self.limits.requests_per_peer;
            let limit = (transit / 50).clamp(low, high.max(low));
            if !self.requests.take(now, from, limit) {
                return Err(Throttled::Peer);
            }
        }
        Ok(())
    }

    /// To be asked before public-key work is done for a request that is for us and new.
    pub(super) fn work(&mut self, now: Mono) -> bool {
        let AdmissionLimits { requests_per_second: rate, requests_burst: burst, .. } = self.limits;
        let rate = u64::from(rate) * u64::from(self.pace.percent()) / 100;
        let taken = self.router.take(now, u32::try_from(rate).unwrap_or(u32::MAX), burst);
        if self.router.is_low(burst) {
            self.pace.press(now);
        }
        taken
    }

    /// When [`Self::look`] wants to be called.
    pub(super) const fn next_look(&self) -> Option<Mono> {
        self.pace.next()
    }

    /// Adapts the rate of all requests to how busy the processor is.
    pub(super) fn look(&mut self, now: Mono) {
        self.pace.look(now);
    }

    /// Whether to take a tunnel between these neighbours, given how many are carried now.
    pub(super) fn accept(
        &mut self,
        now: Mono,
        rng: &mut Rng,
        neighbours: [Option<&RouterHash>; 2],
        transit: usize,
    ) -> bool {
        if !self.open || !self.limits.budget.allows(Ask::TransitTunnel) || self.refused_by_level(rng, transit)
        {
            return false;
        }
        let (low, high) = self.limits.accepts_per_peer;
        let limit = (transit / 100).clamp(low, high.max(low));
        self.accepts.turn(now);
        if neighbours.iter().flatten().any(|peer| !self.accepts.has_room(peer, limit)) {
            return false;
        }
        for peer in neighbours.iter().flatten() {
            self.accepts.take(now, peer, limit);
        }
        true
    }

    /// How full we are: the worse of tunnel count and reported load, in percent; 100 when memory runs short.
    pub(super) fn level(&self, transit: usize) -> u8 {
        if !self.limits.budget.fits(Ask::TransitTunnel) {
            return 100;
        }
        let count = transit.saturating_mul(100).checked_div(self.limits.transit_max).unwrap_or(100);
        u8::try_from(count.min(100)).unwrap_or(100).max(self.load_percent)
    }

    /// Certain at 100 %, never below 70 %, rising in between.
    fn refused_by_level(&self, rng: &mut Rng, transit: usize) -> bool {
        match self.level(transit) {
            100.. => true,
            level @ 70..100 => rng.below(30) < u64::from(level - 70),
            _ => false,
        }
    }
}

#[cfg(test)]
mod memory_tests;
