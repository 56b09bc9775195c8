// SPDX-License-Identifier: MIT
//! The sending half of a stream: bytes not yet sent, packets not yet acknowledged, and which of these are lost.
//!
//! A packet keeps its number and its payload until it is acknowledged. Losses are found from what was delivered:
//! a packet is lost when some sent later were acknowledged, counted in packets or in time; both allowances grow
//! when a retransmission turns out to have been needless. Every operation is O(1) per packet on average.

use super::congestion::{AckFacts, Stamp};
use crate::base::Mono;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::time::Duration;

/// Missing packets from which on i2pd acknowledges one too many.
const NACKS_BEFORE_A_LIE: usize = 256;
/// Memory of a packet that waits for its ack, besides its payload.
const SENT_COST: usize = size_of::<Sent>() + 16;
/// Packets sent later that make one lost when they are acknowledged.
const REORDER_PACKETS: u64 = 3;
const REORDER_PACKETS_MAX: u64 = 512;
/// Streams end before this number: some peers count with 31 bits.
const SEQUENCE_MAX: u32 = 0x7fff_0000;

/// What a numbered packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SentKind {
    Syn,
    Data,
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Numbered, not sent yet.
    Fresh,
    Flying,
    Lost,
    Acked,
}

/// A numbered packet that waits for its ack.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) sequence: u32,
    pub(crate) kind: SentKind,
    pub(crate) payload: Bytes,
    /// The signed packet, which must be repeated as it is.
    pub(crate) signed: Option<Bytes>,
    state: State,
    /// Called lost because later ones were acknowledged: if it arrived after all, that was hasty.
    suspected: bool,
    transmissions: u32,
    serial: u64,
    sent_at: Mono,
    stamp: Option<Stamp>,
}

/// What an ack changed.
#[derive(Debug, Default)]
pub(crate) struct Acked {
    pub(crate) facts: AckFacts,
    pub(crate) bytes: usize,
    pub(crate) syn: bool,
    pub(crate) spurious: u32,
}

/// Bytes and packets on their way out.
#[derive(Debug)]
pub(crate) struct SendBuffer {
    chunks: VecDeque<Bytes>,
    unsent: usize,
    /// Most of these: less when the router is short of memory.
    unsent_max: usize,
    /// What that is while there is memory.
    unsent_most: usize,
    /// Payload of packets that wait for their acks.
    sent_bytes: usize,
    taken: bool,
    waiting_since: Mono,
    sent: VecDeque<Sent>,
    next: u32,
    in_flight: u32,
    unacked: u32,
    lost: VecDeque<u32>,
    /// Transmissions in their order: (number, serial).
    order: VecDeque<(u32, u64)>,
    serial: u64,
    /// The acknowledged transmission that was sent last.
    newest: u64,
    newest_sent_at: Mono,
    reorder_packets: u64,
    /// Eighths of a round trip.
    reorder_eighths: u32,
}

impl SendBuffer {
    /// An empty one that accepts so many bytes.
    pub(crate) fn new(unsent: usize) -> Self {
        Self {
            chunks: VecDeque::new(),
            unsent: 0,
            unsent_max: unsent,
            unsent_most: unsent,
            sent_bytes: 0,
            taken: false,
            waiting_since: Mono::default(),
            sent: VecDeque::new(),
            next: 0,
            in_flight: 0,
            unacked: 0,
            lost: VecDeque::new(),
            order: VecDeque::new(),
            serial: 0,
            newest: 0,
            newest_sent_at: Mono::default(),
            reorder_packets: REORDER_PACKETS,
            reorder_eighths: 1,
        }
    }
}

impl SendBuffer {
    /// An empty buffer that goes on counting at `next`.
    pub(crate) fn with_next(next: u32) -> Self {
        Self { next, ..Self::new(crate::stream::Bounds::USUAL.unsent) }
    }

    /// Whether anything was ever written.
    pub(crate) const fn has_taken_bytes(&self) -> bool {
        self.taken
    }

    /// Whether the CLOSE is all that waits for an ack.
    pub(crate) fn only_close_left(&self) -> bool {
        self.unacked == 1 && self.sent.back().is_some_and(|s| s.kind == SentKind::Close)
    }

    /// Number of our close, while that is all that is not acknowledged.
    pub(crate) fn unacked_close(&self) -> Option<u32> {
        self.sent.back().filter(|_| self.only_close_left()).map(|s| s.sequence)
    }

    /// Whether nothing but a question for the peer's life waits for an ack.
    pub(crate) fn only_a_question_left(&self) -> bool {
        self.unacked == 1
            && self.sent.back().is_some_and(|s| s.kind == SentKind::Data && s.payload.is_empty())
    }

    /// Room for further bytes.
    pub(crate) const fn room(&self) -> usize {
        self.unsent_max.saturating_sub(self.unsent)
    }

    /// Room when nothing waits.
    pub(crate) const fn unsent_max(&self) -> usize {
        self.unsent_max
    }

    /// Changes how much is accepted; what is here stays.
    pub(crate) fn set_unsent_max(&mut self, bytes: usize) {
        self.unsent_max = bytes.min(self.unsent_most);
    }

    /// Memory held, about.
    pub(crate) fn memory(&self) -> usize {
        self.unsent + self.sent_bytes + self.sent.len() * SENT_COST
    }

    /// Appends what fits; answers how much.
    pub(crate) fn write(&mut self, now: Mono, mut data: Bytes) -> usize {
        data.truncate(self.room());
        let taken = data.len();
        if taken > 0 {
            if self.unsent == 0 {
                self.waiting_since = now;
            }
            self.taken = true;
            self.unsent = self.unsent.saturating_add(taken);
            self.chunks.push_back(data);
        }
        taken
    }

    /// Bytes not yet in a packet.
    pub(crate) const fn unsent(&self) -> usize {
        self.unsent
    }

    /// Since when the oldest of them waits.
    pub(crate) const fn waiting_since(&self) -> Mono {
        self.waiting_since
    }

    /// Packets in flight.
    pub(crate) const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Numbers from the oldest packet without an ack to the next new one: what the peer has to keep in order.
    pub(crate) fn span(&self) -> u32 {
        self.sent.front().map_or(0, |s| self.next.saturating_sub(s.sequence))
    }

    /// Whether every numbered packet was acknowledged.
    pub(crate) const fn all_acked(&self) -> bool {
        self.unacked == 0
    }

    /// Whether packets wait to be sent again.
    pub(crate) fn has_lost(&mut self) -> bool {
        self.next_lost().is_some()
    }

    /// The number that the next packet gets.
    pub(crate) const fn next(&self) -> u32 {
        self.next
    }

    /// Whether numbers have run out.
    pub(crate) const fn is_exhausted(&self) -> bool {
        self.next >= SEQUENCE_MAX
    }

    /// Cuts the next payload of at most `max` bytes. No copy unless it spans writes.
    pub(crate) fn cut(&mut self, now: Mono, max: usize) -> Bytes {
        let single = self.chunks.len() == 1;
        let payload = match self.chunks.front_mut() {
            None => return Bytes::new(),
            Some(front) if front.len() > max => front.split_to(max),
            Some(front) if single || front.len() == max => self.chunks.pop_front().unwrap_or_default(),
            Some(_) => self.gather(max),
        };
        self.unsent = self.unsent.saturating_sub(payload.len());
        self.waiting_since = now;
        payload
    }

    fn gather(&mut self, max: usize) -> Bytes {
        let mut out = BytesMut::with_capacity(max.min(self.unsent));
        while let Some(front) = self.chunks.front_mut() {
            let part = front.split_to(front.len().min(max.saturating_sub(out.len())));
            out.extend_from_slice(&part);
            if !front.is_empty() {
                break;
            }
            self.chunks.pop_front();
        }
        out.freeze()
    }

    /// Numbers a packet. It is sent by [`Self::transmit`].
    pub(crate) fn push(&mut self, kind: SentKind, payload: Bytes) -> u32 {
        let sequence = self.next;
        self.next = self.next.saturating_add(1);
        self.unacked = self.unacked.saturating_add(1);
        self.sent_bytes = self.sent_bytes.saturating_add(payload.len());
        self.sent.push_back(Sent {
            sequence,
            kind,
            payload,
            signed: None,
            state: State::Fresh,
            suspected: false,
            transmissions: 0,
            serial: 0,
            sent_at: Mono::default(),
            stamp: None,
        });
        sequence
    }

    /// The last packet once more, which was acknowledged and had no payload.
    pub(crate) fn push_again(&mut self, kind: SentKind) -> u32 {
        self.next = self.next.saturating_sub(1);
        self.push(kind, Bytes::new())
    }

    fn slot(&self, sequence: u32) -> Option<usize> {
        let base = self.sent.front()?.sequence;
        Some(sequence.checked_sub(base)? as usize)
    }

    /// The packet with that number, if it waits for its ack.
    pub(crate) fn get(&self, sequence: u32) -> Option<&Sent> {
        self.sent.get(self.slot(sequence)?)
    }

    /// The same, to keep its signed form.
    pub(crate) fn get_mut(&mut self, sequence: u32) -> Option<&mut Sent> {
        let slot = self.slot(sequence)?;
        self.sent.get_mut(slot)
    }

    /// The packet is going out now. Answers whether it is a repetition.
    pub(crate) fn transmit(&mut self, now: Mono, sequence: u32, stamp: Stamp) -> bool {
        self.serial = self.serial.saturating_add(1);
        let serial = self.serial;
        let Some(sent) = self.get_mut(sequence) else { return false };
        let was_flying = sent.state == State::Flying;
        sent.state = State::Flying;
        sent.transmissions = sent.transmissions.saturating_add(1);
        sent.serial = serial;
        sent.sent_at = now;
        sent.stamp = Some(stamp);
        let again = sent.transmissions > 1;
        if !was_flying {
            self.in_flight = self.in_flight.saturating_add(1);
        }
        self.order.push_back((sequence, serial));
        again
    }

    /// The lost packet to send again first.
    pub(crate) fn next_lost(&mut self) -> Option<u32> {
        while let Some(&sequence) = self.lost.front() {
            if self.get(sequence).is_some_and(|s| s.state == State::Lost) {
                return Some(sequence);
            }
            self.lost.pop_front();
        }
        None
    }

    /// Takes an ack for all up to `through` but `missing`. Acks of what was never sent are ignored.
    pub(crate) fn on_ack(
        &mut self,
        now: Mono,
        through: u32,
        missing: &[u32],
        least: Option<Duration>,
    ) -> Acked {
        let mut out = Acked::default();
        out.facts.in_flight_before = self.in_flight;
        let Some(base) = self.sent.front().map(|s| s.sequence) else { return out };
        if through >= self.next {
            return out;
        }
        let through =
            if self.may_be_a_lie(through, missing) { through.checked_sub(1) } else { Some(through) };
        let Some(through) = through.filter(|t| *t >= base) else { return out };
        let mut best = 0;
        let mut sorted = missing.to_vec();
        sorted.sort_unstable();
        let mut skip = sorted.iter().copied().peekable();
        let count = (through - base) as usize + 1;
        for sent in self.sent.iter_mut().take(count) {
            while skip.next_if(|n| *n < sent.sequence).is_some() {}
            if skip.peek() == Some(&sent.sequence) || matches!(sent.state, State::Acked | State::Fresh) {
                continue;
            }
            if sent.state == State::Flying {
                self.in_flight = self.in_flight.saturating_sub(1);
            }
            let was_lost = sent.state == State::Lost;
            sent.state = State::Acked;
            self.unacked = self.unacked.saturating_sub(1);
            out.facts.acked = out.facts.acked.saturating_add(1);
            out.bytes = out.bytes.saturating_add(sent.payload.len());
            self.sent_bytes = self.sent_bytes.saturating_sub(sent.payload.len());
            out.syn |= sent.kind == SentKind::Syn;
            let age = now.since(sent.sent_at);
            let too_soon = sent.transmissions > 1 && least.is_some_and(|l| age < l * 3 / 4);
            out.spurious = out.spurious.saturating_add(u32::from(sent.suspected && (was_lost || too_soon)));
            sent.payload = Bytes::new();
            sent.signed = None;
            if sent.serial > best && !too_soon {
                best = sent.serial;
                out.facts.newest = sent.stamp;
                out.facts.rtt = (sent.transmissions == 1).then_some(age);
                if sent.serial > self.newest {
                    self.newest = sent.serial;
                    self.newest_sent_at = sent.sent_at;
                }
            }
        }
        while self.sent.front().is_some_and(|s| s.state == State::Acked) {
            self.sent.pop_front();
        }
        if self.sent.is_empty() {
            // A quiet stream keeps no memory of its last window.
            self.sent = VecDeque::new();
        }
        if out.spurious > 0 {
            self.reorder_packets = (self.reorder_packets * 2).min(REORDER_PACKETS_MAX);
            self.reorder_eighths = (self.reorder_eighths + 1).min(16);
        }
        out.facts.in_flight = self.in_flight;
        out
    }

    /// i2pd 2.45.1 cannot name more than 255 missing packets. When more are, it acknowledges up to the first one that it
    /// cannot name, and that one with it, although it has not come. It can only be so when it has a packet from
    /// beyond; then the last number of an ack counts with the next ack.
    fn may_be_a_lie(&self, through: u32, missing: &[u32]) -> bool {
        let beyond = (self.next - 1).saturating_sub(through) as usize;
        beyond + missing.len() >= NACKS_BEFORE_A_LIE
    }

    /// Finds losses among packets sent before the newest acknowledged one. Answers how many there are, and when to
    /// look again at those that may yet arrive.
    pub(crate) fn detect_losses(&mut self, now: Mono, round_trip: Duration) -> (u32, Option<Mono>) {
        let patience = round_trip + round_trip * self.reorder_eighths / 8 + Duration::from_millis(1);
        let mut found = 0;
        while let Some(&(sequence, serial)) = self.order.front() {
            let newest = self.newest;
            let limit = self.reorder_packets;
            let Some(sent) =
                self.get_mut(sequence).filter(|s| s.serial == serial && s.state == State::Flying)
            else {
                self.order.pop_front();
                continue;
            };
            if serial >= newest {
                break;
            }
            let due = sent.sent_at + patience;
            if newest - serial < limit && due > now {
                return (found, Some(due));
            }
            sent.state = State::Lost;
            sent.suspected = true;
            self.in_flight = self.in_flight.saturating_sub(1);
            self.lost.push_back(sequence);
            self.order.pop_front();
            found += 1;
        }
        (found, None)
    }

    /// Gives up everything in flight: all of it will be sent again, oldest first.
    pub(crate) fn lose_all(&mut self) {
        self.lost.clear();
        self.order.clear();
        for sent in &mut self.sent {
            if matches!(sent.state, State::Flying | State::Lost) {
                sent.state = State::Lost;
                sent.suspected = false;
                self.lost.push_back(sent.sequence);
            }
        }
        self.in_flight = 0;
    }

    /// Calls the oldest packet in flight lost, so that it is sent again as a probe. Answers whether there was one.
    pub(crate) fn lose_first(&mut self) -> bool {
        let Some(sent) = self.sent.iter_mut().find(|s| s.state == State::Flying) else { return false };
        sent.state = State::Lost;
        sent.suspected = false;
        self.lost.push_front(sent.sequence);
        self.in_flight = self.in_flight.saturating_sub(1);
        true
    }
}
