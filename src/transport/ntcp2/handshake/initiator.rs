// SPDX-License-Identifier: MIT
//! The side that dials ("Alice").

use super::super::{DataKeys, LocalKeys, PeerKeys};
use super::{
    Action, Established, Failure, LinkLimits, MESSAGE1_BYTES, Options, PART2_MAX, VERSION, is_skewed,
    random_padding, seconds, skew_ms, take,
};
use crate::base::{Mono, Now, Rng};
use crate::crypto::noise::{self, SymmetricState};
use crate::crypto::{X25519Public, X25519Secret, aes_cbc};
use crate::wire::ntcp2_block::put_router_info;
use std::collections::VecDeque;
use std::sync::Arc;

/// Engine of an outgoing handshake.
pub(crate) struct Initiator {
    state: State,
    input: Vec<u8>,
    actions: VecDeque<Action>,
    deadline: Mono,
    limits: LinkLimits,
}

enum State {
    Created(ExpectCreated),
    Padding(ExpectPadding),
    Done,
}

/// Message 1 is sent; message 2 is awaited.
struct ExpectCreated {
    noise: SymmetricState,
    ephemeral: X25519Secret,
    local: Arc<LocalKeys>,
    peer: PeerKeys,
    /// Last ciphertext block of message 1's key: IV of message 2's.
    cbc_iv: [u8; 16],
    /// Blocks of message 3 part 2, frozen when message 1 announced their size.
    part2: Vec<u8>,
    sent: Mono,
}

/// The authenticated part of message 2 is read; its padding is awaited.
struct ExpectPadding {
    noise: SymmetricState,
    local: Arc<LocalKeys>,
    peer: PeerKeys,
    their_ephemeral: X25519Public,
    part2: Vec<u8>,
    padding: usize,
    skew_ms: i64,
}

impl Initiator {
    /// Starts a handshake; message 1 is the first action. `info` is our RouterInfo, as it will be sent.
    pub(crate) fn new(
        now: Now,
        rng: &mut Rng,
        local: Arc<LocalKeys>,
        info: &[u8],
        peer: PeerKeys,
        net_id: u8,
    ) -> Result<Self, Failure> {
        let ephemeral = X25519Secret::random(rng);
        let padding = random_padding(rng);
        Self::with(now, ephemeral, &padding, local, info, peer, net_id)
    }

    /// [`Self::new`] with everything random given, as the vectors need it.
    pub(super) fn with(
        now: Now,
        ephemeral: X25519Secret,
        padding: &[u8],
        local: Arc<LocalKeys>,
        info: &[u8],
        peer: PeerKeys,
        net_id: u8,
    ) -> Result<Self, Failure> {
        let mut part2 = Vec::with_capacity(info.len().saturating_add(32));
        let fits = put_router_info(&mut part2, info, false) && part2.len().saturating_add(16) <= PART2_MAX;
        let part2_len =
            u16::try_from(part2.len().saturating_add(16)).ok().filter(|_| fits).ok_or(Failure::Key)?;
        let mut noise = SymmetricState::new(&noise::NTCP2);
        noise.mix_hash(peer.public.as_bytes());
        let public = ephemeral.public();
        noise.mix_hash(public.as_bytes());
        noise.mix_key(&ephemeral.dh(&peer.public).ok_or(Failure::Key)?);
        let mut hidden = public.0;
        aes_cbc::encrypt(&peer.router.0, &peer.iv, &mut hidden);
        let options = Options {
            net_id,
            version: VERSION,
            padding: u16::try_from(padding.len()).unwrap_or(0),
            part2: part2_len,
            seconds: seconds(now),
        };
        let mut message = hidden.to_vec();
        message.extend_from_slice(&noise.encrypt_and_hash(&options.encode()));
        if !padding.is_empty() {
            noise.mix_hash(padding);
            message.extend_from_slice(padding);
        }
        let cbc_iv = hidden.last_chunk().copied().unwrap_or_default();
        let state = ExpectCreated { noise, ephemeral, local, peer, cbc_iv, part2, sent: now.mono };
        Ok(Self {
            state: State::Created(state),
            input: Vec::new(),
            actions: VecDeque::from([Action::Send(message)]),
            deadline: now.mono.after(LinkLimits::USUAL.handshake_time),
            limits: LinkLimits::USUAL,
        })
    }

    /// Goes on within these limits.
    pub(crate) fn within(mut self, now: Now, limits: LinkLimits) -> Self {
        (self.limits, self.deadline) = (limits, now.mono.after(limits.handshake_time));
        self
    }

    /// Takes bytes from the socket.
    pub(crate) fn handle(&mut self, now: Now, bytes: &[u8]) {
        if matches!(self.state, State::Done) {
            return;
        }
        self.input.extend_from_slice(bytes);
        if let Err(failure) = self.advance(now) {
            self.fail(failure);
        }
    }

    /// The peer closed its side.
    pub(crate) fn handle_closed(&mut self) {
        if !matches!(self.state, State::Done) {
            self.fail(Failure::Closed);
        }
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Mono> {
        (!matches!(self.state, State::Done)).then_some(self.deadline)
    }

    /// The time of [`Self::poll_timeout`] has come.
    pub(crate) fn handle_timeout(&mut self, now: Now) {
        if now.mono >= self.deadline && !matches!(self.state, State::Done) {
            self.fail(Failure::Timeout);
        }
    }

    /// The next thing to do.
    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn fail(&mut self, failure: Failure) {
        self.state = State::Done;
        self.actions.push_back(Action::Close(failure));
    }

    fn advance(&mut self, now: Now) -> Result<(), Failure> {
        if matches!(self.state, State::Created(_))
            && let Some(message) = take(&mut self.input, MESSAGE1_BYTES)
            && let State::Created(state) = std::mem::replace(&mut self.state, State::Done)
        {
            self.state = State::Padding(state.on_created(now, &message, &self.limits)?);
        }
        if let State::Padding(state) = &self.state
            && let Some(padding) = take(&mut self.input, state.padding)
            && let State::Padding(state) = std::mem::replace(&mut self.state, State::Done)
        {
            if !self.input.is_empty() {
                return Err(Failure::Pipelined); // the peer has no keys for more until it gets message 3
            }
            let (message, established) = state.on_padding(&padding)?;
            self.actions.push_back(Action::Send(message));
            self.actions.push_back(Action::Established(Box::new(established)));
        }
        Ok(())
    }
}

impl ExpectCreated {
    fn on_created(mut self, now: Now, message: &[u8], limits: &LinkLimits) -> Result<ExpectPadding, Failure> {
        let (hidden, sealed) = message.split_first_chunk::<32>().ok_or(Failure::Authentication)?;
        let mut key = *hidden;
        aes_cbc::decrypt(&self.peer.router.0, &self.cbc_iv, &mut key);
        let their_ephemeral = X25519Public::from_wire(&key).ok_or(Failure::Authentication)?;
        self.noise.mix_hash(their_ephemeral.as_bytes());
        self.noise.mix_key(&self.ephemeral.dh(&their_ephemeral).ok_or(Failure::Authentication)?);
        let options = self.noise.decrypt_and_hash(sealed).map_err(|_| Failure::Authentication)?;
        let options = Options::decode(&options).ok_or(Failure::Authentication)?;
        let padding = usize::from(options.padding);
        if padding > limits.padding {
            return Err(Failure::Padding(options.padding));
        }
        let round_trip_ms = u64::try_from(now.mono.since(self.sent).as_millis()).unwrap_or(u64::MAX);
        let skew = skew_ms(options.seconds, now.wall_ms.saturating_sub(round_trip_ms / 2));
        if is_skewed(skew, limits) {
            return Err(Failure::Skew(skew));
        }
        Ok(ExpectPadding {
            noise: self.noise,
            local: self.local,
            peer: self.peer,
            their_ephemeral,
            part2: self.part2,
            padding,
            skew_ms: skew,
        })
    }
}

impl ExpectPadding {
    fn on_padding(mut self, padding: &[u8]) -> Result<(Vec<u8>, Established), Failure> {
        if !padding.is_empty() {
            self.noise.mix_hash(padding);
        }
        let mut message = self.noise.encrypt_and_hash(self.local.public.as_bytes());
        self.noise.mix_key(&self.local.secret.dh(&self.their_ephemeral).ok_or(Failure::Authentication)?);
        self.noise.encrypt_in_place(&mut self.part2);
        message.extend_from_slice(&self.part2);
        let established = Established {
            peer: self.peer.router,
            keys: DataKeys::derive(&self.noise, true),
            info: None,
            skew_ms: self.skew_ms,
            rest: Vec::new(),
        };
        Ok((message, established))
    }
}
