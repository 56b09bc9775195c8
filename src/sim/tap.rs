// SPDX-License-Identifier: MIT
//! Ears and hands on the links: who sees what passes, and who changes it.

use std::net::SocketAddr;
use std::time::Duration;

/// A piece of a stream on its last step before it is read.
#[derive(Debug)]
pub struct Chunk<'a> {
    /// Time since the world's start.
    pub at: Duration,
    /// Number of the connection in its world.
    pub connection: u64,
    /// Whether it goes from the caller to the one who was called.
    pub forth: bool,
    /// Where it comes from, as its receiver sees it.
    pub from: SocketAddr,
    /// Where it goes.
    pub to: SocketAddr,
    /// Bytes of this direction that came before it.
    pub offset: u64,
    /// The bytes. A tap may change them: what is left when it returns arrives. Fewer are dropped ones, more are
    /// replayed or made-up ones.
    pub bytes: &'a mut Vec<u8>,
}

/// What becomes of a chunk that a tap has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It arrives as the tap has left it.
    Pass,
    /// It arrives so much later, and everything behind it as well. The tap does not see it again.
    Delay(Duration),
    /// The connection is reset, for both ends.
    Cut,
    /// Nothing of this direction arrives any more; the sender finds out by its timeouts.
    Swallow,
}

/// Hands on a link.
pub trait Tap: Send {
    /// Looks at a chunk and decides. Must not call the world.
    fn chunk(&mut self, chunk: &mut Chunk<'_>) -> Verdict;
}

impl<F: FnMut(&mut Chunk<'_>) -> Verdict + Send> Tap for F {
    fn chunk(&mut self, chunk: &mut Chunk<'_>) -> Verdict {
        self(chunk)
    }
}

/// A chunk that has arrived.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Time since the world's start.
    pub at: Duration,
    /// Number of the connection in its world.
    pub connection: u64,
    /// Whether it went from the caller to the one who was called.
    pub forth: bool,
    /// Where it comes from.
    pub from: SocketAddr,
    /// Where it goes.
    pub to: SocketAddr,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// Ears on all links.
pub(super) type Observer = Box<dyn FnMut(&Seen<'_>) + Send>;

/// A pattern that was seen on a link although it must never be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// When, since the world's start.
    pub at: Duration,
    /// The pattern, by the order in which they were given.
    pub pattern: usize,
    /// From where.
    pub from: SocketAddr,
    /// To where.
    pub to: SocketAddr,
}

/// Whether `hay` holds `needle`, which has at least four bytes. Looks at about every `needle.len()`-th byte.
pub(super) fn contains(hay: &[u8], needle: &[u8]) -> bool {
    let n = needle.len();
    let Some(&last) = needle.last() else { return false };
    let mut skip = [n; 256];
    for (i, b) in needle.iter().take(n - 1).enumerate() {
        skip[usize::from(*b)] = n - 1 - i;
    }
    let mut at = n - 1;
    while let Some(&b) = hay.get(at) {
        if b == last && hay.get(at + 1 - n..=at) == Some(needle) {
            return true;
        }
        at += skip[usize::from(b)];
    }
    false
}
