// SPDX-License-Identifier: MIT
//! Lease sets for one destination: looking them up and publishing its own.
//!
//! Everything goes through the destination's own tunnels and is sealed to the floodfill, so neither the floodfill
//! nor anybody on the way learns which router asks or stores; nothing found here enters the router's database.
//! Both engines are owned by the destination's task, which passes on garlic messages whose tag they know and
//! DeliveryStatus messages whose token they know. Spec: network database, "LeaseSet lookup" and "Publishing".

mod lookup;
mod publish;
#[cfg(test)]
mod tests;

pub use lookup::{LeaseAction, LeaseLookups, LookupFailure, LookupReason};
pub use publish::{LeasePublisher, PublishAction};

use super::message::{ReplyTunnel, garlic_for_router, lookup as lookup_message};
use super::tags::Tags;
use super::view::PeerEntry;
use crate::base::{Now, Rng};
use crate::crypto::Verified;
use crate::wire::{DatabaseLookup, DestHash, Hash, I2np, LeaseSet2, LookupKind, Wire};

/// A sealed question for a lease set, whose answer comes to `reply` under a fresh tag for `purpose`.
fn sealed_lookup<P>(
    rng: &mut Rng,
    now: Now,
    tags: &mut Tags<P>,
    purpose: P,
    (key, floodfill, reply): (Hash, &PeerEntry, ReplyTunnel),
) -> Option<I2np> {
    let (encryption, _) = tags.issue(rng, now.mono, purpose);
    let question = DatabaseLookup {
        key,
        from: reply.gateway,
        reply_tunnel: Some(reply.tunnel),
        kind: LookupKind::LeaseSet,
        excluded: Vec::new(),
        encryption,
    };
    let inner = lookup_message(rng, now.wall_ms, &question);
    garlic_for_router(rng, now, &floodfill.key, &inner)
}

/// Checks a lease set that came as an answer: whose it is, signature, and that a lease still runs.
fn check_lease_set(now: Now, hash: DestHash, bytes: &[u8]) -> Option<Verified<LeaseSet2>> {
    let set = LeaseSet2::from_bytes(bytes).ok()?;
    let now_s = now.wall_s();
    let runs = set.leases().iter().any(|l| l.end_s > now_s) && set.expires_s() > now_s;
    let ahead = set.published_s() > now_s.saturating_add(120);
    let lapsed = set.offline().is_some_and(|o| o.expires_s < now_s);
    if set.destination().hash() != hash || !runs || ahead || lapsed {
        return None;
    }
    Verified::check(set).ok()
}
