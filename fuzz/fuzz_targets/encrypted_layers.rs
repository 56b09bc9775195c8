// SPDX-License-Identifier: MIT
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: samovar::fuzzing::write_seeds("encrypted_layers"),
    |data: &[u8]| samovar::fuzzing::encrypted_layers(data)
);
