// SPDX-License-Identifier: MIT
//! ChaCha20-Poly1305 with I2P's counter nonces.
//!
//! The nonce is four zero bytes and a little-endian `u64`. The 16-byte tag follows the
//! ciphertext. Callers own the counter and must not use one twice under a key.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Tag};
use std::fmt;

use super::chacha::counter_nonce;

/// Bytes that sealing adds.
pub const TAG_LEN: usize = 16;

/// Opening failed: the message is too short, its key is malformed, or its tag does not match.
///
/// The cases are not told apart on purpose: a peer must not learn which one it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadMac;

impl fmt::Display for BadMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("message authentication failed")
    }
}

impl std::error::Error for BadMac {}

/// A key for many messages. It stays in one place, and is wiped there when dropped.
pub struct Cipher(Box<ChaCha20Poly1305>);

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher(..)")
    }
}

impl Cipher {
    /// A cipher with this key.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Box::new(ChaCha20Poly1305::new(key.into())))
    }

    /// Encrypts all but the last 16 bytes of `buf` in place and writes the tag into those 16.
    ///
    /// A buffer with no room for the tag is a bug of the caller; it is zeroed, so that nothing
    /// leaves in the clear.
    pub fn seal_slice(&self, nonce: u64, ad: &[u8], buf: &mut [u8]) {
        seal_slice(&self.0, nonce, ad, buf);
    }

    /// Opens `buf` (ciphertext and tag) in place and returns the length of the plaintext, which
    /// is at the front. After an error the contents of `buf` are unspecified.
    pub fn open_slice(&self, nonce: u64, ad: &[u8], buf: &mut [u8]) -> Result<usize, BadMac> {
        open_slice(&self.0, nonce, ad, buf)
    }

    /// Encrypts the whole of `buf` in place and appends the tag.
    pub fn seal_in_place(&self, nonce: u64, ad: &[u8], buf: &mut Vec<u8>) {
        append_tag(&self.0, nonce, ad, buf);
    }

    /// Opens `buf` in place and cuts the tag off. After an error `buf` is empty.
    pub fn open_in_place(&self, nonce: u64, ad: &[u8], buf: &mut Vec<u8>) -> Result<(), BadMac> {
        cut_tag(&self.0, nonce, ad, buf)
    }
}

fn seal_slice(cipher: &ChaCha20Poly1305, nonce: u64, ad: &[u8], buf: &mut [u8]) {
    let Some((plain, tail)) = buf.split_last_chunk_mut::<TAG_LEN>() else {
        buf.fill(0);
        return;
    };
    match cipher.encrypt_inout_detached(&counter_nonce(nonce).into(), ad, plain.into()) {
        Ok(tag) => *tail = tag.into(),
        // Only for messages of 256 GiB, which do not exist here.
        Err(_) => buf.fill(0),
    }
}

fn open_slice(cipher: &ChaCha20Poly1305, nonce: u64, ad: &[u8], buf: &mut [u8]) -> Result<usize, BadMac> {
    let (sealed, tail) = buf.split_last_chunk_mut::<TAG_LEN>().ok_or(BadMac)?;
    let len = sealed.len();
    let tag = Tag::from(*tail);
    cipher
        .decrypt_inout_detached(&counter_nonce(nonce).into(), ad, sealed.into(), &tag)
        .map_err(|_| BadMac)?;
    Ok(len)
}

fn append_tag(cipher: &ChaCha20Poly1305, nonce: u64, ad: &[u8], buf: &mut Vec<u8>) {
    buf.extend_from_slice(&[0; TAG_LEN]);
    seal_slice(cipher, nonce, ad, buf);
}

fn cut_tag(cipher: &ChaCha20Poly1305, nonce: u64, ad: &[u8], buf: &mut Vec<u8>) -> Result<(), BadMac> {
    let opened = open_slice(cipher, nonce, ad, buf);
    buf.truncate(opened.unwrap_or(0));
    opened.map(|_| ())
}

// With a key for one message the cipher lives on the stack, does not move, and is wiped there.

/// Encrypts `buf` in place and appends the tag.
pub fn seal_in_place(key: &[u8; 32], nonce: u64, ad: &[u8], buf: &mut Vec<u8>) {
    append_tag(&ChaCha20Poly1305::new(key.into()), nonce, ad, buf);
}

/// Opens `buf` in place and cuts the tag off. After an error `buf` is empty.
pub fn open_in_place(key: &[u8; 32], nonce: u64, ad: &[u8], buf: &mut Vec<u8>) -> Result<(), BadMac> {
    cut_tag(&ChaCha20Poly1305::new(key.into()), nonce, ad, buf)
}

/// Ciphertext and tag of `plain`.
#[must_use]
pub fn seal(key: &[u8; 32], nonce: u64, ad: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut buf = Vec::with_capacity(plain.len() + TAG_LEN);
    buf.extend_from_slice(plain);
    seal_in_place(key, nonce, ad, &mut buf);
    buf
}

/// Plaintext of `sealed` (ciphertext and tag).
pub fn open(key: &[u8; 32], nonce: u64, ad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, BadMac> {
    let mut buf = sealed.to_vec();
    open_in_place(key, nonce, ad, &mut buf)?;
    Ok(buf)
}
