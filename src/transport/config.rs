// SPDX-License-Identifier: MIT
//! Settings of the transport room.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::queue::QueueLimits;
use crate::base::Budget;

/// Smaller bounds of links; the defaults are those of the live network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkLimits {
    /// Time for a whole handshake, inbound, or after the TCP connection is there.
    pub handshake_time: Duration,
    /// Padding accepted in messages 1 and 2. Current peers send at most 880 bytes.
    pub padding: usize,
    /// Largest second part of message 3 that is accepted.
    pub message3: usize,
    /// Clocks may differ by this.
    pub skew: Duration,
    /// Most bytes swallowed after a message that did not authenticate.
    pub probe_bytes: usize,
    /// Longest time for which they are swallowed.
    pub probe_time: Duration,
    /// First messages that are remembered against replays.
    pub replay_entries: usize,
    /// Inbound connections a second from addresses that are known; twice as many at once.
    pub known_per_second: u32,
    /// Longest wait after a frame that did not authenticate.
    pub bad_frame_time: Duration,
    /// RouterInfo blocks taken from one read.
    pub router_infos: usize,
    /// Bytes that may wait for a peer; three quarters of it for transit.
    pub queue_bytes: usize,
    /// Messages that may wait until a connection is there.
    pub queue_dialling: usize,
    /// What waited so long is not sent any more, whatever it is.
    pub queue_time: Duration,
    /// A peer that takes no bytes for so long is given up.
    pub stall_time: Duration,
}

impl LinkLimits {
    /// Those of the live network.
    pub const USUAL: Self = Self {
        handshake_time: Duration::from_secs(10),
        padding: 1_024,
        message3: 6_144,
        skew: Duration::from_secs(60),
        probe_bytes: 64 * 1024,
        probe_time: Duration::from_secs(10),
        replay_entries: 65_536,
        known_per_second: 200,
        bad_frame_time: Duration::from_secs(4),
        router_infos: 8,
        // i2pd sends its whole window at once, 128 packets or 260 KiB as cells, and a stream of ours up to 512; what bounds
        // the delay is the waiting time, not this.
        queue_bytes: 1024 * 1024,
        queue_dialling: 32,
        queue_time: Duration::from_secs(5),
        stall_time: Duration::from_secs(30),
    };
}

/// How a router links to others. `Default` is the live network, outbound only.
#[derive(Clone, Debug)]
pub struct TransportConfig {
    /// Network id. 2 is the live network; 16 to 254 are for networks of one's own. Peers of another are refused.
    pub net_id: u8,
    /// Where to listen, at most one address for each family. Empty: outbound only.
    pub bind: Vec<SocketAddr>,
    /// Addresses that our RouterInfo publishes, at most one for each family. Outgoing connections of the family are bound
    /// to it when `bind_outgoing` is set: peers refuse a router whose source address differs from the published one.
    pub published: Vec<SocketAddr>,
    /// Bind outgoing connections to the published address. Wanted on hosts with several addresses and on test networks;
    /// impossible behind a NAT. Default: false.
    pub bind_outgoing: bool,
    /// Relax what a network on one machine needs: reserved addresses, several routers behind one address, source
    /// addresses that differ from the published ones, handshakes as fast as they come. Never with net id 2.
    pub test_network: bool,
    /// Most sessions. Default 2,000. Beyond it inbound connections are refused and dials fail with
    /// [`DialError::Full`](super::DialError::Full).
    pub sessions_max: usize,
    /// Most outgoing connections under way at once. Default 64.
    pub dials_max: usize,
    /// Most inbound handshakes under way. Default 512; the oldest is dropped for a new one.
    pub pending_max: usize,
    /// The same for one address. Default 3.
    pub pending_per_ip: usize,
    /// The same for a /24 (IPv4) or /48 (IPv6). Default 64.
    pub pending_per_subnet: usize,
    /// New connections a second from one address, over time. Default 5.
    pub accepts_per_second: u32,
    /// New connections at once from one address. Default 20.
    pub accepts_burst: u32,
    /// New connections a second from all addresses, with bursts of twice as many. Default 500: a handshake costs some
    /// 0.3 ms, so a flood of them can take a sixth of a core and no more.
    pub handshakes_per_second: u32,
    /// Transit to a peer is dropped when its queue has not moved for so long, and more and more of it from half of that
    /// on. Default 250 ms; on a test network at least 2 s, since there it is the machine that is slow and not the peer.
    pub transit_wait: Duration,
    /// Most bytes a second over all links, in each direction. Default `None`: no limit. What is over it waits.
    pub rate: Option<u32>,
    /// Time for a TCP connection to be made. Default 6 s.
    pub connect_timeout: Duration,
    /// Bounds of each link and of what is remembered.
    pub links: LinkLimits,
    /// The router's memory; when it runs short, transit is dropped. Default: never short.
    pub budget: Budget,
}

impl Default for TransportConfig {
    fn default() -> Self {
        Self {
            net_id: 2,
            bind: Vec::new(),
            published: Vec::new(),
            bind_outgoing: false,
            test_network: false,
            sessions_max: 2_000,
            dials_max: 64,
            pending_max: 512,
            pending_per_ip: 3,
            pending_per_subnet: 64,
            accepts_per_second: 5,
            accepts_burst: 20,
            handshakes_per_second: 500,
            transit_wait: Duration::from_millis(250),
            rate: None,
            connect_timeout: Duration::from_secs(6),
            links: LinkLimits::USUAL,
            budget: Budget::default(),
        }
    }
}

impl TransportConfig {
    /// [`Self::transit_wait`] as it applies.
    pub(crate) fn transit_wait(&self) -> Duration {
        self.transit_wait.max(if self.test_network { Duration::from_secs(2) } else { Duration::ZERO })
    }

    /// Bounds of the queue to a peer.
    pub(crate) fn queue(&self) -> QueueLimits {
        let LinkLimits { queue_bytes: bytes, queue_dialling: dialling, queue_time: stale, .. } = self.links;
        QueueLimits { bytes, dialling, stale, late: self.transit_wait() }
    }

    /// The address to bind a connection to `remote` to.
    pub(crate) fn outgoing_from(&self, remote: SocketAddr) -> Option<IpAddr> {
        let family = self.published.iter().find(|a| a.is_ipv4() == remote.is_ipv4());
        family.filter(|_| self.bind_outgoing).map(|a| a.ip())
    }
}
