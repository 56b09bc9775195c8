// SPDX-License-Identifier: MIT
//! NTCP2: both sides of the handshake, and the data phase.
//!
//! Three kinds of peers: an honest one whose bytes are damaged on the way, one that knows the protocol and lies inside
//! its encryption, and one that sends anything.

use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use super::Target;
use super::input::Input;
use super::people::{NET, Person, start};
use crate::base::{Now, Rng};
use crate::crypto::noise::{self, SymmetricState};
use crate::crypto::{Secret32, X25519Public, X25519Secret, aes_cbc};
use crate::transport::ntcp2::frame::{FRAME_MAX, PAYLOAD_MAX, Sealer};
use crate::transport::ntcp2::handshake::{Action, Established, Failure, Initiator, Policy, Responder};
use crate::transport::ntcp2::replay::ReplayCache;
use crate::transport::ntcp2::session::{Event, Session};
use crate::transport::ntcp2::{DataKeys, DirectionKeys, PeerKeys};
use crate::wire::ntcp2_block::{self, TerminationReason};
use crate::wire::{I2np, I2npKind, MessageId, ROUTER_INFO_MAX};

pub(super) const NTCP2: &[Target] = &[
    ("ntcp2_responder", ntcp2_responder, responder_seeds),
    ("ntcp2_initiator", ntcp2_initiator, initiator_seeds),
    ("ntcp2_session", ntcp2_session, session_seeds),
];

static ALICE: LazyLock<Person> = LazyLock::new(|| Person::new(1));
static BOB: LazyLock<Person> = LazyLock::new(|| Person::new(2));

fn peer_keys(person: &Person) -> PeerKeys {
    PeerKeys { router: person.hash(), public: *person.ntcp2.public(), iv: *person.ntcp2.iv() }
}

fn responder(now: Now, seed: u64) -> Responder {
    answerer(now, seed, &BOB)
}

/// The dialled side with the keys of `who`.
fn answerer(now: Now, seed: u64, who: &Person) -> Responder {
    let policy = Policy { net_id: NET, any_source: false, remote: [127, 0, 0, 1].into() };
    let replay = Arc::new(Mutex::new(ReplayCache::new(&mut Rng::from_seed(9), 65_536)));
    Responder::new(now, Rng::from_seed(seed), who.ntcp2.clone(), policy, replay)
}

fn initiator(now: Now, seed: u64) -> Initiator {
    let info = ALICE.info("127.0.0.1", "OR");
    let mut rng = Rng::from_seed(seed);
    Initiator::new(now, &mut rng, ALICE.ntcp2.clone(), info.raw(), peer_keys(&BOB), NET).unwrap()
}

/// What one side has done so far.
#[derive(Default)]
struct Side {
    sent: Vec<u8>,
    up: Option<Box<Established>>,
    ended: Option<Failure>,
}

impl Side {
    /// Takes the actions of an engine, which must make sense together.
    fn drain(&mut self, mut poll: impl FnMut() -> Option<Action>) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(action) = poll() {
            assert!(self.ended.is_none(), "an action after the end");
            match action {
                Action::Send(more) => {
                    assert!(self.up.is_none() && !more.is_empty(), "sends after the handshake");
                    bytes.extend_from_slice(&more);
                }
                Action::Established(established) => {
                    assert!(self.up.is_none(), "established twice");
                    self.up = Some(established);
                }
                Action::Close(failure) | Action::Reset(failure) => self.ended = Some(failure),
            }
        }
        self.sent.extend_from_slice(&bytes);
        bytes
    }
}

/// An honest pair with a bad line between them.
struct Pair {
    now: Now,
    alice: Initiator,
    bob: Responder,
    sides: [Side; 2],
    changed: bool,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let now = start();
        let (alice, bob) = (initiator(now, seed), responder(now, seed));
        Self { now, alice, bob, sides: Default::default(), changed: false }
    }

    /// Carries what one side has to say to the other, as the input wants it. False when there was nothing.
    fn carry(&mut self, from: usize, input: &mut Input<'_>) -> bool {
        let mut bytes = match from {
            0 => self.sides[0].drain(|| self.alice.poll_action()),
            _ => self.sides[1].drain(|| self.bob.poll_action()),
        };
        if bytes.is_empty() {
            return false;
        }
        if input.byte() & 3 == 3 {
            // What is only appended belongs to no message of the handshake.
            let honest = bytes.clone();
            input.damage(&mut bytes);
            self.changed |= !bytes.starts_with(&honest);
        }
        if input.byte() & 7 == 7 {
            self.now = self.now.later(Duration::from_millis(u64::from(input.u16())));
            self.alice.handle_timeout(self.now);
            self.bob.handle_timeout(self.now);
        }
        let piece = 1 + input.below(600);
        for part in bytes.chunks(piece) {
            match from {
                0 => self.bob.handle(self.now, part),
                _ => self.alice.handle(self.now, part),
            }
        }
        true
    }

    fn run(&mut self, input: &mut Input<'_>) {
        for _ in 0..8 {
            let said = [self.carry(0, input), self.carry(1, input)];
            if said == [false, false] {
                break;
            }
        }
        // Nobody waits for ever.
        self.now = self.now.later(Duration::from_secs(30));
        self.alice.handle_timeout(self.now);
        self.bob.handle_timeout(self.now);
        self.sides[0].drain(|| self.alice.poll_action());
        self.sides[1].drain(|| self.bob.poll_action());
        for side in &self.sides {
            assert!(side.up.is_some() || side.ended.is_some());
        }
        assert!(
            self.alice.poll_timeout().is_none()
                && (self.bob.poll_timeout().is_none() || self.sides[1].up.is_some())
        );
    }

    fn up(&self) -> bool {
        self.sides.iter().all(|side| side.up.is_some())
    }
}

/// Runs the pair; who ends well must have got what the other sent, byte for byte.
fn damaged(input: &mut Input<'_>) {
    let mut pair = Pair::new(u64::from(input.byte()));
    pair.run(input);
    let [alice, bob] = &pair.sides;
    if let Some(up) = &bob.up {
        // Message 3 binds every byte of the handshake, paddings included; only what follows it is free.
        assert_eq!(up.peer, ALICE.hash());
        assert!(!pair.changed || !up.rest.is_empty(), "a changed handshake went through");
        assert!(alice.up.is_some());
    }
    if bob.ended == Some(Failure::Authentication) && bob.sent.is_empty() {
        assert!(pair.changed);
    }
    if pair.up() {
        let [a, b] = pair.sides.map(|side| side.up.unwrap());
        talk(pair.now, &a.keys, &b.keys);
    }
}

/// A few words in both directions with the keys of a handshake.
fn talk(now: Now, a: &DataKeys, b: &DataKeys) {
    let mut sides = [Session::new(now, Rng::from_seed(1), a), Session::new(now, Rng::from_seed(2), b)];
    for from in 0..2 {
        let mut out = Vec::new();
        assert_eq!(sides[from].write(now, &mut vec![message(from as u32, 100)], &mut out), 0);
        let done = sides[1 - from].read(now, &mut out);
        assert_eq!((done, sides[1 - from].take_messages()), (out.len(), vec![message(from as u32, 100)]));
    }
}

fn message(id: u32, len: usize) -> I2np {
    I2np {
        kind: I2npKind::DATA,
        id: MessageId(id),
        expiration_ms: 1_795_305_660_000,
        body: vec![id as u8; len],
    }
}

/// The dialled side.
pub fn ntcp2_responder(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 3 {
        0 => damaged(&mut input),
        1 => liar_dials(&mut input),
        _ => {
            // Nobody ever dials Alice here: a fuzzer may have seen a real message to Bob in memory and try that.
            let mut bob = answerer(start(), 1, &ALICE);
            let mut side = Side::default();
            let piece = 1 + input.below(200);
            for part in input.rest().chunks(piece) {
                bob.handle(start(), part);
                side.drain(|| bob.poll_action());
            }
            bob.handle_timeout(start().later(Duration::from_secs(20)));
            side.drain(|| bob.poll_action());
            assert!(side.sent.is_empty() && side.up.is_none(), "answers to noise");
            assert!(side.ended.is_some());
        }
    }
}

/// Alice knows all keys and does as she likes: options, sizes, blocks, RouterInfo.
fn liar_dials(input: &mut Input<'_>) {
    let now = start();
    let info = match input.byte() % 6 {
        0..=2 => ALICE.info("127.0.0.1", "OR").raw().to_vec(),
        3 => ALICE.info_of("192.0.2.1", &[("netId", "77")], now.wall_ms).raw().to_vec(),
        4 => {
            let at = now.wall_ms.saturating_add_signed(i64::from(input.u16() as i16) * 1000);
            ALICE.info_of("127.0.0.1", &[("netId", if input.flag() { "77" } else { "2" })], at).raw().to_vec()
        }
        _ => BOB.info("127.0.0.1", "OR").raw().to_vec(),
    };
    let mut part2 = Vec::new();
    if input.byte() < 240 {
        ntcp2_block::put_router_info(&mut part2, &info, input.flag());
    }
    match input.byte() % 5 {
        0 => ntcp2_block::put_options(&mut part2, &ntcp2_block::Options::default()),
        1 => ntcp2_block::put_padding(&mut part2, u16::from(input.byte())),
        2 => part2.extend_from_slice(input.chunk(200)),
        3 => drop(input.damage(&mut part2)),
        _ => {}
    }
    let mut options = [0u8; 16];
    options[0] = if input.byte() < 240 { NET } else { input.byte() };
    options[1] = if input.byte() < 240 { 2 } else { input.byte() };
    let padding = vec![7; if input.byte() < 200 { input.below(32) } else { input.below(1200) }];
    options[2..4].copy_from_slice(&(padding.len() as u16).to_be_bytes());
    let stated = if input.byte() < 240 { part2.len() as u16 + 16 } else { input.u16() };
    options[4..6].copy_from_slice(&stated.to_be_bytes());
    let skew = if input.byte() < 200 { 0 } else { i64::from(input.u16() as i16) };
    let seconds = (now.wall_ms as i64 / 1000 + skew) as u32;
    options[8..12].copy_from_slice(&seconds.to_be_bytes());

    let ephemeral = X25519Secret::from_bytes([77; 32]);
    let mut noise = SymmetricState::new(&noise::NTCP2);
    noise.mix_hash(BOB.ntcp2.public().as_bytes());
    noise.mix_hash(ephemeral.public().as_bytes());
    noise.mix_key(&ephemeral.dh(BOB.ntcp2.public()).unwrap());
    let mut first = ephemeral.public().0;
    aes_cbc::encrypt(&BOB.hash().0, BOB.ntcp2.iv(), &mut first);
    let iv: [u8; 16] = first[16..].try_into().unwrap();
    let mut bytes = [first.to_vec(), noise.encrypt_and_hash(&options), padding.clone()].concat();
    if !padding.is_empty() {
        noise.mix_hash(&padding);
    }
    let mut bob = responder(now, 5);
    let mut side = Side::default();
    if input.byte() > 250 {
        bytes.extend_from_slice(b"more");
    }
    bob.handle(now, &bytes);
    let answer = side.drain(|| bob.poll_action());
    if answer.is_empty() {
        assert!(side.up.is_none());
        return;
    }
    let third = confirmed(noise, &answer, iv, &ephemeral, part2, input);
    let Some(third) = third else { return };
    let piece = 1 + input.below(700);
    for part in third.chunks(piece) {
        bob.handle(now, part);
        side.drain(|| bob.poll_action());
    }
    if let Some(up) = &side.up {
        let (info, _) = up.info.as_ref().expect("inbound");
        assert_eq!((up.peer, info.net_id()), (ALICE.hash(), Some(NET)));
        assert!(info.raw().len() <= ROUTER_INFO_MAX && up.skew_ms.abs() <= 60_000);
    }
}

/// Reads message 2 and makes message 3, with another static key if the input says so.
fn confirmed(
    mut noise: SymmetricState,
    answer: &[u8],
    iv: [u8; 16],
    ephemeral: &X25519Secret,
    mut part2: Vec<u8>,
    input: &mut Input<'_>,
) -> Option<Vec<u8>> {
    let (hidden, rest) = answer.split_first_chunk::<32>()?;
    let (sealed, padding) = rest.split_at_checked(32)?;
    let mut key = *hidden;
    aes_cbc::decrypt(&BOB.hash().0, &iv, &mut key);
    noise.mix_hash(&key);
    let theirs = X25519Public(key);
    noise.mix_key(&ephemeral.dh(&theirs)?);
    noise.decrypt_and_hash(sealed).expect("message 2 is honest");
    if !padding.is_empty() {
        noise.mix_hash(padding);
    }
    let own = if input.byte() < 240 { &ALICE.ntcp2 } else { &BOB.ntcp2 };
    let mut bytes = noise.encrypt_and_hash(own.public().as_bytes());
    noise.mix_key(&own.secret.dh(&theirs)?);
    noise.encrypt_in_place(&mut part2);
    bytes.extend_from_slice(&part2);
    if input.byte() > 230 {
        input.damage(&mut bytes);
    }
    Some(bytes)
}

fn responder_seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![vec![0], vec![1], vec![2, 9, 1, 2, 3]];
    seeds.push([vec![0, 1, 3, 20, 0, 0], vec![0; 8]].concat());
    seeds.extend((1..6).map(|n| [vec![1, n, 0, 0, n], vec![0; 20]].concat()));
    seeds
}

/// The side that dials.
pub fn ntcp2_initiator(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 3 {
        0 => damaged(&mut input),
        1 => liar_answers(&mut input),
        _ => {
            // Of a seed that no pair has, so that no real answer can have been seen either.
            let mut alice = initiator(start(), 1_000);
            let mut side = Side::default();
            assert!(!side.drain(|| alice.poll_action()).is_empty());
            let piece = 1 + input.below(200);
            for part in input.rest().chunks(piece) {
                alice.handle(start(), part);
                side.drain(|| alice.poll_action());
            }
            alice.handle_closed();
            side.drain(|| alice.poll_action());
            assert!(side.up.is_none() && side.ended.is_some() && alice.poll_timeout().is_none());
        }
    }
}

/// Bob knows all keys and does as he likes with message 2.
fn liar_answers(input: &mut Input<'_>) {
    let now = start();
    let mut alice = initiator(now, 3);
    let mut side = Side::default();
    let first = side.drain(|| alice.poll_action());
    let (hidden, rest) = first.split_first_chunk::<32>().unwrap();
    let mut key = *hidden;
    aes_cbc::decrypt(&BOB.hash().0, BOB.ntcp2.iv(), &mut key);
    let theirs = X25519Public(key);
    let mut noise = SymmetricState::new(&noise::NTCP2);
    noise.mix_hash(BOB.ntcp2.public().as_bytes());
    noise.mix_hash(&key);
    noise.mix_key(&BOB.ntcp2.secret.dh(&theirs).unwrap());
    noise.decrypt_and_hash(&rest[..32]).expect("message 1 is honest");
    if rest.len() > 32 {
        noise.mix_hash(&rest[32..]);
    }
    let own = X25519Secret::from_bytes([78; 32]);
    noise.mix_hash(own.public().as_bytes());
    noise.mix_key(&own.dh(&theirs).unwrap());
    let mut hidden_own = own.public().0;
    let iv: [u8; 16] = hidden[16..].try_into().unwrap();
    aes_cbc::encrypt(&BOB.hash().0, &iv, &mut hidden_own);
    let mut options: [u8; 16] = if input.flag() { input.array() } else { [0; 16] };
    let padding = vec![9; input.below(1100)];
    if input.byte() < 230 {
        options[2..4].copy_from_slice(&(padding.len() as u16).to_be_bytes());
    }
    if input.byte() < 230 {
        options[8..12].copy_from_slice(&((now.wall_ms / 1000) as u32).to_be_bytes());
    }
    let mut bytes = [hidden_own.to_vec(), noise.encrypt_and_hash(&options), padding].concat();
    if input.byte() > 230 {
        input.damage(&mut bytes);
    }
    if input.byte() > 230 {
        bytes.extend_from_slice(input.rest());
    }
    alice.handle(now, &bytes);
    side.drain(|| alice.poll_action());
    if let Some(up) = &side.up {
        assert!(up.peer == BOB.hash() && up.skew_ms.abs() <= 60_000 && up.rest.is_empty());
    }
    alice.handle_timeout(now.later(Duration::from_secs(20)));
    side.drain(|| alice.poll_action());
    assert!(side.up.is_some() || side.ended.is_some());
}

fn initiator_seeds() -> Vec<Vec<u8>> {
    vec![
        vec![0],
        vec![1, 0, 0, 9],
        vec![1, 1],
        vec![2, 7, 1, 2],
        [vec![0, 1, 0, 0, 0, 3, 40, 2], vec![0; 8]].concat(),
    ]
}

/// Keys that belong together.
fn data_keys() -> [DataKeys; 2] {
    let way = |n: u8| DirectionKeys { cipher: Secret32::new([n; 32]), sip: Secret32::new([n + 1; 32]) };
    [DataKeys { send: way(1), receive: way(3) }, DataKeys { send: way(3), receive: way(1) }]
}

/// The data phase: honest frames in any pieces, damaged at some point; or a peer that lies inside its frames.
pub fn ntcp2_session(data: &[u8]) {
    let mut input = Input::new(data);
    if input.flag() { liar_sends(&mut input) } else { frames(&mut input) }
}

fn frames(input: &mut Input<'_>) {
    let [a, b] = data_keys();
    let mut now = start();
    let mut from = Session::new(now, Rng::from_seed(1), &a);
    let mut to = Session::new(now, Rng::from_seed(2), &b);
    let (mut sent, mut got, mut line, mut changed) = (Vec::new(), Vec::new(), Vec::new(), false);
    for _ in 0..input.below(12) {
        let mut out = Vec::new();
        match input.byte() % 8 {
            0 => from.write_info(now, ALICE.info("127.0.0.1", "OR").raw(), &mut out),
            1 if input.byte() > 200 => from.close(TerminationReason::Shutdown, &mut out),
            2 => now = now.later(Duration::from_secs(u64::from(input.byte()))),
            _ => {
                let count = 1 + input.below(4);
                let mut messages: Vec<I2np> = (0..count)
                    .map(|n| {
                        message(
                            (sent.len() + n) as u32,
                            if input.flag() { input.below(20_000) } else { input.below(200) },
                        )
                    })
                    .collect();
                let wanted = messages.clone();
                if from.is_open() {
                    assert_eq!(from.write(now, &mut messages, &mut out), 0);
                    sent.extend(wanted);
                }
            }
        }
        if input.byte() > 240 {
            changed |= input.damage(&mut out);
        }
        line.extend_from_slice(&out);
        read_some(&mut to, now, &mut line, input.below(3000), &mut got);
    }
    read_some(&mut to, now, &mut line, usize::MAX, &mut got);
    assert!(got.len() <= sent.len() && got[..] == sent[..got.len()], "messages changed or lost between");
    if !changed {
        assert_eq!(got.len(), sent.len());
    }
    // Whatever happened, it ends.
    for session in [&mut from, &mut to] {
        let mut out = Vec::new();
        session.handle_timeout(now.later(Duration::from_secs(400)), &mut out);
        session.handle_timeout(now.later(Duration::from_secs(800)), &mut out);
        assert!(!session.is_open() && session.poll_timeout().is_none());
    }
}

/// Gives up to `piece` bytes of the line to the session, as a connection would.
fn read_some(to: &mut Session, now: Now, line: &mut Vec<u8>, piece: usize, got: &mut Vec<I2np>) {
    let end = piece.min(line.len());
    let done = to.read(now, &mut line[..end]);
    assert!(done <= end && to.needs() <= FRAME_MAX);
    line.drain(..done);
    got.append(&mut to.take_messages());
    let mut closed = 0;
    while let Some(event) = to.poll_event() {
        closed += usize::from(matches!(event, Event::Closed(_)));
    }
    assert!(closed <= 1);
}

fn liar_sends(input: &mut Input<'_>) {
    let [a, b] = data_keys();
    let now = start();
    let mut sealer = Sealer::new(&a.send);
    let mut to = Session::new(now, Rng::from_seed(2), &b);
    while !input.is_empty() {
        let mut line = Vec::new();
        let open = Sealer::begin(&mut line);
        match input.byte() % 3 {
            0 => ntcp2_block::put_i2np(&mut line, &message(1, input.below(100))),
            1 => ntcp2_block::put_router_info(&mut line, input.chunk(60), true),
            _ => true,
        };
        line.extend_from_slice(input.chunk(400));
        assert!(open.payload_len(&line) <= PAYLOAD_MAX);
        sealer.finish(&mut line, open);
        let mut got = Vec::new();
        read_some(&mut to, now, &mut line, usize::MAX, &mut got);
        assert!(got.len() <= 60 && to.take_events_dropped() <= 60 && line.is_empty());
    }
}

fn session_seeds() -> Vec<Vec<u8>> {
    let mut blocks = Vec::new();
    ntcp2_block::put_date_time(&mut blocks, 1_795_305_600);
    ntcp2_block::put_termination(&mut blocks, 3, TerminationReason::Idle);
    let lie = [vec![1, 2, 0, blocks.len() as u8], blocks].concat();
    vec![
        vec![0, 5, 3, 2, 0, 9, 0, 9, 1, 0, 200, 0, 3, 1, 1, 0, 80, 0, 1],
        lie,
        vec![0, 3, 0, 0, 0, 4, 3, 1, 2, 2, 255, 9, 0, 1],
    ]
}
