// SPDX-License-Identifier: MIT
//! The file of users: names, hashes of their passwords, and whether they are asked for.
//!
//! Text, one user a line, so that it can be looked at and restored by hand. It is written as a whole beside its place
//! and renamed, with mode 0600; one that others may read or write is not believed.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::base::{Rng, write_atomically};
use crate::crypto::{PasswordHash, PasswordMemory};

/// Most users.
pub const USERS_MAX: usize = 1000;
/// Longest name, in bytes.
pub const NAME_MAX: usize = 64;
/// Longest password, in bytes: a line before `HELLO` is answered has 1024.
pub const PASSWORD_MAX: usize = 512;

/// Largest file that is read.
const FILE_MAX: u64 = 1 << 20;
/// The first line of a file, and how it goes on.
const HEADER: &str = "samovar-sam-users 1 auth=";

/// Those who may use the bridge.
#[derive(Clone, Debug, Default)]
pub struct Users {
    required: bool,
    hashes: BTreeMap<String, PasswordHash>,
}

/// Why the users cannot be changed, read or written; says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UsersError {
    /// The name is taken.
    Exists,
    /// Nobody has the name.
    Missing,
    /// The name is empty, too long, or has odd characters.
    Name,
    /// The password is empty or too long.
    Password,
    /// There are too many users.
    Full,
    /// The system gives no randomness or memory.
    System,
    /// The file cannot be used.
    File(PathBuf, String),
}

impl fmt::Display for UsersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists => f.write_str("user exists"),
            Self::Missing => f.write_str("user not found"),
            Self::Name => {
                write!(f, "a user name has 1 to {NAME_MAX} bytes, no colon and no control characters")
            }
            Self::Password => write!(f, "a password has 1 to {PASSWORD_MAX} bytes"),
            Self::Full => write!(f, "there are {USERS_MAX} users already"),
            Self::System => f.write_str("the system gives no random numbers or no memory"),
            Self::File(path, problem) => write!(f, "{}: {problem}", path.display()),
        }
    }
}

impl std::error::Error for UsersError {}

impl Users {
    /// Reads the file; one that is not there has nobody in it.
    ///
    /// # Errors
    /// When it is damaged, or open to other users of the machine.
    pub fn load(path: &Path) -> Result<Self, UsersError> {
        let bad = |problem: String| UsersError::File(path.to_owned(), problem);
        match read(path) {
            Ok(text) => Self::parse(&text).map_err(bad),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(bad(error.to_string())),
        }
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save(&self, path: &Path) -> Result<(), UsersError> {
        write_atomically(path, self.to_text().as_bytes(), true)
            .map_err(|error| UsersError::File(path.to_owned(), format!("cannot be written: {error}")))
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        let required = match lines.next().and_then(|line| line.strip_prefix(HEADER)) {
            Some("on") => true,
            Some("off") => false,
            _ => return Err(format!("is no file of users; the first line should be {HEADER}on")),
        };
        let mut users = Self { required, hashes: BTreeMap::new() };
        for (number, line) in (2..).zip(lines) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let parts = line.split_once(':').filter(|(name, _)| is_name(name));
            let user = parts.and_then(|(name, hash)| Some((name.to_owned(), PasswordHash::parse(hash)?)));
            let Some((name, hash)) = user else {
                return Err(format!("line {number} is damaged; restore or remove it"));
            };
            if users.hashes.insert(name, hash).is_some() || users.hashes.len() > USERS_MAX {
                return Err(format!("line {number} is one user too many"));
            }
        }
        Ok(users)
    }

    pub(crate) fn to_text(&self) -> String {
        let mut text = format!("{HEADER}{}\n", if self.required { "on" } else { "off" });
        text.push_str(
            "# Users of the SAM bridge; `samovar sam-users` and AUTH commands of SAM change them.\n",
        );
        for (name, hash) in &self.hashes {
            text.push_str(&format!("{name}:{}\n", hash.to_text()));
        }
        text
    }

    /// Adds a user. Takes the time of a hash, about 20 ms.
    ///
    /// # Errors
    /// When the name is taken or not fit, or the password is not.
    pub fn add(&mut self, name: &str, password: &str) -> Result<(), UsersError> {
        let hash = hash(name, password, &mut PasswordMemory::default())?;
        self.insert(name, hash)
    }

    /// Gives a user another password.
    ///
    /// # Errors
    /// When there is no such user, or the password is not fit.
    pub fn set_password(&mut self, name: &str, password: &str) -> Result<(), UsersError> {
        let slot = self.hashes.get_mut(name).ok_or(UsersError::Missing)?;
        *slot = hash(name, password, &mut PasswordMemory::default())?;
        Ok(())
    }

    pub(super) fn insert(&mut self, name: &str, hash: PasswordHash) -> Result<(), UsersError> {
        if self.hashes.contains_key(name) {
            return Err(UsersError::Exists);
        }
        if self.hashes.len() >= USERS_MAX {
            return Err(UsersError::Full);
        }
        self.hashes.insert(name.to_owned(), hash);
        Ok(())
    }

    /// Removes a user.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn remove(&mut self, name: &str) -> Result<(), UsersError> {
        self.hashes.remove(name).map(|_| ()).ok_or(UsersError::Missing)
    }

    /// Asks for passwords from now on, or no more.
    pub fn set_required(&mut self, required: bool) {
        self.required = required;
    }

    /// Whether passwords are asked for.
    pub fn required(&self) -> bool {
        self.required
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.hashes.keys().map(String::as_str)
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    pub(super) fn hash_of(&self, name: &str) -> Option<&PasswordHash> {
        self.hashes.get(name)
    }
}

/// The hash of a new password, once name and password have been found fit.
pub(super) fn hash(
    name: &str,
    password: &str,
    memory: &mut PasswordMemory,
) -> Result<PasswordHash, UsersError> {
    if !is_name(name) {
        return Err(UsersError::Name);
    }
    if password.is_empty() || password.len() > PASSWORD_MAX {
        return Err(UsersError::Password);
    }
    let salt = Rng::from_os().map_err(|_| UsersError::System)?.bytes();
    PasswordHash::new(password.as_bytes(), salt, memory).ok_or(UsersError::System)
}

fn is_name(name: &str) -> bool {
    (1..=NAME_MAX).contains(&name.len())
        && !name.starts_with('#')
        && !name.chars().any(|c| c.is_control() || c == ':')
}

/// Reads a file that is ours alone.
fn read(path: &Path) -> io::Result<String> {
    let refuse = |problem: &str| io::Error::other(problem.to_owned());
    if fs::symlink_metadata(path)?.file_type().is_symlink() {
        return Err(refuse("is a link; put the file itself there"));
    }
    let file = File::open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            return Err(refuse("is open to other users of this machine; close it with chmod 600"));
        }
    }
    let mut text = String::new();
    file.take(FILE_MAX).read_to_string(&mut text)?;
    Ok(text)
}
