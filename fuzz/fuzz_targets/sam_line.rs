// SPDX-License-Identifier: MIT
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: samovar::fuzzing::write_seeds("sam_line"),
    |data: &[u8]| samovar::fuzzing::sam_line(data)
);
