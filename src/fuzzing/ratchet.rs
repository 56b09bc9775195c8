// SPDX-License-Identifier: MIT
//! Two ends of garlic sessions with an adversary between them, and one end whose remote lies.
//!
//! No message opens twice, none that was changed opens at all, what comes out went in on the other side, and once the
//! adversary goes away the two understand each other again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::Target;
use super::input::Input;
use super::people::{Place, start};
use crate::base::{Now, Rng};
use crate::crypto::X25519Secret;
use crate::crypto::noise::{RATCHET, SymmetricState};
use crate::crypto::{elligator2, tagged};
use crate::garlic::{Action, Limits, Opened, Received, Remote, SealOptions, Sessions};
use crate::wire::garlic as blocks;
use crate::wire::{DestHash, I2npKind, MessageId, RouterHash};

pub(super) const RATCHET_TARGETS: &[Target] =
    &[("ratchet_pair", ratchet_pair, pair_seeds), ("ratchet_liar", ratchet_liar, liar_seeds)];

/// Choices in one run.
const STEPS: usize = 160;
/// Messages on the wire.
const WIRE_MAX: usize = 64;

struct End {
    place: Place,
    sessions: Sessions,
    key: [u8; 32],
    seed: u64,
    /// Messages, by number, that this life of the engine has opened.
    opened: BTreeSet<usize>,
    /// What was given to it to send.
    given: BTreeSet<Vec<u8>>,
    got: Vec<Vec<u8>>,
    version: u32,
}

impl End {
    fn new(seed: u64, now: Now) -> Self {
        let place = Place::new(seed);
        let key = [seed as u8 + 1; 32];
        let mut end = Self {
            sessions: sessions(&place, key, seed),
            place,
            key,
            seed,
            opened: BTreeSet::new(),
            given: BTreeSet::new(),
            got: Vec::new(),
            version: 0,
        };
        end.publish(now);
        end
    }

    fn remote(&self) -> Remote {
        Remote { hash: self.place.destination.hash(), key: self.sessions.public_key() }
    }

    fn publish(&mut self, now: Now) {
        self.version += 1;
        let set = self.place.lease_set(now.wall_s() + self.version, &self.sessions.public_key().0);
        self.sessions.set_local_lease_set(now, Arc::clone(set.raw()));
    }

    /// Loses all state, and maybe the key.
    fn restart(&mut self, now: Now, same_key: bool) {
        self.seed += 100;
        if !same_key {
            self.key = Rng::from_seed(self.seed).bytes();
        }
        self.sessions = sessions(&self.place, self.key, self.seed);
        self.opened.clear();
        self.publish(now);
    }
}

fn sessions(place: &Place, key: [u8; 32], seed: u64) -> Sessions {
    let limits = Limits { tags: 4096, ratchet_after: 24, ..Limits::default() };
    Sessions::new(X25519Secret::from_bytes(key), place.destination.hash(), Rng::from_seed(seed), limits)
}

struct World {
    now: Now,
    ends: [End; 2],
    /// Number, receiver, message.
    wire: Vec<(usize, usize, Vec<u8>)>,
    count: usize,
    words: u64,
}

impl World {
    fn new() -> Self {
        let now = start();
        Self { now, ends: [End::new(1, now), End::new(2, now)], wire: Vec::new(), count: 0, words: 0 }
    }

    fn post(&mut self, to: usize, message: Vec<u8>) {
        self.count += 1;
        if self.wire.len() < WIRE_MAX {
            self.wire.push((self.count, to, message));
        }
    }

    fn drain(&mut self, end: usize) {
        while let Some(action) = self.ends[end].sessions.poll_action(self.now) {
            if let Action::Send { message, .. } = action {
                self.post(1 - end, message);
            }
        }
        let to = self.ends[1 - end].remote();
        if let Some(stats) = self.ends[end].sessions.stats(self.now, &to) {
            assert!(stats.tags <= 4096 + 2048 && stats.held <= 24, "{stats:?}");
        }
    }

    fn send(&mut self, from: usize, count: usize, len: usize, options: SealOptions) {
        let payloads: Vec<Vec<u8>> = (0..count)
            .map(|_| {
                self.words += 1;
                [&self.words.to_be_bytes()[..], &vec![6; len]].concat()
            })
            .collect();
        let to = self.ends[1 - from].remote();
        self.ends[from].given.extend(payloads.iter().cloned());
        if let Ok(sealed) = self.ends[from].sessions.seal(self.now, &to, &payloads, options) {
            if let Some(mark) = sealed.mark.filter(|_| options.request_ack) {
                self.ends[from].sessions.confirm(self.now, &to, mark);
            }
            sealed.messages.into_iter().for_each(|m| self.post(1 - from, m));
        }
        self.drain(from);
    }

    /// Gives a message to its receiver; `whole`: nobody has changed it.
    fn give(&mut self, number: usize, to: usize, message: Vec<u8>, whole: bool) {
        if let Ok(opened) = self.ends[to].sessions.open(self.now, message) {
            assert!(whole, "a changed message opens");
            assert!(self.ends[to].opened.insert(number), "message {number} opens twice");
            self.take(to, opened);
        }
        self.drain(to);
    }

    fn take(&mut self, to: usize, opened: Opened) {
        let hash = self.ends[1 - to].remote().hash;
        let sender = opened.sender.expect("sessions have a sender");
        for clove in opened.cloves {
            match clove {
                Received::Data(data) => {
                    assert!(self.ends[1 - to].given.contains(data.as_ref()), "nobody said this");
                    self.ends[to].got.push(data.to_vec());
                }
                Received::LeaseSet(set) => {
                    assert_eq!(set.destination().hash(), hash);
                    assert_eq!(set.x25519(), Some(sender.key.0));
                }
                Received::Message { .. } => panic!("nobody sends these"),
            }
        }
        assert!(sender.hash.is_none_or(|h| h == hash));
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.later(time);
        for end in 0..2 {
            if self.ends[end].sessions.poll_timeout().is_some_and(|at| at <= self.now.mono) {
                self.ends[end].sessions.handle_timeout(self.now);
            }
            self.drain(end);
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let choice = input.byte();
        match choice % 16 {
            0..=4 => {
                let (from, count) = (usize::from(choice >> 7), 1 + input.below(3));
                let options =
                    SealOptions { bundle_lease_set: choice & 64 == 0, request_ack: choice & 32 != 0 };
                self.send(from, count, 2 + input.below(40), options);
            }
            5..=8 if !self.wire.is_empty() => {
                let at = if choice & 16 == 0 { 0 } else { input.below(self.wire.len()) };
                let (number, to, message) = self.wire.remove(at);
                self.give(number, to, message, true);
            }
            9 if !self.wire.is_empty() => {
                let (number, to, message) = self.wire[input.below(self.wire.len())].clone();
                self.give(number, to, message, true);
            }
            10 if !self.wire.is_empty() => drop(self.wire.remove(input.below(self.wire.len()))),
            11 if !self.wire.is_empty() => {
                let (number, to, message) = self.wire[input.below(self.wire.len())].clone();
                let mut bad = message.clone();
                input.damage(&mut bad);
                let whole = same_meaning(&message, &bad);
                self.give(number, to, bad, whole);
            }
            12 => self.pass(Duration::from_millis(1 + u64::from(input.byte()) * 8)),
            13 => self.pass(Duration::from_secs(u64::from(input.byte()))),
            14 if input.byte() > 220 => {
                let now = self.now;
                self.ends[usize::from(choice >> 7)].restart(now, choice & 64 == 0);
            }
            14 if choice & 32 != 0 => {
                let (end, to) = (usize::from(choice >> 7), self.ends[1 - usize::from(choice >> 7)].remote());
                self.ends[end].sessions.forget(&to);
            }
            15 => {
                let now = self.now;
                self.ends[usize::from(choice >> 7)].publish(now);
            }
            _ => self.pass(Duration::from_millis(30)),
        }
    }

    /// A good line from now on: both must hear from each other again.
    fn settle(&mut self) {
        let first = self.words + 1;
        let fresh = |end: &End| end.got.iter().any(|g| g[..8] >= first.to_be_bytes()[..]);
        for end in &mut self.ends {
            end.got.clear();
        }
        for _ in 0..400 {
            for from in 0..2 {
                self.send(from, 1, 4, SealOptions::default());
            }
            for _ in 0..12 {
                for (number, to, message) in std::mem::take(&mut self.wire) {
                    self.give(number, to, message, true);
                }
                self.pass(Duration::from_millis(90));
            }
            if self.ends.iter().all(fresh) {
                return;
            }
        }
        panic!("they do not find each other again");
    }
}

/// Whether a message was changed only where nobody looks: behind its length, and in the two bits of a key that
/// Elligator2 leaves free.
fn same_meaning(honest: &[u8], changed: &[u8]) -> bool {
    let mut masked = changed.get(..honest.len()).unwrap_or(changed).to_vec();
    for at in [35, 43] {
        if let (Some(byte), Some(true)) = (masked.get_mut(at), honest.get(at).map(|_| true)) {
            *byte = (*byte & 0x3f) | (honest[at] & 0xc0);
        }
    }
    masked == honest
}

/// Both ends are honest.
pub fn ratchet_pair(data: &[u8]) {
    let mut input = Input::new(data);
    let mut world = World::new();
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
    }
    world.settle();
}

fn pair_seeds() -> Vec<Vec<u8>> {
    let say = |from: u8| vec![from << 7, 1, 4];
    let deliver = vec![5, 5];
    let talk =
        [say(0), deliver.clone(), vec![12, 40], say(1), deliver.clone(), vec![12, 9], deliver].concat();
    vec![
        talk.clone(),
        [talk.clone(), talk.repeat(6), vec![13, 200]].concat(),
        [talk.clone(), vec![14, 255, 0x8e, 255], talk.clone(), vec![11, 0, 3, 9, 1], talk].concat(),
    ]
}

/// One end lies inside its encryption: any blocks in any kind of message.
pub fn ratchet_liar(data: &[u8]) {
    let mut input = Input::new(data);
    let mut world = World::new();
    let key: [u8; 32] = [9; 32];
    let mut established = false;
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        let payload = payload(&mut input, world.now, world.ends[1].place.destination.hash());
        let to = world.ends[1].remote();
        let message = match input.byte() % 4 {
            0 => new_session(&world, &payload, input.flag()),
            1 => {
                let tag = input.array();
                world.ends[1].sessions.register_reply_tag(tag, key, world.now.mono + Duration::from_secs(9));
                let sealed = tagged::seal(&key, tag, &payload);
                [&(sealed.len() as u32).to_be_bytes()[..], &sealed].concat()
            }
            _ => {
                if !established {
                    world.settle();
                    established = true;
                }
                world.ends[0].sessions.seal_anything(world.now, &to, &payload).unwrap_or_default()
            }
        };
        if let Ok(opened) = world.ends[1].sessions.open(world.now, message) {
            assert!(opened.cloves.len() <= 64);
            for clove in &opened.cloves {
                if let Received::Message { kind, .. } = clove {
                    assert!(*kind != I2npKind::DATABASE_STORE || opened.sender.is_none());
                }
            }
        }
        while let Some(action) = world.ends[1].sessions.poll_action(world.now) {
            // The other end gets answers, too.
            if let Action::Send { message, .. } = action {
                let _ = world.ends[0].sessions.open(world.now, message);
            }
        }
        while world.ends[0].sessions.poll_action(world.now).is_some() {}
        let from = world.ends[0].remote();
        if let Some(stats) = world.ends[1].sessions.stats(world.now, &from) {
            assert!(stats.tags <= 4096 + 2048 && stats.receive_sets <= 32, "{stats:?}");
        }
        if input.byte() > 200 {
            world.now = world.now.later(Duration::from_millis(u64::from(input.u16())));
            world.ends[1].sessions.handle_timeout(world.now);
        }
    }
}

/// A New Session from the first end to the second, bound to its static key or to none.
fn new_session(world: &World, payload: &[u8], bound: bool) -> Vec<u8> {
    let mut rng = Rng::from_seed(world.count as u64 + payload.len() as u64);
    let (secret, public, representative) = elligator2::generate(&mut rng);
    let to = world.ends[1].sessions.public_key();
    let own = X25519Secret::from_bytes(world.ends[0].key);
    let mut state = SymmetricState::new(&RATCHET);
    state.mix_hash(to.as_bytes());
    state.mix_hash(public.as_bytes());
    state.mix_key(&secret.dh(&to).unwrap());
    let static_key = if bound { own.public().0 } else { [0; 32] };
    let sealed_key = state.encrypt_and_hash(&static_key);
    if bound {
        state.mix_key(&own.dh(&to).unwrap());
    }
    let sealed = state.encrypt_and_hash(payload);
    let body = [&representative[..], &sealed_key, &sealed].concat();
    [&(body.len() as u32).to_be_bytes()[..], &body].concat()
}

/// A row of blocks, sensible or not.
fn payload(input: &mut Input<'_>, now: Now, local: DestHash) -> Vec<u8> {
    let mut out = Vec::new();
    if input.byte() < 230 {
        blocks::put_date_time(now.wall_s(), &mut out);
    }
    for _ in 0..input.below(5) {
        match input.byte() % 9 {
            0 => {
                let key = blocks::NextKey {
                    key_id: if input.flag() { u16::from(input.byte() % 4) } else { input.u16() & 0x7fff },
                    key: input.flag().then(|| [input.byte(); 32]),
                    reverse: input.flag(),
                    request: input.flag(),
                };
                key.encode_block(&mut out);
            }
            1 => {
                let acks: Vec<_> = (0..input.below(20))
                    .map(|_| blocks::Ack { set: u16::from(input.byte() % 3), index: u16::from(input.byte()) })
                    .collect();
                blocks::put_acks(&acks, &mut out);
            }
            2 => blocks::put_ack_request(&mut out),
            3 => blocks::put_termination(0, &mut out),
            4 => blocks::put_padding(input.below(40), &mut out),
            5 => out.extend_from_slice(input.chunk(60)),
            _ => {
                let delivery = match input.byte() % 4 {
                    0 => blocks::Delivery::Local,
                    1 => blocks::Delivery::Router(RouterHash([1; 32])),
                    _ => blocks::Delivery::Destination(local),
                };
                let kinds = [
                    I2npKind::DATA,
                    I2npKind::DATABASE_STORE,
                    I2npKind::DELIVERY_STATUS,
                    I2npKind::DATABASE_SEARCH_REPLY,
                    I2npKind::GARLIC,
                ];
                let clove = blocks::Clove {
                    delivery,
                    kind: input.pick(&kinds),
                    id: MessageId(1),
                    expires_s: now.wall_s().saturating_add(u32::from(input.byte())).saturating_sub(40),
                    body: input.chunk(80),
                };
                blocks::put_clove(&clove, &mut out);
            }
        }
    }
    out
}

fn liar_seeds() -> Vec<Vec<u8>> {
    let key = [0u8, 2, 0, 1, 0, 1, 7, 0, 0, 1, 3, 0, 1, 0, 2, 2, 2, 0].to_vec();
    let clove = [0u8, 1, 8, 2, 0, 60, 6, 0, 0, 0, 2, 5, 5, 0, 1, 0].to_vec();
    vec![[key.clone(), clove.clone()].concat(), clove, key.repeat(5)]
}
