// SPDX-License-Identifier: MIT
//! What the command needs of the machine: a runtime, files, a place for data.

use std::path::PathBuf;

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};

use super::Failure;

/// `$XDG_DATA_HOME/samovar` or `~/.local/share/samovar`.
pub(super) fn default_data_dir() -> Option<PathBuf> {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let base = from("XDG_DATA_HOME").or_else(|| from("HOME").map(|home| home.join(".local/share")))?;
    Some(base.join("samovar"))
}

/// One thread by default: a wake across threads costs more than most messages do.
pub(super) fn runtime(threads: usize) -> Result<Runtime, Failure> {
    let mut builder = if threads <= 1 {
        Builder::new_current_thread()
    } else {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(threads);
        builder
    };
    Ok(builder.enable_all().build().context("the runtime cannot be started")?)
}

/// Every link and every SAM connection is an open file, and the usual limit of 1024 is for other programs. Answers with
/// how many files the process may have open then, if that is limited.
#[cfg(unix)]
pub(super) fn raise_file_limit() -> Option<usize> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const WANTED: u64 = 65_536;
    let limit = getrlimit(Resource::Nofile);
    let best = limit.maximum.map_or(WANTED, |max| max.min(WANTED));
    let mut current = limit.current;
    if current.is_some_and(|now| now < best) {
        let raised = Rlimit { current: Some(best), maximum: limit.maximum };
        match setrlimit(Resource::Nofile, raised) {
            Ok(()) => {
                current = Some(best);
                tracing::debug!(files = best, "limit of open files raised");
            }
            Err(e) => tracing::warn!("the limit of open files cannot be raised: {e}"),
        }
    }
    current.map(|files| usize::try_from(files).unwrap_or(usize::MAX))
}

#[cfg(not(unix))]
pub(super) fn raise_file_limit() -> Option<usize> {
    None
}

/// Keeps keys out of core files: a crash writes none, and where the system has a say (Linux) no other process of the
/// same user can look into this one. Call it before there are keys. Answers what could not be done, for the log.
#[cfg(unix)]
pub(super) fn refuse_core_dumps() -> Option<String> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    // The hard limit as well: nothing that runs later can raise it again.
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let limited = setrlimit(Resource::Core, none).map_err(|e| format!("RLIMIT_CORE: {e}"));
    #[cfg(target_os = "linux")]
    let limited = limited.and_then(|()| {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|e| format!("PR_SET_DUMPABLE: {e}"))
    });
    limited.err()
}

#[cfg(not(unix))]
pub(super) fn refuse_core_dumps() -> Option<String> {
    None
}

/// The terminal shows nothing of what is typed until this is dropped.
#[cfg(unix)]
pub(super) struct Unseen(Option<rustix::termios::Termios>);

#[cfg(unix)]
impl Unseen {
    pub(super) fn start() -> Self {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let before = tcgetattr(std::io::stdin()).ok();
        if let Some(mut quiet) = before.clone() {
            quiet.local_modes.remove(LocalModes::ECHO);
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &quiet);
        }
        Self(before)
    }
}

#[cfg(unix)]
impl Drop for Unseen {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ =
                rustix::termios::tcsetattr(std::io::stdin(), rustix::termios::OptionalActions::Flush, before);
        }
    }
}

/// Here the terminal cannot be told.
#[cfg(not(unix))]
pub(super) struct Unseen;

#[cfg(not(unix))]
impl Unseen {
    pub(super) fn start() -> Self {
        Self
    }
}
