// SPDX-License-Identifier: MIT
//! Passwords: what `HELLO` carries, and `AUTH`.

use std::io;

use super::{Conn, Flow};
use crate::sam::command::{AuthRequest, Hello};
use crate::sam::reply::{self, Domain};
use crate::sam::socket::Origin;

impl Conn {
    /// Whether the client may come in; else what it is told. The kernel has vouched for clients of the Unix socket.
    pub(super) async fn check_password(&self, hello: &Hello) -> Result<(), &'static str> {
        let address = match self.peer {
            Origin::Net(_) => self.peer.ip(),
            #[cfg(unix)]
            Origin::Unix(_) => return Ok(()),
        };
        let shared = &self.shared;
        let user = hello.user.as_deref();
        let checked = shared.access.check(&shared.tasks, address, user, hello.password.as_ref()).await;
        if checked.is_err() {
            shared.metrics.logins_refused.inc();
        }
        checked
    }

    /// `AUTH`
    pub(super) async fn auth(&mut self, request: AuthRequest) -> io::Result<Flow> {
        let what = format!("{request:?}");
        let shared = self.shared.clone();
        match shared.access.manage(&shared.tasks, request).await {
            Ok(()) => {
                tracing::info!(client = %self.peer.label(), %what, "SAM AUTH done");
                self.answer(reply::auth_ok()).await
            }
            Err(message) => {
                tracing::info!(client = %self.peer.label(), %what, cause = %message, "SAM AUTH refused");
                self.answer(reply::error(&Domain::Auth, &message)).await
            }
        }
    }
}
