// SPDX-License-Identifier: MIT
//! The engine's datagrams: in from garlic, out as far as the remote's session and the plane take them.

use std::sync::Arc;
use std::time::Duration;

use super::{Action, Engine, OUT_MAX};
use crate::base::Now;
use crate::destination::datagrams::{DatagramMetrics, Incoming, Outgoing, Parcel};
use crate::destination::paths::Change;
use crate::destination::ports::{Bindings, OutDatagram};
use crate::garlic::{Allowance, Remote};
use crate::wire::DestHash;
use crate::wire::i2cp_gzip::Unwrapped;

/// A session's datagrams, made when the first is sent or the first port bound.
pub(crate) struct Datagrams {
    incoming: Incoming,
    outgoing: Outgoing,
    pub(super) metrics: Arc<DatagramMetrics>,
}

impl Engine {
    /// The table of ports has changed.
    pub(crate) fn set_bindings(&mut self, now: Now, bindings: Arc<Bindings>) {
        self.set_listeners(now, &bindings);
        if !bindings.datagrams.is_empty() || self.datagrams.is_some() {
            self.datagrams().incoming.set_bindings(bindings);
        }
        self.step(now);
    }

    fn datagrams(&mut self) -> &mut Datagrams {
        let (local, rng) = (self.hash, &mut self.rng);
        self.datagrams.get_or_insert_with(|| {
            let incoming = Incoming::new(local, self.limits.datagram_marks, &mut rng.fork("datagrams"));
            Box::new(Datagrams { incoming, outgoing: Outgoing::new(), metrics: Arc::default() })
        })
    }

    /// Programs send datagrams.
    pub(crate) fn send_datagrams(&mut self, now: Now, datagrams: impl IntoIterator<Item = Box<OutDatagram>>) {
        self.datagrams();
        if let Some(mut all) = self.datagrams.take() {
            for datagram in datagrams {
                all.outgoing.push(now, &self.keys, &mut self.rng, *datagram, &all.metrics);
            }
            self.datagrams = Some(all);
        }
        self.step(now);
    }

    /// A payload of another protocol than streaming.
    pub(super) fn datagram(&mut self, now: Now, session: Option<DestHash>, unwrapped: Unwrapped<'_>) {
        match &mut self.datagrams {
            Some(all) => {
                all.incoming.handle(now, session, unwrapped, &all.metrics);
                self.sessions.hold_datagram_acks(all.incoming.ack_delay());
            }
            None => self.metrics.protocol_dropped.inc(),
        }
    }

    /// The remote's session or lease set may let datagrams through now.
    pub(super) fn release_datagrams(&mut self, to: &DestHash) {
        if let Some(all) = &mut self.datagrams {
            all.outgoing.release(to);
        }
    }

    /// There is no lease set for the remote.
    pub(super) fn fail_datagrams(&mut self, now: Now, to: &DestHash) {
        if let Some(all) = &mut self.datagrams
            && all.outgoing.is_looking(to)
        {
            all.outgoing.fail(now, to, &all.metrics);
        }
    }

    pub(super) fn datagram_timeout(&mut self, now: Now) {
        if let Some(all) = &mut self.datagrams {
            all.outgoing.handle_timeout(now);
        }
    }

    pub(super) fn datagram_deadline(&self) -> Option<crate::base::Mono> {
        self.datagrams.as_ref()?.outgoing.poll_timeout()
    }

    /// Moves datagrams into batches, as long as the plane keeps up. One turn for each remote.
    pub(super) fn drain_datagrams(&mut self, now: Now) {
        let Some(mut all) = self.datagrams.take() else { return };
        while self.out.len() < OUT_MAX
            && let Some(to) = all.outgoing.next()
        {
            self.datagram_turn(now, to, &mut all);
        }
        self.datagrams = Some(all);
    }

    fn datagram_turn(&mut self, now: Now, to: DestHash, all: &mut Datagrams) {
        let Datagrams { outgoing, metrics, .. } = all;
        if to == self.hash {
            for parcel in outgoing.take(now, &to, usize::MAX, metrics) {
                parcel.sent(metrics);
                self.loopback.push_back(parcel.bytes);
            }
            outgoing.again(to);
            return;
        }
        if !self.peers.has_lease(now, &to) {
            if self.peers.is_foreign(now, &to) {
                outgoing.fail(now, &to, metrics);
            } else {
                outgoing.look_up(to);
                self.database.request(now, to);
            }
            return;
        }
        let Some(key) = self.peers.key(&to) else { return };
        let remote = Remote { hash: to, key };
        match self.sessions.datagram_allowance(now, &remote) {
            Allowance::NotBefore(at) => outgoing.wait(to, at),
            Allowance::Now { messages, bytes } => {
                let parcels = outgoing.take(now, &to, bytes.saturating_mul(messages.min(16)), metrics);
                if !parcels.is_empty() {
                    let rest = self.seal_datagrams(now, &remote, parcels, metrics);
                    outgoing.put_back(&to, rest.into_iter());
                    outgoing.again(to);
                }
            }
        }
    }

    /// Whether the path should change: the remote used to acknowledge and no longer does. Then it may also have begun
    /// anew with other keys.
    fn datagram_path(&mut self, now: Now, to: &Remote) -> Change {
        if !self.sessions.has_fallen_silent(now, to) {
            return Change::Nothing;
        }
        self.actions.push_back(Action::Suspect);
        self.peers.doubt(&to.hash);
        if self.rng.below(2) == 0 { Change::Tunnel } else { Change::Lease }
    }

    /// Seals and sends; gives back what the session does not take yet.
    fn seal_datagrams(
        &mut self,
        now: Now,
        to: &Remote,
        mut parcels: Vec<Parcel>,
        metrics: &DatagramMetrics,
    ) -> Vec<Parcel> {
        let bundle = parcels.iter().any(|p| p.bundle);
        let life = parcels.iter().map(|p| p.life).max().unwrap_or(Duration::ZERO);
        match self.sessions.seal_datagrams(now, to, &parcels, bundle) {
            Ok((messages, taken)) => {
                let rest = parcels.split_off(taken.min(parcels.len()));
                let change = self.datagram_path(now, to);
                if self.send_messages(now, to.hash, messages, change, life) {
                    parcels.iter().for_each(|p| p.sent(metrics));
                } else {
                    parcels.iter().for_each(|p| p.dropped(&metrics.datagrams_unsent));
                }
                rest
            }
            Err(error) => {
                tracing::debug!(destination = %self.hash, %error, "datagrams not sealed");
                parcels.iter().for_each(|p| p.dropped(&metrics.datagrams_unsent));
                Vec::new()
            }
        }
    }
}
