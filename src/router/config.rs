// SPDX-License-Identifier: MIT
//! What a router is told at its start.
//!
//! Plain values with defaults for the live network; [`RouterConfig::validate`] finds what cannot work before
//! anything is opened or written. The command line and the configuration file fill the same struct.

mod access;
mod bounds;
mod limits;

pub use access::SamAccess;
pub use bounds::{
    Bound, Bounds, GarlicBounds, LinkBounds, NetDbBounds, SamBounds, StreamBounds, TunnelBounds, Unit,
};
pub use limits::NetworkLimits;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::destination;
use crate::garlic::Strangers;
use crate::names::FeedUrl;
use crate::tunnel::PoolConfig;
use crate::tunnel::types::HOPS_MAX;
use crate::wire::RouterVersion;

/// Number of the live network.
pub const LIVE_NET_ID: u8 = 2;

/// Where the SAM bridge listens unless told otherwise.
pub const SAM_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7656);

/// Oldest routers that we use in the live network.
const MIN_VERSION: RouterVersion = RouterVersion(0, 9, 59);

/// The feed that the command subscribes to in the live network: the registry `reg.i2p`, by its address.
pub const SUBSCRIPTION_DEFAULT: &str =
    "http://shx5vqsw7usdaunyzr2qmes2fq37oumybpudrd4jjj4e4vk4uusa.b32.i2p/hosts.txt";

/// Least memory in MiB to run on.
const MEMORY_LEAST: u32 = 64;

/// Most transit tunnels that can be asked for.
const TRANSIT_MOST: usize = 100_000;
/// Bytes a second that a transit tunnel is thought to use, and bytes of memory that it takes.
const TRANSIT_RATE: usize = 2_000;
const TRANSIT_BYTES: usize = 2_048;
/// Fewest and most transit tunnels of a router that was not told how many.
const TRANSIT_USUAL: (usize, usize) = (500, 10_000);

/// Most subscriptions.
const SUBSCRIPTIONS_MAX: usize = 16;

/// Most host addresses that a router publishes.
const HOSTS_MAX: usize = 4;

/// How a router gets its first peers when it knows too few.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReseedConfig {
    /// Whether reseed hosts may be asked at all. Default true; never in a network other than the live one unless
    /// `urls` names its own hosts.
    pub enabled: bool,
    /// Hosts to ask, as `https://host/` or the whole address of an `.su3` file. Empty (default): the bundled list.
    pub urls: Vec<String>,
    /// Further certificates to trust (PEM): for the signature of the bundle, and for the host's TLS.
    pub certs: Vec<PathBuf>,
    /// Fewer known routers than this start a reseed. Default 25.
    pub threshold: usize,
}

impl Default for ReseedConfig {
    fn default() -> Self {
        Self { enabled: true, urls: Vec::new(), certs: Vec::new(), threshold: 25 }
    }
}

/// Where host names come from besides the user's own and hosts files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionConfig {
    /// Feeds of names on I2P sites, as `http://host.i2p/path`; at most 16. Empty (default): none. A host name must be
    /// in the address book; a `.b32.i2p` address needs no book.
    pub urls: Vec<String>,
    /// Time between two questions to one of them. Default 12 h.
    pub interval: Duration,
    /// Least time between the first tunnels and the first question. Default 2 min.
    pub delay: Duration,
}

impl Default for SubscriptionConfig {
    fn default() -> Self {
        Self { urls: Vec::new(), interval: Duration::from_secs(12 * 3600), delay: Duration::from_secs(120) }
    }
}

/// Everything that can be set about a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterConfig {
    /// Directory of keys, known routers and profiles. `None` (default): all in memory, a new identity at each start.
    pub data_dir: Option<PathBuf>,
    /// Where the SAM bridge listens; `None`: no bridge. Default 127.0.0.1:7656. Port 0 lets the system choose.
    pub sam: Option<SocketAddr>,
    /// Where SAM datagrams are taken in. `None` (default): one port below `sam`; see [`Self::sam_udp_addr`].
    pub sam_udp: Option<SocketAddr>,
    /// How long a SAM session with keys of its own waits, tunnels and all, for its client to come back; at most an hour.
    /// Default 0: not at all.
    pub sam_linger: Duration,
    /// Keeps a session ready for SAM clients without keys, so that they need not wait for tunnels. Default true.
    pub sam_spare: bool,
    /// Most clients of the bridge at once, 1 to 65,536. Default 1,024; each is a socket and a few KiB.
    pub sam_clients_max: usize,
    /// Most SAM sessions at once, 1 to 250. Default 100; each has tunnels of its own.
    pub sam_sessions_max: usize,
    /// Ways to the bridge besides plain TCP, and who may use it.
    pub sam_access: SamAccess,
    /// Our addresses as other routers shall call them, at most one of each family being the rule. Empty (default):
    /// we cannot be called, and only call others.
    pub host: Vec<IpAddr>,
    /// TCP port for other routers. 0 (default): chosen at the first start and remembered in `data_dir`.
    pub port: u16,
    /// Local addresses to listen at. Empty (default): derived from `host`; see [`Self::listen_addrs`].
    pub bind: Vec<IpAddr>,
    /// Network to be in. Default 2, the live network; private ones take 16 to 254.
    pub net_id: u8,
    /// Serve the netDb for others. Default false; needs a stable, callable router.
    pub floodfill: bool,
    /// First peers from files: directories, `router.info`/`*.dat` files, zip or SU3 files.
    pub bootstrap: Vec<PathBuf>,
    /// Relaxes what a network on one machine needs: reserved addresses, same /16, minimum versions, few routers.
    /// Default false; refused in the live network.
    pub test_network: bool,
    /// First peers from the web.
    pub reseed: ReseedConfig,
    /// Bandwidth class that we publish: `L`, `M`, `N`, `O`, `P` or `X`. Default `X`.
    pub bandwidth: char,
    /// Whether we carry tunnels of others. Default true: it is what the network lives on, and cover for our own.
    pub transit: bool,
    /// Most tunnels that we carry for others at once, about 2 KB each; at most 100,000. `None` (default): as many as the
    /// bandwidth is good for, see [`Self::transit_tunnels`].
    pub transit_tunnels_max: Option<usize>,
    /// How much others may make us do and hold.
    pub limits: NetworkLimits,
    /// Smaller bounds of all rooms, which can only be lowered. They are many, so they have a place of their own.
    pub bounds: Box<Bounds>,
    /// The router's own tunnels. `None` (default): 2 hops and 3 tunnels each way, in test networks 1 hop and 2
    /// tunnels; see [`Self::exploratory_pool`].
    pub exploratory: Option<PoolConfig>,
    /// Oldest router that may be a hop of our tunnels; see [`Self::min_hop_version`]. Default 0.9.59.
    pub min_version: RouterVersion,
    /// Oldest router that may be a floodfill for us; see [`Self::min_floodfill_version`]. Default 0.9.59.
    pub min_floodfill: RouterVersion,
    /// Hosts files to read host names from, besides the user's own `hosts.txt` in `data_dir`, which wins over them.
    pub hosts: Vec<PathBuf>,
    /// Feeds of host names. Default none; the command has one in the live network.
    pub subscriptions: SubscriptionConfig,
    /// Memory in MiB that links, tunnels, tables, streams and clients may hold together, at least 64. Short of it, work for
    /// others is given up first, and own streams slow down. Code and the system's buffers come in addition. Default 256.
    pub memory_max: u32,
    /// How many files and sockets the process may have open: the router shares them out between links and SAM, see
    /// [`Self::socket_shares`]. `None` (default): no such limit; the command finds it out.
    pub open_files: Option<usize>,
    /// Threads of the runtime that the command makes; a library user's router runs on its caller's runtime. Default 1.
    pub threads: usize,
    /// What the command logs, as a `tracing` filter. Default `info`.
    pub log: String,
}

impl Default for RouterConfig {
    fn default() -> Self {
        Self {
            data_dir: None,
            sam: Some(SAM_DEFAULT),
            sam_udp: None,
            sam_linger: Duration::ZERO,
            sam_spare: true,
            sam_clients_max: 1024,
            sam_sessions_max: 100,
            sam_access: SamAccess::default(),
            host: Vec::new(),
            port: 0,
            bind: Vec::new(),
            net_id: LIVE_NET_ID,
            floodfill: false,
            bootstrap: Vec::new(),
            test_network: false,
            reseed: ReseedConfig::default(),
            bandwidth: 'X',
            transit: true,
            transit_tunnels_max: None,
            limits: NetworkLimits::default(),
            bounds: Box::default(),
            exploratory: None,
            min_version: MIN_VERSION,
            min_floodfill: MIN_VERSION,
            hosts: Vec::new(),
            subscriptions: SubscriptionConfig::default(),
            memory_max: 256,
            open_files: None,
            threads: 1,
            log: "info".into(),
        }
    }
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Name of the setting, as in the configuration file.
    pub key: &'static str,
    /// What is wrong and what to do, in one line.
    pub problem: String,
}

impl ConfigError {
    /// A problem with `key`. Line ends and other control characters, which a cited value may hold, become escapes.
    pub fn new(key: &'static str, problem: impl Into<String>) -> Self {
        let mut line = String::new();
        for c in problem.into().chars() {
            if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
        }
        Self { key, problem: line }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.problem)
    }
}

impl std::error::Error for ConfigError {}

impl RouterConfig {
    /// Checks everything that can be checked without opening anything.
    ///
    /// # Errors
    /// The first setting that cannot work, with what to do about it.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.validate_network()?;
        self.validate_addresses()?;
        self.validate_tunnels()?;
        self.sam_access.validate()?;
        self.limits.validate()?;
        self.bounds.validate()?;
        if self.threads == 0 || self.threads > 64 {
            return Err(ConfigError::new("threads", format!("{} is not between 1 and 64", self.threads)));
        }
        if self.memory_max < MEMORY_LEAST {
            let problem = format!("{} MiB is too little to run on; at least {MEMORY_LEAST}", self.memory_max);
            return Err(ConfigError::new("memory-max", problem));
        }
        if let Some(url) = self.reseed.urls.iter().find(|u| !u.starts_with("https://")) {
            return Err(ConfigError::new("reseed-urls", format!("{url} does not start with https://")));
        }
        self.validate_subscriptions()
    }

    fn validate_subscriptions(&self) -> Result<(), ConfigError> {
        let urls = &self.subscriptions.urls;
        if urls.len() > SUBSCRIPTIONS_MAX {
            let problem = format!("{} are more than {SUBSCRIPTIONS_MAX}", urls.len());
            return Err(ConfigError::new("subscriptions", problem));
        }
        for url in urls {
            FeedUrl::parse(url).map_err(|e| ConfigError::new("subscriptions", format!("{url}: {e}")))?;
        }
        Ok(())
    }

    fn validate_network(&self) -> Result<(), ConfigError> {
        let live = self.net_id == LIVE_NET_ID;
        if self.test_network && live {
            return Err(ConfigError::new(
                "test-network",
                "refused in the live network (netid 2); choose a private netid from 16 to 254",
            ));
        }
        if !live && !(16..=254).contains(&self.net_id) {
            let problem =
                format!("{} is neither 2 (the live network) nor from 16 to 254 (private)", self.net_id);
            return Err(ConfigError::new("netid", problem));
        }
        Ok(())
    }

    fn validate_addresses(&self) -> Result<(), ConfigError> {
        if self.host.len() > HOSTS_MAX {
            return Err(ConfigError::new("host", format!("at most {HOSTS_MAX} addresses can be published")));
        }
        for ip in &self.host {
            if ip.is_unspecified() || ip.is_multicast() {
                return Err(ConfigError::new("host", format!("{ip} is not an address that others can call")));
            }
            if !self.test_network && !is_public(*ip) {
                let problem = format!(
                    "{ip} cannot be reached from the internet; give your public address, or leave host out \
                     (test-network allows private addresses in networks of your own)"
                );
                return Err(ConfigError::new("host", problem));
            }
        }
        if let (Some(tcp), Some(udp)) = (self.sam, self.sam_udp)
            && tcp.ip() != udp.ip()
            && (tcp.ip().is_ipv4() != udp.ip().is_ipv4())
        {
            return Err(ConfigError::new(
                "sam-udp",
                format!("{udp} is not of the same address family as sam {tcp}"),
            ));
        }
        if self.sam_linger > Duration::from_secs(3600) {
            return Err(ConfigError::new("sam-linger", "at most 3600 seconds"));
        }
        if !(1..=65_536).contains(&self.sam_clients_max) {
            return Err(ConfigError::new("sam-clients-max", "from 1 to 65536; 1024 is usual"));
        }
        if !(1..=250).contains(&self.sam_sessions_max) {
            return Err(ConfigError::new("sam-sessions-max", "from 1 to 250; 100 is usual"));
        }
        let bridge = self.sam.is_some() || self.sam_access.tls.is_some() || self.sam_access.unix.is_some();
        if !bridge && self.sam_udp.is_some() {
            return Err(ConfigError::new("sam-udp", "needs sam, or SAM over TLS or a Unix socket"));
        }
        Ok(())
    }

    fn validate_tunnels(&self) -> Result<(), ConfigError> {
        if !"LMNOPX".contains(self.bandwidth) {
            return Err(ConfigError::new(
                "bandwidth",
                format!("{} is not one of L, M, N, O, P, X", self.bandwidth),
            ));
        }
        if self.transit_tunnels_max.is_some_and(|max| max > TRANSIT_MOST) {
            let problem = format!("at most {TRANSIT_MOST}; without it the bandwidth decides");
            return Err(ConfigError::new("transit-tunnels-max", problem));
        }
        let pool = self.exploratory_pool();
        for side in [pool.inbound, pool.outbound] {
            if usize::from(side.length) > HOPS_MAX {
                return Err(ConfigError::new(
                    "exploratory-hops",
                    format!("{} is more than {HOPS_MAX}", side.length),
                ));
            }
            if side.quantity == 0 || side.quantity > 16 {
                let problem = format!("{} is not between 1 and 16", side.quantity);
                return Err(ConfigError::new("exploratory-tunnels", problem));
            }
        }
        Ok(())
    }

    /// The router's own pool.
    pub fn exploratory_pool(&self) -> PoolConfig {
        let usual = if self.test_network { PoolConfig::symmetric(1, 2) } else { PoolConfig::EXPLORATORY };
        self.exploratory.unwrap_or(usual)
    }

    /// Most tunnels that we carry for others at once (T5): what was set, or one for each 2 KB/s that they may use, at
    /// least 500 and at most 10,000, and no more than an eighth of the memory holds. None if there is to be no transit.
    pub fn transit_tunnels(&self) -> usize {
        if !self.transit {
            return 0;
        }
        self.transit_tunnels_max.unwrap_or_else(|| {
            let rate = self.limits.transit_rate().map_or(usize::MAX, |rate| rate as usize);
            let held = (self.memory_max as usize).saturating_mul(1 << 20) / 8 / TRANSIT_BYTES;
            (rate / TRANSIT_RATE).clamp(TRANSIT_USUAL.0, TRANSIT_USUAL.1).min(held)
        })
    }

    /// Oldest router that may be a hop.
    pub const fn min_hop_version(&self) -> RouterVersion {
        if self.test_network { RouterVersion(0, 0, 0) } else { self.min_version }
    }

    /// Oldest router that may be a floodfill for us.
    pub const fn min_floodfill_version(&self) -> RouterVersion {
        if self.test_network { RouterVersion(0, 0, 0) } else { self.min_floodfill }
    }

    /// Where SAM datagrams are taken in: `sam_udp`, or one port below `sam` (any port when that one is chosen by the
    /// system).
    pub fn sam_udp_addr(&self) -> Option<SocketAddr> {
        let sam = self.sam?;
        Some(self.sam_udp.unwrap_or_else(|| SocketAddr::new(sam.ip(), sam.port().saturating_sub(1))))
    }

    /// Where to listen for other routers with `port` (as configured or remembered).
    ///
    /// Nowhere without a published `host`, as nobody could call. On test networks at `host` itself, so that many
    /// routers share a machine; else at all addresses of the family, as the published one may be a NAT's.
    pub fn listen_addrs(&self, port: u16) -> Vec<SocketAddr> {
        let ips: Vec<IpAddr> = if !self.bind.is_empty() {
            self.bind.clone()
        } else if self.test_network {
            self.host.clone()
        } else {
            self.host.iter().map(|ip| unspecified(ip.is_ipv4())).collect()
        };
        let mut addrs: Vec<SocketAddr> = Vec::with_capacity(ips.len());
        for ip in ips {
            let addr = SocketAddr::new(ip, port);
            if !addrs.contains(&addr) {
                addrs.push(addr);
            }
        }
        addrs
    }

    /// Local address for calls to a peer of this family: our own on test networks, else the system's choice.
    pub fn outgoing_from(&self, ipv4: bool) -> Option<IpAddr> {
        let chosen = if self.test_network { &self.host } else { &self.bind };
        chosen.iter().copied().find(|ip| ip.is_ipv4() == ipv4 && !ip.is_unspecified())
    }

    /// Most links and most SAM sockets that [`Self::open_files`] leaves room for. 64 are kept back, half of them for
    /// files, listeners and what is being accepted, half as a dowry for SAM, so that it works when there are very few;
    /// of the others links get four fifths. Limit K5.
    pub fn socket_shares(&self) -> Option<(usize, usize)> {
        const KEPT: usize = 64;
        let free = self.open_files?.saturating_sub(KEPT);
        let links = free * 4 / 5;
        Some((links.max(8), free - links + KEPT / 2))
    }

    /// What all destinations may spend on New Sessions of strangers.
    pub(crate) fn strangers(&self) -> Strangers {
        Strangers::with_pace(self.limits.garlic_per_second, self.bounds.garlic.pace)
    }

    /// What bounds each destination.
    pub(crate) fn destination_limits(&self) -> destination::Limits {
        self.bounds.destination(self.limits.garlic_per_second)
    }

    /// Whether this is the live network.
    pub const fn is_live(&self) -> bool {
        self.net_id == LIVE_NET_ID
    }

    /// Whether reseed hosts may be asked: the bundled ones serve the live network alone.
    pub const fn may_reseed(&self) -> bool {
        self.reseed.enabled && (self.is_live() || !self.reseed.urls.is_empty())
    }
}

const fn unspecified(ipv4: bool) -> IpAddr {
    if ipv4 { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) }
}

/// Whether an address can be reached from anywhere: none of the reserved ranges.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => {
            let s = ip.segments();
            // Global unicast is 2000::/3; without documentation (2001:db8::/32), Teredo (2001::/32) and 6to4.
            let [first, second, ..] = s;
            (0x2000..0x4000).contains(&first)
                && first != 0x2002
                && !(first == 0x2001 && matches!(second, 0 | 0xdb8))
        }
    }
}

const fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    let shared = a == 100 && b & 0xc0 == 64;
    let benchmark = a == 198 && b & 0xfe == 18;
    let reserved = a == 0 || a >= 224 || (a == 192 && b == 0 && ip.octets()[2] == 0);
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || shared
        || benchmark
        || reserved)
}

#[cfg(test)]
mod tests;
