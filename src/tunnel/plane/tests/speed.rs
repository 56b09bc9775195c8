// SPDX-License-Identifier: MIT
//! How long a cell takes, in time of this thread's processor. Not a test: `cargo test --release --lib plane::tests::speed -- --ignored --nocapture`.

use std::time::Duration;

use super::world::hash;
use crate::base::{Mono, Now, Rng};
use crate::crypto::layer::{CELL_LEN, LayerKeys, encrypt_each};
use crate::tunnel::plane::{Action, Input, Plane, PlaneConfig};
use crate::tunnel::types::{Delivery, HopKeys, Install, NextHop, PoolId, TunnelConfig};
use crate::wire::{I2np, I2npKind, MessageId, RouterHash, TunnelId};

const WALL: u64 = 1_800_000_000_000;

/// Processor time of this thread; wall time would count the neighbours of a busy machine.
fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    stat.split(' ').next().and_then(|n| n.parse().ok()).expect("a number")
}

fn plane(tunnels: u32) -> (Plane, Rng, Now) {
    let mut rng = Rng::from_seed(1);
    let config = PlaneConfig { transit_max: 100_000, ..PlaneConfig::default() };
    let mut plane = Plane::new(hash(0), config, rng.fork("plane"));
    let now = Now { mono: Mono::from_secs(1), wall_ms: WALL };
    for i in 1..=tunnels {
        let next = NextHop { router: RouterHash([(i % 100) as u8 + 100; 32]), tunnel: TunnelId(i) };
        let keys = HopKeys::new(&rng.bytes(), &rng.bytes());
        let config = TunnelConfig::Participant { receive: TunnelId(i), previous: None, next, keys };
        let expires = now.mono + Duration::from_secs(600);
        plane.install(now, &Install { config, expires, rate: None }).expect("room");
    }
    (plane, rng, now)
}

fn cells(rng: &mut Rng, count: usize, pick: impl Fn(&mut Rng, usize) -> u32) -> Vec<I2np> {
    (0..count)
        .map(|i| {
            let mut body = vec![0; 1028];
            rng.fill(&mut body);
            body[..4].copy_from_slice(&pick(rng, i).to_be_bytes());
            I2np { kind: I2npKind::TUNNEL_DATA, id: MessageId(1), expiration_ms: WALL + 8000, body }
        })
        .collect()
}

/// Pushes batches through a plane and prints the time per cell.
fn measure(name: &str, tunnels: u32, batch: usize, pick: impl Fn(&mut Rng, usize) -> u32) {
    let (mut plane, mut rng, now) = plane(tunnels);
    let mut sent = 0;
    let mut spent = 0;
    for round in 0..20_000 / batch * 5 {
        let messages = cells(&mut rng, batch, &pick);
        let start = cpu_ns();
        plane.handle(now, Input::FromPeer { peer: hash(1), messages });
        let mut out = Vec::new();
        while let Some(action) = plane.poll_action() {
            out.push(action);
        }
        if round > 10 {
            spent += cpu_ns() - start;
            sent += batch as u64;
        }
        assert!(out.iter().all(|a| matches!(a, Action::Send { .. })));
    }
    println!("{name:<58} {:>6} ns per cell", spent / sent);
}

#[test]
#[ignore = "a measurement"]
fn nanoseconds_per_cell() {
    let keys = LayerKeys::new(&[1; 32], &[2; 32]);
    let mut cell = [0; CELL_LEN];
    let start = cpu_ns();
    for _ in 0..100_000 {
        keys.encrypt(&mut cell);
    }
    println!(
        "{:<58} {:>6} ns per cell",
        "the cipher alone, one cell at a time",
        (cpu_ns() - start) / 100_000
    );
    let keys: Vec<LayerKeys> = (0..8).map(|i| LayerKeys::new(&[i; 32], &[2; 32])).collect();
    let mut cells = vec![[0; CELL_LEN]; 8];
    let start = cpu_ns();
    for _ in 0..100_000 / 8 {
        let mut jobs: Vec<_> = keys.iter().zip(&mut cells).collect();
        encrypt_each(&mut jobs);
    }
    println!("{:<58} {:>6} ns per cell", "the cipher alone, eight tunnels", (cpu_ns() - start) / 100_000);
    let start = cpu_ns();
    for _ in 0..100_000 / 8 {
        let mut jobs: Vec<_> = cells.iter_mut().collect();
        keys[0].encrypt_batch(&mut jobs);
    }
    println!(
        "{:<58} {:>6} ns per cell",
        "the cipher alone, eight cells of a tunnel",
        (cpu_ns() - start) / 100_000
    );
    measure("10,000 tunnels, batches of 64, random tunnel", 10_000, 64, |rng, _| {
        1 + rng.below(10_000) as u32
    });
    measure("10,000 tunnels, batches of 256, random tunnel", 10_000, 256, |rng, _| {
        1 + rng.below(10_000) as u32
    });
    measure("10,000 tunnels, batches of 64, runs of 8", 10_000, 64, |_, i| 1 + (i / 8 * 997 % 10_000) as u32);
    measure("10,000 tunnels, batches of 64, one tunnel", 10_000, 64, |_, _| 77);
    for hops in [0, 1, 3] {
        outbound(hops);
    }
}

fn outbound(hops: usize) {
    let (mut plane, mut rng, now) = plane(0);
    let handle = TunnelId(1);
    let first = NextHop { router: hash(1), tunnel: TunnelId(2) };
    let hops_keys: Vec<HopKeys> = (0..hops).map(|_| HopKeys::new(&rng.bytes(), &rng.bytes())).collect();
    let config = match hops {
        0 => TunnelConfig::ZeroOutbound { handle, owner: PoolId(1) },
        _ => TunnelConfig::Outbound { handle, owner: PoolId(1), first, endpoint: hash(2), hops: hops_keys },
    };
    plane.install(now, &Install { config, expires: Mono::NEVER, rate: None }).expect("room");
    let (mut spent, mut bytes) = (0, 0);
    for _ in 0..500 {
        let delivery = Delivery::Tunnel(hash(2), TunnelId(9));
        let messages: Vec<_> = cells(&mut rng, 64, |_, _| 0)
            .into_iter()
            .map(|mut m| {
                m.body.resize(1900, 3);
                (delivery, I2np { kind: I2npKind::GARLIC, ..m })
            })
            .collect();
        bytes += 64 * 1900;
        let start = cpu_ns();
        plane.handle(now, Input::Out { handle, messages });
        while plane.poll_action().is_some() {}
        spent += cpu_ns() - start;
    }
    let rate = bytes * 1000 / spent.max(1);
    println!("own outbound tunnel of {hops} hops, messages of 1,900 bytes {rate:>16} MB/s");
}
