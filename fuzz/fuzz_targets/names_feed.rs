// SPDX-License-Identifier: MIT
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: samovar::fuzzing::write_seeds("names_feed"),
    |data: &[u8]| samovar::fuzzing::names_feed(data)
);
