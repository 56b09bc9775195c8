// SPDX-License-Identifier: MIT
//! The task of one client socket: lines in, answers out, until the socket becomes a stream or closes.
//!
//! Commands are answered strictly in order, one at a time; a slow one delays only its own socket. A socket that made
//! a session owns it: when the socket ends, however it ends, the session ends. Spec: SAMv3, all sections.

mod auth;
mod datagram;
mod link;
mod primary;
mod session;
mod stream;
mod utility;

pub(super) use link::Writer;
use stream::Joined;
pub(super) use stream::peer_line;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use zeroize::Zeroizing;

use self::link::Link;
use super::backend::SamSession;
use super::command::{Command, Hello, Rejection, Then, Version};
use super::help;
use super::options::SessionConfig;
use super::parse::{Line, Lines, Verdict, judge};
use super::registry::Reservation;
use super::reply::{self, Domain};
use super::server::Shared;
use super::socket::{Origin, Socket};
use crate::base::Account;

/// Unknown commands in a row after which a client is taken for junk.
const JUNK_MAX: u8 = 8;
/// How long the delivery of datagrams may take to let go of the socket.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// What follows a command.
enum Flow {
    /// The next command.
    Next,
    /// The end of the connection, after what was written has arrived.
    Close,
    /// The end of the connection, at once.
    Drop,
    /// The socket is a stream from now on.
    Stream(Joined),
    /// The socket has been a stream and is already gone.
    Gone,
}

/// A session and the claim on its names.
struct Owned {
    session: Arc<dyn SamSession>,
    reservation: Reservation,
    /// Resolves when nothing delivers datagrams any more.
    delivery: Option<oneshot::Receiver<()>>,
    /// Its subsessions, if it is a primary one.
    subs: Vec<primary::Sub>,
    /// What it was made with.
    config: SessionConfig,
    /// How long it waits for its client to come back.
    linger: Duration,
}

/// One client.
struct Conn {
    stream: Link,
    peer: Origin,
    lines: Lines,
    shared: Arc<Shared>,
    version: Version,
    owned: Option<Owned>,
    /// Unknown commands in a row.
    junk: u8,
    /// A command has been taken since `HELLO`.
    active: bool,
    /// The bytes that wait to be understood.
    memory: Account,
}

/// Serves a client to its end.
pub(super) async fn run(stream: Socket, peer: Origin, shared: Arc<Shared>) {
    let mut conn = Conn {
        stream: Link::Whole(stream),
        peer,
        lines: Lines::new(shared.limits.line_before_hello),
        memory: shared.account(),
        shared,
        version: Version::V3_0,
        owned: None,
        junk: 0,
        active: false,
    };
    // An I/O error of the socket needs no words: nobody is there to read them.
    let mut flow = conn.talk().await.unwrap_or(Flow::Drop);
    if let Flow::Stream(joined) = flow {
        // Only now, so that a stream does not hold what its command needed.
        flow = Box::pin(conn.stay(joined)).await;
    }
    Box::pin(conn.finish(flow)).await;
}

impl Conn {
    async fn talk(&mut self) -> io::Result<Flow> {
        match self.introduce().await? {
            Flow::Next => {}
            flow => return Ok(flow),
        }
        loop {
            let Some(line) = self.next_line().await? else { return Ok(Flow::Close) };
            match self.obey(&line).await? {
                Flow::Next => {}
                flow => return Ok(flow),
            }
        }
    }

    /// Everything up to a good `HELLO`.
    async fn introduce(&mut self) -> io::Result<Flow> {
        let deadline = Instant::now() + self.shared.limits.hello_timeout;
        match tokio::time::timeout_at(deadline, self.gate()).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return Ok(Flow::Drop),
            Ok(Err(error)) => return Err(error),
            Err(_) => return self.say_hello_error("no HELLO VERSION in time, bye").await,
        }
        loop {
            let line = match tokio::time::timeout_at(deadline, self.read_line()).await {
                Ok(line) => line?,
                Err(_) => return self.say_hello_error("no HELLO VERSION in time, bye").await,
            };
            let line = match line {
                Read::Line(line) => line,
                Read::TooLong => return self.say_hello_error("line too long").await,
                Read::End => return Ok(Flow::Close),
            };
            match Command::parse(&line) {
                Ok(None) => {}
                Ok(Some(Command::Hello(hello))) => return self.hello(&hello).await,
                Ok(Some(Command::Help(_))) => self.say(&help::before_hello()).await?,
                Ok(Some(Command::Quit)) => {
                    self.say(&reply::quit_ok()).await?;
                    return Ok(Flow::Close);
                }
                Err(rejection) if rejection.then == Then::Close && is_hello(&line) => {
                    self.refuse(&line, rejection).await?;
                    return Ok(Flow::Close);
                }
                Ok(Some(_)) | Err(_) => {
                    let advice = "Must start with HELLO VERSION, e.g. HELLO VERSION MIN=3.1 MAX=3.3";
                    return self.say_hello_error(advice).await;
                }
            }
        }
    }

    /// Waits until the first bytes show that this may be a SAM client.
    async fn gate(&mut self) -> io::Result<bool> {
        loop {
            match judge(self.lines.pending()) {
                Verdict::Sam(skip) => {
                    self.lines.skip(skip);
                    return Ok(true);
                }
                Verdict::Foreign => {
                    self.shared.metrics.sockets_refused_foreign.inc();
                    tracing::warn!(client = %self.peer.label(), "not a SAM client: closed without an answer");
                    return Ok(false);
                }
                Verdict::More => {
                    if self.fill().await? == 0 {
                        return Ok(!self.lines.pending().is_empty());
                    }
                }
            }
        }
    }

    async fn say_hello_error(&mut self, message: &str) -> io::Result<Flow> {
        self.shared.metrics.lines_refused.inc();
        self.say(&reply::error(&Domain::Hello, message)).await?;
        Ok(Flow::Close)
    }

    async fn hello(&mut self, hello: &Hello) -> io::Result<Flow> {
        let Some(version) = hello.version else {
            self.say(&reply::hello_no_version()).await?;
            return Ok(Flow::Close);
        };
        if let Err(message) = Box::pin(self.check_password(hello)).await {
            tracing::info!(client = %self.peer.label(), "SAM login refused: {message}");
            return self.say_hello_error(message).await;
        }
        self.version = version;
        self.lines.set_limit(self.shared.limits.line);
        self.say(&reply::hello_ok(version)).await?;
        Ok(Flow::Next)
    }

    /// The next line after `HELLO`; `None` when the connection is to be closed.
    async fn next_line(&mut self) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let limits = &self.shared.limits;
        let patience = match (self.owned.is_some(), self.active) {
            (true, _) => None,
            (false, false) if !self.version.has_ports() => Some(limits.command_timeout),
            (false, _) => Some(limits.idle_timeout),
        };
        let ended = self.owned.as_ref().map(|owned| owned.session.closed());
        let read = tokio::select! { biased;
            () = optional(ended) => {
                tracing::info!("a session ended under its client");
                return Ok(None);
            }
            read = self.read_line() => read?,
            () = optional(patience.map(tokio::time::sleep)) => {
                self.say(&reply::error(&Domain::Session, "command timeout, bye")).await?;
                return Ok(None);
            }
        };
        match read {
            Read::Line(line) => Ok(Some(line)),
            Read::End => Ok(None),
            Read::TooLong => {
                let domain = Line::new(self.lines.pending()).domain().unwrap_or_else(|| "SESSION".to_owned());
                self.shared.metrics.lines_refused.inc();
                self.say(&reply::error(&Domain::from_word(&domain), "line too long")).await?;
                Ok(None)
            }
        }
    }

    /// Does what a line says.
    async fn obey(&mut self, line: &[u8]) -> io::Result<Flow> {
        tracing::trace!(peer = %self.peer, line = %Line::new(line).redacted(), "SAM client says");
        let command = match Command::parse(line) {
            Ok(None) => return Ok(Flow::Next),
            Ok(Some(command)) => command,
            Err(rejection) => return self.refuse(line, rejection).await,
        };
        self.junk = 0;
        self.active = true;
        match command {
            Command::Hello(_) => {
                self.answer(reply::error(&Domain::Hello, "HELLO was said before; the version stays")).await
            }
            Command::SessionCreate(params) => Box::pin(self.create(params)).await,
            Command::SessionAdd(params) => Box::pin(self.add(params)).await,
            Command::SessionRemove(params) => Box::pin(self.remove(params)).await,
            Command::Connect(request) => Box::pin(self.connect(request)).await,
            Command::Accept(request) => Box::pin(self.accept(request)).await,
            Command::Forward(request) => Box::pin(self.forward(request)).await,
            Command::Send(request) => Box::pin(self.send_datagram(request)).await,
            Command::DestGenerate { signature_type } => self.generate(signature_type.as_deref()).await,
            Command::Lookup { name, options } => Box::pin(self.lookup(&name, options)).await,
            Command::Ping(tail) => self.answer(reply::pong(&tail)).await,
            Command::Pong => Ok(Flow::Next),
            Command::Quit => {
                self.say(&reply::quit_ok()).await?;
                Ok(Flow::Close)
            }
            Command::Help(topic) => self.help(topic.as_deref()).await,
            Command::Auth(request) => Box::pin(self.auth(request)).await,
        }
    }

    async fn refuse(&mut self, line: &[u8], rejection: Rejection) -> io::Result<Flow> {
        self.shared.metrics.lines_refused.inc();
        let word = Line::new(line).domain().unwrap_or_default();
        tracing::info!(client = %self.peer.label(), command = %word, answer = %rejection.reply.trim_end(), "SAM line refused");
        if !rejection.silent || self.owned.is_some() {
            self.say(&rejection.reply).await?;
        }
        self.junk = if rejection.then == Then::StayButCount { self.junk.saturating_add(1) } else { 0 };
        Ok(match rejection.then {
            Then::Close => Flow::Close,
            Then::CloseStream if self.owned.is_none() => Flow::Close,
            Then::StayButCount if self.junk >= JUNK_MAX => Flow::Close,
            Then::CloseStream | Then::StayButCount | Then::Stay => Flow::Next,
        })
    }

    /// A line on a socket that forwards: it may ping and quit; everything else waits for another socket.
    async fn obey_forwarding(&mut self, line: &[u8]) -> io::Result<Flow> {
        match Command::parse(line) {
            Ok(Some(Command::Ping(tail))) => self.answer(reply::pong(&tail)).await,
            Ok(Some(Command::Quit)) => {
                self.say(&reply::quit_ok()).await?;
                Ok(Flow::Close)
            }
            _ => Ok(Flow::Next),
        }
    }

    /// Answers and goes on.
    async fn answer(&mut self, reply: String) -> io::Result<Flow> {
        let reply = Zeroizing::new(reply);
        self.say(&reply).await?;
        Ok(Flow::Next)
    }

    /// Writes one reply, all at once.
    async fn say(&mut self, reply: &str) -> io::Result<()> {
        tracing::trace!(peer = %self.peer, line = %Line::new(reply.as_bytes()).redacted(), "SAM bridge says");
        match tokio::time::timeout(
            self.shared.limits.write_timeout,
            self.stream.write_whole(reply.as_bytes()),
        )
        .await
        {
            Ok(result) => result,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    async fn read_line(&mut self) -> io::Result<Read> {
        loop {
            match self.lines.next_line() {
                Ok(Some(line)) => return Ok(Read::Line(Zeroizing::new(line))),
                Err(_) => return Ok(Read::TooLong),
                Ok(None) => {}
            }
            if self.fill().await? == 0 {
                return Ok(Read::End);
            }
        }
    }

    /// Reads once from the socket; 0 is its end. Safe to drop.
    async fn fill(&mut self) -> io::Result<usize> {
        let lines = &mut self.lines;
        let count = self.stream.read_some(|bytes| lines.extend(bytes)).await;
        self.memory.set(self.lines.pending().len());
        count
    }

    /// Closes the socket as the last command wants it and ends the session that it owned.
    async fn finish(mut self, flow: Flow) {
        let mut owned = self.owned.take();
        if let Some(owned) = &mut owned {
            owned.reservation.free_id();
            for sub in owned.subs.drain(..) {
                sub.end().await;
            }
            if let Some(delivery) = owned.delivery.take() {
                // Its end lets the socket be closed in order.
                let _ = tokio::time::timeout(RELEASE_TIMEOUT, delivery).await;
            }
        }
        if let (Some(stream), Flow::Close) = (self.stream.take(), flow) {
            stream.close().await;
        }
        if let Some(owned) = owned {
            // The destination becomes free when the router has let go of it, or another client has taken it over.
            tracing::info!(session = %owned.reservation.entry.id, "SAM session closed");
            let Owned { session, reservation, config, linger, .. } = owned;
            self.shared.registry.park(session, reservation, config, linger).await;
        }
    }
}

/// What came of an attempt to read a line.
enum Read {
    Line(Zeroizing<Vec<u8>>),
    TooLong,
    End,
}

fn is_hello(line: &[u8]) -> bool {
    Line::new(line).domain().as_deref() == Some("HELLO")
}

/// A future that may be absent, and then never comes.
async fn optional<F: Future>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
