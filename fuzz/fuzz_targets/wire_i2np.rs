// SPDX-License-Identifier: MIT
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: samovar::fuzzing::write_seeds("wire_i2np"),
    |data: &[u8]| samovar::fuzzing::wire_i2np(data)
);
