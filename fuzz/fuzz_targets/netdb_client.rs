// SPDX-License-Identifier: MIT
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: samovar::fuzzing::write_seeds("netdb_client"),
    |data: &[u8]| samovar::fuzzing::netdb_client(data)
);
