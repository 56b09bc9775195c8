// SPDX-License-Identifier: MIT
//! The builder: inputs to actions.
//!
//! Contract: after each `handle` or `handle_timeout` the host takes actions until there are none, in order (a tunnel is
//! installed before anything is sent through it), and calls `handle_timeout` when `poll_timeout` has come. Nothing
//! waits for a timer that can be done at once: a new pool asks for all its tunnels in the call that opens it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::admission::Admission;
use super::creator::Direction;
use super::hop::Responder;
use super::message::{Action, BuilderConfig, Input, RouterKeys};
use super::metrics::BuildMetrics;
use super::own::OwnBuild;
use super::pool::{Pool, PoolReport};
use super::probe::Probe;
use super::router_garlic::{Opened, Purpose, Refused, RouterGarlic};
use super::transit::Transit;
use crate::base::{Map, Mono, Now, Rng, Set, TimerQueue, map, set};
use crate::netdb::PeerView;
use crate::tunnel::plane::{Input as PlaneInput, Via};
use crate::tunnel::{PoolConfig, PoolId, PoolState, TunnelKey};
use crate::wire::build_record::RecordSize;
use crate::wire::{I2np, I2npKind, MessageId, RouterHash, TunnelId};

/// Time between two builds while nobody out there answers (K9).
const CUT_OFF_PAUSE: Duration = Duration::from_secs(10);

/// What the builder waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Pool(PoolId),
    Build(MessageId),
    Probe([u8; 8]),
    /// A build is due although we are cut off.
    CutOff,
}

/// Builds tunnels, keeps pools, answers the build requests of others.
#[derive(Debug)]
pub struct Builder {
    pub(super) keys: RouterKeys,
    pub(super) config: BuilderConfig,
    pub(super) rng: Rng,
    pub(super) pools: BTreeMap<PoolId, Pool>,
    pub(super) builds: Map<MessageId, OwnBuild>,
    /// Builds that are neither answered nor late.
    pub(super) flights: usize,
    pub(super) garlic: RouterGarlic,
    pub(super) transit: Transit,
    pub(super) probes: Map<[u8; 8], Probe>,
    pub(super) timers: TimerQueue<Timer>,
    /// Pools to be looked at before this call returns.
    pub(super) dirty: BTreeSet<PoolId>,
    /// Pools that wait for a build to end because too many are under way.
    pub(super) queued: BTreeSet<PoolId>,
    /// Routers that could not be reached or refused a moment ago, oldest first: the view learns of it later.
    pub(super) avoid: Set<RouterHash>,
    pub(super) avoid_until: VecDeque<(Mono, RouterHash)>,
    pub(super) bootstrap: Option<(TunnelId, Mono)>,
    /// While we are cut off: when the next build may start.
    cut_off: Option<Mono>,
    pub(super) actions: VecDeque<Action>,
    pub(super) metrics: Arc<BuildMetrics>,
}

impl Builder {
    /// A builder without pools; open [`PoolId::EXPLORATORY`] first, the others lean on it.
    pub fn new(keys: RouterKeys, config: BuilderConfig, mut rng: Rng) -> Self {
        let admission = Admission::new(config.admission.clone(), &mut rng);
        let responder = Responder::new(keys.clone(), admission, rng.fork("responder"));
        Self {
            transit: Transit::new(&keys, responder, rng.fork("transit")),
            garlic: RouterGarlic::new(keys.clone(), &config.admission, &mut rng),
            pools: BTreeMap::new(),
            builds: map(&mut rng),
            flights: 0,
            probes: map(&mut rng),
            timers: TimerQueue::new(),
            dirty: BTreeSet::new(),
            queued: BTreeSet::new(),
            bootstrap: None,
            cut_off: None,
            avoid: set(&mut rng),
            avoid_until: VecDeque::new(),
            actions: VecDeque::new(),
            metrics: Arc::default(),
            keys,
            config,
            rng,
        }
    }

    /// Does this against the rules.
    #[cfg(feature = "sim")]
    pub(crate) fn misbehave(&mut self, misdeeds: Arc<crate::base::Misdeeds>) {
        self.transit.misdeeds = misdeeds;
    }

    /// The counters, to be shared with whoever shows them.
    pub const fn metrics(&self) -> &Arc<BuildMetrics> {
        &self.metrics
    }

    /// The tunnels of a pool.
    pub fn pool_state(&self, id: PoolId) -> Option<PoolState> {
        self.pools.get(&id).map(|pool| pool.state(self.keys.hash))
    }

    /// How a pool fares.
    pub fn pool_report(&self, id: PoolId) -> Option<PoolReport> {
        self.pools.get(&id).map(Pool::report)
    }

    /// Number of transit tunnels.
    pub fn transit_tunnels(&self) -> usize {
        self.transit.len()
    }

    /// How full we are with transit, in percent: for the congestion letters of our RouterInfo.
    pub fn transit_level(&self) -> u8 {
        self.transit.responder.admission.level(self.transit.len())
    }

    /// Takes one input in.
    pub fn handle(&mut self, now: Now, view: &PeerView, input: Input) {
        match input {
            Input::Message { from, via, message } => self.on_message(now, view, from, via, message),
            Input::OpenPool { id, config, explicit } => self.open_pool(now, id, config, explicit),
            Input::ClosePool(id) => {
                if let Some(pool) = self.pools.remove(&id) {
                    self.timers.cancel(&Timer::Pool(id));
                    self.drop_pool(pool);
                }
            }
            Input::Suspect(id) => self.suspect(now, id),
            Input::LinkDown(peer) => self.link_down(now, &peer),
            Input::PeerFailed(peer) => self.peer_failed(now, &peer),
            Input::Refused(key) => self.refused(key),
            Input::ViewChanged => {
                self.wake_starved();
                self.transit.retry_held(now.mono, view, &self.metrics, &mut self.actions);
            }
            Input::Transit(open) => self.transit.responder.admission.set_open(open),
            Input::Load(percent) => self.transit.responder.admission.set_load(percent),
            Input::CutOff(yes) => self.set_cut_off(now, yes),
            Input::Renew => {
                for (id, pool) in &mut self.pools {
                    pool.renew(now.mono);
                    self.dirty.insert(*id);
                }
            }
        }
        self.pump(now, view);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now, view: &PeerView) {
        while let Some(timer) = self.timers.pop_due(now.mono) {
            match timer {
                Timer::Pool(id) => {
                    self.dirty.insert(id);
                }
                Timer::Build(id) => self.build_timed_out(now, id),
                Timer::Probe(tag) => self.probe_failed(now, tag),
                Timer::CutOff => self.dirty.extend(self.pools.keys()),
            }
        }
        self.transit.responder.admission.look(now.mono);
        if self.transit.next_deadline().is_some_and(|at| at <= now.mono) {
            self.transit.retry_held(now.mono, view, &self.metrics, &mut self.actions);
        }
        self.pump(now, view);
    }

    /// When [`Self::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Mono> {
        [self.timers.next(), self.transit.next_deadline()].into_iter().flatten().min()
    }

    /// The next thing to be done by the host.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub(super) fn plane(&mut self, input: PlaneInput) {
        self.actions.push_back(Action::Plane(input));
    }

    fn open_pool(&mut self, now: Now, id: PoolId, config: PoolConfig, explicit: Vec<RouterHash>) {
        if let Some(pool) = self.pools.get_mut(&id) {
            (pool.inbound.config, pool.outbound.config) = (config.inbound, config.outbound);
            pool.explicit = explicit;
        } else if self.pools.len() >= self.config.limits.pools {
            self.metrics.pools_refused.inc();
            return;
        } else {
            let mut pool = Pool::new(id, config, explicit, &mut self.rng);
            pool.next_test = now.mono;
            self.pools.insert(id, pool);
        }
        self.dirty.insert(id);
    }

    fn refused(&mut self, key: TunnelKey) {
        if let TunnelKey::Receive(id) = key
            && self.transit.refused(id)
        {
            self.metrics.transit_now.set(self.transit.len() as u64);
            return;
        }
        for (id, pool) in &mut self.pools {
            for direction in [Direction::Inbound, Direction::Outbound] {
                let side = pool.side_mut(direction);
                let before = side.tunnels.len();
                side.tunnels.retain(|t| t.key != key);
                if side.tunnels.len() < before {
                    pool.changed = true;
                    self.dirty.insert(*id);
                }
            }
        }
    }

    fn on_message(&mut self, now: Now, view: &PeerView, from: Option<RouterHash>, via: Via, message: I2np) {
        let direct = via == Via::Direct;
        match message.kind {
            I2npKind::GARLIC => self.on_garlic(now, view, from, direct, &message),
            _ => self.on_plain(now, view, from, direct, message),
        }
    }

    /// A message that is not garlic, or came out of garlic.
    fn on_plain(&mut self, now: Now, view: &PeerView, from: Option<RouterHash>, direct: bool, message: I2np) {
        match message.kind {
            I2npKind::SHORT_TUNNEL_BUILD if self.awaits(message.id, Direction::Inbound) => {
                self.own_reply(now, message.id, message.body);
            }
            I2npKind::OUTBOUND_TUNNEL_BUILD_REPLY => {
                if self.awaits(message.id, Direction::Outbound) {
                    self.own_reply(now, message.id, message.body);
                } else {
                    self.metrics.replies_unknown.inc();
                }
            }
            I2npKind::VARIABLE_TUNNEL_BUILD_REPLY => self.metrics.replies_unknown.inc(),
            // A request out of a tunnel of ours would tell its sender whose tunnel it is.
            I2npKind::SHORT_TUNNEL_BUILD if direct => {
                self.on_request(now, view, RecordSize::Short, from, message)
            }
            I2npKind::VARIABLE_TUNNEL_BUILD if direct => {
                self.on_request(now, view, RecordSize::Long, from, message)
            }
            I2npKind::DATABASE_STORE
            | I2npKind::DATABASE_LOOKUP
            | I2npKind::DATABASE_SEARCH_REPLY
            | I2npKind::DELIVERY_STATUS => self.actions.push_back(Action::Netdb { message, from }),
            _ => self.metrics.messages_dropped_kind.inc(),
        }
    }

    fn awaits(&self, id: MessageId, direction: Direction) -> bool {
        self.builds.get(&id).is_some_and(|build| build.direction == direction)
    }

    fn on_request(
        &mut self,
        now: Now,
        view: &PeerView,
        size: RecordSize,
        from: Option<RouterHash>,
        message: I2np,
    ) {
        let Self { transit, config, metrics, actions, .. } = self;
        transit.request(now, view, &config.limits, metrics, size, from, message, actions);
    }

    fn on_garlic(
        &mut self,
        now: Now,
        view: &PeerView,
        from: Option<RouterHash>,
        direct: bool,
        message: &I2np,
    ) {
        // Out of a tunnel only what carries a tag of ours: anything else would be a way to find out whose it is.
        let Opened { tag, messages } = match self.garlic.open(now, &message.body, !direct) {
            Ok(opened) => opened,
            Err(why) => {
                match why {
                    Refused::Rate => self.metrics.garlic_dropped_rate.inc(),
                    _ => self.metrics.garlic_dropped.inc(),
                }
                tracing::debug!(?why, ?from, "garlic for the router dropped");
                return;
            }
        };
        self.metrics.garlic_opened.inc();
        match tag {
            Some((tag, Purpose::Test)) => self.probe_passed(now, tag),
            Some((_, Purpose::BuildReply(id))) => {
                let reply = messages.into_iter().find(|m| m.kind == I2npKind::OUTBOUND_TUNNEL_BUILD_REPLY);
                if let Some(reply) = reply
                    && reply.id == id
                {
                    self.own_reply(now, id, reply.body);
                }
            }
            // The sender of what was wrapped is unknown: whoever brought it need not have made it.
            None => {
                for inner in messages {
                    self.on_plain(now, view, None, true, inner);
                }
            }
        }
    }

    /// Lets every pool that could not start a build try again.
    pub(super) fn wake_starved(&mut self) {
        for (id, pool) in &mut self.pools {
            if pool.inbound.starved || pool.outbound.starved {
                pool.inbound.wake();
                pool.outbound.wake();
                self.dirty.insert(*id);
            }
        }
    }

    /// Looks after all pools that something happened to.
    fn pump(&mut self, now: Now, view: &PeerView) {
        self.transit.expire(now.mono);
        let mut seen = BTreeSet::new();
        let mut rounds = 0;
        // Installing a tunnel may wake other pools: a few rounds settle it.
        while !self.dirty.is_empty() && rounds < 16 {
            rounds += 1;
            let ids = std::mem::take(&mut self.dirty);
            for id in &ids {
                self.tidy(now, *id);
            }
            self.start_builds(now, view, &ids);
            seen.extend(ids);
        }
        for id in seen {
            self.publish(now, id);
        }
    }

    /// Takes out what is over and tests what is due.
    fn tidy(&mut self, now: Now, id: PoolId) {
        let Some(pool) = self.pools.get_mut(&id) else { return };
        let mut gone = pool.inbound.prune(now.mono);
        gone.extend(pool.outbound.prune(now.mono));
        pool.changed |= !gone.is_empty();
        let test = pool.next_test <= now.mono && pool.is_testable();
        for tunnel in gone {
            self.retire(&tunnel);
            if tunnel.expires > now.mono {
                self.plane(PlaneInput::Remove(tunnel.key));
            }
        }
        if test {
            self.test_pool(now, id);
        }
    }

    /// Starts the builds that these pools want: empty sides first, the router's own pool before the others.
    fn start_builds(&mut self, now: Now, view: &PeerView, ids: &BTreeSet<PoolId>) {
        let mut wishes: Vec<(bool, PoolId, Direction)> = Vec::new();
        for pool in ids.iter().filter_map(|id| self.pools.get(id)) {
            for direction in [Direction::Inbound, Direction::Outbound] {
                wishes.push((pool.side(direction).is_live(), pool.id, direction));
            }
        }
        wishes.sort_unstable();
        for (_, id, direction) in wishes {
            // Bounded by the side's limits: each start makes it want one less, each failure makes it pause.
            while let Some(pool) = self.pools.get(&id)
                && pool.side(direction).wanted(now.mono, &self.config.limits) > 0
            {
                if self.flights >= self.config.limits.builds {
                    self.queued.insert(id);
                    break;
                }
                if !self.may_build(now.mono) {
                    return;
                }
                if !self.start_build(now, view, id, direction) {
                    break;
                }
            }
        }
    }

    /// While nobody answers, builds are rare: they could only be lost, but the first that is not says that all is well.
    fn set_cut_off(&mut self, now: Now, yes: bool) {
        self.cut_off = yes.then_some(now.mono);
        if !yes {
            self.timers.cancel(&Timer::CutOff);
            self.dirty.extend(self.pools.keys());
        }
    }

    fn may_build(&mut self, now: Mono) -> bool {
        let Some(next) = &mut self.cut_off else { return true };
        let due = *next <= now;
        if due {
            *next = now.after(CUT_OFF_PAUSE);
        } else {
            self.metrics.builds_held_back.inc();
        }
        self.timers.set(Timer::CutOff, *next);
        due
    }

    /// Tells owners what changed and sets the pool's timer.
    fn publish(&mut self, now: Now, id: PoolId) {
        let me = self.keys.hash;
        let Some(pool) = self.pools.get_mut(&id) else { return };
        if std::mem::take(&mut pool.changed) {
            let state = Arc::new(pool.state(me));
            self.actions.push_back(Action::Pool(id, state));
        }
        let ready = pool.inbound.is_live() && pool.outbound.is_live();
        let troubled = std::mem::take(&mut pool.troubled);
        if if ready { pool.told } else { troubled } {
            pool.told = !ready;
            let report = Box::new(pool.report());
            self.actions.push_back(Action::Trouble(id, report));
        }
        match pool.next_deadline(now.mono, &self.config.limits) {
            Mono::NEVER => self.timers.cancel(&Timer::Pool(id)),
            at => self.timers.set(Timer::Pool(id), at),
        }
    }
}

#[cfg(test)]
mod tests;
