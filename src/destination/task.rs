// SPDX-License-Identifier: MIT
//! The task of one destination: feeds its engine and hands out what comes of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::engine::{Action, Engine, Wanted};
use super::handles::Command;
use super::inbox::Arrivals;
use super::ports::{OutDatagram, PortsTask};
use super::{Error, ErrorKind, I2pStream, Incoming, LeaseSetOptions, SessionStatus, StreamStatus};
use crate::base::watch;
use crate::base::{Clock, Map, Mono, Now, QueueReceiver, QueueSender, Rng, map};
use crate::netdb::PeerView;
use crate::stream::StreamId;
use crate::tunnel::plane::Input;
use crate::tunnel::{PoolId, PoolState};
use crate::wire::{DestHash, Destination, RouterHash};

/// Time between looks for callers who have gone.
const SWEEP: Duration = Duration::from_secs(1);
/// Batches of tunnel messages taken in one turn.
const TURN: usize = 16;
/// Calls of programs that may wait for their answer, all kinds together (Z2).
const CALLS_MAX: usize = 4096;
/// Datagrams taken from programs in one turn.
const TURN_DATAGRAMS: usize = 64;

/// What the task is connected to.
pub(crate) struct Wires {
    pub(crate) clock: Clock,
    pub(crate) plane: QueueSender<Input>,
    /// Hints for control; none of them must arrive.
    pub(crate) hints: QueueSender<Hint>,
    /// Our pool, to name it in hints.
    pub(crate) pool_id: PoolId,
    pub(crate) inbox: QueueReceiver<Arrivals>,
    pub(crate) commands: QueueReceiver<Command>,
    pub(crate) pool: watch::Receiver<Arc<PoolState>>,
    pub(crate) view: watch::Receiver<PeerView>,
    /// Who takes what, and datagrams to send.
    pub(crate) ports: PortsTask,
    /// Told once, when tunnels stand and the lease set is published.
    pub(crate) ready: oneshot::Sender<()>,
    /// Why it is not ready yet, kept up to date until it is.
    pub(crate) progress: watch::Sender<String>,
    /// Inbound tunnels, outbound tunnels and streams, for whoever asks.
    pub(crate) counts: watch::Sender<(usize, usize, usize)>,
    pub(crate) stop: CancellationToken,
}

/// Something that control may want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    /// A floodfill that nobody knows yet was named: look for it.
    Find(RouterHash),
    /// Packets of this pool's owner go unanswered: its tunnels should be tested now.
    Suspect(PoolId),
}

type Reply<T> = oneshot::Sender<Result<T, Error>>;

struct Task {
    engine: Engine,
    nickname: String,
    started: Mono,
    ready: Option<oneshot::Sender<()>>,
    progress: watch::Sender<String>,
    connects: Map<u64, Reply<I2pStream>>,
    lookups: Map<u64, Reply<Destination>>,
    options: Map<u64, (DestHash, Reply<LeaseSetOptions>)>,
    accepts: VecDeque<(Wanted, Reply<Incoming>)>,
    /// Those who wait for the last stream to end.
    drained: Vec<oneshot::Sender<()>>,
    next_token: u64,
    b32: String,
}

/// Runs a destination until it is told to stop.
pub(crate) async fn run(engine: Engine, nickname: String, b32: String, mut rng: Rng, mut wires: Wires) {
    let bell = engine.bell();
    let mut task = Task {
        engine,
        nickname,
        started: wires.clock.now().mono,
        ready: Some(wires.ready),
        progress: wires.progress,
        connects: map(&mut rng),
        lookups: map(&mut rng),
        options: map(&mut rng),
        accepts: VecDeque::new(),
        drained: Vec::new(),
        next_token: 0,
        b32,
    };
    let mut inbox = Vec::with_capacity(TURN);
    let mut swept = task.started;
    task.engine.set_view(wires.clock.now(), wires.view.borrow_and_update().clone());
    let first_pool = wires.pool.borrow_and_update().clone();
    task.engine.set_pool(wires.clock.now(), first_pool);
    loop {
        let wake = task.wake(wires.clock.now(), swept);
        tokio::select! { biased;
            () = wires.stop.cancelled() => break,
            slot = wires.plane.reserve(), if task.engine.has_out() => {
                let Some(slot) = slot else { break };
                if let Some(Action::Out { handle, messages }) = task.engine.poll_out(wires.clock.now()) {
                    slot.send(Input::Out { handle, messages });
                }
            }
            // While the plane is full nothing can be sent that a timer might want to send.
            () = wires.clock.sleep_until(wake), if !task.engine.has_out() => {
                task.engine.handle_timeout(wires.clock.now());
            }
            n = wires.inbox.recv_many(&mut inbox, TURN) => {
                if n == 0 { break }
                let now = wires.clock.now();
                task.bind(now, &mut wires.ports);
                task.engine.messages(now, inbox.drain(..).flat_map(Arrivals::into_messages).collect());
            }
            ids = bell.wait() => task.engine.service(wires.clock.now(), &ids),
            datagram = wires.ports.out.recv() => {
                let Some(datagram) = datagram else { break };
                task.datagrams(wires.clock.now(), Some(datagram), &mut wires.ports);
            }
            alive = has_news(&mut wires.ports.table) => if !alive { break },
            alive = has_news(&mut wires.pool) => if !alive { break },
            command = wires.commands.recv() => {
                let Some(command) = command else { break };
                task.command(wires.clock.now(), command);
            }
            alive = has_news(&mut wires.view) => if !alive { break },
        }
        let now = wires.clock.now();
        task.service(now, &bell.take());
        task.datagrams(now, None, &mut wires.ports);
        task.catch_up(now, &mut wires.commands, &mut wires.pool, &mut wires.view);
        if now.mono.since(swept) >= SWEEP {
            swept = now.mono;
            task.sweep(now);
        }
        task.settle(now, &wires.hints, wires.pool_id, &wires.stop);
        let counts = task.engine.counts();
        wires.counts.send_if_modified(|c| std::mem::replace(c, counts) != counts);
    }
    task.shut_down(&wires.clock, &wires.plane);
}

/// Waits for a new value, which stays new; false when none will come.
async fn has_news<T>(watch: &mut watch::Receiver<T>) -> bool {
    let alive = watch.changed().await.is_ok();
    watch.mark_changed();
    alive
}

impl Task {
    fn wake(&self, now: Now, swept: Mono) -> Option<Mono> {
        let callers = !self.connects.is_empty() || !self.accepts.is_empty() || self.ready.is_some();
        let sweep = callers.then_some(swept + SWEEP);
        [self.engine.poll_timeout(now), sweep].into_iter().flatten().min()
    }

    /// Looks at the table of ports.
    fn bind(&mut self, now: Now, ports: &mut PortsTask) {
        if ports.table.has_changed().unwrap_or(false) {
            let table = ports.table.borrow_and_update().clone();
            self.engine.set_bindings(now, table);
        }
    }

    /// Takes what programs send, for a bounded amount.
    fn datagrams(&mut self, now: Now, first: Option<Box<OutDatagram>>, ports: &mut PortsTask) {
        // What a program has bound before it sent holds for what it sends to itself.
        self.bind(now, ports);
        let more = std::iter::from_fn(|| ports.out.try_recv());
        let all: Vec<Box<OutDatagram>> = first.into_iter().chain(more).take(TURN_DATAGRAMS).collect();
        if !all.is_empty() {
            self.engine.send_datagrams(now, all);
        }
    }

    fn service(&mut self, now: Now, ids: &[StreamId]) {
        if !ids.is_empty() {
            self.engine.service(now, ids);
        }
    }

    /// What a stream of messages must not keep waiting: the other sources, each for a bounded amount.
    fn catch_up(
        &mut self,
        now: Now,
        commands: &mut QueueReceiver<Command>,
        pool: &mut watch::Receiver<Arc<PoolState>>,
        view: &mut watch::Receiver<PeerView>,
    ) {
        for _ in 0..TURN {
            let Some(command) = commands.try_recv() else { break };
            self.command(now, command);
        }
        if pool.has_changed().unwrap_or(false) {
            let pool = pool.borrow_and_update().clone();
            self.engine.set_pool(now, pool);
        }
        if view.has_changed().unwrap_or(false) {
            let view = view.borrow_and_update().clone();
            self.engine.set_view(now, view);
        }
    }

    fn command(&mut self, now: Now, command: Command) {
        match command {
            Command::Connect { target, options, reply } => {
                let Some(reply) = self.admit(now, reply) else { return };
                let token = self.token();
                self.connects.insert(token, reply);
                self.engine.connect(now, token, &target, options);
            }
            Command::Accept { wanted, reply } => {
                let Some(reply) = self.admit(now, reply) else { return };
                self.accepts.push_back((wanted, reply));
            }
            Command::Lookup { hash, reply } => {
                let Some(reply) = self.admit(now, reply) else { return };
                let token = self.token();
                self.lookups.insert(token, reply);
                self.engine.lookup(now, token, hash);
            }
            Command::LookupBlinded { query: (name, access), reply } => {
                let Some(reply) = self.admit(now, reply) else { return };
                let token = self.token();
                self.lookups.insert(token, reply);
                self.engine.lookup_blinded(now, token, name, access);
            }
            Command::Options { hash, reply } => {
                let Some(reply) = self.admit(now, reply) else { return };
                let token = self.token();
                self.options.insert(token, (hash, reply));
                self.engine.lookup_current(now, token, hash);
            }
            Command::Adopt { config, reply } => {
                self.engine.adopt(&config);
                self.nickname = config.nickname;
                let _ = reply.send(());
            }
            Command::Drained { reply } => self.drained.push(reply),
            Command::Status { reply } => {
                let _ = reply.send(self.status(now));
            }
        }
    }

    /// Whether one more call may wait; if not, it is told so.
    fn admit<T>(&mut self, now: Now, reply: Reply<T>) -> Option<Reply<T>> {
        if self.waiting() >= CALLS_MAX {
            self.sweep(now);
        }
        if self.waiting() < CALLS_MAX {
            return Some(reply);
        }
        let text = format!("{CALLS_MAX} calls of this session wait already");
        let _ = reply.send(Err(Error::new(ErrorKind::Limit, text)));
        None
    }

    fn waiting(&self) -> usize {
        let asking = self.connects.len().saturating_add(self.lookups.len());
        asking.saturating_add(self.options.len()).saturating_add(self.accepts.len())
    }

    const fn token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token
    }

    /// Answers callers and brings waiting peers and waiting accepts together.
    fn settle(&mut self, now: Now, hints: &QueueSender<Hint>, pool: PoolId, stop: &CancellationToken) {
        while let Some(action) = self.engine.poll_action() {
            match action {
                Action::Connected { token, result } => {
                    if let Some(reply) = self.connects.remove(&token) {
                        let _ = reply.send(result);
                    }
                }
                Action::Found { token, result } => {
                    if let Some((hash, reply)) = self.options.remove(&token) {
                        let _ = reply.send(result.map(|_| self.engine.options_of(&hash)));
                    } else if let Some(reply) = self.lookups.remove(&token) {
                        let _ = reply.send(result);
                    }
                }
                Action::Ready => {
                    if let Some(ready) = self.ready.take() {
                        let _ = ready.send(());
                    }
                }
                Action::FindRouter(router) => {
                    let _ = hints.try_push(Hint::Find(router));
                }
                Action::Suspect => {
                    let _ = hints.try_push(Hint::Suspect(pool));
                }
                Action::KeyExpired => {
                    tracing::warn!(session = %self.nickname, "the offline key of the session has run out");
                    stop.cancel();
                }
                Action::Incoming | Action::Out { .. } => {}
            }
        }
        self.pair(now);
        if !self.drained.is_empty() && self.engine.is_drained() {
            for reply in self.drained.drain(..) {
                let _ = reply.send(());
            }
        }
    }

    fn pair(&mut self, now: Now) {
        let mut at = 0;
        while self.engine.waiting_peers() > 0 && at < self.accepts.len() {
            let Some((wanted, reply)) = self.accepts.get(at) else { break };
            let wanted = *wanted;
            if reply.is_closed() {
                self.accepts.remove(at);
                continue;
            }
            let Some(stream) = self.engine.take_incoming(now, wanted) else {
                at += 1;
                continue;
            };
            let Some((_, reply)) = self.accepts.remove(at) else { break };
            // The caller may go between the look above and here: then the next one gets the peer.
            let mut refused = reply.send(Ok(Incoming { stream })).err();
            while let Some(Ok(incoming)) = refused.take() {
                let port = incoming.stream.local_port();
                let fits = |w: &Wanted| *w == wanted || *w == Wanted::To(port);
                let next = self.accepts.iter().position(|(w, r)| fits(w) && !r.is_closed());
                let Some((_, reply)) = next.and_then(|i| self.accepts.remove(i)) else { break };
                refused = reply.send(Ok(incoming)).err();
            }
        }
    }

    /// Drops what callers have given up, and says how far a young session is.
    fn sweep(&mut self, now: Now) {
        let gone: Vec<u64> = self.connects.iter().filter(|(_, r)| r.is_closed()).map(|(t, _)| *t).collect();
        for token in gone {
            self.connects.remove(&token);
            self.engine.abandon(now, token);
        }
        self.lookups.retain(|_, r| !r.is_closed());
        self.options.retain(|_, (_, r)| !r.is_closed());
        self.accepts.retain(|(_, r)| !r.is_closed());
        self.drained.retain(|r| !r.is_closed());
        if self.ready.is_some() {
            self.progress.send_replace(self.engine.explain_unready());
        }
    }

    fn status(&self, now: Now) -> SessionStatus {
        let pool = self.engine.pool();
        let names = |hops: &[RouterHash]| hops.iter().map(ToString::to_string).collect::<Vec<_>>();
        SessionStatus {
            nickname: self.nickname.clone(),
            b32: self.b32.clone(),
            age: now.mono.since(self.started),
            inbound: pool.inbound.iter().map(|t| (names(&t.hops), now.mono.since(t.created))).collect(),
            outbound: pool.outbound.iter().map(|t| (names(&t.hops), now.mono.since(t.created))).collect(),
            published: self.engine.is_published(),
            waiting_accepts: self.accepts.len(),
            waiting_peers: self.engine.waiting_peers(),
            garlic_sessions: self.engine.garlic_sessions(),
            counters: self.engine.counters(),
            streams: self
                .engine
                .stream_stats()
                .into_iter()
                .map(|(peer, s)| StreamStatus {
                    peer: peer.to_b32_name(),
                    rtt: (s.srtt_us > 0).then(|| Duration::from_micros(s.srtt_us)),
                    window: s.window,
                    sent: s.bytes_acked,
                    received: s.bytes_received,
                    resent: s.retransmitted,
                })
                .collect(),
        }
    }

    /// Resets all streams, with as many of the packets as the plane takes at once.
    fn shut_down(&mut self, clock: &Clock, plane: &QueueSender<Input>) {
        let now = clock.now();
        self.engine.shut_down(now);
        while let Some(Action::Out { handle, messages }) = self.engine.poll_out(now) {
            if plane.try_push(Input::Out { handle, messages }).is_err() {
                break;
            }
        }
        for (_, reply) in self.connects.drain() {
            let _ = reply.send(Err(Error::closed()));
        }
    }
}
