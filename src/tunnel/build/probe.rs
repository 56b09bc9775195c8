// SPDX-License-Identifier: MIT
//! Tests of our own tunnels: a small message out through one and back through another of the same pool.
//!
//! To the hops a test is garlic like any other: its content is a DeliveryStatus under a tag that only we know.
//! Spec: tunnel implementation, "Tunnel Testing".

use std::time::Duration;

use super::creator::Direction;
use super::engine::{Builder, Timer};
use super::message::Action;
use super::pool::{Pool, Tunnel};
use super::router_garlic::{Purpose, message, seal_tagged};
use crate::base::{Mono, Now};
use crate::crypto::Secret32;
use crate::netdb::Report;
use crate::tunnel::plane::Input as PlaneInput;
use crate::tunnel::{Delivery, PoolId, TunnelKey};
use crate::wire::{DeliveryStatus, I2npKind, RouterHash, TunnelId, Wire};

/// A test under way.
#[derive(Debug)]
pub(super) struct Probe {
    pool: PoolId,
    inbound: TunnelKey,
    outbound: TunnelKey,
    sent: Mono,
}

/// One pair to be tested.
struct Pair {
    inbound: TunnelKey,
    gateway: RouterHash,
    gateway_id: TunnelId,
    outbound: TunnelKey,
    handle: TunnelId,
}

impl Builder {
    /// Tests every tunnel of a pool once, in pairs that change from round to round.
    pub(super) fn test_pool(&mut self, now: Now, id: PoolId) {
        let limits = &self.config.limits;
        let pause = limits.test_interval_ms + self.rng.below(limits.test_spread_ms.max(1));
        let me = self.keys.hash;
        let Some(pool) = self.pools.get_mut(&id) else { return };
        pool.next_test = now.mono.after(Duration::from_millis(pause));
        pool.tested_at = now.mono;
        pool.round = pool.round.wrapping_add(1);
        let expires = now.mono.after(pool.test_timeout(limits));
        for pair in pairs(pool, me) {
            self.send_probe(now, id, &pair, expires);
        }
    }

    fn send_probe(&mut self, now: Now, pool: PoolId, pair: &Pair, expires: Mono) {
        let key = Secret32::random(&mut self.rng);
        let tag = self.rng.bytes::<8>();
        let status = DeliveryStatus { id: self.rng.nonzero_u32(), time_ms: now.wall_ms }.to_bytes();
        let inner = message(&mut self.rng, now, I2npKind::DELIVERY_STATUS, status);
        let garlic = seal_tagged(&mut self.rng, now, &key, tag, &inner);
        self.garlic.expect(now.mono, tag, key, Purpose::Test, expires);
        self.probes
            .insert(tag, Probe { pool, inbound: pair.inbound, outbound: pair.outbound, sent: now.mono });
        self.timers.set(Timer::Probe(tag), expires);
        self.metrics.tests_sent.inc();
        self.plane(PlaneInput::RegisterTag { tag, expires });
        let delivery = Delivery::Tunnel(pair.gateway, pair.gateway_id);
        self.plane(PlaneInput::Out { handle: pair.handle, messages: vec![(delivery, garlic)] });
    }

    /// A test came back.
    pub(super) fn probe_passed(&mut self, now: Now, tag: [u8; 8]) {
        let Some(probe) = self.probes.remove(&tag) else { return };
        self.timers.cancel(&Timer::Probe(tag));
        self.metrics.tests_passed.inc();
        let hops = self.probe_outcome(&probe, true);
        let rtt = now.mono.since(probe.sent);
        if let Some(pool) = self.pools.get_mut(&probe.pool) {
            pool.sample_rtt(rtt);
        }
        let rtt_ms = rtt.as_millis() / hops.len().max(1) as u128;
        let rtt_ms = u32::try_from(rtt_ms).unwrap_or(u32::MAX);
        for hop in hops {
            self.actions.push_back(Action::Profile(hop, Report::TestPassed { rtt_ms }));
        }
    }

    /// A test did not come back in time.
    pub(super) fn probe_failed(&mut self, now: Now, tag: [u8; 8]) {
        let Some(probe) = self.probes.remove(&tag) else { return };
        self.garlic.forget(&tag);
        self.plane(PlaneInput::DropTag(tag));
        self.metrics.tests_failed.inc();
        let hops = self.probe_outcome(&probe, false);
        let count = u8::try_from(hops.len()).unwrap_or(u8::MAX);
        for hop in hops {
            self.actions.push_back(Action::Profile(hop, Report::TestFailed { hops: count }));
        }
        if let Some(pool) = self.pools.get_mut(&probe.pool) {
            pool.suspect(now.mono);
            self.dirty.insert(probe.pool);
        }
    }

    /// Tells both tunnels of a pair and answers their hops. A loss counts against a tunnel if the other one of the pair
    /// is not known to be broken, or if there is no better one to test with: then the doubt falls on both, since a
    /// broken tunnel that is believed in would swallow the builds that are to replace the other side.
    fn probe_outcome(&mut self, probe: &Probe, passed: bool) -> Vec<RouterHash> {
        let Some(pool) = self.pools.get_mut(&probe.pool) else { return Vec::new() };
        let sound = |tunnel: Option<&Tunnel>| tunnel.is_some_and(|t| !t.failed);
        let out_sound = sound(pool.outbound.tunnel(probe.outbound)) || !pool.outbound.is_live();
        let in_sound = sound(pool.inbound.tunnel(probe.inbound)) || !pool.inbound.is_live();
        let mut hops = Vec::new();
        for (direction, key, counts) in [
            (Direction::Outbound, probe.outbound, passed || in_sound),
            (Direction::Inbound, probe.inbound, passed || out_sound),
        ] {
            let side = pool.side_mut(direction);
            if counts && side.tested(key, passed) {
                self.metrics.tunnels_failed.inc();
                self.dirty.insert(probe.pool);
                tracing::debug!(pool = probe.pool.0, ?direction, "tunnel failed its tests");
            }
            if let Some(tunnel) = side.tunnel(key) {
                hops.extend_from_slice(&tunnel.hops);
            }
        }
        hops
    }
}

/// Pairs such that each tunnel is in at least one.
fn pairs(pool: &Pool, me: RouterHash) -> Vec<Pair> {
    let (ins, outs) = (&pool.inbound.tunnels, &pool.outbound.tunnels);
    if ins.is_empty() || outs.is_empty() {
        return Vec::new();
    }
    let pair = |at: usize| {
        let inbound = ins.get(at % ins.len())?;
        let outbound = outs.get(at.wrapping_add(pool.round) % outs.len())?;
        if inbound.hops.is_empty() && outbound.hops.is_empty() {
            return None;
        }
        Some(Pair {
            inbound: inbound.key,
            gateway: inbound.hops.first().copied().unwrap_or(me),
            gateway_id: inbound.id,
            outbound: outbound.key,
            handle: outbound.id,
        })
    };
    (0..ins.len().max(outs.len())).filter_map(pair).collect()
}
