// SPDX-License-Identifier: MIT
//! Round-trip times of a stream and the timeout that follows from them (RFC 6298, with our bounds).

use crate::base::Mono;
use std::time::Duration;

const RTO_MIN: Duration = Duration::from_millis(300);
const RTO_MAX: Duration = Duration::from_secs(10);
/// Time is read once a turn, so that shorter samples say nothing.
const SAMPLE_MIN: Duration = Duration::from_micros(200);
/// A least round trip is believed for so long.
const MIN_WINDOW: Duration = Duration::from_secs(10);
/// Acks may be held back for so long by a far side that we know nothing about.
const ACK_DELAY: Duration = Duration::from_millis(10);

/// Estimator of one path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rtt {
    smoothed: Option<Duration>,
    variation: Duration,
    least: Option<(Duration, Mono)>,
}

impl Rtt {
    /// Takes a sample of a packet that was sent once only (Karn's rule is the caller's).
    pub(crate) fn sample(&mut self, now: Mono, rtt: Duration) {
        let rtt = rtt.max(SAMPLE_MIN);
        match self.smoothed {
            None => {
                self.smoothed = Some(rtt);
                self.variation = rtt / 2;
            }
            Some(s) => {
                self.variation = (self.variation * 3 + s.abs_diff(rtt)) / 4;
                self.smoothed = Some((s * 7 + rtt) / 8);
            }
        }
        if self.least.is_none_or(|(least, _)| rtt <= least) {
            self.least = Some((rtt, now));
        }
    }

    /// Starts anew after a change of the path, but keeps the smoothed value as a guess.
    pub(crate) fn path_changed(&mut self) {
        self.least = None;
        self.variation = self.variation.max(self.smoothed.unwrap_or_default() / 2);
    }

    /// Smoothed round trip, once known.
    pub(crate) const fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// How far round trips scatter.
    pub(crate) const fn variation(&self) -> Duration {
        self.variation
    }

    /// Smoothed round trip, or what we assume before the first sample.
    pub(crate) fn smoothed_or_guess(&self) -> Duration {
        self.smoothed.unwrap_or(Duration::from_secs(1))
    }

    /// Least round trip of the last seconds.
    pub(crate) fn least(&self) -> Option<Duration> {
        self.least.map(|(least, _)| least)
    }

    /// Whether the least round trip is too old to be believed.
    pub(crate) fn least_is_stale(&self, now: Mono) -> bool {
        self.least.is_some_and(|(_, at)| now.since(at) > MIN_WINDOW)
    }

    /// Replaces the least round trip by one that was measured with a short queue.
    pub(crate) fn renew_least(&mut self, now: Mono, rtt: Option<Duration>) {
        self.least = rtt.map(|r| r.max(SAMPLE_MIN)).or(self.least()).map(|least| (least, now));
    }

    /// Retransmission timeout after `backoff` timeouts in a row.
    pub(crate) fn timeout(&self, backoff: u32) -> Duration {
        match self.smoothed {
            // Nothing is known yet. Soon at first: that a packet which opens a connection was lost, or dropped by somebody who
            // is flooded, is likelier than so long a round trip.
            None => Duration::from_millis(match backoff {
                0 => 1_500,
                1 => 3_000,
                2 => 6_000,
                _ => 9_000,
            }),
            Some(s) => {
                let base = (s + self.variation * 4).clamp(RTO_MIN, RTO_MAX);
                base.saturating_mul(1 << backoff.min(6)).min(RTO_MAX.max(base))
            }
        }
    }

    /// How long after the last packet a probe asks for the ack of a flight's tail.
    pub(crate) fn probe_timeout(&self) -> Duration {
        self.smoothed_or_guess() * 2 + ACK_DELAY
    }
}
