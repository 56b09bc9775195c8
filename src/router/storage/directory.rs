// SPDX-License-Identifier: MIT
//! The data directory itself: one's own, and closed to others.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use super::StorageError;

/// Whether a file can be made and written there. Leaves nothing behind.
pub(super) fn probe(path: &Path) -> io::Result<()> {
    let probe = path.join(".samovar-write-test");
    let _ = fs::remove_file(&probe);
    let written = File::create_new(&probe).and_then(|mut f| f.write_all(b"test"));
    let _ = fs::remove_file(&probe);
    written
}

/// To open a file for writing, made if need be; whatever the umask, for its owner alone.
pub(super) fn private_options() -> OpenOptions {
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes a directory and those above it, where they are missing; whatever the umask, for their owner alone.
pub(super) fn create(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Makes the directory with mode 0700, or checks the one that is there.
#[cfg(unix)]
pub(super) fn make_private(path: &Path) -> Result<(), StorageError> {
    use std::os::unix::fs::MetadataExt;
    if !path.exists() {
        return create(path).map_err(|e| {
            StorageError::new(path, format!("cannot be made ({e}); choose another with --data-dir"))
        });
    }
    let meta = fs::metadata(path).map_err(|e| StorageError::new(path, e.to_string()))?;
    if !meta.is_dir() {
        return Err(StorageError::new(path, "is not a directory; choose another with --data-dir"));
    }
    if rustix::process::geteuid().as_raw() != meta.uid() {
        let owner = meta.uid();
        let problem = format!(
            "belongs to user {owner}, not to you; run as that user or choose another with --data-dir"
        );
        return Err(StorageError::new(path, problem));
    }
    close_to_others(path, meta.mode() & 0o7777)
}

/// Takes from others what they may do there: everything if it is ours alone, else only to write.
#[cfg(unix)]
fn close_to_others(path: &Path, mode: u32) -> Result<(), StorageError> {
    use std::os::unix::fs::PermissionsExt;
    const STICKY: u32 = 0o1000;
    if mode & (STICKY | 0o022) == STICKY | 0o022 {
        return Err(StorageError::new(path, "is shared by all users; choose another with --data-dir"));
    }
    let closed = mode & if is_ours(path) { !0o077 } else { !0o022 };
    if closed == mode {
        return Ok(());
    }
    match fs::set_permissions(path, fs::Permissions::from_mode(closed)) {
        Ok(()) => {
            tracing::info!(data = %path.display(), "mode of the data directory changed from {mode:o} to {closed:o}");
            Ok(())
        }
        // Where nothing can be written, nobody else can write either.
        Err(e) if e.kind() == io::ErrorKind::ReadOnlyFilesystem => Ok(()),
        Err(e) => Err(StorageError::new(
            path,
            format!("is open to other users (mode {mode:o}) and cannot be closed to them ({e})"),
        )),
    }
}

/// Empty, or with files that only a router makes.
#[cfg(unix)]
fn is_ours(path: &Path) -> bool {
    let empty = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    empty || super::OURS.iter().any(|name| path.join(name).symlink_metadata().is_ok())
}

#[cfg(not(unix))]
pub(super) fn make_private(path: &Path) -> Result<(), StorageError> {
    create(path)
        .map_err(|e| StorageError::new(path, format!("cannot be made ({e}); choose another with --data-dir")))
}
