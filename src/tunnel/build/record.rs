// SPDX-License-Identifier: MIT
//! Cryptography of build records, the same code for creator and hop.
//!
//! A request is a one-shot Noise N message to the hop. What follows from it differs by generation: short records
//! derive reply, layer, IV and garlic keys from the chaining key; long records carry their keys and seal the reply
//! with the chaining key itself. Every hop seals its own slot and masks all others. Nothing here keeps state.
//! Spec: tunnel creation ECIES, "Build Request Records", "KDF", "Reply Record Encryption".

use std::fmt;

use zeroize::Zeroizing;

use super::RouterKeys;
use crate::base::Rng;
use crate::crypto::record::RecordKeys;
use crate::crypto::{Secret32, X25519Public, aead, aes_cbc, chacha20_stream, counter_nonce, noise_n};
use crate::tunnel::HopKeys;
use crate::wire::build_record::{BuildRecords, HOP_PREFIX, HopRole, LongKeys, RecordSize};
use crate::wire::{Mapping, Wire};

/// State of the handshake of one record: what both sides know after the request.
pub(super) struct RecordState {
    /// Chaining key.
    ck: Secret32,
    /// Transcript hash, ciphertext included.
    h: [u8; 32],
}

impl fmt::Debug for RecordState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordState(..)")
    }
}

/// How slots other than a hop's own are masked, and how its own reply is sealed.
enum ReplyKeys {
    Short { key: Secret32 },
    Long { key: Secret32, aes: Secret32, iv: [u8; 16] },
}

/// Key and tag under which an outbound endpoint returns the reply message.
pub(super) struct GarlicKey {
    pub(super) key: Secret32,
    pub(super) tag: [u8; 8],
}

impl fmt::Debug for GarlicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GarlicKey(..)")
    }
}

/// All that both sides derive from one record.
pub(super) struct Derived {
    h: [u8; 32],
    reply: ReplyKeys,
    /// The tunnel's layer at this hop.
    pub(super) layer: HopKeys,
    /// Only at an outbound endpoint with short records.
    pub(super) garlic: Option<GarlicKey>,
}

impl fmt::Debug for Derived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Derived(..)")
    }
}

/// Seals `clear` for the hop with this hash front and key and writes the finished record into `record`.
/// `None` only for a key of low order or a record of another size.
pub(super) fn seal_request(
    rng: &mut Rng,
    prefix: &[u8; HOP_PREFIX],
    hop: &X25519Public,
    clear: &[u8],
    record: &mut [u8],
) -> Option<RecordState> {
    let sealed = noise_n::seal_with_state(rng, hop, clear)?;
    let (head, rest) = record.split_first_chunk_mut::<HOP_PREFIX>()?;
    if sealed.bytes.len() != rest.len() {
        return None;
    }
    *head = *prefix;
    rest.copy_from_slice(&sealed.bytes);
    Some(RecordState { ck: sealed.ck, h: sealed.h })
}

/// The ephemeral key of a record.
pub(super) fn ephemeral(record: &[u8]) -> Option<[u8; 32]> {
    record.get(HOP_PREFIX..)?.first_chunk::<32>().copied()
}

/// Opens a record that carries our prefix.
pub(super) fn open_request(keys: &RouterKeys, record: &[u8]) -> Option<(Zeroizing<Vec<u8>>, RecordState)> {
    let opened = noise_n::open(&keys.secret, &keys.public, record.get(HOP_PREFIX..)?).ok()?;
    Some((Zeroizing::new(opened.payload), RecordState { ck: opened.ck, h: opened.h }))
}

impl RecordState {
    /// Derives the keys of a hop in this role; `long` are the keys inside a long record.
    pub(super) fn derive(&self, role: HopRole, long: Option<&LongKeys>) -> Derived {
        if let Some(keys) = long {
            let (key, aes) = (self.ck.duplicate(), Secret32::from(&keys.reply));
            return Derived {
                h: self.h,
                reply: ReplyKeys::Long { key, aes, iv: keys.reply_iv },
                layer: HopKeys::new(&keys.layer, &keys.iv),
                garlic: None,
            };
        }
        let keys = RecordKeys::derive(&self.ck, role == HopRole::OutboundEndpoint);
        Derived {
            h: self.h,
            layer: HopKeys::new(&keys.layer, &keys.iv),
            reply: ReplyKeys::Short { key: keys.reply },
            garlic: keys.garlic.map(|(key, tag)| GarlicKey { key, tag }),
        }
    }

    /// Chaining key and transcript hash, to compare with vectors.
    #[cfg(test)]
    pub(super) fn parts(&self) -> ([u8; 32], [u8; 32]) {
        (*self.ck, self.h)
    }
}

impl Derived {
    /// Seals the reply that fills all of `record` but its last 16 bytes.
    pub(super) fn seal_reply(&self, slot: usize, record: &mut [u8]) {
        let (key, nonce) = self.reply_key(slot);
        aead::Cipher::new(key).seal_slice(nonce, &self.h, record);
    }

    /// Opens this hop's reply in place and answers its code; `None` if somebody changed it.
    pub(super) fn open_reply(&self, slot: usize, record: &mut [u8]) -> Option<u8> {
        let (key, nonce) = self.reply_key(slot);
        let len = aead::Cipher::new(key).open_slice(nonce, &self.h, record).ok()?;
        record.get(len.checked_sub(1)?).copied()
    }

    const fn reply_key(&self, slot: usize) -> (&Secret32, u64) {
        match &self.reply {
            ReplyKeys::Short { key } => (key, slot as u64),
            ReplyKeys::Long { key, .. } => (key, 0),
        }
    }

    /// What this hop does to each slot that is not its own.
    pub(super) fn mask(&self, slot: usize, record: &mut [u8]) {
        match &self.reply {
            ReplyKeys::Short { key } => chacha20_stream(key, &counter_nonce(slot as u64), record),
            ReplyKeys::Long { aes, iv, .. } => aes_cbc::encrypt(aes, iv, record),
        }
    }

    /// Takes this hop's mask off a slot, or puts its opposite on in advance.
    pub(super) fn unmask(&self, slot: usize, record: &mut [u8]) {
        match &self.reply {
            ReplyKeys::Short { key } => chacha20_stream(key, &counter_nonce(slot as u64), record),
            ReplyKeys::Long { aes, iv, .. } => aes_cbc::decrypt(aes, iv, record),
        }
    }

    /// Turns the records of a request into those to send on: our reply with `code` in `slot`, a mask over the rest.
    pub(super) fn answer(
        &self,
        rng: &mut Rng,
        records: &mut BuildRecords,
        slot: usize,
        code: u8,
        options: &Mapping,
    ) {
        let reply_len = records.size().reply_len();
        for (index, record) in records.iter_mut().enumerate() {
            if index == slot {
                fill_reply(rng, record, reply_len, code, options);
                self.seal_reply(slot, record);
            } else {
                self.mask(index, record);
            }
        }
    }
}

/// A reply in the clear: options, random padding, the code; room for the tag behind it.
fn fill_reply(rng: &mut Rng, record: &mut [u8], reply_len: usize, code: u8, options: &Mapping) {
    let Some(clear) = record.get_mut(..reply_len) else { return };
    rng.fill(clear);
    let mut head = Vec::new();
    options.encode(&mut head);
    if let Some(place) = clear.get_mut(..head.len()) {
        place.copy_from_slice(&head);
    }
    if let Some(last) = clear.last_mut() {
        *last = code;
    }
}

/// Fills a request in the clear up to its size with random bytes.
pub(super) fn pad_request(rng: &mut Rng, size: RecordSize, fields: &mut Vec<u8>) {
    let used = fields.len();
    fields.resize(size.clear_len(), 0);
    if let Some(padding) = fields.get_mut(used..) {
        rng.fill(padding);
    }
}
