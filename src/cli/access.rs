// SPDX-License-Identifier: MIT
//! Settings of who may use the SAM bridge and how: flags, keys of the file, the texts of both.

use std::net::SocketAddr;
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

    /// Ask TCP and TLS clients of SAM for user and password in HELLO. `samovar sam-users` makes users.
    ///
    /// An address that other machines reach is refused without it. `AUTH ENABLE` of SAM does the same, until `AUTH
    /// DISABLE`.
    #[arg(long)]
    sam_auth: bool,

    /// TLS address of the SAM bridge, or `none`. Needs --sam-tls-cert and --sam-tls-key.
    ///
    /// It is a port of its own: plain SAM stays at --sam, which may be `none`.
    #[arg(long, value_name = "ADDR:PORT")]
    sam_tls: Option<Switch<SocketAddr>>,

    /// Certificate chain of that address (PEM), the bridge's own first.
    #[arg(long, value_name = "FILE")]
    sam_tls_cert: Option<PathBuf>,

    /// Private key of that certificate (PEM), not readable for everybody.
    #[arg(long, value_name = "FILE")]
    sam_tls_key: Option<PathBuf>,

    /// Certificate (PEM) that servers of STREAM FORWARD SSL=true may show: theirs, or an authority's. Repeatable.
    ///
    /// Without any, every certificate is taken.
    #[arg(long, value_name = "FILE")]
    sam_forward_cert: Vec<PathBuf>,
}

impl AccessArgs {
    /// Puts the flags into `settings`.
    pub(super) fn fill(self, settings: &mut Settings) {
        settings.sam_unix = self.sam_unix;
        settings.sam_unix_users = (!self.sam_unix_user.is_empty()).then_some(self.sam_unix_user);
        settings.sam_auth = self.sam_auth.then_some(true);
        settings.sam_tls = self.sam_tls;
        settings.sam_tls_cert = self.sam_tls_cert;
        settings.sam_tls_key = self.sam_tls_key;
        settings.sam_forward_certs = (!self.sam_forward_cert.is_empty()).then_some(self.sam_forward_cert);
    }
}

/// Puts what is set into `access`.
pub(super) fn apply(settings: &mut Settings, access: &mut SamAccess) {
    switch(&mut access.unix, settings.sam_unix.take());
    if let Some(users) = settings.sam_unix_users.take() {
        access.unix_users = users;
    }
    access.auth = settings.sam_auth.take().unwrap_or(access.auth);
    if settings.sam_tls == Some(Switch::Off) {
        // The files are nothing without an address.
        (access.tls_cert, access.tls_key) = (None, None);
    }
    switch(&mut access.tls, settings.sam_tls.take());
    access.tls_cert = settings.sam_tls_cert.take().or(access.tls_cert.take());
    access.tls_key = settings.sam_tls_key.take().or(access.tls_key.take());
    if let Some(certs) = settings.sam_forward_certs.take() {
        access.forward_certs = certs;
    }
    access.forward_anywhere = settings.sam_forward_anywhere.take().unwrap_or(access.forward_anywhere);
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
    let fix = |path: &mut PathBuf| *path = base.join(&*path);
    settings.sam_tls_cert.iter_mut().for_each(fix);
    settings.sam_tls_key.iter_mut().for_each(fix);
    settings.sam_forward_certs.iter_mut().flatten().for_each(fix);
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
        entry(
            "sam-auth",
            false,
            "Whether TCP and TLS clients of SAM must give user and password; `samovar sam-users` makes users. Addresses\n\
             that other machines reach are refused without it.",
        ),
        entry(
            "sam-tls",
            "\"none\"",
            "TLS address of the SAM bridge, such as \"0.0.0.0:7657\", a port of its own. It needs two more settings:\n\
             sam-tls-cert = \"cert.pem\" and sam-tls-key = \"key.pem\".",
        ),
        entry(
            "sam-forward-certs",
            "[]",
            "Certificates (PEM files) that servers of STREAM FORWARD SSL=true may show: theirs, or those of authorities.\n\
             Without any, every certificate is taken.",
        ),
        entry(
            "sam-forward-anywhere",
            false,
            "Whether clients of SAM may have streams and datagrams delivered to any HOST, and not only to this machine and\n\
             their own address. Whoever reaches the bridge can then reach what this machine reaches.",
        ),
    ]
}
