// SPDX-License-Identifier: MIT
//! All streams of one destination.

use super::{Config, ConnectOptions, Event, OutPacket, StreamId, StreamStats};
use crate::base::{Mono, Now, Rng};
use crate::crypto::sign::AnySigningKey;
use crate::wire::i2cp_gzip::Ports;
use crate::wire::{DestHash, Destination, OfflineSignature};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;

/// All streams of one local destination.
pub struct Table {
    config: Config,
    packets: VecDeque<OutPacket>,
    events: VecDeque<Event>,
}

#[allow(unused_variables, clippy::unused_self, clippy::needless_pass_by_value, reason = "being filled in")]
impl Table {
    /// An empty table for `local`, whose packets `signing` signs. With `offline`, `signing` is the transient key.
    pub fn new(
        local: Destination,
        signing: Arc<AnySigningKey>,
        offline: Option<OfflineSignature>,
        config: Config,
        rng: Rng,
    ) -> Self {
        Self { config, packets: VecDeque::new(), events: VecDeque::new() }
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
        None
    }

    /// Takes incoming streams for `port` from now on; 0 stands for every port without a listener of its own.
    /// SYNs for a port that nobody listens on are reset.
    pub fn listen(&mut self, port: u16) {}

    /// Ends what [`Self::listen`] started. Waiting streams are reset when their hold ends.
    pub fn unlisten(&mut self, port: u16) {}

    /// Takes an incoming stream; answers whether it is still there.
    pub fn accept(&mut self, id: StreamId) -> bool {
        false
    }

    /// Takes a packet out of a wrapper with protocol 6. `from` is the sender as far as the garlic session proves it.
    pub fn handle_packet(&mut self, now: Now, from: Option<DestHash>, ports: Ports, packet: &[u8]) {}

    /// Appends to a stream as much of `data` as there is room for, and says how much that was.
    /// If not all, [`Event::Writable`] follows when there is room again.
    pub fn write(&mut self, now: Now, id: StreamId, data: Bytes) -> usize {
        0
    }

    /// How many bytes [`Self::write`] would take.
    pub fn writable(&self, id: StreamId) -> usize {
        0
    }

    /// Takes up to `max` received bytes.
    pub fn read(&mut self, now: Now, id: StreamId, max: usize) -> Option<Bytes> {
        None
    }

    /// How many bytes wait to be read.
    pub fn readable(&self, id: StreamId) -> usize {
        0
    }

    /// Whether all has been read and no more will come.
    pub fn is_finished(&self, id: StreamId) -> bool {
        true
    }

    /// The application is done with the stream: what was written is delivered, then a CLOSE; what still comes is
    /// thrown away. Every stream must be given back by this or by [`Self::reset`], also after [`Event::Closed`].
    pub fn close(&mut self, now: Now, id: StreamId) {}

    /// The application writes no more but still reads.
    ///
    /// i2pd knows no half-closed streams: on a CLOSE it drops what it has not yet sent. So the CLOSE waits until
    /// all is delivered and then until the peer closes, the application calls [`Self::close`], or nothing has come
    /// from the peer for [`Config::half_close_linger`] (at least three round trips).
    pub fn shutdown_write(&mut self, now: Now, id: StreamId) {}

    /// Ends a stream at once, here and at the peer.
    pub fn reset(&mut self, now: Now, id: StreamId) {}

    /// Sends a ping of at most 32 bytes.
    pub fn ping(&mut self, now: Now, to: DestHash, ports: Ports, payload: &[u8]) {}

    /// Bounds the unacknowledged packets of all streams to `remote` together: what its garlic session can take.
    pub fn set_inflight_limit(&mut self, remote: DestHash, packets: u32) {}

    /// The path to `remote` has changed: its round-trip times are measured anew.
    pub fn path_changed(&mut self, now: Now, remote: DestHash) {}

    /// The next packet to send. Call it until it gives none, or until the way out is full.
    pub fn poll_packet(&mut self, now: Now) -> Option<OutPacket> {
        self.packets.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Mono> {
        None
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {}

    /// The peer of a stream; its full destination once it is known.
    pub fn remote(&self, id: StreamId) -> Option<(DestHash, Option<Destination>)> {
        None
    }

    /// State of a stream.
    pub fn stats(&self, id: StreamId) -> Option<StreamStats> {
        None
    }

    /// Number of streams.
    pub fn len(&self) -> usize {
        0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Resets every stream: the destination is going down. Packets may still be polled.
    pub fn reset_all(&mut self, now: Now) {}
}
