// SPDX-License-Identifier: MIT
//! SHA-256 over a list of slices.

use sha2::{Digest, Sha256};

/// The SHA-256 digest of the concatenation of `parts`.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part);
    }
    digest.finalize().into()
}
