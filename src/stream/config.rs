// SPDX-License-Identifier: MIT
//! Settings of a destination's streams. Session options of clients map onto these fields.

use std::time::Duration;

/// Settings of one [`super::Table`].
#[derive(Clone, Debug)]
pub struct Config {
    /// Most streams at once, both ways. Further SYNs are refused. Default 2,048.
    pub streams_max: usize,
    /// Most incoming streams that wait for an acceptor. Default 1,024; a further one is reset.
    pub backlog: usize,
    /// The same of one peer. Default 64.
    pub backlog_per_peer: u32,
    /// How long an incoming stream waits for an acceptor. Default 60 s; 10 s at most while half of the backlog is taken.
    pub accept_hold: Duration,
    /// How long a SYN is repeated. Default 60 s.
    pub connect_timeout: Duration,
    /// Timeouts in a row after which a peer counts as silent. Default 12, about a minute and a half.
    pub resends_max: u32,
    /// Idle time after which an empty numbered packet asks whether the peer is there. Default 35 s; zero: never.
    pub keepalive: Duration,
    /// How long a half-closed stream may be silent before our CLOSE goes out. Default 300 ms,
    /// but never less than three round trips; see [`super::Table::shutdown_write`].
    pub half_close_linger: Duration,
    /// Largest window in packets. Default 512.
    pub window_max: u32,
    /// Largest payload that we announce. Default 1,812: two tunnel messages.
    pub mtu: u16,
    /// Whether pings are answered. Default yes.
    pub answer_pings: bool,
    /// Interactive profile: small writes are never held back. Default no.
    pub interactive: bool,
    /// New streams from one peer per second, and in a burst. Default 32 and 128.
    pub syn_per_peer: (u32, u32),
    /// Signature checks of SYNs per second, over all peers. Default 500.
    pub syn_checks: u32,
    /// New streams from one peer per minute, hour and day; 0: no limit. Default none.
    pub per_peer_limits: [u32; 3],
    /// New streams from all peers per minute, hour and day; 0: no limit. Default none.
    pub total_limits: [u32; 3],
    /// Bounds of what is held.
    pub bounds: Bounds,
    /// Whether streams beyond these limits are dropped without an answer. Default: they are reset.
    pub limits_drop: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            streams_max: 2048,
            backlog: 1024,
            backlog_per_peer: 64,
            accept_hold: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(60),
            resends_max: 12,
            keepalive: Duration::from_secs(35),
            half_close_linger: Duration::from_millis(300),
            window_max: 512,
            mtu: 1812,
            answer_pings: true,
            interactive: false,
            syn_per_peer: (32, 128),
            syn_checks: 500,
            per_peer_limits: [0; 3],
            total_limits: [0; 3],
            bounds: Bounds::USUAL,
            limits_drop: false,
        }
    }
}

/// What streams hold and remember at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How long an incoming stream waits for an acceptor while half of the backlog is taken.
    pub crowded_hold: Duration,
    /// Bytes of a stream that nobody has accepted.
    pub unaccepted: usize,
    /// Bytes accepted from the application and not sent.
    pub unsent: usize,
    /// Bytes kept for the application, and as many out of order.
    pub unread: usize,
    /// Numbers kept beyond the next one.
    pub ahead: u32,
    /// SYNs remembered, to refuse their replay.
    pub syns: usize,
    /// Ended streams remembered, to answer late packets.
    pub ended: usize,
    /// Streams whose data came before their SYN.
    pub early_streams: usize,
    /// Packets of one of them.
    pub early_packets: usize,
    /// Bytes of all of it.
    pub early_bytes: usize,
    /// Peers remembered, those with streams aside.
    pub peers: usize,
    /// Resets, pongs and late acks that wait to be sent.
    pub replies: usize,
    /// Repetitions of a question whether the peer is still there.
    pub questions: u32,
    /// Time for the peer to close after us.
    pub close_wait: Duration,
    /// Silence after which a stream that we have closed is given up.
    pub close_silence: Duration,
}

impl Bounds {
    /// The usual ones.
    pub const USUAL: Self = Self {
        crowded_hold: Duration::from_secs(10),
        unaccepted: 64 * 1024,
        unsent: 256 * 1024,
        unread: 1 << 20,
        ahead: 512,
        syns: 16_384,
        ended: 4096,
        early_streams: 64,
        early_packets: 16,
        early_bytes: 512 * 1024,
        peers: 4096,
        replies: 256,
        questions: 7,
        close_wait: Duration::from_secs(60),
        close_silence: Duration::from_secs(300),
    };
}

/// Settings of one outgoing stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectOptions {
    /// Replaces [`Config::connect_timeout`].
    pub timeout: Option<Duration>,
    /// Replaces [`Config::interactive`].
    pub interactive: Option<bool>,
}
