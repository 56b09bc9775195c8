// SPDX-License-Identifier: MIT
//! DSA with SHA-1: the oldest destinations of the network. Verification only.
//!
//! All keys share one group of 1024 bits ("DSA" in the cryptography specification). A public key
//! is 128 bytes, a signature is `r || s` with 20 bytes each.

use dsa::signature::hazmat::PrehashVerifier;
use dsa::{BoxedUint, Components, Signature, VerifyingKey};
use sha1::{Digest, Sha1};
use std::sync::OnceLock;

use super::BadSignature;
use crate::crypto::hex::hex;

/// The prime p.
const P: [u8; 128] =
    hex("9c05b2aa960d9b97b8931963c9cc9e8c3026e9b8ed92fad0a69cc886d5bf8015fcadae31a0ad18fab3f01b00a358de23\
7655c4964afaa2b337e96ad316b9fb1cc564b5aec5b69a9ff6c3e4548707fef8503d91dd8602e867e6d35d2235c1869c\
e2479c3b9d5401de04e0727fb33d6511285d4cf29538d9e3b6051f5b22cc1c93");

/// The order q of the subgroup.
const Q: [u8; 20] = hex("a5dfc28fef4ca1e286744cd8eed9d29d684046b7");

/// The generator g.
const G: [u8; 128] =
    hex("0c1f4d27d40093b429e962d7223824e0bbc47e7c832a39236fc683af84889581075ff9082ed32353d4374d7301cda1d2\
3c431f4698599dda02451824ff369752593647cc3ddc197de985e43d136cdcfc6bd5409cd2f450821142a5e6f8eb1c3a\
b5d0484b8129fcf17bce4f7f33321c3cb3dbb14a905e7b2b3e93be4708cbcc82");

/// Checks a signature over the concatenation of `message`.
pub(super) fn verify(public: &[u8], message: &[&[u8]], signature: &[u8]) -> Result<(), BadSignature> {
    let public: &[u8; 128] = public.try_into().map_err(|_| BadSignature)?;
    let signature: &[u8; 40] = signature.try_into().map_err(|_| BadSignature)?;
    let group = group().ok_or(BadSignature)?;
    let y = uint(public).ok_or(BadSignature)?;
    if y >= **group.p() {
        return Err(BadSignature);
    }
    let key = VerifyingKey::from_components(group.clone(), y).map_err(|_| BadSignature)?;
    let (r, s) = signature.split_at(20);
    let signature =
        uint(r).zip(uint(s)).and_then(|(r, s)| Signature::from_components(r, s)).ok_or(BadSignature)?;
    let mut digest = Sha1::new();
    for part in message {
        digest.update(part);
    }
    key.verify_prehash(&digest.finalize(), &signature).map_err(|_| BadSignature)
}

/// The group, built once. `None` would mean that the constants above are broken.
fn group() -> Option<&'static Components> {
    static GROUP: OnceLock<Option<Components>> = OnceLock::new();
    GROUP.get_or_init(|| Components::from_components(uint(&P)?, uint(&Q)?, uint(&G)?).ok()).as_ref()
}

/// A number from big-endian bytes.
fn uint(bytes: &[u8]) -> Option<BoxedUint> {
    BoxedUint::from_be_slice(bytes, u32::try_from(bytes.len()).ok()? * 8).ok()
}
