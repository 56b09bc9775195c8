// SPDX-License-Identifier: MIT
//! Opening: tags first, then one-time tags, then New Sessions behind their budget.

use super::api::{Action, Opened, OpenedKind, Received, SealOptions, Sender};
use super::chain::Chains;
use super::error::Error;
use super::handshake::{NEW_SESSION_LEN_MIN, Reply, new_session_ephemeral, open_new_session};
use super::payload::Parsed;
use super::peer::{ACKS_MAX, Inbound, Outbound, Peer, PeerId, THEIRS_MAX, Theirs};
use super::ratchet::{Forward, ReceiveRatchet};
use super::seal::FOLLOW_UP;
use super::sessions::{ReceiveSet, Role, Sessions};
use super::window::{Lookahead, SetId, Window};
use crate::base::Now;
use crate::crypto::Verified;
use crate::crypto::aead::Cipher;
use crate::wire::garlic::{Ack, NextKey};
use crate::wire::{DatabaseStore, DecodeError, I2npKind, LeaseSet2, MessageId, StoreData, Wire};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// Garlic length, then tag.
const TAG_AT: usize = 4;
const SEALED_AT: usize = TAG_AT + 8;
/// A New Session is answered after this, if nobody had anything to say.
const ANSWER: Duration = Duration::from_secs(1);
/// The same if a stream's packet was inside.
const ANSWER_STREAM: Duration = Duration::from_millis(200);
/// The same if it brought datagrams: their sender holds others back until it hears from us.
const ANSWER_DATAGRAM: Duration = Duration::from_millis(20);
/// An acknowledgement that was asked for waits this long for company.
const ANSWER_ACK: Duration = Duration::from_millis(250);
/// The same with datagrams, which have no acknowledgements of their own that could go along.
const ANSWER_ACK_DATAGRAM: Duration = Duration::from_millis(10);
/// The first reply is followed by a message this soon: it tells the responder which reply arrived.
const FIRST_MESSAGE: Duration = Duration::from_millis(20);
/// Receiving chains and tag sets that were replaced live this long.
const RETIRED: Duration = Duration::from_secs(180);
/// Clock window of a New Session, seconds.
const PAST_MAX_S: u32 = 300;
const FUTURE_MAX_S: u32 = 120;
/// Lease sets of one remote are verified at most this often.
const LEASE_SET_EVERY: Duration = Duration::from_millis(500);
/// Replies to one New Session whose keys are kept.
const REPLY_KEYS_MAX: usize = 12;
/// Where a gzip member of an I2CP payload names its protocol, and the number of streaming.
const PROTOCOL_AT: usize = 9;
const STREAMING: u8 = 6;

impl Sessions {
    pub(super) fn open_body(&mut self, now: Now, mut body: Vec<u8>) -> Result<Opened, Error> {
        let len = body.first_chunk::<4>().map(|len| u32::from_be_bytes(*len)).ok_or(DecodeError::Short)?;
        let end = usize::try_from(len).ok().and_then(|len| len.checked_add(TAG_AT));
        let end = end.filter(|end| *end <= body.len()).ok_or(DecodeError::Short)?;
        body.truncate(end);
        let tag = *body.get(TAG_AT..).and_then(<[u8]>::first_chunk::<8>).ok_or(DecodeError::Short)?;
        if let Some((set, index)) = self.tags.find(tag) {
            let role = self.sets.get(&set).map(|s| (s.role, s.peer)).ok_or(Error::Unrecognised)?;
            return match role {
                (Role::Session(pair, number), peer) => {
                    self.open_existing(now, Place { set, index, pair, number, peer }, tag, body)
                }
                (Role::Replies(ours), peer) => self.open_reply(now, set, index, peer, ours, &body),
            };
        }
        if self.one_time.contains_key(&tag) {
            return self.open_one_time(now, tag, body);
        }
        self.open_new_session(now, &body)
    }

    fn open_existing(
        &mut self,
        now: Now,
        at: Place,
        tag: [u8; 8],
        mut body: Vec<u8>,
    ) -> Result<Opened, Error> {
        let set = self.sets.get_mut(&at.set).ok_or(Error::Unrecognised)?;
        let key = set.window.key(at.index).ok_or(Error::Unrecognised)?;
        let sealed = body.get_mut(SEALED_AT..).ok_or(Error::Unrecognised)?;
        let len = Cipher::new(&key).open_slice(at.index.into(), &tag, sealed).map_err(|_| Error::BadMac)?;
        set.window.accept(now.mono, at.index, &mut self.tags);
        self.bound_tags(at.set);
        body.truncate(SEALED_AT + len);
        let payload = Bytes::from(body).slice(SEALED_AT..);
        let mut parsed = Parsed::read(&payload, &self.local, now, self.limits.cloves, &self.metrics);
        self.metrics.existing_opened.inc();

        self.first_message(now, &at);
        let peer = self.peers.get_mut(&at.peer).ok_or(Error::Unrecognised)?;
        peer.on_received(now.mono);
        peer.answering = false;
        if let Some(chain) = peer.chain_mut(at.pair) {
            chain.ratchet.on_message(at.number);
            if chain.until.is_some() {
                chain.until = Some(now.mono + RETIRED);
            }
        }
        if parsed.ack_request {
            if peer.acks.len() >= ACKS_MAX {
                peer.acks.remove(0);
            }
            peer.acks.push(Ack { set: at.number, index: at.index });
            let datagrams = parsed.cloves.iter().any(is_datagram);
            let wait = if datagrams { ANSWER_ACK_DATAGRAM + self.datagram_ack_hold } else { ANSWER_ACK };
            peer.due_by(now.mono + wait);
        }
        for ack in &parsed.acks {
            if let Some(version) = peer.outbound.as_mut().and_then(|out| out.on_ack(now.mono, *ack)) {
                peer.bundle.on_confirmed(version);
            }
        }
        for block in &parsed.next_keys {
            if block.reverse {
                self.on_reverse(now, at.peer, block);
            } else {
                self.on_forward(now, &at, block);
            }
        }
        let kind = OpenedKind::ExistingSession;
        if parsed.terminated {
            let opened = self.opened(now, at.peer, kind, &mut parsed);
            self.drop_peer(at.peer);
            return Ok(opened);
        }
        let opened = self.opened(now, at.peer, kind, &mut parsed);
        self.arm(at.peer);
        Ok(opened)
    }

    /// If this message is the first on a session that a reply of ours promised, the session begins.
    fn first_message(&mut self, now: Now, at: &Place) {
        let Some(peer) = self.peers.get_mut(&at.peer) else { return };
        let Some(chain) = peer.chain_mut(at.pair) else { return };
        let Some(promise) = chain.promise.take() else { return };
        let started = chain.started;
        if peer.prefers(&self.ours.public, false, started) {
            let out = Outbound::new(at.pair, promise.chains, now.mono, false);
            replace_outbound(peer, now, out);
        }
        // The other replies to this New Session, and older ones, are settled.
        let settled: Vec<u32> = peer.theirs.iter().filter(|t| t.received <= started).map(|t| t.id).collect();
        peer.theirs.retain(|t| t.received > started);
        let (gone, kept) = std::mem::take(&mut peer.chains).into_iter().partition(|c: &Inbound| {
            c.promise.as_ref().is_some_and(|p| p.theirs == promise.theirs || settled.contains(&p.theirs))
        });
        peer.chains = kept;
        let gone: Vec<Inbound> = gone;
        for chain in &gone {
            self.close_chain(chain);
        }
        self.flush(now, at.peer);
    }

    fn open_reply(
        &mut self,
        now: Now,
        set: SetId,
        index: u16,
        id: PeerId,
        ours_id: u32,
        body: &[u8],
    ) -> Result<Opened, Error> {
        let (pair, new_set) = (self.next_id(), SetId(self.next_id()));
        let peer = self.peers.get_mut(&id).ok_or(Error::Unrecognised)?;
        let ours = peer.ours.iter_mut().find(|o| o.id == ours_id).ok_or(Error::Unrecognised)?;
        let message = body.get(TAG_AT..).unwrap_or_default();
        let Reply { payload, keys, ephemeral } = ours.initiator.open_reply(&self.ours, message)?;
        if let Some(window) = self.sets.get_mut(&set) {
            window.window.accept(now.mono, index, &mut self.tags);
        }
        let (sent, lease_set) = (ours.sent, ours.lease_set);
        // i2pd repeats its ephemeral: such a reply has the keys of its first one.
        let fresh = !ours.seen.contains(&ephemeral) && ours.seen.len() < REPLY_KEYS_MAX;
        if fresh {
            ours.seen.push(ephemeral);
        }
        peer.on_received(now.mono);
        peer.attempts = 0;
        if let Some(version) = lease_set {
            peer.bundle.on_confirmed(version);
        }
        if fresh {
            let chains = keys.responder_chains();
            let (window, next_root) =
                Window::new(new_set, now.mono, chains, Lookahead::first(&self.limits), &mut self.tags);
            self.sets.insert(new_set, ReceiveSet { peer: id, role: Role::Session(pair, 0), window });
            peer.chains.push(Inbound {
                pair,
                latest: new_set,
                previous: None,
                next_root,
                ratchet: ReceiveRatchet::default(),
                promise: None,
                started: sent,
                until: Some(now.mono + RETIRED),
            });
            if peer.prefers(&self.ours.public, true, sent) {
                let out = Outbound::new(pair, keys.initiator_chains(), now.mono, true);
                replace_outbound(peer, now, out);
                peer.answering = false;
                peer.due_by(now.mono + FIRST_MESSAGE);
            }
        }
        self.metrics.reply_opened.inc();
        self.bound_chains(id);
        self.bound_tags(new_set);
        let payload = Bytes::from(payload);
        let mut parsed = Parsed::read(&payload, &self.local, now, self.limits.cloves, &self.metrics);
        let opened = self.opened(now, id, OpenedKind::NewSessionReply, &mut parsed);
        self.flush(now, id);
        self.arm(id);
        Ok(opened)
    }

    fn open_one_time(&mut self, now: Now, tag: [u8; 8], mut body: Vec<u8>) -> Result<Opened, Error> {
        let one = self.one_time.get(&tag).filter(|o| o.expires > now.mono).ok_or(Error::Unrecognised)?;
        let sealed = body.get_mut(SEALED_AT..).ok_or(DecodeError::Short)?;
        let len = Cipher::new(&one.key).open_slice(0, &tag, sealed).map_err(|_| Error::BadMac)?;
        self.one_time.remove(&tag);
        body.truncate(SEALED_AT + len);
        let payload = Bytes::from(body).slice(SEALED_AT..);
        self.metrics.one_time_opened.inc();
        let parsed = Parsed::read(&payload, &self.local, now, self.limits.cloves, &self.metrics);
        Ok(unproven(OpenedKind::OneTime(tag), parsed))
    }

    fn open_new_session(&mut self, now: Now, body: &[u8]) -> Result<Opened, Error> {
        let message = body.get(TAG_AT..).unwrap_or_default();
        if message.len() < NEW_SESSION_LEN_MIN {
            return Err(Error::Unrecognised);
        }
        // Even the ephemeral key costs arithmetic: beyond the budget a message is only looked for among the tags (G3).
        if !self.may_decrypt(now.mono) {
            return Err(Error::RateLimited);
        }
        let ephemeral = new_session_ephemeral(message)?;
        if self.replays.contains(&ephemeral) {
            return Err(Error::Replay);
        }
        let new = open_new_session(&self.ours, ephemeral, message)?;
        let payload = Bytes::from(new.payload);
        let mut parsed = Parsed::read(&payload, &self.local, now, self.limits.cloves, &self.metrics);
        check_time(now, &parsed)?;
        self.replays.insert(now.mono, &ephemeral);
        self.metrics.new_session_opened.inc();
        let Some((key, responder)) = new.bound else { return Ok(unproven(OpenedKind::Unbound, parsed)) };

        let id = match self.by_key.get(&key) {
            Some(id) => *id,
            None => self.add_peer(now, key),
        };
        let theirs = self.next_id();
        let current = self.lease_set.as_ref().map(|(version, _)| *version);
        let peer = self.peers.get_mut(&id).ok_or(Error::Full)?;
        peer.on_received(now.mono);
        peer.answering = true;
        if peer.theirs.len() >= THEIRS_MAX {
            peer.theirs.pop_front();
        }
        let tags = responder.reply_tags();
        peer.last_reply = None;
        peer.theirs.push_back(Theirs { id: theirs, responder, tags, received: now.mono });
        // Who sends a New Session has just looked us up.
        if peer.bundle.confirmed.is_none() {
            peer.bundle.confirmed = current;
        }
        let wait = if parsed.cloves.iter().any(is_datagram) {
            ANSWER_DATAGRAM
        } else if parsed.cloves.iter().any(|c| matches!(c, Received::Data(_))) {
            ANSWER_STREAM
        } else {
            ANSWER
        };
        peer.due_by(now.mono + wait);
        let opened = self.opened(now, id, OpenedKind::NewSession, &mut parsed);
        self.arm(id);
        Ok(opened)
    }

    /// What the owner gets, with the sender's lease sets checked and in front.
    fn opened(&mut self, now: Now, id: PeerId, kind: OpenedKind, parsed: &mut Parsed) -> Opened {
        let mut cloves = Vec::new();
        for (_, body) in std::mem::take(&mut parsed.stores) {
            match self.take_lease_set(now, id, &body) {
                Some(lease_set) => cloves.push(Received::LeaseSet(lease_set)),
                None => self.metrics.lease_set_dropped.inc(),
            }
        }
        if cloves.is_empty() {
            cloves = std::mem::take(&mut parsed.cloves);
        } else {
            cloves.append(&mut parsed.cloves);
        }
        let sender = self.peers.get(&id).map(|p| Sender { key: p.key, hash: p.hash });
        Opened { kind, sender, cloves }
    }

    /// The sender's own lease set out of a DatabaseStore: right key, right hash, right signature, not over.
    fn take_lease_set(&mut self, now: Now, id: PeerId, body: &Bytes) -> Option<Arc<Verified<LeaseSet2>>> {
        let store = DatabaseStore::from_bytes(body).ok()?;
        let StoreData::LeaseSet2(raw) = store.data else { return None };
        let peer = self.peers.get_mut(&id)?;
        if let Some(known) = peer.their_lease_set.as_ref().filter(|known| known.raw().as_ref() == raw) {
            return Some(Arc::clone(known));
        }
        let lease_set = LeaseSet2::from_bytes(&raw).ok()?;
        let hash = lease_set.destination().hash();
        if store.key.0 != hash.0
            || lease_set.x25519() != Some(peer.key.0)
            || lease_set.expires_s() < now.wall_s()
            || lease_set.offline().is_some_and(|o| o.expires_s < now.wall_s())
        {
            return None;
        }
        let newer = |known: &Arc<Verified<LeaseSet2>>| {
            known.destination().hash() != hash || known.published_s() < lease_set.published_s()
        };
        let soon = peer.lease_set_checked.is_some_and(|at| now.mono.since(at) < LEASE_SET_EVERY);
        if soon || !peer.their_lease_set.as_ref().is_none_or(newer) {
            return None;
        }
        peer.lease_set_checked = Some(now.mono);
        let verified = Arc::new(Verified::check(lease_set).ok()?);
        peer.hash = Some(hash);
        peer.proven = true;
        peer.their_lease_set = Some(Arc::clone(&verified));
        Some(verified)
    }

    /// The remote answered a ratchet step of ours: its tag set begins.
    fn on_reverse(&mut self, now: Now, id: PeerId, block: &NextKey) {
        let Some(out) = self.peers.get_mut(&id).and_then(|p| p.outbound.as_mut()) else { return };
        // Answers are repeated until we use the new set, so one too many is no fault.
        let Some((set, shared)) = out.ratchet.on_reverse(block) else { return };
        let chains = Chains::step(&out.next_root, shared.as_bytes());
        out.step(now.mono, set, chains);
        self.metrics.ratchet_sent.inc();
    }

    /// The remote begins a ratchet step on the chain that the message came on.
    fn on_forward(&mut self, now: Now, at: &Place, block: &NextKey) {
        let new_set = SetId(self.next_id());
        let Some(peer) = self.peers.get_mut(&at.peer) else { return };
        let Some(chain) = peer.chains.iter_mut().find(|c| c.pair == at.pair) else { return };
        let mut old = None;
        match chain.ratchet.on_forward(now.mono, &mut self.rng, at.number, block) {
            Forward::Misplaced => {
                self.metrics.next_key_dropped.inc();
                return;
            }
            Forward::TooSoon => return,
            Forward::Repeat => {}
            Forward::Step(number, shared) => {
                let chains = Chains::step(&chain.next_root, shared.as_bytes());
                let (window, root) =
                    Window::new(new_set, now.mono, chains, Lookahead::later(&self.limits), &mut self.tags);
                let role = Role::Session(at.pair, number);
                self.sets.insert(new_set, ReceiveSet { peer: at.peer, role, window });
                old = chain.previous.replace((chain.latest, now.mono + RETIRED));
                chain.latest = new_set;
                chain.next_root = root;
                self.metrics.ratchet_received.inc();
            }
        }
        peer.due_by(now.mono + FOLLOW_UP);
        if let Some((set, _)) = old {
            self.close_set(set);
        }
        self.bound_tags(new_set);
    }

    /// Sends what waited for a session.
    pub(super) fn flush(&mut self, now: Now, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(to) = peer.remote().filter(|_| peer.outbound.is_some()) else { return };
        let held = std::mem::take(&mut peer.held);
        for h in held {
            let options = SealOptions { bundle_lease_set: h.bundle, ..SealOptions::default() };
            if let Some((message, _)) = self.seal_existing(now, id, &[h.payload], options, false) {
                self.actions.push_back(Action::Send { to, message });
            }
        }
    }
}

/// Where a message was found.
#[derive(Clone, Copy, Debug)]
struct Place {
    set: SetId,
    index: u16,
    pair: u32,
    /// Number of the tag set.
    number: u16,
    peer: PeerId,
}

/// Whether a clove carries another protocol than streaming.
fn is_datagram(clove: &Received) -> bool {
    matches!(clove, Received::Data(d) if d.get(PROTOCOL_AT) != Some(&STREAMING))
}

/// Makes `out` the session that we send with; the chain that belongs to it stays, the others go in time.
fn replace_outbound(peer: &mut Peer, now: Now, out: Outbound) {
    let until = now.mono + RETIRED;
    for chain in &mut peer.chains {
        if chain.pair == out.pair {
            chain.until = None;
        } else if chain.until.is_none() {
            chain.until = Some(until);
        }
    }
    peer.outbound = Some(out);
}

/// A New Session must say once when it was made, and that must be now.
fn check_time(now: Now, parsed: &Parsed) -> Result<(), Error> {
    let time = parsed.date_time.filter(|_| !parsed.date_time_twice).ok_or(Error::OutOfTime)?;
    let here = now.wall_s();
    if time < here.saturating_sub(PAST_MAX_S) || time > here.saturating_add(FUTURE_MAX_S) {
        return Err(Error::OutOfTime);
    }
    Ok(())
}

/// A message from nobody in particular.
fn unproven(kind: OpenedKind, parsed: Parsed) -> Opened {
    let stores = parsed.stores.into_iter().map(|(id, body): (MessageId, Bytes)| Received::Message {
        kind: I2npKind::DATABASE_STORE,
        id,
        body,
    });
    Opened { kind, sender: None, cloves: stores.chain(parsed.cloves).collect() }
}
