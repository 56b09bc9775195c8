// SPDX-License-Identifier: MIT
//! Bare ChaCha20, as SSU2 headers and tunnel build records use it.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};

/// One ChaCha20 block: I2P starts the key stream at block 1, so this much is skipped.
const BLOCK: u64 = 64;

/// The 12-byte nonce of counter `n`: four zero bytes, then `n` little-endian.
#[must_use]
pub fn counter_nonce(n: u64) -> [u8; 12] {
    let mut nonce = [0u8; 12];
    nonce[4..].copy_from_slice(&n.to_le_bytes());
    nonce
}

/// XORs the ChaCha20 key stream into `buf`, starting at block counter 1 (not 0), as every I2P
/// router does. Applying it twice restores the input.
pub fn chacha20_stream(key: &[u8; 32], nonce: &[u8; 12], buf: &mut [u8]) {
    let mut cipher = ChaCha20::new(key.into(), nonce.into());
    cipher.seek(BLOCK);
    cipher.apply_keystream(buf);
}
