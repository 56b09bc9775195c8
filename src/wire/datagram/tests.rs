// SPDX-License-Identifier: MIT
use super::*;
use crate::base::Rng;
use crate::crypto::sign::{AnySigningKey, verify};
use crate::wire::{KeysAndCert, SigType};

fn someone() -> (Destination, AnySigningKey) {
    let mut rng = Rng::from_seed(5);
    let key = AnySigningKey::random(SigType::Ed25519, &mut rng).expect("a key");
    let keys = KeysAndCert::build(SigType::Ed25519, key.public(), 0, &[], rng.bytes());
    (Destination::new(keys), key)
}

/// Datagrams of each format with the payload `hello`.
fn vectors() -> [Vec<u8>; 3] {
    let (from, key) = someone();
    let mut rng = Rng::from_seed(1);
    let mut one = from.to_bytes();
    one.extend_from_slice(&key.sign_parts(&mut rng, &[b"hello"]));
    one.extend_from_slice(b"hello");
    let mut signed = Vec::new();
    Datagram2::begin_signed(None, &mut signed);
    signed.extend_from_slice(b"hello");
    let mut two = from.to_bytes();
    two.extend_from_slice(&signed);
    two.extend_from_slice(&key.sign_parts(&mut rng, &[&[9; 32], &signed]));
    let mut three = Datagram3::header(&from.hash()).to_vec();
    three.extend_from_slice(b"hello");
    [one, two, three]
}

#[test]
fn each_format_is_read_as_it_was_written() {
    let (from, _) = someone();
    let [one, two, three] = vectors();
    assert_eq!((one.len(), two.len(), three.len()), (391 + 64 + 5, 391 + 2 + 5 + 64, 34 + 5));

    let d = Datagram1::decode(&one).expect("format 1");
    assert_eq!((&d.from, d.payload), (&from, &b"hello"[..]));
    assert!(verify(SigType::Ed25519, d.from.signing_key(), &[d.payload], d.signature).is_ok());

    let d = Datagram2::decode(&two).expect("format 2");
    assert_eq!((&d.from, d.payload, d.signed), (&from, &b"hello"[..], &b"\x00\x02hello"[..]));
    assert!(verify(SigType::Ed25519, from.signing_key(), &[&[9; 32], d.signed], d.signature).is_ok());

    let d = Datagram3::decode(&three).expect("format 3");
    assert_eq!((d.from, d.payload), (from.hash(), &b"hello"[..]));
    assert_eq!(three[32..34], [0, 3]);
}

#[test]
fn an_empty_payload_is_a_payload() {
    let [one, two, three] = vectors();
    assert!(Datagram1::decode(&one[..one.len() - 5]).expect("format 1").payload.is_empty());
    assert!(Datagram3::decode(&three[..34]).expect("format 3").payload.is_empty());
    assert!(Datagram2::decode(&two[..two.len() - 5]).expect("format 2").payload.is_empty());
}

#[test]
fn what_is_too_short_is_refused() {
    let [one, two, three] = vectors();
    for cut in 0..one.len() - 5 {
        assert!(Datagram1::decode(&one[..cut]).is_err(), "format 1 cut at {cut}");
    }
    for cut in 0..two.len() - 5 {
        assert!(Datagram2::decode(&two[..cut]).is_err(), "format 2 cut at {cut}");
    }
    for cut in 0..34 {
        assert!(Datagram3::decode(&three[..cut]).is_err(), "format 3 cut at {cut}");
    }
}

#[test]
fn another_version_is_refused_and_unknown_flags_are_not() {
    let [_, two, three] = vectors();
    let at = 391 + 1;
    let with = |mut bytes: Vec<u8>, at: usize, value: u8| {
        bytes[at] = value;
        bytes
    };
    assert!(Datagram2::decode(&with(two.clone(), at, 3)).is_err());
    assert!(Datagram2::decode(&with(two.clone(), at, 0x42)).is_ok());
    assert!(Datagram3::decode(&with(three.clone(), 33, 2)).is_err());
    assert!(Datagram3::decode(&with(three, 33, 0x83)).is_ok());
}

#[test]
fn options_and_an_offline_signature_are_read() {
    let (from, _) = someone();
    let mut options = Mapping::new();
    options.set("k", "v");
    let offline = OfflineSignature {
        expires_s: 77,
        sig_type: SigType::Ed25519,
        key: vec![4; 32],
        signature: vec![5; 64],
    };
    let mut bytes = from.to_bytes();
    bytes.extend_from_slice(&[0, 0x32]);
    options.encode(&mut bytes);
    offline.encode(&mut bytes);
    bytes.extend_from_slice(b"payload");
    bytes.extend_from_slice(&[6; 64]);
    let d = Datagram2::decode(&bytes).expect("whole");
    assert_eq!((&d.options, d.offline.as_ref(), d.payload), (&options, Some(&offline), &b"payload"[..]));
    assert_eq!(d.signed.len(), 2 + options.to_bytes().len() + 4 + 2 + 32 + 64 + 7);
    let mut begun = Vec::new();
    Datagram2::begin_signed(Some(&offline), &mut begun);
    assert_eq!(begun.len(), 2 + 102);

    let mut bytes = [7; 32].to_vec();
    bytes.extend_from_slice(&[0, 0x13]);
    options.encode(&mut bytes);
    bytes.push(1);
    let d = Datagram3::decode(&bytes).expect("whole");
    assert_eq!((&d.options, d.payload), (&options, &[1][..]));
    assert!(Datagram3::decode(&[&[7; 32][..], &[0, 0x13, 0, 9]].concat()).is_err(), "options cut short");
}

#[test]
fn noise_is_no_panic() {
    let mut rng = Rng::from_seed(3);
    let [one, two, three] = vectors();
    // An interpreter is slow.
    for _ in 0..if cfg!(miri) { 40 } else { 2000 } {
        for base in [&one, &two, &three] {
            let mut bytes = base.clone();
            let at = rng.index(bytes.len());
            bytes[at] = rng.bytes::<1>()[0];
            bytes.truncate(rng.index(bytes.len() + 1));
            let _ = (Datagram1::decode(&bytes), Datagram2::decode(&bytes), Datagram3::decode(&bytes));
        }
    }
}
