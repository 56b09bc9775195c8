// SPDX-License-Identifier: MIT
//! `samovar demo`: a private network, two programs, a file between them, told in words.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use samovar::base::Clock;
use samovar::destination::SessionStatus;
use samovar::router::Router;
use samovar::router::devnet::{Devnet, DevnetConfig};
use samovar::wire::Destination;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::args::DemoArgs;
use super::devnet::introduce;
use super::sam_client::{SamSocket, value};
use super::signals::Signals;
use super::{Failure, logging, print, system};

/// The whole demonstration gives up after this, and so much for each further MiB.
const DEADLINE: (Duration, Duration) = (Duration::from_secs(180), Duration::from_secs(2));
const READY: Duration = Duration::from_secs(60);
const BLOCK: usize = 64 << 10;

/// Runs the demonstration.
pub(super) fn main(args: &DemoArgs) -> Result<(), Failure> {
    logging::start(args.log.as_deref(), "warn")?;
    if args.routers <= u16::from(args.hops) {
        let (hops, needed) = (args.hops, args.hops + 1);
        return Err(Failure::User(format!(
            "--routers: tunnels of {hops} hops need at least {needed} routers"
        )));
    }
    system::raise_file_limit();
    system::runtime(args.threads)?.block_on(run(args))
}

async fn run(args: &DemoArgs) -> Result<(), Failure> {
    let mut signals = Signals::new().context("signals cannot be taken over")?;
    let limit = DEADLINE.0 + DEADLINE.1 * args.mib;
    tokio::select! { biased;
        name = signals.next() => Err(anyhow!("{name}: stopped before the end").into()),
        done = tokio::time::timeout(limit, Box::pin(show(args))) => match done {
            Ok(result) => result,
            Err(_) => Err(anyhow!("not done after {} s; `--log info` says more", limit.as_secs()).into()),
        },
    }
}

async fn show(args: &DemoArgs) -> Result<(), Failure> {
    let clock = Clock::system();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let config =
        DevnetConfig { routers: args.routers.into(), sam: vec![any, any], ..DevnetConfig::default() };
    let net = Devnet::start(config).await?;
    print(&introduce(&net))?;
    net.ready(READY).await.context("the routers found no tunnels")?;
    print(&format!("They know each other and have built their first tunnels ({}).\n\n", since(&clock)))?;

    let [Some(receiver), Some(sender)] = [net.routers().first(), net.routers().get(1)] else {
        return Err(anyhow!("a network of fewer than two routers").into());
    };
    print(&format!(
        "Two programs speak SAM: one to router 1 to receive, one to router 2 to send.\n\
         Each asks its router for an address and tunnels of {} hops.\n",
        args.hops
    ))?;
    let started = clock.now().mono;
    let (inbox, outbox) = tokio::try_join!(
        open_session(receiver, "receiver", args.hops),
        open_session(sender, "sender", args.hops)
    )?;
    let took = clock.now().mono.since(started);
    print(&format!("  receiver  {}\n  sender    {}\n", inbox.address, outbox.address))?;
    print(&format!("  (both ready after {:.1} s)\n\n", took.as_secs_f64()))?;
    print(&tunnels(&net).await)?;
    let transfer = transfer(args, &inbox, &outbox, &clock).await?;
    print(&transfer.report())?;
    if !transfer.arrived_whole() {
        return Err(anyhow!("the bytes that arrived are not the bytes that were sent").into());
    }
    drop((inbox.control, outbox.control));
    net.shutdown().await;
    print(&format!("Done after {}. Next: `samovar devnet` for your own programs.\n", since(&clock)))
}

fn since(clock: &Clock) -> String {
    format!("{:.1} s", Duration::from_micros(clock.now().mono.0).as_secs_f64())
}

/// A session and the connection that keeps it open.
struct OpenSession {
    sam: SocketAddr,
    id: &'static str,
    control: SamSocket,
    destination: String,
    address: String,
}

async fn open_session(router: &Router, id: &'static str, hops: u8) -> anyhow::Result<OpenSession> {
    let sam = router.sam_addr().context("the router has no SAM bridge")?;
    let mut control = SamSocket::open(sam).await?;
    let create = format!(
        "SESSION CREATE STYLE=STREAM ID={id} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 \
         inbound.length={hops} outbound.length={hops}"
    );
    control.ask(&create).await?;
    let answer = control.ask("NAMING LOOKUP NAME=ME").await?;
    let destination = value(&answer, "VALUE").context("no destination in the answer")?.to_owned();
    let address =
        Destination::from_base64(&destination).map_err(|_| anyhow!("an unreadable destination"))?.b32();
    Ok(OpenSession { sam, id, control, destination, address })
}

/// Every tunnel of both sessions, hop by hop.
async fn tunnels(net: &Devnet) -> String {
    let mut text = String::from("Their tunnels, which nobody but their owner knows as a whole:\n");
    for (router, role) in net.routers().iter().zip(["receiver", "sender"]) {
        for session in router.sessions().iter().filter(|s| s.nickname() == role) {
            let Ok(status) = session.status().await else { continue };
            describe(&mut text, net, &status, role);
        }
    }
    text.push('\n');
    text
}

fn describe(text: &mut String, net: &Devnet, status: &SessionStatus, role: &str) {
    let way = |hops: &[String]| hops.iter().map(|h| number(net, h)).collect::<Vec<_>>();
    for (hops, _) in &status.outbound {
        let mut stations = vec![role.to_owned()];
        stations.extend(way(hops));
        let _ = writeln!(text, "  out  {} -> (the net)", stations.join(" -> "));
    }
    for (hops, _) in &status.inbound {
        let mut stations = way(hops);
        stations.push(role.to_owned());
        let _ = writeln!(text, "  in   (the net) -> {}", stations.join(" -> "));
    }
}

/// The number that the table gave a router.
fn number(net: &Devnet, short: &str) -> String {
    let at = net.routers().iter().position(|r| r.hash().to_string() == short);
    at.map_or_else(|| short.to_owned(), |i| format!("router {}", i + 1))
}

/// What came of the transfer.
struct Transfer {
    bytes: u64,
    took: Duration,
    sent: String,
    received: String,
    received_bytes: u64,
}

impl Transfer {
    fn arrived_whole(&self) -> bool {
        self.sent == self.received && self.bytes == self.received_bytes
    }

    fn report(&self) -> String {
        let mib = |n: u64| n as f64 / f64::from(1 << 20);
        let verdict = if self.arrived_whole() {
            "Equal: every byte arrived, in order.\n"
        } else {
            "DIFFERENT: this must never happen.\n"
        };
        let seconds = self.took.as_secs_f64().max(0.001);
        format!(
            "{:.0} MiB in {seconds:.1} s: {:.1} MiB/s through all hops of both ends.\n\
             \x20 sent      SHA-256 {}\n  received  SHA-256 {}\n{verdict}",
            mib(self.received_bytes),
            mib(self.received_bytes) / seconds,
            self.sent,
            self.received
        )
    }
}

async fn transfer(
    args: &DemoArgs,
    inbox: &OpenSession,
    outbox: &OpenSession,
    clock: &Clock,
) -> anyhow::Result<Transfer> {
    let bytes = u64::from(args.mib) << 20;
    print_line("The sender connects to the receiver's address and sends a file of random bytes.")?;
    let mut accept = SamSocket::open(inbox.sam).await?;
    accept.ask(&format!("STREAM ACCEPT ID={} SILENT=false", inbox.id)).await?;
    let mut connect = SamSocket::open(outbox.sam).await?;
    let command = format!("STREAM CONNECT ID={} DESTINATION={} SILENT=false", outbox.id, inbox.destination);
    connect.ask(&command).await?;
    let caller = accept.line().await?;
    if caller.split(' ').next() != Some(outbox.destination.as_str()) {
        bail!("the receiver was called by somebody else");
    }
    let started = clock.now().mono;
    let bar = progress(bytes);
    let (sent, (received_bytes, received)) = tokio::try_join!(send(connect, bytes), receive(accept, &bar))?;
    let took = clock.now().mono.since(started);
    bar.finish_and_clear();
    Ok(Transfer { bytes, took, sent, received, received_bytes })
}

fn print_line(text: &str) -> anyhow::Result<()> {
    print(&format!("{text}\n")).map_err(|e| anyhow!("{e}"))
}

/// A bar on a terminal, nothing elsewhere.
fn progress(bytes: u64) -> ProgressBar {
    let terminal = std::io::stderr().is_terminal();
    let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(bytes), target);
    let template = "  [{bar:40}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}

/// Sends random bytes and answers their hash.
async fn send(sam: SamSocket, bytes: u64) -> anyhow::Result<String> {
    let mut socket = sam.into_stream().into_inner();
    let mut rng = samovar::base::Rng::from_os().context("the system gives no random numbers")?;
    let (mut hash, mut block, mut left) = (Sha256::new(), vec![0; BLOCK], bytes);
    while left > 0 {
        let n = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        let part = block.get_mut(..n).unwrap_or_default();
        rng.fill(part);
        hash.update(&*part);
        socket.write_all(part).await.context("the sender's stream broke")?;
        left -= n as u64;
    }
    socket.shutdown().await.context("the sender's stream broke at its end")?;
    // Keep the socket until the far side has everything: it closes in turn.
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).await.context("the sender's stream broke at its end")?;
    Ok(hex(&hash.finalize()))
}

/// Takes everything until the end and answers how much and its hash.
async fn receive(sam: SamSocket, bar: &ProgressBar) -> anyhow::Result<(u64, String)> {
    let mut socket = sam.into_stream();
    let (mut hash, mut block, mut total) = (Sha256::new(), vec![0; BLOCK], 0u64);
    loop {
        let n = socket.read(&mut block).await.context("the receiver's stream broke")?;
        if n == 0 {
            break;
        }
        hash.update(block.get(..n).unwrap_or_default());
        total += n as u64;
        bar.set_position(total);
    }
    socket.get_mut().shutdown().await.context("the receiver's stream broke at its end")?;
    Ok((total, hex(&hash.finalize())))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, b| {
        let _ = write!(text, "{b:02x}");
        text
    })
}
