// SPDX-License-Identifier: MIT
//! Base32 of RFC 4648 in lower case without padding, as `.b32.i2p` names use it.

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Encodes `bytes`; 32 bytes give 52 characters.
pub fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(5).saturating_mul(8));
    let (mut acc, mut bits) = (0u32, 0u32);
    for byte in bytes {
        acc = (acc << 8) | u32::from(*byte);
        bits = bits.saturating_add(8);
        while bits >= 5 {
            bits = bits.saturating_sub(5);
            push(&mut out, acc >> bits);
        }
        acc &= low(bits);
    }
    if bits > 0 {
        push(&mut out, acc << 5u32.saturating_sub(bits));
    }
    out
}

/// Ones in the lowest `bits` places.
fn low(bits: u32) -> u32 {
    !(u32::MAX << bits)
}

fn push(out: &mut String, value: u32) {
    let index = usize::try_from(value & 31).unwrap_or(0);
    out.push(char::from(ALPHABET.get(index).copied().unwrap_or(b'a')));
}

/// Decodes text in either case; `None` for other characters, an impossible length or nonzero left-over bits.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len().saturating_mul(5) / 8);
    let (mut acc, mut bits) = (0u32, 0u32);
    for c in text.bytes() {
        let value = match c {
            b'a'..=b'z' => c.wrapping_sub(b'a'),
            b'A'..=b'Z' => c.wrapping_sub(b'A'),
            b'2'..=b'7' => c.wrapping_sub(b'2').wrapping_add(26),
            _ => return None,
        };
        acc = (acc << 5) | u32::from(value);
        bits = bits.saturating_add(5);
        if bits >= 8 {
            bits = bits.saturating_sub(8);
            out.push(u8::try_from((acc >> bits) & 0xff).ok()?);
            acc &= low(bits);
        }
    }
    if bits >= 5 || acc != 0 { None } else { Some(out) }
}
