// SPDX-License-Identifier: MIT
//! Everything about one remote static key: handshakes under way, the session we send with, those we listen on.
//!
//! Only data and its small rules live here; the engine moves tags, messages and timers around it.

use super::api::{Mark, Remote, State};
use super::chain::{Chains, INDICES, KeyChain, TagChain};
use super::handshake::{Initiator, Responder};
use super::ratchet::{ReceiveRatchet, SendRatchet};
use super::window::SetId;
use crate::base::Mono;
use crate::crypto::{Secret32, Verified, X25519Public};
use crate::wire::garlic::Ack;
use crate::wire::{DestHash, LeaseSet2};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Most established or promised receiving chains of one remote; beyond, the oldest goes.
pub(super) const CHAINS_MAX: usize = 16;
/// Replies to one New Session: the spec's receivers look 12 ahead.
pub(super) const REPLIES_MAX: u32 = 10;
/// Most New Sessions of one remote that we answer at a time.
pub(super) const THEIRS_MAX: usize = 4;
/// Most acknowledgements that wait to be sent.
pub(super) const ACKS_MAX: usize = 64;
/// A New Session of the other side that comes this soon after ours was answered was on its way before.
const SIMULTANEOUS: Duration = Duration::from_secs(3);
/// Messages this old count as arrived or lost, not as in flight.
const FLIGHT_MAX: Duration = Duration::from_secs(5);
/// A remote that has acknowledged and stops is complained of after this, and as often.
const COMPLAINTS: Duration = Duration::from_secs(3);
/// i2pd takes one New Session in so long for its session.
const ANSWERED_FOR: Duration = Duration::from_secs(119);
/// Those sent in so long from then on may be the one.
const EARLY: Duration = Duration::from_millis(2500);
/// Granularity of the above.
const CHECKPOINT: Duration = Duration::from_millis(500);
const CHECKPOINTS_MAX: usize = 16;
/// A lease set that is not acknowledged is sent so often.
const BUNDLES_MAX: u32 = 4;
/// Most acknowledgement requests that are remembered.
const REQUESTS_MAX: usize = 32;

/// A remote's place in the table of remotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PeerId(pub(super) u32);

/// A New Session that we sent, kept until its replies can come no more.
#[derive(Debug)]
pub(super) struct Ours {
    pub(super) id: u32,
    pub(super) initiator: Initiator,
    /// The set of its reply tags.
    pub(super) replies: SetId,
    pub(super) sent: Mono,
    /// Version of our lease set in it.
    pub(super) lease_set: Option<u32>,
    /// Ephemerals of the replies so far.
    pub(super) seen: Vec<X25519Public>,
    /// One of the first for two minutes.
    pub(super) early: bool,
}

/// A New Session that we received.
#[derive(Debug)]
pub(super) struct Theirs {
    pub(super) id: u32,
    pub(super) responder: Responder,
    pub(super) tags: TagChain,
    pub(super) received: Mono,
}

impl Theirs {
    /// Whether one more reply would be understood.
    pub(super) const fn can_reply(&self) -> bool {
        self.tags.position() < REPLIES_MAX
    }
}

/// What we send with, and how much of it is known to have arrived.
#[derive(Debug)]
pub(super) struct Outbound {
    pub(super) pair: u32,
    pub(super) set: u16,
    pub(super) tags: TagChain,
    pub(super) keys: KeyChain,
    pub(super) next_root: Secret32,
    /// When this tag set began.
    pub(super) since: Mono,
    /// When it became usable.
    pub(super) established: Mono,
    /// Whether our New Session began it.
    pub(super) initiator: bool,
    pub(super) ratchet: SendRatchet,
    /// Start of the ratchet step under way: time and index.
    pub(super) step_began: Option<(Mono, u32)>,
    /// When the forward block was last sent.
    pub(super) forward_sent: Option<Mono>,
    /// To be replaced by a new session as soon as one is there.
    pub(super) worn_out: bool,
    pub(super) last_sent: Mono,
    /// One more than the highest index known to have arrived.
    acked: u32,
    acked_at: Mono,
    complained: Mono,
    /// Requested acknowledgements: index, time, version of our lease set in the message.
    requests: VecDeque<Request>,
    checkpoints: VecDeque<(u32, Mono)>,
}

/// An acknowledgement that was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    set: u16,
    index: u16,
    at: Mono,
    lease_set: Option<u32>,
}

/// A message's tag, key and index.
pub(super) struct MessageKey {
    pub(super) tag: [u8; 8],
    pub(super) key: Secret32,
    pub(super) index: u16,
}

impl Outbound {
    pub(super) fn new(pair: u32, chains: Chains, now: Mono, initiator: bool) -> Self {
        Self {
            pair,
            set: 0,
            tags: chains.tags,
            keys: chains.keys,
            next_root: chains.next_root,
            since: now,
            established: now,
            initiator,
            ratchet: SendRatchet::default(),
            step_began: None,
            forward_sent: None,
            worn_out: false,
            last_sent: now,
            acked: 0,
            acked_at: now,
            complained: now,
            requests: VecDeque::new(),
            checkpoints: VecDeque::new(),
        }
    }

    /// Tag and key of the next message, while the set lasts.
    pub(super) fn next_key(&mut self, now: Mono) -> Option<MessageKey> {
        let index = u16::try_from(self.tags.position()).ok().filter(|i| u32::from(*i) < INDICES)?;
        let due = self.checkpoints.back().is_none_or(|(_, at)| now.since(*at) >= CHECKPOINT);
        if due {
            if self.checkpoints.len() >= CHECKPOINTS_MAX {
                self.checkpoints.pop_front();
            }
            self.checkpoints.push_back((u32::from(index), now));
        }
        self.last_sent = now;
        Some(MessageKey { tag: self.tags.advance(), key: self.keys.advance(), index })
    }

    /// Goes over to the tag set after a ratchet step.
    pub(super) fn step(&mut self, now: Mono, set: u16, chains: Chains) {
        self.set = set;
        self.tags = chains.tags;
        self.keys = chains.keys;
        self.next_root = chains.next_root;
        self.since = now;
        self.step_began = None;
        self.forward_sent = None;
        self.acked = 0;
        self.acked_at = now;
        self.checkpoints.clear();
    }

    /// How far ahead of what arrived the remote surely listens.
    pub(super) fn window(&self, max: u16) -> u32 {
        let max = u32::from(max);
        if self.set > 0 { max } else { max.min(24 + self.acked / 4) }
    }

    /// Messages sent beyond the last one known to have arrived.
    pub(super) const fn unacked(&self) -> u32 {
        self.tags.position().saturating_sub(self.acked)
    }

    /// When more may be sent than the remote surely listens for: `patience` after the last acknowledgement, at once if
    /// there never was one.
    pub(super) fn overrun_from(&self, patience: Duration) -> Mono {
        if self.acked > 0 || self.set > 0 { self.acked_at + patience } else { self.established }
    }

    /// Whether acknowledgements have stopped for a while; true once in so long.
    pub(super) fn complains(&mut self, now: Mono, max: u16) -> bool {
        let silent = self.acked > 0
            && self.unacked() >= self.window(max)
            && now.since(self.acked_at.max(self.complained)) >= COMPLAINTS;
        if silent {
            self.complained = now;
        }
        silent
    }

    /// Messages that may still be under way.
    pub(super) fn in_flight(&self, now: Mono) -> u32 {
        if now.since(self.last_sent) >= FLIGHT_MAX {
            return 0;
        }
        let old = self.checkpoints.iter().rev().find(|(_, at)| now.since(*at) >= FLIGHT_MAX);
        let gone = old.map_or(0, |(index, _)| index + 1);
        self.tags.position().saturating_sub(self.acked.max(gone))
    }

    /// The message at `index` of `set` arrived. Answers the lease set version that it carried.
    pub(super) fn on_ack(&mut self, now: Mono, ack: Ack) -> Option<u32> {
        if ack.set == self.set && u32::from(ack.index) < self.tags.position() {
            self.acked = self.acked.max(u32::from(ack.index) + 1);
            self.acked_at = now;
        }
        // Old routers mix up the set id, so the index alone will do.
        let at = self
            .requests
            .iter()
            .position(|r| r.index == ack.index && r.set == ack.set)
            .or_else(|| self.requests.iter().position(|r| r.index == ack.index))?;
        self.requests.remove(at)?.lease_set
    }

    /// The message of `mark` arrived.
    pub(super) fn on_mark(&mut self, now: Mono, mark: Mark) {
        if mark.pair == self.pair && mark.set == self.set && u32::from(mark.index) < self.tags.position() {
            self.acked = self.acked.max(u32::from(mark.index) + 1);
            self.acked_at = now;
        }
    }

    /// Whether the next message should ask for an acknowledgement.
    pub(super) fn wants_ack(&self, now: Mono, max: u16) -> bool {
        let Some(last) = self.requests.back().filter(|r| r.set == self.set) else {
            return self.tags.position() >= 4 || now.since(self.since) >= Duration::from_secs(1);
        };
        let spacing = (self.window(max) / 4).clamp(8, 48);
        let since = self.tags.position().saturating_sub(u32::from(last.index));
        since >= spacing || now.since(last.at) >= Duration::from_secs(25)
    }

    /// An acknowledgement was asked for with the message at `index`.
    pub(super) fn on_request(&mut self, now: Mono, index: u16, lease_set: Option<u32>) {
        if self.requests.len() >= REQUESTS_MAX {
            self.requests.pop_front();
        }
        self.requests.push_back(Request { set: self.set, index, at: now, lease_set });
    }

    /// Whether so much went unacknowledged that the remote may listen further back.
    pub(super) fn stalled(&self, now: Mono, max: u16) -> bool {
        let unanswered = self.requests.iter().filter(|r| r.set == self.set && r.at >= self.acked_at).count();
        unanswered >= 5
            && now.since(self.acked_at) >= Duration::from_secs(15)
            && self.tags.position().saturating_sub(self.acked) >= self.window(max)
    }
}

/// One direction of a session that we listen on: a tag set, its successors by ratchet steps.
#[derive(Debug)]
pub(super) struct Inbound {
    pub(super) pair: u32,
    pub(super) latest: SetId,
    pub(super) previous: Option<(SetId, Mono)>,
    pub(super) next_root: Secret32,
    pub(super) ratchet: ReceiveRatchet,
    /// Our reply's other half: what we send with once a message comes in here.
    pub(super) promise: Option<Promise>,
    /// When the handshake began.
    pub(super) started: Mono,
    /// When we listen no longer, for a chain that was replaced or never used.
    pub(super) until: Option<Mono>,
}

/// The sending half that a New Session Reply of ours made.
pub(super) struct Promise {
    /// The New Session that it answered.
    pub(super) theirs: u32,
    pub(super) chains: Chains,
}

impl std::fmt::Debug for Promise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Promise({})", self.theirs)
    }
}

/// Bundling of our lease set to one remote.
#[derive(Debug, Default)]
pub(super) struct Bundle {
    /// The version that the remote has.
    pub(super) confirmed: Option<u32>,
    /// The version sent last, when, and how often.
    pub(super) sent: Option<(u32, Mono, u32)>,
}

impl Bundle {
    /// Whether `current` should go with the next message; second, whether an earlier one got lost.
    pub(super) fn due(&self, now: Mono, current: u32) -> (bool, bool) {
        if self.confirmed == Some(current) {
            return (false, false);
        }
        match self.sent {
            // Not every router answers; after some tries it has it, or never will.
            Some((version, _, times)) if version == current && times >= BUNDLES_MAX => (false, false),
            Some((version, at, times)) if version == current => {
                let wait = Duration::from_secs(4) * (1 << times.saturating_sub(1).min(4));
                let due = now.since(at) >= wait;
                (due, due)
            }
            _ => (true, false),
        }
    }

    pub(super) fn on_sent(&mut self, now: Mono, current: u32) {
        let times = match self.sent {
            Some((version, _, times)) if version == current => times.saturating_add(1),
            _ => 1,
        };
        self.sent = Some((current, now, times));
    }

    pub(super) fn on_confirmed(&mut self, version: u32) {
        self.confirmed = Some(self.confirmed.map_or(version, |v| v.max(version)));
    }
}

/// A payload that waits for a session.
pub(super) struct Held {
    pub(super) payload: Vec<u8>,
    pub(super) since: Mono,
    pub(super) bundle: bool,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.payload
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Held({} bytes)", self.payload.len())
    }
}

/// One remote static key.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) key: X25519Public,
    pub(super) hash: Option<DestHash>,
    /// A lease set in the session proved `hash`.
    pub(super) proven: bool,
    pub(super) ours: VecDeque<Ours>,
    /// When the present two minutes of New Sessions began.
    pub(super) ours_since: Option<Mono>,
    pub(super) theirs: VecDeque<Theirs>,
    /// A New Session of theirs is younger than any sign of an established session.
    pub(super) answering: bool,
    pub(super) outbound: Option<Outbound>,
    pub(super) chains: Vec<Inbound>,
    pub(super) bundle: Bundle,
    pub(super) their_lease_set: Option<Arc<Verified<LeaseSet2>>>,
    pub(super) lease_set_checked: Option<Mono>,
    pub(super) acks: Vec<Ack>,
    /// When a message must go out although nobody has anything to say.
    pub(super) due: Option<Mono>,
    /// The deadline that the engine's timers hold.
    pub(super) armed: Option<Mono>,
    pub(super) held: VecDeque<Held>,
    /// New Sessions sent since the remote was last heard of.
    pub(super) attempts: u32,
    pub(super) next_attempt: Mono,
    pub(super) last_received: Option<Mono>,
    /// When the remote's latest New Session was last answered.
    pub(super) last_reply: Option<Mono>,
    /// First message sent after the last one received.
    pub(super) silent_since: Option<Mono>,
    pub(super) last_used: Mono,
    pub(super) sent: u64,
    pub(super) received: u64,
}

impl Peer {
    pub(super) fn new(key: X25519Public, now: Mono) -> Self {
        Self {
            key,
            hash: None,
            proven: false,
            ours: VecDeque::new(),
            ours_since: None,
            theirs: VecDeque::new(),
            answering: false,
            outbound: None,
            chains: Vec::new(),
            bundle: Bundle::default(),
            their_lease_set: None,
            lease_set_checked: None,
            acks: Vec::new(),
            due: None,
            armed: None,
            held: VecDeque::new(),
            attempts: 0,
            next_attempt: now,
            last_received: None,
            last_reply: None,
            silent_since: None,
            last_used: now,
            sent: 0,
            received: 0,
        }
    }

    /// Where to send, once the destination is known.
    pub(super) fn remote(&self) -> Option<Remote> {
        Some(Remote { hash: self.hash?, key: self.key })
    }

    /// What the next payload would travel in.
    pub(super) fn state(&self) -> State {
        if self.answering && self.theirs.back().is_some_and(Theirs::can_reply) {
            State::Replying
        } else if self.outbound.is_some() {
            State::Established
        } else if !self.theirs.is_empty() {
            State::Replying
        } else if self.ours.is_empty() {
            State::Idle
        } else {
            State::AwaitingReply
        }
    }

    /// Whether a New Session sent now is one of the first for two minutes. i2pd answers to one of those, whatever came
    /// behind it (`CanBeRestarted`), so they are kept for longer than others.
    pub(super) fn is_early(&mut self, now: Mono) -> bool {
        if self.ours_since.is_none_or(|since| now.since(since) >= ANSWERED_FOR) {
            self.ours_since = Some(now);
        }
        self.ours_since.is_some_and(|since| now.since(since) < EARLY)
    }

    /// Takes the New Session out that is least likely to be answered, if there are more than `max` of them.
    pub(super) fn surplus(&mut self, max: usize) -> Option<Ours> {
        if self.ours.len() <= max {
            return None;
        }
        let late = self.ours.iter().position(|o| !o.early).filter(|at| at + 1 < self.ours.len());
        self.ours.remove(late.unwrap_or(0))
    }

    /// Brings [`Self::due`] forward to `at`.
    pub(super) fn due_by(&mut self, at: Mono) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// When the engine must look at this remote.
    pub(super) fn deadline(&self) -> Option<Mono> {
        let retry = (!self.held.is_empty() && self.outbound.is_none()).then_some(self.next_attempt);
        match (self.due, retry) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// A message arrived.
    pub(super) fn on_received(&mut self, now: Mono) {
        self.received += 1;
        self.last_received = Some(now);
        self.silent_since = None;
        self.last_used = now;
    }

    /// A message of an established session was sent.
    pub(super) fn on_sent(&mut self, now: Mono) {
        self.sent += 1;
        self.silent_since.get_or_insert(now);
        self.last_used = now;
    }

    /// Whether a session shall replace the one we send with: whether we began it (`initiator`), and when its
    /// New Session was sent or came (`started`). Asked when its first sign of life arrives.
    pub(super) fn prefers(&self, ours: &X25519Public, initiator: bool, started: Mono) -> bool {
        let Some(old) = self.outbound.as_ref().filter(|old| !old.worn_out) else { return true };
        if old.initiator == initiator {
            // Several New Sessions of one side: of ours, the first answer stays; of theirs, they choose.
            return !initiator || started > old.established;
        }
        // Begun by both at once: the session of the lower key stays. Otherwise the younger one.
        started > old.established.after(SIMULTANEOUS) || initiator == (ours.0 < self.key.0)
    }

    /// The chain of `pair`.
    pub(super) fn chain_mut(&mut self, pair: u32) -> Option<&mut Inbound> {
        self.chains.iter_mut().find(|c| c.pair == pair)
    }
}
