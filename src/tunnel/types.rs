// SPDX-License-Identifier: MIT
//! What the plane, the builder and the owners of pools say to each other about tunnels.
//!
//! Plain values without behaviour of their own. The plane gets [`Install`] orders and knows nothing about pools;
//! the builder publishes [`PoolState`] snapshots and knows nothing about cells.

use std::fmt;

use crate::base::Mono;
use crate::crypto::Secret32;
pub use crate::wire::tunnel_data::Delivery;
use crate::wire::{RouterHash, TunnelId};

/// Most hops of a tunnel that we build.
pub const HOPS_MAX: usize = 7;

/// Life of a tunnel of our own, from the moment its build was sent.
pub const OWN_LIFE_MS: u64 = 600_000;

/// How long a hop carries a tunnel for others: their ten minutes, and a minute for their clock.
pub const TRANSIT_LIFE_MS: u64 = 660_000;

/// Who owns a tunnel: the router itself, or one of its destinations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PoolId(pub u32);

impl PoolId {
    /// The router's own tunnels, for the netDb, for builds and for tests.
    pub const EXPLORATORY: Self = Self(0);

    /// Whether these are the router's own tunnels.
    pub const fn is_exploratory(self) -> bool {
        self.0 == Self::EXPLORATORY.0
    }
}

/// The two AES-256 keys of one hop's layer. Wiped when dropped.
#[derive(PartialEq, Eq)]
pub struct HopKeys {
    /// Encrypts the 1008 bytes of a cell.
    pub layer: Secret32,
    /// Encrypts its IV.
    pub iv: Secret32,
}

impl HopKeys {
    /// From the keys that a build record gave.
    pub fn new(layer: &[u8; 32], iv: &[u8; 32]) -> Self {
        Self { layer: layer.into(), iv: iv.into() }
    }
}

/// The builder keeps none of them, so a copy is one more tunnel of a test.
impl Clone for HopKeys {
    fn clone(&self) -> Self {
        Self { layer: self.layer.duplicate(), iv: self.iv.duplicate() }
    }
}

impl fmt::Debug for HopKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HopKeys(..)")
    }
}

/// Where a hop sends what it has encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NextHop {
    /// The next router; may be ourselves.
    pub router: RouterHash,
    /// The tunnel id there.
    pub tunnel: TunnelId,
}

/// Our part in one tunnel.
///
/// Every `receive` id shares one table, so it must be nonzero and unique among transit and own inbound tunnels.
/// Handles of outbound tunnels are a table of their own: they never appear on the wire.
#[derive(Clone, Debug)]
pub enum TunnelConfig {
    /// Transit: inbound gateway (IBGW). Takes TunnelGateway messages from anyone.
    Gateway {
        /// Our receive id.
        receive: TunnelId,
        /// Where the cells go.
        next: NextHop,
        /// Our layer.
        keys: HopKeys,
    },
    /// Transit: takes cells and sends cells.
    Participant {
        /// Our receive id.
        receive: TunnelId,
        /// The only router whose cells count, if pinned: the one that the build request came from.
        previous: Option<RouterHash>,
        /// Where the cells go.
        next: NextHop,
        /// Our layer.
        keys: HopKeys,
    },
    /// Transit: outbound endpoint (OBEP). Joins fragments and delivers to routers and tunnels.
    Endpoint {
        /// Our receive id.
        receive: TunnelId,
        /// As for a participant.
        previous: Option<RouterHash>,
        /// Our layer.
        keys: HopKeys,
    },
    /// Our own inbound tunnel (IBEP) with at least one hop.
    Inbound {
        /// Our receive id, which the last hop sends to.
        receive: TunnelId,
        /// Who gets the messages.
        owner: PoolId,
        /// The last hop, the only router whose cells count if pinned.
        previous: Option<RouterHash>,
        /// Layers in the order of the cell's way: the gateway's first, the hop nearest to us last.
        hops: Vec<HopKeys>,
    },
    /// Our own outbound tunnel (OBGW) with at least one hop.
    Outbound {
        /// Name for [`OutboundTunnel::handle`]; never on the wire.
        handle: TunnelId,
        /// Whose it is.
        owner: PoolId,
        /// First hop.
        first: NextHop,
        /// Last hop.
        endpoint: RouterHash,
        /// Layers in the order of the cell's way: the first hop's first, the endpoint's last.
        hops: Vec<HopKeys>,
    },
    /// Our own inbound tunnel without hops: TunnelGateway messages to us go straight to the owner.
    ZeroInbound {
        /// Our receive id.
        receive: TunnelId,
        /// Who gets the messages.
        owner: PoolId,
    },
    /// Our own outbound tunnel without hops: we deliver ourselves.
    ZeroOutbound {
        /// Name for [`OutboundTunnel::handle`].
        handle: TunnelId,
        /// Whose it is.
        owner: PoolId,
    },
}

impl TunnelConfig {
    /// The key of the tunnel: which table and which id.
    pub const fn key(&self) -> TunnelKey {
        match self {
            Self::Gateway { receive, .. }
            | Self::Participant { receive, .. }
            | Self::Endpoint { receive, .. }
            | Self::Inbound { receive, .. }
            | Self::ZeroInbound { receive, .. } => TunnelKey::Receive(*receive),
            Self::Outbound { handle, .. } | Self::ZeroOutbound { handle, .. } => TunnelKey::Outbound(*handle),
        }
    }

    /// Whether we carry it for somebody else.
    pub const fn is_transit(&self) -> bool {
        matches!(self, Self::Gateway { .. } | Self::Participant { .. } | Self::Endpoint { .. })
    }
}

/// Names one tunnel in the plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TunnelKey {
    /// By the id that cells or TunnelGateway messages carry when they reach us.
    Receive(TunnelId),
    /// By the handle of an outbound tunnel of ours.
    Outbound(TunnelId),
}

/// Order to the plane to carry a tunnel until `expires`.
#[derive(Clone, Debug)]
pub struct Install {
    /// Our part in it.
    pub config: TunnelConfig,
    /// When it is forgotten.
    pub expires: Mono,
    /// Most bytes of cells a second that we carry (build option `m` or our own limit); `None`: no limit of its own.
    pub rate: Option<u32>,
}

/// Priority of what goes to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// What we say as a router: builds, their replies, the netDb. Goes first.
    Control,
    /// Our own tunnels. Part of each peer's queue is kept for this class and the one above.
    Own,
    /// Traffic of others; the first to be dropped when a peer is slow.
    Transit,
}

/// A live inbound tunnel as its owner sees it: a possible lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboundTunnel {
    /// Router that takes messages for it; ourselves if it has no hops.
    pub gateway: RouterHash,
    /// Tunnel id at the gateway, for leases and TUNNEL deliveries.
    pub id: TunnelId,
    /// Our receive id, its key in the plane; equal to `id` if it has no hops.
    pub receive: TunnelId,
    /// The hops, gateway first.
    pub hops: Vec<RouterHash>,
    /// When the build was sent.
    pub created: Mono,
    /// When it ends for all.
    pub expires: Mono,
}

/// A live outbound tunnel as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundTunnel {
    /// Names it in orders to the plane.
    pub handle: TunnelId,
    /// Last hop; ourselves if it has no hops.
    pub endpoint: RouterHash,
    /// The hops, first hop first.
    pub hops: Vec<RouterHash>,
    /// When the build was sent.
    pub created: Mono,
    /// When it ends for all.
    pub expires: Mono,
}

/// One direction of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSide {
    /// Hops, 0 to 7.
    pub length: u8,
    /// Change of the length, drawn for each tunnel: 0 to `variance` more, or, if negative, up to that many more or fewer.
    pub variance: i8,
    /// Tunnels kept alive, 1 to 16.
    pub quantity: u8,
    /// Spare tunnels kept besides.
    pub backup: u8,
}

/// What a pool shall look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// Tunnels towards us.
    pub inbound: PoolSide,
    /// Tunnels away from us.
    pub outbound: PoolSide,
}

impl PoolConfig {
    /// The router's own tunnels: two hops, three each way.
    pub const EXPLORATORY: Self = Self::symmetric(2, 3);
    /// A destination's tunnels unless it asks otherwise: three hops, two each way, as SAM has it.
    pub const CLIENT: Self = Self::symmetric(3, 2);

    /// The same both ways, without variance and backup.
    pub const fn symmetric(length: u8, quantity: u8) -> Self {
        let side = PoolSide { length, variance: 0, quantity, backup: 0 };
        Self { inbound: side, outbound: side }
    }
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self::CLIENT
    }
}

/// Snapshot of the live tunnels of a pool, published by the builder after each change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolState {
    /// Tunnels towards us, oldest first.
    pub inbound: Vec<InboundTunnel>,
    /// Tunnels away from us, oldest first.
    pub outbound: Vec<OutboundTunnel>,
}

impl PoolState {
    /// Whether messages can go out and answers come in.
    pub const fn is_ready(&self) -> bool {
        !self.inbound.is_empty() && !self.outbound.is_empty()
    }
}
