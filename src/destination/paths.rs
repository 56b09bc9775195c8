// SPDX-License-Identifier: MIT
//! The way to a remote destination: one of our outbound tunnels and one of its leases, kept until there is a reason
//! to change. All streams to a remote share it, so that packets keep their order.

use crate::base::{Now, Rng};
use crate::tunnel::{OutboundTunnel, PoolState};
use crate::wire::{Lease2, LeaseSet2, TunnelId};
use std::time::Duration;

/// A lease is used until this long before its end.
const LEASE_MARGIN_S: u32 = 30;
/// And, if there is no better one, until this long after it: hops keep tunnels for a minute more.
const LEASE_GRACE_S: u32 = 40;
/// An outbound tunnel is left this long before its end.
const TUNNEL_MARGIN: Duration = Duration::from_secs(20);

/// A way to a remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) outbound: TunnelId,
    pub(crate) lease: Lease2,
}

/// What of a path shall be changed if there is a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing that still works.
    Nothing,
    /// Our outbound tunnel.
    Tunnel,
    /// The remote's lease.
    Lease,
}

/// Keeps `old` as far as it works and `change` allows; `None` when there is no tunnel or no lease.
pub(crate) fn choose(
    now: Now,
    rng: &mut Rng,
    old: Option<Path>,
    change: Change,
    pool: &PoolState,
    remote: &LeaseSet2,
) -> Option<Path> {
    let outbound = choose_tunnel(now, rng, old.map(|p| p.outbound), change == Change::Tunnel, pool)?;
    let lease = choose_lease(now, rng, old.map(|p| p.lease), change == Change::Lease, remote)?;
    Some(part_ends(now, rng, Path { outbound, lease }, pool, remote))
}

/// Replaces the lease, else the tunnel, of a path whose endpoint is the lease's gateway, if there are others: such a
/// router sees both ends of the way, and i2pd 2.45.1 lets a message to a gateway of its own lie there until the next
/// one comes by a link.
fn part_ends(now: Now, rng: &mut Rng, path: Path, pool: &PoolState, remote: &LeaseSet2) -> Path {
    let endpoint = |handle| pool.outbound.iter().find(|t| t.handle == handle).map(|t| t.endpoint);
    let Some(end) = endpoint(path.outbound).filter(|end| *end == path.lease.gateway) else { return path };
    let leases: Vec<_> = remote.leases().iter().filter(|l| is_good(now, l) && l.gateway != end).collect();
    if let Some(lease) = leases.get(rng.index(leases.len())) {
        return Path { lease: **lease, ..path };
    }
    let tunnels: Vec<_> = pool.outbound.iter().filter(|t| is_lasting(now, t) && t.endpoint != end).collect();
    tunnels.get(rng.index(tunnels.len())).map_or(path, |t| Path { outbound: t.handle, ..path })
}

fn is_good(now: Now, lease: &Lease2) -> bool {
    lease.end_s > now.wall_s().saturating_add(LEASE_MARGIN_S)
}

fn is_lasting(now: Now, tunnel: &OutboundTunnel) -> bool {
    tunnel.expires.since(now.mono) > TUNNEL_MARGIN
}

fn choose_tunnel(
    now: Now,
    rng: &mut Rng,
    old: Option<TunnelId>,
    change: bool,
    pool: &PoolState,
) -> Option<TunnelId> {
    let alive = |t: &&OutboundTunnel| t.expires > now.mono;
    let lasting = |t: &&OutboundTunnel| is_lasting(now, t);
    let keep = old.filter(|h| pool.outbound.iter().filter(lasting).any(|t| t.handle == *h));
    if let (Some(handle), false) = (keep, change) {
        return Some(handle);
    }
    let others: Vec<_> = pool.outbound.iter().filter(lasting).filter(|t| Some(t.handle) != old).collect();
    others
        .get(rng.index(others.len()))
        .map(|t| t.handle)
        .or(keep)
        .or_else(|| pool.outbound.iter().filter(alive).map(|t| t.handle).next_back())
}

fn choose_lease(
    now: Now,
    rng: &mut Rng,
    old: Option<Lease2>,
    change: bool,
    remote: &LeaseSet2,
) -> Option<Lease2> {
    let wall = now.wall_s();
    let good = |l: &&Lease2| is_good(now, l);
    // A lease that the remote no longer lists may be dead; its end date may also have changed.
    let keep = old
        .and_then(|o| remote.leases().iter().find(|l| (l.gateway, l.tunnel) == (o.gateway, o.tunnel)))
        .filter(good)
        .copied();
    if let (Some(lease), false) = (keep, change) {
        return Some(lease);
    }
    let others: Vec<_> = remote.leases().iter().filter(good).filter(|l| Some(**l) != keep).collect();
    others.get(rng.index(others.len())).map(|l| **l).or(keep).or_else(|| {
        let last = remote.leases().iter().max_by_key(|l| l.end_s)?;
        (last.end_s.saturating_add(LEASE_GRACE_S) > wall).then_some(*last)
    })
}

/// End of the remote's latest lease, seconds since 1970.
pub(crate) fn latest_end_s(remote: &LeaseSet2) -> u32 {
    remote.leases().iter().map(|l| l.end_s).max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
