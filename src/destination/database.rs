// SPDX-License-Identifier: MIT
//! The destination's dealings with the netDb: lease sets of others looked up, our own published, all through our own
//! tunnels.

use std::collections::VecDeque;
use std::sync::Arc;

use super::blinded::{Blinded, Sought, Waiter};
use super::encrypted::{BlindedAccess, Encryption};
use super::{Cause, DestinationKeys, Error, ErrorKind};
use crate::base::{Mono, Now, Rng};
use crate::crypto::Verified;
use crate::netdb::client::{
    LeaseAction, LeaseLookups, LeasePublisher, LookupFailure, LookupReason, PublishAction,
};
use crate::netdb::{PeerView, ReplyTunnel, Tunnels};
use crate::tunnel::{Delivery, PoolState};
use crate::wire::{
    BlindedName, DeliveryStatus, DestHash, Destination, Hash, I2np, LeaseSet2, RouterHash, SelfSigned,
    TunnelId, Wire,
};

/// What came of it.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Send through one of our tunnels.
    Out { handle: TunnelId, messages: Vec<(Delivery, I2np)> },
    /// A lookup succeeded.
    Found(Arc<Verified<LeaseSet2>>),
    /// A lookup failed.
    Failed(DestHash, Error),
    /// A name was looked for; a lease set that was found came just before.
    Named { token: u64, result: Result<Destination, Error> },
    /// The router should look for this floodfill.
    FindRouter(RouterHash),
    /// Questions stay without answers: our tunnels should be tested.
    Suspect,
}

/// Lookups and publishing of one destination.
#[derive(Debug)]
pub(crate) struct Database {
    lookups: LeaseLookups,
    publisher: LeasePublisher,
    blinded: Blinded,
    /// How our lease set is published, if not in the clear.
    encryption: Option<Encryption>,
    rng: Rng,
    waiting: VecDeque<Outcome>,
    /// A version of our lease set has been confirmed at least once.
    published: bool,
    /// Rounds of stores that no floodfill confirmed, and how many the last one asked.
    unconfirmed: (u32, Vec<RouterHash>),
}

impl Database {
    pub(crate) fn new(mut rng: Rng, encryption: Option<Encryption>, access: BlindedAccess) -> Self {
        Self {
            lookups: LeaseLookups::new(rng.fork("lookups")),
            publisher: LeasePublisher::new(rng.fork("publisher")),
            blinded: Blinded::new(access, &mut rng),
            encryption,
            waiting: VecDeque::new(),
            published: false,
            unconfirmed: (0, Vec::new()),
            rng,
        }
    }

    pub(crate) fn set_pool(&mut self, now: Now, pool: &PoolState) {
        let tunnels = Tunnels {
            inbound: pool.inbound.iter().map(|t| ReplyTunnel { gateway: t.gateway, tunnel: t.id }).collect(),
            outbound: pool.outbound.iter().map(|t| t.handle).collect(),
        };
        self.lookups.set_tunnels(now, tunnels.clone());
        self.publisher.set_tunnels(now, tunnels);
    }

    pub(crate) fn set_view(&mut self, now: Now, view: PeerView) {
        self.lookups.set_view(view.clone());
        self.publisher.set_view(now, view);
    }

    /// As [`Self::request`], for one whose lease set of that date leads nowhere.
    pub(crate) fn request_newer(&mut self, now: Now, hash: DestHash, known_s: Option<u32>) {
        match known_s {
            Some(known_s) if !self.blinded.is_known(&hash) => self.lookups.find_newer(now, hash, known_s),
            _ => self.request(now, hash),
        }
    }

    pub(crate) fn request(&mut self, now: Now, hash: DestHash) {
        if !self.blinded.is_known(&hash) {
            self.lookups.find(now, hash);
            return;
        }
        match self.blinded.refresh(now, hash) {
            Ok(key) => self.ask_encrypted(now, key),
            Err(error) => self.waiting.push_back(Outcome::Failed(hash, error)),
        }
    }

    /// Looks for the destination behind the name of an encrypted lease set; answered by [`Outcome::Named`].
    pub(crate) fn request_named(
        &mut self,
        now: Now,
        token: u64,
        name: BlindedName,
        access: Option<BlindedAccess>,
    ) {
        match self.blinded.seek(now, name, access.map(Arc::new), Waiter::Call(token)) {
            Ok(key) => self.ask_encrypted(now, key),
            Err(error) => self.waiting.push_back(Outcome::Named { token, result: Err(error) }),
        }
    }

    /// The destination that the name of an encrypted lease set has led to.
    pub(crate) fn named(&self, name: &BlindedName) -> Option<DestHash> {
        self.blinded.named(name)
    }

    fn ask_encrypted(&mut self, now: Now, key: Option<Hash>) {
        if let Some(key) = key {
            self.lookups.find_encrypted(now, key);
        }
    }

    /// The lease set came bundled with a message, or was found.
    pub(crate) fn learned(&mut self, lease_set: &LeaseSet2) {
        self.blinded.learn(lease_set);
        self.lookups.cancel(&lease_set.destination().hash());
    }

    pub(crate) fn publish(&mut self, now: Now, keys: &DestinationKeys, lease_set: LeaseSet2) {
        let Some(encryption) = &self.encryption else {
            if let Some(set) = verified(lease_set) {
                self.publisher.publish(now, set);
            }
            return;
        };
        match encryption.seal(keys, &lease_set, &mut self.rng) {
            Some(set) => {
                if let Some(set) = verified(set) {
                    self.publisher.publish(now, set);
                }
            }
            None => tracing::error!("a lease set could not be encrypted; this is a bug, please report it"),
        }
    }

    /// Takes an answer to a question of ours; false if the message is none.
    pub(crate) fn garlic(&mut self, now: Now, body: &[u8]) -> bool {
        self.lookups.open_tagged(now, body) || self.publisher.open_tagged(now, body)
    }

    pub(crate) fn delivery_status(&mut self, now: Now, body: &[u8]) {
        if let Ok(status) = DeliveryStatus::from_bytes(body) {
            self.publisher.on_status(now, status.id);
        }
    }

    /// Hands a lease set on before those who waited for it hear of it.
    fn tell(&mut self, sought: Sought) {
        if let Ok(set) = &sought.result {
            self.waiting.push_back(Outcome::Found(set.clone()));
        }
        let destination = sought.result.map(|set| set.destination().clone());
        for waiter in sought.waiters {
            let result = destination.clone();
            match (waiter, result) {
                (Waiter::Call(token), result) => self.waiting.push_back(Outcome::Named { token, result }),
                (Waiter::Refresh(hash), Err(error)) => self.waiting.push_back(Outcome::Failed(hash, error)),
                (Waiter::Refresh(_), Ok(_)) => {}
            }
        }
    }

    pub(crate) const fn is_published(&self) -> bool {
        self.published
    }

    pub(crate) fn explain(&self) -> String {
        match (self.published, &self.unconfirmed) {
            (true, _) => "lease set published".into(),
            (false, (0, _)) => "lease set not yet confirmed by a floodfill".into(),
            (false, (rounds, asked)) => {
                let names: Vec<String> = asked.iter().map(ToString::to_string).collect();
                format!("lease set not confirmed in {rounds} rounds, the last asked {}", names.join(" "))
            }
        }
    }

    pub(crate) fn poll_timeout(&self, _now: Now) -> Option<Mono> {
        [self.lookups.poll_timeout(), self.publisher.poll_timeout()].into_iter().flatten().min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Now) {
        self.lookups.handle_timeout(now);
        self.publisher.handle_timeout(now);
    }

    /// The next outcome.
    pub(crate) fn poll(&mut self, now: Now) -> Option<Outcome> {
        loop {
            if let Some(outcome) = self.waiting.pop_front() {
                return Some(outcome);
            }
            let Some(action) = self.lookups.poll_action() else { break };
            match action {
                LeaseAction::Send { tunnel, to, message } => return Some(out(tunnel, to, message)),
                LeaseAction::Suspect => return Some(Outcome::Suspect),
                LeaseAction::FindRouter(router) => return Some(Outcome::FindRouter(router)),
                LeaseAction::Found { lease_set, .. } => return Some(Outcome::Found(lease_set)),
                LeaseAction::FoundEncrypted { key, lease_set } => {
                    if let Some(sought) = self.blinded.found(now, &key, &lease_set) {
                        self.tell(sought);
                    }
                }
                LeaseAction::Failed { hash, failure } => {
                    match self.blinded.failed(&Hash::from(hash), &error(&failure)) {
                        None => return Some(Outcome::Failed(hash, error(&failure))),
                        Some(Ok(next)) => self.lookups.find_encrypted(now, next),
                        Some(Err(sought)) => self.tell(sought),
                    }
                }
            }
        }
        loop {
            match self.publisher.poll_action()? {
                PublishAction::Send { tunnel, to, message } => return Some(out(tunnel, to, message)),
                PublishAction::Published { .. } => self.published = true,
                PublishAction::Verified { .. } => {}
                PublishAction::Unconfirmed { asked } => self.unconfirmed = (self.unconfirmed.0 + 1, asked),
            }
        }
    }
}

/// Our own signature is checked as anybody's: what does not verify must not go out.
fn verified<T: SelfSigned>(set: T) -> Option<Arc<Verified<T>>> {
    let checked = Verified::check(set).ok();
    if checked.is_none() {
        tracing::error!("our own lease set does not verify; this is a bug, please report it");
    }
    checked.map(Arc::new)
}

fn out(handle: TunnelId, to: RouterHash, message: I2np) -> Outcome {
    Outcome::Out { handle, messages: vec![(Delivery::Router(to), message)] }
}

fn error(failure: &LookupFailure) -> Error {
    let kind = match failure.reason {
        LookupReason::NotFound | LookupReason::NoAnswer | LookupReason::NoFloodfills => {
            ErrorKind::LeaseSetNotFound
        }
        LookupReason::NoTunnels => ErrorKind::NoTunnels,
        LookupReason::OldCryptography => ErrorKind::Incompatible,
        LookupReason::Busy => ErrorKind::Limit,
    };
    Error::new(kind, failure.to_string()).with_cause(Cause::Lookup {
        floodfills: failure.floodfills.clone(),
        asked: failure.asked,
        answered: failure.answered,
        invalid: failure.invalid,
    })
}
