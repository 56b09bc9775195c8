// SPDX-License-Identifier: MIT
//! Names of one kind of source, with those that disagree.

use std::collections::BTreeMap;

use super::{ALSO_MAX, CONFLICTS_MAX, HostName, NAMES_MAX};
use crate::wire::{DestHash, Destination};

/// Most sources of a layer: files, or subscriptions that were ever configured.
const SOURCES_MAX: usize = 64;

/// Most former destinations of a name that are remembered.
const FORMER_MAX: usize = 8;

/// What is known about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) destination: Destination,
    /// Further destinations of the same owner.
    pub(super) also: Vec<Destination>,
    /// The destinations before signed changes, the latest last.
    pub(super) former: Vec<DestHash>,
    /// When its owner signed the last command, if the command said so; older ones are replays.
    pub(super) date_s: u64,
    /// Which of the layer's sources.
    pub(super) source: usize,
}

impl Record {
    pub(super) const fn new(destination: Destination, source: usize) -> Self {
        Self { destination, also: Vec::new(), former: Vec::new(), date_s: 0, source }
    }

    /// Whether a destination is, was or may be this name's.
    pub(super) fn knows(&self, destination: &Destination) -> bool {
        self.destination == *destination
            || self.former.contains(&destination.hash())
            || self.also.contains(destination)
    }

    /// Takes another destination in place of its own.
    pub(super) fn change(&mut self, to: Destination, date_s: u64, source: usize) {
        let old = std::mem::replace(self, Self::new(to, source));
        (self.former, self.date_s) = (old.former, date_s);
        self.leave(old.destination.hash());
    }

    /// Notes that the destination was this name's.
    pub(super) fn leave(&mut self, former: DestHash) {
        self.former.retain(|f| *f != former);
        self.former.push(former);
        if self.former.len() > FORMER_MAX {
            self.former.remove(0);
        }
    }

    /// Takes a further destination; one of a key type that is still made goes before an old DSA key.
    pub(super) fn add(&mut self, destination: Destination) -> bool {
        let old = |d: &Destination| d.sig_type() == crate::wire::SigType::DsaSha1;
        if self.also.len() >= ALSO_MAX {
            return false;
        }
        if old(&self.destination) && !old(&destination) {
            let first = std::mem::replace(&mut self.destination, destination);
            self.also.insert(0, first);
        } else {
            self.also.push(destination);
        }
        true
    }
}

/// A destination that was offered for a name that has another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) name: HostName,
    pub(super) destination: Destination,
    pub(super) source: usize,
    /// When it was first seen, seconds since 1970; 0 if not known.
    pub(super) seen_s: u64,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    Added,
    Known,
    Conflict,
    Full,
}

/// Names of one kind of source.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer {
    pub(super) names: BTreeMap<HostName, Record>,
    pub(super) offers: Vec<Offer>,
    sources: Vec<String>,
    /// Conflicts beyond the bound.
    pub(super) offers_lost: usize,
}

impl Layer {
    /// The number of a source; all beyond the bound share the last.
    pub(super) fn source(&mut self, label: &str) -> usize {
        if let Some(at) = self.sources.iter().position(|s| s == label) {
            return at;
        }
        if self.sources.len() < SOURCES_MAX {
            self.sources.push(label.to_owned());
        }
        self.sources.len().saturating_sub(1)
    }

    /// All sources.
    pub(super) fn sources(&self) -> &[String] {
        &self.sources
    }

    /// The name of a source.
    pub(super) fn label(&self, source: usize) -> &str {
        self.sources.get(source).map_or("unknown", String::as_str)
    }

    /// Takes an entry without any authority: the first one stays.
    pub(super) fn put(
        &mut self,
        name: &HostName,
        destination: &Destination,
        source: usize,
        wall_s: u64,
    ) -> Put {
        match self.names.get(name) {
            Some(known) if known.knows(destination) => Put::Known,
            Some(_) => {
                self.offer(name, destination, source, wall_s);
                Put::Conflict
            }
            None if self.names.len() >= NAMES_MAX => Put::Full,
            None => {
                self.names.insert(name.clone(), Record::new(destination.clone(), source));
                Put::Added
            }
        }
    }

    /// Remembers what was kept out.
    pub(super) fn offer(&mut self, name: &HostName, destination: &Destination, source: usize, wall_s: u64) {
        let known = self
            .offers
            .iter()
            .any(|o| o.name == *name && o.destination == *destination && o.source == source);
        if known {
            return;
        }
        if self.offers.len() >= CONFLICTS_MAX {
            self.offers_lost = self.offers_lost.saturating_add(1);
            return;
        }
        self.offers.push(Offer {
            name: name.clone(),
            destination: destination.clone(),
            source,
            seen_s: wall_s,
        });
    }

    /// Forgets offers that are no conflicts any more, because the name took the destination or has gone.
    pub(super) fn settle(&mut self) {
        let names = &self.names;
        self.offers.retain(|o| names.get(&o.name).is_some_and(|r| !r.knows(&o.destination)));
    }
}
