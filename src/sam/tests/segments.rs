// SPDX-License-Identifier: MIT
//! How the bytes of a client are cut never changes the answers.

use std::time::Duration;

use super::client::Bridge;

const DIALOGUES: [&str; 5] = [
    "HELLO VERSION MIN=3.1 MAX=3.1\r\n\nPING a  b\nNAMING LOOKUP NAME=nosuch.i2p\nFOO\nSTREAM ACCEPT ID=x\n",
    "hello version\nNAMING LOOKUP NAME=ME\nDEST GENERATE SIGNATURE_TYPE=99\nRAW SEND SIZE=9\nQUIT\nabcQUIT\n",
    "\r\n HELP\nHELLO VERSION MAX=3.0\nNAMING LOOKUP NAME=\"a\nPING never\n",
    "SESSION CREATE STYLE=STREAM ID=a DESTINATION=TRANSIENT\n",
    "HELLO VERSION MIN=4.0\nPING never\n",
];

#[tokio::test]
async fn s5_byte_by_byte_and_all_at_once_give_the_same_answers() {
    let bridge = Bridge::start().await;
    for dialogue in DIALOGUES {
        let mut whole = bridge.raw().await;
        whole.send(dialogue.as_bytes()).await;
        socket2::SockRef::from(&whole.stream).shutdown(std::net::Shutdown::Write).unwrap();
        let expected = whole.rest().await;
        assert!(!expected.is_empty(), "{dialogue}");

        let mut slow = bridge.raw().await;
        for byte in dialogue.as_bytes() {
            // The bridge may close in the middle, after an error.
            if tokio::io::AsyncWriteExt::write_all(&mut slow.stream, &[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        let _ = socket2::SockRef::from(&slow.stream).shutdown(std::net::Shutdown::Write);
        let answers = String::from_utf8(slow.rest().await).unwrap();
        assert_eq!(answers, String::from_utf8(expected).unwrap(), "{dialogue}");
    }
    bridge.stop().await;
}

#[tokio::test]
async fn replies_end_with_a_bare_lf() {
    let bridge = Bridge::start().await;
    let mut client = bridge.raw().await;
    client.send(b"HELLO VERSION\r\nPING x\r\nQUIT\r\n").await;
    let all = client.rest().await;
    assert_eq!(all, b"HELLO REPLY RESULT=OK VERSION=3.3\nPONG x\nQUIT STATUS RESULT=OK MESSAGE=bye\n");
    bridge.stop().await;
}

#[tokio::test]
async fn s2_browsers_get_no_byte_and_no_command_of_theirs_runs() {
    let bridge = Bridge::start().await;
    let body = "HELLO VERSION\nSESSION CREATE STYLE=STREAM ID=evil DESTINATION=TRANSIENT\n";
    for verb in ["GET / HTTP/1.1", "POST / HTTP/1.1", "PUT /x HTTP/1.1", "OPTIONS * HTTP/1.1"] {
        let mut client = bridge.raw().await;
        client.send(format!("{verb}\r\nHost: 127.0.0.1:7656\r\n\r\n").as_bytes()).await;
        let _ = tokio::io::AsyncWriteExt::write_all(&mut client.stream, body.as_bytes()).await;
        while matches!(client.more().await, Ok(count) if count > 0) {}
        assert!(client.buffer.is_empty(), "{verb}");
    }
    let mut tls = bridge.raw().await;
    tls.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await;
    while matches!(tls.more().await, Ok(count) if count > 0) {}
    assert!(tls.buffer.is_empty());
    assert_eq!(bridge.server.sessions(), 0);
    assert_eq!(bridge.server.metrics().sockets_refused_foreign.get(), 5);
    bridge.stop().await;
}

#[tokio::test]
async fn telnet_negotiation_is_swallowed() {
    let bridge = Bridge::start().await;
    let mut client = bridge.raw().await;
    client.send(b"\xff\xfd\x03\xff\xfb\x18").await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(client.ask("HELLO VERSION\r").await, "HELLO REPLY RESULT=OK VERSION=3.3");
    bridge.stop().await;
}

#[tokio::test]
async fn s5_long_lines_are_refused_in_both_phases() {
    let bridge = Bridge::start().await;
    let mut client = bridge.raw().await;
    client.send(format!("HELLO VERSION USER={}", "x".repeat(1100)).as_bytes()).await;
    assert_eq!(client.rest().await, b"HELLO REPLY RESULT=I2P_ERROR MESSAGE=\"line too long\"\n");

    let mut client = bridge.client("3.1").await;
    client.send(format!("NAMING LOOKUP NAME={}\n", "x".repeat(16_384)).as_bytes()).await;
    assert_eq!(client.rest().await, b"NAMING REPLY RESULT=I2P_ERROR MESSAGE=\"line too long\"\n");

    let mut client = bridge.client("3.1").await;
    let fits = "x".repeat(16_384 - "PING ".len());
    assert_eq!(client.ask(&format!("PING {fits}\r")).await, format!("PONG {fits}"));
    bridge.stop().await;
}
