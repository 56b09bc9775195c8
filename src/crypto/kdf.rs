// SPDX-License-Identifier: MIT
//! Key derivation: HMAC-SHA256 and HKDF with one or two 32-byte outputs.
//!
//! I2P uses HKDF of RFC 5869 with a 32-byte salt everywhere; the key material may be empty and
//! `info` is bare ASCII. See `end-to-end` section 3.1 and `transports` section 1.1 of the notes.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroize;

/// Block size of SHA-256: HMAC keys are padded to this length.
const HMAC_BLOCK: usize = 64;

/// HMAC-SHA256 of the concatenation of `parts` under `key` (keys over 64 bytes are hashed first).
#[must_use]
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut block = [0u8; HMAC_BLOCK];
    if let Some(head) = block.get_mut(..key.len()) {
        head.copy_from_slice(key);
    } else {
        block[..32].copy_from_slice(&super::sha256(&[key]));
    }
    let mut mac = Hmac::<Sha256>::new(&block.into());
    block.zeroize();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// HKDF with a single 32-byte output.
#[must_use]
pub fn hkdf32(salt: &[u8; 32], ikm: &[u8], info: &[u8]) -> [u8; 32] {
    let mut prk = hmac_sha256(salt, &[ikm]);
    let out = hmac_sha256(&prk, &[info, &[1]]);
    prk.zeroize();
    out
}

/// HKDF with a 64-byte output, returned as its two halves.
#[must_use]
pub fn hkdf64(salt: &[u8; 32], ikm: &[u8], info: &[u8]) -> ([u8; 32], [u8; 32]) {
    let mut prk = hmac_sha256(salt, &[ikm]);
    let first = hmac_sha256(&prk, &[info, &[1]]);
    let second = hmac_sha256(&prk, &[&first, info, &[2]]);
    prk.zeroize();
    (first, second)
}
