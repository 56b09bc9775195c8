// SPDX-License-Identifier: MIT
//! Opens the SAM bridge as the configuration wants it.

use std::sync::Arc;

use super::api::{Router, StartError};
use super::config::{ConfigError, RouterConfig};
use super::sam_backend::SamBackend;
use super::spares::{self, Spares};
use super::storage::StorageError;
use crate::sam::{self, SamConfig, SamError, SamServer, UsersError};

/// File of the bridge's users in the data directory.
pub const USERS_FILE: &str = "sam-users";

/// Opens the bridge if the configuration asks for one.
pub(super) async fn start(router: &Router) -> Result<(), StartError> {
    let config = &router.inner.config;
    let access = &config.sam_access;
    if config.sam.is_none() && access.tls.is_none() && access.unix.is_none() {
        return Ok(());
    }
    open(router).await.map(|_| ())
}

/// Opens the bridge with whatever ways in the configuration has.
pub(super) async fn open(router: &Router) -> Result<SamServer, StartError> {
    let config = &router.inner.config;
    let access = &config.sam_access;
    if config.sam_spare {
        let spares = Arc::new(Spares::new(Arc::downgrade(&router.inner)));
        let _ = router.inner.spares.set(spares.clone());
        router.inner.tasks.spawn("sam_spares", spares::run(spares, router.status()));
    }
    let backend = Arc::new(SamBackend { router: Arc::downgrade(&router.inner) });
    let server = SamServer::start(sam_config(router), backend, &router.inner.tasks)
        .await
        .map_err(|error| start_error(config, error))?;
    if let Some(address) = server.address() {
        let _ = router.inner.sam.set(address);
        tracing::info!(%address, "SAM ready");
    }
    if let Some(address) = server.tls_address() {
        tracing::info!(%address, "SAM ready over TLS");
    }
    if let Some(path) = &access.unix {
        tracing::info!(path = %path.display(), "SAM ready on the Unix socket");
    }
    Ok(server)
}

fn sam_config(router: &Router) -> SamConfig {
    let config = &router.inner.config;
    let access = &config.sam_access;
    let mut sam = SamConfig { address: config.sam, udp: config.sam_udp, ..SamConfig::default() };
    config.bounds.fill_sam(&mut sam.limits);
    sam.limits.linger = config.sam_linger;
    sam.limits.sockets = config.sam_clients_max;
    sam.limits.sessions = config.sam_sessions_max;
    sam.limits.forward_anywhere = access.forward_anywhere;
    sam.budget = router.inner.budget.clone();
    if let Some((_, sockets)) = config.socket_shares() {
        sam.limits.sockets = sam.limits.sockets.min(sockets);
    }
    sam.users = config.data_dir.as_ref().map(|dir| dir.join(USERS_FILE));
    sam.auth = access.auth;
    sam.forward_certs = access.forward_certs.clone();
    if let (Some(address), Some(cert), Some(key)) = (access.tls, &access.tls_cert, &access.tls_key) {
        sam.tls = Some(sam::TlsAddress { address, cert: cert.clone(), key: key.clone() });
    }
    #[cfg(unix)]
    if let Some(path) = &access.unix {
        sam.unix = Some(sam::UnixSocket { path: path.clone(), users: access.unix_users.clone() });
    }
    sam
}

/// In words for the operator, with the setting that helps.
fn start_error(config: &RouterConfig, error: SamError) -> StartError {
    let (address, error) = match error {
        SamError::Bind(address, error) => (address, error),
        SamError::Exposed(address) => {
            let problem = format!(
                "{address} can be reached by other machines, which needs passwords: add a user with `samovar sam-users \
                 add NAME` and set sam-auth, or take an address of this machine alone, as 127.0.0.1"
            );
            let key = if Some(address) == config.sam { "sam" } else { "sam-tls" };
            return ConfigError::new(key, problem).into();
        }
        SamError::NoUsers => {
            let problem = "there is no user yet; add one with `samovar sam-users add NAME`";
            return ConfigError::new("sam-auth", problem).into();
        }
        SamError::Users(UsersError::File(path, problem)) => return StorageError::new(&path, problem).into(),
        SamError::Users(error) => return ConfigError::new("sam-auth", error.to_string()).into(),
        SamError::Tls(path, problem) => return StorageError::new(&path, problem).into(),
        SamError::Unix(path, problem) => {
            return ConfigError::new("sam-unix", format!("{} {problem}", path.display())).into();
        }
    };
    let problem = super::assembly::listen_problem(&error);
    let key = match Some(address) {
        at if at == config.sam => "sam",
        at if at == config.sam_access.tls => "sam-tls",
        _ => "sam-udp",
    };
    StartError::Listen { key, address, problem: format!("{problem}; choose another with --{key}") }
}
