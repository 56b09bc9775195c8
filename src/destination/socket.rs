// SPDX-License-Identifier: MIT
//! The handle with which programs send and take datagrams.

use std::fmt;
use std::sync::Arc;
use tokio::sync::Mutex;

use super::datagram::has_format;
use super::ports::{OutDatagram, Taken};
use super::{
    Datagram, DatagramBinding, DatagramCounts, DatagramOptions, DatagramStyle, Error, ErrorKind, Session,
    Target,
};
use crate::base::{QueueReceiver, Share};
use crate::wire::DestHash;
use crate::wire::i2cp_gzip::{PROTOCOL_RAW, Ports};

use super::ports::{Arrived, Counts};

/// Sends and takes the datagrams of one binding of a session. It keeps its session open.
///
/// Datagrams get lost on the way like any others: what matters must be sent again. What waits to be sent is bounded for
/// each session, 2 MiB: [`Self::send_to`] waits for room, [`Self::try_send_with`] does without. What nobody takes
/// is bounded for each socket, 2 MiB, and dropped beyond.
///
/// ```no_run
/// # async fn example(session: samovar::destination::Session) -> Result<(), samovar::destination::Error> {
/// use samovar::destination::{DatagramBinding, DatagramSender};
///
/// let socket = session.datagrams(DatagramBinding::repliable(0))?;
/// loop {
///     let ping = socket.recv().await?;
///     if let DatagramSender::Proven(peer) = ping.from {
///         socket.send_to(ping.payload, peer, ping.from_port).await?;
///     }
/// }
/// # }
/// ```
pub struct DatagramSocket {
    session: Session,
    binding: DatagramBinding,
    key: (u8, u16),
    id: u64,
    counts: Arc<Counts>,
    arrivals: Mutex<QueueReceiver<Arrived>>,
}

impl DatagramSocket {
    pub(crate) fn new(session: Session, binding: DatagramBinding, taken: Taken) -> Self {
        let Taken { id, key, counts, arrivals } = taken;
        Self { session, binding, key, id, counts, arrivals: Mutex::new(arrivals) }
    }

    /// What it takes.
    pub const fn binding(&self) -> DatagramBinding {
        self.binding
    }

    /// The session it belongs to.
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// Sends a datagram to a port of `to`, once there is room. `Ok` promises nothing about its arrival: the lease set
    /// of a new receiver is looked up in the background.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`], and [`ErrorKind::TooLarge`] for a payload that is empty or beyond the format's maximum.
    pub async fn send_to(
        &self,
        payload: impl Into<Vec<u8>>,
        to: impl Into<Target>,
        to_port: u16,
    ) -> Result<(), Error> {
        self.send_with(payload, to, DatagramOptions { to_port, ..DatagramOptions::default() }).await
    }

    /// As [`Self::send_to`], with all options.
    ///
    /// # Errors
    /// As [`Self::send_to`]; [`ErrorKind::Config`] for a protocol that raw datagrams cannot have, or a first-format
    /// datagram from keys that an offline key signs for, which that format cannot carry.
    pub async fn send_with(
        &self,
        payload: impl Into<Vec<u8>>,
        to: impl Into<Target>,
        options: DatagramOptions,
    ) -> Result<(), Error> {
        let (payload, to) = (payload.into(), self.check_target(to.into()).await?);
        self.check(payload.len(), options)?;
        let share = self.session.ports().room(payload.len()).await?;
        self.session.ports().send(self.made(payload, to, options, share))
    }

    /// As [`Self::send_with`], but never waits.
    ///
    /// # Errors
    /// As [`Self::send_with`]; [`ErrorKind::Limit`] when there is no room, [`ErrorKind::InvalidTarget`] for a blinded
    /// name, which would have to be looked up first.
    pub fn try_send_with(
        &self,
        payload: impl Into<Vec<u8>>,
        to: impl Into<Target>,
        options: DatagramOptions,
    ) -> Result<(), Error> {
        let payload = payload.into();
        let to = to.into().hash().ok_or_else(|| {
            Error::new(ErrorKind::InvalidTarget, "the name of an encrypted lease set must be looked up first")
        })?;
        self.check(payload.len(), options)?;
        match self.session.ports().try_room(payload.len()) {
            Ok(share) => self.session.ports().send(self.made(payload, to, options, share)),
            Err(error) => {
                self.counts.send_dropped.inc();
                Err(error)
            }
        }
    }

    async fn check_target(&self, to: Target) -> Result<DestHash, Error> {
        match to {
            Target::Blinded(name) => Ok(self.session.lookup_blinded(&name).await?.hash()),
            Target::Destination(destination) => Ok(destination.hash()),
            Target::Hash(hash) => Ok(hash),
        }
    }

    fn check(&self, len: usize, options: DatagramOptions) -> Result<(), Error> {
        let max = self.binding.style.payload_max();
        if len == 0 || len > max {
            let text = format!("a datagram of {len} bytes, not 1 to {max}");
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        if self.binding.style == DatagramStyle::Datagram1 && self.session.is_offline_signed() {
            let text = "datagrams of the first format cannot carry an offline signature; use the second";
            return Err(Error::new(ErrorKind::Config, text));
        }
        match options.protocol {
            Some(protocol) if self.binding.style == DatagramStyle::Raw && has_format(protocol) => {
                let text = format!("protocol {protocol} is not for raw datagrams");
                Err(Error::new(ErrorKind::Config, text))
            }
            _ => Ok(()),
        }
    }

    fn made(&self, payload: Vec<u8>, to: DestHash, options: DatagramOptions, share: Share) -> OutDatagram {
        let protocol = match (self.binding.style, options.protocol, self.binding.protocol) {
            (DatagramStyle::Raw, Some(protocol), _) => protocol,
            (DatagramStyle::Raw, None, 0) => PROTOCOL_RAW,
            (DatagramStyle::Raw, None, protocol) => protocol,
            (style, ..) => style.protocol(),
        };
        OutDatagram {
            to,
            style: self.binding.style,
            protocol,
            ports: Ports { from: options.from_port.unwrap_or(self.binding.port), to: options.to_port },
            payload,
            expires: options.expires,
            send_lease_set: options.send_lease_set.unwrap_or(true),
            counts: self.counts.clone(),
            share,
        }
    }

    /// The next datagram. Dropping the future loses none. Several may wait; each datagram goes to one of them.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] when the session has ended.
    pub async fn recv(&self) -> Result<Datagram, Error> {
        let mut arrivals = self.arrivals.lock().await;
        tokio::select! { biased;
            arrived = arrivals.recv() => arrived.map(|a| self.taken(a)).ok_or_else(Error::closed),
            () = self.session.closed() => Err(Error::closed()),
        }
    }

    /// The next datagram if there is one now and nobody else waits for it.
    pub fn try_recv(&self) -> Option<Datagram> {
        self.arrivals.try_lock().ok()?.try_recv().map(|a| self.taken(a))
    }

    fn taken(&self, arrived: Arrived) -> Datagram {
        self.counts.received.inc();
        arrived.datagram
    }

    /// What became of its datagrams so far.
    pub fn counts(&self) -> DatagramCounts {
        self.counts.snapshot()
    }
}

impl Drop for DatagramSocket {
    fn drop(&mut self) {
        self.session.ports().unbind(self.key, self.id);
    }
}

impl fmt::Debug for DatagramSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatagramSocket({:?}, {:?})", self.binding, self.session)
    }
}
