// SPDX-License-Identifier: MIT
//! Tunnels of every length, whole ways from an outbound gateway to an inbound endpoint, roles on one router.

use super::world::{World, hash};
use crate::tunnel::plane::{Input, Via};
use crate::tunnel::types::{Class, Delivery, PoolId};
use crate::wire::{I2np, I2npKind, MessageId};

const POOL: PoolId = PoolId(5);

/// Sends messages of these sizes from router 0 over `out` and `back` to router 1, and checks that all arrive.
fn round(world: &mut World, out: &[usize], back: &[usize], sizes: &[usize]) {
    let handle = world.outbound(0, PoolId(4), out);
    let lease = world.inbound(1, POOL, back);
    let sent: Vec<I2np> = sizes.iter().map(|&n| world.message(n)).collect();
    let batch = sent.iter().map(|m| (lease.delivery(), m.clone())).collect();
    world.out(0, handle, batch);
    world.run();
    assert_eq!(world.take_up(1, POOL), sent, "out {out:?} back {back:?}");
    world.assert_conserved();
}

#[test]
fn messages_cross_every_pair_of_tunnel_lengths() {
    for out in 0..=7 {
        for back in 0..=7 {
            let mut world = World::new(16);
            let out: Vec<usize> = (2..2 + out).collect();
            let back: Vec<usize> = (9..9 + back).collect();
            round(&mut world, &out, &back, &[1, 900, 984, 1730, 5000, 17]);
            assert!(world.control.iter().all(Vec::is_empty));
        }
    }
}

#[test]
fn messages_of_every_kind_of_size_arrive() {
    let mut world = World::new(8);
    let edges = [1, 2, 940, 947, 948, 949, 984, 985, 986, 987, 1003, 1004, 1955, 1956, 1957, 4096, 30_000];
    round(&mut world, &[2, 3], &[4, 5], &edges);
    round(&mut world, &[2, 3], &[4, 5], &[62_692]);
    for size in 930..1100 {
        round(&mut world, &[2], &[3], &[size, size]);
    }
}

#[test]
fn many_small_messages_share_cells() {
    let mut world = World::new(4);
    let sizes = [40; 50];
    round(&mut world, &[2], &[3], &sizes);
    // 56 bytes and 39 of instructions each: ten to a cell.
    assert_eq!(world.planes[0].metrics().cells_made.get(), 5);
    assert_eq!(world.planes[3].metrics().cells_made.get(), 3);
}

#[test]
fn a_message_one_byte_too_large_is_refused_and_counted() {
    let mut world = World::new(4);
    let handle = world.outbound(0, POOL, &[2]);
    let lease = world.inbound(1, POOL, &[3]);
    let message = world.message(62_693);
    world.out(0, handle, vec![(lease.delivery(), message)]);
    world.run();
    assert_eq!(world.planes[0].metrics().out_dropped_size.get(), 1);
    assert!(world.take_up(1, POOL).is_empty());
    world.assert_conserved();
}

#[test]
fn a_router_can_be_several_hops_of_a_way() {
    let ways: [(&[usize], &[usize]); 8] = [
        (&[0], &[0]),
        (&[0, 0, 0], &[1, 1, 1]),
        (&[1], &[1]),
        (&[2], &[2]),
        (&[2, 2], &[2, 2]),
        (&[2, 0, 2], &[2, 1, 2]),
        (&[1, 0], &[0, 1, 0]),
        (&[0, 0, 0, 0, 0, 0, 0], &[0, 0, 0, 0, 0, 0, 0]),
    ];
    for (out, back) in ways {
        let mut world = World::new(3);
        round(&mut world, out, back, &[100, 3000]);
    }
}

#[test]
fn a_way_from_oneself_to_oneself_needs_no_network() {
    for hops in 0..=7 {
        let mut world = World::new(1);
        let path = vec![0; hops];
        let handle = world.outbound(0, PoolId(4), &path);
        let lease = world.inbound(0, POOL, &path);
        let message = world.message(5000);
        world.out(0, handle, vec![(lease.delivery(), message.clone())]);
        assert!(world.wire.is_empty());
        assert_eq!(world.take_up(0, POOL), [message], "{hops} hops");
        assert_eq!(world.planes[0].metrics().loops_dropped.get(), 0);
    }
}

#[test]
fn t8_a_ring_of_tunnels_through_oneself_ends() {
    use crate::tunnel::types::{NextHop, TunnelConfig};
    use crate::wire::tunnel_data::BODY_LEN;
    let mut world = World::new(2);
    let (a, b) = (world.id(), world.id());
    for (receive, tunnel) in [(a, b), (b, a)] {
        let keys = world.keys();
        let next = NextHop { router: hash(0), tunnel };
        world.install(0, TunnelConfig::Participant { receive, previous: None, next, keys });
    }
    let mut message = world.message(BODY_LEN);
    message.kind = I2npKind::TUNNEL_DATA;
    message.body[..4].copy_from_slice(&a.0.to_be_bytes());
    world.input(0, Input::FromPeer { peer: hash(1), messages: vec![message] });
    assert_eq!(world.planes[0].metrics().loops_dropped.get(), 1);
    world.assert_conserved();
}

#[test]
fn an_endpoint_delivers_to_routers_without_naming_a_sender() {
    for path in [&[][..], &[2], &[2, 3], &[1], &[0, 1]] {
        let mut world = World::new(4);
        let handle = world.outbound(0, POOL, path);
        let message = world.message(2000);
        world.out(0, handle, vec![(Delivery::Router(hash(1)), message.clone())]);
        world.run();
        let [told] = &world.control[1][..] else { panic!("one message for control over {path:?}") };
        let second_precision = message.expiration_ms / 1000;
        assert_eq!((told.message.id, &told.message.body), (message.id, &message.body));
        assert_eq!(told.message.expiration_ms / 1000, second_precision);
        assert_eq!(told.via, Via::Direct);
        let sender = match path.last() {
            None => Some(hash(0)),
            Some(1) => None,
            Some(&last) => Some(hash(last)),
        };
        assert_eq!(told.from, sender, "over {path:?}");
    }
}

#[test]
fn direct_messages_reach_control_with_their_sender_also_from_oneself() {
    let mut world = World::new(2);
    for to in [0, 1] {
        let message = world.message(10);
        world.input(0, Input::Send { to: hash(to), message });
        world.run();
        let told = &world.control[to][0];
        assert_eq!((told.from, told.via), (Some(hash(0)), Via::Direct));
    }
}

#[test]
fn own_traffic_and_transit_are_told_apart() {
    let mut world = World::new(4);
    let handle = world.outbound(0, POOL, &[2]);
    let lease = world.inbound(1, POOL, &[3]);
    let message = world.message(10);
    world.out(0, handle, vec![(lease.delivery(), message)]);
    let flight = world.wire.pop_front().expect("a cell");
    assert_eq!(flight.class, Class::Own);
    world.deliver(flight);
    let flight = world.wire.pop_front().expect("a gateway message");
    assert_eq!(flight.class, Class::Transit);
    world.deliver(flight);
    assert_eq!(world.wire.front().expect("a cell").class, Class::Transit);
}

#[test]
fn each_hop_changes_the_message_id_and_keeps_the_expiration() {
    let mut world = World::new(4);
    let handle = world.outbound(0, POOL, &[2, 3]);
    let message = world.message(10);
    world.out(0, handle, vec![(Delivery::Router(hash(1)), message)]);
    let first = world.wire.pop_front().expect("a cell");
    let seen = (first.messages[0].id, first.messages[0].expiration_ms);
    world.deliver(first);
    let second = world.wire.pop_front().expect("a cell");
    assert_ne!(second.messages[0].id, seen.0);
    assert_eq!(second.messages[0].expiration_ms, seen.1);
    assert_eq!(second.messages[0].body.len(), 1028);
}

#[test]
fn t3_replies_to_builds_and_awaited_garlic_go_to_control_from_any_tunnel() {
    let mut world = World::new(4);
    let handle = world.outbound(0, POOL, &[2]);
    let lease = world.inbound(1, POOL, &[3]);
    let tag = [9; 8];
    let expires = world.now.mono + std::time::Duration::from_secs(60);
    world.input(1, Input::RegisterTag { tag, expires });
    let mut batch = Vec::new();
    let awaited = MessageId(77);
    world.input(1, Input::ExpectReply { id: awaited, expires });
    for kind in [
        I2npKind::OUTBOUND_TUNNEL_BUILD_REPLY,
        I2npKind::OUTBOUND_TUNNEL_BUILD_REPLY,
        I2npKind::VARIABLE_TUNNEL_BUILD_REPLY,
        I2npKind::GARLIC,
        I2npKind::GARLIC,
    ] {
        let mut message = world.message(50);
        message.kind = kind;
        message.id = awaited;
        message.body[4..12].copy_from_slice(&tag);
        batch.push((lease.delivery(), message));
    }
    world.out(0, handle, batch);
    world.run();
    assert_eq!(world.control[1].len(), 2, "each is used up by the first");
    assert!(world.control[1].iter().all(|t| t.via == Via::Tunnel(POOL) && t.from.is_none()));
    assert_eq!(world.take_up(1, POOL).len(), 1, "garlic without a tag is the owner's");
    let metrics = world.planes[1].metrics();
    assert_eq!((metrics.inbound_dropped_unasked.get(), metrics.inbound_dropped_kind.get()), (1, 1));
}

#[test]
fn exploratory_tunnels_end_at_control() {
    let mut world = World::new(4);
    let handle = world.outbound(0, PoolId::EXPLORATORY, &[2]);
    let lease = world.inbound(1, PoolId::EXPLORATORY, &[3]);
    for kind in [I2npKind::DATABASE_STORE, I2npKind::GARLIC, I2npKind::SHORT_TUNNEL_BUILD] {
        let mut message = world.message(50);
        message.kind = kind;
        world.out(0, handle, vec![(lease.delivery(), message)]);
    }
    world.run();
    assert_eq!(world.control[1].len(), 1, "nothing unasked but what the database judges");
    assert_eq!(world.control[1][0].via, Via::Tunnel(PoolId::EXPLORATORY));
    assert!(world.up[1].is_empty());
}
