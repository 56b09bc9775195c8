// SPDX-License-Identifier: MIT
//! The side that is dialled ("Bob").
//!
//! Until message 1 has authenticated, nothing is ever answered and the close tells nothing: the engine goes on reading
//! a random number of bytes for a random time, then asks for a reset ("probing resistance").

use super::super::frame::Sealer;
use super::super::replay::ReplayCache;
use super::super::{DataKeys, LocalKeys};
use super::info;
use super::{
    Action, Established, Failure, LinkLimits, MESSAGE1_BYTES, Options, PART1_BYTES, PART2_MIN, Policy,
    Standing, VERSION, is_skewed, random_padding, seconds, skew_ms, take,
};
use crate::base::{Mono, Now, Rng};
use crate::crypto::noise::{self, SymmetricState};
use crate::crypto::{Verified, X25519Public, X25519Secret, aes_cbc};
use crate::wire::RouterInfo;
use crate::wire::ntcp2_block::put_termination;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Shortest time for which bytes are swallowed after a message that did not authenticate, in milliseconds.
const TARPIT_MS_MIN: u64 = 1_000;

/// Engine of an incoming handshake.
pub(crate) struct Responder {
    state: State,
    input: Vec<u8>,
    actions: VecDeque<Action>,
    deadline: Mono,
    rng: Rng,
    local: Arc<LocalKeys>,
    policy: Policy,
    replay: Arc<Mutex<ReplayCache>>,
    limits: LinkLimits,
}

enum State {
    Request,
    Padding(ExpectPadding),
    Confirmed(ExpectConfirmed),
    Tarpit { failure: Failure, bytes_left: usize },
    Done,
}

/// Message 1 is authentic; its padding is awaited.
struct ExpectPadding {
    noise: SymmetricState,
    their_ephemeral: X25519Public,
    cbc_iv: [u8; 16],
    padding: usize,
    part2: usize,
    skew_ms: i64,
}

/// Message 2 is sent; message 3 is awaited.
struct ExpectConfirmed {
    noise: SymmetricState,
    ephemeral: X25519Secret,
    part2: usize,
    skew_ms: i64,
}

impl Responder {
    /// Waits for message 1.
    pub(crate) fn new(
        now: Now,
        rng: Rng,
        local: Arc<LocalKeys>,
        policy: Policy,
        replay: Arc<Mutex<ReplayCache>>,
    ) -> Self {
        Self {
            state: State::Request,
            input: Vec::new(),
            actions: VecDeque::new(),
            deadline: now.mono.after(LinkLimits::USUAL.handshake_time),
            rng,
            local,
            policy,
            replay,
            limits: LinkLimits::USUAL,
        }
    }

    /// Begins within these limits.
    pub(crate) fn within(mut self, now: Now, limits: LinkLimits) -> Self {
        (self.limits, self.deadline) = (limits, now.mono.after(limits.handshake_time));
        self
    }

    /// Takes bytes from the socket.
    pub(crate) fn handle(&mut self, now: Now, bytes: &[u8]) {
        match &mut self.state {
            State::Done => {}
            State::Tarpit { failure, bytes_left } => {
                *bytes_left = bytes_left.saturating_sub(bytes.len());
                if *bytes_left == 0 {
                    let failure = *failure;
                    self.finish(Action::Reset(failure));
                }
            }
            _ => {
                self.input.extend_from_slice(bytes);
                if let Err(failure) = self.advance(now) {
                    self.fail(now, failure);
                }
            }
        }
    }

    /// The peer closed its side.
    pub(crate) fn handle_closed(&mut self) {
        match self.state {
            State::Done => {}
            State::Tarpit { failure, .. } => self.finish(Action::Reset(failure)),
            _ => self.finish(Action::Close(Failure::Closed)),
        }
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Mono> {
        (!matches!(self.state, State::Done)).then_some(self.deadline)
    }

    /// The time of [`Self::poll_timeout`] has come.
    pub(crate) fn handle_timeout(&mut self, now: Now) {
        if now.mono < self.deadline {
            return;
        }
        match self.state {
            State::Done => {}
            State::Tarpit { failure, .. } => self.finish(Action::Reset(failure)),
            // Like a tarpit's end, so that silence and garbage look the same from outside.
            State::Request => self.finish(Action::Reset(Failure::Timeout)),
            _ => self.finish(Action::Close(Failure::Timeout)),
        }
    }

    /// What the peer has shown so far.
    pub(crate) const fn standing(&self) -> Standing {
        match self.state {
            State::Request => Standing::Stranger,
            State::Padding(_) | State::Confirmed(_) => Standing::Knows,
            State::Tarpit { .. } | State::Done => Standing::Doomed,
        }
    }

    /// The next thing to do.
    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn finish(&mut self, action: Action) {
        self.state = State::Done;
        self.input = Vec::new();
        self.actions.push_back(action);
    }

    /// Chooses how to end: silently and late when the peer may be a prober, at once when it has proved to know us.
    fn fail(&mut self, now: Now, failure: Failure) {
        if !matches!(failure, Failure::Authentication | Failure::Replay | Failure::Version(_)) {
            return self.finish(Action::Close(failure));
        }
        let most = u64::try_from(self.limits.probe_time.as_millis()).unwrap_or(u64::MAX);
        let wait = self.rng.between(TARPIT_MS_MIN, most.max(TARPIT_MS_MIN));
        let bytes_left = self.rng.index(self.limits.probe_bytes).saturating_add(1);
        self.input = Vec::new();
        self.deadline = now.mono.after(Duration::from_millis(wait));
        self.state = State::Tarpit { failure, bytes_left };
    }

    fn advance(&mut self, now: Now) -> Result<(), Failure> {
        if matches!(self.state, State::Request)
            && let Some(message) = take(&mut self.input, MESSAGE1_BYTES)
        {
            let next = self.on_request(now, &message)?;
            self.state = State::Padding(next);
        }
        if let State::Padding(state) = &self.state
            && let Some(padding) = take(&mut self.input, state.padding)
            && let State::Padding(state) = std::mem::replace(&mut self.state, State::Done)
        {
            if !self.input.is_empty() {
                return Err(Failure::Pipelined);
            }
            let skew = state.skew_ms;
            let next = self.on_padding(now, state, &padding)?;
            if is_skewed(skew, &self.limits) {
                return Err(Failure::Skew(skew)); // after message 2, so that the peer learns our time
            }
            self.state = State::Confirmed(next);
        }
        if let State::Confirmed(state) = &self.state
            && let Some(message) = take(&mut self.input, PART1_BYTES.saturating_add(state.part2))
            && let State::Confirmed(state) = std::mem::replace(&mut self.state, State::Done)
        {
            self.on_confirmed(now, state, message)?;
        }
        Ok(())
    }

    fn on_request(&self, now: Now, message: &[u8]) -> Result<ExpectPadding, Failure> {
        let (hidden, sealed) = message.split_first_chunk::<32>().ok_or(Failure::Authentication)?;
        let mut key = *hidden;
        aes_cbc::decrypt(&self.local.router.0, &self.local.iv, &mut key);
        let their_ephemeral = X25519Public::from_wire(&key).ok_or(Failure::Authentication)?;
        let mut noise = SymmetricState::new(&noise::NTCP2);
        noise.mix_hash(self.local.public.as_bytes());
        noise.mix_hash(their_ephemeral.as_bytes());
        noise.mix_key(&self.local.secret.dh(&their_ephemeral).ok_or(Failure::Authentication)?);
        let options = noise.decrypt_and_hash(sealed).map_err(|_| Failure::Authentication)?;
        let options = Options::decode(&options).ok_or(Failure::Authentication)?;
        if !self.replay.lock().unwrap_or_else(PoisonError::into_inner).insert(now.mono, *hidden) {
            return Err(Failure::Replay);
        }
        if options.net_id != 0 && options.net_id != self.policy.net_id {
            return Err(Failure::NetId(options.net_id));
        }
        if options.version != VERSION {
            return Err(Failure::Version(options.version));
        }
        let part2 = usize::from(options.part2);
        if !(PART2_MIN..=self.limits.message3).contains(&part2) {
            return Err(Failure::Message3Size(options.part2));
        }
        let padding = usize::from(options.padding);
        if padding > self.limits.padding {
            return Err(Failure::Padding(options.padding));
        }
        let cbc_iv = hidden.last_chunk().copied().unwrap_or_default();
        let skew_ms = skew_ms(options.seconds, now.wall_ms);
        Ok(ExpectPadding { noise, their_ephemeral, cbc_iv, padding, part2, skew_ms })
    }

    fn on_padding(
        &mut self,
        now: Now,
        state: ExpectPadding,
        received: &[u8],
    ) -> Result<ExpectConfirmed, Failure> {
        let ephemeral = X25519Secret::random(&mut self.rng);
        let padding = random_padding(&mut self.rng);
        let (message, next) = created(&self.local, now, state, received, ephemeral, &padding)?;
        self.actions.push_back(Action::Send(message));
        Ok(next)
    }

    fn on_confirmed(&mut self, now: Now, state: ExpectConfirmed, message: Vec<u8>) -> Result<(), Failure> {
        let (noise, key, payload) = open_confirmed(&state, message)?;
        let keys = DataKeys::derive(&noise, false);
        match self.check(now, &key, &payload) {
            Ok((info, flood)) => self.actions.push_back(Action::Established(Box::new(Established {
                peer: info.hash(),
                keys,
                info: Some((info, flood)),
                skew_ms: state.skew_ms,
                rest: std::mem::take(&mut self.input),
            }))),
            Err(failure) => {
                let mut frame = Vec::new();
                let open = Sealer::begin(&mut frame);
                put_termination(&mut frame, 0, failure.termination());
                Sealer::new(&keys.send).finish(&mut frame, open);
                self.actions.push_back(Action::Send(frame));
                self.finish(Action::Close(failure));
            }
        }
        Ok(())
    }

    fn check(
        &self,
        now: Now,
        key: &[u8; 32],
        payload: &[u8],
    ) -> Result<(Verified<RouterInfo>, bool), Failure> {
        let (raw, flood) = info::router_info_of(payload)?;
        let info = info::check(raw, key, &self.policy, now)?;
        if info.hash() == self.local.router {
            return Err(Failure::Ourselves);
        }
        Ok((info, flood))
    }
}

/// Builds message 2.
fn created(
    local: &LocalKeys,
    now: Now,
    state: ExpectPadding,
    received: &[u8],
    ephemeral: X25519Secret,
    padding: &[u8],
) -> Result<(Vec<u8>, ExpectConfirmed), Failure> {
    let mut noise = state.noise;
    if !received.is_empty() {
        noise.mix_hash(received);
    }
    let public = ephemeral.public();
    noise.mix_hash(public.as_bytes());
    noise.mix_key(&ephemeral.dh(&state.their_ephemeral).ok_or(Failure::Authentication)?);
    let mut hidden = public.0;
    aes_cbc::encrypt(&local.router.0, &state.cbc_iv, &mut hidden);
    let padding_len = u16::try_from(padding.len()).unwrap_or(0);
    let options = Options { net_id: 0, version: 0, padding: padding_len, part2: 0, seconds: seconds(now) };
    let mut message = hidden.to_vec();
    message.extend_from_slice(&noise.encrypt_and_hash(&options.encode()));
    if !padding.is_empty() {
        noise.mix_hash(padding);
        message.extend_from_slice(padding);
    }
    Ok((message, ExpectConfirmed { noise, ephemeral, part2: state.part2, skew_ms: state.skew_ms }))
}

/// Opens message 3: the final Noise state, the peer's static key, the payload of part 2.
fn open_confirmed(
    state: &ExpectConfirmed,
    mut message: Vec<u8>,
) -> Result<(SymmetricState, [u8; 32], Vec<u8>), Failure> {
    let mut part2 = message.split_off(PART1_BYTES.min(message.len()));
    let mut noise = state.noise.fork();
    let key = noise.decrypt_and_hash(&message).map_err(|_| Failure::Authentication)?;
    let key: [u8; 32] = key.try_into().map_err(|_| Failure::Authentication)?;
    let public = X25519Public::from_wire(&key).ok_or(Failure::Authentication)?;
    noise.mix_key(&state.ephemeral.dh(&public).ok_or(Failure::Authentication)?);
    noise.decrypt_in_place(&mut part2).map_err(|_| Failure::Authentication)?;
    Ok((noise, key, part2))
}

/// A responder whose random parts are given, for the vectors.
#[cfg(test)]
pub(super) struct Vector(Responder);

#[cfg(test)]
pub(super) struct VectorConfirmed(ExpectConfirmed);

#[cfg(test)]
impl Vector {
    pub(super) fn new(
        now: Now,
        local: Arc<LocalKeys>,
        policy: Policy,
        replay: Arc<Mutex<ReplayCache>>,
    ) -> Self {
        Self(Responder::new(now, Rng::from_seed(0), local, policy, replay))
    }

    pub(super) fn answer(
        &self,
        now: Now,
        message1: &[u8],
        ephemeral: X25519Secret,
        padding: &[u8],
    ) -> (Vec<u8>, VectorConfirmed) {
        let (head, tail) = message1.split_at(MESSAGE1_BYTES);
        let state = self.0.on_request(now, head).unwrap();
        assert_eq!(state.padding, tail.len());
        let (message, next) = created(&self.0.local, now, state, tail, ephemeral, padding).unwrap();
        (message, VectorConfirmed(next))
    }
}

#[cfg(test)]
impl VectorConfirmed {
    pub(super) fn open(&self, message3: Vec<u8>) -> (SymmetricState, [u8; 32], Vec<u8>) {
        open_confirmed(&self.0, message3).unwrap()
    }
}
