// SPDX-License-Identifier: MIT
//! Files that must never be half written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes beside the file, flushes to the disk, renames, and flushes the directory.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8], private: bool) -> io::Result<()> {
    let mut temp = path.as_os_str().to_owned();
    temp.push(".new");
    let temp = PathBuf::from(temp);
    let _ = fs::remove_file(&temp);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(if private { 0o600 } else { 0o644 });
    }
    #[cfg(not(unix))]
    let _ = private;
    let mut file = options.open(&temp)?;
    file.write_all(bytes)?;
    if private {
        // Keys must survive a power cut; the rest can be had again from the network.
        file.sync_all()?;
    }
    drop(file);
    fs::rename(&temp, path)?;
    if let (true, Some(parent)) = (private, path.parent()) {
        File::open(parent)
            .and_then(|d| d.sync_all())
            .or_else(|e| if cfg!(unix) { Err(e) } else { Ok(()) })?;
    }
    Ok(())
}
