// SPDX-License-Identifier: MIT
//! Passwords as they are kept: argon2id hashes in the usual text form.
//!
//! Ours take 7 MiB and 5 passes, about 20 ms of one core: dear enough for somebody with the file and a dictionary,
//! cheap enough that a crowd at the door does not take the machine. Hashes made elsewhere are read as well, up to
//! bounds that keep one check below a second. Spec: RFC 9106; the text form is that of the reference implementation.

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, ZeroizeOnDrop};

/// Memory of ours, in KiB.
const MEMORY: u32 = 7 * 1024;
/// Passes of ours.
const PASSES: u32 = 5;
/// Most that a hash made elsewhere may ask for: memory in KiB, passes, lanes.
const COST_MAX: (u32, u32, u32) = (64 * 1024, 16, 4);
/// Longest salt or hash that is read.
const FIELD_MAX: usize = 64;

/// Room to compute in, 7 MiB once it has been used. Kept for the next time, because allocators are bad at taking back
/// and giving out blocks of this size and alignment; wiped after each use.
#[derive(Default)]
pub struct PasswordMemory(Vec<Block>);

impl fmt::Debug for PasswordMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordMemory(..)")
    }
}

/// What is kept instead of a password.
#[derive(Clone, PartialEq, Eq, ZeroizeOnDrop)]
pub struct PasswordHash {
    memory: u32,
    passes: u32,
    lanes: u32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl PasswordHash {
    /// Hashes a password; `None` when it is too long for the method (4 GiB) or memory is out.
    pub fn new(password: &[u8], salt: [u8; 16], memory: &mut PasswordMemory) -> Option<Self> {
        let mut made =
            Self { memory: MEMORY, passes: PASSES, lanes: 1, salt: salt.to_vec(), hash: vec![0; 32] };
        made.hash = made.compute(password, memory)?;
        Some(made)
    }

    /// A hash that no password has, for checks whose answer is no anyway but must take their time.
    pub fn decoy() -> Self {
        Self { memory: MEMORY, passes: PASSES, lanes: 1, salt: vec![0; 16], hash: vec![0; 32] }
    }

    /// Whether this is the password. Takes about 20 ms of processor time, so not on a thread that others wait for.
    pub fn verify(&self, password: &[u8], memory: &mut PasswordMemory) -> bool {
        let Some(mut hash) = self.compute(password, memory) else { return false };
        let same = bool::from(hash.ct_eq(&self.hash));
        hash.zeroize();
        same
    }

    fn compute(&self, password: &[u8], memory: &mut PasswordMemory) -> Option<Vec<u8>> {
        let params = Params::new(self.memory, self.passes, self.lanes, Some(self.hash.len())).ok()?;
        let mut hash = vec![0; self.hash.len()];
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let count = argon2.params().block_count();
        memory.0.resize(count.max(memory.0.len()), Block::new());
        let blocks = memory.0.get_mut(..count)?;
        let done = argon2.hash_password_into_with_memory(password, &self.salt, &mut hash, &mut *blocks);
        blocks.fill(Block::new());
        // A hash from elsewhere may have asked for more; that much is not kept.
        memory.0.truncate(MEMORY as usize);
        memory.0.shrink_to_fit();
        done.ok()?;
        Some(hash)
    }

    /// Reads the text form, `$argon2id$v=19$m=7168,t=5,p=1$<salt>$<hash>`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('$');
        if parts.next() != Some("") || parts.next() != Some("argon2id") || parts.next() != Some("v=19") {
            return None;
        }
        let (costs, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let mut costs = costs.split(',');
        let mut cost = |name: &str| costs.next()?.strip_prefix(name)?.strip_prefix('=')?.parse::<u32>().ok();
        let (memory, passes, lanes) = (cost("m")?, cost("t")?, cost("p")?);
        let (salt, hash) = (STANDARD_NO_PAD.decode(salt).ok()?, STANDARD_NO_PAD.decode(hash).ok()?);
        let fits = memory <= COST_MAX.0
            && (1..=COST_MAX.1).contains(&passes)
            && (1..=COST_MAX.2).contains(&lanes)
            && memory >= lanes.checked_mul(8)?
            && (8..=FIELD_MAX).contains(&salt.len())
            && (16..=FIELD_MAX).contains(&hash.len())
            && costs.next().is_none();
        fits.then_some(Self { memory, passes, lanes, salt, hash })
    }

    /// The text form.
    pub fn to_text(&self) -> String {
        let Self { memory, passes, lanes, .. } = self;
        let (salt, hash) = (STANDARD_NO_PAD.encode(&self.salt), STANDARD_NO_PAD.encode(&self.hash));
        format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}")
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}
