// SPDX-License-Identifier: MIT
//! The control task: hosts the tunnel builder and the netDb engine side by side and carries messages between them,
//! the plane, the transport and the destinations.
//!
//! The engines give actions; this task only routes them, and knows which sessions exist. It never waits for a queue
//! with its hands full: what the plane does not take at once waits in [`Control::to_plane`], orders before messages
//! for others when that grows too long.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::contacts::Contacts;
use super::health::{Finding, Health};
use super::identity::{PublicFace, RouterKeys};
use super::links::Link;
use super::persist::Job;
use super::status::StatusBoard;
use crate::base::watch;
use crate::base::{Clock, Map, Mono, Now, QueueReceiver, QueueSender, Rng, map};
use crate::crypto::Verified;
use crate::destination::inbox::Inbox;
use crate::destination::task::Hint;
use crate::netdb::{self, PeerView, Report};
use crate::transport::{self, TransportEvent, TransportHandle};
use crate::tunnel::build::{self, Builder};
use crate::tunnel::plane::{self, Via};
use crate::tunnel::task::{Order, PeerLink};
use crate::tunnel::{Delivery, PoolConfig, PoolId, PoolState};
use crate::wire::{DestHash, I2np, I2npKind, RouterHash, RouterInfo};

/// Orders and messages that may wait for the plane.
const TO_PLANE_MAX: usize = 8192;
/// Routers whose RouterInfo is awaited before they are dialled.
const HELD_ROUTERS_MAX: usize = 256;
/// Messages held for each of them.
const HELD_MESSAGES_MAX: usize = 32;
/// How long they are held.
const HELD_FOR: Duration = Duration::from_secs(5);
/// After longer sleep, peers have given our links up.
const LINKS_LIVE: Duration = Duration::from_secs(120);
/// Inputs taken in one turn.
const TURN: usize = 64;

crate::metrics! {
    /// What the control task counts.
    pub(crate) struct ControlMetrics {
        /// Messages of kinds that no engine takes.
        kind_dropped: Counter,
        /// Messages for the plane dropped because too many waited.
        to_plane_dropped: Counter,
        /// Messages dropped because the RouterInfo of their receiver was not found in time.
        dial_unknown: Counter,
        /// Routers dialled only to know some that are there.
        contacts_dialled: Counter,
        /// Messages dropped because too many dials or awaited routers were under way.
        dial_full: Counter,
        /// Times that our wall clock was corrected by what other routers say.
        clock_corrected: Counter,
        /// Jumps of the system's wall clock.
        clock_jumps: Counter,
        /// Times that the machine slept, or that we were stopped.
        slept: Counter,
        /// Build requests and garlic of strangers dropped because they had waited too long.
        requests_dropped_stale: Counter,
        /// Disk jobs dropped because the disk is too slow.
        disk_dropped: Counter,
    }
}

/// A message for the router itself, from the plane.
#[derive(Debug)]
pub(crate) struct ToControl {
    pub(crate) from: Option<RouterHash>,
    pub(crate) via: Via,
    /// When the plane handed it out.
    pub(crate) since: Mono,
    pub(crate) message: I2np,
}

/// Messages for a router that has no link yet, from the plane.
#[derive(Debug)]
pub(crate) struct ToDial {
    pub(crate) peer: RouterHash,
    pub(crate) messages: Vec<I2np>,
    pub(crate) class: transport::Class,
}

/// What the router's handles ask.
pub(crate) enum Request {
    /// A pool for a new destination.
    OpenSession {
        hash: DestHash,
        config: PoolConfig,
        inbox: Inbox,
        stop: CancellationToken,
        ended: CancellationToken,
        reply: oneshot::Sender<Result<SessionSeed, SessionRefused>>,
    },
    /// A destination's task has ended.
    SessionEnded(PoolId),
    /// RouterInfos that were kept on our own disk.
    Load(Vec<Vec<u8>>),
    /// RouterInfos that somebody gave us, which are to be kept on disk.
    Bootstrap(Vec<Vec<u8>>),
    /// Profiles kept from an earlier life.
    LoadProfiles(String),
    /// Accept transit tunnels, or not.
    Transit(bool),
    /// End the link to a router and refuse it for so long.
    Ban(RouterHash, Duration),
}

/// What a new destination's task needs.
pub(crate) struct SessionSeed {
    pub(crate) pool_id: PoolId,
    pub(crate) pool: watch::Receiver<Arc<PoolState>>,
    /// Why its tunnels cannot be built, as of the last failure.
    pub(crate) trouble: watch::Receiver<build::PoolReport>,
}

/// Why a session was refused.
pub(crate) enum SessionRefused {
    /// Another has this destination; it ends with the token if it is closing, `None` if it is not.
    Duplicate(Option<CancellationToken>),
    /// Too many sessions.
    Full(usize),
}

/// A room's name and the way to read its counters.
pub(crate) type Counters = (&'static str, Box<dyn Fn() -> Vec<(&'static str, u64)> + Send + Sync>);

struct Live {
    hash: DestHash,
    /// Why its tunnels cannot be built, as of the last failure.
    trouble: watch::Sender<build::PoolReport>,
    pool: watch::Sender<Arc<PoolState>>,
    stop: CancellationToken,
    ended: CancellationToken,
}

/// Everything that the task is connected to.
pub(crate) struct Wires {
    pub(crate) clock: Clock,
    /// Answers to what we asked.
    pub(crate) replies: QueueReceiver<ToControl>,
    /// Build requests and garlic of strangers.
    pub(crate) builds: QueueReceiver<ToControl>,
    pub(crate) database: QueueReceiver<ToControl>,
    pub(crate) dials: QueueReceiver<ToDial>,
    pub(crate) refused: QueueReceiver<crate::tunnel::TunnelKey>,
    pub(crate) transport_events: QueueReceiver<TransportEvent>,
    pub(crate) requests: QueueReceiver<Request>,
    pub(crate) plane: QueueSender<Order>,
    pub(crate) hints: QueueReceiver<Hint>,
    pub(crate) disk: QueueSender<Job>,
    pub(crate) transport: TransportHandle,
    pub(crate) view: watch::Sender<PeerView>,
    pub(crate) own_info: watch::Sender<Arc<RouterInfo>>,
    pub(crate) stop: CancellationToken,
}

/// Takes what waits now, up to a turn's worth.
fn fill<T>(batch: &mut Vec<T>, queue: &mut QueueReceiver<T>) {
    while batch.len() < TURN
        && let Some(item) = queue.try_recv()
    {
        batch.push(item);
    }
}

/// See the module.
pub(crate) struct Control {
    keys: Arc<RouterKeys>,
    face: PublicFace,
    netdb: netdb::Engine,
    builder: Builder,
    view: PeerView,
    sessions: Map<PoolId, Live>,
    sessions_max: usize,
    /// Longest time that a build request may wait for us (T2).
    request_wait: Duration,
    next_pool: u32,
    held: Map<RouterHash, (Mono, Vec<I2np>, transport::Class)>,
    to_plane: VecDeque<Order>,
    /// States of pools that their owners learn once the plane has all orders of [`Self::to_plane`]: nobody may send
    /// through a tunnel before the plane has it.
    pool_states: BTreeMap<PoolId, Arc<PoolState>>,
    status: StatusBoard,
    health: Health,
    contacts: Contacts,
    /// Whether we take tunnels of others.
    transit: bool,
    metrics: Arc<ControlMetrics>,
    #[cfg(feature = "sim")]
    misconduct: Option<super::misconduct::Misconduct>,
}

impl Control {
    #[allow(clippy::too_many_arguments, reason = "assembled in one place")]
    pub(crate) fn new(
        now: Now,
        keys: Arc<RouterKeys>,
        face: PublicFace,
        netdb: netdb::Engine,
        mut builder: Builder,
        exploratory: PoolConfig,
        sessions_max: usize,
        status: StatusBoard,
        health: Health,
        request_wait: Duration,
        rng: &mut Rng,
    ) -> Self {
        let view = PeerView::default();
        let open =
            build::Input::OpenPool { id: PoolId::EXPLORATORY, config: exploratory, explicit: Vec::new() };
        builder.handle(now, &view, open);
        Self {
            keys,
            face,
            netdb,
            builder,
            view,
            sessions: map(rng),
            sessions_max,
            request_wait,
            next_pool: 0,
            held: map(rng),
            to_plane: VecDeque::new(),
            pool_states: BTreeMap::new(),
            status,
            health,
            contacts: Contacts::new(now.mono, rng.fork("contacts")),
            transit: true,
            metrics: Arc::default(),
            #[cfg(feature = "sim")]
            misconduct: None,
        }
    }

    /// Does this against the rules.
    #[cfg(feature = "sim")]
    pub(crate) fn misbehave(&mut self, misdeeds: Arc<crate::base::Misdeeds>, rng: Rng) {
        self.builder.misbehave(misdeeds.clone());
        self.netdb.misbehave(misdeeds.clone());
        self.misconduct = Some(super::misconduct::Misconduct::new(misdeeds, rng));
    }

    fn link(&self, sender: transport::PeerSender) -> Arc<dyn PeerLink> {
        let link = Link(sender);
        #[cfg(feature = "sim")]
        if let Some(misconduct) = &self.misconduct {
            return Arc::new(misconduct.link(link));
        }
        Arc::new(link)
    }

    /// Counters of control and of the engines it hosts, by room.
    pub(crate) fn counters(&self) -> Vec<Counters> {
        let (own, netdb, builder) =
            (self.metrics.clone(), self.netdb.metrics(), self.builder.metrics().clone());
        vec![
            ("control", Box::new(move || own.snapshot())),
            ("netdb", Box::new(move || netdb.snapshot())),
            ("tunnel_build", Box::new(move || builder.snapshot())),
        ]
    }

    /// Runs until stopped.
    pub(crate) async fn run(mut self, mut w: Wires) {
        let (mut replies, mut builds) = (Vec::new(), Vec::new());
        let (mut database, mut dials) = (Vec::new(), Vec::new());
        self.publish_self(w.clock.now(), &w);
        loop {
            self.settle(w.clock.now(), &w);
            if self.to_plane.is_empty() {
                self.tell_owners();
            }
            let wake = self.poll_timeout();
            tokio::select! { biased;
                () = w.stop.cancelled() => break,
                slot = w.plane.reserve(), if !self.to_plane.is_empty() => {
                    let Some(slot) = slot else { break };
                    if let Some(input) = self.to_plane.pop_front() {
                        slot.send(input);
                    }
                    while w.plane.room() > 0
                        && let Some(order) = self.to_plane.pop_front()
                    {
                        if let Err(order) = w.plane.try_push(order) {
                            self.to_plane.push_front(order);
                            break;
                        }
                    }
                }
                () = w.clock.sleep_until(wake) => self.handle_timeout(&w),
                request = w.requests.recv() => {
                    let Some(request) = request else { break };
                    self.request(w.clock.now(), request, &w.transport);
                }
                event = w.transport_events.recv() => {
                    let Some(event) = event else { break };
                    self.transport_event(&w, event);
                }
                n = w.replies.recv_many(&mut replies, TURN) => if n == 0 { break },
                n = w.builds.recv_many(&mut builds, TURN) => if n == 0 { break },
                n = w.dials.recv_many(&mut dials, TURN) => if n == 0 { break },
                n = w.database.recv_many(&mut database, TURN) => if n == 0 { break },
                hint = w.hints.recv() => {
                    let Some(hint) = hint else { break };
                    self.hint(w.clock.now(), hint);
                }
                key = w.refused.recv() => {
                    let Some(key) = key else { break };
                    self.builder.handle(w.clock.now(), &self.view, build::Input::Refused(key));
                }
            }
            self.look(&w);
            // Whichever woke us, the others get their turn as well: a flood of one kind starves none.
            let now = w.clock.now();
            fill(&mut replies, &mut w.replies);
            fill(&mut builds, &mut w.builds);
            fill(&mut database, &mut w.database);
            fill(&mut dials, &mut w.dials);
            replies.drain(..).for_each(|m| self.message(now, m));
            builds.drain(..).for_each(|m| self.stranger(now, m));
            dials.drain(..).for_each(|d| self.dial(now, d, &w.transport));
            database.drain(..).for_each(|m| self.message(now, m));
            for _ in 0..TURN {
                let Some(hint) = w.hints.try_recv() else { break };
                self.hint(now, hint);
            }
            for _ in 0..TURN {
                let Some(key) = w.refused.try_recv() else { break };
                self.builder.handle(now, &self.view, build::Input::Refused(key));
            }
        }
        let _ = w.disk.try_push(Job::Profiles(self.netdb.save_profiles()));
    }

    fn poll_timeout(&self) -> Option<Mono> {
        let held = self.held.values().map(|(until, ..)| *until).min();
        let own = Some(self.health.next().min(self.contacts.next()));
        [self.netdb.poll_timeout(), self.builder.poll_timeout(), held, own].into_iter().flatten().min()
    }

    fn handle_timeout(&mut self, w: &Wires) {
        self.look(w);
        let now = w.clock.now();
        if self.netdb.poll_timeout().is_some_and(|at| at <= now.mono) {
            self.netdb.handle_timeout(now);
        }
        if self.builder.poll_timeout().is_some_and(|at| at <= now.mono) {
            self.builder.handle_timeout(now, &self.view);
        }
        if self.contacts.next() <= now.mono {
            self.make_contacts(now, &w.transport);
        }
        let metrics = &self.metrics;
        self.held.retain(|_, (until, messages, _)| {
            let keep = *until > now.mono;
            if !keep {
                metrics.dial_unknown.add(messages.len() as u64);
            }
            keep
        });
    }

    /// Dials a few routers when we know hardly any that is there.
    fn make_contacts(&mut self, now: Now, transport: &TransportHandle) {
        let cut_off = self.health.cut_off_since().is_some();
        for peer in self.contacts.look(now, &self.view, cut_off) {
            let Some(entry) = self.view.get(&peer) else { continue };
            let info = Arc::new(RouterInfo::clone(&entry.info));
            if transport.dial(info, Vec::new(), transport::Class::Own) {
                self.metrics.contacts_dialled.inc();
            }
        }
    }

    /// Looks after our health, when that is due or the machine has slept: all that follows needs the right time.
    fn look(&mut self, w: &Wires) {
        let (now, slept) = (w.clock.now(), w.clock.slept());
        if self.health.next() > now.mono && !self.health.woke(now, slept) {
            return;
        }
        self.builder.handle(now, &self.view, build::Input::Load(self.health.load()));
        let level = self.builder.transit_level();
        for finding in self.health.look(now, slept, level, self.transit) {
            self.act_on(w, finding);
        }
    }

    /// A request that waited so long is answered too late for its creator.
    fn stranger(&mut self, now: Now, m: ToControl) {
        if now.mono.since(m.since) > self.request_wait {
            self.metrics.requests_dropped_stale.inc();
        } else {
            self.message(now, m);
        }
    }

    fn message(&mut self, now: Now, m: ToControl) {
        let ToControl { from, via, message, .. } = m;
        let tagged = message.kind == I2npKind::GARLIC && self.netdb.owns_tag(&message.body);
        match message.kind {
            I2npKind::DATABASE_STORE
            | I2npKind::DATABASE_LOOKUP
            | I2npKind::DATABASE_SEARCH_REPLY
            | I2npKind::DELIVERY_STATUS => self.database(now, from, via, message),
            I2npKind::GARLIC if tagged => self.database(now, from, via, message),
            I2npKind::GARLIC => self.build(now, from, via, message),
            I2npKind(21..=26) => self.build(now, from, via, message),
            _ => self.metrics.kind_dropped.inc(),
        }
    }

    fn database(&mut self, now: Now, from: Option<RouterHash>, via: Via, message: I2np) {
        let source = match (from, via) {
            (Some(router), Via::Direct) => netdb::Source::Direct(router),
            (None, Via::Direct) => netdb::Source::Garlic,
            (_, Via::Tunnel(_)) => netdb::Source::Exploratory,
        };
        self.netdb.handle(now, netdb::Input::Message { source, message });
    }

    fn build(&mut self, now: Now, from: Option<RouterHash>, via: Via, message: I2np) {
        self.builder.handle(now, &self.view, build::Input::Message { from, via, message });
    }

    /// What was found out about ourselves.
    fn act_on(&mut self, w: &Wires, finding: Finding) {
        match finding {
            Finding::Letter(letter) => {
                tracing::debug!(?letter, "congestion letter");
                self.face.congestion = letter;
            }
            Finding::Clock(ms) => {
                tracing::warn!(seconds = ms / 1000, "other routers say that our clock is wrong; corrected");
                w.clock.adjust(ms);
                self.metrics.clock_corrected.inc();
            }
            Finding::Jump(ms) => {
                tracing::warn!(
                    seconds = -ms / 1000,
                    "the system's clock jumped: tunnels are renewed; other routers will tell the time"
                );
                w.clock.adjust(ms);
                self.metrics.clock_jumps.inc();
                self.builder.handle(w.clock.now(), &self.view, build::Input::Renew);
            }
            Finding::Slept(time) => {
                tracing::info!(seconds = time.as_secs(), "the machine slept: tunnels are renewed");
                self.metrics.slept.inc();
                self.builder.handle(w.clock.now(), &self.view, build::Input::Renew);
                if time > LINKS_LIVE {
                    w.transport.disconnect_all();
                }
            }
            Finding::CutOff(yes) => {
                self.builder.handle(w.clock.now(), &self.view, build::Input::CutOff(yes));
                self.status.cut_off(self.health.cut_off_since());
                return;
            }
        }
        self.publish_self(w.clock.now(), w);
    }

    fn transport_event(&mut self, w: &Wires, event: TransportEvent) {
        self.contacts.event(w.clock.now().mono, &event);
        let finding = self.health.event(w.clock.now(), w.clock.slept(), &event);
        if let Some(finding) = finding {
            self.act_on(w, finding);
        }
        let now = w.clock.now();
        match event {
            TransportEvent::Up { peer, sender, .. } => {
                self.to_plane.push_back(Order::PeerUp(peer, self.link(sender)));
                self.netdb.handle(now, netdb::Input::Up(peer));
                self.status.connected(1);
            }
            TransportEvent::Down { peer, reason } => {
                tracing::debug!(%peer, %reason, "link closed");
                self.to_plane.push_back(Order::PeerDown(peer));
                self.netdb.handle(now, netdb::Input::Down(peer));
                self.builder.handle(now, &self.view, build::Input::LinkDown(peer));
                self.status.connected(-1);
            }
            TransportEvent::RouterInfo { from, raw, flood } => {
                self.netdb.handle(now, netdb::Input::RouterInfo { from, bytes: raw, flood });
            }
            TransportEvent::DialFailed { peer, reason, messages } => {
                tracing::debug!(%peer, %reason, messages, "no link");
                if reason.is_peers_fault() {
                    self.netdb.handle(now, netdb::Input::Report(peer, Report::DialFailed));
                }
                self.builder.handle(now, &self.view, build::Input::PeerFailed(peer));
            }
        }
    }

    fn hint(&mut self, now: Now, hint: Hint) {
        match hint {
            Hint::Find(router) => self.netdb.handle(now, netdb::Input::FindRouter(router)),
            Hint::Suspect(pool) => self.builder.handle(now, &self.view, build::Input::Suspect(pool)),
        }
    }

    fn request(&mut self, now: Now, request: Request, transport: &TransportHandle) {
        match request {
            Request::OpenSession { hash, config, inbox, stop, ended, reply } => {
                let seed = self.open_session(now, hash, config, inbox, stop, ended);
                let _ = reply.send(seed);
            }
            Request::SessionEnded(pool) => {
                if let Some(live) = self.sessions.remove(&pool) {
                    self.to_plane.push_back(Order::OwnerGone(pool));
                    self.builder.handle(now, &self.view, build::Input::ClosePool(pool));
                    live.ended.cancel();
                    self.status.sessions(self.sessions.len());
                }
            }
            Request::Load(routers) => {
                for bytes in routers {
                    self.netdb.handle(now, netdb::Input::Load(bytes));
                }
            }
            Request::Bootstrap(routers) => {
                for bytes in routers {
                    self.netdb.handle(now, netdb::Input::Bootstrap(bytes));
                }
            }
            Request::Ban(router, time) => {
                transport.ban(router, time);
            }
            Request::LoadProfiles(text) => self.netdb.handle(now, netdb::Input::LoadProfiles(text)),
            Request::Transit(accept) => {
                self.transit = accept;
                self.builder.handle(now, &self.view, build::Input::Transit(accept));
            }
        }
    }

    fn open_session(
        &mut self,
        now: Now,
        hash: DestHash,
        config: PoolConfig,
        inbox: Inbox,
        stop: CancellationToken,
        ended: CancellationToken,
    ) -> Result<SessionSeed, SessionRefused> {
        if let Some(old) = self.sessions.values().find(|l| l.hash == hash) {
            return Err(SessionRefused::Duplicate(old.stop.is_cancelled().then(|| old.ended.clone())));
        }
        if self.sessions.len() >= self.sessions_max {
            return Err(SessionRefused::Full(self.sessions_max));
        }
        self.next_pool += 1;
        let pool_id = PoolId(self.next_pool);
        let (pool, receiver) = watch::channel(Arc::default());
        let (trouble, trouble_receiver) = watch::channel(build::PoolReport::default());
        self.sessions.insert(pool_id, Live { hash, trouble, pool, stop, ended });
        self.to_plane.push_back(Order::Owner(pool_id, Arc::new(inbox)));
        let open = build::Input::OpenPool { id: pool_id, config, explicit: Vec::new() };
        self.builder.handle(now, &self.view, open);
        self.status.sessions(self.sessions.len());
        Ok(SessionSeed { pool_id, pool: receiver, trouble: trouble_receiver })
    }

    #[cfg_attr(not(feature = "sim"), allow(unused_mut, reason = "changed by misdeeds alone"))]
    fn dial(&mut self, now: Now, mut d: ToDial, transport: &TransportHandle) {
        #[cfg(feature = "sim")]
        if let Some(misconduct) = &self.misconduct {
            misconduct.thin(&mut d.messages, d.class == transport::Class::Transit);
            if d.messages.is_empty() {
                return;
            }
        }
        if let Some(entry) = self.view.get(&d.peer) {
            let info = Arc::new(RouterInfo::clone(&entry.info));
            let count = d.messages.len() as u64;
            if !transport.dial(info, d.messages, d.class) {
                self.metrics.dial_full.add(count);
            }
            return;
        }
        if self.held.len() >= HELD_ROUTERS_MAX && !self.held.contains_key(&d.peer) {
            self.metrics.dial_full.add(d.messages.len() as u64);
            return;
        }
        let (_, messages, _) =
            self.held.entry(d.peer).or_insert_with(|| (now.mono + HELD_FOR, Vec::new(), d.class));
        let room = HELD_MESSAGES_MAX.saturating_sub(messages.len());
        messages.extend(d.messages.into_iter().take(room));
        self.netdb.handle(now, netdb::Input::FindRouter(d.peer));
    }

    /// Runs both engines until neither has anything to do.
    fn settle(&mut self, now: Now, w: &Wires) {
        loop {
            let mut busy = false;
            while let Some(action) = self.builder.poll_action() {
                busy = true;
                self.builder_action(now, action);
            }
            while let Some(action) = self.netdb.poll_action() {
                busy = true;
                self.netdb_action(now, action, w);
            }
            if !busy {
                break;
            }
        }
        self.status.transit(self.builder.transit_tunnels());
    }

    fn builder_action(&mut self, now: Now, action: build::Action) {
        match action {
            build::Action::Plane(input) => self.push_plane(input),
            build::Action::Pool(id, state) => self.pool_changed(now, id, state),
            build::Action::Trouble(id, report) => {
                tracing::debug!(pool = id.0, %report, "tunnels of a pool");
                if let Some(live) = self.sessions.get(&id) {
                    live.trouble.send_replace(*report);
                }
                self.status.trouble(id, (!report.is_ready()).then(|| report.to_string()));
            }
            build::Action::Profile(router, report) => {
                self.netdb.handle(now, netdb::Input::Report(router, report));
            }
            build::Action::Netdb { message, from } => {
                let source = from.map_or(netdb::Source::Garlic, netdb::Source::Direct);
                self.netdb.handle(now, netdb::Input::Message { source, message });
            }
            build::Action::NeedRouterInfo(router) => self.netdb.handle(now, netdb::Input::FindRouter(router)),
        }
    }

    fn pool_changed(&mut self, now: Now, id: PoolId, state: Arc<PoolState>) {
        if id.is_exploratory() {
            let inbound = state
                .inbound
                .iter()
                .map(|t| netdb::ReplyTunnel { gateway: t.gateway, tunnel: t.id })
                .collect();
            let outbound = state.outbound.iter().map(|t| t.handle).collect();
            self.netdb.handle(now, netdb::Input::Exploratory(netdb::Tunnels { inbound, outbound }));
            self.status.exploratory(&state);
        } else {
            self.pool_states.insert(id, state);
        }
    }

    /// Tells the owners of pools what has become of them.
    fn tell_owners(&mut self) {
        while let Some((id, state)) = self.pool_states.pop_first() {
            if let Some(live) = self.sessions.get(&id) {
                live.pool.send_replace(state);
            }
        }
    }

    fn netdb_action(&mut self, now: Now, action: netdb::Action, w: &Wires) {
        match action {
            netdb::Action::Send { to, message } => self.push_plane(plane::Input::Send { to, message }),
            netdb::Action::SendThrough { tunnel, to, message } => {
                let messages = vec![(Delivery::Router(to), message)];
                self.push_plane(plane::Input::Out { handle: tunnel, messages });
            }
            netdb::Action::RegisterTag { tag, lifetime } => {
                self.push_plane(plane::Input::RegisterTag { tag, expires: now.mono + lifetime });
            }
            netdb::Action::RouterFound(router) => {
                if let Some((_, messages, class)) = self.held.remove(&router) {
                    self.dial(now, ToDial { peer: router, messages, class }, &w.transport);
                }
            }
            netdb::Action::RouterNotFound(router) => {
                if let Some((_, messages, _)) = self.held.remove(&router) {
                    self.metrics.dial_unknown.add(messages.len() as u64);
                    self.builder.handle(now, &self.view, build::Input::PeerFailed(router));
                }
            }
            netdb::Action::Published { by } => {
                tracing::debug!(floodfill = %by, "our RouterInfo is published");
                self.status.published(true);
            }
            netdb::Action::PublishFailed { asked } => {
                tracing::info!(asked, "no floodfill has confirmed our RouterInfo; trying again");
                self.status.published(false);
            }
            netdb::Action::RefreshOwn => self.publish_self(now, w),
            netdb::Action::Save { hash, info } => self.disk(w, Job::Save(hash, info.raw().clone())),
            netdb::Action::Forget(hash) => self.disk(w, Job::Forget(hash)),
            netdb::Action::SaveProfiles(text) => self.disk(w, Job::Profiles(text)),
            netdb::Action::ViewChanged(view) => {
                self.view = view.clone();
                self.status.known(self.view.len(), self.view.floodfills().len());
                w.view.send_replace(view);
                self.builder.handle(now, &self.view, build::Input::ViewChanged);
            }
        }
    }

    /// Signs our RouterInfo with the present time and gives it to all who need it.
    fn publish_self(&mut self, now: Now, w: &Wires) {
        let stats = self.netdb.stats();
        self.face.known = Some((stats.routers, stats.lease_sets));
        let info = self.keys.router_info(now.wall_ms, &self.face);
        match Verified::check(info.clone()) {
            Ok(verified) => {
                self.disk(w, Job::Own(info.raw().clone()));
                w.own_info.send_replace(Arc::new(info));
                self.netdb.handle(now, netdb::Input::Own(Arc::new(verified)));
            }
            Err(_) => tracing::error!("our own RouterInfo does not verify; this is a bug, please report it"),
        }
    }

    fn disk(&self, w: &Wires, job: Job) {
        if w.disk.try_push(job).is_err() {
            self.metrics.disk_dropped.inc();
        }
    }

    fn push_plane(&mut self, input: plane::Input) {
        if self.to_plane.len() >= TO_PLANE_MAX {
            // Messages can be sent again; orders about tunnels cannot.
            if matches!(input, plane::Input::Send { .. } | plane::Input::Out { .. }) {
                self.metrics.to_plane_dropped.inc();
                return;
            }
        }
        self.to_plane.push_back(input.into());
    }
}
