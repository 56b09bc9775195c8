// SPDX-License-Identifier: MIT
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::base::{Mono, Tasks};
use crate::tunnel::plane::PlaneConfig;
use crate::tunnel::types::{Delivery, Install, TunnelConfig};
use crate::wire::{I2npKind, MessageId, TunnelId};

const ME: RouterHash = RouterHash([1; 32]);
const PEER: RouterHash = RouterHash([2; 32]);
const POOL: PoolId = PoolId(3);
const WALL: u64 = 1_800_000_000_000;

#[derive(Default)]
struct Books {
    dialled: Vec<(RouterHash, Class, usize)>,
    told: Vec<(Option<RouterHash>, Via, MessageId)>,
    refused: Vec<(TunnelKey, InstallError)>,
}

struct Recorder(Arc<Mutex<Books>>);

impl Outlets for Recorder {
    fn control(&mut self, _: Now, from: Option<RouterHash>, via: Via, _: bool, message: I2np) -> bool {
        self.0.lock().unwrap().told.push((from, via, message.id));
        true
    }
    fn refused(&mut self, key: TunnelKey, reason: InstallError) {
        self.0.lock().unwrap().refused.push((key, reason));
    }
    fn dial(&mut self, _now: Now, peer: RouterHash, messages: Vec<I2np>, class: Class) -> usize {
        self.0.lock().unwrap().dialled.push((peer, class, messages.len()));
        1
    }
}

struct Batch(RouterHash, Vec<I2np>);

impl From<Batch> for Input {
    fn from(Batch(peer, messages): Batch) -> Self {
        Self::FromPeer { peer, messages }
    }
}

struct Link(Mutex<Vec<(Class, usize)>>);

impl PeerLink for Link {
    fn push(&self, _now: Now, messages: Vec<I2np>, class: Class) -> usize {
        self.0.lock().unwrap().push((class, messages.len()));
        0
    }
}

struct Rig {
    handle: PlaneHandle,
    peers: QueueSender<Batch>,
    books: Arc<Mutex<Books>>,
    metrics: Arc<PlaneTaskMetrics>,
    tasks: Tasks,
}

fn start() -> Rig {
    let mut rng = Rng::from_seed(1);
    let clock = Clock::starting_at(WALL);
    let plane = Plane::new(ME, PlaneConfig::default(), rng.fork("plane"));
    let (handle, inputs) = queues();
    let (peers, peers_rx) = Queue::bounded("peers", 64);
    let books = Arc::new(Mutex::new(Books::default()));
    let metrics = Arc::new(PlaneTaskMetrics::default());
    let tasks = Tasks::new();
    let outlets = Recorder(books.clone());
    tasks.spawn("plane", run(plane, (clock, rng), inputs, peers_rx, outlets, metrics.clone()));
    Rig { handle, peers, books, metrics, tasks }
}

fn message(id: u32) -> I2np {
    let body = vec![7; 100];
    I2np { kind: I2npKind::DATA, id: MessageId(id), expiration_ms: WALL + 8000, body }
}

async fn settle() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

#[tokio::test(start_paused = true)]
async fn messages_go_to_links_and_else_to_the_dialler() {
    let rig = start();
    let send = |id| Order::from(Input::Send { to: PEER, message: message(id) });
    assert!(rig.handle.orders.send(send(1)).await);
    settle().await;
    let link = Arc::new(Link(Mutex::default()));
    rig.handle.orders.send(Order::PeerUp(PEER, link.clone())).await;
    rig.handle.orders.send(send(2)).await;
    rig.handle.orders.send(send(3)).await;
    settle().await;
    rig.handle.orders.send(Order::PeerDown(PEER)).await;
    rig.handle.orders.send(send(4)).await;
    settle().await;
    assert_eq!(*link.0.lock().unwrap(), [(Class::Control, 2)]);
    let dialled = &rig.books.lock().unwrap().dialled;
    assert_eq!(*dialled, [(PEER, Class::Control, 1), (PEER, Class::Control, 1)]);
    assert_eq!(rig.metrics.dial_dropped.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn messages_reach_the_owner_of_a_pool_until_its_queue_is_full() {
    let rig = start();
    let (receive, handle) = (TunnelId(5), TunnelId(6));
    let expires = Mono::from_secs(600);
    for config in [
        TunnelConfig::ZeroInbound { receive, owner: POOL },
        TunnelConfig::ZeroOutbound { handle, owner: POOL },
    ] {
        let install = Install { config, expires, rate: None };
        rig.handle.orders.send(Input::Install(install).into()).await;
    }
    let (sink, mut owner) = Queue::bounded::<Vec<I2np>>("up", 1);
    let out = |id| Input::Out { handle, messages: vec![(Delivery::Tunnel(ME, receive), message(id))] };
    rig.handle.own.send(out(1)).await;
    settle().await;
    rig.handle.orders.send(Order::Owner(POOL, Arc::new(sink))).await;
    for id in 2..4 {
        rig.handle.own.send(out(id)).await;
        settle().await;
    }
    assert_eq!(owner.try_recv().expect("one batch")[0].id, MessageId(2));
    assert!(owner.try_recv().is_none());
    assert_eq!(rig.metrics.up_dropped_ownerless.get(), 1);
    assert_eq!(rig.metrics.up_dropped_full.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_peers_say_to_the_router_goes_to_control() {
    let rig = start();
    assert!(rig.peers.send(Batch(PEER, vec![message(9)])).await);
    settle().await;
    assert_eq!(rig.books.lock().unwrap().told, [(Some(PEER), Via::Direct, MessageId(9))]);
}

#[tokio::test(start_paused = true)]
async fn tunnels_end_by_the_clock_and_refusals_are_told() {
    let rig = start();
    let config = TunnelConfig::ZeroInbound { receive: TunnelId(5), owner: POOL };
    let install = || {
        let install = Install { config: config.clone(), expires: Mono::from_secs(2), rate: None };
        Order::from(Input::Install(install))
    };
    rig.handle.orders.send(install()).await;
    rig.handle.orders.send(install()).await;
    settle().await;
    let key = TunnelKey::Receive(TunnelId(5));
    assert_eq!(rig.books.lock().unwrap().refused, [(key, InstallError::Duplicate)]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    rig.handle.orders.send(install()).await;
    settle().await;
    assert_eq!(rig.books.lock().unwrap().refused[1], (key, InstallError::Expired));
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_when_nobody_can_order_any_more() {
    let Rig { handle, peers, tasks, .. } = start();
    drop(handle);
    settle().await;
    assert!(tasks.is_empty());
    drop(peers);
}
