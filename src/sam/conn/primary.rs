// SPDX-License-Identifier: MIT
//! `SESSION ADD` and `SESSION REMOVE`: the subsessions of a primary session.
//!
//! They share its destination and tunnels; what arrives is told apart by protocol and port. Their IDs stand beside
//! those of all sessions of the server. A refusal leaves the primary session and its other subsessions as they were.
//! Spec: SAMv3 "SAM Primary Sessions".

use std::io;

use tokio::sync::oneshot;

use super::{Conn, Flow, Owned, RELEASE_TIMEOUT};
use crate::sam::backend::{Binding, Failure};
use crate::sam::datagram::Delivery;
use crate::sam::options::{AddRequest, Style};
use crate::sam::parse::Params;
use crate::sam::registry::{Conflict, Reservation};
use crate::sam::reply::{self, ResultCode};

/// One subsession.
pub(super) struct Sub {
    reservation: Reservation,
    /// Protocol and port that it takes.
    takes: (u8, u16),
    /// Resolves when nothing delivers datagrams any more.
    delivery: Option<oneshot::Receiver<()>>,
}

impl Sub {
    /// Ends it for its clients and frees its ID, its protocol and its port.
    pub(super) async fn end(mut self) {
        self.reservation.free_id();
        self.reservation.entry.release().await;
        if let Some(delivery) = self.delivery.take() {
            let _ = tokio::time::timeout(RELEASE_TIMEOUT, delivery).await;
        }
        tracing::info!(session = %self.reservation.entry.id, "SAM subsession closed");
    }
}

impl Conn {
    /// `SESSION ADD`
    pub(super) async fn add(&mut self, params: Params) -> io::Result<Flow> {
        let id = params.filled("ID").map(str::to_owned);
        match self.prepare(&params).await {
            Ok((sub, delivery)) => {
                let id = sub.reservation.entry.id.clone();
                tracing::info!(session = %id, style = sub.reservation.entry.style.word(), "SAM subsession open");
                let flow = self.answer(reply::subsession_ok(&id, "ADD")).await?;
                if let Some(owned) = &mut self.owned {
                    owned.subs.push(Sub { delivery: delivery.map(Delivery::start), ..sub });
                }
                Ok(flow)
            }
            Err(failure) => self.fail_subsession(id.as_deref(), &failure).await,
        }
    }

    /// Everything up to the point where the subsession is usable.
    async fn prepare(&mut self, params: &Params) -> Result<(Sub, Option<Delivery>), Failure> {
        let error = |explain: String| Failure::new(ResultCode::I2pError, explain);
        self.primary("SESSION ADD")?;
        let request = AddRequest::new(params).map_err(error)?;
        let create = &request.create;
        let (session, reservation) = {
            let owned = self.primary("SESSION ADD")?;
            let reservation = self.shared.registry.add(create, &owned.reservation.entry);
            let reservation = reservation.map_err(|conflict| match conflict {
                Conflict::Full(explain) => error(explain),
                Conflict::Id | Conflict::Destination => Failure::new(ResultCode::DuplicatedId, ""),
            })?;
            let takes = (request.listen_protocol, request.listen_port);
            if owned.subs.iter().any(|sub| sub.takes == takes) {
                return Err(error(format!("duplicate protocol {} and port {}", takes.0, takes.1)));
            }
            let most = self.shared.limits.subsessions;
            if owned.subs.len() >= most {
                return Err(error(format!("all {most} subsessions of this session are in use")));
            }
            (owned.session.clone(), reservation)
        };
        let outlet = self.outlet_for(create.style, &create.datagrams).await?;
        let entry = &reservation.entry;
        let delivery = match outlet {
            None => {
                entry.set_listener(session.listen(request.listen_port)?);
                None
            }
            Some(outlet) => {
                let header = create.datagrams.header;
                Some(self.ready_datagrams(entry, &session, binding(&request), outlet, header)?)
            }
        };
        // Usable only now that everything stands.
        entry.open(session);
        let takes = (request.listen_protocol, request.listen_port);
        Ok((Sub { reservation, takes, delivery: None }, delivery))
    }

    /// `SESSION REMOVE`
    pub(super) async fn remove(&mut self, params: Params) -> io::Result<Flow> {
        let id = params.filled("ID").map(str::to_owned);
        match self.take_sub(id.as_deref()) {
            Ok(sub) => {
                let reply = reply::subsession_ok(&sub.reservation.entry.id, "REMOVE");
                sub.end().await;
                self.answer(reply).await
            }
            Err(failure) => self.fail_subsession(id.as_deref(), &failure).await,
        }
    }

    fn take_sub(&mut self, id: Option<&str>) -> Result<Sub, Failure> {
        self.primary("SESSION REMOVE")?;
        let refuse = |explain: String| Failure::new(ResultCode::I2pError, explain);
        let id = id.ok_or_else(|| refuse("ID not specified".to_owned()))?;
        let subs = self.owned.as_mut().map(|owned| &mut owned.subs);
        let found = subs.and_then(|subs| {
            let at = subs.iter().position(|sub| sub.reservation.entry.id == id)?;
            Some(subs.remove(at))
        });
        found.ok_or_else(|| {
            let short: String = id.chars().take(64).collect();
            refuse(format!("no subsession {short} of this session"))
        })
    }

    /// The primary session of this connection.
    fn primary(&self, command: &str) -> Result<&Owned, Failure> {
        let owned = self.owned.as_ref().filter(|owned| owned.reservation.entry.style == Style::Primary);
        owned.ok_or_else(|| {
            let explain = format!("{command} needs a PRIMARY session, made on this connection");
            Failure::new(ResultCode::I2pError, explain)
        })
    }

    async fn fail_subsession(&mut self, id: Option<&str>, failure: &Failure) -> io::Result<Flow> {
        let line = reply::subsession_error(failure.code, id, &failure.explain);
        tracing::info!(client = %self.peer.label(), answer = %line.trim_end(), "SAM subsession refused");
        self.answer(line).await
    }
}

fn binding(request: &AddRequest) -> Binding {
    let style = request.create.style;
    let protocol = if style == Style::Raw { request.listen_protocol } else { 0 };
    Binding { style, protocol, port: request.listen_port }
}
