// SPDX-License-Identifier: MIT
//! Payloads: what goes into a message and in which order, how it is padded, and what comes out of one.
//!
//! Two tunnel cells carry 1,956 bytes of I2NP message, one carries 964, three 2,952. A message that is near
//! such a bound is filled up to it, others get up to 15 random bytes (proposal 155), and what could wait does
//! not push a message over a bound.

use super::api::Received;
use super::metrics::Metrics;
use crate::base::{Now, Rng};
use crate::wire::garlic::{
    Ack, BLOCK_HEADER_LEN, Block, Blocks, Clove, Delivery, NextKey, put_ack_request, put_acks, put_date_time,
    put_padding,
};
use crate::wire::{DestHash, I2npKind, MessageId, Reader};
use bytes::Bytes;

/// I2NP header in tunnels, and the length in front of a Garlic body.
pub(super) const OUTER: usize = 16 + 4;
/// What one, two and three tunnel cells carry.
const CELLS: [usize; 3] = [964, 1956, 2952];
/// What each further cell carries.
const CELL: usize = 996;
/// Most payload in a garlic message.
pub(super) const PAYLOAD_MAX: usize = 62_000;
/// How long our cloves are valid.
const CLOVE_LIFE_S: u32 = 60;
/// How long past its end a clove is still taken: clocks differ.
const CLOVE_GRACE_S: u32 = 60;
/// DatabaseStore in front of the lease set: key, type, reply token.
const STORE_HEADER: usize = 32 + 1 + 4;
const STORE_TYPE_LS2: u8 = 3;

/// Number of tunnel cells that an I2NP message of `len` bytes takes.
pub(super) fn cells(len: usize) -> usize {
    match CELLS.iter().position(|cap| len <= *cap) {
        Some(at) => at + 1,
        None => CELLS.len() + (len - CELLS[2]).div_ceil(CELL),
    }
}

/// What a message is to carry. Blocks are written in the order of the fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content<'a, P> {
    pub(super) date_time: bool,
    pub(super) reverse: Option<NextKey>,
    pub(super) forward: Option<NextKey>,
    /// Our hash and lease set.
    pub(super) lease_set: Option<(DestHash, &'a [u8])>,
    pub(super) to: DestHash,
    pub(super) data: &'a [P],
    pub(super) ack_request: bool,
    pub(super) acks: &'a [Ack],
}

impl<'a, P: AsRef<[u8]>> Content<'a, P> {
    /// Nothing but data.
    pub(super) const fn data(to: DestHash, data: &'a [P]) -> Self {
        Self {
            date_time: false,
            reverse: None,
            forward: None,
            lease_set: None,
            to,
            data,
            ack_request: false,
            acks: &[],
        }
    }

    /// Encoded length without padding.
    pub(super) fn len(&self) -> usize {
        let next_keys =
            [&self.reverse, &self.forward].into_iter().flatten().map(NextKey::block_len).sum::<usize>();
        let lease_set = self.lease_set.map_or(0, |(_, raw)| lease_set_block_len(raw));
        let data = self.data.iter().map(|p| data_block_len(p.as_ref().len())).sum::<usize>();
        let acks = if self.acks.is_empty() { 0 } else { BLOCK_HEADER_LEN + 4 * self.acks.len() };
        (if self.date_time { 7 } else { 0 })
            + next_keys
            + lease_set
            + data
            + (if self.ack_request { 4 } else { 0 })
            + acks
    }

    /// Appends all blocks, padding included, for a message that adds `overhead` bytes to its payload.
    pub(super) fn write(&self, now: Now, rng: &mut Rng, overhead: usize, out: &mut Vec<u8>) {
        let len = self.len();
        if self.date_time {
            put_date_time(now.wall_s(), out);
        }
        for next_key in [&self.reverse, &self.forward].into_iter().flatten() {
            next_key.encode_block(out);
        }
        let header = |delivery, kind, id| Clove {
            delivery,
            kind,
            id,
            expires_s: now.wall_s().saturating_add(CLOVE_LIFE_S),
            body: &[],
        };
        if let Some((local, raw)) = self.lease_set {
            header(Delivery::Local, I2npKind::DATABASE_STORE, MessageId(rng.u32()))
                .encode_header(STORE_HEADER + raw.len(), out);
            out.extend_from_slice(&local.0);
            out.push(STORE_TYPE_LS2);
            out.extend_from_slice(&[0; 4]);
            out.extend_from_slice(raw);
        }
        for payload in self.data {
            let payload = payload.as_ref();
            header(Delivery::Destination(self.to), I2npKind::DATA, MessageId(rng.u32()))
                .encode_header(4 + payload.len(), out);
            out.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend_from_slice(payload);
        }
        if self.ack_request {
            put_ack_request(out);
        }
        put_acks(self.acks, out);
        if let Some(padding) = padding(rng, OUTER + overhead + len) {
            put_padding(padding, out);
        }
    }
}

/// Length of a clove block with a Data message of `len` payload bytes.
pub(super) const fn data_block_len(len: usize) -> usize {
    BLOCK_HEADER_LEN + 33 + 9 + 4 + len
}

/// Length of a clove block with this lease set.
pub(super) const fn lease_set_block_len(raw: &[u8]) -> usize {
    Clove::block_len(&Delivery::Local, STORE_HEADER + raw.len())
}

/// Most that [`Content::write`] may add to [`Content::len`].
pub(super) const PADDING_MAX: usize = BLOCK_HEADER_LEN + 15;

/// How many bytes of padding data a message of `total` bytes gets; `None`: no padding block.
fn padding(rng: &mut Rng, total: usize) -> Option<usize> {
    let room = CELLS.iter().find_map(|cap| cap.checked_sub(total));
    match room {
        Some(room) if room < BLOCK_HEADER_LEN => None,
        Some(room) if room <= PADDING_MAX => Some(room - BLOCK_HEADER_LEN),
        _ => Some(rng.index(16)),
    }
}

/// What a payload contained, cloves aside from lease sets in the order they came.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    /// Seconds of the DateTime block.
    pub(super) date_time: Option<u32>,
    /// DateTime came more than once.
    pub(super) date_time_twice: bool,
    pub(super) next_keys: Vec<NextKey>,
    pub(super) acks: Vec<Ack>,
    pub(super) ack_request: bool,
    pub(super) terminated: bool,
    /// DatabaseStore bodies.
    pub(super) stores: Vec<(MessageId, Bytes)>,
    pub(super) cloves: Vec<Received>,
}

/// Most ACK entries that are looked at in one message.
const ACKS_MAX: usize = 256;

impl Parsed {
    /// Reads a decrypted payload. What is not allowed inside is dropped and counted.
    pub(super) fn read(
        payload: &Bytes,
        local: &DestHash,
        now: Now,
        cloves: usize,
        metrics: &Metrics,
    ) -> Self {
        let mut parsed = Self::default();
        let mut count = 0;
        for block in Blocks::new(payload) {
            match block {
                Ok(Block::DateTime(s)) => {
                    parsed.date_time_twice |= parsed.date_time.is_some();
                    parsed.date_time = Some(s);
                }
                Ok(Block::Clove(clove)) => {
                    count += 1;
                    if count > cloves || parsed.take_clove(payload, &clove, local, now).is_none() {
                        metrics.clove_dropped.inc();
                    }
                }
                Ok(Block::NextKey(next_key)) if parsed.next_keys.len() < 2 => parsed.next_keys.push(next_key),
                Ok(Block::Ack(acks)) => {
                    let room = ACKS_MAX.saturating_sub(parsed.acks.len());
                    parsed.acks.extend(acks.iter().take(room));
                }
                Ok(Block::AckRequest) => parsed.ack_request = true,
                Ok(Block::Termination(_)) => parsed.terminated = true,
                Ok(Block::NextKey(_) | Block::MessageNumber(_) | Block::Padding(_) | Block::Unknown(_)) => {}
                Err(_) => metrics.clove_dropped.inc(),
            }
        }
        parsed
    }

    fn take_clove(&mut self, payload: &Bytes, clove: &Clove<'_>, local: &DestHash, now: Now) -> Option<()> {
        match clove.delivery {
            Delivery::Local => {}
            Delivery::Destination(hash) if hash == *local => {}
            // Strangers get nothing forwarded: that would make us a reflector.
            _ => return None,
        }
        if clove.expires_s.saturating_add(CLOVE_GRACE_S) < now.wall_s() {
            return None;
        }
        match clove.kind {
            I2npKind::DATA => {
                let mut r = Reader::new(clove.body);
                let len = r.u32().ok()?;
                let data = r.bytes(usize::try_from(len).ok()?).ok()?;
                self.cloves.push(Received::Data(payload.slice_ref(data)));
            }
            I2npKind::DATABASE_STORE => self.stores.push((clove.id, payload.slice_ref(clove.body))),
            I2npKind::DATABASE_SEARCH_REPLY
            | I2npKind::DELIVERY_STATUS
            | I2npKind::OUTBOUND_TUNNEL_BUILD_REPLY => self.cloves.push(Received::Message {
                kind: clove.kind,
                id: clove.id,
                body: payload.slice_ref(clove.body),
            }),
            _ => return None,
        }
        Some(())
    }
}
