// SPDX-License-Identifier: MIT
//! The layer that every hop of a tunnel adds to a data cell (`netdb-tunnels` section 5).
//!
//! A cell is 1024 bytes: a 16-byte IV and 1008 bytes of body. A hop encrypts the IV, encrypts the
//! body in CBC mode from that, and encrypts the IV once more; the owner of the tunnel undoes it.
//! Key schedules are computed once per tunnel and wiped on drop; cells are worked on in place.

use aes::cipher::{BlockDecrypt, BlockEncrypt, KeyInit};
use aes::{Aes256, Block};
use std::fmt;

use super::aes_cbc::{BLOCK_LEN, decrypt_blocks, encrypt_blocks, xor};

/// Bytes in a cell: IV and body, without the tunnel id.
pub const CELL_LEN: usize = 1024;

/// Blocks in a cell, the IV among them.
const BLOCKS: usize = CELL_LEN / BLOCK_LEN;

/// Cells of one tunnel that are encrypted side by side.
const LANES: usize = 8;

/// IV and body of a tunnel data message.
pub type Cell = [u8; CELL_LEN];

/// The two keys of one hop, expanded. They stay in one place, about 2 KB, and are wiped there when dropped.
pub struct LayerKeys(Box<Schedules>);

struct Schedules {
    layer: Aes256,
    iv: Aes256,
}

impl fmt::Debug for LayerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LayerKeys(..)")
    }
}

impl LayerKeys {
    /// Expands the layer key and the IV key of a hop.
    #[must_use]
    pub fn new(layer_key: &[u8; 32], iv_key: &[u8; 32]) -> Self {
        Self(Box::new(Schedules { layer: Aes256::new(layer_key.into()), iv: Aes256::new(iv_key.into()) }))
    }

    /// Adds this hop's layer.
    pub fn encrypt(&self, cell: &mut Cell) {
        let Some((iv, body)) = cell.as_chunks_mut::<BLOCK_LEN>().0.split_first_mut() else {
            return;
        };
        self.0.iv.encrypt_block(iv.into());
        encrypt_blocks(&self.0.layer, iv, body);
        self.0.iv.encrypt_block(iv.into());
    }

    /// Takes this hop's layer off.
    pub fn decrypt(&self, cell: &mut Cell) {
        let Some((iv, body)) = cell.as_chunks_mut::<BLOCK_LEN>().0.split_first_mut() else {
            return;
        };
        self.0.iv.decrypt_block(iv.into());
        decrypt_blocks(&self.0.layer, iv, body);
        self.0.iv.decrypt_block(iv.into());
    }

    /// Adds this hop's layer to several cells; the same as [`Self::encrypt`] on each, but eight
    /// cells share the cipher's pipeline, which a single CBC chain leaves almost empty.
    pub fn encrypt_batch(&self, cells: &mut [&mut Cell]) {
        let mut groups = cells.chunks_exact_mut(LANES);
        for group in &mut groups {
            self.encrypt_lanes(group);
        }
        for cell in groups.into_remainder() {
            self.encrypt(cell);
        }
    }

    /// Takes this hop's layer off several cells.
    pub fn decrypt_batch(&self, cells: &mut [&mut Cell]) {
        for cell in cells {
            self.decrypt(cell);
        }
    }

    /// Encrypts up to eight cells, block by block across all of them.
    fn encrypt_lanes(&self, cells: &mut [&mut Cell]) {
        let mut lanes = [Block::default(); LANES];
        let lanes = &mut lanes[..cells.len().min(LANES)];
        for (lane, cell) in lanes.iter_mut().zip(cells.iter()) {
            *lane = cell.as_chunks::<BLOCK_LEN>().0[0].into();
        }
        self.0.iv.encrypt_blocks(lanes);
        let mut ivs = [Block::default(); LANES];
        ivs[..lanes.len()].copy_from_slice(lanes);
        for index in 1..BLOCKS {
            for (lane, cell) in lanes.iter_mut().zip(cells.iter()) {
                xor(lane.as_mut(), &cell.as_chunks::<BLOCK_LEN>().0[index]);
            }
            self.0.layer.encrypt_blocks(lanes);
            for (lane, cell) in lanes.iter().zip(cells.iter_mut()) {
                cell.as_chunks_mut::<BLOCK_LEN>().0[index] = (*lane).into();
            }
        }
        let ivs = &mut ivs[..lanes.len()];
        self.0.iv.encrypt_blocks(ivs);
        for (iv, cell) in ivs.iter().zip(cells.iter_mut()) {
            cell.as_chunks_mut::<BLOCK_LEN>().0[0] = (*iv).into();
        }
    }
}

/// Adds layers of different tunnels, to one cell each. Every chain of blocks is serial, but eight of them run side
/// by side, so the processor works on the others while one waits.
pub fn encrypt_each(jobs: &mut [(&LayerKeys, &mut Cell)]) {
    for group in jobs.chunks_mut(LANES) {
        let mut lanes = [Block::default(); LANES];
        for index in 0..=BLOCKS {
            // The IV is encrypted before the body and once more behind it, the second time without a chain.
            let (at, is_iv) = (index % BLOCKS, index % BLOCKS == 0);
            for ((keys, cell), lane) in group.iter_mut().zip(&mut lanes) {
                let Some(block) = cell.as_chunks_mut::<BLOCK_LEN>().0.get_mut(at) else { continue };
                if is_iv {
                    *lane = (*block).into();
                    keys.0.iv.encrypt_block(lane);
                } else {
                    xor(lane.as_mut(), block);
                    keys.0.layer.encrypt_block(lane);
                }
                *block = (*lane).into();
            }
        }
    }
}
