// SPDX-License-Identifier: MIT
//! One packet of the streaming protocol (streaming specification, "Packet Format").
//!
//! ```text
//! send id 4 | receive id 4 | sequence 4 | ack through 4 | NACK count 1 | NACKs 4 each | resend delay 1 |
//! flags 2 | option size 2 | options | payload
//! ```
//! Options stand in a fixed order, each only if its flag is set. The signature is the last of them; it covers
//! the whole packet with its own bytes zeroed. Reading is strict where a packet changes a stream, and forgiving
//! where it cannot: i2pd 2.52 and 2.53 sent plain acks with an impossible option size.

use super::{DecodeError, Destination, OfflineSignature, Reader, SigType, Wire};
use std::ops::Range;

/// Opens a stream.
pub const SYNCHRONIZE: u16 = 0x0001;
/// Ends one direction of a stream.
pub const CLOSE: u16 = 0x0002;
/// Ends a stream at once.
pub const RESET: u16 = 0x0004;
/// A signature is among the options.
pub const SIGNATURE_INCLUDED: u16 = 0x0008;
/// The sender's destination is among the options.
pub const FROM_INCLUDED: u16 = 0x0020;
/// A delay is among the options.
pub const DELAY_REQUESTED: u16 = 0x0040;
/// The sender's largest payload is among the options.
pub const MAX_PACKET_SIZE_INCLUDED: u16 = 0x0080;
/// Ping, or pong when nothing else is set.
pub const ECHO: u16 = 0x0200;
/// The ack fields mean nothing.
pub const NO_ACK: u16 = 0x0400;
/// An offline signature is among the options.
pub const OFFLINE_SIGNATURE: u16 = 0x0800;

/// Bytes of a packet without NACKs, options and payload.
pub const HEADER_LEN: usize = 22;
/// Most NACKs of one packet: their count is one byte.
pub const NACKS_MAX: usize = 255;
/// A delay of this or more means "stop sending". The specification says above 60,000; i2pd sends 60,000 itself.
pub const CHOKE_MIN: u16 = 60_000;

const OPTION_FLAGS: u16 =
    DELAY_REQUESTED | FROM_INCLUDED | MAX_PACKET_SIZE_INCLUDED | OFFLINE_SIGNATURE | SIGNATURE_INCLUDED;

/// A packet, to be written or as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamPacket<'a> {
    /// The receiver's id of the stream; 0 while unknown.
    pub send_id: u32,
    /// The sender's id of the stream.
    pub receive_id: u32,
    /// Number of this packet; 0 for the SYN and for plain acks.
    pub sequence: u32,
    /// Highest number received; all up to it are acknowledged but those in `nacks`.
    pub ack_through: u32,
    /// Numbers missing below `ack_through`; in a first SYN the receiver's hash as eight words.
    pub nacks: Vec<u32>,
    /// Seconds until the sender would resend. Informational.
    pub resend_delay_s: u8,
    /// Flags without option data: any of [`SYNCHRONIZE`], [`CLOSE`], [`RESET`], [`ECHO`], [`NO_ACK`] and unknown ones.
    pub flags: u16,
    /// Wished ack delay in milliseconds; from [`CHOKE_MIN`] up, a choke.
    pub delay_ms: Option<u16>,
    /// The sender.
    pub from: Option<Destination>,
    /// Largest payload that the sender takes.
    pub max_packet_size: Option<u16>,
    /// Authorisation of a transient key by the sender's destination.
    pub offline: Option<OfflineSignature>,
    /// Where the signature lies in the packet's bytes. To write one, give any range of the right length.
    pub signature: Option<Range<usize>>,
    /// The payload.
    pub payload: &'a [u8],
}

impl<'a> StreamPacket<'a> {
    /// Whether the packet has `flag`.
    pub const fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Whether this is a plain ack, which has no number and is never acknowledged.
    pub const fn is_plain_ack(&self) -> bool {
        self.sequence == 0 && !self.has(SYNCHRONIZE) && !self.has(ECHO)
    }

    /// Reads a packet that fills `bytes`. `signer` is the key type of the stream's far side, when it is known.
    pub fn decode(bytes: &'a [u8], signer: Option<SigType>) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let mut packet = StreamPacket {
            send_id: r.u32()?,
            receive_id: r.u32()?,
            sequence: r.u32()?,
            ack_through: r.u32()?,
            ..Self::default()
        };
        let count = r.u8()?;
        let mut nacks = Reader::new(r.bytes(usize::from(count).saturating_mul(4))?);
        if count > 0 {
            packet.nacks = (0..count).map(|_| nacks.u32()).collect::<Result<_, _>>()?;
        }
        packet.resend_delay_s = r.u8()?;
        let flags = r.u16()?;
        packet.flags = flags & !OPTION_FLAGS;
        let size = usize::from(r.u16()?);
        let plain = packet.is_plain_ack() && !packet.has(CLOSE | RESET);
        match r.bytes(size) {
            Ok(options) => {
                let base = bytes.len().saturating_sub(r.remaining()).saturating_sub(size);
                let read = packet.read_options(flags, options, base, signer);
                if !plain {
                    read?;
                }
                packet.payload = r.take_rest();
            }
            Err(_) if plain => {}
            Err(e) => return Err(e),
        }
        Ok(packet)
    }

    fn read_options(
        &mut self,
        flags: u16,
        options: &[u8],
        base: usize,
        signer: Option<SigType>,
    ) -> Result<(), DecodeError> {
        let mut r = Reader::new(options);
        if flags & DELAY_REQUESTED != 0 {
            self.delay_ms = Some(r.u16()?);
        }
        if flags & FROM_INCLUDED != 0 {
            self.from = Some(Destination::decode(&mut r)?);
        }
        if flags & MAX_PACKET_SIZE_INCLUDED != 0 {
            self.max_packet_size = Some(r.u16()?);
        }
        let mut key = self.from.as_ref().map(|d| d.sig_type()).or(signer);
        if flags & OFFLINE_SIGNATURE != 0 {
            let by = key.ok_or(DecodeError::Value("offline signature without a signer"))?;
            let offline = OfflineSignature::decode(&mut r, by)?;
            key = Some(offline.sig_type);
            self.offline = Some(offline);
        }
        if flags & SIGNATURE_INCLUDED != 0 {
            let at = base.saturating_add(options.len().saturating_sub(r.remaining()));
            // Without a known key the signature is all that is left of the options.
            let len = key.map_or(r.remaining(), SigType::signature_len);
            r.bytes(len)?;
            self.signature = Some(at..at.saturating_add(len));
        }
        Ok(())
    }

    /// Appends the packet to `w`, its signature zeroed. Answers where in `w` the signature has to go.
    ///
    /// At most [`NACKS_MAX`] NACKs are written; the caller lowers `ack_through` so that they suffice.
    pub fn encode(&self, w: &mut Vec<u8>) -> Option<Range<usize>> {
        for word in [self.send_id, self.receive_id, self.sequence, self.ack_through] {
            w.extend_from_slice(&word.to_be_bytes());
        }
        let nacks = self.nacks.get(..NACKS_MAX).unwrap_or(&self.nacks);
        w.push(u8::try_from(nacks.len()).unwrap_or(u8::MAX));
        for nack in nacks {
            w.extend_from_slice(&nack.to_be_bytes());
        }
        w.push(self.resend_delay_s);
        w.extend_from_slice(&self.flag_word().to_be_bytes());
        let size_at = w.len();
        w.extend_from_slice(&[0, 0]);
        if let Some(delay) = self.delay_ms {
            w.extend_from_slice(&delay.to_be_bytes());
        }
        if let Some(from) = &self.from {
            from.encode(w);
        }
        if let Some(size) = self.max_packet_size {
            w.extend_from_slice(&size.to_be_bytes());
        }
        if let Some(offline) = &self.offline {
            offline.encode(w);
        }
        let signature = self.signature.as_ref().map(|s| {
            let at = w.len();
            let end = at.saturating_add(s.len());
            w.resize(end, 0);
            at..end
        });
        let size = w.len().saturating_sub(size_at).saturating_sub(2);
        if let Some(field) = w.get_mut(size_at..size_at.saturating_add(2)) {
            field.copy_from_slice(&u16::try_from(size).unwrap_or(u16::MAX).to_be_bytes());
        }
        w.extend_from_slice(self.payload);
        signature
    }

    /// The flags as they stand on the wire, with those of the options.
    pub const fn flag_word(&self) -> u16 {
        let mut flags = self.flags & !OPTION_FLAGS;
        if self.delay_ms.is_some() {
            flags |= DELAY_REQUESTED;
        }
        if self.from.is_some() {
            flags |= FROM_INCLUDED;
        }
        if self.max_packet_size.is_some() {
            flags |= MAX_PACKET_SIZE_INCLUDED;
        }
        if self.offline.is_some() {
            flags |= OFFLINE_SIGNATURE;
        }
        if self.signature.is_some() {
            flags |= SIGNATURE_INCLUDED;
        }
        flags
    }
}

#[cfg(test)]
#[path = "stream_packet_tests.rs"]
mod tests;
