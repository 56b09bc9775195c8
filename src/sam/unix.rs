// SPDX-License-Identifier: MIT
//! The Unix-domain socket: a way in for programs of chosen users on this machine.
//!
//! Who may enter is asked of the kernel for every connection: the user that the router runs as, root, and those of a
//! list. The file is open to its owner alone unless there is such a list. A socket that a dead router left behind is
//! taken over; a living one, or a file of another kind, never.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use super::server::SamError;
use super::socket::Origin;

/// Clients that the system holds until they are accepted.
const BACKLOG: i32 = 1024;

/// Where the Unix-domain socket is and who may use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixSocket {
    /// Its path. The directory must exist and be closed to others, or sticky as `/tmp` is.
    pub path: PathBuf,
    /// Users, by number, that may enter besides our own and root. Default: none.
    pub users: Vec<u32>,
}

/// The listener. Dropping it removes the file.
pub(super) struct UnixDoor {
    listener: UnixListener,
    socket: UnixSocket,
    own: u32,
    /// Device and inode of our file, so that nobody else's is removed.
    file: (u64, u64),
}

impl UnixDoor {
    /// Makes the socket.
    ///
    /// # Errors
    /// When the path is taken, too long, or in a directory that others may write to.
    pub(super) fn open(socket: &UnixSocket) -> Result<Self, SamError> {
        let refuse = |problem: String| SamError::Unix(socket.path.clone(), problem);
        let own = rustix::process::geteuid().as_raw();
        check_directory(&socket.path, own).map_err(refuse)?;
        clear(&socket.path).map_err(refuse)?;
        let (listener, file) = bind(socket).map_err(|error| refuse(explain(&error)))?;
        Ok(Self { listener, socket: socket.clone(), own, file })
    }

    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }

    /// Whether the user at the other end may enter; else what that one is told.
    pub(super) fn judge(&self, stream: &UnixStream) -> Result<Origin, String> {
        let uid = match stream.peer_cred() {
            Ok(peer) => peer.uid(),
            Err(error) => {
                tracing::warn!(%error, "the user of a SAM client cannot be told: refused");
                return Err("your user cannot be told".to_owned());
            }
        };
        if uid == self.own || uid == 0 || self.socket.users.contains(&uid) {
            tracing::debug!(uid, "SAM client on the Unix socket");
            return Ok(Origin::Unix(uid));
        }
        tracing::warn!(uid, "a user that may not use the SAM socket was refused");
        Err(format!("user {uid} may not use this socket"))
    }
}

impl Drop for UnixDoor {
    fn drop(&mut self) {
        let path = &self.socket.path;
        if fs::symlink_metadata(path).is_ok_and(|meta| (meta.dev(), meta.ino()) == self.file) {
            let _ = fs::remove_file(path);
        }
    }
}

/// The directory must not let other users put something else in the socket's place.
fn check_directory(path: &Path, own: u32) -> Result<(), String> {
    const STICKY: u32 = 0o1000;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let meta = fs::metadata(parent).map_err(|error| {
        format!("its directory cannot be used ({error}); make {} first", parent.display())
    })?;
    if !meta.is_dir() {
        return Err(format!("{} is not a directory", parent.display()));
    }
    let open = meta.mode() & 0o022 != 0 && meta.mode() & STICKY == 0;
    if open || (meta.uid() != own && meta.uid() != 0) {
        let parent = parent.display();
        return Err(format!("other users may change {parent}; take a directory that is yours alone"));
    }
    Ok(())
}

/// Removes a socket that nobody answers on.
fn clear(path: &Path) -> Result<(), String> {
    let meta = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(explain(&error)),
        Ok(meta) => meta,
    };
    if !meta.file_type().is_socket() {
        return Err("is there already and is no socket; choose another path".to_owned());
    }
    let probe = || -> io::Result<()> {
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
        // A listener whose queue is full must not make us wait.
        socket.set_nonblocking(true)?;
        socket.connect(&socket2::SockAddr::unix(path)?)
    };
    match probe() {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            tracing::info!(path = %path.display(), "a SAM socket without a router behind it is replaced");
            fs::remove_file(path).map_err(|error| explain(&error))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err("belongs to another user; choose another path".to_owned())
        }
        Ok(()) | Err(_) => Err("is in use by another program; choose another path".to_owned()),
    }
}

/// Binds and sets the permissions before the first client can connect.
fn bind(socket: &UnixSocket) -> io::Result<(UnixListener, (u64, u64))> {
    let raw = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    raw.set_nonblocking(true)?;
    raw.bind(&socket2::SockAddr::unix(&socket.path)?)?;
    // Those of the list must get as far as the kernel's word about them.
    let mode = if socket.users.is_empty() { 0o600 } else { 0o666 };
    let listen = || {
        fs::set_permissions(&socket.path, fs::Permissions::from_mode(mode))?;
        raw.listen(BACKLOG)?;
        fs::symlink_metadata(&socket.path).map(|meta| (meta.dev(), meta.ino()))
    };
    let file = match listen() {
        Ok(file) => file,
        Err(error) => {
            let _ = fs::remove_file(&socket.path);
            return Err(error);
        }
    };
    let listener = UnixListener::from_std(std::os::unix::net::UnixListener::from(raw))?;
    Ok((listener, file))
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "is in use by another program; choose another path".to_owned(),
        io::ErrorKind::InvalidInput => "is too long for a socket, which takes about 100 bytes".to_owned(),
        _ => format!("cannot be made: {error}"),
    }
}
