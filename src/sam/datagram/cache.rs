// SPDX-License-Identifier: MIT
//! Destinations that clients wrote to a moment ago, by the text they used.
//!
//! Decoding 524 characters and hashing the result costs more than everything else that is done to a small datagram
//! here. Texts that hold more than a public destination are never kept: they may be private keys.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::sam::backend::Peer;
use crate::sam::naming::Name;

/// Most texts remembered, about 1 KiB each; the oldest goes.
const ENTRIES_MAX: usize = 512;

/// Whom a text names, as far as that can be told without asking anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Peer(Peer),
    /// The session itself.
    Me,
    /// A host name, to be looked up.
    Host(String),
    Nobody,
}

/// The texts of one reader.
#[derive(Debug, Default)]
pub(super) struct Cache {
    peers: BTreeMap<Arc<str>, Peer>,
    order: VecDeque<Arc<str>>,
}

impl Cache {
    /// Whom `text` names.
    pub(super) fn find(&mut self, text: &str) -> Named {
        if let Some(peer) = self.peers.get(text) {
            return Named::Peer(peer.clone());
        }
        match Name::parse(text) {
            Name::Destination(destination) => {
                let public = destination.as_bytes().len().div_ceil(3).saturating_mul(4) >= text.len();
                let peer = Peer::Destination(*destination);
                if public {
                    self.keep(text, peer.clone());
                }
                Named::Peer(peer)
            }
            Name::Hash(hash) => Named::Peer(Peer::Hash(hash)),
            Name::Host(host) => Named::Host(host),
            Name::Me => Named::Me,
            Name::Blinded(name) => Named::Peer(Peer::Blinded(name)),
            Name::Malformed(_) => Named::Nobody,
        }
    }

    fn keep(&mut self, text: &str, peer: Peer) {
        if self.order.len() >= ENTRIES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.peers.remove(&oldest);
        }
        let text: Arc<str> = text.into();
        self.order.push_back(text.clone());
        self.peers.insert(text, peer);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }
}
