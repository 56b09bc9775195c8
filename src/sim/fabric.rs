// SPDX-License-Identifier: MIT
//! The simulated internet: hosts with addresses, listeners, connections, and one timer for everything on the way.
//!
//! Events are kept by millisecond and order of their making; tokio's timers know no finer time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::conn::{Conn, End, Flight, Load};
use super::link::{Line, LinkProfile, Way, chance, us};
use super::tap::{Chunk, Leak, Observer, Seen, Tap, Verdict, contains};
use super::trace::Trace;
use crate::base::Rng;

/// A connection whose bytes are not acknowledged for so long fails, as with `base::TcpNet`.
const SILENCE_MS: u64 = 30_000;
/// Pauses between tries to deliver what is stuck.
const FIRST_PAUSE_MS: u64 = 1_000;
const LAST_PAUSE_MS: u64 = 8_000;
/// Connections that wait for a listener.
const BACKLOG: usize = 1024;

/// Number of a host in its world.
pub(super) type HostId = usize;

/// What stands between a host and the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Nat {
    /// Nothing: everybody can call.
    #[default]
    Open,
    /// Calls from outside are refused.
    Refusing,
    /// Calls from outside get no answer.
    Firewall,
    /// A translator with one outside port for each inside port. For streams the same as [`Self::Firewall`].
    Cone,
    /// A translator with an outside port for each peer. For streams the same as [`Self::Firewall`].
    Symmetric,
}

/// What a connection attempt meets.
pub(super) enum Syn {
    /// No answer.
    Lost,
    /// Refused, after a round trip.
    Refused(Duration),
    /// Taken, after a round trip.
    Open(Duration),
}

pub(super) struct Host {
    pub(super) ip: IpAddr,
    pub(super) nat: Nat,
    /// How long its translator remembers a silent connection.
    pub(super) mapping: Option<Duration>,
    pub(super) up: bool,
    /// Hosts of different groups cannot reach each other.
    pub(super) group: u32,
    pub(super) lines: (Line, Line),
    /// The link of this host to all others, unless a pair has one of its own.
    pub(super) link: Option<LinkProfile>,
    next_port: u16,
}

struct Listening {
    /// A listener that goes takes only itself away.
    id: u64,
    waiting: VecDeque<u64>,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// Something that this side has sent arrives.
    Deliver(u64, usize),
    /// This side hears that the other has read.
    Credit(u64, usize),
    /// The called side learns of the connection.
    Accept(u64),
}

/// What the fabric counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetStats {
    /// Connections that were made.
    pub connections: u64,
    /// Attempts that were refused or got no answer.
    pub refused: u64,
    /// Chunks that arrived.
    pub chunks: u64,
    /// Bytes that arrived.
    pub bytes: u64,
    /// Connections that failed: reset, cut, or silent for too long.
    pub failures: u64,
    /// Connections that are open, or not quite closed.
    pub open: usize,
}

pub(super) struct State {
    rng: Rng,
    /// For latencies of pairs.
    salt: u64,
    pub(super) trace: Trace,
    pub(super) stats: NetStats,
    pub(super) hosts: Vec<Host>,
    pub(super) default_link: LinkProfile,
    links: BTreeMap<(HostId, HostId), LinkProfile>,
    taps: BTreeMap<(HostId, HostId), Box<dyn Tap>>,
    pub(super) observers: Vec<Observer>,
    pub(super) secrets: Vec<Vec<u8>>,
    pub(super) leaks: Vec<Leak>,
    listeners: BTreeMap<(HostId, u16), Listening>,
    conns: BTreeMap<u64, Box<Conn>>,
    next_conn: u64,
    next_listener: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    next_event: u64,
    /// When the driver wakes by itself.
    armed_ms: u64,
}

/// See the module.
pub(super) struct Fabric {
    state: Mutex<State>,
    alarm: Notify,
    start: Instant,
}

impl Fabric {
    pub(super) fn new(mut rng: Rng, trace: Trace, link: LinkProfile) -> Arc<Self> {
        let state = State {
            salt: rng.u64(),
            rng,
            trace,
            stats: NetStats::default(),
            hosts: Vec::new(),
            default_link: link,
            links: BTreeMap::new(),
            taps: BTreeMap::new(),
            observers: Vec::new(),
            secrets: Vec::new(),
            leaks: Vec::new(),
            listeners: BTreeMap::new(),
            conns: BTreeMap::new(),
            next_conn: 0,
            next_listener: 0,
            events: BinaryHeap::new(),
            next_event: 0,
            armed_ms: u64::MAX,
        };
        Arc::new(Self { state: Mutex::new(state), alarm: Notify::new(), start: Instant::now() })
    }

    pub(super) fn now_us(&self) -> u64 {
        us(self.start.elapsed())
    }

    /// The state, to look at. What schedules events goes through [`Self::with`].
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on the state at the present time (in microseconds) and wakes the driver if it has to be up earlier.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut State, u64) -> T) -> T {
        let now_us = self.now_us();
        let mut state = self.lock();
        let done = work(&mut state, now_us);
        let early = state.next_ms().is_some_and(|next| next < state.armed_ms);
        drop(state);
        if early {
            self.alarm.notify_one();
        }
        done
    }

    /// Delivers what arrives, for as long as the world stands.
    pub(super) async fn run(self: Arc<Self>) {
        loop {
            let next = {
                let now_us = self.now_us();
                let mut state = self.lock();
                state.armed_ms = 0;
                state.fire(now_us);
                let next = state.next_ms();
                state.armed_ms = next.unwrap_or(u64::MAX);
                next
            };
            let wake = async {
                match next {
                    Some(ms) => tokio::time::sleep_until(self.start + Duration::from_millis(ms)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! { biased;
                () = self.alarm.notified() => {}
                () = wake => {}
            }
        }
    }
}

impl State {
    fn next_ms(&self) -> Option<u64> {
        self.events.peek().map(|Reverse((at, ..))| *at)
    }

    fn schedule(&mut self, at_ms: u64, event: Event) {
        self.next_event += 1;
        self.events.push(Reverse((at_ms, self.next_event, event)));
    }

    pub(super) fn log(&mut self, now_us: u64, what: &'static str, of: u64, numbers: [u64; 3]) {
        self.trace.event(now_us / 1000, what, of, numbers);
    }

    /// The link from one host to another, and its latency.
    fn link(&self, from: HostId, to: HostId) -> (LinkProfile, u64) {
        let own = |host: HostId| self.hosts.get(host).and_then(|h| h.link.as_ref());
        let profile =
            self.links.get(&(from, to)).or(own(from)).or(own(to)).unwrap_or(&self.default_link).clone();
        let latency = profile.latency.map_or_else(|| self.pair_latency(from, to), us);
        (profile, latency)
    }

    /// From 10 to 80 ms, the same in both directions.
    fn pair_latency(&self, a: HostId, b: HostId) -> u64 {
        let pair = (a.min(b) as u64) << 32 | a.max(b) as u64;
        10_000 + Rng::from_seed(self.salt ^ pair).below(70_000)
    }

    /// Sets the link of a pair in one direction; `None` takes it away. Holds for open connections as well.
    pub(super) fn set_link(&mut self, from: HostId, to: HostId, link: Option<LinkProfile>) {
        match link {
            Some(link) => self.links.insert((from, to), link),
            None => self.links.remove(&(from, to)),
        };
        self.renew_links();
    }

    /// Gives every open connection the links that hold now.
    pub(super) fn renew_links(&mut self) {
        let mut conns = std::mem::take(&mut self.conns);
        for conn in conns.values_mut() {
            let [a, b] = &mut conn.ends;
            let ((forth, forth_us), (back, back_us)) = (self.link(a.host, b.host), self.link(b.host, a.host));
            a.set_profile(forth, forth_us);
            b.set_profile(back, back_us);
        }
        self.conns = conns;
    }

    pub(super) fn set_tap(&mut self, from: HostId, to: HostId, tap: Option<Box<dyn Tap>>) {
        match tap {
            Some(tap) => self.taps.insert((from, to), tap),
            None => self.taps.remove(&(from, to)),
        };
    }

    pub(super) fn add_host(&mut self, ip: IpAddr, nat: Nat) -> HostId {
        self.hosts.push(Host {
            ip,
            nat,
            mapping: None,
            up: true,
            group: 0,
            lines: <(Line, Line)>::default(),
            link: None,
            next_port: 32_768,
        });
        self.hosts.len() - 1
    }

    fn host_at(&self, ip: IpAddr) -> Option<HostId> {
        self.hosts.iter().position(|h| h.ip == ip)
    }

    /// Whether packets get from one host to the other at all.
    fn reaches(&self, from: HostId, to: HostId) -> bool {
        let (Some(a), Some(b)) = (self.hosts.get(from), self.hosts.get(to)) else { return false };
        a.up && b.up && a.group == b.group
    }

    /// A first packet of a connection, sent now.
    pub(super) fn syn(&mut self, from: HostId, to: SocketAddr) -> Syn {
        let Some(target) = self.host_at(to.ip()) else { return Syn::Lost };
        let ((forth, forth_us), (back, back_us)) = (self.link(from, target), self.link(target, from));
        let cut = forth.is_cut() || back.is_cut() || !self.reaches(from, target);
        if cut || chance(&mut self.rng, forth.loss) || chance(&mut self.rng, back.loss) {
            return Syn::Lost;
        }
        let trip = Duration::from_micros(forth_us + back_us);
        match self.hosts.get(target).map(|h| h.nat) {
            _ if target == from => {}
            Some(Nat::Open) => {}
            Some(Nat::Refusing) => return Syn::Refused(trip),
            _ => return Syn::Lost,
        }
        match self.listeners.get(&(target, to.port())) {
            None => Syn::Refused(trip),
            Some(listening) if listening.waiting.len() >= BACKLOG => Syn::Lost,
            Some(_) => Syn::Open(trip),
        }
    }

    /// The caller has its answer: the connection stands for it.
    pub(super) fn establish(
        &mut self,
        now_us: u64,
        from: HostId,
        to: SocketAddr,
    ) -> Option<(u64, SocketAddr)> {
        let target = self.host_at(to.ip())?;
        let host = self.hosts.get_mut(from)?;
        host.next_port = host.next_port.checked_add(1).unwrap_or(32_768);
        let local = SocketAddr::new(host.ip, host.next_port);
        let ((forth, forth_us), (back, back_us)) = (self.link(from, target), self.link(target, from));
        let caller = End::new(from, local, Way::new(forth, forth_us));
        let called = End::new(target, to, Way::new(back, back_us));
        let id = self.next_conn;
        self.next_conn += 1;
        self.conns.insert(id, Box::new(Conn { ends: [caller, called], used_ms: now_us / 1000 }));
        self.schedule((now_us + forth_us).div_ceil(1000), Event::Accept(id));
        self.stats.connections += 1;
        self.log(now_us, "connect", id, [from as u64, target as u64, u64::from(to.port())]);
        Some((id, local))
    }

    /// The port, and a number of the listener.
    pub(super) fn listen(&mut self, host: HostId, port: u16) -> io::Result<(u16, u64)> {
        let port = if port == 0 { self.free_port(host) } else { port };
        if self.listeners.contains_key(&(host, port)) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        self.next_listener += 1;
        let id = self.next_listener;
        self.listeners.insert((host, port), Listening { id, waiting: VecDeque::new(), waker: None });
        Ok((port, id))
    }

    fn free_port(&mut self, host: HostId) -> u16 {
        loop {
            let port = u16::try_from(self.rng.between(9_151, 30_777)).unwrap_or(9_151);
            if !self.listeners.contains_key(&(host, port)) {
                return port;
            }
        }
    }

    pub(super) fn unlisten(&mut self, now_us: u64, (host, port): (HostId, u16), id: u64) {
        if self.listeners.get(&(host, port)).is_none_or(|l| l.id != id) {
            return;
        }
        let Some(listening) = self.listeners.remove(&(host, port)) else { return };
        for id in listening.waiting {
            self.close(now_us, id, 1, true);
        }
    }

    /// The next connection of a listener.
    pub(super) fn poll_accept(
        &mut self,
        host: HostId,
        port: u16,
        waker: &Waker,
    ) -> Poll<io::Result<(u64, SocketAddr, SocketAddr)>> {
        let Some(listening) = self.listeners.get_mut(&(host, port)) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        while let Some(id) = listening.waiting.pop_front() {
            if let Some(conn) = self.conns.get(&id) {
                let [caller, called] = &conn.ends;
                return Poll::Ready(Ok((id, called.addr, caller.addr)));
            }
        }
        listening.waker = Some(waker.clone());
        Poll::Pending
    }

    /// Takes bytes of a program.
    pub(super) fn poll_write(
        &mut self,
        now_us: u64,
        (id, side): (u64, usize),
        bytes: &[u8],
        waker: &Waker,
    ) -> Poll<io::Result<usize>> {
        let Some(conn) = self.conns.get_mut(&id) else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        };
        let (end, other) = conn.sides(side);
        if let Some(error) = end.error {
            return Poll::Ready(Err(error.into()));
        }
        let room = end.room(now_us / 1000, other.unread);
        if room == 0 {
            end.writer = Some(waker.clone());
            self.schedule_credit(id, side);
            return Poll::Pending;
        }
        let bytes = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        let (from, to) = (end.host, other.host);
        let line = |host: Option<&Host>, up| {
            host.map(|h| if up { &h.lines.0 } else { &h.lines.1 }).cloned().unwrap_or_default()
        };
        let mut lines = (line(self.hosts.get(from), true), line(self.hosts.get(to), false));
        end.send(&mut self.rng, now_us, bytes, (&mut lines.0, &mut lines.1));
        if let Some(host) = self.hosts.get_mut(from) {
            host.lines.0 = lines.0;
        }
        if let Some(host) = self.hosts.get_mut(to) {
            host.lines.1 = lines.1;
        }
        self.schedule_delivery(id, side);
        Poll::Ready(Ok(bytes.len()))
    }

    fn schedule_delivery(&mut self, id: u64, side: usize) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let Some(end) = conn.ends.get_mut(side) else { return };
        if let Some(first) = end.flying.front()
            && !end.scheduled
        {
            end.scheduled = true;
            let at = first.at_ms;
            self.schedule(at, Event::Deliver(id, side));
        }
    }

    fn schedule_credit(&mut self, id: u64, side: usize) {
        let Some(end) = self.conns.get_mut(&id).and_then(|c| c.ends.get_mut(side)) else { return };
        if let Some(at) = end.next_credit()
            && end.writer.is_some()
            && !end.credit_due
        {
            end.credit_due = true;
            self.schedule(at, Event::Credit(id, side));
        }
    }

    /// Gives bytes to a program.
    pub(super) fn poll_read(
        &mut self,
        now_us: u64,
        (id, side): (u64, usize),
        out: &mut tokio::io::ReadBuf<'_>,
        waker: &Waker,
    ) -> Poll<io::Result<()>> {
        let Some(conn) = self.conns.get_mut(&id) else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        };
        let (end, other) = conn.sides(side);
        let taken = end.read(out);
        if taken > 0 {
            other.owe((now_us + end.way.latency_us).div_ceil(1000), taken);
            self.schedule_credit(id, 1 - side);
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = end.error {
            return Poll::Ready(Err(error.into()));
        }
        if end.fin {
            return Poll::Ready(Ok(()));
        }
        end.reader = Some(waker.clone());
        Poll::Pending
    }

    pub(super) fn reset_on_close(&mut self, id: u64, side: usize) {
        if let Some(end) = self.conns.get_mut(&id).and_then(|c| c.ends.get_mut(side)) {
            end.reset_on_close = true;
        }
    }

    /// A program sends no more.
    pub(super) fn shut(&mut self, now_us: u64, id: u64, side: usize) {
        if let Some(end) = self.conns.get_mut(&id).and_then(|c| c.ends.get_mut(side))
            && end.error.is_none()
        {
            end.send_end(&mut self.rng, now_us, Load::Fin);
        }
        self.schedule_delivery(id, side);
    }

    /// A program lets go of its end.
    pub(super) fn close(&mut self, now_us: u64, id: u64, side: usize, reset: bool) {
        let Some(end) = self.conns.get_mut(&id).and_then(|c| c.ends.get_mut(side)) else { return };
        if !end.gone {
            end.gone = true;
            if end.error.is_none() && !end.lost {
                let reset = reset || end.reset_on_close || end.unread > 0;
                end.send_end(&mut self.rng, now_us, if reset { Load::Reset } else { Load::Fin });
            }
        }
        self.schedule_delivery(id, side);
        self.bury(id);
    }

    fn bury(&mut self, id: u64) {
        if self.conns.get(&id).is_some_and(|c| c.is_over()) {
            self.conns.remove(&id);
        }
    }

    /// A machine forgets its connections without a word; their other ends find out by themselves.
    pub(super) fn forget_connections(&mut self, host: HostId) {
        for conn in self.conns.values_mut() {
            for end in conn.ends.iter_mut().filter(|e| e.host == host && !e.lost) {
                end.fail(io::ErrorKind::NotConnected);
                end.gone = true;
            }
        }
        self.forget_listeners(host);
        self.conns.retain(|_, c| !c.is_over());
    }

    /// Nobody listens at this host any more.
    pub(super) fn forget_listeners(&mut self, host: HostId) {
        self.listeners.retain(|(h, _), _| *h != host);
    }

    /// Nothing reaches the connections of a machine any more, which it does not know.
    pub(super) fn lose_connections(&mut self, host: HostId) {
        let ends = self.conns.values_mut().flat_map(|c| c.ends.iter_mut());
        ends.filter(|e| e.host == host).for_each(|e| e.lost = true);
    }

    /// Connections that stand.
    pub(super) fn open_connections(&self) -> usize {
        self.conns.len()
    }

    fn fire(&mut self, now_us: u64) {
        let now_ms = now_us / 1000;
        while let Some(Reverse((at, _, event))) = self.events.peek().copied()
            && at <= now_ms
        {
            self.events.pop();
            match event {
                Event::Deliver(id, side) => self.deliver(now_us, id, side),
                Event::Credit(id, side) => self.credit(now_ms, id, side),
                Event::Accept(id) => self.accept(now_us, id),
            }
        }
    }

    fn credit(&mut self, now_ms: u64, id: u64, side: usize) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let (end, other) = conn.sides(side);
        end.credit_due = false;
        if end.room(now_ms, other.unread) > 0
            && let Some(waker) = end.writer.take()
        {
            waker.wake();
        }
        self.schedule_credit(id, side);
    }

    fn accept(&mut self, now_us: u64, id: u64) {
        let Some(conn) = self.conns.get(&id) else { return };
        let [_, called] = &conn.ends;
        let key = (called.host, called.addr.port());
        match self.listeners.get_mut(&key) {
            Some(listening) => {
                listening.waiting.push_back(id);
                if let Some(waker) = listening.waker.take() {
                    waker.wake();
                }
            }
            None => self.close(now_us, id, 1, true),
        }
    }

    /// Whether what this side has sent can arrive.
    fn passes(&self, now_ms: u64, conn: &Conn, side: usize) -> bool {
        let [a, b] = &conn.ends;
        let quiet = now_ms.saturating_sub(conn.used_ms);
        let forgotten = |host: HostId| {
            let mapping = self.hosts.get(host).and_then(|h| h.mapping);
            mapping.is_some_and(|m| u128::from(quiet) > m.as_millis())
        };
        let end = conn.ends.get(side);
        self.reaches(a.host, b.host)
            && !(a.lost || b.lost)
            && !(forgotten(a.host) || forgotten(b.host))
            && end.is_some_and(|e| !e.swallowed && !e.way.profile.is_cut())
    }

    fn deliver(&mut self, now_us: u64, id: u64, side: usize) {
        let Some(mut conn) = self.conns.remove(&id) else { return };
        let now_ms = now_us / 1000;
        if let Some(end) = conn.ends.get_mut(side) {
            end.scheduled = false;
        }
        let passes = self.passes(now_ms, &conn, side);
        while let (end, _) = conn.sides(side)
            && end.flying.front().is_some_and(|f| f.at_ms <= now_ms)
        {
            if !passes {
                self.stuck(now_ms, end);
                break;
            }
            end.stuck = None;
            let Some(flight) = end.land() else { break };
            self.land(now_us, id, &mut conn, side, flight);
        }
        self.conns.insert(id, conn);
        self.schedule_delivery(id, 0);
        self.schedule_delivery(id, 1);
        self.bury(id);
    }

    /// What cannot be delivered is tried again, for a while.
    fn stuck(&mut self, now_ms: u64, end: &mut End) {
        let (since, pause) = end.stuck.unwrap_or((now_ms, FIRST_PAUSE_MS));
        if end.gone && end.lost || now_ms - since >= SILENCE_MS {
            self.stats.failures += 1;
            end.fail(io::ErrorKind::TimedOut);
            return;
        }
        end.stuck = Some((since, (pause * 2).min(LAST_PAUSE_MS)));
        let again = now_ms + pause.min(since + SILENCE_MS - now_ms).max(1);
        for flight in &mut end.flying {
            flight.at_ms = flight.at_ms.max(again);
        }
    }

    /// A piece arrives.
    fn land(&mut self, now_us: u64, id: u64, conn: &mut Conn, side: usize, mut flight: Flight) {
        let (end, other) = conn.sides(side);
        if let Load::Data(bytes) = &mut flight.load
            && !flight.tapped
            && let Some(tap) = self.taps.get_mut(&(end.host, other.host))
        {
            let mut chunk = Chunk {
                at: Duration::from_micros(now_us),
                connection: id,
                forth: side == 0,
                from: end.addr,
                to: other.addr,
                offset: end.delivered,
                bytes,
            };
            match tap.chunk(&mut chunk) {
                Verdict::Pass => {}
                Verdict::Delay(time) => {
                    flight.tapped = true;
                    flight.at_ms = (now_us + us(time)).div_ceil(1000).max(now_us / 1000 + 1);
                    return end.delay(flight);
                }
                Verdict::Cut => {
                    self.stats.failures += 1;
                    end.fail(io::ErrorKind::ConnectionReset);
                    return other.fail(io::ErrorKind::ConnectionReset);
                }
                Verdict::Swallow => {
                    end.swallowed = true;
                    return end.delay(flight);
                }
            }
        }
        conn.used_ms = now_us / 1000;
        self.arrive(now_us, id, conn, side, flight.load);
    }

    fn arrive(&mut self, now_us: u64, id: u64, conn: &mut Conn, side: usize, load: Load) {
        let (end, other) = conn.sides(side);
        match load {
            Load::Reset => {
                self.stats.failures += 1;
                self.trace.event(now_us / 1000, "reset", id, [side as u64, 0, 0]);
                other.fail(io::ErrorKind::ConnectionReset);
            }
            Load::Fin if other.gone => {}
            Load::Fin => {
                self.trace.event(now_us / 1000, "fin", id, [side as u64, 0, 0]);
                other.fin = true;
                other.wake();
            }
            Load::Data(_) if other.gone || other.error.is_some() => {
                other.send_end(&mut self.rng, now_us, Load::Reset);
            }
            Load::Data(bytes) => {
                let numbers = [side as u64, bytes.len() as u64, u64::from(crc32fast::hash(&bytes))];
                self.trace.event(now_us / 1000, "chunk", id, numbers);
                self.stats.chunks += 1;
                self.stats.bytes += bytes.len() as u64;
                end.delivered += bytes.len() as u64;
                self.show(now_us, (id, side == 0), end, other, &bytes);
                other.unread += bytes.len();
                if !bytes.is_empty() {
                    other.inbox.push_back(bytes);
                }
                if let Some(waker) = other.reader.take() {
                    waker.wake();
                }
            }
        }
    }

    /// Lets observers see what has arrived, and looks for what must not be seen.
    fn show(&mut self, now_us: u64, (id, forth): (u64, bool), end: &mut End, other: &End, bytes: &[u8]) {
        let at = Duration::from_micros(now_us);
        let seen = Seen { at, connection: id, forth, from: end.addr, to: other.addr, bytes };
        self.observers.iter_mut().for_each(|observer| observer(&seen));
        let Some(longest) = self.secrets.iter().map(Vec::len).max() else { return };
        end.tail.extend_from_slice(bytes);
        for (pattern, secret) in self.secrets.iter().enumerate() {
            if contains(&end.tail, secret) {
                self.leaks.push(Leak { at, pattern, from: end.addr, to: other.addr });
            }
        }
        let spare = end.tail.len().saturating_sub(longest - 1);
        end.tail.drain(..spare);
    }
}
