// SPDX-License-Identifier: MIT
//! What the streams to one peer share: packets in flight, and what the peer may ask of us.

use super::Config;
use crate::base::{Map, Mono};
use crate::wire::DestHash;
use std::time::Duration;

/// How long a peer without streams is remembered, if there are many.
const REMEMBERED: Duration = Duration::from_secs(600);
/// Resets of unknown streams to one peer.
const RESET_EVERY: Duration = Duration::from_secs(10);
/// Answers to pings of one peer.
const PONG_EVERY: Duration = Duration::from_millis(500);
const PERIODS: [Duration; 3] =
    [Duration::from_secs(60), Duration::from_secs(3600), Duration::from_secs(86_400)];

/// Tokens that come back at a rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    tokens: f64,
    at: Mono,
}

impl Bucket {
    pub(crate) fn full(now: Mono, burst: u32) -> Self {
        Self { tokens: f64::from(burst), at: now }
    }

    /// Takes a token, if there is one.
    pub(crate) fn take(&mut self, now: Mono, per_second: u32, burst: u32) -> bool {
        let gained = now.since(self.at).as_secs_f64() * f64::from(per_second);
        self.tokens = (self.tokens + gained).min(f64::from(burst));
        self.at = now;
        let some = self.tokens >= 1.0;
        if some {
            self.tokens -= 1.0;
        }
        some
    }
}

/// Counts in the running minute, hour and day.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quota {
    counts: [(u64, u32); 3],
}

impl Quota {
    /// Counts one more unless a limit is reached; a limit of 0 is none.
    pub(crate) fn take(&mut self, now: Mono, limits: [u32; 3]) -> bool {
        let seconds = now.0 / 1_000_000;
        let mut next = self.counts;
        for ((count, limit), period) in next.iter_mut().zip(limits).zip(PERIODS) {
            let index = seconds / period.as_secs();
            if count.0 != index {
                *count = (index, 0);
            }
            if limit > 0 && count.1 >= limit {
                return false;
            }
            count.1 = count.1.saturating_add(1);
        }
        self.counts = next;
        true
    }
}

/// One peer.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Packets of all streams that wait for their acks.
    pub(crate) in_flight: u32,
    /// Most of these.
    pub(crate) limit: u32,
    /// Streams that wait for room.
    pub(crate) waiting: Vec<u32>,
    pub(crate) streams: u32,
    /// Of those, the ones that it opened and nobody has accepted.
    pub(crate) unaccepted: u32,
    pub(crate) syns: Bucket,
    pub(crate) quota: Quota,
    reset_at: Option<Mono>,
    pong_at: Option<Mono>,
    used_at: Mono,
}

impl Peer {
    fn new(now: Mono, syn_burst: u32) -> Self {
        Self {
            in_flight: 0,
            limit: u32::MAX,
            waiting: Vec::new(),
            streams: 0,
            unaccepted: 0,
            syns: Bucket::full(now, syn_burst),
            quota: Quota::default(),
            reset_at: None,
            pong_at: None,
            used_at: now,
        }
    }

    pub(crate) const fn has_room(&self) -> bool {
        self.in_flight < self.limit
    }

    /// Whether a reset of an unknown stream may go out.
    pub(crate) fn may_reset(&mut self, now: Mono) -> bool {
        due(&mut self.reset_at, now, RESET_EVERY)
    }

    /// Whether a ping may be answered.
    pub(crate) fn may_pong(&mut self, now: Mono) -> bool {
        due(&mut self.pong_at, now, PONG_EVERY)
    }
}

fn due(last: &mut Option<Mono>, now: Mono, every: Duration) -> bool {
    let due = last.is_none_or(|at| now.since(at) >= every);
    if due {
        *last = Some(now);
    }
    due
}

/// The peer's entry, made when it is new.
pub(crate) fn entry<'a>(
    peers: &'a mut Map<DestHash, Peer>,
    now: Mono,
    hash: DestHash,
    config: &Config,
) -> &'a mut Peer {
    if peers.len() >= config.bounds.peers && !peers.contains_key(&hash) {
        peers.retain(|_, p| p.streams > 0 || now.since(p.used_at) < REMEMBERED);
        if peers.len() >= config.bounds.peers {
            peers.retain(|_, p| p.streams > 0);
        }
    }
    let peer = peers.entry(hash).or_insert_with(|| Peer::new(now, config.syn_per_peer.1));
    peer.used_at = now;
    peer
}
