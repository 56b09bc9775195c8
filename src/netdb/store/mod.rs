// SPDX-License-Identifier: MIT
//! What the database holds: validated RouterInfos, and lease sets when we are floodfill.

mod leases;
mod routers;

pub(crate) use leases::{LeaseEntry, LeaseSets};
pub(crate) use routers::{Admitted, Changed, Routers, Rules};

use crate::wire::DecodeError;

/// How an entry came to us; decides how old it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From its owner's own transport session.
    Owner,
    /// Stored at us by somebody, as floodfills are asked to.
    Store,
    /// The answer to a lookup of ours.
    Lookup,
    /// From our own disk.
    Disk,
    /// From a reseed bundle or another file that we were given.
    Bundle,
}

/// Why an entry was not taken. Each is a rule of its own, so that counters and tests can tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The bytes do not parse.
    Malformed(DecodeError),
    /// The key is not the hash of what it names.
    WrongKey,
    /// The signature does not hold.
    BadSignature,
    /// Another network's, or none named.
    WrongNetwork,
    /// No readable router version.
    NoVersion,
    /// No X25519 key: such routers can no longer be talked to.
    OldCryptography,
    /// Signed more than two minutes in the future, or it runs longer than anything may.
    FromFuture,
    /// Signed too long ago, or expired.
    TooOld,
    /// Not newer than what we have.
    NotNewer,
    /// It is about ourselves.
    Own,
    /// Its owner does not want it published.
    Unpublished,
    /// Nobody asked for it, and we are not floodfill.
    Unasked,
    /// A type that we do not keep.
    UnknownType,
    /// Too many at once.
    Busy,
}
