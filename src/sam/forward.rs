// SPDX-License-Identifier: MIT
//! `STREAM FORWARD`: peers become TCP connections to a server of the client's.
//!
//! Connections go to loopback or to the client's own address, nowhere else unless configured, and names are never
//! asked of DNS: a bridge must not become a way to poke at other machines. Spec: SAMv3 "STREAM FORWARD".

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

use super::backend::{Failure, Incoming};
use super::bridge;
use super::command::{ForwardRequest, Version};
use super::conn::peer_line;
use super::registry::Entry;
use super::reply::ResultCode;
use super::server::Shared;
use super::socket::Socket;

/// How long the client's server may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Where a `STREAM FORWARD` sends its peers, if that is allowed.
pub(super) fn target(
    request: &ForwardRequest,
    client: IpAddr,
    shared: &Shared,
) -> Result<SocketAddr, Failure> {
    let refuse = |explain: &str| Err(Failure::new(ResultCode::I2pError, explain));
    if request.ssl {
        return refuse("SSL=true is not supported; the connection to your server would be plain");
    }
    let host = match request.host.as_deref() {
        None => client,
        Some(name) if name.eq_ignore_ascii_case("localhost") => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Some(text) => match text.trim_start_matches('[').trim_end_matches(']').parse() {
            Ok(ip) => ip,
            Err(_) => return refuse("HOST must be an IP address or localhost"),
        },
    };
    let allowed = host.is_loopback() || host == client || shared.limits.forward_anywhere;
    if !allowed {
        return refuse("HOST must be loopback or your own address");
    }
    Ok(SocketAddr::new(host, request.port))
}

/// What is done with each peer of a forward.
pub(super) struct Job {
    pub(super) target: SocketAddr,
    pub(super) silent: bool,
    pub(super) version: Version,
    pub(super) entry: Arc<Entry>,
    pub(super) shared: Arc<Shared>,
}

impl Job {
    /// Starts a task for a peer. It outlives the forward and ends with the session.
    pub(super) fn start(&self, incoming: Incoming) {
        let (target, entry, shared) = (self.target, self.entry.clone(), self.shared.clone());
        let line = if self.silent { None } else { Some(peer_line(&incoming, self.version)) };
        self.shared.tasks.spawn("sam_forward", async move {
            let mut peer = incoming.stream;
            let connected = tokio::time::timeout(CONNECT_TIMEOUT, connect(target, line)).await;
            match connected {
                Ok(Ok(client)) => {
                    shared.metrics.streams_opened.inc();
                    bridge::run(client, peer, Vec::new(), &entry.ended).await;
                }
                Ok(Err(_)) | Err(_) => {
                    shared.metrics.forwards_failed.inc();
                    tracing::info!(session = %entry.id, "the target of a FORWARD does not answer: peer reset");
                    peer.reset();
                }
            }
        });
    }
}

async fn connect(target: SocketAddr, line: Option<String>) -> std::io::Result<Socket> {
    let client = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    let mut client = Socket::from(client);
    if let Some(line) = line {
        client.write_whole(line.as_bytes()).await?;
    }
    Ok(client)
}
