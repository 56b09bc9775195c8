// SPDX-License-Identifier: MIT
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: samovar::fuzzing::write_seeds("ntcp2_session"),
    |data: &[u8]| samovar::fuzzing::ntcp2_session(data)
);
