// SPDX-License-Identifier: MIT
//! Finds the stream that a packet belongs to, opens streams for peers, and answers what belongs to none.
//!
//! Cheap checks stand before costly ones: a SYN is looked at for its receiver, for a repetition and for the rate of
//! checks before its signature is verified, and only a verified one may count against its sender or get an answer.

use super::author::{PeerKey, syn_mark, wrap_packet, wrap_signed};
use super::closed::Remains;
use super::connection::{Connection, Phase};
use super::peers;
use super::types::{Event, OutPacket, PacketKind, PathHint, StreamId};
use super::{Author, Table};
use crate::base::Now;
use crate::wire::i2cp_gzip::Ports;
use crate::wire::stream_packet::{CLOSE, ECHO, RESET, SYNCHRONIZE};
use crate::wire::{DestHash, Destination, StreamPacket};
use std::time::Duration;

/// Largest payload of a ping.
const PING_MAX: usize = 32;
/// Pings whose answers are waited for.
const PINGS_MAX: u32 = 64;
/// A SYN with data is answered after this, so that the application's answer can go with it.
const ANSWER_WAIT: Duration = Duration::from_millis(20);

impl Table {
    /// Takes a packet out of a wrapper with protocol 6. `from` is the sender as far as the garlic session proves it;
    /// `ports` are the wrapper's: the sender's and ours.
    pub fn handle_packet(&mut self, now: Now, from: Option<DestHash>, ports: Ports, packet: &[u8]) {
        self.metrics.packets_received.inc();
        let send_id = packet.first_chunk::<4>().map_or(0, |b| u32::from_be_bytes(*b));
        let signer = self.conns.get(&send_id).and_then(|s| s.conn.peer_key.as_ref()).map(|k| k.sig_type);
        let Ok(parsed) = StreamPacket::decode(packet, signer) else {
            self.metrics.packets_dropped_malformed.inc();
            return;
        };
        if parsed.has(ECHO) {
            self.on_echo(now, from, ports, &parsed, packet);
        } else if parsed.send_id != 0 {
            self.on_known(now, from, ports, &parsed, packet);
        } else if parsed.has(SYNCHRONIZE) {
            self.on_syn(now, from, ports, &parsed, packet);
        } else {
            self.on_early(now, from, &parsed, packet);
        }
    }

    fn on_known(
        &mut self,
        now: Now,
        from: Option<DestHash>,
        ports: Ports,
        packet: &StreamPacket<'_>,
        raw: &[u8],
    ) {
        let Some(slot) = self.conns.get_mut(&packet.send_id) else {
            self.on_unknown(now, from, ports, packet);
            return;
        };
        let conn = &mut slot.conn;
        conn.fit(self.memory.budget());
        let foreign = from.is_some_and(|f| f != conn.remote);
        let other_stream = conn.remote_id != 0 && packet.receive_id != conn.remote_id && !packet.has(RESET);
        if foreign || other_stream {
            self.metrics.packets_dropped_foreign.inc();
            return;
        }
        if conn.handle(now, packet, raw, from.is_some(), &mut self.events).is_err() {
            self.metrics.packets_dropped_unsigned.inc();
            return;
        }
        let id = packet.send_id;
        self.touch(now.mono, id);
    }

    /// A packet for a stream that is over, or that never was.
    fn on_unknown(&mut self, now: Now, from: Option<DestHash>, ports: Ports, packet: &StreamPacket<'_>) {
        self.metrics.packets_dropped_unknown.inc();
        if packet.has(RESET) || packet.is_plain_ack() {
            return;
        }
        let known = self.closed.get(packet.send_id).copied();
        if let Some(remains) = known.filter(|r| !r.reset) {
            if from.is_none_or(|f| f == remains.remote) {
                self.answer_for_what_is_over(now, &remains, packet.send_id);
            }
            return;
        }
        let Some(to) = from.or(known.map(|r| r.remote)) else { return };
        if peers::entry(&mut self.peers, now.mono, to, &self.config).may_reset(now.mono) {
            let next = packet.ack_through.saturating_add(1);
            self.send_reset(to, ports, packet, 0, next);
        }
    }

    /// Acknowledges all of a stream that is over, and says once more that we have closed it if that got lost.
    fn answer_for_what_is_over(&mut self, now: Now, remains: &Remains, id: u32) {
        let answer = StreamPacket {
            send_id: remains.remote_id,
            receive_id: id,
            ack_through: remains.through,
            ..StreamPacket::default()
        };
        // A signature costs more than what asks for it.
        let close = remains.close.filter(|_| {
            peers::entry(&mut self.peers, now.mono, remains.remote, &self.config).may_reset(now.mono)
        });
        let (bytes, kind) = match close {
            Some(sequence) => {
                let bytes = self.sign(StreamPacket { sequence, flags: CLOSE, ..answer });
                (wrap_signed(&bytes, remains.ports), PacketKind::Close)
            }
            None => (wrap_packet(&answer, remains.ports), PacketKind::Ack),
        };
        self.reply(loose(remains.remote, bytes, kind));
    }

    /// Answers `packet` with a reset.
    fn send_reset(
        &mut self,
        to: DestHash,
        ports: Ports,
        packet: &StreamPacket<'_>,
        flags: u16,
        sequence: u32,
    ) {
        let reset = StreamPacket {
            send_id: packet.receive_id,
            receive_id: if packet.send_id == 0 { self.author.rng.nonzero_u32() } else { packet.send_id },
            sequence,
            ack_through: packet.sequence,
            flags: RESET | flags,
            from: Some(self.author.local.clone()),
            ..StreamPacket::default()
        };
        let bytes = self.sign(reset);
        let back = Ports { from: ports.to, to: ports.from };
        self.reply(loose(to, wrap_signed(&bytes, back), PacketKind::Reset));
    }

    /// Data whose SYN is still under way.
    fn on_early(&mut self, now: Now, from: Option<DestHash>, packet: &StreamPacket<'_>, raw: &[u8]) {
        let Some(from) = from else {
            self.metrics.packets_dropped_unknown.inc();
            return;
        };
        let key = (from, packet.receive_id);
        if let Some(&id) = self.by_remote.get(&key) {
            if let Some(slot) = self.conns.get_mut(&id)
                && slot.conn.handle(now, packet, raw, true, &mut self.events).is_err()
            {
                self.metrics.packets_dropped_unsigned.inc();
            }
            self.touch(now.mono, id);
        } else if packet.is_plain_ack() || packet.has(RESET | CLOSE) || !self.early.keep(now.mono, key, raw) {
            self.metrics.packets_dropped_early.inc();
        }
    }

    fn on_syn(
        &mut self,
        now: Now,
        from: Option<DestHash>,
        ports: Ports,
        packet: &StreamPacket<'_>,
        raw: &[u8],
    ) {
        let Some(sender) = packet.from.clone().filter(|s| from.is_none_or(|f| f == s.hash())) else {
            self.metrics.packets_dropped_foreign.inc();
            return;
        };
        let hash = sender.hash();
        // Our hash stops the sender's other acquaintances from using its SYN against us. Old peers send none.
        let named = packet.nacks.len() == 8 && packet.sequence == 0;
        if packet.receive_id == 0
            || packet.sequence != 0
            || (named && packet.nacks != Author::words(&self.author.hash))
        {
            self.metrics.syns_dropped_misdirected.inc();
            return;
        }
        if let Some(&id) = self.by_remote.get(&(hash, packet.receive_id)) {
            if let Some(slot) = self.conns.get_mut(&id) {
                slot.conn.repeat_answer(now.mono, &mut self.events);
            }
            self.touch(now.mono, id);
            return;
        }
        let mark = syn_mark(&hash, packet.receive_id);
        if self.closed.knows_syn(mark) {
            self.metrics.syns_dropped_replayed.inc();
            return;
        }
        if !self.syn_checks.take(now.mono, self.config.syn_checks, self.config.syn_checks) {
            self.metrics.syns_dropped_rate.inc();
            return;
        }
        let key = PeerKey::of(&sender, packet.offline.as_ref(), now.wall_s());
        let Some(key) = key.filter(|key| match &packet.signature {
            Some(at) => key.has_signed(raw, at),
            None => from.is_some(),
        }) else {
            self.metrics.packets_dropped_unsigned.inc();
            return;
        };
        let (rate, burst) = self.config.syn_per_peer;
        if !peers::entry(&mut self.peers, now.mono, hash, &self.config).syns.take(now.mono, rate, burst) {
            self.metrics.syns_dropped_rate.inc();
            return;
        }
        self.closed.remember_syn(mark);
        if !self.has_place(now, hash, ports.to) {
            self.metrics.syns_refused.inc();
        } else if self.is_within_limits(now, hash) {
            return self.open(now, sender, key, ports, packet);
        } else {
            self.metrics.syns_refused_limits.inc();
            if self.config.limits_drop {
                return;
            }
        }
        // With the SYN flag the reset has a number that i2pd does not take for a plain ack.
        self.send_reset(hash, ports, packet, SYNCHRONIZE, 0);
    }

    /// Whether there is somebody to take a new stream from `peer` to our `port`, and a place for it to wait.
    fn has_place(&mut self, now: Now, peer: DestHash, port: u16) -> bool {
        let listening = self.listeners.contains(&port) || self.listeners.contains(&0);
        let room = self.conns.len() < self.config.streams_max && self.waiting < self.config.backlog;
        let entry = peers::entry(&mut self.peers, now.mono, peer, &self.config);
        listening && room && entry.unaccepted < self.config.backlog_per_peer
    }

    /// Whether the limits of streams per minute, hour and day leave one for `peer`; counts it.
    fn is_within_limits(&mut self, now: Now, peer: DestHash) -> bool {
        let entry = peers::entry(&mut self.peers, now.mono, peer, &self.config);
        entry.quota.take(now.mono, self.config.per_peer_limits)
            && self.quota.take(now.mono, self.config.total_limits)
    }

    fn open(&mut self, now: Now, sender: Destination, key: PeerKey, ports: Ports, packet: &StreamPacket<'_>) {
        let (id, hash) = (self.new_id(), sender.hash());
        let back = Ports { from: ports.to, to: ports.from };
        let mut conn = Connection::new(now.mono, id, hash, back, Phase::Answering, &self.config);
        conn.remote_id = packet.receive_id;
        conn.peer = Some(sender.clone());
        conn.peer_key = Some(key);
        conn.set_mtu(packet.max_packet_size);
        let crowded = self.waiting >= self.config.backlog / 2;
        let hold = self.config.accept_hold;
        conn.give_up_at =
            Some(now.mono + if crowded { hold.min(self.config.bounds.crowded_hold) } else { hold });
        if !packet.payload.is_empty() {
            conn.answer_after = now.mono + ANSWER_WAIT;
        }
        conn.fit(self.memory.budget());
        self.waiting = self.waiting.saturating_add(1);
        self.metrics.streams_accepted.inc();
        self.by_remote.insert((hash, packet.receive_id), id);
        self.insert(now.mono, conn);
        if let Some(peer) = self.peers.get_mut(&hash) {
            peer.unaccepted = peer.unaccepted.saturating_add(1);
        }
        self.events.push_back(Event::Incoming { id: StreamId(id), remote: sender, ports });
        let early = self.early.take(&(hash, packet.receive_id));
        if let Some(slot) = self.conns.get_mut(&id) {
            slot.conn.take_syn(now, packet, &mut self.events);
            for raw in early {
                if let Ok(packet) =
                    StreamPacket::decode(&raw, slot.conn.peer_key.as_ref().map(|k| k.sig_type))
                {
                    // An early packet that does not fit costs nothing but itself.
                    let _ = slot.conn.handle(now, &packet, &raw, true, &mut self.events);
                }
            }
        }
        self.touch(now.mono, id);
    }

    /// Sends a ping of at most 32 bytes; the answer comes as [`Event::Pong`].
    pub fn ping(&mut self, to: DestHash, ports: Ports, payload: &[u8]) {
        let packet = StreamPacket {
            send_id: self.author.rng.nonzero_u32(),
            flags: ECHO,
            from: Some(self.author.local.clone()),
            payload: payload.get(..PING_MAX).unwrap_or(payload),
            ..StreamPacket::default()
        };
        let bytes = self.sign(packet);
        self.pings = self.pings.saturating_add(1).min(PINGS_MAX);
        self.reply(loose(to, wrap_signed(&bytes, ports), PacketKind::Ping));
    }

    fn on_echo(
        &mut self,
        now: Now,
        from: Option<DestHash>,
        ports: Ports,
        packet: &StreamPacket<'_>,
        raw: &[u8],
    ) {
        let payload = packet.payload.get(..PING_MAX).unwrap_or(packet.payload);
        let Some(sender) = &packet.from else {
            if let Some(from) = from.filter(|_| packet.send_id == 0 && self.pings > 0) {
                self.pings -= 1;
                self.events.push_back(Event::Pong { from, payload: payload.to_vec() });
            }
            return;
        };
        let hash = sender.hash();
        let checked = self.config.answer_pings
            && packet.send_id != 0
            && from.is_none_or(|f| f == hash)
            && self.syn_checks.take(now.mono, self.config.syn_checks, self.config.syn_checks);
        if !checked {
            return;
        }
        let key = PeerKey::of(sender, packet.offline.as_ref(), now.wall_s());
        let signed = key.zip(packet.signature.as_ref()).is_some_and(|(key, at)| key.has_signed(raw, at));
        if !signed || !peers::entry(&mut self.peers, now.mono, hash, &self.config).may_pong(now.mono) {
            self.metrics.packets_dropped_unsigned.inc();
            return;
        }
        let pong =
            StreamPacket { receive_id: packet.send_id, flags: ECHO, payload, ..StreamPacket::default() };
        let back = Ports { from: ports.to, to: ports.from };
        self.reply(loose(hash, wrap_packet(&pong, back), PacketKind::Ping));
    }
}

/// A packet of no stream.
fn loose(to: DestHash, bytes: Vec<u8>, kind: PacketKind) -> OutPacket {
    OutPacket { to, bytes, stream: None, kind, path_hint: PathHint::Keep }
}
