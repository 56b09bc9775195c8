// SPDX-License-Identifier: MIT
//! One stream: its state, its clocks, and what the application does to it.
//!
//! ```text
//! Opening ──SYN-ACK──▶ Open ──CLOSE acked and CLOSE received──▶ Dead
//! Answering ──first ack──▶ Open          any ──RESET, silence──▶ Dead
//! ```
//! The two directions end on their own (`write_shut`, `recv.is_closed()`), so the closing states of the usual diagram
//! are combinations of these. Packets in are in `input`, packets out in `output`.

use super::author::PeerKey;
use super::congestion::Control;
use super::recv::RecvBuffer;
use super::rtt::Rtt;
use super::send::SendBuffer;
use super::types::{CloseReason, Event, PathHint, StreamId, StreamStats};
use super::{Bounds, Config, ConnectOptions};
use crate::base::{Budget, Mono};
use crate::wire::i2cp_gzip::Ports;
use crate::wire::{DestHash, Destination};
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::Duration;

/// Payload size of peers that announce none.
pub(crate) const MTU_DEFAULT: u16 = 1730;
const MTU_MIN: u16 = 512;
/// Timeouts in a row that are enough once the peer has closed and has everything but our close: i2pd forgets a stream that
/// it closed.
const RESENDS_AFTER_CLOSE: u32 = 5;
/// Bytes thrown away after our close before the peer is told.
const DISCARD_MAX: u64 = 64 * 1024;
/// A peer that still sends so long after all of ours arrived is told as well, however little it is.
const DISCARD_TIME: Duration = Duration::from_secs(10);

/// Bytes that a stream may hold each way, and packets that it may have in flight, when there is no memory left.
const SHARE_LEAST: usize = 16 * 1024;
const WINDOW_LEAST: usize = 16;
const WINDOW_CAP: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Our SYN is out.
    Opening,
    /// The peer's SYN came; our SYN-ACK is due or not acknowledged.
    Answering,
    /// Both sides know each other's ids.
    Open,
    /// Over; kept for what is still to be read.
    Dead,
}

/// When to acknowledge.
#[derive(Debug, Default)]
pub(crate) struct AckClock {
    /// In-order packets since the last ack.
    pub(crate) count: u32,
    pub(crate) now: bool,
    pub(crate) at: Option<Mono>,
    /// Packets that still tell the peer to go on after a choke.
    pub(crate) unchoke_left: u8,
}

/// One stream.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) id: u32,
    /// The peer's id of the stream; 0 while unknown.
    pub(crate) remote_id: u32,
    pub(crate) remote: DestHash,
    pub(crate) peer: Option<Destination>,
    pub(crate) peer_key: Option<PeerKey>,
    /// As they stand in our packets: ours first.
    pub(crate) ports: Ports,
    pub(crate) phase: Phase,
    pub(crate) accepted: bool,
    pub(crate) send: SendBuffer,
    /// Most numbers without an ack while the router is short of memory.
    pub(crate) span_cap: u32,
    pub(crate) recv: RecvBuffer,
    pub(crate) rtt: Rtt,
    pub(crate) control: Control,
    pub(crate) mtu: usize,
    pub(crate) our_mtu: u16,
    pub(crate) ack: AckClock,
    pub(crate) rto_at: Option<Mono>,
    pub(crate) backoff: u32,
    pub(crate) probe_at: Option<Mono>,
    pub(crate) probed: bool,
    pub(crate) recheck_at: Option<Mono>,
    pub(crate) pace_at: Mono,
    /// When to look again at what is held back: by pacing, for a fuller packet, or by the two below.
    pub(crate) hold_until: Option<Mono>,
    /// The SYN-ACK waits so long for data to go with it.
    pub(crate) answer_after: Mono,
    /// Data waits so long for the SYN-ACK to arrive first: i2pd kills a stream whose SYN comes late.
    pub(crate) data_after: Mono,
    pub(crate) give_up_at: Option<Mono>,
    pub(crate) hint: PathHint,
    pub(crate) choked: bool,
    /// Packets allowed beyond window and choke: probes.
    pub(crate) credit: u32,
    pub(crate) delay_asked_at: Mono,
    pub(crate) write_shut: bool,
    pub(crate) shut_at: Mono,
    /// The application has given the stream back.
    pub(crate) closed: bool,
    pub(crate) close_sent: bool,
    pub(crate) close_acked: bool,
    pub(crate) flushed_told: bool,
    pub(crate) reset_due: bool,
    /// The stream is over, but the peer does not know yet that its CLOSE came.
    pub(crate) last_ack_due: bool,
    pub(crate) last_heard: Mono,
    pub(crate) keepalive_due: bool,
    pub(crate) wants_writable: bool,
    pub(crate) readable_told: bool,
    pub(crate) blocked_by_peer: bool,
    pub(crate) discarded: u64,
    pub(crate) interactive: bool,
    pub(crate) resends_max: u32,
    bounds: Bounds,
    pub(crate) keepalive: Duration,
    pub(crate) linger: Duration,
    pub(crate) ended: Option<CloseReason>,
    /// The last snapshot of the living stream.
    /// Number of our close if it was all that was not acknowledged at the end.
    pub(crate) close_left: Option<u32>,
    pub(crate) ended_with: Option<StreamStats>,
    pub(crate) stats: StreamStats,
}

impl Connection {
    pub(crate) fn new(
        now: Mono,
        id: u32,
        remote: DestHash,
        ports: Ports,
        phase: Phase,
        config: &Config,
    ) -> Self {
        Self {
            id,
            remote_id: 0,
            remote,
            peer: None,
            peer_key: None,
            ports,
            phase,
            accepted: phase == Phase::Opening,
            send: SendBuffer::new(config.bounds.unsent),
            span_cap: u32::MAX,
            recv: RecvBuffer::new(config.bounds.unread, config.bounds.ahead),
            rtt: Rtt::default(),
            control: Control::new(config.window_max.max(1)),
            mtu: usize::from(MTU_DEFAULT.min(config.mtu)),
            our_mtu: config.mtu.max(MTU_MIN),
            ack: AckClock::default(),
            rto_at: None,
            backoff: 0,
            probe_at: None,
            probed: false,
            recheck_at: None,
            pace_at: now,
            hold_until: None,
            answer_after: now,
            data_after: now,
            give_up_at: None,
            hint: PathHint::Keep,
            choked: false,
            credit: 0,
            delay_asked_at: Mono::default(),
            write_shut: false,
            shut_at: now,
            closed: false,
            close_sent: false,
            close_acked: false,
            flushed_told: false,
            reset_due: false,
            last_ack_due: false,
            last_heard: now,
            keepalive_due: false,
            wants_writable: false,
            readable_told: false,
            blocked_by_peer: false,
            discarded: 0,
            interactive: config.interactive,
            resends_max: config.resends_max.max(1),
            bounds: config.bounds,
            keepalive: config.keepalive,
            linger: config.half_close_linger,
            ended: None,
            ended_with: None,
            close_left: None,
            stats: StreamStats::default(),
        }
    }

    /// Applies the settings of one outgoing stream.
    pub(crate) fn set_options(&mut self, now: Mono, options: ConnectOptions, config: &Config) {
        self.interactive = options.interactive.unwrap_or(config.interactive);
        self.give_up_at = Some(now + options.timeout.unwrap_or(config.connect_timeout));
    }

    /// Takes the peer's largest payload from its SYN.
    pub(crate) fn set_mtu(&mut self, theirs: Option<u16>) {
        let theirs = theirs.unwrap_or(MTU_DEFAULT).max(MTU_MIN);
        self.mtu = usize::from(theirs.min(self.our_mtu));
    }

    pub(crate) fn stream_id(&self) -> StreamId {
        StreamId(self.id)
    }

    /// Whether the stream can be forgotten.
    pub(crate) fn is_done(&self) -> bool {
        self.phase == Phase::Dead && !self.reset_due && !self.last_ack_due && (self.closed || !self.accepted)
    }

    /// Memory held, about.
    pub(crate) fn memory(&self) -> usize {
        size_of::<Self>() + self.send.memory() + self.recv.memory()
    }

    /// Keeps to what the budget leaves: takes less from the program and from the peer. What was taken is kept.
    pub(crate) fn fit(&mut self, budget: &Budget) {
        let choked_before = self.recv.is_choking();
        self.send.set_unsent_max(budget.share(self.bounds.unsent, SHARE_LEAST));
        let recv = budget.share(self.bounds.unread, 2 * SHARE_LEAST);
        self.recv.set_bytes_max(if self.accepted { recv } else { recv.min(self.bounds.unaccepted) });
        if choked_before && !self.recv.is_choking() {
            self.unchoke();
        }
        let window = budget.share(WINDOW_CAP, WINDOW_LEAST);
        self.span_cap =
            if window == WINDOW_CAP { u32::MAX } else { u32::try_from(window).unwrap_or(u32::MAX) };
    }

    /// The stream is over, for `reason`.
    pub(crate) fn end(&mut self, reason: CloseReason, events: &mut VecDeque<Event>) {
        if self.phase == Phase::Dead {
            return;
        }
        self.phase = Phase::Dead;
        self.ended = Some(reason);
        self.ended_with = Some(self.snapshot());
        self.close_left = self.send.unacked_close();
        self.send = SendBuffer::with_next(self.send.next());
        self.rto_at = None;
        self.probe_at = None;
        self.recheck_at = None;
        self.hold_until = None;
        self.give_up_at = None;
        self.ack.at = None;
        events.push_back(Event::Closed { id: self.stream_id(), reason });
    }

    /// Whether writes are taken.
    pub(crate) const fn can_write(&self) -> bool {
        !self.write_shut && !self.closed && !matches!(self.phase, Phase::Dead) && !self.send.is_exhausted()
    }

    pub(crate) fn write(&mut self, now: Mono, data: Bytes) -> usize {
        if !self.can_write() {
            return 0;
        }
        let offered = data.len();
        let taken = self.send.write(now, data);
        self.wants_writable |= taken < offered;
        taken
    }

    /// Takes received bytes. Tells the peer to go on when the buffer has been emptied far enough.
    pub(crate) fn read(&mut self, max: usize) -> Option<Bytes> {
        let choked_before = self.recv.is_choking();
        let bytes = self.recv.read(max);
        if self.recv.readable() == 0 {
            self.readable_told = false;
        }
        if choked_before && !self.recv.is_choking() {
            self.unchoke();
        }
        bytes
    }

    /// Tells the peer to go on.
    const fn unchoke(&mut self) {
        self.ack.unchoke_left = 8;
        self.ack.now = true;
    }

    pub(crate) fn shutdown_write(&mut self, now: Mono) {
        if !self.write_shut {
            self.write_shut = true;
            self.shut_at = now;
        }
    }

    /// The application is done with the stream.
    pub(crate) fn close(&mut self, now: Mono, events: &mut VecDeque<Event>) {
        if self.closed {
            return;
        }
        let unused = self.phase == Phase::Opening && self.send.unsent() == 0 && !self.send.has_taken_bytes();
        self.shutdown_write(now);
        self.closed = true;
        self.recv.discard();
        if unused {
            self.reset(events);
        } else if self.phase != Phase::Dead && self.give_up_at.is_none() {
            self.give_up_at = Some(now + self.bounds.close_silence);
        }
    }

    pub(crate) fn reset(&mut self, events: &mut VecDeque<Event>) {
        self.closed = true;
        if self.phase != Phase::Dead {
            self.reset_due = self.send.next() > 0 || self.remote_id != 0;
            self.end(CloseReason::ResetLocally, events);
        }
    }

    /// Looks whether something has come to its end.
    pub(crate) fn settle(&mut self, now: Mono, events: &mut VecDeque<Event>) {
        if self.phase == Phase::Dead {
            return;
        }
        if self.write_shut && !self.flushed_told && self.is_flushed() {
            self.flushed_told = true;
            self.shut_at = now;
            events.push_back(Event::Flushed(self.stream_id()));
        }
        if self.close_acked && self.recv.is_closed() {
            self.last_ack_due = self.ack.now || self.ack.at.is_some();
            self.end(CloseReason::Graceful, events);
        } else if self.closed
            && (self.discarded > DISCARD_MAX
                || self.discarded > 0 && self.close_acked && self.shut_at + DISCARD_TIME <= now)
        {
            self.reset_due = true;
            self.end(CloseReason::ResetLocally, events);
        } else if self.send.is_exhausted() {
            self.shutdown_write(now);
        }
    }

    /// Whether all that was written has arrived.
    fn is_flushed(&self) -> bool {
        self.send.unsent() == 0 && self.send.all_acked() && self.phase == Phase::Open
    }

    /// When a half-closed stream may send its CLOSE.
    fn linger_ends(&self) -> Option<Mono> {
        let held = self.write_shut
            && !self.closed
            && !self.close_sent
            && !self.recv.is_closed()
            && self.flushed_told;
        held.then(|| self.shut_at.max(self.last_heard) + self.linger.max(self.rtt.smoothed_or_guess() * 3))
    }

    /// Whether the CLOSE belongs behind what was sent.
    pub(crate) fn wants_close(&self, now: Mono) -> bool {
        self.write_shut
            && !self.close_sent
            && self.send.unsent() == 0
            && (self.closed || self.recv.is_closed() || self.linger_ends().is_some_and(|at| at <= now))
    }

    /// When an idle peer is asked whether it is there. That one of us has ended its direction makes no difference to the
    /// other, who may wait for the rest: the question is the CLOSE again then, since no number may follow it.
    fn keepalive_at(&self) -> Option<Mono> {
        let half_closed = self.close_acked && !self.closed && !self.recv.is_closed();
        let idle = self.phase == Phase::Open
            && (!self.close_sent || half_closed)
            && !self.keepalive.is_zero()
            && self.send.all_acked();
        // Spread, so that the streams of one program do not ask in the same moment.
        idle.then(|| self.last_heard + self.keepalive + Duration::from_millis(u64::from(self.id % 10_000)))
    }

    /// Restarts the clocks that watch what is in flight.
    pub(crate) fn arm(&mut self, now: Mono) {
        if self.phase == Phase::Dead {
            return;
        }
        let waiting =
            self.send.in_flight() > 0 || self.send.has_lost() || (self.choked && self.send.unsent() > 0);
        if !waiting {
            self.rto_at = None;
            self.probe_at = None;
        } else if self.rto_at.is_none() {
            self.rto_at = Some(now + self.rtt.timeout(self.backoff));
        }
    }

    /// The earliest moment at which something has to be done.
    pub(crate) fn deadline(&self) -> Option<Mono> {
        if self.phase == Phase::Dead {
            return None;
        }
        let lingering = self.linger_ends();
        [
            self.rto_at,
            self.probe_at,
            self.recheck_at,
            self.hold_until,
            self.give_up_at,
            self.ack.at,
            lingering,
            if self.keepalive_due { None } else { self.keepalive_at() },
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Does what is due. Packets that follow from it are polled.
    pub(crate) fn on_timer(&mut self, now: Mono, events: &mut VecDeque<Event>) {
        if self.phase == Phase::Dead {
            return;
        }
        let due = |at: Option<Mono>| at.is_some_and(|at| at <= now);
        if due(self.give_up_at) {
            self.give_up(events);
            return;
        }
        if due(self.hold_until) {
            self.hold_until = None;
        }
        if due(self.ack.at) {
            self.ack.at = None;
            self.ack.now = true;
        }
        if due(self.recheck_at) {
            self.recheck_at = None;
            self.find_losses(now);
        }
        if due(self.keepalive_at()) {
            self.keepalive_due = true;
        }
        if due(self.rto_at) {
            self.on_timeout(now, events);
        } else if due(self.probe_at) {
            self.probe_at = None;
            self.probed = true;
            // The oldest: it may be all that the peer waits for, and its ack tells of the others as well as any.
            self.credit += u32::from(self.send.lose_first());
        }
    }

    fn give_up(&mut self, events: &mut VecDeque<Event>) {
        let reason = match self.phase {
            Phase::Opening => CloseReason::ConnectTimeout,
            _ if !self.accepted => CloseReason::NotAccepted,
            _ if self.close_acked => CloseReason::Graceful,
            _ => CloseReason::PeerSilent,
        };
        self.reset_due = self.phase != Phase::Opening;
        self.end(reason, events);
    }

    fn on_timeout(&mut self, now: Mono, events: &mut VecDeque<Event>) {
        self.rto_at = None;
        self.probe_at = None;
        self.backoff = self.backoff.saturating_add(1);
        self.stats.timeouts += 1;
        let peer_closed = self.recv.is_closed();
        // One that has closed its half alone still wants what we have.
        let enough = match peer_closed && self.send.only_close_left() {
            true => RESENDS_AFTER_CLOSE,
            false if self.close_acked || self.send.only_a_question_left() => self.bounds.questions,
            false => self.resends_max,
        };
        let limit = enough.min(self.resends_max);
        if self.phase != Phase::Opening && self.backoff > limit {
            // A peer that has closed and is gone took our CLOSE for granted.
            let fine = peer_closed && self.close_sent && self.send.only_close_left();
            self.end(if fine { CloseReason::Graceful } else { CloseReason::PeerSilent }, events);
            return;
        }
        // An open stream's first timeout may be a loss like any other; a SYN may have a bad path from the start. And
        // a peer that has closed may have forgotten the stream, which says nothing about the path.
        let tries = if self.phase == Phase::Open { self.backoff } else { self.backoff + 1 };
        self.hint = match tries {
            _ if peer_closed && self.close_sent => PathHint::Keep,
            0 | 1 => PathHint::Keep,
            n if n % 2 == 0 => PathHint::SwitchTunnel,
            _ => PathHint::SwitchLease,
        };
        if self.choked {
            self.send.lose_first();
        } else {
            self.send.lose_all();
            self.control.on_timeout();
        }
        self.credit = 1;
        self.probed = false;
        self.rto_at = Some(now + self.rtt.timeout(self.backoff));
    }

    /// Looks for losses and says how many packets were found.
    pub(crate) fn find_losses(&mut self, now: Mono) -> u32 {
        let (lost, again) = self.send.detect_losses(now, self.rtt.smoothed_or_guess());
        self.recheck_at = again;
        lost
    }

    /// All of ours is acknowledged: the peer has a while left to close.
    pub(crate) fn on_close_acked(&mut self, now: Mono) {
        self.close_acked = true;
        if self.closed {
            self.give_up_at = Some(now + self.bounds.close_wait);
        }
    }

    /// The peer is alive and takes data.
    pub(crate) fn on_progress(&mut self, now: Mono) {
        self.backoff = 0;
        self.probed = false;
        self.hint = PathHint::Keep;
        self.rto_at = None;
        self.probe_at = None;
        if self.closed && !self.close_acked && self.phase == Phase::Open {
            self.give_up_at = Some(now + self.bounds.close_silence);
        }
        self.arm(now);
        if self.send.in_flight() > 0 {
            self.probe_at = Some(now + self.rtt.probe_timeout());
        }
    }

    pub(crate) fn snapshot(&self) -> StreamStats {
        StreamStats {
            srtt_us: micros(self.rtt.smoothed()),
            min_rtt_us: micros(self.rtt.least()),
            window: self.control.window(),
            in_flight: self.send.in_flight(),
            rate: self.control.rate(),
            choked: self.choked,
            ..self.stats
        }
    }
}

fn micros(d: Option<Duration>) -> u64 {
    d.map_or(0, |d| u64::try_from(d.as_micros()).unwrap_or(u64::MAX))
}
