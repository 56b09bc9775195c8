// SPDX-License-Identifier: MIT
//! What goes into the engine and what comes out.

use super::super::message::Tunnels;
use super::super::standing::Report;
use super::super::view::PeerView;
use crate::crypto::Verified;
use crate::wire::{I2np, RouterHash, RouterInfo, RouterVersion, TunnelId};
use std::sync::Arc;
use std::time::Duration;

/// How the engine is to behave; fixed for its life.
#[derive(Clone, Debug)]
pub struct Config {
    /// Our router's hash.
    pub own: RouterHash,
    /// Network id: 2 is the live network. Routers of others are refused.
    pub net_id: u8,
    /// Whether we serve as floodfill.
    pub floodfill: bool,
    /// Relaxes what a network on one machine needs: no diversity rules, quicker publishing and exploration.
    pub test_network: bool,
    /// Floodfills older than this are not used.
    pub min_floodfill_version: RouterVersion,
    /// Most routers kept. About 6 KiB each.
    pub routers_max: usize,
    /// Most lease sets kept as floodfill; their bytes are bounded by 1 KiB times this.
    pub lease_sets_max: usize,
    /// Lookups of others served in a second, and half as many stores; bursts of four times as many.
    pub lookups_per_second: u64,
    /// Time between the first own RouterInfo and its first publication.
    pub publish_delay: Duration,
    /// What else bounds searches and the work for others.
    pub bounds: Bounds,
}

/// Smaller bounds of the engine; the defaults are those of the live network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Signatures of RouterInfos nobody asked for that are checked in a second; five times as many at once.
    pub unasked_per_second: u64,
    /// Searches at once; more are refused.
    pub searches: usize,
    /// Routers asked in one search.
    pub search_asks: usize,
    /// Time of one search.
    pub search_time: Duration,
    /// Fetches of routers that answers named, at once.
    pub fetches: usize,
    /// Fetches that wait for their turn.
    pub fetches_waiting: usize,
    /// Fetches begun in a second, over time; ten times as many at once.
    pub fetches_per_second: u64,
    /// Routers taken from one answer.
    pub named: usize,
    /// Routers that an answer of ours to an exploratory lookup names.
    pub named_by_us: usize,
    /// Lookups for one reply path in two minutes.
    pub lookups_per_path: u32,
    /// Lookups of one router that asks directly, in two minutes.
    pub lookups_per_peer: u32,
    /// Stores of one router in two minutes.
    pub stores_per_peer: u32,
    /// Copies of one key that are flooded in a minute.
    pub floods_per_key: u32,
    /// Routers for which answers are held while we look for them.
    pub held: usize,
    /// Answers held for one of them.
    pub held_each: usize,
}

impl Bounds {
    /// Those of the live network.
    pub const USUAL: Self = Self {
        unasked_per_second: 200,
        searches: 64,
        search_asks: 7,
        search_time: Duration::from_secs(12),
        fetches: 8,
        fetches_waiting: 512,
        fetches_per_second: 20,
        named: 16,
        named_by_us: 16,
        lookups_per_path: 30,
        lookups_per_peer: 240,
        stores_per_peer: 600,
        floods_per_key: 3,
        held: 32,
        held_each: 8,
    };
}

impl Config {
    /// The usual settings for the live network.
    pub const fn new(own: RouterHash) -> Self {
        Self {
            own,
            net_id: 2,
            floodfill: false,
            test_network: false,
            min_floodfill_version: RouterVersion(0, 9, 59),
            routers_max: 6_000,
            lease_sets_max: 4_000,
            lookups_per_second: 1_000,
            publish_delay: Duration::from_secs(10),
            bounds: Bounds::USUAL,
        }
    }

    /// Settings for a private network on one machine.
    pub const fn for_test_network(own: RouterHash, net_id: u8) -> Self {
        Self {
            net_id,
            test_network: true,
            min_floodfill_version: RouterVersion(0, 0, 0),
            publish_delay: Duration::from_millis(500),
            ..Self::new(own)
        }
    }

    /// The same, serving as floodfill with the larger table that goes with it.
    pub const fn with_floodfill(mut self) -> Self {
        self.floodfill = true;
        self.routers_max = 30_000;
        self.lease_sets_max = 16_000;
        self
    }
}

/// How a message reached us. Decides what it may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// On the transport session of this router.
    Direct(RouterHash),
    /// Out of one of our exploratory inbound tunnels.
    Exploratory,
    /// As a clove of a garlic message sealed for our router; whoever sent it is unknown.
    Garlic,
}

/// What the engine is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// A DatabaseStore, DatabaseLookup, DatabaseSearchReply or DeliveryStatus arrived, or a Garlic with one of our tags.
    Message {
        /// How it came.
        source: Source,
        /// The message.
        message: I2np,
    },
    /// A peer's RouterInfo from the handshake or a RouterInfo block of its transport session.
    RouterInfo {
        /// Whose session it was.
        from: RouterHash,
        /// The RouterInfo's bytes.
        bytes: Vec<u8>,
        /// Whether the peer asks us to flood it.
        flood: bool,
    },
    /// A RouterInfo that [`Action::Save`] kept on disk.
    Load(Vec<u8>),
    /// A RouterInfo from a reseed bundle or a file that the operator named; it may be old, and is kept on disk.
    Bootstrap(Vec<u8>),
    /// What [`Action::SaveProfiles`] wrote in an earlier life.
    LoadProfiles(String),
    /// Our own RouterInfo is new or has changed.
    Own(Arc<Verified<RouterInfo>>),
    /// Somebody needs this router: answered by [`Action::RouterFound`] or [`Action::RouterNotFound`].
    FindRouter(RouterHash),
    /// The exploratory tunnels changed.
    Exploratory(Tunnels),
    /// A transport session is up.
    Up(RouterHash),
    /// A transport session ended.
    Down(RouterHash),
    /// Something happened that tells about a router's quality.
    Report(RouterHash, Report),
}

/// What the engine wants done.
#[derive(Clone, Debug)]
pub enum Action {
    /// Send to a router directly, dialling it if need be. To ourselves: dispatch as if it had just arrived.
    Send {
        /// The router.
        to: RouterHash,
        /// The message.
        message: I2np,
    },
    /// Send through one of the exploratory outbound tunnels, for delivery to a router.
    SendThrough {
        /// The outbound tunnel.
        tunnel: TunnelId,
        /// The router behind the tunnel's end.
        to: RouterHash,
        /// The message.
        message: I2np,
    },
    /// A garlic message with this tag, out of whatever tunnel, is for [`super::Engine::open_tagged`].
    RegisterTag {
        /// First eight bytes of the sealed part.
        tag: [u8; 8],
        /// How long to watch for it.
        lifetime: Duration,
    },
    /// A router that was asked for is known now (it is in the newest view).
    RouterFound(RouterHash),
    /// A router that was asked for could not be found.
    RouterNotFound(RouterHash),
    /// A floodfill confirmed that it has our RouterInfo.
    Published {
        /// The floodfill.
        by: RouterHash,
    },
    /// No floodfill confirmed it; another attempt follows.
    PublishFailed {
        /// How many were asked.
        asked: usize,
    },
    /// Sign our RouterInfo anew with the present time and hand it back as [`Input::Own`].
    RefreshOwn,
    /// Keep this RouterInfo on disk.
    Save {
        /// Whose it is.
        hash: RouterHash,
        /// The RouterInfo; its bytes are `info.raw()`.
        info: Arc<Verified<RouterInfo>>,
    },
    /// Remove this router's file.
    Forget(RouterHash),
    /// Keep the profiles on disk.
    SaveProfiles(String),
    /// A new snapshot for everybody.
    ViewChanged(PeerView),
}

/// Sizes of what the engine holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Stats {
    /// Routers known, without ourselves.
    pub routers: usize,
    /// Usable floodfills among them.
    pub floodfills: usize,
    /// Lease sets kept for others.
    pub lease_sets: usize,
    /// Lookups running.
    pub searches: usize,
    /// Profiles kept.
    pub profiles: usize,
}
