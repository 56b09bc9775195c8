// SPDX-License-Identifier: MIT
//! Where cells end: opens them, joins fragments and applies the rules of delivery.
//!
//! An outbound endpoint delivers for a stranger: to routers and to tunnels, never to itself. Our own inbound tunnels
//! take only what is addressed to us, and of that only kinds that have business there; whoever sends other things
//! down our tunnels wants to learn who we are.
//! Spec: tunnel implementation, "Endpoint processing".

use super::engine::{Plane, header, is_out_of_time, split_cell};
use super::message::{Action, Via};
use super::table::{Role, SlotKey};
use crate::tunnel::types::{Class, Delivery, PoolId};
use crate::wire::tunnel_data::{Fragment, open_cell};
use crate::wire::{I2np, I2npKind, RouterHash, TunnelId};

impl Plane {
    /// A clear cell at its end.
    pub(super) fn open(&mut self, slot: SlotKey, loops: u8, body: &[u8]) {
        let fragments = split_cell(body).and_then(|(_, cell)| open_cell(cell).ok());
        let Some(fragments) = fragments else {
            return self.metrics.cells_dropped_checksum.inc();
        };
        self.metrics.cells_opened.inc();
        for fragment in fragments {
            match fragment {
                Ok(Fragment::Whole { delivery, data }) => self.joined(slot, loops, delivery, data),
                Ok(fragment) => {
                    let Some(partials) = self.table.partials_mut(slot) else { return };
                    let whole = self.joiner.add(self.now.mono, slot, partials, &fragment, &self.metrics);
                    if let Some((delivery, bytes)) = whole {
                        self.joined(slot, loops, delivery, &bytes);
                    }
                }
                Err(_) => self.metrics.instructions_malformed.inc(),
            }
        }
    }

    /// A whole message, 16-byte header first, out of a tunnel that ends here.
    fn joined(&mut self, slot: SlotKey, loops: u8, delivery: Delivery, bytes: &[u8]) {
        match self.table.get(slot).map(|t| &t.role) {
            Some(Role::Endpoint { .. }) => self.endpoint_deliver(loops, delivery, bytes),
            Some(&Role::Inbound { owner, .. }) if delivery == Delivery::Local => self.up_bytes(owner, bytes),
            _ => self.metrics.inbound_dropped_delivery.inc(),
        }
    }

    fn endpoint_deliver(&mut self, loops: u8, delivery: Delivery, bytes: &[u8]) {
        let Some((header, bytes)) = header(bytes).and_then(|h| Some((h, bytes.get(..h.len)?))) else {
            return self.metrics.endpoint_dropped_malformed.inc();
        };
        if is_out_of_time(header.expiration_ms, self.now.wall_ms) {
            return self.metrics.endpoint_dropped_late.inc();
        }
        match delivery {
            Delivery::Local => self.metrics.endpoint_dropped_local.inc(),
            Delivery::Tunnel(to, tunnel) => self.endpoint_to_tunnel(loops, to, tunnel, bytes),
            Delivery::Router(to) => match I2np::decode_long(bytes) {
                Ok(message) => {
                    self.metrics.endpoint_to_router.inc();
                    self.send(to, Class::Transit, loops, None, message);
                }
                Err(_) => self.metrics.endpoint_dropped_malformed.inc(),
            },
        }
    }

    fn endpoint_to_tunnel(&mut self, loops: u8, to: RouterHash, tunnel: TunnelId, bytes: &[u8]) {
        match self.gateway_message(tunnel, bytes).filter(|_| tunnel.0 != 0) {
            Some(message) => {
                self.metrics.endpoint_to_tunnel.inc();
                self.send(to, Class::Transit, loops, None, message);
            }
            None => self.metrics.endpoint_dropped_malformed.inc(),
        }
    }

    /// A message, 16-byte header first, out of an inbound tunnel of ours.
    pub(super) fn up_bytes(&mut self, owner: PoolId, bytes: &[u8]) {
        match I2np::decode_long(bytes) {
            Err(_) => self.metrics.inbound_dropped_malformed.inc(),
            Ok(message) if message.is_out_of_time(self.now.wall_ms) => {
                self.metrics.inbound_dropped_late.inc()
            }
            Ok(message) => self.up(owner, message),
        }
    }

    fn up(&mut self, owner: PoolId, message: I2np) {
        let control = match message.kind {
            I2npKind::OUTBOUND_TUNNEL_BUILD_REPLY => self.is_reply(&message),
            I2npKind::GARLIC => {
                garlic_tag(&message.body).is_some_and(|tag| self.tags.take(self.now.mono, &tag))
            }
            I2npKind::DATABASE_STORE | I2npKind::DATABASE_SEARCH_REPLY | I2npKind::DELIVERY_STATUS => {
                owner.is_exploratory()
            }
            I2npKind::DATA => false,
            // The rest is for routers: whoever sends it down a tunnel wants to find out whose it is.
            _ => return self.metrics.inbound_dropped_kind.inc(),
        };
        if control {
            self.metrics.inbound_control.inc();
            self.outbox.push(Action::Control { from: None, via: Via::Tunnel(owner), own: true, message });
        } else if owner.is_exploratory() || message.kind == I2npKind::OUTBOUND_TUNNEL_BUILD_REPLY {
            // An answer that nobody waits for.
            self.metrics.inbound_dropped_unasked.inc();
        } else {
            self.metrics.inbound_up.inc();
            self.outbox.up(owner, message);
        }
    }
}

/// The first eight bytes of a garlic's data, behind its length.
fn garlic_tag(body: &[u8]) -> Option<[u8; 8]> {
    body.get(4..12)?.try_into().ok()
}
