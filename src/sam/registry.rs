// SPDX-License-Identifier: MIT
//! The sessions of a server by ID, and the order in which peers are handed to those who wait for them.
//!
//! An ID is taken from the moment its `SESSION CREATE` is accepted for building until the owning socket is gone; a
//! destination until the router has let go of it, so that the same keys can be used again right away without two
//! sessions living side by side. Spec: SAMv3 `SESSION CREATE` and `STREAM ACCEPT`.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backend::{Boxed, Failure, Incoming, SamDatagrams, SamListener, SamSession};
use super::datagram::Defaults;
use super::options::{CreateRequest, Style};
use super::park::Parked;
use super::reply::ResultCode;
use crate::wire::{DestHash, Destination};

/// Why a session cannot be registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Conflict {
    /// The ID is in use.
    Id,
    /// The destination is in use.
    Destination,
    /// Too many sessions; says how many there may be.
    Full(String),
}

/// How many sessions there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionLimits {
    pub(super) total: usize,
    pub(super) per_address: usize,
}

/// All sessions of a server.
pub(super) struct Registry {
    limits: SessionLimits,
    inner: Mutex<Inner>,
    /// Rings when an ID or a destination became free.
    freed: Notify,
}

#[derive(Default)]
pub(super) struct Inner {
    pub(super) sessions: BTreeMap<String, Arc<Entry>>,
    pub(super) destinations: BTreeMap<DestHash, IpAddr>,
    /// Sessions without a client; their destinations are among the above.
    pub(super) parked: BTreeMap<DestHash, Parked>,
    /// How many were ever parked.
    pub(super) parkings: u64,
}

impl Registry {
    pub(super) fn new(limits: SessionLimits) -> Arc<Self> {
        Arc::new(Self { limits, inner: Mutex::new(Inner::default()), freed: Notify::new() })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic cannot leave these plain maps half changed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an ID and a destination for a session that is about to be built.
    pub(super) fn reserve(
        self: &Arc<Self>,
        request: &CreateRequest,
        hash: DestHash,
        client: IpAddr,
    ) -> Result<Reservation, Conflict> {
        let mut inner = self.lock();
        if inner.sessions.contains_key(&request.id) {
            return Err(Conflict::Id);
        }
        if inner.destinations.contains_key(&hash) {
            return Err(Conflict::Destination);
        }
        if inner.destinations.len() >= self.limits.total {
            return Err(Conflict::Full(format!(
                "all {} sessions of this router are in use",
                self.limits.total
            )));
        }
        let of_client = inner.destinations.values().filter(|ip| **ip == client).count();
        if !client.is_loopback() && of_client >= self.limits.per_address {
            return Err(Conflict::Full(format!(
                "all {} sessions of one client are in use",
                self.limits.per_address
            )));
        }
        let entry = Arc::new(Entry::new(request, hash, client, CancellationToken::new()));
        inner.sessions.insert(request.id.clone(), entry.clone());
        inner.destinations.insert(hash, client);
        Ok(Reservation { registry: self.clone(), entry, destination: true })
    }

    /// Takes an ID for a subsession. It ends with the primary session at the latest.
    pub(super) fn add(
        self: &Arc<Self>,
        request: &CreateRequest,
        primary: &Entry,
    ) -> Result<Reservation, Conflict> {
        let mut inner = self.lock();
        if inner.sessions.contains_key(&request.id) {
            return Err(Conflict::Id);
        }
        let mut entry = Entry::new(request, primary.hash, primary.client, primary.ended.child_token());
        entry.primary = Some(primary.id.clone());
        let entry = Arc::new(entry);
        inner.sessions.insert(request.id.clone(), entry.clone());
        Ok(Reservation { registry: self.clone(), entry, destination: false })
    }

    /// Tells those who wait for something to become free.
    pub(super) fn ring(&self) {
        self.freed.notify_waiters();
    }

    /// Resolves when something becomes free after this call.
    pub(super) fn freed(&self) -> Notified<'_> {
        self.freed.notified()
    }

    /// Whether the destination belongs to a session whose ID is free again already.
    pub(super) fn is_leaving(&self, hash: DestHash) -> bool {
        let inner = self.lock();
        inner.destinations.contains_key(&hash) && !inner.sessions.values().any(|entry| entry.hash == hash)
    }

    /// The session with this ID, which may still be building.
    pub(super) fn find(&self, id: &str) -> Option<Arc<Entry>> {
        self.lock().sessions.get(id).cloned()
    }

    /// The destination of a session here, by its hash.
    pub(super) fn find_destination(&self, hash: DestHash) -> Option<Destination> {
        let inner = self.lock();
        let entry = inner.sessions.values().find(|entry| entry.hash == hash)?;
        entry.session().map(|session| session.destination().clone())
    }

    /// How many sessions there are, building ones included.
    pub(super) fn len(&self) -> usize {
        self.lock().sessions.len()
    }

    /// All sessions in the order of their IDs.
    pub(super) fn all(&self) -> Vec<Arc<Entry>> {
        self.lock().sessions.values().cloned().collect()
    }
}

/// The claim on an ID, and for a session of its own on a destination; ends when it is dropped.
pub(super) struct Reservation {
    registry: Arc<Registry>,
    pub(super) entry: Arc<Entry>,
    destination: bool,
}

impl Reservation {
    /// Goes on for another entry of the same destination, whose ID is taken already.
    pub(super) fn pass_to(&mut self, entry: Arc<Entry>) {
        self.entry = entry;
    }

    /// Ends the session for its clients and frees the ID; the destination stays taken until this is dropped.
    pub(super) fn free_id(&self) {
        self.entry.end();
        let mut inner = self.registry.lock();
        if inner.sessions.get(&self.entry.id).is_some_and(|entry| Arc::ptr_eq(entry, &self.entry)) {
            inner.sessions.remove(&self.entry.id);
        }
        drop(inner);
        self.registry.freed.notify_waiters();
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.free_id();
        if self.destination {
            self.registry.lock().destinations.remove(&self.entry.hash);
        }
        self.registry.freed.notify_waiters();
    }
}

/// An accept of the router in progress.
type Accepting = Boxed<'static, Result<Incoming, Failure>>;

/// One session.
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) style: Style,
    /// The ID of the session that it is a part of.
    pub(super) primary: Option<String>,
    pub(super) hash: DestHash,
    /// Whose session it is.
    pub(super) client: IpAddr,
    pub(super) from_port: u16,
    pub(super) to_port: u16,
    pub(super) protocol: u8,
    pub(super) connect_timeout_ms: Option<u32>,
    pub(super) created: Instant,
    /// Cancelled when the session ends: streams, accepts and forwards of it watch this.
    pub(super) ended: CancellationToken,
    session: OnceLock<Arc<dyn SamSession>>,
    /// The way in and out for its datagrams, while it lives.
    datagrams: Mutex<Option<Arc<dyn SamDatagrams>>>,
    /// Where a subsession's streams come from, while it lives; others take those of the session.
    listener: Mutex<Option<Arc<dyn SamListener>>>,
    /// Those who wait for peers queue up here, first come first served. Whoever has the turn drives the router's
    /// accept, which outlives a turn that is given up, so that no peer is lost between two of them.
    turn: tokio::sync::Mutex<Option<Accepting>>,
    waiting: Mutex<Waiting>,
    /// Rings when a peer was handed back.
    returned: Notify,
}

#[derive(Default)]
struct Waiting {
    accepts: usize,
    forwarding: bool,
    /// Peers whose client vanished before it learnt of them.
    peers: VecDeque<Incoming>,
}

impl Entry {
    pub(super) fn new(
        request: &CreateRequest,
        hash: DestHash,
        client: IpAddr,
        ended: CancellationToken,
    ) -> Self {
        Self {
            id: request.id.clone(),
            style: request.style,
            primary: None,
            hash,
            client,
            from_port: request.from_port,
            to_port: request.to_port,
            protocol: request.datagrams.protocol,
            connect_timeout_ms: request.connect_timeout_ms,
            created: Instant::now(),
            ended,
            session: OnceLock::new(),
            datagrams: Mutex::default(),
            listener: Mutex::default(),
            turn: tokio::sync::Mutex::new(None),
            waiting: Mutex::new(Waiting::default()),
            returned: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the session usable once the router has opened it.
    pub(super) fn open(&self, session: Arc<dyn SamSession>) {
        let _ = self.session.set(session);
    }

    /// Gives the session its way for datagrams.
    pub(super) fn set_datagrams(&self, datagrams: Arc<dyn SamDatagrams>) {
        *self.datagrams.lock().unwrap_or_else(PoisonError::into_inner) = Some(datagrams);
    }

    /// The way for datagrams, if it has one and has not ended.
    pub(super) fn datagrams(&self) -> Option<Arc<dyn SamDatagrams>> {
        self.datagrams.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What its datagrams have where the client says nothing.
    pub(super) fn defaults(&self) -> Defaults {
        let (style, protocol) = (self.style, self.protocol);
        Defaults { style, from_port: self.from_port, to_port: self.to_port, protocol }
    }

    /// Gives a subsession the streams to its port.
    pub(super) fn set_listener(&self, listener: Arc<dyn SamListener>) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener);
    }

    /// Ends it for its clients and lets go of what it holds of the router.
    fn end(&self) {
        self.ended.cancel();
        *self.datagrams.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.lock().peers.clear();
    }

    /// Waits until nobody who waited for peers holds on to the router's accept, once it has ended.
    pub(super) async fn release(&self) {
        *self.turn.lock().await = None;
    }

    /// The router's next accept.
    fn accept(&self, session: &Arc<dyn SamSession>) -> Accepting {
        if self.primary.is_none() {
            return session.accept();
        }
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        match listener.as_ref() {
            Some(listener) => listener.accept(),
            None => Box::pin(std::future::pending()),
        }
    }

    /// The router's session, once it stands.
    pub(super) fn session(&self) -> Option<&Arc<dyn SamSession>> {
        self.session.get()
    }

    /// How many `STREAM ACCEPT` wait, and whether a `STREAM FORWARD` is active.
    pub(super) fn waiters(&self) -> (usize, bool) {
        let waiting = self.lock();
        (waiting.accepts, waiting.forwarding)
    }

    /// Announces a `STREAM ACCEPT`, or says why it cannot be.
    pub(super) fn begin_accept(self: &Arc<Self>, max: usize) -> Result<Waiter, String> {
        let mut waiting = self.lock();
        if waiting.forwarding {
            return Err(format!("session {} forwards its connections; close the FORWARD first", self.id));
        }
        if waiting.accepts >= max {
            return Err(format!("{max} accepts are pending already"));
        }
        waiting.accepts = waiting.accepts.saturating_add(1);
        Ok(Waiter { entry: self.clone(), forward: false })
    }

    /// Announces a `STREAM FORWARD`, or says why it cannot be.
    pub(super) fn begin_forward(self: &Arc<Self>) -> Result<Waiter, String> {
        let mut waiting = self.lock();
        if waiting.forwarding {
            return Err(format!("session {} has a FORWARD already", self.id));
        }
        if waiting.accepts > 0 {
            return Err(format!("session {} has {} pending ACCEPT", self.id, waiting.accepts));
        }
        waiting.forwarding = true;
        Ok(Waiter { entry: self.clone(), forward: true })
    }

    fn take_returned(&self) -> Option<Incoming> {
        self.lock().peers.pop_front()
    }
}

/// Somebody who waits for peers of a session.
pub(super) struct Waiter {
    entry: Arc<Entry>,
    forward: bool,
}

impl Waiter {
    /// The next peer. Dropping the future loses nobody and gives the turn to the next who waits.
    pub(super) async fn next_peer(&self) -> Result<Incoming, Failure> {
        let entry = &self.entry;
        let closed = || Failure::new(ResultCode::I2pError, format!("session {} has ended", entry.id));
        let session = entry.session().ok_or_else(closed)?;
        let mut turn = entry.turn.lock().await;
        loop {
            if entry.ended.is_cancelled() {
                *turn = None;
                return Err(closed());
            }
            if let Some(incoming) = entry.take_returned() {
                return Ok(incoming);
            }
            tokio::select! { biased;
                () = entry.ended.cancelled() => {}
                () = entry.returned.notified() => {}
                result = turn.get_or_insert_with(|| entry.accept(session)) => {
                    *turn = None;
                    return result;
                }
            }
        }
    }

    /// Hands a peer back for the next who waits.
    pub(super) fn hand_back(&self, incoming: Incoming) {
        if !self.entry.ended.is_cancelled() {
            self.entry.lock().peers.push_back(incoming);
            self.entry.returned.notify_one();
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = self.entry.lock();
        if self.forward {
            waiting.forwarding = false;
        } else {
            waiting.accepts = waiting.accepts.saturating_sub(1);
        }
    }
}
