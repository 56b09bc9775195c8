// SPDX-License-Identifier: MIT
//! Timers, expiry and bounds.

use super::api::{Action, SealOptions, State};
use super::peer::{Inbound, Peer, PeerId, Theirs};
use super::sessions::{ReceiveSet, Sessions};
use super::window::SetId;
use crate::base::{Mono, Now};
use crate::crypto::X25519Public;
use std::time::Duration;

/// How often expired things are looked for.
const SWEEP: Duration = Duration::from_secs(5);
/// New Sessions of ours are answered within this, or never.
const OURS: Duration = Duration::from_secs(180);
/// New Sessions of theirs wait this long for our answer to be used.
const THEIRS: Duration = Duration::from_secs(60);
/// The same when we do not know whom to answer.
const THEIRS_UNKNOWN: Duration = Duration::from_secs(10);
/// Idle sessions: sending half, receiving half. Peers keep theirs a little longer than they use them.
const OUTBOUND_IDLE: Duration = Duration::from_secs(480);
const INBOUND_IDLE: Duration = Duration::from_secs(660);
/// Payloads wait this long for a session.
const HELD: Duration = Duration::from_secs(30);

impl Sessions {
    /// Does what is due for one remote.
    pub(super) fn service(&mut self, now: Now, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.armed = None;
        if peer.due.is_some_and(|due| due <= now.mono) {
            peer.due = None;
            self.send_empty(now, id);
        }
        self.retry(now, id);
        self.arm(id);
    }

    /// A message without a payload: a reply, an acknowledgement, a ratchet step, our lease set.
    fn send_empty(&mut self, now: Now, id: PeerId) {
        const NOTHING: &[&[u8]] = &[];
        let Some(peer) = self.peers.get(&id) else { return };
        let Some(to) = peer.remote() else { return };
        let options = SealOptions::default();
        let message = match peer.state() {
            State::Established => {
                self.seal_existing(now, id, NOTHING, options, true).map(|(message, _)| message)
            }
            State::Replying if peer.theirs.back().is_some_and(|t| t.tags.position() == 0) => {
                self.seal_reply(now, id, NOTHING, options)
            }
            State::Idle if peer.chains.iter().any(|c| c.ratchet.reverse().is_some()) => {
                self.begin_held(now, id).ok()
            }
            _ => None,
        };
        if let Some(message) = message {
            self.metrics.empty_sealed.inc();
            self.actions.push_back(Action::Send { to, message });
        }
    }

    /// Tries again to begin a session for what waits.
    fn retry(&mut self, now: Now, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        drop_old_held(peer, now.mono, &self.metrics.held_dropped);
        if peer.held.is_empty() || peer.outbound.is_some() || peer.next_attempt > now.mono {
            return;
        }
        let Some(to) = peer.remote() else { return };
        if let Ok(message) = self.begin_held(now, id) {
            self.actions.push_back(Action::Send { to, message });
        }
    }

    /// Drops what has had its time.
    pub(super) fn sweep(&mut self, now: Now) {
        self.next_sweep = now.mono + SWEEP;
        self.one_time.retain(|_, one| one.expires > now.mono);
        let mut ids: Vec<PeerId> = self.peers.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            self.sweep_peer(now.mono, id);
        }
        self.metrics.sessions.set(self.peers.len() as u64);
        self.metrics.tags.set(self.tags.len() as u64);
        self.account();
    }

    fn sweep_peer(&mut self, now: Mono, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        drop_old_held(peer, now, &self.metrics.held_dropped);
        let mut closed: Vec<SetId> = Vec::new();
        while peer.ours.front().is_some_and(|o| now.since(o.sent) > OURS) {
            closed.extend(peer.ours.pop_front().map(|o| o.replies));
        }
        let patience = if peer.hash.is_some() { THEIRS } else { THEIRS_UNKNOWN };
        peer.theirs.retain(|t: &Theirs| now.since(t.received) <= patience);
        peer.answering &= !peer.theirs.is_empty();
        if peer.outbound.as_ref().is_some_and(|out| now.since(out.last_sent) > OUTBOUND_IDLE) {
            peer.outbound = None;
        }
        let sets = &self.sets;
        let idle = |set: &SetId| sets.get(set).is_none_or(|s| now.since(s.window.last_used()) > INBOUND_IDLE);
        peer.chains.retain_mut(|chain: &mut Inbound| {
            if let Some((set, _)) = chain.previous.take_if(|(_, until)| *until <= now) {
                closed.push(set);
            }
            let over = chain.until.is_some_and(|until| until <= now) || idle(&chain.latest);
            if over {
                closed.push(chain.latest);
                closed.extend(chain.previous.map(|(set, _)| set));
            }
            !over
        });
        let over = peer.ours.is_empty()
            && peer.theirs.is_empty()
            && peer.chains.is_empty()
            && peer.outbound.is_none()
            && peer.held.is_empty();
        for set in closed {
            self.close_set(set);
        }
        if over {
            self.drop_peer(id);
        } else {
            self.arm(id);
        }
    }

    /// Makes an entry for a remote; the one of least use goes if there are too many.
    pub(super) fn add_peer(&mut self, now: Now, key: X25519Public) -> PeerId {
        if self.peers.len() >= self.limits.sessions {
            let least = self.peers.iter().min_by_key(|(id, p)| (p.outbound.is_some(), p.last_used, **id));
            if let Some(least) = least.map(|(id, _)| *id) {
                self.metrics.session_evicted.inc();
                self.drop_peer(least);
            }
        }
        if self.peers.is_empty() {
            self.next_sweep = now.mono + SWEEP;
        }
        let id = PeerId(self.next_id());
        self.peers.insert(id, Peer::new(key, now.mono));
        self.by_key.insert(key, id);
        id
    }

    /// Forgets a remote and everything listened for on its behalf.
    pub(super) fn drop_peer(&mut self, id: PeerId) {
        let Some(peer) = self.peers.remove(&id) else { return };
        self.by_key.remove(&peer.key);
        self.timers.cancel(&id);
        for ours in &peer.ours {
            self.close_set(ours.replies);
        }
        for chain in &peer.chains {
            self.close_chain(chain);
        }
    }

    pub(super) fn close_chain(&mut self, chain: &Inbound) {
        self.close_set(chain.latest);
        if let Some((set, _)) = chain.previous {
            self.close_set(set);
        }
    }

    pub(super) fn close_set(&mut self, set: SetId) {
        if let Some(ReceiveSet { window, .. }) = self.sets.remove(&set) {
            window.close(&mut self.tags);
        }
    }

    /// Keeps the tags of all sessions within their bound; the set `used` just now stays.
    pub(super) fn bound_tags(&mut self, used: SetId) {
        while self.tags.len() > self.limits.tags {
            let oldest = self
                .sets
                .iter()
                .filter(|(id, _)| **id != used)
                .min_by_key(|(id, s)| (s.window.last_used(), **id))
                .map(|(id, _)| *id);
            let Some(oldest) = oldest else { return };
            self.metrics.tag_set_evicted.inc();
            self.close_set(oldest);
        }
    }
}

fn drop_old_held(peer: &mut Peer, now: Mono, dropped: &crate::base::Counter) {
    while peer.held.front().is_some_and(|h| now.since(h.since) > HELD) {
        peer.held.pop_front();
        dropped.inc();
    }
}
