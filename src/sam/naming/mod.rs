// SPDX-License-Identifier: MIT
//! Names: what kind of name a client gave, and what look-ups found a moment ago.
//!
//! Host names are the router's to look up ([`super::Backend::resolve`]); nothing ever asks DNS. Spec: "Naming and Address Book", SAMv3 `NAMING LOOKUP`.

mod cache;

pub(super) use cache::LookupCache;

use super::keys;
use crate::wire::{BLINDED_NAME_MIN, BlindedName, DestHash, Destination, b32, b64};

/// Shortest base64 text of a destination: 387 bytes.
const DESTINATION_MIN: usize = 516;
/// Length of a hash in base64.
const HASH_LEN: usize = 44;
/// Longest host name.
const HOST_MAX: usize = 67;

/// What a client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// The session of this socket.
    Me,
    /// A whole destination.
    Destination(Box<Destination>),
    /// A `.b32.i2p` name.
    Hash(DestHash),
    /// A name for an encrypted lease set, of 56 and more characters.
    Blinded(BlindedName),
    /// A host name, lower case.
    Host(String),
    /// None of these; says why.
    Malformed(&'static str),
}

impl Name {
    /// Finds out what `text` is.
    pub fn parse(text: &str) -> Self {
        if text == "ME" {
            return Self::Me;
        }
        if text.len() >= DESTINATION_MIN {
            // Long-form tracker peers come with a suffix.
            let key = strip_suffix_any_case(text, ".i2p").unwrap_or(text);
            return match keys::public_part(key) {
                Ok(destination) => Self::Destination(Box::new(destination)),
                Err(_) => Self::Malformed("not a destination in I2P base64"),
            };
        }
        if let Some(label) = strip_suffix_any_case(text, ".b32.i2p") {
            return Self::parse_b32(label);
        }
        if text.len() == HASH_LEN && text.ends_with('=') {
            return Self::parse_hash(text);
        }
        Self::parse_host(text)
    }

    /// The hash of a destination in base64, as DATAGRAM3 names senders.
    fn parse_hash(text: &str) -> Self {
        let bytes = b64::decode(text).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes.map_or(Self::Malformed("not the hash of a destination in I2P base64"), |hash| {
            Self::Hash(DestHash(hash))
        })
    }

    fn parse_b32(label: &str) -> Self {
        if label.len() >= BLINDED_NAME_MIN {
            return BlindedName::parse(label).map_or(
                Self::Malformed("not a name for an encrypted lease set: bad checksum or type"),
                Self::Blinded,
            );
        }
        let Some(bytes) = b32::decode(label) else { return Self::Malformed("not base32") };
        match (label.len(), <[u8; 32]>::try_from(bytes.as_slice())) {
            (52, Ok(hash)) => Self::Hash(DestHash(hash)),
            _ => Self::Malformed("a .b32.i2p name has 52 characters"),
        }
    }

    fn parse_host(text: &str) -> Self {
        let lower = text.to_ascii_lowercase();
        let host = lower.strip_suffix(".alt").filter(|rest| rest.ends_with(".i2p")).unwrap_or(&lower);
        let plain =
            host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-'));
        let broken =
            host.starts_with(['.', '-']) || ["..", ".-", "-."].iter().any(|pair| host.contains(pair));
        if host.is_empty() || host.len() > HOST_MAX || !plain || broken {
            return Self::Malformed("not a destination or name");
        }
        Self::Host(host.to_owned())
    }
}

fn strip_suffix_any_case<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let at = text.len().checked_sub(suffix.len())?;
    let (head, tail) = (text.get(..at)?, text.get(at..)?);
    tail.eq_ignore_ascii_case(suffix).then_some(head)
}

#[cfg(test)]
mod tests;
