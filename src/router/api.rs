// SPDX-License-Identifier: MIT
//! The router as a program embeds it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{OnceCell, oneshot};
use tokio_util::sync::CancellationToken;

use super::assembly;
use super::config::{ConfigError, RouterConfig};
use super::control::{Request, SessionRefused, SessionSeed};
use super::names::AddressBook;
use super::spares::Spares;
use super::status::{Stage, Status};
use super::storage::StorageError;
use crate::base::watch;
use crate::base::{Budget, Clock, Net, Queue, QueueSender, Rng, Tasks};
use crate::destination::engine::Engine;
use crate::destination::inbox::{Inbox, inbox as new_inbox};
use crate::destination::task::Hint;
use crate::destination::{
    self, Cause, DestinationKeys, Error, ErrorKind, LeaseSetOptions, Session, SessionConfig, SessionParts,
    Target, WeakSession,
};
use crate::garlic::Strangers;
use crate::names::HostName;
use crate::netdb::PeerView;
use crate::tunnel::build::PoolReport;
use crate::tunnel::task::PlaneHandle;
use crate::tunnel::{PoolConfig, PoolId};
use crate::wire::{BlindedName, DestHash, Destination, RouterHash, RouterInfo};

/// Calls of handles that wait for a destination's task.
const COMMANDS: usize = 256;
/// Seconds for which the date of a destination's last lease set is remembered after its session.
const DATES_S: u32 = 1200;
/// How long a session may take to get its tunnels and to be published.
const SESSION_DEADLINE: Duration = Duration::from_secs(290);
/// How long a shutdown waits for the sessions to say goodbye.
const SESSIONS_DEADLINE: Duration = Duration::from_secs(1);
/// Longest orderly shutdown after that.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(7);

/// Why a router did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// A setting cannot be used.
    Config(ConfigError),
    /// The data directory or a file in it is not fit.
    Storage(StorageError),
    /// An address cannot be listened at.
    Listen {
        /// The setting that names it.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The system gives no randomness.
    Randomness(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(e) => e.fmt(f),
            Self::Storage(e) => e.fmt(f),
            Self::Listen { key, address, problem } => write!(f, "{key}: {address}: {problem}"),
            Self::Randomness(e) => write!(f, "the system gives no random numbers: {e}"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<ConfigError> for StartError {
    fn from(e: ConfigError) -> Self {
        Self::Config(e)
    }
}

impl From<StorageError> for StartError {
    fn from(e: StorageError) -> Self {
        Self::Storage(e)
    }
}

/// The deadline of [`Router::ready`] passed, or the router stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReady {
    /// How far the router is.
    pub status: Status,
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = &self.status;
        match s.stage {
            Stage::Starting => f.write_str("no other router is known yet"),
            _ => write!(
                f,
                "{} routers known, {} connected, {} inbound and {} outbound tunnels{}",
                s.known.0,
                s.connected,
                s.exploratory.0,
                s.exploratory.1,
                s.trouble.as_ref().map(|t| format!("; {t}")).unwrap_or_default()
            ),
        }
    }
}

impl std::error::Error for NotReady {}

/// A session on its way.
pub(super) struct Opening {
    session: Session,
    /// Answers when it can be used.
    ready: oneshot::Receiver<()>,
    /// How far it is.
    progress: watch::Receiver<String>,
    /// Why its tunnels cannot be built, if so.
    trouble: watch::Receiver<PoolReport>,
    status: watch::Receiver<Status>,
    clock: Clock,
}

/// A session that could be opened without any other router is open after so long.
const ALONE: Duration = Duration::from_secs(3);

/// Waits until no other router answers; says so in words.
async fn cut_off(mut status: watch::Receiver<Status>, clock: &Clock) -> String {
    tokio::time::sleep(ALONE).await;
    loop {
        let why = status.borrow_and_update().cut_off(clock.now().mono);
        if let Some(why) = why {
            return why;
        }
        if status.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Opening {
    /// Waits until the session can be used.
    pub(super) async fn ready(self) -> Result<Session, Error> {
        let Self { session, ready, progress, trouble, status, clock } = self;
        tokio::select! { biased;
            done = ready => match done {
                Ok(()) => Ok(session),
                Err(_) => Err(Error::closed()),
            },
            why = cut_off(status, &clock) => Err(Error::new(ErrorKind::NoTunnels, why)),
            () = tokio::time::sleep(SESSION_DEADLINE) => {
                let why = progress.borrow().clone();
                let report = *trouble.borrow();
                let limit = SESSION_DEADLINE.as_secs();
                let text = format!("not ready after {limit} s: {why}; tunnels: {report}");
                Err(Error::new(ErrorKind::NoTunnels, text).with_cause(Cause::Tunnels(report)))
            }
        }
    }
}

/// Sets up a router.
#[derive(Clone, Default)]
pub struct RouterBuilder {
    config: RouterConfig,
    net: Option<Arc<dyn Net>>,
    seed: Option<u64>,
    wall_ms: Option<u64>,
    #[cfg(feature = "sim")]
    machine: super::machine::Machine,
}

impl RouterBuilder {
    /// Takes all settings at once.
    #[must_use]
    pub fn config(mut self, config: RouterConfig) -> Self {
        self.config = config;
        self
    }

    /// Keeps keys and known routers in this directory. Without it the router is new at each start.
    #[must_use]
    pub fn data_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.config.data_dir = Some(dir.into());
        self
    }

    /// Opens the SAM bridge there; by default there is none in an embedded router.
    #[must_use]
    pub const fn sam(mut self, at: SocketAddr) -> Self {
        self.config.sam = Some(at);
        self
    }

    /// Uses this network instead of the machine's.
    #[must_use]
    pub fn net(mut self, net: Arc<dyn Net>) -> Self {
        self.net = Some(net);
        self
    }

    /// Makes the router's random numbers repeatable and its wall clock start at `wall_ms` (milliseconds since 1970).
    /// For tests; keys made this way are worthless.
    #[must_use]
    pub const fn deterministic(mut self, seed: u64, wall_ms: u64) -> Self {
        self.seed = Some(seed);
        self.wall_ms = Some(wall_ms);
        self
    }

    /// Starts the router on the caller's tokio runtime and returns at once; it finds the network by itself.
    ///
    /// # Errors
    /// When a setting, a file or a port stands in the way.
    pub async fn start(self) -> Result<Router, StartError> {
        let rng = match self.seed {
            Some(seed) => Rng::from_seed(seed),
            None => Rng::from_os().map_err(|e| StartError::Randomness(e.to_string()))?,
        };
        let clock = self.wall_ms.map_or_else(Clock::system, Clock::starting_at);
        let net = self.net.unwrap_or_else(|| Arc::new(crate::base::TcpNet));
        let start = assembly::start(
            self.config,
            (net, clock, rng),
            #[cfg(feature = "sim")]
            self.machine,
        );
        start.await
    }

    /// Runs the router on a simulated machine.
    #[cfg(feature = "sim")]
    #[must_use]
    pub(crate) fn machine(mut self, machine: super::machine::Machine) -> Self {
        self.machine = machine;
        self
    }
}

impl fmt::Debug for RouterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RouterBuilder({:?})", self.config)
    }
}

/// A running router. Clones are handles to the same one; when the last is dropped it stops at once.
#[derive(Clone)]
pub struct Router {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) config: RouterConfig,
    pub(super) hash: RouterHash,
    pub(super) clock: Clock,
    pub(super) tasks: Tasks,
    /// Ends when everything but the disk has ended; the disk's task ends with its queue.
    pub(super) disk_tasks: Tasks,
    pub(super) requests: QueueSender<Request>,
    pub(super) hints: QueueSender<Hint>,
    pub(super) plane: PlaneHandle,
    pub(super) view: watch::Receiver<PeerView>,
    pub(super) own_info: watch::Receiver<Arc<RouterInfo>>,
    pub(super) status: watch::Receiver<Status>,
    /// New garlic sessions of strangers, over all destinations.
    pub(super) strangers: Arc<Strangers>,
    pub(super) rng: std::sync::Mutex<Rng>,
    pub(super) listening: Vec<SocketAddr>,
    /// Open sessions, whoever holds them; cleared of ended ones with each new one.
    pub(super) sessions: std::sync::Mutex<Vec<WeakSession>>,
    pub(super) sam: std::sync::OnceLock<SocketAddr>,
    pub(super) names: AddressBook,
    /// Dates of the newest lease sets of our destinations, past ones for a while.
    pub(super) published: std::sync::Mutex<BTreeMap<DestHash, Arc<AtomicU32>>>,
    /// A session without a name of its own, for lookups when no other session is there.
    pub(super) resolver: OnceCell<Session>,
    /// Sessions that stand ready for clients of the bridge.
    pub(super) spares: std::sync::OnceLock<Arc<Spares>>,
    pub(super) counters: Vec<super::control::Counters>,
    /// What all of it may hold.
    pub(super) budget: Budget,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

/// Tells control that a session is over when its task ends without a word, as it does when it panics: else its tunnels
/// would stay and nobody could open the destination again.
struct Farewell(Option<(QueueSender<Request>, PoolId)>);

impl Farewell {
    /// The task has ended in order and waits until control has heard of it.
    async fn say(mut self) {
        if let Some((requests, pool)) = self.0.take() {
            requests.send(Request::SessionEnded(pool)).await;
        }
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        if let Some((requests, pool)) = self.0.take() {
            let _ = requests.try_push(Request::SessionEnded(pool));
        }
    }
}

/// How long the tunnels of a session outlive it.
const LAST_WORDS: Duration = Duration::from_millis(100);

impl Router {
    /// Sets up a router. An embedded router has no SAM bridge unless asked for one.
    pub fn builder() -> RouterBuilder {
        RouterBuilder {
            config: RouterConfig { sam: None, ..RouterConfig::default() },
            ..RouterBuilder::default()
        }
    }

    /// Our router hash.
    pub fn hash(&self) -> RouterHash {
        self.inner.hash
    }

    /// The settings.
    pub fn config(&self) -> &RouterConfig {
        &self.inner.config
    }

    /// Our RouterInfo as last signed.
    pub fn info(&self) -> Arc<RouterInfo> {
        self.inner.own_info.borrow().clone()
    }

    /// Addresses at which other routers are listened for, with the port that the system chose for 0.
    pub fn listening(&self) -> &[SocketAddr] {
        &self.inner.listening
    }

    /// Address of the SAM bridge, if there is one.
    pub fn sam_addr(&self) -> Option<SocketAddr> {
        self.inner.sam.get().copied()
    }

    /// How far the router is, to read or to watch.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.inner.status.clone()
    }

    /// Time since the start.
    pub fn uptime(&self) -> Duration {
        self.inner.clock.now().mono.since(crate::base::Mono(0))
    }

    /// Every counter of the router as (room, name, value).
    pub fn counters(&self) -> Vec<(&'static str, &'static str, u64)> {
        let rooms = self.inner.counters.iter();
        rooms.flat_map(|(room, read)| read().into_iter().map(|(name, n)| (*room, name, n))).collect()
    }

    /// Waits for a stage.
    ///
    /// # Errors
    /// When the router stops before.
    pub async fn ready(&self, stage: Stage) -> Result<(), NotReady> {
        let mut status = self.inner.status.clone();
        let reached = status.wait_for(|s| s.stage >= stage).await.is_ok();
        if reached { Ok(()) } else { Err(NotReady { status: self.inner.status.borrow().clone() }) }
    }

    /// As [`Self::ready`], but no longer than `limit`.
    ///
    /// # Errors
    /// When the time is over; the error says how far the router got.
    pub async fn ready_within(&self, stage: Stage, limit: Duration) -> Result<(), NotReady> {
        match tokio::time::timeout(limit, self.ready(stage)).await {
            Ok(result) => result,
            Err(_) => Err(NotReady { status: self.inner.status.borrow().clone() }),
        }
    }

    /// Makes other routers known to this one: signed RouterInfos, as they stand in files and bundles.
    pub async fn load_routers(&self, infos: Vec<Vec<u8>>) {
        self.inner.requests.send(Request::Bootstrap(infos)).await;
    }

    /// Ends the link to a router and refuses it for `time`, whoever dials.
    pub async fn ban(&self, router: RouterHash, time: Duration) {
        self.inner.requests.send(Request::Ban(router, time)).await;
    }

    /// Accepts tunnels of others, or refuses new ones from now on.
    pub async fn set_transit(&self, accept: bool) {
        self.inner.requests.send(Request::Transit(accept)).await;
    }

    /// Opens a session: builds tunnels, publishes the lease set, and answers when others can find it.
    ///
    /// Dropping the future gives the session up.
    ///
    /// # Errors
    /// [`ErrorKind::DuplicateDestination`], [`ErrorKind::Limit`], or [`ErrorKind::NoTunnels`] after five minutes
    /// without tunnels, or at once when no other router has answered for a minute; the explanation says what was tried.
    pub async fn session(&self, config: SessionConfig) -> Result<Session, Error> {
        self.begin_session(config).await?.ready().await
    }

    pub(super) async fn begin_session(&self, config: SessionConfig) -> Result<Opening, Error> {
        let mut rng = self.fork("session");
        let keys = match config.keys.clone() {
            Some(keys) => keys,
            None => DestinationKeys::generate(&mut rng)
                .ok_or_else(|| Error::new(ErrorKind::Config, "keys cannot be made"))?,
        };
        if let Some(at) = keys.expires_s().filter(|at| *at <= self.inner.clock.now().wall_s()) {
            return Err(Error::new(
                ErrorKind::Config,
                format!("the offline key ran out at {at} s since 1970"),
            ));
        }
        if let Some(encryption) = &config.encryption {
            encryption.check(&keys)?;
        }
        let (stop, ended) = (self.inner.tasks.token().child_token(), CancellationToken::new());
        let (inbox_tx, inbox) = new_inbox(&self.inner.budget);
        let hash = keys.destination().hash();
        let seed = self.claim(hash, config.tunnels, inbox_tx, &stop, &ended).await?;
        let (commands_tx, commands) = Queue::bounded("session_commands", COMMANDS);
        let (ready_tx, ready) = oneshot::channel();
        let (counts_tx, counts) = watch::channel((0, 0, 0));
        let (progress_tx, progress) = watch::channel(String::new());
        let limits = self.inner.config.destination_limits();
        let (ports, ports_task) = destination::ports(&self.inner.budget, &limits);
        let wires = destination::task::Wires {
            clock: self.inner.clock.clone(),
            plane: self.inner.plane.own.clone(),
            hints: self.inner.hints.clone(),
            pool_id: seed.pool_id,
            inbox,
            commands,
            pool: seed.pool,
            view: self.inner.view.clone(),
            ready: ready_tx,
            progress: progress_tx,
            counts: counts_tx,
            ports: ports_task,
            stop: stop.clone(),
        };
        let session = Session::new(SessionParts {
            keys: &keys,
            config: &config,
            commands: commands_tx,
            stop,
            ended,
            counts,
            ports,
        });
        let strangers = self.inner.strangers.clone();
        let engine = Engine::new(&config, keys, strangers, limits, rng.fork("engine"))
            .with_budget(&self.inner.budget)
            .dated_after(self.published(hash));
        let (nickname, b32) = (config.nickname.clone(), session.destination().b32());
        let farewell = Farewell(Some((self.inner.requests.clone(), seed.pool_id)));
        self.inner.tasks.spawn_orderly("destination", async move {
            Box::pin(destination::task::run(engine, nickname, b32, rng, wires)).await;
            // The streams' resets are on their way to the plane; the tunnels must not be taken away before them.
            tokio::time::sleep(LAST_WORDS).await;
            farewell.say().await;
        });
        self.note_session(&session);
        let (status, clock) = (self.inner.status.clone(), self.inner.clock.clone());
        Ok(Opening { session, ready, progress, trouble: seed.trouble, status, clock })
    }

    fn note_session(&self, session: &Session) {
        let mut open = self.open_sessions();
        open.retain(|s| s.upgrade().is_some_and(|s| !s.is_closed()));
        open.push(session.downgrade());
    }

    /// Date of the newest lease set of a destination here, shared by its sessions one after the other.
    fn published(&self, hash: DestHash) -> Arc<AtomicU32> {
        let now_s = self.inner.clock.now().wall_s();
        let mut dates = self.inner.published.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // What is older than any lease set lives cannot stand in the way of a new one.
        dates.retain(|_, date| {
            Arc::strong_count(date) > 1 || date.load(Ordering::Relaxed).saturating_add(DATES_S) > now_s
        });
        dates.entry(hash).or_default().clone()
    }

    fn open_sessions(&self) -> std::sync::MutexGuard<'_, Vec<WeakSession>> {
        self.inner.sessions.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Sessions that are open, those of the SAM bridge included.
    pub fn sessions(&self) -> Vec<Session> {
        self.open_sessions().iter().filter_map(WeakSession::upgrade).filter(|s| !s.is_closed()).collect()
    }

    /// Registers the destination; waits for an older session of it that is on its way down.
    async fn claim(
        &self,
        hash: DestHash,
        config: PoolConfig,
        inbox: Inbox,
        stop: &CancellationToken,
        ended: &CancellationToken,
    ) -> Result<SessionSeed, Error> {
        loop {
            let (reply, answer) = oneshot::channel();
            let request = Request::OpenSession {
                hash,
                config,
                inbox: inbox.clone(),
                stop: stop.clone(),
                ended: ended.clone(),
                reply,
            };
            if !self.inner.requests.send(request).await {
                return Err(Error::closed());
            }
            match answer.await {
                Ok(Ok(seed)) => return Ok(seed),
                Ok(Err(SessionRefused::Duplicate(Some(older)))) => older.cancelled().await,
                Ok(Err(SessionRefused::Duplicate(None))) => {
                    let text = "another session has this destination";
                    return Err(Error::new(ErrorKind::DuplicateDestination, text));
                }
                Ok(Err(SessionRefused::Full(max))) => {
                    return Err(Error::new(ErrorKind::Limit, format!("all {max} sessions are in use")));
                }
                Err(_) => return Err(Error::closed()),
            }
        }
    }

    fn fork(&self, label: &str) -> Rng {
        self.inner.rng.lock().unwrap_or_else(std::sync::PoisonError::into_inner).fork(label)
    }

    /// Fresh keys for a destination; `None` for signature types that are not made any more (DSA).
    pub fn new_keys(&self, sig_type: crate::wire::SigType) -> Option<DestinationKeys> {
        DestinationKeys::generate_type(sig_type, &mut self.fork("keys"))
    }

    /// Finds the destination behind a hash without a session of one's own: through tunnels of a nameless session
    /// that is opened at the first call.
    ///
    /// # Errors
    /// As [`Session::lookup`].
    pub async fn lookup(&self, hash: DestHash) -> Result<Destination, Error> {
        self.resolver().await?.lookup(hash).await
    }

    /// The options of a destination's lease set, found as by [`Self::lookup`]. Sessions of this router answer for
    /// themselves.
    ///
    /// # Errors
    /// As [`Session::lease_set_options`].
    pub async fn lease_set_options(&self, hash: DestHash) -> Result<LeaseSetOptions, Error> {
        if let Some(own) = self.sessions().iter().find(|s| s.destination().hash() == hash) {
            return own.lease_set_options(hash).await;
        }
        self.resolver().await?.lease_set_options(hash).await
    }

    /// The nameless session for look-ups.
    /// As [`Self::lookup`], for the name of an encrypted lease set that takes neither secret nor key.
    ///
    /// # Errors
    /// As [`Session::lookup_blinded`].
    pub async fn lookup_blinded(&self, name: &BlindedName) -> Result<Destination, Error> {
        self.resolver().await?.lookup_blinded(name).await
    }

    async fn resolver(&self) -> Result<&Session, Error> {
        self.inner
            .resolver
            .get_or_try_init(|| async {
                let mut config = SessionConfig::transient().nickname("name lookups");
                config.unpublished = true;
                config.tunnels = PoolConfig { ..self.inner.config.exploratory_pool() };
                self.session(config).await
            })
            .await
    }

    /// The address book.
    pub fn names(&self) -> &AddressBook {
        &self.inner.names
    }

    /// Reads a base64 destination, a `.b32.i2p` name, or a host name of the address book.
    ///
    /// # Errors
    /// [`ErrorKind::NameNotFound`] for a host name that is not in the address book, [`ErrorKind::InvalidTarget`] for
    /// what is none of these.
    pub async fn resolve(&self, text: &str) -> Result<Target, Error> {
        match Target::parse(text) {
            Err(error) if error.kind() == ErrorKind::InvalidTarget => match HostName::parse(text) {
                Ok(name) => self.inner.names.lookup(name.as_str()).await.map(Target::Destination),
                Err(_) => Err(error),
            },
            parsed => parsed,
        }
    }

    /// Stops the router in order: streams are reset, links terminated, state saved. At most 8 s.
    pub async fn shutdown(&self) {
        // Sessions first, while the tunnels still carry their resets to the peers.
        let sessions = self.sessions();
        sessions.iter().for_each(Session::begin_close);
        let closed = async {
            for session in &sessions {
                session.closed().await;
            }
        };
        let _ = tokio::time::timeout(SESSIONS_DEADLINE, closed).await;
        self.inner.tasks.stop();
        let all = async {
            self.inner.tasks.finished().await;
            self.inner.disk_tasks.finished().await;
        };
        if tokio::time::timeout(SHUTDOWN_DEADLINE, all).await.is_err() {
            tracing::warn!(tasks = self.inner.tasks.len(), "shutdown took too long; leaving the rest behind");
        }
    }

    /// Resolves when the router has stopped, whoever stopped it.
    pub async fn stopped(&self) {
        self.inner.tasks.token().cancelled().await;
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Router({})", self.inner.hash)
    }
}
