// SPDX-License-Identifier: MIT
//! The smaller bounds of every room: numbers that may be set lower than they are, and never higher.
//!
//! One table (`table.rs`) gives each its name in the configuration file, default, least value, unit and meaning, and
//! makes the structs from it. `fill.rs` hands them to the rooms, which know nothing of the table: each has a structure of
//! plain numbers of its own. What may also be raised is no bound but a setting, see [`super::NetworkLimits`].

mod fill;
mod table;

use std::time::Duration;

pub use table::{Bounds, GarlicBounds, LinkBounds, NetDbBounds, SamBounds, StreamBounds, TunnelBounds};

use super::ConfigError;

/// What a bound is counted in, in the configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things, or things a second.
    Count,
    /// KiB of memory.
    KiB,
    /// Seconds.
    Seconds,
    /// Thousandths of a second.
    Milliseconds,
    /// Hundredths of something else.
    Percent,
}

impl Unit {
    /// What stands behind a number, with a space; nothing behind a count.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Count => "",
            Self::KiB => " KiB",
            Self::Seconds => " s",
            Self::Milliseconds => " ms",
            Self::Percent => " %",
        }
    }

    /// How much of what the field holds (things, bytes, nanoseconds) one of these is.
    const fn scale(self) -> u64 {
        match self {
            Self::Count | Self::Percent => 1,
            Self::KiB => 1024,
            Self::Seconds => 1_000_000_000,
            Self::Milliseconds => 1_000_000,
        }
    }
}

/// A number as a field holds it. Numbers that do not fit become the largest that does, which no bound allows.
trait Number {
    fn from_raw(raw: u64) -> Self;
    fn raw(&self) -> u64;
}

impl Number for u32 {
    fn from_raw(raw: u64) -> Self {
        Self::try_from(raw).unwrap_or(Self::MAX)
    }
    fn raw(&self) -> u64 {
        u64::from(*self)
    }
}

impl Number for usize {
    fn from_raw(raw: u64) -> Self {
        Self::try_from(raw).unwrap_or(Self::MAX)
    }
    fn raw(&self) -> u64 {
        u64::try_from(*self).unwrap_or(u64::MAX)
    }
}

impl Number for Duration {
    fn from_raw(raw: u64) -> Self {
        Self::from_nanos(raw)
    }
    fn raw(&self) -> u64 {
        u64::try_from(self.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// One line of the table.
#[derive(Debug)]
pub struct Bound {
    /// Name in the configuration file, such as `bounds.handshakes-per-address`.
    pub key: &'static str,
    /// What the group of bounds is about that it belongs to.
    pub group: &'static str,
    /// Its value unless set, which is the greatest too.
    pub default: u64,
    /// Least value that can be set.
    pub least: u64,
    /// What these are counted in.
    pub unit: Unit,
    /// What it bounds, in one line that begins with the requirement's id.
    pub about: &'static str,
    get: fn(&Bounds) -> u64,
    set: fn(&mut Bounds, u64),
}

impl Bound {
    /// The bound of this name.
    pub fn named(key: &str) -> Option<&'static Self> {
        Bounds::TABLE.iter().find(|bound| bound.key == key)
    }

    /// Its value in `bounds`, in its unit.
    pub fn get(&self, bounds: &Bounds) -> u64 {
        (self.get)(bounds) / self.unit.scale()
    }

    /// Sets it; [`super::RouterConfig::validate`] says later whether it may be so.
    pub fn set(&self, bounds: &mut Bounds, value: u64) {
        (self.set)(bounds, value.saturating_mul(self.unit.scale()));
    }

    fn validate(&self, bounds: &Bounds) -> Result<(), ConfigError> {
        let (value, scale) = ((self.get)(bounds), self.unit.scale());
        if (self.least * scale..=self.default * scale).contains(&value) {
            return Ok(());
        }
        let Self { least, default, unit, .. } = self;
        let problem = format!(
            "{} is not between {least} and {default}{}; bounds can only be lowered",
            value / scale,
            unit.suffix()
        );
        Err(ConfigError::new(self.key, problem))
    }
}

impl Bounds {
    /// Whether each is between its least value and its default.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        Self::TABLE.iter().try_for_each(|bound| bound.validate(self))
    }
}

#[cfg(test)]
mod tests;
