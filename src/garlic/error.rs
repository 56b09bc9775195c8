// SPDX-License-Identifier: MIT
//! Why a message was not opened or sealed.

use crate::base::Fault;
use crate::wire::DecodeError;
use std::fmt;

/// Why a message was not opened or sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The body's framing is wrong.
    Decode(DecodeError),
    /// No tag of ours, and too short or not fit to be a New Session.
    Unrecognised,
    /// A known tag or a New Session form, but the authentication failed.
    BadMac,
    /// A key that gives no shared secret.
    BadKey,
    /// A New Session that was seen before.
    Replay,
    /// A New Session from outside the clock window, or without a time.
    OutOfTime,
    /// More New Sessions than we are willing to decrypt.
    RateLimited,
    /// A limit on sessions or held payloads is reached.
    Full,
    /// The payload does not fit an I2NP message.
    TooLarge,
    /// The key in the lease set belongs to another destination.
    KeyMismatch,
}

impl Error {
    /// What the owner must do about it.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Full | Self::TooLarge | Self::KeyMismatch => Fault::Owner,
            _ => Fault::Drop,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Decode(e) => return write!(f, "garlic {e}"),
            Self::Unrecognised => "garlic message not for us",
            Self::BadMac => "garlic authentication failed",
            Self::BadKey => "garlic key is of low order",
            Self::Replay => "garlic new session repeated",
            Self::OutOfTime => "garlic new session outside the clock window",
            Self::RateLimited => "too many garlic new sessions",
            Self::Full => "too many garlic sessions or waiting payloads",
            Self::TooLarge => "payload too large for garlic",
            Self::KeyMismatch => "encryption key belongs to another destination",
        })
    }
}

impl std::error::Error for Error {}

impl From<DecodeError> for Error {
    fn from(e: DecodeError) -> Self {
        Self::Decode(e)
    }
}
