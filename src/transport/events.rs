// SPDX-License-Identifier: MIT
//! What the transport tells its router, and why links fail.

use super::PeerSender;
use super::ntcp2::handshake::Failure;
use crate::wire::ntcp2_block::TerminationReason;
use crate::wire::{I2np, RouterHash};
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Messages that one socket read of a peer's connection brought: an item of the queue to the tunnel plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FromPeer {
    /// The authenticated sender.
    pub peer: RouterHash,
    /// In the order in which they came.
    pub messages: Vec<I2np>,
}

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The peer did.
    Inbound,
    /// We did.
    Outbound,
}

/// A fact of the transport.
#[derive(Clone, Debug)]
pub enum TransportEvent {
    /// A router is linked to us. Send to it with `sender` until `Down`.
    Up {
        /// Who.
        peer: RouterHash,
        /// The way to send.
        sender: PeerSender,
        /// Who opened the connection.
        direction: Direction,
        /// Its address.
        remote: SocketAddr,
        /// Its clock minus ours, in milliseconds, to within a second.
        skew_ms: i64,
    },
    /// The link is gone.
    Down {
        /// Who.
        peer: RouterHash,
        /// Why.
        reason: CloseReason,
    },
    /// A peer sent a RouterInfo: its own (always after an inbound `Up`) or another's. Unchecked bytes.
    RouterInfo {
        /// The sender.
        from: RouterHash,
        /// Signed bytes, uncompressed.
        raw: Vec<u8>,
        /// It asks for the RouterInfo to be flooded.
        flood: bool,
    },
    /// A dial did not lead to a link; the messages that waited for it are lost.
    DialFailed {
        /// Who was dialled.
        peer: RouterHash,
        /// Why it failed.
        reason: DialError,
        /// How many messages were lost.
        messages: usize,
    },
}

/// Why a dial failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DialError {
    /// The RouterInfo has no NTCP2 address that we can reach.
    NoAddress,
    /// Its addresses are private or reserved.
    Reserved,
    /// The router is ourselves.
    Ourselves,
    /// The router is banned.
    Banned,
    /// A dial of this router failed a moment ago.
    Backoff,
    /// Too many dials or sessions.
    Full,
    /// The transport is shutting down.
    ShuttingDown,
    /// No TCP connection in time.
    ConnectTimeout,
    /// No TCP connection.
    Connect(io::ErrorKind),
    /// The handshake failed.
    Handshake(Failure),
}

impl DialError {
    /// Whether it says something about the router, and not about us.
    pub const fn is_peers_fault(self) -> bool {
        matches!(self, Self::ConnectTimeout | Self::Connect(_) | Self::Handshake(_))
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress => f.write_str("no address that we can reach"),
            Self::Reserved => f.write_str("only reserved addresses"),
            Self::Ourselves => f.write_str("it is ourselves"),
            Self::Banned => f.write_str("banned"),
            Self::Backoff => f.write_str("failed a moment ago"),
            Self::Full => f.write_str("too many connections"),
            Self::ShuttingDown => f.write_str("shutting down"),
            Self::ConnectTimeout => f.write_str("no connection in time"),
            Self::Connect(kind) => write!(f, "no connection: {kind}"),
            Self::Handshake(failure) => write!(f, "handshake: {failure}"),
        }
    }
}

impl std::error::Error for DialError {}

/// Why a link ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer terminated the session.
    ByPeer(TerminationReason),
    /// We terminated the session.
    ByUs(TerminationReason),
    /// The TCP connection ended or failed.
    Lost,
    /// The peer took no bytes for too long.
    Stalled,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByPeer(reason) => write!(f, "terminated by the peer ({reason:?})"),
            Self::ByUs(reason) => write!(f, "terminated by us ({reason:?})"),
            Self::Lost => f.write_str("connection lost"),
            Self::Stalled => f.write_str("the peer took no bytes"),
        }
    }
}
