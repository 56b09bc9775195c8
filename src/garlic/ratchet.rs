// SPDX-License-Identifier: MIT
//! The Diffie-Hellman ratchet: both halves of the NextKey exchange, for one direction of one session.
//!
//! The sender of a tag set begins each step. Tag set `s` uses sender key `s / 2` and receiver key
//! `(s - 1) / 2`; the sender makes a new key for set 1 and even sets, the receiver for odd ones. i2pd goes by
//! the request flag and Java by parity, so the flags are exactly those of the spec's table.
//! Spec: "DH Ratchet Message Flow", "DH Ratchet KDF".

use crate::base::{Mono, Rng};
use crate::crypto::{SharedSecret, X25519Public, X25519Secret};
use crate::wire::garlic::NextKey;
use std::time::Duration;

/// The last tag set that a session can ratchet to: its key ids must stay below 32,768.
const SET_MAX: u16 = 65_000;
/// A step costs us a multiplication and hundreds of tags, so a sender gets one only so often. Honest ones take
/// thousands of messages between two.
const STEP_EVERY: Duration = Duration::from_millis(100);
/// The answer to a step is sent at most so often, until the sender asks again.
const ANSWERS: u8 = 32;

#[derive(Debug)]
struct OwnKey {
    secret: X25519Secret,
    public: X25519Public,
}

impl OwnKey {
    fn random(rng: &mut Rng) -> Self {
        let secret = X25519Secret::random(rng);
        Self { public: secret.public(), secret }
    }
}

const fn sender_makes_key(set: u16) -> bool {
    set == 1 || set.is_multiple_of(2)
}

const fn receiver_makes_key(set: u16) -> bool {
    set % 2 == 1
}

const fn sender_key_id(set: u16) -> u16 {
    set / 2
}

const fn receiver_key_id(set: u16) -> u16 {
    set.saturating_sub(1) / 2
}

/// The half of the sender of the tag sets.
#[derive(Debug, Default)]
pub(super) struct SendRatchet {
    own: Option<OwnKey>,
    theirs: Option<X25519Public>,
    /// The set that is asked for, if a step is under way.
    asking: Option<u16>,
}

impl SendRatchet {
    /// Begins the step that follows after tag set `current`. False if there is none, or one is under way.
    pub(super) fn begin(&mut self, rng: &mut Rng, current: u16) -> bool {
        if self.asking.is_some() || current >= SET_MAX {
            return false;
        }
        let set = current + 1;
        if sender_makes_key(set) {
            self.own = Some(OwnKey::random(rng));
        }
        self.asking = Some(set);
        true
    }

    /// Whether a step is under way.
    pub(super) const fn is_asking(&self) -> bool {
        self.asking.is_some()
    }

    /// The forward block, to repeat until the answer comes.
    pub(super) fn forward(&self) -> Option<NextKey> {
        let set = self.asking?;
        let own = self.own.as_ref()?;
        Some(NextKey {
            key_id: sender_key_id(set),
            key: sender_makes_key(set).then_some(own.public.0),
            reverse: false,
            request: receiver_makes_key(set),
        })
    }

    /// Takes a reverse block. Answers the shared secret for the next tag set if it is the one awaited.
    pub(super) fn on_reverse(&mut self, block: &NextKey) -> Option<(u16, SharedSecret)> {
        let set = self.asking?;
        if block.key_id != receiver_key_id(set) || block.key.is_some() != receiver_makes_key(set) {
            return None;
        }
        let theirs = block.key.map(X25519Public).or(self.theirs)?;
        let shared = self.own.as_ref()?.secret.dh(&theirs)?;
        self.theirs = Some(theirs);
        self.asking = None;
        Some((set, shared))
    }
}

/// What a forward block was.
pub(super) enum Forward {
    /// The next step: its set and shared secret.
    Step(u16, SharedSecret),
    /// The step that was answered last, again: answer it again.
    Repeat,
    /// A step right behind the last: the sender will ask again.
    TooSoon,
    /// Nothing that fits.
    Misplaced,
}

/// The half of the receiver of the tag sets.
#[derive(Debug, Default)]
pub(super) struct ReceiveRatchet {
    own: Option<OwnKey>,
    theirs: Option<X25519Public>,
    latest: u16,
    stepped: Option<Mono>,
    /// How often the answer to the latest step may still be sent; 0 once the sender has it.
    answers_left: u8,
}

impl ReceiveRatchet {
    /// Takes a forward block that came on a message of tag set `on`.
    pub(super) fn on_forward(&mut self, now: Mono, rng: &mut Rng, on: u16, block: &NextKey) -> Forward {
        let next = self.latest.saturating_add(1);
        if self.latest > 0 && on < self.latest && Self::fits(self.latest, block) {
            self.answers_left = ANSWERS;
            return Forward::Repeat;
        }
        if on != self.latest || next > SET_MAX || !Self::fits(next, block) {
            return Forward::Misplaced;
        }
        if self.stepped.is_some_and(|at| now.since(at) < STEP_EVERY) {
            return Forward::TooSoon;
        }
        let Some(theirs) = block.key.map(X25519Public).or(self.theirs) else { return Forward::Misplaced };
        let fresh = receiver_makes_key(next).then(|| OwnKey::random(rng));
        let Some(shared) = fresh.as_ref().or(self.own.as_ref()).and_then(|own| own.secret.dh(&theirs)) else {
            return Forward::Misplaced;
        };
        if fresh.is_some() {
            self.own = fresh;
        }
        self.theirs = Some(theirs);
        self.latest = next;
        self.stepped = Some(now);
        self.answers_left = ANSWERS;
        Forward::Step(next, shared)
    }

    /// By key id and parity; the request flag follows from them, so a peer that sets it otherwise does no harm.
    fn fits(set: u16, block: &NextKey) -> bool {
        block.key_id == sender_key_id(set) && block.key.is_some() == sender_makes_key(set)
    }

    /// The reverse block, to send until a message of the latest set arrives.
    pub(super) fn reverse(&self) -> Option<NextKey> {
        if self.answers_left == 0 {
            return None;
        }
        let own = self.own.as_ref()?;
        Some(NextKey {
            key_id: receiver_key_id(self.latest),
            key: receiver_makes_key(self.latest).then_some(own.public.0),
            reverse: true,
            request: false,
        })
    }

    /// The reverse block was sent.
    pub(super) const fn on_reverse_sent(&mut self) {
        self.answers_left = self.answers_left.saturating_sub(1);
    }

    /// A message of tag set `set` arrived: the sender has the answer to that step.
    pub(super) fn on_message(&mut self, set: u16) {
        if set == self.latest {
            self.answers_left = 0;
        }
    }
}
