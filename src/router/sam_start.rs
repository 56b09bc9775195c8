// SPDX-License-Identifier: MIT
//! Opens the SAM bridge as the configuration wants it.

use std::sync::Arc;

use super::api::{Router, StartError};
use super::config::{ConfigError, RouterConfig};
use super::sam_backend::SamBackend;
use super::storage::StorageError;
use crate::sam::{self, SamConfig, SamError, SamServer, UsersError};

/// File of the bridge's users in the data directory.
pub const USERS_FILE: &str = "sam-users";

/// Opens the bridge if the configuration asks for one.
pub(super) async fn start(router: &Router) -> Result<(), StartError> {
    let config = &router.inner.config;
    if config.sam.is_none() && config.sam_access.unix.is_none() {
        return Ok(());
    }
    let backend = Arc::new(SamBackend { router: Arc::downgrade(&router.inner) });
    let server = SamServer::start(sam_config(config), backend, &router.inner.tasks)
        .await
        .map_err(|error| start_error(config, error))?;
    if let Some(address) = server.address() {
        let _ = router.inner.sam.set(address);
        tracing::info!(%address, "SAM ready");
    }
    if let Some(path) = &config.sam_access.unix {
        tracing::info!(path = %path.display(), "SAM ready on the Unix socket");
    }
    Ok(())
}

fn sam_config(config: &RouterConfig) -> SamConfig {
    let access = &config.sam_access;
    let mut sam = SamConfig { address: config.sam, udp: config.sam_udp, ..SamConfig::default() };
    sam.users = config.data_dir.as_ref().map(|dir| dir.join(USERS_FILE));
    sam.auth = access.auth;
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
            return ConfigError::new("sam", problem).into();
        }
        SamError::NoUsers => {
            let problem = "there is no user yet; add one with `samovar sam-users add NAME`";
            return ConfigError::new("sam-auth", problem).into();
        }
        SamError::Users(UsersError::File(path, problem)) => return StorageError::new(&path, problem).into(),
        SamError::Users(error) => return ConfigError::new("sam-auth", error.to_string()).into(),
        SamError::Unix(path, problem) => {
            return ConfigError::new("sam-unix", format!("{} {problem}", path.display())).into();
        }
    };
    let problem = super::assembly::listen_problem(&error);
    let key = if Some(address) == config.sam { "sam" } else { "sam-udp" };
    StartError::Listen { key, address, problem: format!("{problem}; choose another with --{key}") }
}
