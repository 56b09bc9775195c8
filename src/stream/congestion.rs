// SPDX-License-Identifier: MIT
//! How much may be in flight, and how fast it goes out: a sender that is led by the delivery rate.
//!
//! Every ack yields a sample of the rate at which the path delivers. The largest of the last ten round trips is the
//! path's bandwidth; with the least round trip it tells how much belongs in flight. A new stream doubles its window
//! each round trip until the rate stops rising, drains the queue it made, then holds the rate and tries a little more
//! in one phase of eight. Loss alone is not taken for congestion, because tunnels lose for other reasons; loss
//! together with a longer round trip, or a lot of it, lowers a ceiling that rises again slowly.
//!
//! All amounts are packets: a tunnel's cost is per message, and peers' buffers count packets.

use super::rtt::Rtt;
use crate::base::Mono;
use std::time::Duration;

const WINDOW_INITIAL: f64 = 10.0;
const WINDOW_MIN: f64 = 4.0;
/// Window towards a peer that has not shown yet that it can take more.
const WINDOW_CAUTIOUS: u32 = 128;
/// Below what we keep ourselves, and what i2pd keeps with its largest window.
const SPAN_MAX: u32 = 508;
const GAIN_STARTUP: f64 = 2.0 / std::f64::consts::LN_2;
const GAIN_WINDOW: f64 = 2.0;
/// A queue this short is nobody's concern, while an estimate below the scheduling noise of a machine starves the path.
const QUEUE_MIN_S: f64 = 0.020;
/// Packets on top of the estimate, for acks that come in bunches.
const HEADROOM: f64 = 32.0;
/// Rounds and phases last at least this long: within less, the machine's own pauses outweigh the path.
const ROUND_MIN: Duration = Duration::from_millis(50);
const CYCLE: [f64; 8] = [1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
const BANDWIDTH_ROUNDS: u64 = 10;
/// Loss of a round above which it counts as congestion: with a longer round trip, and without.
const LOSS_WITH_DELAY: f64 = 0.02;
const LOSS_ALONE: f64 = 0.20;
/// The same where round trips are short: there are no long queues to see there, and no tunnels that lose by chance.
const LOSS_NEARBY: f64 = 0.03;
const NEARBY: Duration = Duration::from_millis(20);
const BACK_OFF: f64 = 0.7;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Startup,
    Drain,
    Cruise { phase: usize, since: Mono },
    ProbeRtt { until: Mono, least: Option<Duration> },
}

/// What a packet remembers of the moment it was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    delivered: u64,
    delivered_at: Mono,
    first_sent_at: Mono,
    sent_at: Mono,
    app_limited: bool,
}

/// What one ack told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AckFacts {
    /// Packets newly acknowledged.
    pub(crate) acked: u32,
    /// Packets newly found lost.
    pub(crate) lost: u32,
    /// Packets that had been called lost and arrived after all.
    pub(crate) spurious: u32,
    /// Packets in flight before this ack.
    pub(crate) in_flight_before: u32,
    /// Packets in flight now.
    pub(crate) in_flight: u32,
    /// The newly acknowledged packet that was sent last.
    pub(crate) newest: Option<Stamp>,
    /// Round trip, if a packet sent only once gave one.
    pub(crate) rtt: Option<Duration>,
}

/// Controller of one stream.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    mode: Mode,
    window: f64,
    /// Ceiling found by congestion; infinite while none was met.
    ceiling: f64,
    cap: u32,
    cap_max: u32,
    delivered: u64,
    delivered_at: Mono,
    first_sent_at: Mono,
    app_limited_until: u64,
    round: u64,
    round_ends_at: u64,
    round_began: Mono,
    round_acked: u32,
    round_lost: u32,
    round_peak: u32,
    round_least: Option<Duration>,
    /// Largest samples (round, packets per second), decreasing.
    bandwidth: [(u64, f64); 3],
    full_rate: f64,
    full_rounds: u32,
    calm_packets: u64,
    /// Rounds at the ceiling without congestion.
    calm_rounds: u32,
}

impl Control {
    /// A controller whose window never passes `cap_max`.
    pub(crate) fn new(cap_max: u32) -> Self {
        Self {
            mode: Mode::Startup,
            window: WINDOW_INITIAL,
            ceiling: f64::INFINITY,
            cap: cap_max.min(WINDOW_CAUTIOUS),
            cap_max,
            delivered: 0,
            delivered_at: Mono::default(),
            first_sent_at: Mono::default(),
            app_limited_until: 0,
            round: 0,
            round_ends_at: 0,
            round_began: Mono::default(),
            round_acked: 0,
            round_lost: 0,
            round_peak: 0,
            round_least: None,
            bandwidth: [(0, 0.0); 3],
            full_rate: 0.0,
            full_rounds: 0,
            calm_packets: 0,
            calm_rounds: 0,
        }
    }

    /// Estimated bandwidth in packets per second; 0 before the first sample.
    pub(crate) const fn rate(&self) -> f64 {
        self.bandwidth[0].1
    }

    /// Most packets in flight now.
    pub(crate) fn window(&self) -> u32 {
        let bound =
            self.window.min(self.ceiling).min(f64::from(self.cap)).max(WINDOW_MIN.min(f64::from(self.cap)));
        to_u32(bound)
    }

    /// Most numbers between the oldest packet without an ack and the newest: peers keep so many out of order.
    pub(crate) fn span_max(&self) -> u32 {
        self.cap.saturating_mul(2).min(SPAN_MAX)
    }

    /// Time between two packets; zero while nothing is known of the path.
    pub(crate) fn interval(&self, rtt: &Rtt) -> Duration {
        let Some(smoothed) = rtt.smoothed() else { return Duration::ZERO };
        let gain = match self.mode {
            Mode::Startup => GAIN_STARTUP,
            Mode::Drain => 1.0 / GAIN_STARTUP,
            Mode::Cruise { phase, .. } => CYCLE.get(phase).copied().unwrap_or(1.0),
            Mode::ProbeRtt { .. } => 1.0,
        };
        let from_window = self.window / smoothed.as_secs_f64().max(1e-4);
        let rate = match self.mode {
            Mode::Startup => GAIN_STARTUP * self.rate().max(from_window),
            // Nearby, the window alone governs: pacing by an estimate that a pause has lowered would keep it low.
            _ if self.rate() > 0.0 => {
                (gain * self.rate()).max(self.floor() / smoothed.as_secs_f64().max(1e-4))
            }
            _ => from_window * 1.25,
        };
        if rate <= 0.0 { Duration::ZERO } else { Duration::from_secs_f64((1.0 / rate).min(1.0)) }
    }

    /// Stamps a packet that goes out while `in_flight` others are on their way.
    pub(crate) fn on_send(&mut self, now: Mono, in_flight: u32) -> Stamp {
        if in_flight == 0 {
            self.first_sent_at = now;
            self.delivered_at = now;
        }
        self.round_peak = self.round_peak.max(in_flight.saturating_add(1));
        Stamp {
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            first_sent_at: self.first_sent_at,
            sent_at: now,
            app_limited: self.app_limited_until > self.delivered,
        }
    }

    /// The application had nothing to send though the window was open.
    pub(crate) fn on_idle(&mut self, in_flight: u32) {
        self.app_limited_until = self.delivered.saturating_add(u64::from(in_flight)).max(1);
    }

    /// A choke: the peer cannot take what we send.
    pub(crate) fn on_choke(&mut self) {
        self.cap = (self.cap / 2).max(WINDOW_CAUTIOUS.min(self.cap_max) / 2);
        self.calm_packets = 0;
    }

    /// Everything in flight was given up.
    pub(crate) fn on_timeout(&mut self) {
        self.window = WINDOW_MIN;
        self.ceiling = f64::INFINITY;
        self.full_rounds = 0;
        if self.mode == Mode::Drain {
            self.mode = Mode::Cruise { phase: 2, since: self.delivered_at };
        }
    }

    /// Takes what an ack told. `rtt` already holds the sample.
    pub(crate) fn on_ack(&mut self, now: Mono, facts: &AckFacts, rtt: &mut Rtt) {
        self.delivered = self.delivered.saturating_add(u64::from(facts.acked));
        self.round_acked = self.round_acked.saturating_add(facts.acked);
        self.round_lost = self.round_lost.saturating_add(facts.lost).saturating_sub(facts.spurious);
        if let Some(r) = facts.rtt {
            self.round_least = Some(self.round_least.map_or(r, |l| l.min(r)));
        }
        self.raise_cap(facts.acked);
        let Some(newest) = facts.newest else { return };
        self.delivered_at = now;
        self.first_sent_at = newest.sent_at;
        // While starting, every round trip counts; later, pauses of the machine must not fill the memory of rounds.
        let long = self.mode == Mode::Startup || now.since(self.round_began) >= ROUND_MIN;
        let round_over = newest.delivered >= self.round_ends_at && long;
        self.sample_rate(now, &newest, rtt);
        if round_over {
            self.round = self.round.saturating_add(1);
            self.round_ends_at = self.delivered;
            self.round_began = now;
            self.end_round(rtt, &newest);
        }
        self.change_mode(now, facts, rtt);
        self.set_window(facts, rtt);
    }

    fn raise_cap(&mut self, acked: u32) {
        self.calm_packets = self.calm_packets.saturating_add(u64::from(acked));
        if self.cap < self.cap_max && self.calm_packets > u64::from(self.cap) * 4 {
            let was_short = self.round_peak.saturating_mul(10) >= self.cap.saturating_mul(9);
            self.cap = self.cap.saturating_mul(2).min(self.cap_max);
            self.calm_packets = 0;
            // The cap, not the path, was what held the stream: look for the path's rate once more.
            if was_short && self.ceiling.is_infinite() {
                self.mode = Mode::Startup;
                self.full_rate = self.rate();
                self.full_rounds = 0;
            }
        }
    }

    fn sample_rate(&mut self, now: Mono, newest: &Stamp, rtt: &Rtt) {
        let acked_in = now.since(newest.delivered_at);
        let sent_in = newest.sent_at.since(newest.first_sent_at);
        let interval = acked_in.max(sent_in);
        // Shorter than a round trip: the clock was read too coarsely to mean anything.
        if interval.is_zero() || rtt.least().is_some_and(|least| interval < least) {
            return;
        }
        let packets = self.delivered.saturating_sub(newest.delivered);
        let rate = packets as f64 / interval.as_secs_f64();
        if !newest.app_limited || rate >= self.rate() {
            self.push_bandwidth(rate);
        }
    }

    /// Keeps the three best samples of the last rounds (the windowed maximum of Kathleen Nichols).
    fn push_bandwidth(&mut self, rate: f64) {
        let sample = (self.round, rate);
        let [best, second, third] = &mut self.bandwidth;
        if rate >= best.1 || self.round.saturating_sub(third.0) > BANDWIDTH_ROUNDS {
            self.bandwidth = [sample; 3];
            return;
        }
        if rate >= second.1 {
            *second = sample;
            *third = sample;
        } else if rate >= third.1 {
            *third = sample;
        }
        if self.round.saturating_sub(best.0) > BANDWIDTH_ROUNDS {
            self.bandwidth = [*second, *third, sample];
        } else if second.0 == best.0 && self.round.saturating_sub(best.0) > BANDWIDTH_ROUNDS / 4 {
            *second = sample;
            *third = sample;
        } else if third.0 == second.0 && self.round.saturating_sub(second.0) > BANDWIDTH_ROUNDS / 2 {
            *third = sample;
        }
    }

    /// Judges the round that has just ended.
    fn end_round(&mut self, rtt: &Rtt, newest: &Stamp) {
        let (acked, lost) = (f64::from(self.round_acked), f64::from(self.round_lost));
        let loss = lost / (acked + lost).max(1.0);
        let slower = match (self.round_least, rtt.least()) {
            (Some(round), Some(least)) => {
                round > least * 5 / 4 + rtt.variation() * 2 + Duration::from_millis(5)
            }
            _ => false,
        };
        let nearby = rtt.smoothed().is_some_and(|s| s < NEARBY);
        let limit = match (slower, nearby) {
            (true, _) => LOSS_WITH_DELAY,
            (false, true) => LOSS_NEARBY,
            (false, false) => LOSS_ALONE,
        };
        let congested = self.round_lost >= 3 && loss > limit;
        let peak = f64::from(self.round_peak);
        if congested {
            self.ceiling = (peak.min(self.ceiling) * BACK_OFF).max(WINDOW_MIN);
            self.full_rounds = self.full_rounds.max(3);
            self.calm_rounds = 0;
        } else if self.ceiling.is_finite() && peak >= self.ceiling * 0.8 {
            // Carefully at first, then faster: what was congested then need not be now.
            self.calm_rounds = self.calm_rounds.saturating_add(1);
            let step = f64::from(1u32 << (self.calm_rounds / 4).min(3)) / 16.0;
            self.ceiling += (self.ceiling * step).max(1.0);
            if self.ceiling > f64::from(self.cap_max) {
                self.ceiling = f64::INFINITY;
            }
        }
        if !newest.app_limited && self.mode == Mode::Startup && !congested {
            if self.rate() >= self.full_rate * 1.25 {
                self.full_rate = self.rate();
                self.full_rounds = 0;
            } else {
                self.full_rounds = self.full_rounds.saturating_add(1);
            }
        }
        self.round_acked = 0;
        self.round_lost = 0;
        self.round_peak = 0;
        self.round_least = None;
    }

    fn change_mode(&mut self, now: Mono, facts: &AckFacts, rtt: &mut Rtt) {
        let round_trip = rtt.least().unwrap_or(Duration::from_millis(100)).max(ROUND_MIN);
        match self.mode {
            Mode::Startup if self.full_rounds >= 3 => self.mode = Mode::Drain,
            Mode::Drain if f64::from(facts.in_flight) <= self.in_pipe(rtt) => {
                self.mode = Mode::Cruise { phase: 2, since: now };
            }
            Mode::Cruise { phase, since } => {
                let long = now.since(since) > round_trip;
                let drained = phase == 1 && f64::from(facts.in_flight) <= self.in_pipe(rtt);
                // A round with losses ends the phase that tries more.
                let pushed = phase == 0 && facts.lost > 0 && self.ceiling.is_finite();
                if long || drained || pushed {
                    self.mode = Mode::Cruise { phase: (phase + 1) % CYCLE.len(), since: now };
                }
            }
            Mode::ProbeRtt { until, least } => {
                let least = match (least, facts.rtt) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
                if now >= until {
                    rtt.renew_least(now, least);
                    self.mode = Mode::Cruise { phase: 2, since: now };
                } else {
                    self.mode = Mode::ProbeRtt { until, least };
                }
            }
            Mode::Startup | Mode::Drain => {}
        }
        if matches!(self.mode, Mode::Cruise { .. }) && rtt.least_is_stale(now) {
            let long = rtt.smoothed_or_guess().max(Duration::from_millis(200));
            self.mode = Mode::ProbeRtt { until: now + long, least: None };
        }
    }

    /// Packets that are never too many.
    fn floor(&self) -> f64 {
        self.rate() * QUEUE_MIN_S + HEADROOM
    }

    /// Packets that fill the path without a queue worth the name.
    fn in_pipe(&self, rtt: &Rtt) -> f64 {
        let least = rtt.least().or(rtt.smoothed()).map_or(0.1, |l| l.as_secs_f64());
        self.rate() * least.max(QUEUE_MIN_S / 2.0) + HEADROOM / 4.0
    }

    fn set_window(&mut self, facts: &AckFacts, rtt: &Rtt) {
        let acked = f64::from(facts.acked);
        let cap = f64::from(self.cap);
        if self.mode == Mode::Startup || self.rate() <= 0.0 {
            // Growing a window that is not used would let a later burst loose on the path.
            if f64::from(facts.in_flight_before) >= self.window * 0.5 {
                self.window = (self.window + acked).min(cap);
            }
            return;
        }
        let least = rtt.least().or(rtt.smoothed()).map_or(0.1, |l| l.as_secs_f64());
        let mut target = (GAIN_WINDOW * self.rate() * least + HEADROOM).max(self.floor());
        if matches!(self.mode, Mode::ProbeRtt { .. }) {
            target = (self.rate() * least * 0.5).max(WINDOW_INITIAL);
        }
        let target = target.clamp(WINDOW_MIN, cap.max(WINDOW_MIN));
        self.window = if self.window < target { (self.window + acked).min(target) } else { target };
    }
}

/// Rounds down; the values are bounded by a window.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bounded by the cap, never negative"
)]
fn to_u32(x: f64) -> u32 {
    x.clamp(0.0, 1e6) as u32
}
