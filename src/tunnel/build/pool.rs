// SPDX-License-Identifier: MIT
//! What tunnels a pool has, what it lacks, and how it fares.
//!
//! Pure bookkeeping, one [`Pool`] per owner, two [`Side`]s each. A side asks for builds when it has fewer sound tunnels
//! than it should, keeps at least two builds under way while it has none, and pauses longer after each failure. The
//! last tunnel of a side is never given up before its replacement stands, however it fares.

use std::fmt;
use std::time::Duration;

use super::creator::Direction;
use super::message::Limits;
use super::select::NoHops;
use crate::base::{Mono, Rng};
use crate::crypto::Secret32;
use crate::tunnel::{InboundTunnel, OutboundTunnel, PoolConfig, PoolId, PoolSide, PoolState, TunnelKey};
use crate::wire::{MessageId, RouterHash, TunnelId};

/// Builds under way while a side has no tunnel.
const FLIGHTS_WHEN_EMPTY: usize = 2;
/// Failures in a row that are answered at once; after them each doubles the pause.
const FAILURES_FREE: u32 = 2;
/// First pause.
const PAUSE_MS: u64 = 250;
/// Longest pause.
const PAUSE_MAX_MS: u64 = 15_000;
/// Pause after a build that could not even start.
const STARVED_MS: u64 = 1_000;
/// Tests that a tunnel may miss in a row before it counts as broken.
const MISSED_MAX: u8 = 2;
/// Suspicion does not lead to tests more often than this.
const SUSPECT_MS: u64 = 1_000;
/// Shortest time that a test is given.
const TEST_TIMEOUT_MIN_MS: u64 = 2_000;
/// Most hops that variance may lead to.
const LENGTH_MAX: i16 = 7;

/// Why a build did not give a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildFailure {
    /// No routers to build through.
    NoHops(NoHops),
    /// No tunnel through which the reply could come or the request could go.
    NoPath,
    /// No answer in time.
    TimedOut,
    /// A hop refused.
    Rejected {
        /// Which.
        by: RouterHash,
        /// Its code.
        code: u8,
    },
    /// The first hop could not be reached.
    Unreachable(RouterHash),
    /// The reply had been changed on its way.
    Tampered,
}

impl fmt::Display for BuildFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHops(why) => why.fmt(f),
            Self::NoPath => f.write_str("no tunnel yet for the reply"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Rejected { by, code } => write!(f, "refused by {by} with code {code}"),
            Self::Unreachable(peer) => write!(f, "{peer} not reachable"),
            Self::Tampered => f.write_str("reply changed on the way"),
        }
    }
}

/// The numbers of one direction of a pool since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SideReport {
    /// Tunnels there shall be.
    pub wanted: usize,
    /// Tunnels there are.
    pub live: usize,
    /// Builds under way.
    pub in_flight: usize,
    /// Builds that were sent.
    pub sent: u32,
    /// Builds that gave a tunnel.
    pub built: u32,
    /// Builds that a hop refused.
    pub rejected: u32,
    /// Builds without an answer.
    pub timed_out: u32,
    /// Builds whose first hop could not be reached.
    pub unreachable: u32,
    /// Times that no build could start.
    pub starved: u32,
    /// The latest failure.
    pub last: Option<BuildFailure>,
}

impl fmt::Display for SideReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} builds succeeded", self.built, self.sent)?;
        for (name, count) in [
            ("refused", self.rejected),
            ("unanswered", self.timed_out),
            ("unreachable", self.unreachable),
            ("not started", self.starved),
            ("under way", u32::try_from(self.in_flight).unwrap_or(u32::MAX)),
        ] {
            if count > 0 {
                write!(f, ", {count} {name}")?;
            }
        }
        match &self.last {
            Some(last) => write!(f, ", last: {last}"),
            None => Ok(()),
        }
    }
}

/// How a pool fares; prints as the reason why it is not ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolReport {
    /// Towards us.
    pub inbound: SideReport,
    /// Away from us.
    pub outbound: SideReport,
}

impl PoolReport {
    /// Whether there are tunnels both ways.
    pub const fn is_ready(&self) -> bool {
        self.inbound.live > 0 && self.outbound.live > 0
    }
}

impl fmt::Display for PoolReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (name, side) in [("outbound", &self.outbound), ("inbound", &self.inbound)] {
            if side.live == 0 {
                let gap = if first { "" } else { "; " };
                write!(f, "{gap}no {name} tunnel: {side}")?;
                first = false;
            }
        }
        if first { f.write_str("ready") } else { Ok(()) }
    }
}

/// One live tunnel of a pool.
#[derive(Clone, Debug)]
pub(super) struct Tunnel {
    /// Its name in the plane.
    pub(super) key: TunnelKey,
    /// Inbound: id at the gateway. Outbound: the handle.
    pub(super) id: TunnelId,
    /// In the order of the tunnel; empty for zero hops.
    pub(super) hops: Vec<RouterHash>,
    pub(super) created: Mono,
    pub(super) expires: Mono,
    /// From here on a successor is built.
    pub(super) replace_at: Mono,
    /// Tests missed in a row.
    missed: u8,
    /// Broken, but kept until there is another.
    pub(super) failed: bool,
}

impl Tunnel {
    pub(super) const fn new(
        key: TunnelKey,
        id: TunnelId,
        hops: Vec<RouterHash>,
        created: Mono,
        expires: Mono,
        replace_at: Mono,
    ) -> Self {
        Self { key, id, hops, created, expires, replace_at, missed: 0, failed: false }
    }
}

/// One direction of a pool.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) config: PoolSide,
    pub(super) tunnels: Vec<Tunnel>,
    flights: Vec<(MessageId, Mono)>,
    failures: u32,
    retry_at: Mono,
    /// Could not start for lack of hops or of a path: worth trying when something changes.
    pub(super) starved: bool,
    report: SideReport,
}

impl Side {
    const fn new(config: PoolSide) -> Self {
        let report = SideReport {
            wanted: 0,
            live: 0,
            in_flight: 0,
            sent: 0,
            built: 0,
            rejected: 0,
            timed_out: 0,
            unreachable: 0,
            starved: 0,
            last: None,
        };
        Self {
            config,
            tunnels: Vec::new(),
            flights: Vec::new(),
            failures: 0,
            retry_at: Mono(0),
            starved: false,
            report,
        }
    }

    fn target(&self) -> usize {
        usize::from(self.config.quantity.clamp(1, 16)) + usize::from(self.config.backup.min(16))
    }

    /// Whether there is a tunnel that is not known to be broken.
    pub(super) fn is_live(&self) -> bool {
        self.tunnels.iter().any(|t| !t.failed)
    }

    /// Number of builds to start now.
    pub(super) fn wanted(&self, now: Mono, limits: &Limits) -> usize {
        if now < self.retry_at { 0 } else { self.missing(now, limits) }
    }

    /// Number of builds that should be under way besides those that are.
    fn missing(&self, now: Mono, limits: &Limits) -> usize {
        let live = self.is_live();
        let sound = self.tunnels.iter().filter(|t| !t.failed && now < t.replace_at).count();
        let hedge = Duration::from_millis(limits.hedge_ms);
        let promising = self.flights.iter().filter(|(_, sent)| live || now < sent.after(hedge)).count();
        let mut missing = self.target().saturating_sub(sound + promising);
        if !live && self.config.length > 0 {
            missing = missing.max(FLIGHTS_WHEN_EMPTY.saturating_sub(promising));
        }
        missing.min(limits.builds_per_side.saturating_sub(self.flights.len()))
    }

    /// The next time at which something is to be done by itself.
    fn next_deadline(&self, now: Mono, limits: &Limits) -> Mono {
        let mut next = Mono::NEVER;
        let mut at = |time: Mono| {
            if time > now && time < next {
                next = time;
            }
        };
        for tunnel in &self.tunnels {
            at(tunnel.expires);
            at(tunnel.replace_at);
        }
        let full = self.flights.len() >= limits.builds_per_side;
        if !self.is_live() && !full {
            let hedge = Duration::from_millis(limits.hedge_ms);
            self.flights.iter().for_each(|(_, sent)| at(sent.after(hedge)));
        }
        if self.missing(now, limits) > 0 {
            at(self.retry_at);
        }
        next
    }

    pub(super) fn started(&mut self, now: Mono, id: MessageId) {
        self.starved = false;
        self.report.sent = self.report.sent.saturating_add(1);
        self.flights.push((id, now));
    }

    /// A build is over, in whatever way. False if it was not one of ours.
    pub(super) fn landed(&mut self, id: MessageId) -> bool {
        let before = self.flights.len();
        self.flights.retain(|(flight, _)| *flight != id);
        self.flights.len() < before
    }

    pub(super) fn add(&mut self, tunnel: Tunnel) {
        self.failures = 0;
        self.retry_at = Mono(0);
        self.starved = false;
        if !tunnel.hops.is_empty() {
            self.report.built = self.report.built.saturating_add(1);
        }
        self.tunnels.push(tunnel);
    }

    /// Notes a failure and sets the pause.
    pub(super) fn fail(&mut self, now: Mono, rng: &mut Rng, why: BuildFailure) {
        let report = &mut self.report;
        report.last = Some(why);
        let counter = match why {
            BuildFailure::NoHops(_) | BuildFailure::NoPath => &mut report.starved,
            BuildFailure::TimedOut => &mut report.timed_out,
            BuildFailure::Rejected { .. } | BuildFailure::Tampered => &mut report.rejected,
            BuildFailure::Unreachable(_) => &mut report.unreachable,
        };
        *counter = counter.saturating_add(1);
        if matches!(why, BuildFailure::NoHops(_) | BuildFailure::NoPath) {
            self.starved = true;
            self.retry_at = now.after(Duration::from_millis(STARVED_MS));
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures > FAILURES_FREE {
            let doublings = (self.failures - FAILURES_FREE - 1).min(16);
            let pause = (PAUSE_MS << doublings).min(PAUSE_MAX_MS);
            let pause = rng.between(pause - pause / 4, pause + pause / 4);
            self.retry_at = now.after(Duration::from_millis(pause));
        }
    }

    /// Lets a starved side try at once.
    pub(super) const fn wake(&mut self) {
        if self.starved {
            self.retry_at = Mono(0);
        }
    }

    /// Builds failed several times in a row, or there is no tunnel and the first builds are not answered.
    pub(super) fn is_careful(&self, now: Mono, limits: &Limits) -> bool {
        let hedge = Duration::from_millis(limits.hedge_ms);
        let unanswered = || self.flights.iter().any(|(_, sent)| now >= sent.after(hedge));
        self.failures > FAILURES_FREE || (!self.is_live() && unanswered())
    }

    /// Takes out tunnels that are over: expired, or broken while another is there.
    pub(super) fn prune(&mut self, now: Mono) -> Vec<Tunnel> {
        let live = self.is_live();
        let (gone, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.tunnels)
            .into_iter()
            .partition(|t| t.expires <= now || (t.failed && live));
        self.tunnels = kept;
        gone
    }

    /// Notes the outcome of a test; true if the tunnel is broken now and was not before.
    pub(super) fn tested(&mut self, key: TunnelKey, passed: bool) -> bool {
        let Some(tunnel) = self.tunnels.iter_mut().find(|t| t.key == key) else { return false };
        if passed {
            tunnel.missed = 0;
            tunnel.failed = false;
            return false;
        }
        tunnel.missed = tunnel.missed.saturating_add(1);
        let breaks = tunnel.missed >= MISSED_MAX && !tunnel.failed;
        tunnel.failed |= breaks;
        breaks
    }

    /// A random tunnel to carry a build, among those that suit and are not known to be broken; of them first those
    /// that will still be there for a while. Never a broken one: builds sent that way would all be lost, and with
    /// them the way out of the trouble.
    pub(super) fn pick(&self, now: Mono, rng: &mut Rng, suits: impl Fn(&Tunnel) -> bool) -> Option<&Tunnel> {
        let soon = now.after(Duration::from_secs(20));
        let sound = || self.tunnels.iter().filter(|t| !t.failed && t.expires > now && suits(t));
        let lasting: Vec<&Tunnel> = sound().filter(|t| t.expires > soon).collect();
        if lasting.is_empty() {
            return sound().last();
        }
        lasting.get(rng.index(lasting.len())).copied()
    }

    /// The tunnel of this name.
    pub(super) fn tunnel(&self, key: TunnelKey) -> Option<&Tunnel> {
        self.tunnels.iter().find(|t| t.key == key)
    }

    /// Counts every tunnel as broken that cannot work without this link; true if there was one.
    pub(super) fn link_failed(&mut self, is_first: impl Fn(&Tunnel) -> bool) -> bool {
        let mut hit = false;
        for tunnel in self.tunnels.iter_mut().filter(|t| !t.failed && is_first(t)) {
            tunnel.failed = true;
            hit = true;
        }
        hit
    }

    /// How long the next tunnel shall be.
    pub(super) fn draw_length(&self, rng: &mut Rng) -> usize {
        let variance = i16::from(self.config.variance);
        let span = u64::from(variance.unsigned_abs());
        let length = i16::from(self.config.length);
        let drawn = match variance {
            0 => length,
            1.. => length + i16::try_from(rng.between(0, span)).unwrap_or(0),
            _ => length + i16::try_from(rng.between(0, span * 2)).unwrap_or(0) + variance,
        };
        // Variance never makes a tunnel without hops out of one that was to have some.
        usize::try_from(drawn.clamp(length.min(1), LENGTH_MAX)).unwrap_or(1)
    }

    fn report(&self) -> SideReport {
        let live = self.tunnels.iter().filter(|t| !t.failed).count();
        SideReport { wanted: self.target(), live, in_flight: self.flights.len(), ..self.report }
    }

    /// Ids of the builds under way.
    pub(super) fn flights(&self) -> impl Iterator<Item = MessageId> + '_ {
        self.flights.iter().map(|(id, _)| *id)
    }
}

/// The tunnels of one owner.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) id: PoolId,
    /// Secret for the order of hops; lasts as long as the pool.
    pub(super) key: Secret32,
    pub(super) explicit: Vec<RouterHash>,
    pub(super) inbound: Side,
    pub(super) outbound: Side,
    pub(super) next_test: Mono,
    /// When the latest round of tests began.
    pub(super) tested_at: Mono,
    /// Smoothed time that a test takes, in milliseconds.
    pub(super) rtt_ms: Option<u64>,
    /// Turns the pairs of tunnels that are tested together.
    pub(super) round: usize,
    /// The tunnels changed since the last snapshot.
    pub(super) changed: bool,
    /// A build failed since the last report.
    pub(super) troubled: bool,
    /// The owner was told of trouble and not yet that it is over.
    pub(super) told: bool,
}

impl Pool {
    pub(super) fn new(id: PoolId, config: PoolConfig, explicit: Vec<RouterHash>, rng: &mut Rng) -> Self {
        Self {
            id,
            key: Secret32::random(rng),
            explicit,
            inbound: Side::new(config.inbound),
            outbound: Side::new(config.outbound),
            next_test: Mono(0),
            tested_at: Mono(0),
            rtt_ms: None,
            round: 0,
            changed: false,
            troubled: false,
            told: false,
        }
    }

    pub(super) const fn side(&self, direction: Direction) -> &Side {
        match direction {
            Direction::Inbound => &self.inbound,
            Direction::Outbound => &self.outbound,
        }
    }

    pub(super) const fn side_mut(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::Inbound => &mut self.inbound,
            Direction::Outbound => &mut self.outbound,
        }
    }

    /// Whether a test can go out and come back through at least one hop.
    pub(super) fn is_testable(&self) -> bool {
        let (ins, outs) = (&self.inbound.tunnels, &self.outbound.tunnels);
        !ins.is_empty() && !outs.is_empty() && ins.iter().chain(outs).any(|t| !t.hops.is_empty())
    }

    /// Every tunnel gets a successor soon, and is tested now.
    pub(super) fn renew(&mut self, now: Mono) {
        for tunnel in self.inbound.tunnels.iter_mut().chain(&mut self.outbound.tunnels) {
            tunnel.replace_at = tunnel.replace_at.min(now);
        }
        self.suspect(now);
    }

    /// Tests soon: something points to a broken tunnel. True if the next round was moved.
    pub(super) fn suspect(&mut self, now: Mono) -> bool {
        let earliest = self.tested_at.after(Duration::from_millis(SUSPECT_MS)).max(now);
        let moved = earliest < self.next_test;
        self.next_test = self.next_test.min(earliest);
        moved
    }

    /// How long the tests of this pool may take.
    pub(super) fn test_timeout(&self, limits: &Limits) -> Duration {
        let longest = limits.test_timeout_ms;
        let fitting = self.rtt_ms.map_or(longest, |rtt| rtt.saturating_mul(8));
        Duration::from_millis(fitting.clamp(TEST_TIMEOUT_MIN_MS.min(longest), longest))
    }

    /// Takes the duration of a test in.
    pub(super) fn sample_rtt(&mut self, rtt: Duration) {
        let sample = u64::try_from(rtt.as_millis()).unwrap_or(u64::MAX);
        self.rtt_ms =
            Some(self.rtt_ms.map_or(sample, |old| (old.saturating_mul(7).saturating_add(sample)) / 8));
    }

    pub(super) fn next_deadline(&self, now: Mono, limits: &Limits) -> Mono {
        let test = if self.is_testable() { self.next_test } else { Mono::NEVER };
        self.inbound.next_deadline(now, limits).min(self.outbound.next_deadline(now, limits)).min(test)
    }

    pub(super) fn report(&self) -> PoolReport {
        PoolReport { inbound: self.inbound.report(), outbound: self.outbound.report() }
    }

    /// What the owner may use: sound tunnels, and broken ones only where there is no other.
    pub(super) fn state(&self, me: RouterHash) -> PoolState {
        let inbound = self.inbound.tunnels.iter().map(|t| InboundTunnel {
            gateway: t.hops.first().copied().unwrap_or(me),
            id: t.id,
            receive: match t.key {
                TunnelKey::Receive(id) | TunnelKey::Outbound(id) => id,
            },
            hops: t.hops.clone(),
            created: t.created,
            expires: t.expires,
        });
        let outbound = self.outbound.tunnels.iter().map(|t| OutboundTunnel {
            handle: t.id,
            endpoint: t.hops.last().copied().unwrap_or(me),
            hops: t.hops.clone(),
            created: t.created,
            expires: t.expires,
        });
        PoolState { inbound: inbound.collect(), outbound: outbound.collect() }
    }
}

#[cfg(test)]
mod tests;
