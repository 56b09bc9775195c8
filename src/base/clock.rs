// SPDX-License-Identifier: MIT
//! Time as a value. Engines get a [`Now`] with every call and never ask for one.

use std::fmt;
use std::ops::{Add, Sub};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Monotonic time in microseconds since the router started.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mono(pub u64);

impl Mono {
    /// A time that never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// From milliseconds since start.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms.saturating_mul(1000))
    }
    /// From seconds since start.
    pub const fn from_secs(s: u64) -> Self {
        Self(s.saturating_mul(1_000_000))
    }
    /// Milliseconds since start.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1000
    }
    /// Time since `earlier`, zero if it is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
    /// This much later; saturates at [`Self::NEVER`].
    pub fn after(self, d: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(d.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl Add<Duration> for Mono {
    type Output = Self;
    fn add(self, d: Duration) -> Self {
        self.after(d)
    }
}

impl Sub for Mono {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Debug for Mono {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// One reading of both clocks, taken once per turn of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Now {
    /// For every timer and duration.
    pub mono: Mono,
    /// Milliseconds since 1970, corrected by the router's offset: only for what goes on the wire or comes from it.
    pub wall_ms: u64,
}

impl Now {
    /// Seconds since 1970, as the 4-byte fields hold them.
    pub fn wall_s(&self) -> u32 {
        u32::try_from(self.wall_ms / 1000).unwrap_or(u32::MAX)
    }

    /// Both clocks moved on by `d`.
    pub fn later(&self, d: Duration) -> Self {
        let ms = u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        Self { mono: self.mono.after(d), wall_ms: self.wall_ms.saturating_add(ms) }
    }
}

#[derive(Clone, Copy, Debug)]
enum Wall {
    /// Read the system's clock each time, so that a suspend or a step of the clock is seen.
    System,
    /// Milliseconds since 1970 at the origin; moves with the monotonic clock. For simulated worlds.
    Fixed(u64),
}

/// Source of time of one router: tokio's clock (which a test can pause) and wall time with an offset of the router's own.
#[derive(Clone, Debug)]
pub struct Clock {
    origin: tokio::time::Instant,
    wall: Wall,
    offset_ms: Arc<AtomicI64>,
    /// By how much the machine's clocks differed at the origin, see [`standstill_us`].
    stood_us: i64,
    /// Microseconds for which the machine slept: the monotonic clock does not count them. Only worlds set this.
    asleep_us: Arc<AtomicU64>,
}

impl Clock {
    /// The machine's clocks.
    pub fn system() -> Self {
        Self::new(Wall::System)
    }

    /// A wall clock that starts at `wall_ms` and moves with tokio's (paused or running) time.
    pub fn starting_at(wall_ms: u64) -> Self {
        Self::new(Wall::Fixed(wall_ms))
    }

    fn new(wall: Wall) -> Self {
        let origin = tokio::time::Instant::now();
        Self {
            origin,
            wall,
            offset_ms: Arc::default(),
            stood_us: standstill_us(origin),
            asleep_us: Arc::default(),
        }
    }

    /// Reads both clocks.
    #[allow(clippy::disallowed_methods, reason = "the one place where the system's clock is read")]
    pub fn now(&self) -> Now {
        let passed = Mono(u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX));
        let base = match self.wall {
            Wall::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
            }
            Wall::Fixed(start) => start.saturating_add(passed.as_millis()),
        };
        let mono = Mono(passed.0.saturating_sub(self.asleep_us.load(Ordering::Relaxed)));
        Now { mono, wall_ms: base.saturating_add_signed(self.offset_ms.load(Ordering::Relaxed)) }
    }

    /// How long the machine has slept since the origin while the monotonic clock stood still. Zero on systems that do not
    /// tell, and where the monotonic clock goes on in sleep.
    pub fn slept(&self) -> Duration {
        let us = match self.wall {
            Wall::System => {
                u64::try_from(standstill_us(self.origin).saturating_sub(self.stood_us)).unwrap_or(0)
            }
            Wall::Fixed(_) => self.asleep_us.load(Ordering::Relaxed),
        };
        Duration::from_micros(us)
    }

    /// Corrects the wall clock by `ms` from now on.
    pub fn adjust(&self, ms: i64) {
        self.offset_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Lets the machine have slept for `time`: the wall clock has gone on, the monotonic clock has not.
    #[cfg(feature = "sim")]
    pub(crate) fn oversleep(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.asleep_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Waits until `at`; for `None` or [`Mono::NEVER`] for ever.
    pub async fn sleep_until(&self, at: Option<Mono>) {
        match at {
            Some(at) if at != Mono::NEVER => loop {
                let asleep = self.asleep_us.load(Ordering::Relaxed);
                let due = Duration::from_micros(at.0.saturating_add(asleep));
                tokio::time::sleep_until(self.origin + due).await;
                if self.asleep_us.load(Ordering::Relaxed) == asleep {
                    break;
                }
            },
            _ => std::future::pending().await,
        }
    }
}

/// Microseconds by which a clock that counts sleep is ahead of one that does not; only differences mean something.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn standstill_us(_: tokio::time::Instant) -> i64 {
    use rustix::time::{ClockId, clock_gettime};
    let us = |id| {
        let t = clock_gettime(id);
        t.tv_sec.saturating_mul(1_000_000).saturating_add(t.tv_nsec / 1000)
    };
    // In this order: a pause between the two readings must not look like sleep.
    let counting = us(ClockId::Boottime);
    counting.saturating_sub(us(ClockId::Monotonic))
}

/// The same: here the system's "monotonic" clock counts sleep, and that of the standard library does not.
#[cfg(target_vendor = "apple")]
fn standstill_us(origin: tokio::time::Instant) -> i64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let counting = t.tv_sec.saturating_mul(1_000_000).saturating_add(t.tv_nsec / 1000);
    counting.saturating_sub(i64::try_from(origin.elapsed().as_micros()).unwrap_or(i64::MAX))
}

/// Elsewhere nobody tells, or the monotonic clock counts sleep itself.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn standstill_us(_: tokio::time::Instant) -> i64 {
    0
}
