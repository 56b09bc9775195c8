// SPDX-License-Identifier: MIT
//! Tunnels that we carry for others: from an answered request to the message that goes on, and the ids in use.
//!
//! An accepted tunnel is installed before its message leaves. If nobody knows the next router yet, the message waits a
//! few seconds for its RouterInfo; at most [`Limits::held`] wait. Transit tunnels end on their own, so they sit in a
//! queue in the order of their expiry.

use std::collections::VecDeque;
use std::time::Duration;

use super::hop::{Answered, Responder};
use super::message::{Action, Limits, RouterKeys};
use super::metrics::BuildMetrics;
use super::router_garlic::{message, seal_tagged};
use crate::base::{Mono, Now, Rng, Set, set};
use crate::netdb::PeerView;
use crate::tunnel::plane::Input as PlaneInput;
use crate::tunnel::types::TRANSIT_LIFE_MS;
use crate::tunnel::{Install, NextHop, TunnelConfig, TunnelKey};
use crate::wire::build_record::{HopRole, RecordSize};
use crate::wire::{I2np, I2npKind, RouterHash, TunnelGateway, TunnelId, Wire};

/// A message whose next router is not known yet.
#[derive(Debug)]
struct Held {
    to: RouterHash,
    message: I2np,
    tunnel: Option<TunnelId>,
    until: Mono,
}

/// The transit half of the builder.
#[derive(Debug)]
pub(super) struct Transit {
    me: RouterHash,
    rng: Rng,
    pub(super) responder: Responder,
    /// Receive ids in use, ours included: they share one table in the plane.
    taken: Set<TunnelId>,
    carried: VecDeque<(Mono, TunnelId)>,
    held: VecDeque<Held>,
    #[cfg(feature = "sim")]
    pub(super) misdeeds: std::sync::Arc<crate::base::Misdeeds>,
}

impl Transit {
    pub(super) fn new(keys: &RouterKeys, responder: Responder, mut rng: Rng) -> Self {
        let taken = set(&mut rng);
        Self {
            me: keys.hash,
            rng,
            responder,
            taken,
            carried: VecDeque::new(),
            held: VecDeque::new(),
            #[cfg(feature = "sim")]
            misdeeds: std::sync::Arc::default(),
        }
    }

    /// A receive id for a tunnel of our own.
    pub(super) fn reserve(&mut self) -> TunnelId {
        loop {
            let id = TunnelId(self.rng.nonzero_u32());
            if self.taken.insert(id) {
                return id;
            }
        }
    }

    /// Gives an id of our own back.
    pub(super) fn release(&mut self, id: TunnelId) {
        self.taken.remove(&id);
    }

    /// Number of tunnels carried.
    pub(super) fn len(&self) -> usize {
        self.carried.len()
    }

    /// Whether this id belongs to a tunnel that we carry.
    fn carries(&self, id: TunnelId) -> bool {
        self.carried.iter().any(|(_, carried)| *carried == id)
    }

    /// The plane refused a tunnel; true if it was one of these.
    pub(super) fn refused(&mut self, id: TunnelId) -> bool {
        let known = self.carries(id);
        if known {
            self.carried.retain(|(_, carried)| *carried != id);
            self.taken.remove(&id);
        }
        known
    }

    /// Answers a request and sends it on.
    #[expect(clippy::too_many_arguments, reason = "one call site; a struct would only rename the fields")]
    pub(super) fn request(
        &mut self,
        now: Now,
        view: &PeerView,
        limits: &Limits,
        metrics: &BuildMetrics,
        size: RecordSize,
        from: Option<RouterHash>,
        message: I2np,
        actions: &mut VecDeque<Action>,
    ) {
        self.expire(now.mono);
        if message.is_out_of_time(now.wall_ms) {
            metrics.requests_dropped_expired.inc();
            return;
        }
        #[cfg(feature = "sim")]
        if self.misdeeds.ignores_builds() {
            return;
        }
        let (transit, taken) = (self.carried.len(), &self.taken);
        let answer =
            self.responder.answer(now, size, message.body, from.as_ref(), transit, |id| taken.contains(&id));
        let answered = match answer {
            Ok(answered) => answered,
            Err(why) => {
                metrics.dropped(why);
                tracing::debug!(?why, ?from, "tunnel build request dropped");
                return;
            }
        };
        let tunnel = answered.accepted.then_some(answered.request.receive);
        if answered.accepted {
            metrics.transit_accepted.inc();
            self.install(now.mono, &answered, from, actions);
            metrics.transit_now.set(self.carried.len() as u64);
        } else {
            metrics.transit_rejected.inc();
        }
        tracing::debug!(?size, role = ?answered.request.role, accepted = answered.accepted, ?from, "tunnel build answered");
        let to = answered.request.next;
        let message = self.onward(now, answered);
        if to == self.me || from == Some(to) || view.get(&to).is_some() {
            actions.push_back(Action::Plane(PlaneInput::Send { to, message }));
        } else {
            self.hold(now.mono, limits, metrics, Held { to, message, tunnel, until: Mono(0) }, actions);
        }
    }

    fn install(
        &mut self,
        now: Mono,
        answered: &Answered,
        previous: Option<RouterHash>,
        actions: &mut VecDeque<Action>,
    ) {
        let request = &answered.request;
        let (receive, keys) = (request.receive, answered.keys.layer.clone());
        let next = NextHop { router: request.next, tunnel: request.next_tunnel };
        let config = match request.role {
            HopRole::InboundGateway => TunnelConfig::Gateway { receive, next, keys },
            HopRole::Participant => TunnelConfig::Participant { receive, previous, next, keys },
            HopRole::OutboundEndpoint => TunnelConfig::Endpoint { receive, previous, keys },
        };
        let expires = now.after(Duration::from_millis(TRANSIT_LIFE_MS));
        self.taken.insert(receive);
        self.carried.push_back((expires, receive));
        actions.push_back(Action::Plane(PlaneInput::Install(Install {
            config,
            expires,
            rate: answered.rate,
        })));
    }

    /// The message for the next router.
    fn onward(&mut self, now: Now, answered: Answered) -> I2np {
        let Answered { request, keys, records, .. } = answered;
        let (size, rng) = (records.size(), &mut self.rng);
        if request.role != HopRole::OutboundEndpoint {
            let mut message = message(rng, now, size.request_kind(), records.into_body());
            message.id = request.next_message;
            return message;
        }
        let mut reply = message(rng, now, size.reply_kind(), records.into_body());
        reply.id = request.next_message;
        // A reply to a gateway that is ourselves goes unwrapped: the creator gave out no tag for that case.
        let inner = match &keys.garlic {
            Some(garlic) if request.next != self.me => seal_tagged(rng, now, &garlic.key, garlic.tag, &reply),
            _ => reply,
        };
        let mut bytes = Vec::with_capacity(inner.body.len() + 16);
        inner.encode_long(&mut bytes);
        let body = TunnelGateway { tunnel: request.next_tunnel, message: bytes }.to_bytes();
        message(rng, now, I2npKind::TUNNEL_GATEWAY, body)
    }

    fn hold(
        &mut self,
        now: Mono,
        limits: &Limits,
        metrics: &BuildMetrics,
        mut held: Held,
        actions: &mut VecDeque<Action>,
    ) {
        if self.held.len() >= limits.held {
            metrics.requests_dropped_next_unknown.inc();
            self.abandon(held.tunnel, actions);
            return;
        }
        held.until = now.after(Duration::from_millis(limits.held_ms));
        actions.push_back(Action::NeedRouterInfo(held.to));
        self.held.push_back(held);
    }

    fn abandon(&mut self, tunnel: Option<TunnelId>, actions: &mut VecDeque<Action>) {
        if let Some(id) = tunnel
            && self.refused(id)
        {
            actions.push_back(Action::Plane(PlaneInput::Remove(TunnelKey::Receive(id))));
        }
    }

    /// Sends what waited for a RouterInfo that is there now, drops what waited too long.
    pub(super) fn retry_held(
        &mut self,
        now: Mono,
        view: &PeerView,
        metrics: &BuildMetrics,
        actions: &mut VecDeque<Action>,
    ) {
        for held in std::mem::take(&mut self.held) {
            if view.get(&held.to).is_some() {
                actions.push_back(Action::Plane(PlaneInput::Send { to: held.to, message: held.message }));
            } else if held.until <= now {
                metrics.requests_dropped_next_unknown.inc();
                self.abandon(held.tunnel, actions);
            } else {
                self.held.push_back(held);
            }
        }
    }

    /// When the oldest held message gives up.
    pub(super) fn next_deadline(&self) -> Option<Mono> {
        let held = self.held.front().map(|h| h.until);
        [held, self.responder.admission.next_look()].into_iter().flatten().min()
    }

    /// Forgets tunnels that are over.
    pub(super) fn expire(&mut self, now: Mono) {
        while let Some((end, id)) = self.carried.front()
            && *end <= now
        {
            self.taken.remove(id);
            self.carried.pop_front();
        }
    }
}
