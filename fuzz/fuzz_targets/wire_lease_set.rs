// SPDX-License-Identifier: MIT
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: samovar::fuzzing::write_seeds("wire_lease_set"),
    |data: &[u8]| samovar::fuzzing::wire_lease_set(data)
);
