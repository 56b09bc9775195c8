// SPDX-License-Identifier: MIT
//! The address book on disk, for the router and for the command, which may work on it at the same time.
//!
//! Whoever changes a file holds the lock and writes it anew beside its place; readers need no lock. A book without a
//! directory lives in memory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::{Added, NamesError, Removed};
use crate::base::write_atomically;
use crate::names::{Book, FeedReport, HostName, OwnChange, Schedule, put, take};
use crate::router::storage::StorageError;
use crate::wire::Destination;

/// The user's own entries, under the name that all routers use.
pub(super) const OWN: &str = "hosts.txt";
const SUBSCRIBED: &str = "names/subscribed.txt";
const CONFLICTS: &str = "names/conflicts.txt";
const REMOVED: &str = "names/removed.txt";
/// What subscriptions answered last.
pub(super) const SUBSCRIPTIONS: &str = "names/subscriptions.txt";
const LOCK: &str = "names/lock";
/// Files that make up the book.
const ALL: [&str; 4] = [OWN, SUBSCRIBED, CONFLICTS, REMOVED];
/// Largest file that is read.
const FILE_MAX: u64 = 64 << 20;

/// Where the book is.
#[derive(Clone, Debug)]
pub struct BookFiles {
    place: Place,
    /// Further hosts files, only read.
    hosts: Vec<PathBuf>,
}

#[derive(Clone, Debug)]
enum Place {
    Memory(Arc<Mutex<Shelf>>),
    Directory(PathBuf),
}

#[derive(Debug, Default)]
struct Shelf {
    texts: BTreeMap<&'static str, String>,
    changes: u64,
}

/// Tells whether files have changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    changes: u64,
    files: Vec<Option<(Option<SystemTime>, u64, u64)>>,
}

impl BookFiles {
    /// The book in a router's data directory; `None`: in memory. `hosts` are further hosts files.
    pub fn new(data_dir: Option<&Path>, hosts: Vec<PathBuf>) -> Self {
        let place = match data_dir {
            Some(dir) => Place::Directory(dir.to_owned()),
            None => Place::Memory(Arc::default()),
        };
        Self { place, hosts }
    }

    /// Reads all of it. Signed commands in hosts files are checked at this time of day.
    ///
    /// # Errors
    /// When a file cannot be read, or a further hosts file is not there.
    pub fn load(&self, wall_s: u64) -> Result<Book, StorageError> {
        self.load_or(wall_s, Err)
    }

    /// As [`Self::load`], leaving out further hosts files that cannot be read.
    pub(super) fn load_readable(&self, wall_s: u64) -> Result<Book, StorageError> {
        self.load_or(wall_s, |error| {
            tracing::warn!(%error, "hosts file left out");
            Ok(())
        })
    }

    fn load_or(
        &self,
        wall_s: u64,
        unreadable: impl Fn(StorageError) -> Result<(), StorageError>,
    ) -> Result<Book, StorageError> {
        let mut book = Book::new();
        book.set_own(&self.read(OWN)?);
        book.load(&self.read(SUBSCRIBED)?, &self.read(CONFLICTS)?, &self.read(REMOVED)?);
        for path in &self.hosts {
            match read_text(path).and_then(|t| t.ok_or_else(|| StorageError::new(path, "is not there"))) {
                Ok(text) => {
                    book.add_file(&path.display().to_string(), &text, wall_s);
                }
                Err(error) => unreadable(error)?,
            }
        }
        Ok(book)
    }

    /// Finds out whether the further hosts files can be read.
    ///
    /// # Errors
    /// The first that cannot.
    pub(in crate::router) fn check(&self) -> Result<(), StorageError> {
        self.hosts.iter().try_for_each(|path| match File::open(path).and_then(|f| f.metadata()) {
            Ok(meta) if meta.is_file() => Ok(()),
            Ok(_) => Err(StorageError::new(path, "is not a file; --hosts takes hosts files")),
            Err(e) => Err(StorageError::new(path, format!("cannot be read: {e}"))),
        })
    }

    /// Sets an entry of the user's own.
    ///
    /// # Errors
    /// [`NamesError::Taken`] if the name has another destination and `replace` is not set; or the disk's refusal.
    pub fn add(
        &self,
        name: &HostName,
        destination: &Destination,
        replace: bool,
        wall_s: u64,
    ) -> Result<Added, NamesError> {
        let _lock = self.lock()?;
        let mut book = self.load(wall_s)?;
        let shown = book.get(name).filter(|f| f.destination != destination);
        let shown = shown.map(|f| (f.origin, f.destination.hash(), f.source.to_owned()));
        if let Some((_, hash, source)) = shown.clone().filter(|_| !replace) {
            return Err(NamesError::Taken { name: name.clone(), hash, source });
        }
        let (text, change) = put(&self.read(OWN)?, name, destination, replace)
            .map_err(|d| NamesError::Taken { name: name.clone(), hash: d.hash(), source: OWN.to_owned() })?;
        if change != OwnChange::Same {
            self.write(OWN, &text)?;
        }
        if book.unhide(name) {
            self.write(REMOVED, &book.removed_text())?;
        }
        Ok(match (change, shown) {
            (OwnChange::Same, _) => Added::Same,
            (OwnChange::Replaced(old), _) => Added::Replaced { hash: old.hash(), source: OWN.to_owned() },
            (OwnChange::Added, Some((_, hash, source))) => Added::Replaced { hash, source },
            (OwnChange::Added, None) => Added::New,
        })
    }

    /// Takes the user's own entry of a name away; without one, keeps the name of a file or subscription out.
    ///
    /// # Errors
    /// [`NamesError::Unknown`], [`NamesError::Full`], or the disk's refusal.
    pub fn remove(&self, name: &HostName, wall_s: u64) -> Result<Removed, NamesError> {
        let _lock = self.lock()?;
        if let Some(text) = take(&self.read(OWN)?, name) {
            self.write(OWN, &text)?;
            let book = self.load(wall_s)?;
            return Ok(Removed::Own { left: book.get(name).map(|f| f.source.to_owned()) });
        }
        let mut book = self.load(wall_s)?;
        let Some(source) = book.get(name).map(|f| f.source.to_owned()) else {
            return Err(NamesError::Unknown { name: name.clone(), names: book.len() });
        };
        if !book.hide(name) {
            return Err(NamesError::Full);
        }
        self.write(REMOVED, &book.removed_text())?;
        Ok(Removed::Hidden { source })
    }

    /// When subscriptions last answered well: their addresses, and seconds since 1970.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn answered(&self) -> Result<Vec<(String, u64)>, StorageError> {
        Ok(Schedule::answered(&self.read(SUBSCRIPTIONS)?))
    }

    /// Takes the feed of a subscription.
    ///
    /// # Errors
    /// The disk's refusal.
    pub fn subscription(&self, url: &str, text: &str, wall_s: u64) -> Result<FeedReport, StorageError> {
        let _lock = self.lock()?;
        let mut book = self.load(wall_s)?;
        let report = book.subscription(url, text, wall_s);
        self.write(SUBSCRIBED, &book.subscribed_text())?;
        self.write(CONFLICTS, &book.conflicts_text())?;
        Ok(report)
    }

    /// Compares equal as long as nothing has changed.
    pub(super) fn stamp(&self) -> Stamp {
        let (changes, own): (u64, Vec<PathBuf>) = match &self.place {
            Place::Memory(shelf) => {
                (shelf.lock().unwrap_or_else(PoisonError::into_inner).changes, Vec::new())
            }
            Place::Directory(dir) => (0, ALL.iter().map(|name| dir.join(name)).collect()),
        };
        Stamp { changes, files: own.iter().chain(&self.hosts).map(|path| look(path)).collect() }
    }

    /// Reads one of our texts; empty if it is not there.
    pub(super) fn read(&self, name: &'static str) -> Result<String, StorageError> {
        match &self.place {
            Place::Memory(shelf) => {
                let shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(shelf.texts.get(name).cloned().unwrap_or_default())
            }
            Place::Directory(dir) => Ok(read_text(&dir.join(name))?.unwrap_or_default()),
        }
    }

    /// Writes one of our texts anew, if it changes at all.
    pub(super) fn write(&self, name: &'static str, text: &str) -> Result<(), StorageError> {
        if self.read(name)? == text {
            return Ok(());
        }
        match &self.place {
            Place::Memory(shelf) => {
                let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
                shelf.changes = shelf.changes.wrapping_add(1);
                shelf.texts.insert(name, text.to_owned());
                Ok(())
            }
            Place::Directory(dir) => {
                let path = dir.join(name);
                let made = path.parent().map_or(Ok(()), fs::create_dir_all);
                // A link stays a link.
                let path = fs::canonicalize(&path).unwrap_or(path);
                made.and_then(|()| write_atomically(&path, text.as_bytes(), true))
                    .map_err(|e| StorageError::new(&path, format!("cannot be written: {e}")))
            }
        }
    }

    /// Keeps others from changing the book until it is dropped.
    pub(super) fn lock(&self) -> Result<Option<File>, StorageError> {
        let Place::Directory(dir) = &self.place else { return Ok(None) };
        let path = dir.join(LOCK);
        let file =
            path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| File::create(&path)).map_err(
                |e| StorageError::new(dir, format!("the address book in it cannot be changed: {e}")),
            )?;
        // Some file systems know no locks: then it is the user's care.
        let _ = file.lock();
        Ok(Some(file))
    }
}

fn look(path: &Path) -> Option<(Option<SystemTime>, u64, u64)> {
    let meta = fs::metadata(path).ok()?;
    #[cfg(unix)]
    let number = std::os::unix::fs::MetadataExt::ino(&meta);
    #[cfg(not(unix))]
    let number = 0;
    Some((meta.modified().ok(), meta.len(), number))
}

fn read_text(path: &Path) -> Result<Option<String>, StorageError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_MAX + 1).read_to_end(&mut bytes));
    match read {
        Ok(n) if n as u64 > FILE_MAX => Err(StorageError::new(path, "is larger than 64 MiB")),
        Ok(_) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(StorageError::new(path, format!("cannot be read: {e}"))),
    }
}
