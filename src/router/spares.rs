// SPDX-License-Identifier: MIT
//! Sessions that stand ready for programs that bring no keys: tunnels built, lease set published.
//!
//! A program that asks for a transient session of the usual make gets one of these at once. There is one spare of the
//! default make from the time the router has tunnels, and one of the make asked for last, for an hour; what was taken is
//! replaced. The keys of a spare were never used by anybody. Owner: the router; its task opens and counts them.

use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::api::{Inner, Opening, Router};
use super::sam_backend::session_config;
use super::status::Stage;
use crate::base::Mono;
use crate::destination::Session;
use crate::sam::{EncryptedOptions, PrivateKeys, SessionConfig, Style};
use crate::wire::SigType;

/// Makes that a spare is kept of: the default one and another.
const MAKES: usize = 2;
/// How long a make is remembered that nobody asks for again.
const MEMORY: Duration = Duration::from_secs(3600);
/// Time between looks at what there is.
const LOOK: Duration = Duration::from_secs(5);
/// Pause after a spare could not be opened.
const PAUSE: Duration = Duration::from_secs(60);

/// A session without a program.
pub(super) struct Spare {
    config: SessionConfig,
    pub(super) keys: PrivateKeys,
    pub(super) session: Session,
}

#[derive(Default)]
struct Stock {
    ready: Vec<Spare>,
    /// What was asked for last beside the default make, and when.
    asked: Option<(SessionConfig, Mono)>,
}

/// The spares of a router.
pub(super) struct Spares {
    router: Weak<Inner>,
    stock: Mutex<Stock>,
    /// Rings when one was taken or another make was asked for.
    look: Notify,
}

impl Spares {
    pub(super) fn new(router: Weak<Inner>) -> Self {
        Self { router, stock: Mutex::default(), look: Notify::new() }
    }

    fn stock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A spare of the make that is wanted, if there is one. Another of it will follow.
    pub(super) fn take(&self, wanted: &SessionConfig) -> Option<Spare> {
        let now = self.router.upgrade()?.clock.now().mono;
        // Lease sets of another kind, and those that nobody shall find, are not made ahead.
        let plain = wanted.lease_set.publish
            && wanted.lease_set.encrypted == EncryptedOptions::default()
            && wanted.keys.destination().sig_type() == SigType::Ed25519;
        if !plain {
            return None;
        }
        let mut stock = self.stock();
        if !default_make(&wanted.keys).fits(wanted) {
            stock.asked = Some((wanted.clone(), now));
        }
        let at = stock.ready.iter().position(|spare| spare.config.fits(wanted) && !spare.session.is_closed());
        let spare = at.map(|at| stock.ready.swap_remove(at));
        drop(stock);
        self.look.notify_one();
        spare
    }

    /// What there should be and is not.
    fn missing(&self, router: &Router) -> Option<SessionConfig> {
        let now = router.inner.clock.now().mono;
        let keys = router.new_keys(SigType::Ed25519)?;
        let keys = PrivateKeys::from_base64(&keys.to_base64()).ok()?;
        let mut stock = self.stock();
        stock.ready.retain(|spare| !spare.session.is_closed());
        if stock.asked.as_ref().is_some_and(|(_, at)| now.since(*at) > MEMORY) {
            stock.asked = None;
        }
        let mut makes = vec![default_make(&keys)];
        makes.extend(stock.asked.as_ref().map(|(config, _)| config.clone()));
        stock.ready.retain(|spare| makes.iter().any(|make| make.fits(&spare.config)));
        makes.truncate(MAKES);
        let mut missing = makes.into_iter().find(|m| !stock.ready.iter().any(|s| s.config.fits(m)))?;
        missing.keys = keys;
        missing.name = "spare".to_owned();
        Some(missing)
    }
}

/// A session as it is when the client says nothing about it.
fn default_make(keys: &PrivateKeys) -> SessionConfig {
    SessionConfig::plain("spare", Style::Stream, keys.clone())
}

/// Keeps the spares of a router until it stops.
pub(super) async fn run(
    spares: std::sync::Arc<Spares>,
    mut ready: crate::base::watch::Receiver<super::Status>,
) {
    if ready.wait_for(|s| s.stage >= Stage::Tunnels).await.is_err() {
        return;
    }
    drop(ready);
    loop {
        let wait = {
            match begin(&spares).await {
                Begun::Stopped => return,
                Begun::Nothing => LOOK,
                Begun::Failed => PAUSE,
                // The router may go meanwhile: nothing here holds it.
                Begun::Opening(config, opening) => match opening.ready().await {
                    Ok(session) => {
                        let keys = config.keys.clone();
                        spares.stock().ready.push(Spare { config: *config, keys, session });
                        Duration::ZERO
                    }
                    Err(error) => {
                        tracing::debug!(%error, "no spare session");
                        PAUSE
                    }
                },
            }
        };
        if wait == PAUSE {
            tokio::time::sleep(wait).await;
        } else if !wait.is_zero() {
            let _ = tokio::time::timeout(wait, spares.look.notified()).await;
        }
    }
}

enum Begun {
    Stopped,
    Nothing,
    Failed,
    Opening(Box<SessionConfig>, Opening),
}

async fn begin(spares: &Spares) -> Begun {
    let Some(inner) = spares.router.upgrade() else { return Begun::Stopped };
    let router = Router { inner };
    let Some(config) = spares.missing(&router) else { return Begun::Nothing };
    let Ok(settings) = session_config(&config) else { return Begun::Failed };
    match router.begin_session(settings).await {
        Ok(opening) => Begun::Opening(Box::new(config), opening),
        Err(_) => Begun::Failed,
    }
}
