// SPDX-License-Identifier: MIT
//! Memory of what is over or not yet begun: closed ids, SYNs seen, and data that came before its SYN.

use super::Bounds;
use crate::base::{Account, Map, Mono, Rng, Set, map, set};
use crate::wire::DestHash;
use crate::wire::i2cp_gzip::Ports;
use std::collections::VecDeque;
use std::time::Duration;

/// A closed id answers late packets for so long.
const WAIT: Duration = Duration::from_secs(60);
/// Data may come so long before its SYN.
const EARLY_WAIT: Duration = Duration::from_secs(10);

/// What is left of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remains {
    pub(crate) remote: DestHash,
    pub(crate) remote_id: u32,
    pub(crate) ports: Ports,
    /// The last number acknowledged.
    pub(crate) through: u32,
    /// The number of our close if nobody acknowledged it: whoever still asks did not get it.
    pub(crate) close: Option<u32>,
    /// Whether the stream was reset, so that late packets get no ack.
    pub(crate) reset: bool,
}

/// Streams that are over.
#[derive(Debug)]
pub(crate) struct Closed {
    by_id: Map<u32, Remains>,
    order: VecDeque<(Mono, u32)>,
    syns: Set<u64>,
    syn_order: VecDeque<u64>,
    bounds: Bounds,
}

impl Closed {
    pub(crate) fn new(rng: &mut Rng, bounds: Bounds) -> Self {
        Self { by_id: map(rng), order: VecDeque::new(), syns: set(rng), syn_order: VecDeque::new(), bounds }
    }

    pub(crate) fn insert(&mut self, now: Mono, id: u32, remains: Remains) {
        while self.order.len() >= self.bounds.ended {
            self.drop_first();
        }
        self.by_id.insert(id, remains);
        self.order.push_back((now + WAIT, id));
    }

    pub(crate) fn get(&self, id: u32) -> Option<&Remains> {
        self.by_id.get(&id)
    }

    fn drop_first(&mut self) {
        if let Some((_, id)) = self.order.pop_front() {
            self.by_id.remove(&id);
        }
    }

    pub(crate) fn expire(&mut self, now: Mono) {
        while self.order.front().is_some_and(|(until, _)| *until <= now) {
            self.drop_first();
        }
    }

    pub(crate) fn next_expiry(&self) -> Option<Mono> {
        self.order.front().map(|(until, _)| *until)
    }

    /// Remembers a SYN; answers whether it is new.
    pub(crate) fn remember_syn(&mut self, mark: u64) -> bool {
        if !self.syns.insert(mark) {
            return false;
        }
        self.syn_order.push_back(mark);
        if self.syn_order.len() > self.bounds.syns
            && let Some(old) = self.syn_order.pop_front()
        {
            self.syns.remove(&old);
        }
        true
    }

    pub(crate) fn knows_syn(&self, mark: u64) -> bool {
        self.syns.contains(&mark)
    }
}

/// Packets that came before the SYN of their stream.
#[derive(Debug)]
pub(crate) struct Early {
    by_stream: Map<(DestHash, u32), Vec<Vec<u8>>>,
    order: VecDeque<(Mono, (DestHash, u32))>,
    /// The bytes of all packets.
    pub(crate) memory: Account,
    bounds: Bounds,
}

impl Early {
    pub(crate) fn new(rng: &mut Rng, bounds: Bounds) -> Self {
        Self { by_stream: map(rng), order: VecDeque::new(), memory: Account::default(), bounds }
    }

    /// Keeps a packet; answers whether there was room.
    pub(crate) fn keep(&mut self, now: Mono, key: (DestHash, u32), packet: &[u8]) -> bool {
        self.expire(now);
        if self.memory.held() + packet.len() > self.bounds.early_bytes {
            return false;
        }
        if !self.by_stream.contains_key(&key) {
            if self.order.len() >= self.bounds.early_streams {
                return false;
            }
            self.order.push_back((now + EARLY_WAIT, key));
        }
        let packets = self.by_stream.entry(key).or_default();
        let room = packets.len() < self.bounds.early_packets;
        if room {
            packets.push(packet.to_vec());
            self.memory.swap(0, packet.len());
        }
        room
    }

    pub(crate) fn take(&mut self, key: &(DestHash, u32)) -> Vec<Vec<u8>> {
        let packets = self.by_stream.remove(key).unwrap_or_default();
        self.memory.swap(packets.iter().map(Vec::len).sum(), 0);
        if !packets.is_empty() {
            self.order.retain(|(_, k)| k != key);
        }
        packets
    }

    fn expire(&mut self, now: Mono) {
        while let Some((until, key)) = self.order.front().copied() {
            if until > now {
                return;
            }
            self.order.pop_front();
            let gone = self.by_stream.remove(&key).unwrap_or_default();
            self.memory.swap(gone.iter().map(Vec::len).sum(), 0);
        }
    }
}
