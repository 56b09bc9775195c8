// SPDX-License-Identifier: MIT
//! What others ask of us: stores and lookups, the floodfill's work.
//!
//! Only a floodfill keeps and serves entries of others; any router answers for its own hash. A store is
//! acknowledged before anything else, then checked, kept, and, if it asked for an acknowledgement and brought
//! something new, flooded to the three floodfills nearest to its key. Lookups are answered with the entry or with
//! the three nearest floodfills, sealed if the asker gave a key. Everything is bounded per asker, per key and in
//! total. Spec: network database, "Floodfill"; I2NP database messages.

use super::super::limit::{Bucket, PerKey};
use super::super::message::{self, ReplyTunnel};
use super::super::routing::{MIDNIGHT_WINDOW_MS, RoutingKey, closest, neighbour_day};
use super::super::store::Origin;
use super::super::view::PeerEntry;
use super::{Action, Bounds, Engine, Source};
use crate::base::{Ask, Now, Rng};
use crate::wire::{
    DatabaseLookup, DatabaseSearchReply, DatabaseStore, Hash, I2np, LookupKind, ReplyEncryption, RouterHash,
    StoreData, TunnelId,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Floodfills that get a copy of a new entry.
const FLOOD_TO: usize = 3;
/// Window in which copies of one key are counted.
const FLOOD_WINDOW: Duration = Duration::from_secs(60);
/// RouterInfos older than this are kept but not flooded.
const FLOOD_AGE_MAX_MS: u64 = 3_600_000;
/// Floodfills named in an answer.
const NAMED: usize = 3;
/// Window in which lookups and stores are counted.
const WINDOW: Duration = Duration::from_secs(120);
const KEYS_MAX: usize = 8_192;

/// Limits of what we do for others.
#[derive(Debug)]
pub(super) struct Server {
    lookups: Bucket,
    stores: Bucket,
    per_path: PerKey<ReplyTunnel>,
    per_peer: PerKey<RouterHash>,
    stores_per_peer: PerKey<RouterHash>,
    floods: PerKey<Hash>,
    /// Answers for routers that we have to find first.
    held: BTreeMap<RouterHash, Vec<I2np>>,
}

impl Server {
    /// For so many lookups a second and half as many stores.
    pub(super) fn new(rng: &mut Rng, lookups: u64, bounds: &Bounds) -> Self {
        let stores = lookups.div_ceil(2);
        Self {
            lookups: Bucket::new(lookups, lookups.saturating_mul(4)),
            stores: Bucket::new(stores, stores.saturating_mul(4)),
            per_path: PerKey::new(rng, bounds.lookups_per_path, WINDOW, KEYS_MAX),
            per_peer: PerKey::new(rng, bounds.lookups_per_peer, WINDOW, KEYS_MAX),
            stores_per_peer: PerKey::new(rng, bounds.stores_per_peer, WINDOW, KEYS_MAX),
            floods: PerKey::new(rng, bounds.floods_per_key, FLOOD_WINDOW, KEYS_MAX),
            held: BTreeMap::new(),
        }
    }
}

impl Engine {
    /// A DatabaseStore came: the answer to a search of ours, or something to keep for others.
    pub(super) fn on_store(&mut self, now: Now, source: Source, store: DatabaseStore) {
        if self.is_searched(&store.key) && (store.reply.is_none() || !self.config.floodfill) {
            let from = match source {
                Source::Direct(peer) => Some(peer),
                Source::Exploratory | Source::Garlic => None,
            };
            self.on_found(now, store.key, from, &store);
            return;
        }
        if !self.store_is_affordable(now, source, &store.key) {
            self.metrics.stores_refused_busy.inc();
            return;
        }
        let owner = matches!(source, Source::Direct(peer) if Hash::from(peer) == store.key);
        if source == Source::Exploratory || (!self.config.floodfill && !owner) {
            self.metrics.router_infos_refused_unasked.inc();
            return;
        }
        #[cfg(feature = "sim")]
        if self.misdeeds.storing() == crate::base::Stores::Ignore {
            return;
        }
        if self.config.floodfill {
            self.acknowledge(now, source, &store);
        }
        #[cfg(feature = "sim")]
        if self.misdeeds.storing() == crate::base::Stores::Forget {
            return;
        }
        match &store.data {
            StoreData::RouterInfo(bytes) => {
                let origin = if owner { Origin::Owner } else { Origin::Store };
                let taken = self.take_router(now, bytes, Some(store.key), origin);
                if taken.is_ok() && store.reply.is_some() && self.config.floodfill {
                    self.flood_router(now, RouterHash::from(store.key), peer_of(source));
                }
            }
            _ if !self.config.floodfill => self.metrics.router_infos_refused_unasked.inc(),
            _ => self.take_lease_set(now, source, &store),
        }
    }

    /// Within its sender's rate and that of all. What is known may always be renewed; what is new needs memory.
    fn store_is_affordable(&mut self, now: Now, source: Source, key: &Hash) -> bool {
        let within = match source {
            Source::Direct(peer) => self.server.stores_per_peer.allow(now.mono, peer),
            Source::Exploratory | Source::Garlic => true,
        };
        let known = |engine: &Self| {
            engine.routers.contains(&RouterHash::from(*key)) || engine.leases.get(now, key).is_some()
        };
        let room = |engine: &Self| engine.memory.budget().allows(Ask::Keeping);
        within && self.server.stores.take(now.mono) && (known(self) || room(self))
    }

    /// Confirms that the store came. Directly if it did not name a tunnel; then only to where it came from.
    fn acknowledge(&mut self, now: Now, source: Source, store: &DatabaseStore) {
        let Some((token, tunnel, gateway)) = store.reply else { return };
        let status = message::status(&mut self.rng, now.wall_ms, token);
        if tunnel == TunnelId(0) {
            let direct = matches!(source, Source::Direct(_)) || Hash::from(gateway) == store.key;
            if direct {
                self.reply_or_hold(now, source, gateway, status);
            }
            return;
        }
        let message = message::into_tunnel(&mut self.rng, now.wall_ms, tunnel, &status);
        self.send_or_hold(now, gateway, message);
    }

    /// Sends to a router that asked for it, on the session on which it asked if that was its own.
    fn reply_or_hold(&mut self, now: Now, source: Source, to: RouterHash, message: I2np) {
        if source == Source::Direct(to) {
            self.actions.push_back(Action::Send { to, message });
        } else {
            self.send_or_hold(now, to, message);
        }
    }

    /// Sends to a router that was named to us. If we do not know it, we look for it first.
    fn send_or_hold(&mut self, now: Now, to: RouterHash, message: I2np) {
        let known = to == self.config.own || self.connected.contains(&to) || self.routers.contains(&to);
        if known {
            self.actions.push_back(Action::Send { to, message });
            return;
        }
        let Bounds { held: held_max, held_each, .. } = self.config.bounds;
        let held = &mut self.server.held;
        let room = match held.get(&to) {
            Some(waiting) => waiting.len() < held_each,
            None => held.len() < held_max,
        };
        if !room {
            self.metrics.answers_dropped_unknown.inc();
            return;
        }
        held.entry(to).or_default().push(message);
        if !self.find_for_held(now, to) {
            self.drop_held(to);
        }
    }

    /// The router that messages were held for is known now.
    pub(super) fn release_held(&mut self, to: RouterHash) {
        for message in self.server.held.remove(&to).unwrap_or_default() {
            self.actions.push_back(Action::Send { to, message });
        }
    }

    /// The router that messages were held for could not be found.
    pub(super) fn drop_held(&mut self, to: RouterHash) {
        let dropped = self.server.held.remove(&to).unwrap_or_default().len();
        self.metrics.answers_dropped_unknown.add(dropped as u64);
    }

    fn take_lease_set(&mut self, now: Now, source: Source, store: &DatabaseStore) {
        match self.leases.admit(now, store.key, &store.data) {
            Ok(()) => {
                self.metrics.lease_sets_taken.inc();
                if store.reply.is_some() {
                    self.flood(now, store.key, &store.data, peer_of(source));
                }
            }
            Err(refusal) => {
                tracing::debug!(key = ?store.key, ?refusal, "lease set refused");
                self.metrics.lease_sets_refused.inc();
            }
        }
    }

    /// Floods the RouterInfo of `hash`, which is in the table.
    pub(super) fn flood_router(&mut self, now: Now, hash: RouterHash, from: RouterHash) {
        let Some(entry) = self.routers.get(&hash) else { return };
        if now.wall_ms.saturating_sub(entry.published_ms) <= FLOOD_AGE_MAX_MS {
            let data = StoreData::RouterInfo(entry.info.raw().to_vec());
            self.flood(now, hash.into(), &data, from);
        }
    }

    fn flood(&mut self, now: Now, key: Hash, data: &StoreData, from: RouterHash) {
        if !self.server.floods.allow(now.mono, key) {
            self.metrics.floods_suppressed.inc();
            return;
        }
        let own = self.config.own;
        let skip = |h: &RouterHash| *h == own || *h == from || Hash::from(*h) == key;
        let mut targets = self.view.closest_floodfills(&key, now.wall_ms, skip, FLOOD_TO);
        if let Some(other_day) = neighbour_day(now.wall_ms, MIDNIGHT_WINDOW_MS) {
            let more = |h: &RouterHash| skip(h) || targets.iter().any(|t| t.hash == *h);
            let more = self.view.closest_floodfills(&key, other_day, more, FLOOD_TO - 1);
            targets.extend(more);
        }
        let body = DatabaseStore { key, reply: None, data: data.clone() };
        for target in targets.iter().filter(|t| t.dialable(now.wall_ms)) {
            self.metrics.entries_flooded.inc();
            let message = message::store(&mut self.rng, now.wall_ms, &body);
            self.actions.push_back(Action::Send { to: target.hash, message });
        }
    }

    /// A DatabaseLookup came.
    pub(super) fn on_lookup(&mut self, now: Now, source: Source, lookup: &DatabaseLookup) {
        let allowed = match (source, lookup.reply_tunnel) {
            (Source::Exploratory, _) => Err(()),
            (_, Some(tunnel)) => {
                let path = ReplyTunnel { gateway: lookup.from, tunnel };
                Ok(self.server.per_path.allow(now.mono, path))
            }
            // Only to the one who asks: nobody shall make us send answers to third parties.
            (Source::Direct(peer), None) if peer == lookup.from => {
                Ok(self.server.per_peer.allow(now.mono, peer))
            }
            _ => Err(()),
        };
        let policy = allowed.is_err() || matches!(lookup.encryption, ReplyEncryption::Aes(..));
        if policy {
            self.metrics.lookups_dropped_policy.inc();
            return;
        }
        if allowed != Ok(true) || !self.server.lookups.take(now.mono) {
            self.metrics.lookups_dropped_busy.inc();
            return;
        }
        #[cfg(feature = "sim")]
        match self.misdeeds.answering() {
            crate::base::Answers::Serve => {}
            crate::base::Answers::Ignore => return,
            crate::base::Answers::Deny => return self.deny(now, lookup),
        }
        if let Some(answer) = self.answer(now, lookup) {
            self.send_answer(now, lookup, &answer);
        }
    }

    /// Says that we do not have it, and names routers that do not exist.
    #[cfg(feature = "sim")]
    fn deny(&mut self, now: Now, lookup: &DatabaseLookup) {
        let peers = (0..NAMED).map(|_| RouterHash(self.rng.bytes())).collect();
        let body = DatabaseSearchReply { key: lookup.key, peers, from: self.config.own };
        let answer = message::search_reply(&mut self.rng, now.wall_ms, &body);
        self.send_answer(now, lookup, &answer);
    }

    fn answer(&mut self, now: Now, lookup: &DatabaseLookup) -> Option<I2np> {
        let wants_router = matches!(lookup.kind, LookupKind::RouterInfo | LookupKind::Any);
        let wants_leases = matches!(lookup.kind, LookupKind::LeaseSet | LookupKind::Any);
        let hash = RouterHash::from(lookup.key);
        let mut data = None;
        if hash == self.config.own && wants_router {
            data = self.own.as_ref().map(|own| StoreData::RouterInfo(own.info.raw().to_vec()));
        } else if !self.config.floodfill {
            self.metrics.lookups_dropped_policy.inc();
            return None;
        }
        if data.is_none() && wants_router {
            data = self.routers.get(&hash).map(|e| StoreData::RouterInfo(e.info.raw().to_vec()));
        }
        if data.is_none() && wants_leases {
            data = self.leases.get(now, &lookup.key).map(super::super::store::LeaseEntry::data);
        }
        if let Some(data) = data {
            self.metrics.lookups_served_found.inc();
            let body = DatabaseStore { key: lookup.key, reply: None, data };
            return Some(message::store(&mut self.rng, now.wall_ms, &body));
        }
        self.metrics.lookups_served_closer.inc();
        let peers = self.closer(now, lookup);
        let body = DatabaseSearchReply { key: lookup.key, peers, from: self.config.own };
        Some(message::search_reply(&mut self.rng, now.wall_ms, &body))
    }

    /// Whom else to ask.
    fn closer(&self, now: Now, lookup: &DatabaseLookup) -> Vec<RouterHash> {
        let own = self.config.own;
        let direct = lookup.reply_tunnel.is_none();
        let skip = |h: &RouterHash| {
            *h == own
                || Hash::from(*h) == lookup.key
                || (direct && *h == lookup.from)
                || lookup.excluded.contains(h)
        };
        if lookup.kind == LookupKind::Exploratory {
            let routing = RoutingKey::new(&lookup.key, now.wall_ms);
            let others = self.view.iter().filter(|e| !e.floodfill && !e.hidden && !skip(&e.hash));
            let named: Vec<&Arc<PeerEntry>> =
                closest(&routing, others, |e| e.hash, self.config.bounds.named_by_us);
            return named.into_iter().map(|e| e.hash).collect();
        }
        self.view
            .closest_floodfills(&lookup.key, now.wall_ms, skip, NAMED)
            .into_iter()
            .map(|e| e.hash)
            .collect()
    }

    fn send_answer(&mut self, now: Now, lookup: &DatabaseLookup, answer: &I2np) {
        let Some(tunnel) = lookup.reply_tunnel else {
            self.actions.push_back(Action::Send { to: lookup.from, message: answer.clone() });
            return;
        };
        let sealed = match &lookup.encryption {
            ReplyEncryption::Ecies(key, tag) => message::garlic_tagged(&mut self.rng, now, key, *tag, answer),
            _ => answer.clone(),
        };
        let message = message::into_tunnel(&mut self.rng, now.wall_ms, tunnel, &sealed);
        self.send_or_hold(now, lookup.from, message);
    }
}

/// Who handed it to us, or a hash that is nobody's.
fn peer_of(source: Source) -> RouterHash {
    match source {
        Source::Direct(peer) => peer,
        Source::Exploratory | Source::Garlic => RouterHash::default(),
    }
}
