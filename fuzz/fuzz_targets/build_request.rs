// SPDX-License-Identifier: MIT
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: samovar::fuzzing::write_seeds("build_request"),
    |data: &[u8]| samovar::fuzzing::build_request(data)
);
