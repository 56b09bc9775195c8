// SPDX-License-Identifier: MIT
//! `STREAM FORWARD`: peers become TCP connections to a server of the client's.
//!
//! Connections go to loopback or to the client's own address, nowhere else unless configured, and names are never
//! asked of DNS: a bridge must not become a way to poke at other machines. With `SSL=true` they are TLS, and a failed
//! handshake resets the peer: nothing ever goes there in the clear. Spec: SAMv3 "STREAM FORWARD".

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::{DnsName, ServerName};

use super::backend::{Failure, Incoming};
use super::bridge;
use super::command::{ForwardRequest, Version};
use super::conn::peer_line;
use super::registry::Entry;
use super::reply::ResultCode;
use super::server::Shared;
use super::socket::Socket;
use super::tls;

/// How long the client's server may take to answer, its TLS handshake included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A server of a client's.
#[derive(Clone, Debug)]
pub(super) struct Target {
    address: SocketAddr,
    /// The name that its certificate should have, where it is to be TLS.
    tls: Option<ServerName<'static>>,
}

/// Where a `STREAM FORWARD` sends its peers, if that is allowed.
pub(super) fn target(request: &ForwardRequest, client: IpAddr, shared: &Shared) -> Result<Target, Failure> {
    let refuse = |explain: &str| Err(Failure::new(ResultCode::I2pError, explain));
    let mut name = None;
    let host = match request.host.as_deref() {
        None => client,
        Some(text) if text.eq_ignore_ascii_case("localhost") => {
            name = DnsName::try_from("localhost").ok().map(ServerName::DnsName);
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        }
        Some(text) => match text.trim_start_matches('[').trim_end_matches(']').parse() {
            Ok(ip) => ip,
            Err(_) => return refuse("HOST must be an IP address or localhost"),
        },
    };
    let allowed = host.is_loopback() || host == client || shared.limits.forward_anywhere;
    if !allowed {
        return refuse("HOST must be loopback or your own address");
    }
    let name = name.unwrap_or_else(|| ServerName::from(host));
    let tls = request.ssl.then_some(name);
    Ok(Target { address: SocketAddr::new(host, request.port), tls })
}

/// What is done with each peer of a forward.
pub(super) struct Job {
    pub(super) target: Target,
    pub(super) silent: bool,
    pub(super) version: Version,
    pub(super) entry: Arc<Entry>,
    pub(super) shared: Arc<Shared>,
}

impl Job {
    /// Starts a task for a peer. It outlives the forward and ends with the session.
    pub(super) fn start(&self, incoming: Incoming) {
        let (target, entry, shared) = (self.target.clone(), self.entry.clone(), self.shared.clone());
        let line = if self.silent { None } else { Some(peer_line(&incoming, self.version)) };
        self.shared.tasks.spawn("sam_forward", async move {
            let mut peer = incoming.stream;
            let work = Box::pin(connect(target, line, &shared));
            match tokio::time::timeout(CONNECT_TIMEOUT, work).await.unwrap_or_else(|_| Err(late())) {
                Ok(client) => {
                    shared.metrics.streams_opened.inc();
                    bridge::run(client, peer, Vec::new(), (shared.account(), shared.limits.copy_buffer), &entry.ended).await;
                }
                Err(error) => {
                    shared.metrics.forwards_failed.inc();
                    tracing::info!(session = %entry.id, %error, "the target of a FORWARD does not answer: peer reset");
                    peer.reset();
                }
            }
        });
    }
}

fn late() -> io::Error {
    io::ErrorKind::TimedOut.into()
}

async fn connect(target: Target, line: Option<String>, shared: &Shared) -> io::Result<Socket> {
    let tcp = TcpStream::connect(target.address).await?;
    super::listen::prepare(&tcp);
    let mut client = match target.tls {
        None => Socket::from(tcp),
        Some(name) => tls::connect(&shared.forward_tls, name, tcp).await?,
    };
    if let Some(line) = line {
        client.write_whole(line.as_bytes()).await?;
    }
    Ok(client)
}
