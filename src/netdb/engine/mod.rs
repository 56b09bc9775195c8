// SPDX-License-Identifier: MIT
//! The netDb engine: database messages in, database messages out, no I/O.
//!
//! Hosted by the control task of `router`, which hands in [`Input`]s, drains [`Engine::poll_action`] after each, and
//! calls [`Engine::handle_timeout`] when [`Engine::poll_timeout`] has come. One engine serves one router.
//!
//! | concern | file |
//! |---|---|
//! | iterative router lookups, exploration | `search.rs` |
//! | publishing our own RouterInfo | `publish.rs` |
//! | stores and lookups of others (floodfill role) | `serve.rs` |
//!
//! Bounds: [`Config`] bounds routers and lease sets, [`Bounds`] searches and the work for others; 4,096 tags.

mod publish;
mod search;
mod serve;
#[cfg(test)]
mod tests;
mod types;

pub use types::{Action, Bounds, Config, Input, Source, Stats};

use super::facts::Facts;
use super::limit::Bucket;
use super::message::Tunnels;
use super::metrics::NetDbMetrics;
use super::profiles::Profiles;
use super::standing::{Report, Standing};
use super::store::{Admitted, Changed, LeaseSets, Origin, Refusal, Routers, Rules};
use super::tags::Tags;
use super::view::{PeerEntry, PeerView, ViewPolicy};
use crate::base::{Account, Ask, Budget, Mono, Now, Part, Rng, TimerQueue};
use crate::crypto::Verified;
use crate::wire::{
    DatabaseLookup, DatabaseSearchReply, DatabaseStore, DeliveryStatus, Hash, I2np, I2npKind, RouterHash,
    RouterInfo, Wire,
};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Shortest time between two snapshots of a large table.
const VIEW_INTERVAL: Duration = Duration::from_millis(250);
/// Tables of up to this size are cheap to snapshot: a new router then shows at once.
const VIEW_SMALL: usize = 256;
const RANK_INTERVAL: Duration = Duration::from_secs(45);
const KEEP_INTERVAL: Duration = Duration::from_secs(5);
const PROFILES_SAVE_INTERVAL: Duration = Duration::from_secs(300);
/// Memory of a router in the table, about.
pub const ROUTER_COST: usize = 6 * 1024;
/// Memory of a lease set kept for others, on average at most.
pub const LEASE_SET_COST: usize = 1024;
/// Memory of a profile, about.
const PROFILE_COST: usize = 256;
/// RouterInfos handed out for saving in one go.
const SAVES_MAX: usize = 64;
const TAGS_MAX: usize = 4_096;

/// What the engine waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    View,
    Rank,
    Keep,
    SaveProfiles,
    Explore,
    Publish,
    Search(Hash),
}

/// The engine. See the module's description.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    rng: Rng,
    metrics: Arc<NetDbMetrics>,
    routers: Routers,
    leases: LeaseSets,
    profiles: Profiles,
    own: Option<Arc<PeerEntry>>,
    view: PeerView,
    viewed: Mono,
    /// Routers that somebody needs and that are known, but not in the view yet.
    unseen: BTreeSet<RouterHash>,
    exploratory: Tunnels,
    connected: BTreeSet<RouterHash>,
    unsaved: BTreeSet<RouterHash>,
    tags: Tags<search::Question>,
    searches: search::Searches,
    publisher: publish::Publisher,
    server: serve::Server,
    unasked: Bucket,
    timers: TimerQueue<Timer>,
    actions: VecDeque<Action>,
    /// What the tables hold.
    memory: Account,
    #[cfg(feature = "sim")]
    misdeeds: Arc<crate::base::Misdeeds>,
}

impl Engine {
    /// An engine for the router with hash `config.own`, knowing nobody yet.
    pub fn new(config: Config, now: Now, mut rng: Rng) -> Self {
        let rules = Rules {
            own: config.own,
            net_id: config.net_id,
            floodfill: config.floodfill,
            limit: config.routers_max,
            view: ViewPolicy {
                min_floodfill_version: config.min_floodfill_version,
                diverse: !config.test_network,
            },
        };
        let bounds = config.bounds;
        let mut engine = Self {
            metrics: Arc::default(),
            routers: Routers::new(rules),
            leases: LeaseSets::new(config.own, config.lease_sets_max, config.lease_sets_max * LEASE_SET_COST),
            profiles: Profiles::new(&mut rng),
            own: None,
            view: PeerView::default(),
            viewed: Mono(0),
            unseen: BTreeSet::new(),
            exploratory: Tunnels::default(),
            connected: BTreeSet::new(),
            unsaved: BTreeSet::new(),
            tags: Tags::new(&mut rng, TAGS_MAX),
            searches: search::Searches::new(&mut rng, &bounds),
            publisher: publish::Publisher::default(),
            server: serve::Server::new(&mut rng, config.lookups_per_second, &bounds),
            unasked: Bucket::new(bounds.unasked_per_second, bounds.unasked_per_second * 5),
            timers: TimerQueue::new(),
            actions: VecDeque::new(),
            memory: Account::default(),
            #[cfg(feature = "sim")]
            misdeeds: Arc::default(),
            config,
            rng,
        };
        engine.timers.set(Timer::Rank, now.mono + RANK_INTERVAL);
        engine.timers.set(Timer::Keep, now.mono + KEEP_INTERVAL);
        engine.timers.set(Timer::SaveProfiles, now.mono + PROFILES_SAVE_INTERVAL);
        engine.timers.set(Timer::Explore, now.mono + Duration::from_secs(2));
        engine
    }

    /// What the tables hold counts against `budget`. When that runs short, nobody new is looked for.
    #[must_use]
    pub fn with_budget(mut self, budget: &Budget) -> Self {
        self.memory = budget.account(Part::NetDb);
        self
    }

    /// Whether the router can afford to know more routers.
    fn is_curious(&self) -> bool {
        self.memory.budget().allows(Ask::Exploration)
    }

    /// Does this against the rules.
    #[cfg(feature = "sim")]
    pub(crate) fn misbehave(&mut self, misdeeds: Arc<crate::base::Misdeeds>) {
        self.misdeeds = misdeeds;
    }

    /// Takes one input in.
    pub fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Message { source, message } => self.on_message(now, source, &message),
            Input::RouterInfo { from, bytes, flood } => self.on_transport_info(now, from, &bytes, flood),
            Input::Load(bytes) => {
                // Damaged on the disk: it would be read in vain at every start. What is only old may have been called
                // so by a wrong clock, and stays.
                if self.take_router(now, &bytes, None, Origin::Disk) == Err(Refusal::BadSignature)
                    && let Ok(info) = RouterInfo::from_bytes(&bytes)
                {
                    self.actions.push_back(Action::Forget(info.hash()));
                }
            }
            Input::Bootstrap(bytes) => {
                let _ = self.take_router(now, &bytes, None, Origin::Bundle);
            }
            Input::LoadProfiles(text) => {
                self.profiles.load(&text);
                self.restand(now);
            }
            Input::Own(info) => self.on_own(now, info),
            Input::FindRouter(hash) => self.find_router(now, hash),
            Input::Exploratory(tunnels) => self.exploratory = tunnels,
            Input::Up(peer) => {
                self.connected.insert(peer);
                self.routers.set_connected(&peer, true);
                self.report(now, peer, Report::Connected);
            }
            Input::Down(peer) => {
                self.connected.remove(&peer);
                self.routers.set_connected(&peer, false);
            }
            Input::Report(peer, report) => {
                self.report(now, peer, report);
                if report == Report::DialFailed {
                    self.on_dial_failed(now, peer);
                }
            }
        }
        self.settle(now);
    }

    /// The next thing to do, if any. Drain it after every `handle` and `handle_timeout`.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.timers.next()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(timer) = self.timers.pop_due(now.mono) {
            match timer {
                Timer::View => {}
                Timer::Rank => {
                    self.timers.set(Timer::Rank, now.mono + RANK_INTERVAL);
                    for hash in self.profiles.rank(now) {
                        self.routers.set_standing(&hash, self.profiles.standing(&hash));
                    }
                }
                Timer::Keep => self.keep_house(now),
                Timer::SaveProfiles => {
                    self.timers.set(Timer::SaveProfiles, now.mono + PROFILES_SAVE_INTERVAL);
                    self.actions.push_back(Action::SaveProfiles(self.profiles.save()));
                }
                Timer::Explore => self.explore(now),
                Timer::Publish => self.publish_step(now),
                Timer::Search(key) => self.search_timeout(now, key),
            }
        }
        self.settle(now);
    }

    /// Whether a garlic message with this body carries one of our tags; if so, give it to [`Self::open_tagged`].
    pub fn owns_tag(&self, garlic_body: &[u8]) -> bool {
        self.tags.knows(garlic_body)
    }

    /// Opens an encrypted answer to one of our lookups and acts on it. False if the tag is not ours.
    pub fn open_tagged(&mut self, now: Now, garlic_body: &[u8]) -> bool {
        if !self.owns_tag(garlic_body) {
            return false;
        }
        match self.tags.open(garlic_body) {
            Some((question, messages)) => {
                for message in messages {
                    self.on_answer(now, question, &message);
                }
            }
            None => self.metrics.messages_dropped.inc(),
        }
        self.settle(now);
        true
    }

    /// Whether a DeliveryStatus with this id confirms a store of ours.
    pub fn owns_token(&self, id: u32) -> bool {
        self.publisher.awaits(id)
    }

    /// The newest snapshot.
    pub const fn view(&self) -> &PeerView {
        &self.view
    }

    /// Our counters, shared.
    pub fn metrics(&self) -> Arc<NetDbMetrics> {
        self.metrics.clone()
    }

    /// Numbers for the router's own RouterInfo and for people.
    pub fn stats(&self) -> Stats {
        Stats {
            routers: self.routers.len(),
            floodfills: self.view.floodfills().len(),
            lease_sets: self.leases.len(),
            searches: self.searches.len(),
            profiles: self.profiles.len(),
        }
    }

    /// The profiles as text, to be kept at shutdown.
    pub fn save_profiles(&self) -> String {
        self.profiles.save()
    }

    /// What every turn ends with.
    fn settle(&mut self, now: Now) {
        self.fetch_more(now);
        self.refresh_view(now);
        let (routers, profiles) = (self.routers.len(), self.profiles.len());
        self.memory.set(routers * ROUTER_COST + self.leases.bytes() + profiles * PROFILE_COST);
    }

    fn on_message(&mut self, now: Now, source: Source, message: &I2np) {
        if message.is_out_of_time(now.wall_ms) {
            self.metrics.messages_dropped.inc();
            return;
        }
        let known = match message.kind {
            I2npKind::DATABASE_STORE => {
                DatabaseStore::from_bytes(&message.body).map(|m| self.on_store(now, source, m))
            }
            I2npKind::DATABASE_LOOKUP => {
                DatabaseLookup::from_bytes(&message.body).map(|m| self.on_lookup(now, source, &m))
            }
            I2npKind::DATABASE_SEARCH_REPLY => {
                DatabaseSearchReply::from_bytes(&message.body).map(|m| self.on_search_reply(now, source, &m))
            }
            I2npKind::DELIVERY_STATUS => {
                DeliveryStatus::from_bytes(&message.body).map(|m| self.on_confirmed(now, m.id))
            }
            // A garlic that reached us sealed for one of our tags.
            I2npKind::GARLIC if self.owns_tag(&message.body) => {
                self.open_tagged(now, &message.body);
                Ok(())
            }
            _ => Err(crate::wire::DecodeError::Value("not a database message")),
        };
        if known.is_err() {
            self.metrics.messages_dropped.inc();
        }
    }

    /// What a peer says about itself on its own transport session.
    fn on_transport_info(&mut self, now: Now, from: RouterHash, bytes: &[u8], flood: bool) {
        if !self.unasked.take(now.mono) || !self.is_curious() {
            self.metrics.stores_refused_busy.inc();
            return;
        }
        let taken = self.take_router(now, bytes, Some(from.into()), Origin::Owner);
        if flood && self.config.floodfill && taken.is_ok() {
            self.flood_router(now, from, from);
        }
    }

    /// The common way in for RouterInfos: checks, table, follow-ups. `key` is what it was filed under.
    fn take_router(
        &mut self,
        now: Now,
        bytes: &[u8],
        key: Option<Hash>,
        origin: Origin,
    ) -> Result<Admitted, Refusal> {
        let result = self.try_take_router(now, bytes, key, origin);
        let counter = match result {
            Ok(_) => &self.metrics.router_infos_taken,
            Err(Refusal::BadSignature) => &self.metrics.router_infos_refused_signature,
            Err(Refusal::NotNewer | Refusal::TooOld) => &self.metrics.router_infos_refused_old,
            Err(Refusal::Busy) => &self.metrics.stores_refused_busy,
            Err(_) => &self.metrics.router_infos_refused_invalid,
        };
        counter.inc();
        result
    }

    fn try_take_router(
        &mut self,
        now: Now,
        bytes: &[u8],
        key: Option<Hash>,
        origin: Origin,
    ) -> Result<Admitted, Refusal> {
        let examined = self.routers.examine(now, bytes, origin)?;
        let hash = examined.1.hash;
        if key.is_some_and(|key| key != Hash::from(hash)) {
            return Err(Refusal::WrongKey);
        }
        let standing = self.profiles.standing(&hash);
        let admitted = self.routers.admit(now, examined, standing)?;
        self.routers.set_connected(&hash, self.connected.contains(&hash));
        if origin != Origin::Disk {
            self.unsaved.insert(hash);
        }
        if self.routers.is_over_full() {
            let gone = self.routers.evict(now);
            self.metrics.router_infos_evicted.add(gone.len() as u64);
            self.forget(&gone);
        }
        self.refresh_view(now);
        self.on_router_known(now, hash);
        Ok(admitted)
    }

    fn on_own(&mut self, now: Now, info: Arc<Verified<RouterInfo>>) {
        let Some(facts) = Facts::parse(&info) else { return };
        self.own = Some(Arc::new(PeerEntry {
            info,
            facts: Arc::new(facts),
            standing: Standing::default(),
            connected: true,
            first_heard_ms: now.wall_ms,
        }));
        self.routers.touch();
        self.publish_soon(now);
    }

    fn report(&mut self, now: Now, peer: RouterHash, report: Report) {
        if peer == self.config.own {
            return;
        }
        self.profiles.report(now, peer, report);
        self.routers.set_standing(&peer, self.profiles.standing(&peer));
    }

    /// Brings the table in line with the profiles after those were loaded.
    fn restand(&mut self, now: Now) {
        self.profiles.rank(now);
        let hashes: Vec<RouterHash> = self.routers.iter().map(|e| e.hash).collect();
        for hash in hashes {
            self.routers.set_standing(&hash, self.profiles.standing(&hash));
        }
    }

    fn keep_house(&mut self, now: Now) {
        self.timers.set(Timer::Keep, now.mono + KEEP_INTERVAL);
        let gone = self.routers.expire(now);
        self.metrics.router_infos_expired.add(gone.len() as u64);
        self.forget(&gone);
        self.leases.expire(now);
        for _ in 0..SAVES_MAX {
            let Some(hash) = self.unsaved.pop_first() else { break };
            if let Some(entry) = self.routers.get(&hash) {
                self.actions.push_back(Action::Save { hash, info: entry.info.clone() });
            }
        }
        self.metrics.routers_known.set(self.routers.len() as u64);
        self.metrics.floodfills_known.set(self.view.floodfills().len() as u64);
        self.metrics.lease_sets_kept.set(self.leases.len() as u64);
        self.publish_check_day(now);
    }

    fn forget(&mut self, gone: &[RouterHash]) {
        for hash in gone {
            self.unsaved.remove(hash);
            self.actions.push_back(Action::Forget(*hash));
        }
    }

    /// Takes a new snapshot if something changed and the last one is not too fresh.
    fn refresh_view(&mut self, now: Now) {
        let next = self.viewed + VIEW_INTERVAL;
        let urgent = match self.routers.changed() {
            Changed::Nothing => return,
            Changed::Standing => false,
            Changed::Routers => self.routers.len() <= VIEW_SMALL,
        };
        if !urgent && now.mono < next {
            self.timers.set(Timer::View, next);
            return;
        }
        self.take_view(now);
    }

    fn take_view(&mut self, now: Now) {
        self.viewed = now.mono;
        self.view = self.routers.view(self.own.clone());
        let action = Action::ViewChanged(self.view.clone());
        // A snapshot that nobody took yet is replaced where it stands, so that it stays ahead of what refers to it.
        match self.actions.iter_mut().find(|a| matches!(a, Action::ViewChanged(_))) {
            Some(waiting) => *waiting = action,
            None => self.actions.push_back(action),
        }
        let found = std::mem::take(&mut self.unseen);
        self.actions.extend(found.into_iter().map(Action::RouterFound));
    }
}

#[cfg(test)]
mod memory_tests;
