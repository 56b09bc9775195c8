// SPDX-License-Identifier: MIT
//! The outer layer of an encrypted lease set (store type 5): all that a floodfill sees of it.
//!
//! Blinded key, dates and signature are in the clear, the lease set itself is in `sealed`, which `crypto` opens.
//! Spec: common structures, "EncryptedLeaseSet"; Encrypted LeaseSet, "Layer 0".

use super::lease_set::{FLAG_OFFLINE, check_size};
use super::{Authorisation, DecodeError, Hash, OfflineSignature, Reader, SelfSigned, SigType, Wire};
use sha2::{Digest, Sha256};
use std::ops::Range;
use std::sync::Arc;

const STORE_TYPE: &[u8] = &[5];

/// Outer layer of an encrypted LeaseSet (store type 5): all that a floodfill sees of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptedLeaseSet {
    sig_type: SigType,
    blinded_key: Vec<u8>,
    published_s: u32,
    expires_s: u32,
    offline: Option<OfflineSignature>,
    raw: Arc<[u8]>,
    sealed: Range<usize>,
    signature_at: usize,
}

impl EncryptedLeaseSet {
    /// Builds and signs one; `sign` gets the bytes to sign (store type in front) and answers the signature of a RedDSA
    /// key. `expires_s` is absolute; it is written as an offset from `published_s`, at most 65,535 s.
    pub fn build(
        blinded_key: &[u8; 32],
        published_s: u32,
        expires_s: u32,
        sealed: &[u8],
        sign: impl FnOnce(&[u8]) -> Vec<u8>,
    ) -> Self {
        let sig_type = SigType::RedDsa;
        let offset = u16::try_from(expires_s.saturating_sub(published_s)).unwrap_or(u16::MAX);
        let mut raw = STORE_TYPE.to_vec();
        raw.extend_from_slice(&sig_type.code().to_be_bytes());
        raw.extend_from_slice(blinded_key);
        raw.extend_from_slice(&published_s.to_be_bytes());
        raw.extend_from_slice(&offset.to_be_bytes());
        raw.extend_from_slice(&0u16.to_be_bytes()); // flags
        let len = u16::try_from(sealed.len()).unwrap_or(u16::MAX);
        raw.extend_from_slice(&len.to_be_bytes());
        let start = raw.len().saturating_sub(1);
        raw.extend_from_slice(sealed.get(..usize::from(len)).unwrap_or_default());
        let signature = sign(&raw);
        raw.remove(0);
        let signature_at = raw.len();
        raw.extend_from_slice(&signature);
        Self {
            sig_type,
            blinded_key: blinded_key.to_vec(),
            published_s,
            expires_s: published_s.saturating_add(offset.into()),
            offline: None,
            raw: raw.into(),
            sealed: start..signature_at,
            signature_at,
        }
    }

    /// Type of the blinded key: RedDSA, or one that nobody uses.
    pub const fn sig_type(&self) -> SigType {
        self.sig_type
    }
    /// The blinded key.
    pub fn blinded_key(&self) -> &[u8] {
        &self.blinded_key
    }
    /// The encrypted layers.
    pub fn sealed(&self) -> &[u8] {
        self.raw.get(self.sealed.clone()).unwrap_or_default()
    }
    /// The authorisation of a transient key, if one signed.
    pub const fn offline(&self) -> Option<&OfflineSignature> {
        self.offline.as_ref()
    }
    /// The netDb key under which it is stored: SHA-256 of signature type and blinded key.
    pub fn store_key(&self) -> Hash {
        let mut h = Sha256::new();
        h.update(self.sig_type.code().to_be_bytes());
        h.update(&self.blinded_key);
        Hash(h.finalize().into())
    }
    /// When it was signed, seconds since 1970.
    pub const fn published_s(&self) -> u32 {
        self.published_s
    }
    /// When it ends, seconds since 1970.
    pub const fn expires_s(&self) -> u32 {
        self.expires_s
    }
    /// The bytes as received, with the signature.
    pub const fn raw(&self) -> &Arc<[u8]> {
        &self.raw
    }
}

impl Wire for EncryptedLeaseSet {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = r.peek();
        let sig_type = SigType::from_code(r.u16()?).ok_or(DecodeError::Value("blinded signature type"))?;
        let blinded_key = r.bytes(sig_type.public_len())?.to_vec();
        let published_s = r.u32()?;
        let expires_s = published_s.saturating_add(r.u16()?.into());
        let flags = r.u16()?;
        let offline = match flags & FLAG_OFFLINE {
            0 => None,
            _ => Some(OfflineSignature::decode(r, sig_type)?),
        };
        let len = r.u16()?;
        let sealed_at = start.len().saturating_sub(r.remaining());
        r.bytes(usize::from(len))?;
        let signature_at = start.len().saturating_sub(r.remaining());
        r.bytes(offline.as_ref().map_or(sig_type, |o| o.sig_type).signature_len())?;
        let len = start.len().saturating_sub(r.remaining());
        check_size(len)?;
        let raw = start.get(..len).unwrap_or_default().into();
        let sealed = sealed_at..signature_at;
        Ok(Self { sig_type, blinded_key, published_s, expires_s, offline, raw, sealed, signature_at })
    }
    fn encode(&self, w: &mut Vec<u8>) {
        w.extend_from_slice(&self.raw);
    }
}

impl SelfSigned for EncryptedLeaseSet {
    fn signer(&self) -> (SigType, &[u8]) {
        match &self.offline {
            Some(o) => (o.sig_type, &o.key),
            None => (self.sig_type, &self.blinded_key),
        }
    }
    fn signed_parts(&self) -> Vec<&[u8]> {
        vec![STORE_TYPE, self.raw.get(..self.signature_at).unwrap_or_default()]
    }
    fn signature(&self) -> &[u8] {
        self.raw.get(self.signature_at..).unwrap_or_default()
    }
    fn authorisation(&self) -> Option<Authorisation<'_>> {
        let o = self.offline.as_ref()?;
        Some((self.sig_type, &self.blinded_key, o.signed_bytes(), &o.signature))
    }
}

#[cfg(test)]
mod tests;
