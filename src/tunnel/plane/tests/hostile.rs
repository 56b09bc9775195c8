// SPDX-License-Identifier: MIT
//! Cells and messages as nobody honest sends them.

use super::bounds::random_cell;
use super::world::{Lease, World, hash};
use crate::crypto::layer::{Cell, LayerKeys};
use crate::tunnel::plane::{Input, PlaneConfig, Via};
use crate::tunnel::types::{Delivery, HopKeys, NextHop, PoolId, TunnelConfig};
use crate::wire::tunnel_data::{encode_body, encode_follow, encode_head};
use crate::wire::{I2np, I2npKind, MessageId, TunnelId};

const POOL: PoolId = PoolId(5);
const ENDPOINT: TunnelId = TunnelId(10);
const INBOUND: TunnelId = TunnelId(11);

/// Router 0 is the endpoint of a stranger's tunnel, and of one of its own; the test holds all keys.
struct Victim {
    world: World,
    endpoint: LayerKeys,
    inbound: LayerKeys,
}

fn expand(keys: &HopKeys) -> LayerKeys {
    LayerKeys::new(&keys.layer, &keys.iv)
}

fn victim() -> Victim {
    let mut world = World::new(4);
    let (e, i) = (world.keys(), world.keys());
    let (endpoint, inbound) = (expand(&e), expand(&i));
    world.install(0, TunnelConfig::Endpoint { receive: ENDPOINT, previous: Some(hash(1)), keys: e });
    let previous = Some(hash(1));
    world.install(0, TunnelConfig::Inbound { receive: INBOUND, owner: POOL, previous, hops: vec![i] });
    Victim { world, endpoint, inbound }
}

impl Victim {
    /// Sends a cell with these fragments, good checksum and layer.
    fn send(&mut self, tunnel: TunnelId, fragments: &[u8]) {
        let iv = self.world.rng.bytes();
        let body = encode_body(tunnel, &iv, fragments, |padding| padding.fill(1));
        self.send_clear(tunnel, body);
    }

    fn send_clear(&mut self, tunnel: TunnelId, mut body: Vec<u8>) {
        let cell: &mut Cell = (&mut body[4..]).try_into().expect("a cell");
        match tunnel {
            ENDPOINT => self.endpoint.decrypt(cell),
            _ => self.inbound.encrypt(cell),
        }
        let expiration_ms = self.world.now.wall_ms + 8000;
        let message = I2np { kind: I2npKind::TUNNEL_DATA, id: MessageId(1), expiration_ms, body };
        self.world.input(0, Input::FromPeer { peer: hash(1), messages: vec![message] });
    }

    fn whole(&mut self, tunnel: TunnelId, delivery: &Delivery, message: &[u8]) {
        let mut w = Vec::new();
        encode_head(&mut w, delivery, None, message.len() as u16);
        w.extend_from_slice(message);
        self.send(tunnel, &w);
    }

    fn encoded(&mut self, kind: I2npKind) -> Vec<u8> {
        let mut message = self.world.message(60);
        message.kind = kind;
        let mut bytes = Vec::new();
        message.encode_long(&mut bytes);
        bytes
    }
}

#[test]
fn the_harness_speaks_to_both_ends() {
    let mut v = victim();
    let bytes = v.encoded(I2npKind::DATA);
    v.whole(INBOUND, &Delivery::Local, &bytes);
    assert_eq!(v.world.take_up(0, POOL).len(), 1);
    v.whole(ENDPOINT, &Delivery::Router(hash(2)), &bytes);
    assert_eq!(v.world.wire.len(), 1);
    v.world.assert_conserved();
}

#[test]
fn bad_checksums_and_endless_padding_are_counted_and_dropped() {
    for tunnel in [ENDPOINT, INBOUND] {
        let mut v = victim();
        let mut endless = vec![1; 1028];
        endless[..4].copy_from_slice(&tunnel.0.to_be_bytes());
        v.send_clear(tunnel, endless);
        let mut body = encode_body(tunnel, &[7; 16], &[0, 0, 1, 9], |padding| padding.fill(1));
        body[21] ^= 1;
        v.send_clear(tunnel, body);
        assert_eq!(v.world.planes[0].metrics().cells_dropped_checksum.get(), 2);
        v.world.assert_conserved();
    }
}

#[test]
fn an_endpoint_never_delivers_to_itself_by_local_and_an_inbound_end_only_so() {
    let mut v = victim();
    let bytes = v.encoded(I2npKind::DATA);
    v.whole(ENDPOINT, &Delivery::Local, &bytes);
    v.whole(INBOUND, &Delivery::Router(hash(2)), &bytes);
    v.whole(INBOUND, &Delivery::Tunnel(hash(2), TunnelId(5)), &bytes);
    let metrics = v.world.planes[0].metrics();
    assert_eq!(metrics.endpoint_dropped_local.get(), 1);
    assert_eq!(metrics.inbound_dropped_delivery.get(), 2);
    assert!(v.world.wire.is_empty() && v.world.up[0].is_empty() && v.world.control[0].is_empty());
}

#[test]
fn kinds_without_business_in_our_tunnels_are_dropped() {
    for owner in [POOL, PoolId::EXPLORATORY] {
        let mut world = World::new(2);
        let lease = world.inbound(0, owner, &[]);
        for kind in [2, 18, 19, 21, 22, 23, 25] {
            let mut message = world.message(1028);
            message.kind = I2npKind(kind);
            gateway(&mut world, lease, &message);
        }
        assert_eq!(world.planes[0].metrics().inbound_dropped_kind.get(), 7);
        assert!(world.up[0].is_empty() && world.control[0].is_empty());
    }
}

fn gateway(world: &mut World, lease: Lease, inner: &I2np) {
    let mut bytes = Vec::new();
    inner.encode_long(&mut bytes);
    raw_gateway(world, lease.id, bytes.len() as u16, &bytes);
}

fn raw_gateway(world: &mut World, tunnel: TunnelId, len: u16, bytes: &[u8]) {
    let mut message = world.message(0);
    message.kind = I2npKind::TUNNEL_GATEWAY;
    message.body.extend_from_slice(&tunnel.0.to_be_bytes());
    message.body.extend_from_slice(&len.to_be_bytes());
    message.body.extend_from_slice(bytes);
    world.input(0, Input::FromPeer { peer: hash(1), messages: vec![message] });
}

#[test]
fn gateway_messages_of_every_wrong_length_are_dropped() {
    let mut world = World::new(2);
    let lease = world.inbound(0, POOL, &[]);
    let mut bytes = Vec::new();
    world.message(20).encode_long(&mut bytes);
    for cut in 0..bytes.len() {
        raw_gateway(&mut world, lease.id, cut as u16, &bytes[..cut]);
        raw_gateway(&mut world, lease.id, bytes.len() as u16, &bytes[..cut]);
    }
    assert_eq!(world.planes[0].metrics().gateway_dropped_malformed.get(), 2 * bytes.len() as u64);
    raw_gateway(&mut world, lease.id, bytes.len() as u16, &[&bytes[..], b"tail"].concat());
    assert_eq!(world.take_up(0, POOL).len(), 1, "bytes behind the announced length are no harm");
    for len in 0..6 {
        let mut message = world.message(len);
        message.kind = I2npKind::TUNNEL_GATEWAY;
        world.input(0, Input::FromPeer { peer: hash(1), messages: vec![message] });
    }
    world.assert_conserved();
}

#[test]
fn cells_and_gateway_messages_for_the_wrong_role_are_dropped() {
    let mut v = victim();
    let next = NextHop { router: hash(2), tunnel: TunnelId(1) };
    let keys = v.world.keys();
    v.world.install(0, TunnelConfig::Gateway { receive: TunnelId(12), next, keys });
    let zero = v.world.inbound(0, POOL, &[]);
    for id in [12, zero.id.0] {
        let cell = random_cell(&mut v.world, id);
        v.world.input(0, Input::FromPeer { peer: hash(1), messages: vec![cell] });
    }
    let inner = v.world.message(10);
    for id in [ENDPOINT, INBOUND] {
        gateway(&mut v.world, Lease { gateway: hash(0), id }, &inner);
    }
    let metrics = v.world.planes[0].metrics();
    assert_eq!((metrics.cells_dropped_role.get(), metrics.gateway_dropped_role.get()), (2, 2));
    v.world.assert_conserved();
}

#[test]
fn cells_of_wrong_sizes_are_dropped() {
    let mut v = victim();
    for len in [0, 3, 4, 1027, 1029, 2056] {
        let mut message = v.world.message(len);
        message.kind = I2npKind::TUNNEL_DATA;
        v.world.input(0, Input::FromPeer { peer: hash(1), messages: vec![message] });
    }
    assert_eq!(v.world.planes[0].metrics().cells_dropped_malformed.get(), 6);
    v.world.assert_conserved();
}

#[test]
fn cells_count_only_from_the_previous_hop_unless_that_is_switched_off() {
    for pin in [true, false] {
        let config = PlaneConfig { pin_previous: pin, ..PlaneConfig::default() };
        let mut world = World::with(4, 1, config);
        let lease = world.inbound(0, POOL, &[1, 2]);
        let mut message = world.message(10);
        message.kind = I2npKind::DATA;
        let mut bytes = Vec::new();
        message.encode_long(&mut bytes);
        let mut body = lease.id.0.to_be_bytes().to_vec();
        body.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
        body.extend_from_slice(&bytes);
        let gateway = I2np { kind: I2npKind::TUNNEL_GATEWAY, body, ..message };
        world.input(1, Input::FromPeer { peer: hash(3), messages: vec![gateway] });
        let mut flight = world.wire.pop_front().expect("a cell");
        flight.from = 3;
        world.deliver(flight);
        world.run();
        assert_eq!(world.take_up(0, POOL).len(), usize::from(!pin));
        assert_eq!(world.planes[2].metrics().cells_dropped_sender.get(), u64::from(pin));
    }
}

#[test]
fn t1_replayed_cells_are_dropped_at_every_role_with_cells() {
    let mut world = World::new(4);
    let handle = world.outbound(0, POOL, &[2, 3]);
    let lease = world.inbound(1, POOL, &[3, 2]);
    let message = world.message(3000);
    world.out(0, handle, vec![(lease.delivery(), message)]);
    let mut replayed = 0;
    while let Some(flight) = world.wire.pop_front() {
        let replay = flight.messages.clone();
        let (from, to) = (flight.from, usize::from(flight.to.0[0]) - 1);
        let cells = replay[0].kind == I2npKind::TUNNEL_DATA;
        world.deliver(flight);
        if cells {
            replayed += replay.len() as u64;
            world.input(to, Input::FromPeer { peer: hash(from), messages: replay });
        }
    }
    let dropped: u64 = world.planes.iter().map(|p| p.metrics().cells_dropped_duplicate.get()).sum();
    assert!(replayed > 0);
    assert_eq!(dropped, replayed);
    assert_eq!(world.take_up(1, POOL).len(), 1);
    world.assert_conserved();
}

#[test]
fn fragments_of_messages_without_a_header_or_with_a_false_one_are_dropped() {
    let mut v = victim();
    let good = v.encoded(I2npKind::DATA);
    let mut long = good.clone();
    long[13] = 0xff;
    for bytes in [&good[..5], &good[..15], &good[..good.len() - 1], &long] {
        v.whole(ENDPOINT, &Delivery::Router(hash(2)), bytes);
        v.whole(INBOUND, &Delivery::Local, bytes);
    }
    v.whole(ENDPOINT, &Delivery::Tunnel(hash(2), TunnelId(0)), &good);
    let metrics = v.world.planes[0].metrics();
    assert_eq!(metrics.endpoint_dropped_malformed.get(), 5);
    assert_eq!(metrics.inbound_dropped_malformed.get(), 4);
    assert!(v.world.wire.is_empty());
}

#[test]
fn t7_a_flood_of_first_fragments_is_bounded() {
    let mut v = victim();
    for id in 0..2000 {
        let mut w = Vec::new();
        encode_head(&mut w, &Delivery::Local, Some(MessageId(id)), 900);
        w.resize(w.len() + 900, 7);
        v.send(INBOUND, &w);
        let (messages, bytes) = v.world.planes[0].incomplete();
        assert!(messages <= 64 && bytes <= 64 * 900);
    }
    let mut w = Vec::new();
    encode_follow(&mut w, MessageId(1999), 1, true, 1);
    w.push(1);
    v.send(INBOUND, &w);
    assert_eq!(v.world.planes[0].metrics().join_completed.get(), 1);
}

#[test]
fn a_message_for_the_endpoint_itself_is_dispatched_as_direct_without_a_sender() {
    let mut v = victim();
    let bytes = v.encoded(I2npKind::GARLIC);
    v.whole(ENDPOINT, &Delivery::Router(hash(0)), &bytes);
    let told = &v.world.control[0][0];
    assert_eq!((told.from, told.via), (None, Via::Direct));
    assert!(v.world.wire.is_empty());
}

#[test]
fn arbitrary_bytes_do_no_harm_and_the_books_balance() {
    let mut v = victim();
    for round in 0..3000 {
        let (kind, tunnel) = match round % 4 {
            0 => (I2npKind::TUNNEL_DATA, ENDPOINT),
            1 => (I2npKind::TUNNEL_DATA, INBOUND),
            2 => (I2npKind::TUNNEL_GATEWAY, INBOUND),
            _ => {
                let mut fragments = vec![0; v.world.rng.index(1004)];
                v.world.rng.fill(&mut fragments);
                v.send(if round % 8 == 3 { ENDPOINT } else { INBOUND }, &fragments);
                continue;
            }
        };
        let len = if round % 3 == 0 { 1028 } else { v.world.rng.index(1100) };
        let mut message = v.world.message(len);
        message.kind = kind;
        if let Some(id) = message.body.first_chunk_mut() {
            *id = tunnel.0.to_be_bytes();
        }
        v.world.input(0, Input::FromPeer { peer: hash(1), messages: vec![message] });
    }
    v.world.wire.clear();
    v.world.assert_conserved();
}

#[test]
fn g5_a_message_id_seen_in_one_context_says_nothing_in_another() {
    // CVE-2023-36325: whoever sends a message with the same id down a client's tunnel and straight to a router must not
    // learn from the second whether the first arrived at the same machine.
    let outcome = |first_by_tunnel: bool| {
        let mut world = World::new(4);
        let handle = world.outbound(0, POOL, &[2]);
        let lease = world.inbound(1, POOL, &[3]);
        let mut message = world.message(50);
        message.kind = I2npKind::GARLIC;
        if first_by_tunnel {
            world.out(0, handle, vec![(lease.delivery(), message.clone())]);
            world.run();
            assert_eq!(world.take_up(1, POOL).len(), 1);
        }
        let before = world.control[1].len();
        world.out(0, handle, vec![(Delivery::Router(hash(1)), message.clone())]);
        world.run();
        let told: Vec<_> = world.control[1][before..].iter().map(|t| (t.via, t.message.id)).collect();
        // And the other way round, through another client's tunnel.
        let other = PoolId(77);
        let second = world.inbound(1, other, &[3]);
        world.out(0, handle, vec![(second.delivery(), message)]);
        world.run();
        (told, world.take_up(1, other).len())
    };
    assert_eq!(outcome(true), outcome(false));
}
