// SPDX-License-Identifier: MIT
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: samovar::fuzzing::write_seeds("sam_session"),
    |data: &[u8]| samovar::fuzzing::sam_session(data)
);
