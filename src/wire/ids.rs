// SPDX-License-Identifier: MIT
//! Newtypes for the identifiers of the protocol, so that they cannot be mixed up.

use super::{DecodeError, Reader, Wire, b32, b64};
use std::fmt;

/// A SHA-256 value that is neither known to be a router's nor a destination's, such as a netDb key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Hash(pub [u8; 32]);

/// SHA-256 of a RouterIdentity.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct RouterHash(pub [u8; 32]);

/// SHA-256 of a Destination.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct DestHash(pub [u8; 32]);

/// Tunnel id, nonzero on the wire, chosen by the tunnel's creator for each hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct TunnelId(pub u32);

/// I2NP message id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct MessageId(pub u32);

macro_rules! hash_type {
    ($name:ident) => {
        impl $name {
            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// In I2P base64, 44 characters.
            pub fn to_base64(&self) -> String {
                b64::encode(&self.0)
            }
        }

        impl Wire for $name {
            fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(Self(r.array()?))
            }
            fn encode(&self, w: &mut Vec<u8>) {
                w.extend_from_slice(&self.0);
            }
        }

        /// Shortened: the first six characters of the base64 form, enough to follow it in a log.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let text = self.to_base64();
                write!(f, "{}", text.get(..6).unwrap_or(&text))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self, f)
            }
        }
    };
}

hash_type!(Hash);
hash_type!(RouterHash);
hash_type!(DestHash);

impl From<RouterHash> for Hash {
    fn from(h: RouterHash) -> Self {
        Self(h.0)
    }
}
impl From<DestHash> for Hash {
    fn from(h: DestHash) -> Self {
        Self(h.0)
    }
}
impl From<Hash> for RouterHash {
    fn from(h: Hash) -> Self {
        Self(h.0)
    }
}
impl From<Hash> for DestHash {
    fn from(h: Hash) -> Self {
        Self(h.0)
    }
}

impl DestHash {
    /// The `.b32.i2p` host name, 60 characters.
    pub fn to_b32_name(&self) -> String {
        format!("{}.b32.i2p", b32::encode(&self.0))
    }
}

impl Wire for TunnelId {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(r.u32()?))
    }
    fn encode(&self, w: &mut Vec<u8>) {
        w.extend_from_slice(&self.0.to_be_bytes());
    }
}

impl Wire for MessageId {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(r.u32()?))
    }
    fn encode(&self, w: &mut Vec<u8>) {
        w.extend_from_slice(&self.0.to_be_bytes());
    }
}
