// SPDX-License-Identifier: MIT
//! The tasks of the room: one accepts at each listener, one manages.
//!
//! The manager waits for nobody: events that its router does not take in time wait here, and while many do, no
//! new connections are taken. Shutdown: the group's token ends every connection with a Termination.

use super::ntcp2::replay::ReplayCache;
use super::ntcp2::task::{Command, Own, Report, Shared, run_inbound, run_outbound};
use super::peers::{Action, Peers};
use super::throttle::Throttle;
use super::{Class, ConnId, FromPeer, LocalKeys, TransportConfig, TransportEvent, TransportMetrics};
use crate::base::watch;
use crate::base::{
    Clock, Connection, Counter, Listener, Map, Net, Now, Queue, QueueReceiver, QueueSender, Rng, Tasks, map,
};
use crate::wire::ntcp2_block::TerminationReason;
use crate::wire::{I2np, RouterHash, RouterInfo};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Connections that were accepted and wait for the manager.
const ACCEPTED_MAX: usize = 64;
/// Requests of the router.
const REQUESTS_MAX: usize = 1_024;
/// Reports of connections.
const REPORTS_MAX: usize = 1_024;
/// Commands to one connection; a handful in its life.
const COMMANDS_MAX: usize = 16;
/// Events that may wait for the router before the manager takes nothing more in.
const EVENTS_MAX: usize = 1_024;
/// Pause after a failed accept: usually the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Everything that the room is made of.
pub struct Parts<T> {
    /// Settings.
    pub config: TransportConfig,
    /// Our NTCP2 keys.
    pub keys: LocalKeys,
    /// Our RouterInfo; must be a fresh one from the start, and is sent to peers again when it changes.
    pub info: watch::Receiver<Arc<RouterInfo>>,
    /// Sockets.
    pub net: Arc<dyn Net>,
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub rng: Rng,
    /// The router's tasks.
    pub tasks: Tasks,
    /// Where messages from peers go; waiting there is what slows a peer down.
    pub to_plane: QueueSender<T>,
    /// Where everything else goes.
    pub events: QueueSender<TransportEvent>,
    /// What is counted.
    pub metrics: Arc<TransportMetrics>,
}

impl<T> fmt::Debug for Parts<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Parts({:?})", self.config)
    }
}

#[derive(Debug)]
enum Request {
    Dial { info: Arc<RouterInfo>, messages: Vec<I2np>, class: Class },
    DisconnectAll,
    Ban(RouterHash, Duration),
}

/// Asks the transport for things; none of it waits. False means that the request queue was full or the transport is
/// gone, and nothing will happen.
#[derive(Clone, Debug)]
pub struct TransportHandle {
    requests: QueueSender<Request>,
}

impl TransportHandle {
    /// Links to a router and sends it `messages`; if it is linked already, only sends. Answered by `Up` or `DialFailed`.
    pub fn dial(&self, info: Arc<RouterInfo>, messages: Vec<I2np>, class: Class) -> bool {
        self.requests.try_push(Request::Dial { info, messages, class }).is_ok()
    }

    /// Ends all links, which are made anew when they are needed: after a sleep of the machine they may be dead.
    pub fn disconnect_all(&self) -> bool {
        self.requests.try_push(Request::DisconnectAll).is_ok()
    }

    /// Ends the link to a router and refuses it for `time`.
    pub fn ban(&self, peer: RouterHash, time: Duration) -> bool {
        self.requests.try_push(Request::Ban(peer, time)).is_ok()
    }

    /// Name of the queue of these requests and the counter of those that found no room.
    pub fn losses(&self) -> (&'static str, Arc<Counter>) {
        self.requests.losses()
    }
}

/// Opens the listeners and starts the tasks. Answers with the handle and the addresses that are listened at.
///
/// # Errors
/// When an address cannot be listened at; nothing runs then.
pub async fn start<T>(parts: Parts<T>) -> io::Result<(TransportHandle, Vec<SocketAddr>)>
where
    T: From<FromPeer> + Send + 'static,
{
    let Parts { config, keys, info, net, clock, mut rng, tasks, to_plane, events, metrics } = parts;
    let mut listeners = Vec::new();
    for at in &config.bind {
        listeners.push(net.listen(*at).await?);
    }
    let bound = listeners.iter().map(|l| l.local_addr()).collect();
    let (accepted_tx, accepted) = Queue::bounded("transport_accepted", ACCEPTED_MAX);
    for listener in listeners {
        tasks.spawn_core("transport accept", accept(listener, accepted_tx.clone(), clock.clone()));
    }
    let (requests_tx, requests) = Queue::bounded("transport_requests", REQUESTS_MAX);
    let (reports_tx, reports) = Queue::bounded("transport_reports", REPORTS_MAX);
    let rate = config.rate;
    let config = Arc::new(config);
    let peers = Peers::new(config.clone(), keys.router(), metrics.clone(), &mut rng);
    let replay = ReplayCache::new(&mut rng, config.links.replay_entries);
    let shared = Arc::new(Shared {
        clock,
        config,
        keys: Arc::new(keys),
        net,
        replay: Arc::new(Mutex::new(replay)),
        info,
        to_plane,
        reports: reports_tx,
        metrics,
        rate_in: Throttle::new(rate),
        rate_out: Throttle::new(rate),
        token: tasks.token().child_token(),
    });
    let commands = map(&mut rng);
    let manager = Manager { shared, peers, commands, rng, tasks: tasks.clone(), outbox: VecDeque::new() };
    let inputs = Inputs { accepted, requests, reports, _accepted_open: accepted_tx };
    tasks.spawn_graceful("transport manager", manager.run(inputs, events));
    Ok((TransportHandle { requests: requests_tx }, bound))
}

async fn accept(mut listener: Box<dyn Listener>, accepted: QueueSender<Connection>, clock: Clock) {
    loop {
        match listener.accept().await {
            Ok(connection) => {
                if !accepted.send(connection).await {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                clock.sleep_until(Some(clock.now().mono.after(ACCEPT_PAUSE))).await;
            }
        }
    }
}

struct Inputs {
    accepted: QueueReceiver<Connection>,
    requests: QueueReceiver<Request>,
    reports: QueueReceiver<Report>,
    /// Keeps the queue open when there are no listeners.
    _accepted_open: QueueSender<Connection>,
}

struct Manager<T> {
    shared: Arc<Shared<T>>,
    peers: Peers,
    commands: Map<ConnId, QueueSender<Command>>,
    rng: Rng,
    tasks: Tasks,
    outbox: VecDeque<TransportEvent>,
}

impl<T: From<FromPeer> + Send + 'static> Manager<T> {
    async fn run(mut self, mut inputs: Inputs, events: QueueSender<TransportEvent>) {
        let mut reports = Vec::with_capacity(64);
        let mut requests = Vec::with_capacity(64);
        let shared = self.shared.clone();
        loop {
            self.act();
            let calm = self.outbox.len() < EVENTS_MAX;
            tokio::select! { biased;
                () = shared.token.cancelled() => return self.stop(inputs, &events).await,
                () = shared.clock.sleep_until(self.peers.poll_timeout()) => {
                    self.peers.handle_timeout(shared.clock.now());
                }
                slot = events.reserve(), if !self.outbox.is_empty() => {
                    let Some(slot) = slot else { return self.stop(inputs, &events).await };
                    if let Some(event) = self.outbox.pop_front() {
                        slot.send(event);
                    }
                }
                _ = inputs.reports.recv_many(&mut reports, 64), if calm => {
                    let now = shared.clock.now();
                    reports.drain(..).for_each(|report| self.on_report(now, report));
                }
                n = inputs.requests.recv_many(&mut requests, 64), if calm => {
                    if n == 0 {
                        return self.stop(inputs, &events).await; // nobody can ask for anything any more
                    }
                    let now = shared.clock.now();
                    requests.drain(..).for_each(|request| self.on_request(now, request));
                }
                Some(connection) = inputs.accepted.recv(), if calm => self.on_accepted(connection),
            }
        }
    }

    /// Waits until every connection has ended, at most as long as they may linger.
    async fn stop(mut self, mut inputs: Inputs, events: &QueueSender<TransportEvent>) {
        self.peers.stop();
        self.shared.token.cancel();
        let clock = self.shared.clock.clone();
        let deadline = clock.now().mono.after(Duration::from_secs(4));
        while !self.commands.is_empty() {
            tokio::select! { biased;
                () = clock.sleep_until(Some(deadline)) => break,
                report = inputs.reports.recv() => match report {
                    Some(report) => self.on_report(clock.now(), report),
                    None => break,
                },
            }
            self.act();
            for event in self.outbox.drain(..) {
                let _ = events.try_push(event); // the router is stopping as well and need not listen
            }
        }
    }

    fn on_accepted(&mut self, connection: Connection) {
        let Some(conn) = self.peers.accept(self.shared.clock.now(), connection.remote) else {
            connection.stream.reset_on_close();
            return;
        };
        let own = self.own(conn);
        self.tasks.spawn_orderly("ntcp2 inbound", run_inbound(self.shared.clone(), own, connection));
    }

    fn own(&mut self, conn: ConnId) -> Own {
        let (tx, commands) = Queue::bounded("ntcp2_commands", COMMANDS_MAX);
        self.commands.insert(conn, tx);
        Own { conn, commands, rng: self.rng.fork("connection") }
    }

    fn on_report(&mut self, now: Now, report: Report) {
        match report {
            Report::Established(arrival) => self.peers.established(now, arrival),
            Report::Standing(conn, standing) => self.peers.stands(conn, standing),
            Report::RouterInfo { from, raw, flood } => {
                self.outbox.push_back(TransportEvent::RouterInfo { from, raw, flood });
            }
            Report::Ended(conn, end) => {
                self.commands.remove(&conn);
                self.peers.closed(now, conn, end);
            }
        }
    }

    fn on_request(&mut self, now: Now, request: Request) {
        match request {
            Request::Dial { info, messages, class } => self.peers.dial(now, &info, messages, class),
            Request::DisconnectAll => self.peers.disconnect_all(TerminationReason::Normal),
            Request::Ban(peer, time) => self.peers.ban(peer, now.mono.after(time)),
        }
    }

    fn act(&mut self) {
        while let Some(action) = self.peers.poll_action() {
            match action {
                Action::Connect { conn, to, keys } => {
                    let own = self.own(conn);
                    let task = run_outbound(self.shared.clone(), own, to, keys);
                    self.tasks.spawn_orderly("ntcp2 outbound", task);
                }
                Action::Attach { conn, sender } => self.command(conn, Command::Attach(sender)),
                Action::Close { conn, reason } => self.command(conn, Command::Close(reason)),
                Action::Event(event) => self.outbox.push_back(event),
            }
        }
    }

    /// A connection that does not take a handful of commands is stuck: letting go of its queue ends it.
    fn command(&mut self, conn: ConnId, command: Command) {
        if let Some(queue) = self.commands.get(&conn)
            && queue.try_push(command).is_err()
        {
            self.commands.remove(&conn);
        }
    }
}

/// Size of a connection's task, for the test of memory.
#[cfg(test)]
pub(super) fn connection_future_bytes() -> usize {
    fn size<A, B, C, F: Future>(_: impl FnOnce(A, B, C) -> F) -> usize {
        size_of::<F>()
    }
    size(run_inbound::<FromPeer>)
}
