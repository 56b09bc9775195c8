// SPDX-License-Identifier: MIT
//! Private keys of a destination, in the form that SAM clients and key files of all routers share.

use crate::base::Rng;
use crate::crypto::sign::AnySigningKey;
use crate::wire::{DecodeError, Destination, KeysAndCert, Reader, SigType, Wire, b64};
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Unused field for an encryption key: lease sets carry the real ones.
const ENCRYPTION_FIELD: usize = 256;

/// A destination with its signing key. Cloning shares the key, which is wiped when the last clone goes.
#[derive(Clone)]
pub struct DestinationKeys {
    destination: Destination,
    signing: Arc<AnySigningKey>,
}

impl DestinationKeys {
    /// Fresh Ed25519 keys.
    pub fn generate(rng: &mut Rng) -> Option<Self> {
        Self::generate_type(SigType::Ed25519, rng)
    }

    /// Fresh keys of a type; `None` for types that we do not create (DSA).
    pub fn generate_type(sig_type: SigType, rng: &mut Rng) -> Option<Self> {
        let signing = AnySigningKey::random(sig_type, rng)?;
        let keys = KeysAndCert::build(sig_type, signing.public(), 0, &[], rng.bytes());
        Some(Self { destination: Destination::new(keys), signing: Arc::new(signing) })
    }

    /// Reads destination (387 bytes and more), 256 unused bytes and the signing private key, with nothing behind.
    ///
    /// # Errors
    /// When the layout is wrong, the key is offline (all zero), or it does not belong to the destination.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let destination = Destination::decode(&mut r)?;
        r.bytes(ENCRYPTION_FIELD)?;
        let sig_type = destination.sig_type();
        let private = r.bytes(sig_type.private_len())?;
        r.finish()?;
        let signing = AnySigningKey::from_bytes(sig_type, private)
            .ok_or(DecodeError::Value("private key of this type"))?;
        if signing.public() != destination.signing_key() {
            return Err(DecodeError::Value("private key does not belong to the destination"));
        }
        Ok(Self { destination, signing: Arc::new(signing) })
    }

    /// The same in I2P base64.
    ///
    /// # Errors
    /// As [`Self::from_bytes`], and for characters outside the alphabet.
    pub fn from_base64(text: &str) -> Result<Self, DecodeError> {
        let bytes = Zeroizing::new(b64::decode(text).ok_or(DecodeError::Value("base64"))?);
        Self::from_bytes(&bytes)
    }

    /// The bytes that [`Self::from_bytes`] reads.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(1024));
        self.destination.encode(&mut out);
        out.extend_from_slice(&[0; ENCRYPTION_FIELD]);
        out.extend_from_slice(&self.signing.to_bytes());
        out
    }

    /// The same in I2P base64: 908 characters for Ed25519.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(b64::encode(&self.to_bytes()))
    }

    /// The public part.
    pub const fn destination(&self) -> &Destination {
        &self.destination
    }

    /// The signing key.
    pub const fn signing(&self) -> &Arc<AnySigningKey> {
        &self.signing
    }
}

impl fmt::Debug for DestinationKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DestinationKeys({}, ..)", self.destination.b32())
    }
}
