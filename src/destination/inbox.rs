// SPDX-License-Identifier: MIT
//! What came for a destination out of its tunnels and was not looked at yet.
//!
//! The plane puts batches in and never waits; the destination's task takes them. Bounded by [`BATCHES`] and by [`BYTES`],
//! so that a flood at one destination costs the router no more than that; what is over is dropped by the plane, which
//! counts it. The bytes count in the router's budget of memory. Design: limits 3.1, Z3.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::base::{Budget, Charge, Part, Queue, QueueReceiver, QueueSender};
use crate::tunnel::task::PoolSink;
use crate::wire::I2np;

/// Batches that wait.
const BATCHES: usize = 512;
/// Bytes that wait, what is on them included.
const BYTES: usize = 8 << 20;
/// What a message takes besides its body.
const MESSAGE: usize = 64;

/// The plane's end.
#[derive(Clone, Debug)]
pub(crate) struct Inbox {
    queue: QueueSender<Arrivals>,
    held: Arc<AtomicUsize>,
    budget: Budget,
}

/// A batch, whose bytes count until it is taken apart.
#[derive(Debug)]
pub(crate) struct Arrivals {
    messages: Vec<I2np>,
    _held: Held,
}

#[derive(Debug)]
struct Held {
    bytes: usize,
    all: Arc<AtomicUsize>,
    _charge: Charge,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Arrivals {
    /// What came.
    pub(crate) fn into_messages(self) -> Vec<I2np> {
        self.messages
    }
}

/// A new inbox and the end that its destination keeps.
pub(crate) fn inbox(budget: &Budget) -> (Inbox, QueueReceiver<Arrivals>) {
    let (queue, receiver) = Queue::bounded("plane_to_destination", BATCHES);
    (Inbox { queue, held: Arc::default(), budget: budget.clone() }, receiver)
}

impl PoolSink for Inbox {
    fn push(&self, messages: Vec<I2np>) -> usize {
        let bytes = messages.iter().map(|m| m.body.len().saturating_add(MESSAGE)).sum();
        // The plane alone puts in: nobody can come between the look and the sum. A batch of any size fits when none waits.
        let held = self.held.load(Ordering::Relaxed);
        if held > 0 && held.saturating_add(bytes) > BYTES {
            return messages.len();
        }
        self.held.fetch_add(bytes, Ordering::Relaxed);
        let charge = self.budget.charge(Part::Garlic, bytes);
        let held = Held { bytes, all: self.held.clone(), _charge: charge };
        self.queue
            .try_push(Arrivals { messages, _held: held })
            .map_or_else(|lost| lost.messages.len(), |()| 0)
    }
}

#[cfg(test)]
mod tests;
