// SPDX-License-Identifier: MIT
//! One-way messages to a router's static key: Noise N (`netdb-tunnels` section 3).
//!
//! Layout: ephemeral public key (32), ciphertext, tag (16). Router garlic and tunnel build
//! requests are such messages; for the latter, the state after the message gives the reply keys.
//! Replays are the caller's to notice: remember the first 32 bytes.

use rand_core::CryptoRng;
use std::fmt;

use super::aead::{BadMac, TAG_LEN};
use super::noise::{ONE_WAY, SymmetricState};
use super::{Secret32, X25519Public, X25519Secret};

/// Bytes that sealing adds: the ephemeral key and the tag.
pub const OVERHEAD: usize = 32 + TAG_LEN;

/// A sealed message and the state that goes on from it.
pub struct Sealed {
    /// What to send: ephemeral key, ciphertext, tag.
    pub bytes: Vec<u8>,
    /// The chaining key afterwards.
    pub ck: Secret32,
    /// The transcript hash afterwards.
    pub h: [u8; 32],
}

/// An opened message and the state that goes on from it.
pub struct Opened {
    /// The plaintext.
    pub payload: Vec<u8>,
    /// The chaining key afterwards.
    pub ck: Secret32,
    /// The transcript hash afterwards.
    pub h: [u8; 32],
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes, ..)", self.bytes.len())
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opened({} bytes, ..)", self.payload.len())
    }
}

/// Seals `payload` for the router with key `their`. `None` when that key is of low order.
pub fn seal<R: CryptoRng + ?Sized>(rng: &mut R, their: &X25519Public, payload: &[u8]) -> Option<Vec<u8>> {
    seal_with_state(rng, their, payload).map(|sealed| sealed.bytes)
}

/// [`seal`], keeping the state for the keys of a tunnel build record.
pub fn seal_with_state<R: CryptoRng + ?Sized>(
    rng: &mut R,
    their: &X25519Public,
    payload: &[u8],
) -> Option<Sealed> {
    seal_from(&X25519Secret::random(rng), their, payload)
}

/// [`seal_with_state`] with a given ephemeral key.
pub(super) fn seal_from(ephemeral: &X25519Secret, their: &X25519Public, payload: &[u8]) -> Option<Sealed> {
    let public = ephemeral.public();
    let mut state = SymmetricState::new(&ONE_WAY);
    state.mix_hash(&their.0);
    state.mix_hash(&public.0);
    state.mix_key(&ephemeral.dh(their)?);
    let sealed = state.encrypt_and_hash(payload);
    let mut bytes = Vec::with_capacity(payload.len() + OVERHEAD);
    bytes.extend_from_slice(&public.0);
    bytes.extend_from_slice(&sealed);
    Some(Sealed { bytes, ck: Secret32::from(state.ck()), h: *state.h() })
}

/// Opens a message to our static key `our`, whose public half is `our_public`.
pub fn open(our: &X25519Secret, our_public: &X25519Public, body: &[u8]) -> Result<Opened, BadMac> {
    if body.len() < OVERHEAD {
        return Err(BadMac);
    }
    let (ephemeral, sealed) = body.split_first_chunk::<32>().ok_or(BadMac)?;
    let ephemeral = X25519Public::from_wire(ephemeral).ok_or(BadMac)?;
    let mut state = SymmetricState::new(&ONE_WAY);
    state.mix_hash(&our_public.0);
    state.mix_hash(&ephemeral.0);
    state.mix_key(&our.dh(&ephemeral).ok_or(BadMac)?);
    let payload = state.decrypt_and_hash(sealed)?;
    Ok(Opened { payload, ck: Secret32::from(state.ck()), h: *state.h() })
}
