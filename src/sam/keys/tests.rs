// SPDX-License-Identifier: MIT

use super::*;
use crate::wire::KeysAndCert;

fn destination(kind: SigType) -> Destination {
    let signing: Vec<u8> = (0..kind.public_len()).map(|n| n as u8 ^ 0x5a).collect();
    Destination::new(KeysAndCert::build(kind, &signing, 0, &[], [3; 32]))
}

const KINDS: [SigType; 6] = [
    SigType::DsaSha1,
    SigType::EcdsaP256,
    SigType::EcdsaP384,
    SigType::EcdsaP521,
    SigType::Ed25519,
    SigType::RedDsa,
];

fn keys(kind: SigType) -> PrivateKeys {
    PrivateKeys::new(destination(kind), &vec![7; kind.private_len()]).unwrap()
}

#[test]
fn every_signature_type_round_trips_with_its_own_length() {
    for kind in KINDS {
        let keys = keys(kind);
        let again = PrivateKeys::from_base64(keys.to_base64()).unwrap();
        assert_eq!(again.destination(), keys.destination(), "{kind:?}");
        assert_eq!(again.signing(), vec![7; kind.private_len()], "{kind:?}");
        assert!(again.offline().is_none());
    }
    let ed = keys(SigType::Ed25519);
    assert_eq!((ed.to_base64().len(), ed.destination().to_base64().len()), (908, 524));
    assert!(PrivateKeys::new(destination(SigType::Ed25519), &[7; 31]).is_err());
}

#[test]
fn keys_are_echoed_as_they_came_even_without_padding() {
    let full = keys(SigType::Ed25519).to_base64().to_owned();
    let bare = full.trim_end_matches('=');
    assert_ne!(bare, full);
    assert_eq!(PrivateKeys::from_base64(bare).unwrap().to_base64(), bare);
}

#[test]
fn anything_missing_or_left_over_is_refused() {
    let bytes = b64::decode(keys(SigType::Ed25519).to_base64()).unwrap();
    for cut in 0..bytes.len() {
        assert!(PrivateKeys::from_base64(&b64::encode(&bytes[..cut])).is_err(), "cut {cut}");
    }
    let mut long = bytes;
    long.push(0);
    assert_eq!(PrivateKeys::from_base64(&b64::encode(&long)).unwrap_err(), DecodeError::Trailing);
    for text in ["", "abcd", "a+b/", "TRANSIENT", "\u{e9}"] {
        assert!(PrivateKeys::from_base64(text).is_err(), "{text}");
    }
}

fn offline_text(transient: SigType) -> String {
    let mut bytes = Vec::new();
    let destination = destination(SigType::Ed25519);
    destination.encode(&mut bytes);
    bytes.extend([0; 256 + 32]);
    bytes.extend(1_900_000_000u32.to_be_bytes());
    bytes.extend(transient.code().to_be_bytes());
    bytes.extend(vec![1; transient.public_len()]);
    bytes.extend([2; 64]);
    bytes.extend(vec![3; transient.private_len()]);
    b64::encode(&bytes)
}

#[test]
fn the_offline_form_is_recognised_for_every_transient_type() {
    for kind in KINDS {
        let text = offline_text(kind);
        let keys = PrivateKeys::from_base64(&text).unwrap();
        let offline = keys.offline().unwrap();
        assert_eq!((offline.expires_s, offline.sig_type), (1_900_000_000, kind));
        assert_eq!(offline.signed_bytes().len(), 6 + kind.public_len());
        assert_eq!(offline.private.len(), kind.private_len());
        assert_eq!(keys.to_base64(), text);
    }
}

#[test]
fn an_all_zero_key_without_offline_section_is_refused() {
    let mut bytes = Vec::new();
    destination(SigType::Ed25519).encode(&mut bytes);
    bytes.extend([0; 256 + 32]);
    assert!(PrivateKeys::from_base64(&b64::encode(&bytes)).is_err());
}

#[test]
fn the_public_part_is_taken_out_of_a_private_key_and_nothing_else() {
    let keys = keys(SigType::Ed25519);
    let public = keys.destination().to_base64();
    assert_eq!(public_part(&public).unwrap(), *keys.destination());
    assert_eq!(public_part(public.trim_end_matches('=')).unwrap(), *keys.destination());
    assert_eq!(public_part(keys.to_base64()).unwrap(), *keys.destination());
    let mut bytes = b64::decode(&public).unwrap();
    bytes.extend([1; 10]);
    assert!(public_part(&b64::encode(&bytes)).is_err());
}

#[test]
fn signature_types_have_numbers_and_names() {
    assert_eq!(signature_type("7"), Some(SigType::Ed25519));
    assert_eq!(signature_type("eddsa_sha512_ed25519"), Some(SigType::Ed25519));
    assert_eq!(signature_type("ECDSA_SHA512_P521"), Some(SigType::EcdsaP521));
    for text in ["99", "", "-1", "Ed25519", "4", "65536"] {
        assert_eq!(signature_type(text), None, "{text}");
    }
}

#[test]
fn secrets_never_show_in_debug_output() {
    let keys = keys(SigType::Ed25519);
    let shown = format!("{keys:?}");
    assert!(shown.contains("..") && !shown.contains(&keys.to_base64()[600..620]), "{shown}");
}
