// SPDX-License-Identifier: MIT
//! The engine's messages: garlic opened and sealed, payloads handed to streams, packets put on a path.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Action, BATCH_PACKETS, Engine, MESSAGE_LIFE, OUT_MAX, UNPACKED_MAX};
use crate::base::Now;
use crate::destination::paths::Change;
use crate::garlic::{self, Received, Remote, SealOptions};
use crate::stream::{OutPacket, PathHint};
use crate::tunnel::Delivery;
use crate::wire::i2cp_gzip::{self, PROTOCOL_STREAMING};
use crate::wire::{DestHash, I2np, I2npKind, MessageId};

impl Engine {
    pub(super) fn garlic(&mut self, now: Now, body: Vec<u8>) {
        if self.database.garlic(now, &body) {
            return;
        }
        let opened = match self.sessions.open(now, body) {
            Ok(opened) => opened,
            Err(error) => {
                tracing::debug!(destination = %self.hash, %error, "garlic refused");
                self.metrics.garlic_refused.inc();
                return;
            }
        };
        let from = opened.sender.and_then(|s| s.hash);
        for clove in opened.cloves {
            match clove {
                Received::Data(bytes) => self.payload(now, from, &bytes),
                Received::LeaseSet(ls) => self.learn(now, ls),
                Received::Message { kind: I2npKind::DELIVERY_STATUS, body, .. } => {
                    self.database.delivery_status(now, &body);
                }
                Received::Message { .. } => self.metrics.kind_dropped.inc(),
            }
        }
        if let Some(hash) = from {
            self.allow(now, hash);
            self.release_datagrams(&hash);
        }
    }

    pub(super) fn payload(&mut self, now: Now, from: Option<DestHash>, bytes: &[u8]) {
        let Ok(unwrapped) = i2cp_gzip::decode(bytes, UNPACKED_MAX) else {
            self.metrics.payload_refused.inc();
            return;
        };
        if unwrapped.protocol == PROTOCOL_STREAMING {
            self.streams.handle_packet(now, from, unwrapped.ports, &unwrapped.data);
        } else {
            self.datagram(now, from, unwrapped);
        }
    }

    pub(super) fn drain_garlic(&mut self, now: Now) {
        while let Some(action) = self.sessions.poll_action(now) {
            match action {
                garlic::Action::Send { to, message } => {
                    self.send_garlic(now, to.hash, vec![message], Change::Nothing)
                }
                garlic::Action::Unanswered { to } => {
                    self.peers.suspect(&to.hash);
                    self.database.request(now, to.hash);
                }
                garlic::Action::Suspect { to } => self.change_path(now, to.hash, Change::Tunnel),
            }
        }
    }

    /// Moves packets from streams into batches, as long as the plane keeps up.
    pub(super) fn drain_packets(&mut self, now: Now) {
        while self.out.len() < OUT_MAX {
            let mut batch: BTreeMap<DestHash, Vec<OutPacket>> = BTreeMap::new();
            for _ in 0..BATCH_PACKETS {
                let Some(packet) = self.streams.poll_packet(now) else { break };
                if packet.to == self.hash {
                    self.loopback.push_back(packet.bytes);
                } else {
                    batch.entry(packet.to).or_default().push(packet);
                }
            }
            if batch.is_empty() {
                return;
            }
            for (to, packets) in batch {
                self.send_packets(now, to, packets);
            }
        }
    }

    pub(super) fn drain_loopback(&mut self, now: Now) -> bool {
        let mut any = false;
        while let Some(bytes) = self.loopback.pop_front() {
            any = true;
            self.payload(now, Some(self.hash), &bytes);
        }
        any
    }

    pub(super) fn send_packets(&mut self, now: Now, to: DestHash, packets: Vec<OutPacket>) {
        if packets.is_empty() {
            return;
        }
        let Some(key) = self.peers.key(&to) else {
            let lost = self.peers.wait(to, packets);
            self.metrics.packets_dropped_waiting.add(lost as u64);
            self.database.request(now, to);
            return;
        };
        let change = packets.iter().map(|p| p.path_hint).find(|h| *h != PathHint::Keep);
        let change = match change {
            Some(PathHint::SwitchTunnel) => Change::Tunnel,
            Some(PathHint::SwitchLease) => Change::Lease,
            _ => Change::Nothing,
        };
        if change != Change::Nothing {
            self.actions.push_back(Action::Suspect);
            // The peer may have begun anew with other keys.
            self.peers.doubt(&to);
        }
        let payloads: Vec<Vec<u8>> = packets.into_iter().map(|p| p.bytes).collect();
        let remote = Remote { hash: to, key };
        match self.sessions.seal(now, &remote, &payloads, SealOptions::default()) {
            Ok(sealed) => {
                self.metrics.packets_out.add(payloads.len() as u64);
                self.send_garlic(now, to, sealed.messages, change);
            }
            Err(error) => {
                tracing::debug!(destination = %self.hash, %error, "garlic not sealed");
                self.metrics.packets_dropped_garlic.add(payloads.len() as u64);
            }
        }
        self.allow(now, to);
    }

    /// Tells the streams how far the remote's tag window lets them go.
    pub(super) fn allow(&mut self, now: Now, to: DestHash) {
        let Some(key) = self.peers.key(&to) else { return };
        let remote = Remote { hash: to, key };
        let in_flight = self.sessions.stats(now, &remote).map_or(0, |s| s.in_flight);
        let window = self.sessions.in_flight_allowance(now, &remote).saturating_add(in_flight);
        self.streams.set_inflight_limit(now, to, u32::try_from(window.max(4)).unwrap_or(u32::MAX));
    }

    pub(super) fn change_path(&mut self, now: Now, to: DestHash, change: Change) {
        if self.peers.path(now, &mut self.rng, to, change, &self.pool).is_some_and(|(_, changed)| changed) {
            self.streams.path_changed(to);
        }
    }

    pub(super) fn send_garlic(&mut self, now: Now, to: DestHash, bodies: Vec<Vec<u8>>, change: Change) {
        let lost = bodies.len() as u64;
        if !self.send_messages(now, to, bodies, change, MESSAGE_LIFE) {
            self.metrics.packets_dropped_no_path.add(lost);
        }
    }

    /// Sends sealed messages on the path to `to`; false if there is none.
    pub(super) fn send_messages(
        &mut self,
        now: Now,
        to: DestHash,
        bodies: Vec<Vec<u8>>,
        change: Change,
        life: Duration,
    ) -> bool {
        if bodies.is_empty() {
            return true;
        }
        let Some((path, changed)) = self.peers.path(now, &mut self.rng, to, change, &self.pool) else {
            return false;
        };
        if changed {
            self.streams.path_changed(to);
        }
        if self.peers.wants_refresh(now, &to) {
            self.database.request_newer(now, to, self.peers.dated(&to));
        }
        let delivery = Delivery::Tunnel(path.lease.gateway, path.lease.tunnel);
        let expiration_ms = now.later(life).wall_ms;
        let messages = bodies
            .into_iter()
            .map(|body| {
                let id = MessageId(self.rng.nonzero_u32());
                (delivery, I2np { kind: I2npKind::GARLIC, id, expiration_ms, body })
            })
            .collect();
        self.out.push_back(Action::Out { handle: path.outbound, messages });
        true
    }
}
