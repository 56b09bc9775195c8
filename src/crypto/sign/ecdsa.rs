// SPDX-License-Identifier: MIT
//! ECDSA over the NIST curves, as I2P writes it: keys are `x || y`, signatures `r || s`.

use sha2::{Digest, Sha256, Sha384, Sha512};

use super::BadSignature;

/// Writes the functions for one curve: verification, and signing with a deterministic nonce.
macro_rules! curve {
    ($curve:ident, $digest:ty, $public:literal, $verify:ident, $public_of:ident, $sign:ident) => {
        /// Checks a signature over the concatenation of `message`.
        pub(super) fn $verify(
            public: &[u8],
            message: &[&[u8]],
            signature: &[u8],
        ) -> Result<(), BadSignature> {
            use $curve::ecdsa::signature::hazmat::PrehashVerifier;
            if public.len() != $public {
                return Err(BadSignature);
            }
            let mut point = [4u8; $public + 1];
            point[1..].copy_from_slice(public);
            let key = $curve::ecdsa::VerifyingKey::from_sec1_bytes(&point).map_err(|_| BadSignature)?;
            let signature = $curve::ecdsa::Signature::from_slice(signature).map_err(|_| BadSignature)?;
            key.verify_prehash(&digest::<$digest>(message), &signature).map_err(|_| BadSignature)
        }

        /// The public key of a private scalar, or `None` if that is zero or too large.
        pub(super) fn $public_of(private: &[u8]) -> Option<Vec<u8>> {
            let key = $curve::ecdsa::SigningKey::from_slice(private).ok()?;
            let point = key.verifying_key().to_sec1_point(false);
            point.as_bytes().split_first().map(|(_, public)| public.to_vec())
        }

        /// Signs the concatenation of `message`.
        pub(super) fn $sign(private: &[u8], message: &[&[u8]]) -> Option<Vec<u8>> {
            use $curve::ecdsa::signature::hazmat::PrehashSigner;
            let key = $curve::ecdsa::SigningKey::from_slice(private).ok()?;
            let signature: $curve::ecdsa::Signature = key.sign_prehash(&digest::<$digest>(message)).ok()?;
            Some(signature.to_bytes().to_vec())
        }
    };
}

curve!(p256, Sha256, 64, verify_p256, public_p256, sign_p256);
curve!(p384, Sha384, 96, verify_p384, public_p384, sign_p384);
curve!(p521, Sha512, 132, verify_p521, public_p521, sign_p521);

/// The digest of the concatenation of `parts`.
fn digest<D: Digest>(parts: &[&[u8]]) -> sha2::digest::Output<D> {
    let mut digest = D::new();
    for part in parts {
        digest.update(part);
    }
    digest.finalize()
}
