// SPDX-License-Identifier: MIT
//! What streams of scenarios carry: bytes that follow from their place, so that one lost, doubled or moved is noticed,
//! with a mark in every half KiB by which plaintext is known wherever it is seen.

/// Stands at the start of every block; declared a secret in every world.
pub(crate) const MARK: [u8; 16] = *b"\x9aSamovar: secret";
/// Bytes of a block. A packet of a stream holds several, and the rest is noise that no compressor can hide the mark in.
const BLOCK: u64 = 512;

/// Word number `word` of the content that `key` names.
fn noise(key: u64, word: u64) -> u64 {
    let mut z = key.wrapping_mul(0xd6e8_feb8_6659_fd93) ^ word.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The bytes from `from` on, `len` of them.
pub(crate) fn bytes(key: u64, from: u64, len: usize) -> Vec<u8> {
    let start = from / 8;
    let end = from + len as u64;
    let mut all = Vec::with_capacity(len + 16);
    for word in start..end.div_ceil(8) {
        let mark = usize::try_from(word % (BLOCK / 8)).expect("small") * 8;
        match MARK.get(mark..mark + 8) {
            Some(mark) => all.extend_from_slice(mark),
            None => all.extend_from_slice(&noise(key, word).to_le_bytes()),
        }
    }
    let skip = usize::try_from(from - start * 8).expect("less than a word");
    all.drain(..skip);
    all.truncate(len);
    all
}

/// The place of the first byte that is not what belongs there.
pub(crate) fn first_wrong(key: u64, from: u64, got: &[u8]) -> Option<u64> {
    let right = bytes(key, from, got.len());
    if right == got {
        return None;
    }
    got.iter().zip(&right).position(|(a, b)| a != b).map(|at| from + at as u64)
}
