// SPDX-License-Identifier: MIT
//! Publishing a destination's own lease set.
//!
//! A version goes to the three nearest floodfills at once, each with a token to send back through one of our inbound
//! tunnels; one that is silent for three seconds is replaced by the next (see [`PeerView::next_floodfill`]). The first
//! confirmation makes the destination reachable and is reported. Three seconds later the lease set is looked up at another
//! floodfill, or where it was stored if two others are silent; if it is not there, it is stored anew elsewhere, at once
//! and then with growing pauses, at most five times. At UTC midnight, when other floodfills become responsible, it is
//! stored again; an encrypted one then gets another key and comes anew.

use super::super::message::{Tunnels, garlic_for_router, nonzero, store};
use super::super::routing::{MIDNIGHT_WINDOW_MS, day_number, neighbour_day};
use super::super::tags::Tags;
use super::super::view::{PeerEntry, PeerView};
use super::{Publication, sealed_lookup};
use crate::base::{Mono, Now, Rng};
use crate::wire::{DatabaseStore, Hash, I2np, I2npKind, RouterHash, TunnelId, Wire};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Stored at so many: with half of the floodfills lying, one destination in five would be nowhere with two.
const COPIES: usize = 3;
const ACK_TIMEOUT: Duration = Duration::from_secs(3);
/// Floodfills pass a lease set on at once. Who looks for it meanwhile should still find it when the first ones lied.
const VERIFY_AFTER: Duration = Duration::from_secs(3);
const VERIFY_TIMEOUT: Duration = Duration::from_secs(3);
const VERIFY_TRIES: usize = 3;
const REPAIRS_MAX: u32 = 5;
/// Floodfills tried in one round before pausing.
const ASKS_MAX: usize = 10;
const MIN_INTERVAL: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_millis(250);
const BACKOFF_MAX_S: u64 = 60;
const TAGS_MAX: usize = 64;

/// What [`LeasePublisher`] wants done.
#[derive(Clone, Debug)]
pub enum PublishAction {
    /// Send through one of the destination's outbound tunnels, for delivery to a router.
    Send {
        /// The outbound tunnel.
        tunnel: TunnelId,
        /// The floodfill.
        to: RouterHash,
        /// A sealed message.
        message: I2np,
    },
    /// A floodfill confirmed this version, the first to do so: others can find us now.
    Published {
        /// `published` of the lease set.
        published_s: u32,
    },
    /// Another floodfill has this version or a newer one.
    Verified {
        /// `published` of the lease set.
        published_s: u32,
    },
    /// A round of stores ended without any confirmation; another follows after a pause.
    Unconfirmed {
        /// Floodfills asked in the round.
        asked: Vec<RouterHash>,
    },
}

#[derive(Clone, Copy, Debug)]
struct Store {
    floodfill: RouterHash,
    token: u32,
    sent: Mono,
    confirmed: bool,
}

impl Store {
    fn is_open(&self, now: Mono) -> bool {
        !self.confirmed && now < self.sent + ACK_TIMEOUT
    }
}

/// Where the present version stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing to publish.
    Idle,
    /// To be stored from this time on.
    Storing(Mono),
    /// Stored; to be looked up at this time.
    Verifying(Mono),
    /// Stored and found again, or not worth more effort.
    Settled,
}

/// The engine. See the module's description.
#[derive(Debug)]
pub struct LeasePublisher {
    rng: Rng,
    view: PeerView,
    tunnels: Tunnels,
    current: Option<Publication>,
    phase: Phase,
    stores: Vec<Store>,
    /// When the last round of stores began.
    began: Option<Mono>,
    announced: bool,
    failures: u32,
    repairs: u32,
    verifies: Vec<RouterHash>,
    /// How many of them did not answer.
    verifies_silent: usize,
    /// Floodfills that confirmed a version which then could not be found.
    distrusted: Vec<RouterHash>,
    verify_sent: Option<Mono>,
    tags: Tags<RouterHash>,
    day: u64,
    wake: Option<Mono>,
    actions: VecDeque<PublishAction>,
}

impl LeasePublisher {
    /// With nothing to publish yet.
    pub fn new(mut rng: Rng) -> Self {
        Self {
            view: PeerView::default(),
            tunnels: Tunnels::default(),
            current: None,
            phase: Phase::Idle,
            stores: Vec::new(),
            began: None,
            announced: false,
            failures: 0,
            repairs: 0,
            verifies: Vec::new(),
            verifies_silent: 0,
            distrusted: Vec::new(),
            verify_sent: None,
            tags: Tags::new(&mut rng, TAGS_MAX),
            day: 0,
            wake: None,
            actions: VecDeque::new(),
            rng,
        }
    }

    /// Takes a newer view of the network.
    pub fn set_view(&mut self, now: Now, view: PeerView) {
        self.view = view;
        self.step(now);
    }

    /// Takes the destination's tunnels of the moment.
    pub fn set_tunnels(&mut self, now: Now, tunnels: Tunnels) {
        self.tunnels = tunnels;
        self.step(now);
    }

    /// Publishes this version from now on, at once unless one was published a moment ago.
    pub fn publish(&mut self, now: Now, lease_set: impl Into<Publication>) {
        let at = match self.began {
            Some(began) if self.announced => (began + MIN_INTERVAL).max(now.mono),
            _ => now.mono,
        };
        self.current = Some(lease_set.into());
        self.announced = false;
        self.repairs = 0;
        self.distrusted.clear();
        self.restart(at);
        self.step(now);
    }

    /// Stops publishing.
    pub fn stop(&mut self) {
        self.current = None;
        self.phase = Phase::Idle;
        self.stores.clear();
        self.wake = None;
    }

    /// Whether the present version was confirmed by a floodfill.
    pub const fn is_published(&self) -> bool {
        self.announced
    }

    /// Whether a DeliveryStatus with this id confirms a store of ours.
    pub fn owns_token(&self, id: u32) -> bool {
        self.stores.iter().any(|s| s.token == id)
    }

    /// A DeliveryStatus came. False if its id is none of ours.
    pub fn on_status(&mut self, now: Now, id: u32) -> bool {
        let Some(store) = self.stores.iter_mut().find(|s| s.token == id) else { return false };
        store.confirmed = true;
        self.failures = 0;
        if !self.announced
            && let Some(current) = &self.current
        {
            self.announced = true;
            self.actions.push_back(PublishAction::Published { published_s: current.published_s() });
        }
        self.step(now);
        true
    }

    /// Whether a garlic message with this body carries one of our tags.
    pub fn owns_tag(&self, garlic_body: &[u8]) -> bool {
        self.tags.knows(garlic_body)
    }

    /// Opens the answer to a verifying lookup. False if the tag is not ours.
    pub fn open_tagged(&mut self, now: Now, garlic_body: &[u8]) -> bool {
        if !self.tags.knows(garlic_body) {
            return false;
        }
        if let Some((_, messages)) = self.tags.open(garlic_body) {
            for message in messages {
                self.on_verify_answer(now, &message);
            }
        }
        true
    }

    /// The next thing to do, if any.
    pub fn poll_action(&mut self) -> Option<PublishAction> {
        self.actions.pop_front()
    }

    /// When to call [`Self::handle_timeout`].
    pub const fn poll_timeout(&self) -> Option<Mono> {
        self.wake
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        self.step(now);
    }

    fn restart(&mut self, at: Mono) {
        self.phase = Phase::Storing(at);
        self.stores.clear();
        self.verifies.clear();
        self.verifies_silent = 0;
        self.verify_sent = None;
    }

    /// Does what can be done now and notes when there will be more to do.
    fn step(&mut self, now: Now) {
        let Some(current) = self.current.clone() else { return };
        // An encrypted one has another key from then on: its owner makes a new one.
        let moves = matches!(current, Publication::Plain(_));
        let new_day = self.day != 0 && self.day != day_number(now.wall_ms);
        if moves && new_day && !matches!(self.phase, Phase::Storing(_)) {
            self.restart(now.mono);
        }
        match self.phase {
            Phase::Storing(at) if now.mono >= at => self.store_step(now, &current),
            Phase::Verifying(at) if now.mono >= at => self.verify_step(now, &current),
            _ => {}
        }
        let to_midnight = 86_400_000 - now.wall_ms % 86_400_000;
        let midnight = now.mono + Duration::from_millis(to_midnight + 1_000);
        self.wake = self.next_step(now.mono).map(|at| at.min(midnight));
    }

    fn next_step(&self, now: Mono) -> Option<Mono> {
        let open = self.stores.iter().filter(|s| s.is_open(now)).map(|s| s.sent + ACK_TIMEOUT).min();
        Some(match self.phase {
            Phase::Idle => return None,
            Phase::Storing(at) if at > now => at,
            Phase::Storing(_) => open.unwrap_or(now + IDLE),
            Phase::Verifying(at) => match self.verify_sent {
                Some(sent) => sent + VERIFY_TIMEOUT,
                None if at > now => at,
                None => now + IDLE,
            },
            Phase::Settled => Mono::NEVER,
        })
    }

    fn store_step(&mut self, now: Now, current: &Publication) {
        self.day = day_number(now.wall_ms);
        loop {
            let confirmed = self.stores.iter().filter(|s| s.confirmed).count();
            let open = self.stores.iter().filter(|s| s.is_open(now.mono)).count();
            if confirmed >= COPIES {
                break;
            }
            if confirmed + open >= COPIES {
                return;
            }
            if self.tunnels.inbound.is_empty() || self.tunnels.outbound.is_empty() {
                return;
            }
            let target = if self.stores.len() < ASKS_MAX { self.pick(now, current) } else { None };
            match target {
                Some(floodfill) => self.send_store(now, current, &floodfill),
                None if open > 0 => return,
                None if confirmed > 0 => break,
                None => {
                    self.round_failed(now);
                    return;
                }
            }
        }
        self.store_next_day(now, current);
        self.phase = Phase::Verifying(now.mono + VERIFY_AFTER);
    }

    fn pick(&self, now: Now, current: &Publication) -> Option<Arc<PeerEntry>> {
        let key = current.key();
        let used: Vec<RouterHash> = self.stores.iter().map(|s| s.floodfill).collect();
        let silent = self.stores.iter().filter(|s| !s.confirmed && !s.is_open(now.mono)).count();
        self.next_but(now, &key, &used, silent, |h| self.distrusted.contains(h))
    }

    /// The next floodfill to turn to; one of those to `avoid` only if there is no other.
    fn next_but(
        &self,
        now: Now,
        key: &Hash,
        asked: &[RouterHash],
        silent: usize,
        avoid: impl Fn(&RouterHash) -> bool,
    ) -> Option<Arc<PeerEntry>> {
        let next = self.view.next_floodfill(key, now.wall_ms, asked, silent, avoid);
        next.or_else(|| self.view.next_floodfill(key, now.wall_ms, asked, silent, |_| false))
    }

    /// Near UTC midnight the floodfill of the other day gets a copy too; nobody waits for its confirmation.
    fn store_next_day(&mut self, now: Now, current: &Publication) {
        let Some(day) = neighbour_day(now.wall_ms, MIDNIGHT_WINDOW_MS) else { return };
        if matches!(current, Publication::Encrypted(_)) {
            return;
        }
        let key = current.key();
        let skip = |h: &RouterHash| self.stores.iter().any(|s| s.floodfill == *h);
        let other = self.view.closest_floodfills(&key, day, skip, 1).into_iter().next();
        if let Some(other) = other {
            self.send_store(now, current, &other);
        }
    }

    fn send_store(&mut self, now: Now, current: &Publication, floodfill: &PeerEntry) {
        let Some((tunnel, reply)) = self.tunnels.pick(&mut self.rng) else { return };
        if self.stores.is_empty() {
            self.began = Some(now.mono);
        }
        let token = nonzero(&mut self.rng);
        self.stores.push(Store { floodfill: floodfill.hash, token, sent: now.mono, confirmed: false });
        let body = DatabaseStore {
            key: current.key(),
            reply: Some((token, reply.tunnel, reply.gateway)),
            data: current.data(),
        };
        let inner = store(&mut self.rng, now.wall_ms, &body);
        if let Some(message) = garlic_for_router(&mut self.rng, now, &floodfill.key, &inner) {
            self.actions.push_back(PublishAction::Send { tunnel, to: floodfill.hash, message });
        }
    }

    fn round_failed(&mut self, now: Now) {
        if self.stores.is_empty() {
            return; // no floodfill known: the next view may bring one
        }
        self.actions.push_back(PublishAction::Unconfirmed {
            asked: self.stores.iter().map(|s| s.floodfill).collect(),
        });
        let pause = Duration::from_secs((1_u64 << self.failures.min(6)).min(BACKOFF_MAX_S));
        self.failures += 1;
        self.restart(now.mono + pause);
    }

    /// Looks whether a floodfill other than those that confirmed has the lease set; if there is no other, one of
    /// those.
    fn verify_step(&mut self, now: Now, current: &Publication) {
        if let Some(sent) = self.verify_sent {
            if now.mono < sent + VERIFY_TIMEOUT {
                return;
            }
            self.verifies_silent += 1;
            self.verify_sent = None;
        }
        if self.verifies.len() >= VERIFY_TRIES {
            self.repair(now);
            return;
        }
        let Some((tunnel, reply)) = self.tunnels.pick(&mut self.rng) else { return };
        let key = current.key();
        // Whoever confirmed is asked only when the others stay silent.
        let silent = self.verifies_silent;
        let last = silent + 1 >= VERIFY_TRIES;
        let stored = |h: &RouterHash| !last && self.stores.iter().any(|s| s.confirmed && s.floodfill == *h);
        let Some(floodfill) = self.next_but(now, &key, &self.verifies, silent, stored) else {
            self.repair(now);
            return;
        };
        let question = (key, &*floodfill, reply);
        let message = sealed_lookup(&mut self.rng, now, &mut self.tags, floodfill.hash, question);
        self.verifies.push(floodfill.hash);
        self.verify_sent = Some(now.mono);
        if let Some(message) = message {
            self.actions.push_back(PublishAction::Send { tunnel, to: floodfill.hash, message });
        }
    }

    fn on_verify_answer(&mut self, now: Now, message: &I2np) {
        let Some(current) = self.current.clone() else { return };
        if !matches!(self.phase, Phase::Verifying(_)) {
            return;
        }
        if message.kind == I2npKind::DATABASE_STORE
            && let Ok(body) = DatabaseStore::from_bytes(&message.body)
            && current.is_in(now, &body.data)
        {
            self.phase = Phase::Settled;
            self.verify_sent = None;
            self.step(now);
            self.actions.push_back(PublishAction::Verified { published_s: current.published_s() });
            return;
        }
        // Not there: ask the next one at once.
        self.verify_sent = None;
        self.step(now);
    }

    /// The lease set could not be found again: store it once more, elsewhere if there are other
    /// floodfills.
    fn repair(&mut self, now: Now) {
        self.verify_sent = None;
        self.distrusted.extend(self.stores.iter().filter(|s| s.confirmed).map(|s| s.floodfill));
        self.repairs += 1;
        if self.repairs > REPAIRS_MAX {
            self.phase = Phase::Settled;
            return;
        }
        let pause = if self.repairs > 1 { (2_u64 << self.repairs).min(BACKOFF_MAX_S) } else { 0 };
        self.restart(now.mono + Duration::from_secs(pause));
    }
}
