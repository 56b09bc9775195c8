// SPDX-License-Identifier: MIT
//! Looking for routers: iterative lookups, fetching what answers name, and exploration.
//!
//! One [`Search`] per key, shared by all who want it. It asks one floodfill at a time, nearest first: directly when
//! connected or when there are no tunnels yet, else through exploratory tunnels with a sealed question and a
//! one-tag answer. An answer that names unknown routers makes us fetch those from whoever named them, at most
//! [`Bounds::fetches`] at once, so that a liar costs us little. An answer without any names is no error (i2pd sends
//! such); the next nearest is asked anyway. Spec: network database, "RouterInfo lookup", "Exploration".

use super::super::limit::Bucket;
use super::super::message::{garlic_for_router, lookup};
use super::super::standing::Report;
use super::super::store::Origin;
use super::{Action, Bounds, Engine, Source, Timer, VIEW_INTERVAL};
use crate::base::{Map, Mono, Now, Rng, map};
use crate::wire::{
    DatabaseLookup, DatabaseSearchReply, DatabaseStore, Hash, I2np, I2npKind, LookupKind, ReplyEncryption,
    RouterHash, StoreData, Wire,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

const TRIES_FETCH: usize = 2;
const TRY_CONNECTED: Duration = Duration::from_millis(1_500);
const TRY_DIALLED: Duration = Duration::from_secs(4);
const TRY_TUNNEL: Duration = Duration::from_secs(3);
/// How long a search without anybody left to ask waits for new floodfills before it looks again.
const IDLE: Duration = Duration::from_secs(1);
const NEGATIVE_LIFETIME: Duration = Duration::from_secs(30);
const NEGATIVE_MAX: usize = 1_024;
const EXPLORE_ENOUGH: usize = 2_500;

/// Why a key is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aim {
    /// Somebody asked for this router.
    Wanted,
    /// An answer named it; the router that named it is asked first.
    Fetch(RouterHash),
    /// Messages for it are held back.
    Held,
    /// A random key, to learn routers near it; of this kind.
    Explore(LookupKind),
}

/// One question to one router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question {
    key: Hash,
    asked: RouterHash,
}

#[derive(Debug)]
struct Search {
    aim: Aim,
    asked: Vec<RouterHash>,
    /// How many of them did not answer.
    silent: usize,
    pending: Option<(RouterHash, Mono)>,
    deadline: Mono,
}

/// All running searches.
#[derive(Debug)]
pub(super) struct Searches {
    table: BTreeMap<Hash, Search>,
    fetches: VecDeque<(RouterHash, RouterHash)>,
    queued: BTreeSet<RouterHash>,
    negative: Map<RouterHash, Mono>,
    fetch_rate: Bucket,
    explored: u64,
}

impl Searches {
    pub(super) fn new(rng: &mut Rng, bounds: &Bounds) -> Self {
        Self {
            table: BTreeMap::new(),
            fetches: VecDeque::new(),
            queued: BTreeSet::new(),
            negative: map(rng),
            fetch_rate: Bucket::new(bounds.fetches_per_second, bounds.fetches_per_second * 10),
            explored: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    fn fetching(&self) -> usize {
        self.table.values().filter(|s| matches!(s.aim, Aim::Fetch(_))).count()
    }
}

impl Engine {
    /// Finds a router on somebody's behalf.
    pub(super) fn find_router(&mut self, now: Now, hash: RouterHash) {
        if self.view.get(&hash).is_some() {
            self.actions.push_back(Action::RouterFound(hash));
            return;
        }
        if self.routers.contains(&hash) || hash == self.config.own {
            // Whoever is told of it looks into the view, so it waits for the next one.
            if self.unseen.len() >= self.config.bounds.searches {
                self.metrics.searches_dropped_busy.inc();
                self.actions.push_back(Action::RouterNotFound(hash));
                return;
            }
            self.unseen.insert(hash);
            self.timers.set(Timer::View, now.mono.max(self.viewed + VIEW_INTERVAL));
            return;
        }
        if self.searches.negative.get(&hash).is_some_and(|until| *until > now.mono) {
            self.actions.push_back(Action::RouterNotFound(hash));
            return;
        }
        if let Some(search) = self.searches.table.get_mut(&Hash::from(hash)) {
            // A fetch that is under way becomes a wanted search, with the time that such a one gets.
            if search.aim != Aim::Wanted {
                search.aim = Aim::Wanted;
                search.deadline = now.mono + self.config.bounds.search_time;
            }
            return;
        }
        if self.searches.len() >= self.config.bounds.searches {
            self.metrics.searches_dropped_busy.inc();
            self.actions.push_back(Action::RouterNotFound(hash));
            return;
        }
        self.begin(now, hash.into(), Aim::Wanted);
    }

    /// Looks for a router for which messages are held. False if that is hopeless or too much at present.
    pub(super) fn find_for_held(&mut self, now: Now, hash: RouterHash) -> bool {
        if self.is_searched(&hash.into()) {
            return true;
        }
        let absent = self.searches.negative.get(&hash).is_some_and(|until| *until > now.mono);
        if absent
            || self.searches.len() >= self.config.bounds.searches / 2
            || !self.searches.fetch_rate.take(now.mono)
        {
            return false;
        }
        self.begin(now, hash.into(), Aim::Held);
        true
    }

    /// Whether an entry under this key would answer a question of ours.
    pub(super) fn is_searched(&self, key: &Hash) -> bool {
        self.searches.table.contains_key(key)
    }

    fn begin(&mut self, now: Now, key: Hash, aim: Aim) {
        let search = Search {
            aim,
            asked: Vec::new(),
            silent: 0,
            pending: None,
            deadline: now.mono + self.config.bounds.search_time,
        };
        self.searches.table.insert(key, search);
        self.ask_next(now, key);
    }

    /// Asks the next floodfill, or waits for one to become known, or gives up.
    fn ask_next(&mut self, now: Now, key: Hash) {
        self.refresh_view(now);
        let Some(search) = self.searches.table.get(&key) else { return };
        let tries = match search.aim {
            Aim::Wanted => self.config.bounds.search_asks,
            Aim::Fetch(_) | Aim::Held => TRIES_FETCH,
            Aim::Explore(_) => 1,
        };
        if search.asked.len() >= tries || now.mono >= search.deadline {
            self.give_up(now, key);
            return;
        }
        match self.pick(now, key, search) {
            Some(floodfill) => self.ask(now, key, floodfill),
            None if search.aim == Aim::Wanted => {
                let at = (now.mono + IDLE).min(search.deadline);
                self.timers.set(Timer::Search(key), at);
                if let Some(search) = self.searches.table.get_mut(&key) {
                    search.pending = None;
                }
            }
            None => self.give_up(now, key),
        }
    }

    fn pick(&self, now: Now, key: Hash, search: &Search) -> Option<RouterHash> {
        if let Aim::Fetch(hint) = search.aim
            && !search.asked.contains(&hint)
            && self.routers.contains(&hint)
        {
            return Some(hint);
        }
        let own = self.config.own;
        let skip = |h: &RouterHash| *h == own || Hash::from(*h) == key;
        self.view.next_floodfill(&key, now.wall_ms, &search.asked, search.silent, skip).map(|e| e.hash)
    }

    /// Sends the question.
    fn ask(&mut self, now: Now, key: Hash, floodfill: RouterHash) {
        let Some(entry) = self.view.get(&floodfill).cloned() else {
            self.give_up(now, key);
            return;
        };
        let kind = match self.searches.table.get(&key).map(|s| s.aim) {
            Some(Aim::Explore(kind)) => kind,
            _ => LookupKind::RouterInfo,
        };
        let path = self.exploratory.pick(&mut self.rng);
        let connected = self.connected.contains(&floodfill);
        let excluded = Vec::new();
        let patience = match path {
            Some((tunnel, reply)) if !connected => {
                let question = Question { key, asked: floodfill };
                let (encryption, tag) = self.tags.issue(&mut self.rng, now.mono, question);
                let body = DatabaseLookup {
                    key,
                    from: reply.gateway,
                    reply_tunnel: Some(reply.tunnel),
                    kind,
                    excluded,
                    encryption,
                };
                let inner = lookup(&mut self.rng, now.wall_ms, &body);
                if let Some(message) = garlic_for_router(&mut self.rng, now, &entry.key, &inner) {
                    let lifetime = super::super::tags::TAG_LIFETIME;
                    self.actions.push_back(Action::RegisterTag { tag, lifetime });
                    self.actions.push_back(Action::SendThrough { tunnel, to: floodfill, message });
                }
                TRY_TUNNEL
            }
            _ => {
                let encryption = ReplyEncryption::None;
                let from = self.config.own;
                let body = DatabaseLookup { key, from, reply_tunnel: None, kind, excluded, encryption };
                let message = lookup(&mut self.rng, now.wall_ms, &body);
                self.actions.push_back(Action::Send { to: floodfill, message });
                if connected { TRY_CONNECTED } else { TRY_DIALLED }
            }
        };
        if let Some(search) = self.searches.table.get_mut(&key) {
            search.asked.push(floodfill);
            search.pending = Some((floodfill, now.mono));
        }
        self.timers.set(Timer::Search(key), now.mono + patience);
    }

    /// The asked floodfill stayed silent, or the wait for new floodfills is over.
    pub(super) fn search_timeout(&mut self, now: Now, key: Hash) {
        let Some(search) = self.searches.table.get_mut(&key) else { return };
        if let Some((floodfill, _)) = search.pending.take() {
            search.silent += 1;
            self.metrics.questions_unanswered.inc();
            self.report(now, floodfill, Report::LookupSilent);
        }
        self.ask_next(now, key);
    }

    /// No connection to this router could be made: who waits for its answer need not wait on.
    pub(super) fn on_dial_failed(&mut self, now: Now, peer: RouterHash) {
        let waiting: Vec<Hash> = self
            .searches
            .table
            .iter()
            .filter(|(_, s)| s.pending.is_some_and(|(asked, _)| asked == peer))
            .map(|(key, _)| *key)
            .collect();
        for key in waiting {
            self.search_timeout(now, key);
        }
        self.publish_dial_failed(now, peer);
    }

    /// Notes that `from` answered; whether it was being waited for.
    fn answered(&mut self, now: Now, key: Hash, from: RouterHash) -> bool {
        let Some(search) = self.searches.table.get_mut(&key) else { return false };
        let Some((_, sent)) = search.pending.filter(|(asked, _)| *asked == from) else { return false };
        search.pending = None;
        let rtt_ms = u32::try_from((now.mono - sent).as_millis()).unwrap_or(u32::MAX);
        self.report(now, from, Report::LookupAnswered { rtt_ms });
        true
    }

    /// A message out of a sealed answer: what it answers is known from its tag.
    pub(super) fn on_answer(&mut self, now: Now, question: Question, message: &I2np) {
        let Question { key, asked } = question;
        match message.kind {
            I2npKind::DATABASE_STORE => {
                let Ok(store) = DatabaseStore::from_bytes(&message.body) else { return };
                self.on_found(now, key, Some(asked), &store);
            }
            I2npKind::DATABASE_SEARCH_REPLY => {
                let Ok(reply) = DatabaseSearchReply::from_bytes(&message.body) else { return };
                if reply.key == key {
                    self.on_closer(now, &reply, asked);
                }
            }
            _ => self.metrics.messages_dropped.inc(),
        }
    }

    /// A store under a searched key. What counts is its content; `from` only gets the credit or the blame.
    pub(super) fn on_found(&mut self, now: Now, key: Hash, from: Option<RouterHash>, store: &DatabaseStore) {
        let StoreData::RouterInfo(bytes) = &store.data else { return };
        if store.key != key || !self.is_searched(&key) {
            self.metrics.replies_unmatched.inc();
            return;
        }
        let _ = self.take_router(now, bytes, Some(key), Origin::Lookup);
        if self.routers.contains(&RouterHash::from(key)) {
            // `on_router_known` has ended the search; this is the floodfill that helped.
            if let Some(from) = from {
                self.report(now, from, Report::LookupAnswered { rtt_ms: 0 });
            }
        } else if let Some(from) = from
            && self
                .searches
                .table
                .get(&key)
                .is_some_and(|s| s.pending.is_some_and(|(asked, _)| asked == from))
        {
            // It sent rubbish: as good as silence.
            self.search_timeout(now, key);
        }
    }

    /// A plain search reply.
    pub(super) fn on_search_reply(&mut self, now: Now, source: Source, reply: &DatabaseSearchReply) {
        let from = match source {
            Source::Direct(peer) => peer,
            Source::Exploratory | Source::Garlic => reply.from,
        };
        let expected = self.searches.table.get(&reply.key).is_some_and(|s| s.asked.contains(&from));
        if !expected {
            self.metrics.replies_unmatched.inc();
            return;
        }
        self.on_closer(now, reply, from);
    }

    fn on_closer(&mut self, now: Now, reply: &DatabaseSearchReply, from: RouterHash) {
        let key = reply.key;
        let awaited = self.answered(now, key, from);
        for named in reply.peers.iter().take(self.config.bounds.named) {
            self.want_fetch(now, *named, from);
        }
        if awaited {
            match self.searches.table.get(&key).map(|s| s.aim) {
                Some(Aim::Explore(_)) => self.end(key),
                Some(_) => self.ask_next(now, key),
                None => {}
            }
        }
    }

    fn want_fetch(&mut self, now: Now, named: RouterHash, from: RouterHash) {
        let searches = &mut self.searches;
        if named == self.config.own
            || self.routers.contains(&named)
            || searches.table.contains_key(&Hash::from(named))
            || searches.fetches.len() >= self.config.bounds.fetches_waiting
            || searches.negative.get(&named).is_some_and(|until| *until > now.mono)
            || searches.queued.contains(&named)
            || !searches.fetch_rate.take(now.mono)
        {
            return;
        }
        searches.queued.insert(named);
        searches.fetches.push_back((named, from));
    }

    /// Begins waiting fetches as far as there is room; called once at the end of every turn.
    pub(super) fn fetch_more(&mut self, now: Now) {
        while self.searches.fetching() < self.config.bounds.fetches
            && self.searches.len() < self.config.bounds.searches
        {
            let Some((named, from)) = self.searches.fetches.pop_front() else { return };
            self.searches.queued.remove(&named);
            if !self.routers.contains(&named) && !self.is_searched(&Hash::from(named)) {
                self.begin(now, named.into(), Aim::Fetch(from));
            }
        }
    }

    /// A router became known (or better known): ends its search, and lets searches go on that lack floodfills.
    pub(super) fn on_router_known(&mut self, now: Now, hash: RouterHash) {
        self.searches.negative.remove(&hash);
        self.release_held(hash);
        if self.searches.table.contains_key(&Hash::from(hash)) {
            self.metrics.searches_found.inc();
            if self.searches.table.get(&Hash::from(hash)).is_some_and(|s| s.aim == Aim::Wanted) {
                self.take_view(now);
                self.actions.push_back(Action::RouterFound(hash));
            }
            self.end(hash.into());
        }
        if self.routers.get(&hash).is_some_and(|e| e.floodfill) {
            let idle: Vec<Hash> = self
                .searches
                .table
                .iter()
                .filter(|(_, s)| s.pending.is_none())
                .map(|(key, _)| *key)
                .collect();
            for key in idle {
                self.ask_next(now, key);
            }
            self.publish_floodfill_known(now);
        }
    }

    fn give_up(&mut self, now: Now, key: Hash) {
        let hash = RouterHash::from(key);
        self.drop_held(hash);
        let Some(search) = self.searches.table.get(&key) else { return };
        if !matches!(search.aim, Aim::Explore(_)) {
            self.metrics.searches_failed.inc();
            if self.searches.negative.len() >= NEGATIVE_MAX {
                self.searches.negative.retain(|_, until| *until > now.mono);
            }
            if self.searches.negative.len() < NEGATIVE_MAX && !search.asked.is_empty() {
                self.searches.negative.insert(hash, now.mono + NEGATIVE_LIFETIME);
            }
            if search.aim == Aim::Wanted {
                self.actions.push_back(Action::RouterNotFound(hash));
            }
        }
        self.end(key);
    }

    fn end(&mut self, key: Hash) {
        self.searches.table.remove(&key);
        self.timers.cancel(&Timer::Search(key));
    }

    /// Asks for routers near a random key. Every other time for floodfills, which the exploratory kind leaves out.
    pub(super) fn explore(&mut self, now: Now) {
        let pause = match (self.routers.len(), self.searches.explored) {
            (0..50, 0..12) => Duration::from_secs(if self.config.test_network { 3 } else { 10 }),
            (0..200, _) => Duration::from_secs(60),
            _ => Duration::from_secs(180),
        };
        let spread = self.rng.below(u64::try_from(pause.as_millis()).unwrap_or(0) / 4);
        self.timers.set(Timer::Explore, now.mono + pause + Duration::from_millis(spread));
        if self.routers.len() > EXPLORE_ENOUGH || self.view.floodfills().is_empty() || !self.is_curious() {
            return;
        }
        self.searches.explored += 1;
        self.metrics.explorations.inc();
        let kind =
            if self.searches.explored % 2 == 1 { LookupKind::Exploratory } else { LookupKind::RouterInfo };
        let key = Hash(self.rng.bytes());
        self.begin(now, key, Aim::Explore(kind));
    }
}
