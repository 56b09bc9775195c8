// SPDX-License-Identifier: MIT
//! One HTTPS GET: name, connection, TLS, redirects, all within one deadline.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::url::Url;
use crate::base::{Connection, Net};
use crate::netdb::reseed::{BUNDLE_MAX, ReseedError};
use crate::router::http::{Receiver, Response};

/// From the first byte to the last, redirects included.
const DEADLINE: Duration = Duration::from_secs(60);

/// One address of a host that does not answer must not use up the deadline.
const CONNECT_WAIT: Duration = Duration::from_secs(15);

const REDIRECTS_MAX: usize = 3;
const ADDRESSES_MAX: usize = 4;

/// What every router says to reseed hosts, so that they cannot tell implementations apart.
const USER_AGENT: &str = "Wget/1.11.4";

/// Why a host was of no use.
#[derive(Debug)]
pub enum FetchError {
    /// Its name has no address.
    Name(io::Error),
    /// No connection.
    Connect(SocketAddr, io::Error),
    /// No TLS session, or its end in the middle.
    Tls(io::Error),
    /// Not done within the deadline.
    Timeout,
    /// An answer other than success or redirect.
    Status(u16),
    /// An answer that is not HTTP as it should be.
    Http(&'static str),
    /// A redirect to nowhere, to plain http, or once too often.
    Redirect,
    /// A bundle that is refused.
    Bundle(ReseedError),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(e) => write!(f, "its name cannot be resolved ({e})"),
            Self::Connect(addr, e) => write!(f, "no connection to {addr} ({e})"),
            Self::Tls(e) => write!(f, "no secure connection ({e})"),
            Self::Timeout => write!(f, "no complete answer within {} s", DEADLINE.as_secs()),
            Self::Status(code) => write!(f, "it answered with HTTP status {code}"),
            Self::Http(why) => write!(f, "it answered with broken HTTP: {why}"),
            Self::Redirect => f.write_str("it redirects in a way that we do not follow"),
            Self::Bundle(e) => write!(f, "its bundle is refused: {e}"),
        }
    }
}

impl std::error::Error for FetchError {}

impl From<ReseedError> for FetchError {
    fn from(e: ReseedError) -> Self {
        Self::Bundle(e)
    }
}

/// Gets what is at `address`.
pub(super) async fn get(
    address: &str,
    net: &dyn Net,
    tls: &Arc<ClientConfig>,
) -> Result<Vec<u8>, FetchError> {
    // Boxed: TLS makes for a large future.
    let all = Box::pin(follow(address, net, tls));
    tokio::time::timeout(DEADLINE, all).await.unwrap_or(Err(FetchError::Timeout))
}

async fn follow(address: &str, net: &dyn Net, tls: &Arc<ClientConfig>) -> Result<Vec<u8>, FetchError> {
    let mut url = Url::parse(address).ok_or(FetchError::Redirect)?;
    for _ in 0..=REDIRECTS_MAX {
        let response = request(&url, net, tls).await?;
        match (response.status, response.location) {
            (200, _) => return Ok(response.body),
            (301 | 302 | 303 | 307 | 308, Some(to)) => url = url.join(&to).ok_or(FetchError::Redirect)?,
            (status, _) => return Err(FetchError::Status(status)),
        }
    }
    Err(FetchError::Redirect)
}

async fn request(url: &Url, net: &dyn Net, tls: &Arc<ClientConfig>) -> Result<Response, FetchError> {
    let name = ServerName::try_from(url.host.clone())
        .map_err(|_| FetchError::Name(io::Error::from(io::ErrorKind::InvalidInput)))?;
    let tcp = connect(url, net).await?;
    let mut stream =
        TlsConnector::from(tls.clone()).connect(name, tcp.stream).await.map_err(FetchError::Tls)?;
    let head = format!(
        "GET {} HTTP/1.1\r\nUser-Agent: {USER_AGENT}\r\nAccept: */*\r\nHost: {}\r\nConnection: close\r\n\r\n",
        url.path,
        url.authority()
    );
    stream.write_all(head.as_bytes()).await.map_err(FetchError::Tls)?;
    stream.flush().await.map_err(FetchError::Tls)?;
    let mut receiver = Receiver::new(BUNDLE_MAX);
    let mut buf = vec![0; 16 << 10];
    loop {
        let n = match stream.read(&mut buf).await {
            // Many servers close without the goodbye of TLS; a cut body is found by its length or signature.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => 0,
            other => other.map_err(FetchError::Tls)?,
        };
        if n == 0 || receiver.push(buf.get(..n).unwrap_or_default()).map_err(FetchError::Http)? {
            return receiver.finish().map_err(FetchError::Http);
        }
    }
}

/// Tries the addresses of the host one after the other.
async fn connect(url: &Url, net: &dyn Net) -> Result<Connection, FetchError> {
    let addresses = tokio::net::lookup_host((url.host.as_str(), url.port)).await.map_err(FetchError::Name)?;
    let mut last = FetchError::Name(io::Error::from(io::ErrorKind::NotFound));
    for addr in addresses.take(ADDRESSES_MAX) {
        match tokio::time::timeout(CONNECT_WAIT, net.connect(addr, None)).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(e)) => last = FetchError::Connect(addr, e),
            Err(_) => last = FetchError::Connect(addr, io::Error::from(io::ErrorKind::TimedOut)),
        }
    }
    Err(last)
}
