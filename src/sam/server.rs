// SPDX-License-Identifier: MIT
//! The listener: admits clients within limits and gives each a task.
//!
//! The UDP port for datagrams is bound as well; `datagram` serves it. Spec: SAMv3 "SAM Bridge", limits S1-S9.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;

use super::access::{Access, UsersError};
use super::backend::Backend;
use super::datagram;
use super::listen::{Door, REFUSALS_MAX};
use super::naming::LookupCache;
use super::parse::{LINE_BEFORE_HELLO_MAX, LINE_MAX};
use super::registry::{Registry, SessionLimits};
use super::tls::{self, TlsAddress};
#[cfg(unix)]
use super::unix::{UnixDoor, UnixSocket};
use crate::base::{Account, Budget, Part, Tasks};

/// Where the bridge listens and what it allows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SamConfig {
    /// TCP address of the bridge. Default 127.0.0.1:7656; `None`: only the other ways in.
    pub address: Option<SocketAddr>,
    /// UDP address for datagrams; `None` is the TCP address with the port one lower.
    pub udp: Option<SocketAddr>,
    /// A TLS address as well. Default none.
    pub tls: Option<TlsAddress>,
    /// Certificates (PEM) that servers of `STREAM FORWARD SSL=true` may show: theirs, or of authorities. Empty
    /// (default): any certificate is taken.
    pub forward_certs: Vec<PathBuf>,
    /// A Unix-domain socket as well. Default none.
    #[cfg(unix)]
    pub unix: Option<UnixSocket>,
    /// The file of users and their passwords; `None`: users are forgotten with the bridge. Addresses other than
    /// loopback are refused unless there are users and passwords are asked for.
    pub users: Option<PathBuf>,
    /// Asks for passwords whatever the file says. Default false.
    pub auth: bool,
    /// Bounds.
    pub limits: Limits,
    /// The router's memory, against which the buffers of clients count. Default: never short.
    pub budget: Budget,
}

impl Default for SamConfig {
    fn default() -> Self {
        Self {
            address: Some(SocketAddr::from(([127, 0, 0, 1], 7656))),
            udp: None,
            tls: None,
            forward_certs: Vec::new(),
            #[cfg(unix)]
            unix: None,
            users: None,
            auth: false,
            limits: Limits::default(),
            budget: Budget::default(),
        }
    }
}

impl SamConfig {
    /// A bridge at `address`, everything else by default.
    pub fn at(address: SocketAddr) -> Self {
        Self { address: Some(address), ..Self::default() }
    }
}

/// Bounds of a bridge.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Sockets at once. Default 1024; each costs a few KiB, and a stream its buffers while bytes move.
    pub sockets: usize,
    /// Sockets at once from one address that is not loopback. Default 256.
    pub sockets_per_address: usize,
    /// Sessions at once. Default 100.
    pub sessions: usize,
    /// Sessions at once from one address that is not loopback. Default 32.
    pub sessions_per_address: usize,
    /// Sessions that may be created in a burst; further ones wait for their turn. Default 10.
    pub session_burst: u32,
    /// Time per session created beyond the burst. Default 500 ms.
    pub session_interval: Duration,
    /// Subsessions of one PRIMARY session. Default 64.
    pub subsessions: usize,
    /// How long a session with keys of its own waits, tunnels and all, for its client to come back. Default 0: only its
    /// streams may end in order. A session may ask for another time.
    pub linger: Duration,
    /// Pending accepts of one session. Default 512.
    pub accepts: usize,
    /// Time for `HELLO`. Default 60 s, because people type it.
    pub hello_timeout: Duration,
    /// Time for the first command of a 3.0 or 3.1 client. Default 60 s.
    pub command_timeout: Duration,
    /// Time for a command of any other client without a session. Default 5 min.
    pub idle_timeout: Duration,
    /// Time for the tunnels of a new session. Default 5 min.
    pub session_timeout: Duration,
    /// Time for a name look-up. Default 30 s.
    pub lookup_timeout: Duration,
    /// Time for a peer to answer a connect, unless the client asks for another. Default 60 s.
    pub answer_timeout: Duration,
    /// Time for a connect in all, look-up included. Default 75 s.
    pub connect_timeout: Duration,
    /// Longest line before a good `HELLO`, in bytes. Default 1,024.
    pub line_before_hello: usize,
    /// Longest line afterwards. Default 16,384: a key of the largest signature types takes about 6 KB in base64.
    pub line: usize,
    /// Bytes of a stream that a client may send before the stream is there. Default 64 KiB.
    pub early_bytes: usize,
    /// How long a client may refuse to take an answer. Default 60 s.
    pub write_timeout: Duration,
    /// Largest copy buffer of a direction of a stream. Default 64 KiB.
    pub copy_buffer: usize,
    /// Wrong passwords of one address in a minute that cost no time. Default 5.
    pub password_tries: u32,
    /// Permits `STREAM FORWARD` to any address, not only loopback and the client's own. Default false.
    pub forward_anywhere: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sockets: 1024,
            sockets_per_address: 256,
            sessions: 100,
            sessions_per_address: 32,
            session_burst: 10,
            session_interval: Duration::from_millis(500),
            subsessions: 64,
            linger: Duration::ZERO,
            accepts: 512,
            hello_timeout: Duration::from_secs(60),
            command_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(300),
            session_timeout: Duration::from_secs(300),
            lookup_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(75),
            line_before_hello: LINE_BEFORE_HELLO_MAX,
            line: LINE_MAX,
            early_bytes: 64 * 1024,
            write_timeout: Duration::from_secs(60),
            copy_buffer: 64 * 1024,
            password_tries: 5,
            forward_anywhere: false,
        }
    }
}

crate::metrics! {
    /// What a bridge counts.
    pub struct SamMetrics {
        /// Sockets accepted.
        sockets_accepted: Counter,
        /// Sockets open now.
        sockets_open: Counter,
        /// Sockets refused because all were in use.
        sockets_refused_full: Counter,
        /// Clients of the Unix socket whose user may not use it.
        sockets_refused_user: Counter,
        /// `HELLO`s refused because of user or password.
        logins_refused: Counter,
        /// Sockets closed because the first bytes were not SAM.
        sockets_refused_foreign: Counter,
        /// Failures to accept a socket, such as a lack of file descriptors.
        accept_errors: Counter,
        /// Lines that were refused.
        lines_refused: Counter,
        /// Sessions that were opened.
        sessions_opened: Counter,
        /// Sessions that could not be opened.
        sessions_failed: Counter,
        /// Streams that were connected, accepted or forwarded.
        streams_opened: Counter,
        /// Connects that failed.
        connects_failed: Counter,
        /// Peers that were given to somebody else because their client had gone.
        peers_handed_back: Counter,
        /// Peers reset because the target of a FORWARD did not answer.
        forwards_failed: Counter,
        /// Datagrams of clients taken by UDP.
        udp_taken: Counter,
        /// Dropped: no line that we know in front, or a port out of range.
        udp_dropped_malformed: Counter,
        /// Dropped: no session for datagrams has this ID.
        udp_dropped_session: Counter,
        /// Dropped: not from the address of the session's client.
        udp_dropped_foreign: Counter,
        /// Dropped: neither a destination nor a name that is known.
        udp_dropped_destination: Counter,
        /// Dropped: empty or too large.
        udp_dropped_size: Counter,
        /// Dropped: the session had no room for more.
        udp_dropped_full: Counter,
        /// Datagrams of control sockets that the session could not take.
        datagrams_unsent: Counter,
        /// Dropped: signed datagrams and the like for a session that takes raw ones.
        datagrams_dropped_format: Counter,
        /// Datagrams for clients that their UDP port or control socket did not take.
        datagrams_undelivered: Counter,
    }
}

/// Why a bridge cannot start.
#[derive(Debug)]
#[non_exhaustive]
pub enum SamError {
    /// The address is not loopback and no passwords are asked for.
    Exposed(SocketAddr),
    /// Passwords are asked for and there is no user.
    NoUsers,
    /// The file of users cannot be used.
    Users(UsersError),
    /// An address cannot be bound.
    Bind(SocketAddr, io::Error),
    /// The Unix-domain socket cannot be made.
    Unix(PathBuf, String),
    /// A file of TLS cannot be used.
    Tls(PathBuf, String),
}

impl fmt::Display for SamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exposed(address) => write!(
                f,
                "SAM at {address} would be open to other machines without a password; add a user with \
                 `samovar sam-users add NAME` and start with --sam-auth, or take an address of this machine alone, as 127.0.0.1"
            ),
            Self::NoUsers => f.write_str(
                "SAM asks for passwords and there is no user; add one with `samovar sam-users add NAME`",
            ),
            Self::Users(error) => write!(f, "the users of SAM: {error}"),
            Self::Bind(address, error) => write!(f, "SAM cannot listen at {address}: {error}"),
            Self::Tls(path, problem) => write!(f, "TLS of SAM: {} {problem}", path.display()),
            Self::Unix(path, problem) => write!(f, "the SAM socket {} {problem}", path.display()),
        }
    }
}

impl std::error::Error for SamError {}

/// What all connections of a bridge share.
pub(super) struct Shared {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) registry: Arc<Registry>,
    pub(super) limits: Limits,
    pub(super) budget: Budget,
    pub(super) lookups: LookupCache,
    pub(super) tasks: Tasks,
    pub(super) access: Arc<Access>,
    /// How servers of `FORWARD SSL=true` are called.
    pub(super) forward_tls: TlsConnector,
    pub(super) metrics: SamMetrics,
    /// The datagram port, if it could be bound.
    pub(super) udp: Option<Arc<UdpSocket>>,
    /// Names of hosts that may be resolved at once.
    pub(super) host_lookups: Semaphore,
    pub(super) pace: Pace,
    /// Places for clients that are told why they are refused.
    pub(super) refusals: Arc<Semaphore>,
    /// One address for each client that is connected.
    pub(super) clients: Mutex<Vec<IpAddr>>,
}

impl Shared {
    /// An account for the buffers of one client.
    pub(super) fn account(&self) -> Account {
        self.budget.account(Part::Sam)
    }
}

/// A running bridge. It ends with the tasks it was started on.
#[derive(Clone)]
pub struct SamServer {
    shared: Arc<Shared>,
    address: Option<SocketAddr>,
    tls: Option<SocketAddr>,
    udp: Option<SocketAddr>,
}

impl fmt::Debug for SamServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SamServer({:?})", self.address)
    }
}

impl SamServer {
    /// Binds both ports and starts serving on `tasks`.
    ///
    /// # Errors
    /// [`SamError`] when the address is not allowed or not free.
    pub async fn start(
        config: SamConfig,
        backend: Arc<dyn Backend>,
        tasks: &Tasks,
    ) -> Result<Self, SamError> {
        let access = admission(&config)?;
        let mut doors = Vec::new();
        let (tcp, udp) = listen(&config).await?;
        let address = tcp.as_ref().and_then(|listener| listener.local_addr().ok());
        doors.extend(tcp.map(Door::Tcp));
        let mut tls_address = None;
        if let Some(asked) = &config.tls {
            let acceptor = tls::acceptor(asked)?;
            let failed = |error| SamError::Bind(asked.address, error);
            let listener = TcpListener::bind(asked.address).await.map_err(failed)?;
            tls_address = listener.local_addr().ok();
            doors.push(Door::Tls(listener, acceptor));
        }
        #[cfg(unix)]
        if let Some(socket) = &config.unix {
            doors.push(Door::Unix(UnixDoor::open(socket)?));
        }
        let limits = config.limits;
        let counts = SessionLimits { total: limits.sessions, per_address: limits.sessions_per_address };
        let shared = Arc::new(Shared {
            backend,
            registry: Registry::new(counts),
            pace: Pace::new(limits.session_burst, limits.session_interval),
            limits,
            budget: config.budget,
            lookups: LookupCache::default(),
            tasks: tasks.clone(),
            access: Arc::new(access),
            forward_tls: tls::connector(&config.forward_certs)?,
            metrics: SamMetrics::default(),
            refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
            udp: udp.clone(),
            host_lookups: Semaphore::new(datagram::HOST_LOOKUPS_MAX),
            clients: Mutex::default(),
        });
        let udp_address = udp.as_ref().and_then(|socket| socket.local_addr().ok());
        if let Some(socket) = udp {
            tasks.spawn("sam_udp", datagram::run(socket, shared.clone()));
        }
        for door in doors {
            tasks.spawn("sam_accept", door.serve(shared.clone()));
        }
        Ok(Self { shared, address, tls: tls_address, udp: udp_address })
    }

    /// A program of a simulated machine calls from `address`.
    #[cfg(feature = "sim")]
    pub(crate) fn call(&self, stream: tokio::io::DuplexStream, address: SocketAddr) {
        super::listen::admit_simulated(stream, address, &self.shared);
    }

    /// Where it listens for plain TCP, with the port the system chose for 0.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Where it listens for TLS.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.tls
    }

    /// The UDP port, if it could be bound.
    pub fn udp_address(&self) -> Option<SocketAddr> {
        self.udp
    }

    /// Its counters.
    pub fn metrics(&self) -> &SamMetrics {
        &self.shared.metrics
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Serves a client on a socket that did not come through a door.
    #[cfg(all(unix, any(test, fuzzing)))]
    pub(crate) async fn serve(self, socket: tokio::net::UnixStream) {
        use super::socket::{Origin, Socket};
        super::conn::run(Socket::Unix(socket), Origin::Unix(0), self.shared).await;
    }

    /// Sessions that exist or are being built.
    pub fn sessions(&self) -> usize {
        self.shared.registry.len()
    }
}

/// Who may come in, and whether that is enough for where the bridge listens.
fn admission(config: &SamConfig) -> Result<Access, SamError> {
    let beyond = |address: Option<SocketAddr>| address.filter(|address| !address.ip().is_loopback());
    let plain = beyond(config.address);
    let exposed = plain.or(beyond(config.tls.as_ref().map(|tls| tls.address)));
    let mut access = Access::new(config.users.clone(), config.auth, config.limits.password_tries)
        .map_err(SamError::Users)?;
    match exposed {
        Some(address) if !access.required() || !access.has_users() => return Err(SamError::Exposed(address)),
        // The file may be changed while we run; what made this start permissible stays.
        Some(_) => access.force(),
        None if config.auth && !access.has_users() => return Err(SamError::NoUsers),
        None => {}
    }
    if let Some(address) = plain {
        tracing::warn!(
            %address,
            "SAM is open to other machines, and passwords and private keys cross the network in the clear; --sam-tls \
             encrypts them"
        );
    }
    Ok(access)
}

/// Listens for plain TCP, if that is wanted, and binds the datagram port. When the system chooses, it is
/// asked again until the port below is free as well, because that is where clients look for it.
async fn listen(config: &SamConfig) -> Result<(Option<TcpListener>, Option<Arc<UdpSocket>>), SamError> {
    const TRIES: usize = 16;
    let Some(address) = config.address else { return Ok((None, bind_udp(config, None).await?)) };
    let failed = |error| SamError::Bind(address, error);
    let mut tries = 0;
    loop {
        tries += 1;
        let tcp = TcpListener::bind(address).await.map_err(failed)?;
        let local = tcp.local_addr().map_err(failed)?;
        let udp = bind_udp(config, Some(local)).await?;
        if udp.is_some() || address.port() != 0 || tries == TRIES {
            if udp.is_none() {
                tracing::warn!(address = %local, "the SAM datagram port, one below, is not free");
            }
            return Ok((Some(tcp), udp));
        }
    }
}

/// Binds the datagram port. One that was asked for must be free; the implied one may be missing for now.
async fn bind_udp(config: &SamConfig, tcp: Option<SocketAddr>) -> Result<Option<Arc<UdpSocket>>, SamError> {
    let open = async |address| UdpSocket::bind(address).await.map(roomy);
    if let Some(address) = config.udp {
        return open(address).await.map(Some).map_err(|error| SamError::Bind(address, error));
    }
    let Some(tcp) = tcp else { return Ok(None) };
    let port = tcp.port().saturating_sub(1);
    Ok(open(SocketAddr::new(tcp.ip(), port)).await.ok())
}

/// Asks the system for room for bursts; it gives what it allows.
fn roomy(socket: UdpSocket) -> Arc<UdpSocket> {
    const BUFFER: usize = 4 * 1024 * 1024;
    let options = socket2::SockRef::from(&socket);
    let _ = options.set_recv_buffer_size(BUFFER);
    let _ = options.set_send_buffer_size(BUFFER);
    Arc::new(socket)
}

/// Spreads session creation: a burst at once, then one per interval.
pub(super) struct Pace {
    burst: Duration,
    interval: Duration,
    /// When the next session would be due if there were no burst.
    due: tokio::sync::Mutex<Option<tokio::time::Instant>>,
}

impl Pace {
    fn new(burst: u32, interval: Duration) -> Self {
        Self {
            burst: interval.saturating_mul(burst.saturating_sub(1)),
            interval,
            due: tokio::sync::Mutex::new(None),
        }
    }

    /// Waits for a turn; first come, first served.
    pub(super) async fn turn(&self) {
        let mut due = self.due.lock().await;
        let now = tokio::time::Instant::now();
        let at = due.unwrap_or(now).max(now);
        let wait = at.saturating_duration_since(now).saturating_sub(self.burst);
        tokio::time::sleep(wait).await;
        *due = Some(at + self.interval);
    }
}
