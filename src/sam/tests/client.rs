// SPDX-License-Identifier: MIT
//! A bridge with clients for tests.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::stand_in::{Network, StandIn};
use crate::base::Tasks;
use crate::sam::{Limits, SamConfig, SamServer};

/// A bridge over a stand-in router.
pub(super) struct Bridge {
    pub(super) server: SamServer,
    tasks: Tasks,
}

impl Bridge {
    pub(super) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut Limits)) -> Self {
        Self::configured(|config| change(&mut config.limits)).await
    }

    pub(super) async fn configured(change: impl FnOnce(&mut SamConfig)) -> Self {
        let mut config = SamConfig::at(SocketAddr::from(([127, 0, 0, 1], 0)));
        change(&mut config);
        let tasks = Tasks::new();
        let server = SamServer::start(config, StandIn::new(&Network::default(), 1), &tasks).await.unwrap();
        Self { server, tasks }
    }

    pub(super) async fn raw(&self) -> Client {
        Client::to(self.server.address().unwrap()).await
    }

    /// A client after `HELLO` with this version.
    pub(super) async fn client(&self, version: &str) -> Client {
        let mut client = self.raw().await;
        let reply = client.ask(&format!("HELLO VERSION MIN={version} MAX={version}")).await;
        assert_eq!(reply, format!("HELLO REPLY RESULT=OK VERSION={version}"));
        client
    }

    /// A client with a session, and the session's destination.
    pub(super) async fn session(&self, id: &str) -> (Client, String) {
        let mut client = self.client("3.1").await;
        let reply = client.ask(&format!("SESSION CREATE STYLE=STREAM ID={id} DESTINATION=TRANSIENT")).await;
        assert!(reply.starts_with("SESSION STATUS RESULT=OK DESTINATION="), "{reply}");
        let reply = client.ask("NAMING LOOKUP NAME=ME").await;
        (client, reply.rsplit('=').nth(2).unwrap().to_owned() + "==")
    }

    /// Two ends of a stream: who connected and who accepted.
    pub(super) async fn pair(&self, id: &str, destination: &str) -> (Client, Client) {
        let mut accept = self.client("3.1").await;
        assert_eq!(accept.ask(&format!("STREAM ACCEPT ID={id}")).await, "STREAM STATUS RESULT=OK");
        let mut connect = self.client("3.1").await;
        let line = format!("STREAM CONNECT ID={id} DESTINATION={destination}");
        assert_eq!(connect.ask(&line).await, "STREAM STATUS RESULT=OK");
        assert_eq!(accept.line().await, destination);
        (connect, accept)
    }

    pub(super) async fn stop(self) {
        self.tasks.stop();
        self.tasks.finished().await;
    }
}

/// A client socket.
pub(super) struct Client {
    pub(super) stream: TcpStream,
    pub(super) buffer: Vec<u8>,
}

impl Client {
    pub(super) async fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next line, without LF.
    pub(super) async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return String::from_utf8(line[..end].to_vec()).unwrap();
            }
            assert_ne!(self.more().await.unwrap(), 0, "closed before a line; had {:?}", self.buffer);
        }
    }

    /// Exactly so many bytes.
    pub(super) async fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert_ne!(self.more().await.unwrap(), 0, "closed too early");
        }
        self.buffer.drain(..count).collect()
    }

    pub(super) async fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\n").as_bytes()).await;
        self.line().await
    }

    /// Reads once; 0 is the end.
    pub(super) async fn more(&mut self) -> std::io::Result<usize> {
        let mut scratch = vec![0; 65_536];
        let read = self.stream.read(&mut scratch);
        let count =
            tokio::time::timeout(Duration::from_secs(20), read).await.expect("nothing came in time")?;
        self.buffer.extend_from_slice(&scratch[..count]);
        Ok(count)
    }

    /// Everything up to the end of the stream.
    pub(super) async fn rest(&mut self) -> Vec<u8> {
        while self.more().await.unwrap() > 0 {}
        std::mem::take(&mut self.buffer)
    }

    /// Closes with a reset.
    pub(super) fn abort(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// A UDP socket of a client's.
pub(super) struct Udp(pub(super) UdpSocket);

impl Udp {
    pub(super) async fn open() -> Self {
        Self(UdpSocket::bind("127.0.0.1:0").await.unwrap())
    }

    pub(super) fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    pub(super) async fn send(&self, bridge: &Bridge, bytes: impl AsRef<[u8]>) {
        self.0.send_to(bytes.as_ref(), bridge.server.udp_address().unwrap()).await.unwrap();
    }

    pub(super) async fn next(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = vec![0; 70_000];
        let next = self.0.recv_from(&mut buffer);
        let (count, from) =
            tokio::time::timeout(Duration::from_secs(10), next).await.expect("nothing came").unwrap();
        buffer.truncate(count);
        (buffer, from)
    }

    pub(super) async fn text(&self) -> String {
        String::from_utf8(self.next().await.0).unwrap()
    }
}

impl Bridge {
    /// A client with a session of any style, and the session's destination.
    pub(super) async fn open(&self, version: &str, style: &str, id: &str, rest: &str) -> (Client, String) {
        let mut client = self.client(version).await;
        let line = format!("SESSION CREATE STYLE={style} ID={id} DESTINATION=TRANSIENT {rest}");
        let reply = client.ask(&line).await;
        assert!(reply.starts_with("SESSION STATUS RESULT=OK DESTINATION="), "{reply}");
        let reply = client.ask("NAMING LOOKUP NAME=ME").await;
        (client, reply.strip_prefix("NAMING REPLY RESULT=OK NAME=ME VALUE=").unwrap().to_owned())
    }
}

/// Waits until something holds.
pub(super) async fn until(mut holds: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never came true");
}
