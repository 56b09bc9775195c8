// SPDX-License-Identifier: MIT
//! Payload blocks of ratchet and router garlic: block framing, cloves, delivery instructions.
//!
//! Every decrypted payload is a row of `[1] type | [2] length | data` blocks. Unknown types are skipped, a
//! block that is malformed inside costs only itself, and a length that runs past the end stops the reading
//! with everything before it kept. Decoding borrows; it never allocates.
//!
//! Spec: ECIES-X25519-AEAD-Ratchet, "Payload"; I2NP, "Garlic Clove Delivery Instructions".

use super::{DecodeError, DestHash, I2npKind, MessageId, Reader, RouterHash, TunnelId, Wire};

/// Bytes in front of every block: type and length.
pub const BLOCK_HEADER_LEN: usize = 3;

/// Largest payload that a garlic message may carry.
pub const PAYLOAD_LEN_MAX: usize = 65_519;

const DATE_TIME: u8 = 0;
const TERMINATION: u8 = 4;
const MESSAGE_NUMBER: u8 = 6;
const NEXT_KEY: u8 = 7;
const ACK: u8 = 8;
const ACK_REQUEST: u8 = 9;
const CLOVE: u8 = 11;
const PADDING: u8 = 254;

const KEY_PRESENT: u8 = 1;
const REVERSE: u8 = 2;
const REQUEST: u8 = 4;

/// Where the receiver of a garlic message is to take a clove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// To whoever opened the message.
    Local,
    /// To a destination, which must be one of the opener's.
    Destination(DestHash),
    /// To a router.
    Router(RouterHash),
    /// Into a tunnel.
    Tunnel {
        /// The router where the tunnel begins.
        gateway: RouterHash,
        /// The tunnel's id at that router.
        tunnel: TunnelId,
    },
}

impl Delivery {
    /// Encoded length: 1, 33, 33 or 37.
    pub const fn encoded_len(&self) -> usize {
        match self {
            Self::Local => 1,
            Self::Destination(_) | Self::Router(_) => 33,
            Self::Tunnel { .. } => 37,
        }
    }
}

impl Wire for Delivery {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let flags = r.u8()?;
        if flags & 0x80 != 0 {
            return Err(DecodeError::Value("encrypted delivery instructions"));
        }
        let delivery = match (flags >> 5) & 3 {
            0 => Self::Local,
            1 => Self::Destination(DestHash(r.array()?)),
            2 => Self::Router(RouterHash(r.array()?)),
            _ => Self::Tunnel { gateway: RouterHash(r.array()?), tunnel: TunnelId(r.u32()?) },
        };
        if flags & 0x10 != 0 {
            r.u32()?; // a delay nobody asks for and nobody honours
        }
        Ok(delivery)
    }

    fn encode(&self, w: &mut Vec<u8>) {
        match self {
            Self::Local => w.push(0),
            Self::Destination(hash) => {
                w.push(1 << 5);
                w.extend_from_slice(&hash.0);
            }
            Self::Router(hash) => {
                w.push(2 << 5);
                w.extend_from_slice(&hash.0);
            }
            Self::Tunnel { gateway, tunnel } => {
                w.push(3 << 5);
                w.extend_from_slice(&gateway.0);
                w.extend_from_slice(&tunnel.0.to_be_bytes());
            }
        }
    }
}

/// One I2NP message inside a garlic message, its body borrowed from the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clove<'a> {
    /// Where it goes.
    pub delivery: Delivery,
    /// I2NP message type. Not narrowed here: what is allowed depends on who opened the message.
    pub kind: I2npKind,
    /// I2NP message id.
    pub id: MessageId,
    /// Expiry in Unix seconds.
    pub expires_s: u32,
    /// I2NP body.
    pub body: &'a [u8],
}

impl Clove<'_> {
    /// Bytes that a clove block with a body of `body` bytes takes, block header included.
    pub const fn block_len(delivery: &Delivery, body: usize) -> usize {
        (BLOCK_HEADER_LEN + 9).saturating_add(delivery.encoded_len()).saturating_add(body)
    }

    /// Writes everything of the block but the body, for a body of `body` bytes which the caller appends.
    pub fn encode_header(&self, body: usize, w: &mut Vec<u8>) {
        put_header(CLOVE, self.delivery.encoded_len().saturating_add(9).saturating_add(body), w);
        self.delivery.encode(w);
        w.push(self.kind.0);
        w.extend_from_slice(&self.id.0.to_be_bytes());
        w.extend_from_slice(&self.expires_s.to_be_bytes());
    }
}

/// One step of the Diffie-Hellman ratchet. 3 or 35 bytes: flags, key id, key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextKey {
    /// Which key of its side it is, 0 to 32767.
    pub key_id: u16,
    /// The key, if the other side does not have it yet.
    pub key: Option<[u8; 32]>,
    /// From the receiver of the tag set that is being replaced, not its sender.
    pub reverse: bool,
    /// The receiver is to answer with a fresh key.
    pub request: bool,
}

impl NextKey {
    /// Bytes of the block, header included.
    pub const fn block_len(&self) -> usize {
        if self.key.is_some() { BLOCK_HEADER_LEN + 35 } else { BLOCK_HEADER_LEN + 3 }
    }

    /// Appends the block.
    pub fn encode_block(&self, w: &mut Vec<u8>) {
        put_header(NEXT_KEY, self.block_len().saturating_sub(BLOCK_HEADER_LEN), w);
        let flag = |on: bool, bit: u8| if on { bit } else { 0 };
        w.push(
            flag(self.key.is_some(), KEY_PRESENT) | flag(self.reverse, REVERSE) | flag(self.request, REQUEST),
        );
        w.extend_from_slice(&self.key_id.to_be_bytes());
        if let Some(key) = &self.key {
            w.extend_from_slice(key);
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let flags = r.u8()?;
        let key_id = r.u16()?;
        if key_id > 0x7fff {
            return Err(DecodeError::Value("next key id"));
        }
        let key = if flags & KEY_PRESENT != 0 { Some(r.array()?) } else { None };
        Ok(Self { key_id, key, reverse: flags & REVERSE != 0, request: flags & REQUEST != 0 })
    }
}

/// "The message with this number of this tag set arrived."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ack {
    /// Tag set id of the sender of the acknowledged message.
    pub set: u16,
    /// Its index in the tag set.
    pub index: u16,
}

/// The entries of one ACK block, still encoded. Any tail shorter than an entry is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acks<'a>(&'a [u8]);

impl<'a> Acks<'a> {
    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = Ack> + use<'a> {
        let (entries, _) = self.0.as_chunks::<4>();
        entries.iter().map(|[a, b, c, d]| Ack {
            set: u16::from_be_bytes([*a, *b]),
            index: u16::from_be_bytes([*c, *d]),
        })
    }
}

/// One block of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block<'a> {
    /// Unix seconds at the sender.
    DateTime(u32),
    /// The sender drops the session; the reason.
    Termination(u8),
    /// Index of the last tag that was used of the previous tag set.
    MessageNumber(u16),
    /// A ratchet step.
    NextKey(NextKey),
    /// Acknowledgements.
    Ack(Acks<'a>),
    /// Please acknowledge this message.
    AckRequest,
    /// A message.
    Clove(Clove<'a>),
    /// Filler of that many bytes, last in the payload.
    Padding(usize),
    /// A type not known here.
    Unknown(u8),
}

impl<'a> Block<'a> {
    fn decode(kind: u8, data: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(data);
        Ok(match kind {
            DATE_TIME => Self::DateTime(r.u32()?),
            TERMINATION => Self::Termination(r.u8().unwrap_or(0)),
            MESSAGE_NUMBER => Self::MessageNumber(r.u16()?),
            NEXT_KEY => Self::NextKey(NextKey::decode(&mut r)?),
            ACK => Self::Ack(Acks(data)),
            ACK_REQUEST => Self::AckRequest,
            CLOVE => Self::Clove(Clove {
                delivery: Delivery::decode(&mut r)?,
                kind: I2npKind(r.u8()?),
                id: MessageId(r.u32()?),
                expires_s: r.u32()?,
                body: r.take_rest(),
            }),
            PADDING => Self::Padding(data.len()),
            other => Self::Unknown(other),
        })
    }
}

/// Reads the blocks of a payload one after the other.
///
/// An `Err` for a block that is malformed inside does not end the row; one for framing that runs past the
/// end does. Nothing follows a padding block.
#[derive(Clone, Debug)]
pub struct Blocks<'a> {
    rest: Reader<'a>,
}

impl<'a> Blocks<'a> {
    /// Starts at the front of a decrypted payload.
    pub const fn new(payload: &'a [u8]) -> Self {
        Self { rest: Reader::new(payload) }
    }

    fn frame(&mut self) -> Result<(u8, &'a [u8]), DecodeError> {
        let kind = self.rest.u8()?;
        let len = self.rest.u16()?;
        Ok((kind, self.rest.bytes(usize::from(len))?))
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Result<Block<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match self.frame() {
            Ok((kind, data)) => {
                if kind == PADDING {
                    self.rest.take_rest();
                }
                Some(Block::decode(kind, data))
            }
            Err(e) => {
                self.rest.take_rest();
                Some(Err(e))
            }
        }
    }
}

/// Appends a DateTime block, 7 bytes.
pub fn put_date_time(unix_s: u32, w: &mut Vec<u8>) {
    put_header(DATE_TIME, 4, w);
    w.extend_from_slice(&unix_s.to_be_bytes());
}

/// Appends an ACK request block, 4 bytes.
pub fn put_ack_request(w: &mut Vec<u8>) {
    put_header(ACK_REQUEST, 1, w);
    w.push(0);
}

/// Appends one ACK block of `3 + 4 * acks.len()` bytes; nothing if there is nothing to acknowledge.
pub fn put_acks(acks: &[Ack], w: &mut Vec<u8>) {
    if acks.is_empty() {
        return;
    }
    put_header(ACK, acks.len().saturating_mul(4), w);
    for ack in acks {
        w.extend_from_slice(&ack.set.to_be_bytes());
        w.extend_from_slice(&ack.index.to_be_bytes());
    }
}

/// Appends a Termination block, 4 bytes.
pub fn put_termination(reason: u8, w: &mut Vec<u8>) {
    put_header(TERMINATION, 1, w);
    w.push(reason);
}

/// Appends a clove block.
pub fn put_clove(clove: &Clove<'_>, w: &mut Vec<u8>) {
    clove.encode_header(clove.body.len(), w);
    w.extend_from_slice(clove.body);
}

/// Appends a padding block of `3 + len` bytes, zero filled: it is encrypted with the rest.
pub fn put_padding(len: usize, w: &mut Vec<u8>) {
    put_header(PADDING, len, w);
    w.resize(w.len().saturating_add(len), 0);
}

fn put_header(kind: u8, len: usize, w: &mut Vec<u8>) {
    debug_assert!(len <= PAYLOAD_LEN_MAX, "a garlic block of {len} bytes");
    w.push(kind);
    w.extend_from_slice(&(u16::try_from(len).unwrap_or(u16::MAX)).to_be_bytes());
}

#[cfg(test)]
mod tests;
