// SPDX-License-Identifier: MIT
//! Random ways and random orders: what goes in comes out or is counted.

use std::time::Duration;

use proptest::prelude::*;

use super::bounds::random_cell;
use super::world::{Lease, World, hash};
use crate::tunnel::plane::{Input, JoinLimits, PlaneConfig};
use crate::tunnel::types::{Install, NextHop, PoolId, TunnelConfig, TunnelKey};
use crate::wire::{I2np, TunnelId};

const POOL: PoolId = PoolId(5);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_sent_over_good_links_arrives(
        out in prop::collection::vec(0usize..6, 0..8),
        back in prop::collection::vec(0usize..6, 0..8),
        sizes in prop::collection::vec(prop_oneof![0usize..3000, 0usize..20_000], 1..12),
        seed in any::<u64>(),
    ) {
        let mut world = World::with(6, seed, PlaneConfig::default());
        let handle = world.outbound(0, PoolId(4), &out);
        let lease = world.inbound(1, POOL, &back);
        let mut sent: Vec<I2np> = sizes.iter().map(|&n| world.message(n)).collect();
        for part in sent.chunks(4) {
            let batch = part.iter().map(|m| (lease.delivery(), m.clone())).collect();
            world.out(0, handle, batch);
        }
        // Batches overtake each other.
        while !world.wire.is_empty() {
            let at = world.rng.index(world.wire.len());
            let flight = world.wire.swap_remove_front(at).expect("there");
            world.deliver(flight);
        }
        let mut got = world.take_up(1, POOL);
        got.sort_by_key(|m| m.id);
        sent.sort_by_key(|m| m.id);
        prop_assert_eq!(got, sent);
        world.assert_conserved();
        prop_assert!(world.planes.iter().all(|p| p.incomplete() == (0, 0)));
    }

    #[test]
    fn whatever_happens_the_books_balance(seed in any::<u64>()) {
        let join = JoinLimits { tunnel_messages: 4, tunnel_bytes: 20_000, total_bytes: 30_000, ..JoinLimits::default() };
        let config = PlaneConfig { transit_max: 12, own_max: 6, tags_max: 4, join, ..PlaneConfig::default() };
        let mut world = World::with(4, seed, config);
        let mut ways: Vec<(usize, TunnelId, Lease)> = Vec::new();
        for _ in 0..60 {
            chaos(&mut world, &mut ways);
        }
        world.run();
        world.assert_conserved();
        for plane in &world.planes {
            let (messages, bytes) = plane.incomplete();
            prop_assert!(plane.transit_tunnels() <= 12 && plane.own_tunnels() <= 6);
            prop_assert!(bytes <= 30_000 && messages <= 4 * 18);
        }
        world.pass(Duration::from_secs(700));
        world.assert_conserved();
        for plane in &world.planes {
            prop_assert_eq!((plane.transit_tunnels(), plane.own_tunnels(), plane.incomplete()), (0, 0, (0, 0)));
            prop_assert_eq!(plane.poll_timeout(), None);
        }
    }
}

/// One random step.
fn chaos(world: &mut World, ways: &mut Vec<(usize, TunnelId, Lease)>) {
    let router = world.rng.index(4);
    let target = world.rng.index(4);
    match world.rng.below(12) {
        0 | 1 => {
            let hops = world.rng.index(4);
            let path: Vec<usize> = (0..hops).map(|_| world.rng.index(4)).collect();
            let handle = world.outbound(router, POOL, &path);
            let lease = world.inbound(target, POOL, &path);
            ways.push((router, handle, lease));
        }
        2..=5 if !ways.is_empty() => {
            let (from, handle, lease) = ways[world.rng.index(ways.len())];
            let size = world.rng.index(9000);
            let message = world.message(size);
            world.out(from, handle, vec![(lease.delivery(), message)]);
        }
        6 => {
            let lost = world.wire.pop_front();
            drop(lost);
        }
        7 => {
            if let Some(mut flight) = world.wire.pop_back() {
                world.rng.shuffle(&mut flight.messages);
                flight.messages.pop();
                world.deliver(flight);
            }
        }
        8 => world.run(),
        9 => {
            let seconds = world.rng.below(30);
            world.pass(Duration::from_secs(seconds));
        }
        10 if !ways.is_empty() => {
            let (_, handle, lease) = ways[world.rng.index(ways.len())];
            world.input(router, Input::Remove(TunnelKey::Outbound(handle)));
            world.input(target, Input::Remove(TunnelKey::Receive(lease.id)));
        }
        _ => {
            let receive = TunnelId(world.rng.below(8) as u32);
            let next = NextHop { router: hash(target), tunnel: TunnelId(world.rng.below(8) as u32) };
            let keys = world.keys();
            let expires = world.now.mono + Duration::from_secs(world.rng.below(100));
            let config = TunnelConfig::Participant { receive, previous: None, next, keys };
            world.input(router, Input::Install(Install { config, expires, rate: Some(5000) }));
            let messages = (0..4).map(|_| random_cell(world, receive.0)).collect();
            world.input(router, Input::FromPeer { peer: hash(target), messages });
        }
    }
}
