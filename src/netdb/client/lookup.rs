// SPDX-License-Identifier: MIT
//! Finding other destinations' lease sets.
//!
//! One lookup per hash, shared by all callers. Floodfills are asked nearest first, the second half a second after
//! the first and never more than two at a time; one that is silent for 1.5 s is no longer waited for, though a late
//! answer still counts, and after two such ones every second question goes to a floodfill that we know. When all have been asked the round begins again, since a lease set may just be on its way to
//! them; it ends after ten seconds, or sooner when everybody has said twice that they do not have it.
//!
//! Silence may be the fault of our own tunnels: the next question goes through others than those that brought no answer,
//! and after two questions in a row without one the owner is told to test its tunnels.
//!
//! Who has a lease set that leads nowhere asks for a newer one: floodfills that were cut off from the destination for
//! a while keep its old one for minutes, so an answer no newer than what is known does not end such a lookup before
//! four floodfills have given one.

use super::super::message::{Path, Tunnels};
use super::super::tags::Tags;
use super::super::view::PeerView;
use super::{check_encrypted, check_lease_set, sealed_lookup};
use crate::base::{Map, Mono, Now, Rng, TimerQueue, map};
use crate::crypto::Verified;
use crate::wire::{
    DatabaseSearchReply, DatabaseStore, DestHash, EncryptedLeaseSet, Hash, I2np, I2npKind, LeaseSet2,
    RouterHash, StoreData, TunnelId, Wire,
};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

const LOOKUPS_MAX: usize = 64;
const TAGS_MAX: usize = 1_024;
const PARALLEL: usize = 2;
const STAGGER: Duration = Duration::from_millis(500);
const TRY: Duration = Duration::from_millis(1_500);
const TOTAL: Duration = Duration::from_secs(10);
/// Pause before floodfills are asked for a second time, and between looks for tunnels or floodfills.
const ROUND_PAUSE: Duration = Duration::from_millis(2_000);
const IDLE: Duration = Duration::from_millis(200);
const ASKS_MAX: usize = 14;
/// Questions in a row without an answer that make our tunnels suspect.
const SUSPECT_AFTER: usize = 2;
/// Rounds in which everybody said no before we believe it.
const ROUNDS: usize = 2;
const NAMED_MAX: usize = 4;
/// Answers with what is known already before we believe that there is nothing newer.
const SAME_MAX: usize = 4;
const NEGATIVE_LIFETIME: Duration = Duration::from_secs(10);
const NEGATIVE_MAX: usize = 256;

/// Floodfills named in the text of a failure, for each kind.
const NAMES_MAX: usize = 6;

/// Why a lookup failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupReason {
    /// Those who answered do not have it: the destination is offline or does not exist.
    NotFound,
    /// Nobody answered.
    NoAnswer,
    /// No floodfill is known.
    NoFloodfills,
    /// The destination has no tunnels to ask through.
    NoTunnels,
    /// What was found is of the old kind, without a key that we could encrypt to.
    OldCryptography,
    /// Too many lookups at once.
    Busy,
}

/// A failed lookup, with what is needed to explain it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupFailure {
    /// Why.
    pub reason: LookupReason,
    /// The floodfills that were asked, each once, and whether it answered.
    pub floodfills: Vec<(RouterHash, bool)>,
    /// Questions sent; a floodfill may be asked twice.
    pub asked: usize,
    /// Answers that came, whatever they said.
    pub answered: usize,
    /// Answers that did not hold up: wrong key, bad signature, expired.
    pub invalid: usize,
}

impl LookupFailure {
    const fn without_questions(reason: LookupReason) -> Self {
        Self { reason, floodfills: Vec::new(), asked: 0, answered: 0, invalid: 0 }
    }
}

impl fmt::Display for LookupFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            LookupReason::NotFound => f.write_str("lease set not found")?,
            LookupReason::NoAnswer => f.write_str("no floodfill answered")?,
            LookupReason::NoFloodfills => return f.write_str("no floodfill known to ask for the lease set"),
            LookupReason::NoTunnels => return f.write_str("no tunnels to ask for the lease set through"),
            LookupReason::OldCryptography => {
                f.write_str("the destination offers only encryption that is no longer in use")?;
            }
            LookupReason::Busy => return f.write_str("too many lookups at once"),
        }
        write!(f, ": {} questions to {} floodfills", self.asked, self.floodfills.len())?;
        for (word, answered) in [("answered", true), ("silent", false)] {
            let names = self.floodfills.iter().filter(|(_, a)| *a == answered).map(|(h, _)| h);
            for (i, name) in names.take(NAMES_MAX).enumerate() {
                if i == 0 {
                    write!(f, ", {word}:")?;
                }
                write!(f, " {name}")?;
            }
        }
        if self.invalid > 0 {
            write!(f, ", invalid answers: {}", self.invalid)?;
        }
        Ok(())
    }
}

impl std::error::Error for LookupFailure {}

/// What [`LeaseLookups`] wants done.
#[derive(Clone, Debug)]
pub enum LeaseAction {
    /// Send through one of the destination's outbound tunnels, for delivery to a router.
    Send {
        /// The outbound tunnel.
        tunnel: TunnelId,
        /// The floodfill.
        to: RouterHash,
        /// A sealed message.
        message: I2np,
    },
    /// Answers stay out: the tunnels may be dead.
    Suspect,
    /// An answer named this floodfill, which is not in the view: have the router look for it.
    FindRouter(RouterHash),
    /// Found.
    Found {
        /// Whose.
        hash: DestHash,
        /// The lease set, checked.
        lease_set: Arc<Verified<LeaseSet2>>,
    },
    /// An encrypted one was found.
    FoundEncrypted {
        /// Under which key.
        key: Hash,
        /// The lease set, its outer signature checked.
        lease_set: Arc<Verified<EncryptedLeaseSet>>,
    },
    /// Not found.
    Failed {
        /// Whose, or the key of an encrypted one.
        hash: DestHash,
        /// Why.
        failure: LookupFailure,
    },
}

#[derive(Clone, Copy, Debug)]
struct Ask {
    floodfill: RouterHash,
    path: Path,
    sent: Mono,
    answered: bool,
}

impl Ask {
    fn is_open(&self, now: Mono) -> bool {
        !self.answered && now < self.sent + TRY
    }

    fn is_silent(&self, now: Mono) -> bool {
        !self.answered && now >= self.sent + TRY
    }
}

/// How many questions got no answer through the tunnels of this path; none for a tunnel that has brought one.
fn doubt(asks: &[Ask], now: Mono, path: &Path) -> usize {
    let half = |through: &dyn Fn(&Path) -> bool| {
        let used = || asks.iter().filter(|a| through(&a.path));
        if used().any(|a| a.answered) { 0 } else { used().filter(|a| a.is_silent(now)).count() }
    };
    half(&|other| other.0 == path.0) + half(&|other| other.1 == path.1)
}

#[derive(Debug)]
struct Lookup {
    deadline: Mono,
    asks: Vec<Ask>,
    /// Where in `asks` the present round begins.
    round_at: usize,
    rounds: usize,
    /// When the next round may begin.
    resume: Mono,
    answered: usize,
    invalid: usize,
    named: usize,
    old: bool,
    /// It is an encrypted lease set that is looked for.
    encrypted: bool,
    /// The date of the one that is known and of no more use.
    known: Option<u32>,
    /// What was found and is no newer than that.
    fallback: Option<LeaseAction>,
    /// How many have answered with that.
    same: usize,
}

#[derive(Clone, Copy, Debug)]
struct Question {
    hash: DestHash,
    floodfill: RouterHash,
}

/// The engine. See the module's description.
#[derive(Debug)]
pub struct LeaseLookups {
    rng: Rng,
    view: PeerView,
    tunnels: Tunnels,
    table: BTreeMap<DestHash, Lookup>,
    tags: Tags<Question>,
    negative: Map<DestHash, (Mono, LookupFailure)>,
    timers: TimerQueue<DestHash>,
    actions: VecDeque<LeaseAction>,
}

impl LeaseLookups {
    /// Without tunnels or routers yet.
    pub fn new(mut rng: Rng) -> Self {
        Self {
            view: PeerView::default(),
            tunnels: Tunnels::default(),
            table: BTreeMap::new(),
            tags: Tags::new(&mut rng, TAGS_MAX),
            negative: map(&mut rng),
            timers: TimerQueue::new(),
            actions: VecDeque::new(),
            rng,
        }
    }

    /// Takes a newer view of the network.
    pub fn set_view(&mut self, view: PeerView) {
        self.view = view;
    }

    /// Takes the destination's tunnels of the moment.
    pub fn set_tunnels(&mut self, now: Now, tunnels: Tunnels) {
        self.tunnels = tunnels;
        let waiting: Vec<DestHash> =
            self.table.iter().filter(|(_, l)| l.asks.is_empty()).map(|(hash, _)| *hash).collect();
        for hash in waiting {
            self.step(now, hash);
        }
    }

    /// Looks for the lease set of `hash`, unless it is being looked for already. Ends in `Found` or `Failed`.
    pub fn find(&mut self, now: Now, hash: DestHash) {
        self.begin(now, hash, false, None);
    }

    /// As [`Self::find`], and looks on for a while if what is found is no newer than `known_s`, the date of the lease
    /// set that is known.
    pub fn find_newer(&mut self, now: Now, hash: DestHash, known_s: u32) {
        self.begin(now, hash, false, Some(known_s));
    }

    /// Looks for the encrypted lease set under `key`. Ends in `FoundEncrypted` or `Failed`.
    pub fn find_encrypted(&mut self, now: Now, key: Hash) {
        self.begin(now, DestHash(key.0), true, None);
    }

    fn begin(&mut self, now: Now, hash: DestHash, encrypted: bool, known: Option<u32>) {
        if self.table.contains_key(&hash) {
            return;
        }
        if let Some((_, failure)) = self.negative.get(&hash).filter(|(until, _)| *until > now.mono) {
            self.actions.push_back(LeaseAction::Failed { hash, failure: failure.clone() });
            return;
        }
        if self.table.len() >= LOOKUPS_MAX {
            let failure = LookupFailure::without_questions(LookupReason::Busy);
            self.actions.push_back(LeaseAction::Failed { hash, failure });
            return;
        }
        let lookup = Lookup {
            deadline: now.mono + TOTAL,
            asks: Vec::new(),
            round_at: 0,
            rounds: 0,
            resume: now.mono,
            answered: 0,
            invalid: 0,
            named: 0,
            old: false,
            encrypted,
            known,
            fallback: None,
            same: 0,
        };
        self.table.insert(hash, lookup);
        self.step(now, hash);
    }

    /// Whether `hash` is being looked for.
    pub fn is_looking(&self, hash: &DestHash) -> bool {
        self.table.contains_key(hash)
    }

    /// The lease set came another way (bundled in a message): no need to look on.
    pub fn cancel(&mut self, hash: &DestHash) {
        self.table.remove(hash);
        self.timers.cancel(hash);
        self.negative.remove(hash);
    }

    /// Whether a garlic message with this body carries one of our tags.
    pub fn owns_tag(&self, garlic_body: &[u8]) -> bool {
        self.tags.knows(garlic_body)
    }

    /// Opens an answer to one of our questions and acts on it. False if the tag is not ours.
    pub fn open_tagged(&mut self, now: Now, garlic_body: &[u8]) -> bool {
        if !self.tags.knows(garlic_body) {
            return false;
        }
        if let Some((question, messages)) = self.tags.open(garlic_body) {
            for message in messages {
                self.on_answer(now, question, &message);
            }
        }
        true
    }

    /// The next thing to do, if any.
    pub fn poll_action(&mut self) -> Option<LeaseAction> {
        self.actions.pop_front()
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.timers.next()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(hash) = self.timers.pop_due(now.mono) {
            self.step(now, hash);
        }
    }

    /// Asks whom there is to ask, and sets the timer for the next look.
    fn step(&mut self, now: Now, hash: DestHash) {
        loop {
            let Some(lookup) = self.table.get(&hash) else { return };
            let last = lookup.asks.last().map(|a| a.sent);
            let open = lookup.asks.iter().filter(|a| a.is_open(now.mono)).count();
            if now.mono >= lookup.deadline || (lookup.asks.len() >= ASKS_MAX && open == 0) {
                self.fail(now, hash);
                return;
            }
            let staggered = open == 0 || last.is_none_or(|sent| now.mono >= sent + STAGGER);
            if open >= PARALLEL || !staggered || now.mono < lookup.resume || lookup.asks.len() >= ASKS_MAX {
                break;
            }
            if !self.ask(now, hash) && !self.next_round(now, hash, open) {
                break;
            }
        }
        self.set_timer(now, hash);
    }

    fn set_timer(&mut self, now: Now, hash: DestHash) {
        let Some(lookup) = self.table.get(&hash) else { return };
        let open = lookup.asks.iter().filter(|a| a.is_open(now.mono));
        let mut at = lookup.deadline;
        let mut count = 0;
        for ask in open {
            at = at.min(ask.sent + TRY);
            count += 1;
        }
        if count < PARALLEL {
            let stagger = lookup.asks.last().map_or(now.mono, |a| a.sent + STAGGER);
            let next = if count == 0 { lookup.resume } else { stagger.max(lookup.resume) };
            at = at.min(if next > now.mono { next } else { now.mono + IDLE });
        }
        self.timers.set(hash, at);
    }

    /// Asks the nearest floodfill that was not asked in this round. False if there is none, or no tunnel.
    fn ask(&mut self, now: Now, hash: DestHash) -> bool {
        let Some(lookup) = self.table.get_mut(&hash) else { return false };
        let doubt = |path: &Path| doubt(&lookup.asks, now.mono, path);
        let Some(path) = self.tunnels.pick_least(&mut self.rng, doubt) else { return false };
        let (tunnel, reply) = path;
        let asked = lookup.asks.get(lookup.round_at..).unwrap_or_default();
        let asked: Vec<RouterHash> = asked.iter().map(|a| a.floodfill).collect();
        let mute = lookup.asks.iter().filter(|a| a.is_silent(now.mono)).count();
        let key = Hash::from(hash);
        let Some(floodfill) = self.view.next_floodfill(&key, now.wall_ms, &asked, mute, |_| false) else {
            return false;
        };
        let question = Question { hash, floodfill: floodfill.hash };
        let message = sealed_lookup(&mut self.rng, now, &mut self.tags, question, (key, &floodfill, reply));
        // One whose key is unusable counts as asked: it will stay silent.
        let silent = lookup.asks.iter().rev().filter(|a| !a.is_open(now.mono)).take(SUSPECT_AFTER);
        if silent.filter(|a| a.is_silent(now.mono)).count() == SUSPECT_AFTER {
            self.actions.push_back(LeaseAction::Suspect);
        }
        lookup.asks.push(Ask { floodfill: floodfill.hash, path, sent: now.mono, answered: false });
        if let Some(message) = message {
            self.actions.push_back(LeaseAction::Send { tunnel, to: floodfill.hash, message });
        }
        true
    }

    /// Nobody new is left to ask. Starts over once nobody is waited for, or fails when all have said no often enough.
    /// True if there may be somebody to ask now.
    fn next_round(&mut self, now: Now, hash: DestHash, open: usize) -> bool {
        let Some(lookup) = self.table.get_mut(&hash) else { return false };
        let round = lookup.asks.get(lookup.round_at..).unwrap_or_default();
        if open > 0 || round.is_empty() {
            return false;
        }
        lookup.rounds += 1;
        let all_no = lookup.asks.iter().all(|a| a.answered);
        if lookup.fallback.is_some() || lookup.rounds >= ROUNDS && all_no {
            self.fail(now, hash);
            return false;
        }
        lookup.round_at = lookup.asks.len();
        lookup.resume = now.mono + ROUND_PAUSE;
        false
    }

    fn on_answer(&mut self, now: Now, question: Question, message: &I2np) {
        let Question { hash, floodfill } = question;
        let Some(lookup) = self.table.get_mut(&hash) else { return };
        if let Some(ask) = lookup.asks.iter_mut().find(|a| a.floodfill == floodfill && !a.answered) {
            ask.answered = true;
            lookup.answered += 1;
        }
        match message.kind {
            I2npKind::DATABASE_STORE => match DatabaseStore::from_bytes(&message.body) {
                Ok(store) if store.key == Hash::from(hash) => self.on_store(now, hash, &store),
                _ => lookup.invalid += 1,
            },
            I2npKind::DATABASE_SEARCH_REPLY => {
                if let Ok(reply) = DatabaseSearchReply::from_bytes(&message.body) {
                    self.on_closer(hash, &reply);
                }
            }
            _ => lookup.invalid += 1,
        }
        self.step(now, hash);
    }

    fn on_store(&mut self, now: Now, hash: DestHash, store: &DatabaseStore) {
        let Some(lookup) = self.table.get_mut(&hash) else { return };
        let found = match &store.data {
            StoreData::LeaseSet2(bytes) if !lookup.encrypted => {
                check_lease_set(now, hash, bytes).map(|set| {
                    let same = lookup.known.is_some_and(|known| set.published_s() <= known);
                    (same, LeaseAction::Found { hash, lease_set: Arc::new(set) })
                })
            }
            StoreData::Encrypted(bytes) if lookup.encrypted => check_encrypted(now, store.key, bytes)
                .map(|set| (false, LeaseAction::FoundEncrypted { key: store.key, lease_set: Arc::new(set) })),
            _ => None,
        };
        match found {
            Some((true, action)) if lookup.same + 1 < SAME_MAX => {
                lookup.same += 1;
                lookup.fallback = Some(action);
            }
            Some((_, action)) => {
                self.cancel(&hash);
                self.actions.push_back(action);
            }
            None if matches!(store.data, StoreData::LeaseSet1(_)) => lookup.old = true,
            None => lookup.invalid += 1,
        }
    }

    fn on_closer(&mut self, hash: DestHash, reply: &DatabaseSearchReply) {
        let Some(lookup) = self.table.get_mut(&hash) else { return };
        for named in &reply.peers {
            if lookup.named >= NAMED_MAX {
                break;
            }
            if self.view.get(named).is_none() {
                lookup.named += 1;
                self.actions.push_back(LeaseAction::FindRouter(*named));
            }
        }
    }

    fn fail(&mut self, now: Now, hash: DestHash) {
        let Some(lookup) = self.table.remove(&hash) else { return };
        self.timers.cancel(&hash);
        if let Some(action) = lookup.fallback {
            self.actions.push_back(action);
            return;
        }
        let reason = if lookup.old {
            LookupReason::OldCryptography
        } else if lookup.answered > 0 {
            LookupReason::NotFound
        } else if !lookup.asks.is_empty() {
            LookupReason::NoAnswer
        } else if self.view.closest_floodfills(&hash.into(), now.wall_ms, |_| false, 1).is_empty() {
            LookupReason::NoFloodfills
        } else {
            LookupReason::NoTunnels
        };
        let mut floodfills: BTreeMap<RouterHash, bool> = BTreeMap::new();
        for ask in &lookup.asks {
            *floodfills.entry(ask.floodfill).or_default() |= ask.answered;
        }
        let failure = LookupFailure {
            reason,
            floodfills: floodfills.into_iter().collect(),
            asked: lookup.asks.len(),
            answered: lookup.answered,
            invalid: lookup.invalid,
        };
        if self.negative.len() >= NEGATIVE_MAX {
            self.negative.retain(|_, (until, _)| *until > now.mono);
        }
        if self.negative.len() < NEGATIVE_MAX && reason == LookupReason::NotFound {
            self.negative.insert(hash, (now.mono + NEGATIVE_LIFETIME, failure.clone()));
        }
        self.actions.push_back(LeaseAction::Failed { hash, failure });
    }
}
