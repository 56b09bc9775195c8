// SPDX-License-Identifier: MIT
//! Tunnels and the router's budget of memory (row Z3).

use std::time::Duration;

use super::world::hash;
use crate::base::{Budget, Mono, Now, Part, Rng};
use crate::tunnel::plane::{Input, Plane, PlaneConfig};
use crate::tunnel::types::{HopKeys, Install, NextHop, PoolId, TunnelConfig};
use crate::wire::{I2np, I2npKind, MessageId, TunnelGateway, TunnelId, Wire};

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
        let keys = HopKeys::new(rng.bytes(), rng.bytes());
        let config = TunnelConfig::Participant { receive: TunnelId(id), previous: None, next, keys };
        plane.handle(now(), Input::Install(Install { config, expires: Mono::from_secs(60), rate: None }));
    }
    settle(&mut plane);
    assert_eq!(budget.used_by(Part::Tunnels), idle + 100 * 2048);
    // A message that never becomes whole.
    let receive = TunnelId(500);
    let config = TunnelConfig::ZeroInbound { receive, owner: PoolId(3) };
    plane.handle(now(), Input::Install(Install { config, expires: Mono::from_secs(60), rate: None }));
    let inner = I2np { kind: I2npKind::DATA, id: MessageId(1), expiration_ms: now().wall_ms + 5000, body: vec![0; 900] };
    let mut message = Vec::new();
    inner.encode_long(&mut message);
    let body = TunnelGateway { tunnel: receive, message }.to_bytes();
    let outer = I2np { kind: I2npKind::TUNNEL_GATEWAY, body, ..inner };
    plane.handle(now(), Input::FromPeer { peer: hash(1), messages: vec![outer] });
    settle(&mut plane);
    let later = now().later(Duration::from_secs(120));
    plane.handle_timeout(later);
    assert_eq!((plane.transit_tunnels(), plane.own_tunnels()), (0, 0));
    assert_eq!(budget.used_by(Part::Tunnels), plane.filter_bytes() as u64);
    drop(plane);
    assert_eq!(budget.used(), 0);
}
