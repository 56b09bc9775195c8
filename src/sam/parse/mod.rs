// SPDX-License-Identifier: MIT
//! Bytes of a SAM control socket to words: the line splitter and the tokenizer.
//!
//! Owned by one connection each; pure, no I/O. A line is everything up to LF, one trailing CR is dropped, and
//! how the bytes were cut into segments never changes the outcome. Memory is bounded by the line limit plus one
//! read. Spec: SAMv3, "Encoding" and "Escaping"; differences between servers are settled towards leniency on
//! blanks and case and strictness on quotes, because a half-understood line must not act.

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

mod gate;
mod lines;
mod words;

pub use gate::{Verdict, judge};
pub use lines::{LineTooLong, Lines};
pub use words::{Line, Params, SyntaxError, Words};

/// Longest line before a successful HELLO. Nobody needs more, and strangers should cost little.
pub const LINE_BEFORE_HELLO_MAX: usize = 1024;
/// Longest line afterwards. A key of the largest signature types takes about 6 KB in base64.
pub const LINE_MAX: usize = 16_384;
/// Most `key=value` words of one line.
pub const PARAMS_MAX: usize = 64;

#[cfg(test)]
mod tests;
