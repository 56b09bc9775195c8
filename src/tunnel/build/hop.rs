// SPDX-License-Identifier: MIT
//! Our part as a hop in somebody else's tunnel: reading a build request and answering it in place.
//!
//! Order of work, cheapest first: rate limits, framing, the record with our prefix, replay of its ephemeral key,
//! decryption, the rules of the request, admission. Whatever fails before admission is dropped in silence; a refused
//! but well-formed request is answered with code 30 and travels on. The caller installs the tunnel and sends the
//! message. Spec: tunnel creation ECIES, "Build Request Records"; the rules follow the network's other routers.

use super::admission::{Admission, Throttled};
use super::bandwidth::{Grant, Wish};
use super::record::{self, Derived};
use super::replay::Replay;
use super::{REJECT, RouterKeys};
use crate::base::{Mono, Now, Rng};
use crate::wire::build_record::{BuildRecords, BuildRequest, HOP_PREFIX, HopRole, RecordSize};
use crate::wire::{RouterHash, TunnelId};

/// Oldest request we answer, in minutes by our clock.
const MINUTES_OLD_MAX: u32 = 8;
/// How far ahead of our clock a request may be, in minutes.
const MINUTES_AHEAD_MAX: u32 = 5;
/// Ephemeral keys are remembered at least this long.
const REPLAY_TURN_US: u64 = 600_000_000;
/// Records with our prefix that are tried; a second one is an accident or an attack.
const CANDIDATES_MAX: usize = 2;

/// Why a request was dropped without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dropped {
    /// Too many requests from this peer.
    PeerRate,
    /// Too many requests in all.
    RouterRate,
    /// The router is short of memory.
    Memory,
    /// The message cannot be read.
    Malformed,
    /// No record names us.
    NotForUs,
    /// The record's ephemeral key was seen before.
    Replay,
    /// No record with our prefix can be decrypted.
    Undecryptable,
    /// A tunnel id is zero.
    ZeroTunnel,
    /// The next router is us, and we are not the endpoint.
    NextIsUs,
    /// A role other than gateway in a request that did not come straight from a router.
    NotDirect,
    /// The next router is the previous one.
    TurnsBack,
    /// An unknown layer encryption.
    LayerType,
    /// Too old or too far ahead.
    Time,
}

/// A request that was decrypted, judged and answered.
#[derive(Debug)]
pub(super) struct Answered {
    /// What was asked.
    pub(super) request: BuildRequest,
    /// Keys of the tunnel.
    pub(super) keys: Derived,
    /// The records to send on, our reply among them.
    pub(super) records: BuildRecords,
    /// Whether we carry the tunnel.
    pub(super) accepted: bool,
    /// Bytes a second that the tunnel is held to, if its creator says so.
    pub(super) rate: Option<u32>,
}

/// The state of the responding side.
#[derive(Debug)]
pub(super) struct Responder {
    keys: RouterKeys,
    rng: Rng,
    seen: Replay,
    /// Rates and load, which the engine keeps up to date.
    pub(super) admission: Admission,
}

impl Responder {
    /// A responder for this router.
    pub(super) fn new(keys: RouterKeys, admission: Admission, mut rng: Rng) -> Self {
        let seen = Replay::new(&mut rng, REPLAY_TURN_US, admission.limits().request_keys);
        Self { keys, rng, seen, admission }
    }

    /// Answers the request in `body`. `from` is the router it came from, `None` if it came through a tunnel;
    /// `transit` is the number of tunnels carried now and `taken` tells whether a receive id is in use.
    pub(super) fn answer(
        &mut self,
        now: Now,
        size: RecordSize,
        body: Vec<u8>,
        from: Option<&RouterHash>,
        transit: usize,
        taken: impl Fn(TunnelId) -> bool,
    ) -> Result<Answered, Dropped> {
        self.admission.request(now.mono, from, transit).map_err(|over| match over {
            Throttled::Peer => Dropped::PeerRate,
            Throttled::Memory => Dropped::Memory,
        })?;
        let mut records = BuildRecords::decode(size, body).map_err(|_| Dropped::Malformed)?;
        let (slot, request, state) = self.find(now.mono, &records)?;
        self.check(&request, from, now)?;
        let grant = Wish::read(&request.options).grant(self.admission.bandwidth_left());
        let accepted = grant.is_some()
            && !taken(request.receive)
            && self.admission.accept(now.mono, &mut self.rng, [from, Some(&request.next)], transit);
        let keys = state.derive(request.role, request.keys.as_ref());
        let code = if accepted { 0 } else { REJECT };
        let grant = grant.filter(|_| accepted);
        let options = grant.map(Grant::options).unwrap_or_default();
        keys.answer(&mut self.rng, &mut records, slot, code, &options);
        // Only a gateway can hold back what comes from outside; further on the cells are on their way.
        let gateway = request.role == HopRole::InboundGateway;
        let rate = grant.and_then(|grant| grant.rate).filter(|_| gateway);
        Ok(Answered { request, keys, records, accepted, rate })
    }

    fn find(
        &mut self,
        now: Mono,
        records: &BuildRecords,
    ) -> Result<(usize, BuildRequest, record::RecordState), Dropped> {
        let prefix = self.keys.hash.0.first_chunk::<HOP_PREFIX>().copied().unwrap_or_default();
        let ours = records.iter().enumerate().filter(|(_, r)| r.starts_with(&prefix));
        let mut failure = Dropped::NotForUs;
        for (slot, bytes) in ours.take(CANDIDATES_MAX) {
            failure = Dropped::Undecryptable;
            let Some(ephemeral) = record::ephemeral(bytes) else { continue };
            if self.seen.contains(&ephemeral) {
                failure = Dropped::Replay;
                continue;
            }
            // What follows costs public-key work, and fills the memory of keys.
            if !self.admission.work(now) {
                return Err(Dropped::RouterRate);
            }
            self.seen.insert(now, &ephemeral);
            let Some((clear, state)) = record::open_request(&self.keys, bytes) else { continue };
            let request = BuildRequest::decode(records.size(), &clear).map_err(|_| Dropped::Malformed)?;
            return Ok((slot, request, state));
        }
        Err(failure)
    }

    fn check(&self, request: &BuildRequest, from: Option<&RouterHash>, now: Now) -> Result<(), Dropped> {
        if request.receive.0 == 0 || request.next_tunnel.0 == 0 {
            return Err(Dropped::ZeroTunnel);
        }
        if request.role != HopRole::OutboundEndpoint && request.next == self.keys.hash {
            return Err(Dropped::NextIsUs);
        }
        if request.role != HopRole::InboundGateway && from.is_none() {
            return Err(Dropped::NotDirect);
        }
        let turns_back = request.role == HopRole::Participant && from == Some(&request.next);
        if turns_back && self.admission.refuses_turn_back() {
            return Err(Dropped::TurnsBack);
        }
        if request.layer_type != 0 {
            return Err(Dropped::LayerType);
        }
        let ours = minutes(now);
        let oldest = ours.saturating_sub(MINUTES_OLD_MAX);
        let latest = ours.saturating_add(MINUTES_AHEAD_MAX);
        if request.minutes < oldest || request.minutes > latest {
            return Err(Dropped::Time);
        }
        Ok(())
    }
}

/// Wall time in whole minutes since 1970, as build records carry it.
pub(super) fn minutes(now: Now) -> u32 {
    u32::try_from(now.wall_ms / 60_000).unwrap_or(u32::MAX)
}
