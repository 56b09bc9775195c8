// SPDX-License-Identifier: MIT
//! Datagrams of the session that a control socket owns: `DATAGRAM SEND`, `RAW SEND`, and the way back.
//!
//! What cannot be sent is said in one line. If it is small, its payload is read over and the socket stays; if it is
//! large, the socket is closed. A datagram that is sent is never answered, whatever becomes of it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{Conn, Flow, optional};
use crate::sam::backend::{Binding, Failure, Peer, SamDatagrams, SamSession};
use crate::sam::command::SendRequest;
use crate::sam::datagram::{self, Delivery, Outlet, Refused, compose};
use crate::sam::naming::Name;
use crate::sam::options::{DatagramOptions, Style};
use crate::sam::registry::Entry;
use crate::sam::reply::{self, Domain, ResultCode};

/// Largest payload that is read over after a command that cannot be served.
const SKIP_MAX: usize = 64 * 1024;
/// How long the router may take to have room for a datagram.
const ROOM_PATIENCE: Duration = Duration::from_secs(30);

impl Conn {
    /// `DATAGRAM SEND` and `RAW SEND`
    pub(super) async fn send_datagram(&mut self, request: SendRequest) -> io::Result<Flow> {
        let (entry, sender) = match self.sender_for(&request) {
            Ok(found) => found,
            Err(explain) => return self.skip_payload(&request, &explain).await,
        };
        let Some(payload) = self.read_payload(request.size).await? else { return Ok(Flow::Close) };
        let (destination, options) = match (request.destination, request.options) {
            (Ok(destination), Ok(options)) => (destination, options),
            (Err(explain), _) | (_, Err(explain)) => {
                return self.answer(reply::error(&request.domain, &explain)).await;
            }
        };
        let to = match self.peer_named(&destination).await {
            Ok(peer) => peer,
            Err(failure) => {
                return self.answer(reply::status(&request.domain, failure.code, &failure.explain)).await;
            }
        };
        match compose(&entry.defaults(), &options, to, payload) {
            Ok(out) => {
                // Holding the client back here is what paces it; what fails beyond that fails silently.
                let sent = tokio::time::timeout(ROOM_PATIENCE, sender.send(out)).await;
                if !matches!(sent, Ok(Ok(()))) {
                    self.shared.metrics.datagrams_unsent.inc();
                }
                Ok(Flow::Next)
            }
            Err(refused) => self.answer(reply::error(&request.domain, refused.explain())).await,
        }
    }

    /// The session's way for datagrams, if this one may go there.
    fn sender_for(&self, request: &SendRequest) -> Result<(Arc<Entry>, Arc<dyn SamDatagrams>), String> {
        let command = if request.domain == Domain::Raw { "RAW" } else { "DATAGRAM" };
        let Some(owned) = &self.owned else {
            return Err(format!("{command} SEND needs a session of that style on this connection"));
        };
        let entry = owned.reservation.entry.clone();
        let style = entry.style;
        if style == Style::Primary {
            return Err("subsessions send by UDP; PRIMARY itself sends nothing".to_owned());
        }
        let fits = style.is_datagram() && (style == Style::Raw) == (request.domain == Domain::Raw);
        let sender = entry.datagrams().filter(|_| fits);
        let sender = sender.ok_or_else(|| format!("{command} SEND in a {} session", style.word()))?;
        if request.size == 0 || request.size > style.payload_max() {
            return Err(format!("SIZE must be 1 to {} for {}", style.payload_max(), style.word()));
        }
        Ok((entry, sender))
    }

    /// Reads the bytes behind a line; `None` when the client or the session ends before them.
    async fn read_payload(&mut self, size: usize) -> io::Result<Option<Vec<u8>>> {
        let mut payload = Vec::with_capacity(size);
        let mut ended = std::pin::pin!(optional(self.owned.as_ref().map(|owned| owned.session.closed())));
        loop {
            let part = self.lines.take(size.saturating_sub(payload.len()));
            payload.extend_from_slice(&part);
            if payload.len() >= size {
                return Ok(Some(payload));
            }
            let count = tokio::select! { biased;
                () = &mut ended => return Ok(None),
                count = self.fill() => count?,
            };
            if count == 0 {
                return Ok(None);
            }
        }
    }

    async fn peer_named(&self, text: &str) -> Result<Peer, Failure> {
        match Name::parse(text) {
            Name::Destination(destination) => Ok(Peer::Destination(*destination)),
            Name::Hash(hash) => Ok(Peer::Hash(hash)),
            Name::Host(host) => self.shared.find_host(&host).await.map(Peer::Destination),
            Name::Me => match &self.owned {
                Some(owned) => Ok(Peer::Destination(owned.session.destination().clone())),
                None => Err(Failure::new(ResultCode::InvalidKey, "ME needs a session")),
            },
            Name::Blinded(name) => Ok(Peer::Blinded(name)),
            Name::Malformed(why) => Err(Failure::new(ResultCode::InvalidKey, why)),
        }
    }

    async fn skip_payload(&mut self, request: &SendRequest, explain: &str) -> io::Result<Flow> {
        self.shared.metrics.lines_refused.inc();
        self.say(&reply::error(&request.domain, explain)).await?;
        if request.size > SKIP_MAX {
            return Ok(Flow::Close);
        }
        let mut left = request.size;
        loop {
            left = left.saturating_sub(self.lines.skip(left));
            if left == 0 {
                return Ok(Flow::Next);
            }
            if self.fill().await? == 0 {
                return Ok(Flow::Close);
            }
        }
    }

    /// Where the datagrams of a new session will go, if it has any.
    pub(super) async fn outlet_for(
        &mut self,
        style: Style,
        options: &DatagramOptions,
    ) -> Result<Option<Outlet>, Failure> {
        if !style.is_datagram() {
            return Ok(None);
        }
        let Some(port) = options.port else { return Ok(self.stream.share().map(Outlet::Control)) };
        let host = options.host.as_deref();
        let to = datagram::target(host, port, self.peer.ip(), &self.shared).await?;
        Ok(self.shared.udp.clone().map(|socket| Outlet::Udp(socket, to)))
    }

    /// Opens a session's way for datagrams. They go out from here on, and in once the delivery is started.
    pub(super) fn ready_datagrams(
        &self,
        entry: &Arc<Entry>,
        session: &Arc<dyn SamSession>,
        binding: Binding,
        outlet: Outlet,
        header: bool,
    ) -> Result<Delivery, Failure> {
        let source = session.datagrams(binding)?;
        entry.set_datagrams(source.clone());
        let (entry, shared, version) = (entry.clone(), self.shared.clone(), self.version);
        let header = header && version.has_ports();
        Ok(Delivery { outlet, source, entry, version, header, shared })
    }
}

impl Refused {
    fn explain(self) -> &'static str {
        match self {
            Self::Header => "not a datagram",
            Self::Number => "PROTOCOL must be a number from 0 to 255, and not 6, 17, 19 or 20",
            Self::Size => "too large or empty",
        }
    }
}
