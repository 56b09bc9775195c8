// SPDX-License-Identifier: MIT
//! Tests of the cryptography room.
//!
//! Values called "reference" come from independent Python scripts (pyca/cryptography) that were
//! written from the published specifications; others name their source.

mod encrypted_ls;
mod handshake;
#[cfg(target_os = "linux")]
pub(crate) mod heap;
mod keys;
mod password;
mod signatures;
mod symmetric;
#[cfg(target_os = "linux")]
mod wiped;

use chacha20::ChaCha20Rng;
use rand_core::SeedableRng;

/// A generator that is the same in every run.
fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// Bytes from hexadecimal digits; spaces are ignored.
fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    assert_eq!(digits.len() % 2, 0);
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// A fixed number of bytes from hexadecimal digits.
fn arr<const N: usize>(digits: &str) -> [u8; N] {
    hex(digits).try_into().unwrap()
}
