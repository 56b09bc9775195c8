// SPDX-License-Identifier: MIT
//! The engine's state and face. Sealing, opening and upkeep are in their own files.

use super::admission::{Bucket, Extra, ReplayFilter};
use super::api::{Action, Mark, Opened, Remote, SealOptions, Sealed, State, Stats};
use super::error::Error;
use super::handshake::Static;
use super::limits::Limits;
use super::metrics::Metrics;
use super::peer::{Outbound, Peer, PeerId, REPLIES_MAX};
use super::window::{SetId, TagMap, Window};
use crate::base::{Account, Budget, Map, Mono, Now, Part, Rng, SharedRate, TimerQueue, map};
use crate::crypto::{Secret32, X25519Public, X25519Secret};
use crate::wire::DestHash;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Sessions in use send a changed lease set by themselves if nothing else is sent for this long.
const LEASE_SET_WAIT: Duration = Duration::from_secs(5);
/// What counts as in use there.
const LEASE_SET_ACTIVE: Duration = Duration::from_secs(120);

/// What a tag set we listen on is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    /// Replies to the New Session of this id.
    Replies(u32),
    /// Messages of an established session: its pair and tag set.
    Session(u32, u16),
}

/// A tag set we listen on.
#[derive(Debug)]
pub(super) struct ReceiveSet {
    pub(super) peer: PeerId,
    pub(super) role: Role,
    pub(super) window: Window,
}

/// The key of a one-time reply.
pub(super) struct OneTime {
    pub(super) key: Secret32,
    pub(super) expires: Mono,
}

impl std::fmt::Debug for OneTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OneTime(.., {:?})", self.expires)
    }
}

/// What all destinations of a router may spend on New Sessions together.
#[derive(Debug)]
pub struct Strangers {
    set: SharedRate,
    extra: SharedRate,
}

impl Strangers {
    /// So many a second and twice as many at once, and up to five times as many a second while the processor keeps up.
    pub fn new(per_second: u32) -> Self {
        Self::with_pace(per_second, 500)
    }

    /// The same with another percentage of the rate while the processor keeps up.
    pub fn with_pace(per_second: u32, percent: u32) -> Self {
        let more = u64::from(per_second) * u64::from(percent.saturating_sub(100)) / 100;
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        Self {
            set: SharedRate::new(per_second, per_second.saturating_mul(2)),
            extra: SharedRate::new(more, (more / 5).max(1)),
        }
    }
}

/// All end-to-end sessions of one local destination.
#[derive(Debug)]
pub struct Sessions {
    pub(super) ours: Static,
    pub(super) local: DestHash,
    pub(super) rng: Rng,
    pub(super) limits: Limits,
    pub(super) metrics: Arc<Metrics>,
    /// Our lease set and its version, counted from 1.
    pub(super) lease_set: Option<(u32, Arc<[u8]>)>,
    pub(super) peers: Map<PeerId, Peer>,
    pub(super) by_key: Map<X25519Public, PeerId>,
    pub(super) sets: Map<SetId, ReceiveSet>,
    pub(super) tags: TagMap,
    pub(super) one_time: Map<[u8; 8], OneTime>,
    pub(super) replays: ReplayFilter,
    pub(super) budget: Bucket,
    /// What the processor has time for beyond that.
    extra: Extra,
    /// The budget of all destinations of the router, if there is one.
    pub(super) router_budget: Option<Arc<Strangers>>,
    pub(super) timers: TimerQueue<PeerId>,
    pub(super) actions: VecDeque<Action>,
    pub(super) next_sweep: Mono,
    /// For the sake of programs that are slow to take datagrams.
    pub(super) datagram_ack_hold: Duration,
    /// What all of it holds, of the router's memory.
    memory: Account,
    last_id: u32,
}

/// What a remote's lease set takes, about.
const LEASE_SET_BYTES: usize = 1024;
/// What a tag takes in its window and in the table of tags, and a key in the memory of keys.
const TAG_BYTES: usize = 40;
const KEY_BYTES: usize = 104;

impl Sessions {
    /// Sessions of `local`, whose lease set carries the public half of `static_key`.
    pub fn new(static_key: X25519Secret, local: DestHash, mut rng: Rng, limits: Limits) -> Self {
        Self {
            ours: Static::new(static_key),
            local,
            metrics: Arc::default(),
            lease_set: None,
            peers: map(&mut rng),
            by_key: map(&mut rng),
            sets: map(&mut rng),
            tags: TagMap::new(&mut rng),
            one_time: map(&mut rng),
            replays: ReplayFilter::new(&mut rng, limits.replay_entries),
            budget: Bucket::new(limits.new_sessions_per_s, limits.new_sessions_burst),
            extra: Extra::new(limits.new_sessions_per_s, limits.pace_percent),
            router_budget: None,
            timers: TimerQueue::new(),
            actions: VecDeque::new(),
            next_sweep: Mono::default(),
            datagram_ack_hold: Duration::ZERO,
            memory: Account::default(),
            last_id: 0,
            rng,
            limits,
        }
    }

    /// Shares the budget of New Sessions with the router's other destinations. What they leave may be used beyond our
    /// own [`Limits::new_sessions_per_s`], and more while the processor keeps up.
    #[must_use]
    pub fn sharing(mut self, budget: Arc<Strangers>) -> Self {
        self.router_budget = Some(budget);
        self
    }

    /// As [`Self::sharing`], later.
    #[cfg(test)]
    pub(super) fn share(&mut self, budget: Arc<Strangers>) {
        self.router_budget = Some(budget);
    }

    /// What sessions hold counts against `budget` from now on.
    pub fn set_budget(&mut self, budget: &Budget) {
        self.memory = budget.account(Part::Garlic);
        self.account();
    }

    /// Tells the budget what is held now: the tables, and payloads that wait for an answer.
    pub(super) fn account(&mut self) {
        let peers = self.peers.len().saturating_mul(size_of::<Peer>() + LEASE_SET_BYTES);
        let sets = self.sets.len().saturating_mul(size_of::<ReceiveSet>());
        let tags = self.tags.len().saturating_mul(TAG_BYTES);
        let keys = self.replays.len().saturating_mul(KEY_BYTES);
        let held: usize = self.peers.values().flat_map(|p| &p.held).map(|h| h.payload.len()).sum();
        self.memory.set([peers, sets, tags, keys, held].into_iter().fold(0, usize::saturating_add));
    }

    /// Whether one more New Session may be decrypted, at a cost of public-key work.
    pub(super) fn may_decrypt(&mut self, now: Mono) -> bool {
        let own = self.budget.take(now);
        match &self.router_budget {
            None => own,
            Some(all) if own && all.set.take(now) => true,
            Some(all) if !own && all.set.take_spare(now) => true,
            Some(all) => self.extra.take(now) && all.extra.take(now),
        }
    }

    /// The X25519 key to put into our lease set.
    pub const fn public_key(&self) -> X25519Public {
        self.ours.public
    }

    /// Counters of this destination.
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Our signed LeaseSet2 (type 3, raw bytes) from now on. New Sessions bundle it; established sessions
    /// send it with their next message, or by themselves after 5 s if they were used in the last 2 minutes.
    pub fn set_local_lease_set(&mut self, now: Now, lease_set: Arc<[u8]>) {
        let version = match &self.lease_set {
            Some((_, old)) if *old == lease_set => return,
            Some((version, _)) => version + 1,
            None => 1,
        };
        self.lease_set = Some((version, lease_set));
        let mut used: Vec<PeerId> = self
            .peers
            .iter()
            .filter(|(_, p)| p.outbound.is_some() && now.mono.since(p.last_used) < LEASE_SET_ACTIVE)
            .map(|(id, _)| *id)
            .collect();
        used.sort_unstable();
        for id in used {
            let jitter = Duration::from_millis(self.rng.below(1000));
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.due_by(now.mono + LEASE_SET_WAIT + jitter);
            }
            self.arm(id);
        }
    }

    /// Seals Data payloads (gzip members) for `to`, several small ones together.
    ///
    /// In an established session all are sealed at once, also beyond [`Self::in_flight_allowance`]. While a
    /// New Session waits for its answer, payloads are held and come out as actions later.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Full`], [`Error::KeyMismatch`], [`Error::BadKey`]: nothing was taken.
    pub fn seal<P: AsRef<[u8]>>(
        &mut self,
        now: Now,
        to: &Remote,
        payloads: &[P],
        options: SealOptions,
    ) -> Result<Sealed, Error> {
        self.seal_payloads(now, to, payloads, options)
    }

    /// Opens the body of an I2NP Garlic message, 4-byte length included.
    ///
    /// # Errors
    /// The message was dropped and counted; the error says why.
    pub fn open(&mut self, now: Now, body: Vec<u8>) -> Result<Opened, Error> {
        let opened = self.open_body(now, body);
        if let Err(e) = &opened {
            let m = &self.metrics;
            match e {
                Error::Unrecognised => &m.open_dropped_unrecognised,
                Error::BadMac | Error::BadKey => &m.open_dropped_bad_mac,
                Error::Replay => &m.open_dropped_replay,
                Error::OutOfTime => &m.open_dropped_out_of_time,
                Error::RateLimited | Error::Full => &m.open_dropped_rate,
                _ => &m.open_dropped_malformed,
            }
            .inc();
        }
        opened
    }

    /// Listens for one message with this one-time tag, sealed with `key`, until `expires`.
    pub fn register_reply_tag(&mut self, tag: [u8; 8], key: [u8; 32], expires: Mono) {
        if self.one_time.len() >= self.limits.reply_tags {
            let first = self.one_time.iter().min_by_key(|(tag, o)| (o.expires, **tag)).map(|(tag, _)| *tag);
            if let Some(first) = first {
                self.one_time.remove(&first);
            }
        }
        self.one_time.insert(tag, OneTime { key: Secret32::new(key), expires });
    }

    /// How many more messages may be sent to `to` before some of those in flight are known to have arrived.
    /// More than that may find the remote without the tags to read them. Before a session is established, it is
    /// how many payloads would be taken.
    pub fn in_flight_allowance(&self, now: Now, to: &Remote) -> usize {
        let held_max = self.limits.held_per_remote;
        let Some(peer) = self.peer(to) else { return held_max };
        match (peer.state(), &peer.outbound, peer.theirs.back()) {
            (State::Established, Some(out), _) => self.allowance(now, out),
            (State::Replying, _, Some(theirs)) => {
                usize::try_from(REPLIES_MAX.saturating_sub(theirs.tags.position())).unwrap_or(0)
            }
            _ => held_max.saturating_sub(peer.held.len()),
        }
    }

    /// How many messages may be under way to `to` at a time: [`Self::in_flight_allowance`] plus those that are.
    pub fn window(&self, to: &Remote) -> usize {
        let out = self.peer(to).and_then(|p| p.outbound.as_ref());
        out.map_or(self.limits.held_per_remote, |out| {
            usize::try_from(out.window(self.limits.in_flight)).unwrap_or(usize::MAX)
        })
    }

    fn allowance(&self, now: Now, out: &Outbound) -> usize {
        let room = out.window(self.limits.in_flight).saturating_sub(out.in_flight(now.mono));
        usize::try_from(room).unwrap_or(0)
    }

    /// Tells that the message of `mark` arrived, for instance because a stream acknowledged what was in it.
    pub fn confirm(&mut self, now: Now, to: &Remote, mark: Mark) {
        let id = self.by_key.get(&to.key);
        if let Some(out) = id.and_then(|id| self.peers.get_mut(id)).and_then(|p| p.outbound.as_mut()) {
            out.on_mark(now.mono, mark);
        }
    }

    /// Drops everything about `to`, tags included.
    pub fn forget(&mut self, to: &Remote) {
        if let Some(id) = self.by_key.get(&to.key).copied() {
            self.drop_peer(id);
        }
    }

    /// The next thing to do. Call until `None` after every other call.
    pub fn poll_action(&mut self, now: Now) -> Option<Action> {
        if self.actions.is_empty() && self.timers.next().is_some_and(|at| at <= now.mono) {
            self.handle_timeout(now);
        }
        self.actions.pop_front()
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Mono> {
        let idle = self.peers.is_empty() && self.one_time.is_empty();
        let sweep = (!idle).then_some(self.next_sweep);
        [self.timers.next(), sweep, self.extra.pace.next()].into_iter().flatten().min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(id) = self.timers.pop_due(now.mono) {
            self.service(now, id);
        }
        self.extra.pace.look(now.mono);
        if now.mono >= self.next_sweep {
            self.sweep(now);
        }
    }

    /// One session in numbers.
    pub fn stats(&self, now: Now, to: &Remote) -> Option<Stats> {
        let peer = self.peer(to)?;
        let chains = peer.chains.iter().flat_map(|c| [Some(c.latest), c.previous.map(|(set, _)| set)]);
        let ids = peer.ours.iter().map(|o| o.replies).chain(chains.flatten());
        let sets: Vec<&ReceiveSet> = ids.filter_map(|id| self.sets.get(&id)).collect();
        let out = peer.outbound.as_ref();
        Some(Stats {
            state: peer.state(),
            hash: peer.hash,
            sent: peer.sent,
            received: peer.received,
            send_set: out.map(|o| (o.set, o.tags.position())),
            in_flight: out.map_or(0, |o| usize::try_from(o.in_flight(now.mono)).unwrap_or(0)),
            held: peer.held.len(),
            receive_sets: sets.len(),
            tags: sets.iter().map(|s| s.window.tags()).sum(),
            skipped_keys: sets.iter().map(|s| s.window.skipped()).sum(),
            last_received: peer.last_received,
        })
    }

    fn peer(&self, to: &Remote) -> Option<&Peer> {
        self.peers.get(self.by_key.get(&to.key)?)
    }

    /// A number not used before, for pairs, sets, handshakes and remotes.
    pub(super) const fn next_id(&mut self) -> u32 {
        self.last_id = self.last_id.wrapping_add(1);
        self.last_id
    }

    /// Tells the timers when the remote wants to be looked at.
    pub(super) fn arm(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let deadline = peer.deadline();
        if deadline == peer.armed {
            return;
        }
        peer.armed = deadline;
        match deadline {
            Some(at) => self.timers.set(id, at),
            None => self.timers.cancel(&id),
        }
    }
}
