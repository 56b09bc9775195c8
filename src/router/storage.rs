// SPDX-License-Identifier: MIT
//! What a router keeps on disk: its keys, its RouterInfo, the routers it knows, their profiles.
//!
//! Files are written beside their place, flushed and renamed, so that a crash leaves the old or the new and never
//! half of one. Key files are created with mode 0600. A router without a directory keeps everything in memory.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

pub(crate) use crate::base::write_atomically;
use crate::wire::{RouterHash, b64};

#[cfg(feature = "sim")]
mod held;
#[cfg(feature = "sim")]
pub use held::Disk;

/// Largest file that is read back; the largest of ours are profiles, far below.
const FILE_MAX: u64 = 16 << 20;

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
}

impl Storage {
    /// Makes the directory if it is not there and checks that it is ours and can be written.
    ///
    /// # Errors
    /// When it belongs to another user, is open to others, or cannot be written.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StorageError> {
        let path = path.into();
        make_private_dir(&path)?;
        let probe = path.join(".samovar-write-test");
        let written = File::create(&probe).and_then(|mut f| f.write_all(b"test"));
        let _ = fs::remove_file(&probe);
        written.map_err(|e| {
            StorageError::new(&path, format!("cannot be written ({e}); choose another with --data-dir"))
        })?;
        Ok(Self::Directory(path))
    }

    /// Takes the directory for one router; dropping the file gives it back, as does the end of the process.
    ///
    /// # Errors
    /// When another router has it.
    pub fn lock(&self) -> Result<Option<File>, StorageError> {
        let Self::Directory(dir) = self else { return Ok(None) };
        let file = File::create(dir.join("lock")).map_err(|e| {
            StorageError::new(dir, format!("cannot be written ({e}); choose another with --data-dir"))
        })?;
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
        match read_file(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(StorageError::new(&path, format!("cannot be read: {e}"))),
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
            fs::create_dir_all(parent)
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

    /// Every stored RouterInfo, unchecked.
    pub fn routers(&self) -> Vec<Vec<u8>> {
        #[cfg(feature = "sim")]
        if let Self::Held(disk) = self {
            return disk.routers();
        }
        self.path("netDb").map_or_else(Vec::new, |dir| collect_routers(&dir))
    }
}

fn router_file(hash: &RouterHash) -> String {
    let name = b64::encode(&hash.0);
    format!("netDb/r{}/routerInfo-{name}.dat", name.get(..1).unwrap_or("A"))
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let taken = File::open(path)?.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
    if taken as u64 > FILE_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 16 MiB"));
    }
    Ok(bytes)
}

/// RouterInfo files below a directory, in any nesting: `*.dat` and `router.info`, at most 20,000 and 8 levels deep.
pub(crate) fn collect_routers(dir: &Path) -> Vec<Vec<u8>> {
    let (mut found, mut todo) = (Vec::new(), vec![(dir.to_owned(), 0)]);
    while let Some((dir, depth)) = todo.pop() {
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        for entry in entries.flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() && depth < 8 {
                todo.push((path, depth + 1));
            } else if (name == "router.info" || path.extension().is_some_and(|e| e == "dat"))
                && found.len() < 20_000
            {
                found.extend(read_file(&path));
            }
        }
    }
    found
}

#[cfg(unix)]
fn make_private_dir(path: &Path) -> Result<(), StorageError> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};
    if !path.exists() {
        return fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| {
            StorageError::new(path, format!("cannot be made ({e}); choose another with --data-dir"))
        });
    }
    let meta = fs::metadata(path).map_err(|e| StorageError::new(path, e.to_string()))?;
    if !meta.is_dir() {
        return Err(StorageError::new(path, "is not a directory; choose another with --data-dir"));
    }
    // A file of our own making tells who we are without a system call of its own.
    let probe = path.join(".samovar-owner-test");
    let ours = File::create(&probe).and_then(|f| f.metadata()).map(|m| m.uid());
    let _ = fs::remove_file(&probe);
    match ours {
        Err(e) => {
            Err(StorageError::new(path, format!("cannot be written ({e}); choose another with --data-dir")))
        }
        Ok(uid) if uid != meta.uid() => Err(StorageError::new(
            path,
            format!(
                "belongs to user {}, not to you; run as that user or choose another with --data-dir",
                meta.uid()
            ),
        )),
        Ok(_) => Ok(()),
    }
}

#[cfg(not(unix))]
fn make_private_dir(path: &Path) -> Result<(), StorageError> {
    fs::create_dir_all(path)
        .map_err(|e| StorageError::new(path, format!("cannot be made ({e}); choose another with --data-dir")))
}

#[cfg(test)]
mod tests;
