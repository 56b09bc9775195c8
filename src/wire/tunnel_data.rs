// SPDX-License-Identifier: MIT
//! The clear inside of a tunnel data cell: checksum, padding, delivery instructions, fragments.
//!
//! A TunnelData body is 1028 bytes: tunnel id (4), IV (16) and 1008 bytes that each hop encrypts. Clear, those are
//! checksum (4), nonzero padding, a zero byte and then fragments up to the very end, 1003 bytes of them at most.
//! Parsing borrows from the cell and allocates nothing.
//! Spec: tunnel message specification, "Tunnel Message (Decrypted)" and "Tunnel Message Delivery Instructions".

use sha2::{Digest, Sha256};

use super::{DecodeError, MessageId, Reader, RouterHash, TunnelId, Wire};

/// Body of a TunnelData message.
pub const BODY_LEN: usize = 1028;
/// The part of it that is encrypted, IV included: everything but the tunnel id.
pub const CELL_LEN: usize = 1024;
/// Room for fragments in one cell.
pub const CAPACITY: usize = 1003;
/// Most data in a follow-on fragment.
pub const FOLLOW_MAX: usize = CAPACITY - FOLLOW_HEAD;
/// Bytes of a follow-on fragment's instructions.
pub const FOLLOW_HEAD: usize = 7;
/// Largest message that is cut or joined, header included.
pub const MESSAGE_MAX: usize = 62_708;
/// Highest number of a follow-on fragment; the first fragment is number 0.
pub const FRAGMENT_MAX: u8 = 63;

const ID_LEN: usize = 4;
const IV_LEN: usize = 16;
const CHECKSUM_LEN: usize = 4;
const TO_TUNNEL: u8 = 1;
const TO_ROUTER: u8 = 2;

/// Where the endpoint of a tunnel takes a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// To the router at the end. The only one inside inbound tunnels, and never sent through outbound ones.
    Local,
    /// To a router.
    Router(RouterHash),
    /// To an inbound tunnel, by its gateway.
    Tunnel(RouterHash, TunnelId),
}

impl Delivery {
    /// Bytes of the instructions of a message that fits one cell; four more if it is cut.
    pub const fn head_len(&self) -> usize {
        match self {
            Self::Local => 3,
            Self::Router(_) => 35,
            Self::Tunnel(..) => 39,
        }
    }
}

/// One fragment as it lies in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment<'a> {
    /// A whole message.
    Whole {
        /// Where it goes.
        delivery: Delivery,
        /// The message.
        data: &'a [u8],
    },
    /// The beginning of a message.
    First {
        /// Where it goes.
        delivery: Delivery,
        /// Names the message within its tunnel.
        id: MessageId,
        /// Its first bytes.
        data: &'a [u8],
    },
    /// A later part of a message.
    Follow {
        /// Names the message within its tunnel.
        id: MessageId,
        /// 1 to 63.
        number: u8,
        /// Whether it is the message's last.
        last: bool,
        /// Its bytes.
        data: &'a [u8],
    },
}

impl<'a> Fragment<'a> {
    /// Reads one fragment from the front of `r`.
    pub fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let flags = r.u8()?;
        if flags & 0x80 != 0 {
            let number = (flags >> 1) & FRAGMENT_MAX;
            if number == 0 {
                return Err(DecodeError::Value("follow-on fragment number"));
            }
            let id = MessageId(r.u32()?);
            return Ok(Self::Follow { id, number, last: flags & 1 != 0, data: decode_data(r)? });
        }
        if flags & 0x17 != 0 {
            return Err(DecodeError::Value("delivery flags"));
        }
        let delivery = match (flags >> 5) & 3 {
            0 => Delivery::Local,
            TO_TUNNEL => {
                let tunnel = TunnelId(r.u32()?);
                Delivery::Tunnel(RouterHash(r.array()?), tunnel)
            }
            TO_ROUTER => Delivery::Router(RouterHash(r.array()?)),
            _ => return Err(DecodeError::Value("delivery type")),
        };
        if flags & 0x08 == 0 {
            return Ok(Self::Whole { delivery, data: decode_data(r)? });
        }
        let id = MessageId(r.u32()?);
        Ok(Self::First { delivery, id, data: decode_data(r)? })
    }
}

fn decode_data<'a>(r: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let len = r.u16()?;
    if len == 0 {
        return Err(DecodeError::Value("fragment of no bytes"));
    }
    r.bytes(usize::from(len))
}

/// Writes the instructions of a whole message (`id` is `None`) or of a first fragment; `len` bytes of data follow.
pub fn encode_head(w: &mut Vec<u8>, delivery: &Delivery, id: Option<MessageId>, len: u16) {
    let cut = if id.is_some() { 0x08 } else { 0 };
    match delivery {
        Delivery::Local => w.push(cut),
        Delivery::Tunnel(gateway, tunnel) => {
            w.push(TO_TUNNEL << 5 | cut);
            tunnel.encode(w);
            gateway.encode(w);
        }
        Delivery::Router(router) => {
            w.push(TO_ROUTER << 5 | cut);
            router.encode(w);
        }
    }
    if let Some(id) = id {
        id.encode(w);
    }
    w.extend_from_slice(&len.to_be_bytes());
}

/// Writes the instructions of follow-on fragment `number`; `len` bytes of data follow.
pub fn encode_follow(w: &mut Vec<u8>, id: MessageId, number: u8, last: bool, len: u16) {
    w.push(0x80 | (number & FRAGMENT_MAX) << 1 | u8::from(last));
    id.encode(w);
    w.extend_from_slice(&len.to_be_bytes());
}

/// Builds the body of a clear TunnelData message. `fragments` must not be longer than [`CAPACITY`]; `pad` must fill
/// what it is given with nonzero bytes.
pub fn encode_body(
    tunnel: TunnelId,
    iv: &[u8; 16],
    fragments: &[u8],
    pad: impl FnOnce(&mut [u8]),
) -> Vec<u8> {
    debug_assert!(fragments.len() <= CAPACITY);
    let mut body = Vec::with_capacity(BODY_LEN);
    tunnel.encode(&mut body);
    body.extend_from_slice(iv);
    body.extend_from_slice(&checksum(fragments, iv));
    body.resize(BODY_LEN.saturating_sub(1).saturating_sub(fragments.len()), 1);
    if let Some(padding) = body.get_mut(ID_LEN + IV_LEN + CHECKSUM_LEN..) {
        pad(padding);
    }
    body.push(0);
    body.extend_from_slice(fragments);
    body
}

/// Finds the fragments in a clear cell (IV and 1008 bytes) and verifies their checksum.
pub fn open_cell(cell: &[u8; CELL_LEN]) -> Result<Fragments<'_>, DecodeError> {
    let mut r = Reader::new(cell);
    let iv: [u8; IV_LEN] = r.array()?;
    let claimed: [u8; CHECKSUM_LEN] = r.array()?;
    let padded = r.take_rest();
    let zero = padded.iter().position(|&b| b == 0).ok_or(DecodeError::Value("no end of padding"))?;
    let (_, fragments) = padded.split_at_checked(zero.saturating_add(1)).ok_or(DecodeError::Short)?;
    if checksum(fragments, &iv) != claimed {
        return Err(DecodeError::Value("cell checksum"));
    }
    Ok(Fragments { rest: Reader::new(fragments) })
}

fn checksum(fragments: &[u8], iv: &[u8; 16]) -> [u8; CHECKSUM_LEN] {
    let digest: [u8; 32] = Sha256::new().chain_update(fragments).chain_update(iv).finalize().into();
    let [a, b, c, d, ..] = digest;
    [a, b, c, d]
}

/// The fragments of one cell, in order. Ends behind the first that is malformed.
#[derive(Clone, Debug)]
pub struct Fragments<'a> {
    rest: Reader<'a>,
}

impl<'a> Iterator for Fragments<'a> {
    type Item = Result<Fragment<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let fragment = Fragment::decode(&mut self.rest);
        if fragment.is_err() {
            self.rest.take_rest();
        }
        Some(fragment)
    }
}

#[cfg(test)]
mod tests;
