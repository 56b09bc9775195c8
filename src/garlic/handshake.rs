// SPDX-License-Identifier: MIT
//! New Session and New Session Reply: the Noise IK handshake with Elligator2 ephemerals.
//!
//! Pure functions over keys and bytes; nothing here knows about sessions, tags maps or time. Messages are
//! without the 4-byte length of the Garlic body. Spec: "New Session", "New Session Reply" and their KDFs.

use super::Error;
use super::chain::Chains;
use crate::base::Rng;
use crate::crypto::kdf::hkdf32;
use crate::crypto::noise::{RATCHET, SymmetricState};
use crate::crypto::{Secret32, X25519Public, X25519Secret, aead, elligator2};
use std::fmt;

const MAC: usize = aead::TAG_LEN;
/// Bytes that a New Session adds to its payload.
pub(super) const NEW_SESSION_OVERHEAD: usize = 32 + 32 + MAC + MAC;
/// Bytes that a New Session Reply adds to its payload.
pub(super) const REPLY_OVERHEAD: usize = 8 + 32 + MAC + MAC;
/// A New Session carries a DateTime block at least.
pub(super) const NEW_SESSION_LEN_MIN: usize = NEW_SESSION_OVERHEAD + 7;

/// A key pair for one message, with the form it travels in.
pub(super) struct Ephemeral {
    pub(super) secret: X25519Secret,
    pub(super) public: X25519Public,
    pub(super) representative: [u8; 32],
}

impl Ephemeral {
    pub(super) fn random(rng: &mut Rng) -> Self {
        let (secret, public, representative) = elligator2::generate(rng);
        Self { secret, public, representative }
    }
}

/// The local static key, with what is derived from it once.
pub(super) struct Static {
    pub(super) secret: X25519Secret,
    pub(super) public: X25519Public,
    /// The state in which every New Session to us begins.
    inbound: SymmetricState,
}

impl Static {
    pub(super) fn new(secret: X25519Secret) -> Self {
        let public = secret.public();
        Self { inbound: start(&public), secret, public }
    }
}

impl fmt::Debug for Static {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Static").field("public", &self.public).finish_non_exhaustive()
    }
}

fn start(responder: &X25519Public) -> SymmetricState {
    let mut state = SymmetricState::new(&RATCHET);
    state.mix_hash(responder.as_bytes());
    state
}

fn mix_dh(state: &mut SymmetricState, secret: &X25519Secret, public: &X25519Public) -> Result<(), Error> {
    let shared = secret.dh(public).ok_or(Error::BadKey)?;
    state.mix_key(&shared);
    Ok(())
}

/// The tag chain from which the replies to a New Session take their tags, on both sides.
pub(super) fn reply_tags(state: &SymmetricState) -> super::chain::TagChain {
    let k = state.derive(b"SessionReplyTags");
    Chains::new(state.ck(), &k).tags
}

/// Alice's side of a New Session that she sent.
pub(super) struct Initiator {
    state: SymmetricState,
    ephemeral: X25519Secret,
}

impl Initiator {
    /// Seals `payload` for `remote`, appends the message to `out`, and keeps what the replies need.
    pub(super) fn seal(
        ours: &Static,
        remote: &X25519Public,
        ephemeral: Ephemeral,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Self, Error> {
        let mut state = start(remote);
        state.mix_hash(ephemeral.public.as_bytes());
        mix_dh(&mut state, &ephemeral.secret, remote)?;
        let sealed_key = state.encrypt_and_hash(ours.public.as_bytes());
        mix_dh(&mut state, &ours.secret, remote)?;
        let sealed = state.encrypt_and_hash(payload);
        out.extend_from_slice(&ephemeral.representative);
        out.extend_from_slice(&sealed_key);
        out.extend_from_slice(&sealed);
        Ok(Self { state, ephemeral: ephemeral.secret })
    }

    /// Tags of the replies.
    pub(super) fn reply_tags(&self) -> super::chain::TagChain {
        reply_tags(&self.state)
    }

    /// Opens a reply. Replies are independent of each other and come in any order.
    pub(super) fn open_reply(&self, ours: &Static, message: &[u8]) -> Result<Reply, Error> {
        let (tag, rest) = message.split_first_chunk::<8>().ok_or(Error::BadMac)?;
        let (representative, rest) = rest.split_first_chunk::<32>().ok_or(Error::BadMac)?;
        let (empty, sealed) = rest.split_first_chunk::<MAC>().ok_or(Error::BadMac)?;
        let ephemeral = elligator2::decode(representative).ok_or(Error::BadKey)?;
        let mut state = self.state.fork();
        state.mix_hash(tag);
        state.mix_hash(ephemeral.as_bytes());
        mix_dh(&mut state, &self.ephemeral, &ephemeral)?;
        mix_dh(&mut state, &ours.secret, &ephemeral)?;
        state.decrypt_and_hash(empty).map_err(|_| Error::BadMac)?;
        let keys = ReplyKeys::new(&state);
        let payload = aead::open(&keys.payload, 0, state.h(), sealed).map_err(|_| Error::BadMac)?;
        Ok(Reply { payload, keys, ephemeral })
    }
}

impl fmt::Debug for Initiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Initiator(..)")
    }
}

/// A New Session Reply, opened.
pub(super) struct Reply {
    pub(super) payload: Vec<u8>,
    pub(super) keys: ReplyKeys,
    /// The responder's ephemeral; i2pd repeats it, and then the keys are those of the first reply.
    pub(super) ephemeral: X25519Public,
}

/// Keys at the end of the handshake.
pub(super) struct ReplyKeys {
    root: Secret32,
    initiator: Secret32,
    responder: Secret32,
    payload: Secret32,
}

impl ReplyKeys {
    fn new(state: &SymmetricState) -> Self {
        let (initiator, responder) = state.split();
        let payload = Secret32::new(hkdf32(&responder, b"", b"AttachPayloadKDF"));
        Self { root: Secret32::from(state.ck()), initiator, responder, payload }
    }

    /// Tag set 0 of the initiator's messages.
    pub(super) fn initiator_chains(&self) -> Chains {
        Chains::new(&self.root, &self.initiator)
    }

    /// Tag set 0 of the responder's messages.
    pub(super) fn responder_chains(&self) -> Chains {
        Chains::new(&self.root, &self.responder)
    }
}

impl fmt::Debug for ReplyKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplyKeys(..)")
    }
}

/// Bob's side of a New Session that he received.
pub(super) struct Responder {
    state: SymmetricState,
    initiator: X25519Public,
    ephemeral: X25519Public,
}

impl Responder {
    /// Tags of the replies.
    pub(super) fn reply_tags(&self) -> super::chain::TagChain {
        reply_tags(&self.state)
    }

    /// Seals one reply and appends it to `out`. Every reply wants its own tag and ephemeral.
    pub(super) fn seal_reply(
        &self,
        tag: [u8; 8],
        ephemeral: &Ephemeral,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<ReplyKeys, Error> {
        let mut state = self.state.fork();
        state.mix_hash(&tag);
        state.mix_hash(ephemeral.public.as_bytes());
        mix_dh(&mut state, &ephemeral.secret, &self.ephemeral)?;
        mix_dh(&mut state, &ephemeral.secret, &self.initiator)?;
        let empty = state.encrypt_and_hash(b"");
        let keys = ReplyKeys::new(&state);
        out.extend_from_slice(&tag);
        out.extend_from_slice(&ephemeral.representative);
        out.extend_from_slice(&empty);
        out.extend_from_slice(&aead::seal(&keys.payload, 0, state.h(), payload));
        Ok(keys)
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Responder(..)")
    }
}

/// A New Session, opened.
pub(super) struct NewSession {
    pub(super) payload: Vec<u8>,
    /// The sender's static key and what replies need; `None` for an unbound message.
    pub(super) bound: Option<(X25519Public, Responder)>,
}

/// The sender's ephemeral of what may be a New Session: enough to look for replays, at a sixth of the cost of opening.
pub(super) fn new_session_ephemeral(message: &[u8]) -> Result<X25519Public, Error> {
    let representative = message.first_chunk::<32>().ok_or(Error::Unrecognised)?;
    elligator2::decode(representative).ok_or(Error::Unrecognised)
}

/// Opens a New Session whose ephemeral was decoded before.
pub(super) fn open_new_session(
    ours: &Static,
    ephemeral: X25519Public,
    message: &[u8],
) -> Result<NewSession, Error> {
    let (sealed_key, sealed) = message
        .get(32..)
        .and_then(|rest| rest.split_first_chunk::<{ 32 + MAC }>())
        .ok_or(Error::Unrecognised)?;
    let mut state = ours.inbound.fork();
    state.mix_hash(ephemeral.as_bytes());
    mix_dh(&mut state, &ours.secret, &ephemeral)?;
    let key = state.decrypt_and_hash(sealed_key).map_err(|_| Error::BadMac)?;
    let key: [u8; 32] = key.try_into().map_err(|_| Error::BadMac)?;
    if key == [0; 32] {
        let payload = state.decrypt_and_hash(sealed).map_err(|_| Error::BadMac)?;
        return Ok(NewSession { payload, bound: None });
    }
    let initiator = X25519Public(key);
    mix_dh(&mut state, &ours.secret, &initiator)?;
    let payload = state.decrypt_and_hash(sealed).map_err(|_| Error::BadMac)?;
    Ok(NewSession { payload, bound: Some((initiator, Responder { state, initiator, ephemeral })) })
}
