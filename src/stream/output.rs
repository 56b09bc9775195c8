// SPDX-License-Identifier: MIT
//! What a stream sends, and when: repeats before news, news as window, pace and peer allow, acks with either or alone.

use super::author::{Author, wrap_packet, wrap_signed};
use super::connection::{Connection, Phase};
use super::send::SentKind;
use super::types::{CloseReason, Event, OutPacket, PacketKind, PathHint};
use crate::base::Mono;
use crate::wire::StreamPacket;
use crate::wire::i2cp_gzip::{PROTOCOL_STREAMING, encode_stored};
use crate::wire::stream_packet::{CLOSE, NO_ACK, RESET, SYNCHRONIZE};
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::Duration;

/// What we send to choke a peer. Not 61,000: i2pd takes that for another router's mark and keeps a small window.
const CHOKE_MS: u16 = 60_001;
/// Payload that fits beside destination, signature and LeaseSet in two tunnel messages.
const SYN_PAYLOAD: usize = 900;
/// Runtime timers are this coarse: what is due so soon goes now.
const PACE_SLACK: Duration = Duration::from_millis(1);
/// Time that a sender who comes late may catch up.
const PACE_CREDIT: Duration = Duration::from_millis(4);
/// Longest wait for a fuller packet.
const MERGE_MAX: Duration = Duration::from_millis(10);
const MERGE_MIN: Duration = Duration::from_micros(500);

impl Connection {
    /// The next packet of this stream. `room`: whether the peer's other streams leave room for one more in flight.
    pub(crate) fn poll(
        &mut self,
        now: Mono,
        author: &mut Author,
        room: bool,
        events: &mut VecDeque<Event>,
    ) -> Option<OutPacket> {
        if self.reset_due {
            self.reset_due = false;
            return Some(self.build_reset(author));
        }
        if self.phase == Phase::Dead {
            return std::mem::take(&mut self.last_ack_due).then(|| self.build_ack());
        }
        // What is missing is told in small packets of its own; data packets have no room to spare.
        if self.ack.now && (self.recv.has_gaps() || self.recv.is_choking()) && self.recv.next() > 0 {
            return Some(self.build_ack());
        }
        self.blocked_by_peer = false;
        if let Some(sequence) = self.next_numbered(now, room) {
            let packet = self.build_numbered(now, sequence, author);
            self.after_send(now, events);
            return packet;
        }
        (self.ack.now && self.recv.next() > 0).then(|| self.build_ack())
    }

    /// Chooses the numbered packet to send: one to repeat, or a new one.
    fn next_numbered(&mut self, now: Mono, room: bool) -> Option<u32> {
        let window_open = self.send.in_flight() < self.control.window();
        if self.credit == 0 {
            if !window_open {
                return None;
            }
            if !room {
                // Those as well who have no payload to send: a SYN, a CLOSE, a sign of life.
                self.blocked_by_peer = self.send.next() == 0
                    || self.send.unsent() > 0
                    || self.send.has_lost()
                    || self.wants_close(now)
                    || self.keepalive_due;
                return None;
            }
        }
        if let Some(sequence) = self.send.next_lost() {
            if self.credit == 0 && (self.choked || self.is_paced(now)) {
                return None;
            }
            self.credit = self.credit.saturating_sub(1);
            return Some(sequence);
        }
        let (kind, max) = self.next_kind(now)?;
        if self.credit == 0 && self.is_paced(now) {
            return None;
        }
        self.credit = self.credit.saturating_sub(1);
        let payload = if max == 0 { Bytes::new() } else { self.send.cut(now, max) };
        self.keepalive_due = false;
        self.stats.packets_sent += 1;
        if kind == SentKind::Close && std::mem::replace(&mut self.close_sent, true) {
            return Some(self.send.push_again(kind));
        }
        Some(self.send.push(kind, payload))
    }

    /// Kind and largest payload of the next new packet.
    fn next_kind(&mut self, now: Mono) -> Option<(SentKind, usize)> {
        if self.send.next() == 0 {
            if self.phase == Phase::Answering
                && self.send.unsent() == 0
                && !self.write_shut
                && self.is_held(self.answer_after, now)
            {
                return None;
            }
            return Some((SentKind::Syn, SYN_PAYLOAD.min(self.mtu)));
        }
        if self.phase == Phase::Opening
            || (self.phase == Phase::Answering && self.is_held(self.data_after, now))
        {
            return None;
        }
        if (self.choked && self.credit == 0) || self.send.span() >= self.control.span_max().min(self.span_cap)
        {
            return None;
        }
        let unsent = self.send.unsent();
        if unsent > 0 {
            let more_may_come = !self.interactive && !self.write_shut;
            if unsent < self.mtu && more_may_come && self.send.in_flight() > 0 && self.credit == 0 {
                let wait = (self.rtt.smoothed_or_guess() / 20).clamp(MERGE_MIN, MERGE_MAX);
                if self.is_held(self.send.waiting_since() + wait, now) {
                    return None;
                }
            }
            return Some((SentKind::Data, self.mtu));
        }
        if self.wants_close(now) {
            return Some((SentKind::Close, 0));
        }
        if self.keepalive_due && self.send.all_acked() {
            return Some((if self.close_sent { SentKind::Close } else { SentKind::Data }, 0));
        }
        self.control.on_idle(self.send.in_flight());
        None
    }

    fn is_held(&mut self, until: Mono, now: Mono) -> bool {
        let held = now < until;
        if held {
            self.hold_until = Some(self.hold_until.map_or(until, |h| h.min(until)));
        }
        held
    }

    fn is_paced(&mut self, now: Mono) -> bool {
        let early = now + PACE_SLACK < self.pace_at;
        if early {
            let at = self.pace_at;
            self.hold_until = Some(self.hold_until.map_or(at, |h| h.min(at)));
        }
        early
    }

    fn build_numbered(&mut self, now: Mono, sequence: u32, author: &mut Author) -> Option<OutPacket> {
        let sent = self.send.get(sequence)?;
        let (kind, payload, signed) = (sent.kind, sent.payload.clone(), sent.signed.clone());
        let (bytes, packet_kind) = match kind {
            SentKind::Syn => {
                let packet = match signed {
                    Some(packet) => packet,
                    None => self.keep_signed(sequence, self.build_syn(&payload, author)),
                };
                (wrap_signed(&packet, self.ports), PacketKind::Syn)
            }
            SentKind::Close => {
                let packet = match signed {
                    Some(packet) => packet,
                    None => self.keep_signed(sequence, self.build_close(sequence, author)),
                };
                (encode_stored(PROTOCOL_STREAMING, self.ports, &packet), PacketKind::Close)
            }
            SentKind::Data => (self.build_data(now, sequence, &payload), PacketKind::Data),
        };
        let stamp = self.control.on_send(now, self.send.in_flight());
        if self.send.transmit(now, sequence, stamp) {
            self.stats.retransmitted += 1;
        }
        Some(self.out(bytes, packet_kind))
    }

    fn keep_signed(&mut self, sequence: u32, packet: Vec<u8>) -> Bytes {
        let packet = Bytes::from(packet);
        if let Some(sent) = self.send.get_mut(sequence) {
            sent.signed = Some(packet.clone());
        }
        packet
    }

    fn build_syn(&self, payload: &[u8], author: &mut Author) -> Vec<u8> {
        let first = self.phase == Phase::Opening;
        author.sign(StreamPacket {
            send_id: self.remote_id,
            receive_id: self.id,
            nacks: if first { Author::words(&self.remote) } else { Vec::new() },
            flags: if first { SYNCHRONIZE | NO_ACK } else { SYNCHRONIZE },
            from: Some(author.local.clone()),
            max_packet_size: Some(self.our_mtu),
            payload,
            ..StreamPacket::default()
        })
    }

    fn build_close(&self, sequence: u32, author: &mut Author) -> Vec<u8> {
        author.sign(StreamPacket {
            send_id: self.remote_id,
            receive_id: self.id,
            sequence,
            ack_through: self.recv.in_order_through(),
            flags: CLOSE,
            ..StreamPacket::default()
        })
    }

    fn build_reset(&self, author: &mut Author) -> OutPacket {
        // i2pd takes number 0 for a plain ack, so a reset has the next number of the stream.
        let packet = author.sign(StreamPacket {
            send_id: self.remote_id,
            receive_id: self.id,
            sequence: self.send.next().max(1),
            ack_through: self.recv.in_order_through(),
            flags: RESET,
            from: Some(author.local.clone()),
            ..StreamPacket::default()
        });
        OutPacket {
            path_hint: PathHint::Keep,
            ..self.packet(wrap_signed(&packet, self.ports), PacketKind::Reset)
        }
    }

    fn build_data(&mut self, now: Mono, sequence: u32, payload: &[u8]) -> Vec<u8> {
        let delay_ms = self.delay_wish().or_else(|| self.ask_quick_ack(now));
        let packet = StreamPacket {
            send_id: self.remote_id,
            receive_id: self.id,
            sequence,
            ack_through: self.recv.in_order_through(),
            resend_delay_s: u8::try_from(self.rtt.timeout(0).as_secs()).unwrap_or(u8::MAX),
            delay_ms,
            payload,
            ..StreamPacket::default()
        };
        self.ack_was_sent();
        wrap_packet(&packet, self.ports)
    }

    fn build_ack(&mut self) -> OutPacket {
        let (ack_through, nacks) = self.recv.gaps();
        let packet = StreamPacket {
            send_id: self.remote_id,
            receive_id: self.id,
            ack_through,
            nacks,
            delay_ms: self.delay_wish(),
            ..StreamPacket::default()
        };
        self.ack_was_sent();
        self.ack.now = false;
        let bytes = wrap_packet(&packet, self.ports);
        self.out(bytes, PacketKind::Ack)
    }

    fn ack_was_sent(&mut self) {
        if !self.recv.has_gaps() {
            self.ack.now = false;
        }
        self.ack.count = 0;
        self.ack.at = None;
    }

    /// Choke, or the news that the choke is over.
    fn delay_wish(&mut self) -> Option<u16> {
        if self.recv.is_choking() {
            return Some(CHOKE_MS);
        }
        if self.ack.unchoke_left == 0 {
            return None;
        }
        self.ack.unchoke_left -= 1;
        Some(0)
    }

    /// With the window nearly used, asks for an ack at once, a few times each round trip.
    fn ask_quick_ack(&mut self, now: Mono) -> Option<u16> {
        let nearly_full = self.send.in_flight().saturating_add(1) * 3 >= self.control.window() * 2;
        let rarely = now.since(self.delay_asked_at) > self.rtt.smoothed_or_guess() / 8;
        (nearly_full && rarely).then(|| {
            self.delay_asked_at = now;
            0
        })
    }

    fn after_send(&mut self, now: Mono, events: &mut VecDeque<Event>) {
        let interval = self.control.interval(&self.rtt);
        let earliest = Mono(now.0.saturating_sub(u64::try_from(PACE_CREDIT.as_micros()).unwrap_or(0)));
        self.pace_at = self.pace_at.max(earliest) + interval;
        self.arm(now);
        if self.rtt.smoothed().is_some() && !self.probed {
            self.probe_at = Some(now + self.rtt.probe_timeout());
        }
        if self.phase == Phase::Answering && self.send.next() == 1 {
            self.data_after = now + Duration::from_millis(100);
        }
        if self.wants_writable && self.send.room() >= self.send.unsent_max() / 4 {
            self.wants_writable = false;
            events.push_back(Event::Writable(self.stream_id()));
        }
    }

    /// With the hint for the path, which is given once.
    fn out(&mut self, bytes: Vec<u8>, kind: PacketKind) -> OutPacket {
        let path_hint = if kind == PacketKind::Ack { PathHint::Keep } else { std::mem::take(&mut self.hint) };
        OutPacket { path_hint, ..self.packet(bytes, kind) }
    }

    fn packet(&self, bytes: Vec<u8>, kind: PacketKind) -> OutPacket {
        OutPacket { to: self.remote, bytes, stream: Some(self.stream_id()), kind, path_hint: PathHint::Keep }
    }

    /// The peer could not read what was sent so far: all that is not acknowledged goes once more, now.
    pub(crate) fn resend(&mut self, now: Mono, events: &mut VecDeque<Event>) {
        if self.phase == Phase::Dead || self.send.next() == 0 {
            return;
        }
        self.send.lose_all();
        self.credit = self.credit.max(1);
        self.settle(now, events);
    }

    /// Repeats the SYN-ACK: the peer's SYN came again, so the answer got lost, perhaps with its path.
    pub(crate) fn repeat_answer(&mut self, now: Mono, events: &mut VecDeque<Event>) {
        if self.phase != Phase::Answering || self.send.next() == 0 {
            return;
        }
        if self.ended == Some(CloseReason::NotAccepted) {
            return;
        }
        self.send.lose_all();
        self.credit = self.credit.max(1);
        self.hint = PathHint::SwitchTunnel;
        self.settle(now, events);
    }
}
