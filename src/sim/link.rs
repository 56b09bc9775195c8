// SPDX-License-Identifier: MIT
//! What a way through the network does to what is sent on it.
//!
//! For streams (TCP) the faults of packets show as they do to a program: a lost packet comes later, by a round trip if
//! others follow it and by a retransmission timeout if not, and everything behind it waits; loss also holds the rate
//! down, as congestion control does. A packet out of order waits for its place. A duplicate costs bandwidth only.

use std::time::Duration;

use crate::base::Rng;

/// Bytes of headers for each packet.
const HEADER: u64 = 40;
/// Shortest retransmission timeout, as on Linux.
const RTO_MIN_US: u64 = 200_000;
/// Longest pause between two tries.
const RTO_MAX_US: u64 = 8_000_000;
/// Packets that follow a lost one before its sender notices without a timeout.
const DUPLICATE_ACKS: u64 = 3;

/// How a link behaves, in one direction.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkProfile {
    /// Time from end to end. `None`: drawn for each pair of hosts from 10 to 80 ms.
    pub latency: Option<Duration>,
    /// Further time, from none to this, drawn for each packet.
    pub jitter: Duration,
    /// Share of packets that are lost, from 0 to 1. From 1 on the link is cut.
    pub loss: f64,
    /// Share of packets that come late by up to four times the jitter, at least 5 ms.
    pub reorder: f64,
    /// Share of packets that come twice.
    pub duplicate: f64,
    /// Bytes a second. `None`: not limited by the link.
    pub bandwidth: Option<u64>,
    /// Bytes of payload in a packet.
    pub mtu: usize,
}

impl Default for LinkProfile {
    fn default() -> Self {
        Self {
            latency: None,
            jitter: Duration::from_millis(2),
            loss: 0.0,
            reorder: 0.0,
            duplicate: 0.0,
            bandwidth: None,
            mtu: 1448,
        }
    }
}

impl LinkProfile {
    /// A link without jitter or limits, of this latency.
    pub fn quick(latency: Duration) -> Self {
        Self { latency: Some(latency), jitter: Duration::ZERO, ..Self::default() }
    }

    /// The same with this share of packets lost.
    #[must_use]
    pub const fn lossy(mut self, loss: f64) -> Self {
        self.loss = loss;
        self
    }

    /// The same with so many bytes a second.
    #[must_use]
    pub const fn bandwidth(mut self, bytes_per_second: u64) -> Self {
        self.bandwidth = Some(bytes_per_second);
        self
    }

    /// Whether nothing gets through.
    pub fn is_cut(&self) -> bool {
        self.loss >= 1.0
    }

    fn is_plain(&self) -> bool {
        // What a cut link does is decided where its bytes would arrive.
        (self.loss <= 0.0 || self.is_cut()) && self.reorder <= 0.0 && self.duplicate <= 0.0
    }
}

pub(super) fn us(d: Duration) -> u64 {
    u64::try_from(d.as_micros()).unwrap_or(u64::MAX)
}

/// True in so many of all cases.
pub(super) fn chance(rng: &mut Rng, share: f64) -> bool {
    share > 0.0 && to_unit(rng.u64()) < share
}

/// A number from 0 to 1.
#[allow(clippy::cast_precision_loss, reason = "53 bits are what a double holds")]
fn to_unit(n: u64) -> f64 {
    (n >> 11) as f64 / (1u64 << 53) as f64
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate"
)]
fn congested_rate(mtu: usize, rtt_us: u64, loss: f64) -> u64 {
    // Mathis and others: what a stream makes of this loss.
    let packets_per_s = 1.22 / loss.sqrt() * 1e6 / rtt_us.max(1000) as f64;
    (packets_per_s * mtu as f64).max(1500.0) as u64
}

/// The way of one direction of one connection, and what is on it.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) profile: LinkProfile,
    pub(super) latency_us: u64,
    /// When the last byte that was given to it has left.
    left_us: u64,
    /// When the last byte arrives.
    arrived_us: u64,
}

/// A line that several connections share: of a host, upwards or downwards.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    pub(super) bandwidth: Option<u64>,
    busy_us: u64,
}

impl Line {
    /// When the last of `bytes` is through that come at `at`.
    fn pass(&mut self, at: u64, bytes: u64) -> u64 {
        let Some(rate) = self.bandwidth else { return at };
        let begin = self.busy_us.max(at);
        self.busy_us = begin.saturating_add(transmission_us(bytes, rate));
        self.busy_us
    }
}

fn transmission_us(bytes: u64, rate: u64) -> u64 {
    bytes.saturating_mul(1_000_000) / rate.max(1)
}

impl Way {
    pub(super) const fn new(profile: LinkProfile, latency_us: u64) -> Self {
        Self { profile, latency_us, left_us: 0, arrived_us: 0 }
    }

    /// Sends `len` bytes at `now_us` and says in which pieces they arrive: how long, and when. `behind` bytes are on
    /// the way already.
    pub(super) fn send(
        &mut self,
        rng: &mut Rng,
        (now_us, len, behind): (u64, usize, usize),
        (up, down): (&mut Line, &mut Line),
        mut arrive: impl FnMut(usize, u64),
    ) {
        let mtu = self.profile.mtu.max(64);
        let packets = len.div_ceil(mtu) as u64;
        let free = self.profile.bandwidth.is_none() && up.bandwidth.is_none() && down.bandwidth.is_none();
        if free && self.profile.is_plain() {
            let at = self.arrival(now_us + self.jitter(rng));
            return arrive(len, at);
        }
        let rtt = self.latency_us * 2;
        let rate = if self.profile.loss > 0.0 && !self.profile.is_cut() {
            let congested = congested_rate(mtu, rtt, self.profile.loss);
            Some(self.profile.bandwidth.map_or(congested, |own| own.min(congested)))
        } else {
            self.profile.bandwidth
        };
        let mut rest = len;
        for packet in 0..packets {
            let size = rest.min(mtu);
            rest -= size;
            let copies = if chance(rng, self.profile.duplicate) { 2 } else { 1 };
            let wire = (size as u64 + HEADER) * copies;
            let begin = self.left_us.max(now_us);
            self.left_us = rate.map_or(begin, |rate| begin.saturating_add(transmission_us(wire, rate)));
            let sent = up.pass(self.left_us, wire);
            let followed = behind as u64 / mtu as u64 + packets - packet > DUPLICATE_ACKS;
            let late = self.lateness(rng, rtt, followed);
            let through = down.pass(sent + late, wire);
            let at = self.arrival(through + self.jitter(rng));
            arrive(size, at);
        }
    }

    fn jitter(&self, rng: &mut Rng) -> u64 {
        match us(self.profile.jitter) {
            0 => 0,
            most => rng.below(most + 1),
        }
    }

    /// What loss and disorder add.
    fn lateness(&self, rng: &mut Rng, rtt: u64, followed: bool) -> u64 {
        let rto = (rtt + us(self.profile.jitter) * 4).max(RTO_MIN_US);
        let (mut late, mut pause) = (0u64, if followed { rtt.max(1000) } else { rto });
        for _ in 0..12 {
            if self.profile.is_cut() || !chance(rng, self.profile.loss) {
                break;
            }
            late += pause;
            pause = (pause.max(rto / 2) * 2).min(RTO_MAX_US);
        }
        if chance(rng, self.profile.reorder) {
            late += rng.below((us(self.profile.jitter) * 4).max(5000));
        }
        late
    }

    /// In order, whatever happened on the way.
    fn arrival(&mut self, sent_us: u64) -> u64 {
        self.arrived_us = self.arrived_us.max(sent_us + self.latency_us);
        self.arrived_us
    }
}
