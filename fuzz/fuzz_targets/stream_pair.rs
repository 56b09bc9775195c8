// SPDX-License-Identifier: MIT
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: samovar::fuzzing::write_seeds("stream_pair"),
    |data: &[u8]| samovar::fuzzing::stream_pair(data)
);
