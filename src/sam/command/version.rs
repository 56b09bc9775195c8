// SPDX-License-Identifier: MIT
//! Protocol versions and their negotiation.

use std::fmt;

use zeroize::Zeroizing;

use crate::sam::parse::Params;

/// A version that we speak: 3.0 to 3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u8);

impl Version {
    /// The oldest.
    pub const V3_0: Self = Self(0);
    /// What most clients ask for.
    pub const V3_1: Self = Self(1);
    /// Ports appear.
    pub const V3_2: Self = Self(2);
    /// The newest.
    pub const V3_3: Self = Self(3);

    const ALL: [Self; 4] = [Self::V3_3, Self::V3_2, Self::V3_1, Self::V3_0];

    /// Whether lines that name a peer carry `FROM_PORT` and `TO_PORT`.
    pub fn has_ports(self) -> bool {
        self >= Self::V3_2
    }

    fn pair(self) -> (u32, u32) {
        (3, u32::from(self.0))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "3.{}", self.0)
    }
}

/// `HELLO VERSION`: the range a client offers, and who it says it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Hello {
    /// The newest version that both sides know, if there is one.
    pub version: Option<Version>,
    /// User name, where the server asks for one.
    pub user: Option<String>,
    /// Password.
    pub password: Option<Zeroizing<String>>,
}

impl fmt::Debug for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hello").field("version", &self.version).finish_non_exhaustive()
    }
}

impl Hello {
    /// Reads the options and settles the version.
    pub fn new(params: &Params) -> Self {
        let owned = |key| params.filled(key).map(str::to_owned);
        Self {
            version: negotiate(params.filled("MIN"), params.filled("MAX")),
            user: owned("USER"),
            password: owned("PASSWORD").map(Zeroizing::new),
        }
    }
}

/// The highest of our versions within the range; an end that is not given is open.
fn negotiate(min: Option<&str>, max: Option<&str>) -> Option<Version> {
    let low = min.map_or(Some((0, 0)), pair)?;
    let high = max.map_or(Some((u32::MAX, u32::MAX)), pair)?;
    if low > high {
        return None;
    }
    Version::ALL.into_iter().find(|version| (low..=high).contains(&version.pair()))
}

/// Reads `3.1`, or `3` for 3.0, as numbers: 3.10 is newer than 3.3.
fn pair(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
    Some((number(major)?, number(minor)?))
}

fn number(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}
