// SPDX-License-Identifier: MIT
//! The receiving half of a stream: puts packets in order and knows what is missing.
//!
//! Holds at most `Bounds::ahead` numbers beyond the next one and `Bounds::unread` bytes. A packet that does not fit is
//! refused and not acknowledged, so nothing that was acknowledged is ever lost. From half of that on the peer is asked
//! to stop, until less than a quarter is left. When the router is short of memory, the bytes are fewer.

use crate::wire::stream_packet::NACKS_MAX;
use bytes::Bytes;
use std::collections::VecDeque;

/// Memory of a packet besides its payload.
const PACKET_COST: usize = 64;

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Insert {
    /// It was the next one; so many bytes became readable.
    InOrder(usize),
    /// It is kept until the ones before it come.
    OutOfOrder,
    /// It was here before.
    Duplicate,
    /// There is no room: as if it had been lost.
    Refused,
}

#[derive(Debug)]
struct Segment {
    payload: Bytes,
    close: bool,
}

/// Received packets of one stream. Numbers start at 0 with the peer's SYN.
#[derive(Debug)]
pub(crate) struct RecvBuffer {
    /// Bytes kept for the application and out of order, each.
    bytes_max: usize,
    /// What that is while there is memory.
    bytes_most: usize,
    ahead_max: u32,
    next: u32,
    ahead: VecDeque<Option<Segment>>,
    ahead_bytes: usize,
    ready: VecDeque<Bytes>,
    ready_bytes: usize,
    closed: bool,
    discard: bool,
    choking: bool,
}

impl RecvBuffer {
    /// An empty one for so many bytes, and numbers ahead.
    pub(crate) fn new(bytes: usize, ahead: u32) -> Self {
        Self {
            bytes_max: bytes,
            bytes_most: bytes,
            ahead_max: ahead,
            next: 0,
            ahead: VecDeque::new(),
            ahead_bytes: 0,
            ready: VecDeque::new(),
            ready_bytes: 0,
            closed: false,
            discard: false,
            choking: false,
        }
    }

    /// Changes how much is kept; what is here stays.
    pub(crate) fn set_bytes_max(&mut self, bytes: usize) {
        self.bytes_max = bytes.min(self.bytes_most);
    }

    /// Memory held, about.
    pub(crate) fn memory(&self) -> usize {
        self.ready_bytes + self.ahead_bytes + (self.ready.len() + self.ahead.len()) * PACKET_COST
    }

    /// Takes a numbered packet.
    pub(crate) fn insert(&mut self, sequence: u32, payload: &[u8], close: bool) -> Insert {
        if sequence < self.next || self.closed {
            return Insert::Duplicate;
        }
        let distance = sequence - self.next;
        if distance >= self.ahead_max {
            return Insert::Refused;
        }
        if distance == 0 {
            // One packet always fits, whatever the memory.
            if self.ready_bytes > 0 && self.ready_bytes.saturating_add(payload.len()) > self.bytes_max {
                self.choking = true;
                return Insert::Refused;
            }
            let before = self.ready_bytes;
            self.ahead.pop_front();
            self.deliver(Segment { payload: Bytes::copy_from_slice(payload), close });
            self.drain();
            return Insert::InOrder(self.ready_bytes.saturating_sub(before));
        }
        let slot = distance as usize;
        if self.ahead.get(slot).is_some_and(Option::is_some) {
            return Insert::Duplicate;
        }
        if self.ahead_bytes.saturating_add(payload.len()) > self.bytes_max {
            return Insert::Refused;
        }
        if self.ahead.len() <= slot {
            self.ahead.resize_with(slot + 1, || None);
        }
        self.ahead_bytes = self.ahead_bytes.saturating_add(payload.len());
        if let Some(place) = self.ahead.get_mut(slot) {
            *place = Some(Segment { payload: Bytes::copy_from_slice(payload), close });
        }
        Insert::OutOfOrder
    }

    fn deliver(&mut self, segment: Segment) {
        self.next = self.next.saturating_add(1);
        self.closed |= segment.close;
        if !segment.payload.is_empty() && !self.discard {
            self.ready_bytes = self.ready_bytes.saturating_add(segment.payload.len());
            self.ready.push_back(segment.payload);
        }
        if self.ready_bytes >= self.bytes_max / 2 {
            self.choking = true;
        }
    }

    fn drain(&mut self) {
        while !self.closed && matches!(self.ahead.front(), Some(Some(_))) {
            let Some(Some(segment)) = self.ahead.pop_front() else { return };
            self.ahead_bytes = self.ahead_bytes.saturating_sub(segment.payload.len());
            self.deliver(segment);
        }
        if self.closed {
            self.ahead.clear();
            self.ahead_bytes = 0;
        }
    }

    /// Takes up to `max` bytes.
    pub(crate) fn read(&mut self, max: usize) -> Option<Bytes> {
        let front = self.ready.front_mut()?;
        let bytes = if front.len() > max { front.split_to(max) } else { self.ready.pop_front()? };
        self.ready_bytes = self.ready_bytes.saturating_sub(bytes.len());
        Some(bytes)
    }

    /// Nobody reads any more: what is here and what comes is thrown away, and acknowledged as usual.
    pub(crate) fn discard(&mut self) {
        self.discard = true;
        self.ready.clear();
        self.ready_bytes = 0;
        self.choking = false;
    }

    /// Whether received bytes are thrown away.
    pub(crate) const fn is_discarding(&self) -> bool {
        self.discard
    }

    /// Bytes to be read.
    pub(crate) const fn readable(&self) -> usize {
        self.ready_bytes
    }

    /// The number expected next.
    pub(crate) const fn next(&self) -> u32 {
        self.next
    }

    /// Whether the peer's CLOSE came, in order.
    pub(crate) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether something is missing below the highest number.
    pub(crate) fn has_gaps(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// Whether the peer should be choked. The answer changes back only when the buffer has been half emptied.
    pub(crate) fn is_choking(&mut self) -> bool {
        if self.choking && self.ready_bytes <= self.bytes_max / 4 {
            self.choking = false;
        }
        self.choking
    }

    /// Highest number received without a gap.
    pub(crate) const fn in_order_through(&self) -> u32 {
        self.next.saturating_sub(1)
    }

    /// Highest number to acknowledge and the ones missing below it, at most 255 of them.
    pub(crate) fn gaps(&self) -> (u32, Vec<u32>) {
        let mut missing = Vec::new();
        let mut through = self.in_order_through();
        for (number, slot) in (self.next..).zip(&self.ahead) {
            if slot.is_some() {
                through = number;
            } else if missing.len() == NACKS_MAX {
                break;
            } else {
                missing.push(number);
            }
        }
        // Trailing holes lie above what we acknowledge and need no mention.
        missing.retain(|n| *n < through);
        (through, missing)
    }
}
