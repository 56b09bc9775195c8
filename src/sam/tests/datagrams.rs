// SPDX-License-Identifier: MIT
//! Datagrams by UDP and on the control socket.

use tokio::net::UdpSocket;

use super::client::{Bridge, Udp, until};

#[tokio::test]
async fn every_style_crosses_by_udp_in_both_directions() {
    let bridge = Bridge::start().await;
    for (style, version, head) in [
        ("DATAGRAM", "3.3", "{from} FROM_PORT=5 TO_PORT=7\n"),
        ("DATAGRAM", "3.1", "{from}\n"),
        ("DATAGRAM2", "3.3", "{from} FROM_PORT=5 TO_PORT=7\n"),
        ("DATAGRAM3", "3.3", "{hash} FROM_PORT=5 TO_PORT=7\n"),
        ("RAW", "3.3", ""),
        ("RAW HEADER=true", "3.3", "FROM_PORT=5 TO_PORT=7 PROTOCOL=18\n"),
        ("RAW HEADER=true PROTOCOL=99", "3.2", "FROM_PORT=5 TO_PORT=7 PROTOCOL=99\n"),
        ("RAW HEADER=true", "3.1", ""),
        ("RAW HEADER=false", "3.3", ""),
    ] {
        let udp = Udp::open().await;
        let rest = format!("PORT={} HOST=127.0.0.1 FROM_PORT=5 TO_PORT=6", udp.port());
        let (_owner, mine) = bridge.open(version, style, "d", &rest).await;
        let known = crate::wire::Destination::from_base64(&mine).unwrap();
        let hash = crate::wire::b64::encode(&known.hash().0);
        let expected = head.replace("{from}", &mine).replace("{hash}", &hash);
        udp.send(&bridge, format!("3.0 d {mine} TO_PORT=7\nhello")).await;
        let (bytes, from) = udp.next().await;
        assert_eq!(String::from_utf8(bytes).unwrap(), format!("{expected}hello"), "{style} {version}");
        assert_eq!(Some(from), bridge.server.udp_address(), "not from the port that clients know");
        udp.send(&bridge, format!("3.3 d {}\nby name", known.b32())).await;
        assert!(udp.text().await.ends_with("by name"));
        udp.send(&bridge, format!("3.3 d {hash}\nby hash")).await;
        assert!(udp.text().await.ends_with("by hash"));
        udp.send(&bridge, "3.3 d ME\nto me").await;
        assert!(udp.text().await.ends_with("to me"));
    }
    bridge.stop().await;
}

#[tokio::test]
async fn the_port_alone_means_the_client_itself() {
    let bridge = Bridge::start().await;
    for host in ["", "HOST=localhost", "HOST=127.0.0.2", "HOST=[127.0.0.1]"] {
        let udp = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        let rest = format!("PORT={} {host}", udp.local_addr().unwrap().port());
        let (_owner, mine) = bridge.open("3.3", "RAW", "r", &rest).await;
        let udp = Udp(udp);
        udp.0
            .send_to(format!("3.0 r {mine}\nx").as_bytes(), bridge.server.udp_address().unwrap())
            .await
            .unwrap();
        assert_eq!(udp.text().await, "x", "{host}");
    }
    let mut client = bridge.client("3.3").await;
    for (rest, why) in [
        ("PORT=9000 HOST=10.0.0.1", "HOST must be loopback or your own address"),
        ("PORT=9000 HOST=x.i2p", "HOST must be an IP address or the name of a machine"),
        ("PORT=9000 HOST=nosuch.invalid", "HOST is not known to the system; give an IP address"),
        ("PORT=0", "PORT must be a number from 1 to 65535"),
        ("PORT=65536", "PORT must be a number from 1 to 65535"),
        ("PORT=x", "PORT must be a number from 1 to 65535"),
    ] {
        let line = format!("SESSION CREATE STYLE=DATAGRAM ID=r DESTINATION=TRANSIENT {rest}");
        let reply = client.ask(&line).await;
        assert_eq!(reply, format!("SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"{why}\""));
    }
    assert_eq!(bridge.server.sessions(), 0);
    bridge.stop().await;
}

#[tokio::test]
async fn s3_bad_datagrams_are_dropped_without_a_word_and_counted() {
    let bridge = Bridge::start().await;
    let udp = Udp::open().await;
    let rest = format!("PORT={}", udp.port());
    let (_owner, mine) = bridge.open("3.3", "DATAGRAM", "d", &rest).await;
    let (_stream, _) = bridge.session("s").await;
    let big = format!("3.3 d {mine}\n{}", "x".repeat(31_745));
    let metrics = bridge.server.metrics();
    let rows: [(String, &crate::base::Counter, u64); 11] = [
        ("no line".into(), &metrics.udp_dropped_malformed, 1),
        (format!("2.0 d {mine}\nx"), &metrics.udp_dropped_malformed, 2),
        (format!("3.3 d {mine} TO_PORT=65536\nx"), &metrics.udp_dropped_malformed, 3),
        (String::new(), &metrics.udp_dropped_malformed, 4),
        (format!("3.3 nosuch {mine}\nx"), &metrics.udp_dropped_session, 1),
        (format!("3.3 s {mine}\nx"), &metrics.udp_dropped_session, 2),
        ("3.3 d junk!\nx".into(), &metrics.udp_dropped_destination, 1),
        ("3.3 d nosuch.i2p\nx".into(), &metrics.udp_dropped_destination, 2),
        (format!("3.3 d {mine}\n"), &metrics.udp_dropped_size, 1),
        (big, &metrics.udp_dropped_size, 2),
        (format!("3.3 d {}\nx", "a".repeat(16_384)), &metrics.udp_dropped_malformed, 5),
    ];
    for (datagram, counter, count) in rows {
        udp.send(&bridge, &datagram).await;
        until(|| counter.get() == count).await;
    }
    // Nothing came of all that, and the next good one passes, as large as may be.
    udp.send(&bridge, format!("3.3 d {mine}\n{}", "x".repeat(31_744))).await;
    assert_eq!(udp.text().await.len(), mine.len() + " FROM_PORT=0 TO_PORT=0\n".len() + 31_744);
    bridge.stop().await;
}

#[tokio::test]
async fn s3_a_datagram_from_another_address_is_dropped() {
    let bridge = Bridge::start().await;
    let udp = Udp::open().await;
    let (_owner, mine) = bridge.open("3.3", "RAW", "r", &format!("PORT={}", udp.port())).await;
    let other = Udp(UdpSocket::bind("127.0.0.2:0").await.unwrap());
    other.send(&bridge, format!("3.3 r {mine}\nx")).await;
    until(|| bridge.server.metrics().udp_dropped_foreign.get() == 1).await;
    bridge.stop().await;
}

#[tokio::test]
async fn a_raw_session_takes_no_datagrams_of_other_formats() {
    let bridge = Bridge::start().await;
    let udp = Udp::open().await;
    let (_raw, mine) = bridge.open("3.3", "RAW", "r", &format!("PORT={} HEADER=true", udp.port())).await;
    let mut others = Vec::new();
    for style in ["DATAGRAM", "DATAGRAM2", "DATAGRAM3"] {
        others.push(bridge.open("3.3", style, style, "").await);
        udp.send(&bridge, format!("3.3 {style} {mine}\nx")).await;
    }
    until(|| bridge.server.metrics().datagrams_dropped_format.get() == 3).await;
    udp.send(&bridge, format!("3.3 r {mine} PROTOCOL=99\nx")).await;
    assert_eq!(udp.text().await, "FROM_PORT=0 TO_PORT=0 PROTOCOL=99\nx");
    bridge.stop().await;
}

#[tokio::test]
async fn a_session_without_room_drops_what_comes_by_udp() {
    let bridge = Bridge::start().await;
    let udp = Udp::open().await;
    let (_owner, mine) = bridge.open("3.3", "RAW", "full", &format!("PORT={}", udp.port())).await;
    udp.send(&bridge, format!("3.3 full {mine}\nx")).await;
    until(|| bridge.server.metrics().udp_dropped_full.get() == 1).await;
    bridge.stop().await;
}

#[tokio::test]
async fn a_client_that_cannot_be_reached_costs_only_its_own_datagrams() {
    let bridge = Bridge::start().await;
    let udp = Udp::open().await;
    let port = { Udp::open().await.port() };
    let (_gone, gone) = bridge.open("3.3", "RAW", "gone", &format!("PORT={port}")).await;
    let (_here, here) = bridge.open("3.3", "RAW", "here", &format!("PORT={}", udp.port())).await;
    for _ in 0..20 {
        udp.send(&bridge, format!("3.3 here {gone}\nlost")).await;
        udp.send(&bridge, format!("3.3 gone {here}\nfound")).await;
        assert_eq!(udp.text().await, "found");
    }
    bridge.stop().await;
}

#[tokio::test]
async fn datagrams_come_and_go_on_the_control_socket() {
    let bridge = Bridge::start().await;
    let (mut raw, mine) = bridge.open("3.3", "RAW", "r", "").await;
    raw.send(
        format!("RAW SEND DESTINATION={mine} SIZE=6 FROM_PORT=3 PROTOCOL=200 ID=x\nQUIT\nxPING\n").as_bytes(),
    )
    .await;
    // The payload is no command, whatever it looks like; the answer to PING may come first.
    let (mut lines, mut payload) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let line = raw.line().await;
        if line.starts_with("RAW RECEIVED") {
            payload = raw.bytes(6).await;
        }
        lines.push(line);
    }
    lines.sort();
    assert_eq!(lines, ["PONG", "RAW RECEIVED SIZE=6 FROM_PORT=3 TO_PORT=0 PROTOCOL=200"]);
    assert_eq!(payload, b"QUIT\nx");

    let (mut datagram, mine) = bridge.open("3.1", "DATAGRAM", "d", "HOST=10.1.2.3").await;
    datagram.send(format!("DATAGRAM SEND DESTINATION={mine} SIZE=3\nabc").as_bytes()).await;
    assert_eq!(datagram.line().await, format!("DATAGRAM RECEIVED DESTINATION={mine} SIZE=3"));
    assert_eq!(datagram.bytes(3).await, b"abc");
    bridge.stop().await;
}

#[tokio::test]
async fn what_cannot_be_sent_is_said_and_read_over() {
    let bridge = Bridge::start().await;
    let (mut client, mine) = bridge.open("3.3", "DATAGRAM", "d", "").await;
    for (line, size, reply) in [
        (
            "RAW SEND DESTINATION=x",
            5,
            "RAW STATUS RESULT=I2P_ERROR MESSAGE=\"RAW SEND in a DATAGRAM session\"",
        ),
        (
            "DATAGRAM SEND DESTINATION=x",
            0,
            "DATAGRAM STATUS RESULT=I2P_ERROR MESSAGE=\"SIZE must be 1 to 31744 for DATAGRAM\"",
        ),
        (
            "DATAGRAM SEND DESTINATION=x",
            31_745,
            "DATAGRAM STATUS RESULT=I2P_ERROR MESSAGE=\"SIZE must be 1 to 31744 for DATAGRAM\"",
        ),
        (
            "DATAGRAM SEND DESTINATION=x",
            65_536,
            "DATAGRAM STATUS RESULT=I2P_ERROR MESSAGE=\"SIZE must be 1 to 31744 for DATAGRAM\"",
        ),
        (
            "DATAGRAM SEND DESTINATION=x!",
            5,
            "DATAGRAM STATUS RESULT=INVALID_KEY MESSAGE=\"not a destination or name\"",
        ),
        ("DATAGRAM SEND", 5, "DATAGRAM STATUS RESULT=I2P_ERROR MESSAGE=\"DESTINATION not specified\""),
        (
            "DATAGRAM SEND DESTINATION=ME TO_PORT=65536",
            5,
            "DATAGRAM STATUS RESULT=I2P_ERROR MESSAGE=\"TO_PORT must be a number from 0 to 65535\"",
        ),
    ] {
        client.send(format!("{line} SIZE={size}\n{}", "\n".repeat(size)).as_bytes()).await;
        assert_eq!(client.line().await, reply);
        assert_eq!(client.ask("PING").await, "PONG", "{line}");
    }
    // A peer that does not exist is no error.
    let nobody = bridge.open("3.3", "DATAGRAM", "n", "").await.1;
    client.send(format!("DATAGRAM SEND DESTINATION={nobody} SIZE=5\nhello").as_bytes()).await;
    assert_eq!(client.ask("PING").await, "PONG");
    client.send(format!("DATAGRAM SEND DESTINATION={mine} SIZE=65537\n").as_bytes()).await;
    let expected = "DATAGRAM STATUS RESULT=I2P_ERROR MESSAGE=\"SIZE must be 1 to 31744 for DATAGRAM\"\n";
    assert_eq!(client.rest().await, expected.as_bytes());
    // Without a session, and with one for streams.
    let mut none = bridge.client("3.3").await;
    none.send(b"DATAGRAM SEND DESTINATION=x SIZE=4\nQUIT").await;
    assert!(
        none.line()
            .await
            .starts_with("DATAGRAM STATUS RESULT=I2P_ERROR MESSAGE=\"DATAGRAM SEND needs a session")
    );
    let (mut stream, _) = bridge.session("s").await;
    stream.send(b"DATAGRAM SEND DESTINATION=x SIZE=4\nQUITPING\n").await;
    assert!(stream.line().await.ends_with("\"DATAGRAM SEND in a STREAM session\""));
    assert_eq!(stream.line().await, "PONG");
    none.send(b"DATAGRAM SEND DESTINATION=x\n").await;
    assert!(none.line().await.contains("SIZE must be the number"));
    assert_eq!(none.rest().await, b"");
    bridge.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_still_has_its_commands_obeyed() {
    let bridge = Bridge::start().await;
    let (mut client, mine) = bridge.open("3.3", "RAW", "r", "").await;
    let (mut other, theirs) = bridge.open("3.3", "RAW", "o", "").await;
    // Far more than sockets and queues hold; nobody reads on this side.
    let payload = vec![b'x'; 30_000];
    for _ in 0..1000 {
        client.send(format!("RAW SEND DESTINATION={mine} SIZE={}\n", payload.len()).as_bytes()).await;
        client.send(&payload).await;
    }
    client.send(format!("RAW SEND DESTINATION={theirs} SIZE=4\ndone").as_bytes()).await;
    assert_eq!(other.line().await, "RAW RECEIVED SIZE=4 FROM_PORT=0 TO_PORT=0 PROTOCOL=18");
    assert_eq!(other.bytes(4).await, b"done");
    // What was delivered is whole, one after the other.
    for _ in 0..20 {
        assert_eq!(client.line().await, "RAW RECEIVED SIZE=30000 FROM_PORT=0 TO_PORT=0 PROTOCOL=18");
        assert!(client.bytes(30_000).await.iter().all(|byte| *byte == b'x'));
    }
    bridge.stop().await;
}

#[tokio::test]
async fn answers_and_datagrams_never_mix() {
    let bridge = Bridge::start().await;
    let (mut client, mine) = bridge.open("3.3", "RAW", "r", "").await;
    let udp = Udp::open().await;
    let mut pongs = 0;
    for round in 0..200 {
        udp.send(&bridge, format!("3.3 r {mine}\nRAW RECEIVED SIZE=1\n{round:03}")).await;
        client.send(format!("PING {round}\n").as_bytes()).await;
    }
    while pongs < 200 {
        let line = client.line().await;
        if line.starts_with("RAW RECEIVED") {
            assert_eq!(line, "RAW RECEIVED SIZE=23 FROM_PORT=0 TO_PORT=0 PROTOCOL=18");
            assert!(client.bytes(23).await.starts_with(b"RAW RECEIVED SIZE=1\n"));
        } else {
            assert_eq!(line, format!("PONG {pongs}"));
            pongs += 1;
        }
    }
    assert_eq!(client.ask("QUIT").await, "QUIT STATUS RESULT=OK MESSAGE=bye");
    assert_eq!(client.rest().await, b"");
    bridge.stop().await;
}

#[tokio::test]
async fn the_end_of_a_session_ends_its_datagrams_and_frees_its_id() {
    let bridge = Bridge::with(|limits| limits.session_burst = 100).await;
    let udp = Udp::open().await;
    for round in 0..10 {
        let rest = if round % 2 == 0 { format!("PORT={}", udp.port()) } else { String::new() };
        let (owner, mine) = bridge.open("3.3", "DATAGRAM2", "same", &rest).await;
        udp.send(&bridge, format!("3.3 same {mine}\nx")).await;
        if round % 2 == 0 {
            assert!(udp.text().await.ends_with("\nx"));
        }
        drop(owner);
        until(|| bridge.server.sessions() == 0).await;
    }
    let before = bridge.server.metrics().udp_dropped_session.get();
    udp.send(&bridge, "3.3 same x.i2p\nx").await;
    until(|| bridge.server.metrics().udp_dropped_session.get() == before + 1).await;
    until(|| bridge.server.metrics().sockets_open.get() == 0).await;
    bridge.stop().await;
}

#[tokio::test]
async fn stream_commands_refuse_a_datagram_session() {
    let bridge = Bridge::start().await;
    let (_owner, mine) = bridge.open("3.3", "RAW", "r", "").await;
    for command in [&format!("CONNECT ID=r DESTINATION={mine}"), "ACCEPT ID=r", "FORWARD ID=r PORT=9000"] {
        let mut client = bridge.client("3.3").await;
        let reply = client.ask(&format!("STREAM {command}")).await;
        assert_eq!(
            reply,
            "STREAM STATUS RESULT=I2P_ERROR MESSAGE=\"r is a RAW session, not a STREAM session\""
        );
        assert_eq!(client.rest().await, b"");
    }
    bridge.stop().await;
}
