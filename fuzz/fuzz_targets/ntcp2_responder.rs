// SPDX-License-Identifier: MIT
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: samovar::fuzzing::write_seeds("ntcp2_responder"),
    |data: &[u8]| samovar::fuzzing::ntcp2_responder(data)
);
