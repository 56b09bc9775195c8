// SPDX-License-Identifier: MIT
//! `base::Net` of one simulated host.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::fabric::{Fabric, HostId, Syn};
use crate::base::{BoxFuture, Connection, Duplex, Listener, Net};

/// Tries to connect, with pauses that double from one second on: two minutes in all, as on Linux.
const SYN_TRIES: u32 = 7;

/// The network as one host sees it.
#[derive(Clone)]
pub struct SimNet {
    pub(super) fabric: Arc<Fabric>,
    pub(super) host: HostId,
}

impl fmt::Debug for SimNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimNet({})", self.host)
    }
}

impl SimNet {
    async fn call(&self, to: SocketAddr, from: Option<IpAddr>) -> io::Result<Connection> {
        let (own, up) = {
            let state = self.fabric.lock();
            state.hosts.get(self.host).map_or((None, false), |h| (Some(h.ip), h.up))
        };
        if !up {
            return Err(io::ErrorKind::NetworkUnreachable.into());
        }
        if from.is_some_and(|ip| Some(ip) != own && !ip.is_unspecified()) {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        for attempt in 0..SYN_TRIES {
            match self.fabric.with(|state, _| state.syn(self.host, to)) {
                Syn::Lost => tokio::time::sleep(Duration::from_secs(1 << attempt)).await,
                Syn::Refused(trip) => {
                    tokio::time::sleep(trip).await;
                    self.count_failure();
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
                Syn::Open(trip) => {
                    tokio::time::sleep(trip).await;
                    let made = self.fabric.with(|state, now| state.establish(now, self.host, to));
                    let Some((id, local)) = made else { break };
                    return Ok(self.connection(id, 0, local, to));
                }
            }
        }
        self.count_failure();
        Err(io::ErrorKind::TimedOut.into())
    }

    fn count_failure(&self) {
        self.fabric.lock().stats.refused += 1;
    }

    fn connection(&self, id: u64, side: usize, local: SocketAddr, remote: SocketAddr) -> Connection {
        let stream = SimStream { fabric: self.fabric.clone(), id, side };
        Connection { stream: Box::new(stream), local, remote }
    }
}

impl Net for SimNet {
    fn connect(&self, to: SocketAddr, from: Option<IpAddr>) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(self.call(to, from))
    }

    fn listen(&self, at: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let ip = self.fabric.lock().hosts.get(self.host).map(|h| h.ip);
            if !at.ip().is_unspecified() && Some(at.ip()) != ip {
                return Err(io::ErrorKind::AddrNotAvailable.into());
            }
            let (port, id) = self.fabric.with(|state, _| state.listen(self.host, at.port()))?;
            let local = SocketAddr::new(at.ip(), port);
            Ok(Box::new(SimListener { net: self.clone(), local, id }) as Box<dyn Listener>)
        })
    }
}

struct SimListener {
    net: SimNet,
    local: SocketAddr,
    id: u64,
}

impl Listener for SimListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(async move {
            let port = self.local.port();
            let accepted = poll_fn(|cx| {
                self.net.fabric.with(|state, _| state.poll_accept(self.net.host, port, cx.waker()))
            });
            let (id, local, remote) = accepted.await?;
            Ok(self.net.connection(id, 1, local, remote))
        })
    }

    fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        let (host, port) = (self.net.host, self.local.port());
        self.net.fabric.with(|state, now| state.unlisten(now, (host, port), self.id));
    }
}

/// One end of a connection.
struct SimStream {
    fabric: Arc<Fabric>,
    id: u64,
    side: usize,
}

impl AsyncRead for SimStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.fabric.with(|state, now| state.poll_read(now, (self.id, self.side), buf, cx.waker()))
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.fabric.with(|state, now| state.poll_write(now, (self.id, self.side), buf, cx.waker()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.fabric.with(|state, now| state.shut(now, self.id, self.side));
        Poll::Ready(Ok(()))
    }
}

impl Duplex for SimStream {
    fn reset_on_close(&self) {
        self.fabric.with(|state, _| state.reset_on_close(self.id, self.side));
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        self.fabric.with(|state, now| state.close(now, self.id, self.side, false));
    }
}
