// SPDX-License-Identifier: MIT
//! Sessions whose client has gone and which are not given up yet.
//!
//! For its clients such a session has ended: its ID is free, its streams are closing, new ones are refused. In the
//! router it lives on until its streams have said their last, and as long after that as it was told to linger. Whoever
//! creates a session of the same keys meanwhile takes it over, tunnels and lease set included, if the options allow it.
//! Parked sessions count as sessions; the one parked first makes room when all are in use.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::backend::SamSession;
use super::options::{CreateRequest, SessionConfig};
use super::registry::{Conflict, Entry, Registry, Reservation};
use crate::wire::DestHash;

/// How long the streams of a session may take to end in order after their client.
const DRAIN: Duration = Duration::from_secs(30);

/// A session without a client.
pub(super) struct Parked {
    pub(super) session: Arc<dyn SamSession>,
    pub(super) reservation: Reservation,
    pub(super) config: SessionConfig,
    /// Cancelled when somebody takes it over, or when it has to make room.
    called: CancellationToken,
    /// The order of parking.
    number: u64,
}

impl Registry {
    /// Keeps a session without its client until it is claimed, or its time is over, or the router ends it.
    pub(super) async fn park(
        self: &Arc<Self>,
        session: Arc<dyn SamSession>,
        reservation: Reservation,
        config: SessionConfig,
        linger: Duration,
    ) {
        let hash = reservation.entry.hash;
        let called = CancellationToken::new();
        let drained = session.park();
        let closed = session.closed();
        let mut parked = Parked { session, reservation, config, called: called.clone(), number: 0 };
        let (number, other) = {
            let mut inner = self.lock();
            inner.parkings = inner.parkings.wrapping_add(1);
            parked.number = inner.parkings;
            (inner.parkings, inner.parked.insert(hash, parked))
        };
        // There is none: a destination has one session. To let go of it needs the lock.
        drop(other);
        self.ring();
        let over = async {
            let rest = tokio::time::sleep(linger);
            let _ = tokio::time::timeout(DRAIN, drained).await;
            rest.await;
        };
        tokio::select! { biased;
            () = called.cancelled() => {}
            () = closed => {}
            () = over => {}
        }
        let mine = {
            let mut inner = self.lock();
            let mine = inner.parked.get(&hash).is_some_and(|parked| parked.number == number);
            if mine { inner.parked.remove(&hash) } else { None }
        };
        if let Some(parked) = mine {
            parked.give_up().await;
        }
    }

    /// Takes a parked session of these keys for a new client. `None` if there is none.
    pub(super) fn claim(
        self: &Arc<Self>,
        request: &CreateRequest,
        client: std::net::IpAddr,
        config: &SessionConfig,
    ) -> Option<Result<Parked, Conflict>> {
        let hash = config.keys.destination().hash();
        let mut inner = self.lock();
        if !inner.parked.contains_key(&hash) {
            return None;
        }
        if inner.sessions.contains_key(&request.id) {
            return Some(Err(Conflict::Id));
        }
        let mut parked = inner.parked.remove(&hash)?;
        let entry = Arc::new(Entry::new(request, hash, client, CancellationToken::new()));
        inner.sessions.insert(request.id.clone(), entry.clone());
        inner.destinations.insert(hash, client);
        parked.reservation.pass_to(entry);
        parked.called.cancel();
        Some(Ok(parked))
    }

    /// Has the session that was parked first give its place up. False if none is parked.
    pub(super) fn evict(&self) -> bool {
        let inner = self.lock();
        let first = inner.parked.values().min_by_key(|parked| parked.number);
        first.inspect(|parked| parked.called.cancel()).is_some()
    }

    /// The destinations of parked sessions.
    pub(super) fn parked(&self) -> Vec<DestHash> {
        self.lock().parked.keys().copied().collect()
    }
}

impl Parked {
    /// Ends it; its destination is free when this is done.
    pub(super) async fn give_up(self) {
        self.session.close();
        self.session.closed().await;
    }

    /// Whether the new client wants the same session: the same keys to the letter, the same tunnels and lease set.
    pub(super) fn fits(&self, wanted: &SessionConfig) -> bool {
        self.config.keys.to_base64() == wanted.keys.to_base64() && self.config.fits(wanted)
    }
}
