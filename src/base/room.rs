// SPDX-License-Identifier: MIT
//! A budget of bytes that many hold shares of: who wants more than is left waits, or goes without.

use super::{Ask, Budget, Charge, Part};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many bytes and no more. Clones are the same budget.
#[derive(Clone, Debug)]
pub struct Room {
    free: Arc<Semaphore>,
    size: u32,
    /// Whose memory it is.
    budget: Option<(Budget, Part)>,
}

/// Part of a [`Room`], given back when dropped.
#[derive(Debug)]
pub struct Share {
    _permit: OwnedSemaphorePermit,
    _charge: Option<Charge>,
}

impl Room {
    /// A budget of `bytes`.
    pub fn new(bytes: u32) -> Self {
        Self { free: Arc::new(Semaphore::new(bytes as usize)), size: bytes, budget: None }
    }

    /// As [`Self::new`], and what is taken counts against the router's budget as well. When that runs short of memory for
    /// datagrams, nothing is given out, and nobody waits for it.
    pub fn of(bytes: u32, budget: &Budget, part: Part) -> Self {
        Self { budget: Some((budget.clone(), part)), ..Self::new(bytes) }
    }

    /// Whether the router's budget has room.
    pub fn is_affordable(&self) -> bool {
        self.budget.as_ref().is_none_or(|(budget, _)| budget.allows(Ask::Datagram))
    }

    fn share(&self, permit: OwnedSemaphorePermit) -> Share {
        let bytes = permit.num_permits();
        Share {
            _permit: permit,
            _charge: self.budget.as_ref().map(|(budget, part)| budget.charge(*part, bytes)),
        }
    }

    /// Waits for `bytes`, first come, first served. More than there ever is counts as all of it. `None` once closed, and
    /// when the router's budget has no room.
    pub async fn take(&self, bytes: usize) -> Option<Share> {
        let permit = Arc::clone(&self.free).acquire_many_owned(self.part(bytes)).await.ok()?;
        self.is_affordable().then(|| self.share(permit))
    }

    /// Takes `bytes` if there are as many now.
    pub fn try_take(&self, bytes: usize) -> Option<Share> {
        let permit = Arc::clone(&self.free).try_acquire_many_owned(self.part(bytes)).ok()?;
        self.is_affordable().then(|| self.share(permit))
    }

    /// How much is taken, in percent.
    pub fn filled_percent(&self) -> u32 {
        let free = u32::try_from(self.free.available_permits()).unwrap_or(u32::MAX);
        100 - u32::try_from(u64::from(free) * 100 / u64::from(self.size.max(1))).unwrap_or(100).min(100)
    }

    fn part(&self, bytes: usize) -> u32 {
        u32::try_from(bytes).unwrap_or(u32::MAX).min(self.size)
    }

    /// Gives nothing out any more; who waits goes without.
    pub fn close(&self) {
        self.free.close();
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.free.is_closed()
    }
}
