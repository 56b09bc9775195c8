// SPDX-License-Identifier: MIT
//! Groups what a turn produced: one action for each peer and class, one for each pool.

use std::collections::VecDeque;

use super::message::Action;
use crate::base::{Map, Rng, map};
use crate::tunnel::types::{Class, PoolId};
use crate::wire::{I2np, RouterHash};

/// Actions of a turn. Emptied by the caller before the next input.
#[derive(Debug)]
pub(super) struct Outbox {
    others: VecDeque<Action>,
    /// Where each peer's messages of a class are in `sends`.
    places: Map<(RouterHash, Class), usize>,
    sends: Vec<(RouterHash, Class, Vec<I2np>)>,
    ups: Vec<(PoolId, Vec<I2np>)>,
}

impl Outbox {
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self { others: VecDeque::new(), places: map(rng), sends: Vec::new(), ups: Vec::new() }
    }

    /// A message to a peer.
    pub(super) fn send(&mut self, to: RouterHash, class: Class, message: I2np) {
        // A batch usually goes where the one before it went.
        if let Some((peer, c, messages)) = self.sends.last_mut()
            && (*peer, *c) == (to, class)
        {
            return messages.push(message);
        }
        let place = *self.places.entry((to, class)).or_insert(self.sends.len());
        match self.sends.get_mut(place) {
            Some((_, _, messages)) => messages.push(message),
            None => self.sends.push((to, class, vec![message])),
        }
    }

    /// A message to a destination.
    pub(super) fn up(&mut self, pool: PoolId, message: I2np) {
        match self.ups.iter_mut().find(|(p, _)| *p == pool) {
            Some((_, messages)) => messages.push(message),
            None => self.ups.push((pool, vec![message])),
        }
    }

    /// Anything else.
    pub(super) fn push(&mut self, action: Action) {
        self.others.push_back(action);
    }

    /// The next action: control first, then destinations, then peers.
    pub(super) fn pop(&mut self) -> Option<Action> {
        if let Some(action) = self.others.pop_front() {
            return Some(action);
        }
        if let Some((pool, messages)) = self.ups.pop() {
            return Some(Action::Up { pool, messages });
        }
        let (peer, class, messages) = self.sends.pop()?;
        self.places.remove(&(peer, class));
        Some(Action::Send { peer, class, messages })
    }
}
