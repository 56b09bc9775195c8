// SPDX-License-Identifier: MIT

use super::*;
use crate::wire::KeysAndCert;

fn destination(sig_type: SigType) -> Destination {
    let key: Vec<u8> = (0..sig_type.public_len()).map(|i| u8::try_from(i).unwrap_or(0)).collect();
    Destination::new(KeysAndCert::build(sig_type, &key, 0, &[], [9; 32]))
}

#[test]
fn names_round_trip_with_every_flag_in_either_case() {
    for (sig_type, secret, auth) in [
        (SigType::Ed25519, false, false),
        (SigType::RedDsa, false, false),
        (SigType::Ed25519, true, false),
        (SigType::RedDsa, false, true),
        (SigType::RedDsa, true, true),
    ] {
        let owner = destination(sig_type);
        let name = BlindedName::of(&owner, secret, auth).expect("can be blinded");
        assert_eq!(name.label().len(), BLINDED_NAME_MIN);
        assert_eq!(BlindedName::parse(&name.label()), Ok(name));
        assert_eq!(BlindedName::parse(&name.label().to_uppercase()), Ok(name));
        assert_eq!((name.needs_secret(), name.needs_client_key()), (secret, auth));
        assert!(name.names(&owner));
    }
}

/// Printed by an independent Python program (zlib.crc32, base64.b32encode) for the key 0, 1, .. 31.
#[test]
fn names_are_those_of_other_programs() {
    for (sig_type, secret, auth, text) in VECTORS {
        let name = BlindedName::of(&destination(*sig_type), *secret, *auth).expect("can be blinded");
        assert_eq!(name.label(), *text);
    }
}

const VECTORS: &[(SigType, bool, bool, &str)] = &[
    (SigType::Ed25519, false, false, "rj4s2aabaibqibiga4eascqlbqgq4dyqcejbgfavcylrqgi2dmob2hq7"),
    (SigType::Ed25519, true, false, "rb4s2aabaibqibiga4eascqlbqgq4dyqcejbgfavcylrqgi2dmob2hq7"),
    (SigType::Ed25519, false, true, "rz4s2aabaibqibiga4eascqlbqgq4dyqcejbgfavcylrqgi2dmob2hq7"),
    (SigType::Ed25519, true, true, "rr4s2aabaibqibiga4eascqlbqgq4dyqcejbgfavcylrqgi2dmob2hq7"),
    (SigType::RedDsa, false, false, "rj2s2aabaibqibiga4eascqlbqgq4dyqcejbgfavcylrqgi2dmob2hq7"),
    (SigType::RedDsa, true, false, "rb2s2aabaibqibiga4eascqlbqgq4dyqcejbgfavcylrqgi2dmob2hq7"),
    (SigType::RedDsa, false, true, "rz2s2aabaibqibiga4eascqlbqgq4dyqcejbgfavcylrqgi2dmob2hq7"),
    (SigType::RedDsa, true, true, "rr2s2aabaibqibiga4eascqlbqgq4dyqcejbgfavcylrqgi2dmob2hq7"),
];

#[test]
fn wide_types_are_read() {
    let key: Vec<u8> = (0..32).collect();
    let mut bytes = vec![FLAG_WIDE, 0, 7, 0, 11];
    bytes.extend_from_slice(&key);
    let sum = checksum(&bytes);
    for (byte, mask) in bytes.iter_mut().zip(sum) {
        *byte ^= mask;
    }
    let name = BlindedName::parse(&b32::encode(&bytes)).expect("reads");
    assert!(name.names(&destination(SigType::Ed25519)));
}

#[test]
fn types_that_cannot_be_blinded_have_no_name() {
    for sig_type in [SigType::DsaSha1, SigType::EcdsaP256, SigType::EcdsaP384, SigType::EcdsaP521] {
        assert_eq!(BlindedName::of(&destination(sig_type), false, false), None);
    }
}

#[test]
fn broken_names_are_refused() {
    let good = BlindedName::of(&destination(SigType::RedDsa), false, false).expect("named").label();
    for cut in 0..good.len() {
        assert!(BlindedName::parse(&good[..cut]).is_err(), "cut {cut}");
    }
    assert!(BlindedName::parse(&format!("{good}aa")).is_err());
    assert!(BlindedName::parse(&"a".repeat(500)).is_err());
    let mut caught = 0;
    for at in 0..good.len() {
        let mut typo = good.clone().into_bytes();
        typo[at] = if typo[at] == b'q' { b'r' } else { b'q' };
        let typo = String::from_utf8(typo).expect("ascii");
        caught += usize::from(typo == good || BlindedName::parse(&typo).is_err());
    }
    assert_eq!(caught, good.len(), "a single wrong character is noticed");
}
