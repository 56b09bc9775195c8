// SPDX-License-Identifier: MIT
//! A value that one task sets and others look at or wait for.
//!
//! As tokio's channel of the same name, with one difference: those who wait are woken in the order in which they began
//! to wait, where tokio's order is random. Worlds must run the same way each time.

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use tokio::sync::Notify;

struct Shared<T> {
    value: RwLock<T>,
    /// Grows by one with each new value.
    version: AtomicU64,
    closed: AtomicBool,
    bell: Notify,
}

/// The sender is gone, and what it set last has been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody sets this value any more")
    }
}

impl std::error::Error for Closed {}

/// The value, locked for reading: not to be held for long, and not over an `await`.
pub struct Ref<'a, T> {
    guard: RwLockReadGuard<'a, T>,
}

impl<T> Deref for Ref<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T: fmt::Debug> fmt::Debug for Ref<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.guard.fmt(f)
    }
}

impl<T> Shared<T> {
    fn read(&self) -> Ref<'_, T> {
        Ref { guard: self.value.read().unwrap_or_else(PoisonError::into_inner) }
    }

    fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

/// Sets the value.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// Looks at the value.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
}

/// A value with both of its ends. The receiver has seen the first value.
pub fn channel<T>(first: T) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        value: RwLock::new(first),
        version: AtomicU64::new(0),
        closed: AtomicBool::new(false),
        bell: Notify::new(),
    });
    (Sender { shared: shared.clone() }, Receiver { shared, seen: 0 })
}

impl<T> Sender<T> {
    /// Sets a new value and returns the old one.
    pub fn send_replace(&self, value: T) -> T {
        let mut slot = self.shared.value.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *slot, value);
        self.shared.version.fetch_add(1, Ordering::AcqRel);
        drop(slot);
        self.shared.bell.notify_waiters();
        old
    }

    /// Lets `change` work on the value; it answers whether it changed anything, as does this.
    pub fn send_if_modified(&self, change: impl FnOnce(&mut T) -> bool) -> bool {
        let mut slot = self.shared.value.write().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut slot);
        if changed {
            self.shared.version.fetch_add(1, Ordering::AcqRel);
        }
        drop(slot);
        if changed {
            self.shared.bell.notify_waiters();
        }
        changed
    }

    /// Lets `change` work on the value, which counts as new then.
    pub fn send_modify(&self, change: impl FnOnce(&mut T)) {
        self.send_if_modified(|value| {
            change(value);
            true
        });
    }

    /// The value as it is.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.shared.read()
    }

    /// Another receiver, which has seen the present value.
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver { shared: self.shared.clone(), seen: self.shared.version() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.bell.notify_waiters();
    }
}

impl<T: fmt::Debug> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sender({:?})", self.borrow())
    }
}

impl<T> Receiver<T> {
    /// The value as it is. A new one stays new.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.shared.read()
    }

    /// The value as it is, which has been seen then.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let value = self.shared.read();
        self.seen = self.shared.version();
        value
    }

    /// Whether there is a value that has not been seen.
    ///
    /// # Errors
    /// When none will come any more.
    pub fn has_changed(&self) -> Result<bool, Closed> {
        if self.shared.is_closed() { Err(Closed) } else { Ok(self.shared.version() != self.seen) }
    }

    /// Makes the present value new.
    pub fn mark_changed(&mut self) {
        self.seen = self.seen.wrapping_sub(1);
    }

    /// Waits for a value that has not been seen; it has been then.
    ///
    /// # Errors
    /// When none will come any more.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        loop {
            // From here on no ringing is missed.
            let rung = self.shared.bell.notified();
            let version = self.shared.version();
            if version != self.seen {
                self.seen = version;
                return Ok(());
            }
            if self.shared.is_closed() {
                return Err(Closed);
            }
            rung.await;
        }
    }

    /// Waits for a value of which `wanted` is true, the present one included.
    ///
    /// # Errors
    /// When none will come any more.
    pub async fn wait_for(&mut self, mut wanted: impl FnMut(&T) -> bool) -> Result<Ref<'_, T>, Closed> {
        loop {
            let closed = self.shared.is_closed();
            let good = wanted(&self.borrow_and_update());
            if good {
                return Ok(self.shared.read());
            }
            if closed {
                return Err(Closed);
            }
            // An end of the sender still leaves its last value to be looked at.
            let _ = self.changed().await;
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), seen: self.seen }
    }
}

impl<T: fmt::Debug> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receiver({:?})", self.borrow())
    }
}
