// SPDX-License-Identifier: MIT
//! NTCP2: authenticated, encrypted links to routers over TCP.
//!
//! [`handshake`] (engines for both roles) ends in data keys, [`session`] is the engine of the data phase, and
//! `task` and `conn` move bytes between a socket and the two. Spec: NTCP2 (`ntcp2.md`).

mod conn;
pub(crate) mod frame;
pub(crate) mod handshake;
mod keys;
pub(crate) mod replay;
pub(crate) mod session;
pub(crate) mod task;

#[cfg(any(test, fuzzing))]
pub(crate) use keys::DirectionKeys;
pub use keys::LocalKeys;
pub(crate) use keys::{DataKeys, PeerKeys};
