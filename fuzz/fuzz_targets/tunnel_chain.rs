// SPDX-License-Identifier: MIT
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: samovar::fuzzing::write_seeds("tunnel_chain"),
    |data: &[u8]| samovar::fuzzing::tunnel_chain(data)
);
