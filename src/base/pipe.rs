// SPDX-License-Identifier: MIT
//! Bounded byte pipes between a task that owns an engine and a client that reads or writes asynchronously.
//!
//! The client's end is an `AsyncRead` or `AsyncWrite`; the engine's end never waits. When the client has made bytes
//! or room, the pipe rings the engine's [`Doorbell`] with the pipe's key, once until the engine looks again. What a pipe
//! holds counts against the router's budget of memory; when that runs short, pipes hold less, but never nothing.

use super::Account;
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

/// Small writes are gathered in one block up to this size.
const GATHER: usize = 4096;
/// What a pipe may hold when there is no memory left.
const LEAST: usize = 16 * 1024;

/// Collects the keys of pipes that want service and wakes the one task that serves them.
pub struct Doorbell<K> {
    shared: Arc<(Mutex<Vec<K>>, Notify)>,
}

impl<K> Clone for Doorbell<K> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<K> Default for Doorbell<K> {
    fn default() -> Self {
        Self { shared: Arc::new((Mutex::new(Vec::new()), Notify::new())) }
    }
}

impl<K> fmt::Debug for Doorbell<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Doorbell")
    }
}

impl<K: Send> Doorbell<K> {
    /// Adds `key` and wakes the task. Callers ring once until they are answered, so there are never more keys than pipes.
    pub fn ring(&self, key: K) {
        lock(&self.shared.0).push(key);
        self.shared.1.notify_one();
    }

    /// Takes all keys that have rung, without waiting.
    pub fn take(&self) -> Vec<K> {
        std::mem::take(&mut *lock(&self.shared.0))
    }

    /// Waits for a ring and takes all keys.
    pub async fn wait(&self) -> Vec<K> {
        loop {
            let keys = self.take();
            if !keys.is_empty() {
                return keys;
            }
            self.shared.1.notified().await;
        }
    }
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere cannot leave these plain buffers in a state that matters.
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a pipe ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Finished,
    Failed(io::ErrorKind),
}

struct State {
    chunks: VecDeque<Bytes>,
    gather: BytesMut,
    len: usize,
    capacity: usize,
    memory: Account,
    end: End,
    reader_gone: bool,
    rung: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl State {
    /// How much more may be put in. An empty pipe has room, whatever the memory.
    fn room(&self) -> usize {
        self.memory.budget().share(self.capacity, LEAST).saturating_sub(self.len)
    }

    fn set_len(&mut self, len: usize) {
        self.len = len;
        self.memory.set(len);
    }

    fn push(&mut self, bytes: Bytes) {
        self.set_len(self.len + bytes.len());
        self.settle();
        self.chunks.push_back(bytes);
    }

    fn settle(&mut self) {
        if !self.gather.is_empty() {
            let block = self.gather.split().freeze();
            self.chunks.push_back(block);
        }
    }

    fn copy_in(&mut self, buf: &[u8]) {
        self.set_len(self.len + buf.len());
        if buf.len() + self.gather.len() <= GATHER {
            self.gather.extend_from_slice(buf);
        } else {
            self.settle();
            self.chunks.push_back(Bytes::copy_from_slice(buf));
        }
    }
}

type Ring = Box<dyn Fn() + Send + Sync>;

struct Shared {
    state: Mutex<State>,
    ring: Ring,
}

fn shared(capacity: usize, memory: Account, ring: Ring) -> Arc<Shared> {
    let state = State {
        chunks: VecDeque::new(),
        gather: BytesMut::new(),
        len: 0,
        capacity,
        memory,
        end: End::Open,
        reader_gone: false,
        rung: false,
        reader: None,
        writer: None,
    };
    Arc::new(Shared { state: Mutex::new(state), ring })
}

/// From a client to an engine: the client writes, the engine takes.
pub fn upload<K: Clone + Send + Sync + 'static>(
    capacity: usize,
    memory: Account,
    bell: Doorbell<K>,
    key: K,
) -> (Writer, Taker) {
    let s = shared(capacity, memory, Box::new(move || bell.ring(key.clone())));
    (Writer(s.clone()), Taker(s))
}

/// From an engine to a client: the engine gives, the client reads.
pub fn download<K: Clone + Send + Sync + 'static>(
    capacity: usize,
    memory: Account,
    bell: Doorbell<K>,
    key: K,
) -> (Giver, Reader) {
    let s = shared(capacity, memory, Box::new(move || bell.ring(key.clone())));
    (Giver(s.clone()), Reader(s))
}

fn ring_once(s: &Shared, mut state: MutexGuard<'_, State>) {
    let first = !std::mem::replace(&mut state.rung, true);
    drop(state);
    if first {
        (s.ring)();
    }
}

/// Client's writing end of an [`upload`].
pub struct Writer(Arc<Shared>);

/// Engine's taking end of an [`upload`].
pub struct Taker(Arc<Shared>);

/// Engine's giving end of a [`download`].
pub struct Giver(Arc<Shared>);

/// Client's reading end of a [`download`].
pub struct Reader(Arc<Shared>);

impl AsyncWrite for Writer {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = lock(&self.0.state);
        match state.end {
            End::Failed(kind) => return Poll::Ready(Err(kind.into())),
            End::Finished => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            End::Open if state.reader_gone => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            End::Open => {}
        }
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let room = state.room();
        if room == 0 {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let n = room.min(buf.len());
        state.copy_in(buf.get(..n).unwrap_or_default());
        ring_once(&self.0, state);
        Poll::Ready(Ok(n))
    }

    /// Ready when the engine has taken every byte.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = lock(&self.0.state);
        match state.end {
            End::Failed(kind) => Poll::Ready(Err(kind.into())),
            _ if state.len == 0 => Poll::Ready(Ok(())),
            _ if state.reader_gone => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            _ => {
                state.writer = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Marks the end; what was written before is still taken.
    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.finish();
        Poll::Ready(Ok(()))
    }
}

impl Writer {
    fn finish(&self) {
        let mut state = lock(&self.0.state);
        if state.end == End::Open {
            state.end = End::Finished;
            ring_once(&self.0, state);
        }
    }

    /// Ends the pipe in an error, so that the engine resets the stream instead of closing it.
    pub fn abort(&self) {
        let mut state = lock(&self.0.state);
        state.end = End::Failed(io::ErrorKind::ConnectionReset);
        ring_once(&self.0, state);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Taker {
    /// Tells the pipe that the engine is looking: the next byte rings again.
    pub fn answer(&self) {
        lock(&self.0.state).rung = false;
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        lock(&self.0.state).len
    }

    /// Whether none wait.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes up to `max` bytes, in the pieces in which they were written.
    pub fn take(&self, max: usize) -> Option<Bytes> {
        if max == 0 {
            return None;
        }
        let mut state = lock(&self.0.state);
        if state.chunks.is_empty() {
            state.settle();
        }
        let front = state.chunks.front_mut()?;
        let piece = if front.len() <= max { state.chunks.pop_front()? } else { front.split_to(max) };
        let left = state.len - piece.len();
        state.set_len(left);
        let waker = state.writer.take();
        drop(state);
        if let Some(w) = waker {
            w.wake();
        }
        Some(piece)
    }

    /// Whether the client has finished and every byte was taken.
    pub fn is_finished(&self) -> bool {
        let state = lock(&self.0.state);
        state.end == End::Finished && state.len == 0
    }

    /// Whether the client aborted.
    pub fn is_aborted(&self) -> bool {
        matches!(lock(&self.0.state).end, End::Failed(_))
    }

    /// Refuses further writes with `kind`; what waits is lost.
    pub fn fail(&self, kind: io::ErrorKind) {
        let mut state = lock(&self.0.state);
        state.end = End::Failed(kind);
        state.chunks.clear();
        state.gather.clear();
        state.set_len(0);
        if let Some(w) = state.writer.take() {
            w.wake();
        }
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.reader_gone = true;
        if let Some(w) = state.writer.take() {
            w.wake();
        }
    }
}

impl Giver {
    /// Tells the pipe that the engine is looking: the next room made rings again.
    pub fn answer(&self) {
        lock(&self.0.state).rung = false;
    }

    /// How many bytes may be given now.
    pub fn room(&self) -> usize {
        lock(&self.0.state).room()
    }

    /// Gives bytes; the engine keeps to [`Self::room`], the pipe takes what it is given.
    pub fn give(&self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let mut state = lock(&self.0.state);
        if state.reader_gone {
            return;
        }
        state.push(bytes);
        if let Some(w) = state.reader.take() {
            w.wake();
        }
    }

    /// Marks the end of the bytes.
    pub fn finish(&self) {
        self.end(End::Finished);
    }

    /// Ends in an error, after the bytes given before it.
    pub fn fail(&self, kind: io::ErrorKind) {
        self.end(End::Failed(kind));
    }

    fn end(&self, end: End) {
        let mut state = lock(&self.0.state);
        if state.end == End::Open {
            state.end = end;
        }
        if let Some(w) = state.reader.take() {
            w.wake();
        }
    }

    /// Whether the client has dropped its end.
    pub fn is_abandoned(&self) -> bool {
        lock(&self.0.state).reader_gone
    }
}

impl Drop for Giver {
    fn drop(&mut self) {
        self.fail(io::ErrorKind::ConnectionAborted);
    }
}

impl AsyncRead for Reader {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = lock(&self.0.state);
        if state.len == 0 {
            return match state.end {
                End::Open => {
                    state.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
                End::Finished => Poll::Ready(Ok(())),
                End::Failed(kind) => Poll::Ready(Err(kind.into())),
            };
        }
        while buf.remaining() > 0 {
            let Some(front) = state.chunks.front_mut() else { break };
            let n = front.len().min(buf.remaining());
            buf.put_slice(front.get(..n).unwrap_or_default());
            front.advance(n);
            if front.is_empty() {
                state.chunks.pop_front();
            }
            let left = state.len - n;
            state.set_len(left);
        }
        // One ring when a quarter of the pipe is free again, not one for every read.
        if state.capacity.saturating_sub(state.len) >= state.capacity / 4 {
            ring_once(&self.0, state);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.reader_gone = true;
        state.chunks.clear();
        state.set_len(0);
        ring_once(&self.0, state);
    }
}

macro_rules! opaque {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({} bytes)"), lock(&self.0.state).len)
            }
        }
    )*};
}
opaque!(Writer, Taker, Giver, Reader);
