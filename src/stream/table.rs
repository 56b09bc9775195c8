// SPDX-License-Identifier: MIT
//! All streams of one destination: the calls of the application, the packets that go out, and the clocks.
//!
//! Streams with something to do stand in one queue and take turns, a few packets at a time. Each has one entry in
//! one timer queue, which is moved only when its deadline comes nearer. Incoming packets are in `incoming`.

use super::author::Author;
use super::closed::{Closed, Early, Remains};
use super::connection::{Connection, Phase};
use super::peers::{self, Bucket, Peer, Quota};
use super::types::CloseReason;
use super::{Config, ConnectOptions, Event, OutPacket, StreamId, StreamMetrics, StreamStats};
use crate::base::{Account, Budget, Map, Mono, Now, Part, Rng, TimerQueue, map};
use crate::crypto::sign::AnySigningKey;
use crate::wire::i2cp_gzip::Ports;
use crate::wire::{DestHash, Destination, OfflineSignature, StreamPacket};
use bytes::Bytes;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Packets that a stream may send before it is the next one's turn.
const TURN: u32 = 16;
/// Earliest time for a timer to go off again.
const OVERDUE: Duration = Duration::from_millis(1);
/// Ports with a listener of their own.
const LISTENERS_MAX: usize = 1024;

/// A stream with the table's notes on it.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Boxed, as half of a table's places are empty.
    pub(crate) conn: Box<Connection>,
    /// Whether it stands in the queue.
    queued: bool,
    /// Packets in flight as the peer's entry counts them.
    counted: u32,
    /// When the timer queue will bring it up.
    armed: Option<Mono>,
    /// Its memory as the table's account has it.
    held: usize,
}

/// All streams of one local destination.
pub struct Table {
    pub(crate) config: Config,
    pub(crate) author: Author,
    pub(crate) conns: Map<u32, Slot>,
    /// Streams that peers opened: (peer, the peer's id) to ours.
    pub(crate) by_remote: Map<(DestHash, u32), u32>,
    pub(crate) peers: Map<DestHash, Peer>,
    pub(crate) listeners: BTreeSet<u16>,
    /// Incoming streams that nobody has accepted yet.
    pub(crate) waiting: usize,
    pub(crate) closed: Closed,
    pub(crate) early: Early,
    pub(crate) syn_checks: Bucket,
    pub(crate) quota: Quota,
    /// Pings without an answer yet.
    pub(crate) pings: u32,
    pub(crate) events: VecDeque<Event>,
    pub(crate) metrics: Arc<StreamMetrics>,
    replies: VecDeque<OutPacket>,
    ready: VecDeque<u32>,
    turn: u32,
    timers: TimerQueue<u32>,
    /// What all streams hold.
    pub(crate) memory: Account,
}

impl Table {
    /// An empty table for `local`, whose packets `signing` signs. With `offline`, `signing` is the transient key.
    pub fn new(
        local: Destination,
        signing: Arc<AnySigningKey>,
        offline: Option<OfflineSignature>,
        config: Config,
        mut rng: Rng,
    ) -> Self {
        Self {
            conns: map(&mut rng),
            by_remote: map(&mut rng),
            peers: map(&mut rng),
            listeners: BTreeSet::new(),
            waiting: 0,
            closed: Closed::new(&mut rng, config.bounds),
            early: Early::new(&mut rng, config.bounds),
            syn_checks: Bucket::full(Mono::default(), config.syn_checks),
            quota: Quota::default(),
            pings: 0,
            events: VecDeque::new(),
            metrics: Arc::default(),
            replies: VecDeque::new(),
            ready: VecDeque::new(),
            turn: 0,
            timers: TimerQueue::new(),
            memory: Account::default(),
            author: Author { hash: local.hash(), local, key: signing, offline, rng },
            config,
        }
    }

    /// What streams hold counts against `budget`, and when that runs short they take less from programs and peers.
    pub fn set_budget(&mut self, budget: &Budget) {
        self.memory = budget.account(Part::Streams);
        self.early.memory = budget.account(Part::Streams);
    }

    /// Memory that all streams hold, about.
    pub fn memory(&self) -> usize {
        self.memory.held()
    }

    /// Counters, shared with whoever shows them.
    pub fn metrics(&self) -> Arc<StreamMetrics> {
        Arc::clone(&self.metrics)
    }

    /// Opens a stream. Call it when the peer's LeaseSet is known: the connect timeout runs from now.
    /// Data written before the next [`Self::poll_packet`] travels in the SYN.
    ///
    /// `None` when [`Config::streams_max`] streams are open.
    pub fn connect(
        &mut self,
        now: Now,
        to: DestHash,
        ports: Ports,
        options: ConnectOptions,
    ) -> Option<StreamId> {
        if self.conns.len() >= self.config.streams_max {
            return None;
        }
        let id = self.new_id();
        let mut conn = Connection::new(now.mono, id, to, ports, Phase::Opening, &self.config);
        conn.set_options(now.mono, options, &self.config);
        self.metrics.streams_opened.inc();
        self.insert(now.mono, conn);
        Some(StreamId(id))
    }

    /// An id that is neither in use nor was until a minute ago.
    pub(crate) fn new_id(&mut self) -> u32 {
        loop {
            let id = self.author.rng.nonzero_u32();
            if !self.conns.contains_key(&id) && self.closed.get(id).is_none() {
                return id;
            }
        }
    }

    pub(crate) fn insert(&mut self, now: Mono, conn: Connection) {
        let (id, remote) = (conn.id, conn.remote);
        let peer = peers::entry(&mut self.peers, now, remote, &self.config);
        peer.streams = peer.streams.saturating_add(1);
        self.conns.insert(id, Slot { conn: Box::new(conn), queued: false, counted: 0, armed: None, held: 0 });
        self.touch(now, id);
    }

    /// Takes incoming streams for `port` from now on; 0 stands for every port without a listener of its own.
    /// SYNs for a port that nobody listens on are reset.
    pub fn listen(&mut self, port: u16) {
        if self.listeners.len() < LISTENERS_MAX {
            self.listeners.insert(port);
        }
    }

    /// Ends what [`Self::listen`] started. Waiting streams are reset when their hold ends.
    pub fn unlisten(&mut self, port: u16) {
        self.listeners.remove(&port);
    }

    /// Takes an incoming stream; answers whether it is still there.
    pub fn accept(&mut self, now: Now, id: StreamId) -> bool {
        let Some(slot) = self.conns.get_mut(&id.0).filter(|s| s.conn.phase != Phase::Dead) else {
            return false;
        };
        if !slot.conn.accepted {
            slot.conn.accepted = true;
            slot.conn.give_up_at = None;
            slot.conn.fit(self.memory.budget());
            let remote = slot.conn.remote;
            self.stop_waiting(remote);
            // The peer may send more from now on.
            self.touch(now.mono, id.0);
        }
        true
    }

    /// Appends to a stream as much of `data` as there is room for, and says how much that was.
    /// If not all, [`Event::Writable`] follows when there is room again.
    pub fn write(&mut self, now: Now, id: StreamId, data: Bytes) -> usize {
        let Some(slot) = self.conns.get_mut(&id.0) else { return 0 };
        slot.conn.fit(self.memory.budget());
        let taken = slot.conn.write(now.mono, data);
        if taken > 0 {
            self.touch(now.mono, id.0);
        }
        taken
    }

    /// How many bytes [`Self::write`] would take.
    pub fn writable(&self, id: StreamId) -> usize {
        self.conns.get(&id.0).filter(|s| s.conn.can_write()).map_or(0, |s| s.conn.send.room())
    }

    /// Takes up to `max` received bytes.
    pub fn read(&mut self, now: Now, id: StreamId, max: usize) -> Option<Bytes> {
        let slot = self.conns.get_mut(&id.0)?;
        let bytes = slot.conn.read(max);
        if slot.conn.ack.now && !slot.queued {
            self.touch(now.mono, id.0);
        } else {
            self.account(id.0);
        }
        bytes
    }

    /// How many bytes wait to be read.
    pub fn readable(&self, id: StreamId) -> usize {
        self.conns.get(&id.0).map_or(0, |s| s.conn.recv.readable())
    }

    /// Whether the peer has closed its direction in order and all of it was read. A stream that ended otherwise says
    /// so by [`Event::Closed`] alone.
    pub fn is_finished(&self, id: StreamId) -> bool {
        self.conns.get(&id.0).is_none_or(|s| s.conn.recv.readable() == 0 && s.conn.recv.is_closed())
    }

    /// Whether the peer's CLOSE came in its place, with everything before it, and all of it was read.
    pub fn has_closed(&self, id: StreamId) -> bool {
        self.conns.get(&id.0).is_some_and(|s| s.conn.recv.readable() == 0 && s.conn.recv.is_closed())
    }

    /// Settings for new streams; those that are open keep theirs.
    pub fn set_config(&mut self, config: Config) {
        self.config = config;
    }

    /// The application is done with the stream: what was written is delivered, then a CLOSE; what still comes is
    /// thrown away. Every stream must be given back by this or by [`Self::reset`], also after [`Event::Closed`];
    /// the id means nothing afterwards, though a last [`Event::Closed`] may follow.
    pub fn close(&mut self, now: Now, id: StreamId) {
        let Some(slot) = self.conns.get_mut(&id.0) else { return };
        slot.conn.close(now.mono, &mut self.events);
        self.touch(now.mono, id.0);
    }

    /// The application writes no more but still reads.
    ///
    /// i2pd knows no half-closed streams: on a CLOSE it drops what it has not yet sent. So the CLOSE waits until
    /// all is delivered and then until the peer closes, the application calls [`Self::close`], or nothing has come
    /// from the peer for [`Config::half_close_linger`] (at least three round trips).
    pub fn shutdown_write(&mut self, now: Now, id: StreamId) {
        let Some(slot) = self.conns.get_mut(&id.0) else { return };
        slot.conn.shutdown_write(now.mono);
        slot.conn.settle(now.mono, &mut self.events);
        self.touch(now.mono, id.0);
    }

    /// Ends a stream at once, here and at the peer.
    pub fn reset(&mut self, now: Now, id: StreamId) {
        let Some(slot) = self.conns.get_mut(&id.0) else { return };
        slot.conn.reset(&mut self.events);
        self.touch(now.mono, id.0);
    }

    /// Resets every stream: the destination is going down. The resets are still to be polled.
    pub fn reset_all(&mut self, now: Now) {
        let mut ids: Vec<u32> = self.conns.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            self.reset(now, StreamId(id));
        }
    }

    /// Bounds the unacknowledged packets of all streams to `remote` together: what its garlic session can take.
    pub fn set_inflight_limit(&mut self, now: Now, remote: DestHash, packets: u32) {
        let peer = peers::entry(&mut self.peers, now.mono, remote, &self.config);
        let more = packets > peer.limit;
        peer.limit = packets.max(1);
        if more {
            self.wake_waiting(now.mono, remote);
        }
    }

    /// The path to `remote` has changed: its round-trip times are measured anew.
    pub fn path_changed(&mut self, remote: DestHash) {
        for slot in self.conns.values_mut().filter(|s| s.conn.remote == remote) {
            slot.conn.rtt.path_changed();
        }
    }

    /// `remote` has begun anew with other keys and has read nothing of late: what it has not acknowledged is sent again.
    pub fn remote_restarted(&mut self, now: Now, remote: DestHash) {
        let mut ids: Vec<u32> =
            self.conns.iter().filter(|(_, s)| s.conn.remote == remote).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        for id in ids {
            if let Some(slot) = self.conns.get_mut(&id) {
                slot.conn.resend(now.mono, &mut self.events);
            }
            self.touch(now.mono, id);
        }
    }

    /// The next packet to send. Call it until it gives none, or until the way out is full.
    pub fn poll_packet(&mut self, now: Now) -> Option<OutPacket> {
        if let Some(reply) = self.replies.pop_front() {
            self.metrics.packets_sent.inc();
            return Some(reply);
        }
        while let Some(&id) = self.ready.front() {
            let Some(slot) = self.conns.get_mut(&id) else {
                self.ready.pop_front();
                continue;
            };
            let room = self.peers.get(&slot.conn.remote).is_none_or(Peer::has_room);
            slot.conn.fit(self.memory.budget());
            let packet = slot.conn.poll(now.mono, &mut self.author, room, &mut self.events);
            if packet.is_some() {
                self.turn += 1;
            }
            if packet.is_none() || self.turn >= TURN {
                self.turn = 0;
                self.ready.pop_front();
                slot.queued = false;
                if packet.is_some() {
                    slot.queued = true;
                    self.ready.push_back(id);
                }
            }
            self.count_flight(now.mono, id);
            if packet.is_none() {
                self.rearm(now.mono, id);
                continue;
            }
            self.metrics.packets_sent.inc();
            return packet;
        }
        None
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Mono> {
        let closed = self.closed.next_expiry();
        self.timers.next().into_iter().chain(closed).min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        // All that is due now, once: a stream may be due again until its packets are polled.
        let due: Vec<u32> = std::iter::from_fn(|| self.timers.pop_due(now.mono)).collect();
        for id in due {
            let Some(slot) = self.conns.get_mut(&id) else { continue };
            slot.armed = None;
            slot.conn.on_timer(now.mono, &mut self.events);
            slot.conn.settle(now.mono, &mut self.events);
            self.touch(now.mono, id);
        }
        self.closed.expire(now.mono);
    }

    /// The stream may have something to send, and its deadline may have moved.
    pub(crate) fn touch(&mut self, now: Mono, id: u32) {
        let Some(slot) = self.conns.get_mut(&id) else { return };
        if !slot.queued {
            slot.queued = true;
            self.ready.push_back(id);
        }
        self.count_flight(now, id);
        self.rearm(now, id);
    }

    /// Brings the account of memory up to date with a stream.
    fn account(&mut self, id: u32) {
        if let Some(slot) = self.conns.get_mut(&id) {
            let before = std::mem::replace(&mut slot.held, slot.conn.memory());
            self.memory.swap(before, slot.held);
        }
    }

    /// Brings the peer's count of packets in flight up to date, and wakes who waited for room.
    fn count_flight(&mut self, now: Mono, id: u32) {
        self.account(id);
        let Some(slot) = self.conns.get_mut(&id) else { return };
        let (before, after) = (slot.counted, slot.conn.send.in_flight());
        slot.counted = after;
        let remote = slot.conn.remote;
        let Some(peer) = self.peers.get_mut(&remote) else { return };
        peer.in_flight = peer.in_flight.saturating_sub(before).saturating_add(after);
        if slot.conn.blocked_by_peer {
            slot.conn.blocked_by_peer = false;
            peer.waiting.push(id);
        } else if after < before && peer.has_room() && !peer.waiting.is_empty() {
            self.wake_waiting(now, remote);
        }
    }

    fn wake_waiting(&mut self, now: Mono, remote: DestHash) {
        let Some(peer) = self.peers.get_mut(&remote) else { return };
        for id in std::mem::take(&mut peer.waiting) {
            if self.conns.get(&id).is_some_and(|s| !s.queued) {
                self.touch(now, id);
            }
        }
    }

    /// Moves the stream's timer nearer if need be, and forgets the stream when it is over.
    fn rearm(&mut self, now: Mono, id: u32) {
        let Some(slot) = self.conns.get_mut(&id) else { return };
        if slot.conn.is_done() {
            self.forget(now, id);
            return;
        }
        // What is overdue waits for a packet to be polled; a timer in the past would only spin.
        match slot.conn.deadline().map(|at| if at <= now { now + OVERDUE } else { at }) {
            Some(at) if slot.armed.is_none_or(|armed| at < armed) => {
                slot.armed = Some(at);
                self.timers.set(id, at);
            }
            _ => {}
        }
    }

    /// One stream of `remote` less waits for an acceptor.
    fn stop_waiting(&mut self, remote: DestHash) {
        self.waiting = self.waiting.saturating_sub(1);
        if let Some(peer) = self.peers.get_mut(&remote) {
            peer.unaccepted = peer.unaccepted.saturating_sub(1);
        }
    }

    fn forget(&mut self, now: Mono, id: u32) {
        let Some(slot) = self.conns.remove(&id) else { return };
        self.memory.swap(slot.held, 0);
        let conn = slot.conn;
        self.timers.cancel(&id);
        self.by_remote.remove(&(conn.remote, conn.remote_id));
        if !conn.accepted {
            self.stop_waiting(conn.remote);
        }
        if let Some(peer) = self.peers.get_mut(&conn.remote) {
            peer.streams = peer.streams.saturating_sub(1);
            peer.in_flight = peer.in_flight.saturating_sub(slot.counted);
            if !peer.waiting.is_empty() {
                self.wake_waiting(now, conn.remote);
            }
        }
        tracing::debug!(id = ?conn.stream_id(), reason = ?conn.ended, stats = ?conn.ended_with, "stream ended");
        let graceful = conn.ended == Some(CloseReason::Graceful);
        let counter = if graceful { &self.metrics.streams_closed } else { &self.metrics.streams_failed };
        counter.inc();
        self.metrics.packets_repeated.add(conn.stats.retransmitted);
        if conn.remote_id != 0 {
            let remains = Remains {
                remote: conn.remote,
                remote_id: conn.remote_id,
                ports: conn.ports,
                through: conn.recv.in_order_through(),
                close: conn.close_left,
                reset: !graceful,
            };
            self.closed.insert(now, id, remains);
        }
    }

    /// Queues a packet that belongs to no stream.
    pub(crate) fn reply(&mut self, packet: OutPacket) {
        if self.replies.len() < self.config.bounds.replies {
            self.replies.push_back(packet);
        } else {
            self.metrics.replies_dropped.inc();
        }
    }

    /// The peer of a stream; its full destination once it is known.
    pub fn remote(&self, id: StreamId) -> Option<(DestHash, Option<Destination>)> {
        self.conns.get(&id.0).map(|s| (s.conn.remote, s.conn.peer.clone()))
    }

    /// State of a stream.
    pub fn stats(&self, id: StreamId) -> Option<StreamStats> {
        self.conns.get(&id.0).map(|s| s.conn.snapshot())
    }

    /// Packets in flight to `remote`, over all streams.
    pub fn in_flight(&self, remote: DestHash) -> u32 {
        self.peers.get(&remote).map_or(0, |p| p.in_flight)
    }

    /// Number of streams.
    pub fn len(&self) -> usize {
        self.conns.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.conns.is_empty()
    }

    /// What a packet that must be signed looks like on its way to `to`.
    pub(crate) fn sign(&mut self, packet: StreamPacket<'_>) -> Vec<u8> {
        self.author.sign(packet)
    }
}
