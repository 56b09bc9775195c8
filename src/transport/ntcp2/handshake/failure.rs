// SPDX-License-Identifier: MIT
//! Why a handshake did not lead to a session.

use crate::wire::DecodeError;
use crate::wire::ntcp2_block::TerminationReason;
use std::fmt;

/// Why a handshake ended. Each names the rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// It took too long.
    Timeout,
    /// The peer closed the connection.
    Closed,
    /// A message did not authenticate, or its ephemeral key is impossible.
    Authentication,
    /// Message 1 was seen before.
    Replay,
    /// The peer belongs to another network.
    NetId(u8),
    /// A protocol version we do not speak.
    Version(u8),
    /// The announced size of message 3 is out of bounds.
    Message3Size(u16),
    /// More padding than any peer sends.
    Padding(u16),
    /// Bytes came before it was their turn.
    Pipelined,
    /// Clocks differ by this many milliseconds (peer minus us).
    Skew(i64),
    /// Message 3 does not consist of the blocks it must.
    Blocks,
    /// The RouterInfo cannot be read.
    RouterInfo(DecodeError),
    /// The RouterInfo's signature is wrong.
    Signature,
    /// The RouterInfo publishes another static key than the peer used.
    StaticKey,
    /// The RouterInfo belongs to another network.
    RouterInfoNetId,
    /// The RouterInfo is too old or from the future.
    Age,
    /// The peer does not connect from the address it publishes.
    Source,
    /// The peer is ourselves.
    Ourselves,
    /// A key of ours or of the peer's address is unusable.
    Key,
}

impl Failure {
    /// The code to send, for failures after which there are keys to send one.
    pub(super) const fn termination(self) -> TerminationReason {
        match self {
            Self::Skew(_) => TerminationReason::ClockSkew,
            Self::Signature => TerminationReason::RouterInfoSignature,
            Self::StaticKey | Self::Key => TerminationReason::StaticKey,
            Self::RouterInfoNetId | Self::Source | Self::Ourselves => TerminationReason::Banned,
            Self::Age => TerminationReason::ClockSkew,
            _ => TerminationReason::Message3,
        }
    }

    /// Short name for counters and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Closed => "closed by the peer",
            Self::Authentication => "authentication",
            Self::Replay => "replay",
            Self::NetId(_) => "network id",
            Self::Version(_) => "version",
            Self::Message3Size(_) => "message 3 size",
            Self::Padding(_) => "padding",
            Self::Pipelined => "pipelined bytes",
            Self::Skew(_) => "clock skew",
            Self::Blocks => "blocks of message 3",
            Self::RouterInfo(_) => "malformed RouterInfo",
            Self::Signature => "RouterInfo signature",
            Self::StaticKey => "static key",
            Self::RouterInfoNetId => "network id of RouterInfo",
            Self::Age => "age of RouterInfo",
            Self::Source => "source address",
            Self::Ourselves => "it is ourselves",
            Self::Key => "unusable key",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skew(ms) => write!(f, "clock skew of {} s", ms / 1000),
            Self::NetId(id) => write!(f, "network id {id}"),
            Self::RouterInfo(error) => write!(f, "RouterInfo {error}"),
            other => f.write_str(other.name()),
        }
    }
}

impl std::error::Error for Failure {}
