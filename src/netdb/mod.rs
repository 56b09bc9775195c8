// SPDX-License-Identifier: MIT
//! Who exists, and how good they are: the network database, our profiles of its routers, and lookups in it.
//!
//! Engines only; the task that hosts [`Engine`] lives in `router`. Other rooms see routers through [`PeerView`]
//! snapshots. A destination looks up and publishes lease sets with the engines of [`client`], through its own
//! tunnels and never through this database, so that what came down a client tunnel cannot be told from outside.
//! Spec: network database; I2NP database messages.

pub mod client;
mod engine;
mod facts;
mod limit;
mod message;
mod metrics;
mod profiles;
pub mod reseed;
mod routing;
mod standing;
mod store;
mod tags;
#[cfg(test)]
mod testing;
mod view;

pub use engine::{Action, Bounds, Config, Engine, Input, LEASE_SET_COST, ROUTER_COST, Source, Stats};
pub use facts::{BandwidthClass, Congestion, Facts, Ntcp2Contact, Subnets};
pub use message::{ReplyTunnel, Tunnels};
pub use metrics::NetDbMetrics;
pub use profiles::Profiles;
pub use routing::{Distance, RoutingKey, closest, date, day_number, neighbour_day};
pub use standing::{Report, Standing, Tier};
pub use store::{Origin, Refusal};
pub use view::{PeerEntry, PeerView, ViewPolicy};
