// SPDX-License-Identifier: MIT
//! A client's connection, whatever it runs over.
//!
//! Everything above reads and writes it as bytes and never asks what it is; the few habits that differ (limits by
//! address, resets) are methods here. TCP goes straight through: one branch per call, no buffer, no box.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

/// Bytes taken by one read of lines.
const READ_MAX: usize = 4096;

/// A connection with a client, or with a server of a client's.
pub(super) enum Socket {
    /// Plain TCP.
    Tcp(TcpStream),
    /// A Unix-domain socket.
    #[cfg(unix)]
    Unix(UnixStream),
    /// TLS over TCP, from either side.
    Tls(Box<tokio_rustls::TlsStream<TcpStream>>),
    /// A program on a simulated machine.
    #[cfg(feature = "sim")]
    Simulated(tokio::io::DuplexStream),
}

/// Where a client called from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Over TCP, with or without TLS.
    Net(SocketAddr),
    /// Over the Unix-domain socket: the user the client runs as.
    #[cfg(unix)]
    Unix(u32),
}

impl Origin {
    /// The address by which limits are counted. Clients of the Unix socket are on this machine: loopback.
    pub(super) fn ip(self) -> IpAddr {
        match self {
            // A socket for both families shows IPv4 clients in the clothes of IPv6.
            Self::Net(address) => address.ip().to_canonical(),
            #[cfg(unix)]
            Self::Unix(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }
}

impl Origin {
    /// What the log may say at its usual level: enough to find the program on this machine, no address of another one.
    pub(super) fn label(self) -> String {
        match self {
            Self::Net(address) if self.ip().is_loopback() => format!("port {}", address.port()),
            Self::Net(_) => "another machine".to_owned(),
            #[cfg(unix)]
            Self::Unix(_) => self.to_string(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(address) => address.fmt(f),
            #[cfg(unix)]
            Self::Unix(uid) => write!(f, "unix:uid={uid}"),
        }
    }
}

impl Socket {
    /// Writes everything and sees to it that nothing stays behind in a buffer of ours.
    pub(super) async fn write_whole(&mut self, bytes: &[u8]) -> io::Result<()> {
        write_whole(self, bytes).await
    }

    /// Makes dropping it an abrupt end where the kind knows one; a Unix socket just closes.
    pub(super) fn reset_on_close(&self) {
        let tcp = match self {
            Self::Tcp(tcp) => tcp,
            #[cfg(unix)]
            Self::Unix(_) => return,
            Self::Tls(tls) => tls.get_ref().0,
            #[cfg(feature = "sim")]
            Self::Simulated(_) => return,
        };
        let _ = socket2::SockRef::from(tcp).set_linger(Some(Duration::ZERO));
    }

    /// Closes so that what was written arrives: says goodbye, then waits a moment for the other end to do the same,
    /// because closing over unread bytes would destroy the answer on its way.
    pub(super) async fn close(mut self) {
        const PATIENCE: Duration = Duration::from_secs(1);
        const DISCARD_MAX: usize = 256 * 1024;
        let drain = async {
            if self.shutdown().await.is_err() {
                return;
            }
            let mut discarded = 0;
            while discarded < DISCARD_MAX {
                match read_some(&mut self, |_| {}).await {
                    Ok(0) | Err(_) => return,
                    Ok(count) => discarded = discarded.saturating_add(count),
                }
            }
        };
        let _ = tokio::time::timeout(PATIENCE, drain).await;
    }
}

/// Reads once and hands over what came; the count 0 is the end. Safe to drop.
pub(super) async fn read_some<R>(source: &mut R, mut take: impl FnMut(&[u8])) -> io::Result<usize>
where
    R: AsyncRead + Unpin,
{
    poll_fn(|cx| {
        // Lives on the stack of a poll, so that a client that waits holds no buffer.
        let mut scratch = [MaybeUninit::uninit(); READ_MAX];
        let mut space = ReadBuf::uninit(&mut scratch);
        ready!(Pin::new(&mut *source).poll_read(cx, &mut space))?;
        take(space.filled());
        Poll::Ready(Ok(space.filled().len()))
    })
    .await
}

/// Writes everything and sees to it that nothing stays behind in a buffer of ours.
pub(super) async fn write_whole<W: AsyncWrite + Unpin>(sink: &mut W, bytes: &[u8]) -> io::Result<()> {
    sink.write_all(bytes).await?;
    sink.flush().await
}

impl From<TcpStream> for Socket {
    fn from(tcp: TcpStream) -> Self {
        Self::Tcp(tcp)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        space: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(cx, space),
            #[cfg(unix)]
            Self::Unix(unix) => Pin::new(unix).poll_read(cx, space),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, space),
            #[cfg(feature = "sim")]
            Self::Simulated(stream) => Pin::new(stream).poll_read(cx, space),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            #[cfg(unix)]
            Self::Unix(unix) => Pin::new(unix).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
            #[cfg(feature = "sim")]
            Self::Simulated(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            #[cfg(unix)]
            Self::Unix(unix) => Pin::new(unix).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
            #[cfg(feature = "sim")]
            Self::Simulated(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            #[cfg(unix)]
            Self::Unix(unix) => Pin::new(unix).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
            #[cfg(feature = "sim")]
            Self::Simulated(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
