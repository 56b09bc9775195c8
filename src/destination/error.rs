// SPDX-License-Identifier: MIT
//! The one error of the session API: a stable kind to decide by, and words with numbers to read.

use std::fmt;
use std::io;

/// What went wrong, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The session, or the router under it, has been closed.
    Closed,
    /// The text is neither a destination nor a name.
    InvalidTarget,
    /// No such name in the address books.
    NameNotFound,
    /// No floodfill knows a lease set of the destination: it is offline, or was never there.
    LeaseSetNotFound,
    /// The destination publishes no encryption type that we speak.
    Incompatible,
    /// Our own tunnels could not be built or have all died.
    NoTunnels,
    /// The peer did not answer in time.
    Timeout,
    /// The peer refused or reset the stream.
    Refused,
    /// A limit of this router was reached.
    Limit,
    /// Another session of this router has the same destination.
    DuplicateDestination,
    /// A setting cannot be used.
    Config,
    /// The machine failed us: disk, sockets.
    Io,
}

impl ErrorKind {
    /// Whether the same call may succeed a little later.
    pub const fn is_temporary(self) -> bool {
        matches!(self, Self::LeaseSetNotFound | Self::NoTunnels | Self::Timeout | Self::Limit)
    }
}

/// An error of the session API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    explanation: String,
}

impl Error {
    /// An error of `kind`; `explanation` says the cause in words and numbers, without quotes or line ends.
    pub fn new(kind: ErrorKind, explanation: impl Into<String>) -> Self {
        Self { kind, explanation: explanation.into() }
    }

    /// The kind.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The cause in words and numbers, such as `lease set not found: asked 6 floodfills, 2 answered`.
    pub fn explain(&self) -> &str {
        &self.explanation
    }

    pub(crate) fn closed() -> Self {
        Self::new(ErrorKind::Closed, "the session is closed")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.explanation)
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(e: Error) -> Self {
        let kind = match e.kind {
            ErrorKind::Closed => io::ErrorKind::NotConnected,
            ErrorKind::InvalidTarget | ErrorKind::Config => io::ErrorKind::InvalidInput,
            ErrorKind::NameNotFound | ErrorKind::LeaseSetNotFound => io::ErrorKind::NotFound,
            ErrorKind::Timeout => io::ErrorKind::TimedOut,
            ErrorKind::Refused => io::ErrorKind::ConnectionRefused,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, e)
    }
}
