// SPDX-License-Identifier: MIT
//! One line of a hosts file or feed: `name=destination`, optionally with `#!key=value#key=value` behind it, or a command
//! alone.

use std::collections::BTreeMap;

use super::HostName;
use crate::crypto::verify;
use crate::wire::{Destination, b64};

/// Longest line that is read; two destinations with the largest certificates and two signatures are about 5 KiB.
pub const LINE_MAX: usize = 8192;
/// Most keys behind an entry.
const KEYS_MAX: usize = 32;

/// Why a line is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It does not have the shape of an entry or command.
    Shape,
    /// A signature is missing or wrong.
    Signature,
}

/// A line with something in it.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// What stands before the `#!`: name and destination, and the destination's text.
    pub(super) entry: Option<(HostName, Destination, &'a str)>,
    /// What stands behind it.
    keys: BTreeMap<&'a str, &'a str>,
}

impl<'a> Line<'a> {
    /// Reads a line; `None` for blank lines and comments.
    pub(super) fn parse(line: &'a str) -> Result<Option<Self>, Refused> {
        let line = line.trim();
        if line.len() > LINE_MAX {
            return Err(Refused::Shape);
        }
        if let Some(tail) = line.strip_prefix("#!") {
            return Ok(Some(Self { entry: None, keys: keys(tail)? }));
        }
        if line.is_empty() || line.starts_with(['#', ';']) {
            return Ok(None);
        }
        let (name, rest) = line.split_once('=').ok_or(Refused::Shape)?;
        let (text, tail) = rest.split_once('#').unwrap_or((rest, ""));
        let text = text.trim();
        let name = HostName::parse(name.trim()).map_err(|_| Refused::Shape)?;
        let destination = Destination::from_base64(text).map_err(|_| Refused::Shape)?;
        // A tail without the mark is a comment.
        let keys = tail.strip_prefix('!').map_or(Ok(BTreeMap::new()), keys)?;
        Ok(Some(Self { entry: Some((name, destination, text)), keys }))
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        self.keys.get(key).copied()
    }

    /// A key that holds a name.
    pub(super) fn name(&self, key: &str) -> Option<HostName> {
        HostName::parse(self.get(key)?).ok()
    }

    /// A key that holds a destination.
    pub(super) fn destination(&self, key: &str) -> Option<Destination> {
        Destination::from_base64(self.get(key)?).ok()
    }

    /// A key that holds seconds since 1970.
    pub(super) fn seconds(&self, key: &str) -> Option<u64> {
        self.get(key)?.parse().ok()
    }

    /// Checks `sig`, which covers everything but itself.
    pub(super) fn check_sig(&self, by: &Destination) -> Result<(), Refused> {
        self.check("sig", &["sig"], by)
    }

    /// Checks `oldsig`, which covers everything but the two signatures.
    pub(super) fn check_oldsig(&self, by: &Destination) -> Result<(), Refused> {
        self.check("oldsig", &["sig", "oldsig"], by)
    }

    fn check(&self, key: &str, without: &[&str], by: &Destination) -> Result<(), Refused> {
        let signature = self.get(key).and_then(b64::decode).ok_or(Refused::Signature)?;
        let message = self.signed(without);
        verify(by.sig_type(), by.signing_key(), &[message.as_bytes()], &signature)
            .map_err(|_| Refused::Signature)
    }

    /// What signatures cover: the entry as it stands in the line, then the keys in order.
    fn signed(&self, without: &[&str]) -> String {
        let mut out = String::new();
        if let Some((name, _, text)) = &self.entry {
            out = format!("{name}={text}");
        }
        let mut mark = "#!";
        for (key, value) in self.keys.iter().filter(|(key, _)| !without.contains(key)) {
            for part in [mark, *key, "=", *value] {
                out.push_str(part);
            }
            mark = "#";
        }
        out
    }
}

/// Pairs behind the `#!`, each key once.
fn keys(tail: &str) -> Result<BTreeMap<&str, &str>, Refused> {
    let mut keys = BTreeMap::new();
    for pair in tail.split('#').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or(Refused::Shape)?;
        if key.is_empty() || keys.len() >= KEYS_MAX || keys.insert(key, value).is_some() {
            return Err(Refused::Shape);
        }
    }
    Ok(keys)
}
