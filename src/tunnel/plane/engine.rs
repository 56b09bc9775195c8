// SPDX-License-Identifier: MIT
//! The engine of the plane: sorts what comes in, works in turns, groups what goes out.
//!
//! [`Plane::handle`] only sorts: cells behind their tunnel's checks, messages into their gateway's waiting list.
//! The first [`Plane::poll_action`] after that does the turn's work: packs, encrypts the cells of all tunnels side
//! by side, opens, joins, delivers, and goes round again for what was addressed to ourselves. So the
//! caller must poll until `None` after a batch of inputs, and should not hand in more than some 64 batches between.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::dedup::Filter;
use super::gateway::{Parcel, pack};
use super::join::{JoinLimits, Joiner};
use super::message::{Action, Input, InstallError, Via};
use super::metrics::PlaneMetrics;
use super::outbox::Outbox;
use super::policer::Policer;
use super::table::{Role, SlotKey, Table, Tunnel};
use super::tags::Tags;
use crate::base::{Account, Budget, Mono, Now, Part, Rng};
use crate::crypto::layer::{Cell, LayerKeys, encrypt_each};
use crate::tunnel::types::{Class, Delivery, Install, NextHop, TunnelKey};
use crate::wire::tunnel_data::{BODY_LEN, encode_body};
use crate::wire::{I2np, I2npKind, MessageId, Reader, RouterHash, TunnelId};

/// How long what we send may be on its way. Short headers cut it to whole seconds.
const SEND_LIFE_MS: u64 = 10_000;
/// How often the load is looked at while there is any.
const LOAD_EVERY: Duration = Duration::from_secs(5);
/// How often a message may pass through us without reaching another router.
const LOOPS_MAX: u8 = 32;
/// Messages that wait at one gateway within a turn. What a socket read can bring is far below.
const PARCELS_MAX: usize = 4096;
/// Memory of a tunnel, about.
const TUNNEL_COST: usize = 2048;

/// Bounds and switches of the plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaneConfig {
    /// Most tunnels carried for others; 0 turns transit off. Default 2,500, each about 2 KB.
    pub transit_max: usize,
    /// Most tunnels of our own, both ways. Default 4,096, each about 2 KB a hop.
    pub own_max: usize,
    /// Whether cells count only from the router that they must come from. Default on.
    pub pin_previous: bool,
    /// Most memory of the filter against replayed cells. Default 64 MiB; an idle router uses 64 KiB.
    pub filter_bytes_max: usize,
    /// Bounds of reassembly.
    pub join: JoinLimits,
    /// Most registered garlic tags. Default 4,096; the oldest goes first.
    pub tags_max: usize,
    /// Most bytes of cells that all transit tunnels together take in a second. Default `None`: no limit.
    pub transit_rate: Option<u32>,
}

impl Default for PlaneConfig {
    fn default() -> Self {
        Self {
            transit_max: 2500,
            own_max: 4096,
            pin_previous: true,
            filter_bytes_max: 64 << 20,
            join: JoinLimits::default(),
            tags_max: 4096,
            transit_rate: None,
        }
    }
}

/// A cell that passed the checks of its tunnel and waits for the turn.
#[derive(Debug)]
struct Waiting {
    slot: SlotKey,
    loops: u8,
    message: I2np,
}

/// A message to ourselves.
#[derive(Debug)]
pub(super) struct Looped {
    pub(super) from: Option<RouterHash>,
    pub(super) loops: u8,
    pub(super) message: I2np,
}

/// Every tunnel that touches this router.
#[derive(Debug)]
pub struct Plane {
    pub(super) me: RouterHash,
    config: PlaneConfig,
    pub(super) rng: Rng,
    pub(super) now: Now,
    pub(super) table: Table,
    pub(super) joiner: Joiner,
    pub(super) tags: Tags,
    /// Ids of the answers to our builds.
    replies: Tags,
    pub(super) metrics: Arc<PlaneMetrics>,
    pub(super) outbox: Outbox,
    filter: Filter,
    policer: Policer,
    /// When the load is looked at again.
    load_at: Mono,
    cells: Vec<Waiting>,
    /// Gateways with parcels.
    gateways: Vec<SlotKey>,
    looped: VecDeque<Looped>,
    /// Tunnels, incomplete messages and the filter.
    memory: Account,
}

impl Plane {
    /// A plane without tunnels for the router `me`.
    pub fn new(me: RouterHash, config: PlaneConfig, mut rng: Rng) -> Self {
        Self {
            me,
            config,
            now: Now::default(),
            table: Table::new(&mut rng, config.transit_max, config.own_max),
            joiner: Joiner::new(config.join),
            tags: Tags::new(&mut rng, config.tags_max),
            replies: Tags::new(&mut rng, config.tags_max),
            metrics: Arc::default(),
            outbox: Outbox::new(&mut rng),
            filter: Filter::new(&mut rng, config.filter_bytes_max),
            policer: Policer::new(config.transit_rate),
            load_at: Mono::NEVER,
            cells: Vec::new(),
            gateways: Vec::new(),
            looped: VecDeque::new(),
            memory: Account::default(),
            rng,
        }
    }

    /// What tunnels and incomplete messages hold counts against `budget`.
    #[must_use]
    pub fn with_budget(mut self, budget: &Budget) -> Self {
        self.memory = budget.account(Part::Tunnels);
        self.account();
        self
    }

    fn account(&mut self) {
        let tunnels = (self.table.transit() + self.table.own()) * TUNNEL_COST;
        self.memory.set(tunnels + self.joiner.bytes() + self.filter.bytes());
    }

    /// The counters, shared with whoever wants to read them.
    pub fn metrics(&self) -> Arc<PlaneMetrics> {
        self.metrics.clone()
    }

    /// Takes one input. Follow with [`Self::poll_action`] until it gives nothing.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.now = now;
        match input {
            Input::FromPeer { peer, messages } => {
                for message in messages {
                    self.arrive(Some(peer), 0, message);
                }
            }
            Input::Send { to, message } => self.send(to, Class::Control, 0, Some(self.me), message),
            Input::Out { handle, messages } => self.send_out(handle, messages),
            Input::Install(install) => {
                let key = install.config.key();
                if let Err(reason) = self.install(now, &install) {
                    self.outbox.push(Action::Refused { key, reason });
                }
            }
            Input::Remove(key) => self.remove(key),
            Input::RegisterTag { tag, expires } => {
                if self.tags.register(now.mono, tag, expires) {
                    self.metrics.tags_dropped_full.inc();
                }
            }
            Input::DropTag(tag) => self.tags.forget(&tag),
            Input::ExpectReply { id, expires } => {
                if self.replies.register(now.mono, reply_key(id), expires) {
                    self.metrics.tags_dropped_full.inc();
                }
            }
        }
    }

    /// The next thing to do; `None` when there is nothing to do until the next input or timeout.
    pub fn poll_action(&mut self) -> Option<Action> {
        if self.has_work() {
            self.turn();
        }
        self.outbox.pop()
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Mono> {
        let load = (self.load_at != Mono::NEVER).then_some(self.load_at);
        [self.table.next_expiry(), self.joiner.next_deadline(), load].into_iter().flatten().min()
    }

    /// Ends tunnels and partial messages whose time is over.
    pub fn handle_timeout(&mut self, now: Now) {
        self.now = now;
        self.joiner.expire(now.mono, &mut self.table, &self.metrics);
        while let Some(slot) = self.table.next_expired(now.mono) {
            self.drop_tunnel(slot);
            self.metrics.tunnels_expired.inc();
        }
        self.tags.expire(now.mono);
        self.replies.expire(now.mono);
        if self.load_at <= now.mono {
            let load = self.policer.load_percent(now.mono);
            self.metrics.transit_load_percent.set(load.into());
            self.load_at = if load > 0 { now.mono.after(LOAD_EVERY) } else { Mono::NEVER };
        }
        self.account();
    }

    /// Starts to carry a tunnel.
    ///
    /// # Errors
    /// When it may not be: see [`InstallError`].
    pub fn install(&mut self, now: Now, install: &Install) -> Result<(), InstallError> {
        self.now = now;
        let done = self.table.insert(now.mono, install);
        match done {
            Ok(()) => self.metrics.tunnels_installed.inc(),
            Err(_) => self.metrics.tunnels_refused.inc(),
        }
        self.count_tunnels();
        done
    }

    /// Changes the limit of transit tunnels; those over it live on to their end.
    pub const fn set_transit_max(&mut self, max: usize) {
        self.table.set_transit_max(max);
    }

    /// Transit tunnels now.
    pub const fn transit_tunnels(&self) -> usize {
        self.table.transit()
    }

    /// Tunnels of our own now.
    pub const fn own_tunnels(&self) -> usize {
        self.table.own()
    }

    /// Bytes of the replay filter now.
    pub fn filter_bytes(&self) -> usize {
        self.filter.bytes()
    }

    /// Messages that are incomplete now, and their bytes.
    pub const fn incomplete(&self) -> (usize, usize) {
        (self.joiner.messages(), self.joiner.bytes())
    }

    fn remove(&mut self, key: TunnelKey) {
        if let Some(slot) = self.table.find(key) {
            self.drop_tunnel(slot);
            self.metrics.tunnels_removed.inc();
        }
    }

    fn drop_tunnel(&mut self, slot: SlotKey) {
        if let Some(tunnel) = self.table.remove(slot) {
            if let Role::Endpoint { partials, .. } | Role::Inbound { partials, .. } = &tunnel.role {
                self.joiner.forget(partials, &self.metrics);
            }
            self.drop_parcels(&tunnel);
        }
        self.count_tunnels();
    }

    /// Counts what waited at a gateway that goes away in the middle of a turn.
    fn drop_parcels(&self, tunnel: &Tunnel) {
        let lost = tunnel.parcels.len() as u64;
        match tunnel.role {
            Role::Outbound { .. } => self.metrics.out_dropped_unknown.add(lost),
            _ => self.metrics.gateway_dropped_unknown.add(lost),
        }
    }

    fn count_tunnels(&mut self) {
        self.account();
        self.metrics.transit_tunnels.set(self.table.transit() as u64);
        self.metrics.own_tunnels.set(self.table.own() as u64);
    }

    fn has_work(&self) -> bool {
        !(self.cells.is_empty() && self.gateways.is_empty() && self.looped.is_empty())
    }

    fn turn(&mut self) {
        if self.config.transit_rate.is_some() && self.load_at == Mono::NEVER {
            self.load_at = self.now.mono.after(LOAD_EVERY);
        }
        while self.has_work() {
            for looped in std::mem::take(&mut self.looped) {
                self.arrive(looped.from, looped.loops, looped.message);
            }
            self.run_gateways();
            self.run_cells();
            self.joiner.enforce(&mut self.table, &self.metrics);
        }
        self.account();
    }

    /// A message from a peer, or from ourselves to ourselves; `from` is `None` if a tunnel brought it.
    fn arrive(&mut self, from: Option<RouterHash>, loops: u8, message: I2np) {
        match message.kind {
            I2npKind::TUNNEL_DATA => self.arrive_cell(from, loops, message),
            I2npKind::TUNNEL_GATEWAY => self.arrive_gateway(loops, message),
            _ if message.is_out_of_time(self.now.wall_ms) => self.metrics.direct_dropped_late.inc(),
            _ => {
                self.metrics.direct_control.inc();
                let own = from == Some(self.me) || self.is_reply(&message);
                self.outbox.push(Action::Control { from, via: Via::Direct, own, message });
            }
        }
    }

    /// Whether the message answers a build of ours.
    pub(super) fn is_reply(&mut self, message: &I2np) -> bool {
        let kind =
            matches!(message.kind, I2npKind::SHORT_TUNNEL_BUILD | I2npKind::OUTBOUND_TUNNEL_BUILD_REPLY);
        kind && self.replies.take(self.now.mono, &reply_key(message.id))
    }

    fn arrive_cell(&mut self, from: Option<RouterHash>, loops: u8, message: I2np) {
        let metrics = &self.metrics;
        metrics.cells_received.inc();
        let Some((id, cell)) = split_cell(&message.body) else {
            return metrics.cells_dropped_malformed.inc();
        };
        if message.is_out_of_time(self.now.wall_ms) {
            return metrics.cells_dropped_late.inc();
        }
        let found = self.table.find(TunnelKey::Receive(id));
        let Some((slot, tunnel)) = found.and_then(|slot| Some((slot, self.table.get_mut(slot)?))) else {
            return metrics.cells_dropped_unknown.inc();
        };
        if !matches!(tunnel.role, Role::Participant { .. } | Role::Endpoint { .. } | Role::Inbound { .. }) {
            return metrics.cells_dropped_role.inc();
        }
        if self.config.pin_previous && tunnel.previous.is_some() && tunnel.previous != from {
            return metrics.cells_dropped_sender.inc();
        }
        if !tunnel.bucket.as_mut().is_none_or(|b| b.take(self.now.mono, BODY_LEN)) {
            return metrics.cells_dropped_rate.inc();
        }
        if tunnel.transit && !self.policer.take(self.now.mono, &mut tunnel.share, BODY_LEN) {
            return metrics.cells_dropped_bandwidth.inc();
        }
        if self.filter.seen(self.now.mono, cell) {
            return metrics.cells_dropped_duplicate.inc();
        }
        self.cells.push(Waiting { slot, loops, message });
    }

    fn arrive_gateway(&mut self, loops: u8, message: I2np) {
        self.metrics.gateway_received.inc();
        let Some((id, header, end)) = split_gateway(&message.body) else {
            return self.metrics.gateway_dropped_malformed.inc();
        };
        let mut bytes = message.body;
        let found = self.table.find(TunnelKey::Receive(id));
        let Some((slot, tunnel)) = found.and_then(|slot| Some((slot, self.table.get_mut(slot)?))) else {
            return self.metrics.gateway_dropped_unknown.inc();
        };
        if is_out_of_time(header.expiration_ms, self.now.wall_ms) {
            return self.metrics.gateway_dropped_late.inc();
        }
        bytes.truncate(end);
        match tunnel.role {
            Role::ZeroInbound { owner } => {
                self.metrics.gateway_delivered.inc();
                self.up_bytes(owner, bytes.get(GATEWAY_HEAD..).unwrap_or_default());
            }
            Role::Gateway { .. } => {
                let fits = tunnel.parcels.len() < PARCELS_MAX;
                if !(fits && tunnel.bucket.as_mut().is_none_or(|b| b.take(self.now.mono, bytes.len()))) {
                    return self.metrics.gateway_dropped_rate.inc();
                }
                if !self.policer.take(self.now.mono, &mut tunnel.share, bytes.len()) {
                    return self.metrics.gateway_dropped_bandwidth.inc();
                }
                let Some(parcel) = Parcel::of_bytes(Delivery::Local, bytes, GATEWAY_HEAD, loops) else {
                    return self.metrics.gateway_dropped_malformed.inc();
                };
                if tunnel.parcels.is_empty() {
                    self.gateways.push(slot);
                }
                tunnel.parcels.push(parcel);
            }
            _ => self.metrics.gateway_dropped_role.inc(),
        }
    }

    fn send_out(&mut self, handle: TunnelId, messages: Vec<(Delivery, I2np)>) {
        self.metrics.out_received.add(messages.len() as u64);
        let found = self.table.find(TunnelKey::Outbound(handle));
        let Some((slot, tunnel)) = found.and_then(|slot| Some((slot, self.table.get_mut(slot)?))) else {
            return self.metrics.out_dropped_unknown.add(messages.len() as u64);
        };
        if matches!(tunnel.role, Role::ZeroOutbound) {
            for (delivery, message) in messages {
                self.metrics.out_delivered.inc();
                self.deliver(delivery, message);
            }
            return;
        }
        for (delivery, message) in messages {
            if delivery == Delivery::Local {
                self.metrics.out_dropped_delivery.inc();
                continue;
            }
            let Some(parcel) = Parcel::of(delivery, &message) else {
                self.metrics.out_dropped_size.inc();
                continue;
            };
            if tunnel.parcels.is_empty() {
                self.gateways.push(slot);
            }
            tunnel.parcels.push(parcel);
        }
    }

    /// Delivery by ourselves, at the end of an outbound tunnel without hops.
    fn deliver(&mut self, delivery: Delivery, message: I2np) {
        match delivery {
            Delivery::Local => self.loop_back(Some(self.me), 0, message),
            Delivery::Router(to) => self.send(to, Class::Own, 0, Some(self.me), message),
            Delivery::Tunnel(to, tunnel) => {
                let mut bytes = Vec::with_capacity(message.body.len().saturating_add(16));
                message.encode_long(&mut bytes);
                match self.gateway_message(tunnel, &bytes) {
                    Some(message) => self.send(to, Class::Own, 0, Some(self.me), message),
                    None => self.metrics.out_dropped_size.inc(),
                }
            }
        }
    }

    /// Packs, layers and sends what waits at the gateways.
    fn run_gateways(&mut self) {
        for slot in std::mem::take(&mut self.gateways) {
            let Some(tunnel) = self.table.get_mut(slot) else { continue };
            let parcels = std::mem::take(&mut tunnel.parcels);
            let loops = parcels.iter().map(|p| p.loops).max().unwrap_or(0);
            let count = parcels.len() as u64;
            let (next, class) = match &tunnel.role {
                Role::Gateway { next, .. } => {
                    self.metrics.gateway_packed.add(count);
                    (*next, Class::Transit)
                }
                Role::Outbound { first, .. } => {
                    self.metrics.out_packed.add(count);
                    (*first, Class::Own)
                }
                _ => continue,
            };
            let mut bodies = self.make_cells(next.tunnel, &parcels);
            if let Some(tunnel) = self.table.get(slot) {
                let mut jobs = Vec::with_capacity(bodies.len());
                bodies.iter_mut().for_each(|body| apply_layer(&tunnel.role, body, &mut jobs));
                encrypt_each(&mut jobs);
            }
            for body in bodies {
                self.send_cell(next, class, loops, self.now.wall_ms.saturating_add(SEND_LIFE_MS), body);
            }
        }
    }

    fn make_cells(&mut self, next: TunnelId, parcels: &[Parcel]) -> Vec<Vec<u8>> {
        let areas = pack(&mut self.rng, parcels);
        self.metrics.cells_made.add(areas.len() as u64);
        let rng = &mut self.rng;
        areas
            .iter()
            .map(|area| {
                let iv = rng.bytes();
                encode_body(next, &iv, area, |padding| fill_nonzero(rng, padding))
            })
            .collect()
    }

    /// Does our part of the layers on the cells that wait, and passes them on.
    fn run_cells(&mut self) {
        let mut cells = std::mem::take(&mut self.cells);
        let mut jobs = Vec::with_capacity(cells.len());
        for cell in &mut cells {
            if let Some(tunnel) = self.table.get(cell.slot) {
                apply_layer(&tunnel.role, &mut cell.message.body, &mut jobs);
            }
        }
        encrypt_each(&mut jobs);
        for cell in cells.drain(..) {
            self.pass_on(cell);
        }
        if self.cells.is_empty() {
            self.cells = cells;
        }
    }

    fn pass_on(&mut self, cell: Waiting) {
        let Waiting { slot, loops, message } = cell;
        match self.table.get(slot).map(|t| &t.role) {
            Some(&Role::Participant { next, .. }) => {
                self.metrics.cells_forwarded.inc();
                let mut body = message.body;
                if let Some(id) = body.first_chunk_mut() {
                    *id = next.tunnel.0.to_be_bytes();
                }
                self.send_cell(next, Class::Transit, loops, message.expiration_ms, body);
            }
            Some(Role::Endpoint { .. } | Role::Inbound { .. }) => self.open(slot, loops, &message.body),
            // Removed between its arrival and the end of the turn.
            _ => self.metrics.cells_dropped_unknown.inc(),
        }
    }

    fn send_cell(&mut self, next: NextHop, class: Class, loops: u8, expiration_ms: u64, body: Vec<u8>) {
        let id = MessageId(self.rng.nonzero_u32());
        let message = I2np { kind: I2npKind::TUNNEL_DATA, id, expiration_ms, body };
        self.send(next.router, class, loops, Some(self.me), message);
    }

    /// To a router, or back to ourselves as if from `from`.
    pub(super) fn send(
        &mut self,
        to: RouterHash,
        class: Class,
        loops: u8,
        from: Option<RouterHash>,
        message: I2np,
    ) {
        if to == self.me {
            self.loop_back(from, loops, message);
        } else {
            self.outbox.send(to, class, message);
        }
    }

    fn loop_back(&mut self, from: Option<RouterHash>, loops: u8, message: I2np) {
        if loops >= LOOPS_MAX {
            return self.metrics.loops_dropped.inc();
        }
        self.looped.push_back(Looped { from, loops: loops + 1, message });
    }

    /// Wraps a message with its 16-byte header for a tunnel's gateway. `None` if it is too large.
    pub(super) fn gateway_message(&mut self, tunnel: TunnelId, bytes: &[u8]) -> Option<I2np> {
        let len = u16::try_from(bytes.len()).ok()?;
        let mut body = Vec::with_capacity(bytes.len().saturating_add(GATEWAY_HEAD));
        body.extend_from_slice(&tunnel.0.to_be_bytes());
        body.extend_from_slice(&len.to_be_bytes());
        body.extend_from_slice(bytes);
        let id = MessageId(self.rng.nonzero_u32());
        let expiration_ms = self.now.wall_ms.saturating_add(SEND_LIFE_MS);
        Some(I2np { kind: I2npKind::TUNNEL_GATEWAY, id, expiration_ms, body })
    }
}

/// An id in the table of expected replies.
fn reply_key(id: MessageId) -> [u8; 8] {
    u64::from(id.0).to_be_bytes()
}

/// Tunnel id and length in front of the message in a TunnelGateway body.
const GATEWAY_HEAD: usize = 6;

/// The 16-byte I2NP header without its checksum, which nobody verifies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) expiration_ms: u64,
    /// Bytes of header and body.
    pub(super) len: usize,
}

/// Reads the header of the message at the front of `bytes`, which must hold all of it.
pub(super) fn header(bytes: &[u8]) -> Option<Header> {
    let mut r = Reader::new(bytes);
    r.bytes(5).ok()?;
    let expiration_ms = r.u64().ok()?;
    let size = usize::from(r.u16().ok()?);
    let len = size.checked_add(16)?;
    (bytes.len() >= len).then_some(Header { expiration_ms, len })
}

/// As [`I2np::is_out_of_time`], for a message that is not decoded.
pub(super) fn is_out_of_time(expiration_ms: u64, wall_ms: u64) -> bool {
    let message = I2np { kind: I2npKind(0), id: MessageId(0), expiration_ms, body: Vec::new() };
    message.is_out_of_time(wall_ms)
}

/// Tunnel id, header of the inner message and where that ends.
fn split_gateway(body: &[u8]) -> Option<(TunnelId, Header, usize)> {
    let mut r = Reader::new(body);
    let id = TunnelId(r.u32().ok()?);
    let len = usize::from(r.u16().ok()?);
    let inner = r.bytes(len).ok()?;
    let header = header(inner)?;
    Some((id, header, header.len.checked_add(GATEWAY_HEAD)?))
}

pub(super) fn split_cell(body: &[u8]) -> Option<(TunnelId, &Cell)> {
    let (id, cell) = body.split_first_chunk::<4>()?;
    Some((TunnelId(u32::from_be_bytes(*id)), cell.try_into().ok()?))
}

/// Peels the cell in `body` if that is our part in the tunnel, or adds it to the `jobs` if we encrypt: those run side
/// by side, across tunnels.
fn apply_layer<'a>(role: &'a Role, body: &'a mut [u8], jobs: &mut Vec<(&'a LayerKeys, &'a mut Cell)>) {
    let Some(cell) = body.get_mut(4..).and_then(|cell| cell.try_into().ok()) else { return };
    match role {
        Role::Gateway { keys, .. } | Role::Participant { keys, .. } | Role::Endpoint { keys, .. } => {
            jobs.push((keys, cell));
        }
        // The layer that was put on last comes off first; an outbound gateway takes off what hops will put on.
        Role::Inbound { hops, .. } | Role::Outbound { hops, .. } => {
            for hop in hops.iter().rev() {
                hop.decrypt(cell);
            }
        }
        Role::ZeroInbound { .. } | Role::ZeroOutbound => {}
    }
}

/// Random bytes from 1 to 255.
fn fill_nonzero(rng: &mut Rng, out: &mut [u8]) {
    rng.fill(out);
    for byte in out.iter_mut().filter(|b| **b == 0) {
        while *byte == 0 {
            [*byte] = rng.bytes();
        }
    }
}
