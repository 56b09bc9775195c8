// SPDX-License-Identifier: MIT
//! The joints between rooms that must not know each other: plane and transport, plane and control.

use super::control::{ToControl, ToDial};
use crate::base::{Now, QueueSender};
use crate::transport::{self, FromPeer, PeerSender};
use crate::tunnel::build::Gate;
use crate::tunnel::plane::{Input, InstallError, Via};
use crate::tunnel::task::{Outlets, PeerLink};
use crate::tunnel::{Class, TunnelKey};
use crate::wire::{I2np, I2npKind, RouterHash};
use std::sync::Arc;

const fn class(class: Class) -> transport::Class {
    match class {
        Class::Own => transport::Class::Own,
        Class::Transit => transport::Class::Transit,
        Class::Control => transport::Class::Control,
    }
}

/// A peer's connection as the plane sees it.
pub(crate) struct Link(pub(crate) PeerSender);

impl PeerLink for Link {
    fn push(&self, now: Now, messages: Vec<I2np>, c: Class) -> usize {
        self.0.push(now, messages, class(c))
    }
}

/// What a peer's connection read, as the plane takes it.
pub(crate) struct PeerBatch(FromPeer);

impl From<FromPeer> for PeerBatch {
    fn from(batch: FromPeer) -> Self {
        Self(batch)
    }
}

impl From<PeerBatch> for Input {
    fn from(batch: PeerBatch) -> Self {
        Self::FromPeer { peer: batch.0.peer, messages: batch.0.messages }
    }
}

crate::metrics! {
    /// What stands between the plane and control.
    pub(crate) struct GateMetrics {
        /// Build requests dropped: their sender had sent too many.
        requests_dropped_peer: Counter,
        /// Garlic messages dropped: their sender had sent too many.
        garlic_dropped_peer: Counter,
        /// Build requests and garlic of strangers dropped: too many waited.
        requests_dropped_full: Counter,
        /// Answers to what we asked dropped: too many waited.
        replies_dropped_full: Counter,
        /// Database messages dropped: too many waited.
        database_dropped_full: Counter,
    }
}

/// The plane's ways out to control.
pub(crate) struct ControlOutlets {
    /// What answers something of ours: never behind what strangers want.
    pub(crate) replies: QueueSender<ToControl>,
    /// Build requests and garlic of strangers.
    pub(crate) builds: QueueSender<ToControl>,
    /// Database messages.
    pub(crate) database: QueueSender<ToControl>,
    pub(crate) dials: QueueSender<ToDial>,
    pub(crate) refused: QueueSender<TunnelKey>,
    /// Keeps one router from filling `builds` alone.
    pub(crate) gate: Gate,
    pub(crate) metrics: Arc<GateMetrics>,
}

impl Outlets for ControlOutlets {
    fn control(&mut self, now: Now, from: Option<RouterHash>, via: Via, own: bool, message: I2np) -> bool {
        let Self { replies, builds, database, gate, metrics, .. } = self;
        let (queue, full) = match message.kind {
            I2npKind::DATABASE_STORE
            | I2npKind::DATABASE_LOOKUP
            | I2npKind::DATABASE_SEARCH_REPLY
            | I2npKind::DELIVERY_STATUS => (&*database, &metrics.database_dropped_full),
            _ if own => (&*replies, &metrics.replies_dropped_full),
            I2npKind::GARLIC => {
                if from.is_some_and(|from| !gate.garlic(now.mono, &from)) {
                    metrics.garlic_dropped_peer.inc();
                    return false;
                }
                (&*builds, &metrics.requests_dropped_full)
            }
            _ => {
                if from.is_some_and(|from| !gate.request(now.mono, &from)) {
                    metrics.requests_dropped_peer.inc();
                    return false;
                }
                (&*builds, &metrics.requests_dropped_full)
            }
        };
        let taken = queue.try_push(ToControl { from, via, since: now.mono, message }).is_ok();
        if !taken {
            full.inc();
        }
        taken
    }

    fn refused(&mut self, key: TunnelKey, reason: InstallError) {
        tracing::debug!(?key, %reason, "tunnel refused");
        let _ = self.refused.try_push(key);
    }

    fn dial(&mut self, _now: Now, peer: RouterHash, messages: Vec<I2np>, c: Class) -> usize {
        let refused = self.dials.try_push(ToDial { peer, messages, class: class(c) });
        refused.map_or_else(|lost| lost.messages.len(), |()| 0)
    }
}

#[cfg(test)]
mod tests;
