// SPDX-License-Identifier: MIT
//! The data phase of one connection: a session between a socket, the plane's queue and the peer's queue.
//!
//! Reads and writes go on side by side: while the plane's queue is full only reading stops. One write for each wake,
//! one plane item for each read. Buffers grow with traffic to one frame and shrink when it stops.

use super::super::{CloseReason, ConnId, FromPeer, PeerSender};
use super::frame::FRAME_MAX;
use super::session::{Closed, Event, Session};
use super::task::{BUFFER_MIN, Command, Own, Shared, report_info};
use crate::base::watch;
use crate::base::{Account, Duplex, Mono, Now, Part};
use crate::wire::ntcp2_block::TerminationReason;
use crate::wire::{I2np, RouterHash, RouterInfo};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncWriteExt, ReadBuf};

/// Bytes taken from the peer's queue for one write.
const WRITE_BYTES: usize = 64 * 1024;
/// A connection without reads for so long gives its buffers back.
const QUIET: Duration = Duration::from_secs(10);
/// Time to write the last bytes.
const LINGER: Duration = Duration::from_secs(2);
/// Our RouterInfo is sent again after so long even if only its date changed.
const INFO_EVERY: Duration = Duration::from_secs(30 * 60);

/// A session with its socket and buffers.
pub(super) struct Link<'a, T> {
    shared: &'a Shared<T>,
    conn: ConnId,
    peer: RouterHash,
    stream: Box<dyn Duplex>,
    pub(super) session: Session,
    info: watch::Receiver<Arc<RouterInfo>>,
    info_sent: (Mono, Arc<RouterInfo>),
    /// Sealed bytes, of which the first `written` are on their way.
    out: Vec<u8>,
    written: usize,
    /// Bytes read, of which the first `filled` are not opened yet.
    buf: Vec<u8>,
    filled: usize,
    last_read: Mono,
    last_write: Mono,
    taken: Vec<I2np>,
    /// The buffers as the router's budget has them.
    memory: (Account, Account),
    /// Until when the limit on all links keeps this one from writing, and from reading.
    held: (Option<Mono>, Option<Mono>),
}

/// What one poll of the socket and the queue brought.
#[derive(Default)]
struct Io {
    read: Option<io::Result<usize>>,
    wrote: Option<io::Result<usize>>,
    queue: bool,
}

impl<'a, T: From<FromPeer>> Link<'a, T> {
    pub(super) fn new(
        shared: &'a Shared<T>,
        conn: ConnId,
        peer: RouterHash,
        stream: Box<dyn Duplex>,
        session: Session,
        rest: Vec<u8>,
    ) -> Self {
        let now = shared.clock.now().mono;
        let mut info = shared.info.clone();
        let current = info.borrow_and_update().clone();
        let filled = rest.len();
        let budget = &shared.config.budget;
        Self {
            shared,
            conn,
            peer,
            stream,
            session,
            info,
            info_sent: (now, current),
            out: Vec::new(),
            written: 0,
            buf: rest,
            filled,
            last_read: now,
            last_write: now,
            taken: Vec::new(),
            memory: (budget.account(Part::TransportIn), budget.account(Part::TransportOut)),
            held: (None, None),
        }
    }

    fn account(&mut self) {
        self.memory.0.set(self.buf.capacity());
        self.memory.1.set(self.out.capacity());
    }

    fn now(&self) -> Now {
        self.shared.clock.now()
    }

    pub(super) async fn run(&mut self, own: &mut Own, mut sender: PeerSender) -> CloseReason {
        let shared = self.shared;
        self.open();
        let mut armed = self.deadline();
        let mut timer = pin!(shared.clock.sleep_until(Some(armed)));
        loop {
            if let Some(end) = self.drain_events() {
                self.flush().await;
                return end;
            }
            self.hold();
            self.refill(&sender);
            self.account();
            let (may_write, may_read) = (self.may_write(), self.may_read());
            let deadline = self.deadline();
            if deadline < armed {
                armed = deadline;
                timer.set(shared.clock.sleep_until(Some(armed)));
            }
            tokio::select! { biased;
                () = shared.token.cancelled() => return self.close(TerminationReason::Shutdown).await,
                command = own.commands.recv() => match command {
                    Some(Command::Attach(attached)) => sender = attached,
                    Some(Command::Close(reason)) => return self.close(reason).await,
                    None => return CloseReason::Lost,
                },
                () = &mut timer => {
                    if let Some(end) = self.on_timer() {
                        return end;
                    }
                    armed = self.deadline();
                    timer.set(shared.clock.sleep_until(Some(armed)));
                }
                changed = self.info.changed() => match changed {
                    Ok(()) => self.on_info(),
                    Err(_) => return self.close(TerminationReason::Shutdown).await,
                },
                slot = shared.to_plane.reserve(), if self.session.has_messages() => {
                    let Some(slot) = slot else { return self.close(TerminationReason::Shutdown).await };
                    let messages = self.session.take_messages();
                    shared.metrics.messages_in.add(messages.len() as u64);
                    slot.send(T::from(FromPeer { peer: self.peer, messages }));
                }
                io = poll_fn(|cx| Self::poll_io(
                    (&mut *self.stream, may_write.then_some(&sender), self.conn),
                    self.out.get(self.written..).unwrap_or_default(),
                    may_read.then(|| self.buf.get_mut(self.filled..).unwrap_or_default()),
                    cx,
                )) => if !self.on_io(io) {
                    return CloseReason::Lost;
                },
            }
        }
    }

    /// Polls writing, reading and the queue, all of them each time, so that none starves another.
    fn poll_io(
        (stream, sender, conn): (&mut dyn Duplex, Option<&PeerSender>, ConnId),
        out: &[u8],
        space: Option<&mut [u8]>,
        cx: &mut Context<'_>,
    ) -> Poll<Io> {
        let mut io = Io::default();
        if out.is_empty() {
            io.queue = sender.is_some_and(|sender| sender.poll_ready(conn, cx).is_ready());
        } else if let Poll::Ready(wrote) = Pin::new(&mut *stream).poll_write(cx, out) {
            io.wrote = Some(wrote);
        }
        if let Some(space) = space {
            let mut read = ReadBuf::new(space);
            if let Poll::Ready(result) = Pin::new(&mut *stream).poll_read(cx, &mut read) {
                io.read = Some(result.map(|()| read.filled().len()));
            }
        }
        if io.queue || io.wrote.is_some() || io.read.is_some() { Poll::Ready(io) } else { Poll::Pending }
    }

    /// Takes over what a poll brought; false when the connection is lost.
    fn on_io(&mut self, io: Io) -> bool {
        let now = self.now();
        match io.wrote {
            None => {}
            Some(Ok(n)) if n > 0 => {
                self.shared.metrics.bytes_out.add(n as u64);
                self.last_write = now.mono;
                self.written += n;
                if self.written >= self.out.len() {
                    self.out.clear();
                    self.written = 0;
                }
            }
            Some(_) => return false,
        }
        match io.read {
            None => {}
            Some(Ok(n)) if n > 0 => {
                self.shared.metrics.bytes_in.add(n as u64);
                self.shared.rate_in.spend(n);
                self.last_read = now.mono;
                self.filled += n;
                self.open();
            }
            Some(_) => return false,
        }
        true
    }

    /// Opens the complete frames, moves the rest to the front and makes room for the next read.
    fn open(&mut self) {
        let now = self.now();
        let filled = self.buf.get_mut(..self.filled).unwrap_or_default();
        let full = filled.len() == self.buf.len();
        let filled = self.buf.get_mut(..self.filled).unwrap_or_default();
        let done = self.session.read(now, filled);
        self.buf.copy_within(done..self.filled, 0);
        self.filled -= done;
        let mut want = self.session.needs().max(BUFFER_MIN);
        if full {
            want = want.max(self.buf.len() * 2);
        }
        if self.buf.len() < want.min(FRAME_MAX) {
            self.buf.resize(want.min(FRAME_MAX), 0);
        }
    }

    /// Asks the limit on all links whether this one may write and read now.
    fn hold(&mut self) {
        if self.shared.config.rate.is_none() {
            return;
        }
        let now = self.now().mono;
        self.held = (self.shared.rate_out.wait_until(now), self.shared.rate_in.wait_until(now));
    }

    fn may_write(&self) -> bool {
        self.session.is_open() && self.held.0.is_none()
    }

    /// A batch that waits for the plane stops reading: TCP pushes back on this peer alone.
    fn may_read(&self) -> bool {
        !self.session.has_messages() && self.held.1.is_none()
    }

    /// Seals what waits in the queue, once everything sealed before is written.
    fn refill(&mut self, sender: &PeerSender) {
        if !self.out.is_empty() || !self.may_write() {
            return;
        }
        let now = self.now();
        let piece = self.shared.rate_out.piece(WRITE_BYTES);
        sender.take(now, self.conn, piece, &mut self.taken);
        if self.taken.is_empty() {
            return;
        }
        let count = self.taken.len();
        let dropped = self.session.write(now, &mut self.taken, &mut self.out);
        self.shared.metrics.messages_out.add((count - dropped) as u64);
        self.shared.metrics.dropped_oversize.add(dropped as u64);
        self.shared.rate_out.spend(self.out.len());
        self.last_write = now.mono;
    }

    /// Passes facts on; an answer means that the session is over.
    fn drain_events(&mut self) -> Option<CloseReason> {
        self.shared.metrics.dropped_router_infos.add(self.session.take_events_dropped());
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::RouterInfo { raw, flood } => report_info(self.shared, self.peer, raw, flood),
                Event::Closed(Closed::ByPeer(reason)) => return Some(CloseReason::ByPeer(reason)),
                Event::Closed(Closed::ByUs(reason)) => return Some(CloseReason::ByUs(reason)),
            }
        }
        None
    }

    fn deadline(&self) -> Mono {
        let session = self.session.poll_timeout().unwrap_or(Mono::NEVER);
        let stall = if self.out.is_empty() {
            Mono::NEVER
        } else {
            self.last_write.after(self.shared.config.links.stall_time)
        };
        let shrink = if self.is_grown() { self.last_read.after(QUIET) } else { Mono::NEVER };
        let held = [self.held.0, self.held.1].into_iter().flatten().min().unwrap_or(Mono::NEVER);
        session.min(stall).min(shrink).min(held)
    }

    fn is_grown(&self) -> bool {
        self.buf.len() > BUFFER_MIN || self.out.capacity() > BUFFER_MIN
    }

    fn on_timer(&mut self) -> Option<CloseReason> {
        let now = self.now();
        if !self.out.is_empty() && now.mono >= self.last_write.after(self.shared.config.links.stall_time) {
            self.stream.reset_on_close();
            return Some(CloseReason::Stalled);
        }
        if self.is_grown() && now.mono >= self.last_read.after(QUIET) {
            self.shrink();
        }
        self.session.handle_timeout(now, &mut self.out);
        None
    }

    fn shrink(&mut self) {
        let keep = self.session.needs().max(self.filled).clamp(BUFFER_MIN, FRAME_MAX);
        if self.buf.len() > keep {
            self.buf.truncate(keep);
            self.buf.shrink_to_fit();
        }
        if self.out.is_empty() {
            self.out = Vec::new();
        }
        self.last_read = self.now().mono; // looked at again after as long
    }

    /// Our RouterInfo has changed: sends it when something else than its date did, or when the peer's copy is old.
    fn on_info(&mut self) {
        let current = self.info.borrow_and_update().clone();
        let (sent, old) = &self.info_sent;
        let same = old.addresses() == current.addresses() && old.options() == current.options();
        if !same || self.now().mono >= sent.after(INFO_EVERY) {
            self.info_sent.1 = current;
            self.write_info();
        }
    }

    pub(super) fn write_info(&mut self) {
        let now = self.now();
        self.info_sent.0 = now.mono;
        let raw = self.info_sent.1.raw().clone();
        self.session.write_info(now, &raw, &mut self.out);
    }

    /// Terminates the session and writes what is left.
    pub(super) async fn close(&mut self, reason: TerminationReason) -> CloseReason {
        self.session.close(reason, &mut self.out);
        self.flush().await;
        CloseReason::ByUs(reason)
    }

    async fn flush(&mut self) {
        let deadline = self.now().mono.after(LINGER);
        let rest = self.out.get(self.written..).unwrap_or_default();
        tokio::select! { biased;
            _ = async {
                if self.stream.write_all(rest).await.is_ok() {
                    let _ = self.stream.shutdown().await;
                }
            } => {}
            () = self.shared.clock.sleep_until(Some(deadline)) => {}
        }
    }
}
