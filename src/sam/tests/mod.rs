// SPDX-License-Identifier: MIT
//! The bridge over loopback TCP, with a stand-in for the router: what transcripts cannot show.

mod client;
mod limits;
mod segments;
#[path = "../../../sam-tests/stand_in.rs"]
#[allow(unreachable_pub, missing_docs, dead_code, reason = "shared with the integration tests")]
mod stand_in;
mod streams;
#[cfg(unix)]
mod unix;

/// The library as the stand-in sees it.
mod api {
    pub(super) use crate::base::Rng;
    pub(super) use crate::crypto::sign::AnySigningKey;
    pub(super) use crate::sam::{
        Backend, Boxed, BoxedStream, ConnectOptions, Failure, Incoming, Peer, PrivateKeys, ResultCode,
        RouterStatus, SamSession, SamStream, SessionConfig, SessionStatus,
    };
    pub(super) use crate::wire::{DestHash, Destination, KeysAndCert, SigType};
}
