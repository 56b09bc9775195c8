// SPDX-License-Identifier: MIT
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: samovar::fuzzing::write_seeds("file_profiles"),
    |data: &[u8]| samovar::fuzzing::file_profiles(data)
);
