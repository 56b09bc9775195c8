// SPDX-License-Identifier: MIT
//! The plane's task: one for the whole router, and the only owner of tunnels and of links to peers.
//!
//! Each turn takes up to 64 items of each queue, lets the engine work once, and hands out what it gives. Only what
//! leads into the plane may wait for it: the task itself waits for nothing but its inputs, so no cycle of waits can
//! form. What a consumer does not take is dropped there and counted in [`PlaneTaskMetrics`].

use std::fmt;
use std::sync::Arc;

use super::plane::{Action, Input, InstallError, Plane, Via};
use super::types::{Class, PoolId, TunnelKey};
use crate::base::{Clock, Map, Now, Queue, QueueReceiver, QueueSender, Rng, map};
use crate::wire::{I2np, RouterHash};

/// Items taken from a queue in one turn.
const TURN: usize = 64;
/// Slots of the queue from destinations; they wait for one.
const OWN_SLOTS: usize = 64;
/// Slots of the queue from control and transport.
const ORDER_SLOTS: usize = 1024;

/// The way to send to one connected peer.
pub trait PeerLink: Send + Sync {
    /// Queues messages without waiting; answers how many found no room.
    fn push(&self, now: Now, messages: Vec<I2np>, class: Class) -> usize;
}

/// The way up to the owner of a pool.
pub trait PoolSink: Send + Sync {
    /// Queues messages without waiting; answers how many found no room.
    fn push(&self, messages: Vec<I2np>) -> usize;
}

impl PoolSink for QueueSender<Vec<I2np>> {
    fn push(&self, messages: Vec<I2np>) -> usize {
        self.try_push(messages).map_or_else(|lost| lost.len(), |()| 0)
    }
}

/// Where the plane's messages go that are neither for a connected peer nor for a pool's owner. Never waits.
pub trait Outlets: Send {
    /// A message for control; `own` ones answer something of ours. False if it found no room.
    fn control(&mut self, now: Now, from: Option<RouterHash>, via: Via, own: bool, message: I2np) -> bool;
    /// A tunnel could not be installed.
    fn refused(&mut self, key: TunnelKey, reason: InstallError);
    /// Messages for a router without a link: dial it, or join the dial under way. Answers how many found no room.
    fn dial(&mut self, now: Now, peer: RouterHash, messages: Vec<I2np>, class: Class) -> usize;
}

/// What control and transport tell the plane.
pub enum Order {
    /// For the engine.
    Plane(Input),
    /// A peer is linked to us.
    PeerUp(RouterHash, Arc<dyn PeerLink>),
    /// The link is gone.
    PeerDown(RouterHash),
    /// Messages out of this pool's inbound tunnels go there from now on.
    Owner(PoolId, Arc<dyn PoolSink>),
    /// The pool's owner is gone.
    OwnerGone(PoolId),
}

impl From<Input> for Order {
    fn from(input: Input) -> Self {
        Self::Plane(input)
    }
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plane(input) => f.debug_tuple("Plane").field(input).finish(),
            Self::PeerUp(peer, _) => f.debug_tuple("PeerUp").field(peer).finish_non_exhaustive(),
            Self::PeerDown(peer) => f.debug_tuple("PeerDown").field(peer).finish(),
            Self::Owner(pool, _) => f.debug_tuple("Owner").field(pool).finish_non_exhaustive(),
            Self::OwnerGone(pool) => f.debug_tuple("OwnerGone").field(pool).finish(),
        }
    }
}

/// The plane as others see it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PlaneHandle {
    /// From control and transport.
    pub orders: QueueSender<Order>,
    /// From destinations, [`Input::Out`]: take a slot with `reserve` before making packets, so that they wait where they can be
    /// made anew.
    pub own: QueueSender<Input>,
}

/// The plane's inputs, for [`run`].
#[derive(Debug)]
pub struct PlaneInputs {
    orders: QueueReceiver<Order>,
    own: QueueReceiver<Input>,
}

/// Makes the plane's queues. The one from peers is the transport's.
pub fn queues() -> (PlaneHandle, PlaneInputs) {
    let (orders, orders_rx) = Queue::bounded("orders_to_plane", ORDER_SLOTS);
    let (own, own_rx) = Queue::bounded("destinations_to_plane", OWN_SLOTS);
    (PlaneHandle { orders, own }, PlaneInputs { orders: orders_rx, own: own_rx })
}

crate::metrics! {
    /// What the plane's task counts, in messages.
    pub struct PlaneTaskMetrics {
        /// Handed to links, what those dropped included.
        link_sent: Counter,
        /// Not taken by a link.
        link_dropped: Counter,
        /// Handed on to be sent after a dial.
        dial_sent: Counter,
        /// Not taken by the dialler.
        dial_dropped: Counter,
        /// Handed to owners of pools.
        up_sent: Counter,
        /// Not taken by an owner.
        up_dropped_full: Counter,
        /// For a pool without an owner.
        up_dropped_ownerless: Counter,
        /// Handed to control.
        control_sent: Counter,
        /// Not taken by control.
        control_dropped: Counter,
        /// Turns of the task.
        turns: Counter,
    }
}

/// Hands out what the engine gives.
struct Hands<O> {
    links: Map<RouterHash, Arc<dyn PeerLink>>,
    owners: Map<PoolId, Arc<dyn PoolSink>>,
    outlets: O,
    metrics: Arc<PlaneTaskMetrics>,
}

impl<O: Outlets> Hands<O> {
    fn order(&mut self, plane: &mut Plane, now: Now, order: Order) {
        match order {
            Order::Plane(input) => plane.handle(now, input),
            Order::PeerUp(peer, link) => {
                self.links.insert(peer, link);
            }
            Order::PeerDown(peer) => {
                self.links.remove(&peer);
            }
            Order::Owner(pool, sink) => {
                self.owners.insert(pool, sink);
            }
            Order::OwnerGone(pool) => {
                self.owners.remove(&pool);
            }
        }
    }

    fn act(&mut self, now: Now, action: Action) {
        let metrics = &self.metrics;
        match action {
            Action::Send { peer, class, messages } => {
                let count = messages.len() as u64;
                if let Some(link) = self.links.get(&peer) {
                    metrics.link_sent.add(count);
                    metrics.link_dropped.add(link.push(now, messages, class) as u64);
                } else {
                    metrics.dial_sent.add(count);
                    metrics.dial_dropped.add(self.outlets.dial(now, peer, messages, class) as u64);
                }
            }
            Action::Up { pool, messages } => {
                let count = messages.len() as u64;
                if let Some(owner) = self.owners.get(&pool) {
                    metrics.up_sent.add(count);
                    metrics.up_dropped_full.add(owner.push(messages) as u64);
                } else {
                    metrics.up_dropped_ownerless.add(count);
                }
            }
            Action::Control { from, via, own, message } => {
                metrics.control_sent.inc();
                if !self.outlets.control(now, from, via, own, message) {
                    metrics.control_dropped.inc();
                }
            }
            Action::Refused { key, reason } => self.outlets.refused(key, reason),
        }
    }
}

/// What a turn works on; kept from turn to turn for its room.
struct Turn<P> {
    orders: Vec<Order>,
    own: Vec<Input>,
    peers: Vec<P>,
}

/// Runs the plane until all its [`PlaneHandle`]s are gone. `peers` is the queue from connections.
pub async fn run<P, O>(
    mut plane: Plane,
    (clock, mut rng): (Clock, Rng),
    mut inputs: PlaneInputs,
    mut peers: QueueReceiver<P>,
    outlets: O,
    metrics: Arc<PlaneTaskMetrics>,
) where
    P: Into<Input> + Send,
    O: Outlets,
{
    let mut hands = Hands { links: map(&mut rng), owners: map(&mut rng), outlets, metrics };
    let mut turn = Turn { orders: Vec::new(), own: Vec::new(), peers: Vec::new() };
    let (mut own_open, mut peers_open) = (true, true);
    loop {
        tokio::select! { biased;
            () = clock.sleep_until(plane.poll_timeout()) => plane.handle_timeout(clock.now()),
            n = inputs.orders.recv_many(&mut turn.orders, TURN) => if n == 0 { return },
            n = inputs.own.recv_many(&mut turn.own, TURN), if own_open => own_open = n > 0,
            n = peers.recv_many(&mut turn.peers, TURN), if peers_open => peers_open = n > 0,
        }
        // Whichever queue woke the task, all have their share of the turn.
        top_up(&mut inputs.orders, &mut turn.orders);
        top_up(&mut inputs.own, &mut turn.own);
        top_up(&mut peers, &mut turn.peers);
        let now = clock.now();
        hands.metrics.turns.inc();
        for order in turn.orders.drain(..) {
            hands.order(&mut plane, now, order);
        }
        for input in turn.own.drain(..) {
            plane.handle(now, input);
        }
        for batch in turn.peers.drain(..) {
            plane.handle(now, batch.into());
        }
        while let Some(action) = plane.poll_action() {
            hands.act(now, action);
        }
    }
}

fn top_up<T>(queue: &mut QueueReceiver<T>, into: &mut Vec<T>) {
    while into.len() < TURN
        && let Some(item) = queue.try_recv()
    {
        into.push(item);
    }
}

#[cfg(test)]
mod tests;
