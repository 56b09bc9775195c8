// SPDX-License-Identifier: MIT
//! Writes packets in our destination's name: encodes, signs where it must be, and wraps.

use crate::base::Rng;
use crate::crypto::sha256;
use crate::crypto::sign::{AnySigningKey, verify};
use crate::wire::i2cp_gzip::{self, PROTOCOL_STREAMING, Ports};
use crate::wire::{DestHash, Destination, OfflineSignature, SigType, StreamPacket};
use std::ops::Range;
use std::sync::Arc;

/// The local side's identity.
pub(crate) struct Author {
    pub(crate) local: Destination,
    pub(crate) hash: DestHash,
    pub(crate) key: Arc<AnySigningKey>,
    pub(crate) offline: Option<OfflineSignature>,
    pub(crate) rng: Rng,
}

impl Author {
    /// Encodes a packet that must be signed; its `signature` need not be set.
    pub(crate) fn sign(&mut self, mut packet: StreamPacket<'_>) -> Vec<u8> {
        packet.signature = Some(0..self.key.sig_type().signature_len());
        if packet.from.is_some() {
            packet.offline.clone_from(&self.offline);
        }
        let mut bytes = Vec::with_capacity(640 + packet.payload.len());
        let at = packet.encode(&mut bytes);
        let signature = self.key.sign_parts(&mut self.rng, &[&bytes]);
        if let Some(field) = at.and_then(|at| bytes.get_mut(at)).filter(|f| f.len() == signature.len()) {
            field.copy_from_slice(&signature);
        }
        bytes
    }

    /// Our hash as the eight words that a first SYN carries for its receiver.
    pub(crate) fn words(hash: &DestHash) -> Vec<u32> {
        hash.0.chunks_exact(4).map(|c| c.iter().fold(0, |word, b| word << 8 | u32::from(*b))).collect()
    }
}

/// Encodes an unsigned packet straight into its wrapper.
pub(crate) fn wrap_packet(packet: &StreamPacket<'_>, ports: Ports) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(packet.payload.len() + packet.nacks.len() * 4 + 64);
    i2cp_gzip::begin_stored(&mut bytes, PROTOCOL_STREAMING, ports);
    packet.encode(&mut bytes);
    i2cp_gzip::finish_stored(&mut bytes);
    bytes
}

/// Wraps a packet with a destination in it, which compresses well.
pub(crate) fn wrap_signed(packet: &[u8], ports: Ports) -> Vec<u8> {
    i2cp_gzip::encode_compressed(PROTOCOL_STREAMING, ports, packet)
}

/// The key that a peer signs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerKey {
    pub(crate) sig_type: SigType,
    key: Vec<u8>,
}

impl PeerKey {
    /// The key behind `destination`, or its transient key when `offline` holds at `wall_s`. `None` if it does not.
    pub(crate) fn of(
        destination: &Destination,
        offline: Option<&OfflineSignature>,
        wall_s: u32,
    ) -> Option<Self> {
        let Some(offline) = offline else {
            return Some(Self { sig_type: destination.sig_type(), key: destination.signing_key().to_vec() });
        };
        let message = offline.signed_bytes();
        let by = destination.sig_type();
        verify(by, destination.signing_key(), &[&message], &offline.signature).ok()?;
        (offline.expires_s > wall_s).then(|| Self { sig_type: offline.sig_type, key: offline.key.clone() })
    }

    /// Whether `packet` is signed with this key, at `at`.
    pub(crate) fn has_signed(&self, packet: &[u8], at: &Range<usize>) -> bool {
        let zeros = [0u8; 256];
        let parts =
            (packet.get(..at.start), zeros.get(..at.len()), packet.get(at.end..), packet.get(at.clone()));
        let (Some(before), Some(blank), Some(after), Some(signature)) = parts else { return false };
        verify(self.sig_type, &self.key, &[before, blank, after], signature).is_ok()
    }
}

/// A short name of a SYN, to recognise a replay.
pub(crate) fn syn_mark(from: &DestHash, receive_id: u32) -> u64 {
    let digest = sha256(&[&from.0, &receive_id.to_be_bytes()]);
    digest.iter().take(8).fold(0, |word, b| word << 8 | u64::from(*b))
}
