// SPDX-License-Identifier: MIT
//! X25519 keys (RFC 7748).

use rand_core::CryptoRng;
use std::fmt;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroize as _;

use super::Secret32;

/// A public key, as it travels: 32 bytes, little-endian.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct X25519Public(pub [u8; 32]);

impl X25519Public {
    /// A key from a peer: `None` for all zeros, and for a set top bit, which honest keys never
    /// have (hybrid handshakes use it as a mark).
    #[must_use]
    pub fn from_wire(bytes: &[u8; 32]) -> Option<Self> {
        (bytes[31] & 0x80 == 0 && *bytes != [0; 32]).then_some(Self(*bytes))
    }

    /// The bytes of the key.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for X25519Public {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "X25519Public({a:02x}{b:02x}{c:02x}{d:02x}..)")
    }
}

impl From<[u8; 32]> for X25519Public {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for X25519Public {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A private key. It stays in one place, is wiped there when dropped, and cannot be cloned.
pub struct X25519Secret(Box<StaticSecret>);

impl fmt::Debug for X25519Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("X25519Secret(..)")
    }
}

impl X25519Secret {
    /// A fresh key.
    pub fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self::from_secret(&Secret32::random(rng))
    }

    /// The key with these bytes; clamping happens when it is used. What was passed is wiped.
    #[must_use]
    pub fn from_bytes(mut bytes: [u8; 32]) -> Self {
        let key = Self(Box::new(StaticSecret::from(bytes)));
        bytes.zeroize();
        key
    }

    /// The key with the bytes of `secret`.
    #[must_use]
    pub fn from_secret(secret: &Secret32) -> Self {
        Self::from_bytes(**secret)
    }

    /// The bytes of the key, to keep it on disk.
    #[must_use]
    pub fn to_bytes(&self) -> Secret32 {
        Secret32::from(self.0.as_bytes())
    }

    /// The public key. Costs a multiplication (17 us): keep the result.
    #[must_use]
    pub fn public(&self) -> X25519Public {
        X25519Public(PublicKey::from(&*self.0).to_bytes())
    }

    /// The shared secret, or `None` when `their` key is of low order (the result would be zero).
    #[must_use]
    pub fn dh(&self, their: &X25519Public) -> Option<SharedSecret> {
        let shared = self.0.diffie_hellman(&PublicKey::from(their.0));
        shared.was_contributory().then(|| SharedSecret(Secret32::from(shared.as_bytes())))
    }
}

/// The result of a Diffie-Hellman exchange, never all zero. Wiped when dropped.
pub struct SharedSecret(Secret32);

impl SharedSecret {
    /// The 32 bytes, to feed a key derivation.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl AsRef<[u8]> for SharedSecret {
    fn as_ref(&self) -> &[u8] {
        self.0.as_ref()
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(..)")
    }
}
