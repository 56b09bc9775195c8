// SPDX-License-Identifier: MIT
//! Tag and key chains: the symmetric ratchet under every tag set.
//!
//! Spec: "DH INITIALIZATION KDF", "Session Tag Ratchet", "Symmetric Key Ratchet".

use crate::crypto::Secret32;
use crate::crypto::kdf::{hkdf32, hkdf64};
use std::fmt;

/// Number of usable indices in a tag set. The field holds 65,536; i2pd stops two short of it.
pub(super) const INDICES: u32 = 65_534;

/// A tag set at its start.
pub(super) struct Chains {
    /// Root of the next tag set of this direction.
    pub(super) next_root: Secret32,
    /// Tags in order.
    pub(super) tags: TagChain,
    /// Message keys in order.
    pub(super) keys: KeyChain,
}

impl Chains {
    /// `DH_INITIALIZE(root, k)`.
    pub(super) fn new(root: &[u8; 32], k: &[u8; 32]) -> Self {
        let (next_root, c) = hkdf64(root, k, b"KDFDHRatchetStep");
        let c = Secret32::new(c);
        let (tag_ck, key_ck) = hkdf64(&c, b"", b"TagAndKeyGenKeys");
        let tag_ck = Secret32::new(tag_ck);
        let (ck, constant) = hkdf64(&tag_ck, b"", b"STInitialization");
        Self {
            next_root: Secret32::new(next_root),
            tags: TagChain { ck: Secret32::new(ck), constant: Secret32::new(constant), next: 0 },
            keys: KeyChain { ck: Secret32::new(key_ck), next: 0 },
        }
    }

    /// The tag set that follows after a Diffie-Hellman step.
    pub(super) fn step(next_root: &[u8; 32], shared: &[u8; 32]) -> Self {
        let k = Secret32::new(hkdf32(shared, b"", b"XDHRatchetTagSet"));
        Self::new(next_root, &k)
    }
}

impl fmt::Debug for Chains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chains(..)")
    }
}

/// Gives the tags of a tag set, first to last.
pub(super) struct TagChain {
    ck: Secret32,
    constant: Secret32,
    next: u32,
}

impl TagChain {
    /// Index of the tag that [`Self::advance`] gives next.
    pub(super) const fn position(&self) -> u32 {
        self.next
    }

    /// The next tag.
    pub(super) fn advance(&mut self) -> [u8; 8] {
        let (ck, out) = hkdf64(&self.ck, self.constant.as_slice(), b"SessionTagKeyGen");
        self.ck.set(ck);
        self.next += 1;
        let [a, b, c, d, e, f, g, h, ..] = out;
        [a, b, c, d, e, f, g, h]
    }
}

impl fmt::Debug for TagChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TagChain(.., {})", self.next)
    }
}

/// Gives the message keys of a tag set, first to last.
pub(super) struct KeyChain {
    ck: Secret32,
    next: u32,
}

impl KeyChain {
    /// Index of the key that [`Self::advance`] gives next.
    pub(super) const fn position(&self) -> u32 {
        self.next
    }

    /// The next key.
    pub(super) fn advance(&mut self) -> Secret32 {
        let (ck, key) = hkdf64(&self.ck, b"", b"SymmetricRatchet");
        self.ck.set(ck);
        self.next += 1;
        Secret32::new(key)
    }
}

impl fmt::Debug for KeyChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyChain(.., {})", self.next)
    }
}
