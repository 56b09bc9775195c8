// SPDX-License-Identifier: MIT
//! What can be typed. The help texts are the manual.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

use super::access::AccessArgs;
use super::names::NamesArgs;
use super::settings::{Settings, Switch};
use super::users::UsersArgs;

const AFTER: &str = "\
Programs talk to the router through SAM (https://geti2p.net/en/docs/api/samv3) at 127.0.0.1:7656.

Begin with `samovar demo`: it runs a small private network and sends a file through it.
Then `samovar devnet` leaves such a network running for your own programs, and `samovar run`
joins the live network. Type HELP at `telnet 127.0.0.1 7656` to try SAM by hand.

Samovar is young: do not stake anything on its anonymity yet.";

/// An I2P router: anonymous, encrypted streams between programs, through routers of volunteers.
#[derive(Debug, Parser)]
#[command(name = "samovar", version, after_help = AFTER, max_term_width = 100)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a router with a SAM bridge until it is stopped.
    Run(Box<RunArgs>),
    /// Print a configuration file with every setting, its default and its meaning.
    Config,
    /// Run a private network of several routers in this process, for trying and testing.
    Devnet(DevnetArgs),
    /// Send a file through a private network and show what happens; takes less than a minute.
    Demo(DemoArgs),
    /// Show and change the address book: host names and what they stand for.
    Names(NamesArgs),
    /// Say who may use the SAM bridge: users and passwords.
    SamUsers(UsersArgs),
    /// Print versions.
    Version,
}

const RUN_AFTER: &str = "\
Examples:
  samovar run                                     join the live network; SAM at 127.0.0.1:7656
  samovar run --host 203.0.113.5 --port 24680     the same, and let other routers call us there
  samovar run --config /etc/samovar.toml          settings from a file (see `samovar config`)
  samovar run --bootstrap i2pseeds.su3            first peers from a file, without asking the web
  samovar run --netid 77 --test-network --host 127.0.0.1 --bootstrap peers/ --data-dir one
                                                  a router of a private network on this machine

Without --host nobody can call this router; it calls others, which is enough for clients and services.
Ctrl-C or SIGTERM stops it in order within 10 seconds; a second one at once.
A problem with a setting, a file or a port ends it with exit code 2 and one line that says what to do.";

#[derive(Debug, ClapArgs)]
#[command(after_help = RUN_AFTER)]
pub(super) struct RunArgs {
    /// Settings from a TOML file; flags win over it. `samovar config` prints one to start from.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Where keys, known routers and profiles are kept, for this router alone.
    ///
    /// Default: $XDG_DATA_HOME/samovar, or ~/.local/share/samovar. Made if it is not there. The file router.info in
    /// it is this router's public description, which other routers take as --bootstrap.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Address of the SAM bridge, or `none` [default: 127.0.0.1:7656].
    ///
    /// Whoever reaches it may use the router, so keep it on this machine. Port 0 lets the system choose.
    #[arg(long, value_name = "ADDR:PORT")]
    sam: Option<Switch<SocketAddr>>,

    /// Where SAM datagrams are taken in [default: one port below --sam].
    #[arg(long, value_name = "ADDR:PORT")]
    sam_udp: Option<SocketAddr>,

    /// Keep the tunnels of a SAM session for so many seconds after its client has gone [default: 0].
    ///
    /// A client that comes back meanwhile with the same keys and options has its session at once. At most 3600. A
    /// session may choose for itself with the option samovar.linger=SECONDS.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=3600))]
    sam_linger: Option<u32>,

    /// Our public address, so that other routers can call us. Repeat it for a second family (IPv4 and IPv6).
    #[arg(long, value_name = "IP")]
    host: Vec<IpAddr>,

    /// TCP port for other routers [default: chosen at the first start and remembered].
    #[arg(long, value_name = "N")]
    port: Option<u16>,

    /// Network to be in: 2 is the live network, private ones take 16 to 254 [default: 2].
    #[arg(long, value_name = "N")]
    netid: Option<u8>,

    /// Serve the network database for others. For routers that run for long and can be called.
    #[arg(long)]
    floodfill: bool,

    /// First peers from files: a directory of RouterInfos, one RouterInfo, a zip or an SU3 bundle. Repeatable.
    #[arg(long, value_name = "DIR|FILE")]
    bootstrap: Vec<PathBuf>,

    /// Relax what a network on one machine needs: private addresses, few routers, old versions. Not with netid 2.
    #[arg(long)]
    test_network: bool,

    /// Never ask reseed hosts for first peers.
    #[arg(long)]
    no_reseed: bool,

    /// Reseed host to ask instead of the public ones: https://host/ or an .su3 file there. Repeatable.
    #[arg(long, value_name = "URL")]
    reseed_url: Vec<String>,

    /// Certificate (PEM) to trust besides the bundled ones: of a signer of bundles, or of a reseed host. Repeatable.
    #[arg(long, value_name = "FILE")]
    reseed_cert: Vec<PathBuf>,

    /// Hosts file to read names from, besides hosts.txt in the data directory, which wins. Repeatable.
    #[arg(long, value_name = "FILE")]
    hosts: Vec<PathBuf>,

    /// Feed of host names to fetch over I2P, as http://host.i2p/hosts.txt, in place of the default one. Repeatable.
    #[arg(long, value_name = "URL")]
    subscribe: Vec<String>,

    /// Fetch no feeds of host names [default: one in the live network, every 12 hours].
    #[arg(long, conflicts_with = "subscribe")]
    no_subscriptions: bool,

    /// Threads to run on [default: 1, which is enough for tens of MB/s].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,

    /// Memory in MiB for links, tunnels, tables, streams and clients together [default: 256, at least 64].
    #[arg(long, value_name = "MIB")]
    memory_max: Option<u32>,

    /// Let the system write core dumps and debuggers look in. For hunting bugs: a core file holds the private keys.
    #[arg(long)]
    pub(super) core_dumps: bool,

    /// What to log: error, warn, info, debug, trace, or a filter like `info,samovar::transport=debug`.
    ///
    /// Wins over RUST_LOG, which wins over the configuration file [default: info]. Logs go to stderr.
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,

    #[command(flatten)]
    access: AccessArgs,
}

impl RunArgs {
    /// What `--log` says.
    pub(super) fn log_flag(&self) -> Option<String> {
        self.log.clone()
    }

    /// The flags as settings.
    pub(super) fn settings(self) -> Settings {
        let some = |flag: bool| flag.then_some(true);
        let mut settings = Settings {
            data_dir: self.data_dir,
            sam: self.sam,
            sam_udp: self.sam_udp,
            sam_linger: self.sam_linger,
            host: filled(self.host),
            port: self.port,
            netid: self.netid,
            floodfill: some(self.floodfill),
            bootstrap: filled(self.bootstrap),
            test_network: some(self.test_network),
            reseed: self.no_reseed.then_some(false),
            reseed_urls: filled(self.reseed_url),
            reseed_certs: filled(self.reseed_cert),
            hosts: filled(self.hosts),
            subscriptions: if self.no_subscriptions { Some(Vec::new()) } else { filled(self.subscribe) },
            threads: self.threads,
            memory_max: self.memory_max,
            log: self.log,
            ..Settings::default()
        };
        self.access.fill(&mut settings);
        settings
    }
}

fn filled<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

const DEVNET_AFTER: &str = "\
The routers call each other on 127.0.0.1, in a network of their own; nothing leaves this machine, and no rights
beyond those of a user are needed. Everything is in memory and gone when it stops.

Open a session at one bridge and connect to it from the other:
  telnet 127.0.0.1 7656
  HELLO VERSION
  SESSION CREATE STYLE=STREAM ID=me DESTINATION=TRANSIENT inbound.length=2 outbound.length=2";

#[derive(Debug, ClapArgs)]
#[command(after_help = DEVNET_AFTER)]
pub(super) struct DevnetArgs {
    /// How many routers; at least 2. Tunnels of N hops need N + 1.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(2..=100))]
    pub(super) routers: u16,

    /// SAM bridge of one of the routers; each --sam opens that of another [default: 127.0.0.1:7656 and :7666].
    #[arg(long, value_name = "ADDR:PORT")]
    pub(super) sam: Vec<SocketAddr>,

    /// Hops of the routers' own tunnels. Sessions choose theirs: inbound.length and outbound.length in SAM.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=7))]
    pub(super) hops: u8,

    /// Hosts file to read names from, in all routers. Repeatable.
    #[arg(long, value_name = "FILE")]
    pub(super) hosts: Vec<PathBuf>,

    /// Threads to run on.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) threads: usize,

    /// What to log, as in `samovar run` [default: warn].
    #[arg(long, value_name = "FILTER")]
    pub(super) log: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct DemoArgs {
    /// How much to send, in MiB.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(super) mib: u32,

    /// Hops of the tunnels of both ends.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=7))]
    pub(super) hops: u8,

    /// How many routers the private network has.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(2..=100))]
    pub(super) routers: u16,

    /// Threads to run on.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) threads: usize,

    /// What to log, as in `samovar run` [default: warn].
    #[arg(long, value_name = "FILTER")]
    pub(super) log: Option<String>,
}
