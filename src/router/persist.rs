// SPDX-License-Identifier: MIT
//! The disk's own task: nobody else waits for a file.

use std::sync::Arc;

use super::storage::{Storage, StorageError};
use crate::base::QueueReceiver;
use crate::wire::RouterHash;

/// Jobs taken in one turn, so that a burst costs one hand-over to the blocking thread.
const TURN: usize = 256;

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

fn carry_out(storage: &Storage, job: &Job) -> Result<(), StorageError> {
    match job {
        Job::Save(hash, raw) => storage.save_router(hash, raw),
        Job::Forget(hash) => {
            storage.forget_router(hash);
            Ok(())
        }
        Job::Profiles(text) => storage.write(PROFILES, text.as_bytes(), false),
        Job::Own(raw) => storage.write(OWN_INFO, raw, false),
    }
}

/// Writes until all senders are gone. A full or broken disk costs a warning, not the router.
pub(crate) async fn run(storage: Storage, mut jobs: QueueReceiver<Job>) {
    let mut failing = false;
    let mut batch = Vec::new();
    while jobs.recv_many(&mut batch, TURN).await > 0 {
        if storage == Storage::Memory {
            batch.clear();
            continue;
        }
        match write(&storage, std::mem::take(&mut batch)).await {
            Some(None) if failing => {
                failing = false;
                tracing::info!("the data directory can be written again");
            }
            Some(Some(error)) if !failing => {
                failing = true;
                tracing::warn!(%error, "state is not being saved; the router goes on");
            }
            _ => {}
        }
    }
}

/// Writes on a thread that may wait for the disk, and answers with the first error; `None` when the thread panicked.
async fn write(storage: &Storage, work: Vec<Job>) -> Option<Option<StorageError>> {
    #[cfg(feature = "sim")]
    if let Storage::Held(_) = storage {
        return Some(work.iter().map(|job| carry_out(storage, job)).find_map(Result::err));
    }
    let storage = storage.clone();
    let done = tokio::task::spawn_blocking(move || {
        work.iter().map(|job| carry_out(&storage, job)).find_map(Result::err)
    });
    done.await.ok()
}
