// SPDX-License-Identifier: MIT
//! Making the messages that the netDb sends, and taking apart the garlic it gets.

use crate::base::{Now, Rng};
use crate::crypto::{X25519Public, noise_n, tagged};
use crate::wire::garlic::{Block, Blocks, Clove, Delivery, put_clove, put_date_time, put_padding};
use crate::wire::{
    DatabaseLookup, DatabaseSearchReply, DatabaseStore, DeliveryStatus, I2np, I2npKind, MessageId,
    RouterHash, TunnelGateway, TunnelId, Wire,
};

/// How long a message that we make stays valid.
const LIFETIME_MS: u64 = 9_000;
/// Most cloves that are taken out of one answer.
const CLOVES_MAX: usize = 4;

/// A message with a fresh id and expiration.
fn message(rng: &mut Rng, wall_ms: u64, kind: I2npKind, body: Vec<u8>) -> I2np {
    I2np { kind, id: MessageId(nonzero(rng)), expiration_ms: wall_ms + LIFETIME_MS, body }
}

/// A random number that is neither 0 (no token) nor all ones (special to i2pd).
pub(super) fn nonzero(rng: &mut Rng) -> u32 {
    loop {
        let n = rng.u32();
        if n != 0 && n != u32::MAX {
            return n;
        }
    }
}

pub(super) fn store(rng: &mut Rng, wall_ms: u64, store: &DatabaseStore) -> I2np {
    message(rng, wall_ms, I2npKind::DATABASE_STORE, store.to_bytes())
}

pub(super) fn lookup(rng: &mut Rng, wall_ms: u64, lookup: &DatabaseLookup) -> I2np {
    message(rng, wall_ms, I2npKind::DATABASE_LOOKUP, lookup.to_bytes())
}

pub(super) fn search_reply(rng: &mut Rng, wall_ms: u64, reply: &DatabaseSearchReply) -> I2np {
    message(rng, wall_ms, I2npKind::DATABASE_SEARCH_REPLY, reply.to_bytes())
}

pub(super) fn status(rng: &mut Rng, wall_ms: u64, token: u32) -> I2np {
    let body = DeliveryStatus { id: token, time_ms: wall_ms }.to_bytes();
    message(rng, wall_ms, I2npKind::DELIVERY_STATUS, body)
}

/// What is sent to the gateway router of `tunnel` so that `inner` comes out at the tunnel's end.
pub(super) fn into_tunnel(rng: &mut Rng, wall_ms: u64, tunnel: TunnelId, inner: &I2np) -> I2np {
    let mut bytes = Vec::with_capacity(inner.body.len() + crate::wire::i2np::LONG_HEADER);
    inner.encode_long(&mut bytes);
    let body = TunnelGateway { tunnel, message: bytes }.to_bytes();
    message(rng, wall_ms, I2npKind::TUNNEL_GATEWAY, body)
}

/// `inner` as the only clove of a garlic message that the router with `key` alone can open (Noise N).
/// `None` for a key of low order.
pub(super) fn garlic_for_router(rng: &mut Rng, now: Now, key: &X25519Public, inner: &I2np) -> Option<I2np> {
    let mut payload = Vec::with_capacity(inner.body.len() + 64);
    put_date_time(now.wall_s(), &mut payload);
    put_local_clove(inner, &mut payload);
    put_padding(rng.index(16), &mut payload);
    let sealed = noise_n::seal(rng, key, &payload)?;
    Some(message(rng, now.wall_ms, I2npKind::GARLIC, with_length(&sealed)))
}

/// `inner` sealed with the one-time key and tag that came with a lookup.
pub(super) fn garlic_tagged(rng: &mut Rng, now: Now, key: &[u8; 32], tag: [u8; 8], inner: &I2np) -> I2np {
    let mut payload = Vec::with_capacity(inner.body.len() + 32);
    put_local_clove(inner, &mut payload);
    put_padding(rng.index(16), &mut payload);
    let sealed = tagged::seal(key, tag, &payload);
    message(rng, now.wall_ms, I2npKind::GARLIC, with_length(&sealed))
}

/// The messages in the local cloves of an opened payload.
pub(super) fn local_cloves(payload: &[u8]) -> Vec<I2np> {
    Blocks::new(payload)
        .filter_map(Result::ok)
        .filter_map(|block| match block {
            Block::Clove(clove) if clove.delivery == Delivery::Local => Some(I2np {
                kind: clove.kind,
                id: clove.id,
                expiration_ms: u64::from(clove.expires_s) * 1000,
                body: clove.body.to_vec(),
            }),
            _ => None,
        })
        .take(CLOVES_MAX)
        .collect()
}

fn put_local_clove(inner: &I2np, w: &mut Vec<u8>) {
    let clove = Clove {
        delivery: Delivery::Local,
        kind: inner.kind,
        id: inner.id,
        expires_s: seconds(inner.expiration_ms),
        body: &inner.body,
    };
    put_clove(&clove, w);
}

/// A garlic message's body is a four-byte length and the sealed bytes.
fn with_length(sealed: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(sealed.len() + 4);
    body.extend_from_slice(&u32::try_from(sealed.len()).unwrap_or(u32::MAX).to_be_bytes());
    body.extend_from_slice(sealed);
    body
}

/// The sealed bytes in a garlic message's body, if its length field is honest.
pub(super) fn sealed_part(body: &[u8]) -> Option<&[u8]> {
    let (len, rest) = body.split_first_chunk::<4>()?;
    rest.get(..usize::try_from(u32::from_be_bytes(*len)).ok()?)
}

pub(super) fn seconds(wall_ms: u64) -> u32 {
    u32::try_from(wall_ms / 1000).unwrap_or(u32::MAX)
}

/// One of our inbound tunnels, as the place to which an answer is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReplyTunnel {
    /// Its gateway router.
    pub gateway: RouterHash,
    /// Its id at the gateway.
    pub tunnel: TunnelId,
}

/// A way out and a way back.
pub(super) type Path = (TunnelId, ReplyTunnel);

/// Tunnels of one owner (a destination, or the router's exploratory pool), as far as the netDb needs them.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Tunnels {
    /// Inbound: where answers can be sent.
    pub inbound: Vec<ReplyTunnel>,
    /// Outbound: handles by which the plane knows them.
    pub outbound: Vec<TunnelId>,
}

impl Tunnels {
    /// A way out and a way back, picked at random; `None` while either is missing.
    pub(super) fn pick(&self, rng: &mut Rng) -> Option<Path> {
        let outbound = self.outbound.get(rng.index(self.outbound.len()))?;
        let inbound = self.inbound.get(rng.index(self.inbound.len()))?;
        Some((*outbound, *inbound))
    }

    /// The same, picked among those that `doubt` doubts least.
    pub(super) fn pick_least(&self, rng: &mut Rng, doubt: impl Fn(&Path) -> usize) -> Option<Path> {
        let all = || self.outbound.iter().flat_map(|out| self.inbound.iter().map(|back| (*out, *back)));
        let least = all().map(|path| doubt(&path)).min()?;
        let best: Vec<Path> = all().filter(|path| doubt(path) == least).collect();
        best.get(rng.index(best.len())).copied()
    }
}
