// SPDX-License-Identifier: MIT
//! The symmetric half of a Noise handshake: chaining key, transcript hash, cipher key, counter.
//!
//! The four protocols of the network start from constants (a test recomputes them from the
//! protocol names) and differ only in what the callers mix in. See `transports` section 1.2 and
//! `end-to-end` section 3.1.

use std::fmt;
use zeroize::Zeroize as _;

use super::aead::{self, BadMac};
use super::hex::hex;
use super::kdf::{hkdf32, hkdf64};
use super::{Secret32, SharedSecret, sha256};

/// Chaining key and transcript hash that a protocol starts from, before any key is mixed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The hash of the protocol's name, or the name itself padded to 32 bytes.
    pub ck: [u8; 32],
    /// The hash of `ck`: an empty prologue is already mixed in.
    pub h: [u8; 32],
}

/// `Noise_XKaesobfse+hs2+hs3_25519_ChaChaPoly_SHA256`: NTCP2.
pub const NTCP2: Start = Start {
    ck: hex("72e842c545e18080d39c4493bb91d7edf228981771218c1f624e206f28d32f71"),
    h: hex("49ff483fc404b9b26b11943672ff05b561270331ba89b8fc3315938757dd3d1e"),
};

/// `Noise_XKchaobfse+hs1+hs2+hs3_25519_ChaChaPoly_SHA256`: SSU2.
pub const SSU2: Start = Start {
    ck: hex("b13722817423a8fdf42df2e60ed1edf41b93071db1ec24a367f784ec270d8132"),
    h: hex("dc85e6af7b02650cf1f90d71fbc6d453a7cf6dbfbd525ea5b5791c47b35ebc33"),
};

/// `Noise_IKelg2+hs2_25519_ChaChaPoly_SHA256`: the end-to-end ratchet, encryption type 4.
pub const RATCHET: Start = Start {
    ck: hex("4caf11ef2c8e36564c53e88885064dbaacbe0054ad178f8079a646827e6ee40c"),
    h: hex("9ccf852cc93bb9504441e950e01d52322e0d47add1e9a555f755b569ae183b5c"),
};

/// `Noise_N_25519_ChaChaPoly_SHA256`: messages and tunnel build records to a router.
pub const ONE_WAY: Start = Start {
    ck: *b"Noise_N_25519_ChaChaPoly_SHA256\0",
    h: hex("694d52445a27d9adfad29c7632395dc1e4354c69b4f92eac8a1ee46a9ed21554"),
};

/// The state of one handshake. A fork is a second, independent handshake from the same point, as
/// several replies to one message need; mind that it shares the key and counter.
pub struct SymmetricState {
    ck: Secret32,
    h: [u8; 32],
    k: Secret32,
    n: u64,
}

impl fmt::Debug for SymmetricState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SymmetricState(..)")
    }
}

impl SymmetricState {
    /// The state before anything is mixed in. Follow with the responder's static public key.
    #[must_use]
    pub fn new(start: &Start) -> Self {
        Self::from_parts(start.ck, start.h)
    }

    /// A state from a kept chaining key and hash, without a cipher key.
    #[must_use]
    pub fn from_parts(ck: [u8; 32], h: [u8; 32]) -> Self {
        Self { ck: Secret32::new(ck), h, k: Secret32::default(), n: 0 }
    }

    /// The same state once more.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { ck: self.ck.duplicate(), h: self.h, k: self.k.duplicate(), n: self.n }
    }

    /// The chaining key.
    #[must_use]
    pub fn ck(&self) -> &[u8; 32] {
        &self.ck
    }

    /// The transcript hash.
    #[must_use]
    pub const fn h(&self) -> &[u8; 32] {
        &self.h
    }

    /// The current cipher key.
    #[must_use]
    pub fn key(&self) -> &[u8; 32] {
        &self.k
    }

    /// Extends the transcript: `h = SHA256(h || data)`.
    pub fn mix_hash(&mut self, data: &[u8]) {
        self.h = sha256(&[&self.h, data]);
    }

    /// Takes a Diffie-Hellman result in: new chaining key, new cipher key, counter zero.
    pub fn mix_key(&mut self, secret: &SharedSecret) {
        self.mix_key_bytes(secret.as_bytes());
    }

    /// [`Self::mix_key`] for any key material.
    pub fn mix_key_bytes(&mut self, ikm: &[u8]) {
        let (mut ck, mut k) = hkdf64(&self.ck, ikm, b"");
        self.ck.set(ck);
        self.k.set(k);
        self.n = 0;
        ck.zeroize();
        k.zeroize();
    }

    /// Encrypts `plain` with the transcript as associated data and mixes the result in.
    #[must_use]
    pub fn encrypt_and_hash(&mut self, plain: &[u8]) -> Vec<u8> {
        let sealed = aead::seal(&self.k, self.n, &self.h, plain);
        self.advance(&sealed);
        sealed
    }

    /// Opens `sealed` and mixes it in. After an error the state is as it was.
    pub fn decrypt_and_hash(&mut self, sealed: &[u8]) -> Result<Vec<u8>, BadMac> {
        let plain = aead::open(&self.k, self.n, &self.h, sealed)?;
        self.advance(sealed);
        Ok(plain)
    }

    /// [`Self::encrypt_and_hash`] in place, appending the tag.
    pub fn encrypt_in_place(&mut self, buf: &mut Vec<u8>) {
        aead::seal_in_place(&self.k, self.n, &self.h, buf);
        self.advance(buf);
    }

    /// [`Self::decrypt_and_hash`] in place, cutting the tag off. After an error the state is as it
    /// was and `buf` is empty.
    pub fn decrypt_in_place(&mut self, buf: &mut Vec<u8>) -> Result<(), BadMac> {
        let next = sha256(&[&self.h, buf]);
        aead::open_in_place(&self.k, self.n, &self.h, buf)?;
        self.h = next;
        self.n += 1;
        Ok(())
    }

    /// The two transport keys at the end of a handshake: initiator's, then responder's.
    #[must_use]
    pub fn split(&self) -> (Secret32, Secret32) {
        let (initiator, responder) = hkdf64(&self.ck, b"", b"");
        (Secret32::new(initiator), Secret32::new(responder))
    }

    /// A key derived from the chaining key alone, named by `info`.
    #[must_use]
    pub fn derive(&self, info: &[u8]) -> Secret32 {
        Secret32::new(hkdf32(&self.ck, b"", info))
    }

    /// After a message under the current key: count it and take it into the transcript.
    fn advance(&mut self, sealed: &[u8]) {
        self.n += 1;
        self.mix_hash(sealed);
    }
}
