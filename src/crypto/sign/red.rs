// SPDX-License-Identifier: MIT
//! RedDSA over Ed25519 (type 11): keys that can be blinded, for encrypted LeaseSets.
//!
//! The private key is a plain scalar instead of a hashed and clamped seed, and the nonce comes
//! from 80 random bytes. Verification is that of Ed25519.

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use rand_core::CryptoRng;
use sha2::{Digest, Sha512};
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

use super::super::Secret32;

/// Random bytes in the nonce of a signature.
const NONCE_LEN: usize = 80;

/// A RedDSA private key. It stays in one place, and is wiped there when dropped.
pub struct RedSigningKey(Box<Pair>);

struct Pair {
    scalar: Scalar,
    public: [u8; 32],
}

impl fmt::Debug for RedSigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedSigningKey(..)")
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.scalar.zeroize();
    }
}

impl RedSigningKey {
    /// A fresh key.
    pub fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut wide = Zeroizing::new([0u8; 64]);
        rng.fill_bytes(&mut *wide);
        Self::from_scalar(Scalar::from_bytes_mod_order_wide(&wide))
    }

    /// The key with this scalar, which is reduced; `None` for zero.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let scalar = Scalar::from_bytes_mod_order(*bytes);
        (scalar != Scalar::ZERO).then(|| Self::from_scalar(scalar))
    }

    fn from_scalar(scalar: Scalar) -> Self {
        Self(Box::new(Pair { scalar, public: EdwardsPoint::mul_base(&scalar).compress().to_bytes() }))
    }

    /// The scalar, to keep it on disk.
    #[must_use]
    pub fn to_bytes(&self) -> Secret32 {
        Secret32::new(self.0.scalar.to_bytes())
    }

    /// The scalar itself.
    pub(super) const fn scalar(&self) -> Scalar {
        self.0.scalar
    }

    /// The public key.
    #[must_use]
    pub const fn public(&self) -> [u8; 32] {
        self.0.public
    }

    /// Signs the concatenation of `parts`.
    pub fn sign_parts<R: CryptoRng + ?Sized>(&self, rng: &mut R, parts: &[&[u8]]) -> [u8; 64] {
        let mut random = Zeroizing::new([0u8; NONCE_LEN]);
        rng.fill_bytes(&mut *random);
        let mut nonce = hash_to_scalar(&[&*random, &self.0.public], parts);
        let point = EdwardsPoint::mul_base(&nonce).compress().to_bytes();
        let challenge = hash_to_scalar(&[&point, &self.0.public], parts);
        let answer = nonce + challenge * self.0.scalar;
        nonce.zeroize();
        let mut signature = [0u8; 64];
        signature[..32].copy_from_slice(&point);
        signature[32..].copy_from_slice(answer.as_bytes());
        signature
    }
}

/// SHA-512 of `head` and `parts`, reduced modulo the group order.
fn hash_to_scalar(head: &[&[u8]], parts: &[&[u8]]) -> Scalar {
    let mut digest = Sha512::new();
    for part in head.iter().chain(parts) {
        digest.update(part);
    }
    Scalar::from_bytes_mod_order_wide(&digest.finalize().into())
}
