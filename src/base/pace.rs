// SPDX-License-Identifier: MIT
//! How much more than its set rate somebody may do while the processor keeps up.
//!
//! Nobody tells an engine how busy the processor is. So while more is asked for than the set rate allows, it wants to be
//! called after [`LOOK`] and sees how late the call is. In time: a quarter more, up to the most that is allowed. Late:
//! half as much, down to the set rate, which is never undercut. After a second without a look all begins anew. For floods
//! that cost public-key work: limits 3.3 and 3.4, G3 and T2.

use super::Mono;
use std::time::Duration;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// A call this late is in time: a turn of a task may take half of it.
const IN_TIME: Duration = Duration::from_millis(10);
/// From here on it is late.
const LATE: Duration = Duration::from_millis(40);
/// Without a look for this long the set rate holds again.
const FORGET: Duration = Duration::from_secs(1);

/// A percentage of a set rate, 100 at least.
#[derive(Debug)]
pub struct Pace {
    most: u32,
    percent: u32,
    looked: Mono,
    due: Option<Mono>,
}

impl Pace {
    /// Begins at 100 %, and grows to `most` percent.
    pub const fn new(most: u32) -> Self {
        Self { most, percent: 100, looked: Mono(0), due: None }
    }

    /// How much may be done at present, in percent of the set rate.
    pub const fn percent(&self) -> u32 {
        self.percent
    }

    /// To be called when the set rate does not suffice.
    pub fn press(&mut self, now: Mono) {
        if self.due.is_none() {
            if now.since(self.looked) > FORGET {
                self.percent = 100;
            }
            self.due = Some(now + LOOK);
        }
    }

    /// When [`Self::look`] wants to be called.
    pub const fn next(&self) -> Option<Mono> {
        self.due
    }

    /// Judges the processor by how late this call is.
    pub fn look(&mut self, now: Mono) {
        let Some(due) = self.due.take_if(|due| *due <= now) else { return };
        self.looked = now;
        let late = now.since(due);
        if late >= LATE {
            self.percent = (self.percent / 2).max(100);
        } else if late < IN_TIME {
            self.percent = (self.percent.saturating_mul(5) / 4).min(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Presses for so many looks that are `late`.
    fn pressed(pace: &mut Pace, now: &mut Mono, looks: usize, late_ms: u64) -> u32 {
        for _ in 0..looks {
            pace.press(*now);
            let due = pace.next().expect("wants a look");
            pace.look(Mono(due.0 - 1));
            assert_eq!(pace.next(), Some(due), "too early");
            *now = due + Duration::from_millis(late_ms);
            pace.look(*now);
        }
        pace.percent()
    }

    #[test]
    fn t2_it_grows_to_its_most_while_calls_are_in_time() {
        let (mut pace, mut now) = (Pace::new(500), Mono::from_secs(100));
        assert_eq!(pace.percent(), 100);
        assert_eq!(pressed(&mut pace, &mut now, 1, 0), 125);
        assert_eq!(pressed(&mut pace, &mut now, 6, 9), 472);
        assert_eq!(pressed(&mut pace, &mut now, 1, 0), 500);
        assert_eq!(pressed(&mut pace, &mut now, 5, 0), 500, "and no more");
    }

    #[test]
    fn t2_late_calls_bring_it_back_and_never_below_what_was_set() {
        let (mut pace, mut now) = (Pace::new(500), Mono::from_secs(100));
        pressed(&mut pace, &mut now, 20, 0);
        assert_eq!(pressed(&mut pace, &mut now, 1, 10), 500, "neither late nor in time: it stays");
        assert_eq!(pressed(&mut pace, &mut now, 1, 39), 500);
        assert_eq!(pressed(&mut pace, &mut now, 1, 40), 250);
        assert_eq!(pressed(&mut pace, &mut now, 5, 40), 100);
    }

    #[test]
    fn t2_a_quiet_second_ends_it() {
        let (mut pace, mut now) = (Pace::new(500), Mono::from_secs(100));
        pressed(&mut pace, &mut now, 20, 0);
        pace.press(now + Duration::from_secs(1));
        assert_eq!(pace.percent(), 500);
        let mut later = pace.next().expect("wants a look");
        pace.look(later);
        later = later + Duration::from_millis(1_001);
        pace.press(later);
        assert_eq!(pace.percent(), 100);
    }
}
