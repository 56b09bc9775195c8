// SPDX-License-Identifier: MIT
//! The power over a simulated machine's tasks: to let none of them run for a while, or to lose all of them at once.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::task::AbortHandle;

/// Ended tasks are cleared away when there are so many more than after the last time.
const SLACK: usize = 256;

/// One machine. Clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Keeper(Arc<Inner>);

#[derive(Default)]
struct Inner {
    stopped: AtomicBool,
    /// Tasks that were to run meanwhile, in order.
    waiting: Mutex<Vec<Waker>>,
    tasks: Mutex<(Vec<AbortHandle>, usize)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Keeper {
    /// `future`, as it runs on this machine.
    pub(super) fn guard<F>(&self, future: F) -> impl Future<Output = ()> + Send + 'static
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Guarded { machine: self.0.clone(), future: Box::pin(future) }
    }

    /// Remembers a task, to be lost in a crash.
    pub(super) fn keep(&self, task: AbortHandle) {
        let mut tasks = lock(&self.0.tasks);
        tasks.0.push(task);
        if tasks.0.len() > tasks.1 + SLACK {
            tasks.0.retain(|t| !t.is_finished());
            tasks.1 = tasks.0.len();
        }
    }

    /// Lets no task run any more.
    pub(crate) fn stop(&self) {
        self.0.stopped.store(true, Ordering::Relaxed);
    }

    /// Lets them run again, those first that wanted to first.
    pub(crate) fn resume(&self) {
        self.0.stopped.store(false, Ordering::Relaxed);
        let waiting = std::mem::take(&mut *lock(&self.0.waiting));
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Loses every task. What they hold is dropped in the runtime's next turns.
    pub(crate) fn crash(&self) {
        let tasks = std::mem::take(&mut lock(&self.0.tasks).0);
        tasks.iter().for_each(AbortHandle::abort);
        lock(&self.0.waiting).clear();
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keeper(..)")
    }
}

struct Guarded {
    machine: Arc<Inner>,
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Future for Guarded {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.machine.stopped.load(Ordering::Relaxed) {
            lock(&self.machine.waiting).push(cx.waker().clone());
            return Poll::Pending;
        }
        self.future.as_mut().poll(cx)
    }
}
