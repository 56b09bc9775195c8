// SPDX-License-Identifier: MIT
//! The running hash of everything that happens in a world's network. Two runs of one seed must have the same.

use std::fmt;

use sha2::{Digest, Sha256};

/// The hash of a run up to some moment.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceHash(pub [u8; 32]);

impl fmt::Display for TraceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(16).try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for TraceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How many events are kept between two marks of [`Trace::marks`].
const MARK_EVERY: u64 = 1000;

/// See the module.
pub(super) struct Trace {
    hash: Sha256,
    events: u64,
    /// The hash after every thousand events, to find where two runs part.
    marks: Vec<(u64, [u8; 4])>,
    /// Every event in words, if wanted.
    log: Option<Vec<String>>,
}

impl Trace {
    pub(super) fn new(seed: u64, log: bool) -> Self {
        Self {
            hash: Sha256::new_with_prefix(seed.to_be_bytes()),
            events: 0,
            marks: Vec::new(),
            log: log.then(Vec::new),
        }
    }

    /// Something happened at `ms`: what, to whom, and a number or two.
    pub(super) fn event(&mut self, ms: u64, what: &'static str, of: u64, numbers: [u64; 3]) {
        self.hash.update(ms.to_be_bytes());
        self.hash.update(what.as_bytes());
        self.hash.update(of.to_be_bytes());
        for n in numbers {
            self.hash.update(n.to_be_bytes());
        }
        self.events += 1;
        if self.events.is_multiple_of(MARK_EVERY) {
            let so_far: [u8; 32] = self.hash.clone().finalize().into();
            self.marks.push((ms, so_far.first_chunk().copied().unwrap_or_default()));
        }
        if let Some(log) = &mut self.log {
            log.push(format!("{ms} {what} {of} {numbers:?}"));
        }
    }

    pub(super) fn hash(&self) -> TraceHash {
        TraceHash(self.hash.clone().finalize().into())
    }

    pub(super) const fn events(&self) -> u64 {
        self.events
    }

    pub(super) fn marks(&self) -> Vec<(u64, [u8; 4])> {
        self.marks.clone()
    }

    pub(super) fn take_log(&mut self) -> Vec<String> {
        self.log.as_mut().map(std::mem::take).unwrap_or_default()
    }
}
