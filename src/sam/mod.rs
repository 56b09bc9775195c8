// SPDX-License-Identifier: MIT
//! The SAMv3 bridge: the text protocol through which programs of any language use destinations.
//!
//! `parse` cuts bytes into lines and words, `command` and `options` give them types, `reply` holds every answer;
//! these are pure. `listen` has one task per socket (`conn`), which either talks in lines or, after
//! `STREAM CONNECT` and `ACCEPT`, copies bytes (`bridge`). `registry` knows the sessions by ID. The router
//! underneath is a [`Backend`]. Spec: SAMv3, versions 3.0 to 3.3.

mod access;
mod backend;
mod bridge;
pub mod command;
mod conn;
mod datagram;
mod forward;
mod help;
mod keys;
mod listen;
mod naming;
mod options;
mod park;
pub mod parse;
mod registry;
mod reply;
mod server;
mod socket;
mod tls;
#[cfg(unix)]
mod unix;

pub use access::{NAME_MAX, PASSWORD_MAX, USERS_MAX, Users, UsersError};
pub use backend::{
    Backend, Binding, Boxed, BoxedStream, ConnectOptions, DatagramCounts, Failure, InDatagram, Incoming,
    OutDatagram, Peer, RouterStatus, SamDatagrams, SamListener, SamSession, SamStream, Sender, SessionStatus,
    reset_error,
};
pub use command::{Command, Version};
pub use datagram::SendOptions;
#[cfg(any(test, fuzzing))]
pub(crate) use datagram::read_header;
pub use keys::{OfflineKeys, PrivateKeys};
pub use naming::Name;
pub use options::{
    AddRequest, CreateRequest, DatagramOptions, ENCRYPTION_X25519, EncryptedOptions, IdleOptions,
    LeaseSetOptions, SessionConfig, StreamingOptions, Style, TunnelOptions,
};
pub use reply::ResultCode;
pub use server::{Limits, SamConfig, SamError, SamMetrics, SamServer};
pub use tls::TlsAddress;
#[cfg(unix)]
pub use unix::UnixSocket;

#[cfg(test)]
mod tests;
