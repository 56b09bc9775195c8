// SPDX-License-Identifier: MIT

use super::{arr, hex, rng};
use crate::crypto::encrypted_ls::{CLIENTS_MAX, ClientAccess, Closed, open, seal};
use crate::crypto::sign::{AnySigningKey, verify};
use crate::crypto::{BlindedKey, Secret32, X25519Public, X25519Secret};
use crate::wire::SigType;
use rand_core::Rng as _;

const DATE: &[u8; 8] = b"20261123";
const PUBLISHED: u32 = 1_795_392_000;
const SECRETS: [&[u8]; 2] = [b"", "gar\u{e7}on".as_bytes()];

/// A value of the vectors, which `sam-tests/els2.py` prints.
fn vector(name: &str) -> Vec<u8> {
    let lines = include_str!("encrypted_ls.txt").lines().filter_map(|l| l.split_once(' '));
    lines.filter(|(n, _)| *n == name).map(|(_, v)| hex(v)).next().expect(name)
}

fn vector32(name: &str) -> [u8; 32] {
    vector(name).try_into().expect("32 bytes")
}

fn owner(sig_type: SigType) -> AnySigningKey {
    let private: Vec<u8> = (1..32).chain([1]).collect();
    AnySigningKey::from_bytes(sig_type, &private).expect("a key")
}

fn inner() -> Vec<u8> {
    [3].into_iter().chain(0..200).collect()
}

#[test]
fn blinding_agrees_with_another_program() {
    for sig_type in [SigType::Ed25519, SigType::RedDsa] {
        let own = owner(sig_type);
        for (n, secret) in SECRETS.iter().enumerate() {
            let at = |name: &str| vector32(&format!("{}.{n}.{name}", sig_type.code()));
            assert_eq!(own.public(), at("public"));
            let day = BlindedKey::of(sig_type, &at("public"), DATE, secret).expect("blinds");
            assert_eq!(*day.public(), at("blinded"));
            assert_eq!(*day.subcredential(), at("subcredential"));
            assert_eq!(day.store_key().0, at("store"));
            let private = day.private(&own).expect("its owner");
            assert_eq!(*private.to_bytes(), at("private"));
            let signature = private.sign_parts(&mut rng(1), &[b"a", b"b"]);
            verify(SigType::RedDsa, day.public(), &[b"ab"], &signature).expect("holds");
        }
    }
}

#[test]
fn only_the_owner_gets_the_blinded_private_key_and_only_two_types_can_be_blinded() {
    let own = owner(SigType::RedDsa);
    let day =
        BlindedKey::of(SigType::RedDsa, own.public().try_into().expect("32"), DATE, b"").expect("blinds");
    assert!(day.private(&AnySigningKey::random(SigType::RedDsa, &mut rng(2)).expect("a key")).is_none());
    assert!(day.private(&AnySigningKey::random(SigType::EcdsaP256, &mut rng(2)).expect("a key")).is_none());
    assert!(BlindedKey::of(SigType::EcdsaP256, &[1; 32], DATE, b"").is_none());
    let off_curve: [u8; 32] = arr("0200000000000000000000000000000000000000000000000000000000000000");
    assert!(BlindedKey::of(SigType::Ed25519, &off_curve, DATE, b"").is_none());
}

#[test]
fn layers_of_another_program_open() {
    let subcredential = vector32("11.1.subcredential");
    let csk: [u8; 32] = std::array::from_fn(|i| i as u8 + 50);
    let psk: [u8; 32] = std::array::from_fn(|i| i as u8 + 100);
    assert_eq!(X25519Secret::from_bytes(csk).public().0, vector32("client.public"));
    for (name, key) in [("everybody", None), ("dh", Some(&csk)), ("psk", Some(&psk))] {
        let sealed = vector(name);
        assert_eq!(open(&subcredential, PUBLISHED, key, &sealed).as_deref(), Ok(&inner()), "{name}");
    }
    let wrong =
        |name: &str, key| open(&subcredential, PUBLISHED, key, &vector(name)).expect_err("stays closed");
    assert_eq!(wrong("dh", None), Closed::NeedsKey(false));
    assert_eq!(wrong("psk", None), Closed::NeedsKey(true));
    assert_eq!(wrong("dh", Some(&psk)), Closed::NotAuthorised);
    assert_eq!(wrong("psk", Some(&csk)), Closed::NotAuthorised);
}

#[test]
fn what_we_seal_opens_for_those_whom_it_is_for_and_hides_their_number() {
    let mut rng = rng(3);
    let subcredential = [7; 32];
    let dh: Vec<X25519Secret> = (0..5).map(|_| X25519Secret::random(&mut rng)).collect();
    let psk: Vec<[u8; 32]> = (0..5).map(|n| [n + 1; 32]).collect();
    let sealed = seal(&mut rng, &subcredential, 9, &ClientAccess::Everybody, &inner());
    assert_eq!(open(&subcredential, 9, Some(&[1; 32]), &sealed).as_deref(), Ok(&inner()), "a key too many");
    assert!(open(&subcredential, 10, None, &sealed).as_deref() != Ok(&inner()), "another time");

    let access = ClientAccess::Dh(dh.iter().map(X25519Secret::public).collect());
    let sealed = seal(&mut rng, &subcredential, 9, &access, &inner());
    assert_eq!(sealed.len(), 32 + 1 + 34 + 8 * 40 + 32 + inner().len(), "five clients look like eight");
    for key in &dh {
        assert_eq!(open(&subcredential, 9, Some(&key.to_bytes()), &sealed).as_deref(), Ok(&inner()));
    }
    assert_eq!(open(&subcredential, 9, Some(&[9; 32]), &sealed), Err(Closed::NotAuthorised));

    let access = ClientAccess::Psk(psk.iter().map(|k| Secret32::new(*k)).collect());
    let sealed = seal(&mut rng, &subcredential, 9, &access, &inner());
    for key in &psk {
        assert_eq!(open(&subcredential, 9, Some(key), &sealed).as_deref(), Ok(&inner()));
    }
    assert_eq!(open(&subcredential, 9, Some(&[9; 32]), &sealed), Err(Closed::NotAuthorised));
    assert!(!format!("{access:?}").contains("1, 1"));
}

#[test]
fn a_list_of_nobody_opens_for_nobody_and_a_long_one_is_cut() {
    let mut rng = rng(4);
    let sealed = seal(&mut rng, &[1; 32], 9, &ClientAccess::Psk(Vec::new()), &inner());
    assert_eq!(open(&[1; 32], 9, Some(&[1; 32]), &sealed), Err(Closed::NotAuthorised));
    let many = ClientAccess::Dh(vec![X25519Public([0; 32]); CLIENTS_MAX + 9]);
    let sealed = seal(&mut rng, &[1; 32], 9, &many, &inner());
    assert_eq!(sealed.len(), 32 + 1 + 34 + CLIENTS_MAX * 40 + 32 + inner().len());
}

#[test]
fn broken_layers_never_panic() {
    let mut rng = rng(5);
    let access = ClientAccess::Psk(vec![Secret32::new([1; 32])]);
    let sealed = seal(&mut rng, &[1; 32], 9, &access, &inner());
    for cut in 0..sealed.len() {
        let _ = open(&[1; 32], 9, Some(&[1; 32]), &sealed[..cut]);
        let mut bad = sealed.clone();
        bad[cut] ^= 1 << (cut % 8);
        let _ = open(&[1; 32], 9, Some(&[1; 32]), &bad);
    }
    let mut noise = vec![0; 300];
    for _ in 0..2000 {
        rng.fill_bytes(&mut noise);
        let _ = open(&[1; 32], 9, Some(&[1; 32]), &noise);
    }
}
