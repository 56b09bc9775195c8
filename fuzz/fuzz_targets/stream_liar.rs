// SPDX-License-Identifier: MIT
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: samovar::fuzzing::write_seeds("stream_liar"),
    |data: &[u8]| samovar::fuzzing::stream_liar(data)
);
