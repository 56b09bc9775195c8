// SPDX-License-Identifier: MIT
//! The line splitter: bytes in any segmentation to lines, and the rest as payload.

use std::fmt;

use zeroize::{Zeroize as _, Zeroizing};

/// Buffers above this capacity are given back once they are empty, so that idle clients stay cheap.
const KEEP_CAPACITY: usize = 2048;

/// The line in progress passed the limit; the connection cannot be resynchronised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineTooLong;

/// Splits the byte stream of one socket into lines.
///
/// The owner reads from the socket only when [`Lines::next_line`] has nothing more to give, so at most
/// `limit` bytes plus one read are ever held. Lines carry private keys and passwords, so nothing that was read stays
/// behind when the buffer moves, grows or goes.
pub struct Lines {
    buffer: Zeroizing<Vec<u8>>,
    /// Bytes before this index were given out already.
    start: usize,
    /// Bytes before this index hold no LF.
    scanned: usize,
    limit: usize,
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lines({} bytes, ..)", self.pending().len())
    }
}

impl Lines {
    /// An empty splitter that refuses lines of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { buffer: Zeroizing::default(), start: 0, scanned: 0, limit }
    }

    /// Changes the limit, once a client has introduced itself.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Adds what the socket gave.
    pub fn extend(&mut self, bytes: &[u8]) {
        let held = self.pending().len();
        let needed = held.saturating_add(bytes.len());
        if needed > self.buffer.capacity() {
            let room = needed.max(self.buffer.capacity().saturating_mul(2));
            let mut larger = Zeroizing::new(Vec::with_capacity(room));
            larger.extend_from_slice(self.pending());
            self.buffer = larger;
        } else if self.start > 0 {
            self.buffer.copy_within(self.start.., 0);
            self.buffer.get_mut(held..).unwrap_or_default().zeroize();
            self.buffer.truncate(held);
        }
        self.scanned = self.scanned.saturating_sub(self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole line without its line end, or `None` until more bytes come.
    ///
    /// # Errors
    /// [`LineTooLong`] when the line passed the limit, whether or not its end has come.
    pub fn next_line(&mut self) -> Result<Option<Vec<u8>>, LineTooLong> {
        let found = self.buffer.iter().skip(self.scanned).position(|byte| *byte == b'\n');
        let Some(end) = found.map(|offset| self.scanned.saturating_add(offset)) else {
            self.scanned = self.buffer.len();
            // One more than the limit may still be the CR of a line that fits exactly.
            let held = self.pending();
            let fits = held.len() <= self.limit
                || (held.len() == self.limit.saturating_add(1) && held.last() == Some(&b'\r'));
            return if fits { Ok(None) } else { Err(LineTooLong) };
        };
        let line = self.buffer.get(self.start..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > self.limit {
            return Err(LineTooLong);
        }
        let line = line.to_vec();
        // Lines carry private keys and passwords.
        self.buffer.get_mut(self.start..end).unwrap_or_default().zeroize();
        self.start = end.saturating_add(1);
        self.scanned = self.start;
        self.release();
        Ok(Some(line))
    }

    /// The bytes that came and were not given out: the beginning of the next line, or payload.
    pub fn pending(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// Takes everything that follows the last line; used when a socket turns from lines to payload.
    pub fn take_rest(&mut self) -> Vec<u8> {
        let rest = self.pending().to_vec();
        self.buffer = Zeroizing::default();
        self.start = 0;
        self.scanned = 0;
        rest
    }

    /// Takes up to `count` pending bytes: payload behind a line.
    pub fn take(&mut self, count: usize) -> Vec<u8> {
        let part = self.pending().get(..count.min(self.pending().len())).unwrap_or_default().to_vec();
        self.skip(part.len());
        part
    }

    /// Drops up to `count` pending bytes and says how many were dropped.
    pub fn skip(&mut self, count: usize) -> usize {
        let dropped = count.min(self.pending().len());
        self.start = self.start.saturating_add(dropped);
        self.scanned = self.scanned.max(self.start);
        self.release();
        dropped
    }

    fn release(&mut self) {
        if self.start == self.buffer.len() {
            self.start = 0;
            self.scanned = 0;
            self.buffer.clear();
            if self.buffer.capacity() > KEEP_CAPACITY {
                self.buffer = Zeroizing::default();
            }
        }
    }
}
