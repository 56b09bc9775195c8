// SPDX-License-Identifier: MIT
//! `DATAGRAM SEND` and `RAW SEND`.

use std::fmt;

use super::{Rejection, Then};
use crate::sam::datagram::SendOptions;
use crate::sam::parse::Params;
use crate::sam::reply::Domain;

/// A datagram on the control socket: its line, which `size` bytes of payload follow.
#[derive(Clone, PartialEq, Eq)]
pub struct SendRequest {
    /// `DATAGRAM` or `RAW`.
    pub domain: Domain,
    /// How many bytes follow the line.
    pub size: usize,
    /// Whom it is for, or why that cannot be told. May be a private key; only its public part counts.
    pub destination: Result<String, String>,
    /// Ports and the like, or what is wrong with them. The payload is read over before the client is told.
    pub options: Result<SendOptions, String>,
}

impl fmt::Debug for SendRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendRequest").field("size", &self.size).finish_non_exhaustive()
    }
}

impl SendRequest {
    pub(super) fn new(params: &Params, domain: &Domain) -> Result<Self, Rejection> {
        // Without a size nobody can tell where the next line begins.
        let Some(size) = params.filled("SIZE").and_then(|text| text.parse().ok()) else {
            let message = "SIZE must be the number of bytes that follow the line";
            return Err(Rejection::new(domain, message, Then::Close));
        };
        let destination = params.filled("DESTINATION").map(str::to_owned);
        Ok(Self {
            domain: domain.clone(),
            size,
            destination: destination.ok_or_else(|| "DESTINATION not specified".to_owned()),
            options: SendOptions::new(params),
        })
    }
}
