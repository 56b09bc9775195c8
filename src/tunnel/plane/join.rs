// SPDX-License-Identifier: MIT
//! Joins fragments to messages.
//!
//! Each endpoint tunnel holds its own [`Partials`]; one [`Joiner`] knows the sum and the order of all. A message
//! that is incomplete after the timeout is dropped; a tunnel that holds too many or too much loses its oldest, and
//! so does the router as a whole, so hostile gateways cost bounded memory. Fragments that come in order, as they
//! nearly always do, are copied once.
//! Spec: tunnel message specification, "Tunnel Message Fragmentation".

use std::collections::VecDeque;
use std::time::Duration;

use super::metrics::PlaneMetrics;
use super::table::{SlotKey, Table};
use crate::base::Mono;
use crate::wire::MessageId;
use crate::wire::tunnel_data::{Delivery, Fragment, MESSAGE_MAX};

/// Bounds of reassembly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinLimits {
    /// How long a message may be incomplete. Default 15 s: between i2pd's 8 s and emissary's 45 s.
    pub timeout: Duration,
    /// Most incomplete messages of one tunnel. Default 64.
    pub tunnel_messages: usize,
    /// Most bytes in incomplete messages of one tunnel. Default 256 KiB.
    pub tunnel_bytes: usize,
    /// Most bytes in incomplete messages of the router. Default 4 MiB.
    pub total_bytes: usize,
}

impl Default for JoinLimits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(15),
            tunnel_messages: 64,
            tunnel_bytes: 256 * 1024,
            total_bytes: 4 * 1024 * 1024,
        }
    }
}

/// One incomplete message.
#[derive(Debug)]
struct Partial {
    id: MessageId,
    /// Tells it from an earlier message with the same id.
    serial: u64,
    delivery: Option<Delivery>,
    /// Fragments 0 to `next - 1`, joined.
    head: Vec<u8>,
    next: u8,
    /// Fragments that came before their predecessors, by number.
    later: Vec<(u8, Vec<u8>)>,
    last: Option<u8>,
    bytes: usize,
}

/// What a fragment did to its message.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// It is stored, and more are missing.
    Stored,
    /// It was there already.
    Known,
    /// It contradicts the others, or the message grows too large.
    Broken,
    /// The message is whole.
    Whole,
}

impl Partial {
    const fn new(id: MessageId, serial: u64) -> Self {
        Self {
            id,
            serial,
            delivery: None,
            head: Vec::new(),
            next: 0,
            later: Vec::new(),
            last: None,
            bytes: 0,
        }
    }

    fn highest(&self) -> Option<u8> {
        self.later.last().map(|(n, _)| *n).or_else(|| self.next.checked_sub(1))
    }

    fn add(&mut self, number: u8, last: bool, data: &[u8]) -> Step {
        let place = self.later.binary_search_by_key(&number, |(n, _)| *n);
        if number < self.next || place.is_ok() {
            return Step::Known;
        }
        let beyond = self.last.is_some_and(|end| number > end || last);
        let short = last && self.highest().is_some_and(|highest| highest > number);
        if beyond || short || self.bytes + data.len() > MESSAGE_MAX {
            return Step::Broken;
        }
        self.bytes += data.len();
        if last {
            self.last = Some(number);
        }
        if number > self.next {
            self.later.insert(place.unwrap_or_else(|at| at), (number, data.to_vec()));
            return Step::Stored;
        }
        self.head.extend_from_slice(data);
        self.next += 1;
        let ready = self.later.iter().zip(self.next..).take_while(|((n, _), want)| n == want).count();
        for (_, data) in self.later.drain(..ready) {
            self.head.extend_from_slice(&data);
            self.next += 1;
        }
        match self.last {
            Some(end) if self.next > end => Step::Whole,
            _ => Step::Stored,
        }
    }
}

/// The incomplete messages of one tunnel, oldest first.
#[derive(Debug, Default)]
pub(super) struct Partials {
    queue: VecDeque<Partial>,
    bytes: usize,
}

impl Partials {
    /// Number of incomplete messages.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    fn take(&mut self, index: usize) -> Option<Partial> {
        let partial = self.queue.remove(index)?;
        self.bytes = self.bytes.saturating_sub(partial.bytes);
        Some(partial)
    }
}

/// An incomplete message in the order of all.
#[derive(Clone, Copy, Debug)]
struct Entry {
    deadline: Mono,
    slot: SlotKey,
    serial: u64,
}

/// The sum of all incomplete messages, and their order.
#[derive(Debug)]
pub(super) struct Joiner {
    limits: JoinLimits,
    /// By age. Entries of messages that are gone stay until they come to the front or are swept.
    order: VecDeque<Entry>,
    messages: usize,
    bytes: usize,
    serial: u64,
}

impl Joiner {
    pub(super) const fn new(limits: JoinLimits) -> Self {
        Self { limits, order: VecDeque::new(), messages: 0, bytes: 0, serial: 0 }
    }

    /// Bytes in all incomplete messages.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of all incomplete messages.
    pub(super) const fn messages(&self) -> usize {
        self.messages
    }

    /// Adds a fragment to a message of the tunnel in `slot`; gives the message when it is whole.
    pub(super) fn add(
        &mut self,
        now: Mono,
        slot: SlotKey,
        partials: &mut Partials,
        fragment: &Fragment<'_>,
        metrics: &PlaneMetrics,
    ) -> Option<(Delivery, Vec<u8>)> {
        let (id, number, last, delivery, data) = match *fragment {
            Fragment::Whole { delivery, data } => return Some((delivery, data.to_vec())),
            Fragment::First { delivery, id, data } => (id, 0, false, Some(delivery), data),
            Fragment::Follow { id, number, last, data } => (id, number, last, None, data),
        };
        metrics.fragments_received.inc();
        let index = match partials.queue.iter().position(|p| p.id == id) {
            Some(index) => index,
            None => {
                metrics.join_started.inc();
                self.open(now, slot, partials, id)
            }
        };
        let partial = partials.queue.get_mut(index)?;
        let before = partial.bytes;
        let step = partial.add(number, last, data);
        if matches!(step, Step::Stored | Step::Whole) {
            partial.delivery = delivery.or(partial.delivery);
        }
        let grown = partial.bytes.saturating_sub(before);
        partials.bytes += grown;
        self.bytes += grown;
        match step {
            Step::Stored => self.shrink(partials, metrics),
            Step::Known => metrics.fragments_dropped.inc(),
            Step::Broken => {
                metrics.fragments_dropped.inc();
                metrics.join_dropped_malformed.inc();
                self.remove(partials, index);
            }
            Step::Whole => {
                metrics.join_completed.inc();
                let whole = self.remove(partials, index)?;
                return Some((whole.delivery?, whole.head));
            }
        }
        None
    }

    fn open(&mut self, now: Mono, slot: SlotKey, partials: &mut Partials, id: MessageId) -> usize {
        self.serial += 1;
        self.messages += 1;
        partials.queue.push_back(Partial::new(id, self.serial));
        self.order.push_back(Entry { deadline: now + self.limits.timeout, slot, serial: self.serial });
        partials.queue.len() - 1
    }

    fn remove(&mut self, partials: &mut Partials, index: usize) -> Option<Partial> {
        let partial = partials.take(index)?;
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(partial.bytes);
        Some(partial)
    }

    /// Drops the oldest messages of a tunnel until it keeps within its bounds.
    fn shrink(&mut self, partials: &mut Partials, metrics: &PlaneMetrics) {
        while partials.len() > self.limits.tunnel_messages || partials.bytes > self.limits.tunnel_bytes {
            if self.remove(partials, 0).is_none() {
                return;
            }
            metrics.join_dropped_tunnel.inc();
        }
    }

    /// Drops the oldest messages of all tunnels until the sum is within its bound, and sweeps stale entries.
    pub(super) fn enforce(&mut self, table: &mut Table, metrics: &PlaneMetrics) {
        while self.bytes > self.limits.total_bytes && self.drop_oldest(table) {
            metrics.join_dropped_total.inc();
        }
        if self.messages == 0 {
            self.order.clear();
        } else if self.order.len() > 2 * self.messages + 1024 {
            self.order.retain(|e| is_live(table, e));
        }
        metrics.join_bytes.set(self.bytes as u64);
    }

    /// Drops all messages whose time is over.
    pub(super) fn expire(&mut self, now: Mono, table: &mut Table, metrics: &PlaneMetrics) {
        while self.order.front().is_some_and(|e| e.deadline <= now) {
            let live = self.order.front().is_some_and(|e| is_live(table, e));
            if live && self.drop_oldest(table) {
                metrics.join_dropped_late.inc();
            } else {
                self.order.pop_front();
            }
        }
        metrics.join_bytes.set(self.bytes as u64);
    }

    /// Forgets the messages of a tunnel that is gone.
    pub(super) fn forget(&mut self, partials: &Partials, metrics: &PlaneMetrics) {
        self.messages = self.messages.saturating_sub(partials.len());
        self.bytes = self.bytes.saturating_sub(partials.bytes);
        metrics.join_dropped_gone.add(partials.len() as u64);
    }

    /// When the oldest message is due, or an entry that can be swept.
    pub(super) fn next_deadline(&self) -> Option<Mono> {
        self.order.front().map(|e| e.deadline)
    }

    /// Drops the oldest live message. False when there is none.
    fn drop_oldest(&mut self, table: &mut Table) -> bool {
        while let Some(entry) = self.order.pop_front() {
            let Some(partials) = table.partials_mut(entry.slot) else { continue };
            let Some(index) = partials.queue.iter().position(|p| p.serial == entry.serial) else { continue };
            return self.remove(partials, index).is_some();
        }
        false
    }
}

fn is_live(table: &Table, entry: &Entry) -> bool {
    table.partials(entry.slot).is_some_and(|p| p.queue.iter().any(|p| p.serial == entry.serial))
}

#[cfg(test)]
mod tests;
