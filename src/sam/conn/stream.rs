// SPDX-License-Identifier: MIT
//! `STREAM CONNECT`, `ACCEPT` and `FORWARD`, up to the point where the socket is a stream.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{Conn, Flow};
use crate::sam::backend::{BoxedStream, ConnectOptions, Failure, Incoming, Peer, SamSession};
use crate::sam::bridge;
use crate::sam::command::{AcceptRequest, ConnectRequest, ForwardRequest, Version};
use crate::sam::forward;
use crate::sam::naming::Name;
use crate::sam::options::Style;
use crate::sam::registry::{Entry, Waiter};
use crate::sam::reply::{self, Domain, ResultCode};

/// What a client's socket is joined to.
pub(super) struct Joined {
    peer: BoxedStream,
    entry: Arc<Entry>,
}

impl Conn {
    /// `STREAM CONNECT`
    pub(super) async fn connect(&mut self, request: ConnectRequest) -> io::Result<Flow> {
        let (entry, session) = match self.session_of(&request.id) {
            Ok(found) => found,
            Err(failure) => return self.fail_stream(&failure, request.silent).await,
        };
        let connected = self.connect_from(&entry, &session, &request).await;
        match connected {
            Ok(peer) => {
                if !request.silent {
                    self.say(&reply::stream_ok()).await?;
                }
                Ok(Flow::Stream(Joined { peer, entry }))
            }
            Err(failure) => {
                self.shared.metrics.connects_failed.inc();
                self.fail_stream(&failure, request.silent).await
            }
        }
    }

    async fn connect_from(
        &self,
        entry: &Entry,
        session: &Arc<dyn SamSession>,
        request: &ConnectRequest,
    ) -> Result<BoxedStream, Failure> {
        let limit = self.shared.limits.connect_timeout;
        let asked =
            request.timeout_ms.or(entry.connect_timeout_ms).map(|ms| Duration::from_millis(ms.into()));
        let answer = asked.unwrap_or(self.shared.limits.answer_timeout);
        let options = ConnectOptions {
            from_port: request.from_port.unwrap_or(entry.from_port),
            to_port: request.to_port.unwrap_or(entry.to_port),
            timeout: answer.min(limit),
        };
        let refuse = |code, explain: &str| Err(Failure::new(code, explain));
        let attempt = match Name::parse(&request.destination) {
            Name::Me => session.connect(Peer::Destination(session.destination().clone()), options),
            Name::Destination(peer) => session.connect(Peer::Destination(*peer), options),
            Name::Hash(hash) => session.connect(Peer::Hash(hash), options),
            Name::Host(host) => match self.shared.find_host(&host).await {
                Ok(peer) => session.connect(Peer::Destination(peer), options),
                // The code for unknown names is not in the table of this command.
                Err(failure) => return Err(Failure::new(ResultCode::InvalidKey, failure.explain)),
            },
            Name::Blinded(name) => session.connect(Peer::Blinded(name), options),
            Name::Malformed(why) => return refuse(ResultCode::InvalidKey, why),
        };
        tokio::select! { biased;
            () = entry.ended.cancelled() => refuse(ResultCode::I2pError, "the session was closed meanwhile"),
            result = tokio::time::timeout(limit, attempt) => match result {
                Ok(result) => result,
                Err(_) => {
                    let explain = format!("no answer within {} s", limit.as_secs());
                    Err(Failure::new(ResultCode::Timeout, explain))
                }
            },
        }
    }

    /// `STREAM ACCEPT`
    pub(super) async fn accept(&mut self, request: AcceptRequest) -> io::Result<Flow> {
        let (entry, _) = match self.session_of(&request.id) {
            Ok(found) => found,
            Err(failure) => return self.fail_stream(&failure, request.silent).await,
        };
        let waiter = match entry.begin_accept(self.shared.limits.accepts) {
            Ok(waiter) => waiter,
            Err(explain) => {
                return self.fail_stream(&Failure::new(ResultCode::I2pError, explain), request.silent).await;
            }
        };
        if !request.silent {
            self.say(&reply::stream_ok()).await?;
        }
        match self.await_peer(&waiter).await? {
            Some(Ok(incoming)) => self.take_peer(incoming, waiter, entry, request.silent).await,
            Some(Err(failure)) => {
                // After an OK only newer clients can tell an error line from a peer's destination.
                if self.version.has_ports() && !request.silent {
                    self.say(&reply::error(&Domain::Stream, &failure.explain)).await?;
                }
                Ok(Flow::Close)
            }
            None => Ok(Flow::Close),
        }
    }

    /// Waits for a peer; `None` when the client leaves first.
    async fn await_peer(&mut self, waiter: &Waiter) -> io::Result<Option<Result<Incoming, Failure>>> {
        let mut next = std::pin::pin!(waiter.next_peer());
        loop {
            let watch = self.lines.pending().len() < self.shared.limits.early_bytes;
            tokio::select! { biased;
                count = self.fill(), if watch => if count? == 0 {
                    return Ok(None);
                },
                result = &mut next => return Ok(Some(result)),
            }
        }
    }

    async fn take_peer(
        &mut self,
        incoming: Incoming,
        waiter: Waiter,
        entry: Arc<Entry>,
        silent: bool,
    ) -> io::Result<Flow> {
        if !silent {
            let line = peer_line(&incoming, self.version);
            if let Err(error) = self.say(&line).await {
                self.shared.metrics.peers_handed_back.inc();
                waiter.hand_back(incoming);
                return Err(error);
            }
        }
        drop(waiter);
        Ok(Flow::Stream(Joined { peer: incoming.stream, entry }))
    }

    /// `STREAM FORWARD`
    pub(super) async fn forward(&mut self, request: ForwardRequest) -> io::Result<Flow> {
        let target = self.session_of(&request.id).and_then(|(entry, _)| {
            forward::target(&request, self.peer.ip(), &self.shared).map(|to| (entry, to))
        });
        let (entry, target) = match target {
            Ok(found) => found,
            Err(failure) => return self.fail_stream(&failure, false).await,
        };
        let waiter = match entry.begin_forward() {
            Ok(waiter) => waiter,
            Err(explain) => {
                return self.fail_stream(&Failure::new(ResultCode::I2pError, explain), false).await;
            }
        };
        self.say(&reply::stream_ok()).await?;
        let job = forward::Job {
            target,
            silent: request.silent,
            version: self.version,
            entry: entry.clone(),
            shared: self.shared.clone(),
        };
        loop {
            tokio::select! { biased;
                line = self.next_line() => {
                    let Some(line) = line? else { return Ok(Flow::Close) };
                    match self.obey_forwarding(&line).await? {
                        Flow::Next => {}
                        flow => return Ok(flow),
                    }
                }
                peer = waiter.next_peer() => match peer {
                    Ok(incoming) => job.start(incoming),
                    Err(_) => return Ok(Flow::Close),
                },
            }
        }
    }

    /// Turns the socket into a stream and stays with it to the end.
    pub(super) async fn stay(&mut self, joined: Joined) -> Flow {
        let Some(client) = self.stream.take() else { return Flow::Gone };
        self.shared.metrics.streams_opened.inc();
        let early = self.lines.take_rest();
        let outcome = bridge::run(
            client,
            joined.peer,
            early,
            (self.shared.account(), self.shared.limits.copy_buffer),
            &joined.entry.ended,
        )
        .await;
        tracing::debug!(?outcome, "SAM stream closed");
        Flow::Gone
    }

    /// The session that a stream command names.
    fn session_of(&self, id: &str) -> Result<(Arc<Entry>, Arc<dyn SamSession>), Failure> {
        if let Some(owned) = &self.owned {
            let explain = format!(
                "this connection belongs to session {}; streams need connections of their own",
                owned.reservation.entry.id
            );
            return Err(Failure::new(ResultCode::I2pError, explain));
        }
        let Some(entry) = self.shared.registry.find(id) else {
            let short: String = id.chars().take(64).collect();
            let explain = format!("no session {short}; open ones: {}", self.shared.registry.len());
            return Err(Failure::new(ResultCode::InvalidId, explain));
        };
        if entry.style != Style::Stream {
            let explain = format!("{} is a {} session, not a STREAM session", entry.id, entry.style.word());
            return Err(Failure::new(ResultCode::I2pError, explain));
        }
        match entry.session().cloned() {
            Some(session) => Ok((entry, session)),
            None => Err(Failure::new(ResultCode::I2pError, "the session is still being created")),
        }
    }

    /// Says why a stream command failed and closes. A socket that owns a session stays, and so is told in any case.
    async fn fail_stream(&mut self, failure: &Failure, silent: bool) -> io::Result<Flow> {
        let code = match failure.code {
            code @ (ResultCode::CantReachPeer
            | ResultCode::InvalidId
            | ResultCode::InvalidKey
            | ResultCode::Timeout) => code,
            ResultCode::KeyNotFound | ResultCode::LeaseSetNotFound => ResultCode::CantReachPeer,
            _ => ResultCode::I2pError,
        };
        tracing::debug!(peer = %self.peer, code = code.word(), cause = %failure.explain, "SAM stream refused");
        if !silent || self.owned.is_some() {
            self.say(&reply::status(&Domain::Stream, code, &failure.explain)).await?;
        }
        Ok(if self.owned.is_some() { Flow::Next } else { Flow::Close })
    }
}

/// The line that tells a client who its peer is.
pub(in crate::sam) fn peer_line(incoming: &Incoming, version: Version) -> String {
    reply::peer_line(&incoming.peer.to_base64(), incoming.from_port, incoming.to_port, version)
}
