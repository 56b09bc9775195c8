// SPDX-License-Identifier: MIT
//! Datagrams as programs see them: formats, bindings, options, what arrives.

use crate::wire::i2cp_gzip::{
    PROTOCOL_DATAGRAM1, PROTOCOL_DATAGRAM2, PROTOCOL_DATAGRAM3, PROTOCOL_RAW, PROTOCOL_STREAMING,
};
use crate::wire::{DestHash, Destination};
use std::time::Duration;

/// Largest payload of a datagram that names its sender: 31 KiB, as SAM has it.
pub const REPLIABLE_MAX: usize = 31_744;
/// Largest payload of a bare datagram.
pub const RAW_MAX: usize = 32_768;

/// What a datagram says about its sender, and how it proves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DatagramStyle {
    /// The sender's destination and its signature over the payload. Understood everywhere.
    Datagram1,
    /// The same, bound to the receiver, so that nobody can pass it on as if it were sent to them.
    Datagram2,
    /// The sender's hash, 34 bytes in place of 455. It is compared with the session that brought it, where that is
    /// known, and proves nothing otherwise.
    Datagram3,
    /// Nothing about the sender.
    Raw,
}

impl DatagramStyle {
    /// The I2CP protocol of the format; for [`Self::Raw`] the usual one.
    pub const fn protocol(self) -> u8 {
        match self {
            Self::Datagram1 => PROTOCOL_DATAGRAM1,
            Self::Datagram2 => PROTOCOL_DATAGRAM2,
            Self::Datagram3 => PROTOCOL_DATAGRAM3,
            Self::Raw => PROTOCOL_RAW,
        }
    }

    /// Largest payload.
    pub const fn payload_max(self) -> usize {
        match self {
            Self::Raw => RAW_MAX,
            _ => REPLIABLE_MAX,
        }
    }
}

/// What a [`DatagramSocket`](super::DatagramSocket) takes.
///
/// A datagram goes to the binding of its protocol and port, else to that of its protocol and port 0, else to the raw
/// one of protocol 0 and its port, else to that of protocol 0 and port 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DatagramBinding {
    /// The format.
    pub style: DatagramStyle,
    /// The protocol taken by a raw binding, 0 for those that nothing else takes. The other formats have their own.
    pub protocol: u8,
    /// The port taken, 0 for those that nothing else takes. Also the port that datagrams are sent from.
    pub port: u16,
}

impl DatagramBinding {
    /// Signed datagrams of the first format.
    pub const fn repliable(port: u16) -> Self {
        Self::of(DatagramStyle::Datagram1, port)
    }

    /// Bare datagrams of the usual protocol.
    pub const fn raw(port: u16) -> Self {
        Self::of(DatagramStyle::Raw, port)
    }

    /// Bare datagrams of any protocol that no other format has.
    pub const fn raw_protocol(protocol: u8, port: u16) -> Self {
        Self { style: DatagramStyle::Raw, protocol, port }
    }

    /// Datagrams of a format with its usual protocol.
    pub const fn of(style: DatagramStyle, port: u16) -> Self {
        Self { style, protocol: style.protocol(), port }
    }

    /// Protocol and port as the session's table has them; `None` for a raw binding to a protocol that has a format.
    pub(crate) const fn key(self) -> Option<(u8, u16)> {
        match (self.style, self.protocol) {
            (DatagramStyle::Raw, protocol) if has_format(protocol) => None,
            (DatagramStyle::Raw, protocol) => Some((protocol, self.port)),
            (style, _) => Some((style.protocol(), self.port)),
        }
    }
}

/// Whether a protocol is not for raw datagrams.
pub(crate) const fn has_format(protocol: u8) -> bool {
    matches!(protocol, PROTOCOL_STREAMING | PROTOCOL_DATAGRAM1 | PROTOCOL_DATAGRAM2 | PROTOCOL_DATAGRAM3)
}

/// How to send a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct DatagramOptions {
    /// Our port; `None`: that of the binding.
    pub from_port: Option<u16>,
    /// The receiver's port, 0 if none.
    pub to_port: u16,
    /// I2CP protocol of a raw datagram; `None`: that of the binding, or 18 if it takes any.
    pub protocol: Option<u8>,
    /// How long it is worth delivering, 1 to 600 s. Default: 10 s in tunnels, and up to 10 s before.
    pub expires: Option<Duration>,
    /// Whether our lease set goes along until the receiver has it, which it needs to answer. Default true.
    pub send_lease_set: Option<bool>,
}

/// A datagram that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Who sent it, as far as the format tells.
    pub from: DatagramSender,
    /// The sender's port.
    pub from_port: u16,
    /// Our port.
    pub to_port: u16,
    /// Its I2CP protocol.
    pub protocol: u8,
    /// The content.
    pub payload: Vec<u8>,
}

/// Who sent a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatagramSender {
    /// Proven by a signature.
    Proven(Destination),
    /// Only claimed: [`DatagramStyle::Datagram3`].
    Claimed(DestHash),
    /// Not told: [`DatagramStyle::Raw`].
    Nobody,
}

/// What became of a socket's datagrams so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatagramCounts {
    /// Handed to the tunnels.
    pub sent: u64,
    /// Not sent: no lease set, no tunnel, no room, too old.
    pub send_dropped: u64,
    /// Taken by the program.
    pub received: u64,
    /// Arrived and dropped: malformed, badly signed, replayed, or the program was too slow.
    pub receive_dropped: u64,
}
