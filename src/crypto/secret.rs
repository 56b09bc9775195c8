// SPDX-License-Identifier: MIT
//! A secret of 32 bytes that has one place in memory.
//!
//! The bytes lie behind a box: a value that is moved, into a map that grows, a queue, a future, leaves only a pointer
//! behind. So the one copy is the one that is wiped when the value is dropped. There is no `Clone`: a second copy is
//! asked for by name ([`Secret32::duplicate`]).

use rand_core::CryptoRng;
use std::fmt;
use std::ops::{Deref, DerefMut};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, ZeroizeOnDrop};

/// A 32-byte secret that is wiped when dropped, never printed, and compared in constant time.
pub struct Secret32(Box<[u8; 32]>);

impl Secret32 {
    /// Takes the bytes; what was passed is wiped, what the caller still has of it is the caller's.
    #[must_use]
    pub fn new(mut bytes: [u8; 32]) -> Self {
        let secret = Self::from(&bytes);
        bytes.zeroize();
        secret
    }

    /// A fresh secret, drawn in place.
    pub fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut secret = Self::default();
        rng.fill_bytes(&mut *secret);
        secret
    }

    /// Takes other bytes in place of these.
    pub fn set(&mut self, mut bytes: [u8; 32]) {
        self.0.copy_from_slice(&bytes);
        bytes.zeroize();
    }

    /// A second copy, for a second owner; each is wiped when it goes.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self::from(&**self)
    }
}

/// Writes over the stack that the calls before this one used.
///
/// Arithmetic leaves its intermediate values there, and a large value that is made later in that place, a future for
/// example, takes them along to the heap in the bytes that it does not use yet. Call it after long-lived keys were
/// made or read; it takes a few microseconds.
#[inline(never)]
pub fn clear_stack() {
    let mut room = [0u8; 64 * 1024];
    std::hint::black_box(&mut room).zeroize();
}

impl Default for Secret32 {
    /// All zeros.
    fn default() -> Self {
        Self(Box::new([0; 32]))
    }
}

impl From<&[u8; 32]> for Secret32 {
    fn from(bytes: &[u8; 32]) -> Self {
        let mut secret = Self::default();
        secret.0.copy_from_slice(bytes);
        secret
    }
}

impl Deref for Secret32 {
    type Target = [u8; 32];
    fn deref(&self) -> &[u8; 32] {
        &self.0
    }
}

impl DerefMut for Secret32 {
    fn deref_mut(&mut self) -> &mut [u8; 32] {
        &mut self.0
    }
}

impl AsRef<[u8]> for Secret32 {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl PartialEq for Secret32 {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for Secret32 {}

impl Drop for Secret32 {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for Secret32 {}

impl fmt::Debug for Secret32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret32(..)")
    }
}
