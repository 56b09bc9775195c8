// SPDX-License-Identifier: MIT
//! TLS at the bridge, and towards servers of `FORWARD SSL=true`.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::client::{Bridge, Client, until};
use super::stand_in::{Network, StandIn};
use crate::base::Tasks;
use crate::sam::{SamConfig, SamError, SamServer, TlsAddress};

const LOCAL: [u8; 4] = [127, 0, 0, 1];

/// A certificate of our own making, in memory and in files that go with the test.
struct Identity {
    dir: PathBuf,
    cert: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("sam-tls-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        fs::create_dir(&dir).unwrap();
        let made =
            rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
        fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self::close(&dir.join("key.pem"), 0o600);
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        Self { dir, cert: made.cert.der().clone(), key }
    }

    fn close(path: &PathBuf, mode: u32) {
        #[cfg(unix)]
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        let _ = (path, mode);
    }

    fn address(&self) -> TlsAddress {
        let address = SocketAddr::from((LOCAL, 0));
        TlsAddress { address, cert: self.dir.join("cert.pem"), key: self.dir.join("key.pem") }
    }

    fn acceptor(&self) -> TlsAcceptor {
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.cert.clone()], self.key.clone_key())
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    async fn connect(&self, to: SocketAddr) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.cert.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tcp = TcpStream::connect(to).await.unwrap();
        let name = ServerName::from(std::net::IpAddr::from(LOCAL));
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap()
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A client over TLS, after `HELLO`.
struct Secret(BufReader<TlsStream<TcpStream>>);

impl Secret {
    async fn hello(identity: &Identity, bridge: &Bridge) -> Self {
        let stream = identity.connect(bridge.server.tls_address().unwrap()).await;
        let mut client = Self(BufReader::new(stream));
        assert_eq!(client.ask("HELLO VERSION MAX=3.1").await, "HELLO REPLY RESULT=OK VERSION=3.1");
        client
    }

    async fn ask(&mut self, line: &str) -> String {
        self.0.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        self.line().await
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        line.trim_end().to_owned()
    }
}

#[tokio::test]
async fn streams_over_tls_carry_every_byte_and_close_one_way_at_a_time() {
    let identity = Identity::new();
    let bridge = Bridge::configured(|config| config.tls = Some(identity.address())).await;
    let (_owner, destination) = bridge.session("a").await;
    let mut accept = Secret::hello(&identity, &bridge).await;
    assert_eq!(accept.ask("STREAM ACCEPT ID=a").await, "STREAM STATUS RESULT=OK");
    let mut connect = Secret::hello(&identity, &bridge).await;
    let line = format!("STREAM CONNECT ID=a DESTINATION={destination}");
    assert_eq!(connect.ask(&line).await, "STREAM STATUS RESULT=OK");
    assert_eq!(accept.line().await, destination);
    let data: Vec<u8> = (0..3_000_000u32).map(|i| (i / 7) as u8).collect();
    let (mut sent, mut got) = (data.clone(), Vec::new());
    let send = async {
        connect.0.write_all(&sent).await.unwrap();
        connect.0.shutdown().await.unwrap();
    };
    tokio::join!(send, async { accept.0.read_to_end(&mut got).await.unwrap() });
    assert!(got == data, "{} bytes", got.len());
    sent.clear();
    accept.0.write_all(b"back").await.unwrap();
    accept.0.shutdown().await.unwrap();
    connect.0.read_to_end(&mut sent).await.unwrap();
    assert_eq!(sent, b"back");
    drop((accept, connect));
    until(|| bridge.server.metrics().sockets_open.get() == 1).await;
    bridge.stop().await;
}

#[tokio::test]
async fn small_answers_come_at_once_and_a_lost_client_ends_its_session() {
    let identity = Identity::new();
    let bridge = Bridge::configured(|config| config.tls = Some(identity.address())).await;
    let mut owner = Secret::hello(&identity, &bridge).await;
    let reply = owner.ask("SESSION CREATE STYLE=STREAM ID=a DESTINATION=TRANSIENT").await;
    assert!(reply.starts_with("SESSION STATUS RESULT=OK"), "{reply}");
    let mut quit = Secret::hello(&identity, &bridge).await;
    assert_eq!(quit.ask("QUIT").await, "QUIT STATUS RESULT=OK MESSAGE=bye");
    assert_eq!(quit.line().await, "", "closed in order");
    let (tcp, _) = owner.0.get_ref().get_ref();
    socket2::SockRef::from(tcp).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(owner);
    until(|| bridge.server.sessions() == 0).await;
    bridge.stop().await;
}

#[tokio::test]
async fn each_port_speaks_one_language() {
    let identity = Identity::new();
    let bridge = Bridge::configured(|config| config.tls = Some(identity.address())).await;
    let mut plain = Client::to(bridge.server.tls_address().unwrap()).await;
    plain.send(b"HELLO VERSION\n").await;
    let answer = plain.rest().await;
    assert!(!answer.windows(5).any(|word| word == b"HELLO"), "a TLS alert at most: {answer:?}");
    let tcp = TcpStream::connect(bridge.server.address().unwrap()).await.unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::from(std::net::IpAddr::from(LOCAL));
    assert!(TlsConnector::from(Arc::new(config)).connect(name, tcp).await.is_err());
    until(|| bridge.server.metrics().sockets_open.get() == 0).await;
    bridge.stop().await;
}

#[tokio::test]
async fn files_that_do_not_serve_are_named() {
    let identity = Identity::new();
    let other = Identity::new();
    let says = async |change: &dyn Fn(&mut TlsAddress)| {
        let mut config = SamConfig::at(SocketAddr::from((LOCAL, 0)));
        let mut tls = identity.address();
        change(&mut tls);
        config.tls = Some(tls);
        let started = SamServer::start(config, StandIn::new(&Network::default(), 1), &Tasks::new()).await;
        match started {
            Err(SamError::Tls(path, problem)) => format!("{} {problem}", path.display()),
            other => panic!("{other:?}"),
        }
    };
    assert!(says(&|tls| tls.cert = "/none.pem".into()).await.starts_with("/none.pem cannot be read"));
    assert!(says(&|tls| tls.cert = identity.dir.join("key.pem")).await.contains("has no certificate"));
    assert!(says(&|tls| tls.key = identity.dir.join("cert.pem")).await.contains("key"));
    assert!(says(&|tls| tls.key = other.dir.join("key.pem")).await.contains("cannot be used with this key"));
    #[cfg(unix)]
    {
        Identity::close(&identity.dir.join("key.pem"), 0o644);
        assert!(says(&|_| {}).await.contains("chmod o-rwx"));
    }
}

#[tokio::test]
async fn s1_tls_beyond_this_machine_needs_users_too() {
    let identity = Identity::new();
    let mut config = SamConfig::at(SocketAddr::from((LOCAL, 0)));
    let mut tls = identity.address();
    tls.address = SocketAddr::from(([0, 0, 0, 0], 0));
    config.tls = Some(tls);
    let started = SamServer::start(config, StandIn::new(&Network::default(), 1), &Tasks::new()).await;
    assert!(matches!(started, Err(SamError::Exposed(_))), "{started:?}");
}

/// A session, a forward of it to `port` with SSL, and what the peer's end shows.
async fn forwarded(bridge: &Bridge, port: u16) -> (Client, Client, Client, String) {
    let (owner, destination) = bridge.session("a").await;
    let mut forward = bridge.client("3.1").await;
    let line = format!("STREAM FORWARD ID=a PORT={port} SSL=true");
    assert_eq!(forward.ask(&line).await, "STREAM STATUS RESULT=OK");
    let mut connect = bridge.client("3.1").await;
    let line = format!("STREAM CONNECT ID=a DESTINATION={destination}");
    assert_eq!(connect.ask(&line).await, "STREAM STATUS RESULT=OK");
    (owner, forward, connect, destination)
}

#[tokio::test]
async fn a_forward_with_ssl_talks_tls_to_a_server_with_any_certificate() {
    let identity = Identity::new();
    let target = TcpListener::bind((std::net::Ipv4Addr::from(LOCAL), 0)).await.unwrap();
    let bridge = Bridge::start().await;
    let port = target.local_addr().unwrap().port();
    let acceptor = identity.acceptor();
    let serve = async {
        let (tcp, _) = target.accept().await.unwrap();
        let mut tls = BufReader::new(acceptor.accept(tcp).await.unwrap());
        let mut line = String::new();
        tls.read_line(&mut line).await.unwrap();
        let mut word = [0; 4];
        tls.read_exact(&mut word).await.unwrap();
        tls.write_all(b"pong").await.unwrap();
        tls.shutdown().await.unwrap();
        (line, word)
    };
    let call = async {
        let (owner, forward, mut connect, destination) = forwarded(&bridge, port).await;
        connect.send(b"ping").await;
        assert_eq!(connect.rest().await, b"pong");
        drop((owner, forward));
        destination
    };
    let ((line, word), destination) = tokio::join!(serve, call);
    assert_eq!((line.trim_end(), &word), (destination.as_str(), b"ping"));
    bridge.stop().await;
}

#[tokio::test]
async fn a_server_without_tls_gets_nothing_in_the_clear_and_the_peer_a_reset() {
    let target = TcpListener::bind((std::net::Ipv4Addr::from(LOCAL), 0)).await.unwrap();
    let bridge = Bridge::start().await;
    let port = target.local_addr().unwrap().port();
    let serve = async {
        let (mut tcp, _) = target.accept().await.unwrap();
        let mut got = vec![0; 4096];
        let count = tcp.read(&mut got).await.unwrap();
        // A handshake, and an answer that is none.
        assert_eq!(got.first(), Some(&0x16));
        tcp.write_all(b"220 mail.example ESMTP\r\n").await.unwrap();
        let mut rest = Vec::new();
        let _ = tcp.read_to_end(&mut rest).await;
        got.truncate(count);
        got.extend(rest);
        got
    };
    let call = async {
        let (_owner, _forward, mut connect, destination) = forwarded(&bridge, port).await;
        connect.send(b"secret").await;
        let end = connect.more().await;
        assert!(end.is_err() || end.is_ok_and(|count| count == 0));
        destination
    };
    let (got, destination) = tokio::join!(serve, call);
    let holds = |word: &[u8]| got.windows(word.len()).any(|part| part == word);
    assert!(!holds(b"secret") && !holds(&destination.as_bytes()[..20]));
    assert_eq!(bridge.server.metrics().forwards_failed.get(), 1);
    bridge.stop().await;
}

#[tokio::test]
async fn named_certificates_are_the_only_ones_taken() {
    let (known, stranger) = (Identity::new(), Identity::new());
    for (shown, expected) in [(&known, true), (&stranger, false)] {
        let bridge =
            Bridge::configured(|config| config.forward_certs = vec![known.dir.join("cert.pem")]).await;
        let target = TcpListener::bind((std::net::Ipv4Addr::from(LOCAL), 0)).await.unwrap();
        let port = target.local_addr().unwrap().port();
        let acceptor = shown.acceptor();
        let serve = async {
            let (tcp, _) = target.accept().await.unwrap();
            match acceptor.accept(tcp).await {
                Ok(mut tls) => {
                    let _ = tls.write_all(b"hi").await;
                    let _ = tls.shutdown().await;
                }
                Err(error) => assert!(!expected, "{error}"),
            }
        };
        let call = async {
            let (_owner, _forward, mut connect, _) = forwarded(&bridge, port).await;
            let mut got = Vec::new();
            while matches!(connect.more().await, Ok(count) if count > 0) {}
            got.append(&mut connect.buffer);
            assert_eq!(got == b"hi", expected);
        };
        tokio::join!(serve, call);
        bridge.stop().await;
    }
}
