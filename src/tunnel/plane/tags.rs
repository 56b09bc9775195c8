// SPDX-License-Identifier: MIT
//! Garlic tags that control waits for: build replies and tunnel tests that come out of anybody's tunnel.

use std::collections::VecDeque;

use crate::base::{Map, Mono, Rng, map};

/// Tags, each for one use until it expires. Bounded; the oldest goes first.
#[derive(Debug)]
pub(super) struct Tags {
    expires: Map<[u8; 8], Mono>,
    /// In the order of registration; entries of tags that are gone are swept.
    order: VecDeque<([u8; 8], Mono)>,
    max: usize,
}

impl Tags {
    pub(super) fn new(rng: &mut Rng, max: usize) -> Self {
        Self { expires: map(rng), order: VecDeque::new(), max }
    }

    /// Waits for a tag until `expires`. True if another had to go for it.
    pub(super) fn register(&mut self, now: Mono, tag: [u8; 8], expires: Mono) -> bool {
        if self.order.len() >= self.max {
            self.expire(now);
        }
        let mut dropped = false;
        while self.order.len() >= self.max
            && let Some((oldest, at)) = self.order.pop_front()
        {
            dropped |= self.forget_registration(&oldest, at);
        }
        self.expires.insert(tag, expires);
        self.order.push_back((tag, expires));
        dropped
    }

    /// Whether the tag is waited for; if so, not any longer.
    pub(super) fn take(&mut self, now: Mono, tag: &[u8; 8]) -> bool {
        !self.expires.is_empty() && self.expires.remove(tag).is_some_and(|at| at > now)
    }

    pub(super) fn forget(&mut self, tag: &[u8; 8]) {
        self.expires.remove(tag);
    }

    /// Forgets what is over, and sweeps.
    pub(super) fn expire(&mut self, now: Mono) {
        self.expires.retain(|_, at| *at > now);
        let live = &self.expires;
        self.order.retain(|(tag, at)| live.get(tag) == Some(at));
    }

    fn forget_registration(&mut self, tag: &[u8; 8], at: Mono) -> bool {
        self.expires.get(tag) == Some(&at) && self.expires.remove(tag).is_some()
    }
}
