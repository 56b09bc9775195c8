// SPDX-License-Identifier: MIT
//! Logs to stderr.

use std::io::IsTerminal as _;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::Failure;

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
        .with_writer(std::io::stderr);
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init()
        .map_err(|e| anyhow::anyhow!("logging cannot be started: {e}").into())
}
