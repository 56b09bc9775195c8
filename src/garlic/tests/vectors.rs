// SPDX-License-Identifier: MIT
//! The chain NS, NSR, ES, NextKey byte for byte. The values were computed by an independent script from the
//! formulas of the spec, with secrets `SHA-256("i2p-e2e-tv " || label)`.

use super::super::chain::Chains;
use super::super::handshake::{Ephemeral, Initiator, Static, new_session_ephemeral, open_new_session};
use crate::crypto::aead::Cipher;
use crate::crypto::noise::{RATCHET, SymmetricState};
use crate::crypto::{X25519Public, X25519Secret, aead, elligator2, sha256};

const NS_PAYLOAD: &str = "0000046955b900 fe00020000";
const NS: &str = "6daaf5992ba6de370eb29db695409ec5f6bf639e96860013c715225418318d00
    9270f1c88d66ff4ad8a035c72fcfa834a57d57b040084fbe9621d38cb97187caa8eaccce524f8ca3b6ee96212bfef517
    f3e8936fcbdb638d184d80fcbb2d3dc8c5a520b02f1274a0ad727562";
const NS_UNBOUND: &str = "6daaf5992ba6de370eb29db695409ec5f6bf639e96860013c715225418318d00
    8eb8ed66d73edacf68f692570bb989f0789dfbeacd5c2afa8b53b23b359401818aff89cd76dccdbe770b63643ac3fa4a
    bb096f94cde8892a67e75827985ae09c013be4290151bf5a0e43838d";
const NSR: &str = "218a2eb179de82db bff3c1b1ba387fd3feecd13aa8c45f7297b36e7fa9f71aec44130c60848a4908
    30288d5da363c335c1a26d32368e2521 1e08e980366d3508bfa8db05140339f9ff4e325ca4";
const PADDING: &str = "fe00020000";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|c| u8::from_str_radix(std::str::from_utf8(c).unwrap(), 16).unwrap()).collect()
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().unwrap()
}

fn secret(label: &str) -> X25519Secret {
    X25519Secret::from_bytes(sha256(&[b"i2p-e2e-tv ", label.as_bytes()]))
}

fn ephemeral(label: &str) -> Ephemeral {
    let secret = secret(label);
    let public = secret.public();
    Ephemeral { representative: elligator2::encode(&public, 0).unwrap(), public, secret }
}

fn alice() -> Static {
    Static::new(secret("alice static"))
}

fn bob() -> Static {
    Static::new(secret("bob static"))
}

fn begin() -> (Initiator, Vec<u8>) {
    let mut out = Vec::new();
    let eph = ephemeral("alice ephemeral 1");
    let initiator = Initiator::seal(&alice(), &bob().public, eph, &hex(NS_PAYLOAD), &mut out).unwrap();
    (initiator, out)
}

#[test]
fn public_keys_are_those_of_the_labels() {
    let want = |label, text| assert_eq!(secret(label).public().0, array::<32>(text), "{label}");
    want("bob static", "a613285f0ea810846bb1347a299c6af006cd12c75aef068f06c4662e3884e92d");
    want("alice static", "1cc81cae5a582585b056a790247621c4dde0ac5a8d5465441d7261b78ce5864b");
    want("alice ephemeral 1", "b527055ac2b47ed3531839bfdd3fb4c5ae7487e92aa8f1964a53a00dca838617");
    want("bob ephemeral 0", "a2140f5965d17e5f48797635d7e52231eb77a4228f484a1d00e6a2e9f52bc94a");
    let skipped = secret("alice ephemeral 0").public();
    assert_eq!(elligator2::encode(&skipped, 0), None, "counter 0 is not encodable");
}

#[test]
fn noise_begins_from_the_published_values() {
    let state = SymmetricState::new(&RATCHET);
    assert_eq!(*state.ck(), array("4caf11ef2c8e36564c53e88885064dbaacbe0054ad178f8079a646827e6ee40c"));
    assert_eq!(*state.h(), array("9ccf852cc93bb9504441e950e01d52322e0d47add1e9a555f755b569ae183b5c"));
    assert_eq!(sha256(&[b"Noise_IKelg2+hs2_25519_ChaChaPoly_SHA256"]), *state.ck());
}

#[test]
fn elligator2_agrees_with_i2pd() {
    // The vector's key begins with 33 and ends with 80: the same number below 2^255, since 2^255 = 19 mod p.
    let key = X25519Public(array("46951964003c940878063ccfd0348af42150ca16d2646f2c5856e8338377d800"));
    let low = array("2820b6b241e0f68a6c4a7fee3d978228ef3ae45533cd410aa91a415331d8612d");
    let high = array("3cfb87c46c0b4575ca8175e0ed1c0ae9dae79db78df86997c4847b9f20b27718");
    let mut both = [elligator2::encode(&key, 0).unwrap(), elligator2::encode(&key, 1).unwrap()];
    both.sort_unstable();
    assert_eq!(both, [low, high]);
    for (from, to) in [
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
        assert_eq!(elligator2::decode(&array(from)), Some(X25519Public(array(to))));
    }
    let not = X25519Public(array("e6f66fdf6e230c603c5e6e5954ea141476a13eb9511b9549846781e12e52230a"));
    assert_eq!(elligator2::encode(&not, 0), None);
}

#[test]
fn new_session_is_the_vector() {
    let (_, message) = begin();
    assert_eq!(message, hex(NS));
    let eph = new_session_ephemeral(&message).unwrap();
    let opened = open_new_session(&bob(), eph, &message).unwrap();
    assert_eq!(opened.payload, hex(NS_PAYLOAD));
    assert_eq!(opened.bound.unwrap().0, alice().public);
}

#[test]
fn unbound_new_session_is_read() {
    let message = hex(NS_UNBOUND);
    let eph = new_session_ephemeral(&message).unwrap();
    let opened = open_new_session(&bob(), eph, &message).unwrap();
    assert_eq!(opened.payload, hex(NS_PAYLOAD));
    assert!(opened.bound.is_none());
}

#[test]
fn reply_and_the_tag_sets_behind_it_are_the_vectors() {
    let (initiator, ns) = begin();
    let eph = new_session_ephemeral(&ns).unwrap();
    let (_, responder) = open_new_session(&bob(), eph, &ns).unwrap().bound.unwrap();
    let mut tags = responder.reply_tags();
    let (tag, second) = (tags.advance(), tags.advance());
    assert_eq!((tag, second), (array("218a2eb179de82db"), array("69caa9f83f42738c")));
    let mut theirs = initiator.reply_tags();
    assert_eq!(theirs.advance(), tag);

    let mut nsr = Vec::new();
    let bobs = responder.seal_reply(tag, &ephemeral("bob ephemeral 0"), &hex(PADDING), &mut nsr).unwrap();
    assert_eq!(nsr, hex(NSR));
    let reply = initiator.open_reply(&alice(), &nsr).unwrap();
    assert_eq!(reply.payload, hex(PADDING));

    for mut ab in [bobs.initiator_chains(), reply.keys.initiator_chains()] {
        let key = check(
            &mut ab,
            "68a1c8bd344971f5",
            "a140b865179b250650647da414427ac40230668d6de1a7e7d4e5153d6f168998",
        );
        assert_eq!(
            existing("68a1c8bd344971f5", &key, 0),
            hex("68a1c8bd344971f5e40f657bb8908ffea30dd6068c6fa4290c7165d923")
        );
        let key = check(
            &mut ab,
            "c269e4c7d94891a4",
            "dae5d878b9e5d59fb8e3711fcfdf82552af309379d0b13cc40bc90a6257d0a21",
        );
        assert_eq!(
            existing("c269e4c7d94891a4", &key, 1),
            hex("c269e4c7d94891a4d600a9c6cb35541e89b42b778eaa673350fad96320")
        );
    }
    for mut ba in [bobs.responder_chains(), reply.keys.responder_chains()] {
        check(
            &mut ba,
            "4683534fea1dfc08",
            "d782ae12adefb57fe315f4963b722e24859370a9efef5fa3f3ffe0a607751c48",
        );
    }

    // One step of the Diffie-Hellman ratchet after tag set 0 from Alice to Bob.
    let ab = bobs.initiator_chains();
    let shared = secret("next key sender 0").dh(&secret("next key receiver 0").public()).unwrap();
    let mut next = Chains::step(&ab.next_root, shared.as_bytes());
    check(&mut next, "3f87351cc7c01335", "e2f416db71f80ad66386ed9fe3a5f196db27a5fede82bb5179e8a40331180a6c");
}

#[test]
fn the_root_of_the_next_step_is_the_vector() {
    let ck = array("d13eabf138515f56244a596fce79c8388772b8b536cd6e90f733f16e384a2e7d");
    let k_ab = array("9c9bc746cdb06447c7fda1d5a074c8d693f4ed9b6ea99ae5babcbfc74538e0a1");
    let k_ba = array("84b0bf345470175be5872451f820e6542641230fabb459ca2ac10df7e2b01fec");
    check(
        &mut Chains::new(&ck, &k_ab),
        "68a1c8bd344971f5",
        "a140b865179b250650647da414427ac40230668d6de1a7e7d4e5153d6f168998",
    );
    check(
        &mut Chains::new(&ck, &k_ba),
        "4683534fea1dfc08",
        "d782ae12adefb57fe315f4963b722e24859370a9efef5fa3f3ffe0a607751c48",
    );
    let root = Chains::new(&ck, &k_ab).next_root;
    let want = array::<32>("0234cbe706957a89d8aa801b7d9423bc30e27aa736c217e27767282b54e74732");
    assert_eq!(*root, want);
}

fn check(chains: &mut Chains, tag: &str, key: &str) -> [u8; 32] {
    assert_eq!(chains.tags.advance(), array::<8>(tag));
    let got = chains.keys.advance();
    assert_eq!(*got, array::<32>(key));
    *got
}

fn existing(tag: &str, key: &[u8; 32], index: u64) -> Vec<u8> {
    let mut message = hex(tag);
    let mut sealed = hex(PADDING);
    sealed.resize(sealed.len() + aead::TAG_LEN, 0);
    Cipher::new(key).seal_slice(index, &array::<8>(tag), &mut sealed);
    message.extend_from_slice(&sealed);
    message
}
