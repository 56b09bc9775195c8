// SPDX-License-Identifier: MIT
//! The datagram port: what clients send by UDP.
//!
//! One task empties the socket in batches and hands every datagram to its session without waiting for anybody.
//! Nothing that comes here is ever answered. Whatever cannot be served is dropped and counted by its reason; one log
//! line in ten seconds tells of it. UDP has no passwords: a datagram counts only if it comes from the address
//! of the client that owns the session.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::cache::{Cache, Named};
use super::header::{FromClient, Refused, SendOptions, compose};
use super::host::same;
use crate::sam::backend::{Peer, SamDatagrams};
use crate::sam::registry::Entry;
use crate::sam::server::{SamMetrics, Shared};
use crate::wire::BlindedName;

/// Largest datagram of UDP.
const DATAGRAM_MAX: usize = 65_536;
/// Datagrams taken before other tasks get a turn.
const BATCH: usize = 64;
/// Datagrams that wait for a host name to be looked up, and for the name of an encrypted lease set.
const NAMES_WAITING_MAX: usize = 64;
/// The least time between two log lines about dropped datagrams.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Serves the port until the group of tasks stops.
pub(in crate::sam) async fn run(socket: Arc<UdpSocket>, shared: Arc<Shared>) {
    let (names, waiting) = mpsc::channel(NAMES_WAITING_MAX);
    shared.tasks.spawn("sam_udp_names", look_up_names(waiting, shared.clone()));
    let (blinded, waiting) = mpsc::channel(NAMES_WAITING_MAX);
    shared.tasks.spawn("sam_udp_blinded", look_up_names(waiting, shared.clone()));
    let mut reader =
        Reader { shared, names, blinded, cache: Cache::default(), quiet_until: None, unreported: 0 };
    let mut buffer = vec![0; DATAGRAM_MAX];
    loop {
        if socket.readable().await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        for _ in 0..BATCH {
            match socket.try_recv_from(&mut buffer) {
                Ok((count, from)) => reader.take(buffer.get(..count).unwrap_or_default(), from),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // Errors are of an earlier send, to a client that has gone.
                Err(_) => {}
            }
        }
        tokio::task::yield_now().await;
    }
}

/// Why a datagram was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    Malformed,
    NoSession,
    Foreign,
    BadDestination,
    Size,
    /// The router has no room, or the session ends.
    NoRoom,
}

struct Reader {
    shared: Arc<Shared>,
    names: mpsc::Sender<Waiting>,
    /// Names of encrypted lease sets, which the network is asked for: apart, so that the others need not wait.
    blinded: mpsc::Sender<Waiting>,
    cache: Cache,
    quiet_until: Option<Instant>,
    /// Drops since the last log line.
    unreported: u64,
}

/// A name that takes a while to look up.
enum Slow {
    /// A host name.
    Host(String),
    /// That of an encrypted lease set.
    Blinded(BlindedName),
}

/// A datagram to a name.
struct Waiting {
    entry: Arc<Entry>,
    sender: Arc<dyn SamDatagrams>,
    name: Slow,
    options: SendOptions,
    payload: Vec<u8>,
}

impl Reader {
    fn take(&mut self, bytes: &[u8], from: SocketAddr) {
        match self.serve(bytes, from) {
            Ok(()) => self.shared.metrics.udp_taken.inc(),
            Err(reason) => self.dropped(reason, from),
        }
    }

    fn serve(&mut self, bytes: &[u8], from: SocketAddr) -> Result<(), Loss> {
        let datagram = FromClient::parse(bytes).map_err(Loss::from)?;
        let entry = self.shared.registry.find(datagram.id).ok_or(Loss::NoSession)?;
        if !same(from.ip(), entry.client) {
            return Err(Loss::Foreign);
        }
        let sender = entry.datagrams().ok_or(Loss::NoSession)?;
        let peer = match self.cache.find(datagram.destination) {
            Named::Peer(Peer::Blinded(name)) => {
                let FromClient { options, payload, .. } = datagram;
                let name = Slow::Blinded(name);
                let waiting = Waiting { entry, sender, name, options, payload: payload.to_vec() };
                return self.blinded.try_send(waiting).map_err(|_| Loss::NoRoom);
            }
            Named::Peer(peer) => peer,
            Named::Me => match entry.session() {
                Some(session) => Peer::Destination(session.destination().clone()),
                None => return Err(Loss::NoSession),
            },
            Named::Host(host) => {
                let FromClient { options, payload, .. } = datagram;
                let name = Slow::Host(host);
                let waiting = Waiting { entry, sender, name, options, payload: payload.to_vec() };
                return self.names.try_send(waiting).map_err(|_| Loss::NoRoom);
            }
            Named::Nobody => return Err(Loss::BadDestination),
        };
        if datagram.payload.len() > entry.style.payload_max() {
            return Err(Loss::Size);
        }
        let out = compose(&entry.defaults(), &datagram.options, peer, datagram.payload.to_vec())?;
        sender.try_send(out).map_err(|_| Loss::NoRoom)
    }

    fn dropped(&mut self, reason: Loss, from: SocketAddr) {
        reason.count(&self.shared);
        self.unreported = self.unreported.saturating_add(1);
        let now = Instant::now();
        if self.quiet_until.is_none_or(|until| until <= now) {
            tracing::info!(?reason, %from, dropped = self.unreported, "SAM datagrams dropped");
            self.quiet_until = Some(now + LOG_EVERY);
            self.unreported = 0;
        }
    }
}

impl From<Refused> for Loss {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Header | Refused::Number => Self::Malformed,
            Refused::Size => Self::Size,
        }
    }
}

impl Loss {
    fn count(self, shared: &Shared) {
        let metrics = &shared.metrics;
        match self {
            Self::Malformed => metrics.udp_dropped_malformed.inc(),
            Self::NoSession => metrics.udp_dropped_session.inc(),
            Self::Foreign => metrics.udp_dropped_foreign.inc(),
            Self::BadDestination => metrics.udp_dropped_destination.inc(),
            Self::Size => metrics.udp_dropped_size.inc(),
            Self::NoRoom => metrics.udp_dropped_full.inc(),
        }
    }
}

/// How many were dropped, by reason, for people who wonder where theirs are.
pub(in crate::sam) fn drops(metrics: &SamMetrics) -> [(&'static str, u64); 6] {
    [
        ("without a good first line", metrics.udp_dropped_malformed.get()),
        ("for no session of datagrams", metrics.udp_dropped_session.get()),
        ("from another address than the client of their session", metrics.udp_dropped_foreign.get()),
        ("to no destination or known name", metrics.udp_dropped_destination.get()),
        ("empty or too large", metrics.udp_dropped_size.get()),
        ("beyond the room of their session", metrics.udp_dropped_full.get()),
    ]
}

/// Sends the datagrams that go to names, so that a slow disk or network never delays the others.
async fn look_up_names(mut waiting: mpsc::Receiver<Waiting>, shared: Arc<Shared>) {
    while let Some(next) = waiting.recv().await {
        let found = match (&next.name, next.entry.session()) {
            (Slow::Host(host), _) => shared.find_host(host).await.ok(),
            (Slow::Blinded(name), Some(session)) => session.lookup_blinded(*name).await.ok(),
            (Slow::Blinded(_), None) => None,
        };
        let sent = match found {
            Some(destination) => {
                let peer = Peer::Destination(destination);
                compose(&next.entry.defaults(), &next.options, peer, next.payload)
                    .map_err(Loss::from)
                    .and_then(|out| next.sender.try_send(out).map_err(|_| Loss::NoRoom))
            }
            None => Err(Loss::BadDestination),
        };
        if let Err(reason) = sent {
            reason.count(&shared);
        }
    }
}
