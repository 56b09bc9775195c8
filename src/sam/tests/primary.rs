// SPDX-License-Identifier: MIT
//! Primary sessions and their subsessions.

use super::client::{Bridge, Client, Udp, until};

const OK: &str = "SESSION STATUS RESULT=OK";

impl Client {
    async fn add(&mut self, rest: &str) -> String {
        self.ask(&format!("SESSION ADD {rest}")).await
    }
}

#[tokio::test]
async fn subsessions_are_added_and_removed_at_once() {
    let bridge = Bridge::start().await;
    for style in ["PRIMARY", "MASTER"] {
        let (mut p, mine) = bridge.open("3.3", style, "p", "").await;
        assert_eq!(p.add("STYLE=STREAM ID=s FROM_PORT=80").await, format!("{OK} ID=s MESSAGE=\"ADD s\""));
        assert_eq!(p.add("STYLE=DATAGRAM ID=u PORT=9000").await, format!("{OK} ID=u MESSAGE=\"ADD u\""));
        assert_eq!(p.add("STYLE=RAW ID=r PORT=9000").await, format!("{OK} ID=r MESSAGE=\"ADD r\""));
        // An ID that cannot stand without quotes.
        assert_eq!(
            p.add(r#"STYLE=STREAM ID="o\"d'd" FROM_PORT=9"#).await,
            format!("{OK} ID=\"o\\\"d'd\" MESSAGE=\"ADD o d d\"")
        );
        assert_eq!(bridge.server.sessions(), 5);
        assert_eq!(
            p.ask("NAMING LOOKUP NAME=ME").await,
            format!("NAMING REPLY RESULT=OK NAME=ME VALUE={mine}")
        );
        assert_eq!(p.ask("SESSION REMOVE ID=s").await, format!("{OK} ID=s MESSAGE=\"REMOVE s\""));
        assert_eq!(p.ask("SESSION REMOVE ID=r").await, format!("{OK} ID=r MESSAGE=\"REMOVE r\""));
        assert_eq!(bridge.server.sessions(), 3);
        // What they took is free again.
        assert!(p.add("STYLE=STREAM ID=s FROM_PORT=80").await.starts_with(OK));
        assert!(p.add("STYLE=RAW ID=r PORT=9000").await.starts_with(OK));
        assert_eq!(p.ask("QUIT").await, "QUIT STATUS RESULT=OK MESSAGE=bye");
        until(|| bridge.server.sessions() == 0).await;
    }
    bridge.stop().await;
}

#[tokio::test]
async fn every_refusal_names_the_subsession_and_leaves_the_session_alone() {
    let bridge = Bridge::with(|limits| limits.subsessions = 3).await;
    let (_other, _) = bridge.session("other").await;
    let (mut p, _) = bridge.open("3.3", "PRIMARY", "p", "").await;
    assert!(p.add("STYLE=STREAM ID=s FROM_PORT=80").await.starts_with(OK));
    assert!(p.add("STYLE=RAW ID=r PORT=9000 LISTEN_PROTOCOL=0").await.starts_with(OK));
    let error = |id: &str, why: &str| format!("SESSION STATUS RESULT=I2P_ERROR ID={id} MESSAGE=\"{why}\"");
    for (rest, why) in [
        ("STYLE=STREAM ID=t FROM_PORT=80", "duplicate protocol 6 and port 80"),
        ("STYLE=RAW ID=t PORT=9000 LISTEN_PROTOCOL=0", "duplicate protocol 0 and port 0"),
        (
            "STYLE=STREAM ID=t DESTINATION=TRANSIENT",
            "DESTINATION is that of the PRIMARY session and cannot be given",
        ),
        ("STYLE=DATAGRAM ID=t", "DATAGRAM subsession must specify PORT"),
        ("STYLE=DATAGRAM2 ID=t", "DATAGRAM2 subsession must specify PORT"),
        ("STYLE=DATAGRAM3 ID=t", "DATAGRAM3 subsession must specify PORT"),
        ("STYLE=RAW ID=t", "RAW subsession must specify PORT"),
        ("STYLE=RAW ID=t PORT=0", "PORT must be a number from 1 to 65535"),
        ("STYLE=RAW ID=t PORT=9000 HOST=10.0.0.1", "HOST must be loopback or your own address"),
        (
            "STYLE=RAW ID=t PORT=9000 LISTEN_PROTOCOL=6",
            "LISTEN_PROTOCOL must be a number from 0 to 255, and not 6",
        ),
        (
            "STYLE=RAW ID=t PORT=9000 LISTEN_PROTOCOL=256",
            "LISTEN_PROTOCOL must be a number from 0 to 255, and not 6",
        ),
        (
            "STYLE=RAW ID=t PORT=9000 PROTOCOL=17",
            "PROTOCOL must be a number from 0 to 255, and not 6, 17, 19 or 20",
        ),
        ("STYLE=STREAM ID=t FROM_PORT=65536", "FROM_PORT must be a number from 0 to 65535"),
        ("STYLE=STREAM ID=t TO_PORT=x", "TO_PORT must be a number from 0 to 65535"),
        ("STYLE=STREAM ID=t LISTEN_PORT=65536", "LISTEN_PORT must be a number from 0 to 65535"),
        (
            "STYLE=STREAM ID=t FROM_PORT=1 LISTEN_PORT=2",
            "LISTEN_PORT of a STREAM subsession must be its FROM_PORT or 0",
        ),
        ("STYLE=PRIMARY ID=t", "a subsession cannot be PRIMARY"),
        ("STYLE=FOO ID=t", "Unrecognized SESSION STYLE FOO"),
        ("ID=t", "No SESSION STYLE specified, e.g. STYLE=STREAM"),
    ] {
        assert_eq!(p.add(rest).await, error("t", why), "{rest}");
    }
    assert_eq!(p.add("STYLE=STREAM").await, "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"ID not specified\"");
    for id in ["s", "p", "other"] {
        let reply = p.add(&format!("STYLE=STREAM ID={id} FROM_PORT=1")).await;
        assert_eq!(reply, "SESSION STATUS RESULT=DUPLICATED_ID", "{id}");
    }
    for id in ["t", "p", "other"] {
        let reply = p.ask(&format!("SESSION REMOVE ID={id}")).await;
        assert_eq!(reply, error(id, &format!("no subsession {id} of this session")));
    }
    assert_eq!(p.ask("SESSION REMOVE").await, "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"ID not specified\"");
    assert!(p.add("STYLE=STREAM ID=u").await.starts_with(OK));
    assert_eq!(
        p.add("STYLE=STREAM ID=v FROM_PORT=7").await,
        error("v", "all 3 subsessions of this session are in use")
    );
    // An ID of a refused one is free.
    let (mut stream, _) = bridge.session("t").await;
    for verb in ["ADD", "REMOVE"] {
        let why = format!("SESSION {verb} needs a PRIMARY session, made on this connection");
        assert_eq!(stream.ask(&format!("SESSION {verb} STYLE=STREAM ID=x")).await, error("x", &why));
    }
    let mut none = bridge.client("3.3").await;
    assert!(none.add("STYLE=STREAM ID=x").await.starts_with("SESSION STATUS RESULT=I2P_ERROR ID=x MESSAGE="));
    bridge.stop().await;
}

#[tokio::test]
async fn a_primary_session_takes_no_options_of_its_parts() {
    let bridge = Bridge::start().await;
    let mut client = bridge.client("3.3").await;
    for key in
        ["PORT", "HOST", "FROM_PORT", "TO_PORT", "PROTOCOL", "HEADER", "LISTEN_PORT", "LISTEN_PROTOCOL"]
    {
        let line = format!("SESSION CREATE STYLE=PRIMARY ID=p DESTINATION=TRANSIENT {key}=1");
        let why = format!("{key} is not for PRIMARY sessions; give it to each SESSION ADD");
        assert_eq!(client.ask(&line).await, format!("SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"{why}\""));
    }
    bridge.stop().await;
}

#[tokio::test]
async fn streams_find_their_subsession_by_port() {
    let bridge = Bridge::start().await;
    let (mut p, mine) = bridge.open("3.3", "PRIMARY", "p", "").await;
    assert!(p.add("STYLE=STREAM ID=web FROM_PORT=80 TO_PORT=443").await.starts_with(OK));
    assert!(p.add("STYLE=STREAM ID=rest").await.starts_with(OK));
    let mut web = bridge.client("3.3").await;
    assert_eq!(web.ask("STREAM ACCEPT ID=web").await, "STREAM STATUS RESULT=OK");
    let mut rest = bridge.client("3.3").await;
    assert_eq!(rest.ask("STREAM ACCEPT ID=rest").await, "STREAM STATUS RESULT=OK");
    for (from, to, accept, line) in [
        ("rest", "TO_PORT=80", &mut web, "FROM_PORT=0 TO_PORT=80"),
        // The defaults of the subsession.
        ("web", "", &mut rest, "FROM_PORT=80 TO_PORT=443"),
    ] {
        let mut connect = bridge.client("3.3").await;
        let command = format!("STREAM CONNECT ID={from} DESTINATION={mine} {to}");
        assert_eq!(connect.ask(&command).await, "STREAM STATUS RESULT=OK");
        assert_eq!(accept.line().await, format!("{mine} {line}"));
        connect.send(b"hello").await;
        assert_eq!(accept.bytes(5).await, b"hello");
    }
    // A port that nobody takes, once the wildcard is gone.
    assert!(p.ask("SESSION REMOVE ID=rest").await.starts_with(OK));
    let mut connect = bridge.client("3.3").await;
    let reply = connect.ask(&format!("STREAM CONNECT ID=web DESTINATION={mine} TO_PORT=1")).await;
    assert!(reply.starts_with("STREAM STATUS RESULT=CANT_REACH_PEER"), "{reply}");
    // The primary session itself has no streams.
    for command in [&format!("CONNECT ID=p DESTINATION={mine}"), "ACCEPT ID=p", "FORWARD ID=p PORT=9000"] {
        let mut client = bridge.client("3.3").await;
        let reply = client.ask(&format!("STREAM {command}")).await;
        assert_eq!(
            reply,
            "STREAM STATUS RESULT=I2P_ERROR MESSAGE=\"p is a PRIMARY session, not a STREAM session\""
        );
    }
    bridge.stop().await;
}

#[tokio::test]
async fn the_end_of_a_subsession_ends_what_it_carried_and_nothing_else() {
    let bridge = Bridge::start().await;
    let (mut p, mine) = bridge.open("3.3", "PRIMARY", "p", "").await;
    for round in 0..3 {
        assert!(p.add("STYLE=STREAM ID=one FROM_PORT=1").await.starts_with(OK));
        if round == 0 {
            assert!(p.add("STYLE=STREAM ID=two FROM_PORT=2").await.starts_with(OK));
        }
        let mut ends = Vec::new();
        for (id, port) in [("one", 1), ("two", 2)] {
            let mut accept = bridge.client("3.3").await;
            assert_eq!(accept.ask(&format!("STREAM ACCEPT ID={id}")).await, "STREAM STATUS RESULT=OK");
            let mut connect = bridge.client("3.3").await;
            let command = format!("STREAM CONNECT ID={id} DESTINATION={mine} TO_PORT={port}");
            assert_eq!(connect.ask(&command).await, "STREAM STATUS RESULT=OK");
            accept.line().await;
            let mut waiting = bridge.client("3.3").await;
            let last = if id == "one" && round == 1 { "FORWARD" } else { "ACCEPT" };
            let command = format!("STREAM {last} ID={id} PORT=9");
            assert_eq!(waiting.ask(&command).await, "STREAM STATUS RESULT=OK");
            ends.push((accept, connect, waiting));
        }
        let (mut accept, mut connect, mut waiting) = ends.remove(0);
        assert!(p.ask("SESSION REMOVE ID=one").await.starts_with(OK));
        while matches!(accept.more().await, Ok(count) if count > 0) {}
        while matches!(connect.more().await, Ok(count) if count > 0) {}
        waiting.rest().await;
        let (mut accept, mut connect, _waiting) = ends.remove(0);
        connect.send(b"on").await;
        assert_eq!(accept.bytes(2).await, b"on");
    }
    drop(p);
    until(|| bridge.server.sessions() == 0).await;
    until(|| bridge.server.metrics().sockets_open.get() == 0).await;
    bridge.stop().await;
}

#[tokio::test]
async fn datagrams_find_their_subsession_by_protocol_and_port() {
    let bridge = Bridge::start().await;
    let (mut p, mine) = bridge.open("3.3", "PRIMARY", "p", "").await;
    let mut sockets = Vec::new();
    for (id, rest) in [
        ("d0", "STYLE=DATAGRAM"),
        ("d5", "STYLE=DATAGRAM LISTEN_PORT=5 FROM_PORT=50"),
        ("e5", "STYLE=DATAGRAM2 LISTEN_PORT=5"),
        ("f0", "STYLE=DATAGRAM3"),
        ("r0", "STYLE=RAW HEADER=true"),
        ("r5", "STYLE=RAW LISTEN_PORT=5 HEADER=true"),
        ("q0", "STYLE=RAW LISTEN_PROTOCOL=40 HEADER=true PROTOCOL=40"),
        ("w6", "STYLE=RAW LISTEN_PROTOCOL=0 LISTEN_PORT=6 HEADER=true"),
        ("w0", "STYLE=RAW LISTEN_PROTOCOL=0 HEADER=true"),
    ] {
        let udp = Udp::open().await;
        let reply = p.add(&format!("ID={id} {rest} PORT={}", udp.port())).await;
        assert!(reply.starts_with(OK), "{reply}");
        sockets.push((id, udp));
    }
    let socket = |id: &str| &sockets.iter().find(|(known, _)| *known == id).unwrap().1;
    for (from, options, to, head) in [
        ("d0", "", "d0", "FROM_PORT=0 TO_PORT=0"),
        ("d5", "TO_PORT=5", "d5", "FROM_PORT=50 TO_PORT=5"),
        ("d0", "TO_PORT=9", "d0", "FROM_PORT=0 TO_PORT=9"),
        ("e5", "TO_PORT=5", "e5", "FROM_PORT=0 TO_PORT=5"),
        // Nobody takes that protocol and port but the raw ones that take everything.
        ("e5", "TO_PORT=6", "w6", "FROM_PORT=0 TO_PORT=6 PROTOCOL=19"),
        ("e5", "TO_PORT=7", "w0", "FROM_PORT=0 TO_PORT=7 PROTOCOL=19"),
        ("f0", "TO_PORT=5", "f0", "FROM_PORT=0 TO_PORT=5"),
        ("r0", "", "r0", "FROM_PORT=0 TO_PORT=0 PROTOCOL=18"),
        ("r0", "TO_PORT=5", "r5", "FROM_PORT=0 TO_PORT=5 PROTOCOL=18"),
        ("r5", "TO_PORT=6", "r0", "FROM_PORT=0 TO_PORT=6 PROTOCOL=18"),
        ("q0", "TO_PORT=6", "q0", "FROM_PORT=0 TO_PORT=6 PROTOCOL=40"),
        ("q0", "TO_PORT=6 PROTOCOL=41", "w6", "FROM_PORT=0 TO_PORT=6 PROTOCOL=41"),
        ("q0", "PROTOCOL=41", "w0", "FROM_PORT=0 TO_PORT=0 PROTOCOL=41"),
    ] {
        socket(from).send(&bridge, format!("3.3 {from} {mine} {options}\npayload")).await;
        let came = socket(to).text().await;
        assert!(came.ends_with(&format!("{head}\npayload")), "{from} {options}: {came}");
    }
    // The primary's own ID sends nothing, on neither way.
    let udp = Udp::open().await;
    udp.send(&bridge, format!("3.3 p {mine}\nx")).await;
    until(|| bridge.server.metrics().udp_dropped_session.get() == 1).await;
    p.send(b"DATAGRAM SEND DESTINATION=ME SIZE=4\nQUIT").await;
    assert!(p.line().await.starts_with("DATAGRAM STATUS RESULT=I2P_ERROR MESSAGE="));
    assert!(p.ask("SESSION REMOVE ID=d5").await.starts_with(OK));
    udp.send(&bridge, format!("3.3 d5 {mine}\nx")).await;
    until(|| bridge.server.metrics().udp_dropped_session.get() == 2).await;
    bridge.stop().await;
}

#[tokio::test]
async fn help_tells_of_parts_and_datagrams() {
    let bridge = Bridge::start().await;
    let (mut p, _) = bridge.open("3.3", "PRIMARY", "p", "").await;
    assert!(p.add("STYLE=STREAM ID=s").await.starts_with(OK));
    assert!(p.add("STYLE=RAW ID=r PORT=9000").await.starts_with(OK));
    let udp = Udp::open().await;
    udp.send(&bridge, "3.3 p ME\nx").await;
    udp.send(&bridge, "hello").await;
    until(|| bridge.server.metrics().udp_dropped_malformed.get() == 1).await;
    let mut page = vec![p.ask("HELP STATUS").await];
    while page.last().is_some_and(|line| line != "# end") {
        page.push(p.line().await);
    }
    let page = page.join("\n");
    for line in [
        "# subsession r RAW of p age 0 s, 0 pending accepts, datagrams 0 out 0 in, dropped 0 out 0 in",
        "# subsession s STREAM of p age 0 s, 0 pending accepts",
        "# session p PRIMARY ",
        " 2 UDP datagrams dropped: 1 without a good first line, 1 for no session of datagrams\n",
    ] {
        assert!(page.contains(line), "{page}");
    }
    for topic in ["DATAGRAM", "RAW", "PRIMARY"] {
        assert_eq!(p.ask(&format!("HELP {topic}")).await, "HELP REPLY RESULT=OK");
        while p.line().await != "# end" {}
    }
    bridge.stop().await;
}
