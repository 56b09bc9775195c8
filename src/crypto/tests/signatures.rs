// SPDX-License-Identifier: MIT
//! Signatures of every type, and the proof that they were checked.

use super::{arr, hex, rng};
use crate::crypto::sign::{AnySigningKey, RedSigningKey};
use crate::crypto::*;
use crate::wire::{SelfSigned, SigType};

const MESSAGE: &[u8] = b"an old destination signs this";

/// Type, public key and signature of [`MESSAGE`], reference values; the DSA one was made with the
/// published group and also checked by OpenSSL.
fn samples() -> Vec<(SigType, Vec<u8>, Vec<u8>)> {
    vec![
        (
            SigType::DsaSha1,
            hex("40b2505272734f1d69c1e2796b0d993f662868e078b1a87ea5569225e5e881dc136c29359e839a4d41c7ba11c9
                 81688a220a680fbf94da2472b3868ba97e0b7189c8b0a7b0f91758e689a573d2e4107891ee72912529bc9fd3e8
                 8ac7d5e44490c19b869599f831e18d288046f69394b4973d33964c99af68c56332b8e6c1474a"),
            hex("9a2a75d746347ecfa6180a890dc1b668030708fb190f5f14388386776ed13f662d7428b20cdf64e8"),
        ),
        (
            SigType::EcdsaP256,
            hex("30af58b087f0183425203c072b3a70e871e3b99be1f43c6fc5418842810c4001
                 a5f0eb9940d92f397adc4d984893e11ceda12cc0361ef4069196bb5a14011c5e"),
            hex("1f54014be9b325b031309ffba7c43b55db51548b27a7cd4093f056cf063deb35
                 db772a290fa832833b55bbc0faa2da8d4786c0c9ae3cbda89e76c88614ece4be"),
        ),
        (
            SigType::EcdsaP384,
            hex("0422af5f8c6e0931ef78e43a47c30323d86cb38e1080c62e1c0f0dcb87632a3293c0c871fba3b66274befcba
                 6610b52fcbc20ab44dc677f65cd77ba37fbf6a93a7045553284e7ae9e085f0b34c130924976cae5492f9a45a
                 a37be43ccc73a896"),
            hex("57b4a3d55ad02425702b42ab09cde70519498506c4ad8cd33a34a60e96cd0d80d77580e5ae0b38eaeb63ffe1
                 8f716a7b6f42a8e4ae2a8139cbd396c3c84d67855371b22224804525ca91b09bf4c1fd0e45af2de7c4cac1d6
                 59bf256a85fea9b2"),
        ),
        (
            SigType::EcdsaP521,
            hex("01b74a523d7695aa8225c6e90c2f27e4aafb836dccb1db108dfa6b56eabdc5e1e7dcfcb9c708410069fb5c2d
                 78522af24dfa3438375f3d2a161d95a966318847d2fc00afe031217d79895e6ca707f80dc95dc923b8f112d6
                 e9c6b6f8917769b47c60783010b476064108c83f01b635f651713a5ee7e1173531a928d74df1715bd9373163"),
            hex("01f537339320085a7fd32b27f766575921eef60b93b72fea00c81d4e37e1b2cd34256596f193077adf41855c
                 b8b555781f0064099943aa3bce49288bc1d54662141401a3dc5fcd473ad140867cc74de918a003a6222534c0
                 608300c3c87fd4c259b0abdfb27a41cbdf3895028c5a38adf3de95ec350d78626b60f61069787002cba34df0"),
        ),
        (
            SigType::Ed25519,
            SigningKey::from_seed(&[7; 32]).public().to_vec(),
            SigningKey::from_seed(&[7; 32]).sign(MESSAGE).to_vec(),
        ),
        {
            let key = RedSigningKey::from_bytes(&[9; 32]).unwrap();
            (SigType::RedDsa, key.public().to_vec(), key.sign_parts(&mut rng(1), &[MESSAGE]).to_vec())
        },
    ]
}

#[test]
fn ed25519_follows_rfc_8032() {
    // RFC 8032, 7.1, test 2.
    let key = SigningKey::from_seed(&arr("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"));
    assert_eq!(key.public(), arr("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"));
    let signature = key.sign(&[0x72]);
    assert_eq!(
        signature[..],
        hex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00")[..]
    );
    assert_eq!(key.sign_parts(&[&[], &[0x72]]), signature);
    assert_eq!(*key.seed(), arr("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"));
}

#[test]
fn every_type_verifies() {
    for (sig_type, public, signature) in samples() {
        assert_eq!(verify(sig_type, &public, &[MESSAGE], &signature), Ok(()), "{sig_type:?}");
        let (head, tail) = MESSAGE.split_at(5);
        assert_eq!(verify(sig_type, &public, &[head, b"", tail], &signature), Ok(()), "{sig_type:?}");
        assert_eq!(verify(sig_type, &public, &[tail, head], &signature), Err(BadSignature));
    }
}

#[test]
fn flipped_bits_and_wrong_lengths_are_refused() {
    for (sig_type, public, signature) in samples() {
        for at in 0..signature.len() {
            let mut bad = signature.clone();
            bad[at] ^= 1 << (at % 8);
            assert_eq!(verify(sig_type, &public, &[MESSAGE], &bad), Err(BadSignature), "{sig_type:?} {at}");
        }
        for at in (0..public.len()).step_by(7) {
            let mut bad = public.clone();
            bad[at] ^= 1 << (at % 8);
            assert_eq!(
                verify(sig_type, &bad, &[MESSAGE], &signature),
                Err(BadSignature),
                "{sig_type:?} {at}"
            );
        }
        for len in [0, 1, signature.len() - 1] {
            assert!(verify(sig_type, &public, &[MESSAGE], &signature[..len]).is_err());
        }
        for len in [0, 1, public.len() - 1] {
            assert!(verify(sig_type, &public[..len], &[MESSAGE], &signature).is_err());
        }
    }
}

#[test]
fn degenerate_keys_and_signatures_never_panic() {
    for (sig_type, public, signature) in samples() {
        for fill in [0x00, 0x01, 0x7f, 0xff] {
            let key = vec![fill; public.len()];
            let sig = vec![fill; signature.len()];
            assert!(verify(sig_type, &public, &[MESSAGE], &sig).is_err(), "{sig_type:?} {fill}");
            assert!(verify(sig_type, &key, &[MESSAGE], &signature).is_err(), "{sig_type:?} {fill}");
            assert!(verify(sig_type, &key, &[MESSAGE], &sig).is_err(), "{sig_type:?} {fill}");
        }
        let mut half_zero = signature.clone();
        half_zero[signature.len() / 2..].fill(0);
        assert!(verify(sig_type, &public, &[MESSAGE], &half_zero).is_err());
        half_zero = signature.clone();
        half_zero[..signature.len() / 2].fill(0);
        assert!(verify(sig_type, &public, &[MESSAGE], &half_zero).is_err());
    }
}

#[test]
fn an_unreduced_scalar_is_refused() {
    // S + L signs the same message; only the reduced form may pass.
    let key = SigningKey::from_seed(&[3; 32]);
    let mut signature = key.sign(MESSAGE);
    let order = hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut carry = 0u16;
    for (byte, add) in signature[32..].iter_mut().zip(order) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = carry as u8;
        carry >>= 8;
    }
    assert_eq!(verify(SigType::Ed25519, &key.public(), &[MESSAGE], &signature), Err(BadSignature));
}

#[test]
fn client_keys_of_every_type_sign() {
    let mut rng = rng(2);
    for sig_type in
        [SigType::EcdsaP256, SigType::EcdsaP384, SigType::EcdsaP521, SigType::Ed25519, SigType::RedDsa]
    {
        let key = AnySigningKey::random(sig_type, &mut rng).unwrap();
        assert_eq!((key.sig_type(), key.public().len()), (sig_type, sig_type.public_len()));
        let kept = AnySigningKey::from_bytes(sig_type, &key.to_bytes()).unwrap();
        assert_eq!(kept.public(), key.public());
        let signature = kept.sign_parts(&mut rng, &[b"an old destination", b" signs this"]);
        assert_eq!(verify(sig_type, key.public(), &[MESSAGE], &signature), Ok(()));
        assert!(AnySigningKey::from_bytes(sig_type, &key.to_bytes()[1..]).is_none());
        assert!(format!("{key:?}").ends_with(", ..)"));
    }
    assert!(AnySigningKey::random(SigType::DsaSha1, &mut rng).is_none());
    assert!(AnySigningKey::from_bytes(SigType::DsaSha1, &[1; 20]).is_none());
    assert!(AnySigningKey::from_bytes(SigType::EcdsaP256, &[0; 32]).is_none());
    assert!(AnySigningKey::from_bytes(SigType::EcdsaP256, &[0xff; 32]).is_none());
    assert!(AnySigningKey::from_bytes(SigType::RedDsa, &[0; 32]).is_none());
}

#[test]
fn red_public_keys_follow_the_reference() {
    // A blinded pair of the end-to-end reference values.
    let key =
        RedSigningKey::from_bytes(&arr("239cd157a3e1e9add4f9a1b58a40533fe518f97b57ec9a6e8b4af9a80926e609"));
    let public = key.unwrap().public();
    assert_eq!(public, arr("7c28baf01104e640556a66629d140839ff47eb485837ae313d8f819fe2936e8c"));
}

#[test]
fn ecdsa_signs_as_the_reference_does() {
    // Deterministic nonces (RFC 6979), so the signatures are equal to the byte.
    let private = hex("7985ebd3da40d5187d6d3ef3d626abf3c2b81c285ffb4e73104a472066c443b9");
    let key = AnySigningKey::from_bytes(SigType::EcdsaP256, &private).unwrap();
    let (_, public, signature) = samples().swap_remove(1);
    assert_eq!(key.public(), public);
    assert_eq!(key.sign_parts(&mut rng(3), &[MESSAGE]), signature);
}

/// Something with one signature, and perhaps an authorisation before it.
#[derive(Clone)]
struct Signed {
    key: [u8; 32],
    signature: [u8; 64],
    authorisation: Option<([u8; 32], [u8; 64])>,
}

impl SelfSigned for Signed {
    fn signer(&self) -> (SigType, &[u8]) {
        (SigType::Ed25519, &self.key)
    }
    fn signed_parts(&self) -> Vec<&[u8]> {
        vec![b"\x03", b"contents"]
    }
    fn signature(&self) -> &[u8] {
        &self.signature
    }
    fn authorisation(&self) -> Option<(SigType, &[u8], Vec<u8>, &[u8])> {
        let (key, signature) = self.authorisation.as_ref()?;
        Some((SigType::Ed25519, key, self.key.to_vec(), signature))
    }
}

#[test]
fn only_what_holds_becomes_verified() {
    let (owner, transient) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
    let plain = Signed { key: owner.public(), signature: owner.sign(b"\x03contents"), authorisation: None };
    let proof = Verified::check(plain.clone()).unwrap();
    assert_eq!(proof.key, owner.public());
    assert!(Verified::check(Signed { signature: owner.sign(b"contents"), ..plain.clone() }).is_err());

    let granted = Some((owner.public(), owner.sign(&transient.public())));
    let signature = transient.sign(b"\x03contents");
    let offline = Signed { key: transient.public(), signature, authorisation: granted };
    assert!(Verified::check(offline.clone()).is_ok());
    let forged = Some((owner.public(), transient.sign(&transient.public())));
    assert!(Verified::check(Signed { authorisation: forged, ..offline }).is_err());
}

/// Ed25519 where implementations differ. The network's other routers verify without cofactor and compare the bytes of R
/// (Java: the eddsa library; i2pd: OpenSSL), and so must we, or a signature would count here and not there.
#[test]
fn ed25519_decides_corner_cases_as_the_network_does() {
    use curve25519_dalek::constants::EIGHT_TORSION;
    use curve25519_dalek::edwards::EdwardsPoint;
    use curve25519_dalek::scalar::Scalar;
    use sha2::{Digest as _, Sha512};
    let holds = |public: &[u8; 32], message: &[u8], signature: &[u8]| {
        verify(SigType::Ed25519, public, &[message], signature).is_ok()
    };
    let challenge = |r: &[u8; 32], public: &[u8; 32], message: &[u8]| {
        let digest = Sha512::new().chain_update(r).chain_update(public).chain_update(message);
        Scalar::from_bytes_mod_order_wide(&digest.finalize().into())
    };
    let (secret, nonce) = (Scalar::from(77_777u32), Scalar::from(99_999u32));
    let r = EdwardsPoint::mul_base(&nonce).compress().to_bytes();
    // A key with a part of small order: what it signs holds where that part vanishes, and nowhere else.
    let mixed = (EdwardsPoint::mul_base(&secret) + EIGHT_TORSION[1]).compress().to_bytes();
    let (mut accepted, mut refused) = (0, 0);
    for message in 0..64u8 {
        let k = challenge(&r, &mixed, &[message]);
        let signature = [r, (nonce + k * secret).to_bytes()].concat();
        let vanishes = k.to_bytes()[0] % 8 == 0;
        assert_eq!(holds(&mixed, &[message], &signature), vanishes, "no cofactor");
        if vanishes { accepted += 1 } else { refused += 1 }
    }
    assert!(accepted > 0 && refused > 0);
    // A key of small order alone, and a signature of nothing: R must be exactly what the equation gives.
    for point in &EIGHT_TORSION[1..] {
        let public = point.compress().to_bytes();
        for message in 0..16u8 {
            let exact = EIGHT_TORSION.iter().map(|r| r.compress().to_bytes()).find(|r| {
                let k = challenge(r, &public, &[message]);
                (-(k * point)).compress().to_bytes() == *r
            });
            if let Some(r) = exact {
                assert!(holds(&public, &[message], &[r, [0; 32]].concat()));
            }
        }
    }
    // The neutral element as R, in its canonical spelling (y = 1) and as p + 1.
    let mut other = [0xff; 32];
    (other[0], other[31]) = (0xee, 0x7f);
    let neutral = EIGHT_TORSION[0].compress().to_bytes();
    let public = EdwardsPoint::mul_base(&secret).compress().to_bytes();
    let answer = |r: &[u8; 32]| [*r, (challenge(r, &public, b"m") * secret).to_bytes()].concat();
    assert!(holds(&public, b"m", &answer(&neutral)));
    assert!(!holds(&public, b"m", &answer(&other)), "R is compared by its bytes");
}
