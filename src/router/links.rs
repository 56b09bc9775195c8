// SPDX-License-Identifier: MIT
//! The joints between rooms that must not know each other: plane and transport, plane and control.

use super::control::{ToControl, ToDial};
use crate::base::{Now, QueueSender};
use crate::transport::{self, FromPeer, PeerSender};
use crate::tunnel::plane::{Input, InstallError, Via};
use crate::tunnel::task::{Outlets, PeerLink};
use crate::tunnel::{Class, TunnelKey};
use crate::wire::{I2np, I2npKind, RouterHash};

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

/// The plane's ways out to control.
pub(crate) struct ControlOutlets {
    /// Builds of ours and of others, and garlic, which may hold either.
    pub(crate) builds: QueueSender<ToControl>,
    /// Database messages.
    pub(crate) database: QueueSender<ToControl>,
    pub(crate) dials: QueueSender<ToDial>,
    pub(crate) refused: QueueSender<TunnelKey>,
}

impl Outlets for ControlOutlets {
    fn control(&mut self, from: Option<RouterHash>, via: Via, message: I2np) -> bool {
        let queue = match message.kind {
            I2npKind::DATABASE_STORE
            | I2npKind::DATABASE_LOOKUP
            | I2npKind::DATABASE_SEARCH_REPLY
            | I2npKind::DELIVERY_STATUS => &self.database,
            _ => &self.builds,
        };
        queue.try_push(ToControl { from, via, message }).is_ok()
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
