// SPDX-License-Identifier: MIT
//! Lease sets: LeaseSet2 (store type 3) and LeaseSet (1, read only).

use super::{
    Authorisation, DecodeError, DestHash, Destination, Mapping, Reader, RouterHash, SelfSigned, SigType,
    TunnelId, Wire,
};
use std::sync::Arc;

/// Most leases in a lease set.
pub const LEASES_MAX: u8 = 16;
const KEYS_MAX: u8 = 16;
/// A transient key has signed.
pub(super) const FLAG_OFFLINE: u16 = 1;
const FLAG_UNPUBLISHED: u16 = 2;
/// It is published in encrypted form alone.
const FLAG_ENCRYPTED: u16 = 4;
/// Largest lease set that we read.
pub const LEASE_SET_MAX: usize = 8192;
const STORE_TYPE_LS2: &[u8] = &[3];

/// One inbound gateway of a destination (common structures, "Lease2").
/// 40 bytes: gateway hash (32), tunnel id (4), end date in seconds (4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease2 {
    /// The router that takes messages in.
    pub gateway: RouterHash,
    /// The tunnel's id at that router.
    pub tunnel: TunnelId,
    /// End, seconds since 1970.
    pub end_s: u32,
}

impl Wire for Lease2 {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { gateway: RouterHash(r.array()?), tunnel: TunnelId(r.u32()?), end_s: r.u32()? })
    }
    fn encode(&self, w: &mut Vec<u8>) {
        w.extend_from_slice(&self.gateway.0);
        w.extend_from_slice(&self.tunnel.0.to_be_bytes());
        w.extend_from_slice(&self.end_s.to_be_bytes());
    }
}

/// Lease of the old LeaseSet: 44 bytes, end date in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The router that takes messages in.
    pub gateway: RouterHash,
    /// The tunnel's id at that router.
    pub tunnel: TunnelId,
    /// End, milliseconds since 1970.
    pub end_ms: u64,
}

/// Transient signing key authorised by a destination's own key, which can then stay off the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfflineSignature {
    /// End of the authorisation, seconds since 1970.
    pub expires_s: u32,
    /// Type of the transient key.
    pub sig_type: SigType,
    /// The transient public key.
    pub key: Vec<u8>,
    /// Signature by the destination's key over the three fields above.
    pub signature: Vec<u8>,
}

impl OfflineSignature {
    /// Reads one that a key of type `by` has signed.
    pub fn decode(r: &mut Reader<'_>, by: SigType) -> Result<Self, DecodeError> {
        let expires_s = r.u32()?;
        let sig_type = SigType::from_code(r.u16()?).ok_or(DecodeError::Value("transient signature type"))?;
        let key = r.bytes(sig_type.public_len())?.to_vec();
        Ok(Self { expires_s, sig_type, key, signature: r.bytes(by.signature_len())?.to_vec() })
    }

    /// The bytes that the destination's key signs.
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut w = self.expires_s.to_be_bytes().to_vec();
        w.extend_from_slice(&self.sig_type.code().to_be_bytes());
        w.extend_from_slice(&self.key);
        w
    }

    /// Appends the whole structure.
    pub fn encode(&self, w: &mut Vec<u8>) {
        w.extend_from_slice(&self.signed_bytes());
        w.extend_from_slice(&self.signature);
    }
}

/// An encryption key of a LeaseSet2: type 4 is X25519.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseSetKey {
    /// Encryption type.
    pub kind: u16,
    /// Public key.
    pub key: Vec<u8>,
}

/// What goes into a new LeaseSet2 besides its destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseSetContent {
    /// When it is signed, seconds since 1970.
    pub published_s: u32,
    /// When it ends, seconds since 1970; at most 65,535 s after `published_s`.
    pub expires_s: u32,
    /// It must be neither flooded nor served.
    pub unpublished: bool,
    /// It is published in encrypted form alone; then it is unpublished as well.
    pub encrypted: bool,
    /// The authorisation of the key that signs, if that is not the destination's own.
    pub offline: Option<OfflineSignature>,
    /// Options, such as service records.
    pub options: Mapping,
    /// Encryption keys in the order of the owner's preference.
    pub keys: Vec<LeaseSetKey>,
    /// Gateways; those beyond [`LEASES_MAX`] are left out.
    pub leases: Vec<Lease2>,
}

/// A destination's leases and encryption keys, signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseSet2 {
    destination: Destination,
    published_s: u32,
    expires_s: u32,
    flags: u16,
    offline: Option<OfflineSignature>,
    options: Mapping,
    keys: Vec<LeaseSetKey>,
    leases: Vec<Lease2>,
    raw: Arc<[u8]>,
    signature_at: usize,
}

impl LeaseSet2 {
    /// Builds and signs a LeaseSet2 of the simplest kind; see [`Self::build_with`].
    pub fn build(
        destination: &Destination,
        published_s: u32,
        expires_s: u32,
        unpublished: bool,
        keys: Vec<LeaseSetKey>,
        leases: Vec<Lease2>,
        sign: impl FnOnce(&[u8]) -> Vec<u8>,
    ) -> Self {
        let content = LeaseSetContent {
            published_s,
            expires_s,
            unpublished,
            keys,
            leases,
            ..LeaseSetContent::default()
        };
        Self::build_with(destination, content, sign)
    }

    /// Builds and signs a LeaseSet2; `sign` gets the bytes to sign (store type in front) and answers the signature.
    pub fn build_with(
        destination: &Destination,
        content: LeaseSetContent,
        sign: impl FnOnce(&[u8]) -> Vec<u8>,
    ) -> Self {
        let LeaseSetContent { published_s, expires_s, offline, options, keys, mut leases, .. } = content;
        let flag = |on: bool, flag: u16| if on { flag } else { 0 };
        let flags = flag(offline.is_some(), FLAG_OFFLINE)
            | flag(content.unpublished || content.encrypted, FLAG_UNPUBLISHED)
            | flag(content.encrypted, FLAG_ENCRYPTED);
        let offset = u16::try_from(expires_s.saturating_sub(published_s)).unwrap_or(u16::MAX);
        leases.truncate(usize::from(LEASES_MAX));
        let mut raw = STORE_TYPE_LS2.to_vec();
        destination.encode(&mut raw);
        raw.extend_from_slice(&published_s.to_be_bytes());
        raw.extend_from_slice(&offset.to_be_bytes());
        raw.extend_from_slice(&flags.to_be_bytes());
        if let Some(offline) = &offline {
            offline.encode(&mut raw);
        }
        options.encode(&mut raw);
        raw.push(u8::try_from(keys.len()).unwrap_or(0));
        for key in &keys {
            raw.extend_from_slice(&key.kind.to_be_bytes());
            raw.extend_from_slice(&u16::try_from(key.key.len()).unwrap_or(0).to_be_bytes());
            raw.extend_from_slice(&key.key);
        }
        raw.push(u8::try_from(leases.len()).unwrap_or(0));
        for lease in &leases {
            lease.encode(&mut raw);
        }
        let signature = sign(&raw);
        raw.remove(0);
        let signature_at = raw.len();
        raw.extend_from_slice(&signature);
        Self {
            destination: destination.clone(),
            published_s,
            expires_s: published_s.saturating_add(offset.into()),
            flags,
            offline,
            options,
            keys,
            leases,
            raw: raw.into(),
            signature_at,
        }
    }

    /// Whose it is.
    pub const fn destination(&self) -> &Destination {
        &self.destination
    }
    /// When it was signed, seconds since 1970. A greater value is newer.
    pub const fn published_s(&self) -> u32 {
        self.published_s
    }
    /// When it ends, seconds since 1970.
    pub const fn expires_s(&self) -> u32 {
        self.expires_s
    }
    /// Whether it must be neither flooded nor served.
    pub const fn is_unpublished(&self) -> bool {
        self.flags & FLAG_UNPUBLISHED != 0
    }
    /// Whether the netDb has it in encrypted form alone, under the day's blinded key.
    pub const fn is_encrypted_in_netdb(&self) -> bool {
        self.flags & FLAG_ENCRYPTED != 0
    }
    /// The authorisation of a transient key, if one signed.
    pub const fn offline(&self) -> Option<&OfflineSignature> {
        self.offline.as_ref()
    }
    /// Options, such as service records.
    pub const fn options(&self) -> &Mapping {
        &self.options
    }
    /// Encryption keys in the order of the owner's preference.
    pub fn keys(&self) -> &[LeaseSetKey] {
        &self.keys
    }
    /// The X25519 key (encryption type 4), if there is one.
    pub fn x25519(&self) -> Option<[u8; 32]> {
        self.keys.iter().find(|k| k.kind == 4).and_then(|k| k.key.as_slice().try_into().ok())
    }
    /// Gateways.
    pub fn leases(&self) -> &[Lease2] {
        &self.leases
    }
    /// The bytes as received, with the signature.
    pub const fn raw(&self) -> &Arc<[u8]> {
        &self.raw
    }
}

fn decode_leases(r: &mut Reader<'_>) -> Result<Vec<Lease2>, DecodeError> {
    let count = r.u8()?;
    if count > LEASES_MAX {
        return Err(DecodeError::count("leases", count.into(), LEASES_MAX.into()));
    }
    (0..count).map(|_| Lease2::decode(r)).collect()
}

fn decode_keys(r: &mut Reader<'_>) -> Result<Vec<LeaseSetKey>, DecodeError> {
    let count = r.u8()?;
    if count > KEYS_MAX {
        return Err(DecodeError::count("encryption keys", count.into(), KEYS_MAX.into()));
    }
    let mut keys = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let kind = r.u16()?;
        let len = r.u16()?;
        keys.push(LeaseSetKey { kind, key: r.bytes(usize::from(len))?.to_vec() });
    }
    Ok(keys)
}

/// Whether we read lease sets of this size.
pub(super) fn check_size(len: usize) -> Result<(), DecodeError> {
    if len <= LEASE_SET_MAX {
        return Ok(());
    }
    let max = u32::try_from(LEASE_SET_MAX).unwrap_or(u32::MAX);
    Err(DecodeError::count("LeaseSet bytes", u32::try_from(len).unwrap_or(u32::MAX), max))
}

impl Wire for LeaseSet2 {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = r.peek();
        let destination = Destination::decode(r)?;
        let published_s = r.u32()?;
        let expires_s = published_s.saturating_add(r.u16()?.into());
        let flags = r.u16()?;
        let offline = match flags & FLAG_OFFLINE {
            0 => None,
            _ => Some(OfflineSignature::decode(r, destination.sig_type())?),
        };
        let options = Mapping::decode(r)?;
        let keys = decode_keys(r)?;
        let leases = decode_leases(r)?;
        let signature_at = start.len().saturating_sub(r.remaining());
        let sig_type = offline.as_ref().map_or(destination.sig_type(), |o| o.sig_type);
        r.bytes(sig_type.signature_len())?;
        let len = start.len().saturating_sub(r.remaining());
        check_size(len)?;
        let raw = start.get(..len).unwrap_or_default().into();
        Ok(Self {
            destination,
            published_s,
            expires_s,
            flags,
            offline,
            options,
            keys,
            leases,
            raw,
            signature_at,
        })
    }

    fn encode(&self, w: &mut Vec<u8>) {
        w.extend_from_slice(&self.raw);
    }
}

impl SelfSigned for LeaseSet2 {
    fn signer(&self) -> (SigType, &[u8]) {
        match &self.offline {
            Some(o) => (o.sig_type, &o.key),
            None => (self.destination.sig_type(), self.destination.signing_key()),
        }
    }
    fn signed_parts(&self) -> Vec<&[u8]> {
        vec![STORE_TYPE_LS2, self.raw.get(..self.signature_at).unwrap_or_default()]
    }
    fn signature(&self) -> &[u8] {
        self.raw.get(self.signature_at..).unwrap_or_default()
    }
    fn authorisation(&self) -> Option<Authorisation<'_>> {
        let o = self.offline.as_ref()?;
        Some((self.destination.sig_type(), self.destination.signing_key(), o.signed_bytes(), &o.signature))
    }
}

/// The old LeaseSet (store type 1): ElGamal only, so we read it to say why its owner cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseSet1 {
    destination: Destination,
    leases: Vec<Lease>,
    raw: Arc<[u8]>,
    signature_at: usize,
}

impl LeaseSet1 {
    /// Whose it is.
    pub const fn destination(&self) -> &Destination {
        &self.destination
    }
    /// Hash of its owner, under which it is stored.
    pub const fn hash(&self) -> DestHash {
        self.destination.hash()
    }
    /// Gateways.
    pub fn leases(&self) -> &[Lease] {
        &self.leases
    }
    /// End of the latest lease, milliseconds since 1970.
    pub fn end_ms(&self) -> u64 {
        self.leases.iter().map(|l| l.end_ms).max().unwrap_or(0)
    }
    /// End of the earliest lease, which orders versions of the old format.
    pub fn version_ms(&self) -> u64 {
        self.leases.iter().map(|l| l.end_ms).min().unwrap_or(0)
    }
    /// The bytes as received, with the signature.
    pub const fn raw(&self) -> &Arc<[u8]> {
        &self.raw
    }
}

impl Wire for LeaseSet1 {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = r.peek();
        let destination = Destination::decode(r)?;
        r.bytes(256)?; // ElGamal key
        r.bytes(destination.sig_type().public_len())?; // revocation key, unused
        let count = r.u8()?;
        if count > LEASES_MAX {
            return Err(DecodeError::count("leases", count.into(), LEASES_MAX.into()));
        }
        let mut leases = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            leases.push(Lease {
                gateway: RouterHash(r.array()?),
                tunnel: TunnelId(r.u32()?),
                end_ms: r.u64()?,
            });
        }
        let signature_at = start.len().saturating_sub(r.remaining());
        r.bytes(destination.sig_type().signature_len())?;
        let raw = start.get(..start.len().saturating_sub(r.remaining())).unwrap_or_default().into();
        Ok(Self { destination, leases, raw, signature_at })
    }
    fn encode(&self, w: &mut Vec<u8>) {
        w.extend_from_slice(&self.raw);
    }
}

impl SelfSigned for LeaseSet1 {
    fn signer(&self) -> (SigType, &[u8]) {
        (self.destination.sig_type(), self.destination.signing_key())
    }
    fn signed_parts(&self) -> Vec<&[u8]> {
        vec![self.raw.get(..self.signature_at).unwrap_or_default()]
    }
    fn signature(&self) -> &[u8] {
        self.raw.get(self.signature_at..).unwrap_or_default()
    }
}
