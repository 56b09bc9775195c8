// SPDX-License-Identifier: MIT
//! The simulated machine that a router may run on: its disk, the power over its tasks, and what the router does against
//! the rules. Only worlds (`sim`) make one.

use std::sync::Arc;

use super::api::{Router, StartError};
use super::storage::{Disk, Storage};
use crate::base::{Clock, Keeper, Misdeeds, Tasks};
use crate::sam::SamServer;

/// See the module. The default is no machine: a router as any other.
#[derive(Clone, Default)]
pub(crate) struct Machine {
    pub(crate) disk: Option<Disk>,
    pub(crate) keeper: Option<Keeper>,
    pub(crate) misdeeds: Option<Arc<Misdeeds>>,
}

impl Machine {
    pub(super) fn storage(&self) -> Option<Storage> {
        self.disk.clone().map(Storage::Held)
    }

    pub(super) fn tasks(&self) -> Tasks {
        Tasks::kept_by(self.keeper.clone())
    }
}

impl Router {
    /// Tasks that run for this router, those of its sessions, connections and disk included.
    pub fn tasks(&self) -> usize {
        self.inner.tasks.len() + self.inner.disk_tasks.len()
    }

    /// Opens the SAM bridge, for programs on the machine itself.
    pub(crate) async fn open_sam(&self) -> Result<SamServer, StartError> {
        super::sam_start::open(self).await
    }

    /// Bytes of the memory budget in use, and the whole of it.
    pub(crate) fn memory(&self) -> (u64, u64) {
        (self.inner.budget.used(), self.inner.budget.max())
    }

    /// The router's clocks.
    pub(crate) fn clock(&self) -> &Clock {
        &self.inner.clock
    }
}
