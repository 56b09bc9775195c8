// SPDX-License-Identifier: MIT
//! Constants written in hexadecimal, decoded at compile time.

/// The bytes of `digits`: lower case, two for each of the `N` bytes. A mistake fails the build.
pub(super) const fn hex<const N: usize>(digits: &str) -> [u8; N] {
    let digits = digits.as_bytes();
    assert!(digits.len() == 2 * N);
    let mut out = [0u8; N];
    let mut at = 0;
    while at < N {
        out[at] = (nibble(digits[2 * at]) << 4) | nibble(digits[2 * at + 1]);
        at += 1;
    }
    out
}

/// The value of one digit.
const fn nibble(digit: u8) -> u8 {
    assert!(matches!(digit, b'0'..=b'9' | b'a'..=b'f'), "not a hexadecimal digit");
    if digit <= b'9' { digit - b'0' } else { digit - b'a' + 10 }
}
