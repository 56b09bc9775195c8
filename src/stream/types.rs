// SPDX-License-Identifier: MIT
//! What goes in and out of a [`super::Table`].

use crate::wire::i2cp_gzip::Ports;
use crate::wire::{DestHash, Destination};
use std::fmt;

/// Our id of a stream: random, never zero, unique within the destination, not used again for minutes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub(crate) u32);

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream {:08x}", self.0)
    }
}

/// What a packet is for: lets the sender of a batch tell urgent from bulk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketKind {
    /// A SYN or SYN-ACK. The first packet to a peer must carry our LeaseSet.
    Syn,
    /// Numbered payload.
    Data,
    /// An acknowledgement alone. Small, not counted against any window.
    Ack,
    /// The end of our direction.
    Close,
    /// The end of the stream.
    Reset,
    /// A ping or its answer.
    Ping,
}

/// What the stream knows about the path that this packet should take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PathHint {
    /// Nothing speaks against the present path.
    #[default]
    Keep,
    /// Packets went unanswered: try another outbound tunnel.
    SwitchTunnel,
    /// Packets went unanswered: try another lease of the peer.
    SwitchLease,
}

/// A packet to send.
#[derive(Clone, Debug)]
pub struct OutPacket {
    /// The receiver.
    pub to: DestHash,
    /// The gzip member that an I2NP Data message carries (without the four length bytes), ports and protocol in it.
    pub bytes: Vec<u8>,
    /// The stream, unless it belongs to none (a reset of an unknown stream, a pong).
    pub stream: Option<StreamId>,
    /// What it is for.
    pub kind: PacketKind,
    /// Which path it should take.
    pub path_hint: PathHint,
}

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// Both sides closed; all bytes arrived.
    Graceful,
    /// The peer never answered our SYN.
    ConnectTimeout,
    /// The peer stopped answering in mid-stream.
    PeerSilent,
    /// The peer reset the stream, or refused it.
    ResetByPeer,
    /// We reset it.
    ResetLocally,
    /// An incoming stream that nobody accepted in time.
    NotAccepted,
}

/// A fact about a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A peer opened a stream. Take it with [`super::Table::accept`], or reset it.
    Incoming {
        /// The stream.
        id: StreamId,
        /// Who opened it: the signature was checked.
        remote: Destination,
        /// From the peer's port to ours.
        ports: Ports,
    },
    /// The peer accepted our stream.
    Connected(StreamId),
    /// There is something to read. Comes once; again only after the stream was read empty.
    Readable(StreamId),
    /// There is room to write again, after a write that was not taken whole.
    Writable(StreamId),
    /// The peer sends no more; what came before is still to be read.
    RemoteClosed(StreamId),
    /// Everything written before [`super::Table::shutdown_write`] or [`super::Table::close`] has arrived.
    Flushed(StreamId),
    /// The stream is over. What was received before can be read until the stream is closed here.
    Closed {
        /// The stream.
        id: StreamId,
        /// Why.
        reason: CloseReason,
    },
    /// A peer answered our ping.
    Pong {
        /// The peer.
        from: DestHash,
        /// What our ping carried.
        payload: Vec<u8>,
    },
}

/// A snapshot of one stream's state for logs and tests.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StreamStats {
    /// Smoothed round-trip time in microseconds; 0 before the first sample.
    pub srtt_us: u64,
    /// Least round-trip time of the last seconds.
    pub min_rtt_us: u64,
    /// Present window in packets.
    pub window: u32,
    /// Packets in flight.
    pub in_flight: u32,
    /// Estimated delivery rate in packets per second.
    pub rate: f64,
    /// Bytes accepted from the application and acknowledged by the peer.
    pub bytes_acked: u64,
    /// Payload bytes received in order.
    pub bytes_received: u64,
    /// Numbered packets sent, first transmissions only.
    pub packets_sent: u64,
    /// Packets sent again.
    pub retransmitted: u64,
    /// Retransmissions that were not needed, as far as we can tell.
    pub spurious: u64,
    /// Retransmission timeouts.
    pub timeouts: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// Packets that came before one with a lower number.
    pub out_of_order: u64,
    /// Packets for which there was no room.
    pub refused: u64,
    /// Whether the peer has choked us.
    pub choked: bool,
}
