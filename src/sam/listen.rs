// SPDX-License-Identifier: MIT
//! The ways in: each listener admits clients within the limits and gives each a task.
//!
//! A listener outlives every trouble of its clients and the lack of file descriptors. All of them share the limits,
//! which count sockets and, for addresses other than loopback, sockets of one address. Limits S8 and S9.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::conn;
use super::reply::{self, Domain};
use super::server::Shared;
use super::socket::{Origin, Socket};
use super::tls;
#[cfg(unix)]
use super::unix::UnixDoor;
use crate::base::{Charge, Part};

/// Memory of a client that does nothing, about.
const CLIENT_COST: usize = 6 * 1024;
/// What a client hears when there is no room.
const FULL: &str = "too many connections";
/// Clients sent away in one go when there are no descriptors.
const DISMISSED_MAX: usize = 128;
/// Refused clients that are waited for at once, so that the refusal arrives although they are still talking.
pub(super) const REFUSALS_MAX: usize = 32;

/// A way in.
pub(super) enum Door {
    /// Plain TCP.
    Tcp(TcpListener),
    /// TLS over TCP.
    Tls(TcpListener, TlsAcceptor),
    /// The Unix-domain socket.
    #[cfg(unix)]
    Unix(UnixDoor),
}

/// A client at the door, who is not in yet.
enum Caller {
    Tcp(TcpStream, SocketAddr),
    Tls(TcpStream, SocketAddr, TlsAcceptor),
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
}

impl Door {
    async fn accept(&self) -> io::Result<Caller> {
        match self {
            Self::Tcp(listener) => {
                listener.accept().await.map(|(stream, address)| Caller::Tcp(stream, address))
            }
            Self::Tls(listener, acceptor) => {
                let (stream, address) = listener.accept().await?;
                Ok(Caller::Tls(stream, address, acceptor.clone()))
            }
            #[cfg(unix)]
            Self::Unix(door) => door.accept().await.map(Caller::Unix),
        }
    }

    /// Serves whoever comes, to the end of the bridge.
    pub(super) async fn serve(self, shared: Arc<Shared>) {
        // A spare descriptor: when there are no more, it is given up for a moment so that the queue can be emptied.
        let mut spare = spare_socket();
        loop {
            match self.accept().await {
                Ok(caller) => self.admit(caller, &shared),
                Err(error) => {
                    shared.metrics.accept_errors.inc();
                    tracing::warn!(%error, "SAM cannot accept a connection");
                    let moment = Duration::from_millis(10);
                    if spare.take().is_some() {
                        // One descriptor serves many, one after the other. A queue that is full makes the system drop
                        // calls, and those come again a second later only.
                        for _ in 0..DISMISSED_MAX {
                            let Ok(Ok(caller)) = tokio::time::timeout(moment, self.accept()).await else {
                                break;
                            };
                            caller.dismiss(FULL);
                        }
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    spare = spare_socket();
                }
            }
        }
    }

    /// Gives a client its task, or tells it why there is none.
    fn admit(&self, caller: Caller, shared: &Arc<Shared>) {
        shared.metrics.sockets_accepted.inc();
        let origin = match self.judge(&caller) {
            Ok(origin) => origin,
            Err(message) => {
                shared.metrics.sockets_refused_user.inc();
                caller.refuse(message, shared);
                return;
            }
        };
        let Some(seat) = Seat::take(shared, origin.ip()) else {
            shared.metrics.sockets_refused_full.inc();
            caller.refuse(FULL.to_owned(), shared);
            return;
        };
        shared.tasks.spawn("sam_conn", async move {
            if let Some(socket) = caller.enter().await {
                conn::run(socket, origin, seat.shared.clone()).await;
            }
            drop(seat);
        });
    }

    /// Who calls, or why that one is not let in.
    fn judge(&self, caller: &Caller) -> Result<Origin, String> {
        match (self, caller) {
            (_, Caller::Tcp(_, address) | Caller::Tls(_, address, _)) => Ok(Origin::Net(*address)),
            #[cfg(unix)]
            (Self::Unix(door), Caller::Unix(stream)) => door.judge(stream),
            #[cfg(unix)]
            (_, Caller::Unix(_)) => Err("this is no Unix socket".to_owned()),
        }
    }
}

/// Takes a program of a simulated machine in, or turns it away without a word.
#[cfg(feature = "sim")]
pub(super) fn admit_simulated(stream: tokio::io::DuplexStream, address: SocketAddr, shared: &Arc<Shared>) {
    shared.metrics.sockets_accepted.inc();
    let Some(seat) = Seat::take(shared, address.ip()) else {
        shared.metrics.sockets_refused_full.inc();
        return;
    };
    shared.tasks.spawn("sam_conn", async move {
        conn::run(Socket::Simulated(stream), Origin::Net(address), seat.shared.clone()).await;
        drop(seat);
    });
}

impl Caller {
    /// Says why, and stays until the client has read it, as long as there are not too many of these.
    fn refuse(self, message: String, shared: &Arc<Shared>) {
        let Ok(permit) = shared.refusals.clone().try_acquire_owned() else {
            return self.dismiss(&message);
        };
        shared.tasks.spawn("sam_refuse", async move {
            self.dismiss(&message);
            if !matches!(self, Self::Tls(..))
                && let Some(socket) = self.enter().await
            {
                socket.close().await;
            }
            drop(permit);
        });
    }

    /// Says why. The buffer of a fresh socket has room for a line.
    fn dismiss(&self, message: &str) {
        let line = reply::error(&Domain::Hello, message);
        let _ = match self {
            Self::Tcp(stream, _) => stream.try_write(line.as_bytes()),
            // A line in the clear would only be taken for a broken handshake.
            Self::Tls(..) => return,
            #[cfg(unix)]
            Self::Unix(stream) => stream.try_write(line.as_bytes()),
        };
    }

    async fn enter(self) -> Option<Socket> {
        match self {
            Self::Tcp(stream, _) => {
                prepare(&stream);
                Some(Socket::from(stream))
            }
            Self::Tls(stream, _, acceptor) => {
                prepare(&stream);
                Box::pin(tls::accept(acceptor, stream)).await
            }
            #[cfg(unix)]
            Self::Unix(stream) => Some(Socket::Unix(stream)),
        }
    }
}

/// Small writes go out at once, and clients that vanished are noticed.
pub(super) fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15));
    let _ = socket2::SockRef::from(stream).set_tcp_keepalive(&keepalive);
}

fn spare_socket() -> Option<socket2::Socket> {
    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).ok()
}

/// The place of one client among those that are allowed.
pub(super) struct Seat {
    shared: Arc<Shared>,
    address: IpAddr,
    _memory: Charge,
}

impl Seat {
    pub(super) fn take(shared: &Arc<Shared>, address: IpAddr) -> Option<Self> {
        let mut clients = shared.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let same =
            if address.is_loopback() { 0 } else { clients.iter().filter(|ip| **ip == address).count() };
        if clients.len() >= shared.limits.sockets || same >= shared.limits.sockets_per_address {
            return None;
        }
        clients.push(address);
        shared.metrics.sockets_open.set(clients.len() as u64);
        let memory = shared.budget.charge(Part::Sam, CLIENT_COST);
        Some(Self { shared: shared.clone(), address, _memory: memory })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut clients = self.shared.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = clients.iter().position(|ip| *ip == self.address) {
            clients.swap_remove(at);
        }
        self.shared.metrics.sockets_open.set(clients.len() as u64);
    }
}
