// SPDX-License-Identifier: MIT
//! What a packet does to its stream.

use super::author::PeerKey;
use super::connection::{Connection, Phase};
use super::recv::Insert;
use super::types::{CloseReason, Event};
use crate::base::Now;
use crate::wire::StreamPacket;
use crate::wire::stream_packet::{CHOKE_MIN, CLOSE, NO_ACK, RESET, SYNCHRONIZE};
use std::collections::VecDeque;
use std::time::Duration;

/// Acks wait at least so long for a second packet, and at most so long on slow paths. It must stay well below half a
/// round trip: i2pd sends again what was not acknowledged after one and a half, and halves its window.
const ACK_DELAY_MIN: Duration = Duration::from_millis(2);
const ACK_DELAY_MAX: Duration = Duration::from_millis(100);
/// In-order packets that make an ack due.
const ACK_EVERY: u32 = 2;

impl Connection {
    /// Takes a packet whose ids fit. `proven`: the garlic session proves that the peer sent it.
    pub(crate) fn handle(
        &mut self,
        now: Now,
        packet: &StreamPacket<'_>,
        raw: &[u8],
        proven: bool,
        events: &mut VecDeque<Event>,
    ) -> Result<(), &'static str> {
        if self.phase == Phase::Dead {
            return Ok(());
        }
        if packet.has(SYNCHRONIZE) && self.phase == Phase::Opening && !packet.has(RESET) {
            self.take_answer(now, packet, raw, proven, events)?;
        } else if packet.has(CLOSE | RESET) {
            self.check_signature(now, packet, raw, proven)?;
        }
        if packet.has(RESET) {
            self.end(CloseReason::ResetByPeer, events);
            return Ok(());
        }
        self.last_heard = now.mono;
        self.keepalive_due = false;
        if self.phase != Phase::Opening {
            self.take_delay(now, packet);
            if !packet.has(NO_ACK) {
                self.take_ack(now, packet, events);
            }
        }
        if packet.sequence > 0 || packet.has(SYNCHRONIZE) {
            self.take_payload(now, packet, events);
        }
        self.settle(now.mono, events);
        self.arm(now.mono);
        Ok(())
    }

    /// The SYN that opened this stream.
    pub(crate) fn take_syn(&mut self, now: Now, packet: &StreamPacket<'_>, events: &mut VecDeque<Event>) {
        self.take_payload(now, packet, events);
    }

    /// The SYN-ACK: it tells the peer's id, key and limits.
    fn take_answer(
        &mut self,
        now: Now,
        packet: &StreamPacket<'_>,
        raw: &[u8],
        proven: bool,
        events: &mut VecDeque<Event>,
    ) -> Result<(), &'static str> {
        let from = packet.from.as_ref().ok_or("answer without sender")?;
        if from.hash() != self.remote {
            return Err("answer from another destination");
        }
        let key = PeerKey::of(from, packet.offline.as_ref(), now.wall_s()).ok_or("offline signature")?;
        match &packet.signature {
            Some(at) if key.has_signed(raw, at) => {}
            None if proven => {}
            _ => return Err("signature of an answer"),
        }
        if packet.receive_id == 0 {
            return Err("stream id zero");
        }
        self.remote_id = packet.receive_id;
        self.set_mtu(packet.max_packet_size);
        self.peer = Some(from.clone());
        self.peer_key = Some(key);
        self.phase = Phase::Open;
        self.give_up_at = None;
        self.ack.now = true;
        // Whatever its ack fields say, an answer acknowledges the SYN.
        let sample = self.send.on_ack(now.mono, 0, &[], None);
        self.after_ack(now, sample, events);
        events.push_back(Event::Connected(self.stream_id()));
        Ok(())
    }

    fn check_signature(
        &self,
        now: Now,
        packet: &StreamPacket<'_>,
        raw: &[u8],
        proven: bool,
    ) -> Result<(), &'static str> {
        // The session's key already proves the sender.
        if proven {
            return Ok(());
        }
        let at = packet.signature.as_ref().ok_or("unsigned close or reset")?;
        let named = packet.from.as_ref().filter(|from| from.hash() == self.remote);
        let fresh = named.and_then(|from| PeerKey::of(from, packet.offline.as_ref(), now.wall_s()));
        let key = fresh.as_ref().or(self.peer_key.as_ref()).ok_or("no key to check with")?;
        if key.has_signed(raw, at) { Ok(()) } else { Err("signature of a close or reset") }
    }

    fn take_delay(&mut self, now: Now, packet: &StreamPacket<'_>) {
        let Some(delay) = packet.delay_ms else { return };
        let choked = delay >= CHOKE_MIN;
        if choked && !self.choked {
            self.control.on_choke();
        }
        if choked {
            // It answers, so it is not silent.
            self.backoff = 0;
        } else if self.choked {
            self.credit = 0;
            self.rto_at = None;
        }
        self.choked = choked;
        if delay == 0 && packet.sequence > 0 {
            self.ack.now = true;
        } else if !choked && packet.sequence > 0 {
            let wish = now.mono + Duration::from_millis(u64::from(delay));
            self.ack.at = self.ack.at.map(|at| at.min(wish));
        }
    }

    fn take_ack(&mut self, now: Now, packet: &StreamPacket<'_>, events: &mut VecDeque<Event>) {
        // The NACKs of a SYN are no NACKs.
        let missing: &[u32] = if packet.has(SYNCHRONIZE) { &[] } else { &packet.nacks };
        let sample = self.send.on_ack(now.mono, packet.ack_through, missing, self.rtt.least());
        if sample.facts.acked > 0 {
            self.after_ack(now, sample, events);
        }
    }

    fn after_ack(&mut self, now: Now, acked: super::send::Acked, events: &mut VecDeque<Event>) {
        let mut facts = acked.facts;
        if let Some(rtt) = facts.rtt {
            self.rtt.sample(now.mono, rtt);
        }
        facts.lost = self.find_losses(now.mono);
        facts.spurious = acked.spurious;
        facts.in_flight = self.send.in_flight();
        self.control.on_ack(now.mono, &facts, &mut self.rtt);
        self.stats.bytes_acked += acked.bytes as u64;
        self.stats.spurious += u64::from(acked.spurious);
        if acked.syn && self.phase == Phase::Answering {
            self.phase = Phase::Open;
        }
        // The ack of the CLOSE alone does not do: packets before it may still be missing.
        if self.close_sent && !self.close_acked && self.send.all_acked() {
            self.on_close_acked(now.mono);
        }
        self.on_progress(now.mono);
        self.settle(now.mono, events);
    }

    fn take_payload(&mut self, now: Now, packet: &StreamPacket<'_>, events: &mut VecDeque<Event>) {
        let had_gaps = self.recv.has_gaps();
        let was_closed = self.recv.is_closed();
        let number = if packet.has(SYNCHRONIZE) { 0 } else { packet.sequence };
        if self.closed && packet.sequence > 0 {
            self.discarded += packet.payload.len() as u64;
        }
        match self.recv.insert(number, packet.payload, packet.has(CLOSE)) {
            Insert::InOrder(bytes) => {
                self.stats.bytes_received += bytes as u64;
                self.ack.count += 1;
                // Filling a gap, the end, and empty packets that ask for a sign of life are answered at once.
                let urgent = had_gaps || packet.has(CLOSE) || (packet.payload.is_empty() && number > 0);
                if urgent || self.ack.count >= ACK_EVERY {
                    self.ack.now = true;
                } else if self.ack.at.is_none() && number > 0 {
                    let least = self.rtt.least().unwrap_or_else(|| self.rtt.smoothed_or_guess());
                    let delay = (least / 16).clamp(ACK_DELAY_MIN, ACK_DELAY_MAX);
                    let delay = packet.delay_ms.map_or(delay, |d| delay.min(Duration::from_millis(d.into())));
                    self.ack.at = Some(now.mono + delay);
                }
                if bytes > 0 && !self.readable_told && !self.recv.is_discarding() {
                    self.readable_told = true;
                    events.push_back(Event::Readable(self.stream_id()));
                }
            }
            Insert::OutOfOrder => {
                self.stats.out_of_order += 1;
                self.ack.now = true;
            }
            Insert::Refused => {
                self.stats.refused += 1;
                self.ack.now = true;
            }
            Insert::Duplicate => {
                self.stats.duplicates += 1;
                self.ack.now = true;
            }
        }
        if self.recv.is_closed() && !was_closed {
            events.push_back(Event::RemoteClosed(self.stream_id()));
        }
    }
}
