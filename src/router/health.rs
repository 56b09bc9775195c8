// SPDX-License-Identifier: MIT
//! What control looks after besides its engines: our congestion letter, our wall clock, whether anybody is out there.
//!
//! A look every five seconds, and after each handshake for the clock; each finding is a [`Finding`] that control acts on.

use std::sync::Arc;
use std::time::Duration;

use super::crowding::Crowding;
use super::isolation::Isolation;
use super::walltime::{Step, WallTime};
use crate::base::{Clock, Mono, Now};
use crate::transport::{DialError, Direction, Failure, TransportEvent, TransportMetrics};
use crate::tunnel::plane::PlaneMetrics;

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(5);

/// What control has to act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// The congestion letter has changed: publish.
    Letter(Option<char>),
    /// Move the clock by so many milliseconds and publish.
    Clock(i64),
    /// The system's clock jumped: move ours by so many milliseconds, renew all tunnels, publish.
    Jump(i64),
    /// The machine slept for so long: renew all tunnels, publish.
    Slept(Duration),
    /// Nobody has answered for a minute, or somebody has again.
    CutOff(bool),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Health {
    crowding: Crowding,
    wall: WallTime,
    isolation: Isolation,
    next: Mono,
    plane: Arc<PlaneMetrics>,
    transport: Arc<TransportMetrics>,
}

impl Health {
    pub(super) fn new(
        clock: &Clock,
        letter: Option<char>,
        plane: Arc<PlaneMetrics>,
        transport: Arc<TransportMetrics>,
    ) -> Self {
        let now = clock.now();
        Self {
            crowding: Crowding::new(letter),
            wall: WallTime::new(now, clock.slept()),
            isolation: Isolation::new(now.mono),
            next: now.mono.after(EVERY),
            plane,
            transport,
        }
    }

    /// When [`Self::look`] is to be called.
    pub(super) const fn next(&self) -> Mono {
        self.next
    }

    /// Share of the bandwidth for transit that is in use, in percent.
    pub(super) fn load(&self) -> u8 {
        u8::try_from(self.plane.transit_load_percent.get()).unwrap_or(100)
    }

    /// Since when nobody has answered, if we are cut off.
    pub(super) fn cut_off_since(&self) -> Option<Mono> {
        self.isolation.since()
    }

    /// A link came up or failed: if we dialled, the peer told its time.
    pub(super) fn event(&mut self, now: Now, slept: Duration, event: &TransportEvent) -> Option<Finding> {
        let (peer, skew_ms) = match event {
            TransportEvent::Up { peer, direction: Direction::Outbound, skew_ms, .. } => (*peer, *skew_ms),
            TransportEvent::DialFailed {
                peer, reason: DialError::Handshake(Failure::Skew(skew)), ..
            } => (*peer, *skew),
            _ => return None,
        };
        // What was measured by a clock that has jumped meanwhile says nothing.
        let jump = self.clock(now, slept);
        if jump.is_some() {
            return jump;
        }
        self.wall.sample(now, peer, skew_ms);
        self.clock(now, slept)
    }

    /// Whether the machine has slept and nobody has looked since: the look is due.
    pub(super) fn woke(&self, now: Now, slept: Duration) -> bool {
        self.wall.woke(now, slept).is_some()
    }

    fn clock(&mut self, now: Now, slept: Duration) -> Option<Finding> {
        Some(match self.wall.look(now, slept)? {
            Step::Slept(time) => Finding::Slept(time),
            Step::Correct(ms) => Finding::Clock(ms),
            Step::Jump(ms) => Finding::Jump(ms),
        })
    }

    /// Looks at everything; `slept` is what the clock says of sleep, `level` how full we are with transit, `open` whether
    /// we take any.
    pub(super) fn look(&mut self, now: Now, slept: Duration, level: u8, open: bool) -> Vec<Finding> {
        self.next = now.mono.after(EVERY);
        let mut found: Vec<Finding> = self.clock(now, slept).into_iter().collect();
        if self.crowding.update(now.mono, level, open) {
            found.push(Finding::Letter(self.crowding.letter()));
        }
        found.extend(self.isolation.look(now.mono, self.transport.bytes_in.get()).map(Finding::CutOff));
        found
    }
}
