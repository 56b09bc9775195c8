// SPDX-License-Identifier: MIT
//! What the builder is told and what it tells, and how it is set up.

use std::fmt;
use std::sync::Arc;

use super::admission::AdmissionLimits;
use super::pool::PoolReport;
use super::select::SelectPolicy;
use crate::crypto::{X25519Public, X25519Secret};
use crate::netdb::Report;
use crate::tunnel::plane::{self, Via};
use crate::tunnel::{PoolConfig, PoolId, PoolState, TunnelKey};
use crate::wire::{I2np, RouterHash};

/// The router's hash and static key, shared by all who open messages to the router.
#[derive(Clone)]
pub struct RouterKeys {
    /// Hash of our RouterIdentity.
    pub hash: RouterHash,
    /// The private half.
    pub secret: Arc<X25519Secret>,
    /// The public half, as published.
    pub public: X25519Public,
}

impl RouterKeys {
    /// From the identity's private key.
    pub fn new(hash: RouterHash, secret: impl Into<Arc<X25519Secret>>) -> Self {
        let secret = secret.into();
        Self { hash, public: secret.public(), secret }
    }
}

impl fmt::Debug for RouterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RouterKeys({:?}, ..)", self.hash)
    }
}

/// Bounds and times of our own builds. The defaults suit every network.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Builds under way for one direction of one pool.
    pub builds_per_side: usize,
    /// Builds under way in all.
    pub builds: usize,
    /// How long a build may take.
    pub build_timeout_ms: u64,
    /// While a pool has no tunnel at all, a build that is older than this gets company.
    pub hedge_ms: u64,
    /// How long after its time a reply still counts for the profiles of the hops.
    pub late_ms: u64,
    /// A tunnel of this age is replaced, plus up to `replace_spread_ms`.
    pub replace_age_ms: u64,
    /// Random part of the age of replacement.
    pub replace_spread_ms: u64,
    /// Shortest time between two rounds of tests of one pool.
    pub test_interval_ms: u64,
    /// Random part of that time.
    pub test_spread_ms: u64,
    /// How long a test may take.
    pub test_timeout_ms: u64,
    /// Answered requests that wait for the next hop's RouterInfo.
    pub held: usize,
    /// How long such a request waits.
    pub held_ms: u64,
    /// Pools at once.
    pub pools: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            builds_per_side: 4,
            builds: 24,
            build_timeout_ms: 10_000,
            hedge_ms: 1_500,
            late_ms: 20_000,
            replace_age_ms: 480_000,
            replace_spread_ms: 60_000,
            test_interval_ms: 10_000,
            test_spread_ms: 5_000,
            test_timeout_ms: 8_000,
            held: 64,
            held_ms: 5_000,
            pools: 1024,
        }
    }
}

/// How a builder behaves. The default is for the live network.
#[derive(Clone, Debug, Default)]
pub struct BuilderConfig {
    /// Which routers may be hops.
    pub select: SelectPolicy,
    /// What others may ask of us.
    pub admission: AdmissionLimits,
    /// Bounds and times of our own builds.
    pub limits: Limits,
    /// Let the first outbound builds be answered to us directly instead of waiting for an inbound tunnel. It tells
    /// the endpoints who builds, so it is for test networks.
    pub zero_hop_bootstrap: bool,
}

impl BuilderConfig {
    /// For a private network on one machine.
    pub fn test_network() -> Self {
        Self {
            select: SelectPolicy::test_network(),
            admission: AdmissionLimits::test_network(),
            ..Self::default()
        }
    }
}

/// What the builder is told.
#[derive(Debug)]
pub enum Input {
    /// A build request, a build reply or a garlic for the router, as the plane handed it to control.
    Message {
        /// The peer it came from; `None` if it came through a tunnel.
        from: Option<RouterHash>,
        /// The way it came.
        via: Via,
        /// The message.
        message: I2np,
    },
    /// Opens a pool, or changes it if it is open.
    OpenPool {
        /// Which.
        id: PoolId,
        /// What it shall look like.
        config: PoolConfig,
        /// Use these routers as hops, in this order from us, and no others. Empty: choose. For tests.
        explicit: Vec<RouterHash>,
    },
    /// Closes a pool and its tunnels.
    ClosePool(PoolId),
    /// Somebody whose messages do not arrive suspects the tunnels of this pool: test them now.
    Suspect(PoolId),
    /// The connection to this router ended.
    LinkDown(RouterHash),
    /// No connection to this router could be made, or it broke with messages unsent.
    PeerFailed(RouterHash),
    /// The plane refused a tunnel.
    Refused(TunnelKey),
    /// The view changed: whoever waits for hops or for a RouterInfo may try again.
    ViewChanged,
    /// Accept transit tunnels, or refuse them all (hidden routers, shutdown).
    Transit(bool),
    /// Share of the bandwidth for others that is in use, in percent.
    Load(u8),
    /// Nobody out there answers, so one build in ten seconds is enough; or somebody does again.
    CutOff(bool),
    /// Replace all tunnels soon, and test them now: the machine may have slept.
    Renew,
}

/// What the builder tells.
#[derive(Debug)]
pub enum Action {
    /// For the plane.
    Plane(plane::Input),
    /// The tunnels of a pool changed.
    Pool(PoolId, Arc<PoolState>),
    /// A pool lacks tunnels and a build just failed: the numbers, for error messages. Once more when it has both
    /// kinds of tunnels again: then the report says that it is ready.
    Trouble(PoolId, Box<PoolReport>),
    /// Something happened between us and a router, for its profile.
    Profile(RouterHash, Report),
    /// A database message that came wrapped for the router.
    Netdb {
        /// The message.
        message: I2np,
        /// Who sent it, if that is known.
        from: Option<RouterHash>,
    },
    /// A message waits for this router's RouterInfo: look it up.
    NeedRouterInfo(RouterHash),
}
