// SPDX-License-Identifier: MIT
//! The destination's dealings with the netDb: lease sets of others looked up, our own published, all through our own
//! tunnels.

use std::sync::Arc;

use super::{Cause, Error, ErrorKind};
use crate::base::{Mono, Now, Rng};
use crate::crypto::Verified;
use crate::netdb::client::{
    LeaseAction, LeaseLookups, LeasePublisher, LookupFailure, LookupReason, PublishAction,
};
use crate::netdb::{PeerView, ReplyTunnel, Tunnels};
use crate::tunnel::{Delivery, PoolState};
use crate::wire::{DeliveryStatus, DestHash, I2np, LeaseSet2, RouterHash, TunnelId, Wire};

/// What came of it.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Send through one of our tunnels.
    Out { handle: TunnelId, messages: Vec<(Delivery, I2np)> },
    /// A lookup succeeded.
    Found(Arc<Verified<LeaseSet2>>),
    /// A lookup failed.
    Failed(DestHash, Error),
    /// The router should look for this floodfill.
    FindRouter(RouterHash),
}

/// Lookups and publishing of one destination.
#[derive(Debug)]
pub(crate) struct Database {
    lookups: LeaseLookups,
    publisher: LeasePublisher,
    /// A version of our lease set has been confirmed at least once.
    published: bool,
    /// Rounds of stores that no floodfill confirmed, and how many the last one asked.
    unconfirmed: (u32, Vec<RouterHash>),
}

impl Database {
    pub(crate) fn new(mut rng: Rng) -> Self {
        Self {
            lookups: LeaseLookups::new(rng.fork("lookups")),
            publisher: LeasePublisher::new(rng.fork("publisher")),
            published: false,
            unconfirmed: (0, Vec::new()),
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

    pub(crate) fn request(&mut self, now: Now, hash: DestHash) {
        self.lookups.find(now, hash);
    }

    /// The lease set came bundled with a message.
    pub(crate) fn learned(&mut self, hash: &DestHash) {
        self.lookups.cancel(hash);
    }

    pub(crate) fn publish(&mut self, now: Now, lease_set: LeaseSet2) {
        match Verified::check(lease_set) {
            Ok(verified) => self.publisher.publish(now, Arc::new(verified)),
            Err(_) => tracing::error!("our own lease set does not verify; this is a bug, please report it"),
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
    pub(crate) fn poll(&mut self) -> Option<Outcome> {
        if let Some(action) = self.lookups.poll_action() {
            return Some(match action {
                LeaseAction::Send { tunnel, to, message } => out(tunnel, to, message),
                LeaseAction::FindRouter(router) => Outcome::FindRouter(router),
                LeaseAction::Found { lease_set, .. } => Outcome::Found(lease_set),
                LeaseAction::Failed { hash, failure } => Outcome::Failed(hash, error(&failure)),
            });
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
