// SPDX-License-Identifier: MIT
//! The command line: arguments and file to a configuration, a runtime, signals, and an exit code.
//!
//! Exit codes: 0 done, 1 something failed while running, 2 the user has to change something; a line on stderr says
//! what. Nothing of a router lives here: everything goes through the library's public face.

mod access;
mod args;
mod demo;
mod devnet;
mod file;
mod logging;
mod names;
mod run;
mod sam_client;
mod settings;
mod signals;
mod system;
mod users;

use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use samovar::router::{ConfigError, StartError};

use args::{Args, Command};

/// Why a command ended early.
#[derive(Debug)]
enum Failure {
    /// The user has to change something.
    User(String),
    /// Something failed while running.
    Runtime(anyhow::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(text) => f.write_str(text),
            Self::Runtime(error) => write!(f, "{error:#}"),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Runtime(error)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::User(error.to_string())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::User(error.to_string())
    }
}

/// Runs the command that the arguments name.
pub(crate) fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) if error.use_stderr() => return complain(&usage(&error.render().to_string())),
        // Help and version.
        Err(text) => {
            let _ = text.print();
            return ExitCode::SUCCESS;
        }
    };
    let result = match args.command {
        Command::Run(args) => run::main(*args),
        Command::Config => print(&file::default_text()),
        Command::Devnet(args) => devnet::main(&args),
        Command::Demo(args) => demo::main(&args),
        Command::Names(args) => names::main(args),
        Command::SamUsers(args) => users::main(args),
        Command::Version => print(&version()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => complain(&failure),
    }
}

fn complain(failure: &Failure) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "samovar: {failure}");
    ExitCode::from(if matches!(failure, Failure::User(_)) { 2 } else { 1 })
}

/// What is wrong with the arguments, in one line; without any, the whole help.
fn usage(text: &str) -> Failure {
    let Some(problem) = text.strip_prefix("error: ") else {
        return Failure::User(format!("no command\n\n{text}"));
    };
    let mut lines = problem.lines().map(str::trim);
    let first = lines.next().unwrap_or_default().to_owned();
    let tip = lines.find_map(|l| l.strip_prefix("tip: ")).map_or_else(String::new, |tip| format!(" ({tip})"));
    Failure::User(format!("{first}{tip}; `samovar help` tells more"))
}

fn version() -> String {
    let (own, network) = (env!("CARGO_PKG_VERSION"), samovar::router::identity::ROUTER_VERSION);
    format!("samovar {own} (publishes router.version {network}, SAM 3.0 to 3.3)\n")
}

/// Writes to stdout; a reader that has gone (`samovar config | head -1`) is no failure.
fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(anyhow::Error::new(e).into()),
        _ => Ok(()),
    }
}
