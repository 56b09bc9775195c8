// SPDX-License-Identifier: MIT
//! X25519 and Elligator2.

use super::{arr, hex, rng};
use crate::crypto::*;

#[test]
fn exchange_follows_rfc_7748() {
    // RFC 7748, 6.1.
    let alice =
        X25519Secret::from_bytes(arr("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"));
    let bob =
        X25519Secret::from_bytes(arr("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
    assert_eq!(alice.public().0, arr("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"));
    let shared = alice.dh(&bob.public()).unwrap();
    assert_eq!(
        shared.as_bytes()[..],
        hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")[..]
    );
    assert_eq!(bob.dh(&alice.public()).unwrap().as_bytes(), shared.as_bytes());
    // Reference vectors of the build records: secrets 11*32 and 22*32.
    let (hop, ephemeral) = (X25519Secret::from_bytes([0x11; 32]), X25519Secret::from_bytes([0x22; 32]));
    assert_eq!(hop.public().0, arr("7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13"));
    assert_eq!(ephemeral.public().0, arr("0faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20"));
    let shared = ephemeral.dh(&hop.public()).unwrap();
    assert_eq!(
        shared.as_bytes()[..],
        hex("9e004098efc091d4ec2663b4e9f5cfd4d7064571690b4bea97ab146ab9f35056")[..]
    );
}

#[test]
fn low_order_points_give_nothing() {
    let secret = X25519Secret::random(&mut rng(2));
    for point in curve25519_dalek::constants::X25519_LOW_ORDER_POINTS {
        assert!(secret.dh(&X25519Public(point.to_bytes())).is_none());
    }
    // Zero and one in their non-canonical spellings, p and p + 1.
    for low in [0xed, 0xee] {
        let mut point = [0xff; 32];
        (point[0], point[31]) = (low, 0x7f);
        assert!(secret.dh(&X25519Public(point)).is_none());
    }
}

#[test]
fn wire_keys_are_screened() {
    assert!(X25519Public::from_wire(&[0; 32]).is_none());
    assert!(X25519Public::from_wire(&[0x80; 32]).is_none());
    assert!(X25519Public::from_wire(&[0x7f; 32]).is_some());
}

#[test]
fn secrets_survive_storage_and_hide_from_logs() {
    let secret = X25519Secret::random(&mut rng(3));
    assert_eq!(X25519Secret::from_bytes(*secret.to_bytes()).public(), secret.public());
    let shared = secret.dh(&X25519Secret::random(&mut rng(4)).public()).unwrap();
    for text in [
        format!("{secret:?}"),
        format!("{shared:?}"),
        format!("{:?}", SigningKey::random(&mut rng(5))),
        format!("{:?}", layer::LayerKeys::new(&[0x41; 32], &[0x42; 32])),
        format!("{:?}", siphash::LengthMask::from_derived(&[0x43; 32])),
        format!("{:?}", aead::Cipher::new(&[0x44; 32])),
    ] {
        assert!(text.ends_with("(..)"), "{text}");
    }
}

#[test]
fn elligator_decodes_the_published_vectors() {
    // i2pd, tests/test-elligator.cpp.
    for (representative, public) in [
        (
            "e73507d38bae63992b3f57aac48c0abc14509589288457995a2b4ca3490aa207",
            "1e8afffed6bf53fe271ad572473262ded8faec68e5e67ef45ebb82eeba52604f",
        ),
        (
            "95a16019041dbefed9832048ede11928d90365f24a38aa7aef1b97e23954101b",
            "794f05ba3e3a72958022468c88981e0be5782be1e1145ce2c3c6fde16ded5363",
        ),
        (
            "f6ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff3f",
            "9cdb525555555555555555555555555555555555555555555555555555555555",
        ),
    ] {
        let mut representative: [u8; 32] = arr(representative);
        let public = X25519Public(arr(public));
        assert_eq!(elligator2::decode(&representative), Some(public));
        representative[31] |= 0xc0;
        assert_eq!(elligator2::decode(&representative), Some(public));
    }
}

#[test]
fn elligator_encodes_the_published_vectors() {
    // The same source; its key has the top bit set, so it is given here reduced modulo p.
    let key: [u8; 32] = arr("46951964003c940878063ccfd0348af42150ca16d2646f2c5856e8338377d800");
    let low: [u8; 32] = arr("2820b6b241e0f68a6c4a7fee3d978228ef3ae45533cd410aa91a415331d8612d");
    let high: [u8; 32] = arr("3cfb87c46c0b4575ca8175e0ed1c0ae9dae79db78df86997c4847b9f20b27718");
    let mut both = [0, 1].map(|tweak| elligator2::encode(&X25519Public(key), tweak).unwrap());
    both.sort_unstable();
    let mut expected = [low, high];
    expected.sort_unstable();
    assert_eq!(both, expected);
    let not = arr("e6f66fdf6e230c603c5e6e5954ea141476a13eb9511b9549846781e12e52230a");
    assert_eq!(elligator2::encode(&X25519Public(not), 0), None);
}

#[test]
fn values_over_half_of_p_are_refused() {
    for low in 0xf7..=0xff {
        let mut representative = [0xff; 32];
        (representative[0], representative[31]) = (low, 0x3f);
        assert_eq!(elligator2::decode(&representative), None);
        representative[31] = 0xff;
        assert_eq!(elligator2::decode(&representative), None);
    }
    // Representative zero is the key zero, which no exchange can use.
    assert_eq!(elligator2::decode(&[0; 32]), None);
}

#[test]
fn generated_keys_work_and_look_random() {
    let mut rng = rng(6);
    let peer = X25519Secret::random(&mut rng);
    let (mut dirty, mut top_bits) = (0, [0u32; 4]);
    for _ in 0..64 {
        let (secret, public, representative) = elligator2::generate(&mut rng);
        assert_eq!(elligator2::decode(&representative), Some(public));
        // Both sides agree in spite of the small-order component.
        let ours = secret.dh(&peer.public()).unwrap();
        assert_eq!(ours.as_bytes(), peer.dh(&public).unwrap().as_bytes());
        dirty += u32::from(secret.public() != public);
        top_bits[usize::from(representative[31] >> 6)] += 1;
    }
    assert!(dirty > 40, "{dirty} of 64 keys have a small-order component");
    assert!(top_bits.iter().all(|count| *count > 4), "{top_bits:?}");
}

#[test]
fn what_holds_keys_wipes_them() {
    /// Compiles only for types that wipe themselves.
    fn wiped<T: zeroize::ZeroizeOnDrop>() {}
    wiped::<chacha20poly1305::ChaCha20Poly1305>();
    wiped::<aes::Aes256>();
    wiped::<ed25519_dalek::SigningKey>();
    wiped::<x25519_dalek::StaticSecret>();
    wiped::<Secret32>();
}
