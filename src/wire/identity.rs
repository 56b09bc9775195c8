// SPDX-License-Identifier: MIT
//! RouterIdentity and Destination: keys with a certificate (common structures, "KeysAndCert").
//!
//! 384 bytes (encryption key left-aligned, signing key right-aligned, padding between), then a certificate.
//! The hash covers every byte, so the bytes are kept as they came.

use super::{DecodeError, DestHash, Reader, RouterHash, SigType, Wire};
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;

/// Crypto type of X25519 in a key certificate.
pub const CRYPTO_X25519: u16 = 4;
const KEYS_LEN: usize = 384;
const SIGNING_FIELD: usize = 128;
const CERT_NULL: u8 = 0;
const CERT_KEY: u8 = 5;
/// Longest certificate payload that we take: P-521 and RSA excess fits with room to spare.
const CERT_MAX: u32 = 1024;

/// Keys and certificate of a router or a destination. Cloning is cheap.
#[derive(Clone, PartialEq, Eq)]
pub struct KeysAndCert {
    raw: Arc<[u8]>,
    signing: Arc<[u8]>,
    sig_type: SigType,
    crypto_type: u16,
    hash: [u8; 32],
}

impl KeysAndCert {
    /// Builds a structure from its keys. `fill` is repeated over the unused bytes (proposal 161), so that they compress.
    ///
    /// `encryption` is empty for a destination, whose encryption keys live in its LeaseSet.
    pub fn build(
        sig_type: SigType,
        signing: &[u8],
        crypto_type: u16,
        encryption: &[u8],
        fill: [u8; 32],
    ) -> Self {
        let mut raw: Vec<u8> = fill.iter().copied().cycle().take(KEYS_LEN).collect();
        if let Some(field) = raw.get_mut(..encryption.len().min(256)) {
            field.copy_from_slice(encryption.get(..field.len()).unwrap_or_default());
        }
        let inside = signing.len().min(SIGNING_FIELD);
        let (head, excess) = signing.split_at(inside);
        if let Some(field) = raw.get_mut(KEYS_LEN.saturating_sub(inside)..) {
            field.copy_from_slice(head);
        }
        raw.push(CERT_KEY);
        raw.extend_from_slice(&u16::try_from(excess.len().saturating_add(4)).unwrap_or(4).to_be_bytes());
        raw.extend_from_slice(&sig_type.code().to_be_bytes());
        raw.extend_from_slice(&crypto_type.to_be_bytes());
        raw.extend_from_slice(excess);
        let hash = Sha256::digest(&raw).into();
        Self { raw: raw.into(), signing: signing.into(), sig_type, crypto_type, hash }
    }

    /// Every byte of the structure.
    pub fn as_bytes(&self) -> &[u8] {
        &self.raw
    }

    /// Signature type.
    pub const fn sig_type(&self) -> SigType {
        self.sig_type
    }

    /// Signing public key, [`SigType::public_len`] bytes.
    pub fn signing_key(&self) -> &[u8] {
        &self.signing
    }

    /// Crypto type of the certificate: 4 = X25519, 0 = none or ElGamal.
    pub const fn crypto_type(&self) -> u16 {
        self.crypto_type
    }

    /// First 32 bytes of the encryption field: the X25519 key when [`Self::crypto_type`] says so.
    pub fn encryption_key(&self) -> [u8; 32] {
        self.raw.first_chunk::<32>().copied().unwrap_or_default()
    }

    /// SHA-256 of all bytes.
    pub const fn sha256(&self) -> [u8; 32] {
        self.hash
    }
}

impl Wire for KeysAndCert {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = r.peek();
        let keys = r.bytes(KEYS_LEN)?;
        let kind = r.u8()?;
        let len = r.u16()?;
        if u32::from(len) > CERT_MAX {
            return Err(DecodeError::count("certificate", len.into(), CERT_MAX));
        }
        let mut cert = Reader::new(r.bytes(usize::from(len))?);
        let (sig_type, crypto_type) = match kind {
            CERT_NULL => (SigType::DsaSha1, 0),
            CERT_KEY => {
                let code = cert.u16()?;
                (SigType::from_code(code).ok_or(DecodeError::Value("signature type"))?, cert.u16()?)
            }
            _ => return Err(DecodeError::Value("certificate type")),
        };
        let inside = sig_type.public_len().min(SIGNING_FIELD);
        let mut signing = keys.get(KEYS_LEN.saturating_sub(inside)..).unwrap_or_default().to_vec();
        signing.extend_from_slice(cert.bytes(sig_type.public_len().saturating_sub(inside))?);
        let raw: Arc<[u8]> =
            start.get(..start.len().saturating_sub(r.remaining())).unwrap_or_default().into();
        let hash = Sha256::digest(&raw).into();
        Ok(Self { raw, signing: signing.into(), sig_type, crypto_type, hash })
    }

    fn encode(&self, w: &mut Vec<u8>) {
        w.extend_from_slice(&self.raw);
    }
}

/// A router's identity. Its hash names it.
#[derive(Clone, PartialEq, Eq)]
pub struct RouterIdentity(KeysAndCert);

/// A destination: the public name of a service or client.
#[derive(Clone, PartialEq, Eq)]
pub struct Destination(KeysAndCert);

impl RouterIdentity {
    /// Wraps keys and certificate.
    pub const fn new(keys: KeysAndCert) -> Self {
        Self(keys)
    }
    /// The router's hash.
    pub const fn hash(&self) -> RouterHash {
        RouterHash(self.0.hash)
    }
    /// The X25519 key to which router garlic and build records are encrypted, if it is one.
    pub fn x25519(&self) -> Option<[u8; 32]> {
        (self.0.crypto_type == CRYPTO_X25519).then(|| self.0.encryption_key())
    }
}

impl Destination {
    /// Wraps keys and certificate.
    pub const fn new(keys: KeysAndCert) -> Self {
        Self(keys)
    }
    /// The destination's hash.
    pub const fn hash(&self) -> DestHash {
        DestHash(self.0.hash)
    }
    /// In I2P base64; 524 characters for Ed25519.
    pub fn to_base64(&self) -> String {
        super::b64::encode(&self.0.raw)
    }
    /// From I2P base64.
    pub fn from_base64(text: &str) -> Result<Self, DecodeError> {
        Self::from_bytes(&super::b64::decode(text).ok_or(DecodeError::Value("base64"))?)
    }
    /// The `.b32.i2p` name.
    pub fn b32(&self) -> String {
        self.hash().to_b32_name()
    }
}

macro_rules! wrapper {
    ($name:ident) => {
        impl std::ops::Deref for $name {
            type Target = KeysAndCert;
            fn deref(&self) -> &KeysAndCert {
                &self.0
            }
        }
        impl Wire for $name {
            fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                KeysAndCert::decode(r).map(Self)
            }
            fn encode(&self, w: &mut Vec<u8>) {
                self.0.encode(w);
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), self.hash())
            }
        }
    };
}
wrapper!(RouterIdentity);
wrapper!(Destination);

impl fmt::Debug for KeysAndCert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeysAndCert({:?}, {} bytes)", self.sig_type, self.raw.len())
    }
}
