// SPDX-License-Identifier: MIT
//! Whether our wall clock is right: what other routers' clocks say, and jumps of our own.
//!
//! Wall time is the system's plus an offset of ours. Routers that we dialled tell their time in the handshake; three or
//! more of them together move our offset by their median, at most a minute at a time. A jump of the system's clock
//! against the monotonic one is not believed: the offset takes it back, and for a while after it, as after the start, the
//! routers may move us by any amount if they agree. A sleeping machine looks the same: its monotonic clock stood still,
//! so its tunnels are gone, and the owner builds new ones and publishes again. Inbound peers have no say, since anybody
//! can be one. Owned by control. Design: limits 3.8, K6.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::{Mono, Now};
use crate::wire::RouterHash;

/// Routers that must have spoken.
const SAMPLES_MIN: usize = 3;
/// Routers that are remembered, the latest word of each.
const SAMPLES_MAX: usize = 32;
/// For so long.
const SAMPLES_FOR: Duration = Duration::from_secs(600);
/// A smaller difference is left alone: the protocol tells whole seconds.
const SMALL_MS: i64 = 2_000;
/// Largest step in ordinary times, and the time between two.
const STEP_MAX_MS: i64 = 60_000;
const STEP_EVERY: Duration = Duration::from_secs(60);
/// A larger step needs two thirds of the routers to agree as closely as this.
const AGREE_MS: i64 = 30_000;
/// Times after the start and after a jump in which larger steps are allowed.
const UNSURE_FOR: Duration = Duration::from_secs(600);
/// A difference between the two clocks beyond this is a jump.
const JUMP_MS: i64 = 30_000;

/// The state of one router's wall clock.
#[derive(Debug)]
pub(super) struct WallTime {
    samples: VecDeque<(Mono, RouterHash, i64)>,
    /// Both clocks at the last look.
    last: Option<Now>,
    unsure_until: Mono,
    stepped: Option<Mono>,
}

/// What the owner does with its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The system's clock jumped: take back so many milliseconds, build tunnels anew, publish.
    Jump(i64),
    /// The routers say that we are wrong by so much: add it, publish.
    Correct(i64),
}

impl WallTime {
    pub(super) fn new(now: Now) -> Self {
        Self { samples: VecDeque::new(), last: None, unsure_until: now.mono.after(UNSURE_FOR), stepped: None }
    }

    /// A router that we dialled told its time: its clock minus ours.
    pub(super) fn sample(&mut self, now: Now, peer: RouterHash, skew_ms: i64) {
        self.samples.retain(|(_, p, _)| *p != peer);
        if self.samples.len() >= SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back((now.mono, peer, skew_ms));
    }

    /// Looks at both clocks; to be called every few seconds and after each sample. The owner must do what it says.
    pub(super) fn look(&mut self, now: Now) -> Option<Step> {
        let before = self.last.replace(now);
        if let Some(jump) = before.and_then(|before| jump(before, now)) {
            self.samples.clear();
            self.unsure_until = now.mono.after(UNSURE_FOR);
            self.stepped = None;
            return Some(Step::Jump(self.moved(now, -jump)));
        }
        let step = self.correction(now)?;
        self.stepped = Some(now.mono);
        for (_, _, skew) in &mut self.samples {
            *skew = skew.saturating_sub(step);
        }
        Some(Step::Correct(self.moved(now, step)))
    }

    /// The next look must not take our own step for a jump.
    fn moved(&mut self, now: Now, ms: i64) -> i64 {
        self.last = Some(Now { wall_ms: now.wall_ms.saturating_add_signed(ms), ..now });
        ms
    }

    fn correction(&mut self, now: Now) -> Option<i64> {
        self.samples.retain(|(at, ..)| now.mono.since(*at) < SAMPLES_FOR);
        if self.samples.len() < SAMPLES_MIN || self.stepped.is_some_and(|at| now.mono.since(at) < STEP_EVERY)
        {
            return None;
        }
        let mut skews: Vec<i64> = self.samples.iter().map(|(_, _, skew)| *skew).collect();
        skews.sort_unstable();
        let median = skews.get(skews.len() / 2).copied()?;
        if median.abs() < SMALL_MS {
            return None;
        }
        let agree = skews.iter().filter(|s| s.abs_diff(median) <= AGREE_MS.unsigned_abs()).count();
        let any = now.mono < self.unsure_until && agree * 3 >= skews.len() * 2;
        Some(if any { median } else { median.clamp(-STEP_MAX_MS, STEP_MAX_MS) })
    }
}

/// By how much the wall clock went another way than the monotonic one, if that is much.
fn jump(before: Now, now: Now) -> Option<i64> {
    let wall = i64::try_from(now.wall_ms).ok()?.saturating_sub(i64::try_from(before.wall_ms).ok()?);
    let mono = i64::try_from(now.mono.since(before.mono).as_millis()).ok()?;
    let jump = wall.saturating_sub(mono);
    (jump.abs() > JUMP_MS).then_some(jump)
}

#[cfg(test)]
mod tests;
