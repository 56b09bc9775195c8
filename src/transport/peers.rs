// SPDX-License-Identifier: MIT
//! Who is linked to us, who may be, and whom we are dialling: the engine of the transport manager.
//!
//! One link for each router. A new inbound session replaces an old one, a new outbound one gives way. When two
//! routers dial each other at the same moment, both keep the connection of the router with the smaller hash, and the
//! other one stays as a spare for [`CROSSING`]: a peer that decides otherwise and closes ours does not cut the link.
//! A peer's queue outlives its connections. Requirements N1, N6, U6.

use super::addr::{self, Subnet};
use super::door::{Door, Rates};
use super::ntcp2::PeerKeys;
use super::ntcp2::handshake::Standing;
use super::queue::ConnId;
use super::{
    Class, CloseReason, DialError, Direction, PeerSender, TransportConfig, TransportEvent, TransportMetrics,
};
use crate::base::{Map, Mono, Now, Rng, TimerQueue, map};
use crate::wire::ntcp2_block::TerminationReason;
use crate::wire::{I2np, RouterHash, RouterInfo};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Two sessions established within this time of each other may be the result of dialling each other.
const CROSSING: Duration = Duration::from_secs(10);
/// Failed dials that are remembered.
const BACKOFFS_MAX: usize = 4_096;
/// Bans that are remembered; beyond it the one that ends first is lifted.
const BANS_MAX: usize = 4_096;
/// Time after a failed dial before the next, doubled for each further failure.
const BACKOFF_FIRST: Duration = Duration::from_secs(5);
const BACKOFF_MAX: Duration = Duration::from_secs(300);
/// The same on a test network, where routers come and go and nobody else is there to be hurt: not doubled.
const BACKOFF_TEST: Duration = Duration::from_secs(1);
/// How often old rates and backoffs are forgotten.
const SWEEP: Duration = Duration::from_secs(60);

/// What the owner has to do.
#[derive(Debug)]
pub(crate) enum Action {
    /// Open a connection and shake hands.
    Connect {
        conn: ConnId,
        to: SocketAddr,
        keys: PeerKeys,
    },
    /// Let the connection serve this queue.
    Attach {
        conn: ConnId,
        sender: PeerSender,
    },
    /// End the connection, in whatever state it is.
    Close {
        conn: ConnId,
        reason: TerminationReason,
    },
    Event(TransportEvent),
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Before it was established.
    Failed(DialError),
    /// After.
    Closed(CloseReason),
}

/// A finished handshake.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) conn: ConnId,
    pub(crate) peer: RouterHash,
    pub(crate) direction: Direction,
    pub(crate) remote: SocketAddr,
    pub(crate) skew_ms: i64,
}

enum Link {
    Dialling { conn: ConnId, sender: PeerSender },
    Up(Up),
}

struct Up {
    conn: ConnId,
    direction: Direction,
    since: Mono,
    sender: PeerSender,
    /// The other connection of a crossing; closed when its timer in `Peers::spares` runs out.
    spare: Option<ConnId>,
}

/// An inbound handshake.
#[derive(Clone, Copy, Debug)]
struct Pending {
    ip: IpAddr,
    standing: Standing,
}

struct Backoff {
    until: Mono,
    failures: u32,
}

/// The table of peers.
pub(crate) struct Peers {
    config: Arc<TransportConfig>,
    local: RouterHash,
    metrics: Arc<TransportMetrics>,
    links: Map<RouterHash, Link>,
    /// Established connections.
    conns: Map<ConnId, RouterHash>,
    /// Number of links that are up.
    up: usize,
    /// When spare connections are closed.
    spares: TimerQueue<RouterHash>,
    /// Inbound handshakes, oldest first.
    pending: BTreeMap<ConnId, Pending>,
    /// Outbound handshakes.
    dials: Map<ConnId, RouterHash>,
    door: Door,
    backoffs: Map<RouterHash, Backoff>,
    bans: Map<RouterHash, Mono>,
    actions: VecDeque<Action>,
    next_conn: u64,
    next_sweep: Mono,
    stopping: bool,
}

impl Peers {
    pub(crate) fn new(
        config: Arc<TransportConfig>,
        local: RouterHash,
        metrics: Arc<TransportMetrics>,
        rng: &mut Rng,
    ) -> Self {
        let rates = Rates {
            address: (config.accepts_per_second, config.accepts_burst),
            strangers: (config.handshakes_per_second, config.handshakes_per_second.saturating_mul(2)),
            known: (config.links.known_per_second, config.links.known_per_second * 2),
        };
        Self {
            config,
            local,
            metrics,
            links: map(rng),
            conns: map(rng),
            up: 0,
            spares: TimerQueue::new(),
            pending: BTreeMap::new(),
            dials: map(rng),
            door: Door::new(rates, rng),
            backoffs: map(rng),
            bans: map(rng),
            actions: VecDeque::new(),
            next_conn: 0,
            next_sweep: Mono::default().after(SWEEP),
            stopping: false,
        }
    }

    /// The next thing to do.
    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Mono> {
        self.spares.next().into_iter().chain([self.next_sweep]).min()
    }

    /// The time of [`Self::poll_timeout`] has come.
    pub(crate) fn handle_timeout(&mut self, now: Now) {
        while let Some(peer) = self.spares.pop_due(now.mono) {
            if let Some(Link::Up(up)) = self.links.get_mut(&peer)
                && let Some(conn) = up.spare.take()
            {
                self.actions.push_back(Action::Close { conn, reason: TerminationReason::Normal });
            }
        }
        if self.next_sweep <= now.mono {
            self.next_sweep = now.mono.after(SWEEP);
            self.sweep(now);
        }
    }

    fn sweep(&mut self, now: Now) {
        self.door.sweep(now.mono);
        self.backoffs.retain(|_, b| b.until.after(BACKOFF_MAX) > now.mono);
        self.bans.retain(|_, until| *until > now.mono);
    }

    fn next_conn(&mut self) -> ConnId {
        self.next_conn += 1;
        ConnId(self.next_conn)
    }

    fn event(&mut self, event: TransportEvent) {
        self.actions.push_back(Action::Event(event));
    }

    fn count_dials(&self) {
        self.metrics.dials.set(self.dials.len() as u64);
    }

    fn count(&mut self, up: usize) {
        self.up = up;
        self.metrics.sessions.set(up as u64);
    }

    // --- inbound -------------------------------------------------------------------------------------------------

    /// Decides about a new inbound connection: `None` means to close it without a word.
    pub(crate) fn accept(&mut self, now: Now, remote: SocketAddr) -> Option<ConnId> {
        let ip = addr::canonical(remote.ip());
        if self.stopping || self.links.len() >= self.inbound_max() || !self.may_accept(now, ip) {
            self.metrics.accept_refused.inc();
            return None;
        }
        if self.pending.len() >= self.config.pending_max {
            self.evict();
        }
        let conn = self.next_conn();
        self.pending.insert(conn, Pending { ip, standing: Standing::Stranger });
        Some(conn)
    }

    /// Links at which nobody else is let in. The last quarter is for those that we dial: whoever fills the rest from
    /// outside cannot cut us off.
    fn inbound_max(&self) -> usize {
        self.config.sessions_max - self.config.sessions_max / 4
    }

    /// Drops an inbound handshake: one that has failed already, or else one that has not shown that it knows us, or
    /// else any; of several the oldest.
    fn evict(&mut self) {
        let worst = self.pending.iter().min_by_key(|(conn, p)| (p.standing, **conn)).map(|(conn, _)| *conn);
        if let Some(conn) = worst {
            self.pending.remove(&conn);
            self.metrics.accept_evicted.inc();
            self.actions.push_back(Action::Close { conn, reason: TerminationReason::Normal });
        }
    }

    /// An inbound handshake has shown what it is.
    pub(crate) fn stands(&mut self, conn: ConnId, standing: Standing) {
        if let Some(pending) = self.pending.get_mut(&conn) {
            pending.standing = standing;
        }
    }

    fn may_accept(&mut self, now: Now, ip: IpAddr) -> bool {
        if self.config.test_network {
            return true;
        }
        let subnet = Subnet::of(ip);
        let (mut same_ip, mut same_subnet) = (0, 0);
        for other in self.pending.values() {
            same_ip += usize::from(other.ip == ip);
            same_subnet += usize::from(Subnet::of(other.ip) == subnet);
        }
        same_ip < self.config.pending_per_ip
            && same_subnet < self.config.pending_per_subnet
            && self.door.admit(now.mono, ip)
    }

    // --- outbound ------------------------------------------------------------------------------------------------

    /// Sends messages to a router, dialling it if need be.
    pub(crate) fn dial(&mut self, now: Now, info: &RouterInfo, messages: Vec<I2np>, class: Class) {
        let peer = info.hash();
        if let Some(Link::Up(Up { sender, .. }) | Link::Dialling { sender, .. }) = self.links.get(&peer) {
            sender.push(now, messages, class);
            return;
        }
        match self.may_dial(now, info) {
            Ok((to, keys)) => {
                let conn = self.next_conn();
                let sender = PeerSender::new(self.metrics.clone(), self.config.queue(), &self.config.budget);
                sender.push(now, messages, class);
                self.links.insert(peer, Link::Dialling { conn, sender });
                self.dials.insert(conn, peer);
                self.count_dials();
                self.actions.push_back(Action::Connect { conn, to, keys });
            }
            Err(reason) => {
                let messages = messages.len();
                self.metrics.dropped_closed.add(messages as u64);
                self.event(TransportEvent::DialFailed { peer, reason, messages });
            }
        }
    }

    fn may_dial(&self, now: Now, info: &RouterInfo) -> Result<(SocketAddr, PeerKeys), DialError> {
        let peer = info.hash();
        if self.stopping {
            return Err(DialError::ShuttingDown);
        }
        if peer == self.local {
            return Err(DialError::Ourselves);
        }
        if self.is_banned(now, &peer) {
            return Err(DialError::Banned);
        }
        if self.backoffs.get(&peer).is_some_and(|b| b.until > now.mono) {
            return Err(DialError::Backoff);
        }
        let target = choose_address(&self.config, info)?;
        if self.dials.len() >= self.config.dials_max || self.links.len() >= self.config.sessions_max {
            return Err(DialError::Full);
        }
        Ok(target)
    }

    fn back_off(&mut self, now: Now, peer: RouterHash) {
        if self.backoffs.len() >= BACKOFFS_MAX && !self.backoffs.contains_key(&peer) {
            return;
        }
        let backoff = self.backoffs.entry(peer).or_insert(Backoff { until: now.mono, failures: 0 });
        let wait = BACKOFF_FIRST.saturating_mul(1 << backoff.failures.min(10)).min(BACKOFF_MAX);
        backoff.failures += 1;
        backoff.until = now.mono.after(if self.config.test_network { BACKOFF_TEST } else { wait });
    }

    // --- sessions ------------------------------------------------------------------------------------------------

    /// A handshake has ended well; answers with [`Action::Attach`] or [`Action::Close`].
    pub(crate) fn established(&mut self, now: Now, new: Arrival) {
        self.pending.remove(&new.conn);
        self.dials.remove(&new.conn);
        self.count_dials();
        if self.stopping {
            return self.refuse(new.conn, TerminationReason::Shutdown);
        }
        if new.peer == self.local || self.is_banned(now, &new.peer) {
            return self.refuse(new.conn, TerminationReason::Banned);
        }
        self.backoffs.remove(&new.peer);
        self.door.met(now.mono, new.remote.ip());
        let most = match new.direction {
            Direction::Inbound => self.inbound_max(),
            Direction::Outbound => self.config.sessions_max,
        };
        match self.links.remove(&new.peer) {
            None if self.links.len() >= most => self.refuse(new.conn, TerminationReason::Normal),
            None => {
                let sender = PeerSender::new(self.metrics.clone(), self.config.queue(), &self.config.budget);
                self.link(now, new, sender);
            }
            // A dial that is under way goes on: the peer may have its message 3 already and be sending there.
            Some(Link::Dialling { sender, .. }) => self.link(now, new, sender),
            Some(Link::Up(old)) => self.second_session(now, old, new),
        }
    }

    fn refuse(&mut self, conn: ConnId, reason: TerminationReason) {
        self.metrics.session_refused.inc();
        self.actions.push_back(Action::Close { conn, reason });
    }

    fn link(&mut self, now: Now, new: Arrival, sender: PeerSender) {
        self.attach(&new, &sender);
        let Arrival { conn, peer, direction, remote, skew_ms } = new;
        let up = Up { conn, direction, since: now.mono, sender: sender.clone(), spare: None };
        self.links.insert(peer, Link::Up(up));
        self.count(self.up + 1);
        self.event(TransportEvent::Up { peer, sender, direction, remote, skew_ms });
    }

    fn attach(&mut self, new: &Arrival, sender: &PeerSender) {
        match new.direction {
            Direction::Inbound => self.metrics.inbound_up.inc(),
            Direction::Outbound => self.metrics.outbound_up.inc(),
        }
        sender.attach(new.conn);
        self.conns.insert(new.conn, new.peer);
        self.actions.push_back(Action::Attach { conn: new.conn, sender: sender.clone() });
    }

    /// A session with a router that has one already.
    fn second_session(&mut self, now: Now, mut old: Up, new: Arrival) {
        let crossing = old.direction != new.direction && now.mono.since(old.since) < CROSSING;
        if let Some(conn) = old.spare.take() {
            self.actions.push_back(Action::Close { conn, reason: TerminationReason::Normal });
        }
        let ours_wins = self.local < new.peer;
        let new_wins = match new.direction {
            Direction::Inbound => !crossing || !ours_wins,
            Direction::Outbound => crossing && ours_wins,
        };
        if !crossing && !new_wins {
            self.refuse(new.conn, TerminationReason::Normal);
            self.links.insert(new.peer, Link::Up(old));
            return;
        }
        self.attach(&new, &old.sender);
        let spare = if new_wins { old.conn } else { new.conn };
        if new_wins {
            (old.conn, old.direction, old.since) = (new.conn, new.direction, now.mono);
        } else {
            old.sender.attach(old.conn);
        }
        if crossing {
            old.spare = Some(spare);
            self.spares.set(new.peer, now.mono.after(CROSSING));
        } else {
            self.actions.push_back(Action::Close { conn: spare, reason: TerminationReason::Normal });
        }
        self.links.insert(new.peer, Link::Up(old));
    }

    /// A connection has ended.
    pub(crate) fn closed(&mut self, now: Now, conn: ConnId, end: End) {
        if self.pending.remove(&conn).is_some() {
            self.metrics.inbound_failed.inc();
        }
        if let Some(peer) = self.dials.remove(&conn) {
            self.count_dials();
            self.dial_failed(now, conn, peer, end);
        }
        if let Some(peer) = self.conns.remove(&conn) {
            self.session_ended(conn, peer, end);
        }
    }

    fn dial_failed(&mut self, now: Now, conn: ConnId, peer: RouterHash, end: End) {
        self.metrics.outbound_failed.inc();
        let Some(Link::Dialling { conn: current, sender }) = self.links.get(&peer) else { return };
        if *current != conn {
            return;
        }
        let messages = sender.close();
        self.links.remove(&peer);
        let reason = match end {
            End::Failed(reason) => reason,
            End::Closed(_) => DialError::ShuttingDown,
        };
        if reason.is_peers_fault() {
            self.back_off(now, peer);
        }
        self.event(TransportEvent::DialFailed { peer, reason, messages });
    }

    fn session_ended(&mut self, conn: ConnId, peer: RouterHash, end: End) {
        let Some(Link::Up(up)) = self.links.get_mut(&peer) else { return };
        if up.conn != conn {
            if up.spare == Some(conn) {
                up.spare = None;
            }
            return;
        }
        if let Some(spare) = up.spare.take() {
            up.conn = spare;
            let sender = up.sender.clone();
            sender.attach(spare);
            self.actions.push_back(Action::Attach { conn: spare, sender });
            return;
        }
        up.sender.close();
        self.links.remove(&peer);
        self.spares.cancel(&peer);
        self.count(self.up.saturating_sub(1));
        let reason = match end {
            End::Closed(reason) => reason,
            End::Failed(_) => CloseReason::Lost,
        };
        self.event(TransportEvent::Down { peer, reason });
    }

    /// Ends the link to a router, if there is one.
    pub(crate) fn disconnect(&mut self, peer: &RouterHash, reason: TerminationReason) {
        if let Some(Link::Up(up)) = self.links.get(peer) {
            for conn in [Some(up.conn), up.spare].into_iter().flatten() {
                self.actions.push_back(Action::Close { conn, reason });
            }
        }
    }

    /// Ends all links: they may be dead without our knowing.
    pub(crate) fn disconnect_all(&mut self, reason: TerminationReason) {
        let mut peers: Vec<RouterHash> = self.links.keys().copied().collect();
        peers.sort_unstable();
        peers.iter().for_each(|peer| self.disconnect(peer, reason));
    }

    /// Refuses a router until `until`, and ends its link.
    pub(crate) fn ban(&mut self, peer: RouterHash, until: Mono) {
        if self.bans.len() >= BANS_MAX
            && let Some(first) = self.bans.iter().min_by_key(|(_, until)| **until).map(|(peer, _)| *peer)
        {
            self.bans.remove(&first);
        }
        self.bans.insert(peer, until);
        self.disconnect(&peer, TerminationReason::Banned);
    }

    fn is_banned(&self, now: Now, peer: &RouterHash) -> bool {
        self.bans.get(peer).is_some_and(|until| *until > now.mono)
    }

    /// No new connections from now on; the connections end by themselves.
    pub(crate) fn stop(&mut self) {
        self.stopping = true;
    }
}

/// The NTCP2 address of `info` that we can reach: IPv4 first, IPv6 when we have it ourselves.
fn choose_address(config: &TransportConfig, info: &RouterInfo) -> Result<(SocketAddr, PeerKeys), DialError> {
    let ours = || config.bind.iter().chain(&config.published);
    let v6 = ours().any(SocketAddr::is_ipv6);
    let v4 = !v6 || ours().any(SocketAddr::is_ipv4);
    let peer = info.hash();
    let mut found: Vec<(SocketAddr, PeerKeys)> = info
        .addresses()
        .iter()
        .filter(|a| a.is_ntcp2())
        .filter_map(|a| {
            Some((SocketAddr::new(addr::canonical(a.host()?), a.port()?), PeerKeys::of(peer, a)?))
        })
        .filter(|(to, _)| if to.is_ipv4() { v4 } else { v6 })
        .collect();
    if found.is_empty() {
        return Err(DialError::NoAddress);
    }
    found.retain(|(to, _)| config.test_network || !addr::is_reserved(to.ip()));
    found.into_iter().min_by_key(|(to, _)| to.is_ipv6()).ok_or(DialError::Reserved)
}

#[cfg(test)]
mod tests;
