// SPDX-License-Identifier: MIT
//! Authenticated links to other routers.
//!
//! [`start`] runs the room: an accept task for each listener, the manager (who is linked, who may be), and one task for
//! each connection. Messages from peers go to the plane's queue, one item for each socket read, and a full queue
//! stops that peer's reading. Messages to a peer go through its [`PeerSender`], which never waits. All else is a
//! [`TransportEvent`]. Engines without I/O: `door`, `peers`, `ntcp2::handshake`, `ntcp2::session`; tasks: `task`,
//! `ntcp2::task`. Limits: [`TransportConfig`], and the constants of the engines.

pub mod addr;
mod config;
mod door;
mod events;
mod metrics;
pub mod ntcp2;
mod peers;
mod queue;
mod task;
mod throttle;

pub use config::{LinkLimits, TransportConfig};
pub use events::{CloseReason, DialError, Direction, FromPeer, TransportEvent};
pub use metrics::TransportMetrics;
pub use ntcp2::LocalKeys;
pub use ntcp2::handshake::Failure;
pub use queue::{Class, PeerSender};
pub use task::{Parts, TransportHandle, start};

pub(crate) use queue::ConnId;

#[cfg(test)]
mod tests;
