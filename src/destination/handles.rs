// SPDX-License-Identifier: MIT
//! Handles of a session: cheap to clone, useful from any task, harmless after the session's end.

use super::engine::Wanted;
use super::ports::PortsHandle;
use super::{
    BlindedAccess, ConnectOptions, DatagramBinding, DatagramSocket, DestinationKeys, Error, ErrorKind,
    SessionConfig,
};
use crate::base::QueueSender;
use crate::base::pipe;
use crate::base::watch;
use crate::wire::{BLINDED_NAME_MIN, BlindedName, DestHash, Destination, OfflineSignature};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Whom to call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A whole destination.
    Destination(Destination),
    /// The hash of a `.b32.i2p` name.
    Hash(DestHash),
    /// A name for an encrypted lease set: `.b32.i2p` behind 56 characters.
    Blinded(BlindedName),
}

impl Target {
    /// The hash of the destination; `None` for a blinded name, which must be looked up first
    /// ([`Session::lookup_blinded`]).
    pub const fn hash(&self) -> Option<DestHash> {
        match self {
            Self::Destination(d) => Some(d.hash()),
            Self::Hash(h) => Some(*h),
            Self::Blinded(_) => None,
        }
    }

    /// Reads a base64 destination or a `.b32.i2p` name (52 characters, or 56 for an encrypted lease set), in either case. Host names need an address
    /// book: use `Router::resolve`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidTarget`] for everything else.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bad = || Error::new(ErrorKind::InvalidTarget, "not a destination or name");
        let lower = text.to_ascii_lowercase();
        if let Some(name) = lower.strip_suffix(".b32.i2p") {
            if name.len() >= BLINDED_NAME_MIN {
                return BlindedName::parse(name)
                    .map(Self::Blinded)
                    .map_err(|e| Error::new(ErrorKind::InvalidTarget, e.to_string()));
            }
            let hash = crate::wire::b32::decode(name).and_then(|b| b.try_into().ok()).ok_or_else(bad)?;
            return Ok(Self::Hash(DestHash(hash)));
        }
        Destination::from_base64(text.strip_suffix(".i2p").unwrap_or(text))
            .map(Self::Destination)
            .map_err(|_| bad())
    }
}

impl From<Destination> for Target {
    fn from(d: Destination) -> Self {
        Self::Destination(d)
    }
}

impl From<BlindedName> for Target {
    fn from(name: BlindedName) -> Self {
        Self::Blinded(name)
    }
}

impl From<DestHash> for Target {
    fn from(h: DestHash) -> Self {
        Self::Hash(h)
    }
}

/// Options of a lease set, keys and values, in the order of the lease set.
pub type LeaseSetOptions = Vec<(String, String)>;

/// The name of an encrypted lease set, and what opens it if that is not the session's own.
pub(crate) type BlindedQuery = (BlindedName, Option<BlindedAccess>);

/// What a handle asks of the destination's task.
pub(crate) enum Command {
    Connect {
        target: Target,
        options: ConnectOptions,
        reply: oneshot::Sender<Result<I2pStream, Error>>,
    },
    Accept {
        wanted: Wanted,
        reply: oneshot::Sender<Result<Incoming, Error>>,
    },
    Lookup {
        hash: DestHash,
        reply: oneshot::Sender<Result<Destination, Error>>,
    },
    LookupBlinded {
        query: BlindedQuery,
        reply: oneshot::Sender<Result<Destination, Error>>,
    },
    Options {
        hash: DestHash,
        reply: oneshot::Sender<Result<LeaseSetOptions, Error>>,
    },
    Status {
        reply: oneshot::Sender<SessionStatus>,
    },
    /// Another program takes the session over.
    Adopt {
        config: Box<SessionConfig>,
        reply: oneshot::Sender<()>,
    },
    /// Answered when no stream is open or still ending.
    Drained {
        reply: oneshot::Sender<()>,
    },
}

/// A stream that a peer opened to us.
#[derive(Debug)]
pub struct Incoming {
    /// The bytes.
    pub stream: I2pStream,
}

/// One destination with its tunnels. Clones are the same session.
///
/// The session ends when [`Session::close`] is called, when its last handle is dropped, or with the router.
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

struct Inner {
    destination: Destination,
    nickname: String,
    commands: QueueSender<Command>,
    /// Cancelled to end the session.
    stop: CancellationToken,
    /// Cancelled when the task has ended and the destination is free again.
    ended: CancellationToken,
    /// Inbound tunnels, outbound tunnels, streams.
    counts: watch::Receiver<(usize, usize, usize)>,
    ports: PortsHandle,
    streams_by_listener: bool,
    /// Type, public key and end of the transient key that signs, if the destination's own is offline.
    transient: Option<OfflineSignature>,
    blinded_name: Option<BlindedName>,
}

/// What a new session's handle is made of.
pub(crate) struct SessionParts<'a> {
    pub(crate) keys: &'a DestinationKeys,
    pub(crate) config: &'a SessionConfig,
    pub(crate) commands: QueueSender<Command>,
    pub(crate) stop: CancellationToken,
    pub(crate) ended: CancellationToken,
    pub(crate) counts: watch::Receiver<(usize, usize, usize)>,
    pub(crate) ports: PortsHandle,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Session {
    pub(crate) fn new(parts: SessionParts<'_>) -> Self {
        let SessionParts { keys, config, commands, stop, ended, counts, ports } = parts;
        let inner = Inner {
            destination: keys.destination().clone(),
            nickname: config.nickname.clone(),
            commands,
            stop,
            ended,
            counts,
            ports,
            streams_by_listener: config.streams_by_listener,
            transient: keys.offline().cloned(),
            blinded_name: config.encryption.as_ref().and_then(|e| e.name(keys)),
        };
        Self { inner: Arc::new(inner) }
    }

    pub(crate) fn downgrade(&self) -> WeakSession {
        WeakSession(Arc::downgrade(&self.inner))
    }

    /// Our destination.
    pub fn destination(&self) -> &Destination {
        &self.inner.destination
    }

    /// The name by which others find us, if our lease set is published encrypted: then nobody does by
    /// [`Destination::b32`].
    pub fn blinded_name(&self) -> Option<BlindedName> {
        self.inner.blinded_name
    }

    /// The name given in the configuration.
    pub fn nickname(&self) -> &str {
        &self.inner.nickname
    }

    async fn ask<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Command,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        if !self.inner.commands.send(make(reply)).await {
            return Err(Error::closed());
        }
        answer.await.unwrap_or_else(|_| Err(Error::closed()))
    }

    /// Opens a stream. Dropping the future gives the attempt up.
    ///
    /// # Errors
    /// See [`ErrorKind`]; the explanation names the cause.
    pub async fn connect(&self, to: impl Into<Target>) -> Result<I2pStream, Error> {
        self.connect_with(to, ConnectOptions::default()).await
    }

    /// Opens a stream with ports or a timeout of its own.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_with(
        &self,
        to: impl Into<Target>,
        options: ConnectOptions,
    ) -> Result<I2pStream, Error> {
        let target = match to.into() {
            Target::Blinded(name) => Target::Destination(self.lookup_blinded(&name).await?),
            target => target,
        };
        self.ask(|reply| Command::Connect { target, options, reply }).await
    }

    /// Waits for a peer's stream, to any port without a [`Listener`] of its own. Any number of calls may wait; they are served first come, first
    /// served, and a call whose future was dropped is skipped. A call dropped in the very moment of its answer closes the
    /// peer's stream: keep one call going rather than race it against a timer.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] when the session ends.
    pub async fn accept(&self) -> Result<Incoming, Error> {
        self.ask(|reply| Command::Accept { wanted: Wanted::Of(0), reply }).await
    }

    /// As [`Self::accept`], for streams to `port` alone, wherever they wait.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] when the session ends.
    pub async fn accept_on(&self, port: u16) -> Result<Incoming, Error> {
        self.ask(|reply| Command::Accept { wanted: Wanted::To(port), reply }).await
    }

    /// Takes the streams to a port until the listener is dropped; port 0: those that no other listener takes.
    ///
    /// A session that takes streams from the start gives any number of listeners for port 0, which share what comes with
    /// [`Self::accept`].
    ///
    /// # Errors
    /// [`ErrorKind::PortTaken`].
    pub fn listen(&self, port: u16) -> Result<Listener, Error> {
        let shared = port == 0 && !self.inner.streams_by_listener;
        let id = if shared { None } else { Some(self.inner.ports.listen(port)?) };
        Ok(Listener { session: self.clone(), port, id })
    }

    /// Sends and takes datagrams of one kind until the socket is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::PortTaken`]; [`ErrorKind::Config`] for a raw binding to the protocol of another format.
    pub fn datagrams(&self, binding: DatagramBinding) -> Result<DatagramSocket, Error> {
        let taken = self.inner.ports.bind(binding)?;
        Ok(DatagramSocket::new(self.clone(), binding, taken))
    }

    pub(crate) fn ports(&self) -> &PortsHandle {
        &self.inner.ports
    }

    /// Whether a transient key signs for the destination.
    pub(crate) fn is_offline_signed(&self) -> bool {
        self.inner.transient.is_some()
    }

    /// Whether these keys sign for the same destination with the same key: a transient one may have been renewed.
    pub(crate) fn signs_as(&self, keys: &DestinationKeys) -> bool {
        self.inner.destination == *keys.destination() && self.inner.transient.as_ref() == keys.offline()
    }

    /// Asks the netDb, through this session's own tunnels, for the destination behind a hash.
    ///
    /// # Errors
    /// [`ErrorKind::LeaseSetNotFound`] and what can go wrong on the way.
    pub async fn lookup(&self, hash: DestHash) -> Result<Destination, Error> {
        self.ask(|reply| Command::Lookup { hash, reply }).await
    }

    /// Finds the destination behind the name of an encrypted lease set. A secret or client key comes from the session's
    /// configuration.
    ///
    /// # Errors
    /// As [`Self::lookup`]; [`ErrorKind::Denied`] when a secret or key is missing or wrong.
    pub async fn lookup_blinded(&self, name: &BlindedName) -> Result<Destination, Error> {
        let query = (*name, None);
        self.ask(|reply| Command::LookupBlinded { query, reply }).await
    }

    /// As [`Self::lookup_blinded`], with a secret or client key for this destination alone. The session keeps them for
    /// it, so calls to the destination work from then on.
    ///
    /// # Errors
    /// As [`Self::lookup_blinded`].
    pub async fn lookup_blinded_with(
        &self,
        name: &BlindedName,
        access: BlindedAccess,
    ) -> Result<Destination, Error> {
        let query = (*name, Some(access));
        self.ask(|reply| Command::LookupBlinded { query, reply }).await
    }

    /// The options of a destination's lease set, service records among them, as its owner signed them; from the netDb
    /// unless we hold a lease set that has not ended.
    ///
    /// # Errors
    /// [`ErrorKind::LeaseSetNotFound`] and what can go wrong on the way. A lease set of the old kind, which cannot have
    /// options, is [`ErrorKind::Incompatible`].
    pub async fn lease_set_options(&self, hash: DestHash) -> Result<LeaseSetOptions, Error> {
        self.ask(|reply| Command::Options { hash, reply }).await
    }

    /// Gives the session a new name and new settings for streams, which hold for those opened from now on. Everything
    /// else of `config` is ignored: keys, tunnels and lease set stay as they are.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] when the session has ended.
    pub async fn adopt(&self, config: SessionConfig) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        if !self.inner.commands.send(Command::Adopt { config: Box::new(config), reply }).await {
            return Err(Error::closed());
        }
        answer.await.map_err(|_| Error::closed())
    }

    /// Waits until every stream has ended, with all that was written delivered or given up.
    pub async fn drained(&self) {
        let (reply, answer) = oneshot::channel();
        if self.inner.commands.send(Command::Drained { reply }).await {
            let _ = answer.await;
        }
    }

    /// What the session is doing.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] when the session has ended.
    pub async fn status(&self) -> Result<SessionStatus, Error> {
        let (reply, answer) = oneshot::channel();
        if !self.inner.commands.send(Command::Status { reply }).await {
            return Err(Error::closed());
        }
        answer.await.map_err(|_| Error::closed())
    }

    /// Ends the session: streams are reset, tunnels are given up. Returns when all of that is done.
    pub async fn close(&self) {
        self.inner.stop.cancel();
        self.inner.ended.cancelled().await;
    }

    /// Begins to end the session without waiting; see [`Self::closed`].
    pub fn begin_close(&self) {
        self.inner.stop.cancel();
    }

    /// Inbound tunnels, outbound tunnels and open streams right now.
    pub fn counts(&self) -> (usize, usize, usize) {
        *self.inner.counts.borrow()
    }

    /// Whether the session has ended or is about to.
    pub fn is_closed(&self) -> bool {
        self.inner.stop.is_cancelled() || self.inner.ended.is_cancelled()
    }

    /// Waits for the end of the session, whoever ends it.
    pub async fn closed(&self) {
        self.inner.ended.cancelled().await;
    }
}

/// Names a session without keeping it open.
#[derive(Clone)]
pub(crate) struct WeakSession(Weak<Inner>);

impl WeakSession {
    /// The session, if anybody still holds it.
    pub(crate) fn upgrade(&self) -> Option<Session> {
        self.0.upgrade().map(|inner| Session { inner })
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({})", self.inner.destination.b32())
    }
}

/// Takes streams of peers to one port. Dropping it resets those that nobody took.
#[derive(Debug)]
pub struct Listener {
    session: Session,
    port: u16,
    /// Its registration, unless it shares what the session takes anyway.
    id: Option<u64>,
}

impl Listener {
    /// The next stream.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] when the session ends.
    pub async fn accept(&self) -> Result<I2pStream, Error> {
        let wanted = Wanted::Of(self.port);
        Ok(self.session.ask(|reply| Command::Accept { wanted, reply }).await?.stream)
    }

    /// The port, 0 for all that have no listener of their own.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.session.inner.ports.unlisten(self.port, id);
        }
    }
}

/// A stream over I2P: tokio's `AsyncRead` and `AsyncWrite`.
///
/// Reading ends with `Ok(0)` after the peer's orderly close and with an error after a reset or a loss. `shutdown`
/// sends what was written and then a close; dropping does the same in the background.
pub struct I2pStream {
    reader: pipe::Reader,
    writer: pipe::Writer,
    peer: Destination,
    local_port: u16,
    remote_port: u16,
}

impl I2pStream {
    pub(crate) const fn new(
        reader: pipe::Reader,
        writer: pipe::Writer,
        peer: Destination,
        local_port: u16,
        remote_port: u16,
    ) -> Self {
        Self { reader, writer, peer, local_port, remote_port }
    }

    /// The other end.
    pub const fn peer(&self) -> &Destination {
        &self.peer
    }

    /// Our port.
    pub const fn local_port(&self) -> u16 {
        self.local_port
    }

    /// The peer's port.
    pub const fn remote_port(&self) -> u16 {
        self.remote_port
    }

    /// Ends the stream abruptly: the peer gets a reset, what was not sent is lost.
    pub fn reset(self) {
        self.writer.abort();
    }

    /// The two directions as values of their own, for use from two tasks.
    pub fn into_split(self) -> (pipe::Reader, pipe::Writer) {
        (self.reader, self.writer)
    }
}

impl AsyncRead for I2pStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(cx, buf)
    }
}

impl AsyncWrite for I2pStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_shutdown(cx)
    }
}

impl fmt::Debug for I2pStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "I2pStream({}:{})", self.peer.b32(), self.remote_port)
    }
}

/// What a session is doing, for status pages.
#[derive(Clone, Debug, Default)]
pub struct SessionStatus {
    /// Name given in the configuration.
    pub nickname: String,
    /// The destination's `.b32.i2p` name.
    pub b32: String,
    /// Age of the session.
    pub age: Duration,
    /// Hops (shortened hashes) and age of each inbound tunnel.
    pub inbound: Vec<(Vec<String>, Duration)>,
    /// The same for outbound tunnels.
    pub outbound: Vec<(Vec<String>, Duration)>,
    /// Whether a floodfill has confirmed the lease set.
    pub published: bool,
    /// Calls of accept that wait.
    pub waiting_accepts: usize,
    /// Peers that wait for an accept.
    pub waiting_peers: usize,
    /// Remote destinations with a garlic session.
    pub garlic_sessions: usize,
    /// Open streams.
    pub streams: Vec<StreamStatus>,
    /// Counters of the session by name.
    pub counters: Vec<(&'static str, u64)>,
}

/// What a stream is doing.
#[derive(Clone, Debug, Default)]
pub struct StreamStatus {
    /// The peer's `.b32.i2p` name.
    pub peer: String,
    /// Smoothed round trip time, if measured.
    pub rtt: Option<Duration>,
    /// Packets allowed in flight.
    pub window: u32,
    /// Bytes sent and acknowledged.
    pub sent: u64,
    /// Bytes received in order.
    pub received: u64,
    /// Packets sent again.
    pub resent: u64,
}
