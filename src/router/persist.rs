// SPDX-License-Identifier: MIT
//! The disk's own task: nobody else waits for a file.
//!
//! What cannot be written (a full disk, a read-only one) is kept, the newest of each file, and tried again after one
//! second, then two, up to a minute; [`Status::disk`](super::status::Status::disk) says why. Limit K4.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::status::StatusBoard;
use super::storage::{Storage, StorageError};
use crate::base::{Clock, QueueReceiver};
use crate::wire::RouterHash;

/// Jobs taken in one turn, so that a burst costs one hand-over to the blocking thread.
const TURN: usize = 256;
/// Files that wait for a disk that refuses: our own and profiles, and routers up to this.
const BACKLOG_MAX: usize = 8192;
/// Refusals in one turn after which the disk is left alone until the next.
const REFUSALS_MAX: usize = 4;
/// Pause after the first failure; doubled after each further one.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Something to write.
#[derive(Debug)]
pub(crate) enum Job {
    /// A router that we know.
    Save(RouterHash, Arc<[u8]>),
    /// A router that we no longer want to know.
    Forget(RouterHash),
    /// The profiles of all routers.
    Profiles(String),
    /// Our own RouterInfo.
    Own(Arc<[u8]>),
}

/// File of the profiles.
pub(crate) const PROFILES: &str = "profiles.txt";
/// File of our RouterInfo, under the name that other routers use as well.
pub(crate) const OWN_INFO: &str = "router.info";

crate::metrics! {
    /// What the disk task counts.
    pub(crate) struct DiskMetrics {
        /// Writes that the disk refused.
        writes_refused: Counter,
        /// Routers that were not saved because too many waited for the disk.
        backlog_dropped: Counter,
    }
}

/// Which file a job is about; a later job takes the place of an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Own,
    Profiles,
    Router(RouterHash),
}

impl Job {
    const fn target(&self) -> Target {
        match self {
            Self::Own(_) => Target::Own,
            Self::Profiles(_) => Target::Profiles,
            Self::Save(hash, _) | Self::Forget(hash) => Target::Router(*hash),
        }
    }

    fn carry_out(&self, storage: &Storage) -> Result<(), StorageError> {
        match self {
            Self::Save(hash, raw) => storage.save_router(hash, raw),
            Self::Forget(hash) => {
                storage.forget_router(hash);
                Ok(())
            }
            Self::Profiles(text) => storage.write(PROFILES, text.as_bytes(), false),
            Self::Own(raw) => storage.write(OWN_INFO, raw, false),
        }
    }
}

/// What waits to be written.
#[derive(Debug, Default)]
struct Backlog(BTreeMap<Target, Job>);

impl Backlog {
    /// Whether it could be taken.
    fn add(&mut self, job: Job) -> bool {
        let target = job.target();
        let room = self.0.len() < BACKLOG_MAX || !matches!(target, Target::Router(_));
        if room || self.0.contains_key(&target) {
            self.0.insert(target, job);
            return true;
        }
        false
    }

    /// Writes until the disk has refused too often; what was refused stays. Answers with the refusals.
    fn write(&mut self, storage: &Storage) -> Vec<StorageError> {
        let mut refusals = Vec::new();
        let mut kept = BTreeMap::new();
        while refusals.len() < REFUSALS_MAX
            && let Some((target, job)) = self.0.pop_first()
        {
            if let Err(error) = job.carry_out(storage) {
                refusals.push(error);
                kept.insert(target, job);
            }
        }
        self.0.append(&mut kept);
        refusals
    }
}

/// Writes until all senders are gone. A full or broken disk costs a warning, not the router.
pub(crate) async fn run(
    storage: Storage,
    mut jobs: QueueReceiver<Job>,
    clock: Clock,
    board: StatusBoard,
    metrics: Arc<DiskMetrics>,
) {
    let mut backlog = Backlog::default();
    let (mut batch, mut pause, mut retry_at) = (Vec::new(), PAUSE_FIRST, None);
    loop {
        let ended = tokio::select! { biased;
            n = jobs.recv_many(&mut batch, TURN) => n == 0,
            () = clock.sleep_until(retry_at), if retry_at.is_some() => false,
        };
        if storage == Storage::Memory {
            batch.clear();
            if ended {
                return;
            }
            continue;
        }
        let dropped = batch.drain(..).map(|job| backlog.add(job)).filter(|taken| !taken).count();
        metrics.backlog_dropped.add(dropped as u64);
        if retry_at.is_some_and(|at| at > clock.now().mono) && !ended {
            continue;
        }
        let (work, refusals) = write(&storage, std::mem::take(&mut backlog)).await;
        backlog = work;
        metrics.writes_refused.add(refusals.len() as u64);
        if let Some(error) = refusals.first() {
            if retry_at.is_none() {
                tracing::warn!(%error, "state is not being saved; the router goes on and tries again");
                board.disk(Some(error.to_string()));
            }
            retry_at = Some(clock.now().mono.after(pause));
            pause = PAUSE_MAX.min(pause.saturating_mul(2));
        } else if retry_at.take().is_some() {
            pause = PAUSE_FIRST;
            tracing::info!("the data directory can be written again; all is saved");
            board.disk(None);
        }
        if ended {
            return;
        }
    }
}

/// Writes on a thread that may wait for the disk. A panic in there costs what was to be written.
async fn write(storage: &Storage, mut work: Backlog) -> (Backlog, Vec<StorageError>) {
    #[cfg(feature = "sim")]
    if let Storage::Held(_) = storage {
        let refusals = work.write(storage);
        return (work, refusals);
    }
    let storage = storage.clone();
    let done = tokio::task::spawn_blocking(move || {
        let refusals = work.write(&storage);
        (work, refusals)
    });
    done.await.unwrap_or_default()
}

#[cfg(test)]
mod tests;
