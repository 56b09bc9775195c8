// SPDX-License-Identifier: MIT
//! Logs to stderr, at most so many lines a second from one place in the code.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};

use samovar::base::Clock;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Filter, Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use super::Failure;

/// Lines of one place in a second. Those of the levels `debug` and `trace` are not counted.
const LINES_MAX: u32 = 10;

/// Starts logging: by the flag, else by RUST_LOG, else by `fallback`.
///
/// # Errors
/// When a filter cannot be read; the line says where it came from.
pub(super) fn start(flag: Option<&str>, fallback: &str) -> Result<(), Failure> {
    let variable = std::env::var("RUST_LOG").ok().filter(|v| !v.is_empty());
    let (name, text) = match (flag, variable.as_deref()) {
        (Some(flag), _) => ("--log", flag),
        (None, Some(variable)) => ("RUST_LOG", variable),
        (None, None) => ("log", fallback),
    };
    let filter: Targets =
        text.parse().map_err(|e| Failure::User(format!("{name}: {text:?} is not a log filter: {e}")))?;
    let detailed = text.contains("debug") || text.contains("trace");
    let lines = tracing_subscriber::fmt::layer()
        .with_target(detailed)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .with_filter(Pace { clock: Clock::system(), sites: Mutex::default() });
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init()
        .map_err(|e| anyhow::anyhow!("logging cannot be started: {e}").into())
}

/// What one place has said in its present second.
#[derive(Default)]
struct Site {
    second: u64,
    lines: u32,
}

/// Lets [`LINES_MAX`] lines a second of each place pass, and says how many it kept back.
struct Pace {
    clock: Clock,
    sites: Mutex<BTreeMap<(&'static str, u32), Site>>,
}

impl Pace {
    /// Whether a line of this place may be written in this second, and how many were kept back before it.
    fn take(&self, place: (&'static str, u32), second: u64) -> (bool, u32) {
        let mut sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        let site = sites.entry(place).or_default();
        let mut kept_back = 0;
        if site.second != second {
            kept_back = site.lines.saturating_sub(LINES_MAX);
            *site = Site { second, lines: 0 };
        }
        site.lines = site.lines.saturating_add(1);
        (site.lines <= LINES_MAX, kept_back)
    }
}

impl<S: Subscriber> Filter<S> for Pace {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO {
            return true;
        }
        let place = (metadata.file().unwrap_or_default(), metadata.line().unwrap_or_default());
        let (passes, kept_back) = self.take(place, self.clock.now().mono.0 / 1_000_000);
        if kept_back > 0 {
            let _ = writeln!(std::io::stderr(), "{kept_back} lines like the next one were left out");
        }
        passes
    }
}

#[cfg(test)]
mod tests;
