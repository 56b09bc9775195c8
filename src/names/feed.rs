// SPDX-License-Identifier: MIT
//! Takes a hosts file or subscription feed into a layer: plain entries, and commands that their owners signed.
//!
//! A feed is neither ordered nor complete. So removals are looked for first, then plain entries are taken, then
//! commands over and over until nothing moves; a command whose older half is nowhere to be seen is taken at its word
//! at the end, as a plain entry would be. Signatures are checked only where something would change.
//! Spec: "Address Subscription Feed Commands" (proposal 112).

use std::collections::{BTreeMap, BTreeSet};

use super::HostName;
use super::layer::{Layer, Offer, Put, Record};
use super::line::{Line, Refused};
use crate::wire::{DestHash, Destination};

/// Most signatures checked for one feed: a few seconds of one core.
const SIGNATURES_MAX: usize = 20_000;
/// Most removals taken from one feed.
const REMOVALS_MAX: usize = 4096;
/// Most rounds over the commands of a feed: the longest chain of changes that is followed.
const ROUNDS_MAX: usize = 16;
/// Most names in a report.
const NAMED_MAX: usize = 10;

/// What a feed brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedReport {
    /// Names that were not known.
    pub added: usize,
    /// Names with another destination now, by the old one's signature.
    pub changed: usize,
    /// Names gone, by their own signature.
    pub removed: usize,
    /// Entries and commands that changed nothing.
    pub known: usize,
    /// Entries kept out because the name has another destination.
    pub conflicts: usize,
    /// The first of these names.
    pub conflict_names: Vec<HostName>,
    /// Lines that are neither entry nor command, or set names that no feed may set.
    pub unusable: usize,
    /// Commands without the signatures they need.
    pub unsigned: usize,
    /// Commands that are out of date, or were overtaken by a newer one.
    pub stale: usize,
    /// Entries and commands beyond a bound.
    pub beyond: usize,
}

/// What became of a command.
enum Step {
    Done,
    /// Its older half is not there (yet).
    Later,
}

/// A command that waits for its turn.
struct Waiting<'a> {
    line: Line<'a>,
    /// Its signatures have been checked.
    checked: bool,
}

/// One feed on its way into a layer.
pub(super) struct Merge<'l> {
    layer: &'l mut Layer,
    /// Layers that are asked first in a look-up.
    above: &'l [&'l Layer],
    source: usize,
    wall_s: u64,
    signatures: usize,
    /// Destinations that gave up a name, or all of them, and when.
    removals: BTreeMap<(DestHash, Option<HostName>), u64>,
    /// Names with entries or commands.
    mentioned: BTreeSet<HostName>,
    /// What the source offered in vain before.
    earlier: Vec<Offer>,
    report: FeedReport,
}

impl<'l> Merge<'l> {
    /// Begins to take a feed of the source `label`.
    pub(super) fn new(layer: &'l mut Layer, above: &'l [&'l Layer], label: &str, wall_s: u64) -> Self {
        let source = layer.source(label);
        let (earlier, others) =
            std::mem::take(&mut layer.offers).into_iter().partition(|o| o.source == source);
        layer.offers = others;
        Self {
            layer,
            above,
            source,
            wall_s,
            signatures: 0,
            removals: BTreeMap::new(),
            mentioned: BTreeSet::new(),
            earlier,
            report: FeedReport::default(),
        }
    }

    /// Takes the whole text.
    pub(super) fn run(mut self, text: &str) -> FeedReport {
        let (mut plain, mut commands) = (Vec::new(), Vec::new());
        for line in text.lines() {
            match Line::parse(line) {
                Ok(None) => {}
                Ok(Some(line)) if line.seconds("expires").is_some_and(|end| end < self.wall_s) => {
                    self.report.stale += 1;
                }
                Ok(Some(line)) => match (line.get("action"), &line.entry) {
                    (Some("remove" | "removeall"), None) => self.collect_removal(&line),
                    (action, Some((name, ..))) => {
                        self.mentioned.insert(name.clone());
                        match action {
                            None => plain.push(line),
                            Some(_) => commands.push(Waiting { line, checked: false }),
                        }
                    }
                    _ => self.report.unusable += 1,
                },
                Err(_) => self.report.unusable += 1,
            }
        }
        self.remove();
        for line in plain {
            self.plain(&line);
        }
        self.commands(commands);
        self.recall();
        self.layer.settle();
        self.report
    }

    /// Feeds may tell only what is new: earlier conflicts stay for names that this one does not mention, and those
    /// that it repeats keep their date.
    fn recall(&mut self) {
        for old in std::mem::take(&mut self.earlier) {
            let same = |o: &&mut Offer| {
                o.source == old.source && o.name == old.name && o.destination == old.destination
            };
            if let Some(again) = self.layer.offers.iter_mut().find(same) {
                again.seen_s = old.seen_s;
            } else if !self.mentioned.contains(&old.name) {
                self.layer.offer(&old.name, &old.destination, old.source, old.seen_s);
            }
        }
    }

    fn collect_removal(&mut self, line: &Line<'_>) {
        let all = line.get("action") == Some("removeall");
        let (Some(by), name) = (line.destination("dest"), line.name("name")) else {
            self.report.unusable += 1;
            return;
        };
        if !all && name.is_none() {
            self.report.unusable += 1;
        } else if self.removals.len() >= REMOVALS_MAX {
            self.report.beyond += 1;
        } else if self.may_check(1) && line.check_sig(&by).is_ok() {
            let date = line.seconds("date").unwrap_or(u64::MAX);
            self.removals.insert((by.hash(), name.filter(|_| !all)), date);
        } else {
            self.report.unsigned += 1;
        }
    }

    /// Whether its destination has given the name up at or after `date`.
    fn is_removed(&self, name: &HostName, destination: &Destination, date: u64) -> bool {
        let given_up = |name| self.removals.get(&(destination.hash(), name)).is_some_and(|at| *at >= date);
        !self.removals.is_empty() && (given_up(Some(name.clone())) || given_up(None))
    }

    fn remove(&mut self) {
        if self.removals.is_empty() {
            return;
        }
        let gone: Vec<HostName> = self
            .layer
            .names
            .iter()
            .filter(|(name, record)| self.is_removed(name, &record.destination, record.date_s))
            .map(|(name, _)| name.clone())
            .collect();
        self.report.removed += gone.len();
        for name in gone {
            self.layer.names.remove(&name);
        }
    }

    /// An entry, signed or not.
    fn plain(&mut self, line: &Line<'_>) {
        let Some((name, destination, _)) = &line.entry else { return };
        let date = line.seconds("date").unwrap_or(0);
        if name.is_reserved() {
            self.report.unusable += 1;
        } else if self.is_removed(name, destination, date) {
            self.report.stale += 1;
        } else if self.layer.names.get(name).is_some_and(|r| r.knows(destination)) {
            self.report.known += 1;
        } else if line.get("sig").is_some() && !(self.may_check(1) && line.check_sig(destination).is_ok()) {
            self.report.unsigned += 1;
        } else {
            self.put(name, destination);
        }
    }

    fn put(&mut self, name: &HostName, destination: &Destination) -> Put {
        let put = self.layer.put(name, destination, self.source, self.wall_s);
        match put {
            Put::Added => self.report.added += 1,
            Put::Known => self.report.known += 1,
            Put::Conflict => self.conflict(name),
            Put::Full => self.report.beyond += 1,
        }
        put
    }

    fn conflict(&mut self, name: &HostName) {
        self.report.conflicts += 1;
        if self.report.conflict_names.len() < NAMED_MAX {
            self.report.conflict_names.push(name.clone());
        }
    }

    fn may_check(&mut self, count: usize) -> bool {
        self.signatures = self.signatures.saturating_add(count);
        self.signatures <= SIGNATURES_MAX
    }

    /// Commands in the order of their dates, then again while any of them makes another possible.
    fn commands(&mut self, mut waiting: Vec<Waiting<'_>>) {
        waiting.sort_by_key(|w| w.line.seconds("date").unwrap_or(0));
        for last in [false, true] {
            for _ in 0..ROUNDS_MAX {
                let before = waiting.len();
                let mut later = Vec::new();
                for mut one in waiting {
                    match self.command(&mut one, last) {
                        Ok(Step::Done) => {}
                        Ok(Step::Later) => later.push(one),
                        Err(Refused::Shape) => self.report.unusable += 1,
                        Err(Refused::Signature) => self.report.unsigned += 1,
                    }
                }
                waiting = later;
                if waiting.is_empty() || waiting.len() == before {
                    break;
                }
            }
        }
        // Those that contradict what is known.
        for one in waiting {
            self.contradiction(one);
        }
    }

    fn command(&mut self, waiting: &mut Waiting<'_>, last: bool) -> Result<Step, Refused> {
        let Some((name, destination, _)) = waiting.line.entry.clone() else { return Err(Refused::Shape) };
        if name.is_reserved() {
            return Err(Refused::Shape);
        }
        let date = waiting.line.seconds("date").unwrap_or(0);
        if self.is_removed(&name, &destination, date) {
            self.report.stale += 1;
            return Ok(Step::Done);
        }
        match waiting.line.get("action") {
            Some("changedest") => self.change_destination(waiting, &name, &destination, last),
            Some("adddest") => self.add_destination(waiting, &name, &destination, last),
            Some("addname" | "changename") => self.add_name(waiting, &name, &destination, last),
            Some("addsubdomain") => self.add_subdomain(waiting, &name, &destination, last),
            Some("update") => self.update(waiting, &name, &destination, last),
            _ => Err(Refused::Shape),
        }
    }

    /// Checks `sig`, and `oldsig` when there is an older owner, once.
    fn check(
        &mut self,
        waiting: &mut Waiting<'_>,
        by: &Destination,
        old: Option<&Destination>,
    ) -> Result<(), Refused> {
        if waiting.checked {
            return Ok(());
        }
        if !self.may_check(1 + usize::from(old.is_some())) {
            return Err(Refused::Signature);
        }
        if let Some(old) = old {
            waiting.line.check_oldsig(old)?;
        }
        waiting.line.check_sig(by)?;
        waiting.checked = true;
        Ok(())
    }

    fn change_destination(
        &mut self,
        waiting: &mut Waiting<'_>,
        name: &HostName,
        destination: &Destination,
        last: bool,
    ) -> Result<Step, Refused> {
        let old = waiting.line.destination("olddest").ok_or(Refused::Shape)?;
        let date = waiting.line.seconds("date").unwrap_or(0);
        match self.layer.names.get(name) {
            Some(known) if known.destination == *destination => self.report.known += 1,
            // The way back needs a date, or an old change could be played again and again.
            Some(known) if known.former.contains(&destination.hash()) && date <= known.date_s => {
                self.report.stale += 1;
            }
            Some(known) if known.destination == old => {
                if date < known.date_s {
                    self.report.stale += 1;
                    return Ok(Step::Done);
                }
                self.check(waiting, destination, Some(&old))?;
                if let Some(record) = self.layer.names.get_mut(name) {
                    record.change(destination.clone(), date, self.source);
                }
                self.report.changed += 1;
            }
            None if last => {
                self.check(waiting, destination, Some(&old))?;
                if self.put(name, destination) == Put::Added
                    && let Some(record) = self.layer.names.get_mut(name)
                {
                    record.leave(old.hash());
                    record.date_s = date;
                }
            }
            _ => return Ok(Step::Later),
        }
        Ok(Step::Done)
    }

    fn add_destination(
        &mut self,
        waiting: &mut Waiting<'_>,
        name: &HostName,
        destination: &Destination,
        last: bool,
    ) -> Result<Step, Refused> {
        let old = waiting.line.destination("olddest").ok_or(Refused::Shape)?;
        if old == *destination {
            return Err(Refused::Shape); // a further one must be another
        }
        match self.layer.names.get(name) {
            Some(known) if known.knows(destination) => {
                self.report.known += 1;
                return Ok(Step::Done);
            }
            Some(known) if known.destination == old || known.also.contains(&old) => {}
            None if last => {}
            _ => return Ok(Step::Later),
        }
        self.check(waiting, destination, Some(&old))?;
        if !self.layer.names.contains_key(name) && self.put(name, &old) != Put::Added {
            return Ok(Step::Done);
        }
        match self.layer.names.get_mut(name).map(|record| record.add(destination.clone())) {
            Some(true) => self.report.changed += 1,
            _ => self.report.beyond += 1,
        }
        Ok(Step::Done)
    }

    /// `addname` and `changename`: the owner of a name takes another, and may leave the first.
    fn add_name(
        &mut self,
        waiting: &mut Waiting<'_>,
        name: &HostName,
        destination: &Destination,
        last: bool,
    ) -> Result<Step, Refused> {
        let older = waiting.line.name("oldname").ok_or(Refused::Shape)?;
        let leaves = waiting.line.get("action") == Some("changename");
        let owns = |r: &Record| r.destination == *destination || r.also.contains(destination);
        let has_older = match self.layer.names.get(&older) {
            Some(record) if owns(record) => true,
            None if last => false,
            // Renamed earlier: the older name has gone.
            None if leaves && self.layer.names.get(name).is_some_and(owns) => false,
            _ => return Ok(Step::Later),
        };
        if !(leaves && has_older) && self.layer.names.get(name).is_some_and(owns) {
            self.report.known += 1;
            return Ok(Step::Done);
        }
        self.check(waiting, destination, None)?;
        let put = self.put(name, destination);
        if leaves && has_older && matches!(put, Put::Added | Put::Known) {
            self.layer.names.remove(&older);
            self.report.removed += 1;
        }
        Ok(Step::Done)
    }

    fn add_subdomain(
        &mut self,
        waiting: &mut Waiting<'_>,
        name: &HostName,
        destination: &Destination,
        last: bool,
    ) -> Result<Step, Refused> {
        let parent = waiting.line.name("oldname").ok_or(Refused::Shape)?;
        let owner = waiting.line.destination("olddest").ok_or(Refused::Shape)?;
        if !name.is_below(&parent) {
            return Err(Refused::Shape);
        }
        if self.layer.names.get(name).is_some_and(|r| r.knows(destination)) {
            self.report.known += 1;
            return Ok(Step::Done);
        }
        let known = self.above.iter().find_map(|l| l.names.get(&parent));
        match known.or_else(|| self.layer.names.get(&parent)) {
            Some(record) if record.knows(&owner) => {}
            None if last => {}
            _ => return Ok(Step::Later),
        }
        self.check(waiting, destination, Some(&owner))?;
        self.put(name, destination);
        Ok(Step::Done)
    }

    fn update(
        &mut self,
        waiting: &mut Waiting<'_>,
        name: &HostName,
        destination: &Destination,
        last: bool,
    ) -> Result<Step, Refused> {
        let date = waiting.line.seconds("date").unwrap_or(0);
        match self.layer.names.get(name) {
            Some(known) if known.destination == *destination && date <= known.date_s => {
                self.report.known += 1;
            }
            Some(known) if known.destination == *destination => {
                self.check(waiting, destination, None)?;
                if let Some(record) = self.layer.names.get_mut(name) {
                    record.date_s = date;
                }
                self.report.known += 1;
            }
            None if last => {
                self.check(waiting, destination, None)?;
                self.put(name, destination);
            }
            _ => return Ok(Step::Later),
        }
        Ok(Step::Done)
    }

    /// A command whose older half is not what we know: only worth telling if its signatures hold.
    fn contradiction(&mut self, mut waiting: Waiting<'_>) {
        let Some((name, destination, _)) = waiting.line.entry.clone() else { return };
        let older = match waiting.line.get("action") {
            Some("changedest" | "adddest" | "addsubdomain") => waiting.line.destination("olddest"),
            _ => None,
        };
        if self.check(&mut waiting, &destination, older.as_ref()).is_err() {
            self.report.unsigned += 1;
        } else if self.layer.names.contains_key(&name) {
            self.layer.offer(&name, &destination, self.source, self.wall_s);
            self.conflict(&name);
        } else {
            self.report.stale += 1;
        }
    }
}
