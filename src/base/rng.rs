// SPDX-License-Identifier: MIT
//! Randomness as a value: ChaCha20, seeded from the system or from a test.

use chacha20::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng};
use sha2::{Digest, Sha256};
use std::convert::Infallible;
use std::fmt;
use zeroize::Zeroizing;

/// A generator of one room. Rooms get theirs by [`Rng::fork`], so a further draw in one does not disturb the others.
pub struct Rng {
    /// In one place, where it is wiped: who knows its state knows every key that is drawn later.
    inner: Box<ChaCha20Rng>,
}

impl Rng {
    /// Seeded from the operating system.
    ///
    /// # Errors
    /// When the system gives no randomness, in which case no router may start.
    pub fn from_os() -> Result<Self, getrandom::Error> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed)?;
        Ok(Self::with(*seed))
    }

    /// Seeded from a number: for tests and simulated worlds.
    pub fn from_seed(seed: u64) -> Self {
        let seed = Sha256::new_with_prefix(b"samovar seed").chain_update(seed.to_be_bytes()).finalize();
        Self::with(seed.into())
    }

    fn with(seed: [u8; 32]) -> Self {
        Self { inner: Box::new(ChaCha20Rng::from_seed(seed)) }
    }

    /// An independent generator for `label`.
    pub fn fork(&mut self, label: &str) -> Self {
        let drawn: [u8; 32] = self.bytes();
        let seed = Sha256::new_with_prefix(drawn).chain_update(label.as_bytes()).finalize();
        Self::with(seed.into())
    }

    /// Fills `out`.
    pub fn fill(&mut self, out: &mut [u8]) {
        self.inner.fill_bytes(out);
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// A random number of 32 bits.
    pub fn u32(&mut self) -> u32 {
        self.inner.next_u32()
    }

    /// A random number of 32 bits, never zero: for tunnel, message and stream ids.
    pub fn nonzero_u32(&mut self) -> u32 {
        loop {
            let n = self.u32();
            if n != 0 {
                return n;
            }
        }
    }

    /// A random number of 64 bits.
    pub fn u64(&mut self) -> u64 {
        self.inner.next_u64()
    }

    /// Uniform in `0..bound`; 0 for a bound of 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // Multiply-shift; the bias is below 2^-64 of the range for the small bounds used here.
        let wide = u128::from(self.u64()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// Uniform index below `len`; 0 for an empty collection.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// Uniform in the closed range.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low.saturating_add(self.below(high.saturating_sub(low).saturating_add(1)))
    }

    /// Puts `items` in random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = self.index(i + 1);
            items.swap(i, j);
        }
    }
}

impl rand_core::TryRng for Rng {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.inner.next_u32())
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.inner.next_u64())
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.inner.fill_bytes(out);
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Rng {}

impl fmt::Debug for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rng(..)")
    }
}
