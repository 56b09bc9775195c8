// SPDX-License-Identifier: MIT
//! Everything one destination does, without I/O: garlic sessions, streams, our lease set, lookups, paths.
//!
//! The task feeds it tunnel messages, snapshots and calls, then takes actions until there are none. Packets leave
//! the stream table only while few batches wait for the plane, so a full plane holds streams back and loses nothing.
//!
//! ```text
//! tunnel messages -> garlic -> streams -> pipes -> programs
//! programs -> pipes -> streams -> garlic -> path -> batches for the plane
//! ```

mod datagrams;
mod streams;
mod traffic;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use super::database::{Database, Outcome};
use super::leases::Leases;
use super::open::Open;
use super::peers::Peers;
use super::{BlindedAccess, ConnectOptions, DestinationKeys, Error, I2pStream, Limits, SessionConfig};
use crate::base::{Budget, Doorbell, Map, Mono, Now, Rng, map};
use crate::crypto::{Verified, X25519Secret};
use crate::garlic::{Sessions, Strangers};
use crate::netdb::PeerView;
use crate::stream::{self, StreamId, Table};
use crate::tunnel::{Delivery, PoolState};
use crate::wire::i2cp_gzip::Ports;
use crate::wire::{BlindedName, DestHash, Destination, I2np, I2npKind, LeaseSet2, RouterHash, TunnelId};

/// Batches that may wait for the plane before streams are held back.
const OUT_MAX: usize = 8;
/// Packets sealed and sent as one batch.
const BATCH_PACKETS: usize = 64;
/// Life of a message on its way through tunnels.
const MESSAGE_LIFE: Duration = Duration::from_secs(10);
/// Largest payload that a wrapper may unpack to.
const UNPACKED_MAX: usize = 64 * 1024;

crate::metrics! {
    /// What a destination counts.
    pub(crate) struct DestinationMetrics {
        /// Messages out of our inbound tunnels.
        messages_in: Counter,
        /// Garlic that could not be opened.
        garlic_refused: Counter,
        /// Payloads whose wrapper was bad.
        payload_refused: Counter,
        /// Payloads of other protocols than streaming in a session without datagrams.
        protocol_dropped: Counter,
        /// Messages of kinds that do not belong into a destination's tunnel.
        kind_dropped: Counter,
        /// Packets lost because we had no tunnel or lease to send them by.
        packets_dropped_no_path: Counter,
        /// Packets lost because too many waited for a lease set.
        packets_dropped_waiting: Counter,
        /// Packets that garlic refused.
        packets_dropped_garlic: Counter,
        /// Packets handed to the plane.
        packets_out: Counter,
    }
}

/// What the task must do.
#[derive(Debug)]
pub(crate) enum Action {
    /// Send through one of our outbound tunnels.
    Out { handle: TunnelId, messages: Vec<(Delivery, I2np)> },
    /// Tunnels stand and the lease set is published.
    Ready,
    /// Answer to [`Engine::connect`].
    Connected { token: u64, result: Result<I2pStream, Error> },
    /// Answer to [`Engine::lookup`].
    Found { token: u64, result: Result<Destination, Error> },
    /// A peer waits; see [`Engine::take_incoming`].
    Incoming,
    /// The router should look for this floodfill.
    FindRouter(RouterHash),
    /// Packets go unanswered: our tunnels should be tested.
    Suspect,
    /// The offline key that signs for us has run out: the session must end.
    KeyExpired,
}

/// A peer's stream that nobody has taken yet.
#[derive(Debug)]
struct Waiting {
    id: StreamId,
    remote: Destination,
    ports: Ports,
    /// The listener's port: 0 unless the stream's own port has one.
    owner: u16,
}

/// Which of the peers that wait for an accept is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// One whom the listener on this port has; 0: one whom no other listener has.
    Of(u16),
    /// One who came to this port.
    To(u16),
}

impl Wanted {
    /// Whether a peer of this listener, who came to port `to`, will do.
    pub(crate) const fn takes(self, owner: u16, to: u16) -> bool {
        match self {
            Self::Of(port) => owner == port,
            Self::To(port) => to == port,
        }
    }
}

/// A call that waits for the peer's lease set.
#[derive(Debug)]
struct Call {
    token: u64,
    ports: Ports,
    options: ConnectOptions,
}

fn stream_config(config: &SessionConfig, limits: &Limits) -> stream::Config {
    stream::Config {
        streams_max: config.streams.max_streams,
        connect_timeout: config.streams.connect_timeout,
        window_max: config.streams.max_window.clamp(1, limits.streams.window_max.max(1)),
        answer_pings: config.streams.answer_pings,
        resends_max: config.streams.max_resends.clamp(1, limits.resends_max.max(1)),
        mtu: config.streams.max_message.clamp(512, 1812),
        keepalive: config.streams.keepalive,
        interactive: config.streams.interactive,
        per_peer_limits: config.streams.peer_limits,
        total_limits: config.streams.total_limits,
        limits_drop: config.streams.limits_drop,
        ..limits.streams.clone()
    }
}

/// See the module.
pub(crate) struct Engine {
    keys: DestinationKeys,
    hash: DestHash,
    rng: Rng,
    sessions: Sessions,
    streams: Table,
    peers: Peers,
    leases: Leases,
    database: Database,
    pool: Arc<PoolState>,
    bell: Doorbell<StreamId>,
    open: Map<StreamId, Open>,
    dialling: Map<StreamId, (u64, Ports)>,
    calls: Map<DestHash, Vec<Call>>,
    lookups: Map<DestHash, Vec<u64>>,
    waiting: VecDeque<Waiting>,
    /// Packets to ourselves, which need no tunnel.
    loopback: VecDeque<Vec<u8>>,
    streams_by_listener: bool,
    /// Ports that programs listen on, besides or instead of all of them.
    listeners: BTreeMap<u16, u64>,
    datagrams: Option<Box<datagrams::Datagrams>>,
    out: VecDeque<Action>,
    actions: VecDeque<Action>,
    ready: bool,
    needs_publishing: bool,
    metrics: Arc<DestinationMetrics>,
    budget: Budget,
    limits: Limits,
}

impl Engine {
    /// `strangers` is the router's budget of New Sessions beyond those that `limits` gives us in any case.
    pub(crate) fn new(
        config: &SessionConfig,
        keys: DestinationKeys,
        strangers: Arc<Strangers>,
        limits: Limits,
        mut rng: Rng,
    ) -> Self {
        let hash = keys.destination().hash();
        // Fresh encryption keys at every start: peers drop what they remember of us (end-to-end notes, 3.9).
        let encryption = X25519Secret::random(&mut rng);
        let sessions = Sessions::new(encryption, hash, rng.fork("garlic"), limits.garlic).sharing(strangers);
        let mut streams = Table::new(
            keys.destination().clone(),
            keys.signing().clone(),
            keys.offline().cloned(),
            stream_config(config, &limits),
            rng.fork("streams"),
        );
        if !config.streams_by_listener {
            streams.listen(0);
        }
        let wanted = usize::from(config.tunnels.inbound.quantity.max(1));
        Self {
            hash,
            sessions,
            streams,
            peers: Peers::new(&mut rng),
            leases: Leases::new(wanted, config.unpublished, config.encryption.is_some())
                .with_options(&config.lease_set_options),
            database: Database::new(
                rng.fork("database"),
                config.encryption.clone(),
                config.blinded_access.clone(),
            ),
            pool: Arc::default(),
            bell: Doorbell::default(),
            open: map(&mut rng),
            dialling: map(&mut rng),
            calls: map(&mut rng),
            lookups: map(&mut rng),
            waiting: VecDeque::new(),
            loopback: VecDeque::new(),
            streams_by_listener: config.streams_by_listener,
            listeners: BTreeMap::new(),
            datagrams: None,
            out: VecDeque::new(),
            actions: VecDeque::new(),
            ready: false,
            needs_publishing: !config.unpublished,
            metrics: Arc::default(),
            budget: Budget::default(),
            limits,
            keys,
            rng,
        }
    }

    /// What streams and garlic sessions hold counts against `budget`.
    #[must_use]
    pub(crate) fn with_budget(mut self, budget: &Budget) -> Self {
        self.streams.set_budget(budget);
        self.sessions.set_budget(budget);
        self.budget = budget.clone();
        self
    }

    /// Lease sets are dated after those of an earlier session of the same destination: others take none that is not newer.
    #[must_use]
    pub(crate) fn dated_after(mut self, published_s: Arc<AtomicU32>) -> Self {
        self.leases.continue_from(published_s);
        self
    }

    /// Another program takes the session over: new streams go by its settings. Tunnels and lease set stay.
    pub(crate) fn adopt(&mut self, config: &SessionConfig) {
        self.streams.set_config(stream_config(config, &self.limits));
    }

    /// Whether no stream is open or still ending.
    pub(crate) fn is_drained(&self) -> bool {
        self.streams.is_empty() && self.open.is_empty()
    }

    pub(crate) fn bell(&self) -> Doorbell<StreamId> {
        self.bell.clone()
    }

    // ---- inputs ----

    /// The pool of our tunnels has changed.
    pub(crate) fn set_pool(&mut self, now: Now, pool: Arc<PoolState>) {
        self.leases.update(now, &pool);
        self.database.set_pool(now, &pool);
        self.pool = pool;
        self.step(now);
    }

    /// A new picture of the network.
    pub(crate) fn set_view(&mut self, now: Now, view: PeerView) {
        self.database.set_view(now, view);
        self.step(now);
    }

    /// Messages out of our inbound tunnels.
    pub(crate) fn messages(&mut self, now: Now, messages: Vec<I2np>) {
        for message in messages {
            self.metrics.messages_in.inc();
            match message.kind {
                I2npKind::GARLIC => self.garlic(now, message.body),
                I2npKind::DELIVERY_STATUS => self.database.delivery_status(now, &message.body),
                _ => self.metrics.kind_dropped.inc(),
            }
        }
        self.step(now);
    }

    /// Looks a destination up; answered by [`Action::Found`].
    pub(crate) fn lookup(&mut self, now: Now, token: u64, hash: DestHash) {
        let known = if hash == self.hash {
            Some(self.keys.destination().clone())
        } else {
            self.peers.destination(&hash)
        };
        self.look_for(now, token, hash, known);
    }

    /// As [`Self::lookup`], but only a lease set that has not ended will do.
    pub(crate) fn lookup_current(&mut self, now: Now, token: u64, hash: DestHash) {
        let known = if hash == self.hash {
            Some(self.keys.destination().clone())
        } else {
            self.peers.current(now, &hash)
        };
        self.look_for(now, token, hash, known);
    }

    /// The options of a lease set that was found.
    pub(crate) fn options_of(&self, hash: &DestHash) -> Vec<(String, String)> {
        if *hash == self.hash { self.leases.options() } else { self.peers.options(hash) }
    }

    fn look_for(&mut self, now: Now, token: u64, hash: DestHash, known: Option<Destination>) {
        match known {
            Some(destination) => self.actions.push_back(Action::Found { token, result: Ok(destination) }),
            None => {
                self.lookups.entry(hash).or_default().push(token);
                self.database.request(now, hash);
            }
        }
        self.step(now);
    }

    /// Looks the destination behind the name of an encrypted lease set up; answered by [`Action::Found`].
    pub(crate) fn lookup_blinded(
        &mut self,
        now: Now,
        token: u64,
        name: BlindedName,
        access: Option<BlindedAccess>,
    ) {
        let known = if name.names(self.keys.destination()) {
            Some(self.keys.destination().clone())
        } else {
            let hash = self.database.named(&name).filter(|hash| self.peers.is_usable(now, hash));
            hash.filter(|_| access.is_none()).and_then(|hash| self.peers.destination(&hash))
        };
        match known {
            Some(destination) => self.actions.push_back(Action::Found { token, result: Ok(destination) }),
            None => self.database.request_named(now, token, name, access),
        }
        self.step(now);
    }

    /// Programs have written, read or closed.
    pub(crate) fn service(&mut self, now: Now, ids: &[StreamId]) {
        for id in ids {
            self.serve(now, *id);
        }
        self.step(now);
    }

    pub(crate) fn handle_timeout(&mut self, now: Now) {
        if self.streams.poll_timeout().is_some_and(|at| at <= now.mono) {
            self.streams.handle_timeout(now);
        }
        if self.sessions.poll_timeout().is_some_and(|at| at <= now.mono) {
            self.sessions.handle_timeout(now);
        }
        if self.database.poll_timeout(now).is_some_and(|at| at <= now.mono) {
            self.database.handle_timeout(now);
        }
        self.datagram_timeout(now);
        if self.key_left(now).is_some_and(|left| left.is_zero()) {
            self.actions.push_back(Action::KeyExpired);
        }
        self.step(now);
    }

    /// How long the offline key is good for.
    fn key_left(&self, now: Now) -> Option<Duration> {
        let end_ms = u64::from(self.keys.expires_s()?) * 1000;
        Some(Duration::from_millis(end_ms.saturating_sub(now.wall_ms)))
    }

    /// The session ends: every stream is reset.
    pub(crate) fn shut_down(&mut self, now: Now) {
        self.streams.reset_all(now);
        self.step(now);
    }

    // ---- outputs ----

    pub(crate) fn poll_timeout(&self, now: Now) -> Option<Mono> {
        let times = [
            self.streams.poll_timeout(),
            self.sessions.poll_timeout(),
            self.database.poll_timeout(now),
            self.leases.due(),
            self.datagram_deadline(),
            self.key_left(now).map(|left| now.mono + left),
        ];
        times.into_iter().flatten().min()
    }

    /// The next batch for the plane. Taking one makes room for more packets.
    pub(crate) fn poll_out(&mut self, now: Now) -> Option<Action> {
        let action = self.out.pop_front();
        if action.is_some() && self.out.len() < OUT_MAX / 2 {
            self.step(now);
        }
        action
    }

    pub(crate) fn has_out(&self) -> bool {
        !self.out.is_empty()
    }

    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub(crate) fn waiting_peers(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) const fn pool(&self) -> &Arc<PoolState> {
        &self.pool
    }

    pub(crate) fn is_published(&self) -> bool {
        self.database.is_published()
    }

    pub(crate) fn garlic_sessions(&self) -> usize {
        self.peers.len()
    }

    /// What was counted, the garlic sessions' share included.
    pub(crate) fn counters(&self) -> Vec<(&'static str, u64)> {
        let mut all = self.metrics.snapshot();
        all.extend(self.sessions.metrics().snapshot());
        all.extend(self.streams.metrics().snapshot());
        if let Some(datagrams) = &self.datagrams {
            all.extend(datagrams.metrics.snapshot());
        }
        all
    }

    /// Inbound tunnels, outbound tunnels, open streams.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        (self.pool.inbound.len(), self.pool.outbound.len(), self.open.len())
    }

    /// Peer and state of each open stream.
    pub(crate) fn stream_stats(&self) -> Vec<(DestHash, stream::StreamStats)> {
        let stats = |id: &StreamId| Some((self.streams.remote(*id)?.0, self.streams.stats(*id)?));
        self.open.keys().filter_map(stats).collect()
    }

    /// Why there is no lease set yet, in words and numbers.
    pub(crate) fn explain_unready(&self) -> String {
        format!(
            "{} inbound and {} outbound tunnels, {}",
            self.pool.inbound.len(),
            self.pool.outbound.len(),
            self.database.explain()
        )
    }

    // ---- the work between ----

    /// Runs everything that can run now.
    fn step(&mut self, now: Now) {
        self.refresh_lease_set(now);
        loop {
            self.drain_streams(now);
            self.drain_garlic(now);
            self.drain_database(now);
            self.drain_packets(now);
            self.drain_datagrams(now);
            if !self.drain_loopback(now) {
                break;
            }
        }
        self.check_ready();
    }

    fn refresh_lease_set(&mut self, now: Now) {
        let encryption = self.sessions.public_key();
        if let Some(ls) = self.leases.make(now, &self.keys, &encryption, &mut self.rng) {
            self.sessions.set_local_lease_set(now, ls.raw().clone());
            if self.needs_publishing {
                self.database.publish(now, &self.keys, ls);
            }
        }
    }

    fn check_ready(&mut self) {
        if !self.ready && self.pool.is_ready() && (!self.needs_publishing || self.database.is_published()) {
            self.ready = true;
            self.actions.push_back(Action::Ready);
        }
    }

    /// A lease set came bundled: whoever waited for it need not wait for a floodfill.
    fn learn(&mut self, now: Now, ls: Arc<Verified<LeaseSet2>>) {
        let destination = ls.destination().clone();
        let hash = destination.hash();
        self.database.learned(&ls);
        if self.peers.learn(now, ls) {
            self.streams.remote_restarted(now, hash);
        }
        self.found(now, hash, &Ok(destination));
    }

    fn drain_database(&mut self, now: Now) {
        while let Some(outcome) = self.database.poll(now) {
            match outcome {
                Outcome::Out { handle, messages } => self.out.push_back(Action::Out { handle, messages }),
                Outcome::Found(ls) => self.learn(now, ls),
                Outcome::Failed(hash, error) => self.found(now, hash, &Err(error)),
                Outcome::Named { token, result } => self.actions.push_back(Action::Found { token, result }),
                Outcome::Suspect => self.actions.push_back(Action::Suspect),
                Outcome::FindRouter(router) => self.actions.push_back(Action::FindRouter(router)),
            }
        }
    }

    fn found(&mut self, now: Now, hash: DestHash, result: &Result<Destination, Error>) {
        for token in self.lookups.remove(&hash).unwrap_or_default() {
            self.actions.push_back(Action::Found { token, result: result.clone() });
        }
        let usable = self.peers.is_usable(now, &hash);
        for call in self.calls.remove(&hash).unwrap_or_default() {
            match result {
                Ok(_) if usable => self.dial(now, hash, call),
                Ok(_) => {
                    let error = self.peers.why_unusable(now, &hash);
                    self.actions.push_back(Action::Connected { token: call.token, result: Err(error) });
                }
                Err(error) => {
                    self.actions
                        .push_back(Action::Connected { token: call.token, result: Err(error.clone()) });
                }
            }
        }
        if result.is_ok() {
            self.release_datagrams(&hash);
            let packets = self.peers.take_waiting(&hash);
            self.send_packets(now, hash, packets);
        } else {
            self.fail_datagrams(now, &hash);
            self.peers.take_waiting(&hash);
        }
    }
}

#[cfg(test)]
mod tests;
