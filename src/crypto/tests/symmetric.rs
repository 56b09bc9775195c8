// SPDX-License-Identifier: MIT
//! AEAD, bare ChaCha20, key derivation, the length mask, CBC and the tunnel layer.

use proptest::prelude::*;

use super::{arr, hex};
use crate::crypto::layer::{CELL_LEN, Cell, LayerKeys, encrypt_each};
use crate::crypto::siphash::LengthMask;
use crate::crypto::*;

#[test]
fn aead_agrees_with_rfc_8439_in_shape() {
    let key = [7u8; 32];
    let sealed = aead::seal(&key, 3, b"ad", b"plain");
    assert_eq!(sealed.len(), 5 + aead::TAG_LEN);
    assert_eq!(aead::open(&key, 3, b"ad", &sealed).unwrap(), b"plain");
    assert_eq!(aead::open(&key, 4, b"ad", &sealed), Err(BadMac));
    assert_eq!(aead::open(&key, 3, b"da", &sealed), Err(BadMac));
    assert_eq!(aead::open(&[8; 32], 3, b"ad", &sealed), Err(BadMac));
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let key = [9u8; 32];
    let sealed = aead::seal(&key, 0, b"", b"tunnel");
    for bit in 0..sealed.len() * 8 {
        let mut bad = sealed.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(aead::open_in_place(&key, 0, b"", &mut bad), Err(BadMac));
        assert!(bad.is_empty());
    }
    for len in 0..sealed.len() {
        assert_eq!(aead::open(&key, 0, b"", &sealed[..len]), Err(BadMac));
    }
}

#[test]
fn aead_forms_agree() {
    let key = [1u8; 32];
    let cipher = aead::Cipher::new(&key);
    for len in [0usize, 1, 15, 16, 63, 64, 65, 1000, 16_384] {
        let plain: Vec<u8> = (0..len).map(|i| i as u8).collect();
        let sealed = aead::seal(&key, 5, b"x", &plain);
        let mut slice = plain.clone();
        slice.resize(len + aead::TAG_LEN, 0);
        cipher.seal_slice(5, b"x", &mut slice);
        assert_eq!(slice, sealed);
        assert_eq!(cipher.open_slice(5, b"x", &mut slice), Ok(len));
        assert_eq!(slice[..len], plain[..]);
        let mut vec = plain.clone();
        cipher.seal_in_place(5, b"x", &mut vec);
        assert_eq!(vec, sealed);
        cipher.open_in_place(5, b"x", &mut vec).unwrap();
        assert_eq!(vec, plain);
    }
}

#[test]
fn chacha_starts_at_block_one() {
    // RFC 8439, 2.4.2: the sunscreen text, whose key stream also begins at block 1.
    let key: [u8; 32] = std::array::from_fn(|i| i as u8);
    let mut text = *b"Ladies and Gentlemen of the class of '99";
    let nonce = arr("000000000000004a00000000");
    chacha20_stream(&key, &nonce, &mut text);
    assert_eq!(text[..16], hex("6e2e359a2568f98041ba0728dd0d6981")[..]);
    chacha20_stream(&key, &nonce, &mut text);
    assert_eq!(&text[..6], b"Ladies");
}

#[test]
fn hkdf_agrees_with_rfc_5869() {
    // RFC 4231, case 2, for the HMAC; the long key is its case 6.
    let mac = kdf::hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
    assert_eq!(mac[..], hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")[..]);
    let text = b"Test Using Larger Than Block-Size Key - Hash Key First";
    let mac = kdf::hmac_sha256(&[0xaa; 131], &[text]);
    assert_eq!(mac[..], hex("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")[..]);
    // HKDF against the crate that implements the RFC, with and without key material.
    for (ikm, info) in [(&b"secret"[..], &b"info"[..]), (b"", b"SessionReplyTags"), (b"x", b"")] {
        let salt = [3u8; 32];
        let mut okm = [0u8; 64];
        hkdf::Hkdf::<sha2::Sha256>::new(Some(&salt), ikm).expand(info, &mut okm).unwrap();
        let (first, second) = kdf::hkdf64(&salt, ikm, info);
        assert_eq!([first, second].concat(), okm);
        assert_eq!(kdf::hkdf32(&salt, ikm, info), first);
    }
}

#[test]
fn sha256_joins_its_parts() {
    let whole = sha256(&[b"abc"]);
    assert_eq!(whole[..], hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")[..]);
    assert_eq!(sha256(&[b"a", b"", b"bc"]), whole);
}

#[test]
fn length_masks_follow_the_reference() {
    // NTCP2 reference vectors: derived key and first three masks of each direction.
    for (key, masks) in [
        ("a403f12b314b34e916c4b4cc4c04e482a1db1e108c59386b42a2a515c6e45dda", [0x5bc8, 0x4c0d, 0xf279]),
        ("fa7b3fa14173c559522a2968dc577055c9092b60301742a250830a1844402a45", [0xbf98, 0xa2f2, 0x4978]),
    ] {
        let key: [u8; 32] = arr(key);
        let mut chain = LengthMask::from_derived(&key);
        let mut twin = LengthMask::new(key[..16].try_into().unwrap(), key[16..24].try_into().unwrap());
        for mask in masks {
            assert_eq!(chain.next_mask(), mask);
            assert_eq!(twin.next_mask(), mask);
        }
    }
}

#[test]
fn cbc_follows_the_reference() {
    // Long build record under another hop's reply key: 528 zero bytes, digest of the result.
    let mut record = vec![0u8; 528];
    aes_cbc::encrypt(&[0x77; 32], &[0x88; 16], &mut record);
    let digest = sha256(&[&record]);
    assert_eq!(digest[..], hex("8cc84ae9fb8f62882314400a14a61629fa4493829c0a83049d34fba775402cc1")[..]);
    aes_cbc::decrypt(&[0x77; 32], &[0x88; 16], &mut record);
    assert_eq!(record, vec![0; 528]);
}

#[test]
fn layer_follows_the_reference() {
    let keys = LayerKeys::new(&[0x55; 32], &[0x66; 32]);
    let mut cell: Cell = [0; CELL_LEN];
    for (at, byte) in cell.iter_mut().enumerate() {
        *byte = if at < 16 { at as u8 } else { ((at - 16) * 7) as u8 };
    }
    let clear = cell;
    keys.encrypt(&mut cell);
    assert_eq!(cell[..16], hex("e3ed0d3f75eac5fb00a59d2e6d194fb7")[..]);
    assert_eq!(cell[16..32], hex("7a55adfa8bf1ef70fd1b6fbcb739d2ea")[..]);
    let digest = sha256(&[&cell[16..]]);
    assert_eq!(digest[..], hex("7ca6651fbb9bcd4fcf883e7794e872317e4863a597f619012ac4460d4d631f28")[..]);
    keys.decrypt(&mut cell);
    assert_eq!(cell, clear);
}

/// Cells with contents that depend on `seed`.
fn cells(count: usize, seed: u8) -> Vec<Cell> {
    (0..count)
        .map(|n| std::array::from_fn(|i| (i as u8).wrapping_mul(seed | 1) ^ (i >> 8) as u8 ^ n as u8))
        .collect()
}

#[test]
fn lengths_that_do_not_fit_are_harmless() {
    for len in 0..aead::TAG_LEN {
        let mut buf = vec![1; len];
        let cipher = aead::Cipher::new(&[0; 32]);
        assert_eq!(cipher.open_slice(0, b"", &mut buf), Err(BadMac));
        cipher.seal_slice(0, b"", &mut buf);
        assert_eq!(buf, vec![0; len], "nothing leaves in the clear");
        let mut ragged = vec![1; 32 + len];
        aes_cbc::encrypt(&[0; 32], &[0; 16], &mut ragged);
        assert_eq!(ragged[32..], vec![1; len]);
        aes_cbc::decrypt(&[0; 32], &[0; 16], &mut ragged);
        assert_eq!(ragged, vec![1; 32 + len]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn layers_come_off_in_reverse(a: [u8; 32], b: [u8; 32], c: [u8; 32], seed: u8) {
        let hops = [LayerKeys::new(&a, &b), LayerKeys::new(&b, &c), LayerKeys::new(&c, &a)];
        let clear = cells(1, seed)[0];
        let mut cell = clear;
        hops.iter().for_each(|hop| hop.encrypt(&mut cell));
        prop_assert_ne!(cell, clear);
        hops.iter().rev().for_each(|hop| hop.decrypt(&mut cell));
        prop_assert_eq!(cell, clear);
    }

    #[test]
    fn batches_equal_single_cells(layer: [u8; 32], iv: [u8; 32], count in 0usize..20, seed: u8) {
        let keys = LayerKeys::new(&layer, &iv);
        let clear = cells(count, seed);
        let mut single = clear.clone();
        single.iter_mut().for_each(|cell| keys.encrypt(cell));
        let mut batch = clear.clone();
        keys.encrypt_batch(&mut batch.iter_mut().collect::<Vec<_>>());
        prop_assert_eq!(&batch, &single);
        keys.decrypt_batch(&mut batch.iter_mut().collect::<Vec<_>>());
        prop_assert_eq!(&batch, &clear);
    }

    #[test]
    fn cells_of_different_tunnels_equal_single_cells(seeds in prop::collection::vec(any::<[u8; 32]>(), 0..20), seed: u8) {
        let keys: Vec<_> = seeds.iter().map(|s| LayerKeys::new(s, &[seed; 32])).collect();
        let mut single = cells(keys.len(), seed);
        let mut each = single.clone();
        keys.iter().zip(&mut single).for_each(|(keys, cell)| keys.encrypt(cell));
        encrypt_each(&mut keys.iter().zip(&mut each).collect::<Vec<_>>());
        prop_assert_eq!(each, single);
    }

    #[test]
    fn cbc_round_trips(key: [u8; 32], iv: [u8; 16], blocks in 0usize..40, seed: u8) {
        let clear: Vec<u8> = (0..blocks * 16).map(|i| (i as u8).wrapping_mul(seed)).collect();
        let mut buf = clear.clone();
        aes_cbc::encrypt(&key, &iv, &mut buf);
        aes_cbc::decrypt(&key, &iv, &mut buf);
        prop_assert_eq!(buf, clear);
    }

    #[test]
    fn opening_noise_never_panics(key: [u8; 32], nonce: u64, body in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(aead::open(&key, nonce, b"", &body), Err(BadMac));
        prop_assert_eq!(tagged::open(&key, &body), Err(BadMac));
        let _ = tagged::tag_of(&body);
        let secret = X25519Secret::from_bytes(key);
        prop_assert!(noise_n::open(&secret, &secret.public(), &body).is_err());
    }
}

#[test]
fn one_tag_garlic_follows_the_reference() {
    // Router garlic in its tagged form: one local DeliveryStatus clove, key 99*32, tag 01..08.
    let payload = hex("0b0016 00 0a 01020304 67b64b08 deadbeef 000001952014f800");
    let whole = hex(
        "010203040506070896c818228aca3df7a3d8dd4bda08efb7422b106ae1a1e33ac77c67b638566bf628c0ba88ea996896e3",
    );
    assert_eq!(tagged::seal(&[0x99; 32], arr("0102030405060708"), &payload), whole);
    assert_eq!(tagged::open(&[0x99; 32], &whole), Ok(payload));
    assert_eq!(tagged::tag_of(&whole), Some(arr("0102030405060708")));
    assert_eq!(tagged::open(&[0x98; 32], &whole), Err(BadMac));
}
