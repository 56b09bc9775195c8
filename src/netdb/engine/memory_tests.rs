// SPDX-License-Identifier: MIT
//! The tables and the router's budget of memory (row Z3).
use super::*;
use crate::netdb::testing::{Make, NET_ID, TestRouter, at};

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
