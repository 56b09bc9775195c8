// SPDX-License-Identifier: MIT
//! What the fuzzers run: one function for each decoder and each state machine.
//!
//! Compiled for tests and under `cfg(fuzzing)` only. Each target takes any bytes and panics when something is wrong
//! that no input may bring about: a panic below it, a bound that does not hold, a value that does not survive encoding
//! and decoding, bytes that come out of a tunnel, session or stream and were not put in. State machines behind a MAC
//! are driven with choices ([`input::Input`]) instead of bytes, so that fuzzers get past it. `fuzz/` holds the
//! libFuzzer binaries; the tests here run every target on its seeds and on random bytes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::too_many_lines,
    clippy::duplicate_mod,
    missing_docs,
    unreachable_pub,
    reason = "a target stops at the first thing that is not as it should be"
)]

#[cfg(unix)]
mod bridge;
mod builds;
mod codecs;
mod database;
mod formats;
mod input;
mod ntcp2;
mod people;
mod ratchet;
mod streams;
mod tunnels;

#[cfg(unix)]
pub use bridge::*;
pub use builds::*;
pub use codecs::*;
pub use database::*;
pub use formats::*;
pub use ntcp2::*;
pub use ratchet::*;
pub use streams::*;
pub use tunnels::*;

/// A target: its name, the function, and inputs to begin with.
pub type Target = (&'static str, fn(&[u8]), fn() -> Vec<Vec<u8>>);

/// All of them.
pub fn targets() -> Vec<Target> {
    let mut all = [CODECS, FORMATS, NTCP2, RATCHET_TARGETS, STREAMS, TUNNELS, BUILDS, DATABASE].concat();
    #[cfg(unix)]
    all.extend_from_slice(BRIDGE);
    all
}

/// Writes the seeds of a target into the folder that `FUZZ_SEEDS` names, if it names one.
pub fn write_seeds(name: &str) {
    let (_, _, seeds) = targets().into_iter().find(|(n, ..)| *n == name).expect("a known target");
    put_seeds(seeds());
}

/// Writes these seeds there.
pub fn put_seeds(seeds: Vec<Vec<u8>>) {
    let Some(dir) = std::env::var_os("FUZZ_SEEDS").map(std::path::PathBuf::from) else { return };
    for (number, seed) in seeds.into_iter().enumerate() {
        std::fs::write(dir.join(format!("seed-{number:02}")), seed).expect("a folder that can be written");
    }
}

#[cfg(test)]
mod tests;
