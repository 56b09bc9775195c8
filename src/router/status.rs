// SPDX-License-Identifier: MIT
//! How far the router is, as a value that anybody may watch.

use std::sync::Arc;

use crate::base::{Mono, watch};
use crate::tunnel::{PoolId, PoolState};

/// Stages of a start, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Stage {
    /// Started; no other router known yet.
    #[default]
    Starting,
    /// Other routers are known.
    PeersKnown,
    /// Tunnels of our own stand in both directions: sessions can be opened.
    Tunnels,
}

/// How far the router is and what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Status {
    /// Furthest stage reached and not lost since.
    pub stage: Stage,
    /// Known routers, and floodfills among them.
    pub known: (usize, usize),
    /// Routers with an open link.
    pub connected: usize,
    /// Our exploratory tunnels: inbound, outbound.
    pub exploratory: (usize, usize),
    /// A floodfill has confirmed our RouterInfo.
    pub published: bool,
    /// Sessions that are open.
    pub sessions: usize,
    /// Tunnels that we carry for others.
    pub transit: usize,
    /// Since when no router at all has answered, if that is a minute or longer.
    pub cut_off_since: Option<Mono>,
    /// What went wrong last while building our own tunnels; `None` once they stand.
    pub trouble: Option<String>,
    /// Why state is not being saved; `None` while it is. The router goes on without.
    pub disk: Option<String>,
}

/// The writing end.
#[derive(Clone, Debug)]
pub(crate) struct StatusBoard(Arc<watch::Sender<Status>>);

impl Status {
    /// Why nothing works, if that is because no router at all answers.
    pub fn cut_off(&self, now: Mono) -> Option<String> {
        let silent = now.since(self.cut_off_since?).as_secs();
        Some(format!("no other router has answered for {silent} s; is this machine online?"))
    }
}

impl StatusBoard {
    pub(crate) fn new() -> (Self, watch::Receiver<Status>) {
        let (tx, rx) = watch::channel(Status::default());
        (Self(Arc::new(tx)), rx)
    }

    fn change(&self, f: impl FnOnce(&mut Status)) {
        self.0.send_if_modified(|status| {
            let before = status.clone();
            f(status);
            let ready = status.exploratory.0 > 0 && status.exploratory.1 > 0;
            status.stage = match status.known.0 {
                _ if ready => Stage::Tunnels,
                0 => Stage::Starting,
                _ => Stage::PeersKnown,
            };
            if status.stage > before.stage {
                tell(status);
            }
            *status != before
        });
    }

    pub(crate) fn known(&self, routers: usize, floodfills: usize) {
        self.change(|s| s.known = (routers, floodfills));
    }

    pub(crate) fn connected(&self, change: isize) {
        self.change(|s| s.connected = s.connected.saturating_add_signed(change));
    }

    pub(crate) fn exploratory(&self, pool: &PoolState) {
        self.change(|s| s.exploratory = (pool.inbound.len(), pool.outbound.len()));
    }

    pub(crate) fn cut_off(&self, since: Option<Mono>) {
        match since {
            Some(_) => tracing::warn!("no other router has answered for a minute: is this machine online?"),
            None => tracing::info!("other routers answer again"),
        }
        self.change(|s| s.cut_off_since = since);
    }

    pub(crate) fn published(&self, yes: bool) {
        self.change(|s| s.published = yes);
    }

    pub(crate) fn sessions(&self, n: usize) {
        self.change(|s| s.sessions = n);
    }

    pub(crate) fn transit(&self, n: usize) {
        self.change(|s| s.transit = n);
    }

    pub(crate) fn disk(&self, problem: Option<String>) {
        self.change(|s| s.disk = problem);
    }

    pub(crate) fn trouble(&self, pool: PoolId, text: Option<String>) {
        if pool.is_exploratory() {
            self.change(|s| s.trouble = text);
        }
    }
}

/// A line for the operator when a stage is reached.
fn tell(status: &Status) {
    let (routers, floodfills) = status.known;
    match status.stage {
        Stage::Starting => {}
        Stage::PeersKnown => tracing::info!(routers, floodfills, "peers known"),
        Stage::Tunnels => {
            let (inbound, outbound) = status.exploratory;
            tracing::info!(inbound, outbound, "first tunnels stand; sessions can be opened");
        }
    }
}
