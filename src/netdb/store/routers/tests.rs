// SPDX-License-Identifier: MIT
use super::*;
use crate::base::Rng;
use crate::netdb::testing::{Make, NET_ID, NOON, TestRouter, at};
use crate::wire::DecodeError;

fn table(floodfill: bool, limit: usize) -> Routers {
    let own = RouterHash([0xaa; 32]);
    Routers::new(Rules { own, net_id: NET_ID, floodfill, limit, view: ViewPolicy::default() })
}

fn put(table: &mut Routers, ms: u64, bytes: &[u8], origin: Origin) -> Result<Admitted, Refusal> {
    let examined = table.examine(at(ms), bytes, origin)?;
    table.admit(at(ms), examined, Standing::default())
}

#[test]
fn a_sound_router_info_is_taken_once_and_then_only_newer_ones() {
    let mut rng = Rng::from_seed(1);
    let (mut table, router) = (table(false, 100), TestRouter::new(&mut rng));
    let make = Make::default();
    assert_eq!(put(&mut table, 0, &router.bytes(&make), Origin::Owner), Ok(Admitted::New));
    assert_eq!(put(&mut table, 0, &router.bytes(&make), Origin::Owner), Err(Refusal::NotNewer));
    let older = Make { published_ms: NOON - 1, ..make.clone() };
    assert_eq!(put(&mut table, 0, &router.bytes(&older), Origin::Owner), Err(Refusal::NotNewer));
    let newer = Make { published_ms: NOON + 1, caps: "XfR", ..make };
    assert_eq!(put(&mut table, 5, &router.bytes(&newer), Origin::Owner), Ok(Admitted::Updated));
    let entry = table.get(&router.hash()).unwrap();
    assert!(entry.floodfill);
    assert_eq!(entry.first_heard_ms, NOON);
}

#[test]
fn d2_every_rule_refuses_what_breaks_it() {
    let mut rng = Rng::from_seed(2);
    let mut table = table(false, 100);
    let router = TestRouter::new(&mut rng);
    let hour = 3_600_000;
    let base = Make::default();
    for (make, refusal) in [
        (Make { net_id: "2", ..base.clone() }, Refusal::WrongNetwork),
        (Make { net_id: "", ..base.clone() }, Refusal::WrongNetwork),
        (Make { version: "?", ..base.clone() }, Refusal::NoVersion),
        (Make { published_ms: NOON + 121_000, ..base.clone() }, Refusal::FromFuture),
        (Make { published_ms: NOON - 28 * hour, ..base.clone() }, Refusal::TooOld),
    ] {
        assert_eq!(put(&mut table, 0, &router.bytes(&make), Origin::Owner), Err(refusal));
    }
    let mut forged = router.bytes(&base);
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(put(&mut table, 0, &forged, Origin::Owner), Err(Refusal::BadSignature));
    let cut = &router.bytes(&base)[..300];
    assert_eq!(put(&mut table, 0, cut, Origin::Owner), Err(Refusal::Malformed(DecodeError::Short)));
    let mut long = router.bytes(&base);
    long.push(0);
    assert_eq!(put(&mut table, 0, &long, Origin::Owner), Err(Refusal::Malformed(DecodeError::Trailing)));
    assert_eq!(table.len(), 0);
}

#[test]
fn d2_age_limits_depend_on_the_way_it_came() {
    let mut rng = Rng::from_seed(3);
    let router = TestRouter::new(&mut rng);
    let hours = |h: u64| router.bytes(&Make { published_ms: NOON - h * 3_600_000, ..Make::default() });
    let mut client = table(false, 100);
    let mut floodfill = table(true, 100);
    assert_eq!(put(&mut floodfill, 0, &hours(2), Origin::Store), Err(Refusal::TooOld));
    assert_eq!(put(&mut floodfill, 0, &hours(2), Origin::Owner), Ok(Admitted::New));
    assert_eq!(put(&mut client, 0, &hours(200), Origin::Lookup), Err(Refusal::TooOld));
    assert_eq!(put(&mut client, 0, &hours(200), Origin::Disk), Ok(Admitted::New));
    assert_eq!(put(&mut client, 0, &hours(26), Origin::Lookup), Ok(Admitted::Updated));
}

#[test]
fn d1_a_full_table_parts_with_the_unknown_and_keeps_those_it_knows() {
    let mut rng = Rng::from_seed(4);
    let mut table = table(false, 200);
    let mut known = Vec::new();
    for i in 0..1_000 {
        let router = TestRouter::new(&mut rng);
        put(&mut table, 0, &router.bytes(&Make::default()), Origin::Store).unwrap();
        if i < 50 {
            let standing = Standing { contacted: true, ..Standing::default() };
            table.set_standing(&router.hash(), standing);
            known.push(router.hash());
        }
        if i == 50 {
            table.set_connected(&known[0], true);
        }
        table.evict(at(0));
        assert!(table.len() <= 200);
    }
    assert!(known.iter().all(|h| table.contains(h)), "established routers survive a flood");
}

#[test]
fn old_entries_expire_but_never_in_a_small_network() {
    let mut rng = Rng::from_seed(5);
    let mut table = table(false, 1_000);
    let hour = 3_600_000;
    for i in 0..150 {
        let published_ms = NOON - if i % 2 == 0 { 26 * hour } else { 0 };
        let make = Make { published_ms, ..Make::default() };
        put(&mut table, 0, &TestRouter::new(&mut rng).bytes(&make), Origin::Lookup).unwrap();
    }
    assert_eq!(table.expire(at(0)).len(), 0);
    let gone = table.expire(at(2 * hour));
    assert_eq!(gone.len(), 60);
    assert_eq!(table.len(), 90);
    assert_eq!(table.expire(at(100 * hour)).len(), 0);
}

#[test]
fn a_snapshot_is_not_changed_by_what_follows() {
    let mut rng = Rng::from_seed(6);
    let mut table = table(false, 100);
    let router = TestRouter::new(&mut rng);
    put(&mut table, 0, &router.bytes(&Make::default()), Origin::Owner).unwrap();
    assert_eq!(table.changed(), Changed::Routers);
    let before = table.view(None);
    assert_eq!(table.changed(), Changed::Nothing);
    table.set_connected(&router.hash(), true);
    assert_eq!(table.changed(), Changed::Standing);
    assert!(!before.get(&router.hash()).unwrap().connected);
    assert!(table.view(None).get(&router.hash()).unwrap().connected);
}
