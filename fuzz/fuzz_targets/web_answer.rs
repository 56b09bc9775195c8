// SPDX-License-Identifier: MIT
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: samovar::fuzzing::write_seeds("web_answer"),
    |data: &[u8]| samovar::fuzzing::web_answer(data)
);
