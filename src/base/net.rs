// SPDX-License-Identifier: MIT
//! The network as a value, so that a whole network of routers can run in one process.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};

/// A boxed future that can move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A byte stream in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {
    /// Makes dropping the stream an abrupt end (a TCP reset) instead of an orderly one.
    fn reset_on_close(&self);
}

/// An open connection.
pub struct Connection {
    /// The bytes.
    pub stream: Box<dyn Duplex>,
    /// Our end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
}

/// Takes connections in.
pub trait Listener: Send {
    /// Waits for the next connection.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>>;
    /// Where it listens, with the port that the system chose for 0.
    fn local_addr(&self) -> SocketAddr;
}

/// What a router may do with a network.
pub trait Net: Send + Sync {
    /// Connects to `to`, from address `from` if given.
    fn connect(&self, to: SocketAddr, from: Option<IpAddr>) -> BoxFuture<'_, io::Result<Connection>>;
    /// Listens at `at`.
    fn listen(&self, at: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>>;
}

/// The machine's TCP.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpNet;

/// Connections that the system holds for a listener until they are accepted.
const BACKLOG: u32 = 1024;

impl Duplex for tokio::net::TcpStream {
    fn reset_on_close(&self) {
        let _ = socket2::SockRef::from(self).set_linger(Some(std::time::Duration::ZERO));
    }
}

impl Duplex for tokio::io::DuplexStream {
    fn reset_on_close(&self) {}
}

/// How long sent bytes may stay unacknowledged. Linux would go on trying for a quarter of an hour.
#[cfg(target_os = "linux")]
const SILENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// Makes a connection fail when the other end does not acknowledge what was sent, where the system can do that.
fn give_up_on_silence(stream: &tokio::net::TcpStream) {
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(SILENCE));
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}

fn opened(stream: tokio::net::TcpStream) -> io::Result<Connection> {
    stream.set_nodelay(true)?;
    give_up_on_silence(&stream);
    let (local, remote) = (stream.local_addr()?, stream.peer_addr()?);
    Ok(Connection { stream: Box::new(stream), local, remote })
}

impl Net for TcpNet {
    fn connect(&self, to: SocketAddr, from: Option<IpAddr>) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(async move {
            let socket = match to {
                SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
                SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
            };
            if let Some(ip) = from.filter(|ip| ip.is_ipv4() == to.is_ipv4()) {
                socket.bind(SocketAddr::new(ip, 0))?;
            }
            opened(socket.connect(to).await?)
        })
    }

    fn listen(&self, at: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let socket = match at {
                SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
                SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
            };
            if at.is_ipv6() {
                // Else `[::]` would take IPv4 as well, and a listener for each family could not be had.
                socket2::SockRef::from(&socket).set_only_v6(true)?;
            }
            #[cfg(unix)]
            socket.set_reuseaddr(true)?;
            socket.bind(at)?;
            let listener = socket.listen(BACKLOG)?;
            let local = listener.local_addr()?;
            Ok(Box::new(TcpListener { listener, local, spare: spare() }) as Box<dyn Listener>)
        })
    }
}

struct TcpListener {
    listener: tokio::net::TcpListener,
    local: SocketAddr,
    /// A descriptor in reserve: when there are no more, it is given up for a moment, so that somebody who waits can be
    /// sent away instead of blocking the queue.
    spare: Option<socket2::Socket>,
}

/// Callers sent away in one go when there are no descriptors.
const SENT_AWAY_MAX: usize = 64;

fn spare() -> Option<socket2::Socket> {
    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).ok()
}

impl Listener for TcpListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(async move {
            match self.listener.accept().await {
                Ok((stream, _)) => opened(stream),
                Err(error) => {
                    if self.spare.take().is_some() {
                        let moment = std::time::Duration::from_millis(10);
                        for _ in 0..SENT_AWAY_MAX {
                            let Ok(Ok(_)) = tokio::time::timeout(moment, self.listener.accept()).await else {
                                break;
                            };
                        }
                    }
                    self.spare = spare();
                    Err(error)
                }
            }
        })
    }
    fn local_addr(&self) -> SocketAddr {
        self.local
    }
}
