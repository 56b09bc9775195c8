// SPDX-License-Identifier: MIT
//! The gateway's half of fragmentation: packs the messages of one turn into as few cells as is sensible.
//!
//! A message that fits what is left of the open cell goes there. One that does not is begun there if a worthwhile
//! part of it fits, and else begins a new cell. All fragments of a message stand in consecutive cells, because some
//! endpoints give up on a message when those of two are interleaved.
//! Spec: tunnel message specification, "Gateway processing".

use crate::base::Rng;
use crate::wire::tunnel_data::{
    CAPACITY, Delivery, FOLLOW_MAX, FRAGMENT_MAX, MESSAGE_MAX, encode_follow, encode_head,
};
use crate::wire::{I2np, MessageId};

/// Bytes that a first fragment's instructions have more than a whole message's.
const CUT_HEAD: usize = 4;

/// A message on its way into a tunnel: a 16-byte I2NP header and the body, as one run of bytes.
#[derive(Debug)]
pub(super) struct Parcel {
    delivery: Delivery,
    bytes: Vec<u8>,
    /// Bytes at the front that do not belong to the message.
    skip: usize,
    /// How often it has gone through us without leaving.
    pub(super) loops: u8,
}

impl Parcel {
    /// A message of ours. `None` if it is too large for a tunnel.
    pub(super) fn of(delivery: Delivery, message: &I2np) -> Option<Self> {
        let mut bytes = Vec::with_capacity(message.body.len().saturating_add(16));
        message.encode_long(&mut bytes);
        Self::of_bytes(delivery, bytes, 0, 0)
    }

    /// The encoded message behind the first `skip` bytes. `None` if it is empty or too large for a tunnel.
    pub(super) fn of_bytes(delivery: Delivery, bytes: Vec<u8>, skip: usize, loops: u8) -> Option<Self> {
        let len = bytes.len().checked_sub(skip)?;
        (1..=MESSAGE_MAX).contains(&len).then_some(Self { delivery, bytes, skip, loops })
    }

    fn data(&self) -> &[u8] {
        self.bytes.get(self.skip..).unwrap_or_default()
    }
}

/// Packs messages into the fragment areas of cells, none longer than [`CAPACITY`].
pub(super) fn pack(rng: &mut Rng, parcels: &[Parcel]) -> Vec<Vec<u8>> {
    let mut packer = Packer { done: Vec::new(), open: Vec::new() };
    for parcel in parcels {
        packer.add(rng, &parcel.delivery, parcel.data());
    }
    packer.flush();
    packer.done
}

struct Packer {
    done: Vec<Vec<u8>>,
    open: Vec<u8>,
}

impl Packer {
    const fn room(&self) -> usize {
        CAPACITY.saturating_sub(self.open.len())
    }

    fn flush(&mut self) {
        if !self.open.is_empty() {
            self.done.push(std::mem::take(&mut self.open));
        }
    }

    fn reserve(&mut self) {
        if self.open.capacity() < CAPACITY {
            self.open.reserve_exact(CAPACITY);
        }
    }

    fn add(&mut self, rng: &mut Rng, delivery: &Delivery, data: &[u8]) {
        let head = delivery.head_len();
        if head + data.len() > self.room() && !self.worth_cutting(head, data.len()) {
            self.flush();
        }
        self.reserve();
        if head + data.len() <= self.room() {
            encode_head(&mut self.open, delivery, None, len16(data));
            self.open.extend_from_slice(data);
            return;
        }
        let id = MessageId(rng.nonzero_u32());
        let (first, mut rest) = data.split_at(self.room().saturating_sub(head + CUT_HEAD).min(data.len()));
        encode_head(&mut self.open, delivery, Some(id), len16(first));
        self.open.extend_from_slice(first);
        let mut number = 1;
        while !rest.is_empty() && number <= FRAGMENT_MAX {
            // The fragment before has filled its cell.
            self.flush();
            self.reserve();
            let (part, left) = rest.split_at(rest.len().min(FOLLOW_MAX));
            encode_follow(&mut self.open, id, number, left.is_empty(), len16(part));
            self.open.extend_from_slice(part);
            rest = left;
            number += 1;
        }
    }

    /// Whether to begin a message in the open cell into which it does not fit whole: if at least a fifth of it (or
    /// of a cell, for longer ones) fits.
    fn worth_cutting(&self, head: usize, len: usize) -> bool {
        let part = self.room().saturating_sub(head + CUT_HEAD);
        part >= (len.min(CAPACITY) / 5).max(1)
    }
}

fn len16(data: &[u8]) -> u16 {
    u16::try_from(data.len()).unwrap_or(u16::MAX)
}
