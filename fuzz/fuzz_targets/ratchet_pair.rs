// SPDX-License-Identifier: MIT
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: samovar::fuzzing::write_seeds("ratchet_pair"),
    |data: &[u8]| samovar::fuzzing::ratchet_pair(data)
);
