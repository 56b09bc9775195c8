// SPDX-License-Identifier: MIT
//! Every kind of secret: wherever its value was moved to, nothing is left when it is dropped.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::heap::{Search, in_child};
use crate::base::Rng;
use crate::crypto::aead::Cipher;
use crate::crypto::encrypted_ls::ClientAccess;
use crate::crypto::layer::LayerKeys;
use crate::crypto::noise::SymmetricState;
use crate::crypto::record::RecordKeys;
use crate::crypto::sign::{AnySigningKey, RedSigningKey};
use crate::crypto::siphash::LengthMask;
use crate::crypto::{
    BlindedKey, PasswordHash, PasswordMemory, Secret32, SharedSecret, SigningKey, X25519Secret, sha256,
};
use crate::wire::SigType;

/// A key that is found nowhere by accident.
pub(super) fn pattern(name: &str) -> [u8; 32] {
    sha256(&[b"a pattern for ", name.as_bytes()])
}

/// Moves many of a kind about as tables, queues and growing lists do.
fn travel<T>(make: impl Fn() -> T) -> (VecDeque<T>, mpsc::Receiver<T>) {
    let mut list = Vec::new();
    (0..50).for_each(|_| list.push(make()));
    let mut table = BTreeMap::new();
    while let Some(value) = list.pop() {
        table.insert(list.len().wrapping_mul(7919) % 997, value);
    }
    let mut queue = VecDeque::new();
    while table.len() > 20 {
        queue.extend(table.pop_first().map(|(_, value)| value));
    }
    let (tx, rx) = mpsc::channel();
    table.into_values().for_each(|value| tx.send(value).unwrap());
    // The first that were sent come back, so their places in the channel are stale.
    queue.extend(rx.try_iter().take(5));
    (queue, rx)
}

/// Looks for `secrets` while values made by `make` are about, and when they are gone.
fn check<T>(name: &'static str, secrets: &[&[u8]], make: impl Fn() -> T) {
    let mut search = Search::new();
    secrets.iter().for_each(|secret| search.add(name, secret));
    let held = travel(make);
    search.expect_all("while it is held");
    drop(held);
    search.expect_nothing("after the end");
}

#[test]
fn keys_leave_no_copy_behind() {
    if in_child("crypto::tests::wiped::keys_leave_no_copy_behind") {
        return;
    }
    let p = pattern;
    check("secret32", &[&p("secret32")], || Secret32::new(p("secret32")));
    check("x25519", &[&p("x25519")], || X25519Secret::from_bytes(p("x25519")));
    check("cipher", &[&p("cipher")], || Cipher::new(&p("cipher")));
    check("siphash", &[&p("siphash")[..16]], || LengthMask::from_derived(&p("siphash")));
    check("layer", &[&p("layer"), &p("iv")], || LayerKeys::new(&p("layer"), &p("iv")));
    check("noise", &[&p("noise")], || SymmetricState::from_parts(p("noise"), [0; 32]).fork());
    check("ed25519", &[&p("ed25519")], || AnySigningKey::from(SigningKey::from_seed(&p("ed25519"))));
    check("p256", &[&p("p256")], || AnySigningKey::from_bytes(SigType::EcdsaP256, &p("p256")).unwrap());
    check("psk", &[&p("psk")], || ClientAccess::Psk(vec![Secret32::new(p("psk"))]).clone());
    let shared = || -> SharedSecret {
        X25519Secret::from_bytes(p("ours")).dh(&X25519Secret::from_bytes(p("theirs")).public()).unwrap()
    };
    check("shared", &[&{ *shared().as_bytes() }], shared);
    let red = || RedSigningKey::from_bytes(&p("red")).unwrap();
    check("red", &[&{ *red().to_bytes() }], red);
    let day = || BlindedKey::of(SigType::Ed25519, &red().public(), b"20261123", b"word").unwrap();
    check("subcredential", &[&{ *day().subcredential() }], day);
    let record = || RecordKeys::derive(&p("record"), true);
    let keys = record();
    let garlic = keys.garlic.as_ref().map(|(key, _)| **key).unwrap();
    let secrets: [[u8; 32]; 4] = [*keys.reply, *keys.layer, *keys.iv, garlic];
    drop(keys);
    check("record", &secrets.each_ref().map(|key| key.as_slice()), record);
}

#[test]
fn generators_and_passwords_leave_no_copy_behind() {
    if in_child("crypto::tests::wiped::generators_and_passwords_leave_no_copy_behind") {
        return;
    }
    let seed = sha256(&[b"samovar seed", &5u64.to_be_bytes()]);
    check("generator", &[&seed], || Rng::from_seed(5));
    let mut search = Search::new();
    let password = Zeroizing::new("correct horse battery staple".to_owned());
    search.add("password", password.as_bytes());
    let (mut memory, salt) = (PasswordMemory::default(), Rng::from_seed(1).bytes());
    let hash = PasswordHash::new(password.as_bytes(), salt, &mut memory).unwrap();
    assert!(hash.verify(password.as_bytes(), &mut memory));
    search.expect_all("while it is held");
    drop(password);
    search.expect_nothing("after the end");
}

#[test]
fn the_search_sees_what_is_not_wiped() {
    if in_child("crypto::tests::wiped::the_search_sees_what_is_not_wiped") {
        return;
    }
    let mut search = Search::new();
    search.add("a bare list", &pattern("bare"));
    let mut bare = vec![0u8; 100_000];
    bare[60_000..60_032].copy_from_slice(&pattern("bare"));
    search.expect_all("while it is held");
    drop(bare);
    search.expect_all("after the end: given back, and not wiped");
}

/// What must not be copied or written without being asked by name. A type that gains such a trait fails to compile.
#[test]
fn secrets_cannot_be_cloned_by_accident() {
    trait IfCloned<A> {
        fn check() {}
    }
    impl<T> IfCloned<()> for T {}
    struct Cloned;
    impl<T: Clone> IfCloned<Cloned> for T {}
    // Ambiguous, and so an error, for a type that is Clone.
    let _ = <Secret32 as IfCloned<_>>::check;
    let _ = <X25519Secret as IfCloned<_>>::check;
    let _ = <SharedSecret as IfCloned<_>>::check;
    let _ = <SigningKey as IfCloned<_>>::check;
    let _ = <RedSigningKey as IfCloned<_>>::check;
    let _ = <AnySigningKey as IfCloned<_>>::check;
    let _ = <BlindedKey as IfCloned<_>>::check;
    let _ = <Cipher as IfCloned<_>>::check;
    let _ = <LengthMask as IfCloned<_>>::check;
    let _ = <LayerKeys as IfCloned<_>>::check;
    let _ = <SymmetricState as IfCloned<_>>::check;
    let _ = <RecordKeys as IfCloned<_>>::check;
    let _ = <crate::router::identity::RouterKeys as IfCloned<_>>::check;
    let _ = <crate::transport::LocalKeys as IfCloned<_>>::check;
}

/// The same for what could be written to a file or a client by a serialiser.
#[test]
fn secrets_cannot_be_serialised() {
    trait IfWritten<A> {
        fn check() {}
    }
    impl<T> IfWritten<()> for T {}
    struct Written;
    impl<T: serde::Serialize> IfWritten<Written> for T {}
    let _ = <Secret32 as IfWritten<_>>::check;
    let _ = <X25519Secret as IfWritten<_>>::check;
    let _ = <SigningKey as IfWritten<_>>::check;
    let _ = <AnySigningKey as IfWritten<_>>::check;
    let _ = <crate::destination::DestinationKeys as IfWritten<_>>::check;
}

/// `Debug` is there for logs, and tells a type's name only.
#[test]
fn printed_secrets_tell_nothing() {
    let key = || Secret32::new(*b"0123456789abcdef0123456789abcdef");
    let texts = [
        format!("{:?}", key()),
        format!("{:?}", X25519Secret::from_secret(&key())),
        format!("{:?}", SigningKey::from_seed(&key())),
        format!("{:?}", AnySigningKey::from(SigningKey::from_seed(&key()))),
        format!("{:?}", RedSigningKey::from_bytes(&key())),
        format!("{:?}", Cipher::new(&key())),
        format!("{:?}", LayerKeys::new(&key(), &key())),
        format!("{:?}", LengthMask::from_derived(&key())),
        format!("{:?}", SymmetricState::from_parts(*key(), [48; 32])),
        format!("{:?}", RecordKeys::derive(&key(), true)),
        format!("{:?}", ClientAccess::Psk(vec![key()])),
        format!("{:?}", Rng::from_seed(1)),
    ];
    for text in texts {
        assert!(text.len() < 40 && !text.contains("48") && !text.contains("012"), "{text}");
    }
}

#[test]
fn secrets_are_compared_whole() {
    let key = Secret32::new(pattern("compared"));
    assert_eq!(key, key.duplicate());
    for place in 0..32 {
        let mut other = key.duplicate();
        other[place] ^= 0x10;
        assert_ne!(key, other);
        assert!(!bool::from(key.as_ref().ct_eq(other.as_ref())));
    }
}
