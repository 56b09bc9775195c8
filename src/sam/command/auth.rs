// SPDX-License-Identifier: MIT
//! `AUTH`: who may use the bridge.

use std::fmt;

use zeroize::Zeroizing;

use super::{Rejection, Then, suggest};
use crate::sam::parse::Params;
use crate::sam::reply::Domain;

/// `AUTH` and its opcode.
#[derive(Clone, PartialEq, Eq)]
pub enum AuthRequest {
    /// `AUTH ENABLE`: from now on `HELLO` needs a user and a password.
    Enable,
    /// `AUTH DISABLE`
    Disable,
    /// `AUTH ADD`
    Add {
        /// Name of the new user.
        user: String,
        /// Password of the new user.
        password: Zeroizing<String>,
    },
    /// `AUTH REMOVE`
    Remove {
        /// Name of a user.
        user: String,
    },
}

impl fmt::Debug for AuthRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enable => "Enable",
            Self::Disable => "Disable",
            Self::Add { .. } => "Add(..)",
            Self::Remove { .. } => "Remove(..)",
        })
    }
}

impl AuthRequest {
    pub(super) fn new(opcode: &str, params: &Params) -> Result<Self, Rejection> {
        let refuse = |message: &str| Rejection::new(&Domain::Auth, message, Then::Stay);
        let user = params.filled("USER").map(str::to_owned);
        match opcode {
            "ENABLE" => Ok(Self::Enable),
            "DISABLE" => Ok(Self::Disable),
            "ADD" => match (user, params.filled("PASSWORD")) {
                (Some(user), Some(password)) => Ok(Self::Add { user, password: password.to_owned().into() }),
                _ => Err(refuse("USER and PASSWORD required")),
            },
            "REMOVE" => match user {
                Some(user) => Ok(Self::Remove { user }),
                None => Err(refuse("USER required")),
            },
            _ => {
                let message = format!("unknown command AUTH {opcode}; {}", suggest::opcodes_of("AUTH"));
                Err(Rejection::new(&Domain::Auth, &message, Then::StayButCount))
            }
        }
    }
}
