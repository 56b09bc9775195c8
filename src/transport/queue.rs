// SPDX-License-Identifier: MIT
//! The queue of messages to one peer: the plane pushes, the peer's connection takes.
//!
//! Bounded in bytes and in waiting time. Nobody waits here: what finds no room is dropped and counted. Transit may fill
//! three quarters of the bytes only, and is dropped early: the more, the longer the oldest message has been waiting, and
//! first of all from the tunnels that have most waiting, at either end of the queue, so that a greedy tunnel does not push
//! modest ones out (T6);
//! our own traffic pushes expired messages and then the oldest transit out before it is refused. The queue belongs to
//! the peer and not to a connection, so it outlives a replaced connection. Requirement N8.

use super::TransportMetrics;
use crate::base::{Account, Ask, Budget, Counter, Mono, Now, Part};
use crate::wire::I2np;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Memory of a message besides its body, for the account.
const OVERHEAD: usize = 64;

/// What may wait, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueLimits {
    /// Bytes that may wait for a peer.
    pub(crate) bytes: usize,
    /// Messages that may wait until a connection is there.
    pub(crate) dialling: usize,
    /// What waited so long is not sent any more, whatever it is.
    pub(crate) stale: Duration,
    /// Waiting time of the oldest message at which all transit is dropped. Half of it: it starts to be. Twice: transit
    /// that is in the queue is not sent any more. (`TransportConfig::transit_wait`)
    pub(crate) late: Duration,
}

impl QueueLimits {
    /// Bytes of transit that may wait: a quarter is kept for our own traffic.
    const fn transit_bytes(&self) -> usize {
        self.bytes / 4 * 3
    }
}

/// What a message is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// What we say as a router: build replies, netDb messages. Goes first.
    Control,
    /// Our own tunnels.
    Own,
    /// The traffic of others.
    Transit,
}

/// Names one connection within its router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ConnId(pub(crate) u64);

struct Entry {
    message: I2np,
    class: Class,
    since: Mono,
}

impl Entry {
    fn bytes(&self) -> usize {
        self.message.body.len() + OVERHEAD
    }
    fn is_expired(&self, now: Now) -> bool {
        self.message.expiration_ms != 0 && self.message.expiration_ms < now.wall_ms
    }
}

/// Tunnels are told apart by their id, in so many groups.
const GROUPS: usize = 128;

/// What waits of each group of tunnels, and what drops it is owed.
#[derive(Default)]
struct Flows {
    /// Empty until there is transit.
    groups: Vec<Flow>,
    /// Groups that have something waiting.
    active: usize,
}

#[derive(Clone, Copy, Default)]
struct Flow {
    bytes: usize,
    /// In thousandths of a message: spreads drops evenly without a random number per message.
    owed: u32,
}

impl Flows {
    /// The group of a message: the first four bytes of a cell or of a gateway message are the tunnel's id.
    fn group(message: &I2np) -> usize {
        let id = message.body.first_chunk().map_or(0, |id| u32::from_be_bytes(*id));
        // Ids are random where creators are honest; the others can only join the group of their choice.
        usize::try_from(id.wrapping_mul(0x9e37_79b1) >> 25).unwrap_or(0)
    }

    fn add(&mut self, message: &I2np, bytes: usize) {
        if self.groups.is_empty() {
            self.groups = vec![Flow::default(); GROUPS];
        }
        if let Some(flow) = self.groups.get_mut(Self::group(message)) {
            self.active += usize::from(flow.bytes == 0);
            flow.bytes += bytes;
        }
    }

    fn remove(&mut self, message: &I2np, bytes: usize) {
        if let Some(flow) = self.groups.get_mut(Self::group(message)) {
            flow.bytes = flow.bytes.saturating_sub(bytes);
            self.active = self.active.saturating_sub(usize::from(flow.bytes == 0));
        }
    }

    fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether this group has more than twice the average waiting.
    fn is_greedy(&self, message: &I2np, total: usize) -> bool {
        let flow = self.groups.get(Self::group(message));
        flow.is_some_and(|flow| flow.bytes.saturating_mul(self.active) > total.saturating_mul(2))
    }

    /// Whether this group has its part of the room: nobody may fill it alone while others are there.
    fn is_full(&self, message: &I2np, bytes: usize, room: usize) -> bool {
        let part = (room / self.active.max(1)).max(room / 4);
        self.groups.get(Self::group(message)).is_some_and(|flow| flow.bytes + bytes > part)
    }

    /// Whether a message of this group is to go, when `share` thousandths of all have to: those of a group with twice the
    /// average waiting go twice as often.
    fn owes(&mut self, message: &I2np, total: usize, share: u32) -> bool {
        let active = self.active.max(1);
        let Some(flow) = self.groups.get_mut(Self::group(message)) else { return share >= 1000 };
        let weight = flow.bytes.saturating_mul(active).saturating_mul(1000) / total.max(1);
        let due = u64::from(share) * u64::try_from(weight).unwrap_or(u64::MAX) / 1000;
        flow.owed += u32::try_from(due.min(1000)).unwrap_or(1000);
        let drop = flow.owed >= 1000;
        if drop {
            flow.owed -= 1000;
        }
        drop
    }
}

#[derive(Default)]
struct State {
    control: VecDeque<Entry>,
    data: VecDeque<Entry>,
    bytes: usize,
    transit_bytes: usize,
    /// The connection that may take; `None` while dialling.
    active: Option<ConnId>,
    closed: bool,
    flows: Flows,
    waker: Option<Waker>,
    /// The bytes as the router's budget has them.
    memory: Account,
}

struct Shared {
    state: Mutex<State>,
    metrics: Arc<TransportMetrics>,
    limits: QueueLimits,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is plain data, good after any panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends messages to one connected peer. Cheap to clone; never waits.
#[derive(Clone)]
pub struct PeerSender {
    shared: Arc<Shared>,
}

impl fmt::Debug for PeerSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        write!(f, "PeerSender({} bytes, closed: {})", state.bytes, state.closed)
    }
}

impl PeerSender {
    pub(crate) fn new(metrics: Arc<TransportMetrics>, limits: QueueLimits, budget: &Budget) -> Self {
        let state = State { memory: budget.account(Part::TransportOut), ..State::default() };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), metrics, limits }) }
    }

    /// Queues `messages` and answers how many were dropped (each is counted by its reason).
    pub fn push(&self, now: Now, messages: Vec<I2np>, class: Class) -> usize {
        let mut dropped = 0;
        let waker = {
            let mut state = self.shared.lock();
            for message in messages {
                let entry = Entry { message, class, since: now.mono };
                if let Err(reason) = state.push(now, entry, &self.shared) {
                    reason(&self.shared.metrics).inc();
                    dropped += 1;
                }
            }
            state.account();
            if state.is_empty() { None } else { state.waker.take() }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        dropped
    }

    /// Whether the peer is gone for good; what is pushed is dropped.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().closed
    }

    /// How long the oldest message has been waiting: how congested the peer is.
    pub fn waiting(&self, now: Now) -> Duration {
        self.shared.lock().waiting(now.mono)
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.shared.lock().bytes
    }

    /// Names the connection that may take from now on.
    pub(crate) fn attach(&self, conn: ConnId) {
        let waker = {
            let mut state = self.shared.lock();
            state.active = Some(conn);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Drops everything, now and later; answers how many messages were waiting.
    pub(crate) fn close(&self) -> usize {
        let mut state = self.shared.lock();
        state.closed = true;
        state.waker = None;
        let lost = state.control.len() + state.data.len();
        state.control = VecDeque::new();
        state.data = VecDeque::new();
        (state.bytes, state.transit_bytes) = (0, 0);
        state.flows.clear();
        state.account();
        self.shared.metrics.dropped_closed.add(lost as u64);
        lost
    }

    /// Ready when `conn` may take and there is something to take. One connection waits at a time.
    pub(crate) fn poll_ready(&self, conn: ConnId, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.shared.lock();
        if state.active != Some(conn) {
            return Poll::Pending; // woken by the command that attaches it
        }
        if !state.is_empty() {
            return Poll::Ready(());
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Moves messages of about `bytes` into `into`, without those that are stale or expired.
    pub(crate) fn take(&self, now: Now, conn: ConnId, bytes: usize, into: &mut Vec<I2np>) {
        let mut state = self.shared.lock();
        if state.active != Some(conn) {
            return;
        }
        let mut taken = 0;
        while taken < bytes
            && let Some(entry) = state.pop()
        {
            let waited = now.mono.since(entry.since);
            let transit = entry.class == Class::Transit;
            if entry.is_expired(now) {
                self.shared.metrics.dropped_expired.inc();
            } else if waited > self.shared.limits.stale || (transit && waited > 2 * self.shared.limits.late) {
                self.shared.metrics.dropped_stale.inc();
            } else if transit && waited > self.shared.limits.late / 2 && state.is_greedy(&entry) {
                self.shared.metrics.dropped_late.inc();
            } else {
                taken += entry.bytes();
                into.push(entry.message);
            }
        }
        state.account();
    }
}

/// Picks the counter of a drop.
type Reason = fn(&TransportMetrics) -> &Counter;

impl State {
    fn account(&mut self) {
        self.memory.set(self.bytes);
    }

    fn is_empty(&self) -> bool {
        self.control.is_empty() && self.data.is_empty()
    }

    fn waiting(&self, now: Mono) -> Duration {
        let oldest = [self.control.front(), self.data.front()].into_iter().flatten().map(|e| e.since).min();
        oldest.map_or(Duration::ZERO, |since| now.since(since))
    }

    fn push(&mut self, now: Now, entry: Entry, shared: &Shared) -> Result<(), Reason> {
        if self.closed {
            return Err(|m| &m.dropped_closed);
        }
        if entry.is_expired(now) {
            return Err(|m| &m.dropped_expired);
        }
        let limits = &shared.limits;
        if self.active.is_none() && self.control.len() + self.data.len() >= limits.dialling {
            return Err(|m| &m.dropped_dialling);
        }
        let bytes = entry.bytes();
        if entry.class == Class::Transit {
            if !self.memory.budget().allows(Ask::TransitData) {
                return Err(|m| &m.dropped_memory);
            }
            if self.active.is_some() && self.drop_early(now.mono, limits.late, &entry.message) {
                return Err(|m| &m.dropped_late);
            }
            let room = limits.transit_bytes();
            let full = self.transit_bytes + bytes > room || self.bytes + bytes > limits.bytes;
            if full || self.flows.is_full(&entry.message, bytes, room) {
                return Err(|m| &m.dropped_full);
            }
            self.transit_bytes += bytes;
            self.flows.add(&entry.message, bytes);
        } else if self.bytes + bytes > limits.bytes && !self.make_room(now, bytes, shared) {
            return Err(|m| &m.dropped_full);
        }
        self.bytes += bytes;
        let queue = if entry.class == Class::Control { &mut self.control } else { &mut self.data };
        queue.push_back(entry);
        Ok(())
    }

    /// Whether to drop this transit message: never below half of `late`, always above it, in proportion between.
    fn drop_early(&mut self, now: Mono, late: Duration, message: &I2np) -> bool {
        let (waiting, early) = (self.waiting(now), late / 2);
        if waiting <= early {
            return false;
        }
        if waiting >= late {
            return true;
        }
        let share = (waiting - early).as_millis() * 1000 / (late - early).as_millis().max(1);
        self.flows.owes(message, self.transit_bytes, u32::try_from(share).unwrap_or(1000))
    }

    /// Whether its tunnel has more than twice the average waiting.
    fn is_greedy(&self, entry: &Entry) -> bool {
        self.flows.is_greedy(&entry.message, self.transit_bytes)
    }

    /// Drops expired messages, then the oldest transit, until `bytes` fit.
    fn make_room(&mut self, now: Now, bytes: usize, shared: &Shared) -> bool {
        let (metrics, bytes_max) = (&shared.metrics, shared.limits.bytes);
        let before = self.control.len() + self.data.len();
        self.control.retain(|e| !e.is_expired(now));
        self.data.retain(|e| !e.is_expired(now));
        metrics.dropped_expired.add((before - self.control.len() - self.data.len()) as u64);
        let mut have: usize = self.control.iter().chain(&self.data).map(Entry::bytes).sum();
        self.data.retain(|e| {
            let evict = e.class == Class::Transit && have + bytes > bytes_max;
            if evict {
                have -= e.bytes();
                metrics.dropped_full.inc();
            }
            !evict
        });
        self.bytes = have;
        self.transit_bytes = 0;
        self.flows.clear();
        for entry in self.data.iter().filter(|e| e.class == Class::Transit) {
            self.transit_bytes += entry.bytes();
            self.flows.add(&entry.message, entry.bytes());
        }
        have + bytes <= bytes_max
    }

    fn pop(&mut self) -> Option<Entry> {
        let entry = self.control.pop_front().or_else(|| self.data.pop_front())?;
        self.bytes -= entry.bytes();
        if entry.class == Class::Transit {
            self.transit_bytes -= entry.bytes();
            self.flows.remove(&entry.message, entry.bytes());
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests;
