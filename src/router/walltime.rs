// SPDX-License-Identifier: MIT
//! Whether our wall clock is right: what other routers' clocks say, jumps of our own, and sleep.
//!
//! Wall time is the system's plus an offset of ours. Routers that we dialled tell their time in the handshake; three or
//! more of them that agree move our offset by the median of their words and ours, at most a minute at a time.
//!
//! A machine that slept has a clock of its own that went on, and that is the best there is: it is believed at once, with
//! the offset as it was. Sleep is known by a clock that counts it ([`Clock::slept`]), or, where the monotonic clock counts
//! it itself, by a look that comes minutes late. Its tunnels are gone all the same, so the owner builds new ones and
//! publishes again. A jump of the system's clock while the machine was awake is somebody's doing and is not believed: the
//! offset takes it back. For a while after either, as after the start, the routers may move us by any amount if they
//! agree. Inbound peers have no say, since anybody can be one. Owned by control. Design: limits 3.8, K6.
//!
//! [`Clock::slept`]: crate::base::Clock::slept

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
/// A step needs half of the routers, a larger one two thirds of them, to agree as closely as this.
const AGREE_MS: i64 = 30_000;
/// Times after the start, a jump and sleep in which larger steps are allowed.
const UNSURE_FOR: Duration = Duration::from_secs(600);
/// A difference between the two clocks beyond this, sleep not counted, is a jump.
const JUMP_MS: i64 = 30_000;
/// Shorter sleep is none.
const SLEPT_MIN: Duration = Duration::from_secs(30);
/// A look that comes so late, when one is due every few seconds: the machine slept or we were stopped.
const LATE: Duration = Duration::from_secs(120);

/// The state of one router's wall clock.
#[derive(Debug)]
pub(super) struct WallTime {
    samples: VecDeque<(Mono, RouterHash, i64)>,
    /// Both clocks at the last look, and for how long the machine had slept by then.
    last: (Now, Duration),
    unsure_until: Mono,
    stepped: Option<Mono>,
}

/// What the owner does with its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The machine slept for so long: build tunnels anew, publish. Its clock is believed.
    Slept(Duration),
    /// The system's clock jumped: take back so many milliseconds, build tunnels anew, publish.
    Jump(i64),
    /// The routers say that we are wrong by so much: add it, publish.
    Correct(i64),
}

impl WallTime {
    /// `slept` is for how long the machine has slept up to now, as in [`Self::look`].
    pub(super) fn new(now: Now, slept: Duration) -> Self {
        Self {
            samples: VecDeque::new(),
            last: (now, slept),
            unsure_until: now.mono.after(UNSURE_FOR),
            stepped: None,
        }
    }

    /// A router that we dialled told its time: its clock minus ours.
    pub(super) fn sample(&mut self, now: Now, peer: RouterHash, skew_ms: i64) {
        self.samples.retain(|(_, p, _)| *p != peer);
        if self.samples.len() >= SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back((now.mono, peer, skew_ms));
    }

    /// Whether the machine has slept since the last look.
    pub(super) fn woke(&self, now: Now, slept: Duration) -> Option<Duration> {
        let (before, slept_before) = self.last;
        let (asleep, since) = (slept.saturating_sub(slept_before), now.mono.since(before.mono));
        let late = if since > LATE { since } else { Duration::ZERO };
        (asleep > SLEPT_MIN || since > LATE).then(|| asleep + late)
    }

    /// Looks at all clocks; to be called every few seconds and after each sample. The owner must do what it says.
    pub(super) fn look(&mut self, now: Now, slept: Duration) -> Option<Step> {
        let woke = self.woke(now, slept).map(Step::Slept);
        let (before, slept_before) = std::mem::replace(&mut self.last, (now, slept));
        let jump = || jump(before, now, slept.saturating_sub(slept_before)).map(|ms| Step::Jump(-ms));
        if let Some(step) = woke.or_else(jump) {
            self.samples.clear();
            self.unsure_until = now.mono.after(UNSURE_FOR);
            self.stepped = None;
            return Some(self.moved(step));
        }
        let step = self.correction(now)?;
        self.stepped = Some(now.mono);
        for (_, _, skew) in &mut self.samples {
            *skew = skew.saturating_sub(step);
        }
        Some(self.moved(Step::Correct(step)))
    }

    /// The next look must not take our own step for a jump.
    fn moved(&mut self, step: Step) -> Step {
        if let Step::Jump(ms) | Step::Correct(ms) = step {
            self.last.0.wall_ms = self.last.0.wall_ms.saturating_add_signed(ms);
        }
        step
    }

    fn correction(&mut self, now: Now) -> Option<i64> {
        self.samples.retain(|(at, ..)| now.mono.since(*at) < SAMPLES_FOR);
        if self.samples.len() < SAMPLES_MIN || self.stepped.is_some_and(|at| now.mono.since(at) < STEP_EVERY)
        {
            return None;
        }
        let median = median(self.samples.iter().map(|(_, _, skew)| *skew))?;
        if median.abs() < SMALL_MS {
            return None;
        }
        let close = |skew: &i64| skew.abs_diff(median) <= AGREE_MS.unsigned_abs();
        let agree = self.samples.iter().filter(|(_, _, skew)| close(skew)).count();
        if agree * 2 < self.samples.len() {
            return None;
        }
        let any = now.mono < self.unsure_until && agree * 3 >= self.samples.len() * 2;
        Some(if any { median } else { median.clamp(-STEP_MAX_MS, STEP_MAX_MS) })
    }
}

/// The median of what others say and of our own clock, which says 0; of two in the middle the one that moves us less.
fn median(others: impl Iterator<Item = i64>) -> Option<i64> {
    let mut all: Vec<i64> = others.chain([0]).collect();
    all.sort_unstable();
    let low = all.get(all.len().saturating_sub(1) / 2).copied()?;
    let high = all.get(all.len() / 2).copied()?;
    Some(if low.abs() < high.abs() { low } else { high })
}

/// By how much the wall clock went another way than the monotonic one and sleep, if that is much.
fn jump(before: Now, now: Now, asleep: Duration) -> Option<i64> {
    let wall = i64::try_from(now.wall_ms).ok()?.saturating_sub(i64::try_from(before.wall_ms).ok()?);
    let passed = i64::try_from(now.mono.since(before.mono).saturating_add(asleep).as_millis()).ok()?;
    let jump = wall.saturating_sub(passed);
    (jump.abs() > JUMP_MS).then_some(jump)
}

#[cfg(test)]
mod tests;
