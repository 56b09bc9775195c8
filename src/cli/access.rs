// SPDX-License-Identifier: MIT
//! Settings of who may use the SAM bridge and how: flags, keys of the file, the texts of both.

use std::path::{Path, PathBuf};

use clap::Args;
use samovar::router::SamAccess;

use super::file::{Entry, entry};
use super::settings::{Settings, Switch};

/// As flags.
#[derive(Debug, Args)]
#[command(next_help_heading = "Access to SAM")]
pub(super) struct AccessArgs {
    /// Unix-domain socket of the SAM bridge, for programs of the user that runs the router, or `none`.
    ///
    /// With `--sam none` it is the only way in. The kernel says who calls, so passwords are not asked there.
    #[arg(long, value_name = "PATH")]
    sam_unix: Option<Switch<PathBuf>>,

    /// User, by number, that may use that socket besides root and the one who runs the router. Repeatable.
    #[arg(long, value_name = "UID")]
    sam_unix_user: Vec<u32>,
}

impl AccessArgs {
    /// Puts the flags into `settings`.
    pub(super) fn fill(self, settings: &mut Settings) {
        settings.sam_unix = self.sam_unix;
        settings.sam_unix_users = (!self.sam_unix_user.is_empty()).then_some(self.sam_unix_user);
    }
}

/// Puts what is set into `access`.
pub(super) fn apply(settings: &mut Settings, access: &mut SamAccess) {
    switch(&mut access.unix, settings.sam_unix.take());
    if let Some(users) = settings.sam_unix_users.take() {
        access.unix_users = users;
    }
}

fn switch<T>(place: &mut Option<T>, value: Option<Switch<T>>) {
    match value {
        Some(Switch::At(value)) => *place = Some(value),
        Some(Switch::Off) => *place = None,
        None => {}
    }
}

/// Makes relative paths relative to `base`.
pub(super) fn relative_to(settings: &mut Settings, base: &Path) {
    if let Some(Switch::At(path)) = &mut settings.sam_unix {
        *path = base.join(&*path);
    }
}

/// For the printed file.
pub(super) fn entries() -> Vec<Entry> {
    vec![
        entry(
            "sam-unix",
            "\"none\"",
            "Unix-domain socket of the SAM bridge, such as \"/run/samovar/sam.sock\", for programs of the user that\n\
             runs the router. With sam = \"none\" it is the only way in.",
        ),
        entry("sam-unix-users", "[]", "Users, by number, that may use that socket as well, such as [1001]."),
    ]
}
