// SPDX-License-Identifier: MIT
//! Blinded keys: under which key an encrypted lease set is stored and signed on one day.
//!
//! From a destination's signing key, the UTC date and an optional secret everybody who knows them derives another
//! public key, and the owner its private key; who sees only that one learns neither the destination nor that two days
//! belong together. Spec: Encrypted LeaseSet, "Blinding Key Derivation" and "Derivation of subcredentials".

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

use super::sign::{AnySigningKey, RedSigningKey};
use super::{Secret32, kdf, sha256};
use crate::wire::{Hash, SigType};

/// A signing key on one day. What can be derived from it lets its holder read lease sets, so it is wiped when dropped.
pub struct BlindedKey {
    public: [u8; 32],
    alpha: Box<Scalar>,
    subcredential: Secret32,
}

impl fmt::Debug for BlindedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlindedKey(..)")
    }
}

impl Drop for BlindedKey {
    fn drop(&mut self) {
        self.alpha.zeroize();
    }
}

impl BlindedKey {
    /// The blinded form of `key` on the day `date` (`YYYYMMDD`, UTC). `secret` is empty if there is none. `None` for
    /// types other than Ed25519 and RedDSA, and for keys that are no points of the curve.
    #[must_use]
    pub fn of(sig_type: SigType, key: &[u8; 32], date: &[u8; 8], secret: &[u8]) -> Option<Self> {
        if !matches!(sig_type, SigType::Ed25519 | SigType::RedDsa) {
            return None;
        }
        let point = CompressedEdwardsY(*key).decompress()?;
        let (own, blinded) = (sig_type.code().to_be_bytes(), SigType::RedDsa.code().to_be_bytes());
        let salt = sha256(&[b"I2PGenerateAlpha", key, &own, &blinded]);
        let mut ikm = Zeroizing::new(date.to_vec());
        ikm.extend_from_slice(secret);
        let (mut low, mut high) = kdf::hkdf64(&salt, &ikm, b"i2pblinding1");
        let mut wide = Zeroizing::new([0u8; 64]);
        wide[..32].copy_from_slice(&low);
        wide[32..].copy_from_slice(&high);
        low.zeroize();
        high.zeroize();
        let alpha = Box::new(Scalar::from_bytes_mod_order_wide(&wide));
        let sum = point + EdwardsPoint::mul_base(&alpha);
        if sum.is_identity() {
            return None;
        }
        let public = sum.compress().to_bytes();
        let credential = sha256(&[b"credential", key, &own, &blinded]);
        let subcredential = Secret32::new(sha256(&[b"subcredential", &credential, &public]));
        Some(Self { public, alpha, subcredential })
    }

    /// The blinded public key, of type RedDSA.
    #[must_use]
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// What the lease set's keys are derived from.
    #[must_use]
    pub fn subcredential(&self) -> &[u8; 32] {
        &self.subcredential
    }

    /// The key under which the netDb has the lease set of this day.
    #[must_use]
    pub fn store_key(&self) -> Hash {
        Hash(sha256(&[&SigType::RedDsa.code().to_be_bytes(), &self.public]))
    }

    /// The blinded private key of the owner, who has `own`. `None` if that is not the key that was blinded.
    #[must_use]
    pub fn private(&self, own: &AnySigningKey) -> Option<RedSigningKey> {
        let own = Zeroizing::new(own.scalar()?);
        let sum = Zeroizing::new((*own + *self.alpha).to_bytes());
        RedSigningKey::from_bytes(&sum).filter(|key| key.public() == self.public)
    }
}
