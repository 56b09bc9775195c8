// SPDX-License-Identifier: MIT
//! Two destinations, the path between them, and applications that write, read and close.

use crate::base::{Mono, Now, Rng};
use crate::crypto::SigningKey;
use crate::crypto::sign::AnySigningKey;
use crate::stream::{CloseReason, Config, ConnectOptions, Event, OutPacket, PacketKind, StreamId, Table};
use crate::wire::i2cp_gzip::{self, Ports};
use crate::wire::{DestHash, Destination, KeysAndCert, SigType};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

pub(super) const PORTS: Ports = Ports { from: 1000, to: 80 };

/// What the path does to packets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    pub(super) delay: Duration,
    pub(super) jitter: Duration,
    /// Out of a thousand.
    pub(super) loss: u64,
    pub(super) duplicate: u64,
    /// Packets per second; 0: no limit.
    pub(super) rate: u64,
    /// Packets that wait for the bottleneck; more are dropped.
    pub(super) queue: u64,
    /// Whether jitter reorders.
    pub(super) reorder: bool,
}

impl Path {
    pub(super) const fn clean(delay_ms: u64) -> Self {
        Self {
            delay: Duration::from_millis(delay_ms),
            jitter: Duration::ZERO,
            loss: 0,
            duplicate: 0,
            rate: 0,
            queue: 1000,
            reorder: false,
        }
    }
}

/// An application at one end of a stream.
#[derive(Debug, Default)]
pub(super) struct App {
    pub(super) outgoing: Vec<u8>,
    pub(super) written: usize,
    pub(super) received: Vec<u8>,
    pub(super) connected: bool,
    pub(super) remote_closed: bool,
    pub(super) flushed: bool,
    pub(super) closed: Option<CloseReason>,
    /// Does not read.
    pub(super) asleep: bool,
    /// Bytes of one write.
    pub(super) chunk: usize,
    /// Gives the stream back when all is written and, if it waits for that, the peer has closed.
    pub(super) closes: Closes,
    pub(super) gone: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Closes {
    #[default]
    Never,
    WhenWritten,
    WhenWrittenAndPeerDone,
    HalfThenFull,
    AfterPeer,
}

pub(super) struct Side {
    pub(super) table: Table,
    pub(super) local: Destination,
    pub(super) apps: BTreeMap<StreamId, App>,
    /// Streams whose application has been called: it looks at its stream only then.
    pub(super) dirty: BTreeSet<StreamId>,
    pub(super) incoming: Vec<StreamId>,
    pub(super) accepts: bool,
    /// What an accepted stream's application does.
    pub(super) server: fn(&mut App),
    pub(super) pongs: Vec<Vec<u8>>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct InTransit {
    at: std::cmp::Reverse<(Mono, u64)>,
    to: usize,
    bytes: Vec<u8>,
}

pub(super) struct World {
    pub(super) now: Now,
    pub(super) sides: [Side; 2],
    pub(super) path: Path,
    pub(super) sent: [u64; 2],
    pub(super) kinds: BTreeMap<(usize, &'static str), u64>,
    pub(super) cut: bool,
    pub(super) proven: bool,
    transit: BinaryHeap<InTransit>,
    free_at: [Mono; 2],
    last_at: [Mono; 2],
    serial: u64,
    rng: Rng,
}

pub(super) fn destination(rng: &mut Rng) -> (Destination, Arc<AnySigningKey>) {
    let key = SigningKey::random(rng);
    let local = Destination::new(KeysAndCert::build(SigType::Ed25519, &key.public(), 0, &[], rng.bytes()));
    (local, Arc::new(key.into()))
}

impl World {
    pub(super) fn new(seed: u64, path: Path) -> Self {
        Self::with(seed, path, Config::default())
    }

    pub(super) fn with(seed: u64, path: Path, config: Config) -> Self {
        let mut rng = Rng::from_seed(seed);
        let mut side = |label| {
            let mut rng = rng.fork(label);
            let (local, key) = destination(&mut rng);
            let mut table = Table::new(local.clone(), key, None, config.clone(), rng);
            table.listen(0);
            Side {
                table,
                local,
                apps: BTreeMap::new(),
                dirty: BTreeSet::new(),
                incoming: Vec::new(),
                accepts: true,
                server: |_| {},
                pongs: Vec::new(),
            }
        };
        let sides = [side("a"), side("b")];
        Self {
            now: Now { mono: Mono::from_secs(1), wall_ms: 1_700_000_000_000 },
            sides,
            path,
            sent: [0; 2],
            kinds: BTreeMap::new(),
            cut: false,
            proven: true,
            transit: BinaryHeap::new(),
            free_at: [Mono::default(); 2],
            last_at: [Mono::default(); 2],
            serial: 0,
            rng,
        }
    }

    pub(super) fn hash(&self, side: usize) -> DestHash {
        self.sides[side].local.hash()
    }

    /// Opens a stream from the first side to the second.
    pub(super) fn connect(&mut self, app: App) -> StreamId {
        let to = self.hash(1);
        let id = self.sides[0].table.connect(self.now, to, PORTS, ConnectOptions::default()).unwrap();
        self.sides[0].apps.insert(id, app);
        self.sides[0].dirty.insert(id);
        self.work(0);
        id
    }

    pub(super) fn app(&mut self, side: usize, id: StreamId) -> &mut App {
        self.sides[side].dirty.insert(id);
        self.sides[side].apps.get_mut(&id).unwrap()
    }

    /// The only stream of the second side.
    pub(super) fn served(&self) -> StreamId {
        *self.sides[1].apps.keys().next().unwrap()
    }

    fn emit(&mut self, from: usize, packet: OutPacket) {
        self.sent[from] += 1;
        let kind = match packet.kind {
            PacketKind::Syn => "syn",
            PacketKind::Data => "data",
            PacketKind::Ack => "ack",
            PacketKind::Close => "close",
            PacketKind::Reset => "reset",
            PacketKind::Ping => "ping",
        };
        *self.kinds.entry((from, kind)).or_default() += 1;
        let to = if packet.to == self.hash(0) { 0 } else { 1 };
        if self.cut || self.rng.below(1000) < self.path.loss {
            return;
        }
        let copies = 1 + u64::from(self.rng.below(1000) < self.path.duplicate);
        for _ in 0..copies {
            self.carry(from, to, packet.bytes.clone());
        }
    }

    fn carry(&mut self, from: usize, to: usize, bytes: Vec<u8>) {
        let mut start = self.now.mono;
        if let Some(slot) = 1_000_000u64.checked_div(self.path.rate) {
            let queued = self.free_at[from].0.saturating_sub(start.0) / slot;
            if queued > self.path.queue {
                return;
            }
            start = start.max(self.free_at[from]) + Duration::from_micros(slot);
            self.free_at[from] = start;
        }
        let jitter = self.rng.below(self.path.jitter.as_micros() as u64 + 1);
        let mut at = start + self.path.delay + Duration::from_micros(jitter);
        if !self.path.reorder {
            at = at.max(self.last_at[from]);
            self.last_at[from] = at;
        }
        self.serial += 1;
        self.transit.push(InTransit { at: std::cmp::Reverse((at, self.serial)), to, bytes });
    }

    /// Lets one side's applications and engine do all they can do now.
    pub(super) fn work(&mut self, side: usize) {
        loop {
            let now = self.now;
            let s = &mut self.sides[side];
            s.drain_events(now);
            s.run_apps(now);
            let Some(packet) = s.table.poll_packet(now) else {
                if s.drain_events(now) {
                    continue;
                }
                return;
            };
            self.emit(side, packet);
            while let Some(packet) = self.sides[side].table.poll_packet(now) {
                self.emit(side, packet);
            }
        }
    }

    /// Moves time to the next thing that happens, but not beyond `until`. Answers whether there was one.
    pub(super) fn step(&mut self, until: Mono) -> bool {
        let arrival = self.transit.peek().map(|p| p.at.0.0);
        let timers = self.sides.iter().filter_map(|s| s.table.poll_timeout());
        let Some(next) = timers.chain(arrival).min().filter(|at| *at <= until) else {
            self.now = self.now.later(until.since(self.now.mono));
            return false;
        };
        self.now = self.now.later(next.since(self.now.mono));
        let now = self.now;
        while self.transit.peek().is_some_and(|p| p.at.0.0 <= now.mono) {
            let p = self.transit.pop().unwrap();
            let unwrapped = i2cp_gzip::decode(&p.bytes, 8192).unwrap();
            assert_eq!(unwrapped.protocol, 6);
            let from = self.proven.then(|| self.hash(1 - p.to));
            self.sides[p.to].table.handle_packet(now, from, unwrapped.ports, &unwrapped.data);
        }
        for side in 0..2 {
            if self.sides[side].table.poll_timeout().is_some_and(|at| at <= now.mono) {
                self.sides[side].table.handle_timeout(now);
            }
            self.work(side);
        }
        true
    }

    pub(super) fn run(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let until = self.now.mono + limit;
        for side in 0..2 {
            self.work(side);
        }
        let mut steps = 0u64;
        while !done(self) {
            steps += 1;
            assert!(steps < 20_000_000, "livelock");
            if !self.step(until) {
                return done(self);
            }
        }
        true
    }

    pub(super) fn run_for(&mut self, time: Duration) {
        self.run(time, |_| false);
    }
}

impl Side {
    fn drain_events(&mut self, now: Now) -> bool {
        let mut any = false;
        while let Some(event) = self.table.poll_event() {
            any = true;
            match event {
                Event::Incoming { id, .. } => {
                    self.incoming.push(id);
                    if self.accepts && self.table.accept(now, id) {
                        let mut app = App { connected: true, ..App::default() };
                        (self.server)(&mut app);
                        self.apps.insert(id, app);
                        self.dirty.insert(id);
                    }
                }
                Event::Pong { payload, .. } => self.pongs.push(payload),
                Event::Connected(id) => self.with(id, |a| {
                    assert!(!a.connected, "connected twice");
                    a.connected = true;
                }),
                Event::RemoteClosed(id) => self.with(id, |a| {
                    assert!(!a.remote_closed, "closed twice");
                    a.remote_closed = true;
                }),
                Event::Flushed(id) => self.with(id, |a| a.flushed = true),
                Event::Closed { id, reason } => self.with(id, |a| {
                    assert_eq!(a.closed, None, "ended twice");
                    a.closed = Some(reason);
                }),
                Event::Readable(id) | Event::Writable(id) => self.with(id, |_| {}),
            }
        }
        any
    }

    fn with(&mut self, id: StreamId, f: impl FnOnce(&mut App)) {
        if let Some(app) = self.apps.get_mut(&id) {
            f(app);
            self.dirty.insert(id);
        }
    }

    fn run_apps(&mut self, now: Now) {
        for id in std::mem::take(&mut self.dirty) {
            let Some(app) = self.apps.get_mut(&id).filter(|a| !a.gone) else { continue };
            while !app.asleep {
                let Some(bytes) = self.table.read(now, id, 16_384) else { break };
                app.received.extend_from_slice(&bytes);
            }
            if app.closes == Closes::WhenWrittenAndPeerDone && !app.remote_closed {
                continue;
            }
            let chunk = if app.chunk == 0 { 16_384 } else { app.chunk };
            while app.written < app.outgoing.len() {
                let end = app.outgoing.len().min(app.written + chunk);
                let taken =
                    self.table.write(now, id, Bytes::copy_from_slice(&app.outgoing[app.written..end]));
                app.written += taken;
                if taken == 0 {
                    break;
                }
            }
            let all = app.written == app.outgoing.len();
            match app.closes {
                Closes::Never => {}
                Closes::WhenWritten | Closes::WhenWrittenAndPeerDone
                    if all && (app.remote_closed || app.closes == Closes::WhenWritten) =>
                {
                    self.table.close(now, id);
                    app.gone = true;
                }
                Closes::HalfThenFull | Closes::AfterPeer
                    if app.closed.is_some() || (app.remote_closed && all && self.table.is_finished(id)) =>
                {
                    self.table.close(now, id);
                    app.gone = true;
                }
                Closes::HalfThenFull if all => self.table.shutdown_write(now, id),
                _ => {}
            }
        }
    }
}

/// Bytes that differ everywhere.
pub(super) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    Rng::from_seed(seed).fill(&mut out);
    out
}
