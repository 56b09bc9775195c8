// SPDX-License-Identifier: MIT
//! Whether anybody out there answers: a router that has heard nothing for a minute is cut off.
//!
//! Tunnel tests and the database make a live router hear something every few seconds, so a minute of silence on all links
//! means that there is no network. The owner then builds tunnels rarely and tells programs at once instead of letting
//! them wait. Owned by control. Design: limits 3.8, K9.

use std::time::Duration;

use crate::base::Mono;

/// Silence after which we are cut off.
pub(super) const SILENCE: Duration = Duration::from_secs(60);

/// What was heard last.
#[derive(Debug)]
pub(super) struct Isolation {
    /// Bytes received at the last look.
    bytes: u64,
    /// When that last changed.
    heard: Mono,
    cut_off: bool,
}

impl Isolation {
    pub(super) const fn new(now: Mono) -> Self {
        Self { bytes: 0, heard: now, cut_off: false }
    }

    /// Looks at the bytes that all links have received so far; an answer when we have been cut off or are back.
    pub(super) fn look(&mut self, now: Mono, bytes: u64) -> Option<bool> {
        if bytes != self.bytes {
            (self.bytes, self.heard) = (bytes, now);
        }
        let cut_off = now.since(self.heard) >= SILENCE;
        (std::mem::replace(&mut self.cut_off, cut_off) != cut_off).then_some(cut_off)
    }

    /// Since when nothing was heard, if we are cut off.
    pub(super) fn since(&self) -> Option<Mono> {
        self.cut_off.then_some(self.heard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k9_a_minute_of_silence_is_the_limit() {
        let mut isolation = Isolation::new(Mono::from_secs(10));
        assert_eq!(isolation.look(Mono::from_secs(20), 5), None);
        assert_eq!(isolation.look(Mono::from_secs(79), 5), None);
        assert_eq!(isolation.since(), None);
        assert_eq!(isolation.look(Mono::from_secs(80), 5), Some(true));
        assert_eq!(isolation.since(), Some(Mono::from_secs(20)));
        assert_eq!(isolation.look(Mono::from_secs(90), 5), None, "said once");
        assert_eq!(isolation.look(Mono::from_secs(91), 6), Some(false));
        assert_eq!(isolation.since(), None);
    }

    #[test]
    fn k9_a_start_without_network_is_noticed_as_well() {
        let mut isolation = Isolation::new(Mono::from_secs(0));
        assert_eq!(isolation.look(Mono::from_secs(60), 0), Some(true));
    }
}
