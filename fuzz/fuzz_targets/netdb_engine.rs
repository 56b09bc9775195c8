// SPDX-License-Identifier: MIT
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: samovar::fuzzing::write_seeds("netdb_engine"),
    |data: &[u8]| samovar::fuzzing::netdb_engine(data)
);
