// SPDX-License-Identifier: MIT
use super::*;
use crate::crypto::Verified;

fn at(s: u64) -> Now {
    Now { mono: Mono::from_secs(s), wall_ms: 1_700_000_000_000 + s * 1000 }
}

fn tunnel(n: u8, expires_s: u64) -> InboundTunnel {
    InboundTunnel {
        gateway: RouterHash([n; 32]),
        id: TunnelId(n.into()),
        receive: TunnelId(n.into()),
        hops: vec![],
        created: Mono(0),
        expires: Mono::from_secs(expires_s),
    }
}

fn pool(tunnels: &[(u8, u64)]) -> PoolState {
    PoolState { inbound: tunnels.iter().map(|(n, e)| tunnel(*n, *e)).collect(), outbound: vec![] }
}

struct Owner {
    leases: Leases,
    keys: DestinationKeys,
    rng: Rng,
}

impl Owner {
    fn new(wanted: usize) -> Self {
        let mut rng = Rng::from_seed(1);
        Self {
            leases: Leases::new(wanted, false, false),
            keys: DestinationKeys::generate(&mut rng).expect("keys"),
            rng,
        }
    }
    fn make(&mut self, now: Now) -> Option<LeaseSet2> {
        self.leases.make(now, &self.keys, &X25519Public([9; 32]), &mut self.rng)
    }
}

#[test]
fn the_first_version_waits_a_moment_for_all_tunnels() {
    let mut owner = Owner::new(2);
    owner.leases.update(at(10), &pool(&[(1, 600)]));
    assert!(owner.make(at(10)).is_none());
    owner.leases.update(at(10), &pool(&[(1, 600), (2, 610)]));
    let ls = owner.make(at(10)).expect("all are there");
    assert_eq!(ls.leases().len(), 2);
    assert_eq!(ls.x25519(), Some([9; 32]));
    assert!(Verified::check(ls).is_ok());

    let mut owner = Owner::new(2);
    owner.leases.update(at(10), &pool(&[(1, 600)]));
    let ls = owner.make(at(11)).expect("waited long enough");
    assert_eq!(ls.leases().len(), 1);
    assert_eq!(ls.leases()[0].end_s, 1_700_000_600 - 10);
}

#[test]
fn later_changes_are_gathered_and_dead_tunnels_leave_quickly() {
    let mut owner = Owner::new(1);
    owner.leases.update(at(10), &pool(&[(1, 600)]));
    let first = owner.make(at(10)).expect("made");
    owner.leases.update(at(20), &pool(&[(1, 600)]));
    assert_eq!(owner.leases.due(), None, "nothing changed");
    owner.leases.update(at(20), &pool(&[(1, 600), (2, 610)]));
    assert!(owner.make(at(22)).is_none());
    assert_eq!(owner.make(at(23)).expect("made").leases().len(), 2);
    owner.leases.update(at(30), &pool(&[(2, 610)]));
    assert!(owner.leases.due().is_some_and(|due| due < Mono::from_secs(31)));
    let last = owner.make(at(31)).expect("made");
    assert_eq!(last.leases().len(), 1);
    assert!(last.published_s() > first.published_s());
}

#[test]
fn two_versions_never_share_a_second() {
    let mut owner = Owner::new(1);
    owner.leases.update(at(10), &pool(&[(1, 600)]));
    let a = owner.make(at(10)).expect("made");
    owner.leases.update(at(10), &pool(&[(2, 600)]));
    let b = owner.make(Now { mono: Mono::from_secs(12), ..at(10) }).expect("made");
    assert!(b.published_s() > a.published_s());
}

#[test]
fn short_lived_tunnels_are_offered_only_when_there_is_nothing_else() {
    let mut owner = Owner::new(1);
    owner.leases.update(at(100), &pool(&[(1, 150), (2, 600)]));
    let ls = owner.make(at(100)).expect("made");
    assert_eq!(ls.leases().iter().map(|l| l.tunnel.0).collect::<Vec<_>>(), [2]);
    owner.leases.update(at(101), &pool(&[(1, 150)]));
    let ls = owner.make(at(102)).expect("made");
    assert_eq!(ls.leases().iter().map(|l| l.tunnel.0).collect::<Vec<_>>(), [1]);
}

#[test]
fn an_encrypted_lease_set_is_made_anew_at_midnight_although_nothing_changed() {
    // at(0) is 22:13:20 UTC, so midnight is 6,400 s away.
    let mut owner = Owner::new(1);
    owner.leases = Leases::new(1, false, true);
    owner.leases.update(at(10), &pool(&[(1, 7000)]));
    let ls = owner.make(at(10)).expect("made");
    assert!(ls.is_encrypted_in_netdb() && ls.is_unpublished());
    assert_eq!(owner.leases.due(), Some(Mono::from_secs(6_400)));
    assert!(owner.make(at(6_399)).is_none());
    assert_eq!(owner.make(at(6_400)).expect("a new day").published_s(), at(6_400).wall_s());
    assert_eq!(owner.leases.due(), Some(Mono::from_secs(6_400 + 86_400)));
}
