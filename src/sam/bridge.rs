// SPDX-License-Identifier: MIT
//! Copies bytes between a client's socket and a stream of the network, both ways at once.
//!
//! Each direction has one buffer, which exists only while it has something to do and grows to 64 KiB while the
//! bytes keep coming; a reader that stops therefore stops its writer and nothing else. The two ends close as TCP
//! does: an end of file passes through after every byte before it, and the other direction lives on. A reset passes
//! through as a reset. The buffers count against the router's budget of memory and stay small when that runs short. Spec: none; SAMv3 leaves closing open, TCP's habits are what clients expect.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;

use super::backend::BoxedStream;
use super::socket::Socket;
use crate::base::{Account, Budget};

/// Buffer of a direction at rest: allocated when bytes come.
const BUFFER_MIN: usize = 4 * 1024;
/// How long a client may keep its end open after the peer closed, without sending anything.
const LINGER: Duration = Duration::from_secs(60);

/// How long a stream may take to send what its client wrote before the session ended.
const LAST_WORDS: Duration = Duration::from_secs(20);

/// Silence of a client after which it has written all that it had to, when its session has ended.
const SILENCE: Duration = Duration::from_millis(100);

/// How a pair of streams ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Both directions were closed in order, or the client stayed silent after the peer's close.
    Closed,
    /// The client's socket failed or was reset.
    ClientLost,
    /// The peer reset the stream, or it died.
    PeerLost,
    /// The session was closed under the stream.
    SessionEnded,
}

/// Copies until both directions are done or the session ends. `early` are bytes that the client sent ahead,
/// `most` the largest buffer of a direction.
pub(super) async fn run(
    mut client: Socket,
    mut peer: BoxedStream,
    early: Vec<u8>,
    (memory, most): (Account, usize),
    ended: &CancellationToken,
) -> Outcome {
    let mut bridge = Bridge::new(early, memory, most);
    let outcome = tokio::select! { biased;
        () = ended.cancelled() => Outcome::SessionEnded,
        outcome = poll_fn(|cx| bridge.poll(cx, &mut client, &mut peer)) => outcome,
    };
    if outcome == Outcome::SessionEnded {
        bridge.linger = None;
        // What the client wrote before is in its socket or in our buffer: it still goes out, then the streams end.
        let rest = poll_fn(|cx| bridge.poll_last(cx, &mut client, &mut peer));
        let _ = tokio::time::timeout(LAST_WORDS, rest).await;
        return outcome;
    }
    finish(outcome, client, peer).await;
    outcome
}

/// Both directions and how far they have got.
struct Bridge {
    up: Pump,
    down: Pump,
    /// The client's end takes no more bytes.
    client_lost: bool,
    /// The peer's end takes no more bytes.
    peer_lost: bool,
    /// Runs once the peer has closed and the client has not.
    linger: Option<Pin<Box<Sleep>>>,
    moved_up: u64,
    /// The buffers of both directions.
    memory: Account,
}

impl Bridge {
    fn new(early: Vec<u8>, memory: Account, most: usize) -> Self {
        let (up, down) = (Pump::new(early, most), Pump::new(Vec::new(), most));
        Self { up, down, client_lost: false, peer_lost: false, linger: None, moved_up: 0, memory }
    }

    fn poll(&mut self, cx: &mut Context<'_>, client: &mut Socket, peer: &mut BoxedStream) -> Poll<Outcome> {
        let outcome = self.poll_both(cx, client, peer);
        self.memory.set(self.up.buffer.capacity() + self.down.buffer.capacity());
        outcome
    }

    fn poll_both(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Socket,
        peer: &mut BoxedStream,
    ) -> Poll<Outcome> {
        let budget = self.memory.budget().clone();
        match self.up.poll(cx, client, peer, &budget) {
            Poll::Ready(Err(Fault::Read)) => return Poll::Ready(Outcome::ClientLost),
            // What came from the peer before it went is still delivered.
            Poll::Ready(Err(Fault::Write)) => {
                self.peer_lost = true;
                self.up.state = State::Done;
            }
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        match self.down.poll(cx, peer, client, &budget) {
            Poll::Ready(Err(Fault::Read)) => return Poll::Ready(Outcome::PeerLost),
            // What the client sent before it went is still delivered.
            Poll::Ready(Err(Fault::Write)) => {
                self.client_lost = true;
                self.down.state = State::Done;
            }
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        match (self.up.done(), self.down.done()) {
            (true, true) if self.client_lost => Poll::Ready(Outcome::ClientLost),
            (true, true) => Poll::Ready(Outcome::Closed),
            (false, true) => self.poll_linger(cx),
            _ => Poll::Pending,
        }
    }

    /// Sends what the client has written before now, until it is silent for a moment, then closes the stream. The client
    /// gets what came from the peer.
    fn poll_last(&mut self, cx: &mut Context<'_>, client: &mut Socket, peer: &mut BoxedStream) -> Poll<()> {
        let budget = self.memory.budget().clone();
        let _ = self.down.poll(cx, peer, client, &budget);
        loop {
            if self.up.poll(cx, client, peer, &budget).is_ready() {
                return Poll::Ready(());
            }
            if self.up.state == State::Closing {
                return Poll::Pending;
            }
            // Nothing to read does not mean that there is nothing: the runtime makes busy tasks pause.
            let moved = std::mem::replace(&mut self.moved_up, self.up.moved) != self.up.moved;
            if moved || self.up.start < self.up.end {
                self.linger = None;
            }
            let silence = self.linger.get_or_insert_with(|| Box::pin(tokio::time::sleep(SILENCE)));
            ready!(silence.as_mut().poll(cx));
            self.linger = None;
            if self.up.start == self.up.end {
                self.up.state = State::Closing;
            }
        }
    }

    /// The peer is done; the client may still have something to say, but not for ever.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        if self.moved_up != self.up.moved {
            self.moved_up = self.up.moved;
            self.linger = None;
        }
        let timer = self.linger.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        timer.as_mut().poll(cx).map(|()| Outcome::Closed)
    }
}

/// Leaves both ends in the state that belongs to the outcome.
async fn finish(outcome: Outcome, client: Socket, mut peer: BoxedStream) {
    match outcome {
        Outcome::Closed | Outcome::SessionEnded => {}
        // Bytes that were read before the client vanished are still delivered: an orderly close.
        Outcome::ClientLost => {
            let _ = tokio::time::timeout(LINGER, poll_fn(|cx| Pin::new(&mut peer).poll_shutdown(cx))).await;
        }
        Outcome::PeerLost => {
            peer.reset();
            client.reset_on_close();
        }
    }
}

/// Which side of a direction failed.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Read,
    Write,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Copying,
    /// The source has ended; the sink is being closed.
    Closing,
    Done,
}

/// One direction.
struct Pump {
    buffer: Vec<u8>,
    /// Bytes `start..end` of the buffer wait for the sink.
    start: usize,
    end: usize,
    /// Next buffer size.
    size: usize,
    /// Its largest size.
    most: usize,
    /// Bytes that the sink has not been asked to flush.
    unflushed: bool,
    state: State,
    /// Bytes that went through.
    moved: u64,
}

impl Pump {
    fn new(early: Vec<u8>, most: usize) -> Self {
        let end = early.len();
        Self {
            buffer: early,
            start: 0,
            end,
            size: BUFFER_MIN,
            most,
            unflushed: false,
            state: State::Copying,
            moved: 0,
        }
    }

    fn done(&self) -> bool {
        self.state == State::Done
    }

    /// Moves bytes until the source or the sink has to be waited for.
    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut R,
        sink: &mut W,
        budget: &Budget,
    ) -> Poll<Result<(), Fault>>
    where
        R: AsyncRead + Unpin + ?Sized,
        W: AsyncWrite + Unpin + ?Sized,
    {
        loop {
            match self.state {
                State::Done => return Poll::Ready(Ok(())),
                State::Closing => {
                    ready!(Pin::new(&mut *sink).poll_shutdown(cx)).map_err(|_| Fault::Write)?;
                    self.buffer = Vec::new();
                    self.state = State::Done;
                }
                State::Copying => {
                    ready!(self.poll_drain(cx, sink))?;
                    match self.poll_fill(cx, source, budget) {
                        Poll::Ready(Ok(0)) => self.state = State::Closing,
                        Poll::Ready(Ok(_)) => {}
                        Poll::Ready(Err(_)) => return Poll::Ready(Err(Fault::Read)),
                        Poll::Pending => {
                            self.rest();
                            if self.unflushed {
                                ready!(Pin::new(&mut *sink).poll_flush(cx)).map_err(|_| Fault::Write)?;
                                self.unflushed = false;
                            }
                            return Poll::Pending;
                        }
                    }
                }
            }
        }
    }

    /// Writes everything that the buffer holds.
    fn poll_drain<W>(&mut self, cx: &mut Context<'_>, sink: &mut W) -> Poll<Result<(), Fault>>
    where
        W: AsyncWrite + Unpin + ?Sized,
    {
        while self.start < self.end {
            let waiting = self.buffer.get(self.start..self.end).unwrap_or_default();
            let count = ready!(Pin::new(&mut *sink).poll_write(cx, waiting)).map_err(|_| Fault::Write)?;
            if count == 0 {
                return Poll::Ready(Err(Fault::Write));
            }
            self.start = self.start.saturating_add(count).min(self.end);
            self.moved = self.moved.wrapping_add(count as u64);
            self.unflushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once into the empty buffer.
    fn poll_fill<R>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut R,
        budget: &Budget,
    ) -> Poll<io::Result<usize>>
    where
        R: AsyncRead + Unpin + ?Sized,
    {
        self.size = self.size.min(budget.share(self.most, BUFFER_MIN));
        if self.buffer.len() != self.size {
            self.buffer = vec![0; self.size];
        }
        let mut space = ReadBuf::new(&mut self.buffer);
        ready!(Pin::new(source).poll_read(cx, &mut space))?;
        let count = space.filled().len();
        self.start = 0;
        self.end = count;
        if count == self.size && self.size < self.most {
            self.size = (self.size * 4).min(self.most);
        }
        Poll::Ready(Ok(count))
    }

    /// Gives the buffer back while there is nothing to copy.
    fn rest(&mut self) {
        self.buffer = Vec::new();
        self.size = BUFFER_MIN;
    }
}
