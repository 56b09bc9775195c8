// SPDX-License-Identifier: MIT
//! Files that must never be half written (limit K2) and files that nobody else may have touched (limit K1).
//!
//! A write goes beside the file, is flushed, renamed over it, and the directory is flushed: whenever the process or
//! the machine dies, the file is the old or the new one. What was begun beside it is removed by the next write.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Steps of a write; between any two of them the machine may die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The file beside is made.
    Open,
    /// Its first half is written.
    Half,
    /// The rest is written.
    Rest,
    /// It is flushed to the disk.
    Flush,
    /// It takes the file's place.
    Rename,
    /// The directory is flushed.
    FlushDirectory,
}

/// Replaces a file or makes it. A `private` one has mode 0600 from the moment that it exists, and is flushed to the
/// disk, since it must survive a power cut; others can be had again from the network.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8], private: bool) -> io::Result<()> {
    let beside = beside(path);
    let done = write_steps(path, &beside, bytes, private, &mut |_| Ok(()));
    if done.is_err() {
        // On a full disk the half of a file is room that others need.
        let _ = fs::remove_file(&beside);
    }
    done
}

/// Where a file is written before it takes its place.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

fn write_steps(
    path: &Path,
    beside: &Path,
    bytes: &[u8],
    private: bool,
    before: &mut dyn FnMut(Step) -> io::Result<()>,
) -> io::Result<()> {
    before(Step::Open)?;
    let _ = fs::remove_file(beside);
    let mut file = make(beside, private)?;
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    before(Step::Half)?;
    file.write_all(first)?;
    before(Step::Rest)?;
    file.write_all(rest)?;
    before(Step::Flush)?;
    if private {
        file.sync_all()?;
    }
    drop(file);
    before(Step::Rename)?;
    fs::rename(beside, path)?;
    before(Step::FlushDirectory)?;
    if let (true, Some(parent)) = (private, path.parent()) {
        flush_directory(parent)?;
    }
    Ok(())
}

/// A new file; never one that is there already, nor what a link points to.
fn make(path: &Path, private: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(if private { 0o600 } else { 0o644 });
    }
    #[cfg(not(unix))]
    let _ = private;
    options.open(path)
}

fn flush_directory(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let done = File::open(path).and_then(|d| d.sync_all());
    // Only Unix lets a directory be opened and flushed.
    if cfg!(unix) { done } else { Ok(()) }
}

/// Reads at most `max` bytes of a file; more is an error, and so is what is no file: a pipe would be waited for.
pub(crate) fn read_at_most(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
    }
    read_open(File::open(path)?, max)
}

fn read_open(file: File, max: u64) -> io::Result<Vec<u8>> {
    // In a buffer that need not grow: a key file would leave parts of itself behind.
    let size = file.metadata()?.len().min(max);
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0).saturating_add(64));
    let taken = file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if taken as u64 > max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {max} bytes")));
    }
    Ok(bytes)
}

/// Why a file of secrets is not read.
#[derive(Debug)]
pub(crate) enum NotPrivate {
    /// It cannot be read.
    Io(io::Error),
    /// It is a symbolic link.
    Link,
    /// It is a directory, a device or the like.
    NotAFile,
    /// Others may read or write it; these are its permissions.
    Mode(u32),
}

/// Reads a file of secrets that is a file, and its owner's alone.
///
/// # Errors
/// When it is not, or cannot be read; nothing of it has been read then.
pub(crate) fn read_private(path: &Path, max: u64) -> Result<Vec<u8>, NotPrivate> {
    let seen = fs::symlink_metadata(path).map_err(NotPrivate::Io)?;
    if seen.is_symlink() {
        return Err(NotPrivate::Link);
    }
    if !seen.is_file() {
        return Err(NotPrivate::NotAFile);
    }
    let file = File::open(path).map_err(NotPrivate::Io)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let opened = file.metadata().map_err(NotPrivate::Io)?;
        if (opened.dev(), opened.ino()) != (seen.dev(), seen.ino()) {
            return Err(NotPrivate::Link); // put there in between
        }
        if opened.mode() & 0o077 != 0 {
            return Err(NotPrivate::Mode(opened.mode() & 0o777));
        }
    }
    read_open(file, max).map_err(NotPrivate::Io)
}

#[cfg(test)]
mod tests;
