// SPDX-License-Identifier: MIT
//! The congestion letter of our RouterInfo: how much we can still carry for others.
//!
//! `D` from 70 % of what we carry at most, `E` from 90 %, `G` when nothing more is taken. A worse letter shows at once, a
//! better one after five minutes and only when the level is clearly below its threshold, so that nobody can make us
//! publish at will. Owned by control. Design: limits 3.4, T4.

use std::time::Duration;

use crate::base::Mono;

/// From these levels on, in percent.
const MEDIUM: u8 = 70;
const HIGH: u8 = 90;
const FULL: u8 = 100;
/// A better letter needs a level so far below the threshold.
const CLEARLY: u8 = 5;
/// Shortest time between a letter and a worse one, and a better one.
const WORSE_AFTER: Duration = Duration::from_secs(60);
const BETTER_AFTER: Duration = Duration::from_secs(300);

/// The letter that we show.
#[derive(Debug)]
pub(super) struct Crowding {
    shown: Option<char>,
    /// When it changed last.
    changed: Option<Mono>,
}

impl Crowding {
    /// Starts with what the configuration says.
    pub(super) const fn new(shown: Option<char>) -> Self {
        Self { shown, changed: None }
    }

    /// The letter.
    pub(super) const fn letter(&self) -> Option<char> {
        self.shown
    }

    /// Takes the present level in; true when the letter has changed and is to be published.
    pub(super) fn update(&mut self, now: Mono, level: u8, open: bool) -> bool {
        let wanted = if open { letter(level) } else { Some('G') };
        let worse = wanted > self.shown;
        let since = self.changed.map_or(Duration::MAX, |at| now.since(at));
        let due = if worse { since >= WORSE_AFTER } else { since >= BETTER_AFTER };
        // The operator's word counts at once.
        let due = due || !open;
        let clearly = worse || letter(level.saturating_add(CLEARLY)) < self.shown;
        if wanted == self.shown || !due || !clearly {
            return false;
        }
        self.shown = wanted;
        self.changed = Some(now);
        true
    }
}

const fn letter(level: u8) -> Option<char> {
    match level {
        FULL.. => Some('G'),
        HIGH.. => Some('E'),
        MEDIUM.. => Some('D'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t4_letters_begin_exactly_at_their_levels() {
        let at = |level| {
            let mut crowding = Crowding::new(None);
            crowding.update(Mono::from_secs(1), level, true);
            crowding.letter()
        };
        assert_eq!(
            [69, 70, 89, 90, 99, 100].map(at),
            [None, Some('D'), Some('D'), Some('E'), Some('E'), Some('G')]
        );
    }

    #[test]
    fn t4_worse_shows_within_a_minute_and_better_after_five() {
        let mut crowding = Crowding::new(None);
        assert!(crowding.update(Mono::from_secs(100), 75, true));
        assert!(!crowding.update(Mono::from_secs(159), 95, true));
        assert!(crowding.update(Mono::from_secs(160), 95, true));
        assert!(!crowding.update(Mono::from_secs(459), 10, true));
        assert!(!crowding.update(Mono::from_secs(460), 86, true), "86 % is not clearly below 90 %");
        assert!(crowding.update(Mono::from_secs(460), 84, true));
        assert_eq!(crowding.letter(), Some('D'));
        assert!(!crowding.update(Mono::from_secs(2_000), 84, true));
        assert!(crowding.update(Mono::from_secs(2_000), 0, true));
        assert_eq!(crowding.letter(), None);
    }

    #[test]
    fn t4_no_transit_is_g_at_once() {
        let mut crowding = Crowding::new(None);
        assert!(crowding.update(Mono::from_secs(100), 75, true));
        assert!(crowding.update(Mono::from_secs(101), 0, false));
        assert_eq!(crowding.letter(), Some('G'));
        let mut off = Crowding::new(Some('G'));
        assert!(!off.update(Mono::from_secs(1), 0, false));
        assert!(off.update(Mono::from_secs(2), 0, true), "switched on again");
    }
}
