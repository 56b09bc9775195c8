// SPDX-License-Identifier: MIT
//! Sealing: which form the next message to a remote takes, and what rides along.
//!
//! A message is built once, in the `Vec` that it leaves in, and encrypted in place. Acknowledgements, ratchet
//! blocks and our lease set go along where they cost no further tunnel cell; otherwise they follow within
//! 100 ms in a message of their own.

use super::api::{Action, Mark, Remote, SealOptions, Sealed, State};
use super::error::Error;
use super::handshake::{Ephemeral, Initiator, NEW_SESSION_OVERHEAD, REPLY_OVERHEAD};
use super::limits::Limits;
use super::payload::{Content, OUTER, PADDING_MAX, PAYLOAD_MAX, cells, data_block_len, lease_set_block_len};
use super::peer::{Bundle, CHAINS_MAX, Held, Inbound, Ours, Outbound, Peer, PeerId, Promise};
use super::ratchet::ReceiveRatchet;
use super::sessions::{ReceiveSet, Role, Sessions};
use super::window::{Lookahead, SetId, Window};
use crate::base::{Now, Rng};
use crate::crypto::aead::{Cipher, TAG_LEN};
use crate::wire::DestHash;
use crate::wire::garlic::{Ack, BLOCK_HEADER_LEN};
use std::time::Duration;

/// Tag and MAC.
pub(super) const EXISTING_OVERHEAD: usize = 8 + TAG_LEN;
/// Garlic length and tag in front of the sealed part.
const SEALED_AT: usize = 4 + 8;
/// Small payloads are put together up to two cells.
const BATCH_MAX: usize = 1956 - OUTER - EXISTING_OVERHEAD;
/// A New Session takes waiting payloads along up to three cells.
pub(super) const FIRST_BATCH_MAX: usize = 2952 - OUTER - NEW_SESSION_OVERHEAD;
/// What did not fit follows by itself after this.
pub(super) const FOLLOW_UP: Duration = Duration::from_millis(100);
/// The forward block of a ratchet step goes out this often, fit or not.
const FORWARD_EVERY: Duration = Duration::from_millis(250);
/// A tag set is replaced at this age.
const RATCHET_AGE: Duration = Duration::from_secs(3600);
/// A ratchet step that is not answered for this many messages and this long ends the session.
const STEP_MESSAGES: u32 = 512;
const STEP_WAIT: Duration = Duration::from_secs(30);
/// A tag set this far used up is no longer good for long.
const INDEX_WORN: u32 = 60_000;
/// A remote that is sent to and silent this long has lost the session.
const SILENT: Duration = Duration::from_secs(60);
/// Payloads behind replies that were not answered wait this long before we begin a session ourselves.
const REPLY_PATIENCE: Duration = Duration::from_secs(3);
/// How long a reply of ours may wait for the remote's first message.
const PROMISE: Duration = Duration::from_secs(60);
/// New Sessions without an answer after which the owner should look the lease set up again.
const ATTEMPTS_MAX: u32 = 5;
/// Largest distance of New Sessions: 1 s doubled so often. They go on while there is something to send, because
/// a remote that only listens may never answer.
const BACKOFF_MAX: u32 = 2;

impl Sessions {
    pub(super) fn seal_payloads<P: AsRef<[u8]>>(
        &mut self,
        now: Now,
        to: &Remote,
        payloads: &[P],
        options: SealOptions,
    ) -> Result<Sealed, Error> {
        let lease_set = self.lease_set.as_ref().map_or(0, |(_, raw)| lease_set_block_len(raw));
        if payloads.iter().any(|p| data_block_len(p.as_ref().len()) + lease_set > PAYLOAD_MAX) {
            return Err(Error::TooLarge);
        }
        let id = self.peer_for_sealing(now, to)?;
        let mut sealed = Sealed::default();
        let begin = self.check_health(now, id);
        let state = self.peers.get(&id).map_or(State::Idle, Peer::state);
        match state {
            _ if begin => self.hold(now, id, payloads, options, &mut sealed)?,
            State::Established => self.seal_all(now, id, payloads, options, &mut sealed),
            State::Replying => self.reply_all(now, id, payloads, options, &mut sealed)?,
            State::Idle | State::AwaitingReply => self.hold(now, id, payloads, options, &mut sealed)?,
        }
        self.arm(id);
        Ok(sealed)
    }

    /// The remote's entry, made if there is none, with its destination noted.
    pub(super) fn peer_for_sealing(&mut self, now: Now, to: &Remote) -> Result<PeerId, Error> {
        let id = match self.by_key.get(&to.key) {
            Some(id) => *id,
            None => self.add_peer(now, to.key),
        };
        let peer = self.peers.get_mut(&id).ok_or(Error::Full)?;
        if peer.hash != Some(to.hash) {
            if peer.proven {
                return Err(Error::KeyMismatch);
            }
            peer.hash = Some(to.hash);
        }
        Ok(id)
    }

    /// Gives up a session that no longer works. True if a New Session is to be sent although one is there.
    pub(super) fn check_health(&mut self, now: Now, id: PeerId) -> bool {
        let max = self.limits.in_flight;
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        let Some(out) = peer.outbound.as_mut() else { return false };
        if peer.silent_since.is_some_and(|since| now.mono.since(since) >= SILENT)
            || u32::from(u16::MAX) <= out.tags.position() + 2
        {
            peer.outbound = None;
            peer.attempts = 0;
            peer.next_attempt = now.mono;
            peer.silent_since = None;
            self.metrics.session_restarted.inc();
            return false;
        }
        let position = out.tags.position();
        let step_lost = out.step_began.is_some_and(|(at, index)| {
            now.mono.since(at) >= STEP_WAIT && position.saturating_sub(index) >= STEP_MESSAGES
        });
        if !out.worn_out && (step_lost || position >= INDEX_WORN || out.stalled(now.mono, max)) {
            out.worn_out = true;
            peer.attempts = 0;
            peer.next_attempt = now.mono;
            self.metrics.session_restarted.inc();
        }
        out.worn_out && now.mono >= peer.next_attempt
    }

    /// Existing Session messages for all payloads.
    fn seal_all<P: AsRef<[u8]>>(
        &mut self,
        now: Now,
        id: PeerId,
        payloads: &[P],
        options: SealOptions,
        sealed: &mut Sealed,
    ) {
        let mut rest = payloads;
        while !rest.is_empty() {
            let (batch, tail) = rest.split_at(batch_len(rest, BATCH_MAX));
            rest = tail;
            if let Some((message, mark)) = self.seal_existing(now, id, batch, options, false) {
                sealed.messages.push(message);
                sealed.mark = Some(mark);
            }
        }
    }

    /// New Session Replies for the payloads, as many as the remote will take; the rest waits for its answer.
    fn reply_all<P: AsRef<[u8]>>(
        &mut self,
        now: Now,
        id: PeerId,
        payloads: &[P],
        options: SealOptions,
        sealed: &mut Sealed,
    ) -> Result<(), Error> {
        let mut rest = payloads;
        while !rest.is_empty() {
            let (batch, tail) = rest.split_at(batch_len(rest, BATCH_MAX));
            let Some(message) = self.seal_reply(now, id, batch, options) else { break };
            rest = tail;
            sealed.messages.push(message);
        }
        if rest.is_empty() {
            return Ok(());
        }
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.next_attempt = peer.next_attempt.max(now.mono + REPLY_PATIENCE);
        }
        self.hold_back(now, id, rest, options, sealed)
    }

    /// Lets payloads wait, and begins a session if it is time to.
    fn hold<P: AsRef<[u8]>>(
        &mut self,
        now: Now,
        id: PeerId,
        payloads: &[P],
        options: SealOptions,
        sealed: &mut Sealed,
    ) -> Result<(), Error> {
        self.hold_back(now, id, payloads, options, sealed)?;
        let due = self.peers.get(&id).is_some_and(|p| p.ours.is_empty() || now.mono >= p.next_attempt);
        if due {
            let message = self.begin_held(now, id)?;
            sealed.messages.push(message);
        }
        sealed.held = self.peers.get(&id).map_or(0, |p| p.held.len());
        Ok(())
    }

    fn hold_back<P: AsRef<[u8]>>(
        &mut self,
        now: Now,
        id: PeerId,
        payloads: &[P],
        options: SealOptions,
        sealed: &mut Sealed,
    ) -> Result<(), Error> {
        let max = self.limits.held_per_remote;
        let peer = self.peers.get_mut(&id).ok_or(Error::Full)?;
        let room = max.saturating_sub(peer.held.len());
        if room == 0 && sealed.messages.is_empty() && !payloads.is_empty() {
            self.metrics.held_refused.add(payloads.len() as u64);
            return Err(Error::Full);
        }
        peer.held.extend(payloads.iter().take(room).map(|p| Held {
            payload: p.as_ref().to_vec(),
            since: now.mono,
            bundle: options.bundle_lease_set,
        }));
        sealed.refused = payloads.len().saturating_sub(room);
        self.metrics.held_refused.add(sealed.refused as u64);
        sealed.held = peer.held.len();
        Ok(())
    }

    /// A New Session with as much of what waits as fits.
    pub(super) fn begin_held(&mut self, now: Now, id: PeerId) -> Result<Vec<u8>, Error> {
        let peer = self.peers.get_mut(&id).ok_or(Error::Full)?;
        let mut held: Vec<Held> = std::mem::take(&mut peer.held).into();
        let bundle = held.is_empty() || held.iter().any(|h| h.bundle);
        let pause = Duration::from_secs(1 << peer.attempts.min(BACKOFF_MAX));
        let lease_set = self.lease_set.as_ref().filter(|_| bundle);
        let room = FIRST_BATCH_MAX.saturating_sub(lease_set.map_or(0, |(_, raw)| lease_set_block_len(raw)));
        let count = if held.is_empty() { 0 } else { batch_len(&held, room) };
        let message = self.begin(now, id, held.get(..count).unwrap_or_default(), bundle, pause)?;
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.held = held.split_off(count).into();
        }
        Ok(message)
    }

    /// A New Session with these payloads. By itself the next one follows after `pause`.
    pub(super) fn begin<P: AsRef<[u8]>>(
        &mut self,
        now: Now,
        id: PeerId,
        payloads: &[P],
        bundle: bool,
        pause: Duration,
    ) -> Result<Vec<u8>, Error> {
        let window = SetId(self.next_id());
        let ours_id = self.next_id();
        let peer = self.peers.get_mut(&id).ok_or(Error::Full)?;
        let to = peer.remote().ok_or(Error::Full)?;
        let lease_set = self.lease_set.as_ref().filter(|_| bundle);
        let content = Content {
            date_time: true,
            lease_set: lease_set.map(|(_, raw)| (self.local, raw.as_ref())),
            ..Content::data(to.hash, payloads)
        };
        let mut payload = Vec::with_capacity(content.len() + PADDING_MAX);
        content.write(now, &mut self.rng, NEW_SESSION_OVERHEAD, &mut payload);
        let mut message = vec![0; 4];
        message.reserve(NEW_SESSION_OVERHEAD + payload.len());
        let ephemeral = Ephemeral::random(&mut self.rng);
        let version = lease_set.map(|(version, _)| *version);
        let initiator = Initiator::seal(&self.ours, &peer.key, ephemeral, &payload, &mut message)?;
        write_len(&mut message);
        let replies = Window::replies(window, now.mono, initiator.reply_tags(), &mut self.tags);
        self.sets.insert(window, ReceiveSet { peer: id, role: Role::Replies(ours_id), window: replies });
        let early = peer.is_early(now.mono);
        peer.ours.push_back(Ours {
            early,
            id: ours_id,
            initiator,
            replies: window,
            sent: now.mono,
            lease_set: version,
            seen: Vec::new(),
        });
        peer.next_attempt = now.mono + pause;
        peer.attempts += 1;
        peer.sent += 1;
        peer.last_used = now.mono;
        if peer.attempts == ATTEMPTS_MAX {
            self.actions.push_back(Action::Unanswered { to });
        }
        let dropped = peer.surplus(self.limits.pending_per_remote);
        if let Some(old) = dropped {
            self.close_set(old.replies);
        }
        self.metrics.new_session_sealed.inc();
        self.bound_tags(window);
        Ok(message)
    }

    /// A reply to the remote's latest New Session; `None` if it would not be understood.
    pub(super) fn seal_reply<P: AsRef<[u8]>>(
        &mut self,
        now: Now,
        id: PeerId,
        payloads: &[P],
        options: SealOptions,
    ) -> Option<Vec<u8>> {
        let (pair, set) = (self.next_id(), SetId(self.next_id()));
        let peer = self.peers.get_mut(&id)?;
        let to = peer.hash?;
        let theirs = peer.theirs.back_mut().filter(|t| t.can_reply())?;
        let mut content = Content::data(to, payloads);
        if let Some((version, raw)) = self.lease_set.as_ref().filter(|_| options.bundle_lease_set)
            && peer.bundle.due(now.mono, *version).0
        {
            // Nothing confirms what is in a reply, so the session's first messages bring it once more.
            content.lease_set = Some((self.local, raw));
        }
        let mut payload = Vec::with_capacity(content.len() + PADDING_MAX);
        content.write(now, &mut self.rng, REPLY_OVERHEAD, &mut payload);
        let mut message = vec![0; 4];
        message.reserve(REPLY_OVERHEAD + payload.len());
        let ephemeral = Ephemeral::random(&mut self.rng);
        let keys =
            theirs.responder.seal_reply(theirs.tags.advance(), &ephemeral, &payload, &mut message).ok()?;
        write_len(&mut message);
        let (theirs, started) = (theirs.id, theirs.received);
        let (window, next_root) = Window::new(
            set,
            now.mono,
            keys.initiator_chains(),
            Lookahead::first(&self.limits),
            &mut self.tags,
        );
        self.sets.insert(set, ReceiveSet { peer: id, role: Role::Session(pair, 0), window });
        peer.chains.push(Inbound {
            pair,
            latest: set,
            previous: None,
            next_root,
            ratchet: ReceiveRatchet::default(),
            promise: Some(Promise { theirs, chains: keys.responder_chains() }),
            started,
            until: Some(now.mono + PROMISE),
        });
        peer.due = None;
        peer.last_reply = Some(now.mono);
        peer.on_sent(now.mono);
        self.metrics.reply_sealed.inc();
        self.bound_chains(id);
        self.bound_tags(set);
        Some(message)
    }

    /// One Existing Session message. `follow_up`: everything that waits must go along.
    pub(super) fn seal_existing<P: AsRef<[u8]>>(
        &mut self,
        now: Now,
        id: PeerId,
        payloads: &[P],
        options: SealOptions,
        follow_up: bool,
    ) -> Option<(Vec<u8>, Mark)> {
        let peer = self.peers.get_mut(&id)?;
        let remote = peer.remote()?;
        let out = peer.outbound.as_mut()?;
        begin_step(out, now, &mut self.rng, &self.limits);
        let next = out.next_key(now.mono)?;
        let acks = std::mem::take(&mut peer.acks);
        let mut load = Load::new(Content::data(remote.hash, payloads), follow_up);
        if let Some((version, raw)) = self.lease_set.as_ref().filter(|_| options.bundle_lease_set)
            && load.take_lease_set(now, &mut peer.bundle, *version, (self.local, raw))
        {
            self.actions.push_back(Action::Suspect { to: remote });
        }
        load.take_reverse(&mut peer.chains);
        load.take_forward(now, out);
        load.take_acks(&acks);
        if options.request_ack || out.wants_ack(now.mono, self.limits.in_flight) {
            load.take_ack_request(options.request_ack);
        }
        let Load { content, deferred, lease_set, .. } = load;
        if content.ack_request {
            out.on_request(now.mono, next.index, lease_set);
        }

        let mut message = Vec::with_capacity(SEALED_AT + content.len() + PADDING_MAX + TAG_LEN);
        message.extend_from_slice(&[0; 4]);
        message.extend_from_slice(&next.tag);
        content.write(now, &mut self.rng, EXISTING_OVERHEAD, &mut message);
        message.resize(message.len() + TAG_LEN, 0);
        if let Some(sealed) = message.get_mut(SEALED_AT..) {
            Cipher::new(&next.key).seal_slice(next.index.into(), &next.tag, sealed);
        }
        write_len(&mut message);

        let mark = Mark { pair: out.pair, set: out.set, index: next.index };
        if content.acks.is_empty() {
            peer.acks = acks;
        }
        if deferred {
            peer.due_by(now.mono + FOLLOW_UP);
        } else {
            peer.due = None;
        }
        peer.on_sent(now.mono);
        self.metrics.existing_sealed.inc();
        Some((message, mark))
    }

    /// Seals any payload at all for an established remote: what could come from a remote that lies.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn seal_anything(&mut self, now: Now, to: &Remote, payload: &[u8]) -> Option<Vec<u8>> {
        let out = self.peers.get_mut(self.by_key.get(&to.key)?)?.outbound.as_mut()?;
        let next = out.next_key(now.mono)?;
        let mut message = vec![0; 4];
        message.extend_from_slice(&next.tag);
        message.extend_from_slice(payload);
        message.resize(message.len() + TAG_LEN, 0);
        Cipher::new(&next.key).seal_slice(next.index.into(), &next.tag, message.get_mut(SEALED_AT..)?);
        write_len(&mut message);
        Some(message)
    }

    /// Drops the oldest receiving chains of a remote that has too many.
    pub(super) fn bound_chains(&mut self, id: PeerId) {
        loop {
            let Some(peer) = self.peers.get_mut(&id) else { return };
            if peer.chains.len() <= CHAINS_MAX {
                return;
            }
            let current = peer.outbound.as_ref().map(|o| o.pair);
            let Some(at) = peer.chains.iter().position(|c| Some(c.pair) != current) else { return };
            let chain = peer.chains.remove(at);
            self.close_chain(&chain);
        }
    }
}

/// Begins a ratchet step when the tag set is old or far used.
fn begin_step(out: &mut Outbound, now: Now, rng: &mut Rng, limits: &Limits) {
    if out.ratchet.is_asking() {
        return;
    }
    let position = out.tags.position();
    let due = position >= u32::from(limits.ratchet_after) || now.mono.since(out.since) >= RATCHET_AGE;
    if due && out.ratchet.begin(rng, out.set) {
        out.step_began = Some((now.mono, position));
    }
}

/// How many of `payloads` go into one message of at most `max` payload bytes; at least one.
pub(super) fn batch_len<P: AsRef<[u8]>>(payloads: &[P], max: usize) -> usize {
    let mut len = 0;
    let fit = payloads.iter().take_while(|p| {
        len += data_block_len(p.as_ref().len());
        len <= max
    });
    fit.count().max(1)
}

/// Writes the 4-byte length in front of a Garlic body.
fn write_len(message: &mut [u8]) {
    let len = u32::try_from(message.len().saturating_sub(4)).unwrap_or(u32::MAX);
    if let Some(head) = message.first_chunk_mut() {
        *head = len.to_be_bytes();
    }
}

/// A message of an established session as it is being put together.
struct Load<'a, P> {
    content: Content<'a, P>,
    len: usize,
    /// Tunnel cells that the message takes anyway; what fits into them rides for free.
    cells: usize,
    /// Everything goes along, fit or not.
    unlimited: bool,
    /// Something did not fit.
    deferred: bool,
    /// Version of our lease set that went along.
    lease_set: Option<u32>,
}

impl<'a, P: AsRef<[u8]>> Load<'a, P> {
    fn new(content: Content<'a, P>, unlimited: bool) -> Self {
        let len = content.len();
        let cells = cells(OUTER + EXISTING_OVERHEAD + len);
        Self { content, len, cells, unlimited, deferred: false, lease_set: None }
    }

    /// Takes `extra` bytes if they fit, or if they must go.
    fn take(&mut self, extra: usize, must: bool) -> bool {
        let fits =
            self.unlimited || must || cells(OUTER + EXISTING_OVERHEAD + self.len + extra) <= self.cells;
        if fits {
            self.len += extra;
        }
        fits
    }

    /// Our lease set if the remote lacks it, with the request to acknowledge it. True if one sent before was
    /// not acknowledged.
    fn take_lease_set(
        &mut self,
        now: Now,
        bundle: &mut Bundle,
        version: u32,
        lease_set: (DestHash, &'a [u8]),
    ) -> bool {
        let (wanted, lost) = bundle.due(now.mono, version);
        if !wanted {
            return false;
        }
        if !self.take(lease_set_block_len(lease_set.1) + 4, false) {
            self.deferred = true;
            return false;
        }
        self.content.lease_set = Some(lease_set);
        self.content.ack_request = true;
        self.lease_set = Some(version);
        bundle.on_sent(now.mono, version);
        lost
    }

    /// The answer to a ratchet step of the remote.
    fn take_reverse(&mut self, chains: &mut [Inbound]) {
        for chain in chains.iter_mut().rev() {
            let Some(block) = chain.ratchet.reverse() else { continue };
            if self.take(block.block_len(), false) {
                self.content.reverse = Some(block);
                chain.ratchet.on_reverse_sent();
            } else {
                self.deferred = true;
            }
            return;
        }
    }

    /// Our own ratchet step, now and then whether it fits or not.
    fn take_forward(&mut self, now: Now, out: &mut Outbound) {
        let Some(block) = out.ratchet.forward() else { return };
        let urgent = out.forward_sent.is_none_or(|at| now.mono.since(at) >= FORWARD_EVERY);
        if self.take(block.block_len(), urgent) {
            self.content.forward = Some(block);
            out.forward_sent = Some(now.mono);
        }
    }

    fn take_acks(&mut self, acks: &'a [Ack]) {
        if acks.is_empty() {
            return;
        }
        if self.take(BLOCK_HEADER_LEN + 4 * acks.len(), false) {
            self.content.acks = acks;
        } else {
            self.deferred = true;
        }
    }

    fn take_ack_request(&mut self, must: bool) {
        if !self.content.ack_request && self.take(4, must) {
            self.content.ack_request = true;
        }
    }
}
