// SPDX-License-Identifier: MIT
//! Elligator2: X25519 public keys as strings that look random (`end-to-end` section 3.2).
//!
//! The representative goes on the wire, the public key into transcripts. About half of all keys
//! have a representative.

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::EdwardsPoint;
use rand_core::CryptoRng;

use super::{X25519Public, X25519Secret};

/// Where the bits of the top byte that the map does not use are.
const HIGH_BITS: u8 = 0xc0;

/// The largest representative, (p-1)/2, little-endian: the lowest byte is this, and the rest are
/// `ff` up to the top one, which is `3f`.
const MAX_LOW: u8 = 0xf6;

/// The representative of `public`, or `None` if it has none.
///
/// Bit 0 of `tweak` picks one of the two representatives, and its top two bits fill the bits that
/// the map leaves clear: draw it at random.
#[must_use]
pub fn encode(public: &X25519Public, tweak: u8) -> Option<[u8; 32]> {
    elligator2::to_representative(&public.0, tweak)
}

/// The public key of a representative. The top two bits are ignored; `None` for a value over
/// (p-1)/2, which honest peers do not send, and for a result of zero.
#[must_use]
pub fn decode(representative: &[u8; 32]) -> Option<X25519Public> {
    let [low, middle @ .., high] = representative;
    let saturated = middle.iter().all(|byte| *byte == 0xff) && high & !HIGH_BITS == !HIGH_BITS;
    if saturated && *low > MAX_LOW {
        return None;
    }
    X25519Public::from_wire(&elligator2::from_representative(representative))
}

/// A fresh key with a representative: secret, public key, representative.
///
/// The public key has a random component of small order, as a random string decodes to: without
/// it, keys could be told from noise. It vanishes in every Diffie-Hellman exchange, but it means
/// that the secret's own [`X25519Secret::public`] may differ; use the public key returned here.
pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> (X25519Secret, X25519Public, [u8; 32]) {
    loop {
        let secret = X25519Secret::random(rng);
        let mut choice = [0u8; 2];
        rng.fill_bytes(&mut choice);
        let [torsion, tweak] = choice;
        let clean = EdwardsPoint::mul_base_clamped(*secret.to_bytes());
        let point = clean + EIGHT_TORSION[usize::from(torsion & 7)];
        let public = X25519Public(point.to_montgomery().to_bytes());
        if let Some(representative) = encode(&public, tweak) {
            return (secret, public, representative);
        }
    }
}
