// SPDX-License-Identifier: MIT
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: samovar::fuzzing::write_seeds("file_private_keys"),
    |data: &[u8]| samovar::fuzzing::file_private_keys(data)
);
