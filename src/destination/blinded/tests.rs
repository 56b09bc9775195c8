// SPDX-License-Identifier: MIT

use super::*;
use crate::destination::{DestinationKeys, Encryption};
use crate::wire::{LeaseSetContent, LeaseSetKey};

const DAY_MS: u64 = 86_400_000;
/// Noon of some day.
const NOON_MS: u64 = 20_780 * DAY_MS + DAY_MS / 2;

fn at(wall_ms: u64) -> Now {
    Now { wall_ms, ..Now::default() }
}

struct Fixture {
    rng: Rng,
    keys: DestinationKeys,
    name: BlindedName,
    blinded: Blinded,
}

fn fixture() -> Fixture {
    let mut rng = Rng::from_seed(1);
    let keys = DestinationKeys::generate(&mut rng).expect("keys");
    let name = BlindedName::of(keys.destination(), false, false).expect("a name");
    let blinded = Blinded::new(BlindedAccess::default(), &mut rng);
    Fixture { rng, keys, name, blinded }
}

impl Fixture {
    fn published(&mut self, now: Now) -> Verified<EncryptedLeaseSet> {
        let published_s = now.wall_s();
        let lease = crate::wire::Lease2 {
            gateway: crate::wire::RouterHash([1; 32]),
            tunnel: crate::wire::TunnelId(1),
            end_s: published_s + 500,
        };
        let content = LeaseSetContent {
            published_s,
            expires_s: published_s + 600,
            encrypted: true,
            keys: vec![LeaseSetKey { kind: 4, key: vec![1; 32] }],
            leases: vec![lease],
            ..LeaseSetContent::default()
        };
        let (keys, rng) = (&self.keys, &mut self.rng);
        let set =
            LeaseSet2::build_with(keys.destination(), content, |b| keys.signing().sign_parts(rng, &[b]));
        let sealed = Encryption::default().seal(keys, &set, rng).expect("seals");
        Verified::check(sealed).expect("signed")
    }
}

fn gone() -> Error {
    Error::new(ErrorKind::LeaseSetNotFound, "not there")
}

#[test]
fn a_name_is_asked_for_once_and_answers_all_who_wait() {
    let mut f = fixture();
    let now = at(NOON_MS);
    let key = f.blinded.seek(now, f.name, None, Waiter::Call(1)).expect("begins").expect("asks");
    assert_eq!(f.blinded.seek(now, f.name, None, Waiter::Call(2)), Ok(None));
    let set = f.published(now);
    assert_eq!(set.store_key(), key);
    let sought = f.blinded.found(now, &key, &set).expect("was looked for");
    assert_eq!(sought.waiters, [Waiter::Call(1), Waiter::Call(2)]);
    let hash = f.keys.destination().hash();
    assert_eq!(sought.result.expect("opens").destination().hash(), hash);
    assert!(f.blinded.is_known(&hash), "and is looked for by name from now on");
    assert_eq!(f.blinded.refresh(now, hash), Ok(Some(key)));
    assert!(f.blinded.found(now, &Hash([0; 32]), &set).is_none(), "nobody asked");
}

#[test]
fn only_near_midnight_the_other_day_is_tried() {
    let mut f = fixture();
    let key = f.blinded.seek(at(NOON_MS), f.name, None, Waiter::Call(1)).expect("begins").expect("asks");
    assert!(matches!(f.blinded.failed(&key, &gone()), Some(Err(_))));
    assert!(f.blinded.failed(&key, &gone()).is_none(), "nobody asks any more");

    // Just before and just after midnight, with an owner whose clock is on the other side.
    let midnight = NOON_MS + DAY_MS / 2;
    for (mine, theirs) in [(midnight - 5_000, midnight + 5_000), (midnight + 5_000, midnight - 5_000)] {
        let (now, set) = (at(mine), f.published(at(theirs)));
        let key = f.blinded.seek(now, f.name, None, Waiter::Call(1)).expect("begins").expect("asks");
        let Some(Ok(other)) = f.blinded.failed(&key, &gone()) else { panic!("the other day is tried") };
        assert_ne!(other, key);
        assert_eq!(set.store_key(), other);
        assert!(f.blinded.found(now, &other, &set).expect("was looked for").result.is_ok());
    }
}

#[test]
fn a_flag_in_a_bundled_lease_set_is_enough_to_know_where_to_look() {
    let mut f = fixture();
    let hash = f.keys.destination().hash();
    let content = |encrypted| LeaseSetContent { encrypted, ..LeaseSetContent::default() };
    let set = |encrypted| LeaseSet2::build_with(f.keys.destination(), content(encrypted), |_| vec![0; 64]);
    let (plain, flagged) = (set(false), set(true));
    f.blinded.learn(&plain);
    assert!(!f.blinded.is_known(&hash));
    f.blinded.learn(&flagged);
    assert!(f.blinded.is_known(&hash));
}

#[test]
fn lists_are_bounded() {
    let mut f = fixture();
    let mut refused = 0;
    for n in 0..PENDING_MAX + 5 {
        let keys = DestinationKeys::generate(&mut f.rng).expect("keys");
        let name = BlindedName::of(keys.destination(), false, false).expect("a name");
        refused += usize::from(f.blinded.seek(at(NOON_MS), name, None, Waiter::Call(n as u64)).is_err());
    }
    assert_eq!(refused, 5);
    for n in 0..KNOWN_MAX + 5 {
        let hash = DestHash([(n % 251) as u8; 32].map(|b| b ^ (n / 251) as u8));
        f.blinded.remember(hash, f.name, Arc::default());
    }
    assert!(f.blinded.known.len() <= KNOWN_MAX && f.blinded.named.len() <= KNOWN_MAX);
}
