// SPDX-License-Identifier: MIT
//! Tunnel build records and the messages that carry them.
//!
//! Two generations exist: short records (218 bytes, messages 25 and 26), which carry no keys because both sides
//! derive them, and long records (528 bytes, messages 23 and 24), which carry AES keys and are still what some
//! routers bootstrap with. A message holds records of one size only. All encryption happens elsewhere, in place
//! on [`BuildRecords`]. Spec: tunnel creation ECIES, "Short Record Specification", "Long Record Specification".

use super::{DecodeError, I2npKind, Mapping, MessageId, Reader, RouterHash, TunnelId, Wire};
use std::fmt;
use zeroize::Zeroize;

/// Most records in one build message.
pub const RECORDS_MAX: usize = 8;

/// Leading bytes of a record that name its hop: the front of the hop's router hash.
pub const HOP_PREFIX: usize = 16;

/// Flag of an inbound gateway.
const FLAG_GATEWAY: u8 = 0x80;
/// Flag of an outbound endpoint.
const FLAG_ENDPOINT: u8 = 0x40;

/// Which generation of records a message carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordSize {
    /// 218 bytes on the wire.
    Short,
    /// 528 bytes on the wire.
    Long,
}

impl RecordSize {
    /// Bytes of an encrypted record, request or reply.
    pub const fn wire_len(self) -> usize {
        match self {
            Self::Short => 218,
            Self::Long => 528,
        }
    }

    /// Bytes of a request in the clear: what is left without hop prefix, ephemeral key and tag.
    pub const fn clear_len(self) -> usize {
        match self {
            Self::Short => 154,
            Self::Long => 464,
        }
    }

    /// Bytes of a reply in the clear; its last byte is the code.
    pub const fn reply_len(self) -> usize {
        match self {
            Self::Short => 202,
            Self::Long => 512,
        }
    }

    /// The I2NP type of a request with such records.
    pub const fn request_kind(self) -> I2npKind {
        match self {
            Self::Short => I2npKind::SHORT_TUNNEL_BUILD,
            Self::Long => I2npKind::VARIABLE_TUNNEL_BUILD,
        }
    }

    /// The I2NP type in which an outbound endpoint returns such records.
    pub const fn reply_kind(self) -> I2npKind {
        match self {
            Self::Short => I2npKind::OUTBOUND_TUNNEL_BUILD_REPLY,
            Self::Long => I2npKind::VARIABLE_TUNNEL_BUILD_REPLY,
        }
    }
}

/// What a hop is asked to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HopRole {
    /// First hop of somebody's inbound tunnel.
    InboundGateway,
    /// Middle hop, of either direction, and every hop that is neither gateway nor endpoint.
    Participant,
    /// Last hop of somebody's outbound tunnel.
    OutboundEndpoint,
}

impl HopRole {
    const fn flags(self) -> u8 {
        match self {
            Self::InboundGateway => FLAG_GATEWAY,
            Self::Participant => 0,
            Self::OutboundEndpoint => FLAG_ENDPOINT,
        }
    }
}

/// AES keys inside a long request record. Erased on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct LongKeys {
    /// Tunnel layer key.
    pub layer: [u8; 32],
    /// Tunnel IV key.
    pub iv: [u8; 32],
    /// Key that masks the other records.
    pub reply: [u8; 32],
    /// IV for masking, the same for each record.
    pub reply_iv: [u8; 16],
}

impl fmt::Debug for LongKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LongKeys(..)")
    }
}

impl Drop for LongKeys {
    fn drop(&mut self) {
        self.layer.zeroize();
        self.iv.zeroize();
        self.reply.zeroize();
        self.reply_iv.zeroize();
    }
}

/// A request record in the clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildRequest {
    /// Tunnel id on which this hop receives.
    pub receive: TunnelId,
    /// Tunnel id at the next router; of an endpoint, the reply tunnel's id at its gateway.
    pub next_tunnel: TunnelId,
    /// The next router; of an endpoint, the reply tunnel's gateway.
    pub next: RouterHash,
    /// What the hop shall be.
    pub role: HopRole,
    /// Layer encryption; 0 (AES) is the only one in use. Always 0 in long records.
    pub layer_type: u8,
    /// Time of the request in minutes since 1970, rounded down.
    pub minutes: u32,
    /// Message id that the hop must give to the message it sends on.
    pub next_message: MessageId,
    /// Options, such as bandwidth wishes; empty when they cannot be read, as the sender's padding may be there.
    pub options: Mapping,
    /// Keys, in long records only; their presence decides the layout.
    pub keys: Option<LongKeys>,
}

/// Lifetime that requests name, in seconds; it is written and never read, since some routers misuse the field.
const LIFETIME_S: u32 = 600;

impl BuildRequest {
    /// Reads a request in the clear of exactly [`RecordSize::clear_len`] bytes.
    pub fn decode(size: RecordSize, clear: &[u8]) -> Result<Self, DecodeError> {
        if clear.len() > size.clear_len() {
            return Err(DecodeError::Trailing);
        }
        if clear.len() < size.clear_len() {
            return Err(DecodeError::Short);
        }
        let mut r = Reader::new(clear);
        let receive = TunnelId::decode(&mut r)?;
        let next_tunnel = TunnelId::decode(&mut r)?;
        let next = RouterHash::decode(&mut r)?;
        let keys = match size {
            RecordSize::Short => None,
            RecordSize::Long => {
                let (layer, iv, reply, reply_iv) = (r.array()?, r.array()?, r.array()?, r.array()?);
                Some(LongKeys { layer, iv, reply, reply_iv })
            }
        };
        let role = decode_role(r.u8()?)?;
        let [_, _, last] = r.array::<3>()?;
        let layer_type = if size == RecordSize::Short { last } else { 0 };
        let minutes = r.u32()?;
        let _lifetime = r.u32()?;
        let next_message = MessageId::decode(&mut r)?;
        let options = Mapping::decode(&mut r).unwrap_or_default();
        Ok(Self { receive, next_tunnel, next, role, layer_type, minutes, next_message, options, keys })
    }

    /// Which layout this request has.
    pub const fn size(&self) -> RecordSize {
        if self.keys.is_some() { RecordSize::Long } else { RecordSize::Short }
    }

    /// Writes the fields; the caller fills up to [`RecordSize::clear_len`] with random bytes.
    /// Options that do not fit are left out.
    pub fn encode(&self, w: &mut Vec<u8>) {
        let start = w.len();
        self.receive.encode(w);
        self.next_tunnel.encode(w);
        self.next.encode(w);
        if let Some(keys) = &self.keys {
            w.extend_from_slice(&keys.layer);
            w.extend_from_slice(&keys.iv);
            w.extend_from_slice(&keys.reply);
            w.extend_from_slice(&keys.reply_iv);
        }
        let layer = if self.keys.is_none() { self.layer_type } else { 0 };
        w.extend_from_slice(&[self.role.flags(), 0, 0, layer]);
        w.extend_from_slice(&self.minutes.to_be_bytes());
        w.extend_from_slice(&LIFETIME_S.to_be_bytes());
        self.next_message.encode(w);
        let before = w.len();
        self.options.encode(w);
        if w.len().saturating_sub(start) > self.size().clear_len() {
            w.truncate(before);
            w.extend_from_slice(&[0, 0]);
        }
    }
}

fn decode_role(flags: u8) -> Result<HopRole, DecodeError> {
    match (flags & FLAG_GATEWAY != 0, flags & FLAG_ENDPOINT != 0) {
        (true, true) => Err(DecodeError::Value("build record: gateway and endpoint at once")),
        (true, false) => Ok(HopRole::InboundGateway),
        (false, true) => Ok(HopRole::OutboundEndpoint),
        (false, false) => Ok(HopRole::Participant),
    }
}

/// The body of a build message: a count byte and that many records of one size. Records are changed in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildRecords {
    size: RecordSize,
    body: Vec<u8>,
}

impl BuildRecords {
    /// Takes the body of a build message. Bytes behind the last record are cut off, as other routers accept them.
    pub fn decode(size: RecordSize, mut body: Vec<u8>) -> Result<Self, DecodeError> {
        let count = usize::from(*body.first().ok_or(DecodeError::Short)?);
        if count == 0 || count > RECORDS_MAX {
            return Err(DecodeError::count("build records", u32::try_from(count).unwrap_or(u32::MAX), 8));
        }
        let len = count.saturating_mul(size.wire_len()).saturating_add(1);
        if body.len() < len {
            return Err(DecodeError::Short);
        }
        body.truncate(len);
        Ok(Self { size, body })
    }

    /// `count` records of zeros, for a creator to fill; `count` is brought into 1..=8.
    pub fn zeroed(size: RecordSize, count: u8) -> Self {
        let count = count.clamp(1, 8);
        let mut body = vec![0; usize::from(count).saturating_mul(size.wire_len()).saturating_add(1)];
        if let Some(first) = body.first_mut() {
            *first = count;
        }
        Self { size, body }
    }

    /// The records' generation.
    pub const fn size(&self) -> RecordSize {
        self.size
    }

    /// How many records there are, 1 to 8.
    pub fn count(&self) -> usize {
        usize::from(self.body.first().copied().unwrap_or(0))
    }

    /// The records in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.body.get(1..).unwrap_or_default().chunks_exact(self.size.wire_len())
    }

    /// The records in order, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let len = self.size.wire_len();
        self.body.get_mut(1..).unwrap_or_default().chunks_exact_mut(len)
    }

    /// One record, if there are so many.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        self.iter().nth(index)
    }

    /// One record to be changed, if there are so many.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut [u8]> {
        self.iter_mut().nth(index)
    }

    /// The message body.
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }
}

#[cfg(test)]
mod tests;
