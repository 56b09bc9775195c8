// SPDX-License-Identifier: MIT
//! Builds tunnels, answers build requests and keeps the pools.
//!
//! [`Builder`] is an engine without I/O, hosted by the control task. It owns all pools, all builds under way and the
//! router's side of one-shot garlic; the plane owns the tunnels themselves. Everything is bounded: see [`Limits`].
//!
//! | part | what it does |
//! |---|---|
//! | `engine`, `own`, `transit` | inputs to actions: own builds and their replies; requests of others |
//! | `pool`, `probe` | what tunnels a pool has and needs; whether they still work |
//! | [`select`] | which routers become hops |
//! | `creator`, `hop`, `record` | build messages, on both sides |
//! | `admission`, `replay` | what others may ask of us |
//! | `router_garlic` | garlic addressed to the router itself |
//!
//! Spec: tunnel creation ECIES, tunnel implementation, peer selection.

mod admission;
mod bandwidth;
mod creator;
mod engine;
mod hop;
mod message;
mod metrics;
mod own;
mod pool;
mod probe;
mod record;
mod replay;
mod router_garlic;
pub mod select;
mod transit;

pub use admission::{AdmissionLimits, Gate};
pub use creator::Direction;
pub use engine::Builder;
pub use message::{Action, BuilderConfig, Input, Limits, RouterKeys};
pub use metrics::BuildMetrics;
pub use pool::{BuildFailure, PoolReport, SideReport};
pub use select::{NoHops, SelectPolicy};

/// The one code with which a build is refused: "bandwidth". Others would tell more than they need to.
const REJECT: u8 = 30;

/// Most hops in one build: eight records, and inbound one of them is the creator's.
const HOPS_BUILD_MAX: usize = 8;

#[cfg(test)]
pub(crate) mod testing;
