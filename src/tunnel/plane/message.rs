// SPDX-License-Identifier: MIT
//! What the plane is told and what it tells.

use std::fmt;

use crate::base::Mono;
use crate::tunnel::types::{Class, Delivery, Install, PoolId, TunnelKey};
use crate::wire::{I2np, MessageId, RouterHash, TunnelId};

/// What the plane is told.
#[derive(Debug)]
pub enum Input {
    /// Messages that a peer's connection read, one batch per read.
    FromPeer {
        /// The authenticated sender.
        peer: RouterHash,
        /// In the order in which they came.
        messages: Vec<I2np>,
    },
    /// Sends a message to a router without a tunnel. To ourselves, it is dispatched here.
    Send {
        /// The receiver.
        to: RouterHash,
        /// The message.
        message: I2np,
    },
    /// Sends messages through an outbound tunnel of ours; they share cells.
    Out {
        /// The tunnel's handle.
        handle: TunnelId,
        /// Messages and where the endpoint takes them, in order.
        messages: Vec<(Delivery, I2np)>,
    },
    /// Starts to carry a tunnel. A refusal is answered with [`Action::Refused`].
    Install(Install),
    /// Forgets a tunnel before its time.
    Remove(TunnelKey),
    /// A Garlic message that begins with this tag goes to control, whoever's tunnel it comes out of. Used up by
    /// the first such message.
    RegisterTag {
        /// First eight bytes of the garlic's data.
        tag: [u8; 8],
        /// When it is forgotten.
        expires: Mono,
    },
    /// Forgets a tag.
    DropTag([u8; 8]),
    /// A build message with this id is the answer to a build of ours, and no request. Used up by the first.
    ExpectReply {
        /// The id that the last hop gives it.
        id: MessageId,
        /// When it is forgotten.
        expires: Mono,
    },
}

/// How a message for control reached us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// From a router as such: by its connection, from ourselves, or as an outbound endpoint's ROUTER delivery to us.
    Direct,
    /// Out of an inbound tunnel of this owner.
    Tunnel(PoolId),
}

/// What the plane tells.
#[derive(Debug)]
pub enum Action {
    /// Hand to the peer's connection, or dial. One for each peer and class in a turn.
    Send {
        /// The receiver, never ourselves.
        peer: RouterHash,
        /// Priority.
        class: Class,
        /// In order.
        messages: Vec<I2np>,
    },
    /// Messages out of inbound tunnels of a destination.
    Up {
        /// The owner, never the exploratory pool.
        pool: PoolId,
        /// In order.
        messages: Vec<I2np>,
    },
    /// A message for control: all that reaches the router itself, database messages out of exploratory tunnels, and from
    /// any tunnel of ours expected build replies and garlic with a registered tag.
    Control {
        /// The peer that sent it to us (ourselves, for [`Input::Send`] to ourselves); `None` if it came through a
        /// tunnel.
        from: Option<RouterHash>,
        /// The way it came.
        via: Via,
        /// It answers something of ours, or came through a tunnel of ours: strangers' requests must not delay it.
        own: bool,
        /// The message.
        message: I2np,
    },
    /// An [`Input::Install`] was refused.
    Refused {
        /// Which tunnel.
        key: TunnelKey,
        /// Why.
        reason: InstallError,
    },
}

/// Why a tunnel was not installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstallError {
    /// A tunnel with this id is there already.
    Duplicate,
    /// Tunnel id zero, ours or the next hop's.
    ZeroId,
    /// No hops where there must be some, or too many.
    Hops,
    /// The limit of transit tunnels, or of tunnels of our own, is reached.
    Full,
    /// It expires now or has expired.
    Expired,
}

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Duplicate => "tunnel id is in use",
            Self::ZeroId => "tunnel id is zero",
            Self::Hops => "number of hops",
            Self::Full => "too many tunnels",
            Self::Expired => "already expired",
        })
    }
}

impl std::error::Error for InstallError {}
