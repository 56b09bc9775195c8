// SPDX-License-Identifier: MIT
//! Typed cryptography and proofs that checks were made.
//!
//! Everything here works on values and byte slices: no clock, no I/O, no shared state. Randomness
//! comes in as a `&mut` generator, so a seeded router is reproducible. Secrets are wiped when they
//! are dropped, and their `Debug` output is `..`.
//!
//! | module | what it is for |
//! |---|---|
//! | [`x25519`], [`elligator2`] | Diffie-Hellman keys, and keys that look like random bytes |
//! | [`sign`], [`Verified`] | signatures of every type on the network, and the proof of a check |
//! | [`BlindedKey`], [`encrypted_ls`] | keys of encrypted lease sets for one day, and their layers |
//! | [`aead`], [`chacha20_stream`], [`tagged`] | ChaCha20-Poly1305, bare ChaCha20, one-tag garlic |
//! | [`kdf`], [`sha256`] | HMAC, HKDF and hashing |
//! | [`noise`], [`noise_n`], [`record`] | handshake state, one-way messages, tunnel record keys |
//! | [`layer`], [`aes_cbc`] | tunnel layer encryption, and plain CBC |
//! | [`siphash`] | the NTCP2 frame length mask |
//! | [`PasswordHash`] | passwords of the SAM bridge |
//!
//! Public-key operations cost 20-90 us each; the rest is a few microseconds per kilobyte.

pub mod aead;
pub mod aes_cbc;
mod blinding;
mod chacha;
pub mod elligator2;
pub mod encrypted_ls;
mod hash;
mod hex;
pub mod kdf;
pub mod layer;
pub mod noise;
pub mod noise_n;
mod password;
pub mod record;
mod secret;
pub mod sign;
pub mod siphash;
pub mod tagged;
mod verified;
pub mod x25519;

#[cfg(test)]
pub(crate) mod tests;

pub use aead::BadMac;
pub use blinding::BlindedKey;
pub use chacha::{chacha20_stream, counter_nonce};
pub use hash::sha256;
pub use password::{PasswordHash, PasswordMemory};
pub use secret::{Secret32, clear_stack};
pub use sign::{BadSignature, SigningKey, verify};
pub use verified::Verified;
pub use x25519::{SharedSecret, X25519Public, X25519Secret};
