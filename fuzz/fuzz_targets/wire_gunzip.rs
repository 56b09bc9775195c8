// SPDX-License-Identifier: MIT
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: samovar::fuzzing::write_seeds("wire_gunzip"),
    |data: &[u8]| samovar::fuzzing::wire_gunzip(data)
);
