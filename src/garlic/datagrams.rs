// SPDX-License-Identifier: MIT
//! Sealing payloads that nobody sends again: they go when they go, and what has to wait waits with the owner.
//!
//! A remote that listens and never answers must still get them, so New Sessions follow each other at a distance that
//! every router bears (i2pd takes one in 200 ms for each destination), with as many payloads in each as have gathered.
//! In an established session the remote's tag window is the measure while its acknowledgements come, and a slow
//! pace when they do not: messages in order move the window of the remote along with them.

use super::api::{Remote, SealOptions, State};
use super::error::Error;
use super::payload::{OUTER, PAYLOAD_MAX, data_block_len, lease_set_block_len};
use super::peer::{Peer, PeerId};
use super::seal::{EXISTING_OVERHEAD, FIRST_BATCH_MAX, batch_len};
use super::sessions::Sessions;
use crate::base::{Mono, Now};
use std::time::Duration;

/// Payloads that go together: up to four cells.
const BATCH_MAX: usize = 2952 + 996 - OUTER - EXISTING_OVERHEAD;
/// The same in New Sessions and replies to a remote that has not answered the first ones.
const PATIENT_BATCH_MAX: usize = 48_000;
/// Unanswered New Sessions with payloads up to three cells before that.
const SMALL_ATTEMPTS: u32 = 3;
/// Distance of New Sessions to a remote.
const SPACING: Duration = Duration::from_millis(220);
/// Distance after [`MANY_ATTEMPTS`] of them.
const SPACING_LATER: Duration = Duration::from_millis(500);
const MANY_ATTEMPTS: u32 = 60;
/// Distance of replies to a remote's New Session.
const REPLY_SPACING: Duration = Duration::from_millis(100);
/// A remote that acknowledges may be slow to do so, to slow us down.
const ACK_PATIENCE: Duration = Duration::from_millis(2500);
/// Distance of messages beyond the tag window.
const OVERRUN_SPACING: Duration = Duration::from_millis(20);

/// What [`Sessions::seal_datagrams`] would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// So many messages with so many bytes of payload each, or one larger payload.
    Now {
        /// At least one.
        messages: usize,
        /// Payload bytes that go together.
        bytes: usize,
    },
    /// Nothing before this time, unless something comes from the remote.
    NotBefore(Mono),
}

impl Sessions {
    /// Holds acknowledgements of messages with datagrams back for so long from now on, beyond the usual 10 ms.
    pub const fn hold_datagram_acks(&mut self, delay: Duration) {
        self.datagram_ack_hold = delay;
    }

    /// How much may be sent to `to` now.
    pub fn datagram_allowance(&self, now: Now, to: &Remote) -> Allowance {
        let at = |at: Mono, bytes| {
            if at <= now.mono { Allowance::Now { messages: 1, bytes } } else { Allowance::NotBefore(at) }
        };
        let Some(peer) = self.by_key.get(&to.key).and_then(|id| self.peers.get(id)) else {
            return Allowance::Now { messages: 1, bytes: FIRST_BATCH_MAX };
        };
        match (way(peer), &peer.outbound) {
            (Way::Existing, Some(out)) => {
                match out.window(self.limits.in_flight).saturating_sub(out.unacked()) {
                    0 => at(out.overrun_from(ACK_PATIENCE).max(out.last_sent + OVERRUN_SPACING), BATCH_MAX),
                    room => Allowance::Now { messages: room as usize, bytes: BATCH_MAX },
                }
            }
            (Way::Reply, _) => match peer.last_reply {
                None => at(now.mono, FIRST_BATCH_MAX),
                Some(last) => at(last + REPLY_SPACING, PATIENT_BATCH_MAX),
            },
            _ => match peer.ours.back() {
                None => at(now.mono, FIRST_BATCH_MAX),
                Some(last) => at(last.sent + spacing(peer), self.patient_batch(peer)),
            },
        }
    }

    /// Whether a remote that used to acknowledge has stopped, although as much as it listens for is under way. Says so
    /// once in a while.
    pub fn has_fallen_silent(&mut self, now: Now, to: &Remote) -> bool {
        let max = self.limits.in_flight;
        let out =
            self.by_key.get(&to.key).and_then(|id| self.peers.get_mut(id)).and_then(|p| p.outbound.as_mut());
        out.is_some_and(|out| out.complains(now.mono, max))
    }

    fn patient_batch(&self, peer: &Peer) -> usize {
        let lease_set = self.lease_set.as_ref().map_or(0, |(_, raw)| lease_set_block_len(raw));
        if peer.attempts < SMALL_ATTEMPTS { FIRST_BATCH_MAX } else { PATIENT_BATCH_MAX - lease_set }
    }

    /// Seals as many of `payloads` as [`Self::datagram_allowance`] lets go: the messages, and how many payloads are
    /// in them. Nothing is kept for later.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Full`], [`Error::KeyMismatch`], [`Error::BadKey`]: nothing was taken.
    pub fn seal_datagrams<P: AsRef<[u8]>>(
        &mut self,
        now: Now,
        to: &Remote,
        payloads: &[P],
        bundle_lease_set: bool,
    ) -> Result<(Vec<Vec<u8>>, usize), Error> {
        let lease_set = self.lease_set.as_ref().map_or(0, |(_, raw)| lease_set_block_len(raw));
        if payloads.iter().any(|p| data_block_len(p.as_ref().len()) + lease_set > PAYLOAD_MAX) {
            return Err(Error::TooLarge);
        }
        let id = self.peer_for_sealing(now, to)?;
        let begin = self.check_health(now, id);
        let options = SealOptions { bundle_lease_set, ..SealOptions::default() };
        let (mut messages, mut taken) = (Vec::new(), 0);
        if begin && let Ok(message) = self.begin::<P>(now, id, &[], bundle_lease_set, BACKOFF) {
            // The session is worn out: a new one is begun beside it.
            messages.push(message);
        }
        while let Some(rest) = payloads.get(taken..).filter(|rest| !rest.is_empty())
            && let Allowance::Now { messages: _, bytes } = self.datagram_allowance(now, to)
        {
            let batch = rest.get(..batch_len(rest, bytes)).unwrap_or(rest);
            messages.push(self.seal_datagram_batch(now, id, batch, options)?);
            taken += batch.len();
        }
        self.arm(id);
        Ok((messages, taken))
    }

    fn seal_datagram_batch<P: AsRef<[u8]>>(
        &mut self,
        now: Now,
        id: PeerId,
        batch: &[P],
        options: SealOptions,
    ) -> Result<Vec<u8>, Error> {
        let peer = self.peers.get(&id).ok_or(Error::Full)?;
        match way(peer) {
            Way::Existing => self
                .seal_existing(now, id, batch, options, false)
                .map(|(message, _)| message)
                .ok_or(Error::Full),
            Way::Reply => self.seal_reply(now, id, batch, options).ok_or(Error::Full),
            Way::New => {
                let spacing = spacing(peer);
                self.begin(now, id, batch, options.bundle_lease_set, spacing)
            }
        }
    }
}

/// A New Session beside a session that no longer serves.
const BACKOFF: Duration = Duration::from_secs(1);

/// In what the next datagram travels.
enum Way {
    Existing,
    Reply,
    New,
}

fn way(peer: &Peer) -> Way {
    match peer.state() {
        State::Established => Way::Existing,
        State::Replying if peer.theirs.back().is_some_and(|t| t.can_reply()) => Way::Reply,
        _ => Way::New,
    }
}

const fn spacing(peer: &Peer) -> Duration {
    if peer.attempts < MANY_ATTEMPTS { SPACING } else { SPACING_LATER }
}
