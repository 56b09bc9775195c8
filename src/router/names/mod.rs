// SPDX-License-Identifier: MIT
//! The address book of a router: [`AddressBook`] for programs, the files under it, and subscriptions.
//!
//! The book's rules are in [`crate::names`]. Other programs, `samovar names` among them, may change the files at any
//! time: their dates are looked at before a look-up, at most once a second, and again before a name is called
//! unknown.

mod files;
pub(super) mod subscribe;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

pub use files::BookFiles;
pub use subscribe::NamesMetrics;

use super::storage::StorageError;
use crate::base::{Clock, Mono, Tasks};
use crate::destination::{Error, ErrorKind};
use crate::names::{BadName, Book, HostName};
use crate::wire::{DestHash, Destination};

/// How old the view of the files may be for a name that is in the book.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How old it may be when a name is not.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Why a change was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NamesError {
    /// The text is no host name.
    Name(BadName),
    /// The name has another destination, and replacing was not asked for.
    Taken {
        /// The name.
        name: HostName,
        /// What it stands for.
        hash: DestHash,
        /// Where that comes from.
        source: String,
    },
    /// The name is not in the book.
    Unknown {
        /// The name.
        name: HostName,
        /// How many names are.
        names: usize,
    },
    /// No more names can be kept out.
    Full,
    /// The router is stopping.
    Stopped,
    /// The disk refuses.
    Storage(StorageError),
}

impl fmt::Display for NamesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(bad) => bad.fmt(f),
            Self::Taken { name, hash, source } => {
                write!(f, "{name} has another destination already, {} from {source}", hash.to_b32_name())
            }
            Self::Unknown { name, names } => {
                write!(f, "{name} is not among the {names} names of the address book")
            }
            Self::Full => {
                f.write_str("no more names can be kept out; see names/removed.txt in the data directory")
            }
            Self::Stopped => f.write_str("the router is stopping"),
            Self::Storage(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for NamesError {}

impl From<BadName> for NamesError {
    fn from(bad: BadName) -> Self {
        Self::Name(bad)
    }
}

impl From<StorageError> for NamesError {
    fn from(e: StorageError) -> Self {
        Self::Storage(e)
    }
}

impl From<NamesError> for Error {
    fn from(e: NamesError) -> Self {
        let kind = match e {
            NamesError::Name(_) => ErrorKind::InvalidTarget,
            NamesError::Unknown { .. } => ErrorKind::NameNotFound,
            NamesError::Taken { .. } => ErrorKind::Config,
            NamesError::Full => ErrorKind::Limit,
            NamesError::Stopped => ErrorKind::Closed,
            NamesError::Storage(_) => ErrorKind::Io,
        };
        Self::new(kind, e.to_string())
    }
}

/// What adding a name did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Added {
    /// The name is new.
    New,
    /// The name had this destination already.
    Same,
    /// The name had another destination.
    Replaced {
        /// That destination's hash.
        hash: DestHash,
        /// Where it came from.
        source: String,
    },
}

/// What removing a name did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// The user's own entry is gone.
    Own {
        /// Another source that still has the name.
        left: Option<String>,
    },
    /// A name of a file or subscription is kept out from now on.
    Hidden {
        /// Which one.
        source: String,
    },
}

/// The address book of a running router.
pub struct AddressBook {
    files: BookFiles,
    tasks: Tasks,
    clock: Clock,
    loaded: Mutex<Loaded>,
    metrics: Arc<NamesMetrics>,
}

#[derive(Default)]
struct Loaded {
    book: Arc<Book>,
    stamp: files::Stamp,
    looked: Option<Mono>,
}

impl AddressBook {
    pub(super) fn new(data_dir: Option<PathBuf>, hosts: Vec<PathBuf>, tasks: Tasks, clock: Clock) -> Self {
        Self {
            files: BookFiles::new(data_dir.as_deref(), hosts),
            tasks,
            clock,
            loaded: Mutex::default(),
            metrics: Arc::default(),
        }
    }

    /// Every name, as the files have them now.
    pub async fn book(&self) -> Arc<Book> {
        self.no_older_than(LOOK_AGAIN).await
    }

    async fn no_older_than(&self, age: Duration) -> Arc<Book> {
        let mut loaded = self.loaded.lock().await;
        let now = self.clock.now();
        if loaded.looked.is_some_and(|at| now.mono.since(at) < age) {
            return loaded.book.clone();
        }
        let (files, known, wall_s) = (self.files.clone(), loaded.stamp.clone(), now.wall_ms / 1000);
        let first = loaded.looked.is_none();
        let read = move || {
            let stamp = files.stamp();
            (first || stamp != known).then(|| (files.load_readable(wall_s), stamp))
        };
        match self.tasks.blocking("names", read).await {
            Some(Some((Ok(book), stamp))) => {
                tracing::debug!(names = book.len(), unusable = book.unusable(), "address book read");
                loaded.book = Arc::new(book);
                loaded.stamp = stamp;
            }
            Some(Some((Err(error), stamp))) => {
                tracing::warn!(%error, "the address book stays as it was");
                loaded.stamp = stamp;
            }
            _ => {}
        }
        loaded.looked = Some(now.mono);
        loaded.book.clone()
    }

    /// The destination of a host name.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidTarget`] if the text is no host name, [`ErrorKind::NameNotFound`] if it is not in the book.
    pub async fn lookup(&self, name: &str) -> Result<Destination, Error> {
        let name = HostName::parse(name).map_err(NamesError::Name)?;
        let mut book = self.no_older_than(LOOK_EVERY).await;
        if book.get(&name).is_none() {
            book = self.no_older_than(LOOK_AGAIN).await;
        }
        match book.get(&name) {
            Some(found) => Ok(found.destination.clone()),
            None => Err(NamesError::Unknown { name, names: book.len() }.into()),
        }
    }

    /// A destination of the book by its hash.
    pub async fn by_hash(&self, hash: DestHash) -> Option<Destination> {
        self.no_older_than(LOOK_EVERY).await.by_hash(hash).cloned()
    }

    /// Adds an entry of the user's own.
    ///
    /// # Errors
    /// [`NamesError::Taken`] if the name has another destination and `replace` is not set, and what else
    /// [`NamesError`] names.
    pub async fn add(
        &self,
        name: &str,
        destination: Destination,
        replace: bool,
    ) -> Result<Added, NamesError> {
        let name = HostName::parse(name)?;
        self.change(move |files, wall_s| files.add(&name, &destination, replace, wall_s)).await
    }

    /// Removes the user's own entry; without one, keeps the name of a file or subscription out from now on.
    ///
    /// # Errors
    /// [`NamesError`] says what is in the way.
    pub async fn remove(&self, name: &str) -> Result<Removed, NamesError> {
        let name = HostName::parse(name)?;
        self.change(move |files, wall_s| files.remove(&name, wall_s)).await
    }

    /// The next look-up looks at the files.
    async fn forget(&self) {
        self.loaded.lock().await.looked = None;
    }

    /// What subscriptions brought.
    pub(super) fn metrics(&self) -> Arc<NamesMetrics> {
        self.metrics.clone()
    }

    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(BookFiles, u64) -> Result<T, NamesError> + Send + 'static,
    ) -> Result<T, NamesError> {
        let (files, wall_s) = (self.files.clone(), self.clock.now().wall_ms / 1000);
        let done = self.tasks.blocking("names", move || work(files, wall_s)).await;
        self.forget().await;
        done.unwrap_or(Err(NamesError::Stopped))
    }
}

impl fmt::Debug for AddressBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AddressBook({:?})", self.files)
    }
}

#[cfg(test)]
mod tests;
