// SPDX-License-Identifier: MIT
//! Signatures: Ed25519 for us, every deployed type for those we check (`end-to-end` section 6).
//!
//! Verification is the one place that decides what the network's signatures mean: Ed25519 without
//! cofactor and with a canonical scalar, as the other routers have it; RedDSA is verified alike.

mod any;
mod dsa;
mod ecdsa;
mod red;

use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::ed25519::signature::{MultipartSigner, MultipartVerifier};
use ed25519_dalek::{Signature, VerifyingKey};
use rand_core::CryptoRng;
use std::fmt;

use super::Secret32;
use crate::wire::SigType;

pub use any::AnySigningKey;
pub use red::RedSigningKey;

/// A signature that does not hold, or a key or signature of the wrong shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSignature;

impl fmt::Display for BadSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bad signature")
    }
}

impl std::error::Error for BadSignature {}

/// Checks `signature` over the concatenation of `message` with a key of type `sig_type`.
pub fn verify(
    sig_type: SigType,
    public: &[u8],
    message: &[&[u8]],
    signature: &[u8],
) -> Result<(), BadSignature> {
    match sig_type {
        SigType::DsaSha1 => dsa::verify(public, message, signature),
        SigType::EcdsaP256 => ecdsa::verify_p256(public, message, signature),
        SigType::EcdsaP384 => ecdsa::verify_p384(public, message, signature),
        SigType::EcdsaP521 => ecdsa::verify_p521(public, message, signature),
        SigType::Ed25519 | SigType::RedDsa => verify_ed25519(public, message, signature),
    }
}

/// Ed25519: the scalar must be reduced and the point canonical; no cofactor.
fn verify_ed25519(public: &[u8], message: &[&[u8]], signature: &[u8]) -> Result<(), BadSignature> {
    let public: &[u8; 32] = public.try_into().map_err(|_| BadSignature)?;
    let signature: &[u8; 64] = signature.try_into().map_err(|_| BadSignature)?;
    let key = VerifyingKey::from_bytes(public).map_err(|_| BadSignature)?;
    key.multipart_verify(message, &Signature::from_bytes(signature)).map_err(|_| BadSignature)
}

/// An Ed25519 private key. It stays in one place, and is wiped there when dropped.
pub struct SigningKey(Box<ed25519_dalek::SigningKey>);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

impl SigningKey {
    /// A fresh key.
    pub fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self::from_seed(&Secret32::random(rng))
    }

    /// The key of a 32-byte seed, which is how private keys are stored.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(Box::new(ed25519_dalek::SigningKey::from_bytes(seed)))
    }

    /// The seed, to keep it on disk.
    #[must_use]
    pub fn seed(&self) -> Secret32 {
        Secret32::from(self.0.as_bytes())
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// The clamped and reduced scalar behind the seed.
    fn scalar(&self) -> Scalar {
        self.0.to_scalar()
    }

    /// Signs a message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.sign_parts(&[message])
    }

    /// Signs the concatenation of `parts`.
    #[must_use]
    pub fn sign_parts(&self, parts: &[&[u8]]) -> [u8; 64] {
        self.0.multipart_sign(parts).to_bytes()
    }
}
