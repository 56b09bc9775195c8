// SPDX-License-Identifier: MIT
//! The whole book: layers by priority.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::feed::{FeedReport, Merge};
use super::layer::{Layer, Record};
use super::line::Line;
use super::{CONFLICTS_MAX, HostName, REMOVED_MAX};
use crate::wire::{DestHash, Destination};

/// How the user's own entries are called.
const OWN: &str = "hosts.txt";

/// Which layer an entry is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The user's own entries.
    Own,
    /// A further hosts file.
    File,
    /// A subscription.
    Subscription,
}

/// What a look-up finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// The destination.
    pub destination: &'a Destination,
    /// Further destinations of the same owner.
    pub also: &'a [Destination],
    /// Which layer has it.
    pub origin: Origin,
    /// Which source of the layer: `hosts.txt`, the path of a file, or the address of a subscription.
    pub source: &'a str,
}

/// A name with what is found for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<'a> {
    /// The name.
    pub name: &'a HostName,
    /// What a look-up gives.
    pub found: Found<'a>,
}

/// A destination that was kept out, because the name has another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The name.
    pub name: HostName,
    /// The destination that a look-up gives.
    pub kept: DestHash,
    /// Where that one comes from.
    pub kept_by: String,
    /// The destination that was kept out.
    pub offered: Destination,
    /// Where that one comes from.
    pub offered_by: String,
    /// When it was first seen, seconds since 1970, if known.
    pub seen_s: Option<u64>,
}

/// Host names and their destinations.
#[derive(Clone, Debug, Default)]
pub struct Book {
    own: Layer,
    files: Layer,
    subscribed: Layer,
    /// Names that neither files nor subscriptions may bring back.
    removed: BTreeSet<HostName>,
    unusable: usize,
}

impl Book {
    /// An empty book.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the user's own entries, in place of earlier ones. The first line of a name counts.
    pub fn set_own(&mut self, text: &str) {
        self.own = Layer::default();
        let source = self.own.source(OWN);
        for line in text.lines() {
            match Line::parse(line) {
                Ok(Some(Line { entry: Some((name, destination, _)), .. })) => {
                    self.own.put(&name, &destination, source, 0);
                }
                Ok(_) => {}
                Err(_) => self.unusable = self.unusable.saturating_add(1),
            }
        }
    }

    /// Takes a further hosts file; earlier ones win. Signed commands in it count.
    pub fn add_file(&mut self, label: &str, text: &str, wall_s: u64) -> FeedReport {
        let report = Merge::new(&mut self.files, &[&self.own], label, wall_s).run(text);
        self.unusable = self.unusable.saturating_add(report.unusable).saturating_add(report.unsigned);
        report
    }

    /// Takes what an earlier run wrote: [`Book::subscribed_text`], [`Book::conflicts_text`], [`Book::removed_text`].
    pub fn load(&mut self, subscribed: &str, conflicts: &str, removed: &str) {
        self.subscribed = Layer::from_text(subscribed);
        self.subscribed.load_offers(conflicts);
        let names = removed.lines().filter_map(|l| HostName::parse(l.trim()).ok());
        self.removed = names.take(REMOVED_MAX).collect();
    }

    /// Takes the feed of a subscription.
    pub fn subscription(&mut self, url: &str, text: &str, wall_s: u64) -> FeedReport {
        Merge::new(&mut self.subscribed, &[&self.own, &self.files], url, wall_s).run(text)
    }

    /// Whether a feed of this subscription has been taken.
    pub fn has_subscription(&self, url: &str) -> bool {
        self.subscribed.sources().iter().any(|s| s == url)
    }

    /// The subscribed names, for the next run.
    pub fn subscribed_text(&self) -> String {
        self.subscribed.to_text()
    }

    /// What subscriptions offered in vain, for the next run.
    pub fn conflicts_text(&self) -> String {
        self.subscribed.offers_text()
    }

    /// The names that must not come back, for the next run.
    pub fn removed_text(&self) -> String {
        self.removed.iter().fold(String::new(), |mut out, name| {
            let _ = writeln!(out, "{name}");
            out
        })
    }

    /// Keeps a name of a file or subscription out from now on. False if too many are kept out already.
    pub fn hide(&mut self, name: &HostName) -> bool {
        self.removed.contains(name) || (self.removed.len() < REMOVED_MAX && self.removed.insert(name.clone()))
    }

    /// Lets a name come from anywhere again. True if it was kept out.
    pub fn unhide(&mut self, name: &HostName) -> bool {
        self.removed.remove(name)
    }

    /// Whether a name is kept out.
    pub fn is_hidden(&self, name: &HostName) -> bool {
        self.removed.contains(name)
    }

    fn layers(&self) -> [(Origin, &Layer); 3] {
        [(Origin::Own, &self.own), (Origin::File, &self.files), (Origin::Subscription, &self.subscribed)]
    }

    /// What is known about a name.
    pub fn get(&self, name: &HostName) -> Option<Found<'_>> {
        self.layers().into_iter().find_map(|(origin, layer)| {
            let record = layer.names.get(name)?;
            (origin == Origin::Own || !self.removed.contains(name)).then(|| found(origin, layer, record))
        })
    }

    /// A destination of the book by its hash.
    pub fn by_hash(&self, hash: DestHash) -> Option<&Destination> {
        let records = self.layers().into_iter().flat_map(|(_, layer)| layer.names.values());
        records
            .flat_map(|r| std::iter::once(&r.destination).chain(&r.also))
            .find(|destination| destination.hash() == hash)
    }

    /// Every name with what a look-up gives, sorted.
    pub fn list(&self) -> impl Iterator<Item = Listed<'_>> {
        let names: BTreeSet<&HostName> =
            self.layers().into_iter().flat_map(|(_, layer)| layer.names.keys()).collect();
        names.into_iter().filter_map(|name| Some(Listed { name, found: self.get(name)? }))
    }

    /// The sources by priority, each with how many names look-ups take from it.
    pub fn sources(&self) -> Vec<(Origin, String, usize)> {
        let mut all = Vec::new();
        for (origin, layer) in self.layers() {
            for label in layer.sources() {
                all.push((origin, label.clone(), 0));
            }
        }
        for Listed { found, .. } in self.list() {
            let of = |s: &&mut (Origin, String, usize)| s.0 == found.origin && s.1 == found.source;
            if let Some(source) = all.iter_mut().find(of) {
                source.2 += 1;
            }
        }
        all
    }

    /// How many names there are; one that two layers have counts twice.
    pub fn len(&self) -> usize {
        self.layers().iter().map(|(_, layer)| layer.names.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lines that could not be used when the files were read.
    pub const fn unusable(&self) -> usize {
        self.unusable
    }

    /// Destinations that were kept out, at most [`CONFLICTS_MAX`] of each layer, sorted by name.
    pub fn conflicts(&self) -> Vec<Conflict> {
        let mut all = Vec::new();
        for (origin, layer) in self.layers() {
            let offers = layer.offers.iter().map(|o| (&o.name, &o.destination, o.source, o.seen_s));
            // What a layer above has otherwise.
            let shadowed = layer
                .names
                .iter()
                .filter(|_| origin != Origin::Own)
                .map(|(name, r)| (name, &r.destination, r.source, 0));
            for (name, destination, source, seen_s) in offers.chain(shadowed).filter_map(|offer| {
                let kept = self.get(offer.0)?;
                let same = kept.destination == offer.1 || kept.also.contains(offer.1);
                (!same).then_some(offer)
            }) {
                let Some(kept) = self.get(name) else { continue };
                if all.len() >= CONFLICTS_MAX * 3 {
                    break;
                }
                all.push(Conflict {
                    name: name.clone(),
                    kept: kept.destination.hash(),
                    kept_by: kept.source.to_owned(),
                    offered: destination.clone(),
                    offered_by: layer.label(source).to_owned(),
                    seen_s: (seen_s != 0).then_some(seen_s),
                });
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// The book as a plain hosts file.
    pub fn export(&self) -> String {
        self.list().fold(String::new(), |mut out, Listed { name, found }| {
            let _ = writeln!(out, "{name}={}", found.destination.to_base64());
            out
        })
    }
}

fn found<'a>(origin: Origin, layer: &'a Layer, record: &'a Record) -> Found<'a> {
    Found { destination: &record.destination, also: &record.also, origin, source: layer.label(record.source) }
}
