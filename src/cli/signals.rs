// SPDX-License-Identifier: MIT
//! Ctrl-C and SIGTERM.

use std::io;
use std::time::Duration;

use samovar::base::{Clock, Mono};

/// One wish may come as two signals, to us and to our process group; a person takes longer to press again.
const SAME_WISH: Duration = Duration::from_millis(300);

/// Waits for the user's or the system's wish that we stop.
pub(super) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    /// Taken over and never looked at: by default a file that grows beyond the limit of file sizes ends the process,
    /// where a failed write is enough.
    #[cfg(unix)]
    _file_size: Option<tokio::signal::unix::Signal>,
}

/// SIGXFSZ, the same on all systems that we know.
#[cfg(unix)]
const FILE_SIZE: i32 = 25;

impl Signals {
    /// Takes the signals over from now on.
    ///
    /// # Errors
    /// When the system refuses.
    #[cfg(unix)]
    pub(super) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            _file_size: signal(SignalKind::from_raw(FILE_SIZE)).ok(),
        })
    }

    #[cfg(not(unix))]
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    /// The next signal's name.
    #[cfg(unix)]
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! { biased;
            _ = self.interrupt.recv() => "Ctrl-C",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }

    #[cfg(not(unix))]
    pub(super) async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    }
}

/// Runs an orderly stop, unless a further signal wants the end at once.
pub(super) async fn stop_or_quit(signals: &mut Signals, stop: impl Future<Output = ()>) {
    let clock = Clock::system();
    let again = async {
        loop {
            let name = signals.next().await;
            if clock.now().mono.since(Mono(0)) > SAME_WISH {
                return name;
            }
        }
    };
    tokio::select! { biased;
        name = again => {
            tracing::warn!("{name} again: stopping at once");
            std::process::exit(1);
        }
        () = stop => {}
    }
}
