// SPDX-License-Identifier: MIT
//! The mask over NTCP2 frame lengths (`transports` section 3.6).

use siphasher::sip::SipHasher24;
use std::fmt;
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// A SipHash-2-4 chain: every value is the hash of the one before, and masks one length field.
pub struct LengthMask(Box<Chain>);

/// Two words of key, and the latest value.
#[derive(ZeroizeOnDrop)]
struct Chain {
    k0: u64,
    k1: u64,
    state: u64,
}

impl LengthMask {
    /// A chain with a 16-byte key that starts from `iv`.
    #[must_use]
    pub fn new(key: &[u8; 16], iv: &[u8; 8]) -> Self {
        let mut derived = Zeroizing::new([0u8; 32]);
        derived[..16].copy_from_slice(key);
        derived[16..24].copy_from_slice(iv);
        Self::from_derived(&derived)
    }

    /// A chain from one direction's 32 bytes of derived key: 16 of key, 8 of IV, 8 unused.
    #[must_use]
    pub fn from_derived(key: &[u8; 32]) -> Self {
        let mut words = key.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
        let mut word = || words.next().unwrap_or(0);
        Self(Box::new(Chain { k0: word(), k1: word(), state: word() }))
    }

    /// The mask of the next frame, to XOR with its length before that is written big-endian.
    pub fn next_mask(&mut self) -> u16 {
        let chain = &mut *self.0;
        chain.state = SipHasher24::new_with_keys(chain.k0, chain.k1).hash(&chain.state.to_le_bytes());
        let [a, b, ..] = chain.state.to_le_bytes();
        u16::from_le_bytes([a, b])
    }
}

impl fmt::Debug for LengthMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LengthMask(..)")
    }
}
