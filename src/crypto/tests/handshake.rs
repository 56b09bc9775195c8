// SPDX-License-Identifier: MIT
//! Noise states, one-way messages and the keys of build records.

use super::{arr, hex, rng};
use crate::crypto::noise::{NTCP2, ONE_WAY, RATCHET, SSU2, Start, SymmetricState};
use crate::crypto::record::RecordKeys;
use crate::crypto::*;

/// The secret that the reference scripts derive from a label.
fn secret(label: &str) -> X25519Secret {
    X25519Secret::from_bytes(sha256(&[label.as_bytes()]))
}

#[test]
fn start_values_come_from_the_names() {
    for (name, start) in [
        ("Noise_XKaesobfse+hs2+hs3_25519_ChaChaPoly_SHA256", NTCP2),
        ("Noise_XKchaobfse+hs1+hs2+hs3_25519_ChaChaPoly_SHA256", SSU2),
        ("Noise_IKelg2+hs2_25519_ChaChaPoly_SHA256", RATCHET),
    ] {
        let ck = sha256(&[name.as_bytes()]);
        assert_eq!(start, Start { ck, h: sha256(&[&ck]) });
    }
    assert_eq!(ONE_WAY.h, sha256(&[&ONE_WAY.ck]));
}

#[test]
fn ntcp2_handshake_follows_the_reference() {
    let (bob_static, alice_static) = (secret("bob static"), secret("alice static"));
    let (alice, bob) = (secret("alice ephemeral"), secret("bob ephemeral"));
    let hash = sha256(&[b"bob router hash"]);
    let iv = sha256(&[b"bob iv"]);
    let iv: &[u8; 16] = iv.first_chunk().unwrap();

    let mut state = SymmetricState::new(&NTCP2);
    state.mix_hash(&bob_static.public().0);
    state.mix_hash(&alice.public().0);
    state.mix_key(&alice.dh(&bob_static.public()).unwrap());
    assert_eq!(state.h()[..], hex("ec0d631567007870ea2936cd3dbe3f34893e6b395e40dbc43c283203fd9fc7c0")[..]);
    assert_eq!(state.key()[..], hex("6cb410e271afe2621be4dd12ef412200c6728175ac68d13f60f353a735a07215")[..]);
    let mut message = alice.public().0.to_vec();
    aes_cbc::encrypt(&hash, iv, &mut message);
    let second_iv: [u8; 16] = message[16..].try_into().unwrap();
    message.extend(state.encrypt_and_hash(&hex("0202 0005 0208 0000 6a000000 00000000")));
    assert_eq!(message[..32], hex("3244a22f1983e72c2222aaff83ba4fd1b8b37557a234fbddb4e10370cb10acd4")[..]);
    state.mix_hash(&[0, 1, 2, 3, 4]);

    state.mix_hash(&bob.public().0);
    state.mix_key(&bob.dh(&alice.public()).unwrap());
    assert_eq!(state.key()[..], hex("db060845ebcf0e93291b3a4974d50d2112d1379ca1ed28b0e79f56eaca0cdb53")[..]);
    let mut reply = bob.public().0.to_vec();
    aes_cbc::encrypt(&hash, &second_iv, &mut reply);
    reply.extend(state.encrypt_and_hash(&hex("0000 0007 00000000 6a000000 00000000")));
    assert_eq!(reply[..16], hex("40cf325807bd0b179a1aa4917f9dd855")[..]);
    state.mix_hash(&[0, 1, 2, 3, 4, 5, 6]);

    let part1 = state.encrypt_and_hash(&alice_static.public().0);
    assert_eq!(part1.len(), 48);
    assert_eq!(part1[..16], hex("f39bd57b8e0946a8d06ecc8f6d27abdf")[..]);
    state.mix_key(&alice_static.dh(&bob.public()).unwrap());
    let mut part2 = hex("02 01f5 00");
    part2.extend((0..500).map(|i| i as u8));
    let digest = sha256(&[&state.encrypt_and_hash(&part2)]);
    assert_eq!(digest, arr("e3ed95b28cbe4d48ecf808a5ebc64d1e7f8dccc00de0cf2927db51c95afd2a1f"));
    assert_eq!(*state.h(), arr("2c55bf6ed7d70855fe94cf9a9b43c7b92ff7d742b05001ce694ecf19b19f05a3"));
    assert_eq!(*state.ck(), arr("b4cf23f8636ec5cf579124c665d0198f9ff300d30abd9ca84bca8d12ecffc6de"));
}

#[test]
fn ntcp2_data_keys_follow_the_reference() {
    let ck: [u8; 32] = arr("b4cf23f8636ec5cf579124c665d0198f9ff300d30abd9ca84bca8d12ecffc6de");
    let h: [u8; 32] = arr("2c55bf6ed7d70855fe94cf9a9b43c7b92ff7d742b05001ce694ecf19b19f05a3");
    let (ab, ba) = SymmetricState::from_parts(ck, h).split();
    assert_eq!(ab[..], hex("b3937bafb04f6b5bf98999b49721f27d2b7bf1214b59148a73ecfe2cfd686747")[..]);
    assert_eq!(ba[..], hex("c92da608d7716e2f554e308dbf685bd44069a56c3c9207a06725e9b56709ab90")[..]);
    let ask = kdf::hkdf32(&ck, b"", b"ask");
    let sip = kdf::hkdf32(&ask, &[&h[..], b"siphash"].concat(), b"");
    let (sip_ab, sip_ba) = kdf::hkdf64(&sip, b"", b"");
    assert_eq!(sip_ab[..], hex("a403f12b314b34e916c4b4cc4c04e482a1db1e108c59386b42a2a515c6e45dda")[..]);
    assert_eq!(sip_ba[..24], hex("fa7b3fa14173c559522a2968dc577055c9092b60301742a2")[..]);
}

/// A new-session message of the ratchet, bound or not, from the end-to-end reference values.
fn new_session(bound: bool) -> (Vec<u8>, Vec<u8>, SymmetricState) {
    let [bob, alice, ephemeral] = ["bob static", "alice static", "alice ephemeral 1"]
        .map(|label| secret(&format!("i2p-e2e-tv {label}")));
    let mut state = SymmetricState::new(&RATCHET);
    state.mix_hash(&bob.public().0);
    state.mix_hash(&ephemeral.public().0);
    state.mix_key(&ephemeral.dh(&bob.public()).unwrap());
    let static_key = if bound { alice.public().0 } else { [0; 32] };
    let first = state.encrypt_and_hash(&static_key);
    if bound {
        state.mix_key(&alice.dh(&bob.public()).unwrap());
    }
    let second = state.encrypt_and_hash(&hex("0000046955b900 fe00020000"));
    (first, second, state)
}

#[test]
fn ratchet_new_session_follows_the_reference() {
    let (first, second, state) = new_session(true);
    assert_eq!(
        first,
        hex("9270f1c88d66ff4ad8a035c72fcfa834a57d57b040084fbe9621d38cb97187ca
             a8eaccce524f8ca3b6ee96212bfef517")
    );
    assert_eq!(second, hex("f3e8936fcbdb638d184d80fcbb2d3dc8c5a520b02f1274a0ad727562"));
    assert_eq!(state.ck()[..], hex("5e0865fb7208700ac7bc46dc822687f7a5596e489340c0b17faecd9a29daa7af")[..]);
    assert_eq!(state.h()[..], hex("ce8d0c153d87505d5137f76bc095a359d92b60e45cb938133c191ca2bcd85cb3")[..]);
    let (first, second, _) = new_session(false);
    assert_eq!(
        first,
        hex("8eb8ed66d73edacf68f692570bb989f0789dfbeacd5c2afa8b53b23b35940181
             8aff89cd76dccdbe770b63643ac3fa4a")
    );
    assert_eq!(second, hex("bb096f94cde8892a67e75827985ae09c013be4290151bf5a0e43838d"));
}

#[test]
fn ratchet_reply_follows_the_reference() {
    let (_, _, mut state) = new_session(true);
    let [alice, ephemeral, theirs] = ["alice static", "bob ephemeral 0", "alice ephemeral 1"]
        .map(|label| secret(&format!("i2p-e2e-tv {label}")));
    state.mix_hash(&hex("218a2eb179de82db"));
    state.mix_hash(&ephemeral.public().0);
    state.mix_key(&ephemeral.dh(&theirs.public()).unwrap());
    state.mix_key(&ephemeral.dh(&alice.public()).unwrap());
    assert_eq!(state.encrypt_and_hash(b""), hex("30288d5da363c335c1a26d32368e2521"));
    let (ab, ba) = state.split();
    assert_eq!(ab[..], hex("9c9bc746cdb06447c7fda1d5a074c8d693f4ed9b6ea99ae5babcbfc74538e0a1")[..]);
    let key = kdf::hkdf32(&ba, b"", b"AttachPayloadKDF");
    let sealed = aead::seal(&key, 0, state.h(), &hex("fe00020000"));
    assert_eq!(sealed, hex("1e08e980366d3508bfa8db05140339f9ff4e325ca4"));
    let representative =
        elligator2::decode(&arr("bff3c1b1ba387fd3feecd13aa8c45f7297b36e7fa9f71aec44130c60848a4908"));
    assert_eq!(representative, Some(ephemeral.public()));
}

#[test]
fn the_two_forms_of_state_agree() {
    let mut one = SymmetricState::new(&NTCP2);
    one.mix_key_bytes(b"secret");
    let (mut two, mut reader) = (one.fork(), one.fork());
    for text in [&b"first"[..], b"", b"third"] {
        let sealed = one.encrypt_and_hash(text);
        let mut buf = text.to_vec();
        two.encrypt_in_place(&mut buf);
        assert_eq!(buf, sealed);
        let mut bad = sealed.clone();
        bad[0] ^= 1;
        assert_eq!(reader.fork().decrypt_in_place(&mut bad.clone()), Err(BadMac));
        assert_eq!(reader.decrypt_and_hash(&bad), Err(BadMac));
        let mut in_place = reader.fork();
        assert_eq!(reader.decrypt_and_hash(&sealed).unwrap(), text);
        in_place.decrypt_in_place(&mut buf).unwrap();
        assert_eq!((&buf[..], in_place.h(), one.h()), (text, reader.h(), two.h()));
        assert_eq!(one.h(), reader.h());
    }
}

/// The clear text of the reference build record.
fn request(flags: u8) -> Vec<u8> {
    let mut clear = hex("0102030405060708");
    clear.extend([0x33; 32]);
    clear.extend([flags, 0, 0, 0]);
    for word in [29_000_000u32, 600, 0x0a0b_0c0d] {
        clear.extend(word.to_be_bytes());
    }
    clear.resize(154, 0);
    clear
}

#[test]
fn build_record_follows_the_reference() {
    let (hop, ephemeral) = (X25519Secret::from_bytes([0x11; 32]), X25519Secret::from_bytes([0x22; 32]));
    let sealed = noise_n::seal_from(&ephemeral, &hop.public(), &request(0)).unwrap();
    assert_eq!(sealed.bytes.len(), 202);
    assert_eq!(sealed.bytes[32..48], hex("56229e69268180d06ac985d05b859fff")[..]);
    assert_eq!(sealed.bytes[186..], hex("7bbba56c4860169e02730ac09a9d1e9a")[..]);
    assert_eq!(sealed.ck[..], hex("6d8b99d489555d8aa80b35342297ef99a8056539da9a4380d093d70f50217c1d")[..]);
    assert_eq!(sealed.h, arr("d94da95284ce1362ccaf2b1fc5fb7ea9a1c9d221168f5143346d3d48f92237e1"));

    let opened = noise_n::open(&hop, &hop.public(), &sealed.bytes).unwrap();
    assert_eq!((opened.payload, opened.ck, opened.h), (request(0), sealed.ck.duplicate(), sealed.h));

    let keys = RecordKeys::derive(&sealed.ck, false);
    assert_eq!(keys.reply[..], hex("7b5aa97c872496f26151a127ba4ed4e65d749a9347d902d44396f6634bd976df")[..]);
    assert_eq!(keys.layer[..], hex("21a98a7ee73e4fa798037621ba7d3f0b1b40b0aa29153c3d08af45b421f64e0b")[..]);
    assert_eq!(keys.iv[..], hex("f04767977eb05796946df9d230e7e89807308da200b1563f48603fc0048c1c94")[..]);
    assert!(keys.garlic.is_none());

    let mut reply = vec![0u8; 202];
    keys.seal_reply(2, &sealed.h, &mut reply);
    assert_eq!(reply[..16], hex("e9e1f25d2a62cc06c0116669251628ae")[..]);
    assert_eq!(reply[202..], hex("1415fe475b4f6509d052cd95efb13ad6")[..]);
    assert_eq!(keys.open_reply(2, &sealed.h, &reply), Ok(vec![0; 202]));
    assert_eq!(keys.open_reply(1, &sealed.h, &reply), Err(BadMac));
    let mut other = vec![0u8; 218];
    keys.mask(3, &mut other);
    assert_eq!(other[..16], hex("a41ab8002817077954a1a9f44d3ccc95")[..]);
}

#[test]
fn endpoint_record_follows_the_reference() {
    let (hop, ephemeral) = (X25519Secret::from_bytes([0x11; 32]), X25519Secret::from_bytes([0x22; 32]));
    let sealed = noise_n::seal_from(&ephemeral, &hop.public(), &request(0x40)).unwrap();
    let digest = sha256(&[&[0x44; 16], &sealed.bytes]);
    assert_eq!(digest, arr("615a022a0a55ec5cae06bf962df1b87b70f981155d6799d9853066809e0727ff"));
    let keys = RecordKeys::derive(&sealed.ck, true);
    assert_eq!(keys.iv[..], hex("9903084ed860a7272f1d499d2fd025d99d2e6d5720a81f9b5241766101c74386")[..]);
    let (key, tag) = keys.garlic.as_ref().unwrap();
    assert_eq!(key[..], hex("3aab6fe61e99ba598f474b64d44143ec277f03c83c2d7ad02c58bfa6fab1f963")[..]);
    assert_eq!(tag[..], hex("5afb603573d97872")[..]);
}

#[test]
fn long_record_follows_the_reference() {
    let (hop, ephemeral) = (X25519Secret::from_bytes([0x11; 32]), X25519Secret::from_bytes([0x22; 32]));
    let mut clear = hex("0102030405060708");
    for (byte, count) in [(0x33, 32), (0x55, 32), (0x66, 32), (0x77, 32), (0x88, 16), (0, 4)] {
        clear.extend(std::iter::repeat_n(byte, count));
    }
    for word in [29_000_000u32, 600, 0x0a0b_0c0d] {
        clear.extend(word.to_be_bytes());
    }
    clear.resize(464, 0);
    let sealed = noise_n::seal_from(&ephemeral, &hop.public(), &clear).unwrap();
    let digest = sha256(&[&[0x44; 16], &sealed.bytes]);
    assert_eq!(digest, arr("25bbc385c90e54292db43c355dfb89de7a7e1489c56408a7f0f20980d4095ed0"));
    // The reply is sealed under the chaining key itself.
    let reply = aead::seal(&sealed.ck, 0, &sealed.h, &[0; 512]);
    let digest = sha256(&[&reply]);
    assert_eq!(digest, arr("5521ca943376dda8cbc3718aa201cdfcc1d0886a8a8a450b5e8f655908a19882"));
}

#[test]
fn one_way_messages_are_screened() {
    let mut rng = rng(1);
    let hop = X25519Secret::random(&mut rng);
    let public = hop.public();
    let body = noise_n::seal(&mut rng, &public, b"payload").unwrap();
    assert_eq!(body.len(), 7 + noise_n::OVERHEAD);
    assert_eq!(noise_n::open(&hop, &public, &body).unwrap().payload, b"payload");
    for bit in 0..body.len() * 8 {
        let mut bad = body.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(noise_n::open(&hop, &public, &bad).is_err(), "bit {bit}");
    }
    for len in 0..body.len() {
        assert!(noise_n::open(&hop, &public, &body[..len]).is_err());
    }
    // A key of low order: nothing is sent to it, and nothing from it is opened.
    let low = curve25519_dalek::constants::X25519_LOW_ORDER_POINTS;
    for point in low {
        let point = point.to_bytes();
        assert!(noise_n::seal(&mut rng, &X25519Public(point), b"payload").is_none());
        let bad = [&point[..], &body[32..]].concat();
        assert!(noise_n::open(&hop, &public, &bad).is_err());
    }
}

#[test]
fn router_garlic_follows_the_reference() {
    let hop = X25519Secret::from_bytes([0x11; 32]);
    let body = hex(
        "0faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f205720990a95cc87d359ecb6e969b4afc8
         b1ad45f1c0c7495d0f696ca20fdc3e9d463015a19adb24ffc3558cd250a68d51f5f3d43dbcaada",
    );
    let opened = noise_n::open(&hop, &hop.public(), &body).unwrap();
    assert_eq!(opened.payload[..7], hex("000004 67b64b00")[..]);
    let ephemeral = X25519Secret::from_bytes([0x22; 32]);
    assert_eq!(noise_n::seal_from(&ephemeral, &hop.public(), &opened.payload).unwrap().bytes, body);
}
