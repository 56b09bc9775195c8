// SPDX-License-Identifier: MIT
//! A router's transport for tests, and a network in memory.

use crate::base::watch;
use crate::base::{BoxFuture, Clock, Connection, Listener, Net, Queue, QueueReceiver, Rng, Tasks, TcpNet};
use crate::crypto::{SigningKey, X25519Secret};
use crate::transport::{
    Class, FromPeer, LocalKeys, Parts, PeerSender, TransportConfig, TransportEvent, TransportHandle,
    TransportMetrics, start,
};
use crate::wire::{
    I2np, I2npKind, KeysAndCert, Mapping, MessageId, RouterAddress, RouterHash, RouterIdentity, RouterInfo,
    SigType, b64,
};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;

pub(super) const NET: u8 = 99;

/// A router's identity, before it has an address.
pub(super) struct Identity {
    signing: SigningKey,
    identity: RouterIdentity,
    pub(super) secret: [u8; 32],
    iv: [u8; 16],
}

impl Identity {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::from_seed(seed);
        let signing = SigningKey::random(&mut rng);
        let public = signing.public();
        let crypto = X25519Secret::random(&mut rng).public();
        let keys = KeysAndCert::build(SigType::Ed25519, public.as_ref(), 4, crypto.as_ref(), rng.bytes());
        Self { signing, identity: RouterIdentity::new(keys), secret: rng.bytes(), iv: rng.bytes() }
    }

    pub(super) fn keys(&self) -> LocalKeys {
        LocalKeys::new(self.identity.hash(), X25519Secret::from_bytes(self.secret), self.iv)
    }

    pub(super) fn info(&self, at: SocketAddr, wall_ms: u64, caps: &str) -> Arc<RouterInfo> {
        let mut address = Mapping::new();
        address.set("host", &at.ip().to_string());
        address.set("port", &at.port().to_string());
        address.set("s", &b64::encode(self.keys().public().as_bytes()));
        address.set("i", &b64::encode(&self.iv));
        address.set("v", "2");
        let mut options = Mapping::new();
        options.set("caps", caps);
        options.set("netId", &NET.to_string());
        options.set("router.version", "0.9.67");
        let address = RouterAddress { cost: 3, style: "NTCP2".into(), options: address };
        let sign = |bytes: &[u8]| self.signing.sign(bytes).to_vec();
        Arc::new(RouterInfo::build(&self.identity, wall_ms, vec![address], options, sign))
    }
}

/// A transport and everything around it.
pub(super) struct Node {
    pub(super) identity: Identity,
    pub(super) handle: TransportHandle,
    pub(super) events: QueueReceiver<TransportEvent>,
    pub(super) plane: QueueReceiver<FromPeer>,
    pub(super) tasks: Tasks,
    pub(super) clock: Clock,
    pub(super) info: Arc<RouterInfo>,
    pub(super) publish: watch::Sender<Arc<RouterInfo>>,
    pub(super) metrics: Arc<TransportMetrics>,
    pub(super) at: SocketAddr,
}

impl Node {
    pub(super) async fn tcp(seed: u64) -> Self {
        let at = SocketAddr::new([127, 0, 0, 1].into(), 0);
        Self::start(seed, at, Arc::new(TcpNet), Clock::system(), |_| {}).await
    }

    /// In memory, with the address `10.0.0.seed`.
    pub(super) async fn memory(seed: u8, net: &MemoryNet, change: impl FnOnce(&mut TransportConfig)) -> Self {
        let ip = IpAddr::from([10, 0, 0, seed]);
        let net = Arc::new(net.at(ip));
        let clock = Clock::starting_at(1_777_000_000_000);
        Self::start(seed.into(), SocketAddr::new(ip, 9000), net, clock, change).await
    }

    pub(super) async fn start(
        seed: u64,
        at: SocketAddr,
        net: Arc<dyn Net>,
        clock: Clock,
        change: impl FnOnce(&mut TransportConfig),
    ) -> Self {
        let identity = Identity::new(seed);
        let tasks = Tasks::new();
        let wall_ms = clock.now().wall_ms;
        let (publish, info) = watch::channel(identity.info(at, wall_ms, "XR"));
        let (to_plane, plane) = Queue::bounded("plane", 64);
        let (events_tx, events) = Queue::bounded("events", 64);
        let metrics = Arc::new(TransportMetrics::default());
        let mut config =
            TransportConfig { net_id: NET, bind: vec![at], test_network: true, ..TransportConfig::default() };
        change(&mut config);
        let parts: Parts<FromPeer> = Parts {
            config,
            keys: identity.keys(),
            info,
            net,
            clock: clock.clone(),
            // A router that comes back must not repeat its ephemeral keys.
            rng: Rng::from_os().expect("randomness"),
            tasks: tasks.clone(),
            to_plane,
            events: events_tx,
            metrics: metrics.clone(),
        };
        let (handle, bound) = start(parts).await.expect("starts");
        let at = bound.first().copied().unwrap_or(at);
        let info = identity.info(at, wall_ms, "XR");
        publish.send_replace(info.clone());
        Self { identity, handle, events, plane, tasks, clock, info, publish, metrics, at }
    }

    pub(super) fn hash(&self) -> RouterHash {
        self.info.hash()
    }

    pub(super) fn message(&self, id: u32, bytes: usize) -> I2np {
        let expiration_ms = self.clock.now().wall_ms / 1000 * 1000 + 60_000;
        I2np { kind: I2npKind::TUNNEL_DATA, id: MessageId(id), expiration_ms, body: vec![id as u8; bytes] }
    }

    pub(super) fn dial(&self, to: &Self, messages: Vec<I2np>) {
        assert!(self.handle.dial(to.info.clone(), messages, Class::Own));
    }

    /// The next event that is no RouterInfo.
    pub(super) async fn event(&mut self) -> TransportEvent {
        loop {
            match self.events.recv().await.expect("an event") {
                TransportEvent::RouterInfo { .. } => {}
                event => return event,
            }
        }
    }

    /// Waits for the link to `peer`.
    pub(super) async fn up(&mut self, peer: RouterHash) -> PeerSender {
        match self.event().await {
            TransportEvent::Up { peer: who, sender, .. } if who == peer => sender,
            other => panic!("no link: {other:?}"),
        }
    }

    /// Takes `count` messages of `peer` and gives their ids.
    pub(super) async fn receive(&mut self, peer: RouterHash, count: usize) -> Vec<u32> {
        let mut ids = Vec::new();
        while ids.len() < count {
            let batch = self.plane.recv().await.expect("a batch");
            assert_eq!(batch.peer, peer);
            ids.extend(batch.messages.iter().map(|m| m.id.0));
        }
        ids
    }

    pub(super) async fn stop(self) {
        self.tasks.stop();
        self.tasks.finished().await;
    }
}

/// Two linked nodes; the first has dialled.
pub(super) async fn linked(mut a: Node, mut b: Node) -> (Node, Node, PeerSender, PeerSender) {
    a.dial(&b, Vec::new());
    let to_b = a.up(b.hash()).await;
    let to_a = b.up(a.hash()).await;
    (a, b, to_b, to_a)
}

pub(super) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("in time")
}

type Listeners = Arc<Mutex<BTreeMap<SocketAddr, mpsc::Sender<Connection>>>>;

/// Listeners in memory; connections are pipes.
#[derive(Clone)]
pub(super) struct MemoryNet {
    ip: IpAddr,
    listeners: Listeners,
}

impl MemoryNet {
    pub(super) fn new() -> Self {
        Self { ip: [0; 4].into(), listeners: Listeners::default() }
    }

    fn at(&self, ip: IpAddr) -> Self {
        Self { ip, listeners: self.listeners.clone() }
    }
}

impl Net for MemoryNet {
    fn connect(&self, to: SocketAddr, _: Option<IpAddr>) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let listener = self.listeners.lock().unwrap().get(&to).cloned();
            let listener = listener.ok_or(io::ErrorKind::ConnectionRefused)?;
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            let local = SocketAddr::new(self.ip, 50_000);
            let other_end = Connection { stream: Box::new(theirs), local: to, remote: local };
            listener.send(other_end).await.map_err(|_| io::ErrorKind::ConnectionRefused)?;
            Ok(Connection { stream: Box::new(ours), local, remote: to })
        })
    }

    fn listen(&self, at: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let (tx, rx) = mpsc::channel(64);
            self.listeners.lock().unwrap().insert(at, tx);
            Ok(Box::new(MemoryListener { at, rx }) as Box<dyn Listener>)
        })
    }
}

struct MemoryListener {
    at: SocketAddr,
    rx: mpsc::Receiver<Connection>,
}

impl Listener for MemoryListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(async move { self.rx.recv().await.ok_or(io::ErrorKind::NotConnected.into()) })
    }
    fn local_addr(&self) -> SocketAddr {
        self.at
    }
}
