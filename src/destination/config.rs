// SPDX-License-Identifier: MIT
//! Settings of a session and of a stream. Values out of range are clamped, as session options always were.

use super::{BlindedAccess, DestinationKeys, Encryption};
use crate::tunnel::PoolConfig;
use crate::{garlic, stream};
use std::time::Duration;

/// Bounds of every session, whatever its settings ask for.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Of garlic sessions.
    pub garlic: garlic::Limits,
    /// Of streams, where [`StreamOptions`] do not say otherwise; of the window the smaller counts.
    pub streams: stream::Config,
    /// Most timeouts in a row that a session may ask for. Default 30.
    pub resends_max: u32,
    /// Bytes that a program has written to a stream and the stream has not taken. Default 256 KiB.
    pub upload: usize,
    /// Bytes of a stream that its program has not read. Default 512 KiB; the stream itself keeps more.
    pub download: usize,
    /// Bytes of datagrams that wait for their program, of one binding. Default 2 MiB.
    pub datagrams_in: u32,
    /// Bytes of datagrams that wait to be sent. Default 2 MiB.
    pub datagrams_out: u32,
    /// Signatures of datagrams remembered against replays. Default 4,096.
    pub datagram_marks: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            garlic: garlic::Limits::default(),
            streams: stream::Config::default(),
            resends_max: 30,
            upload: 256 * 1024,
            download: 512 * 1024,
            datagrams_in: 2 * 1024 * 1024,
            datagrams_out: 2 * 1024 * 1024,
            datagram_marks: 4096,
        }
    }
}

/// Streaming settings of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamOptions {
    /// Longest wait for an answer to a connection request. Default 60 s.
    pub connect_timeout: Duration,
    /// Most packets in flight for a stream, 1 to 512. Default 512.
    pub max_window: u32,
    /// Whether pings are answered. Default true.
    pub answer_pings: bool,
    /// Streams open at once, both ways. Default 2,048.
    pub max_streams: usize,
    /// Timeouts in a row after which a peer counts as silent, 1 to 30. Default 12, about a minute and a half.
    pub max_resends: u32,
    /// Largest payload of a packet that we announce, 512 to 1,812 bytes. Default 1,812: two tunnel messages.
    pub max_message: u16,
    /// Idle time after which a peer is asked whether it is still there. Default 35 s; zero: never.
    pub keepalive: Duration,
    /// Small writes are never held back for company. Default false.
    pub interactive: bool,
    /// Streams that one peer may open in a minute, an hour, a day; 0: any number. Default 0.
    pub peer_limits: [u32; 3],
    /// The same for all peers together.
    pub total_limits: [u32; 3],
    /// Streams beyond these are dropped without an answer, so that the peer tries for a while. Default false: reset.
    pub limits_drop: bool,
}

impl Default for StreamOptions {
    fn default() -> Self {
        let usual = stream::Config::default();
        Self {
            connect_timeout: usual.connect_timeout,
            max_window: usual.window_max,
            answer_pings: usual.answer_pings,
            max_streams: usual.streams_max,
            max_resends: usual.resends_max,
            max_message: usual.mtu,
            keepalive: usual.keepalive,
            interactive: usual.interactive,
            peer_limits: usual.per_peer_limits,
            total_limits: usual.total_limits,
            limits_drop: usual.limits_drop,
        }
    }
}

/// What a session shall be.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SessionConfig {
    /// The destination's keys; `None`: fresh ones that die with the session.
    pub keys: Option<DestinationKeys>,
    /// Tunnels. Default three hops, two each way.
    pub tunnels: PoolConfig,
    /// Streams.
    pub streams: StreamOptions,
    /// Takes peers' streams only to ports with a [`Listener`](super::Listener) and resets the others. Default false:
    /// streams are taken from the start, on every port, for [`Session::accept`](super::Session::accept).
    pub streams_by_listener: bool,
    /// `i2cp.dontPublishLeaseSet`: only those whom we call can call back.
    pub unpublished: bool,
    /// `i2cp.leaseSetOption.N`: options of the lease set, such as service records (`_smtp._tcp`, `0 86400 25`). At most
    /// 16 and 1,024 bytes in all, 255 bytes each; what is beyond is left out.
    pub lease_set_options: Vec<(String, String)>,
    /// Publishes the lease set encrypted: only those find it who have the destination's name, and whatever else is
    /// asked for here. Needs keys of type 7 or 11. Default: in the clear.
    pub encryption: Option<Encryption>,
    /// What it takes to open encrypted lease sets of others.
    pub blinded_access: BlindedAccess,
    /// A name for logs and status.
    pub nickname: String,
}

impl SessionConfig {
    /// A destination that dies with the session.
    pub fn transient() -> Self {
        Self::default()
    }

    /// A destination with keys of its own.
    pub fn with_keys(keys: DestinationKeys) -> Self {
        Self { keys: Some(keys), ..Self::default() }
    }

    /// Sets hops and number of tunnels for both directions: 0 to 7 hops, 1 to 16 tunnels.
    #[must_use]
    pub const fn tunnels(mut self, hops: u8, quantity: u8) -> Self {
        let hops = if hops > 7 { 7 } else { hops };
        let quantity = match quantity {
            0 => 1,
            17.. => 16,
            n => n,
        };
        self.tunnels = PoolConfig::symmetric(hops, quantity);
        self
    }

    /// Sets the name for logs and status.
    #[must_use]
    pub fn nickname(mut self, name: impl Into<String>) -> Self {
        self.nickname = name.into();
        self
    }
}

/// Settings of one outgoing stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ConnectOptions {
    /// Our port, 0 if none.
    pub from_port: u16,
    /// The peer's port, 0 if none.
    pub to_port: u16,
    /// Overrides the session's connect timeout.
    pub timeout: Option<Duration>,
}
