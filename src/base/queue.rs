// SPDX-License-Identifier: MIT
//! Bounded queues between tasks, each with a name and a counter of what it refused.

use super::Counter;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Makes queues. All of them are made in `router::assembly`, so that the table of bounds is code.
#[derive(Debug)]
pub struct Queue;

impl Queue {
    /// A queue of at most `bound` items. Senders choose per call whether to wait or to count a loss.
    pub fn bounded<T>(name: &'static str, bound: usize) -> (QueueSender<T>, QueueReceiver<T>) {
        let (tx, rx) = mpsc::channel(bound.max(1));
        let refused = Arc::new(Counter::default());
        (QueueSender { tx, name, refused: refused.clone() }, QueueReceiver { rx })
    }
}

/// Sending end; clones share the bound.
#[derive(Debug)]
pub struct QueueSender<T> {
    tx: mpsc::Sender<T>,
    name: &'static str,
    refused: Arc<Counter>,
}

impl<T> Clone for QueueSender<T> {
    fn clone(&self) -> Self {
        Self { tx: self.tx.clone(), name: self.name, refused: self.refused.clone() }
    }
}

impl<T> QueueSender<T> {
    /// Waits for room: back-pressure. False when the receiver is gone.
    pub async fn send(&self, item: T) -> bool {
        let sent = self.tx.send(item).await.is_ok();
        self.mark();
        sent
    }

    /// Remembers how full the queue has been, for worlds.
    #[cfg_attr(not(feature = "sim"), allow(clippy::unused_self, reason = "worlds alone look at it"))]
    fn mark(&self) {
        #[cfg(feature = "sim")]
        marks::mark(self.name, self.tx.max_capacity(), self.tx.max_capacity() - self.tx.capacity());
    }

    /// Never waits: on a full or closed queue counts a loss and gives the item back.
    ///
    /// # Errors
    /// The item, when there was no room or nobody to take it.
    pub fn try_push(&self, item: T) -> Result<(), T> {
        let pushed = self.tx.try_send(item).map_err(|e| {
            self.refused.inc();
            match e {
                mpsc::error::TrySendError::Full(item) | mpsc::error::TrySendError::Closed(item) => item,
            }
        });
        self.mark();
        pushed
    }

    /// Waits for a slot; `None` when the receiver is gone.
    pub async fn reserve(&self) -> Option<mpsc::Permit<'_, T>> {
        self.tx.reserve().await.ok()
    }

    /// Whether the receiver is gone.
    pub fn is_closed(&self) -> bool {
        self.tx.is_closed()
    }

    /// Waits until the receiver is gone.
    pub async fn closed(&self) {
        self.tx.closed().await;
    }

    /// Free slots now.
    pub fn room(&self) -> usize {
        self.tx.capacity()
    }

    /// The queue's name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// How many items found no room.
    pub fn refused(&self) -> u64 {
        self.refused.get()
    }

    /// The queue's name and the counter of [`Self::refused`], for those who show it. It keeps no queue open.
    pub fn losses(&self) -> (&'static str, Arc<Counter>) {
        (self.name, self.refused.clone())
    }
}

/// Receiving end.
#[derive(Debug)]
pub struct QueueReceiver<T> {
    rx: mpsc::Receiver<T>,
}

impl<T> QueueReceiver<T> {
    /// The next item; `None` when all senders are gone.
    pub async fn recv(&mut self) -> Option<T> {
        self.rx.recv().await
    }

    /// Appends up to `limit` items to `into`, waiting for the first; 0 when all senders are gone.
    pub async fn recv_many(&mut self, into: &mut Vec<T>, limit: usize) -> usize {
        self.rx.recv_many(into, limit).await
    }

    /// The next item if there is one now.
    pub fn try_recv(&mut self) -> Option<T> {
        self.rx.try_recv().ok()
    }
}

/// How full the queues of a world have been. A world lives on one thread, and so does its record.
#[cfg(feature = "sim")]
pub(crate) mod marks {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    thread_local! {
        static MARKS: RefCell<BTreeMap<&'static str, (usize, usize)>> = const { RefCell::new(BTreeMap::new()) };
    }

    /// A queue of this name and bound holds so many items now.
    pub(super) fn mark(name: &'static str, bound: usize, held: usize) {
        MARKS.with_borrow_mut(|marks| {
            let entry = marks.entry(name).or_default();
            *entry = (bound.max(entry.0), held.max(entry.1));
        });
    }

    /// Name, bound and most items at once of every queue that was used on this thread.
    pub(crate) fn read() -> Vec<(&'static str, usize, usize)> {
        MARKS.with_borrow(|marks| marks.iter().map(|(name, (bound, most))| (*name, *bound, *most)).collect())
    }

    /// Begins anew.
    pub(crate) fn clear() {
        MARKS.with_borrow_mut(BTreeMap::clear);
    }
}
