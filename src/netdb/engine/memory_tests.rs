// SPDX-License-Identifier: MIT
//! The tables and the router's budget of memory (row Z3).
use super::*;
use crate::netdb::message;
use crate::netdb::testing::{Make, NET_ID, TestRouter, at};
use crate::wire::{DatabaseStore, StoreData};

fn engine(rng: &mut Rng, budget: &Budget) -> Engine {
    let router = TestRouter::new(rng);
    let mut engine = Engine::new(Config::for_test_network(router.hash(), NET_ID), at(0), rng.fork("engine"))
        .with_budget(budget);
    engine.handle(at(0), Input::Own(router.verified(&Make::default())));
    engine
}

fn floodfill(rng: &mut Rng, at: u8) -> Vec<u8> {
    let make = Make { caps: "XfR", host: Some(format!("198.18.{at}.1")), ..Make::default() };
    TestRouter::new(rng).verified(&make).raw().to_vec()
}

#[test]
fn z3_nobody_new_is_looked_for_when_memory_is_short() {
    let mut rng = Rng::from_seed(1);
    let budget = Budget::new(1_000_000);
    let mut engine = engine(&mut rng, &budget);
    for n in 1..4 {
        engine.handle(at(0), Input::Load(floodfill(&mut rng, n)));
    }
    let used = budget.used_by(Part::NetDb) as usize;
    assert!(used >= 3 * ROUTER_COST, "{used}");
    let others = budget.charge(Part::Streams, 970_000 - used);
    engine.handle_timeout(at(60_000));
    assert_eq!(engine.metrics.explorations.get(), 0);
    // What its owner says unasked is not taken either.
    let stranger = floodfill(&mut rng, 9);
    let from = RouterInfo::from_bytes(&stranger).unwrap().hash();
    let input = || Input::RouterInfo { from, bytes: stranger.clone(), flood: false };
    engine.handle(at(60_000), input());
    assert_eq!((engine.stats().routers, engine.metrics.stores_refused_busy.get()), (3, 1));
    drop(others);
    engine.handle_timeout(at(120_000));
    assert_eq!(engine.metrics.explorations.get(), 1);
    engine.handle(at(120_000), input());
    assert_eq!(engine.stats().routers, 4);
    drop(engine);
    assert_eq!(budget.used(), 0);
}

#[test]
fn z3_a_floodfill_keeps_what_it_has_and_nothing_new_when_memory_is_short() {
    let mut rng = Rng::from_seed(2);
    let budget = Budget::new(1_000_000);
    let us = TestRouter::new(&mut rng);
    let config = Config::for_test_network(us.hash(), NET_ID).with_floodfill();
    let mut engine = Engine::new(config, at(0), rng.fork("engine")).with_budget(&budget);
    engine.handle(at(0), Input::Own(us.verified(&Make::default())));
    let store = |rng: &mut Rng, engine: &mut Engine, now: Now, bytes: &[u8]| {
        let info = RouterInfo::from_bytes(bytes).unwrap();
        let store = DatabaseStore {
            key: info.hash().into(),
            reply: None,
            data: StoreData::RouterInfo(bytes.to_vec()),
        };
        let message = message::store(rng, now.wall_ms, &store);
        engine.handle(now, Input::Message { source: Source::Direct(RouterHash([8; 32])), message });
    };
    let known = TestRouter::new(&mut rng);
    let make = |ms| Make { host: Some("198.18.9.1".into()), published_ms: at(ms).wall_ms, ..Make::default() };
    store(&mut rng, &mut engine, at(0), known.verified(&make(0)).raw());
    assert_eq!(engine.stats().routers, 1);
    let others = budget.charge(Part::Streams, 800_000 - budget.used() as usize);
    let stranger = floodfill(&mut rng, 9);
    store(&mut rng, &mut engine, at(60_000), &stranger);
    assert_eq!((engine.stats().routers, engine.metrics.stores_refused_busy.get()), (1, 1));
    // Who is known may say something new.
    let newer = known.verified(&make(60_000));
    store(&mut rng, &mut engine, at(60_000), newer.raw());
    let entry = engine.routers.get(&known.hash()).expect("known");
    assert_eq!(entry.info.published_ms(), newer.published_ms());
    drop(others);
    store(&mut rng, &mut engine, at(60_000), &stranger);
    assert_eq!((engine.stats().routers, engine.metrics.stores_refused_busy.get()), (2, 1));
}
