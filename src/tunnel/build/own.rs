// SPDX-License-Identifier: MIT
//! Our own builds: starting them, reading their replies, giving them up.
//!
//! An outbound build goes straight to its first hop and is answered through an inbound tunnel; an inbound build goes
//! out through an outbound tunnel, wrapped for its gateway, and comes back from its last hop. Tunnels of the pool
//! itself are used first, then exploratory ones. Only the very first exploratory tunnels are asked for directly.
//! Spec: tunnel creation ECIES, "Tunnel Creator Processing"; tunnel implementation.

use std::time::Duration;

use super::creator::{self, Direction, Hop, Pending, Plan};
use super::engine::{Builder, Timer};
use super::hop::minutes;
use super::message::Action;
use super::pool::{BuildFailure, Pool, Tunnel};
use super::router_garlic::{Purpose, message, seal_for_router};
use super::select::{self, Want};
use crate::base::{Map, Mono, Now, map};
use crate::netdb::{PeerView, Report};
use crate::tunnel::plane::Input as PlaneInput;
use crate::tunnel::types::OWN_LIFE_MS;
use crate::tunnel::{Delivery, Install, NextHop, PoolId, TunnelConfig, TunnelKey};
use crate::wire::build_record::{BuildRecords, RecordSize};
use crate::wire::{MessageId, RouterHash, TunnelId};

/// The plane keeps our tunnels this much longer than their owners use them.
const PLANE_GRACE_MS: u64 = 60_000;

/// How long a router is left out after it refused or could not be reached; its profile takes over from there.
const AVOID_MS: u64 = 10_000;
/// Most routers left out at a time.
const AVOID_MAX: usize = 512;

/// A pool whose tunnel helps with a build, and that tunnel.
type Via = (PoolId, Option<TunnelKey>);

/// A build under way, or one that is late.
#[derive(Debug)]
pub(super) struct OwnBuild {
    pub(super) pool: PoolId,
    pub(super) direction: Direction,
    hops: Vec<RouterHash>,
    pending: Pending,
    /// Tunnel id at the first hop.
    first: TunnelId,
    /// Our receive id; inbound only.
    receive: Option<TunnelId>,
    tag: Option<[u8; 8]>,
    /// The router that the request went to by transport.
    pub(super) direct: Option<RouterHash>,
    /// The pool whose tunnel carries the request or the reply, and that tunnel.
    via: Via,
    sent: Mono,
    pub(super) late: bool,
}

/// How an inbound request gets to its gateway.
enum Way {
    Direct,
    Tunnel(PoolId, TunnelId),
}

impl Builder {
    /// Starts one build, or notes why it cannot start.
    pub(super) fn start_build(
        &mut self,
        now: Now,
        view: &PeerView,
        id: PoolId,
        direction: Direction,
    ) -> bool {
        let Some(pool) = self.pools.get(&id) else { return false };
        let length = pool.side(direction).draw_length(&mut self.rng);
        if length == 0 {
            self.install_zero_hop(now, id, direction);
            return true;
        }
        let started = self.choose_hops(now, view, id, direction, length).and_then(|hops| match direction {
            Direction::Outbound => self.start_outbound(now, id, &hops),
            Direction::Inbound => self.start_inbound(now, id, &hops),
        });
        match started {
            Ok(()) => true,
            Err(why) => {
                self.metrics.builds_no_hops.inc();
                self.note_failure(now, id, direction, why);
                false
            }
        }
    }

    fn choose_hops(
        &mut self,
        now: Now,
        view: &PeerView,
        id: PoolId,
        direction: Direction,
        length: usize,
    ) -> Result<Vec<Hop>, BuildFailure> {
        let (usage, tunnels) = self.usage();
        self.forgive(now.mono);
        let pool = self.pools.get(&id).ok_or(BuildFailure::NoPath)?;
        let want = Want {
            direction,
            length,
            pool_key: &pool.key,
            client: !id.is_exploratory(),
            careful: pool.side(direction).is_careful(now.mono, &self.config.limits),
            explicit: &pool.explicit,
            usage: &usage,
            tunnels,
            avoid: &self.avoid,
            wall_ms: now.wall_ms,
        };
        select::select(view, &self.config.select, &want, &mut self.rng).map_err(BuildFailure::NoHops)
    }

    /// Leaves a router out of the next builds.
    fn avoid(&mut self, now: Mono, peer: RouterHash) {
        self.forgive(now);
        if self.avoid_until.len() < AVOID_MAX && self.avoid.insert(peer) {
            self.avoid_until.push_back((now.after(Duration::from_millis(AVOID_MS)), peer));
        }
    }

    fn forgive(&mut self, now: Mono) {
        while let Some((until, peer)) = self.avoid_until.front()
            && *until <= now
        {
            self.avoid.remove(peer);
            self.avoid_until.pop_front();
        }
    }

    /// How many of our tunnels, standing and under way, each router is in.
    fn usage(&mut self) -> (Map<RouterHash, usize>, usize) {
        let mut usage = map(&mut self.rng);
        let mut tunnels = 0;
        let standing = self.pools.values().flat_map(|p| p.inbound.tunnels.iter().chain(&p.outbound.tunnels));
        let under_way = self.builds.values().filter(|b| !b.late);
        for hops in standing.map(|t| &t.hops).chain(under_way.map(|b| &b.hops)) {
            tunnels += 1;
            for hop in hops {
                *usage.entry(*hop).or_insert(0) += 1;
            }
        }
        (usage, tunnels)
    }

    fn start_outbound(&mut self, now: Now, id: PoolId, hops: &[Hop]) -> Result<(), BuildFailure> {
        let (Some(first), Some(endpoint)) = (hops.first(), hops.last()) else {
            return Err(BuildFailure::NoPath);
        };
        let first = first.hash;
        let (via, end) = self.reply_tunnel(now, id, &endpoint.hash).ok_or(BuildFailure::NoPath)?;
        let reply = self.reply_id();
        let request = self.make_request(now, Direction::Outbound, hops, end, reply)?;
        let expires = now.mono.after(Duration::from_millis(self.config.limits.build_timeout_ms));
        let late = expires.after(Duration::from_millis(self.config.limits.late_ms));
        self.plane(PlaneInput::ExpectReply { id: reply, expires: late });
        let tag = request.garlic.map(|garlic| {
            self.garlic.expect(now.mono, garlic.tag, garlic.key, Purpose::BuildReply(reply), late);
            self.plane(PlaneInput::RegisterTag { tag: garlic.tag, expires: late });
            garlic.tag
        });
        let build =
            message(&mut self.rng, now, RecordSize::Short.request_kind(), request.records.into_body());
        self.plane(PlaneInput::Send { to: first, message: build });
        self.note_started(
            now,
            reply,
            OwnBuild {
                pool: id,
                direction: Direction::Outbound,
                hops: hops.iter().map(|h| h.hash).collect(),
                pending: request.pending,
                first: request.first,
                receive: None,
                tag,
                direct: Some(first),
                via,
                sent: now.mono,
                late: false,
            },
        );
        Ok(())
    }

    fn start_inbound(&mut self, now: Now, id: PoolId, hops: &[Hop]) -> Result<(), BuildFailure> {
        let way = self.way_out(now, id).ok_or(BuildFailure::NoPath)?;
        let gateway = *hops.first().ok_or(BuildFailure::NoPath)?;
        let (reply, receive) = (self.reply_id(), self.transit.reserve());
        let end = NextHop { router: self.keys.hash, tunnel: receive };
        let request = match self.make_request(now, Direction::Inbound, hops, end, reply) {
            Ok(request) => request,
            Err(why) => {
                self.transit.release(receive);
                return Err(why);
            }
        };
        let expires = now.mono.after(Duration::from_millis(self.config.limits.build_timeout_ms));
        let expires = expires.after(Duration::from_millis(self.config.limits.late_ms));
        self.plane(PlaneInput::ExpectReply { id: reply, expires });
        let build =
            message(&mut self.rng, now, RecordSize::Short.request_kind(), request.records.into_body());
        let (direct, via) = match way {
            Way::Direct => {
                self.plane(PlaneInput::Send { to: gateway.hash, message: build });
                (Some(gateway.hash), (id, None))
            }
            Way::Tunnel(owner, handle) => {
                // make_request has sealed a record for this key, so it is not of low order.
                if let Some(garlic) = seal_for_router(&mut self.rng, now, &gateway.key, &build) {
                    let messages = vec![(Delivery::Router(gateway.hash), garlic)];
                    self.plane(PlaneInput::Out { handle, messages });
                }
                (None, (owner, Some(TunnelKey::Outbound(handle))))
            }
        };
        self.note_started(
            now,
            reply,
            OwnBuild {
                pool: id,
                direction: Direction::Inbound,
                hops: hops.iter().map(|h| h.hash).collect(),
                pending: request.pending,
                first: request.first,
                receive: Some(receive),
                tag: None,
                direct,
                via,
                sent: now.mono,
                late: false,
            },
        );
        Ok(())
    }

    fn make_request(
        &mut self,
        now: Now,
        direction: Direction,
        hops: &[Hop],
        end: NextHop,
        reply: MessageId,
    ) -> Result<creator::Request, BuildFailure> {
        let plan = Plan {
            direction,
            hops,
            end,
            reply,
            minutes: minutes(now),
            me: self.keys.hash,
            size: RecordSize::Short,
        };
        creator::request(&mut self.rng, &plan).ok_or(BuildFailure::NoPath)
    }

    fn reply_id(&mut self) -> MessageId {
        loop {
            let id = MessageId(self.rng.nonzero_u32());
            if !self.builds.contains_key(&id) {
                return id;
            }
        }
    }

    fn note_started(&mut self, now: Now, reply: MessageId, build: OwnBuild) {
        self.metrics.builds_sent.inc();
        tracing::debug!(pool = build.pool.0, direction = ?build.direction, hops = ?build.hops, "building a tunnel");
        if let Some(pool) = self.pools.get_mut(&build.pool) {
            pool.side_mut(build.direction).started(now.mono, reply);
        }
        let timeout = Duration::from_millis(self.config.limits.build_timeout_ms);
        self.timers.set(Timer::Build(reply), now.mono.after(timeout));
        self.flights += 1;
        self.builds.insert(reply, build);
    }

    /// The inbound tunnel through which an outbound build is answered. One that begins at the endpoint itself comes
    /// last: that router would see both tunnels, and i2pd 2.45 leaves such a reply lying in its gateway until more
    /// comes the same way.
    fn reply_tunnel(&mut self, now: Now, id: PoolId, endpoint: &RouterHash) -> Option<(Via, NextHop)> {
        let me = self.keys.hash;
        for (owner, elsewhere) in
            [(id, true), (PoolId::EXPLORATORY, true), (id, false), (PoolId::EXPLORATORY, false)]
        {
            let Some(pool) = self.pools.get(&owner) else { continue };
            let suits = |t: &Tunnel| !elsewhere || t.hops.first() != Some(endpoint);
            if let Some(tunnel) = pool.inbound.pick(now.mono, &mut self.rng, suits) {
                let router = tunnel.hops.first().copied().unwrap_or(me);
                return Some(((owner, Some(tunnel.key)), NextHop { router, tunnel: tunnel.id }));
            }
        }
        if !self.config.zero_hop_bootstrap {
            return None;
        }
        Some(((id, None), NextHop { router: me, tunnel: self.bootstrap_tunnel(now) }))
    }

    /// A zero-hop inbound tunnel that belongs to no pool and serves only build replies.
    fn bootstrap_tunnel(&mut self, now: Now) -> TunnelId {
        if let Some((id, expires)) = self.bootstrap
            && expires > now.mono.after(Duration::from_secs(60))
        {
            return id;
        }
        if let Some((old, _)) = self.bootstrap.take() {
            self.transit.release(old);
        }
        let receive = self.transit.reserve();
        let expires = now.mono.after(Duration::from_millis(OWN_LIFE_MS));
        let config = TunnelConfig::ZeroInbound { receive, owner: PoolId::EXPLORATORY };
        self.plane(PlaneInput::Install(Install { config, expires, rate: None }));
        self.bootstrap = Some((receive, expires));
        receive
    }

    /// The way of an inbound request to its gateway.
    fn way_out(&mut self, now: Now, id: PoolId) -> Option<Way> {
        for owner in [id, PoolId::EXPLORATORY] {
            let Some(pool) = self.pools.get(&owner) else { continue };
            if let Some(tunnel) = pool.outbound.pick(now.mono, &mut self.rng, |_| true) {
                // Through a tunnel without hops the request would go directly as well, only bigger.
                return Some(if tunnel.hops.is_empty() {
                    Way::Direct
                } else {
                    Way::Tunnel(owner, tunnel.id)
                });
            }
        }
        id.is_exploratory().then_some(Way::Direct)
    }

    /// Reads the reply to a build of ours.
    pub(super) fn own_reply(&mut self, now: Now, id: MessageId, body: Vec<u8>) {
        let Some(build) = self.take_build(id) else { return };
        let codes = BuildRecords::decode(RecordSize::Short, body)
            .ok()
            .and_then(|records| build.pending.read(records).ok());
        let Some(codes) = codes else {
            self.metrics.builds_tampered.inc();
            self.give_up(now, &build, BuildFailure::Tampered);
            return;
        };
        self.helper_works(&build);
        for (hop, code) in build.hops.iter().zip(&codes) {
            let report = if *code == 0 { Report::BuildAgreed } else { Report::BuildRejected };
            self.actions.push_back(Action::Profile(*hop, report));
        }
        if build.late {
            self.metrics.replies_late.inc();
            self.give_back(&build);
            return;
        }
        let refusal = build.hops.iter().zip(&codes).find(|(_, code)| **code != 0);
        match refusal.map(|(hop, code)| (*hop, *code)) {
            None => self.establish(now, build),
            Some((by, code)) => {
                self.metrics.builds_rejected.inc();
                self.avoid(now.mono, by);
                self.give_up(now, &build, BuildFailure::Rejected { by, code });
            }
        }
    }

    /// An answered build is as good as a test of the tunnel that carried it.
    fn helper_works(&mut self, build: &OwnBuild) {
        let helper = match build.direction {
            Direction::Inbound => Direction::Outbound,
            Direction::Outbound => Direction::Inbound,
        };
        if let (owner, Some(key)) = build.via
            && let Some(pool) = self.pools.get_mut(&owner)
        {
            pool.side_mut(helper).tested(key, true);
        }
    }

    /// Takes a build out of the books, with its timer and tag.
    fn take_build(&mut self, id: MessageId) -> Option<OwnBuild> {
        let build = self.builds.remove(&id)?;
        self.timers.cancel(&Timer::Build(id));
        if let Some(tag) = &build.tag {
            self.garlic.forget(tag);
        }
        self.land(id, &build);
        Some(build)
    }

    /// The build no longer counts as under way.
    fn land(&mut self, id: MessageId, build: &OwnBuild) {
        if build.late {
            return;
        }
        self.flights = self.flights.saturating_sub(1);
        if let Some(pool) = self.pools.get_mut(&build.pool) {
            pool.side_mut(build.direction).landed(id);
        }
        self.dirty.insert(build.pool);
        self.dirty.append(&mut self.queued);
    }

    fn give_up(&mut self, now: Now, build: &OwnBuild, why: BuildFailure) {
        self.give_back(build);
        if !build.late {
            self.note_failure(now, build.pool, build.direction, why);
        }
    }

    /// Returns ids that nothing will use.
    fn give_back(&mut self, build: &OwnBuild) {
        if let Some(tag) = build.tag {
            self.plane(PlaneInput::DropTag(tag));
        }
        if let Some(receive) = build.receive {
            self.transit.release(receive);
        }
    }

    fn note_failure(&mut self, now: Now, id: PoolId, direction: Direction, why: BuildFailure) {
        // A build that waits for another tunnel is no trouble: it is how every pool begins.
        let waits = why == BuildFailure::NoPath;
        if !waits {
            tracing::debug!(pool = id.0, ?direction, %why, "tunnel build failed");
        }
        if let Some(pool) = self.pools.get_mut(&id) {
            pool.side_mut(direction).fail(now.mono, &mut self.rng, why);
            pool.troubled |= !waits;
            self.dirty.insert(id);
        }
    }

    /// All hops agreed.
    fn establish(&mut self, now: Now, build: OwnBuild) {
        self.metrics.builds_succeeded.inc();
        let OwnBuild { pool: owner, hops, pending, first, sent, direction, receive, .. } = build;
        if !self.pools.contains_key(&owner) {
            receive.into_iter().for_each(|id| self.transit.release(id));
            return;
        }
        let layers = pending.into_layers();
        let (config, id) = match (direction, receive, hops.first(), hops.last()) {
            (Direction::Inbound, Some(receive), _, Some(last)) => {
                (TunnelConfig::Inbound { receive, owner, previous: Some(*last), hops: layers }, first)
            }
            (Direction::Outbound, _, Some(to), Some(endpoint)) => {
                let handle = self.new_handle();
                let first = NextHop { router: *to, tunnel: first };
                (TunnelConfig::Outbound { handle, owner, first, endpoint: *endpoint, hops: layers }, handle)
            }
            _ => return,
        };
        tracing::debug!(pool = owner.0, ?direction, ?hops, "tunnel established");
        self.add_tunnel(now, owner, direction, config, id, hops, sent);
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one tunnel, named at both call sites")]
    fn add_tunnel(
        &mut self,
        now: Now,
        owner: PoolId,
        direction: Direction,
        config: TunnelConfig,
        id: TunnelId,
        hops: Vec<RouterHash>,
        sent: Mono,
    ) {
        let limits = &self.config.limits;
        let expires = sent.after(Duration::from_millis(OWN_LIFE_MS));
        let age = limits.replace_age_ms + self.rng.below(limits.replace_spread_ms.max(1));
        let replace_at = sent.after(Duration::from_millis(age));
        let key = config.key();
        let until = expires.after(Duration::from_millis(PLANE_GRACE_MS));
        self.plane(PlaneInput::Install(Install { config, expires: until, rate: None }));
        let half = self.config.limits.test_interval_ms / 2;
        let first_test = half + self.rng.below(half);
        let Some(pool) = self.pools.get_mut(&owner) else { return };
        let was_testable = pool.is_testable();
        pool.side_mut(direction).add(Tunnel::new(key, id, hops, sent, expires, replace_at));
        pool.changed = true;
        if !was_testable {
            pool.next_test = now.mono.after(Duration::from_millis(first_test));
        }
        self.dirty.insert(owner);
        self.wake_starved();
    }

    fn install_zero_hop(&mut self, now: Now, owner: PoolId, direction: Direction) {
        let (config, id) = match direction {
            Direction::Inbound => {
                let receive = self.transit.reserve();
                (TunnelConfig::ZeroInbound { receive, owner }, receive)
            }
            Direction::Outbound => {
                let handle = self.new_handle();
                (TunnelConfig::ZeroOutbound { handle, owner }, handle)
            }
        };
        self.add_tunnel(now, owner, direction, config, id, Vec::new(), now.mono);
    }

    fn new_handle(&mut self) -> TunnelId {
        loop {
            let id = TunnelId(self.rng.nonzero_u32());
            let key = TunnelKey::Outbound(id);
            if !self.pools.values().any(|p| p.outbound.tunnels.iter().any(|t| t.key == key)) {
                return id;
            }
        }
    }

    /// The time of a build is over: first it is given up, later it is forgotten.
    pub(super) fn build_timed_out(&mut self, now: Now, id: MessageId) {
        let Some(mut build) = self.builds.remove(&id) else { return };
        if build.late {
            if let Some(tag) = &build.tag {
                self.garlic.forget(tag);
            }
            self.give_back(&build);
            return;
        }
        self.metrics.builds_timed_out.inc();
        let hops = u8::try_from(build.hops.len()).unwrap_or(u8::MAX);
        for hop in &build.hops {
            self.actions.push_back(Action::Profile(*hop, Report::BuildTimedOut { hops }));
        }
        self.land(id, &build);
        self.note_failure(now, build.pool, build.direction, BuildFailure::TimedOut);
        // The loss may be that of the tunnel which carried the request or its reply.
        self.suspect(now, build.via.0);
        build.late = true;
        self.timers.set(Timer::Build(id), now.mono.after(Duration::from_millis(self.config.limits.late_ms)));
        self.builds.insert(id, build);
    }

    /// Tests a pool's tunnels soon.
    pub(super) fn suspect(&mut self, now: Now, id: PoolId) {
        if let Some(pool) = self.pools.get_mut(&id)
            && pool.suspect(now.mono)
        {
            self.dirty.insert(id);
        }
    }

    /// The link to `peer` broke: it may be gone with all its tunnels, or be back in a moment. Tests tell.
    pub(super) fn link_down(&mut self, now: Now, peer: &RouterHash) {
        for (id, pool) in &mut self.pools {
            let outbound = pool.outbound.tunnels.iter().any(|t| t.hops.first() == Some(peer));
            let inbound = pool.inbound.tunnels.iter().any(|t| t.hops.last() == Some(peer));
            if (outbound || inbound) && pool.suspect(now.mono) {
                self.dirty.insert(*id);
            }
        }
    }

    /// No connection to `peer`: builds and outbound tunnels that begin there cannot work.
    pub(super) fn peer_failed(&mut self, now: Now, peer: &RouterHash) {
        self.avoid(now.mono, *peer);
        let mut hit: Vec<MessageId> = self
            .builds
            .iter()
            .filter(|(_, b)| !b.late && b.direct == Some(*peer))
            .map(|(id, _)| *id)
            .collect();
        hit.sort_unstable();
        for id in hit {
            if let Some(build) = self.take_build(id) {
                self.metrics.builds_unsent.inc();
                self.give_up(now, &build, BuildFailure::Unreachable(*peer));
            }
        }
        for (id, pool) in &mut self.pools {
            if pool.outbound.link_failed(|t| t.hops.first() == Some(peer)) {
                self.metrics.tunnels_failed.inc();
                self.dirty.insert(*id);
            }
        }
    }

    /// Ends all that belongs to a pool.
    pub(super) fn drop_pool(&mut self, mut pool: Pool) {
        let flights: Vec<MessageId> = pool.inbound.flights().chain(pool.outbound.flights()).collect();
        for id in flights {
            if let Some(build) = self.take_build(id) {
                self.give_back(&build);
            }
        }
        for direction in [Direction::Inbound, Direction::Outbound] {
            for tunnel in std::mem::take(&mut pool.side_mut(direction).tunnels) {
                self.retire(&tunnel);
                self.plane(PlaneInput::Remove(tunnel.key));
            }
        }
    }

    /// A tunnel of ours is no longer in its pool; its id may be used again once the plane has forgotten it.
    pub(super) fn retire(&mut self, tunnel: &Tunnel) {
        if let TunnelKey::Receive(id) = tunnel.key {
            self.transit.release(id);
        }
    }
}
