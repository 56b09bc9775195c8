// SPDX-License-Identifier: MIT
//! What goes into [`Sessions`](super::Sessions) and what comes out.

use crate::base::Mono;
use crate::crypto::{Verified, X25519Public};
use crate::wire::{DestHash, I2npKind, LeaseSet2, MessageId};
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;

/// The far end of a session: a destination, and the X25519 key (type 4) of its lease set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Remote {
    /// The destination's hash.
    pub hash: DestHash,
    /// The encryption key in its lease set.
    pub key: X25519Public,
}

/// How to seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealOptions {
    /// Bundle our lease set when the far side may lack it. Default true. Without it, a remote that has not
    /// looked us up cannot answer.
    pub bundle_lease_set: bool,
    /// Ask for an acknowledgement with this message, for instance after a change of path. Default false; the
    /// session asks by itself as often as its tag window needs.
    pub request_ack: bool,
}

impl Default for SealOptions {
    fn default() -> Self {
        Self { bundle_lease_set: true, request_ack: false }
    }
}

/// What [`Sessions::seal`](super::Sessions::seal) made of payloads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Bodies of I2NP Garlic messages, 4-byte length in front, in the order to send them.
    pub messages: Vec<Vec<u8>>,
    /// The last message's place in the remote's tag window, to give to
    /// [`Sessions::confirm`](super::Sessions::confirm) once it is known to have arrived. Only in established sessions.
    pub mark: Option<Mark>,
    /// How many payloads wait for the first answer of the remote. They come out as
    /// [`Action::Send`] when it arrives.
    pub held: usize,
    /// How many of the payloads, the last ones, were dropped because too many wait already.
    pub refused: usize,
}

/// A message's place in a session. Opaque and cheap; a stale one does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mark {
    /// Which established session.
    pub(super) pair: u32,
    /// Which tag set of it.
    pub(super) set: u16,
    /// Which tag.
    pub(super) index: u16,
}

/// Who sent a message, as the session proves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sender {
    /// The static key: proven.
    pub key: X25519Public,
    /// The destination that the key belongs to: proven by a lease set in the session, or the one we addressed
    /// the session to. `None` until either happened.
    pub hash: Option<DestHash>,
}

/// The form that a message had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpenedKind {
    /// New Session with the sender's static key.
    NewSession,
    /// New Session without one: nobody to answer to.
    Unbound,
    /// Answer to a New Session of ours.
    NewSessionReply,
    /// Message of an established session.
    ExistingSession,
    /// Answer to a one-time tag of [`Sessions::register_reply_tag`](super::Sessions::register_reply_tag).
    OneTime([u8; 8]),
}

/// A decrypted garlic message.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Its form.
    pub kind: OpenedKind,
    /// Who sent it; `None` for unbound and one-time messages.
    pub sender: Option<Sender>,
    /// What was inside: lease sets first, the rest in order.
    pub cloves: Vec<Received>,
}

/// One message out of a garlic message.
#[derive(Clone, Debug)]
pub enum Received {
    /// Data for our destination: the gzip member with ports and protocol, without the 4-byte length.
    Data(Bytes),
    /// The sender's lease set: signature checked, its hash is the sender's, its key the session's. Only the
    /// dates are left to judge.
    LeaseSet(Arc<Verified<LeaseSet2>>),
    /// Another I2NP message: DatabaseSearchReply, DeliveryStatus, an outbound tunnel's build reply, or, in
    /// unbound and one-time messages, a DatabaseStore that nobody has checked.
    Message {
        /// I2NP type.
        kind: I2npKind,
        /// I2NP message id.
        id: MessageId,
        /// I2NP body.
        body: Bytes,
    },
}

/// What the owner is to do.
#[derive(Clone, PartialEq, Eq)]
pub enum Action {
    /// Send this Garlic body to the remote.
    Send {
        /// To whom.
        to: Remote,
        /// Garlic body with its 4-byte length.
        message: Vec<u8>,
    },
    /// The remote has not answered several New Sessions: its lease set should be looked up again.
    Unanswered {
        /// Who is silent.
        to: Remote,
    },
    /// The remote has not acknowledged our lease set in time: the path to it should be changed.
    Suspect {
        /// To whom the path is bad.
        to: Remote,
    },
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send { to, message } => write!(f, "Send({}, {} bytes)", to.hash, message.len()),
            Self::Unanswered { to } => write!(f, "Unanswered({})", to.hash),
            Self::Suspect { to } => write!(f, "Suspect({})", to.hash),
        }
    }
}

/// How far a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Nothing to send with: the next payload begins a session.
    Idle,
    /// We sent a New Session and wait for the reply.
    AwaitingReply,
    /// They sent a New Session; we answer with New Session Replies.
    Replying,
    /// Tag sets in both directions.
    Established,
}

/// One session in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// How far it is.
    pub state: State,
    /// The remote's destination, if known.
    pub hash: Option<DestHash>,
    /// Messages sealed.
    pub sent: u64,
    /// Messages opened.
    pub received: u64,
    /// Tag set we send with, and the next index in it.
    pub send_set: Option<(u16, u32)>,
    /// Messages beyond the last one known to have arrived.
    pub in_flight: usize,
    /// Payloads that wait for the first answer.
    pub held: usize,
    /// Tag sets we listen on.
    pub receive_sets: usize,
    /// Tags we listen for.
    pub tags: usize,
    /// Keys kept for messages that were overtaken.
    pub skipped_keys: usize,
    /// When the last message arrived.
    pub last_received: Option<Mono>,
}
