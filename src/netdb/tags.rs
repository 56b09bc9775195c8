// SPDX-License-Identifier: MIT
//! One-time tags and keys for encrypted answers to lookups.

use super::message::{local_cloves, sealed_part};
use crate::base::{Map, Mono, Rng, map};
use crate::crypto::{Secret32, tagged};
use crate::wire::{I2np, ReplyEncryption};
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// How long an answer may take.
pub(crate) const TAG_LIFETIME: Duration = Duration::from_secs(60);

struct Entry<P> {
    key: Secret32,
    purpose: P,
}

/// Tags that we gave out, each good for one answer. Bounded: the oldest goes first.
pub(super) struct Tags<P> {
    table: Map<[u8; 8], Entry<P>>,
    order: VecDeque<(Mono, [u8; 8])>,
    limit: usize,
}

impl<P> fmt::Debug for Tags<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tags({})", self.table.len())
    }
}

impl<P> Tags<P> {
    pub(super) fn new(rng: &mut Rng, limit: usize) -> Self {
        Self { table: map(rng), order: VecDeque::new(), limit }
    }

    /// A fresh tag and key to put into a lookup; the answer will be told apart by `purpose`.
    pub(super) fn issue(&mut self, rng: &mut Rng, now: Mono, purpose: P) -> (ReplyEncryption, [u8; 8]) {
        let key = Secret32::random(rng);
        let mut tag = [0; 8];
        rng.fill(&mut tag);
        self.expire(now);
        if self.order.len() >= self.limit
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.table.remove(&oldest);
        }
        self.order.push_back((now.after(TAG_LIFETIME), tag));
        let encryption = ReplyEncryption::Ecies(*key, tag);
        self.table.insert(tag, Entry { key, purpose });
        (encryption, tag)
    }

    /// Whether a garlic message with this body is for one of our tags.
    pub(super) fn knows(&self, garlic_body: &[u8]) -> bool {
        sealed_part(garlic_body).and_then(tagged::tag_of).is_some_and(|tag| self.table.contains_key(&tag))
    }

    /// Opens an answer. The tag is used up, whether or not the rest is sound.
    pub(super) fn open(&mut self, garlic_body: &[u8]) -> Option<(P, Vec<I2np>)> {
        let sealed = sealed_part(garlic_body)?;
        let entry = self.table.remove(&tagged::tag_of(sealed)?)?;
        let payload = tagged::open(&entry.key, sealed).ok()?;
        Some((entry.purpose, local_cloves(&payload)))
    }

    fn expire(&mut self, now: Mono) {
        while let Some((end, tag)) = self.order.front()
            && *end <= now
        {
            self.table.remove(tag);
            self.order.pop_front();
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }
}

#[cfg(test)]
mod tests;
