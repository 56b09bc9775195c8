// SPDX-License-Identifier: MIT
//! The pipes of open streams: moves bytes between programs and the stream table, with back-pressure both ways.

use crate::base::Now;
use crate::base::pipe::{Giver, Taker};
use crate::stream::{CloseReason, StreamId, Table};
use bytes::Bytes;
use std::io;

/// Largest piece moved at once.
const PIECE: usize = 64 * 1024;

/// One open stream with the engine's ends of its pipes.
#[derive(Debug)]
pub(crate) struct Open {
    taker: Taker,
    giver: Giver,
    /// Taken from the program, not yet taken by the stream.
    pending: Option<Bytes>,
    /// The stream knows that the program writes no more.
    shut: bool,
    /// The program knows that no more comes.
    finished: bool,
    /// The stream is over.
    closed: Option<CloseReason>,
}

impl Open {
    pub(crate) const fn new(taker: Taker, giver: Giver) -> Self {
        Self { taker, giver, pending: None, shut: false, finished: false, closed: None }
    }

    /// The stream has ended; what it received is still delivered.
    pub(crate) fn end(&mut self, reason: CloseReason) {
        self.closed = Some(reason);
        if let Some(kind) = error_kind(reason) {
            self.taker.fail(kind);
        }
    }

    /// Moves what can be moved. True when the stream was given back and this value can go.
    pub(crate) fn service(&mut self, now: Now, id: StreamId, table: &mut Table) -> bool {
        self.taker.answer();
        self.giver.answer();
        if self.taker.is_aborted() && self.closed.is_none() {
            table.reset(now, id);
            return true;
        }
        self.move_out(now, id, table);
        self.move_in(now, id, table)
    }

    fn move_out(&mut self, now: Now, id: StreamId, table: &mut Table) {
        if self.closed.is_some() {
            return;
        }
        while let Some(mut piece) = self.pending.take().or_else(|| self.taker.take(PIECE)) {
            let taken = table.write(now, id, piece.clone());
            if taken < piece.len() {
                self.pending = Some(piece.split_off(taken));
                return;
            }
        }
        if self.taker.is_finished() && !self.shut {
            self.shut = true;
            table.shutdown_write(now, id);
        }
    }

    fn move_in(&mut self, now: Now, id: StreamId, table: &mut Table) -> bool {
        let abandoned = self.giver.is_abandoned();
        loop {
            let room = if abandoned { PIECE } else { self.giver.room() };
            if room == 0 {
                return false;
            }
            let Some(bytes) = table.read(now, id, room) else { break };
            self.giver.give(bytes);
        }
        // A stream that ended in an error is finished as well, but its reader must not take that for an orderly end.
        if self.closed.is_none() && table.is_finished(id) && !self.finished {
            self.finished = true;
            self.giver.finish();
        }
        if let Some(reason) = self.closed {
            // Whoever has got everything up to the peer's close has lost nothing by what came behind it.
            let complete = self.finished || table.has_closed(id);
            match error_kind(reason).filter(|_| !complete) {
                Some(kind) => self.giver.fail(kind),
                None => self.giver.finish(),
            }
            table.close(now, id);
            return true;
        }
        if abandoned && self.shut {
            table.close(now, id);
            return true;
        }
        false
    }
}

const fn error_kind(reason: CloseReason) -> Option<io::ErrorKind> {
    match reason {
        CloseReason::Graceful => None,
        CloseReason::ConnectTimeout | CloseReason::PeerSilent => Some(io::ErrorKind::TimedOut),
        CloseReason::ResetByPeer | CloseReason::NotAccepted => Some(io::ErrorKind::ConnectionReset),
        CloseReason::ResetLocally => Some(io::ErrorKind::ConnectionAborted),
    }
}
