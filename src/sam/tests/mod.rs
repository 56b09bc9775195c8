// SPDX-License-Identifier: MIT
//! The bridge over loopback TCP, with a stand-in for the router: what transcripts cannot show.

mod auth;
mod client;
mod datagrams;
mod limits;
mod park;
mod primary;
mod segments;
#[path = "../../../sam-tests/stand_in.rs"]
#[allow(unreachable_pub, missing_docs, dead_code, reason = "shared with the integration tests")]
mod stand_in;
mod streams;
mod tls;
#[cfg(unix)]
mod unix;

/// The library as the stand-in sees it.
mod api {
    pub(super) use crate::base::Rng;
    pub(super) use crate::crypto::sign::AnySigningKey;
    pub(super) use crate::sam::{
        Backend, Binding, Boxed, BoxedStream, ConnectOptions, DatagramCounts, Failure, InDatagram, Incoming,
        OutDatagram, Peer, PrivateKeys, ResultCode, RouterStatus, SamDatagrams, SamListener, SamSession,
        SamStream, Sender, SessionConfig, SessionStatus, Style,
    };
    pub(super) use crate::wire::{DestHash, Destination, KeysAndCert, SigType};
}
