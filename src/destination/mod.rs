// SPDX-License-Identifier: MIT
//! One local destination: its sessions, streams, leases and paths, and the handles that programs hold.
//!
//! Each destination is one task around one [`engine::Engine`]. Programs talk to it through [`Session`] and
//! [`I2pStream`]; the SAM server does the same and knows nothing else.

mod blinded;
mod config;
mod database;
mod encrypted;
pub(crate) mod engine;
mod error;
mod handles;
mod keys;
mod leases;
mod open;
mod paths;
mod peers;
pub(crate) mod task;

pub use config::{ConnectOptions, SessionConfig, StreamOptions};
pub use encrypted::{BlindedAccess, Encryption};
pub use error::{Cause, Error, ErrorKind};
pub(crate) use handles::WeakSession;
pub use handles::{
    I2pStream, Incoming, LeaseSetOptions, Listener, Session, SessionStatus, StreamStatus, Target,
};
pub use keys::DestinationKeys;
