// SPDX-License-Identifier: MIT
use super::*;
use crate::base::Rng;
use crate::netdb::testing::{TestDestination, at};

fn ls2(set: &LeaseSet2) -> StoreData {
    StoreData::LeaseSet2(set.raw().to_vec())
}

fn sets() -> LeaseSets {
    LeaseSets::new(RouterHash([0; 32]), 50, 50 * 1024)
}

#[test]
fn a_lease_set_is_kept_until_it_ends() {
    let mut rng = Rng::from_seed(1);
    let (mut sets, owner) = (sets(), TestDestination::new(&mut rng));
    let data = ls2(&owner.lease_set(at(0)));
    assert_eq!(sets.admit(at(0), owner.key(), &data), Ok(()));
    assert_eq!(sets.get(at(599_000), &owner.key()).unwrap().data(), data);
    assert!(sets.get(at(630_000), &owner.key()).is_none());
    sets.expire(at(630_000));
    assert_eq!((sets.len(), sets.bytes), (0, 0));
}

#[test]
fn only_newer_versions_replace() {
    let mut rng = Rng::from_seed(2);
    let (mut sets, owner) = (sets(), TestDestination::new(&mut rng));
    let (old, new) = (owner.lease_set(at(0)), owner.lease_set(at(5_000)));
    assert_eq!(sets.admit(at(6_000), owner.key(), &ls2(&new)), Ok(()));
    assert_eq!(sets.admit(at(6_000), owner.key(), &ls2(&new)), Err(Refusal::NotNewer));
    assert_eq!(sets.admit(at(6_000), owner.key(), &ls2(&old)), Err(Refusal::NotNewer));
}

#[test]
fn every_rule_refuses_what_breaks_it() {
    let mut rng = Rng::from_seed(3);
    let (mut sets, owner) = (sets(), TestDestination::new(&mut rng));
    let now = at(0);
    let s = now.wall_s();
    let good = owner.lease_set(now);
    let mut forged = good.raw().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    for (key, data, refusal) in [
        (Hash([1; 32]), ls2(&good), Refusal::WrongKey),
        (owner.key(), StoreData::LeaseSet2(forged), Refusal::BadSignature),
        (owner.key(), ls2(&owner.lease_set_with(s, s + 600, true)), Refusal::Unpublished),
        (owner.key(), ls2(&owner.lease_set_with(s, s + 1_000, false)), Refusal::FromFuture),
        (owner.key(), ls2(&owner.lease_set_with(s + 200, s + 600, false)), Refusal::FromFuture),
        (owner.key(), ls2(&owner.lease_set_with(s - 700, s - 1, false)), Refusal::TooOld),
        (owner.key(), StoreData::Meta(vec![1, 2, 3]), Refusal::UnknownType),
    ] {
        assert_eq!(sets.admit(now, key, &data), Err(refusal));
    }
    let cut = StoreData::LeaseSet2(good.raw()[..400].to_vec());
    assert!(matches!(sets.admit(now, owner.key(), &cut), Err(Refusal::Malformed(_))));
    assert!(matches!(
        sets.admit(now, owner.key(), &StoreData::Encrypted(vec![0; 90])),
        Err(Refusal::Malformed(_))
    ));
    assert_eq!(sets.len(), 0);
}

#[test]
fn an_encrypted_lease_set_is_filed_under_its_blinded_key() {
    let mut rng = Rng::from_seed(4);
    let now = at(0);
    let key = crate::crypto::SigningKey::random(&mut rng);
    // Ed25519 stands in for RedDSA: the layout is the same, and the type is part of the key under which it is stored.
    let mut raw = vec![5, 0, 7];
    raw.extend_from_slice(&key.public());
    raw.extend_from_slice(&now.wall_s().to_be_bytes());
    raw.extend_from_slice(&600_u16.to_be_bytes());
    raw.extend_from_slice(&[0, 0, 0, 4, 1, 2, 3, 4]);
    let signature = key.sign(&raw);
    raw.remove(0);
    raw.extend_from_slice(&signature);
    let right = Hash(crate::crypto::sha256(&[&[0, 7], &key.public()]));
    let mut sets = sets();
    let data = StoreData::Encrypted(raw);
    assert_eq!(sets.admit(now, Hash(crate::crypto::sha256(&[&key.public()])), &data), Err(Refusal::WrongKey));
    assert_eq!(sets.admit(now, right, &data), Ok(()));
    assert_eq!(sets.get(now, &right).unwrap().data(), data);
}

#[test]
fn number_and_bytes_stay_bounded_and_the_farthest_go() {
    let mut rng = Rng::from_seed(5);
    let mut sets = sets();
    let mut keys = Vec::new();
    for _ in 0..200 {
        let owner = TestDestination::new(&mut rng);
        sets.admit(at(0), owner.key(), &ls2(&owner.lease_set(at(0)))).unwrap();
        keys.push(owner.key());
        assert!(sets.len() <= 50 && sets.bytes <= 50 * 1024);
    }
    keys.sort_by_key(|k| RoutingKey::new(k, at(0).wall_ms).distance(&RouterHash([0; 32])));
    assert!(keys[..20].iter().all(|k| sets.get(at(0), k).is_some()), "the nearest are kept");
}
