// SPDX-License-Identifier: MIT
use super::*;
use crate::base::Mono;
use crate::wire::{Destination, KeysAndCert, RouterHash, SigType};

const NOW: Now = Now { mono: Mono::from_secs(1000), wall_ms: 1_700_000_000_000 };
const WALL_S: u32 = 1_700_000_000;

fn tunnel(handle: u32, endpoint: u8, life_s: u64) -> OutboundTunnel {
    OutboundTunnel {
        handle: TunnelId(handle),
        endpoint: RouterHash([endpoint; 32]),
        hops: vec![],
        created: NOW.mono,
        expires: NOW.mono + Duration::from_secs(life_s),
    }
}

fn lease(gateway: u8, end_s: u32) -> Lease2 {
    Lease2 { gateway: RouterHash([gateway; 32]), tunnel: TunnelId(gateway.into()), end_s }
}

fn pool(outbound: Vec<OutboundTunnel>) -> PoolState {
    PoolState { inbound: vec![], outbound }
}

fn remote(leases: Vec<Lease2>) -> LeaseSet2 {
    let keys = KeysAndCert::build(SigType::Ed25519, &[1; 32], 0, &[], [2; 32]);
    LeaseSet2::build(&Destination::new(keys), WALL_S, WALL_S + 600, false, vec![], leases, |_| vec![0; 64])
}

#[test]
fn a_path_is_kept_until_there_is_a_reason() {
    let (pool, remote) = (
        pool(vec![tunnel(1, 1, 300), tunnel(2, 2, 300)]),
        remote(vec![lease(3, WALL_S + 300), lease(4, WALL_S + 300)]),
    );
    let mut rng = Rng::from_seed(1);
    let first = choose(NOW, &mut rng, None, Change::Nothing, &pool, &remote).expect("a path");
    for _ in 0..50 {
        assert_eq!(choose(NOW, &mut rng, Some(first), Change::Nothing, &pool, &remote), Some(first));
        let other = choose(NOW, &mut rng, Some(first), Change::Tunnel, &pool, &remote).expect("a path");
        assert!(other.outbound != first.outbound && other.lease == first.lease);
        let other = choose(NOW, &mut rng, Some(first), Change::Lease, &pool, &remote).expect("a path");
        assert!(other.outbound == first.outbound && other.lease != first.lease);
    }
}

#[test]
fn tunnels_and_leases_near_their_end_are_left_in_time() {
    let (pool, remote) = (
        pool(vec![tunnel(1, 1, 10), tunnel(2, 2, 300)]),
        remote(vec![lease(3, WALL_S + 20), lease(4, WALL_S + 300)]),
    );
    let old = Path { outbound: TunnelId(1), lease: lease(3, WALL_S + 20) };
    let new =
        choose(NOW, &mut Rng::from_seed(1), Some(old), Change::Nothing, &pool, &remote).expect("a path");
    assert_eq!(new, Path { outbound: TunnelId(2), lease: lease(4, WALL_S + 300) });
}

#[test]
fn a_lease_just_over_is_the_last_resort_and_a_dead_one_is_none() {
    let pool = pool(vec![tunnel(1, 1, 10)]);
    let path =
        |end| choose(NOW, &mut Rng::from_seed(1), None, Change::Nothing, &pool, &remote(vec![lease(3, end)]));
    assert!(path(WALL_S - 30).is_some());
    assert!(path(WALL_S - 41).is_none());
    let none = PoolState::default();
    assert_eq!(
        choose(
            NOW,
            &mut Rng::from_seed(1),
            None,
            Change::Nothing,
            &none,
            &remote(vec![lease(3, WALL_S + 300)])
        ),
        None
    );
}

#[test]
fn endpoint_and_gateway_are_two_routers_when_they_can_be() {
    let mut rng = Rng::from_seed(1);
    let ends = |p: Path, pool: &PoolState| {
        let t = pool.outbound.iter().find(|t| t.handle == p.outbound).expect("there");
        (t.endpoint, p.lease.gateway)
    };
    for (outbound, leases) in [
        (vec![tunnel(1, 7, 300)], vec![lease(7, WALL_S + 300), lease(8, WALL_S + 300)]),
        (vec![tunnel(1, 7, 300), tunnel(2, 8, 300)], vec![lease(7, WALL_S + 300)]),
    ] {
        let (pool, remote) = (pool(outbound), remote(leases));
        for _ in 0..20 {
            let path = choose(NOW, &mut rng, None, Change::Nothing, &pool, &remote).expect("a path");
            let (end, gateway) = ends(path, &pool);
            assert_ne!(end, gateway);
        }
    }
    let (pool, remote) = (pool(vec![tunnel(1, 7, 300)]), remote(vec![lease(7, WALL_S + 300)]));
    assert!(choose(NOW, &mut rng, None, Change::Nothing, &pool, &remote).is_some(), "better than no path");
}
