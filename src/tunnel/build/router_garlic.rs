// SPDX-License-Identifier: MIT
//! One-shot garlic of the router itself: opening what is addressed to us, sealing what we send to other routers.
//!
//! What comes is either a reply under a tag that we gave out (build replies, tunnel tests), each good for one message,
//! or a Noise N message to our static key. Cheap checks come first: length, the key's high bit, the budget of
//! all strangers, a known ephemeral key.
//! Only LOCAL cloves count. At most [`AdmissionLimits::garlic_tags`] are kept, the oldest goes first; ephemeral keys are remembered
//! for five to ten minutes. Spec: ECIES for routers; proposal 156.

use std::collections::VecDeque;
use std::fmt;

use super::RouterKeys;
use super::admission::{AdmissionLimits, TokenBucket};
use super::replay::Replay;
use crate::base::{Map, Mono, Now, Rng, map};
use crate::crypto::{Secret32, X25519Public, noise_n, tagged};
use crate::wire::garlic::{Block, Blocks, Clove, Delivery, put_clove, put_date_time, put_padding};
use crate::wire::{I2np, I2npKind, MessageId};

/// How far the sender's clock may be from ours, in seconds.
const SKEW_MAX_S: u32 = 300;
/// Ephemeral keys are remembered at least this long.
const REPLAY_TURN_US: u64 = 300_000_000;
/// Most cloves taken out of one message.
const CLOVES_MAX: usize = 8;
/// Life of the messages that we seal.
pub(super) const MESSAGE_LIFE_MS: u64 = 9_000;

/// What a tag was given out for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The reply to the build with this reply id.
    BuildReply(MessageId),
    /// A tunnel test.
    Test,
}

/// Why a garlic message was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Shorter than any such message, or its length field lies.
    Length,
    /// Not under a tag of ours, where nothing else counts.
    UnknownTag,
    /// The ephemeral key is no key.
    Ephemeral,
    /// Too many in all.
    Rate,
    /// The ephemeral key was seen before.
    Replay,
    /// It does not open.
    Undecryptable,
    /// No time of sending, or one too far from ours.
    Time,
}

/// An opened message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opened {
    /// The tag and its purpose; `None` for a Noise N message.
    pub(super) tag: Option<([u8; 8], Purpose)>,
    /// The messages inside.
    pub(super) messages: Vec<I2np>,
}

struct TagEntry {
    key: Secret32,
    purpose: Purpose,
}

/// Tags and memory of the router's garlic.
pub(super) struct RouterGarlic {
    keys: RouterKeys,
    tags: Map<[u8; 8], TagEntry>,
    order: VecDeque<(Mono, [u8; 8])>,
    seen: Replay,
    budget: TokenBucket,
    per_second: u32,
    tags_max: usize,
}

impl fmt::Debug for RouterGarlic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RouterGarlic({} tags)", self.tags.len())
    }
}

impl RouterGarlic {
    /// Opens at most `garlic_per_second` messages of strangers a second, twice as many at once.
    pub(super) fn new(keys: RouterKeys, limits: &AdmissionLimits, rng: &mut Rng) -> Self {
        let seen = Replay::new(rng, REPLAY_TURN_US, limits.garlic_keys);
        let per_second = limits.garlic_per_second;
        Self {
            keys,
            tags: map(rng),
            order: VecDeque::new(),
            seen,
            budget: TokenBucket::full(per_second.saturating_mul(2)),
            per_second,
            tags_max: limits.garlic_tags,
        }
    }

    /// Expects one message under this tag until `expires`. Later calls must not expire earlier by more than they
    /// can bear to be kept: tags go in the order in which they came.
    pub(super) fn expect(&mut self, now: Mono, tag: [u8; 8], key: Secret32, purpose: Purpose, expires: Mono) {
        self.expire(now);
        if self.order.len() >= self.tags_max
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.tags.remove(&oldest);
        }
        self.order.push_back((expires, tag));
        self.tags.insert(tag, TagEntry { key, purpose });
    }

    /// Forgets a tag that will not be used.
    pub(super) fn forget(&mut self, tag: &[u8; 8]) {
        self.tags.remove(tag);
    }

    fn expire(&mut self, now: Mono) {
        while let Some((end, tag)) = self.order.front()
            && (*end <= now || !self.tags.contains_key(tag))
        {
            self.tags.remove(tag);
            self.order.pop_front();
        }
    }

    /// Opens the body of a Garlic message; with `tags_only` only one under a tag that we gave out.
    pub(super) fn open(&mut self, now: Now, body: &[u8], tags_only: bool) -> Result<Opened, Refused> {
        self.expire(now.mono);
        let sealed = sealed_part(body).ok_or(Refused::Length)?;
        if let Some(tag) = tagged::tag_of(sealed)
            && let Some(entry) = self.tags.remove(&tag)
        {
            let payload = tagged::open(&entry.key, sealed).map_err(|_| Refused::Undecryptable)?;
            let (messages, _) = read_payload(&payload);
            return Ok(Opened { tag: Some((tag, entry.purpose)), messages });
        }
        if tags_only {
            return Err(Refused::UnknownTag);
        }
        let ephemeral = sealed.first_chunk::<32>().ok_or(Refused::Length)?;
        if sealed.len() < noise_n::OVERHEAD {
            return Err(Refused::Length);
        }
        if X25519Public::from_wire(ephemeral).is_none() {
            return Err(Refused::Ephemeral);
        }
        // What follows costs public-key work, and fills the memory of keys.
        if !self.budget.take(now.mono, self.per_second, self.per_second.saturating_mul(2)) {
            return Err(Refused::Rate);
        }
        if !self.seen.insert(now.mono, ephemeral) {
            return Err(Refused::Replay);
        }
        let opened = noise_n::open(&self.keys.secret, &self.keys.public, sealed)
            .map_err(|_| Refused::Undecryptable)?;
        let (messages, time) = read_payload(&opened.payload);
        match time {
            Some(time) if time.abs_diff(now.wall_s()) <= SKEW_MAX_S => Ok(Opened { tag: None, messages }),
            _ => Err(Refused::Time),
        }
    }

    #[cfg(test)]
    pub(super) fn tags(&self) -> usize {
        self.tags.len()
    }
}

/// The sealed bytes behind the length field of a Garlic body.
fn sealed_part(body: &[u8]) -> Option<&[u8]> {
    let (len, rest) = body.split_first_chunk::<4>()?;
    rest.get(..usize::try_from(u32::from_be_bytes(*len)).ok()?)
}

/// The messages in LOCAL cloves and the time of sending.
fn read_payload(payload: &[u8]) -> (Vec<I2np>, Option<u32>) {
    let (mut messages, mut time) = (Vec::new(), None);
    for block in Blocks::new(payload).filter_map(Result::ok) {
        match block {
            Block::DateTime(seconds) => time = Some(seconds),
            Block::Clove(clove) if clove.delivery == Delivery::Local && messages.len() < CLOVES_MAX => {
                messages.push(I2np {
                    kind: clove.kind,
                    id: clove.id,
                    expiration_ms: u64::from(clove.expires_s) * 1000,
                    body: clove.body.to_vec(),
                });
            }
            _ => {}
        }
    }
    (messages, time)
}

fn put_local_clove(inner: &I2np, payload: &mut Vec<u8>) {
    let clove = Clove {
        delivery: Delivery::Local,
        kind: inner.kind,
        id: inner.id,
        expires_s: u32::try_from(inner.expiration_ms / 1000).unwrap_or(u32::MAX),
        body: &inner.body,
    };
    put_clove(&clove, payload);
}

fn garlic(rng: &mut Rng, now: Now, sealed: &[u8]) -> I2np {
    let mut body = Vec::with_capacity(sealed.len() + 4);
    body.extend_from_slice(&u32::try_from(sealed.len()).unwrap_or(u32::MAX).to_be_bytes());
    body.extend_from_slice(sealed);
    message(rng, now, I2npKind::GARLIC, body)
}

/// A message with a fresh id and expiration.
pub(super) fn message(rng: &mut Rng, now: Now, kind: I2npKind, body: Vec<u8>) -> I2np {
    let id = MessageId(rng.nonzero_u32());
    I2np { kind, id, expiration_ms: now.wall_ms.saturating_add(MESSAGE_LIFE_MS), body }
}

/// `inner` for the router with this key alone. Padding is kept so short that a build with four records still fits
/// one tunnel message. `None` for a key of low order.
pub(super) fn seal_for_router(rng: &mut Rng, now: Now, key: &X25519Public, inner: &I2np) -> Option<I2np> {
    let mut payload = Vec::with_capacity(inner.body.len() + 48);
    put_date_time(now.wall_s(), &mut payload);
    put_local_clove(inner, &mut payload);
    put_padding(rng.index(5), &mut payload);
    let sealed = noise_n::seal(rng, key, &payload)?;
    Some(garlic(rng, now, &sealed))
}

/// `inner` under a one-time tag and key.
pub(super) fn seal_tagged(rng: &mut Rng, now: Now, key: &[u8; 32], tag: [u8; 8], inner: &I2np) -> I2np {
    let mut payload = Vec::with_capacity(inner.body.len() + 48);
    put_local_clove(inner, &mut payload);
    put_padding(rng.index(16), &mut payload);
    let sealed = tagged::seal(key, tag, &payload);
    garlic(rng, now, &sealed)
}

#[cfg(test)]
mod tests;
