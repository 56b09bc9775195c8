// SPDX-License-Identifier: MIT
//! One local destination: its sessions, streams, leases and paths, and the handles that programs hold.
//!
//! Each destination is one task around one [`engine::Engine`]. Programs talk to it through [`Session`] and
//! [`I2pStream`]; the SAM server does the same and knows nothing else.

mod blinded;
mod config;
mod database;
mod datagram;
mod datagrams;
mod encrypted;
pub(crate) mod engine;
mod error;
mod handles;
pub(crate) mod inbox;
mod keys;
mod leases;
mod open;
mod paths;
mod peers;
mod ports;
mod socket;
pub(crate) mod task;

pub use config::{ConnectOptions, Limits, SessionConfig, StreamOptions};
pub use datagram::{
    Datagram, DatagramBinding, DatagramCounts, DatagramOptions, DatagramSender, DatagramStyle, RAW_MAX,
    REPLIABLE_MAX,
};
pub use encrypted::{BlindedAccess, Encryption};
pub use error::{Cause, Error, ErrorKind};
pub use handles::{
    I2pStream, Incoming, LeaseSetOptions, Listener, Session, SessionStatus, StreamStatus, Target,
};
pub(crate) use handles::{SessionParts, WeakSession};
pub use keys::DestinationKeys;
pub(crate) use ports::ports;
pub use socket::DatagramSocket;
