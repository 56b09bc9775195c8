// SPDX-License-Identifier: MIT
//! Signatures seen lately, for datagrams that somebody else's session brought.

use crate::base::{Mono, Rng, Set, set};
use std::collections::VecDeque;
use std::time::Duration;

/// How long signatures are remembered.
const REMEMBER: Duration = Duration::from_secs(600);

/// A bounded memory of signatures.
#[derive(Debug)]
pub(crate) struct Replays {
    seen: Set<[u8; 16]>,
    order: VecDeque<(Mono, [u8; 16])>,
    max: usize,
}

impl Replays {
    /// Remembers so many; beyond, the oldest goes.
    pub(crate) fn new(rng: &mut Rng, max: usize) -> Self {
        Self { seen: set(rng), order: VecDeque::new(), max }
    }

    /// Remembers a mark; false if it was known.
    pub(crate) fn insert(&mut self, now: Mono, mark: [u8; 16]) -> bool {
        while let Some((at, old)) = self.order.front() {
            if self.order.len() < self.max && now.since(*at) < REMEMBER {
                break;
            }
            self.seen.remove(old);
            self.order.pop_front();
        }
        let new = self.seen.insert(mark);
        if new {
            self.order.push_back((now, mark));
        }
        new
    }
}
