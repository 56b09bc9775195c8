// SPDX-License-Identifier: MIT
//! Two tables of streams with an adversary between them, and one table whose peer lies.
//!
//! What is read is what was written, in order, once, and nothing else. When the line is good again every stream that
//! nobody broke off carries all its bytes and ends in order, and nothing is left of any stream in the end.

use std::time::Duration;

use bytes::Bytes;

use super::Target;
use super::input::Input;
use super::people::{Place, start};
use crate::base::{Now, Rng};
use crate::stream::{CloseReason, Config, ConnectOptions, Event, StreamId, Table};
use crate::wire::i2cp_gzip::{self, Ports};
use crate::wire::{StreamPacket, stream_packet};

pub(super) const STREAMS: &[Target] =
    &[("stream_pair", stream_pair, pair_seeds), ("stream_liar", stream_liar, liar_seeds)];

const STEPS: usize = 200;
const WIRE_MAX: usize = 256;
const STREAMS_MAX: usize = 4;
/// Packets that a table may have to say at once.
const BURST_MAX: usize = 5000;

/// One end of a stream.
#[derive(Clone, Debug, Default)]
struct Half {
    id: Option<StreamId>,
    written: usize,
    read: usize,
    /// The application has said that it writes no more.
    shut: bool,
    /// It has given the stream back, and whether that was before the end of what the peer had to say.
    gone: bool,
    broken: bool,
    ended: Option<CloseReason>,
}

/// A stream of either side, known by the port that its opener used.
#[derive(Clone, Debug, Default)]
struct Stream {
    halves: [Half; 2],
}

struct World {
    now: Now,
    tables: [Table; 2],
    hashes: [crate::wire::DestHash; 2],
    streams: Vec<Stream>,
    wire: Vec<(usize, Vec<u8>)>,
    /// Packets were lost because the wire was full.
    steps: usize,
}

/// The byte at a place of a stream's direction.
const fn byte_at(stream: usize, side: usize, at: usize) -> u8 {
    (at ^ (at >> 7) ^ (at >> 13)).wrapping_mul(31).wrapping_add(stream * 7 + side * 3) as u8
}

fn table(seed: u64) -> (Table, crate::wire::DestHash) {
    let place = Place::new(seed);
    let config = Config { syn_per_peer: (32, 128), ..Config::default() };
    let mut table = Table::new(place.destination.clone(), place.key(), None, config, Rng::from_seed(seed));
    table.listen(0);
    (table, place.destination.hash())
}

impl World {
    fn new() -> Self {
        let ((a, a_hash), (b, b_hash)) = (table(1), table(2));
        Self {
            now: start(),
            tables: [a, b],
            hashes: [a_hash, b_hash],
            streams: Vec::new(),
            wire: Vec::new(),
            steps: 0,
        }
    }

    fn connect(&mut self, side: usize) {
        if self.streams.len() >= STREAMS_MAX {
            return;
        }
        let ports = Ports { from: 100 + self.streams.len() as u16, to: 7 };
        let to = self.hashes[1 - side];
        let id = self.tables[side].connect(self.now, to, ports, ConnectOptions::default());
        let mut stream = Stream::default();
        stream.halves[side].id = Some(id.expect("room for a stream"));
        self.streams.push(stream);
    }

    fn write(&mut self, stream: usize, side: usize, len: usize) {
        let half = &mut self.streams[stream].halves[side];
        let Some(id) = half.id.filter(|_| !half.shut && !half.gone) else { return };
        let bytes: Vec<u8> = (half.written..half.written + len).map(|at| byte_at(stream, side, at)).collect();
        let taken = self.tables[side].write(self.now, id, Bytes::from(bytes));
        assert!(taken <= len);
        half.written += taken;
    }

    fn read(&mut self, stream: usize, side: usize, max: usize) -> bool {
        let Half { id: Some(id), gone: false, .. } = self.streams[stream].halves[side] else { return false };
        let Some(bytes) = self.tables[side].read(self.now, id, max) else { return false };
        assert!(!bytes.is_empty() && bytes.len() <= max);
        let read = self.streams[stream].halves[side].read;
        let sent = self.streams[stream].halves[1 - side].written;
        assert!(read + bytes.len() <= sent, "more than was written");
        for (at, byte) in (read..).zip(&bytes) {
            assert_eq!(*byte, byte_at(stream, 1 - side, at), "stream {stream} side {side} at {at}");
        }
        self.streams[stream].halves[side].read += bytes.len();
        true
    }

    /// Takes everything that the tables have to say.
    fn drain(&mut self) {
        for side in 0..2 {
            let mut count = 0;
            loop {
                self.events(side);
                let Some(packet) = self.tables[side].poll_packet(self.now) else { break };
                count += 1;
                assert!(count < BURST_MAX, "a table that never falls silent");
                assert_eq!(packet.to, self.hashes[1 - side]);
                if self.wire.len() < WIRE_MAX {
                    self.wire.push((1 - side, packet.bytes));
                }
            }
        }
    }

    fn events(&mut self, side: usize) {
        while let Some(event) = self.tables[side].poll_event() {
            match event {
                Event::Incoming { id, remote, ports } => {
                    assert_eq!((remote.hash(), ports.to), (self.hashes[1 - side], 7));
                    let stream = &mut self.streams[usize::from(ports.from) - 100];
                    assert!(stream.halves[side].id.is_none(), "opened twice");
                    stream.halves[side].id = Some(id);
                    assert!(self.tables[side].accept(self.now, id));
                }
                Event::Closed { id, reason } => {
                    if let Some(half) = self.half(side, id) {
                        assert!(half.ended.is_none(), "ended twice");
                        half.ended = Some(reason);
                    }
                }
                _ => {}
            }
        }
    }

    fn half(&mut self, side: usize, id: StreamId) -> Option<&mut Half> {
        self.streams.iter_mut().map(|s| &mut s.halves[side]).find(|h| h.id == Some(id))
    }

    fn deliver(&mut self, to: usize, bytes: &[u8]) {
        let wrapped = i2cp_gzip::decode(bytes, 8192).expect("our own wrapper");
        let from = self.hashes[1 - to];
        self.tables[to].handle_packet(self.now, Some(from), wrapped.ports, &wrapped.data);
        self.drain();
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.later(time);
        for table in &mut self.tables {
            if table.poll_timeout().is_some_and(|at| at <= self.now.mono) {
                table.handle_timeout(self.now);
            }
        }
        self.drain();
    }

    fn give_back(&mut self, stream: usize, side: usize, reset: bool) {
        let half = &mut self.streams[stream].halves[side];
        let Some(id) = half.id.filter(|_| !half.gone) else { return };
        half.gone = true;
        half.broken |= reset || !self.tables[side].has_closed(id);
        match reset {
            true => self.tables[side].reset(self.now, id),
            false => self.tables[side].close(self.now, id),
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let choice = input.byte();
        let (side, stream) = (usize::from(choice >> 7), usize::from(choice >> 5 & 3));
        let known = stream < self.streams.len();
        match choice & 31 {
            0 | 1 => self.connect(side),
            2..=6 if known => self.write(stream, side, 1 + input.below(400)),
            7 if known => self.write(stream, side, 1 + input.below(60_000)),
            8 | 9 if known => drop(self.read(stream, side, 1 + input.below(5000))),
            10 if known && input.byte() > 150 => {
                if let Half { id: Some(id), gone: false, .. } = self.streams[stream].halves[side] {
                    self.streams[stream].halves[side].shut = true;
                    self.tables[side].shutdown_write(self.now, id);
                }
            }
            11 if known && input.byte() > 200 => self.give_back(stream, side, choice & 32 != 0),
            12..=18 if !self.wire.is_empty() => {
                let (to, bytes) = self.wire.remove(0);
                self.deliver(to, &bytes);
            }
            19 | 20 if !self.wire.is_empty() => {
                let (to, bytes) = self.wire.remove(input.below(self.wire.len()));
                self.deliver(to, &bytes);
            }
            21 if !self.wire.is_empty() => {
                let (to, bytes) = self.wire[input.below(self.wire.len())].clone();
                self.deliver(to, &bytes);
            }
            22 | 23 if !self.wire.is_empty() => drop(self.wire.remove(input.below(self.wire.len()))),
            24 => {
                let count = input.below(40);
                for _ in 0..count.min(self.wire.len()) {
                    let (to, bytes) = self.wire.remove(0);
                    self.deliver(to, &bytes);
                }
            }
            25 if input.byte() > 240 => self.wire.clear(),
            26 => self.pass(Duration::from_secs(u64::from(input.byte()) / 8)),
            27 => {
                let limit = u32::from(input.byte());
                self.tables[side].set_inflight_limit(self.now, self.hashes[1 - side], limit);
            }
            28 => self.tables[side].path_changed(self.hashes[1 - side]),
            29 if input.byte() > 200 => {
                self.tables[side].remote_restarted(self.now, self.hashes[1 - side]);
            }
            _ => self.pass(Duration::from_millis(u64::from(input.byte()))),
        }
        self.drain();
    }

    /// A good line and diligent applications; true when there is nothing left to do.
    fn settle(&mut self, until: Duration) {
        let end = self.now.mono + until;
        while self.now.mono < end {
            self.steps += 1;
            assert!(self.steps < 60_000, "livelock");
            for (to, bytes) in std::mem::take(&mut self.wire) {
                self.deliver(to, &bytes);
            }
            for stream in 0..self.streams.len() {
                for side in 0..2 {
                    while self.read(stream, side, 65_536) {}
                    let half = &mut self.streams[stream].halves[side];
                    let Some(id) = half.id.filter(|_| !half.gone) else { continue };
                    if !half.shut {
                        half.shut = true;
                        self.tables[side].shutdown_write(self.now, id);
                    }
                    let over = self.streams[stream].halves[side].ended.is_some();
                    if over || self.tables[side].has_closed(id) {
                        self.give_back(stream, side, false);
                    }
                }
            }
            self.drain();
            if self.tables.iter().all(Table::is_empty) && self.wire.is_empty() {
                return;
            }
            let timers = self.tables.iter().filter_map(Table::poll_timeout).min();
            let soon = self.now.mono + Duration::from_millis(25);
            let next = timers.unwrap_or(soon).max(self.now.mono + Duration::from_millis(1));
            let next = if self.wire.is_empty() { next } else { next.min(soon) };
            self.pass(next.since(self.now.mono));
        }
    }
}

/// Both ends are honest, the line is not.
pub fn stream_pair(data: &[u8]) {
    let mut input = Input::new(data);
    let mut world = World::new();
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
    }
    world.settle(Duration::from_secs(900));
    for (number, Stream { halves }) in world.streams.iter().enumerate() {
        let sound = |half: &Half| !half.broken && matches!(half.ended, None | Some(CloseReason::Graceful));
        for side in 0..2 {
            let (half, other) = (&halves[side], &halves[1 - side]);
            if half.ended == Some(CloseReason::Graceful) && sound(half) && sound(other) {
                assert_eq!(half.read, other.written, "stream {number} side {side}: {halves:?}");
            }
        }
    }
    let left: Vec<usize> = world.tables.iter().map(Table::len).collect();
    assert_eq!(left, [0, 0], "streams are left: {:?}", world.streams);
}

fn pair_seeds() -> Vec<Vec<u8>> {
    let open = vec![0, 12, 12, 12, 12];
    let talk = vec![2, 0, 200, 0x82, 1, 9, 12, 12, 12, 24, 9, 30, 100, 8, 3, 0, 0x88, 3, 0];
    let bulk = vec![7, 200, 90, 24, 39, 30, 80, 24, 39, 22, 0, 21, 1, 19, 1, 24, 39, 26, 30, 8, 19, 0];
    let close = vec![10, 255, 0x8a, 255, 12, 12, 30, 200];
    vec![
        [open.clone(), talk.clone(), close.clone()].concat(),
        [open.clone(), talk.clone(), bulk.clone(), bulk.clone(), close].concat(),
        [open, vec![0x80, 12, 12], talk, bulk, vec![11, 255, 43, 255]].concat(),
    ]
}

/// A peer that signs what it must and says what it likes.
pub fn stream_liar(data: &[u8]) {
    let mut input = Input::new(data);
    let liar = Place::new(9);
    let (mut table, me) = table(1);
    let mut now = start();
    let ports = Ports { from: 5, to: 80 };
    let (from, mut ids, mut held) = (liar.destination.hash(), Vec::new(), Vec::new());
    if input.flag() {
        let id = table.connect(now, from, Ports { from: 80, to: 5 }, ConnectOptions::default()).unwrap();
        table.write(now, id, Bytes::from(vec![5; input.below(100_000)]));
        ids.push(id.0);
        held.push(id);
    }
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        let packet = lie(&mut input, &liar, &me, &ids);
        let proven = (input.byte() < 250).then_some(from);
        table.handle_packet(now, proven, ports, &packet);
        let mut count = 0;
        while let Some(packet) = table.poll_packet(now) {
            count += 1;
            assert!(count < BURST_MAX && packet.bytes.len() < 4096);
        }
        while let Some(event) = table.poll_event() {
            if let Event::Incoming { id, .. } = event {
                ids.push(id.0);
                held.push(id);
                if input.flag() {
                    table.accept(now, id);
                }
            }
        }
        for id in &held {
            assert!(table.readable(*id) <= 1 << 20);
            if input.byte() > 200 {
                table.read(now, *id, 10_000);
                table.write(now, *id, Bytes::from_static(&[7; 3000]));
            }
        }
        assert!(table.len() <= 2048 && table.in_flight(from) <= 512 * 2048);
        now = now.later(Duration::from_millis(u64::from(input.byte()) * 4));
        if table.poll_timeout().is_some_and(|at| at <= now.mono) {
            table.handle_timeout(now);
        }
    }
    table.reset_all(now);
    for _ in 0..40 {
        while table.poll_packet(now).is_some() || table.poll_event().is_some() {}
        now = now.later(Duration::from_secs(20));
        table.handle_timeout(now);
    }
    assert!(table.is_empty(), "{} streams are left", table.len());
}

/// A packet, signed if the input says so.
fn lie(input: &mut Input<'_>, liar: &Place, me: &crate::wire::DestHash, ids: &[u32]) -> Vec<u8> {
    use stream_packet::{CLOSE, ECHO, NO_ACK, RESET, SYNCHRONIZE};
    let small = |input: &mut Input<'_>| match input.byte() % 8 {
        0 => u32::MAX - u32::from(input.byte()),
        1 => input.u32(),
        2 => 0,
        _ => u32::from(input.byte()),
    };
    let syn = input.byte().is_multiple_of(4);
    let send_id = if syn || ids.is_empty() { 0 } else { input.pick(ids) };
    let send_id = if input.byte() > 250 { input.u32() } else { send_id };
    let receive_id = 1 + u32::from(input.byte() % 4);
    let mut flags = input.pick(&[0, 0, 0, CLOSE, RESET, ECHO, NO_ACK, CLOSE | RESET, SYNCHRONIZE | CLOSE]);
    let mut nacks: Vec<u32> = (0..input.below(9)).map(|_| small(input)).collect();
    if syn {
        flags |= SYNCHRONIZE;
        nacks = me.0.chunks(4).map(|c| u32::from_be_bytes(c.try_into().unwrap())).collect();
    }
    let sign = syn || input.flag();
    let payload = vec![3; input.below(1900)];
    let packet = StreamPacket {
        send_id,
        receive_id,
        sequence: if syn { 0 } else { small(input) },
        ack_through: small(input),
        nacks,
        resend_delay_s: input.byte(),
        flags,
        delay_ms: input.flag().then(|| input.u16()),
        from: (sign && input.byte() < 250).then(|| liar.destination.clone()),
        max_packet_size: input.flag().then(|| input.u16()),
        offline: None,
        signature: sign.then_some(0..64),
        payload: &payload,
    };
    let mut bytes = Vec::new();
    if let Some(at) = packet.encode(&mut bytes) {
        let signature = liar.signing.sign(&bytes);
        bytes[at].copy_from_slice(&signature);
    }
    if input.byte() > 245 {
        input.damage(&mut bytes);
    }
    bytes
}

fn liar_seeds() -> Vec<Vec<u8>> {
    let syn = [0u8, 0, 1, 0, 0, 5, 0, 0, 2, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 3].to_vec();
    let data = [1u8, 0, 1, 0, 0, 9, 0, 0, 40, 3, 1, 3, 0, 1, 0, 0, 0, 0, 0, 0, 201, 9].to_vec();
    vec![
        [vec![0], syn.clone(), data.clone(), data.clone()].concat(),
        [vec![1, 0, 0, 90, 0], syn, data.repeat(4)].concat(),
    ]
}
