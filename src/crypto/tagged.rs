// SPDX-License-Identifier: MIT
//! Garlic with a one-time tag and key: `tag || AEAD(key, n = 0, payload, ad = tag)`.
//!
//! Replies to lookups and tunnel builds come in this form (`netdb-tunnels` section 3,
//! `end-to-end` section 3.10). The tag names the key; both are used once.

use super::aead::{self, BadMac, TAG_LEN};

/// Bytes that sealing adds: the tag and the MAC.
pub const OVERHEAD: usize = 8 + TAG_LEN;

/// The whole garlic body.
#[must_use]
pub fn seal(key: &[u8; 32], tag: [u8; 8], payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(payload.len() + OVERHEAD);
    body.extend_from_slice(&tag);
    body.extend_from_slice(&aead::seal(key, 0, &tag, payload));
    body
}

/// The tag of a garlic body, by which its key is found.
#[must_use]
pub fn tag_of(body: &[u8]) -> Option<[u8; 8]> {
    body.first_chunk().copied()
}

/// Opens a garlic body, tag included.
pub fn open(key: &[u8; 32], body: &[u8]) -> Result<Vec<u8>, BadMac> {
    let (tag, sealed) = body.split_first_chunk::<8>().ok_or(BadMac)?;
    aead::open(key, 0, tag, sealed)
}
