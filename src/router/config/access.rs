// SPDX-License-Identifier: MIT
//! Who may use the SAM bridge, and on which ways besides plain TCP.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::ConfigError;

/// Ways to the SAM bridge besides plain TCP, and who may take them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SamAccess {
    /// Path of a Unix-domain socket. Default none. The file belongs to its maker alone, or is open to everybody when
    /// `unix_users` has somebody in it; in both cases the kernel is asked who calls.
    pub unix: Option<PathBuf>,
    /// Users, by number, that may use that socket besides our own and root. Default none.
    pub unix_users: Vec<u32>,
    /// Asks for user and password in every `HELLO` of TCP clients. Default false; `AUTH ENABLE` turns it on as well,
    /// until `AUTH DISABLE`. The users are in the file `sam-users` of the data directory.
    pub auth: bool,
    /// A TLS address of the bridge. Default none. Plain SAM does not work there, nor TLS at the plain address.
    pub tls: Option<SocketAddr>,
    /// Its certificate chain, a PEM file with the bridge's own first.
    pub tls_cert: Option<PathBuf>,
    /// Its private key, a PEM file that is not readable for everybody.
    pub tls_key: Option<PathBuf>,
    /// Certificates (PEM files) that servers of `STREAM FORWARD SSL=true` may show: theirs, or those of authorities.
    /// Default none: any certificate is taken.
    pub forward_certs: Vec<PathBuf>,
    /// Lets `STREAM FORWARD` and datagram sessions name any `HOST`. Default false: only this machine and the client's own
    /// address, so that nobody who reaches the bridge can make it knock at other machines.
    pub forward_anywhere: bool,
}

impl SamAccess {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.unix.is_some() && cfg!(not(unix)) {
            return Err(ConfigError::new("sam-unix", "this system has no Unix-domain sockets"));
        }
        if self.unix.is_none() && !self.unix_users.is_empty() {
            return Err(ConfigError::new("sam-unix-users", "needs sam-unix; give both or neither"));
        }
        if self.tls.is_some() && (self.tls_cert.is_none() || self.tls_key.is_none()) {
            let problem = "needs sam-tls-cert and sam-tls-key; the README tells how openssl makes them";
            return Err(ConfigError::new("sam-tls", problem));
        }
        if self.tls.is_none() && (self.tls_cert.is_some() || self.tls_key.is_some()) {
            return Err(ConfigError::new("sam-tls-cert", "needs sam-tls, the address to listen at"));
        }
        Ok(())
    }
}
