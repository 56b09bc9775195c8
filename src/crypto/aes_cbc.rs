// SPDX-License-Identifier: MIT
//! AES-256-CBC without padding, in place, under a key that is used once.
//!
//! NTCP2 hides ephemeral keys with it, and long tunnel build records are wrapped in it. Tunnel
//! data has its own form with cached key schedules: [`super::layer`]. Only whole blocks are
//! transformed: a ragged tail stays as it is.

use aes::cipher::{BlockDecrypt, BlockEncrypt, KeyInit};
use aes::{Aes256Dec, Aes256Enc, Block};

/// Bytes in an AES block.
pub const BLOCK_LEN: usize = 16;

/// Blocks that one call decrypts side by side.
const PARALLEL: usize = 8;

/// Encrypts the whole blocks of `buf`.
pub fn encrypt(key: &[u8; 32], iv: &[u8; BLOCK_LEN], buf: &mut [u8]) {
    encrypt_blocks(&Aes256Enc::new(key.into()), iv, buf.as_chunks_mut().0);
}

/// Decrypts the whole blocks of `buf`.
pub fn decrypt(key: &[u8; 32], iv: &[u8; BLOCK_LEN], buf: &mut [u8]) {
    decrypt_blocks(&Aes256Dec::new(key.into()), iv, buf.as_chunks_mut().0);
}

/// XORs `mask` into `block`.
pub(super) fn xor(block: &mut [u8; BLOCK_LEN], mask: &[u8; BLOCK_LEN]) {
    *block = (u128::from_ne_bytes(*block) ^ u128::from_ne_bytes(*mask)).to_ne_bytes();
}

/// CBC encryption: every block waits for the one before.
pub(super) fn encrypt_blocks(
    cipher: &impl BlockEncrypt<BlockSize = aes::cipher::consts::U16>,
    iv: &[u8; BLOCK_LEN],
    blocks: &mut [[u8; BLOCK_LEN]],
) {
    let mut previous = *iv;
    for block in blocks {
        xor(block, &previous);
        cipher.encrypt_block(block.into());
        previous = *block;
    }
}

/// CBC decryption, eight blocks at a time: the cipher keeps its pipeline full.
pub(super) fn decrypt_blocks(
    cipher: &impl BlockDecrypt<BlockSize = aes::cipher::consts::U16>,
    iv: &[u8; BLOCK_LEN],
    blocks: &mut [[u8; BLOCK_LEN]],
) {
    let mut previous = *iv;
    for group in blocks.chunks_mut(PARALLEL) {
        let mut work = [Block::default(); PARALLEL];
        let work = &mut work[..group.len()];
        for (slot, block) in work.iter_mut().zip(group.iter()) {
            *slot = (*block).into();
        }
        cipher.decrypt_blocks(work);
        for (slot, block) in work.iter().zip(group.iter_mut()) {
            let sealed = std::mem::replace(block, (*slot).into());
            xor(block, &previous);
            previous = sealed;
        }
    }
}
