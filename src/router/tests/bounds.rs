// SPDX-License-Identifier: MIT
//! Bounds that were lowered in the configuration of a router hold in its rooms: at the limit and one past it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::base::{Budget, Mono, Now, Rng};
use crate::crypto::sign::AnySigningKey;
use crate::crypto::{SigningKey, X25519Secret};
use crate::garlic::{self, Sessions};
use crate::netdb;
use crate::router::assembly::{builder_config, netdb_config, transport_config};
use crate::router::{Bounds, Router, RouterConfig};
use crate::stream::{ConnectOptions, Event, Table};
use crate::transport::{Class, LinkLimits, PeerSender, TransportConfig};
use crate::tunnel::build::Gate;
use crate::wire::i2cp_gzip::{self, Ports};
use crate::wire::{DestHash, Destination, I2np, I2npKind, KeysAndCert, MessageId, RouterHash, SigType};

const NOW: Now = Now { mono: Mono::from_secs(1_000), wall_ms: 1_767_225_600_000 };

fn config(lower: impl FnOnce(&mut Bounds)) -> RouterConfig {
    let mut config = RouterConfig { sam: None, net_id: 77, ..RouterConfig::default() };
    lower(&mut config.bounds);
    assert_eq!(config.validate(), Ok(()));
    config
}

/// Whether the other side leaves this connection open for a while.
async fn stays_open(socket: &mut TcpStream) -> bool {
    tokio::time::timeout(Duration::from_millis(400), socket.read(&mut [0; 16])).await.is_err()
}

/// How many of `dials` connections of one address a router with this configuration keeps.
async fn kept(config: RouterConfig, dials: usize) -> usize {
    kept_for(config, dials, Duration::ZERO).await
}

/// The same, after some time in which they say nothing.
async fn kept_for(config: RouterConfig, dials: usize, time: Duration) -> usize {
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let public = IpAddr::V4(Ipv4Addr::new(1, 2, 3, 4));
    let config = RouterConfig { host: vec![public], bind: vec![local], ..config };
    let router = Router::builder().config(config).start().await.unwrap();
    let mut sockets = Vec::new();
    for _ in 0..dials {
        // One that is refused may be closed before the call returns.
        sockets.extend(TcpStream::connect(router.listening()[0]).await);
    }
    tokio::time::sleep(time).await;
    let mut open = 0;
    for socket in &mut sockets {
        open += usize::from(stays_open(socket).await);
    }
    router.shutdown().await;
    open
}

#[tokio::test]
async fn n1_routers_in_one_process_have_bounds_of_their_own() {
    let (two, usual) =
        tokio::join!(kept(config(|b| b.links.handshakes_per_address = 2), 5), kept(config(|_| ()), 5));
    assert_eq!((two, usual), (2, 3));
    assert_eq!(kept(config(|b| b.links.connections_burst = 1), 3).await, 1);
}

#[tokio::test]
async fn n1_time_of_a_handshake() {
    let short =
        kept_for(config(|b| b.links.handshake_time = Duration::from_secs(1)), 2, Duration::from_secs(2));
    let (short, usual) = tokio::join!(short, kept_for(config(|_| ()), 2, Duration::from_secs(2)));
    assert_eq!((short, usual), (0, 2));
}

#[test]
fn n8_messages_for_a_peer_that_is_being_dialled() {
    for (config, most) in [(config(|b| b.links.link_queue_dialling = 5), 5), (config(|_| ()), 32)] {
        let transport = transport_config(&config, 0);
        let sender = PeerSender::new(Arc::default(), transport.queue(), &Budget::default());
        let message =
            |n: u32| I2np { kind: I2npKind::DATA, id: MessageId(n), expiration_ms: 0, body: vec![0; 100] };
        assert_eq!(sender.push(NOW, (0..most).map(message).collect(), Class::Own), 0);
        assert_eq!(sender.push(NOW, vec![message(most)], Class::Own), 1);
    }
}

#[test]
fn n8_memory_of_the_queue_to_a_peer() {
    for (config, kib) in [(config(|b| b.links.link_queue = 128 << 10), 128), (config(|_| ()), 1024)] {
        let transport = TransportConfig {
            links: LinkLimits { queue_dialling: 10_000, ..transport_config(&config, 0).links },
            ..transport_config(&config, 0)
        };
        let sender = PeerSender::new(Arc::default(), transport.queue(), &Budget::default());
        let message = |n: u32| I2np {
            kind: I2npKind::DATA,
            id: MessageId(n),
            expiration_ms: 0,
            body: vec![0; 1024 - 64],
        };
        assert_eq!(sender.push(NOW, (0..kib).map(message).collect(), Class::Own), 0);
        assert_eq!(sender.push(NOW, vec![message(kib)], Class::Own), 1);
        assert_eq!(sender.bytes(), kib as usize * 1024);
    }
}

#[test]
fn t2_requests_of_one_peer() {
    for (config, most) in [(config(|b| b.tunnels.requests_per_peer = 3), 3), (config(|_| ()), 27)] {
        let admission = builder_config(&config, &Budget::default()).admission;
        let mut gate = Gate::new(&admission, &mut Rng::from_seed(1));
        assert!((0..most).all(|_| gate.request(NOW.mono, &RouterHash([1; 32]))));
        assert!(!gate.request(NOW.mono, &RouterHash([1; 32])));
        assert!(admission.requests_per_peer.0 <= most, "the least is no more than the most");
    }
}

#[test]
fn t2_neighbours_that_are_counted() {
    let config = config(|b| b.tunnels.neighbours = 256);
    let mut gate = Gate::new(&builder_config(&config, &Budget::default()).admission, &mut Rng::from_seed(1));
    let peer = |n: u16| RouterHash([n.to_be_bytes(); 16].concat().try_into().unwrap());
    assert!((0..256).all(|n| gate.request(NOW.mono, &peer(n))));
    assert!(!gate.request(NOW.mono, &peer(256)));
    assert!(gate.request(NOW.mono, &peer(255)), "those that are counted already go on");
}

#[test]
fn z3_tables_of_what_a_small_memory_holds() {
    let tables = |memory_max, floodfill, lower: &dyn Fn(&mut RouterConfig)| {
        let mut config = RouterConfig { memory_max, floodfill, ..config(|_| ()) };
        lower(&mut config);
        let netdb = netdb_config(&config, RouterHash([1; 32]));
        (netdb.routers_max, netdb.lease_sets_max)
    };
    assert_eq!(tables(64, true, &|_| ()), (5_461, 8_192), "half and an eighth of 64 MiB");
    assert_eq!(tables(64, false, &|_| ()), (5_461, 4_000));
    assert_eq!(tables(256, false, &|_| ()), (6_000, 4_000), "the usual");
    assert_eq!(tables(256, true, &|_| ()), (21_845, 16_000));
    assert_eq!(tables(512, true, &|_| ()), (30_000, 16_000));
    let set = |c: &mut RouterConfig| (c.limits.known_routers, c.limits.lease_sets) = (9_000, 9_000);
    assert_eq!(tables(64, true, &set), (9_000, 9_000), "what is set is not doubted");
}

#[test]
fn d6_searches_at_once() {
    let config = config(|b| b.netdb.searches = 4);
    let me = RouterHash([1; 32]);
    let mut engine = netdb::Engine::new(netdb_config(&config, me), NOW, Rng::from_seed(1));
    let mut refused = |n: u8| {
        engine.handle(NOW, netdb::Input::FindRouter(RouterHash([n; 32])));
        std::iter::from_fn(|| engine.poll_action()).any(|a| matches!(a, netdb::Action::RouterNotFound(_)))
    };
    assert!((2..6).all(|n| !refused(n)));
    assert!(refused(6));
}

#[test]
fn g4_reply_tags() {
    let config = config(|b| b.garlic.reply_tags = 16);
    let mut rng = Rng::from_seed(1);
    let (key, limits) = (X25519Secret::random(&mut rng), config.destination_limits().garlic);
    let mut sessions = Sessions::new(key, DestHash([1; 32]), rng, limits);
    let mut knows = |tag: u8| {
        let body = [&[0, 0, 0, 60][..], &[tag; 8], &[9; 52]].concat();
        sessions.open(NOW, body).is_err_and(|e| e == garlic::Error::BadMac)
    };
    assert!(!knows(1), "a tag that nobody registered is none");
    for last in [16, 17] {
        let mut sessions = Sessions::new(
            X25519Secret::random(&mut Rng::from_seed(2)),
            DestHash([1; 32]),
            Rng::from_seed(3),
            limits,
        );
        for tag in 1..=last {
            sessions.register_reply_tag([tag; 8], [7; 32], NOW.mono + Duration::from_secs(tag.into()));
        }
        let body = [&[0, 0, 0, 60][..], &[1; 8], &[9; 52]].concat();
        let first_is_known = sessions.open(NOW, body).is_err_and(|e| e == garlic::Error::BadMac);
        assert_eq!(first_is_known, last == 16, "{last}");
    }
}

fn table(seed: u64, config: &RouterConfig) -> (Table, DestHash) {
    let mut rng = Rng::from_seed(seed);
    let key = SigningKey::random(&mut rng);
    let keys = KeysAndCert::build(SigType::Ed25519, &key.public(), 0, &[], rng.bytes());
    let local = Destination::new(keys);
    let hash = local.hash();
    let key: Arc<AnySigningKey> = Arc::new(key.into());
    (Table::new(local, key, None, config.destination_limits().streams, rng), hash)
}

#[test]
fn r1_streams_that_nobody_has_accepted() {
    for (config, dials, refused) in [
        (config(|b| b.streams.backlog = 2), 3, 1),
        (config(|b| b.streams.backlog_per_peer = 1), 3, 2),
        (config(|_| ()), 3, 0),
    ] {
        let ((mut client, from), (mut server, to)) = (table(1, &config), table(2, &config));
        server.listen(0);
        for n in 1..=dials {
            let ports = Ports { from: 0, to: 0 };
            client.connect(NOW, to, ports, ConnectOptions::default()).unwrap();
            let syn = client.poll_packet(NOW).unwrap();
            let packet = i2cp_gzip::decode(&syn.bytes, 64 * 1024).unwrap();
            server.handle_packet(NOW, Some(from), packet.ports, &packet.data);
            assert!(server.metrics().syns_refused.get() == 0 || n > dials - refused);
        }
        assert_eq!(server.metrics().syns_refused.get(), refused);
    }
}

/// Takes what `here`, whose hash is `from`, sends to `there`.
fn carry(now: Now, here: &mut Table, there: &mut Table, from: DestHash) {
    while let Some(packet) = here.poll_packet(now) {
        let packet = i2cp_gzip::decode(&packet.bytes, 64 * 1024).unwrap();
        there.handle_packet(now, Some(from), packet.ports, &packet.data);
    }
    if here.poll_timeout().is_some_and(|at| at <= now.mono) {
        here.handle_timeout(now);
    }
}

#[test]
fn r2_what_nobody_reads_and_what_is_not_sent() {
    let config = config(|b| (b.streams.unread, b.streams.unsent) = (64 << 10, 16 << 10));
    let ((mut client, from), (mut server, to)) = (table(1, &config), table(2, &config));
    server.listen(0);
    let stream = client.connect(NOW, to, Ports { from: 0, to: 0 }, ConnectOptions::default()).unwrap();
    assert_eq!(client.write(NOW, stream, vec![0; 20_000].into()), 16 << 10);
    assert_eq!(client.write(NOW, stream, vec![0; 1].into()), 0);
    let (mut now, mut taken) = (NOW, None);
    for _ in 0..2_000 {
        now = now.later(Duration::from_millis(5));
        client.write(now, stream, vec![0; 1 << 20].into());
        carry(now, &mut client, &mut server, from);
        carry(now, &mut server, &mut client, to);
        while let Some(event) = server.poll_event() {
            if let Event::Incoming { id, .. } = event {
                taken = server.accept(now, id).then_some(id);
            }
        }
    }
    let unread = server.readable(taken.unwrap());
    assert!((60_000..=64 << 10).contains(&unread), "{unread}");
}

#[tokio::test]
async fn s5_a_line_before_hello() {
    let config = config(|b| b.sam.line_before_hello = 200);
    let at = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let config = RouterConfig { sam: at, sam_udp: at, sam_spare: false, ..config };
    let router = Router::builder().config(config).start().await.unwrap();
    for (length, good) in [(200, true), (201, false)] {
        let mut client = TcpStream::connect(router.sam_addr().unwrap()).await.unwrap();
        let line =
            format!("{:<width$}\n", "HELLO VERSION MIN=3.1 MAX=3.3 X=", width = length).replace("X= ", "X=x");
        client.write_all(line.as_bytes()).await.unwrap();
        let mut answer = vec![0; 100];
        let count = client.read(&mut answer).await.unwrap_or(0);
        assert_eq!(answer[..count].starts_with(b"HELLO REPLY RESULT=OK"), good, "{length}");
    }
    router.shutdown().await;
}

#[tokio::test]
async fn s5_a_client_that_says_nothing() {
    let at = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    for (config, open) in
        [(config(|b| b.sam.hello_time = Duration::from_secs(1)), false), (config(|_| ()), true)]
    {
        let config = RouterConfig { sam: at, sam_udp: at, sam_spare: false, ..config };
        let router = Router::builder().config(config).start().await.unwrap();
        let mut client = TcpStream::connect(router.sam_addr().unwrap()).await.unwrap();
        assert!(stays_open(&mut client).await, "before its time");
        let patience = Duration::from_secs(if open { 2 } else { 20 });
        let mut answer = Vec::new();
        let end = tokio::time::timeout(patience, client.read_to_end(&mut answer)).await;
        assert_eq!(end.is_err(), open);
        router.shutdown().await;
    }
}
