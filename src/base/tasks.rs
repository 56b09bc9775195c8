// SPDX-License-Identifier: MIT
//! Owned tasks: every spawn is counted, can be cancelled, and is waited for at the end.

use std::future::Future;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The tasks of one router. Clones are the same group.
#[derive(Clone, Debug)]
pub struct Tasks {
    running: Arc<watch::Sender<usize>>,
    token: CancellationToken,
    runtime: Handle,
    #[cfg(feature = "sim")]
    keeper: Option<super::Keeper>,
    /// The task that is to panic next: a failpoint for tests.
    #[cfg(any(test, feature = "sim"))]
    doomed: watch::Sender<&'static str>,
}

/// One task that runs, from the moment it is asked for until everything it owned is gone.
struct Count(Arc<watch::Sender<usize>>);

impl Count {
    fn new(running: &Arc<watch::Sender<usize>>) -> Self {
        running.send_modify(|count| *count = count.saturating_add(1));
        Self(running.clone())
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// Notices a panic while the task's future is dropped.
struct Watch {
    name: &'static str,
    stop: Option<CancellationToken>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(task = self.name, "a task panicked; this is a bug, please report it");
            if let Some(token) = &self.stop {
                token.cancel();
            }
        }
    }
}

impl Tasks {
    /// A new group on the runtime of the caller.
    pub fn new() -> Self {
        Self {
            running: Arc::new(watch::Sender::new(0)),
            token: CancellationToken::new(),
            runtime: Handle::current(),
            #[cfg(feature = "sim")]
            keeper: None,
            #[cfg(any(test, feature = "sim"))]
            doomed: watch::Sender::new(""),
        }
    }

    /// Makes every running task of this name panic. For tests of what a panic costs.
    #[cfg(any(test, feature = "sim"))]
    pub fn doom(&self, name: &'static str) {
        self.doomed.send_replace(name);
    }

    /// Panics when the task is told to.
    #[cfg(any(test, feature = "sim"))]
    #[allow(clippy::panic, reason = "that is what it is for")]
    fn failpoint(&self, name: &'static str) -> impl Future<Output = ()> + Send + use<> {
        let mut doomed = self.doomed.subscribe();
        doomed.mark_unchanged();
        async move {
            loop {
                if doomed.changed().await.is_err() {
                    return std::future::pending().await;
                }
                let next = *doomed.borrow_and_update();
                assert!(next != name, "the failpoint of the task {name}");
            }
        }
    }

    #[cfg(not(any(test, feature = "sim")))]
    #[allow(clippy::unused_self, clippy::missing_const_for_fn, reason = "the other form uses it")]
    fn failpoint(&self, _: &'static str) -> std::future::Pending<()> {
        std::future::pending()
    }

    /// A new group whose tasks a simulated machine may stop or lose.
    #[cfg(feature = "sim")]
    pub(crate) fn kept_by(keeper: Option<super::Keeper>) -> Self {
        Self { keeper, ..Self::new() }
    }

    /// Every task goes through here.
    fn launch<F>(&self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let count = Count::new(&self.running);
        let counted = async move {
            // The order of these lines is the order of the end: first the task with all it owns, then its count.
            future.await;
            drop(count);
        };
        #[cfg(feature = "sim")]
        if let Some(keeper) = &self.keeper {
            let task = self.runtime.spawn(keeper.guard(counted));
            return keeper.keep(task.abort_handle());
        }
        self.runtime.spawn(counted);
    }

    /// Runs `future` until it ends or the group is stopped. A panic in it costs only this task.
    pub fn spawn<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.start(Watch { name, stop: None }, future);
    }

    /// As [`Self::spawn`], but the router cannot do without it: a panic stops the whole group.
    pub fn spawn_core<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.start(Watch { name, stop: Some(self.token.clone()) }, future);
    }

    fn start<F>(&self, watch: Watch, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (token, fails) = (self.token.clone(), self.failpoint(watch.name));
        let guarded = async move {
            let _watch = watch;
            tokio::select! { biased;
                () = token.cancelled() => {}
                () = fails => {}
                () = future => {}
            }
        };
        self.launch(guarded);
    }

    /// Runs `future` without the group's cancellation: it watches [`Self::token`] itself to end in order.
    pub fn spawn_graceful<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let watch = Watch { name, stop: Some(self.token.clone()) };
        let fails = self.failpoint(name);
        let guarded = async move {
            let _watch = watch;
            tokio::select! { biased;
                () = fails => {}
                () = future => {}
            }
        };
        self.launch(guarded);
    }

    /// As [`Self::spawn_graceful`], but a panic in it costs only this task.
    pub fn spawn_orderly<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let fails = self.failpoint(name);
        let guarded = async move {
            let _watch = Watch { name, stop: None };
            tokio::select! { biased;
                () = fails => {}
                () = future => {}
            }
        };
        self.launch(guarded);
    }

    /// Runs `work` on a thread of its own, so that it may take its time; `None` when it panicked.
    ///
    /// Dropping the future forgets the work, it does not stop it: callers bound how much there is at once.
    pub async fn blocking<T, F>(&self, name: &'static str, work: F) -> Option<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let count = Count::new(&self.running);
        let watched = move || {
            let _count = count;
            let _watch = Watch { name, stop: None };
            work()
        };
        #[cfg(feature = "sim")]
        if self.keeper.is_some() {
            // Another thread would come back at a time of its own.
            return Some(watched());
        }
        self.runtime.spawn_blocking(watched).await.ok()
    }

    /// The group's token.
    pub const fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Tells every task to end.
    pub fn stop(&self) {
        self.token.cancel();
    }

    /// Waits until every task has ended; call [`Self::stop`] first.
    pub async fn finished(&self) {
        let mut running = self.running.subscribe();
        // The sender is ours, so the wait cannot end early.
        let _ = running.wait_for(|count| *count == 0).await;
    }

    /// Number of tasks that run.
    pub fn len(&self) -> usize {
        *self.running.borrow()
    }

    /// Whether none run.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}
