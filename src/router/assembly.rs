// SPDX-License-Identifier: MIT
//! Starts the rooms and wires their queues: the table of queues and bounds in `docs/architecture.md` is this file.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};

use tokio::sync::OnceCell;

use super::api::{Inner, Router, StartError};
use super::config::RouterConfig;
use super::control::{Control, Counters, Request, ToControl, ToDial, Wires};
use super::health::Health;
use super::identity::{PublicFace, RouterKeys};
use super::links::{ControlOutlets, GateMetrics, PeerBatch};
#[cfg(feature = "sim")]
use super::machine::Machine;
use super::names::{AddressBook, BookFiles};
use super::persist::{self, DiskMetrics, Job};
use super::reseed::{self, Reseeder};
use super::status::StatusBoard;
use super::storage::Storage;
use crate::base::watch;
use crate::base::{Budget, Clock, Net, Queue, QueueReceiver, QueueSender, Rng, Tasks};
use crate::destination::task::Hint;
use crate::netdb::reseed::Bundle;
use crate::netdb::{self, PeerView};
use crate::transport::{self, LocalKeys, TransportConfig, TransportEvent, TransportMetrics};
use crate::tunnel::TunnelKey;
use crate::tunnel::build::{self, Builder, BuilderConfig, Gate};
use crate::tunnel::plane::{Plane, PlaneConfig};
use crate::tunnel::task as plane_task;
use crate::wire::RouterHash;

/// Socket reads of all peers that wait for the plane; a full queue stops their reading.
const PEER_BATCHES: usize = 64;
/// Answers to what we asked: build replies, tunnel tests, what comes out of exploratory tunnels.
const TO_REPLIES: usize = 512;
/// Database messages for control.
const TO_DATABASE: usize = 256;
/// Messages for routers without a link, per batch.
const TO_DIAL: usize = 256;
/// What the transport tells.
const TRANSPORT_EVENTS: usize = 256;
/// What handles ask of control.
const REQUESTS: usize = 256;
/// Disk jobs: a reseed brings a hundred routers at once, exploration a few.
const DISK_JOBS: usize = 4096;
/// Sessions at once.
const SESSIONS_MAX: usize = 256;
/// File that remembers the port chosen at the first start.
const PORT_FILE: &str = "port";

/// The queues between the rooms.
struct Queues {
    peers: (QueueSender<PeerBatch>, QueueReceiver<PeerBatch>),
    replies: (QueueSender<ToControl>, QueueReceiver<ToControl>),
    builds: (QueueSender<ToControl>, QueueReceiver<ToControl>),
    database: (QueueSender<ToControl>, QueueReceiver<ToControl>),
    dials: (QueueSender<ToDial>, QueueReceiver<ToDial>),
    refused: (QueueSender<TunnelKey>, QueueReceiver<TunnelKey>),
    hints: (QueueSender<Hint>, QueueReceiver<Hint>),
    events: (QueueSender<TransportEvent>, QueueReceiver<TransportEvent>),
    requests: (QueueSender<Request>, QueueReceiver<Request>),
    disk: (QueueSender<Job>, QueueReceiver<Job>),
}

/// The queues; `to_build` build requests and garlic messages of strangers may wait.
fn queues(to_build: usize) -> Queues {
    Queues {
        peers: Queue::bounded("peers_to_plane", PEER_BATCHES),
        replies: Queue::bounded("plane_replies", TO_REPLIES),
        builds: Queue::bounded("plane_to_build", to_build),
        database: Queue::bounded("plane_to_database", TO_DATABASE),
        dials: Queue::bounded("plane_to_dial", TO_DIAL),
        refused: Queue::bounded("plane_refusals", TO_DIAL),
        hints: Queue::bounded("hints", TO_DIAL),
        events: Queue::bounded("transport_events", TRANSPORT_EVENTS),
        requests: Queue::bounded("requests", REQUESTS),
        disk: Queue::bounded("disk_jobs", DISK_JOBS),
    }
}

/// What stands before the first task runs: everything that can refuse a start is here or in the listeners.
struct Prepared {
    storage: Storage,
    lock: Option<std::fs::File>,
    keys: Arc<RouterKeys>,
    port: u16,
    bootstrap: Vec<Vec<u8>>,
    reseeder: Option<Reseeder>,
}

fn prepare(
    config: &RouterConfig,
    storage: Option<Storage>,
    (net, clock): (&Arc<dyn Net>, &Clock),
    rng: &mut Rng,
) -> Result<Prepared, StartError> {
    config.validate()?;
    let storage = match (storage, &config.data_dir) {
        (Some(storage), _) => storage,
        (None, Some(dir)) => Storage::open(dir)?,
        (None, None) => Storage::Memory,
    };
    BookFiles::new(None, config.hosts.clone()).check()?;
    let lock = storage.lock()?;
    let keys = Arc::new(RouterKeys::load_or_create(&storage, rng)?);
    let port = choose_port(config, &storage, rng)?;
    let bootstrap = reseed::bootstrap(config, clock.now().wall_ms / 1000)?;
    let reseeder = if config.may_reseed() {
        Some(Reseeder::new(config, net.clone(), clock.clone(), rng.fork("reseed"))?)
    } else {
        None
    };
    Ok(Prepared { storage, lock, keys, port, bootstrap, reseeder })
}

/// Starts a router.
#[allow(clippy::too_many_lines, reason = "all queues meet here, and read best in one list")]
pub(super) async fn start(
    config: RouterConfig,
    (net, clock, mut rng): (Arc<dyn Net>, Clock, Rng),
    #[cfg(feature = "sim")] machine: Machine,
) -> Result<Router, StartError> {
    #[cfg(feature = "sim")]
    let (storage, tasks, disk_tasks) = (machine.storage(), machine.tasks(), machine.tasks());
    #[cfg(not(feature = "sim"))]
    let (storage, tasks, disk_tasks) = (None, Tasks::new(), Tasks::new());
    let Prepared { storage, lock, keys, port, bootstrap, reseeder } =
        prepare(&config, storage, (&net, &clock), &mut rng)?;
    let budget = Budget::new(u64::from(config.memory_max) << 20);
    let q = queues(config.bounds.tunnels.waiting_requests);
    let own = Arc::new(keys.router_info(clock.now().wall_ms, &face(&config, port)));
    let (own_info_tx, own_info) = watch::channel(own);
    let transport_metrics = Arc::new(TransportMetrics::default());
    let parts = transport::Parts {
        config: TransportConfig { budget: budget.clone(), ..transport_config(&config, port) },
        keys: LocalKeys::new(keys.hash(), keys.ntcp2().clone(), keys.ntcp2_iv()),
        info: own_info.clone(),
        net,
        clock: clock.clone(),
        rng: rng.fork("transport"),
        tasks: tasks.clone(),
        to_plane: q.peers.0,
        events: q.events.0,
        metrics: transport_metrics.clone(),
    };
    let listen_at = config.listen_addrs(port).first().copied();
    let (transport, listening) = transport::start(parts).await.map_err(|e| listen_error(listen_at, &e))?;
    // With port 0 in memory the system chose: what is published must say which.
    let port = listening.first().map_or(port, SocketAddr::port);
    own_info_tx.send_replace(Arc::new(keys.router_info(clock.now().wall_ms, &face(&config, port))));
    let gate_metrics = Arc::new(GateMetrics::default());
    let outlets = ControlOutlets {
        replies: q.replies.0,
        builds: q.builds.0,
        database: q.database.0,
        dials: q.dials.0,
        refused: q.refused.0,
        gate: Gate::new(&builder_config(&config, &budget).admission, &mut rng),
        metrics: gate_metrics.clone(),
    };
    let plane_engine = Plane::new(keys.hash(), plane_config(&config), rng.fork("plane")).with_budget(&budget);
    let plane_engine_metrics = plane_engine.metrics();
    let (plane, mut counters) =
        start_plane(plane_engine, &tasks, (clock.clone(), rng.fork("plane task")), q.peers.1, outlets);
    let (board, status) = StatusBoard::new();
    let disk_metrics = Arc::<DiskMetrics>::default();
    let disk = persist::run(storage.clone(), q.disk.1, clock.clone(), board.clone(), disk_metrics.clone());
    start_disk(&disk_tasks, lock, disk);
    counters.push(("disk", Box::new(move || disk_metrics.snapshot())));
    let (view_tx, view) = watch::channel(PeerView::default());
    let health =
        Health::new(&clock, face(&config, port).congestion, plane_engine_metrics, transport_metrics.clone());
    #[cfg_attr(not(feature = "sim"), allow(unused_mut, reason = "changed by misdeeds alone"))]
    let mut control = control(&config, port, &clock, keys.clone(), (board, health, &budget), &mut rng);
    #[cfg(feature = "sim")]
    if let Some(misdeeds) = machine.misdeeds {
        control.misbehave(misdeeds, rng.fork("misdeeds"));
    }
    counters.extend(control.counters());
    counters.push(("gate", Box::new(move || gate_metrics.snapshot())));
    counters.push(("transport", Box::new(move || transport_metrics.snapshot())));
    let losses = [q.requests.0.losses(), q.hints.0.losses(), q.disk.0.losses(), transport.losses()];
    counters.push(("queues", Box::new(move || losses.iter().map(|(name, n)| (*name, n.get())).collect())));
    let wires = Wires {
        clock: clock.clone(),
        replies: q.replies.1,
        builds: q.builds.1,
        database: q.database.1,
        dials: q.dials.1,
        refused: q.refused.1,
        hints: q.hints.1,
        transport_events: q.events.1,
        requests: q.requests.1,
        plane: plane.orders.clone(),
        disk: q.disk.0,
        transport,
        view: view_tx,
        own_info: own_info_tx,
        stop: tasks.token().clone(),
    };
    tasks.spawn_graceful("control", control.run(wires));
    let names = AddressBook::new(config.data_dir.clone(), config.hosts.clone(), tasks.clone(), clock.clone());
    let names_metrics = names.metrics();
    counters.push(("names", Box::new(move || names_metrics.snapshot())));
    let memory = budget.clone();
    counters.push(("memory", Box::new(move || memory.snapshot())));
    let inner = Inner {
        hash: keys.hash(),
        clock,
        tasks,
        disk_tasks,
        requests: q.requests.0,
        hints: q.hints.0,
        plane,
        view,
        own_info,
        status,
        strangers: Arc::new(config.strangers()),
        rng: Mutex::new(rng.fork("sessions")),
        listening,
        sessions: Mutex::default(),
        sam: OnceLock::new(),
        names,
        published: Mutex::default(),
        resolver: OnceCell::new(),
        spares: OnceLock::new(),
        counters,
        budget,
        config,
    };
    let router = Router { inner: Arc::new(inner) };
    open_doors(&router, &storage, bootstrap, reseeder, rng.fork("subscriptions")).await?;
    Ok(router)
}

/// Brings the first peers in and opens the bridge.
async fn open_doors(
    router: &Router,
    storage: &Storage,
    bootstrap: Vec<Vec<u8>>,
    reseeder: Option<Reseeder>,
    rng: Rng,
) -> Result<(), StartError> {
    load_known(router, storage).await;
    super::sam_start::start(router).await?;
    super::names::subscribe::start(router, rng);
    if !bootstrap.is_empty() {
        tracing::info!(routers = bootstrap.len(), "routers read from bootstrap files");
        router.load_routers(bootstrap).await;
    }
    if let Some(reseeder) = reseeder {
        start_reseed(router, reseeder);
    }
    Ok(())
}

fn start_plane(
    plane: Plane,
    tasks: &Tasks,
    (clock, rng): (Clock, Rng),
    peers: QueueReceiver<PeerBatch>,
    outlets: ControlOutlets,
) -> (plane_task::PlaneHandle, Vec<Counters>) {
    let (handle, inputs) = plane_task::queues();
    let (engine_metrics, task_metrics) = (plane.metrics(), Arc::new(plane_task::PlaneTaskMetrics::default()));
    let run = plane_task::run(plane, (clock, rng), inputs, peers, outlets, task_metrics.clone());
    tasks.spawn_core("plane", run);
    let counters: Vec<Counters> = vec![
        ("plane", Box::new(move || engine_metrics.snapshot())),
        ("plane_task", Box::new(move || task_metrics.snapshot())),
    ];
    (handle, counters)
}

/// The directory is free for another router when the last of this one is written.
fn start_disk(tasks: &Tasks, lock: Option<std::fs::File>, disk: impl Future<Output = ()> + Send + 'static) {
    tasks.spawn_orderly("disk", async move {
        disk.await;
        drop(lock);
    });
}

fn control(
    config: &RouterConfig,
    port: u16,
    clock: &Clock,
    keys: Arc<RouterKeys>,
    (board, health, budget): (StatusBoard, Health, &Budget),
    rng: &mut Rng,
) -> Control {
    let now = clock.now();
    let hash = keys.hash();
    let netdb_config = netdb_config(config, hash);
    let engine = netdb::Engine::new(netdb_config, now, rng.fork("netdb")).with_budget(budget);
    let router_keys = build::RouterKeys::new(hash, keys.encryption().clone());
    let builder = Builder::new(router_keys, builder_config(config, budget), rng.fork("builder"));
    let exploratory = config.exploratory_pool();
    Control::new(
        now,
        keys,
        face(config, port),
        engine,
        builder,
        exploratory,
        SESSIONS_MAX,
        board,
        health,
        config.bounds.tunnels.waiting_requests_time,
        rng,
    )
}

pub(super) fn netdb_config(config: &RouterConfig, hash: RouterHash) -> netdb::Config {
    let mut netdb = if config.test_network {
        netdb::Config::for_test_network(hash, config.net_id)
    } else {
        netdb::Config { net_id: config.net_id, ..netdb::Config::new(hash) }
    };
    netdb.min_floodfill_version = config.min_floodfill_version();
    if config.floodfill {
        netdb = netdb.with_floodfill();
    }
    let limits = &config.limits;
    // What is not set: no more routers than half of the memory holds, and lease sets than an eighth.
    let memory = (config.memory_max as usize).saturating_mul(1 << 20);
    netdb.routers_max = match limits.known_routers {
        0 => netdb.routers_max.min(memory / 2 / netdb::ROUTER_COST),
        set => set,
    };
    netdb.lease_sets_max = match limits.lease_sets {
        0 => netdb.lease_sets_max.min(memory / 8 / netdb::LEASE_SET_COST),
        set => set,
    };
    netdb.lookups_per_second = limits.lookups_per_second.into();
    config.bounds.fill_netdb(&mut netdb);
    netdb
}

pub(super) fn builder_config(config: &RouterConfig, budget: &Budget) -> BuilderConfig {
    let mut builder =
        if config.test_network { BuilderConfig::test_network() } else { BuilderConfig::default() };
    builder.select.min_version = config.min_hop_version();
    let (limits, admission) = (&config.limits, &mut builder.admission);
    admission.transit_max = config.transit_tunnels();
    admission.requests_per_second = limits.build_requests_per_second;
    admission.requests_burst = limits.build_requests_per_second.saturating_mul(5) / 2;
    admission.garlic_per_second = limits.garlic_per_second;
    admission.transit_kbs = limits.transit_rate().map(|rate| rate / 1_000);
    admission.budget = budget.clone();
    config.bounds.fill_builder(&mut builder, config.test_network);
    builder
}

fn face(config: &RouterConfig, port: u16) -> PublicFace {
    PublicFace {
        net_id: config.net_id,
        addresses: config.host.iter().map(|ip| (*ip, port)).collect(),
        floodfill: config.floodfill,
        bandwidth: config.bandwidth,
        congestion: (!config.transit).then_some('G'),
        known: None,
    }
}

pub(super) fn transport_config(config: &RouterConfig, port: u16) -> TransportConfig {
    let mut usual = TransportConfig::default();
    config.bounds.fill_transport(&mut usual);
    // Of the sockets for links a quarter is for those that are being made.
    let (links, making) =
        config.socket_shares().map_or((usize::MAX, usize::MAX), |(all, _)| (all - all / 4, (all / 8).max(1)));
    TransportConfig {
        sessions_max: config.limits.links.min(links),
        dials_max: usual.dials_max.min(making),
        pending_max: config.limits.handshakes.min(making),
        net_id: config.net_id,
        bind: config.listen_addrs(port),
        published: config.host.iter().map(|ip| SocketAddr::new(*ip, port)).collect(),
        bind_outgoing: config.test_network,
        test_network: config.test_network,
        handshakes_per_second: config.limits.handshakes_per_second,
        rate: config.limits.link_rate(),
        ..usual
    }
}

pub(super) fn plane_config(config: &RouterConfig) -> PlaneConfig {
    let mut plane = PlaneConfig::default();
    config.bounds.fill_plane(&mut plane);
    PlaneConfig { transit_max: config.transit_tunnels(), transit_rate: config.limits.transit_rate(), ..plane }
}

/// The configured port, the remembered one, or a fresh one above the well-known and below the ephemeral ranges.
fn choose_port(config: &RouterConfig, storage: &Storage, rng: &mut Rng) -> Result<u16, StartError> {
    if config.port != 0 || config.host.is_empty() || *storage == Storage::Memory {
        return Ok(config.port);
    }
    let remembered = storage.read(PORT_FILE)?.and_then(|b| String::from_utf8(b).ok()?.trim().parse().ok());
    if let Some(port) = remembered {
        return Ok(port);
    }
    let port = u16::try_from(rng.between(9_151, 30_777)).unwrap_or(9_151);
    storage.write(PORT_FILE, port.to_string().as_bytes(), false)?;
    Ok(port)
}

fn listen_error(at: Option<SocketAddr>, e: &std::io::Error) -> StartError {
    let address = at.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)));
    let option = if e.kind() == std::io::ErrorKind::AddrNotAvailable {
        "check --host"
    } else {
        "choose another with --port"
    };
    StartError::Listen { key: "port", address, problem: format!("{}; {option}", listen_problem(e)) }
}

/// Why an address cannot be listened at.
pub(super) fn listen_problem(e: &std::io::Error) -> String {
    match e.kind() {
        std::io::ErrorKind::AddrInUse => "is in use by another program".into(),
        std::io::ErrorKind::AddrNotAvailable => "is no address of this machine".into(),
        std::io::ErrorKind::PermissionDenied => "is not permitted below port 1024".into(),
        _ => format!("cannot be listened at: {e}"),
    }
}

/// What was known before, and what the operator gave.
async fn load_known(router: &Router, storage: &Storage) {
    if let Ok(Some(text)) = storage.read(persist::PROFILES)
        && let Ok(text) = String::from_utf8(text)
    {
        router.inner.requests.send(Request::LoadProfiles(text)).await;
    }
    let (stored, damaged) = storage.routers();
    if damaged > 0 {
        tracing::warn!(
            files = damaged,
            "damaged files of the netDb are set aside and removed at the next start"
        );
    }
    if !stored.is_empty() {
        tracing::info!(routers = stored.len(), "known routers loaded");
        router.inner.requests.send(Request::Load(stored)).await;
    }
}

/// Keeps the router supplied with peers from reseed hosts.
fn start_reseed(router: &Router, reseeder: Reseeder) {
    let (status, requests) = (router.inner.status.clone(), router.inner.requests.clone());
    let known = move || status.borrow().known.0;
    let deliver = move |bundle: Bundle| {
        // A reseed is rare and the queue empty: a full one means that the router is busy with something worse, and few
        // known routers begin another round.
        if requests.try_push(Request::Bootstrap(bundle.routers)).is_err() {
            tracing::warn!("the router is too busy to take a reseed bundle in; trying again later");
        }
    };
    router.inner.tasks.spawn("reseed", reseeder.run(known, deliver));
}
