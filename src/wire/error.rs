// SPDX-License-Identifier: MIT
//! The one error of all decoders: small, copyable, comparable, and it names the rule.

use std::fmt;

/// Why bytes were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes ended before the structure did.
    Short,
    /// Bytes were left over behind the structure.
    Trailing,
    /// A count or length lies outside its bounds.
    Count {
        /// What was counted.
        what: &'static str,
        /// The number that came.
        got: u32,
        /// The largest allowed.
        max: u32,
    },
    /// A field has a value that the specification forbids.
    Value(&'static str),
}

impl DecodeError {
    /// A count that is out of bounds.
    pub const fn count(what: &'static str, got: u32, max: u32) -> Self {
        Self::Count { what, got, max }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("ends too early"),
            Self::Trailing => f.write_str("has bytes left over"),
            Self::Count { what, got, max } => write!(f, "{what}: {got}, at most {max} allowed"),
            Self::Value(what) => write!(f, "bad value: {what}"),
        }
    }
}

impl std::error::Error for DecodeError {}
