// SPDX-License-Identifier: MIT
//! Streams over the bridge: bytes, ends, resets, who gets which peer, forwards.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::client::{Bridge, Client, until};

fn pattern(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn half_close(client: &Client) {
    socket2::SockRef::from(&client.stream).shutdown(std::net::Shutdown::Write).unwrap();
}

#[tokio::test]
async fn both_ways_at_once_every_byte_arrives_and_nothing_is_cut_at_the_close() {
    both_ways().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_holds_on_many_threads() {
    both_ways().await;
}

async fn both_ways() {
    let bridge = Bridge::start().await;
    let (_owner, destination) = bridge.session("a").await;
    let (connect, accept) = bridge.pair("a", &destination).await;
    let (up, down) = (pattern(5 << 20, 1), pattern(3 << 20, 2));
    let side = |client: Client, data: Vec<u8>| async move {
        let (mut read, mut write) = client.stream.into_split();
        let mut got = client.buffer;
        let send = async {
            write.write_all(&data).await.unwrap();
            write.shutdown().await.unwrap();
        };
        let (_, _) = tokio::join!(send, async { read.read_to_end(&mut got).await.unwrap() });
        got
    };
    let (at_connect, at_accept) = tokio::join!(side(connect, up.clone()), side(accept, down.clone()));
    assert!(at_accept == up && at_connect == down);
    until(|| bridge.server.metrics().sockets_open.get() == 1).await;
    bridge.stop().await;
}

#[tokio::test]
async fn s15_a_client_that_closes_right_after_writing_loses_nothing() {
    let bridge = Bridge::start().await;
    let (_owner, destination) = bridge.session("a").await;
    for _ in 0..5 {
        let (mut connect, mut accept) = bridge.pair("a", &destination).await;
        let data = pattern(1 << 20, 3);
        let (_, got) = tokio::join!(
            async {
                connect.send(&data).await;
                drop(connect);
            },
            async {
                // A slow reader, so that the close overtakes the bytes.
                tokio::time::sleep(Duration::from_millis(50)).await;
                accept.rest().await
            }
        );
        assert!(got == data);
    }
    bridge.stop().await;
}

#[tokio::test]
async fn s15_a_reset_by_the_client_still_delivers_what_was_read() {
    let bridge = Bridge::start().await;
    let (_owner, destination) = bridge.session("a").await;
    let (mut connect, mut accept) = bridge.pair("a", &destination).await;
    connect.send(b"last words").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    connect.abort();
    assert_eq!(accept.rest().await, b"last words");
    bridge.stop().await;
}

#[tokio::test]
async fn s6_a_reader_that_stops_stops_its_writer_and_nothing_else() {
    let bridge = Bridge::start().await;
    let (_owner, destination) = bridge.session("a").await;
    let (mut connect, accept) = bridge.pair("a", &destination).await;
    let chunk = vec![7; 64 * 1024];
    let mut sent = 0usize;
    while let Ok(result) =
        tokio::time::timeout(Duration::from_millis(300), connect.stream.write(&chunk)).await
    {
        sent += result.unwrap();
        assert!(sent < 64 << 20, "nothing holds the writer back");
    }
    let (mut other, mut end) = bridge.pair("a", &destination).await;
    other.send(b"still alive").await;
    half_close(&other);
    assert_eq!(end.rest().await, b"still alive");
    half_close(&connect);
    let mut accept = accept;
    let mut got = accept.buffer.len();
    accept.buffer.clear();
    while accept.more().await.unwrap() > 0 {
        got += accept.buffer.len();
        accept.buffer.clear();
    }
    assert_eq!(got, sent);
    bridge.stop().await;
}

#[tokio::test]
async fn accepts_are_served_in_the_order_they_came_and_there_may_be_many() {
    let bridge = Bridge::start().await;
    let (_owner, destination) = bridge.session("a").await;
    let mut accepts = Vec::new();
    for _ in 0..80 {
        let mut accept = bridge.client("3.1").await;
        assert_eq!(accept.ask("STREAM ACCEPT ID=a").await, "STREAM STATUS RESULT=OK");
        accepts.push(accept);
    }
    for (number, mut accept) in accepts.into_iter().enumerate() {
        let mut connect = bridge.client("3.1").await;
        assert_eq!(
            connect.ask(&format!("STREAM CONNECT ID=a DESTINATION={destination}")).await,
            "STREAM STATUS RESULT=OK"
        );
        connect.send(format!("{number}\n").as_bytes()).await;
        assert_eq!(accept.line().await, destination);
        assert_eq!(accept.line().await, number.to_string());
    }
    bridge.stop().await;
}

#[tokio::test]
async fn a_peer_never_goes_to_an_accept_whose_client_has_gone() {
    let bridge = Bridge::start().await;
    let (_owner, destination) = bridge.session("a").await;
    for reset in [false, true] {
        let mut gone = bridge.client("3.1").await;
        assert_eq!(gone.ask("STREAM ACCEPT ID=a").await, "STREAM STATUS RESULT=OK");
        let mut next = bridge.client("3.1").await;
        assert_eq!(next.ask("STREAM ACCEPT ID=a").await, "STREAM STATUS RESULT=OK");
        let before = bridge.server.metrics().sockets_open.get();
        if reset {
            gone.abort();
        } else {
            drop(gone);
        }
        until(|| bridge.server.metrics().sockets_open.get() < before).await;
        let mut connect = bridge.client("3.1").await;
        connect.ask(&format!("STREAM CONNECT ID=a DESTINATION={destination}")).await;
        assert_eq!(next.line().await, destination);
    }
    bridge.stop().await;
}

#[tokio::test]
async fn peers_that_come_before_an_accept_wait_for_it_with_their_bytes() {
    let bridge = Bridge::start().await;
    let (_owner, destination) = bridge.session("a").await;
    let mut connect = bridge.client("3.1").await;
    let command = format!("STREAM CONNECT ID=a DESTINATION={destination}\nearly payload");
    connect.send(command.as_bytes()).await;
    assert_eq!(connect.line().await, "STREAM STATUS RESULT=OK");
    half_close(&connect);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut accept = bridge.client("3.2").await;
    // Payload behind ACCEPT waits for the peer as well.
    accept.send(b"STREAM ACCEPT ID=a\nhello").await;
    assert_eq!(accept.line().await, "STREAM STATUS RESULT=OK");
    assert_eq!(accept.line().await, format!("{destination} FROM_PORT=0 TO_PORT=0"));
    half_close(&accept);
    assert_eq!(accept.rest().await, b"early payload");
    assert_eq!(connect.rest().await, b"hello");
    bridge.stop().await;
}

#[tokio::test]
async fn s15_silent_streams_carry_nothing_but_payload() {
    let bridge = Bridge::start().await;
    let (_owner, destination) = bridge.session("a").await;
    let mut accept = bridge.client("3.3").await;
    accept.send(b"STREAM ACCEPT ID=a SILENT=true\n").await;
    let mut connect = bridge.client("3.3").await;
    connect.send(format!("STREAM CONNECT ID=a DESTINATION={destination} SILENT=true\nping").as_bytes()).await;
    half_close(&connect);
    assert_eq!(accept.rest().await, b"ping");
    accept.send(b"pong").await;
    drop(accept);
    assert_eq!(connect.rest().await, b"pong");
    bridge.stop().await;
}

#[tokio::test]
async fn an_unanswered_connect_times_out_with_its_own_code() {
    let bridge = Bridge::with(|limits| limits.connect_timeout = Duration::from_millis(100)).await;
    let (_owner, destination) = bridge.session("mute").await;
    let mut connect = bridge.client("3.1").await;
    let reply = connect.ask(&format!("STREAM CONNECT ID=mute DESTINATION={destination}")).await;
    assert!(reply.starts_with("STREAM STATUS RESULT=TIMEOUT MESSAGE="), "{reply}");
    assert_eq!(connect.rest().await, b"");
    bridge.stop().await;
}

#[tokio::test]
async fn a_session_that_ends_during_a_connect_answers_it() {
    let bridge = Bridge::start().await;
    let (owner, destination) = bridge.session("mute").await;
    let mut connect = bridge.client("3.1").await;
    connect.send(format!("STREAM CONNECT ID=mute DESTINATION={destination}\n").as_bytes()).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(owner);
    let reply = connect.line().await;
    assert!(reply.starts_with("STREAM STATUS RESULT=I2P_ERROR MESSAGE="), "{reply}");
    bridge.stop().await;
}

#[tokio::test]
async fn s15_after_the_peers_close_a_client_may_go_on_sending() {
    let bridge = Bridge::start().await;
    let (_owner, destination) = bridge.session("a").await;
    let (mut connect, mut accept) = bridge.pair("a", &destination).await;
    half_close(&accept);
    assert_eq!(connect.rest().await, b"");
    connect.send(b"one more thing").await;
    half_close(&connect);
    assert_eq!(accept.rest().await, b"one more thing");
    bridge.stop().await;
}

#[tokio::test]
async fn a_forward_connects_every_peer_to_the_clients_server() {
    let bridge = Bridge::start().await;
    let (owner, destination) = bridge.session("a").await;
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    let mut forward = bridge.client("3.3").await;
    assert_eq!(forward.ask(&format!("STREAM FORWARD ID=a PORT={port}")).await, "STREAM STATUS RESULT=OK");

    let mut ends = Vec::new();
    for number in 0..3 {
        let mut connect = bridge.client("3.1").await;
        let line = format!("STREAM CONNECT ID=a DESTINATION={destination} TO_PORT={number}");
        assert_eq!(connect.ask(&line).await, "STREAM STATUS RESULT=OK");
        connect.send(b"request").await;
        let (stream, _) = server.accept().await.unwrap();
        let mut inside = Client { stream, buffer: Vec::new() };
        assert_eq!(inside.line().await, format!("{destination} FROM_PORT=0 TO_PORT={number}"));
        ends.push((connect, inside));
    }
    // The forward ends, its streams live on, and accepts are possible again.
    drop(forward);
    until(|| bridge.server.metrics().sockets_open.get() == 4).await;
    for (connect, inside) in &mut ends {
        half_close(connect);
        assert_eq!(inside.rest().await, b"request");
        inside.send(b"answer").await;
        half_close(inside);
        assert_eq!(connect.rest().await, b"answer");
    }
    let (mut connect, mut accept) = bridge.pair("a", &destination).await;
    drop(owner);
    while matches!(connect.more().await, Ok(count) if count > 0) {}
    while matches!(accept.more().await, Ok(count) if count > 0) {}
    bridge.stop().await;
}

#[tokio::test]
async fn a_silent_forward_begins_with_the_payload() {
    let bridge = Bridge::start().await;
    let (_owner, destination) = bridge.session("a").await;
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    let mut forward = bridge.client("3.1").await;
    let line = format!("STREAM FORWARD ID=a PORT={port} HOST=127.0.0.1 SILENT=true");
    assert_eq!(forward.ask(&line).await, "STREAM STATUS RESULT=OK");
    let mut connect = bridge.client("3.1").await;
    connect.ask(&format!("STREAM CONNECT ID=a DESTINATION={destination}")).await;
    connect.send(b"bare").await;
    half_close(&connect);
    let (stream, _) = server.accept().await.unwrap();
    let mut inside = Client { stream, buffer: Vec::new() };
    assert_eq!(inside.rest().await, b"bare");
    bridge.stop().await;
}

#[tokio::test]
async fn a_forward_to_a_dead_port_resets_the_peer() {
    let bridge = Bridge::start().await;
    let (_owner, destination) = bridge.session("a").await;
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let mut forward = bridge.client("3.1").await;
    assert_eq!(forward.ask(&format!("STREAM FORWARD ID=a PORT={dead}")).await, "STREAM STATUS RESULT=OK");
    let mut connect = bridge.client("3.1").await;
    connect.ask(&format!("STREAM CONNECT ID=a DESTINATION={destination}")).await;
    let error = connect.more().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(bridge.server.metrics().forwards_failed.get(), 1);
    bridge.stop().await;
}
