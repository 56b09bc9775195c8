// SPDX-License-Identifier: MIT
#![no_main]

#[path = "../cli/mod.rs"]
mod cli;

libfuzzer_sys::fuzz_target!(
    init: samovar::fuzzing::put_seeds(cli::seeds()),
    |data: &[u8]| cli::check(data)
);
