// SPDX-License-Identifier: MIT

use super::*;
use crate::crypto::{X25519Public, X25519Secret};
use crate::wire::{Lease2, LeaseSetContent, LeaseSetKey, RouterHash, SigType, TunnelId};

/// A quarter past ten.
const WALL_MS: u64 = 1_795_428_900_000;

fn now() -> Now {
    Now { wall_ms: WALL_MS, ..Now::default() }
}

fn lease_set(keys: &DestinationKeys, rng: &mut Rng, end_s: u32) -> LeaseSet2 {
    let published_s = now().wall_s();
    let content = LeaseSetContent {
        published_s,
        expires_s: published_s + 600,
        encrypted: true,
        keys: vec![LeaseSetKey { kind: 4, key: vec![7; 32] }],
        leases: vec![Lease2 { gateway: RouterHash([1; 32]), tunnel: TunnelId(5), end_s }],
        ..LeaseSetContent::default()
    };
    LeaseSet2::build_with(keys.destination(), content, |bytes| keys.signing().sign_parts(rng, &[bytes]))
}

/// Publishes with `encryption` and reads with `access`, by the name that belongs to it.
fn pass(sig_type: SigType, encryption: &Encryption, access: &BlindedAccess) -> Result<(), Error> {
    let mut rng = Rng::from_seed(5);
    let keys = DestinationKeys::generate_type(sig_type, &mut rng).expect("keys");
    encryption.check(&keys)?;
    let inner = lease_set(&keys, &mut rng, now().wall_s() + 500);
    let sealed = encryption.seal(&keys, &inner, &mut rng).expect("seals");
    let again = EncryptedLeaseSet::from_bytes(sealed.raw()).expect("reads");
    let name = encryption.name(&keys).expect("a name");
    let day = access.blind(&name, WALL_MS)?;
    assert_eq!(again.store_key(), day.store_key());
    let opened = access.open(now(), &name, &day, &Verified::check(again).expect("signed"))?;
    assert_eq!(*opened, inner);
    Ok(())
}

fn open_to(access: ClientAccess) -> Encryption {
    Encryption { secret: Zeroizing::default(), access }
}

fn with_key(key: [u8; 32]) -> BlindedAccess {
    BlindedAccess { client_key: Some(Secret32::new(key)), ..BlindedAccess::default() }
}

fn with_secret(secret: &[u8]) -> BlindedAccess {
    BlindedAccess { secret: Zeroizing::new(secret.to_vec()), ..BlindedAccess::default() }
}

#[test]
fn who_has_the_name_and_what_it_asks_for_can_read() {
    let client = X25519Secret::from_bytes([9; 32]);
    let dh = open_to(ClientAccess::Dh(vec![X25519Public([3; 32]), client.public()]));
    let psk = open_to(ClientAccess::Psk(vec![Secret32::new([4; 32])]));
    for sig_type in [SigType::Ed25519, SigType::RedDsa] {
        let secret = Encryption { secret: Zeroizing::new(b"word".to_vec()), ..Encryption::default() };
        pass(sig_type, &Encryption::default(), &BlindedAccess::default()).expect("everybody");
        pass(sig_type, &secret, &with_secret(b"word")).expect("the secret");
        pass(sig_type, &dh, &with_key([9; 32])).expect("DH");
        pass(sig_type, &psk, &with_key([4; 32])).expect("PSK");
        // A secret for one's own lease set does no harm where none is asked for.
        pass(sig_type, &Encryption::default(), &with_secret(b"mine")).expect("not asked for");
    }
}

#[test]
fn who_lacks_something_is_told_what() {
    let psk = open_to(ClientAccess::Psk(vec![Secret32::new([4; 32])]));
    let secret = Encryption { secret: Zeroizing::new(b"word".to_vec()), ..Encryption::default() };
    let refused = |e: &Encryption, a: &BlindedAccess| pass(SigType::RedDsa, e, a).expect_err("refused");
    let no_key = refused(&psk, &BlindedAccess::default());
    assert_eq!((no_key.kind(), no_key.explain().contains("leaseSetPrivKey")), (ErrorKind::Denied, true));
    let wrong = refused(&psk, &with_key([5; 32]));
    assert_eq!(wrong.kind(), ErrorKind::Denied);
    assert!(wrong.explain().contains("not among"), "{wrong}");
    let no_secret = refused(&secret, &BlindedAccess::default());
    assert_eq!((no_secret.kind(), no_secret.explain().contains("leaseSetSecret")), (ErrorKind::Denied, true));
}

#[test]
fn what_cannot_be_published_is_refused_in_words() {
    let mut rng = Rng::from_seed(6);
    let config = |keys: &DestinationKeys, e: &Encryption| e.check(keys).expect_err("refused").kind();
    let p256 = DestinationKeys::generate_type(SigType::EcdsaP256, &mut rng).expect("keys");
    assert_eq!(config(&p256, &Encryption::default()), ErrorKind::Config);
    let keys = DestinationKeys::generate(&mut rng).expect("keys");
    let offline = keys.delegate(SigType::Ed25519, 2_000_000_000, &mut rng).expect("delegates");
    assert_eq!(config(&offline, &Encryption::default()), ErrorKind::Config);
    assert_eq!(config(&keys, &open_to(ClientAccess::Dh(vec![]))), ErrorKind::Config);
    let many = (0..=encrypted_ls::CLIENTS_MAX).map(|_| Secret32::new([1; 32])).collect();
    assert_eq!(config(&keys, &open_to(ClientAccess::Psk(many))), ErrorKind::Config);
}

#[test]
fn a_lease_set_of_another_destination_or_day_or_one_that_is_over_is_refused() {
    let mut rng = Rng::from_seed(7);
    let keys = DestinationKeys::generate(&mut rng).expect("keys");
    let other = DestinationKeys::generate(&mut rng).expect("keys");
    let (plain, access) = (Encryption::default(), BlindedAccess::default());
    let name = plain.name(&keys).expect("a name");
    let day = access.blind(&name, WALL_MS).expect("blinds");
    let open = |set: EncryptedLeaseSet| {
        let set = Verified::check(set).expect("signed");
        access.open(now(), &name, &day, &set).expect_err("refused")
    };
    // Signed with the right blinded key, but about somebody else: only the owner could do that, by mistake.
    let blinded = BlindedKey::of(SigType::Ed25519, name.key(), &date(WALL_MS), b"").expect("blinds");
    let signing = blinded.private(keys.signing()).expect("its owner");
    let mut inner = vec![3];
    inner.extend_from_slice(lease_set(&other, &mut rng, now().wall_s() + 500).raw());
    let published = now().wall_s();
    let everybody = ClientAccess::Everybody;
    let sealed = encrypted_ls::seal(&mut rng, blinded.subcredential(), published, &everybody, &inner);
    let mut sign = |bytes: &[u8]| signing.sign_parts(&mut rng, &[bytes]).to_vec();
    let foreign = EncryptedLeaseSet::build(blinded.public(), published, published + 600, &sealed, &mut sign);
    assert!(open(foreign).explain().contains("another destination"));
    let over = lease_set(&keys, &mut rng, now().wall_s() - 1);
    let over = plain.seal(&keys, &over, &mut rng).expect("seals");
    assert!(open(over).explain().contains("ended"));
    let tomorrow = access.blind(&name, WALL_MS + 86_400_000).expect("blinds");
    assert_ne!(tomorrow.store_key(), day.store_key());
    let good = plain.seal(&keys, &lease_set(&keys, &mut rng, published + 500), &mut rng).expect("seals");
    let good = Verified::check(good).expect("signed");
    assert!(access.open(now(), &name, &tomorrow, &good).is_err());
}
