// SPDX-License-Identifier: MIT
//! Limits, at the limit and one past it; ids, ends of tunnels, losses and disorder.

use std::time::Duration;

use super::world::{WALL, World, hash};
use crate::base::Mono;
use crate::tunnel::plane::{Action, Input, InstallError, PlaneConfig};
use crate::tunnel::types::{Install, NextHop, PoolId, TunnelConfig, TunnelKey};
use crate::wire::{I2np, RouterHash, TunnelId};

const POOL: PoolId = PoolId(5);

fn participant(world: &mut World, receive: u32) -> TunnelConfig {
    let next = NextHop { router: hash(1), tunnel: TunnelId(9) };
    let keys = world.keys();
    TunnelConfig::Participant { receive: TunnelId(receive), previous: None, next, keys }
}

fn why(world: &mut World) -> Option<InstallError> {
    match world.refused.pop()? {
        Action::Refused { reason, .. } => Some(reason),
        _ => None,
    }
}

#[test]
fn t5_transit_stops_at_its_limit_and_own_tunnels_do_not_count() {
    for max in [0, 3] {
        let config = PlaneConfig { transit_max: max, own_max: 2, ..PlaneConfig::default() };
        let mut world = World::with(1, 1, config);
        for id in 1..=max {
            let tunnel = participant(&mut world, id as u32);
            world.install(0, tunnel);
        }
        assert!(world.refused.is_empty());
        let tunnel = participant(&mut world, 99);
        world.install(0, tunnel);
        assert_eq!(why(&mut world), Some(InstallError::Full));
        for _ in 0..2 {
            world.inbound(0, POOL, &[]);
        }
        assert!(world.refused.is_empty());
        world.inbound(0, POOL, &[]);
        assert_eq!(why(&mut world), Some(InstallError::Full));
        assert_eq!(world.planes[0].metrics().transit_tunnels.get(), max as u64);
        assert_eq!(world.planes[0].metrics().own_tunnels.get(), 2);
    }
}

#[test]
fn t8_ids_must_be_nonzero_and_unique_in_their_table() {
    let mut world = World::new(2);
    let tunnel = participant(&mut world, 7);
    world.install(0, tunnel);
    let receive = TunnelId(7);
    world.install(0, TunnelConfig::ZeroInbound { receive, owner: POOL });
    assert_eq!(why(&mut world), Some(InstallError::Duplicate));
    world.install(0, TunnelConfig::ZeroOutbound { handle: TunnelId(7), owner: POOL });
    assert_eq!(why(&mut world), None, "handles are a table of their own");
    world.install(0, TunnelConfig::ZeroOutbound { handle: TunnelId(7), owner: POOL });
    assert_eq!(why(&mut world), Some(InstallError::Duplicate));
    let tunnel = participant(&mut world, 0);
    world.install(0, tunnel);
    assert_eq!(why(&mut world), Some(InstallError::ZeroId));
    let next = NextHop { router: hash(1), tunnel: TunnelId(0) };
    let keys = world.keys();
    world.install(0, TunnelConfig::Gateway { receive: TunnelId(8), next, keys });
    assert_eq!(why(&mut world), Some(InstallError::ZeroId));
}

#[test]
fn own_tunnels_have_one_to_seven_hops() {
    for (hops, reason) in [(0, Some(InstallError::Hops)), (1, None), (7, None), (8, Some(InstallError::Hops))]
    {
        let mut world = World::new(1);
        let hops = (0..hops).map(|_| world.keys()).collect();
        let receive = TunnelId(3);
        world.install(0, TunnelConfig::Inbound { receive, owner: POOL, previous: None, hops });
        assert_eq!(why(&mut world), reason);
    }
}

#[test]
fn tunnels_end_on_time_and_their_ids_are_free_again() {
    let mut world = World::new(2);
    let start = world.now.mono;
    for (id, seconds) in [(1, 300), (2, 100), (3, 200), (4, 100)] {
        let config = participant(&mut world, id);
        let expires = start + Duration::from_secs(seconds);
        world.input(0, Input::Install(Install { config, expires, rate: None }));
    }
    assert_eq!(world.planes[0].poll_timeout(), Some(start + Duration::from_secs(100)));
    world.pass(Duration::from_micros(99_999_999));
    assert_eq!(world.planes[0].transit_tunnels(), 4);
    world.pass(Duration::from_micros(1));
    assert_eq!(world.planes[0].transit_tunnels(), 2);
    let config = participant(&mut world, 2);
    world.install(0, config);
    assert_eq!(why(&mut world), None);
    world.pass(Duration::from_secs(10_000));
    assert_eq!(world.planes[0].transit_tunnels(), 0);
    assert_eq!(world.planes[0].poll_timeout(), None);
    let config = participant(&mut world, 5);
    let expires = world.now.mono;
    world.input(0, Input::Install(Install { config, expires, rate: None }));
    assert_eq!(why(&mut world), Some(InstallError::Expired));
}

#[test]
fn a_removed_tunnel_takes_no_more_cells_and_its_slot_is_used_again() {
    let mut world = World::new(4);
    let handle = world.outbound(0, POOL, &[2]);
    let lease = world.inbound(1, POOL, &[3]);
    world.input(3, Input::Remove(TunnelKey::Receive(lease.id)));
    let message = world.message(10);
    world.out(0, handle, vec![(lease.delivery(), message)]);
    world.run();
    assert_eq!(world.planes[3].metrics().gateway_dropped_unknown.get(), 1);
    world.input(0, Input::Remove(TunnelKey::Outbound(handle)));
    let message = world.message(10);
    world.out(0, handle, vec![(lease.delivery(), message)]);
    assert_eq!(world.planes[0].metrics().out_dropped_unknown.get(), 1);
    for id in 1..2000 {
        let tunnel = participant(&mut world, id);
        world.install(0, tunnel);
        world.input(0, Input::Remove(TunnelKey::Receive(TunnelId(id))));
    }
    assert_eq!(world.planes[0].transit_tunnels(), 0);
    world.assert_conserved();
}

#[test]
fn cells_may_come_shuffled_and_twice() {
    for seed in 0..20 {
        let mut world = World::with(6, seed, PlaneConfig::default());
        let handle = world.outbound(0, POOL, &[2, 3]);
        let lease = world.inbound(1, POOL, &[4, 5]);
        let mut sent: Vec<I2np> = [30_000, 5_000, 1, 2_000].map(|n| world.message(n)).into();
        let batch = sent.iter().map(|m| (lease.delivery(), m.clone())).collect();
        world.out(0, handle, batch);
        while let Some(mut flight) = world.wire.pop_front() {
            let copies: Vec<I2np> = flight.messages.iter().step_by(3).cloned().collect();
            // Only cells are filtered; whole messages between tunnels may repeat.
            if flight.messages[0].body.len() == 1028 && flight.messages.len() > 3 {
                flight.messages.extend(copies);
                world.rng.shuffle(&mut flight.messages);
            }
            world.deliver(flight);
        }
        let mut got = world.take_up(1, POOL);
        got.sort_by_key(|m| m.id);
        sent.sort_by_key(|m| m.id);
        assert_eq!(got, sent, "seed {seed}");
        assert!(world.planes[2].metrics().cells_dropped_duplicate.get() > 0);
        world.assert_conserved();
    }
}

#[test]
fn a_lost_cell_costs_only_the_messages_in_it_and_their_memory_comes_back() {
    let mut world = World::new(4);
    let handle = world.outbound(0, POOL, &[2]);
    let lease = world.inbound(1, POOL, &[3]);
    let sent: Vec<I2np> = [20_000, 20_000, 20_000].map(|n| world.message(n)).into();
    let batch = sent.iter().map(|m| (lease.delivery(), m.clone())).collect();
    world.out(0, handle, batch);
    world.wire[0].messages.remove(30);
    world.run();
    assert_eq!(world.take_up(1, POOL), [sent[0].clone(), sent[2].clone()]);
    assert_eq!(world.planes[2].incomplete().0, 1);
    world.pass(Duration::from_secs(15));
    assert_eq!(world.planes[2].incomplete(), (0, 0));
    assert_eq!(world.planes[2].metrics().join_dropped_late.get(), 1);
}

#[test]
fn t6_a_tunnel_over_its_rate_loses_cells_and_recovers() {
    let mut world = World::new(3);
    let mut config = participant(&mut world, 5);
    if let TunnelConfig::Participant { next, .. } = &mut config {
        next.router = hash(2);
    }
    let expires = world.now.mono + Duration::from_secs(600);
    world.input(0, Input::Install(Install { config, expires, rate: Some(10_280) }));
    let burst = |world: &mut World, count: usize| {
        let messages = (0..count).map(|_| random_cell(world, 5)).collect();
        world.input(0, Input::FromPeer { peer: hash(1), messages });
    };
    burst(&mut world, 30);
    let metrics = world.planes[0].metrics();
    assert_eq!((metrics.cells_forwarded.get(), metrics.cells_dropped_rate.get()), (20, 10));
    world.pass(Duration::from_secs(1));
    burst(&mut world, 30);
    assert_eq!((metrics.cells_forwarded.get(), metrics.cells_dropped_rate.get()), (30, 30));
    world.assert_conserved();
}

#[test]
fn registered_tags_are_bounded_and_the_oldest_goes() {
    use crate::wire::I2npKind;
    let config = PlaneConfig { tags_max: 3, ..PlaneConfig::default() };
    let mut world = World::with(1, 1, config);
    let lease = world.inbound(0, POOL, &[]);
    let handle = world.outbound(0, POOL, &[]);
    let expires = world.now.mono + Duration::from_secs(60);
    for tag in 0..4 {
        world.input(0, Input::RegisterTag { tag: [tag; 8], expires });
    }
    world.input(0, Input::DropTag([2; 8]));
    for tag in 0..4 {
        let mut message = world.message(40);
        message.kind = I2npKind::GARLIC;
        message.body[4..12].fill(tag);
        world.out(0, handle, vec![(lease.delivery(), message)]);
    }
    assert_eq!(world.control[0].len(), 2, "1 and 3");
    assert_eq!(world.planes[0].metrics().tags_dropped_full.get(), 1);
    world.input(0, Input::RegisterTag { tag: [9; 8], expires: Mono(world.now.mono.0 + 1) });
    world.pass(Duration::from_micros(1));
    let mut message = world.message(40);
    message.kind = I2npKind::GARLIC;
    message.body[4..12].fill(9);
    world.out(0, handle, vec![(lease.delivery(), message)]);
    assert_eq!(world.control[0].len(), 2, "9 is over");
}

#[test]
fn g1_messages_out_of_time_are_dropped_everywhere() {
    let mut world = World::new(4);
    let handle = world.outbound(0, POOL, &[2]);
    let lease = world.inbound(1, POOL, &[3]);
    let zero = world.inbound(1, POOL, &[]);
    for (offset, arrive) in [(-60_000, true), (-60_001, false), (180_000, true), (180_001, false)] {
        let mut message = world.message(10);
        message.expiration_ms = WALL.saturating_add_signed(offset);
        for way in [lease, zero] {
            world.out(0, handle, vec![(way.delivery(), message.clone())]);
        }
        world.run();
        assert_eq!(world.take_up(1, POOL).len(), if arrive { 2 } else { 0 }, "{offset}");
        world.input(0, Input::FromPeer { peer: hash(1), messages: vec![message] });
        assert_eq!(std::mem::take(&mut world.control[0]).len(), usize::from(arrive), "{offset}");
    }
    let mut cell = random_cell(&mut world, 1);
    cell.expiration_ms = WALL - 60_001;
    world.input(0, Input::FromPeer { peer: hash(1), messages: vec![cell] });
    assert_eq!(world.planes[0].metrics().cells_dropped_late.get(), 1);
    world.assert_conserved();
}

#[test]
fn one_turn_groups_what_goes_to_one_peer() {
    let mut world = World::new(6);
    for receive in 1..=20 {
        let mut config = participant(&mut world, receive);
        if let TunnelConfig::Participant { next, .. } = &mut config {
            next.router = RouterHash([2 + (receive % 2) as u8; 32]);
        }
        world.install(0, config);
    }
    for receive in 1..=20 {
        let messages = vec![random_cell(&mut world, receive)];
        world.planes[0].handle(world.now, Input::FromPeer { peer: hash(5), messages });
    }
    world.drain(0);
    let sizes: Vec<usize> = world.wire.iter().map(|f| f.messages.len()).collect();
    assert_eq!(sizes, [10, 10]);
}

pub(super) fn random_cell(world: &mut World, receive: u32) -> I2np {
    let mut message = world.message(1028);
    message.kind = crate::wire::I2npKind::TUNNEL_DATA;
    message.body[..4].copy_from_slice(&receive.to_be_bytes());
    message
}
