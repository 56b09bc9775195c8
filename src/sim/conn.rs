// SPDX-License-Identifier: MIT
//! A simulated connection: two ends, and what is on the way between them.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::task::Waker;

use super::fabric::HostId;
use super::link::{Line, LinkProfile, Way};
use crate::base::Rng;

/// Bytes that may be on the way or unread in one direction: what a system's buffers hold.
pub(super) const WINDOW: usize = 256 * 1024;
/// Pieces that arrive in the same millisecond become one up to this size.
const PIECE_MAX: usize = 64 * 1024;

/// Something on the way.
#[derive(Debug)]
pub(super) enum Load {
    Data(Vec<u8>),
    Fin,
    Reset,
}

impl Load {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Data(bytes) => bytes.len(),
            Self::Fin | Self::Reset => 0,
        }
    }
}

#[derive(Debug)]
pub(super) struct Flight {
    pub(super) at_ms: u64,
    pub(super) load: Load,
    /// A tap has delayed it already.
    pub(super) tapped: bool,
}

/// One end, with what it has sent.
#[derive(Debug)]
pub(super) struct End {
    pub(super) host: HostId,
    /// As the other end sees it.
    pub(super) addr: SocketAddr,
    /// What a read or write fails with from now on.
    pub(super) error: Option<io::ErrorKind>,
    /// Nobody holds this end any more.
    pub(super) gone: bool,
    /// Nothing reaches or leaves this end any more: its machine has another address, or forgot it.
    pub(super) lost: bool,
    pub(super) inbox: VecDeque<Vec<u8>>,
    /// Bytes of the first piece in the inbox that were read.
    head: usize,
    pub(super) unread: usize,
    /// The other end will send no more.
    pub(super) fin: bool,
    /// This end will send no more.
    shut: bool,
    pub(super) reset_on_close: bool,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
    /// From this end to the other.
    pub(super) way: Way,
    pub(super) flying: VecDeque<Flight>,
    flying_bytes: usize,
    /// Read by the other end, which we hear of then.
    owed: VecDeque<(u64, usize)>,
    owed_bytes: usize,
    /// A delivery of `flying` is scheduled.
    pub(super) scheduled: bool,
    /// A look at `owed` is scheduled.
    pub(super) credit_due: bool,
    /// Since when the first of `flying` could not be delivered, and the pause until the next try.
    pub(super) stuck: Option<(u64, u64)>,
    /// A tap swallows what this end sends.
    pub(super) swallowed: bool,
    /// Bytes of this end that have arrived.
    pub(super) delivered: u64,
    /// Last of them, to find patterns that lie across two pieces.
    pub(super) tail: Vec<u8>,
}

impl End {
    pub(super) const fn new(host: HostId, addr: SocketAddr, way: Way) -> Self {
        Self {
            host,
            addr,
            error: None,
            gone: false,
            lost: false,
            inbox: VecDeque::new(),
            head: 0,
            unread: 0,
            fin: false,
            shut: false,
            reset_on_close: false,
            reader: None,
            writer: None,
            way,
            flying: VecDeque::new(),
            flying_bytes: 0,
            owed: VecDeque::new(),
            owed_bytes: 0,
            scheduled: false,
            credit_due: false,
            stuck: None,
            swallowed: false,
            delivered: 0,
            tail: Vec::new(),
        }
    }

    pub(super) fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }

    /// The end of everything for whoever holds this end.
    pub(super) fn fail(&mut self, error: io::ErrorKind) {
        self.error.get_or_insert(error);
        self.inbox.clear();
        (self.unread, self.head) = (0, 0);
        self.forget_flights();
        self.wake();
    }

    pub(super) fn forget_flights(&mut self) {
        self.flying.clear();
        self.flying_bytes = 0;
        self.stuck = None;
    }

    pub(super) fn set_profile(&mut self, profile: LinkProfile, latency_us: u64) {
        self.way.profile = profile;
        self.way.latency_us = latency_us;
    }

    /// Takes the first piece that is due.
    pub(super) fn land(&mut self) -> Option<Flight> {
        let flight = self.flying.pop_front()?;
        self.flying_bytes -= flight.load.len();
        Some(flight)
    }

    /// Puts a piece back that is delayed, and everything behind it.
    pub(super) fn delay(&mut self, flight: Flight) {
        self.flying_bytes += flight.load.len();
        for later in &mut self.flying {
            later.at_ms = later.at_ms.max(flight.at_ms);
        }
        self.flying.push_front(flight);
    }

    /// Bytes that this end may send, given what the other has not read.
    pub(super) fn room(&mut self, now_ms: u64, unread: usize) -> usize {
        while let Some((at, n)) = self.owed.front().copied()
            && at <= now_ms
        {
            self.owed.pop_front();
            self.owed_bytes -= n;
        }
        WINDOW.saturating_sub(self.flying_bytes + self.owed_bytes + unread)
    }

    /// The other end has read `n` bytes; this end hears of it at `at_ms`.
    pub(super) fn owe(&mut self, at_ms: u64, n: usize) {
        self.owed_bytes += n;
        match self.owed.back_mut() {
            Some((at, owed)) if *at == at_ms => *owed += n,
            _ => self.owed.push_back((at_ms, n)),
        }
    }

    pub(super) fn next_credit(&self) -> Option<u64> {
        self.owed.front().map(|(at, _)| *at)
    }

    /// Sends bytes on their way.
    pub(super) fn send(&mut self, rng: &mut Rng, now_us: u64, bytes: &[u8], lines: (&mut Line, &mut Line)) {
        let (flying, mut from) = (&mut self.flying, 0);
        self.way.send(rng, (now_us, bytes.len(), self.flying_bytes), lines, |len, at_us| {
            let piece = bytes.get(from..from + len).unwrap_or_default();
            from += len;
            push(flying, at_us.div_ceil(1000), piece);
        });
        self.flying_bytes += bytes.len();
    }

    /// Sends the end of the stream, or its failure.
    pub(super) fn send_end(&mut self, rng: &mut Rng, now_us: u64, load: Load) {
        if matches!(load, Load::Fin) && std::mem::replace(&mut self.shut, true) {
            return;
        }
        let (flying, mut lines) = (&mut self.flying, (Line::default(), Line::default()));
        let mut load = Some(load);
        let now = (now_us, 1, 0);
        self.way.send(rng, now, (&mut lines.0, &mut lines.1), |_, at_us| {
            if let Some(load) = load.take() {
                flying.push_back(Flight { at_ms: at_us.div_ceil(1000), load, tapped: false });
            }
        });
    }

    /// Reads what has arrived.
    pub(super) fn read(&mut self, out: &mut tokio::io::ReadBuf<'_>) -> usize {
        let mut taken = 0;
        while out.remaining() > 0
            && let Some(piece) = self.inbox.front()
        {
            let rest = piece.get(self.head..).unwrap_or_default();
            let n = rest.len().min(out.remaining());
            out.put_slice(rest.get(..n).unwrap_or_default());
            taken += n;
            self.head += n;
            if self.head >= piece.len() {
                self.inbox.pop_front();
                self.head = 0;
            }
        }
        self.unread -= taken;
        taken
    }
}

fn push(flying: &mut VecDeque<Flight>, at_ms: u64, piece: &[u8]) {
    if let Some(Flight { at_ms: at, load: Load::Data(bytes), .. }) = flying.back_mut()
        && *at == at_ms
        && bytes.len() + piece.len() <= PIECE_MAX
    {
        bytes.extend_from_slice(piece);
        return;
    }
    flying.push_back(Flight { at_ms, load: Load::Data(piece.to_vec()), tapped: false });
}

/// Both ends; the first is the caller's.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) ends: [End; 2],
    /// When something last arrived.
    pub(super) used_ms: u64,
}

impl Conn {
    /// One end and the other.
    pub(super) const fn sides(&mut self, side: usize) -> (&mut End, &mut End) {
        let [a, b] = &mut self.ends;
        if side == 0 { (a, b) } else { (b, a) }
    }

    pub(super) fn is_over(&self) -> bool {
        self.ends.iter().all(|e| e.gone && e.flying.is_empty())
    }
}
