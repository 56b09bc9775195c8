// SPDX-License-Identifier: MIT
//! A world: its time, its network and its machines.

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::fabric::{Fabric, HostId, Nat, NetStats};
use super::link::LinkProfile;
use super::net::SimNet;
use super::node::{Machine, Node, RouterSetup};
use super::tap::{Leak, Seen, Tap};
use super::trace::{Trace, TraceHash};
use crate::base::{Rng, Tasks, marks};
use crate::router::Stage;

/// Noon of the first of January 2026: no midnight is near.
const START_MS: u64 = 1_767_268_800_000;
/// How long [`World::network`] waits for all tunnels.
const NETWORK_LIMIT: Duration = Duration::from_secs(600);

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct WorldConfig {
    /// Decides every random number.
    pub seed: u64,
    /// What the clocks show at the start, in milliseconds since 1970.
    pub start_ms: u64,
    /// The links, unless a pair or a host has its own.
    pub link: LinkProfile,
    /// A scenario that is not done after so much virtual time is given up with a panic. Default a week.
    pub limit: Duration,
    /// Keeps every event in words, see [`Outcome::log`]. Default false; it takes much memory.
    pub log: bool,
}

impl WorldConfig {
    /// A world of this seed, everything else by default.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            start_ms: START_MS,
            link: LinkProfile::default(),
            limit: Duration::from_secs(7 * 86_400),
            log: false,
        }
    }
}

/// What a run leaves.
#[derive(Clone, Debug)]
pub struct Outcome<T> {
    /// What the scenario returned.
    pub value: T,
    /// The hash of everything that happened on the network. One seed, one hash.
    pub trace: TraceHash,
    /// Events in it.
    pub events: u64,
    /// The hash after every thousandth event and the time of that (milliseconds): where two runs part.
    pub marks: Vec<(u64, [u8; 4])>,
    /// Every event in words, if [`WorldConfig::log`] is set.
    pub log: Vec<String>,
    /// What the network counted.
    pub net: NetStats,
    /// Virtual time that passed.
    pub passed: Duration,
}

/// Runs a scenario in a world of this seed, from start to end, in virtual time.
///
/// # Panics
/// When the scenario panics, or is not done within [`WorldConfig::limit`].
pub fn run<F, Fut, T>(seed: u64, scenario: F) -> Outcome<T>
where
    F: FnOnce(World) -> Fut,
    Fut: Future<Output = T>,
{
    run_with(WorldConfig::new(seed), scenario)
}

/// As [`run`], with other settings.
///
/// # Panics
/// As [`run`].
#[allow(
    clippy::panic,
    clippy::expect_used,
    reason = "a scenario that hangs, or no runtime: a test must fail"
)]
pub fn run_with<F, Fut, T>(config: WorldConfig, scenario: F) -> Outcome<T>
where
    F: FnOnce(World) -> Fut,
    Fut: Future<Output = T>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime can be made");
    let (seed, limit) = (config.seed, config.limit);
    let outcome = runtime.block_on(async {
        let world = World::new(config);
        let value = tokio::time::timeout(limit, scenario(world.clone())).await;
        let Ok(value) = value else { panic!("world {seed}: not done after {limit:?} of virtual time") };
        world.end(value)
    });
    runtime.shutdown_background();
    outcome
}

/// How full a kind of queue has been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueMark {
    /// As in `docs/architecture.md`.
    pub name: &'static str,
    /// Most items that it may hold.
    pub bound: usize,
    /// Most items that one of them has held.
    pub most: usize,
}

/// A world. Clones are handles to the same one.
#[derive(Clone)]
pub struct World {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) config: WorldConfig,
    pub(super) fabric: Arc<Fabric>,
    pub(super) machines: Mutex<Vec<Machine>>,
    rng: Mutex<Rng>,
    tasks: Tasks,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "World({})", self.inner.config.seed)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    fn new(config: WorldConfig) -> Self {
        let mut rng = Rng::from_seed(config.seed);
        let trace = Trace::new(config.seed, config.log);
        let fabric = Fabric::new(rng.fork("network"), trace, config.link.clone());
        let tasks = Tasks::new();
        marks::clear();
        tasks.spawn("sim network", fabric.clone().run());
        let inner = Inner { config, fabric, machines: Mutex::default(), rng: Mutex::new(rng), tasks };
        Self { inner: Arc::new(inner) }
    }

    fn end<T>(&self, value: T) -> Outcome<T> {
        let mut state = self.inner.fabric.lock();
        let mut net = state.stats;
        net.open = state.open_connections();
        Outcome {
            value,
            trace: state.trace.hash(),
            events: state.trace.events(),
            marks: state.trace.marks(),
            log: state.trace.take_log(),
            net,
            passed: Duration::from_micros(self.inner.fabric.now_us()),
        }
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.inner.config.seed
    }

    /// Random numbers for the scenario itself.
    pub fn rng(&self, label: &str) -> Rng {
        locked(&self.inner.rng).fork(label)
    }

    /// Virtual time since the start.
    pub fn now(&self) -> Duration {
        Duration::from_micros(self.inner.fabric.now_us())
    }

    /// What a right clock shows, in milliseconds since 1970.
    pub fn wall_ms(&self) -> u64 {
        self.inner.config.start_ms + self.inner.fabric.now_us() / 1000
    }

    /// Lets time pass.
    pub async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Lets time pass until `good` or until `limit` is over; asks every 100 ms. Answers whether it became good.
    pub async fn wait_for(&self, limit: Duration, mut good: impl FnMut() -> bool) -> bool {
        let end = self.now() + limit;
        while !good() {
            if self.now() >= end {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        true
    }

    /// Runs something beside the scenario, to the world's end at most.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.inner.tasks.spawn("scenario", future);
    }

    /// Notes something in the trace hash: what a scenario does, or what it finds.
    pub fn note(&self, what: &'static str, of: u64, numbers: [u64; 3]) {
        self.inner.fabric.with(|state, now| state.log(now, what, of, numbers));
    }

    /// Adds a machine that has not started its router yet.
    pub fn machine(&self, setup: RouterSetup) -> Node {
        let mut machines = locked(&self.inner.machines);
        let index = machines.len();
        let ip = setup.ip.unwrap_or_else(|| self.address_of(index));
        let host = self.inner.fabric.with(|state, _| {
            let host = state.add_host(ip, setup.nat);
            if let Some(h) = state.hosts.get_mut(host) {
                h.lines.0.bandwidth = setup.upload;
                h.lines.1.bandwidth = setup.download;
                h.link = setup.link.clone();
                h.mapping = setup.nat_memory;
            }
            host
        });
        machines.push(Machine::new(setup, host, ip));
        Node { world: self.clone(), index }
    }

    /// Addresses of which no two share their first 16 bits, all of them such as routers may have.
    fn address_of(&self, index: usize) -> IpAddr {
        const USUAL: [u8; 12] = [5, 23, 31, 46, 62, 78, 84, 91, 109, 145, 185, 213];
        let mut rng = Rng::from_seed(self.seed() ^ 0x5eed_add2);
        let start = usize::try_from(rng.below(256)).unwrap_or(0);
        let first = USUAL.get(index % USUAL.len()).copied().unwrap_or(5);
        let second = u8::try_from((start + index / USUAL.len() * 7) % 256).unwrap_or(0);
        let mut rng = Rng::from_seed(self.seed() ^ (index as u64) << 20);
        let (third, fourth) = (rng.below(256), rng.between(1, 254));
        let low = [third, fourth].map(|n| u8::try_from(n).unwrap_or(1));
        IpAddr::V4(Ipv4Addr::new(first, second, low[0], low[1]))
    }

    /// Starts so many routers, makes them known to each other, and waits until all have tunnels of their own.
    ///
    /// # Panics
    /// When one does not start or has no tunnels after ten minutes.
    pub async fn network(&self, routers: usize, mut setup: impl FnMut(usize) -> RouterSetup) -> Vec<Node> {
        let nodes = self.strangers(routers, &mut setup).await;
        self.introduce(&nodes).await;
        self.settle(&nodes).await;
        nodes
    }

    /// Starts so many routers that know nobody. Unless the setup says otherwise every second one is a floodfill.
    ///
    /// # Panics
    /// When one does not start.
    #[allow(clippy::panic, reason = "a scenario that cannot begin must fail")]
    pub async fn strangers(&self, routers: usize, mut setup: impl FnMut(usize) -> RouterSetup) -> Vec<Node> {
        let mut nodes = Vec::new();
        for i in 0..routers {
            let mut setup = setup(i);
            setup.floodfill.get_or_insert(i % 2 == 0);
            let node = self.machine(setup);
            if let Err(error) = node.start().await {
                panic!("world {}: router {i} does not start: {error}", self.seed());
            }
            nodes.push(node);
        }
        nodes
    }

    /// Gives each of the routers the RouterInfos of all of them that can be called.
    pub async fn introduce(&self, nodes: &[Node]) {
        let infos: Vec<Vec<u8>> =
            nodes.iter().filter_map(Node::running).map(|r| r.info().raw().to_vec()).collect();
        for router in nodes.iter().filter_map(Node::running) {
            router.load_routers(infos.clone()).await;
        }
    }

    /// Waits until all of these that run have tunnels of their own.
    ///
    /// # Panics
    /// When one has none after ten minutes.
    #[allow(clippy::panic, reason = "a scenario that cannot begin must fail")]
    pub async fn settle(&self, nodes: &[Node]) {
        for node in nodes {
            let Some(router) = node.running() else { continue };
            if let Err(error) = router.ready_within(Stage::Tunnels, NETWORK_LIMIT).await {
                panic!("world {}: {} is not ready: {error}", self.seed(), node.name());
            }
        }
    }

    /// All machines, in the order of their making.
    pub fn nodes(&self) -> Vec<Node> {
        let count = locked(&self.inner.machines).len();
        (0..count).map(|index| Node { world: self.clone(), index }).collect()
    }

    /// A host without a router: for peers that a test makes up itself.
    pub fn bare_host(&self, ip: IpAddr, nat: Nat) -> SimNet {
        let host = self.inner.fabric.with(|state, _| state.add_host(ip, nat));
        SimNet { fabric: self.inner.fabric.clone(), host }
    }

    /// Sets the link between two machines, in both directions; `None` makes it usual again.
    pub fn set_link(&self, a: &Node, b: &Node, link: Option<LinkProfile>) {
        let (a, b) = (a.host(), b.host());
        self.inner.fabric.with(|state, _| {
            state.set_link(a, b, link.clone());
            state.set_link(b, a, link);
        });
    }

    /// Sets the link from one machine to another, in this direction alone.
    pub fn set_link_one_way(&self, from: &Node, to: &Node, link: Option<LinkProfile>) {
        let (from, to) = (from.host(), to.host());
        self.inner.fabric.with(|state, _| state.set_link(from, to, link));
    }

    /// Sets the link of all pairs that have none of their own.
    pub fn set_default_link(&self, link: LinkProfile) {
        self.inner.fabric.with(|state, _| {
            state.default_link = link;
            state.renew_links();
        });
    }

    /// Takes a machine off the network. Nobody is told; its router goes on.
    pub fn cut(&self, node: &Node) {
        self.set_up(node.host(), false);
    }

    /// Puts it back.
    pub fn mend(&self, node: &Node) {
        self.set_up(node.host(), true);
    }

    pub(super) fn set_up(&self, host: HostId, up: bool) {
        self.inner.fabric.with(|state, now| {
            if let Some(h) = state.hosts.get_mut(host) {
                h.up = up;
            }
            state.log(now, "up", host as u64, [u64::from(up), 0, 0]);
        });
    }

    /// Splits the network: machines of different groups cannot reach each other. Those that are in no group stay
    /// together.
    pub fn partition(&self, groups: &[&[Node]]) {
        self.inner.fabric.with(|state, now| {
            for (number, group) in groups.iter().enumerate() {
                for node in *group {
                    if let Some(h) = state.hosts.get_mut(node.host()) {
                        h.group = u32::try_from(number + 1).unwrap_or(u32::MAX);
                    }
                }
            }
            state.log(now, "partition", groups.len() as u64, [0; 3]);
        });
    }

    /// Ends every partition.
    pub fn heal(&self) {
        self.inner.fabric.with(|state, now| {
            state.hosts.iter_mut().for_each(|h| h.group = 0);
            state.log(now, "heal", 0, [0; 3]);
        });
    }

    /// Puts a tap on what one machine sends to another, or takes it away.
    pub fn tap(&self, from: &Node, to: &Node, tap: Option<Box<dyn Tap>>) {
        let (from, to) = (from.host(), to.host());
        self.inner.fabric.with(|state, _| state.set_tap(from, to, tap));
    }

    /// Shows every chunk that arrives anywhere. Must not call the world.
    pub fn observe(&self, observer: impl FnMut(&Seen<'_>) + Send + 'static) {
        self.inner.fabric.lock().observers.push(Box::new(observer));
    }

    /// Declares bytes that must never be seen on a link, at least eight of them; see [`Self::leaks`].
    pub fn secret(&self, pattern: &[u8]) {
        assert!(pattern.len() >= 8, "a secret of fewer than eight bytes turns up by chance");
        self.inner.fabric.lock().secrets.push(pattern.to_vec());
    }

    /// Secrets that were seen on a link.
    pub fn leaks(&self) -> Vec<Leak> {
        self.inner.fabric.lock().leaks.clone()
    }

    /// What the network has counted so far.
    pub fn net_stats(&self) -> NetStats {
        let state = self.inner.fabric.lock();
        NetStats { open: state.open_connections(), ..state.stats }
    }

    /// How full the queues between tasks have been, all routers of the world together.
    pub fn queues(&self) -> Vec<QueueMark> {
        marks::read().into_iter().map(|(name, bound, most)| QueueMark { name, bound, most }).collect()
    }

    /// The trace hash so far.
    pub fn trace(&self) -> TraceHash {
        self.inner.fabric.lock().trace.hash()
    }
}
