// SPDX-License-Identifier: MIT
//! Datagrams between a client and its session: the texts around them and the ways they take.
//!
//! `header` is pure: the line in front of a datagram on UDP and on the control socket, both ways. `deliver` takes
//! what arrived from the router to the client, one task per session; `udp` takes in what clients send to the
//! bridge's port. Spec: SAMv3 "SAM Repliable Datagrams", "SAM Anonymous Datagrams".

mod cache;
mod deliver;
mod header;
mod host;
mod udp;

pub(super) use deliver::{Delivery, Outlet};
pub use header::SendOptions;
#[cfg(any(test, fuzzing))]
pub(crate) use header::read_header;
pub(super) use header::{Defaults, Refused, compose};
pub(super) use host::{HOST_LOOKUPS_MAX, target};
pub(super) use udp::{drops, run};

#[cfg(test)]
mod tests;
