// SPDX-License-Identifier: MIT
//! One machine of a world: its disk, its clocks, its place in the network, and the router on it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::DuplexStream;

use super::fabric::{HostId, Nat};
use super::link::LinkProfile;
use super::net::SimNet;
use super::world::World;
use crate::base::{Keeper, Misdeeds, Net, Rng};
use crate::router::storage::Disk;
use crate::router::{Router, RouterConfig, StartError, machine};
use crate::sam::SamServer;

/// Port of every simulated router, unless its configuration has another.
const PORT: u16 = 17_656;
/// Bytes between a program and the SAM bridge, in either direction.
const SAM_BUFFER: usize = 64 * 1024;

/// Which rules and times the routers keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Timing {
    /// Those of a test network: fewer peers are enough, tunnels have one hop unless asked for.
    #[default]
    Test,
    /// Those of the live network.
    Production,
}

/// How a router and its machine shall be.
#[derive(Clone, Debug, Default)]
pub struct RouterSetup {
    /// In logs. Default `r` and a number.
    pub name: Option<String>,
    /// Default [`Timing::Test`].
    pub timing: Timing,
    /// Whether it is a floodfill. `None`: every second one is.
    pub floodfill: Option<bool>,
    /// Its address. `None`: one of its own /16.
    pub ip: Option<IpAddr>,
    /// What stands between it and the others. Default nothing; a router that cannot be called publishes no address.
    pub nat: Nat,
    /// How long its translator remembers silent connections. Default for ever.
    pub nat_memory: Option<Duration>,
    /// Bytes a second that it can send. Default not limited.
    pub upload: Option<u64>,
    /// Bytes a second that it can take.
    pub download: Option<u64>,
    /// Its links to all others, if they are not as usual.
    pub link: Option<LinkProfile>,
    /// How many milliseconds its wall clock is ahead (or behind).
    pub skew_ms: i64,
    /// Whether its monotonic clock goes on while it sleeps, as on Windows. Default: it stands still, as on Linux.
    pub counts_sleep: bool,
    /// Further settings: what is above wins. The default is a router without SAM.
    pub config: Option<RouterConfig>,
}

impl RouterSetup {
    /// A router with the rules and times of the live network.
    pub fn production() -> Self {
        Self { timing: Timing::Production, ..Self::default() }
    }

    /// The same as a floodfill, or not.
    #[must_use]
    pub const fn floodfill(mut self, yes: bool) -> Self {
        self.floodfill = Some(yes);
        self
    }

    /// The same behind such a translator.
    #[must_use]
    pub const fn nat(mut self, nat: Nat) -> Self {
        self.nat = nat;
        self
    }

    /// The same with these settings.
    #[must_use]
    pub fn config(mut self, config: RouterConfig) -> Self {
        self.config = Some(config);
        self
    }
}

/// How a router ends without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// Its process is killed: the system closes its connections.
    Process,
    /// Its machine loses power: nobody is told anything.
    Power,
}

/// What the world knows of a machine.
pub(super) struct Machine {
    setup: RouterSetup,
    host: HostId,
    ip: IpAddr,
    disk: Disk,
    misdeeds: Arc<Misdeeds>,
    keeper: Keeper,
    router: Option<Router>,
    sam: Option<SamServer>,
    lives: u64,
    skew_ms: i64,
    /// When it fell asleep.
    asleep: Option<Duration>,
}

impl Machine {
    pub(super) fn new(setup: RouterSetup, host: HostId, ip: IpAddr) -> Self {
        Self {
            skew_ms: setup.skew_ms,
            setup,
            host,
            ip,
            disk: Disk::default(),
            misdeeds: Arc::default(),
            keeper: Keeper::default(),
            router: None,
            sam: None,
            lives: 0,
            asleep: None,
        }
    }

    /// Takes the router away.
    fn end(&mut self) -> (Option<Router>, Keeper, HostId) {
        self.sam = None;
        (self.router.take(), self.keeper.clone(), self.host)
    }

    fn config(&self) -> RouterConfig {
        let setup = &self.setup;
        let mut config =
            setup.config.clone().unwrap_or_else(|| RouterConfig { sam: None, ..RouterConfig::default() });
        config.data_dir = None;
        config.host = if setup.nat == Nat::Open { vec![self.ip] } else { Vec::new() };
        config.bind = if setup.nat == Nat::Open { vec![self.ip] } else { Vec::new() };
        config.test_network = setup.timing == Timing::Test;
        config.floodfill = setup.floodfill.unwrap_or(config.floodfill) && setup.nat == Nat::Open;
        if config.is_live() {
            config.net_id = 99;
        }
        if config.port == 0 {
            config.port = PORT;
        }
        config
    }
}

/// A machine and its router. Clones are handles to the same one.
#[derive(Clone)]
pub struct Node {
    pub(super) world: World,
    pub(super) index: usize,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index
    }
}

impl Eq for Node {}

impl Node {
    fn machines(&self) -> MutexGuard<'_, Vec<Machine>> {
        self.world.inner.machines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, f: impl FnOnce(&mut Machine) -> T) -> T {
        #[allow(clippy::expect_used, reason = "machines are never taken away")]
        f(self.machines().get_mut(self.index).expect("a machine of this world"))
    }

    pub(super) fn host(&self) -> HostId {
        self.with(|m| m.host)
    }

    /// Its number in its world, from 0 on.
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.with(|m| m.setup.name.clone()).unwrap_or_else(|| format!("r{}", self.index))
    }

    /// Its address.
    pub fn ip(&self) -> IpAddr {
        self.with(|m| m.ip)
    }

    /// The router.
    ///
    /// # Panics
    /// When none runs; see [`Self::running`].
    #[allow(clippy::panic, reason = "a mistake of the scenario")]
    pub fn router(&self) -> Router {
        self.running().unwrap_or_else(|| panic!("{} does not run", self.name()))
    }

    /// The router, if it runs.
    pub fn running(&self) -> Option<Router> {
        self.with(|m| m.router.clone())
    }

    /// Its disk, which outlives the router.
    pub fn disk(&self) -> Disk {
        self.with(|m| m.disk.clone())
    }

    /// What the router does against the rules; may be changed at any time.
    pub fn misdeeds(&self) -> Arc<Misdeeds> {
        self.with(|m| m.misdeeds.clone())
    }

    /// The network as this machine sees it: for programs of the scenario that run on it.
    pub fn net(&self) -> SimNet {
        SimNet { fabric: self.world.inner.fabric.clone(), host: self.host() }
    }

    /// Every counter of the router as (room, name, value); none if it does not run.
    pub fn counters(&self) -> Vec<(&'static str, &'static str, u64)> {
        self.running().map(|r| r.counters()).unwrap_or_default()
    }

    /// One counter, 0 if there is none of this name.
    pub fn counter(&self, room: &str, name: &str) -> u64 {
        let found = self.counters().into_iter().find(|(r, n, _)| *r == room && *n == name);
        found.map_or(0, |(_, _, value)| value)
    }

    /// A program on the machine calls the router's SAM bridge, which is opened with the first call.
    ///
    /// # Panics
    /// When no router runs, or the bridge cannot be opened.
    #[allow(clippy::panic, reason = "a mistake of the scenario")]
    pub async fn sam_client(&self) -> DuplexStream {
        let open = self.with(|m| m.sam.clone());
        let server = match open {
            Some(server) => server,
            None => match self.router().open_sam().await {
                Ok(server) => self.with(|m| m.sam.get_or_insert(server).clone()),
                Err(error) => panic!("{}: {error}", self.name()),
            },
        };
        let (client, socket) = tokio::io::duplex(SAM_BUFFER);
        server.call(socket, SocketAddr::from(([127, 0, 0, 1], PORT)));
        client
    }

    /// Sessions of the SAM bridge that exist or are being made; 0 if it was never opened.
    pub fn sam_sessions(&self) -> usize {
        self.with(|m| m.sam.as_ref().map_or(0, SamServer::sessions))
    }

    /// Bytes of the router's memory budget in use, and the whole of it.
    pub fn memory(&self) -> (u64, u64) {
        self.running().map_or((0, 0), |r| r.memory())
    }

    /// Tasks of the router that run.
    pub fn tasks(&self) -> usize {
        self.running().map_or(0, |r| r.tasks())
    }

    /// Starts the router, with the disk of its earlier life if there was one.
    ///
    /// # Errors
    /// As [`crate::router::RouterBuilder::start`].
    pub async fn start(&self) -> Result<(), StartError> {
        let world_ms = self.world.wall_ms();
        let (config, machine, seed, wall_ms, life) = self.with(|m| {
            m.lives += 1;
            m.keeper = Keeper::default();
            let seed = Rng::from_seed(self.world.seed() ^ (self.index as u64) << 32 ^ m.lives).u64();
            let machine = machine::Machine {
                disk: Some(m.disk.clone()),
                keeper: Some(m.keeper.clone()),
                misdeeds: Some(m.misdeeds.clone()),
            };
            (m.config(), machine, seed, world_ms.saturating_add_signed(m.skew_ms), m.lives)
        });
        self.world.set_up(self.host(), true);
        self.world.note("start", self.index as u64, [life, 0, 0]);
        let net: Arc<dyn Net> = Arc::new(self.net());
        let builder = Router::builder().config(config).net(net).deterministic(seed, wall_ms).machine(machine);
        let router = Box::pin(builder.start()).await?;
        self.with(|m| m.router = Some(router));
        Ok(())
    }

    /// Ends the router without warning and returns when nothing of it is left but its disk.
    pub async fn crash(&self, kind: Crash) {
        let (router, keeper, host) = self.with(Machine::end);
        self.world.note("crash", self.index as u64, [u64::from(kind == Crash::Power), 0, 0]);
        if kind == Crash::Power {
            self.world.set_up(host, false);
            self.world.inner.fabric.with(|state, _| state.forget_connections(host));
        }
        keeper.crash();
        // The runtime drops the tasks one after the other.
        while let Some(router) = &router
            && router.tasks() > 0
        {
            tokio::task::yield_now().await;
        }
        if kind == Crash::Process {
            self.world.inner.fabric.with(|state, _| state.forget_listeners(host));
        }
    }

    /// Ends the router as [`Self::crash`] does, and starts it again after a while.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart_after(&self, kind: Crash, pause: Duration) -> Result<(), StartError> {
        self.crash(kind).await;
        self.world.sleep(pause).await;
        self.start().await
    }

    /// Stops the router in order.
    pub async fn shutdown(&self) {
        let (router, ..) = self.with(Machine::end);
        self.world.note("shutdown", self.index as u64, [0; 3]);
        if let Some(router) = router {
            router.shutdown().await;
        }
    }

    /// Stops the router's tasks where they stand, as SIGSTOP does: its clocks go on, and its system still takes bytes.
    pub fn freeze(&self) {
        self.world.note("freeze", self.index as u64, [0; 3]);
        self.with(|m| m.keeper.stop());
    }

    /// Lets them go on.
    pub fn thaw(&self) {
        self.world.note("thaw", self.index as u64, [0; 3]);
        self.with(|m| m.keeper.resume());
    }

    /// Puts the whole machine to sleep: off the network, and no task runs. What its monotonic clock does meanwhile, see
    /// [`RouterSetup::counts_sleep`].
    pub fn suspend(&self) {
        self.world.note("suspend", self.index as u64, [0; 3]);
        let (now, host) = (self.world.now(), self.host());
        self.with(|m| {
            m.keeper.stop();
            m.asleep.get_or_insert(now);
        });
        self.world.set_up(host, false);
    }

    /// Wakes it up. Its wall clock is right again at once, as with a machine that has a clock of its own.
    pub fn resume(&self) {
        self.world.note("resume", self.index as u64, [0; 3]);
        let (now, host) = (self.world.now(), self.host());
        self.world.set_up(host, true);
        self.with(|m| {
            if let (Some(since), Some(router)) = (m.asleep.take(), &m.router)
                && !m.setup.counts_sleep
            {
                router.clock().oversleep(now.saturating_sub(since));
            }
            m.keeper.resume();
        });
    }

    /// Moves its wall clock by so many milliseconds, now and for later lives.
    pub fn jump_clock(&self, ms: i64) {
        self.world.note("clock", self.index as u64, [ms.unsigned_abs(), u64::from(ms < 0), 0]);
        self.with(|m| {
            m.skew_ms += ms;
            if let Some(router) = &m.router {
                router.clock().adjust(ms);
            }
        });
    }

    /// Gives it another address. Its connections are dead from now on, and nobody is told; its router learns of the
    /// address at its next start.
    pub fn move_to(&self, ip: IpAddr) {
        self.world.note("move", self.index as u64, [0; 3]);
        let host = self.with(|m| {
            m.ip = ip;
            m.host
        });
        self.world.inner.fabric.with(|state, _| {
            state.lose_connections(host);
            if let Some(h) = state.hosts.get_mut(host) {
                h.ip = ip;
            }
        });
    }

    /// Changes how the next life of its router shall be.
    pub fn change_setup(&self, change: impl FnOnce(&mut RouterSetup)) {
        self.with(|m| change(&mut m.setup));
    }
}
