// SPDX-License-Identifier: MIT
//! The engine.

use super::{Action, Error, Limits, Mark, Metrics, Opened, Remote, SealOptions, Sealed, Stats};
use crate::base::{Mono, Now, Rng};
use crate::crypto::{X25519Public, X25519Secret};
use crate::wire::DestHash;
use std::sync::Arc;

/// All end-to-end sessions of one local destination.
#[derive(Debug)]
pub struct Sessions {
    public: X25519Public,
    metrics: Arc<Metrics>,
}

impl Sessions {
    /// Sessions of `local`, whose lease set carries the public half of `static_key`.
    pub fn new(static_key: X25519Secret, local: DestHash, rng: Rng, limits: Limits) -> Self {
        let _ = (local, rng, limits);
        Self { public: static_key.public(), metrics: Arc::default() }
    }

    /// The X25519 key to put into our lease set.
    pub fn public_key(&self) -> X25519Public {
        self.public
    }

    /// Counters of this destination.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Our signed LeaseSet2 (type 3, raw bytes) from now on. New Sessions bundle it; established sessions
    /// send it with their next message, or by themselves after 5 s if they were used in the last 2 minutes.
    pub fn set_local_lease_set(&mut self, now: Now, lease_set: Arc<[u8]>) {
        let _ = (now, lease_set);
    }

    /// Seals Data payloads (gzip members) for `to`, several small ones together.
    ///
    /// In an established session all are sealed at once, also beyond [`Self::in_flight_allowance`]. While a
    /// New Session waits for its answer, payloads are held and come out as actions later.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Full`], [`Error::KeyMismatch`]: nothing was taken.
    pub fn seal<P: AsRef<[u8]>>(
        &mut self,
        now: Now,
        to: &Remote,
        payloads: &[P],
        options: SealOptions,
    ) -> Result<Sealed, Error> {
        let _ = (now, to, payloads, options);
        Err(Error::Full)
    }

    /// Opens the body of an I2NP Garlic message, 4-byte length included.
    ///
    /// # Errors
    /// The message was dropped and counted; the error says why.
    pub fn open(&mut self, now: Now, body: Vec<u8>) -> Result<Opened, Error> {
        let _ = (now, body);
        Err(Error::Unrecognised)
    }

    /// Listens for one message with this one-time tag, sealed with `key`, until `expires`.
    pub fn register_reply_tag(&mut self, tag: [u8; 8], key: [u8; 32], expires: Mono) {
        let _ = (tag, key, expires);
    }

    /// How many more messages may be sent to `to` before some of those in flight are known to have arrived.
    /// More than that may find the remote without the tags to read them.
    pub fn in_flight_allowance(&self, now: Now, to: &Remote) -> usize {
        let _ = (now, to);
        0
    }

    /// Tells that the message of `mark` arrived, for instance because a stream acknowledged what was in it.
    pub fn confirm(&mut self, now: Now, to: &Remote, mark: Mark) {
        let _ = (now, to, mark);
    }

    /// Drops everything about `to`, tags included.
    pub fn forget(&mut self, to: &Remote) {
        let _ = to;
    }

    /// The next thing to do. Call until `None` after every other call.
    pub fn poll_action(&mut self, now: Now) -> Option<Action> {
        let _ = now;
        None
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Mono> {
        None
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        let _ = now;
    }

    /// One session in numbers.
    pub fn stats(&self, to: &Remote) -> Option<Stats> {
        let _ = to;
        None
    }
}
