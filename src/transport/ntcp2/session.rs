// SPDX-License-Identifier: MIT
//! The data phase of one NTCP2 connection, without I/O.
//!
//! The owner reads into a buffer and gives it to [`Session::read`], which opens every complete frame in place; it gives
//! messages to [`Session::write`], which packs them into frames and seals those in the output buffer. Messages come
//! out as one batch per read ([`Session::take_messages`]), everything else as [`Event`]s.
//!
//! After a frame that does not authenticate the session only waits: it ends at a random time later with a Termination,
//! the same for a bad length and a bad tag, so that neither can be told from outside. Spec: NTCP2, "Data phase".

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

use super::DataKeys;
use super::frame::{FRAME_MAX, LENGTH_BYTES, Opener, PAYLOAD_MAX, Sealer};
use super::handshake::{seconds, skew_ms};
use crate::base::{Mono, Now, Rng};
use crate::crypto::aead::TAG_LEN;
use crate::transport::LinkLimits;
use crate::wire::I2np;
use crate::wire::ntcp2_block::{
    self as block, Block, HEADER_BYTES, TerminationReason, blocks, put_date_time, put_i2np, put_padding,
    put_router_info, put_termination,
};
use std::collections::VecDeque;
use std::time::Duration;

/// Payload that messages are packed up to; a longer message gets a frame of its own.
const FRAME_TARGET: usize = 16 * 1024;
/// A session closes after so long without a message in either direction, plus up to [`IDLE_JITTER_MS`].
const IDLE: Duration = Duration::from_secs(115);
const IDLE_JITTER_MS: u64 = 10_000;
/// Padding: at most this share of the frame, counted from at least [`PADDING_BASE`] bytes and at most [`PADDING_MAX`].
const PADDING_PERCENT: usize = 6;
const PADDING_BASE: usize = 256;
const PADDING_MAX: usize = 64;
/// Shortest wait between a bad frame and the close, in milliseconds.
const BAD_FRAME_MS_MIN: u64 = 100;
/// Clocks of an open session may differ by this.
const SKEW_MAX_MS: i64 = 60_000;

/// A fact that the owner passes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The peer sent a RouterInfo, its own or another's: unchecked bytes.
    RouterInfo {
        /// The bytes.
        raw: Vec<u8>,
        /// It asks for flooding.
        flood: bool,
    },
    /// The session is over: write what is in the output buffer and close.
    Closed(Closed),
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// The peer sent this Termination.
    ByPeer(TerminationReason),
    /// We sent this one.
    ByUs(TerminationReason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// A bad frame came; close at the given time.
    Failed(Mono),
    Closed,
}

/// Engine of the data phase.
pub(crate) struct Session {
    sealer: Sealer,
    opener: Opener,
    rng: Rng,
    state: State,
    messages: Vec<I2np>,
    events: VecDeque<Event>,
    events_dropped: u64,
    idle: Duration,
    active: Mono,
    limits: LinkLimits,
}

impl Session {
    /// Starts the data phase.
    pub(crate) fn new(now: Now, mut rng: Rng, keys: &DataKeys) -> Self {
        let idle = IDLE.saturating_add(Duration::from_millis(rng.between(0, IDLE_JITTER_MS)));
        Self {
            sealer: Sealer::new(&keys.send),
            opener: Opener::new(&keys.receive),
            rng,
            state: State::Open,
            messages: Vec::new(),
            events: VecDeque::new(),
            events_dropped: 0,
            idle,
            active: now.mono,
            limits: LinkLimits::USUAL,
        }
    }

    /// Keeps within these limits.
    pub(crate) const fn within(mut self, limits: LinkLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Opens every complete frame in `buf` and answers how many bytes it is done with. The rest must be at the front
    /// of the next call, with more behind it.
    pub(crate) fn read(&mut self, now: Now, buf: &mut [u8]) -> usize {
        let mut done = 0;
        while self.state == State::Open {
            let Some(rest) = buf.get_mut(done..) else { break };
            match self.opener.open(rest) {
                Ok(Some(payload)) => {
                    let end = payload.end.saturating_add(TAG_LEN);
                    let payload = rest.get(payload).unwrap_or_default();
                    self.handle_blocks(now, payload);
                    done = done.saturating_add(end);
                }
                Ok(None) => return done,
                Err(_) => self.bad_frame(now),
            }
        }
        buf.len()
    }

    /// Bytes that must be in the buffer before [`Self::read`] can do more.
    pub(crate) fn needs(&self) -> usize {
        self.opener.needs().min(FRAME_MAX)
    }

    /// The messages that were read, as one batch.
    pub(crate) fn take_messages(&mut self) -> Vec<I2np> {
        std::mem::take(&mut self.messages)
    }

    /// Whether [`Self::take_messages`] has something.
    pub(crate) fn has_messages(&self) -> bool {
        !self.messages.is_empty()
    }

    /// The next fact.
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// RouterInfo blocks that were dropped since the last call because too many came at once.
    pub(crate) fn take_events_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.events_dropped)
    }

    /// Whether messages may still be written.
    pub(crate) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Packs `messages` into frames and appends those to `out`. Messages too long for a frame are dropped, and their
    /// number is the answer.
    pub(crate) fn write(&mut self, now: Now, messages: &mut Vec<I2np>, out: &mut Vec<u8>) -> usize {
        if self.state != State::Open {
            return messages.drain(..).len();
        }
        let mut dropped = 0usize;
        let mut queue = messages.drain(..).peekable();
        while queue.peek().is_some() {
            let frame = Sealer::begin(out);
            while let Some(message) = queue.peek() {
                let (have, add) = (frame.payload_len(out), block::i2np_bytes(message));
                if have > 0 && have.saturating_add(add) > FRAME_TARGET {
                    break;
                }
                if add > PAYLOAD_MAX || !put_i2np(out, message) {
                    dropped = dropped.saturating_add(1);
                }
                queue.next();
            }
            pad(&mut self.rng, out, frame.payload_len(out));
            self.sealer.finish(out, frame);
        }
        self.active = now.mono;
        if self.sealer.is_spent() || self.opener.is_spent() {
            self.close(TerminationReason::Normal, out);
        }
        dropped
    }

    /// Appends a frame with our RouterInfo and the time.
    pub(crate) fn write_info(&mut self, now: Now, raw: &[u8], out: &mut Vec<u8>) {
        if self.state != State::Open {
            return;
        }
        let frame = Sealer::begin(out);
        put_date_time(out, seconds(now));
        put_router_info(out, raw, false);
        pad(&mut self.rng, out, frame.payload_len(out));
        self.sealer.finish(out, frame);
    }

    /// Ends the session from our side: appends a Termination.
    pub(crate) fn close(&mut self, reason: TerminationReason, out: &mut Vec<u8>) {
        if self.state == State::Closed {
            return;
        }
        let frame = Sealer::begin(out);
        put_termination(out, self.opener.frames(), reason);
        pad(&mut self.rng, out, frame.payload_len(out));
        self.sealer.finish(out, frame);
        self.end(Closed::ByUs(reason));
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Mono> {
        match self.state {
            State::Open => Some(self.active.after(self.idle)),
            State::Failed(at) => Some(at),
            State::Closed => None,
        }
    }

    /// The time of [`Self::poll_timeout`] has come.
    pub(crate) fn handle_timeout(&mut self, now: Now, out: &mut Vec<u8>) {
        match self.state {
            State::Open if now.mono >= self.active.after(self.idle) => {
                self.close(TerminationReason::Idle, out)
            }
            State::Failed(at) if now.mono >= at => self.close(TerminationReason::Aead, out),
            _ => {}
        }
    }

    fn end(&mut self, how: Closed) {
        self.state = State::Closed;
        self.events.push_back(Event::Closed(how));
    }

    fn bad_frame(&mut self, now: Now) {
        let most = u64::try_from(self.limits.bad_frame_time.as_millis()).unwrap_or(u64::MAX);
        let wait = self.rng.between(BAD_FRAME_MS_MIN, most.max(BAD_FRAME_MS_MIN));
        self.state = State::Failed(now.mono.after(Duration::from_millis(wait)));
    }

    fn handle_blocks(&mut self, now: Now, payload: &[u8]) {
        for block in blocks(payload) {
            // A malformed block ends the frame, not the session: the bytes did authenticate.
            let Ok(block) = block else { return };
            match block {
                Block::I2np(message) => {
                    self.active = now.mono;
                    self.messages.push(message);
                }
                Block::RouterInfo { flood, raw } if self.events.len() < self.limits.router_infos => {
                    self.events.push_back(Event::RouterInfo { raw: raw.to_vec(), flood });
                }
                Block::RouterInfo { .. } => self.events_dropped = self.events_dropped.saturating_add(1),
                Block::DateTime(peer) => {
                    let skew = skew_ms(peer, now.wall_ms);
                    tracing::trace!(skew, "time of the peer");
                    if skew.abs() > SKEW_MAX_MS {
                        tracing::debug!(skew, "the peer's clock has moved away from ours");
                    }
                }
                Block::Termination { reason, frames } => {
                    tracing::trace!(?reason, frames, "the peer terminates");
                    self.end(Closed::ByPeer(reason));
                    return;
                }
                Block::Options(_) | Block::Padding(_) | Block::Unknown(_) => {}
            }
        }
    }
}

/// Appends a Padding block of random size, unless the frame has no room for it.
fn pad(rng: &mut Rng, out: &mut Vec<u8>, payload: usize) {
    if payload == 0 {
        return;
    }
    let most = (payload.max(PADDING_BASE).saturating_mul(PADDING_PERCENT) / 100).min(PADDING_MAX);
    let size = rng.index(most.saturating_add(1));
    if payload.saturating_add(HEADER_BYTES).saturating_add(size) <= PAYLOAD_MAX {
        put_padding(out, u16::try_from(size).unwrap_or(0));
    }
}

const _: () = assert!(FRAME_TARGET + HEADER_BYTES + PADDING_MAX < PAYLOAD_MAX && LENGTH_BYTES == 2);

#[cfg(test)]
mod tests;
