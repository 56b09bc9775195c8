// SPDX-License-Identifier: MIT
//! First contacts: which routers to dial only in order to know some that are there.
//!
//! RouterInfos come from strangers and grow old: of those that a router knows when it comes back after weeks, or that
//! somebody floods it with, most may belong to nobody. Tunnels through them fail one by one, each after seconds. So
//! while fewer than [`ENOUGH`] routers have taken a call of ours lately, others are dialled side by side, at random. Not of
//! fewer than [`CROWD`]: among these, tunnels find those who are there by themselves.
//! Only calls of ours count: who calls us chooses to. Owned by control. Requirement D3, K9.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::{Mono, Now, Rng};
use crate::netdb::PeerView;
use crate::transport::{Direction, TransportEvent};
use crate::wire::RouterHash;

/// So many routers are enough to build tunnels through.
const ENOUGH: usize = 8;
/// In a table of fewer routers nobody is dialled for this.
const CROWD: usize = 32;
/// How long a router that took a call counts, and how long one that was dialled is not dialled again for this.
const LATELY: Duration = Duration::from_secs(900);
/// Longest wait for the outcome of a dial.
const DIAL: Duration = Duration::from_secs(20);
/// Dialled routers that are remembered; of more the oldest goes.
const DIALLED_MAX: usize = 1_024;
/// Pause after a round, doubled with each round that reached nobody.
const PAUSE: Duration = Duration::from_secs(1);
const DOUBLINGS_MAX: u32 = 4;
/// Time between two looks when nobody is to be dialled.
const IDLE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dial {
    UnderWay,
    Up,
    Failed,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Contacts {
    dialled: BTreeMap<RouterHash, (Mono, Dial)>,
    /// Rounds since somebody was reached.
    vain: u32,
    /// Somebody was reached at some time.
    reached: bool,
    next: Mono,
    rng: Rng,
}

impl Contacts {
    pub(super) const fn new(now: Mono, rng: Rng) -> Self {
        Self { dialled: BTreeMap::new(), vain: 0, reached: false, next: now, rng }
    }

    /// When [`Self::look`] is to be called.
    pub(super) const fn next(&self) -> Mono {
        self.next
    }

    /// A dial has ended, of ours or on behalf of anybody in this router.
    pub(super) fn event(&mut self, now: Mono, event: &TransportEvent) {
        match event {
            TransportEvent::Up { peer, direction: Direction::Outbound, .. } => self.reached(now, *peer),
            TransportEvent::DialFailed { peer, .. } => self.note(now, *peer, Dial::Failed),
            _ => {}
        }
    }

    fn reached(&mut self, now: Mono, peer: RouterHash) {
        self.note(now, peer, Dial::Up);
        self.vain = 0;
        self.reached = true;
    }

    /// Routers to dial now. They are asked for nothing. A router that has reached somebody and is `cut_off` now dials
    /// nobody: its own network is gone, and dials would only make it think ill of those who are there.
    pub(super) fn look(&mut self, now: Now, view: &PeerView, cut_off: bool) -> Vec<RouterHash> {
        let mono = now.mono;
        self.forget(mono, view);
        self.next = mono.after(if view.is_empty() { PAUSE } else { IDLE });
        if view.len() < CROWD || cut_off && self.reached {
            return Vec::new();
        }
        let count = |kind| self.dialled.values().filter(|(_, dial)| *dial == kind).count();
        let missing = ENOUGH.saturating_sub(count(Dial::Up));
        // After a round in vain twice as many: most of those who are known seem to be gone.
        let most = if self.vain > 0 { missing * 2 } else { missing };
        let wanted = most.saturating_sub(count(Dial::UnderWay));
        let chosen = if wanted == 0 { Vec::new() } else { self.choose(now, view, wanted) };
        if !chosen.is_empty() {
            chosen.iter().for_each(|peer| self.note(mono, *peer, Dial::UnderWay));
            self.next = mono.after(PAUSE * (1 << self.vain.min(DOUBLINGS_MAX)));
            self.vain = self.vain.saturating_add(1);
        }
        chosen
    }

    fn forget(&mut self, now: Mono, view: &PeerView) {
        self.dialled.retain(|peer, (at, dial)| {
            if *dial == Dial::Up && view.get(peer).is_some_and(|p| p.connected) {
                *at = now;
            }
            let age = now.since(*at);
            age < LATELY && !(*dial == Dial::UnderWay && age >= DIAL)
        });
    }

    fn choose(&mut self, now: Now, view: &PeerView, wanted: usize) -> Vec<RouterHash> {
        let own = view.own().map(|own| own.hash);
        let stranger = |hash: &RouterHash| Some(*hash) != own && !self.dialled.contains_key(hash);
        let mut open: Vec<RouterHash> = view
            .iter()
            .filter(|p| !p.hidden && !p.connected && p.dialable(now.wall_ms) && stranger(&p.hash))
            .map(|p| p.hash)
            .collect();
        for at in 0..wanted.min(open.len()) {
            let other = at + self.rng.index(open.len() - at);
            open.swap(at, other);
        }
        open.truncate(wanted);
        open
    }

    fn note(&mut self, now: Mono, peer: RouterHash, dial: Dial) {
        if self.dialled.len() >= DIALLED_MAX && !self.dialled.contains_key(&peer) {
            let oldest = self.dialled.iter().min_by_key(|(_, (at, _))| *at).map(|(hash, _)| *hash);
            oldest.map(|hash| self.dialled.remove(&hash));
        }
        self.dialled.insert(peer, (now, dial));
    }
}

#[cfg(test)]
mod tests;
