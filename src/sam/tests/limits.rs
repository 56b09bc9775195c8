// SPDX-License-Identifier: MIT
//! Bounds, timeouts and the life cycle of sessions.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::client::{Bridge, until};
use super::stand_in::{Network, StandIn};
use crate::base::{Part, Tasks};
use crate::sam::listen::Seat;
use crate::sam::socket::{Origin, Socket};
use crate::sam::{SamConfig, SamError, SamServer};

#[tokio::test]
async fn s1_a_bridge_never_opens_to_other_machines_by_accident() {
    let config = SamConfig::at(SocketAddr::from(([0, 0, 0, 0], 0)));
    let backend = StandIn::new(&Network::default(), 1);
    let error = SamServer::start(config, backend, &Tasks::new()).await.unwrap_err();
    assert!(matches!(error, SamError::Exposed(_)), "{error}");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let bridge = Bridge::start().await;
    let config = SamConfig::at(bridge.server.address().unwrap());
    let backend = StandIn::new(&Network::default(), 1);
    let error = SamServer::start(config, backend, &Tasks::new()).await.unwrap_err();
    assert!(error.to_string().contains(&bridge.server.address().unwrap().to_string()), "{error}");
    bridge.stop().await;
}

#[tokio::test]
async fn s8_too_many_sockets_are_told_so_and_room_is_made_again() {
    let bridge = Bridge::with(|limits| limits.sockets = 2).await;
    let one = bridge.client("3.1").await;
    let _two = bridge.client("3.1").await;
    let mut three = bridge.raw().await;
    assert_eq!(three.rest().await, b"HELLO REPLY RESULT=I2P_ERROR MESSAGE=\"too many connections\"\n");
    drop(one);
    until(|| bridge.server.metrics().sockets_open.get() == 1).await;
    let _four = bridge.client("3.1").await;
    bridge.stop().await;
}

#[tokio::test]
async fn s9_too_many_sessions_are_told_so() {
    let bridge = Bridge::with(|limits| limits.sessions = 1).await;
    let (_one, _) = bridge.session("one").await;
    let mut two = bridge.client("3.1").await;
    let reply = two.ask("SESSION CREATE STYLE=STREAM ID=two DESTINATION=TRANSIENT").await;
    assert_eq!(reply, "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"all 1 sessions of this router are in use\"");
    bridge.stop().await;
}

#[tokio::test]
async fn s7_silence_before_and_after_hello_ends() {
    let bridge = Bridge::with(|limits| {
        limits.hello_timeout = Duration::from_millis(100);
        limits.command_timeout = Duration::from_millis(100);
        limits.idle_timeout = Duration::from_millis(400);
    })
    .await;
    let mut mute = bridge.raw().await;
    let expected = b"HELLO REPLY RESULT=I2P_ERROR MESSAGE=\"no HELLO VERSION in time, bye\"\n";
    assert_eq!(mute.rest().await, expected);
    let mut half = bridge.raw().await;
    half.send(b"HELLO VERS").await;
    assert_eq!(half.rest().await, expected);
    let timeout = b"SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"command timeout, bye\"\n";
    assert_eq!(bridge.client("3.1").await.rest().await, timeout);
    let start = tokio::time::Instant::now();
    assert_eq!(bridge.client("3.2").await.rest().await, timeout);
    assert!(start.elapsed() >= Duration::from_millis(400));
    // A socket that owns a session may be silent for ever.
    let (mut owner, _) = bridge.session("owner").await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(owner.ask("PING").await, "PONG");
    bridge.stop().await;
}

#[tokio::test]
async fn a_build_that_takes_too_long_frees_its_id() {
    let bridge = Bridge::with(|limits| limits.session_timeout = Duration::from_millis(100)).await;
    let mut client = bridge.client("3.1").await;
    let reply = client.ask("SESSION CREATE STYLE=STREAM ID=never DESTINATION=TRANSIENT").await;
    assert!(reply.starts_with("SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"tunnel build timeout"), "{reply}");
    assert_eq!(bridge.server.sessions(), 0);
    let reply = client.ask("SESSION CREATE STYLE=STREAM ID=x DESTINATION=TRANSIENT").await;
    assert!(reply.starts_with("SESSION STATUS RESULT=OK"), "{reply}");
    bridge.stop().await;
}

#[tokio::test]
async fn commands_behind_a_create_wait_for_its_answer() {
    let bridge = Bridge::start().await;
    let mut client = bridge.client("3.1").await;
    client
        .send(b"SESSION CREATE STYLE=STREAM ID=slow DESTINATION=TRANSIENT\nPING 1\nNAMING LOOKUP NAME=ME\n")
        .await;
    assert!(client.line().await.starts_with("SESSION STATUS RESULT=OK"));
    assert_eq!(client.line().await, "PONG 1");
    assert!(client.line().await.starts_with("NAMING REPLY RESULT=OK NAME=ME"));
    bridge.stop().await;
}

#[tokio::test]
async fn s14_every_end_of_the_control_socket_ends_the_session() {
    let bridge = Bridge::start().await;
    for end in 0..4 {
        let (mut owner, destination) = bridge.session("a").await;
        let (mut connect, mut accept) = bridge.pair("a", &destination).await;
        let mut waiting = bridge.client("3.1").await;
        assert_eq!(waiting.ask("STREAM ACCEPT ID=a").await, "STREAM STATUS RESULT=OK");
        match end {
            0 => drop(owner),
            1 => owner.abort(),
            2 => assert_eq!(owner.ask("QUIT").await, "QUIT STATUS RESULT=OK MESSAGE=bye"),
            _ => {
                // A half-closed control socket is a closed one.
                socket2::SockRef::from(&owner.stream).shutdown(std::net::Shutdown::Write).unwrap();
                assert_eq!(owner.rest().await, b"");
            }
        }
        assert_eq!(waiting.rest().await, b"");
        while matches!(connect.more().await, Ok(count) if count > 0) {}
        while matches!(accept.more().await, Ok(count) if count > 0) {}
        until(|| bridge.server.sessions() == 0).await;
    }
    until(|| bridge.server.metrics().sockets_open.get() == 0).await;
    bridge.stop().await;
}

#[tokio::test]
async fn the_id_can_be_used_again_right_after_the_close() {
    let bridge = Bridge::with(|limits| limits.session_burst = 100).await;
    for _ in 0..20 {
        let (owner, _) = bridge.session("same").await;
        drop(owner);
    }
    bridge.stop().await;
}

#[tokio::test]
async fn s14_a_storm_of_closes_leaves_nothing_behind() {
    storm().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s14_a_storm_on_many_threads_leaves_nothing_behind() {
    storm().await;
}

async fn storm() {
    let bridge = Bridge::with(|limits| limits.session_burst = 100).await;
    for round in 0..5 {
        let (owner, destination) = bridge.session("storm").await;
        let mut clients = Vec::new();
        for _ in 0..20 {
            let (connect, accept) = bridge.pair("storm", &destination).await;
            clients.extend([connect, accept]);
            let mut waiting = bridge.client("3.1").await;
            waiting.send(b"STREAM ACCEPT ID=storm\n").await;
            // Its answer may or may not be read.
            if round % 2 == 0 {
                assert_eq!(waiting.line().await, "STREAM STATUS RESULT=OK");
            }
            drop(waiting);
        }
        if round % 2 == 0 {
            drop(owner);
            drop(clients);
        } else {
            drop(clients);
            drop(owner);
        }
        until(|| bridge.server.metrics().sockets_open.get() == 0).await;
        assert_eq!(bridge.server.sessions(), 0);
    }
    bridge.stop().await;
}

#[tokio::test]
async fn s9_sessions_beyond_the_burst_wait_for_their_turn() {
    let bridge = Bridge::with(|limits| {
        limits.session_burst = 2;
        limits.session_interval = Duration::from_millis(100);
    })
    .await;
    let start = tokio::time::Instant::now();
    let mut owners = Vec::new();
    for id in ["a", "b", "c", "d"] {
        owners.push(bridge.session(id).await);
    }
    assert!(start.elapsed() >= Duration::from_millis(180), "{:?}", start.elapsed());
    bridge.stop().await;
}

#[tokio::test]
async fn s11_nothing_is_forwarded_to_other_machines_unless_that_is_allowed() {
    const REFUSED: &str =
        "STREAM STATUS RESULT=I2P_ERROR MESSAGE=\"HOST must be loopback or your own address\"";
    for (allowed, answer) in [(false, REFUSED), (true, "STREAM STATUS RESULT=OK")] {
        let bridge = Bridge::with(|limits| limits.forward_anywhere = allowed).await;
        let (_owner, _) = bridge.session("f").await;
        for (host, answer) in [("10.0.0.1", answer), ("127.0.0.1", "STREAM STATUS RESULT=OK")] {
            let mut client = bridge.client("3.1").await;
            let reply = client.ask(&format!("STREAM FORWARD ID=f PORT=9 HOST={host}")).await;
            assert_eq!(reply, answer, "{host}, {allowed}");
            drop(client);
            until(|| bridge.server.metrics().sockets_open.get() == 1).await;
        }
        bridge.stop().await;
    }
}

#[tokio::test]
async fn s14_so_many_accepts_wait_and_one_more_is_refused() {
    let bridge = Bridge::with(|limits| limits.accepts = 3).await;
    let (_owner, _) = bridge.session("a").await;
    let mut waiting = Vec::new();
    for answer in ["OK", "OK", "OK", "I2P_ERROR MESSAGE=\"3 accepts are pending already\""] {
        let mut client = bridge.client("3.1").await;
        let reply = client.ask("STREAM ACCEPT ID=a").await;
        assert_eq!(reply, format!("STREAM STATUS RESULT={answer}"));
        waiting.push(client);
    }
    bridge.stop().await;
}

#[tokio::test]
async fn s8_256_clients_of_another_machine_and_1024_in_all_and_not_one_more() {
    let bridge = Bridge::start().await;
    let shared = bridge.server.shared();
    let (other, here) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([127, 0, 0, 1]));
    let held = shared.budget.used_by(Part::Sam);
    let mut seats: Vec<Seat> = (0..256).map_while(|_| Seat::take(&shared, other)).collect();
    assert_eq!(seats.len(), 256);
    assert!(Seat::take(&shared, other).is_none(), "one past the limit of an address");
    seats.extend((0..1_024 - 256).map_while(|_| Seat::take(&shared, here)));
    assert_eq!(seats.len(), 1_024, "this machine has no limit of its own");
    assert!(Seat::take(&shared, here).is_none(), "one past the limit of all");
    assert!(Seat::take(&shared, IpAddr::from([10, 0, 0, 2])).is_none());
    assert!(shared.budget.used_by(Part::Sam) > held, "each counts as memory");
    seats.truncate(1_023);
    seats.remove(0);
    assert!(Seat::take(&shared, other).is_some(), "and room again");
    drop(seats);
    assert_eq!((shared.metrics.sockets_open.get(), shared.budget.used_by(Part::Sam)), (0, held));
    bridge.stop().await;
}

#[tokio::test]
async fn s10_an_idle_client_costs_little() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let bridge = Bridge::start().await;
    let peer = stream.peer_addr().unwrap();
    let task = crate::sam::conn::run(Socket::from(stream), Origin::Net(peer), bridge.server.shared());
    let size = size_of_val(&task);
    assert!(size <= 4096, "{size} bytes for each client");
    drop(task);
    bridge.stop().await;
}

#[test]
fn s9_another_machine_may_have_32_sessions_and_all_together_100() {
    use crate::sam::options::CreateRequest;
    use crate::sam::parse::Line;
    use crate::sam::registry::{Conflict, Registry, SessionLimits};
    use crate::wire::DestHash;
    let registry = Registry::new(SessionLimits { total: 100, per_address: 32 });
    let mut held = Vec::new();
    let mut open = |n: u8, ip: [u8; 4]| {
        let line = format!("SESSION CREATE STYLE=STREAM ID=s{n} DESTINATION=TRANSIENT");
        let params = Line::new(line.as_bytes()).words().unwrap().unwrap().params;
        let request = CreateRequest::new(&params).unwrap();
        match registry.reserve(&request, DestHash([n; 32]), ip.into()) {
            Ok(reservation) => {
                held.push(reservation);
                true
            }
            Err(conflict) => {
                assert!(matches!(conflict, Conflict::Full(_)));
                false
            }
        }
    };
    assert!((0..32).all(|n| open(n, [10, 0, 0, 1])), "at the limit");
    assert!(!open(32, [10, 0, 0, 1]), "one past it");
    assert!((33..101).all(|n| open(n, [127, 0, 0, 1])), "this machine has no limit of its own");
    assert!(!open(101, [127, 0, 0, 1]) && !open(102, [10, 0, 0, 2]), "one past the limit of all");
    drop(held);
    assert_eq!(registry.len(), 0);
}
