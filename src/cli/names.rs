// SPDX-License-Identifier: MIT
//! `samovar names`: the address book from the command line, whether a router runs on it or not.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args as ClapArgs, Subcommand};
use samovar::names::{Book, HostName, Listed, Origin};
use samovar::router::RouterConfig;
use samovar::router::names::{Added, BookFiles, NamesError, Removed};
use samovar::wire::Destination;

use super::{Failure, file, print, system};

const AFTER: &str = "\
Examples:
  samovar names add forum.i2p jQKZ..AAcAAA==   an entry of your own; it wins over all others
  samovar names lookup forum.i2p               what the book has; the network is not asked
  samovar names list 'forum*'                  names that match, with address and source
  samovar names list --conflicts               destinations that were kept out
  samovar names sources                        where names come from
  samovar names remove forum.i2p               your entry goes; a subscribed name is kept out
  samovar names export hosts.txt               the whole book as a plain hosts file

Your entries are lines of hosts.txt in the data directory, which you may also edit by hand.
Further hosts files (`samovar run --hosts FILE`) come after them, subscriptions last
(`samovar run --subscribe URL`). A running router sees changes within a second.";

#[derive(Debug, ClapArgs)]
#[command(after_help = AFTER)]
pub(super) struct NamesArgs {
    /// The router's data directory [default: as in `samovar run`].
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,

    /// The router's configuration file, for its data directory and hosts files.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,

    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add an entry of your own.
    ///
    /// A name that has another destination already stays as it is, and the command fails, unless --replace is given.
    Add {
        /// Host name, such as forum.i2p.
        name: String,
        /// The destination in I2P base64, or `-` to read it from standard input.
        #[arg(allow_hyphen_values = true)]
        destination: String,
        /// Take this destination even if the name has another one.
        #[arg(long)]
        replace: bool,
    },
    /// Remove your entry, or keep a name of a file or subscription out from now on.
    Remove {
        /// Host name.
        name: String,
    },
    /// Print names with their .b32.i2p address and source, one a line.
    List {
        /// Only names that match; `*` stands for anything. Without a `*`, a part of the name is enough.
        pattern: Option<String>,
        /// Print the destinations that were kept out because a name has another one.
        #[arg(long)]
        conflicts: bool,
    },
    /// Print where names come from: each source, how many names it gives, and when a subscription last answered.
    Sources,
    /// Print what a name stands for. The network is not asked; exit code 1 if the book does not have it.
    Lookup {
        /// Host name, or a .b32.i2p address to find its destination in the book.
        name: String,
        /// Print the destination alone.
        #[arg(long, short)]
        quiet: bool,
    },
    /// Print the whole book as a hosts file, or write it to FILE.
    Export {
        /// File to write; one that is there is replaced.
        file: Option<PathBuf>,
    },
}

impl From<NamesError> for Failure {
    fn from(error: NamesError) -> Self {
        match error {
            NamesError::Unknown { .. } => Self::Runtime(anyhow::Error::new(error)),
            NamesError::Taken { .. } => Self::User(format!("{error}; --replace takes yours instead")),
            _ => Self::User(error.to_string()),
        }
    }
}

pub(super) fn main(args: NamesArgs) -> Result<(), Failure> {
    let config = configuration(args.data_dir, args.config.as_deref())?;
    let Some(dir) = &config.data_dir else {
        return Err(Failure::User("data-dir: there is no home directory; choose one with --data-dir".into()));
    };
    let files = BookFiles::new(Some(dir), config.hosts);
    let wall_s = samovar::base::Clock::system().now().wall_ms / 1000;
    match args.action {
        Action::Add { name, destination, replace } => {
            make_dir(dir)?;
            add(&files, &name, &destination, replace, wall_s)
        }
        Action::Remove { name } => remove(&files, &name, wall_s),
        Action::List { pattern, conflicts: false } => {
            print(&list(&load(&files, wall_s)?, pattern.as_deref()))
        }
        Action::List { pattern, conflicts: true } => {
            print(&conflicts(&load(&files, wall_s)?, pattern.as_deref(), wall_s))
        }
        Action::Sources => {
            let answered = files.answered().map_err(|e| Failure::User(e.to_string()))?;
            print(&sources(&load(&files, wall_s)?, &answered, wall_s))
        }
        Action::Lookup { name, quiet } => lookup(&load(&files, wall_s)?, &name, quiet),
        Action::Export { file } => export(&load(&files, wall_s)?, file.as_deref()),
    }
}

/// Data directory and hosts files as `samovar run` would have them.
fn configuration(data_dir: Option<PathBuf>, path: Option<&Path>) -> Result<RouterConfig, Failure> {
    let mut config = RouterConfig { data_dir: system::default_data_dir(), ..RouterConfig::default() };
    if let Some(path) = path {
        file::load(path)?.apply(&mut config);
    }
    if data_dir.is_some() {
        config.data_dir = data_dir;
    }
    Ok(config)
}

fn load(files: &BookFiles, wall_s: u64) -> Result<Book, Failure> {
    files.load(wall_s).map_err(|e| Failure::User(e.to_string()))
}

/// The first entry may come before the first start.
fn make_dir(dir: &Path) -> Result<(), Failure> {
    samovar::router::storage::Storage::open(dir).map(|_| ()).map_err(|e| Failure::User(e.to_string()))
}

fn host_name(text: &str) -> Result<HostName, Failure> {
    HostName::parse(text).map_err(|e| Failure::User(format!("{text}: {e}")))
}

fn add(files: &BookFiles, name: &str, text: &str, replace: bool, wall_s: u64) -> Result<(), Failure> {
    let name = host_name(name)?;
    let mut from_stdin = String::new();
    let text = if text == "-" {
        std::io::stdin().take(1 << 16).read_to_string(&mut from_stdin).context("standard input")?;
        from_stdin.trim()
    } else {
        text
    };
    let destination = Destination::from_base64(text).map_err(|_| Failure::User(no_destination(text)))?;
    let b32 = destination.b32();
    match files.add(&name, &destination, replace, wall_s)? {
        Added::New => print(&format!("{name} added: {b32}\n")),
        Added::Same => print(&format!("{name} has this destination already: {b32}\n")),
        Added::Replaced { hash, source } => {
            print(&format!("{name} added: {b32}\n  in place of {} from {source}\n", hash.to_b32_name()))
        }
    }
}

fn no_destination(text: &str) -> String {
    if text.ends_with(".b32.i2p") {
        let ask = format!("`NAMING LOOKUP NAME={text}` in SAM gives it");
        return format!("an entry needs the whole destination in base64, 516 or more characters; {ask}");
    }
    "the destination is not I2P base64 of 516 or more characters".to_owned()
}

fn remove(files: &BookFiles, name: &str, wall_s: u64) -> Result<(), Failure> {
    let name = host_name(name)?;
    print(&match files.remove(&name, wall_s)? {
        Removed::Own { left: None } => format!("{name} removed\n"),
        Removed::Own { left: Some(source) } => {
            format!("{name} removed; {source} still has it: remove it again to keep that out\n")
        }
        Removed::Hidden { source } => {
            format!("{name} of {source} is kept out from now on; `samovar names add` lets it in again\n")
        }
    })
}

/// Whether a name matches a pattern with `*`, or has it as a part.
fn matches(name: &str, pattern: Option<&str>) -> bool {
    let Some(pattern) = pattern.map(str::to_ascii_lowercase) else { return true };
    let Some((first, rest)) = pattern.split_once('*') else { return name.contains(&pattern) };
    let Some(mut left) = name.strip_prefix(first) else { return false };
    let parts: Vec<&str> = rest.split('*').collect();
    let Some((last, middle)) = parts.split_last() else { return true };
    for part in middle {
        match left.find(part) {
            Some(at) => left = left.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    left.ends_with(last)
}

fn list(book: &Book, pattern: Option<&str>) -> String {
    let shown = book.list().filter(|l| matches(l.name.as_str(), pattern));
    shown.fold(String::new(), |mut out, Listed { name, found }| {
        let _ = writeln!(out, "{name}\t{}\t{}", found.destination.b32(), found.source);
        out
    })
}

/// Time since a date in words.
fn ago(then_s: u64, wall_s: u64) -> String {
    let minutes = wall_s.saturating_sub(then_s) / 60;
    match minutes {
        0..120 => format!("{minutes} min ago"),
        120..2880 => format!("{} h ago", minutes / 60),
        _ => format!("{} days ago", minutes / 1440),
    }
}

fn sources(book: &Book, answered: &[(String, u64)], wall_s: u64) -> String {
    let mut out = String::new();
    for (origin, source, names) in book.sources() {
        let when = match (origin, answered.iter().find(|(url, _)| *url == source)) {
            (Origin::Own, _) => "your own".to_owned(),
            (Origin::File, _) => "hosts file".to_owned(),
            (Origin::Subscription, Some((_, at))) => format!("subscription, answered {}", ago(*at, wall_s)),
            (Origin::Subscription, None) => "subscription".to_owned(),
        };
        let _ = writeln!(out, "{names}\t{source}\t{when}");
    }
    out
}

fn conflicts(book: &Book, pattern: Option<&str>, wall_s: u64) -> String {
    let mut out = String::new();
    for conflict in book.conflicts().iter().filter(|c| matches(c.name.as_str(), pattern)) {
        let _ = writeln!(out, "{}", conflict.name);
        let _ = writeln!(out, "  kept      {}  {}", conflict.kept.to_b32_name(), conflict.kept_by);
        let seen = conflict.seen_s.map_or_else(String::new, |at| format!(", first {}", ago(at, wall_s)));
        let _ = writeln!(out, "  kept out  {}  {}{seen}", conflict.offered.b32(), conflict.offered_by);
    }
    out
}

fn lookup(book: &Book, text: &str, quiet: bool) -> Result<(), Failure> {
    let (destination, source) = if let Some(hash) = b32_hash(text) {
        let found = book.by_hash(hash).context("no name of the address book has this destination")?;
        (found, book.list().find(|l| l.found.destination == found).map(|l| l.name.to_string()))
    } else {
        let name = host_name(text)?;
        let Some(found) = book.get(&name) else {
            return Err(NamesError::Unknown { name, names: book.len() }.into());
        };
        (found.destination, Some(found.source.to_owned()))
    };
    if quiet {
        return print(&format!("{}\n", destination.to_base64()));
    }
    let mut out = format!("destination: {}\nb32: {}\n", destination.to_base64(), destination.b32());
    if let Some(source) = source {
        let _ = writeln!(out, "{}: {source}", if b32_hash(text).is_some() { "name" } else { "source" });
    }
    print(&out)
}

fn b32_hash(text: &str) -> Option<samovar::wire::DestHash> {
    let label = text.to_ascii_lowercase();
    let bytes = samovar::wire::b32::decode(label.strip_suffix(".b32.i2p")?)?;
    bytes.try_into().ok().map(samovar::wire::DestHash)
}

fn export(book: &Book, file: Option<&Path>) -> Result<(), Failure> {
    let text = book.export();
    let Some(path) = file else { return print(&text) };
    std::fs::write(path, &text)
        .map_err(|e| Failure::User(format!("{}: cannot be written: {e}", path.display())))?;
    print(&format!("{} names written to {}\n", text.lines().count(), path.display()))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_parts_and_stars() {
        for (name, pattern, expected) in [
            ("forum.i2p", "for", true),
            ("forum.i2p", "FORUM", true),
            ("forum.i2p", "for*", true),
            ("forum.i2p", "um*", false),
            ("forum.i2p", "*um.i2p", true),
            ("forum.i2p", "f*r*p", true),
            ("forum.i2p", "f*x*p", false),
            ("forum.i2p", "*", true),
        ] {
            assert_eq!(matches(name, Some(pattern)), expected, "{name} {pattern}");
        }
        assert!(matches("forum.i2p", None));
    }
}
