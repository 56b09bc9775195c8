// SPDX-License-Identifier: MIT
//! Floods of real traffic against one router, to see how it bears them. For private networks only; never shipped.
//!
//! ```text
//! cargo run --release --features sim --example samovar-flood -- builds --victim router.info --rate 20000 --seconds 10
//! ```
//! It prepares what it will send, prints `ready`, waits for a line on its input (`--now` waits for none), floods for
//! `--seconds`, and prints one line of JSON. `flood.py` drives it and measures what becomes of honest traffic.
#![allow(clippy::print_stdout, reason = "it speaks to the program that runs it")]
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a tool for tests, not a library"
)]

mod craft;
mod linked;
mod pace;
mod probe;
mod sam;
mod sockets;
mod syn;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use pace::Report;
use samovar::base::Rng;
use std::io::BufRead as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// NTCP2: 64 random bytes in place of message 1.
    Random,
    /// NTCP2: message 1 in order, and nothing after it.
    Valid,
    /// NTCP2: messages 1 that the victim has seen before.
    Replay,
    /// NTCP2: message 1 one byte a second, on `--sockets` sockets at once.
    Slow,
    /// Build requests: half of them well-formed, half garbage.
    Builds,
    /// DatabaseStore of signed RouterInfos of routers that do not exist.
    Infos,
    /// DatabaseLookup of random keys.
    Lookups,
    /// Garlic that nobody can open, to the router itself.
    Garlic,
    /// The same to a destination, through the gateways of its lease set.
    Leases,
    /// New streams from three destinations of a router of our own, each given up at once.
    Syns,
    /// Connections to a SAM bridge that say nothing, or HELLO, or nonsense.
    SamSockets,
    /// SAM sessions.
    SamSessions,
    /// Routers that offer themselves as hops, link, and then do nothing that they are asked for.
    Sybils,
    /// No flood: an honest router links to the victim twice a second and counts the milliseconds.
    Probe,
    /// No flood: uses as much of a core as `--rate` percent, to tell the victim's loss from the machine's.
    Spin,
}

/// Floods one router of a private network.
#[derive(Clone, Debug, Parser)]
pub struct Args {
    pub kind: Kind,
    /// The victim's RouterInfo.
    #[arg(long)]
    pub victim: Option<PathBuf>,
    /// Seconds of flooding.
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// Messages, connections or sessions a second.
    #[arg(long, default_value_t = 1_000)]
    pub rate: u64,
    /// Different things that are made in advance; beyond them old ones are sent again.
    #[arg(long, default_value_t = 20_000)]
    pub prepared: usize,
    /// Routers that we pretend to be.
    #[arg(long, default_value_t = 5)]
    pub attackers: usize,
    /// Capabilities that they state. By default nobody takes them as hops, so that a flood is that flood alone.
    #[arg(long, default_value = "LHU")]
    pub caps: String,
    /// First address of ours; attacker N has N added in its third byte.
    #[arg(long, default_value = "31.200.0.1")]
    pub base: Ipv4Addr,
    /// Addresses that connections come from: this one and as many /24 behind it.
    #[arg(long, default_value_t = 500)]
    pub subnets: u32,
    /// Sockets at once of slow floods.
    #[arg(long, default_value_t = 1_000)]
    pub sockets: usize,
    #[arg(long, default_value_t = 77)]
    pub netid: u8,
    /// Directory of the network's RouterInfos.
    #[arg(long)]
    pub peers: Option<PathBuf>,
    /// The destination to flood, in Base64.
    #[arg(long)]
    pub destination: Option<String>,
    /// The SAM bridge to flood.
    #[arg(long)]
    pub sam: Option<SocketAddr>,
    /// Begin at once.
    #[arg(long)]
    pub now: bool,
}

impl Args {
    pub fn victim(&self) -> Result<craft::Victim> {
        craft::Victim::load(self.victim.as_deref().unwrap_or_else(|| "router.info".as_ref()))
    }

    /// Address of attacker number `n`.
    pub fn attacker(&self, n: usize) -> SocketAddr {
        let [a, b, c, d] = self.base.octets();
        let n = u8::try_from(n % 200).unwrap_or(0);
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c.wrapping_add(n), d)), 17_990)
    }

    /// An address that a connection may come from.
    pub fn source(&self, rng: &mut Rng) -> IpAddr {
        let [a, b, ..] = self.base.octets();
        let n = rng.below(u64::from(self.subnets.max(1)));
        let (high, low) = (u8::try_from(n >> 8).unwrap_or(0), n.to_le_bytes()[0]);
        let host = u8::try_from(rng.between(1, 254)).unwrap_or(1);
        IpAddr::V4(Ipv4Addr::new(a, b.wrapping_add(1).wrapping_add(high), low, host))
    }

    /// Says that everything is prepared, and waits for the word to begin.
    pub fn ready(&self) -> Result<()> {
        println!("ready");
        if !self.now {
            std::io::stdin().lock().read_line(&mut String::new())?;
        }
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    if std::env::var_os("FLOOD_LOG").is_some() {
        tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_writer(std::io::stderr).init();
    }
    let report = Box::pin(run(&args)).await?;
    println!("{}", report.json());
    Ok(())
}

async fn run(args: &Args) -> Result<Report> {
    match args.kind {
        Kind::Random | Kind::Valid | Kind::Replay => sockets::messages(args).await,
        Kind::Slow => sockets::slow(args).await,
        Kind::Builds | Kind::Infos | Kind::Lookups | Kind::Garlic | Kind::Sybils => linked::flood(args).await,
        Kind::Leases => linked::leases(args).await,
        Kind::Syns => syn::flood(args).await,
        Kind::SamSockets => sam::sockets(args).await,
        Kind::SamSessions => sam::sessions(args).await,
        Kind::Probe => probe::run(args).await,
        Kind::Spin => {
            args.ready()?;
            let mut pace = pace::Pace::new(100, args.seconds);
            while let Some(due) = pace.due().await {
                let until = std::time::Duration::from_micros(100 * due * args.rate.min(100));
                let begun = tokio::time::Instant::now();
                while begun.elapsed() < until {
                    std::hint::spin_loop();
                }
            }
            Ok(Report::default())
        }
    }
}
