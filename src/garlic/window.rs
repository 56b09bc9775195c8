// SPDX-License-Identifier: MIT
//! The receiving side of one tag set: which tags are listened for, and the keys that belong to them.
//!
//! Tags run ahead of the highest index seen by [`Lookahead`], are made in blocks, and are honoured up to
//! [`Limits::tags_behind`] indices late. Keys are derived when a message arrives; those skipped over are kept until their
//! tag is used or trimmed. So a window holds at most `1024 + 512` tags and as many skipped keys.
//! Spec: "Session Tag Ratchet", windows in "Implementation Considerations".

use super::Limits;
use super::chain::{Chains, INDICES, KeyChain, TagChain};
use crate::base::{Map, Mono, Rng};
use crate::crypto::Secret32;
use std::collections::{BTreeMap, VecDeque};

/// Tags are made when this many are due.
const BLOCK: u32 = 16;
/// Marks a tag that was used.
const USED: u64 = 0;

/// How far tags run ahead, at the begin and later, and how late they may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lookahead {
    start: u32,
    max: u32,
    behind: u32,
}

impl Lookahead {
    /// Replies to one New Session: a fixed few.
    const REPLIES: Self = Self { start: 16, max: 16, behind: 512 };

    /// The first tag set: grows with use.
    pub(super) fn first(limits: &Limits) -> Self {
        let Limits { tags_at_first, tags_ahead: max, tags_behind: behind, .. } = *limits;
        Self { start: tags_at_first.min(max), max, behind }
    }

    /// Tag sets after a ratchet step: the sender starts at speed.
    pub(super) fn later(limits: &Limits) -> Self {
        Self { start: limits.tags_ahead / 2, ..Self::first(limits) }
    }

    const fn tags(self, seen: u32) -> u32 {
        let grown = self.start + seen / 2;
        if grown < self.max { grown } else { self.max }
    }
}

/// Name of a tag set we listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SetId(pub(super) u32);

/// All tags that a destination listens for.
#[derive(Debug)]
pub(super) struct TagMap {
    tags: Map<u64, (SetId, u16)>,
}

impl TagMap {
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self { tags: crate::base::map(rng) }
    }

    /// Which set a tag belongs to, and its index there.
    pub(super) fn find(&self, tag: [u8; 8]) -> Option<(SetId, u16)> {
        self.tags.get(&u64::from_be_bytes(tag)).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.tags.len()
    }
}

/// One tag set we listen on.
#[derive(Debug)]
pub(super) struct Window {
    id: SetId,
    lookahead: Lookahead,
    chain: TagChain,
    keys: KeyChain,
    /// The key derived last, if its message has not been good yet: kept apart from the skipped ones, so that
    /// messages in order allocate nothing.
    head: Option<(u16, Secret32)>,
    skipped: BTreeMap<u16, Secret32>,
    /// Tags from index `base` on.
    live: VecDeque<u64>,
    base: u32,
    /// One more than the highest index seen.
    seen: u32,
    last_used: Mono,
}

impl Window {
    /// Listens on a fresh tag set.
    pub(super) fn new(
        id: SetId,
        now: Mono,
        chains: Chains,
        lookahead: Lookahead,
        map: &mut TagMap,
    ) -> (Self, Secret32) {
        let Chains { next_root, tags, keys } = chains;
        let mut window = Self {
            id,
            lookahead,
            chain: tags,
            keys,
            head: None,
            skipped: BTreeMap::new(),
            live: VecDeque::new(),
            base: 0,
            seen: 0,
            last_used: now,
        };
        window.refill(1, map);
        (window, next_root)
    }

    /// Listens for the tags of replies to a New Session. Their keys come from the handshake.
    pub(super) fn replies(id: SetId, now: Mono, tags: TagChain, map: &mut TagMap) -> Self {
        let unused = Chains::new(&[0; 32], &[0; 32]);
        let chains = Chains { tags, ..unused };
        Self::new(id, now, chains, Lookahead::REPLIES, map).0
    }

    /// The key of `index`, derived if need be. It stays until [`Self::accept`].
    pub(super) fn key(&mut self, index: u16) -> Option<Secret32> {
        let wanted = u32::from(index);
        if self.keys.position() <= wanted {
            if let Some((at, key)) = self.head.take() {
                self.skipped.insert(at, key);
            }
            while self.keys.position() < wanted {
                let at = u16::try_from(self.keys.position()).ok()?;
                let key = self.keys.advance();
                self.skipped.insert(at, key);
            }
            self.head = Some((index, self.keys.advance()));
        }
        match &self.head {
            Some((at, key)) if *at == index => Some(key.duplicate()),
            _ => self.skipped.get(&index).map(Secret32::duplicate),
        }
    }

    /// The message of `index` was good: forgets its tag and key, and moves the window.
    pub(super) fn accept(&mut self, now: Mono, index: u16, map: &mut TagMap) {
        self.last_used = now;
        if self.head.as_ref().is_some_and(|(at, _)| *at == index) {
            self.head = None;
        } else {
            self.skipped.remove(&index);
        }
        let index = u32::from(index);
        let slot = index.checked_sub(self.base).and_then(|at| self.live.get_mut(at as usize));
        if let Some(tag) = slot {
            map.tags.remove(tag);
            *tag = USED;
        }
        if index >= self.seen {
            self.seen = index + 1;
            self.trim(map);
            self.refill(BLOCK, map);
        } else if index == self.base {
            self.trim(map);
        }
    }

    /// Drops what lies too far behind, and the used ones in front of the rest.
    fn trim(&mut self, map: &mut TagMap) {
        let keep_from = self.seen.saturating_sub(self.lookahead.behind);
        let mut moved = false;
        while self.base < self.seen {
            match self.live.front() {
                Some(&USED) => {}
                Some(tag) if self.base < keep_from => {
                    map.tags.remove(tag);
                }
                _ => break,
            }
            self.live.pop_front();
            self.base += 1;
            moved = true;
        }
        if moved && !self.skipped.is_empty() {
            let base = u16::try_from(self.base).unwrap_or(u16::MAX);
            self.skipped = self.skipped.split_off(&base);
        }
    }

    /// Makes tags up to the look-ahead if at least `block` are due.
    fn refill(&mut self, block: u32, map: &mut TagMap) {
        let end = (self.seen + self.lookahead.tags(self.seen)).min(INDICES);
        if self.chain.position() + block > end && end < INDICES {
            return;
        }
        while self.chain.position() < end {
            let Ok(index) = u16::try_from(self.chain.position()) else { return };
            let tag = u64::from_be_bytes(self.chain.advance());
            map.tags.insert(tag, (self.id, index));
            self.live.push_back(tag);
        }
    }

    /// Stops listening.
    pub(super) fn close(self, map: &mut TagMap) {
        for tag in &self.live {
            // A tag that another set happens to share stays with that set.
            if map.tags.get(tag).is_some_and(|(id, _)| *id == self.id) {
                map.tags.remove(tag);
            }
        }
    }

    /// Tags listened for, used ones in the middle included.
    pub(super) fn tags(&self) -> usize {
        self.live.len()
    }

    /// Keys of messages that have not come.
    pub(super) fn skipped(&self) -> usize {
        self.skipped.len()
    }

    /// When a message last came, or when it began.
    pub(super) const fn last_used(&self) -> Mono {
        self.last_used
    }
}
