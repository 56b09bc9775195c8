// SPDX-License-Identifier: MIT
//! The three stream commands.

use std::fmt;

use super::{Rejection, port};
use crate::sam::parse::Params;

/// `STREAM CONNECT`
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectRequest {
    /// The session to connect from.
    pub id: String,
    /// Whom to connect to: base64, b32 or a name. May be a private key; only its public part counts.
    pub destination: String,
    /// No answer line in any case.
    pub silent: bool,
    /// Our port; the session's if absent.
    pub from_port: Option<u16>,
    /// The peer's port; the session's if absent.
    pub to_port: Option<u16>,
    /// How long the peer may take to answer, in milliseconds, 1000-75000; the session's if absent.
    pub timeout_ms: Option<u32>,
}

impl fmt::Debug for ConnectRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectRequest").field("id", &self.id).finish_non_exhaustive()
    }
}

impl ConnectRequest {
    pub(super) fn new(params: &Params) -> Result<Self, Rejection> {
        let silent = params.flag("SILENT");
        let refuse = |message: &str| Rejection::stream(message, silent);
        Ok(Self {
            id: id(params, silent)?,
            destination: params
                .filled("DESTINATION")
                .ok_or_else(|| refuse("DESTINATION not specified"))?
                .to_owned(),
            silent,
            from_port: port(params, "FROM_PORT").map_err(|message| refuse(&message))?,
            to_port: port(params, "TO_PORT").map_err(|message| refuse(&message))?,
            timeout_ms: connect_timeout_ms(params),
        })
    }
}

/// Reads how long a connect may take, for a session or for one connect; rubbish counts as absent.
pub(in crate::sam) fn connect_timeout_ms(params: &Params) -> Option<u32> {
    let ms: i64 = params.get("i2p.streaming.connectTimeout")?.parse().ok()?;
    u32::try_from(ms.clamp(1000, 75_000)).ok()
}

/// `STREAM ACCEPT`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptRequest {
    /// The session that waits.
    pub id: String,
    /// Neither an answer line nor the peer's destination.
    pub silent: bool,
}

impl AcceptRequest {
    pub(super) fn new(params: &Params) -> Result<Self, Rejection> {
        let silent = params.flag("SILENT");
        Ok(Self { id: id(params, silent)?, silent })
    }
}

/// `STREAM FORWARD`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardRequest {
    /// The session that listens.
    pub id: String,
    /// Where connections go; the client's own address if absent.
    pub host: Option<String>,
    /// The port there.
    pub port: u16,
    /// The forwarded connection begins without the peer's destination.
    pub silent: bool,
    /// TLS to the target.
    pub ssl: bool,
}

impl ForwardRequest {
    pub(super) fn new(params: &Params) -> Result<Self, Rejection> {
        // SILENT concerns the forwarded connections here; the command is always answered.
        let refuse = |message: &str| Rejection::stream(message, false);
        let id = id(params, false)?;
        let text = params.filled("PORT").ok_or_else(|| refuse("PORT not specified"))?;
        let port = text.parse().ok().filter(|port: &u16| *port != 0);
        Ok(Self {
            id,
            host: params.filled("HOST").map(str::to_owned),
            port: port.ok_or_else(|| refuse("PORT must be a number from 1 to 65535"))?,
            silent: params.flag("SILENT"),
            ssl: params.flag("SSL"),
        })
    }
}

fn id(params: &Params, silent: bool) -> Result<String, Rejection> {
    match params.filled("ID") {
        Some(id) => Ok(id.to_owned()),
        None => Err(Rejection::stream("ID not specified", silent)),
    }
}
