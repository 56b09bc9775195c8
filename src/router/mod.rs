// SPDX-License-Identifier: MIT
//! Composition root: starts the rooms, wires the queues, keeps the state on disk.
//!
//! [`Router`] is what programs embed. Inside, `assembly` starts the tasks, `control` hosts the tunnel builder and the
//! netDb engine, `persist` owns the disk, and `links` joins rooms that must not know each other.

mod api;
mod assembly;
pub mod config;
mod contacts;
mod control;
mod crowding;
pub mod devnet;
mod health;
pub(crate) mod http;
pub mod identity;
mod isolation;
mod links;
#[cfg(feature = "sim")]
pub(crate) mod machine;
#[cfg(feature = "sim")]
mod misconduct;
pub mod names;
mod persist;
pub mod reseed;
mod sam_backend;
mod sam_ports;
mod sam_start;
mod sam_status;
mod spares;
mod status;
pub mod storage;
mod walltime;

pub use api::{NotReady, Router, RouterBuilder, StartError};
pub use config::{
    Bounds, ConfigError, NetworkLimits, ReseedConfig, RouterConfig, SamAccess, SubscriptionConfig,
};
pub use sam_start::USERS_FILE as SAM_USERS_FILE;
pub use status::{Stage, Status};

#[cfg(test)]
mod tests;
