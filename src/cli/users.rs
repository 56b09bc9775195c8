// SPDX-License-Identifier: MIT
//! `samovar sam-users`: who may use the SAM bridge, whether a router runs or not.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args as ClapArgs, Subcommand};
use samovar::router::{RouterConfig, SAM_USERS_FILE};
use samovar::sam::{PASSWORD_MAX, Users, UsersError};
use zeroize::Zeroizing;

use super::{Failure, file, print, system};

const AFTER: &str = "\
Examples:
  samovar sam-users add joe            asks for the password twice
  pass show sam | samovar sam-users add joe
                                       takes the first line of standard input
  samovar sam-users enable             passwords are asked for from now on, as `AUTH ENABLE` in SAM does
  samovar run --sam 0.0.0.0:7656 --sam-auth
                                       a bridge for other machines; --sam-tls encrypts what they say

Passwords are kept as argon2id hashes in the file sam-users of the data directory. A running router takes changes
over at the next HELLO; connections that are open stay open.";

#[derive(Debug, ClapArgs)]
#[command(after_help = AFTER)]
pub(super) struct UsersArgs {
    /// The router's data directory [default: as in `samovar run`].
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,

    /// The router's configuration file, for its data directory.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,

    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add a user; the password comes from the terminal or from standard input.
    Add {
        /// Name, as USER= in HELLO will have it.
        name: String,
    },
    /// Give a user another password.
    Password {
        /// Name of the user.
        name: String,
    },
    /// Remove a user.
    Remove {
        /// Name of the user.
        name: String,
    },
    /// Print the users, one a line.
    List,
    /// Ask for passwords from now on.
    Enable,
    /// Ask for passwords no more, unless `sam-auth` or an address for other machines asks for them.
    Disable,
}

impl From<UsersError> for Failure {
    fn from(error: UsersError) -> Self {
        Self::User(error.to_string())
    }
}

pub(super) fn main(args: UsersArgs) -> Result<(), Failure> {
    let dir = data_dir(args.data_dir, args.config.as_deref())?;
    let path = dir.join(SAM_USERS_FILE);
    let mut users = Users::load(&path)?;
    let done = match args.action {
        Action::List => return print(&list(&users)),
        Action::Add { name } => {
            if users.names().any(|known| known == name) {
                let advice =
                    format!("{name}: user exists; `samovar sam-users password {name}` changes the password");
                return Err(Failure::User(advice));
            }
            users.add(&name, &ask_password()?)?;
            format!("user {name} added{}\n", hint(&users))
        }
        Action::Password { name } => {
            if !users.names().any(|known| known == name) {
                return Err(Failure::User(format!("{name}: {}", UsersError::Missing)));
            }
            users.set_password(&name, &ask_password()?)?;
            format!("user {name} has another password\n")
        }
        Action::Remove { name } => {
            users.remove(&name).map_err(|error| Failure::User(format!("{name}: {error}")))?;
            let last =
                if users.is_empty() && users.required() { "; nobody is left who could log in" } else { "" };
            format!("user {name} removed{last}\n")
        }
        Action::Enable => {
            if users.is_empty() {
                let advice = "there is no user; add one with `samovar sam-users add NAME`";
                return Err(Failure::User(advice.into()));
            }
            users.set_required(true);
            "passwords are asked for\n".to_owned()
        }
        Action::Disable => {
            users.set_required(false);
            "passwords are not asked for\n".to_owned()
        }
    };
    // The first user may come before the first start.
    samovar::router::storage::Storage::open(&dir).map_err(|error| Failure::User(error.to_string()))?;
    users.save(&path)?;
    print(&done)
}

fn hint(users: &Users) -> &'static str {
    if users.required() {
        ""
    } else {
        "; passwords are not asked for yet (`samovar sam-users enable`, or --sam-auth)"
    }
}

fn list(users: &Users) -> String {
    let state = if users.required() { "asked for" } else { "not asked for, unless sam-auth is set" };
    let mut text = format!("# passwords are {state}\n");
    for name in users.names() {
        text.push_str(name);
        text.push('\n');
    }
    text
}

fn data_dir(flag: Option<PathBuf>, path: Option<&Path>) -> Result<PathBuf, Failure> {
    let mut config = RouterConfig { data_dir: system::default_data_dir(), ..RouterConfig::default() };
    if let Some(path) = path {
        file::load(path)?.apply(&mut config);
    }
    let missing = || Failure::User("data-dir: there is no home directory; choose one with --data-dir".into());
    flag.or(config.data_dir).ok_or_else(missing)
}

/// From the terminal twice and unseen, else the first line of standard input.
fn ask_password() -> Result<Zeroizing<String>, Failure> {
    if !std::io::stdin().is_terminal() {
        return read_line();
    }
    let first = prompt("Password: ")?;
    let again = prompt("Again: ")?;
    if first != again {
        return Err(Failure::User("the two passwords differ; nothing was changed".into()));
    }
    Ok(first)
}

fn prompt(text: &str) -> Result<Zeroizing<String>, Failure> {
    let mut err = std::io::stderr();
    let _ = write!(err, "{text}").and_then(|()| err.flush());
    let hidden = system::Unseen::start();
    let line = read_line();
    drop(hidden);
    let _ = writeln!(err);
    line
}

fn read_line() -> Result<Zeroizing<String>, Failure> {
    // Room for all of it, so that no half of it stays behind where it grew.
    let mut line = Zeroizing::new(Vec::with_capacity(PASSWORD_MAX + 3));
    let mut limited = std::io::stdin().lock().take(PASSWORD_MAX as u64 + 3);
    limited.read_until(b'\n', &mut line).context("the password cannot be read")?;
    while matches!(line.last(), Some(b'\n' | b'\r')) {
        line.pop();
    }
    match std::str::from_utf8(&line) {
        Ok("") => Err(Failure::User("no password was given; nothing was changed".into())),
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(Failure::User("the password is not UTF-8 text".into())),
    }
}
