// SPDX-License-Identifier: MIT
//! A private key of any type that a client may bring along for its destination.

use curve25519_dalek::scalar::Scalar;
use rand_core::CryptoRng;
use std::fmt;
use zeroize::Zeroizing;

use super::{RedSigningKey, SigningKey, ecdsa};
use crate::wire::SigType;

/// A private key that can sign for a destination: Ed25519, RedDSA or ECDSA. Wiped when dropped.
pub struct AnySigningKey {
    kind: Kind,
    public: Vec<u8>,
}

/// What is behind an [`AnySigningKey`]. All of them are pointers: a larger one would give the others unused bytes, and
/// whatever was on the stack where such a value is made would travel in these.
enum Kind {
    Ed25519(SigningKey),
    Red(RedSigningKey),
    Ecdsa(SigType, Box<Zeroizing<Vec<u8>>>),
}

impl fmt::Debug for AnySigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnySigningKey({:?}, ..)", self.sig_type())
    }
}

impl From<SigningKey> for AnySigningKey {
    fn from(key: SigningKey) -> Self {
        let public = key.public().to_vec();
        Self { kind: Kind::Ed25519(key), public }
    }
}

impl From<RedSigningKey> for AnySigningKey {
    fn from(key: RedSigningKey) -> Self {
        let public = key.public().to_vec();
        Self { kind: Kind::Red(key), public }
    }
}

impl AnySigningKey {
    /// A fresh key, or `None` for DSA, which we do not create.
    pub fn random<R: CryptoRng + ?Sized>(sig_type: SigType, rng: &mut R) -> Option<Self> {
        match sig_type {
            SigType::DsaSha1 => None,
            SigType::Ed25519 => Some(SigningKey::random(rng).into()),
            SigType::RedDsa => Some(RedSigningKey::random(rng).into()),
            SigType::EcdsaP256 | SigType::EcdsaP384 | SigType::EcdsaP521 => loop {
                let mut private = Zeroizing::new(vec![0u8; sig_type.private_len()]);
                rng.fill_bytes(&mut private);
                if let (SigType::EcdsaP521, Some(top)) = (sig_type, private.first_mut()) {
                    *top &= 1; // 521 bits in 66 bytes
                }
                if let Some(key) = Self::from_bytes(sig_type, &private) {
                    return Some(key);
                }
            },
        }
    }

    /// The key in the form key files and SAM use, or `None` if it is malformed or of a type that
    /// we do not sign with.
    #[must_use]
    pub fn from_bytes(sig_type: SigType, private: &[u8]) -> Option<Self> {
        if private.len() != sig_type.private_len() {
            return None;
        }
        let public = match sig_type {
            SigType::DsaSha1 => return None,
            SigType::Ed25519 => return Some(SigningKey::from_seed(private.try_into().ok()?).into()),
            SigType::RedDsa => return RedSigningKey::from_bytes(private.try_into().ok()?).map(Self::from),
            SigType::EcdsaP256 => ecdsa::public_p256(private)?,
            SigType::EcdsaP384 => ecdsa::public_p384(private)?,
            SigType::EcdsaP521 => ecdsa::public_p521(private)?,
        };
        Some(Self { kind: Kind::Ecdsa(sig_type, Box::new(Zeroizing::new(private.to_vec()))), public })
    }

    /// The private key, to keep it on disk or hand it back to its owner.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        match &self.kind {
            Kind::Ed25519(key) => Zeroizing::new(key.seed().to_vec()),
            Kind::Red(key) => Zeroizing::new(key.to_bytes().to_vec()),
            Kind::Ecdsa(_, private) => (**private).clone(),
        }
    }

    /// The type of the signatures it makes.
    #[must_use]
    pub const fn sig_type(&self) -> SigType {
        match &self.kind {
            Kind::Ed25519(_) => SigType::Ed25519,
            Kind::Red(_) => SigType::RedDsa,
            Kind::Ecdsa(sig_type, _) => *sig_type,
        }
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// The secret scalar of the two types that can be blinded.
    pub(in crate::crypto) fn scalar(&self) -> Option<Scalar> {
        match &self.kind {
            Kind::Ed25519(key) => Some(key.scalar()),
            Kind::Red(key) => Some(key.scalar()),
            Kind::Ecdsa(..) => None,
        }
    }

    /// Signs the concatenation of `parts`. Only RedDSA draws from `rng`.
    pub fn sign_parts<R: CryptoRng + ?Sized>(&self, rng: &mut R, parts: &[&[u8]]) -> Vec<u8> {
        let signature = match &self.kind {
            Kind::Ed25519(key) => return key.sign_parts(parts).to_vec(),
            Kind::Red(key) => return key.sign_parts(rng, parts).to_vec(),
            Kind::Ecdsa(SigType::EcdsaP256, private) => ecdsa::sign_p256(private, parts),
            Kind::Ecdsa(SigType::EcdsaP384, private) => ecdsa::sign_p384(private, parts),
            Kind::Ecdsa(_, private) => ecdsa::sign_p521(private, parts),
        };
        // The scalar was checked when the key was made, so signing cannot fail; if it did, the
        // peer would see a signature that does not verify.
        signature.unwrap_or_else(|| vec![0; self.sig_type().signature_len()])
    }
}
