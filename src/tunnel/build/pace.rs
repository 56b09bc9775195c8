// SPDX-License-Identifier: MIT
//! How many build requests a second are worth public-key work: the set rate, and up to five times as many while the
//! processor keeps up.
//!
//! Nobody tells an engine how busy the processor is. So while requests come faster than the set rate, it asks to be
//! called after [`LOOK`] and sees how late the call is. In time: a quarter more, up to [`MOST_PERCENT`]. Late: half as
//! many, down to the set rate, which is never undercut. After a second without such a look all begins anew. Owned by
//! [`super::admission`]. Design: limits 3.4, T2.

use std::time::Duration;

use super::admission::TokenBucket;
use crate::base::Mono;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// A call this late is in time: a turn of the control task may take half of it.
const IN_TIME: Duration = Duration::from_millis(10);
/// From here on it is late.
const LATE: Duration = Duration::from_millis(40);
/// Without a look for this long the set rate holds again.
const FORGET: Duration = Duration::from_secs(1);
/// Most, in percent of the set rate.
const MOST_PERCENT: u32 = 500;

/// A budget that grows with the time that the processor has.
#[derive(Debug)]
pub(super) struct Pace {
    bucket: TokenBucket,
    per_second: u32,
    burst: u32,
    percent: u32,
    looked: Mono,
    due: Option<Mono>,
}

impl Pace {
    /// Begins with a full burst and the set rate.
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        let bucket = TokenBucket::full(burst);
        Self { bucket, per_second, burst, percent: 100, looked: Mono(0), due: None }
    }

    /// Takes one.
    pub(super) fn take(&mut self, now: Mono) -> bool {
        let taken = self.bucket.take(now, self.now_per_second(), self.burst);
        if self.due.is_none() && self.bucket.is_low(self.burst) {
            if now.since(self.looked) > FORGET {
                self.percent = 100;
            }
            self.due = Some(now + LOOK);
        }
        taken
    }

    /// Requests a second at present.
    pub(super) fn now_per_second(&self) -> u32 {
        let rate = u64::from(self.per_second) * u64::from(self.percent) / 100;
        u32::try_from(rate).unwrap_or(u32::MAX)
    }

    /// When [`Self::look`] wants to be called.
    pub(super) const fn next(&self) -> Option<Mono> {
        self.due
    }

    /// Judges the processor by how late this call is.
    pub(super) fn look(&mut self, now: Mono) {
        let Some(due) = self.due.take_if(|due| *due <= now) else { return };
        self.looked = now;
        let late = now.since(due);
        if late >= LATE {
            self.percent = (self.percent / 2).max(100);
        } else if late < IN_TIME {
            self.percent = (self.percent.saturating_mul(5) / 4).min(MOST_PERCENT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks `rate` times in a second of calls that are `late`, and answers how many were taken.
    fn second(pace: &mut Pace, start: &mut Mono, late_ms: u64) -> usize {
        let mut taken = 0;
        for ms in 0..1_000 {
            let now = *start + Duration::from_millis(ms);
            taken += (0..20).filter(|_| pace.take(now)).count();
            if pace.next().is_some_and(|at| at + Duration::from_millis(late_ms) <= now) {
                pace.look(now);
            }
        }
        *start = *start + Duration::from_secs(1);
        taken
    }

    #[test]
    fn t2_the_rate_grows_to_five_times_while_the_processor_keeps_up() {
        let (mut pace, mut now) = (Pace::new(200, 500), Mono::from_secs(100));
        let first = second(&mut pace, &mut now, 0);
        assert!((800..1_300).contains(&first), "the burst, and a rate that grows: {first}");
        second(&mut pace, &mut now, 0);
        let third = second(&mut pace, &mut now, 0);
        assert!((990..=1_000).contains(&third), "{third}");
        assert_eq!(pace.now_per_second(), 1_000, "and no more");
    }

    #[test]
    fn t2_a_late_processor_brings_it_back_and_never_below_what_was_set() {
        let (mut pace, mut now) = (Pace::new(200, 500), Mono::from_secs(100));
        for _ in 0..3 {
            second(&mut pace, &mut now, 0);
        }
        second(&mut pace, &mut now, 40);
        let late = second(&mut pace, &mut now, 40);
        assert!((195..=205).contains(&late), "{late}");
        assert_eq!(second(&mut pace, &mut now, 39), late, "neither late nor in time: it stays");
        assert_eq!(second(&mut pace, &mut now, 10), late);
        assert!(second(&mut pace, &mut now, 9) > late);
    }

    #[test]
    fn t2_below_half_of_the_burst_nobody_looks_and_a_quiet_second_ends_it() {
        let (mut pace, now) = (Pace::new(200, 500), Mono::from_secs(100));
        assert_eq!((0..249).filter(|_| pace.take(now)).count(), 249);
        assert_eq!(pace.next(), None);
        assert!(pace.take(now) && pace.take(now));
        assert_eq!(pace.next(), Some(now + LOOK));
        pace.look(now + LOOK);
        assert_eq!((pace.now_per_second(), pace.next()), (250, None));
        let later = now + Duration::from_millis(1_200);
        for _ in 0..600 {
            pace.take(later);
        }
        assert_eq!(pace.now_per_second(), 200);
    }
}
