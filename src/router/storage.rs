// SPDX-License-Identifier: MIT
//! What a router keeps on disk: its keys, its RouterInfo, the routers it knows, their profiles.
//!
//! Files are written beside their place, flushed and renamed, so that a crash leaves the old or the new and never
//! half of one. Key files are created with mode 0600 and read only if they still have it. A router that has its keys
//! starts although nothing can be written, and goes on when the disk fills up. A router without a directory keeps
//! everything in memory. Limits K1 to K4.

mod directory;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::base::{NotPrivate, read_at_most, read_private, write_atomically};
use crate::wire::{ROUTER_INFO_MAX, RouterHash, RouterInfo, Wire, b64};

#[cfg(feature = "sim")]
mod held;
#[cfg(feature = "sim")]
pub use held::Disk;

/// Largest file that is read back; the largest of ours are profiles, far below.
const FILE_MAX: u64 = 16 << 20;
/// Largest file of a RouterInfo that is looked at.
const INFO_MAX: u64 = ROUTER_INFO_MAX as u64;
/// Files of a directory of RouterInfos that are read, and folders that are gone down.
const INFOS_MAX: usize = 20_000;
const DEPTH_MAX: usize = 8;
/// What the router writes, which tells its own directory from others.
const OURS: [&str; 5] = ["router.keys", "router.keys.bak", "lock", "sam-users", "netDb"];
/// Ending of a file of the netDb that was found damaged.
const BROKEN: &str = "broken";

/// Where a router keeps its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Nowhere: a fresh router at every start.
    Memory,
    /// In a directory of its own.
    Directory(PathBuf),
    /// On the disk of a simulated machine.
    #[cfg(feature = "sim")]
    Held(Disk),
}

/// A problem with a file, in words for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageError {
    /// The file or directory.
    pub path: PathBuf,
    /// What is wrong and what to do.
    pub problem: String,
}

impl std::fmt::Display for StorageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.problem)
    }
}

impl std::error::Error for StorageError {}

impl StorageError {
    pub(crate) fn new(path: &Path, problem: impl Into<String>) -> Self {
        Self { path: path.to_owned(), problem: problem.into() }
    }

    fn unwritable(path: &Path, error: &io::Error) -> Self {
        Self::new(path, format!("cannot be written ({error}); choose another with --data-dir"))
    }
}

impl Storage {
    /// Makes the directory if it is not there and checks that it is ours, nobody else's, and can be written.
    ///
    /// One that others may enter is closed to them if the router made it or it is empty; in a directory with other
    /// things only the right to write is taken from them. One with keys that cannot be written is taken as well: such a
    /// router goes on without saving.
    ///
    /// # Errors
    /// When it belongs to another user, is shared by all, or cannot be written and has no keys.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StorageError> {
        let path = path.into();
        directory::make_private(&path)?;
        if let Err(error) = directory::probe(&path) {
            if !has_keys(&path) {
                return Err(StorageError::unwritable(&path, &error));
            }
            tracing::warn!(data = %path.display(), %error, "the data directory cannot be written; nothing is saved");
        }
        Ok(Self::Directory(path))
    }

    /// Takes the directory for one router; dropping the file gives it back, as does the end of the process.
    ///
    /// # Errors
    /// When another router has it.
    pub fn lock(&self) -> Result<Option<File>, StorageError> {
        let Self::Directory(dir) = self else { return Ok(None) };
        let path = dir.join("lock");
        // A file that is there can be locked where nothing can be written.
        let file = match directory::private_options()
            .open(&path)
            .or_else(|error| File::open(&path).map_err(|_| error))
        {
            Ok(file) => file,
            Err(_) if has_keys(dir) => return Ok(None),
            Err(error) => return Err(StorageError::unwritable(dir, &error)),
        };
        match file.try_lock() {
            Err(fs::TryLockError::WouldBlock) => Err(StorageError::new(
                dir,
                "is in use by another router; stop that one or choose another with --data-dir",
            )),
            // Some file systems know no locks: then it is the operator's care.
            _ => Ok(Some(file)),
        }
    }

    /// Full path of a file of this storage, if it has paths.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        match self {
            Self::Memory => None,
            Self::Directory(dir) => Some(dir.join(name)),
            #[cfg(feature = "sim")]
            Self::Held(_) => None,
        }
    }

    /// Reads a file; `None` if there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        #[cfg(feature = "sim")]
        if let Self::Held(disk) = self {
            return Ok(disk.read(name));
        }
        let Some(path) = self.path(name) else { return Ok(None) };
        match read_at_most(&path, FILE_MAX) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(StorageError::new(&path, format!("cannot be read: {e}"))),
        }
    }

    /// Reads a file of secrets; `None` if there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read, is no file but a link, or may be read or written by others.
    pub fn read_private(&self, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        #[cfg(feature = "sim")]
        if let Self::Held(disk) = self {
            return Ok(disk.read(name));
        }
        let Some(path) = self.path(name) else { return Ok(None) };
        let problem = match read_private(&path, FILE_MAX) {
            Ok(bytes) => return Ok(Some(bytes)),
            Err(NotPrivate::Io(e)) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(NotPrivate::Io(e)) => format!("cannot be read: {e}"),
            Err(NotPrivate::Link) => {
                "is a symbolic link, which a file of secrets must not be; put the file itself there"
                    .to_owned()
            }
            Err(NotPrivate::NotAFile) => "is not a file".to_owned(),
            Err(NotPrivate::Mode(mode)) => format!(
                "is open to other users (mode {mode:o}), who may have its keys; if nobody has them, close it: chmod 600 {}",
                path.display()
            ),
        };
        Err(StorageError::new(&path, problem))
    }

    /// Moves a damaged file out of the way, so that it can be looked at later.
    pub(crate) fn set_aside(&self, name: &str) {
        if let Some(path) = self.path(name) {
            set_aside(&path);
        }
    }

    /// Writes a file atomically; `private` makes it readable for its owner alone.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, name: &str, bytes: &[u8], private: bool) -> Result<(), StorageError> {
        #[cfg(feature = "sim")]
        if let Self::Held(disk) = self {
            return disk
                .write(name, bytes)
                .map_err(|e| StorageError::new(Path::new(name), format!("cannot be written: {e}")));
        }
        let Some(path) = self.path(name) else { return Ok(()) };
        write_atomically(&path, bytes, private)
            .map_err(|e| StorageError::new(&path, format!("cannot be written: {e}")))
    }

    /// Stores a RouterInfo under the name that all routers use.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save_router(&self, hash: &RouterHash, raw: &[u8]) -> Result<(), StorageError> {
        let name = router_file(hash);
        if let Some(parent) = self.path(&name).as_deref().and_then(Path::parent) {
            directory::create(parent)
                .map_err(|e| StorageError::new(parent, format!("cannot be made: {e}")))?;
        }
        self.write(&name, raw, false)
    }

    /// Removes a stored RouterInfo.
    pub fn forget_router(&self, hash: &RouterHash) {
        #[cfg(feature = "sim")]
        if let Self::Held(disk) = self {
            disk.remove(&router_file(hash));
        }
        if let Some(path) = self.path(&router_file(hash)) {
            let _ = fs::remove_file(path);
        }
    }

    /// Every stored RouterInfo that parses and has the name of its router; signatures are not checked. What does not
    /// is set aside, and what an earlier call set aside is removed. Also answers how many files that were.
    pub fn routers(&self) -> (Vec<Vec<u8>>, usize) {
        #[cfg(feature = "sim")]
        if let Self::Held(disk) = self {
            return (disk.routers(), 0);
        }
        let (mut good, mut bad) = (Vec::new(), 0);
        let Some(dir) = self.path("netDb") else { return (good, bad) };
        for path in files_below(&dir, |name| Path::new(name).extension().is_some_and(|e| e == BROKEN)) {
            let _ = fs::remove_file(path);
        }
        for path in files_below(&dir, is_router_info) {
            match read_at_most(&path, INFO_MAX) {
                Ok(bytes) if is_named_after(&path, &bytes) => good.push(bytes),
                _ => {
                    set_aside(&path);
                    bad += 1;
                }
            }
        }
        (good, bad)
    }
}

fn router_file(hash: &RouterHash) -> String {
    let name = b64::encode(&hash.0);
    format!("netDb/r{}/routerInfo-{name}.dat", name.get(..1).unwrap_or("A"))
}

fn has_keys(dir: &Path) -> bool {
    ["router.keys", "router.keys.bak"].iter().any(|name| dir.join(name).exists())
}

fn set_aside(path: &Path) {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(BROKEN);
    let _ = fs::rename(path, name);
}

/// Whether a stored RouterInfo can be read and is about the router that its file is named after.
fn is_named_after(path: &Path, bytes: &[u8]) -> bool {
    RouterInfo::from_bytes(bytes).is_ok_and(|info| {
        let name = router_file(&info.hash());
        path.file_name() == Path::new(&name).file_name()
    })
}

fn is_router_info(name: &std::ffi::OsStr) -> bool {
    name == "router.info" || Path::new(name).extension().is_some_and(|e| e == "dat")
}

/// Contents of the RouterInfo files below a directory that an operator gave, in any nesting: `*.dat` and
/// `router.info`, at most 20,000 and 8 levels deep. What is larger than any RouterInfo is passed over (D8).
pub(crate) fn collect_routers(dir: &Path) -> Vec<Vec<u8>> {
    let read = |path: &PathBuf| read_at_most(path, INFO_MAX).ok();
    files_below(dir, is_router_info).iter().filter_map(read).collect()
}

/// Everything but directories below a directory whose name is wanted.
fn files_below(dir: &Path, wanted: impl Fn(&std::ffi::OsStr) -> bool) -> Vec<PathBuf> {
    let (mut found, mut todo) = (Vec::new(), vec![(dir.to_owned(), 0)]);
    while let Some((dir, depth)) = todo.pop() {
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                if depth < DEPTH_MAX {
                    todo.push((entry.path(), depth + 1));
                }
            } else if found.len() < INFOS_MAX && wanted(&entry.file_name()) {
                found.push(entry.path());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
