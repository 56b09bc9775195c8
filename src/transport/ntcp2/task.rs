// SPDX-License-Identifier: MIT
//! The task of one connection, up to its data phase: dialling, the handshake, and the manager's word.

use super::super::peers::{Arrival, End};
use super::super::throttle::Throttle;
use super::super::{
    CloseReason, ConnId, DialError, Direction, Failure, FromPeer, PeerSender, TransportConfig,
    TransportMetrics,
};
use super::conn::Link;
use super::handshake::{Action, Established, Initiator, Policy, Responder, Standing};
use super::replay::ReplayCache;
use super::session::Session;
use super::{LocalKeys, PeerKeys};
use crate::base::watch;
use crate::base::{Clock, Connection, Duplex, Mono, Net, Now, QueueReceiver, QueueSender, Rng};
use crate::wire::ntcp2_block::TerminationReason;
use crate::wire::{RouterHash, RouterInfo};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

/// Read buffer of a quiet connection.
pub(super) const BUFFER_MIN: usize = 4 * 1024;

/// What the manager tells a connection.
#[derive(Debug)]
pub(crate) enum Command {
    Attach(PeerSender),
    Close(TerminationReason),
}

/// What a connection tells the manager.
#[derive(Debug)]
pub(crate) enum Report {
    Established(Arrival),
    Standing(ConnId, Standing),
    RouterInfo { from: RouterHash, raw: Vec<u8>, flood: bool },
    Ended(ConnId, End),
}

/// What all connections of a router share.
pub(crate) struct Shared<T> {
    pub(crate) clock: Clock,
    pub(crate) config: Arc<TransportConfig>,
    pub(crate) keys: Arc<LocalKeys>,
    pub(crate) net: Arc<dyn Net>,
    pub(crate) replay: Arc<Mutex<ReplayCache>>,
    pub(crate) info: watch::Receiver<Arc<RouterInfo>>,
    pub(crate) to_plane: QueueSender<T>,
    pub(crate) reports: QueueSender<Report>,
    pub(crate) metrics: Arc<TransportMetrics>,
    pub(crate) rate_in: Throttle,
    pub(crate) rate_out: Throttle,
    pub(crate) token: CancellationToken,
}

/// One connection's own things.
pub(crate) struct Own {
    pub(crate) conn: ConnId,
    pub(crate) commands: QueueReceiver<Command>,
    pub(crate) rng: Rng,
}

/// Serves a connection that was accepted.
pub(crate) async fn run_inbound<T: From<FromPeer>>(
    shared: Arc<Shared<T>>,
    mut own: Own,
    connection: Connection,
) {
    let Connection { mut stream, remote, .. } = connection;
    let policy =
        Policy { net_id: shared.config.net_id, any_source: shared.config.test_network, remote: remote.ip() };
    let now = shared.clock.now();
    let rng = own.rng.fork("responder");
    let engine = Responder::new(now, rng, shared.keys.clone(), policy, shared.replay.clone())
        .within(now, shared.config.links);
    let end = match handshake(&shared, &mut own, engine, &mut *stream).await {
        Ok(established) => {
            data_phase(&shared, &mut own, stream, remote, Direction::Inbound, *established).await
        }
        Err(end) => {
            tracing::debug!(?end, "inbound handshake failed");
            end
        }
    };
    shared.reports.send(Report::Ended(own.conn, end)).await;
}

/// Dials and serves the connection.
pub(crate) async fn run_outbound<T: From<FromPeer>>(
    shared: Arc<Shared<T>>,
    mut own: Own,
    to: SocketAddr,
    peer: PeerKeys,
) {
    let end = match connect(&shared, &mut own, to, peer).await {
        Ok((stream, established)) => {
            data_phase(&shared, &mut own, stream, to, Direction::Outbound, *established).await
        }
        Err(end) => {
            tracing::debug!(?end, peer = %peer.router, "dial failed");
            end
        }
    };
    shared.reports.send(Report::Ended(own.conn, end)).await;
}

async fn connect<T>(
    shared: &Shared<T>,
    own: &mut Own,
    to: SocketAddr,
    peer: PeerKeys,
) -> Result<(Box<dyn Duplex>, Box<Established>), End> {
    let deadline = shared.clock.now().mono.after(shared.config.connect_timeout);
    let connected = tokio::select! { biased;
        () = shared.token.cancelled() => return Err(End::Failed(DialError::ShuttingDown)),
        () = closed_by_command(&mut own.commands) => return Err(End::Failed(DialError::ShuttingDown)),
        () = shared.clock.sleep_until(Some(deadline)) => return Err(End::Failed(DialError::ConnectTimeout)),
        connected = shared.net.connect(to, shared.config.outgoing_from(to)) => connected,
    };
    let mut stream = connected.map_err(|e| End::Failed(DialError::Connect(e.kind())))?.stream;
    let info = shared.info.borrow().raw().clone();
    let keys = shared.keys.clone();
    let engine = Initiator::new(shared.clock.now(), &mut own.rng, keys, &info, peer, shared.config.net_id);
    let engine = engine.map_err(|failure| End::Failed(DialError::Handshake(failure)))?;
    let engine = engine.within(shared.clock.now(), shared.config.links);
    let established = handshake(shared, own, engine, &mut *stream).await?;
    Ok((stream, established))
}

async fn closed_by_command(commands: &mut QueueReceiver<Command>) {
    while let Some(command) = commands.recv().await {
        if matches!(command, Command::Close(_)) {
            return;
        }
    }
}

/// Either engine of the handshake.
trait Handshake {
    fn handle(&mut self, now: Now, bytes: &[u8]);
    fn handle_closed(&mut self);
    fn handle_timeout(&mut self, now: Now);
    fn poll_timeout(&self) -> Option<Mono>;
    fn poll_action(&mut self) -> Option<Action>;
    /// What the peer has shown, if it dialled us.
    fn standing(&self) -> Option<Standing>;
}

macro_rules! handshake_engine {
    ($name:ident, $standing:expr) => {
        impl Handshake for $name {
            fn handle(&mut self, now: Now, bytes: &[u8]) {
                Self::handle(self, now, bytes);
            }
            fn handle_closed(&mut self) {
                Self::handle_closed(self);
            }
            fn handle_timeout(&mut self, now: Now) {
                Self::handle_timeout(self, now);
            }
            fn poll_timeout(&self) -> Option<Mono> {
                Self::poll_timeout(self)
            }
            fn poll_action(&mut self) -> Option<Action> {
                Self::poll_action(self)
            }
            fn standing(&self) -> Option<Standing> {
                $standing(self)
            }
        }
    };
}
handshake_engine!(Initiator, |_: &Self| None);
handshake_engine!(Responder, |engine: &Self| Some(engine.standing()));

/// Runs a handshake to its end. An `Err` has closed the connection or leaves that to the drop of `stream`.
async fn handshake<T, H: Handshake>(
    shared: &Shared<T>,
    own: &mut Own,
    mut engine: H,
    stream: &mut dyn Duplex,
) -> Result<Box<Established>, End> {
    let fail = |failure: Failure| End::Failed(DialError::Handshake(failure));
    let mut buf = vec![0; BUFFER_MIN];
    let mut told = Some(Standing::Stranger);
    loop {
        let standing = engine.standing();
        if let Some(standing) = standing.filter(|_| standing != told) {
            told = Some(standing);
            // Only advice: without room for it the handshake counts as what it was.
            let _ = shared.reports.try_push(Report::Standing(own.conn, standing));
        }
        while let Some(action) = engine.poll_action() {
            match action {
                Action::Send(bytes) => {
                    let deadline = shared.clock.now().mono.after(shared.config.links.stall_time);
                    let written = tokio::select! { biased;
                        written = stream.write_all(&bytes) => written,
                        () = shared.token.cancelled() => return Err(fail(Failure::Closed)),
                        () = shared.clock.sleep_until(Some(deadline)) => return Err(fail(Failure::Timeout)),
                    };
                    written.map_err(|_| fail(Failure::Closed))?;
                    shared.metrics.bytes_out.add(bytes.len() as u64);
                }
                Action::Established(established) => return Ok(established),
                Action::Close(failure) => {
                    let _ = stream.shutdown().await;
                    return Err(fail(failure));
                }
                Action::Reset(failure) => {
                    stream.reset_on_close();
                    return Err(fail(failure));
                }
            }
        }
        let timeout = engine.poll_timeout();
        tokio::select! { biased;
            () = shared.token.cancelled() => return Err(End::Failed(DialError::ShuttingDown)),
            () = closed_by_command(&mut own.commands) => return Err(End::Failed(DialError::ShuttingDown)),
            () = shared.clock.sleep_until(timeout) => engine.handle_timeout(shared.clock.now()),
            read = stream.read(&mut buf) => match read {
                Ok(0) | Err(_) => engine.handle_closed(),
                Ok(n) => {
                    shared.metrics.bytes_in.add(n as u64);
                    engine.handle(shared.clock.now(), buf.get(..n).unwrap_or_default());
                }
            },
        }
    }
}

/// Reports the session, waits for its queue, serves it.
async fn data_phase<T: From<FromPeer>>(
    shared: &Shared<T>,
    own: &mut Own,
    stream: Box<dyn Duplex>,
    remote: SocketAddr,
    direction: Direction,
    established: Established,
) -> End {
    let Established { peer, keys, info, skew_ms, rest } = established;
    let arrival = Arrival { conn: own.conn, peer, direction, remote, skew_ms };
    tracing::debug!(%peer, ?direction, skew_ms, "session established");
    shared.reports.send(Report::Established(arrival)).await;
    if let Some((info, flood)) = info {
        report_info(shared, peer, info.raw().to_vec(), flood);
    }
    let session =
        Session::new(shared.clock.now(), own.rng.fork("session"), &keys).within(shared.config.links);
    let mut link = Link::new(shared, own.conn, peer, stream, session, rest);
    let end = tokio::select! { biased;
        () = shared.token.cancelled() => link.close(TerminationReason::Shutdown).await,
        command = own.commands.recv() => match command {
            Some(Command::Attach(sender)) => {
                if direction == Direction::Inbound {
                    link.write_info();
                }
                link.run(own, sender).await
            }
            Some(Command::Close(reason)) => link.close(reason).await,
            None => CloseReason::Lost,
        },
    };
    tracing::debug!(%peer, %end, "session ended");
    End::Closed(end)
}

pub(super) fn report_info<T>(shared: &Shared<T>, from: RouterHash, raw: Vec<u8>, flood: bool) {
    if shared.reports.try_push(Report::RouterInfo { from, raw, flood }).is_err() {
        shared.metrics.dropped_router_infos.inc();
    }
}
