// SPDX-License-Identifier: MIT
//! What the SAM server asks of the router underneath: a few object-safe traits.
//!
//! The server knows text, sockets and session IDs; the router knows destinations, tunnels and keys. Everything
//! between them passes through here, so the server can be tested against a stand-in and the router never learns
//! about SAM. Futures are boxed; each is safe to drop at any point, which abandons the work.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::keys::PrivateKeys;
use super::options::{SessionConfig, Style};
use super::reply::ResultCode;
use crate::wire::{BlindedName, DestHash, Destination, SigType};

/// A boxed future, as object-safe traits need.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why the router could not do what a client asked: a code for the program, a sentence for the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The code that goes into `RESULT`.
    pub code: ResultCode,
    /// The cause in words and numbers. No paths, no addresses of other machines, no keys.
    pub explain: String,
}

impl Failure {
    /// A failure with its explanation.
    pub fn new(code: ResultCode, explain: impl Into<String>) -> Self {
        Self { code, explain: explain.into() }
    }
}

/// The router.
pub trait Backend: Send + Sync + 'static {
    /// Opens a session: builds its tunnels, publishes its lease set, and answers when others can reach it.
    ///
    /// From then on connections are taken, held for [`SamSession::accept`]. A session of the same destination that is still
    /// going down is waited for. Dropping the future abandons the build.
    fn open(&self, config: SessionConfig) -> Boxed<'_, Result<Arc<dyn SamSession>, Failure>>;

    /// A session of this make that stands ready, with keys of its own: tunnels built, lease set published. Used by
    /// [`SamSession::resume`], dropped if it cannot be.
    fn spare(&self, _wanted: &SessionConfig) -> Option<(PrivateKeys, Arc<dyn SamSession>)> {
        None
    }

    /// Finds the destination behind a `.b32.i2p` name on the network. Must work without any session.
    fn lookup(&self, hash: DestHash) -> Boxed<'_, Result<Destination, Failure>>;

    /// Finds the destination behind the name of an encrypted lease set that takes neither secret nor key.
    fn lookup_blinded(&self, _name: BlindedName) -> Boxed<'_, Result<Destination, Failure>> {
        Box::pin(std::future::ready(Err(no_encrypted())))
    }

    /// Finds a host name in the router's address book. Asks neither DNS nor the network.
    fn resolve(&self, _host: &str) -> Boxed<'_, Result<Destination, Failure>> {
        let failure = Failure::new(ResultCode::KeyNotFound, "this router has no address book");
        Box::pin(std::future::ready(Err(failure)))
    }

    /// The options of a destination's lease set, fetched if needed.
    fn lease_set_options(
        &self,
        _destination: &Destination,
    ) -> Boxed<'_, Result<Vec<(String, String)>, Failure>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// Makes keys for a new destination, or says that the type cannot be made here.
    ///
    /// # Errors
    /// [`Failure`] with `I2P_ERROR` for signature types that the router does not sign with.
    fn new_keys(&self, sig_type: SigType) -> Result<PrivateKeys, Failure>;

    /// Checks that the private half belongs to the public one, and an offline signature with its expiry.
    ///
    /// # Errors
    /// `INVALID_KEY` for keys that do not fit, `I2P_ERROR` for types that the router does not sign with.
    fn check_keys(&self, keys: &PrivateKeys) -> Result<(), Failure>;

    /// Lines about a session for `HELP STATUS`, also while it is being built: tunnels with hops and ages, streams.
    fn describe(&self, _session: DestHash) -> Boxed<'_, Vec<String>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    /// The router's own state, for `HELP STATUS`.
    fn status(&self) -> RouterStatus;
}

/// One session: a destination with its tunnels.
pub trait SamSession: Send + Sync {
    /// Its destination.
    fn destination(&self) -> &Destination;

    /// The name by which others find it, if its lease set is published encrypted.
    fn blinded_name(&self) -> Option<BlindedName> {
        None
    }

    /// Connects to a peer. At most 75 s with the look-up of its lease set; answered when the peer has answered.
    fn connect(&self, to: Peer, options: ConnectOptions) -> Boxed<'static, Result<BoxedStream, Failure>>;

    /// Finds the destination behind the name of an encrypted lease set, with the secret and key of the session's options.
    fn lookup_blinded(&self, _name: BlindedName) -> Boxed<'static, Result<Destination, Failure>> {
        Box::pin(std::future::ready(Err(no_encrypted())))
    }

    /// The options of an encrypted lease set that [`SamSession::lookup_blinded`] found.
    fn blinded_options(
        &self,
        _destination: &Destination,
    ) -> Boxed<'static, Result<Vec<(String, String)>, Failure>> {
        Box::pin(std::future::ready(Err(no_encrypted())))
    }

    /// The next connection from a peer, oldest first. Up to 1,024 are held, 64 of one peer, for 60 s each, 10 s when there
    /// are many; more are reset.
    ///
    /// The server keeps one such future at a time and never drops it unfinished while the session lives. An error
    /// means that the session has ended.
    fn accept(&self) -> Boxed<'static, Result<Incoming, Failure>>;

    /// Takes the streams to one of our ports, 0 for every port that no other listener takes, until it is dropped.
    ///
    /// A session opened with [`Style::Stream`] listens on port 0 from the start, for [`SamSession::accept`]; one of another
    /// style resets every stream for which there is no listener.
    ///
    /// # Errors
    /// The port has a listener already.
    fn listen(&self, _port: u16) -> Result<Arc<dyn SamListener>, Failure> {
        Err(Failure::new(ResultCode::I2pError, "this router has no listeners"))
    }

    /// Takes the datagrams of one style to a protocol and port, until it is dropped.
    ///
    /// An incoming datagram goes to the binding of its protocol and port, else of its protocol and port 0, else to
    /// the raw one of protocol 0 and its port, else of protocol 0 and port 0; else it is dropped.
    ///
    /// # Errors
    /// The protocol and port are taken.
    fn datagrams(&self, _binding: Binding) -> Result<Arc<dyn SamDatagrams>, Failure> {
        Err(Failure::new(ResultCode::I2pError, "this router has no datagrams"))
    }

    /// The client has gone: new streams are refused, calls given up, those that are ending may end in order. Resolves
    /// when no stream is left.
    fn park(&self) -> Boxed<'static, ()> {
        Box::pin(std::future::ready(()))
    }

    /// A client takes a parked or spare session over, with its own options for streams. False if the session cannot
    /// be had any more; it is then to be closed.
    fn resume(&self, _config: &SessionConfig) -> Boxed<'_, bool> {
        Box::pin(std::future::ready(false))
    }

    /// Ends the session with everything that belongs to it. Returns at once; [`SamSession::closed`] says when it is done.
    fn close(&self);

    /// Resolves when the session has ended for whatever reason and its destination is free again.
    fn closed(&self) -> Boxed<'static, ()>;

    /// Its state, for `HELP STATUS`.
    fn status(&self) -> SessionStatus;
}

fn no_encrypted() -> Failure {
    Failure::new(ResultCode::KeyNotFound, "this router does not read encrypted lease sets")
}

/// Takes streams to a port; see [`SamSession::listen`]. Dropping it resets those that nobody took.
pub trait SamListener: Send + Sync {
    /// As [`SamSession::accept`], for this listener alone.
    fn accept(&self) -> Boxed<'static, Result<Incoming, Failure>>;
}

/// Sends and takes datagrams of one style; see [`SamSession::datagrams`].
pub trait SamDatagrams: Send + Sync {
    /// Sends a datagram once there is room for it. `Ok` promises nothing about its arrival.
    ///
    /// # Errors
    /// The session has ended, or the datagram can never be sent (too large).
    fn send(&self, datagram: OutDatagram) -> Boxed<'static, Result<(), Failure>>;

    /// Sends a datagram if there is room for it now, for senders that cannot be held back.
    ///
    /// # Errors
    /// As [`SamDatagrams::send`], and when there is no room.
    fn try_send(&self, datagram: OutDatagram) -> Result<(), Failure>;

    /// The next datagram. Those that find the queue full are dropped and counted. Safe to drop.
    ///
    /// # Errors
    /// The session has ended.
    fn receive(&self) -> Boxed<'static, Result<InDatagram, Failure>>;

    /// What became of datagrams so far, for `HELP STATUS`.
    fn counts(&self) -> DatagramCounts;
}

/// Whom to call or write to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Peer {
    /// A whole destination.
    Destination(Destination),
    /// Only its hash is known; its lease set has the rest.
    Hash(DestHash),
    /// Only the name of its encrypted lease set is known.
    Blinded(BlindedName),
}

/// What a [`SamDatagrams`] takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// One of the four styles of datagrams.
    pub style: Style,
    /// For [`Style::Raw`]: I2CP protocol taken, 0 for those that nothing else takes. The other styles have their own.
    pub protocol: u8,
    /// Port taken, 0 for those that nothing else takes.
    pub port: u16,
}

/// A datagram to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutDatagram {
    /// The receiver.
    pub to: Peer,
    /// Our port.
    pub from_port: u16,
    /// The receiver's port.
    pub to_port: u16,
    /// I2CP protocol, for [`Style::Raw`] alone.
    pub protocol: u8,
    /// How long it is worth delivering, 1 to 600 s; `None`: the router's usual time.
    pub expires: Option<Duration>,
    /// Whether our lease set goes with it; `None`: as needed.
    pub send_lease_set: Option<bool>,
    /// The content, 1 to 31,744 bytes, raw up to 32,768.
    pub payload: Vec<u8>,
}

/// A datagram that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InDatagram {
    /// Who sent it, as far as the style tells.
    pub from: Sender,
    /// The sender's port.
    pub from_port: u16,
    /// Our port.
    pub to_port: u16,
    /// Its I2CP protocol.
    pub protocol: u8,
    /// The content.
    pub payload: Vec<u8>,
}

/// Who sent a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sender {
    /// Proven by a signature ([`Style::Datagram`], [`Style::Datagram2`]).
    Proven(Destination),
    /// Only claimed ([`Style::Datagram3`]).
    Claimed(DestHash),
    /// Not told ([`Style::Raw`]).
    Nobody,
}

/// What became of the datagrams of a [`SamDatagrams`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatagramCounts {
    /// Handed to garlic and tunnels.
    pub sent: u64,
    /// Not sent: no lease set, no tunnel, no room.
    pub send_dropped: u64,
    /// Taken by the receiver here.
    pub received: u64,
    /// Arrived and dropped: bad signature, replayed, queue full.
    pub receive_dropped: u64,
}

/// How to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectOptions {
    /// Our port.
    pub from_port: u16,
    /// The peer's port.
    pub to_port: u16,
    /// How long to wait for the peer's answer.
    pub timeout: Duration,
}

/// A connection from a peer.
pub struct Incoming {
    /// Who it is.
    pub peer: Destination,
    /// The peer's port.
    pub from_port: u16,
    /// Our port.
    pub to_port: u16,
    /// The connection.
    pub stream: BoxedStream,
}

/// A stream across the network, reliable and ordered.
///
/// `poll_shutdown` closes our direction after everything written; the other direction stays open. Reading gives an end of
/// file after the peer's close, and `ConnectionReset` after its reset or the end of the session. Dropping it
/// closes it in order, after what was written.
pub trait SamStream: AsyncRead + AsyncWrite + Send + Unpin {
    /// Resets the connection: nothing further is sent, the peer sees an error.
    fn reset(&mut self);
}

/// A stream of unknown make.
pub type BoxedStream = Box<dyn SamStream>;

/// What `HELP STATUS` says about the router.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouterStatus {
    /// Routers in the netDb.
    pub known_routers: usize,
    /// Connections to other routers.
    pub connected_routers: usize,
    /// Tunnels that are ours.
    pub own_tunnels: usize,
    /// Tunnels that we carry for others.
    pub transit_tunnels: usize,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// One line about what the router is doing or waiting for.
    pub note: String,
    /// One line about its memory.
    pub memory: String,
}

/// What `HELP STATUS` says about a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionStatus {
    /// Inbound tunnels that are up.
    pub tunnels_in: usize,
    /// Outbound tunnels that are up.
    pub tunnels_out: usize,
    /// Open streams.
    pub streams: usize,
}

/// An I/O error that stands for a reset.
pub fn reset_error() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the connection was reset")
}
