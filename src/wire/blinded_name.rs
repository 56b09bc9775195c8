// SPDX-License-Identifier: MIT
//! Names of destinations whose lease set is published encrypted ("b33"): 56 characters and more before `.b32.i2p`.
//!
//! They hold the destination's signing key instead of its hash, because the hash cannot be found in the netDb:
//! flags (1) | signature type (1, or 2 with flag 0) | blinded signature type (1 or 2) | key. The low three bytes of
//! the key's CRC-32 are mixed into the first three bytes, so a mistyped name shows flags or types that do not exist.
//! Spec: "B32 for Encrypted Leasesets" (proposal 149).

use super::{DecodeError, Destination, Reader, SigType, b32};
use std::fmt;

/// Signature types have two bytes.
const FLAG_WIDE: u8 = 1;
/// A secret is needed besides the name.
const FLAG_SECRET: u8 = 2;
/// A key of the client is needed besides the name.
const FLAG_AUTH: u8 = 4;
/// Shortest name, without its suffix.
pub const BLINDED_NAME_MIN: usize = 56;
/// Longest name that we read, without its suffix: one with wide types has 60 characters.
const LABEL_MAX: usize = 64;

/// The signing key of a destination with an encrypted lease set, and what else is needed to read that.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlindedName {
    sig_type: SigType,
    key: [u8; 32],
    secret: bool,
    client_auth: bool,
}

impl BlindedName {
    /// The name of a destination; `None` unless it signs with Ed25519 or RedDSA, the types that can be blinded.
    #[must_use]
    pub fn of(destination: &Destination, secret: bool, client_auth: bool) -> Option<Self> {
        let sig_type = destination.sig_type();
        if !can_be_blinded(sig_type) {
            return None;
        }
        Some(Self { sig_type, key: destination.signing_key().try_into().ok()?, secret, client_auth })
    }

    /// Reads the part before `.b32.i2p`, in either case.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong; a mistyped name mostly shows as flags or types that do not exist.
    pub fn parse(label: &str) -> Result<Self, DecodeError> {
        if label.len() > LABEL_MAX {
            return Err(DecodeError::Value("a name for an encrypted lease set has 56 characters"));
        }
        let mut bytes = b32::decode(label).ok_or(DecodeError::Value("not base32"))?;
        let sum = checksum(&bytes);
        for (byte, mask) in bytes.iter_mut().zip(sum) {
            *byte ^= mask;
        }
        let mut r = Reader::new(&bytes);
        let flags = r.u8()?;
        if flags & !(FLAG_WIDE | FLAG_SECRET | FLAG_AUTH) != 0 {
            return Err(DecodeError::Value("checksum of the name"));
        }
        let wide = flags & FLAG_WIDE != 0;
        let mut code = || if wide { r.u16() } else { r.u8().map(u16::from) };
        let (own, blinded) = (code()?, code()?);
        let sig_type = SigType::from_code(own)
            .filter(|t| can_be_blinded(*t))
            .ok_or(DecodeError::Value("signature type or checksum of the name"))?;
        if blinded != SigType::RedDsa.code() {
            return Err(DecodeError::Value("blinded signature type or checksum of the name"));
        }
        let key = r.array()?;
        r.finish()?;
        Ok(Self { sig_type, key, secret: flags & FLAG_SECRET != 0, client_auth: flags & FLAG_AUTH != 0 })
    }

    /// The part before `.b32.i2p`: 56 characters.
    #[must_use]
    pub fn label(&self) -> String {
        let flag = |on: bool, flag: u8| if on { flag } else { 0 };
        let mut bytes = vec![flag(self.secret, FLAG_SECRET) | flag(self.client_auth, FLAG_AUTH)];
        bytes.push(u8::try_from(self.sig_type.code()).unwrap_or_default());
        bytes.push(u8::try_from(SigType::RedDsa.code()).unwrap_or_default());
        bytes.extend_from_slice(&self.key);
        let sum = checksum(&bytes);
        for (byte, mask) in bytes.iter_mut().zip(sum) {
            *byte ^= mask;
        }
        b32::encode(&bytes)
    }

    /// Type of the destination's signing key: Ed25519 or RedDSA.
    #[must_use]
    pub const fn sig_type(&self) -> SigType {
        self.sig_type
    }

    /// The destination's signing key.
    #[must_use]
    pub const fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// Whether a secret is needed to find the lease set.
    #[must_use]
    pub const fn needs_secret(&self) -> bool {
        self.secret
    }

    /// Whether a key of the client is needed to read the lease set.
    #[must_use]
    pub const fn needs_client_key(&self) -> bool {
        self.client_auth
    }

    /// Whether `destination` is the one that is named.
    #[must_use]
    pub fn names(&self, destination: &Destination) -> bool {
        destination.sig_type() == self.sig_type && destination.signing_key() == self.key
    }
}

/// Ed25519 and RedDSA keys can be blinded, the others cannot.
const fn can_be_blinded(sig_type: SigType) -> bool {
    matches!(sig_type, SigType::Ed25519 | SigType::RedDsa)
}

/// The masks for the first three bytes, from all that follow.
fn checksum(bytes: &[u8]) -> [u8; 3] {
    let [a, b, c, _] = crc32fast::hash(bytes.get(3..).unwrap_or_default()).to_le_bytes();
    [a, b, c]
}

impl fmt::Display for BlindedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.b32.i2p", self.label())
    }
}

impl fmt::Debug for BlindedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = self.label();
        write!(f, "BlindedName({}..)", label.get(..8).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
