// SPDX-License-Identifier: MIT
//! Tunnels and the router's budget of memory (row Z3).

use std::time::Duration;

use super::world::hash;
use crate::base::{Budget, Mono, Now, Part, Rng};
use crate::tunnel::plane::{Input, Plane, PlaneConfig};
use crate::tunnel::types::{HopKeys, Install, NextHop, TunnelConfig};
use crate::wire::TunnelId;

fn now() -> Now {
    Now { mono: Mono::from_secs(1), wall_ms: 1_800_000_000_000 }
}

fn settle(plane: &mut Plane) {
    while plane.poll_action().is_some() {}
}

#[test]
fn z3_tunnels_count_and_are_given_back_at_their_end() {
    let budget = Budget::new(1 << 30);
    let mut rng = Rng::from_seed(1);
    let mut plane = Plane::new(hash(0), PlaneConfig::default(), rng.fork("plane")).with_budget(&budget);
    let idle = budget.used_by(Part::Tunnels);
    assert_eq!(idle, plane.filter_bytes() as u64);
    let next = NextHop { router: hash(1), tunnel: TunnelId(9) };
    for id in 1..=100 {
        let keys = HopKeys::new(&rng.bytes(), &rng.bytes());
        let config = TunnelConfig::Participant { receive: TunnelId(id), previous: None, next, keys };
        plane.handle(now(), Input::Install(Install { config, expires: Mono::from_secs(60), rate: None }));
    }
    settle(&mut plane);
    assert_eq!(budget.used_by(Part::Tunnels), idle + 100 * 2048);
    let later = now().later(Duration::from_secs(120));
    plane.handle_timeout(later);
    assert_eq!((plane.transit_tunnels(), plane.own_tunnels()), (0, 0));
    assert_eq!(budget.used_by(Part::Tunnels), plane.filter_bytes() as u64);
    drop(plane);
    assert_eq!(budget.used(), 0);
}
