// SPDX-License-Identifier: MIT
//! Who may use the bridge: users with passwords, asked for in `HELLO` and managed with `AUTH`.
//!
//! Checks are dear on purpose, so they run on a thread of their own, one at a time; the line before it is bounded and
//! an address that guesses is slowed down. A password that was right is remembered as a keyed digest until it has not
//! been used for ten minutes, since programs open a connection for every stream. An unknown name costs what a wrong
//! password costs, and both get the same words. The file is read again when it changes, so that `samovar sam-users` acts
//! on a running router. Limit S4.

mod throttle;
mod users;

pub use users::{NAME_MAX, PASSWORD_MAX, USERS_MAX, Users, UsersError};

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::command::AuthRequest;
use crate::base::{Rng, Tasks};
use crate::crypto::{PasswordHash, PasswordMemory, sha256};
use throttle::{Throttle, Turn};

/// Checks that may wait for their turn, or for the pace of their address.
const WAITING_MAX: usize = 64;
/// How long a right password needs no check after its last use.
const REMEMBERED: Duration = Duration::from_secs(600);

/// What a client hears whose name or password is wrong.
const WRONG: &str = "authorization failed";

/// The gatekeeper of a bridge.
pub(super) struct Access {
    /// Where the users are kept; without a path they go with the bridge.
    path: Option<PathBuf>,
    /// Passwords are asked for whatever the file says: the operator wants it, or other machines reach the bridge.
    forced: bool,
    state: Mutex<State>,
    throttle: Mutex<Throttle>,
    /// One check at a time.
    turn: Semaphore,
    /// What the check of the turn computes in.
    memory: Arc<Mutex<PasswordMemory>>,
    waiting: Semaphore,
    /// Makes the digests of right passwords worthless elsewhere.
    key: Zeroizing<[u8; 32]>,
}

#[derive(Default)]
struct State {
    users: Users,
    /// What the file looked like when it was read.
    stamp: Option<Stamp>,
    /// Digests of passwords that were right, and until when they are believed.
    right: BTreeMap<String, ([u8; 32], Instant)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    /// Every write makes a new file.
    inode: u64,
}

impl Access {
    /// Reads the users. `tries` wrong passwords of an address cost it no time.
    ///
    /// # Errors
    /// When the file is damaged or open to others.
    pub(super) fn new(path: Option<PathBuf>, forced: bool, tries: u32) -> Result<Self, UsersError> {
        let key = Zeroizing::new(Rng::from_os().map_err(|_| UsersError::System)?.bytes());
        let access = Self {
            path,
            forced,
            state: Mutex::default(),
            throttle: Mutex::new(Throttle::new(tries)),
            turn: Semaphore::new(1),
            memory: Arc::default(),
            waiting: Semaphore::new(WAITING_MAX),
            key,
        };
        access.lock().read(access.path.as_ref())?;
        Ok(access)
    }

    /// Asks for passwords whatever the file says.
    pub(super) fn force(&mut self) {
        self.forced = true;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The users as the file has them now.
    fn fresh(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        if let Err(error) = state.read(self.path.as_ref()) {
            tracing::warn!(%error, "the file of SAM users cannot be read; those of before stay");
        }
        state
    }

    /// Whether anybody could pass.
    pub(super) fn has_users(&self) -> bool {
        !self.lock().users.is_empty()
    }

    /// Whether passwords are asked for.
    pub(super) fn required(&self) -> bool {
        // First the file: users may have changed even if the answer is known.
        let wanted = self.fresh().users.required();
        self.forced || wanted
    }

    /// Checks what a client said in `HELLO`.
    ///
    /// # Errors
    /// What the client is told.
    pub(super) async fn check(
        &self,
        tasks: &Tasks,
        address: IpAddr,
        user: Option<&str>,
        password: Option<&Zeroizing<String>>,
    ) -> Result<(), &'static str> {
        if !self.required() {
            return Ok(());
        }
        let (Some(user), Some(password)) = (user, password) else {
            return Err("USER and PASSWORD required");
        };
        let digest = self.digest(user, password);
        if self.remembers(user, &digest) {
            return Ok(());
        }
        let Ok(_place) = self.waiting.try_acquire() else { return Err("too many logins at once, try again") };
        let Ok(mut turn) = self.turn.acquire().await else { return Err(WRONG) };
        let next = self.throttle.lock().unwrap_or_else(PoisonError::into_inner).turn(Instant::now(), address);
        match next {
            _ if self.remembers(user, &digest) => return Ok(()),
            Turn::Now => {}
            Turn::Never => return Err("too many wrong passwords from your address, wait a minute"),
            Turn::At(moment) => {
                drop(turn);
                tokio::time::sleep_until(moment).await;
                let Ok(again) = self.turn.acquire().await else { return Err(WRONG) };
                turn = again;
            }
        }
        let right = self.verify(tasks, user, password.clone(), digest).await;
        if !right {
            let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
            throttle.failed(Instant::now(), address);
        }
        drop(turn);
        if right { Ok(()) } else { Err(WRONG) }
    }

    async fn verify(&self, tasks: &Tasks, user: &str, password: Zeroizing<String>, digest: [u8; 32]) -> bool {
        let known = self.lock().users.hash_of(user).cloned();
        let hash = known.clone().unwrap_or_else(PasswordHash::decoy);
        let memory = self.memory.clone();
        let work = move || {
            let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
            hash.verify(password.as_bytes(), &mut memory)
        };
        let right = tasks.blocking("sam_login", work).await == Some(true);
        let mut state = self.lock();
        // The user may have gone or got another password meanwhile.
        if !right || known.is_none() || state.users.hash_of(user) != known.as_ref() {
            return false;
        }
        let until = Instant::now() + REMEMBERED;
        state.right.insert(user.to_owned(), (digest, until));
        true
    }

    fn digest(&self, user: &str, password: &str) -> [u8; 32] {
        let length = (user.len() as u64).to_be_bytes();
        sha256(&[&*self.key, &length, user.as_bytes(), password.as_bytes()])
    }

    fn remembers(&self, user: &str, digest: &[u8; 32]) -> bool {
        let now = Instant::now();
        let mut state = self.lock();
        let Some((right, until)) = state.right.get_mut(user) else { return false };
        let same = *until > now && bool::from(right.ct_eq(digest));
        if same {
            *until = now + REMEMBERED;
        }
        same
    }

    /// Does what an `AUTH` command says, on a thread of its own: hashes and disks take their time.
    ///
    /// # Errors
    /// What the client is told.
    pub(super) async fn manage(self: &Arc<Self>, tasks: &Tasks, request: AuthRequest) -> Result<(), String> {
        let Ok(_place) = self.waiting.try_acquire() else {
            return Err("too much at once, try again".to_owned());
        };
        let Ok(_turn) = self.turn.acquire().await else { return Err("the bridge is closing".to_owned()) };
        let access = self.clone();
        let work = move || access.obey(&request);
        tasks.blocking("sam_auth", work).await.unwrap_or_else(|| Err(UsersError::System.to_string()))
    }

    fn obey(&self, request: &AuthRequest) -> Result<(), String> {
        let words = |error: UsersError| error.to_string();
        match request {
            AuthRequest::Enable => self.change(|users| {
                if users.is_empty() {
                    return Err("there is no user, so nobody could come in; AUTH ADD one first".to_owned());
                }
                users.set_required(true);
                Ok(())
            }),
            AuthRequest::Disable if self.forced => {
                Err("the configuration of the router asks for passwords; they stay".to_owned())
            }
            AuthRequest::Disable => self.change(|users| {
                users.set_required(false);
                Ok(())
            }),
            AuthRequest::Remove { user } => self.change(|users| users.remove(user).map_err(words)),
            AuthRequest::Add { user, password } => {
                if self.fresh().users.hash_of(user).is_some() {
                    return Err(words(UsersError::Exists));
                }
                let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
                let hash = users::hash(user, password, &mut memory).map_err(words)?;
                drop(memory);
                self.change(|users| users.insert(user, hash).map_err(words))
            }
        }
    }

    /// Changes the users here and on the disk, or neither.
    fn change(&self, change: impl FnOnce(&mut Users) -> Result<(), String>) -> Result<(), String> {
        let mut users = self.fresh().users.clone();
        change(&mut users)?;
        // Without the lock, which logins wait for; changes come one at a time.
        if let Some(path) = &self.path
            && let Err(error) = users.save(path)
        {
            // The path is nothing for clients.
            tracing::error!(%error, "the file of SAM users cannot be written");
            return Err("the change cannot be stored; the log of the router says why".to_owned());
        }
        let mut state = self.lock();
        state.users = users;
        state.right.clear();
        state.stamp = self.path.as_ref().and_then(stamp);
        Ok(())
    }
}

impl State {
    /// Reads the file if it has changed.
    fn read(&mut self, path: Option<&PathBuf>) -> Result<(), UsersError> {
        let Some(path) = path else { return Ok(()) };
        let stamp = stamp(path);
        if stamp == self.stamp {
            return Ok(());
        }
        // Remembered even if it is damaged, so that it is complained about once.
        let again = self.stamp.is_some();
        self.stamp = stamp;
        self.users = Users::load(path)?;
        self.right.clear();
        if again {
            let users = self.users.names().count();
            tracing::info!(users, auth = self.users.required(), "the file of SAM users has changed");
        }
        Ok(())
    }
}

fn stamp(path: &PathBuf) -> Option<Stamp> {
    let meta = std::fs::symlink_metadata(path).ok()?;
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(&meta);
    #[cfg(not(unix))]
    let inode = 0;
    Some(Stamp { modified: meta.modified().ok(), length: meta.len(), inode })
}

#[cfg(test)]
mod tests;
