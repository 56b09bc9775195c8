// SPDX-License-Identifier: MIT
//! `SESSION CREATE`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{Conn, Flow, Owned};
use crate::sam::backend::{Binding, Failure, SamSession};
use crate::sam::datagram::Delivery;
use crate::sam::keys::PrivateKeys;
use crate::sam::options::{CreateRequest, EncryptedOptions, LeaseSetOptions, SessionConfig, Style};
use crate::sam::parse::{LINE_MAX, Params};
use crate::sam::registry::{Conflict, Reservation};
use crate::sam::reply::{self, Domain, ResultCode};

/// How long an ID or destination may still be in use by a client that closed its socket just now.
const GRACE: Duration = Duration::from_millis(50);
/// How long keys are waited for whose last session is going down.
const RELEASE: Duration = Duration::from_secs(20);

/// How an attempt to open a session ended.
enum Opened {
    Session(Arc<dyn SamSession>),
    Failed(Failure),
    /// The client closed its socket, so there is nobody to answer.
    Abandoned,
}

impl Conn {
    /// `SESSION CREATE`
    pub(super) async fn create(&mut self, params: Params) -> io::Result<Flow> {
        let (request, keys) = match self.check(&params) {
            Ok(checked) => checked,
            Err(failure) => return self.fail(&failure).await,
        };
        let outlet = match self.outlet_for(request.style, &request.datagrams).await {
            Ok(outlet) => outlet,
            Err(failure) => return self.fail(&failure).await,
        };
        let reservation = match self.reserve(&request, &keys).await {
            Ok(reservation) => reservation,
            Err(failure) => return self.fail(&failure).await,
        };
        if LeaseSetOptions::was_overruled(&params) {
            tracing::warn!(session = %request.id, "none of the encryption types asked for is known; using type 4");
        }
        let text = zeroize::Zeroizing::new(keys.to_base64().to_owned());
        let config = SessionConfig::new(&request.id, request.style, keys, &params);
        if config.inbound.length == 0 || config.outbound.length == 0 {
            tracing::warn!(session = %request.id, "a session with tunnels of no hops hides nobody");
        }
        drop(params);
        match Box::pin(self.open(config)).await? {
            Opened::Session(session) => {
                reservation.entry.open(session.clone());
                // It takes every datagram of its style; several styles need a PRIMARY session.
                let binding = Binding { style: request.style, protocol: 0, port: 0 };
                let header = request.datagrams.header;
                let ready = outlet.map(|outlet| {
                    self.ready_datagrams(&reservation.entry, &session, binding, outlet, header)
                });
                let delivery = match ready.transpose() {
                    Ok(delivery) => delivery,
                    Err(failure) => {
                        session.close();
                        return self.fail(&failure).await;
                    }
                };
                self.shared.metrics.sessions_opened.inc();
                tracing::info!(session = %request.id, b32 = %session.destination().b32(), "SAM session open");
                self.owned = Some(Owned { session, reservation, delivery: None, subs: Vec::new() });
                let flow = self.answer(reply::session_ok(&text)).await?;
                // Not before the answer, which a datagram must not overtake.
                if let Some(owned) = &mut self.owned {
                    owned.delivery = delivery.map(Delivery::start);
                }
                Ok(flow)
            }
            Opened::Failed(failure) => {
                drop(reservation);
                self.shared.metrics.sessions_failed.inc();
                self.fail(&failure).await
            }
            Opened::Abandoned => Ok(Flow::Drop),
        }
    }

    /// Everything that can be refused before the router is asked.
    fn check(&self, params: &Params) -> Result<(CreateRequest, PrivateKeys), Failure> {
        let error = |explain: String| Failure::new(ResultCode::I2pError, explain);
        if let Some(owned) = &self.owned {
            return Err(error(format!(
                "Session already exists on this connection: {}",
                owned.reservation.entry.id
            )));
        }
        let request = CreateRequest::new(params).map_err(error)?;
        EncryptedOptions::new(params).map_err(error)?;
        let keys = match params.filled("DESTINATION") {
            None | Some("TRANSIENT") => self.new_keys(request.signature_type.as_deref())?,
            Some(text) => {
                let keys = PrivateKeys::from_base64(text)
                    .map_err(|cause| Failure::new(ResultCode::InvalidKey, cause.to_string()))?;
                self.shared.backend.check_keys(&keys)?;
                if keys.offline().is_some() && request.style == Style::Datagram {
                    return Err(error("STYLE=DATAGRAM cannot carry offline keys; take DATAGRAM2".to_owned()));
                }
                keys
            }
        };
        Ok((request, keys))
    }

    /// Claims the names of the session, giving those who leave just now the time to leave.
    async fn reserve(&self, request: &CreateRequest, keys: &PrivateKeys) -> Result<Reservation, Failure> {
        let registry = &self.shared.registry;
        let hash = keys.destination().hash();
        let attempt = || registry.reserve(request, hash, self.peer.ip());
        let mut conflict = match attempt() {
            Ok(reservation) => return Ok(reservation),
            Err(conflict) => conflict,
        };
        // A destination without an ID belongs to a session that is going down: worth a longer wait.
        let leaving = conflict == Conflict::Destination && registry.is_leaving(hash);
        let deadline = tokio::time::Instant::now() + if leaving { RELEASE } else { GRACE };
        while !matches!(conflict, Conflict::Full(_)) {
            let freed = registry.freed();
            match attempt() {
                Ok(reservation) => return Ok(reservation),
                Err(again) => conflict = again,
            }
            if tokio::time::timeout_at(deadline, freed).await.is_err() {
                break;
            }
        }
        Err(match conflict {
            Conflict::Id => Failure::new(ResultCode::DuplicatedId, ""),
            Conflict::Destination => Failure::new(ResultCode::DuplicatedDest, ""),
            Conflict::Full(explain) => Failure::new(ResultCode::I2pError, explain),
        })
    }

    /// Lets the router open the session while watching for a client that leaves.
    async fn open(&mut self, config: SessionConfig) -> io::Result<Opened> {
        let shared = self.shared.clone();
        let limit = shared.limits.session_timeout;
        let work = async {
            shared.pace.turn().await;
            shared.backend.open(config).await
        };
        let mut work = std::pin::pin!(tokio::time::timeout(limit, work));
        loop {
            // What a client sends ahead is kept up to one line; beyond that its end goes unnoticed until we read on.
            let watch = self.lines.pending().len() < LINE_MAX;
            tokio::select! { biased;
                result = &mut work => return Ok(match result {
                    Ok(Ok(session)) => Opened::Session(session),
                    Ok(Err(failure)) => Opened::Failed(failure),
                    Err(_) => {
                        let explain = format!("tunnel build timeout after {} s", limit.as_secs());
                        Opened::Failed(Failure::new(ResultCode::I2pError, explain))
                    }
                }),
                count = self.fill(), if watch => if count? == 0 {
                    return Ok(Opened::Abandoned);
                },
            }
        }
    }

    async fn fail(&mut self, failure: &Failure) -> io::Result<Flow> {
        // Codes that the specification does not know here would confuse clients.
        let code = match failure.code {
            code @ (ResultCode::DuplicatedId | ResultCode::DuplicatedDest | ResultCode::InvalidKey) => code,
            _ => ResultCode::I2pError,
        };
        let line = reply::status(&Domain::Session, code, &failure.explain);
        tracing::info!(peer = %self.peer, answer = %line.trim_end(), cause = %failure.explain, "SAM session refused");
        self.answer(line).await
    }
}
