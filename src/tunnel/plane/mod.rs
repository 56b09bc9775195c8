// SPDX-License-Identifier: MIT
//! The data plane: every tunnel that touches this router, and the one gateway for messages to other routers.
//!
//! Owned by the plane task; a value without I/O, clock or tasks. 10,000 tunnels are 10,000 slots of a slab: no
//! timer, queue or task of their own. What waits is bounded: partial messages by [`JoinLimits`], tunnels, tags and
//! the replay filter by [`PlaneConfig`], everything else lives only from [`Plane::handle`] to the next
//! [`Plane::poll_action`]. Every drop is counted in [`PlaneMetrics`].
//! Spec: tunnel implementation, tunnel message specification.
//!
//! | file | what it does |
//! |---|---|
//! | `engine` | sorts inputs, works in turns: packs, layers, forwards |
//! | `table` | tunnels by id and by end |
//! | `gateway` | cuts and packs messages into cells |
//! | `endpoint` | opens cells, rules of delivery |
//! | `join` | joins fragments |
//! | `dedup` | the replay filter |
//! | `policer` | the limit of all transit, shared out fairly |
//! | `tags` | garlic tags that control waits for |
//! | `outbox` | groups what goes out |

mod dedup;
mod endpoint;
mod engine;
mod gateway;
mod join;
mod message;
mod metrics;
mod outbox;
mod policer;
mod table;
mod tags;

pub use engine::{Plane, PlaneConfig};
pub use join::JoinLimits;
pub use message::{Action, Input, InstallError, Via};
pub use metrics::PlaneMetrics;

#[cfg(test)]
mod tests;
