// SPDX-License-Identifier: MIT
//! One filter against replayed cells for all tunnels.
//!
//! Remembers the IV xor the first block of each cell, as Java does, in Bloom filters of one cache line per lookup.
//! A generation takes new cells for at most [`WINDOW`] or until it is full, whichever is first, and is asked for
//! another [`WINDOW`] afterwards. Generations double when they fill up and shrink when they do not, so an idle
//! router spends 64 KiB; the sum is bounded, and over it the oldest generation goes, which shortens the memory
//! instead of raising the rate of false alarms. That rate stays below 1 in 10,000 per full generation.

use std::collections::VecDeque;
use std::time::Duration;

use siphasher::sip128::SipHasher13;

use crate::base::{Mono, Rng};
use crate::wire::tunnel_data::CELL_LEN;

/// How long a generation takes cells, and how long it is remembered after that.
pub(super) const WINDOW: Duration = Duration::from_secs(600);
/// Blocks of the smallest generation.
const BLOCKS_MIN: usize = 1024;
/// Cells that one block of 512 bits may hold on average.
const CELLS_PER_BLOCK: usize = 16;
/// Bits set for a cell.
const PROBES: u32 = 7;
const BLOCK_BYTES: usize = 64;

type Block = [u64; 8];

#[derive(Debug)]
struct Generation {
    /// A power of two of them.
    blocks: Vec<Block>,
    used: usize,
    opened: Mono,
    closed: Mono,
}

impl Generation {
    fn new(blocks: usize, now: Mono) -> Self {
        Self { blocks: vec![[0; 8]; blocks], used: 0, opened: now, closed: Mono::NEVER }
    }

    const fn is_full(&self) -> bool {
        self.used >= self.blocks.len() * CELLS_PER_BLOCK
    }

    const fn bytes(&self) -> usize {
        self.blocks.len() * BLOCK_BYTES
    }

    /// Which block, as the number of blocks is a power of two.
    #[allow(clippy::cast_possible_truncation, reason = "masked to the number of blocks")]
    const fn index(&self, hash: u64) -> usize {
        (hash as usize) & (self.blocks.len() - 1)
    }

    fn contains(&self, hash: u64, mask: &Block) -> bool {
        let Some(block) = self.blocks.get(self.index(hash)) else { return false };
        block.iter().zip(mask).all(|(have, want)| have & want == *want)
    }

    fn insert(&mut self, hash: u64, mask: &Block) {
        let index = self.index(hash);
        if let Some(block) = self.blocks.get_mut(index) {
            for (have, want) in block.iter_mut().zip(mask) {
                *have |= want;
            }
            self.used += 1;
        }
    }
}

/// The filter.
#[derive(Debug)]
pub(super) struct Filter {
    hasher: SipHasher13,
    /// Newest first, never empty.
    generations: VecDeque<Generation>,
    bytes_max: usize,
}

impl Filter {
    /// Takes at most `bytes_max` bytes (and never less than two of the smallest generations).
    pub(super) fn new(rng: &mut Rng, bytes_max: usize) -> Self {
        let hasher = SipHasher13::new_with_keys(rng.u64(), rng.u64());
        let first = Generation::new(BLOCKS_MIN, Mono::default());
        Self {
            hasher,
            generations: VecDeque::from([first]),
            bytes_max: bytes_max.max(2 * BLOCKS_MIN * BLOCK_BYTES),
        }
    }

    /// Remembers a cell as it came from the wire. True if it was there before.
    pub(super) fn seen(&mut self, now: Mono, cell: &[u8; CELL_LEN]) -> bool {
        let (blocks, _) = cell.as_chunks::<16>();
        let [iv, first, ..] = blocks else { return false };
        let key = u128::from_le_bytes(*iv) ^ u128::from_le_bytes(*first);
        let hash = self.hasher.hash(&key.to_le_bytes());
        let mask = mask(hash.h2);
        if self.generations.iter().any(|g| g.contains(hash.h1, &mask)) {
            return true;
        }
        self.make_room(now);
        if let Some(newest) = self.generations.front_mut() {
            newest.insert(hash.h1, &mask);
        }
        false
    }

    /// Opens a new generation when the newest is full or old, and forgets those past their time.
    fn make_room(&mut self, now: Mono) {
        let Some(newest) = self.generations.front_mut() else { return };
        let old = now.since(newest.opened) >= WINDOW;
        if !old && !newest.is_full() {
            return;
        }
        newest.closed = now;
        let wanted = match newest.is_full() {
            true => newest.blocks.len() * 2,
            false => (newest.used / CELLS_PER_BLOCK * 2).next_power_of_two(),
        };
        let most = previous_power_of_two(self.bytes_max / 2 / BLOCK_BYTES);
        let next = Generation::new(wanted.clamp(BLOCKS_MIN, most), now);
        self.generations.retain(|g| now.since(g.closed) < WINDOW);
        while !self.generations.is_empty() && self.bytes() + next.bytes() > self.bytes_max {
            self.generations.pop_back();
        }
        self.generations.push_front(next);
    }

    /// Bytes in use.
    pub(super) fn bytes(&self) -> usize {
        self.generations.iter().map(Generation::bytes).sum()
    }
}

/// The bits of a cell within its block: seven positions of nine bits each.
fn mask(mut hash: u64) -> Block {
    let mut mask = [0; 8];
    for _ in 0..PROBES {
        let (word, bit) = ((hash >> 6) & 7, hash & 63);
        if let Some(word) = usize::try_from(word).ok().and_then(|w| mask.get_mut(w)) {
            *word |= 1 << bit;
        }
        hash >>= 9;
    }
    mask
}

const fn previous_power_of_two(n: usize) -> usize {
    match n.checked_ilog2() {
        Some(log) => 1 << log,
        None => 1,
    }
}

#[cfg(test)]
mod tests;
