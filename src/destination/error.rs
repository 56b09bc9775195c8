// SPDX-License-Identifier: MIT
//! The one error of the session API: a stable kind to decide by, and words with numbers to read.

use std::fmt;
use std::io;

use crate::tunnel::build::PoolReport;
use crate::wire::RouterHash;

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
    /// The lease set is encrypted, and the secret or client key that it takes is missing or wrong.
    Denied,
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
    /// The port, with its protocol, is taken by somebody else in this session.
    PortTaken,
    /// A datagram is empty, or larger than its format takes.
    TooLarge,
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

/// What was tried before an error, for programs. The words of [`Error::explain`] are made of the same numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// A lease set was looked for.
    Lookup {
        /// The floodfills that were asked, each once, and whether it answered.
        floodfills: Vec<(RouterHash, bool)>,
        /// Questions sent; a floodfill may be asked twice.
        asked: usize,
        /// Answers that came, whatever they said.
        answered: usize,
        /// Answers that did not hold up: wrong key, bad signature, expired.
        invalid: usize,
    },
    /// Tunnels were built: how many of each kind, and what became of the builds.
    Tunnels(PoolReport),
    /// A peer was called.
    Call {
        /// How often the request was sent.
        requests: u32,
    },
}

/// An error of the session API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    explanation: String,
    // Boxed, because errors travel in many results and most have no numbers.
    cause: Option<Box<Cause>>,
}

impl Error {
    /// An error of `kind`; `explanation` says the cause in words and numbers, without quotes or line ends.
    pub fn new(kind: ErrorKind, explanation: impl Into<String>) -> Self {
        Self { kind, explanation: explanation.into(), cause: None }
    }

    /// Adds what was tried.
    pub(crate) fn with_cause(mut self, cause: Cause) -> Self {
        self.cause = Some(Box::new(cause));
        self
    }

    /// Says something more in words.
    pub(crate) fn with_words(mut self, words: &str) -> Self {
        self.explanation = format!("{}; {words}", self.explanation);
        self
    }

    /// What was tried, where there are numbers to tell.
    pub fn cause(&self) -> Option<&Cause> {
        self.cause.as_deref()
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
            ErrorKind::InvalidTarget | ErrorKind::Config | ErrorKind::TooLarge => io::ErrorKind::InvalidInput,
            ErrorKind::NameNotFound | ErrorKind::LeaseSetNotFound => io::ErrorKind::NotFound,
            ErrorKind::Timeout => io::ErrorKind::TimedOut,
            ErrorKind::Refused => io::ErrorKind::ConnectionRefused,
            ErrorKind::Denied => io::ErrorKind::PermissionDenied,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, e)
    }
}
