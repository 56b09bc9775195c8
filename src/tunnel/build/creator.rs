// SPDX-License-Identifier: MIT
//! Making build requests for our own tunnels and reading what comes back.
//!
//! Records go into random slots. Each is masked in advance with what the hops before its own will do to it, so that
//! every hop finds its record in the clear. An inbound build carries one record for ourselves, which no hop can read;
//! if it does not come back exactly as it left, a hop played with the message and the tunnel is not used.
//! We create short records only; long ones are made in tests, to play the other side of the responder.
//! Spec: tunnel creation ECIES, "Tunnel Creator Processing"; proposal 157.

use super::HOPS_BUILD_MAX;
use super::record::{self, Derived, GarlicKey};
use crate::base::Rng;
use crate::crypto::{X25519Public, X25519Secret};
use crate::tunnel::{HopKeys, NextHop};
use crate::wire::build_record::{
    BuildRecords, BuildRequest, HOP_PREFIX, HopRole, LongKeys, RECORDS_MAX, RecordSize,
};
use crate::wire::{Mapping, MessageId, RouterHash, TunnelId};

/// Fewest records in a message, so that the length says little; more than these go as eight.
const RECORDS_MIN: usize = 4;

/// Which way a tunnel carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// Towards us.
    Inbound,
    /// Away from us.
    Outbound,
}

/// One hop to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    /// Which router.
    pub hash: RouterHash,
    /// Its static key.
    pub key: X25519Public,
}

/// What to build.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) direction: Direction,
    /// In the order in which cells will travel: gateway or first hop first.
    pub(super) hops: &'a [Hop],
    /// Behind the last hop: the reply tunnel's gateway (outbound), or ourselves and our receive id (inbound).
    pub(super) end: NextHop,
    /// Message id under which the reply comes.
    pub(super) reply: MessageId,
    /// Minutes since 1970.
    pub(super) minutes: u32,
    /// Our own hash, for the creator record.
    pub(super) me: RouterHash,
    pub(super) size: RecordSize,
}

/// A request that is ready to be sent.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) records: BuildRecords,
    /// Tunnel id at the first hop.
    pub(super) first: TunnelId,
    /// How the endpoint will wrap the reply; outbound only.
    pub(super) garlic: Option<GarlicKey>,
    /// What is needed to read the reply.
    pub(super) pending: Pending,
}

/// Keys of a build under way.
#[derive(Debug)]
pub(super) struct Pending {
    size: RecordSize,
    count: usize,
    hops: Vec<(usize, Derived)>,
    creator: Option<(usize, Vec<u8>)>,
}

/// Why a reply proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadReply {
    /// Another number or size of records than was sent.
    Shape,
    /// A hop's reply does not open: somebody changed a byte.
    Changed,
    /// Our own record came back different.
    CreatorRecord,
}

/// Builds the request. `None` if there are no hops or too many, or a hop's key is of low order.
pub(super) fn request(rng: &mut Rng, plan: &Plan<'_>) -> Option<Request> {
    let inbound = plan.direction == Direction::Inbound;
    let needed = plan.hops.len() + usize::from(inbound);
    if plan.hops.is_empty() || plan.hops.len() > HOPS_BUILD_MAX || needed > RECORDS_MAX {
        return None;
    }
    let count = if needed <= RECORDS_MIN { RECORDS_MIN } else { RECORDS_MAX };
    let mut records = BuildRecords::zeroed(plan.size, u8::try_from(count).ok()?);
    for record in records.iter_mut() {
        rng.fill(record);
    }
    let mut slots: Vec<usize> = (0..count).collect();
    rng.shuffle(&mut slots);

    let ids: Vec<TunnelId> = plan.hops.iter().map(|_| TunnelId(rng.nonzero_u32())).collect();
    let mut hops = Vec::with_capacity(plan.hops.len());
    for (at, (hop, slot)) in plan.hops.iter().zip(&slots).enumerate() {
        let fields = hop_request(rng, plan, &ids, at)?;
        let mut clear = zeroize::Zeroizing::new(Vec::with_capacity(plan.size.clear_len()));
        fields.encode(&mut clear);
        record::pad_request(rng, plan.size, &mut clear);
        let prefix = hop.hash.0.first_chunk::<HOP_PREFIX>()?;
        let state = record::seal_request(rng, prefix, &hop.key, &clear, records.get_mut(*slot)?)?;
        hops.push((*slot, state.derive(fields.role, fields.keys.as_ref())));
    }
    let creator =
        if inbound { Some(creator_record(rng, plan, &mut records, *slots.get(hops.len())?)?) } else { None };
    mask_in_advance(&mut records, &hops, creator.as_ref().map(|(slot, _)| *slot));
    let garlic = hops.last_mut().and_then(|(_, keys)| keys.garlic.take());
    let pending = Pending { size: plan.size, count, hops, creator };
    Some(Request { records, first: *ids.first()?, garlic, pending })
}

fn hop_request(rng: &mut Rng, plan: &Plan<'_>, ids: &[TunnelId], at: usize) -> Option<BuildRequest> {
    let last = at + 1 == plan.hops.len();
    let next = match plan.hops.get(at + 1) {
        Some(hop) => NextHop { router: hop.hash, tunnel: *ids.get(at + 1)? },
        None => plan.end,
    };
    let role = match plan.direction {
        Direction::Inbound if at == 0 => HopRole::InboundGateway,
        Direction::Outbound if last => HopRole::OutboundEndpoint,
        _ => HopRole::Participant,
    };
    let keys = match plan.size {
        RecordSize::Short => None,
        RecordSize::Long => {
            let mut keys = LongKeys { layer: [0; 32], iv: [0; 32], reply: [0; 32], reply_iv: [0; 16] };
            rng.fill(&mut keys.layer);
            rng.fill(&mut keys.iv);
            rng.fill(&mut keys.reply);
            rng.fill(&mut keys.reply_iv);
            Some(keys)
        }
    };
    Some(BuildRequest {
        receive: *ids.get(at)?,
        next_tunnel: next.tunnel,
        next: next.router,
        role,
        layer_type: 0,
        minutes: plan.minutes,
        next_message: if last { plan.reply } else { MessageId(rng.nonzero_u32()) },
        options: Mapping::new(),
        keys,
    })
}

/// A record that looks like any other and names us; only its bytes matter.
fn creator_record(
    rng: &mut Rng,
    plan: &Plan<'_>,
    records: &mut BuildRecords,
    slot: usize,
) -> Option<(usize, Vec<u8>)> {
    let key = X25519Secret::random(rng).public();
    let record = records.get_mut(slot)?;
    let (prefix, rest) = record.split_first_chunk_mut::<HOP_PREFIX>()?;
    *prefix = *plan.me.0.first_chunk::<HOP_PREFIX>()?;
    *rest.first_chunk_mut::<32>()? = key.0;
    Some((slot, record.to_vec()))
}

fn mask_in_advance(records: &mut BuildRecords, hops: &[(usize, Derived)], creator: Option<usize>) {
    for (at, (_, keys)) in hops.iter().enumerate().rev() {
        let later = hops.iter().skip(at + 1).map(|(slot, _)| *slot).chain(creator);
        for slot in later {
            if let Some(record) = records.get_mut(slot) {
                keys.unmask(slot, record);
            }
        }
    }
}

impl Pending {
    /// Reads the records of a reply: the code of each hop in the order of the tunnel.
    pub(super) fn read(&self, mut records: BuildRecords) -> Result<Vec<u8>, BadReply> {
        if records.size() != self.size || records.count() != self.count {
            return Err(BadReply::Shape);
        }
        let mut codes = Vec::with_capacity(self.hops.len());
        for (at, (slot, keys)) in self.hops.iter().enumerate().rev() {
            let record = records.get_mut(*slot).ok_or(BadReply::Shape)?;
            codes.push(keys.open_reply(*slot, record).ok_or(BadReply::Changed)?);
            for (earlier, _) in self.hops.iter().take(at) {
                let record = records.get_mut(*earlier).ok_or(BadReply::Shape)?;
                keys.unmask(*earlier, record);
            }
        }
        if let Some((slot, original)) = &self.creator
            && records.get(*slot) != Some(original.as_slice())
        {
            return Err(BadReply::CreatorRecord);
        }
        codes.reverse();
        Ok(codes)
    }

    /// The layers of the hops in the order of the tunnel.
    pub(super) fn into_layers(self) -> Vec<HopKeys> {
        self.hops.into_iter().map(|(_, keys)| keys.layer).collect()
    }
}

#[cfg(test)]
mod tests;
