// SPDX-License-Identifier: MIT
//! The private form of a destination, as SAM clients keep it.
//!
//! Layout: destination (387 bytes and more) | encryption private key, always 256 bytes, unused | signing private
//! key. When the signing key is all zero an offline section follows: expiry in seconds (4), transient type (2),
//! transient public key, signature by the destination's key, transient private key. Spec: SAMv3, "Destination
//! Key Generation" and "Offline Signatures". Checks that need arithmetic are the router's
//! ([`super::Backend::check_keys`]); lengths, alphabet and form are ours.

use std::fmt;

use zeroize::Zeroizing;

use crate::wire::{DecodeError, Destination, Reader, SigType, Wire, b64};

/// Length of the encryption private key field for every crypto type that a destination can carry.
const ENCRYPTION_LEN: usize = 256;

/// A destination with its private keys, and the text in which they came or go.
#[derive(Clone)]
pub struct PrivateKeys {
    destination: Destination,
    signing: Zeroizing<Vec<u8>>,
    offline: Option<OfflineKeys>,
    text: Zeroizing<String>,
}

/// Keys that sign in place of the destination's own until they run out.
#[derive(Clone)]
pub struct OfflineKeys {
    /// When they run out, in seconds since 1970.
    pub expires_s: u32,
    /// Type of the transient key.
    pub sig_type: SigType,
    /// The transient public key.
    pub public: Vec<u8>,
    /// The destination's signature over expiry, type and transient public key.
    pub signature: Vec<u8>,
    /// The transient private key.
    pub private: Zeroizing<Vec<u8>>,
}

impl OfflineKeys {
    /// The bytes that the destination's key has signed.
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = self.expires_s.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.sig_type.code().to_be_bytes());
        bytes.extend_from_slice(&self.public);
        bytes
    }
}

impl fmt::Debug for PrivateKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKeys({:?}, ..)", self.destination)
    }
}

impl fmt::Debug for OfflineKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OfflineKeys({:?}, until {}, ..)", self.sig_type, self.expires_s)
    }
}

impl PrivateKeys {
    /// Puts a destination and its signing key together.
    ///
    /// # Errors
    /// [`DecodeError`] when the key does not have the length of its type.
    pub fn new(destination: Destination, signing: &[u8]) -> Result<Self, DecodeError> {
        if signing.len() != destination.sig_type().private_len() {
            return Err(DecodeError::Value("signing key length"));
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(1024));
        destination.encode(&mut bytes);
        bytes.extend(std::iter::repeat_n(0u8, ENCRYPTION_LEN));
        bytes.extend_from_slice(signing);
        let text = Zeroizing::new(b64::encode(&bytes));
        Ok(Self { destination, signing: Zeroizing::new(signing.to_vec()), offline: None, text })
    }

    /// Reads the base64 form, with or without padding. Nothing may be missing or left over.
    ///
    /// # Errors
    /// [`DecodeError`] naming what is wrong.
    pub fn from_base64(text: &str) -> Result<Self, DecodeError> {
        let bytes = Zeroizing::new(b64::decode(text).ok_or(DecodeError::Value("base64"))?);
        let mut r = Reader::new(&bytes);
        let destination = Destination::decode(&mut r)?;
        r.bytes(ENCRYPTION_LEN)?;
        let signing = r.bytes(destination.sig_type().private_len())?;
        let signing = Zeroizing::new(signing.to_vec());
        let offline = if signing.iter().all(|byte| *byte == 0) {
            Some(OfflineKeys::decode(&mut r, destination.sig_type())?)
        } else {
            None
        };
        if r.remaining() != 0 {
            return Err(DecodeError::Trailing);
        }
        Ok(Self { destination, signing, offline, text: Zeroizing::new(text.to_owned()) })
    }

    /// The public half.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// The signing private key in the length of its type; all zero when the keys are offline.
    pub fn signing(&self) -> &[u8] {
        &self.signing
    }

    /// The offline section, if there is one.
    pub fn offline(&self) -> Option<&OfflineKeys> {
        self.offline.as_ref()
    }

    /// The base64 form: exactly the text that was read, or the canonical one for new keys.
    pub fn to_base64(&self) -> &str {
        &self.text
    }
}

impl OfflineKeys {
    fn decode(r: &mut Reader<'_>, owner: SigType) -> Result<Self, DecodeError> {
        let expires_s = r.u32()?;
        let sig_type = SigType::from_code(r.u16()?).ok_or(DecodeError::Value("transient signature type"))?;
        Ok(Self {
            expires_s,
            sig_type,
            public: r.bytes(sig_type.public_len())?.to_vec(),
            signature: r.bytes(owner.signature_len())?.to_vec(),
            private: Zeroizing::new(r.bytes(sig_type.private_len())?.to_vec()),
        })
    }
}

/// Takes the destination out of base64 that may hold a whole private key: some clients use their private key as
/// their address. What follows the public part is never kept.
///
/// # Errors
/// [`DecodeError`] when it is neither a destination nor one with private keys behind it.
pub(super) fn public_part(text: &str) -> Result<Destination, DecodeError> {
    let bytes = Zeroizing::new(b64::decode(text).ok_or(DecodeError::Value("base64"))?);
    let mut r = Reader::new(&bytes);
    let destination = Destination::decode(&mut r)?;
    if r.remaining() == 0 {
        return Ok(destination);
    }
    PrivateKeys::from_base64(text).map(|keys| keys.destination)
}

/// Reads a signature type: its number, or its name in any case.
pub(super) fn signature_type(text: &str) -> Option<SigType> {
    const NAMES: [(&str, SigType); 6] = [
        ("DSA_SHA1", SigType::DsaSha1),
        ("ECDSA_SHA256_P256", SigType::EcdsaP256),
        ("ECDSA_SHA384_P384", SigType::EcdsaP384),
        ("ECDSA_SHA512_P521", SigType::EcdsaP521),
        ("EdDSA_SHA512_Ed25519", SigType::Ed25519),
        ("RedDSA_SHA512_Ed25519", SigType::RedDsa),
    ];
    if let Ok(code) = text.parse() {
        return SigType::from_code(code);
    }
    NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests;
