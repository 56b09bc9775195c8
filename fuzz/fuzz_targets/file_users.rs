// SPDX-License-Identifier: MIT
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: samovar::fuzzing::write_seeds("file_users"),
    |data: &[u8]| samovar::fuzzing::file_users(data)
);
