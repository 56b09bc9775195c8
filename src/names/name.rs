// SPDX-License-Identifier: MIT
//! Host names as address books hold them.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Longest name, its suffix included.
const LEN_MAX: usize = 67;

/// Names that stand for parts of a router in its user's browser.
const RESERVED: &[&str] = &["console.i2p", "mail.i2p", "proxy.i2p", "router.i2p"];

/// A valid host name in lower case, ending in `.i2p`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(Arc<str>);

/// Why a text is no host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadName {
    /// It does not end in `.i2p`.
    Suffix,
    /// Longer than 67 characters, or nothing before the suffix.
    Length,
    /// Something other than letters, digits, dots and hyphens, or those in the wrong place.
    Shape,
    /// A `.b32.i2p` name needs no address book.
    Base32,
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Suffix => "names end in .i2p",
            Self::Length => "names have 5 to 67 characters",
            Self::Shape => {
                "names have letters, digits, dots and hyphens, no two of the latter side by side or at an end"
            }
            Self::Base32 => "a .b32.i2p name stands for itself and needs no entry",
        })
    }
}

impl std::error::Error for BadName {}

impl HostName {
    /// Reads a name in either case; `.i2p.alt` means `.i2p`.
    ///
    /// # Errors
    /// [`BadName`] says which rule is broken.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let lower = text.to_ascii_lowercase();
        let name = lower.strip_suffix(".alt").filter(|rest| rest.ends_with(".i2p")).unwrap_or(&lower);
        let head = name.strip_suffix(".i2p").ok_or(BadName::Suffix)?;
        if head.is_empty() || name.len() > LEN_MAX {
            return Err(BadName::Length);
        }
        if name.ends_with(".b32.i2p") {
            return Err(BadName::Base32);
        }
        if head.split('.').all(label_is_good) { Ok(Self(name.into())) } else { Err(BadName::Shape) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands for a part of a router: no feed may set it.
    pub fn is_reserved(&self) -> bool {
        RESERVED.iter().any(|r| self.0.strip_suffix(r).is_some_and(|h| h.is_empty() || h.ends_with('.')))
    }

    /// Whether it lies below `parent`.
    pub fn is_below(&self, parent: &Self) -> bool {
        self.0.strip_suffix(parent.as_str()).is_some_and(|head| head.len() > 1 && head.ends_with('.'))
    }
}

/// Hyphens stand alone and inside, except in the prefix of internationalised labels.
fn label_is_good(label: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let rest = label.strip_prefix("xn--").unwrap_or(label);
    !label.is_empty()
        && label.bytes().all(plain)
        && !label.starts_with('-')
        && !label.ends_with('-')
        && !rest.contains("--")
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for HostName {
    fn borrow(&self) -> &str {
        &self.0
    }
}
