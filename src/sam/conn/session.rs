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
use crate::sam::parse::Params;
use crate::sam::registry::{Conflict, Reservation};
use crate::sam::reply::{self, Domain, ResultCode};

/// How long an ID or destination may still be in use by a client that closed its socket just now.
const GRACE: Duration = Duration::from_millis(500);
/// How long keys are waited for whose last session is going down.
const RELEASE: Duration = Duration::from_secs(20);

/// The names of a session, and a session of the router that can be taken over for it.
type Reserved = (Reservation, Option<Arc<dyn SamSession>>);

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
        let (request, keys, transient) = match self.check(&params) {
            Ok(checked) => checked,
            Err(failure) => return self.fail(&failure).await,
        };
        let outlet = match self.outlet_for(request.style, &request.datagrams).await {
            Ok(outlet) => outlet,
            Err(failure) => return self.fail(&failure).await,
        };
        if LeaseSetOptions::nothing_known(&params) {
            let explain = "none of the types in i2cp.leaseSetEncType is supported; take 4 (ECIES-X25519)";
            return self.fail(&Failure::new(ResultCode::I2pError, explain)).await;
        }
        let mut config = SessionConfig::new(&request.id, request.style, keys, &params);
        if config.inbound.length == 0 || config.outbound.length == 0 {
            tracing::warn!(session = %request.id, "a session with tunnels of no hops hides nobody");
        }
        drop(params);
        let ready = if transient { self.spare(&request, &mut config) } else { None };
        let (reservation, ready) = match self.reserve(&request, &config, ready).await {
            Ok(reserved) => reserved,
            Err(failure) => return self.fail(&failure).await,
        };
        let text = zeroize::Zeroizing::new(config.keys.to_base64().to_owned());
        let linger = match config.linger {
            Some(linger) => linger,
            // Keys that nobody keeps are never used again.
            None if transient => Duration::ZERO,
            None => self.shared.limits.linger,
        };
        match Box::pin(self.open(config.clone(), ready)).await? {
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
                let name = session
                    .blinded_name()
                    .map_or_else(|| session.destination().b32(), |name| name.to_string());
                tracing::info!(session = %request.id, "SAM session open");
                tracing::debug!(session = %request.id, b32 = %name, "found as");
                self.owned =
                    Some(Owned { session, reservation, delivery: None, subs: Vec::new(), config, linger });
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
    fn check(&self, params: &Params) -> Result<(CreateRequest, PrivateKeys, bool), Failure> {
        let error = |explain: String| Failure::new(ResultCode::I2pError, explain);
        if let Some(owned) = &self.owned {
            return Err(error(format!(
                "Session already exists on this connection: {}",
                owned.reservation.entry.id
            )));
        }
        let request = CreateRequest::new(params).map_err(error)?;
        EncryptedOptions::new(params).map_err(error)?;
        let given = params.filled("DESTINATION").filter(|text| *text != "TRANSIENT");
        let keys = match given {
            None => self.new_keys(request.signature_type.as_deref())?,
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
        Ok((request, keys, given.is_none()))
    }

    /// A session that stands ready for a client without keys of its own, if the router has one of this kind.
    fn spare(&self, request: &CreateRequest, config: &mut SessionConfig) -> Option<Arc<dyn SamSession>> {
        if self.shared.registry.find(&request.id).is_some() {
            return None;
        }
        let (keys, session) = self.shared.backend.spare(config)?;
        config.keys = keys;
        Some(session)
    }

    /// Claims the names of the session, giving those who leave just now the time to leave.
    ///
    /// Answers a session that can be taken over as well: the one given, or one of the same keys whose client has gone.
    async fn reserve(
        &self,
        request: &CreateRequest,
        config: &SessionConfig,
        ready: Option<Arc<dyn SamSession>>,
    ) -> Result<Reserved, Failure> {
        let registry = &self.shared.registry;
        let hash = config.keys.destination().hash();
        if let Some(taken) = self.take_over(request, config).await? {
            return Ok(taken);
        }
        let attempt = || registry.reserve(request, hash, self.peer.ip());
        let mut conflict = match attempt() {
            Ok(reservation) => return Ok((reservation, ready)),
            Err(conflict) => conflict,
        };
        // A destination without an ID belongs to a session that is going down: worth a longer wait.
        let leaving = conflict == Conflict::Destination && registry.is_leaving(hash);
        let evicting = matches!(conflict, Conflict::Full(_)) && registry.evict();
        let patience = if leaving || evicting { RELEASE } else { GRACE };
        let deadline = tokio::time::Instant::now() + patience;
        while evicting || !matches!(conflict, Conflict::Full(_)) {
            let freed = registry.freed();
            // The one before may have been parked only now.
            if let Some(taken) = self.take_over(request, config).await? {
                return Ok(taken);
            }
            match attempt() {
                Ok(reservation) => return Ok((reservation, ready)),
                Err(again) => conflict = again,
            }
            if tokio::time::timeout_at(deadline, freed).await.is_err() {
                break;
            }
        }
        if let Some(unused) = ready {
            unused.close();
        }
        Err(match conflict {
            Conflict::Id => Failure::new(ResultCode::DuplicatedId, ""),
            Conflict::Destination => Failure::new(ResultCode::DuplicatedDest, ""),
            Conflict::Full(explain) => Failure::new(ResultCode::I2pError, explain),
        })
    }

    /// Takes over a session of the same keys whose client has gone. One with other tunnels is ended first.
    async fn take_over(
        &self,
        request: &CreateRequest,
        config: &SessionConfig,
    ) -> Result<Option<Reserved>, Failure> {
        let parked = match self.shared.registry.claim(request, self.peer.ip(), config) {
            None => return Ok(None),
            Some(Err(_)) => return Err(Failure::new(ResultCode::DuplicatedId, "")),
            Some(Ok(parked)) => parked,
        };
        if parked.fits(config) {
            tracing::debug!(session = %request.id, "takes over a session without a client");
            return Ok(Some((parked.reservation, Some(parked.session))));
        }
        parked.session.close();
        parked.session.closed().await;
        Ok(Some((parked.reservation, None)))
    }

    /// Lets the router open the session while watching for a client that leaves.
    async fn open(
        &mut self,
        config: SessionConfig,
        ready: Option<Arc<dyn SamSession>>,
    ) -> io::Result<Opened> {
        let shared = self.shared.clone();
        let limit = shared.limits.session_timeout;
        let work = async {
            if let Some(session) = ready {
                if session.resume(&config).await {
                    return Ok(session);
                }
                session.close();
                session.closed().await;
            }
            shared.pace.turn().await;
            shared.backend.open(config).await
        };
        let mut work = std::pin::pin!(tokio::time::timeout(limit, work));
        loop {
            // What a client sends ahead is kept up to one line; beyond that its end goes unnoticed until we read on.
            let watch = self.lines.pending().len() < self.shared.limits.line;
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
        tracing::info!(client = %self.peer.label(), answer = %line.trim_end(), cause = %failure.explain, "SAM session refused");
        self.answer(line).await
    }
}
