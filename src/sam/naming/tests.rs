// SPDX-License-Identifier: MIT

use super::*;
use crate::wire::{KeysAndCert, SigType};

fn destination(seed: u8) -> Destination {
    Destination::new(KeysAndCert::build(SigType::Ed25519, &[seed; 32], 0, &[], [seed; 32]))
}

#[test]
fn every_kind_of_name_is_told_apart() {
    let known = destination(1);
    let b32 = known.b32();
    assert_eq!(Name::parse("ME"), Name::Me);
    assert_eq!(Name::parse("me"), Name::Host("me".to_owned()));
    assert_eq!(Name::parse(&known.to_base64()), Name::Destination(Box::new(known.clone())));
    assert_eq!(
        Name::parse(&format!("{}.i2p", known.to_base64())),
        Name::Destination(Box::new(known.clone()))
    );
    assert_eq!(Name::parse(&b32), Name::Hash(known.hash()));
    assert_eq!(Name::parse(&b32.to_uppercase()), Name::Hash(known.hash()));
    let hash = b64::encode(&known.hash().0);
    assert_eq!(Name::parse(&hash), Name::Hash(known.hash()));
    assert!(matches!(Name::parse(&hash.replace('=', "+")), Name::Malformed(_)));
    assert!(matches!(Name::parse(&format!("!{}", &hash[1..])), Name::Malformed(_)));
    assert_eq!(Name::parse("Example.I2P"), Name::Host("example.i2p".to_owned()));
    assert_eq!(Name::parse("example.i2p.alt"), Name::Host("example.i2p".to_owned()));
    let blinded = BlindedName::of(&known, false, true).expect("can be blinded");
    assert_eq!(Name::parse(&blinded.to_string()), Name::Blinded(blinded));
    assert_eq!(Name::parse(&blinded.to_string().to_uppercase()), Name::Blinded(blinded));
}

#[test]
fn malformed_names_are_told_at_once() {
    let bad_b64 = format!("!{}", destination(1).to_base64());
    let short = format!("{}.b32.i2p", "a".repeat(51));
    let bad_b32 = format!("{}.b32.i2p", "1".repeat(52));
    let no_blinded = format!("{}.b32.i2p", "a".repeat(56));
    let long = format!("{}.i2p", "a".repeat(64));
    for name in [
        "",
        "a b.i2p",
        "a_b.i2p",
        ".i2p",
        "-a.i2p",
        "a..i2p",
        "a.-b.i2p",
        "a-.i2p",
        "junk!",
        "abc.b32.i2p",
        &bad_b64,
        &short,
        &bad_b32,
        &long,
        &no_blinded,
        "\u{e9}.i2p",
    ] {
        assert!(matches!(Name::parse(name), Name::Malformed(_)), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn look_ups_are_remembered_for_a_while() {
    let cache = LookupCache::default();
    let known = destination(1);
    assert_eq!(cache.get(known.hash()), None);
    cache.put(known.hash(), None);
    assert_eq!(cache.get(known.hash()), Some(None));
    tokio::time::advance(std::time::Duration::from_secs(31)).await;
    assert_eq!(cache.get(known.hash()), None);
    cache.put(known.hash(), Some(known.clone()));
    tokio::time::advance(std::time::Duration::from_secs(599)).await;
    assert_eq!(cache.get(known.hash()), Some(Some(known.clone())));
    for seed in 0..2000u32 {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&seed.to_be_bytes());
        cache.put(DestHash(hash), None);
    }
    assert!(cache.len() <= 1024);
}
