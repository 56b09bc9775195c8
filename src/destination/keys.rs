// SPDX-License-Identifier: MIT
//! Private keys of a destination, in the form that SAM clients and key files of all routers share.
//!
//! destination | 256 unused bytes | signing key. When the signing key is all zero it is kept elsewhere, and an offline
//! section follows: expiry (4) | transient type (2) | transient public key | the destination's signature over these |
//! transient private key. Spec: SAMv3 "Destination Key Generation" and "Offline Signatures".

use crate::base::Rng;
use crate::crypto::sign::{AnySigningKey, verify};
use crate::wire::{DecodeError, Destination, KeysAndCert, OfflineSignature, Reader, SigType, Wire, b64};
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
    offline: Option<Arc<OfflineSignature>>,
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
        Some(Self { destination: Destination::new(keys), signing: Arc::new(signing), offline: None })
    }

    /// Authorises a transient key, with which the destination can be used until `expires_s` (seconds since 1970) while
    /// its own key stays elsewhere. `None` for types that we do not create, and for keys that are transient already.
    pub fn delegate(&self, sig_type: SigType, expires_s: u32, rng: &mut Rng) -> Option<Self> {
        if self.offline.is_some() {
            return None;
        }
        let transient = AnySigningKey::random(sig_type, rng)?;
        let key = transient.public().to_vec();
        let mut offline = OfflineSignature { expires_s, sig_type, key, signature: Vec::new() };
        offline.signature = self.signing.sign_parts(rng, &[&offline.signed_bytes()]);
        let destination = self.destination.clone();
        Some(Self { destination, signing: Arc::new(transient), offline: Some(Arc::new(offline)) })
    }

    /// Reads the layout of this module, with nothing behind. Whether offline keys have run out is the caller's to
    /// judge.
    ///
    /// # Errors
    /// When the layout is wrong, the private key does not belong to the destination, or an offline signature does not
    /// hold.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let destination = Destination::decode(&mut r)?;
        r.bytes(ENCRYPTION_FIELD)?;
        let sig_type = destination.sig_type();
        let private = r.bytes(sig_type.private_len())?;
        if private.iter().all(|byte| *byte == 0) {
            return Self::offline_part(destination, r);
        }
        r.finish()?;
        let signing = private_key(sig_type, private, destination.signing_key())?;
        Ok(Self { destination, signing: Arc::new(signing), offline: None })
    }

    fn offline_part(destination: Destination, mut r: Reader<'_>) -> Result<Self, DecodeError> {
        let offline = OfflineSignature::decode(&mut r, destination.sig_type())?;
        let private = r.bytes(offline.sig_type.private_len())?;
        r.finish()?;
        let message = offline.signed_bytes();
        verify(destination.sig_type(), destination.signing_key(), &[&message], &offline.signature)
            .map_err(|_| DecodeError::Value("offline signature"))?;
        let signing = private_key(offline.sig_type, private, &offline.key)?;
        Ok(Self { destination, signing: Arc::new(signing), offline: Some(Arc::new(offline)) })
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
        if let Some(offline) = &self.offline {
            out.extend(std::iter::repeat_n(0, self.destination.sig_type().private_len()));
            offline.encode(&mut out);
        }
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

    /// The key that signs: the destination's own, or the transient one of [`Self::offline`].
    pub const fn signing(&self) -> &Arc<AnySigningKey> {
        &self.signing
    }

    /// The authorisation of a transient key; `None` when the destination's own key signs.
    pub fn offline(&self) -> Option<&OfflineSignature> {
        self.offline.as_deref()
    }

    /// When a transient key runs out, in seconds since 1970.
    pub fn expires_s(&self) -> Option<u32> {
        self.offline.as_ref().map(|o| o.expires_s)
    }
}

/// The private key, if it belongs to the public one.
fn private_key(sig_type: SigType, private: &[u8], public: &[u8]) -> Result<AnySigningKey, DecodeError> {
    if sig_type == SigType::DsaSha1 {
        return Err(DecodeError::Value("DSA keys are verified here, but no longer signed with"));
    }
    let key =
        AnySigningKey::from_bytes(sig_type, private).ok_or(DecodeError::Value("private key of this type"))?;
    if key.public() == public {
        Ok(key)
    } else {
        Err(DecodeError::Value("private key does not belong to the destination"))
    }
}

impl fmt::Debug for DestinationKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DestinationKeys({}, ..)", self.destination.b32())
    }
}

#[cfg(test)]
mod tests;
