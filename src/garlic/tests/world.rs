// SPDX-License-Identifier: MIT
//! Two or more engines, a lossy wire between them, and a clock that is moved by hand.

use super::super::{
    Action, Error, Limits, Opened, OpenedKind, Received, Remote, SealOptions, Sessions, State,
};
use crate::base::{Mono, Now, Rng};
use crate::crypto::{SigningKey, X25519Secret};
use crate::wire::{Destination, KeysAndCert, Lease2, LeaseSet2, LeaseSetKey, RouterHash, SigType, TunnelId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub(super) const START_MS: u64 = 1_767_225_600_000;

pub(super) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(super) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A destination with its keys.
pub(super) struct Node {
    pub(super) sessions: Sessions,
    signing: SigningKey,
    destination: Destination,
    static_key: [u8; 32],
    seed: u64,
    published_s: u32,
    limits: Limits,
    pub(super) received: Vec<Vec<u8>>,
    pub(super) kinds: Vec<OpenedKind>,
    pub(super) lease_sets: usize,
    pub(super) errors: Vec<Error>,
    pub(super) sent: usize,
    pub(super) others: Vec<Action>,
}

impl Node {
    fn new(seed: u64, limits: Limits, now: Now) -> Self {
        let mut rng = Rng::from_seed(seed);
        let signing = SigningKey::random(&mut rng);
        let keys = KeysAndCert::build(SigType::Ed25519, &signing.public(), 4, &[], rng.bytes());
        let static_key: [u8; 32] = rng.bytes();
        let destination = Destination::new(keys);
        let sessions = Sessions::new(
            X25519Secret::from_bytes(static_key),
            destination.hash(),
            rng.fork("garlic"),
            limits,
        );
        let mut node = Self {
            sessions,
            signing,
            destination,
            static_key,
            seed,
            published_s: now.wall_s(),
            limits,
            received: Vec::new(),
            kinds: Vec::new(),
            lease_sets: 0,
            errors: Vec::new(),
            sent: 0,
            others: Vec::new(),
        };
        node.publish(now);
        node
    }

    pub(super) fn remote(&self) -> Remote {
        Remote { hash: self.destination.hash(), key: self.sessions.public_key() }
    }

    /// Signs and sets a lease set that differs from the last.
    pub(super) fn publish(&mut self, now: Now) {
        self.published_s = now.wall_s().max(self.published_s + 1);
        let lease = Lease2 { gateway: RouterHash([7; 32]), tunnel: TunnelId(9), end_s: now.wall_s() + 600 };
        let keys = vec![LeaseSetKey { kind: 4, key: self.sessions.public_key().0.to_vec() }];
        let signing = &self.signing;
        let sign = |m: &[u8]| signing.sign(m).to_vec();
        let end = self.published_s + 600;
        let set = LeaseSet2::build(&self.destination, self.published_s, end, false, keys, vec![lease], sign);
        self.sessions.set_local_lease_set(now, Arc::clone(set.raw()));
    }

    /// Loses all state. Keeps the identity, and the encryption key if asked to.
    pub(super) fn restart(&mut self, now: Now, same_key: bool) {
        self.seed += 1000;
        let mut rng = Rng::from_seed(self.seed);
        if !same_key {
            self.static_key = rng.bytes();
        }
        let key = X25519Secret::from_bytes(self.static_key);
        self.sessions = Sessions::new(key, self.destination.hash(), rng, self.limits);
        self.publish(now);
    }

    pub(super) fn state(&self, now: Now, to: &Remote) -> State {
        self.sessions.stats(now, to).map_or(State::Idle, |s| s.state)
    }

    fn take(&mut self, now: Now, message: Vec<u8>) {
        match self.sessions.open(now, message) {
            Ok(opened) => self.note(opened),
            Err(e) => self.errors.push(e),
        }
    }

    fn note(&mut self, opened: Opened) {
        self.kinds.push(opened.kind);
        for clove in opened.cloves {
            match clove {
                Received::Data(data) => self.received.push(data.to_vec()),
                Received::LeaseSet(_) => self.lease_sets += 1,
                Received::Message { .. } => {}
            }
        }
    }
}

/// A message under way: to whom, from whom, what.
type Flying = (usize, usize, Vec<u8>);

/// Engines and the wire between them.
pub(super) struct World {
    pub(super) now: Now,
    pub(super) nodes: Vec<Node>,
    wire: BTreeMap<(Mono, u64), Flying>,
    sequence: u64,
    pub(super) rng: Rng,
    pub(super) delay_ms: u64,
    pub(super) jitter_ms: u64,
    pub(super) loss_percent: u64,
    pub(super) twice_percent: u64,
    /// Messages that the wire lost.
    pub(super) lost: usize,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self::with(seed, 2, Limits::default())
    }

    pub(super) fn with(seed: u64, nodes: usize, limits: Limits) -> Self {
        let now = Now { mono: Mono::from_secs(1), wall_ms: START_MS };
        Self {
            now,
            nodes: (0..nodes as u64).map(|n| Node::new(seed * 100 + n, limits, now)).collect(),
            wire: BTreeMap::new(),
            sequence: 0,
            rng: Rng::from_seed(seed),
            delay_ms: 50,
            jitter_ms: 0,
            loss_percent: 0,
            twice_percent: 0,
            lost: 0,
        }
    }

    pub(super) fn remote(&self, node: usize) -> Remote {
        self.nodes[node].remote()
    }

    pub(super) fn state(&self, node: usize, to: usize) -> State {
        self.nodes[node].state(self.now, &self.remote(to))
    }

    /// Puts a message on the wire.
    pub(super) fn post(&mut self, from: usize, to: usize, message: Vec<u8>) {
        self.nodes[from].sent += 1;
        if self.rng.below(100) < self.loss_percent {
            self.lost += 1;
            return;
        }
        let copies = if self.rng.below(100) < self.twice_percent { 2 } else { 1 };
        for _ in 0..copies {
            let at = self.now.mono + ms(self.delay_ms + self.rng.below(self.jitter_ms + 1));
            self.sequence += 1;
            self.wire.insert((at, self.sequence), (to, from, message.clone()));
        }
    }

    /// Seals and posts; answers what `seal` answered.
    pub(super) fn send(&mut self, from: usize, to: usize, payload: &[u8]) -> Result<usize, Error> {
        let remote = self.remote(to);
        let sealed = self.nodes[from].sessions.seal(self.now, &remote, &[payload], SealOptions::default())?;
        let count = sealed.messages.len();
        for message in sealed.messages {
            self.post(from, to, message);
        }
        self.drain(from);
        Ok(count)
    }

    /// Seals without sending.
    pub(super) fn seal(&mut self, from: usize, to: usize, payload: &[u8]) -> Vec<Vec<u8>> {
        let remote = self.remote(to);
        let sealed = self.nodes[from].sessions.seal(self.now, &remote, &[payload], SealOptions::default());
        sealed.unwrap().messages
    }

    /// Hands a message over at once.
    pub(super) fn give(&mut self, to: usize, message: Vec<u8>) {
        let now = self.now;
        self.nodes[to].take(now, message);
        self.drain(to);
    }

    fn drain(&mut self, node: usize) {
        while let Some(action) = self.nodes[node].sessions.poll_action(self.now) {
            match action {
                Action::Send { to, message } => {
                    let target = self.nodes.iter().position(|n| n.remote() == to);
                    if let Some(target) = target {
                        self.post(node, target, message);
                    }
                }
                other => self.nodes[node].others.push(other),
            }
        }
    }

    /// Lets `d` pass.
    pub(super) fn run(&mut self, d: Duration) {
        let end = self.now.mono + d;
        loop {
            let arrival = self.wire.keys().next().map(|(at, _)| *at);
            let timer = self.nodes.iter().filter_map(|n| n.sessions.poll_timeout()).min();
            let next = [arrival, timer].into_iter().flatten().min().filter(|at| *at <= end);
            let Some(next) = next else { break };
            let next = next.max(self.now.mono);
            self.now = self.now.later(next - self.now.mono);
            while let Some(entry) = self.wire.first_entry().filter(|e| e.key().0 <= next) {
                let (to, _, message) = entry.remove();
                self.give(to, message);
            }
            for node in 0..self.nodes.len() {
                if self.nodes[node].sessions.poll_timeout().is_some_and(|at| at <= next) {
                    self.nodes[node].sessions.handle_timeout(self.now);
                    self.drain(node);
                }
            }
        }
        self.now = self.now.later(end - self.now.mono);
    }

    /// Both established, by a word from 0 to 1.
    pub(super) fn connected(seed: u64) -> Self {
        let mut world = Self::new(seed);
        world.connect();
        world
    }

    pub(super) fn connect(&mut self) {
        self.send(0, 1, b"hello").unwrap();
        self.run(secs(5));
        assert_eq!((self.state(0, 1), self.state(1, 0)), (State::Established, State::Established));
        for node in &mut self.nodes {
            node.received.clear();
            node.kinds.clear();
        }
    }
}
