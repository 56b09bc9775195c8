// SPDX-License-Identifier: MIT
//! Sessions whose client has gone: streams that end in order, lingering, and clients that come back.

use super::client::{Bridge, Client, until};

async fn create(client: &mut Client, id: &str, key: &str, options: &str) -> String {
    client.ask(&format!("SESSION CREATE STYLE=STREAM ID={id} DESTINATION={key} {options}")).await
}

async fn keys(bridge: &Bridge) -> String {
    let reply = bridge.client("3.1").await.ask("DEST GENERATE SIGNATURE_TYPE=7").await;
    reply.split_once("PRIV=").unwrap().1.to_owned()
}

#[tokio::test]
async fn what_a_client_wrote_before_its_session_ended_arrives() {
    let bridge = Bridge::start().await;
    let (_listener, destination) = bridge.session("b").await;
    let (caller, _) = bridge.session("a").await;
    let mut accept = bridge.client("3.1").await;
    assert_eq!(accept.ask("STREAM ACCEPT ID=b").await, "STREAM STATUS RESULT=OK");
    let mut connect = bridge.client("3.1").await;
    let line = format!("STREAM CONNECT ID=a DESTINATION={destination}");
    assert_eq!(connect.ask(&line).await, "STREAM STATUS RESULT=OK");
    accept.line().await;
    let sent = vec![7; 1 << 20];
    let (got, ()) = tokio::join!(accept.rest(), async {
        connect.send(&sent).await;
        // First the stream, then at once the session.
        drop(connect);
        drop(caller);
    });
    assert!(got == sent, "{} bytes", got.len());
    bridge.stop().await;
}

#[tokio::test]
async fn a_lingering_session_is_nobodys_and_can_be_had_again() {
    let bridge = Bridge::with(|limits| limits.linger = std::time::Duration::from_secs(60)).await;
    let key = keys(&bridge).await;
    let ok = format!("SESSION STATUS RESULT=OK DESTINATION={key}");
    let mut first = bridge.client("3.1").await;
    assert_eq!(create(&mut first, "a", &key, "").await, ok);
    drop(first);
    until(|| bridge.server.sessions() == 0).await;
    let mut second = bridge.client("3.1").await;
    assert!(second.ask("STREAM CONNECT ID=a DESTINATION=x.b32.i2p").await.contains("INVALID_ID"));
    let mut third = bridge.client("3.1").await;
    // `never` cannot be opened in this network: only a session that stands already can have the name.
    assert_eq!(create(&mut third, "never", &key, "").await, ok);
    // Nobody else can have it now.
    let mut fourth = bridge.client("3.1").await;
    assert_eq!(create(&mut fourth, "b", &key, "").await, "SESSION STATUS RESULT=DUPLICATED_DEST");
    // With other tunnels it is another session: the old one is ended, a new one opened.
    drop(third);
    until(|| bridge.server.sessions() == 0).await;
    assert_eq!(create(&mut fourth, "c", &key, "inbound.length=1").await, ok);
    bridge.stop().await;
}

#[tokio::test]
async fn a_lingering_session_makes_room() {
    let bridge = Bridge::with(|limits| {
        limits.linger = std::time::Duration::from_secs(60);
        limits.sessions = 1;
    })
    .await;
    let key = keys(&bridge).await;
    let mut first = bridge.client("3.1").await;
    assert!(create(&mut first, "a", &key, "").await.contains("RESULT=OK"));
    drop(first);
    until(|| bridge.server.sessions() == 0).await;
    let mut second = bridge.client("3.1").await;
    assert!(create(&mut second, "b", "TRANSIENT", "").await.contains("RESULT=OK"));
    bridge.stop().await;
}

#[tokio::test]
async fn a_session_chooses_how_long_it_lingers() {
    let bridge = Bridge::start().await;
    let key = keys(&bridge).await;
    let mut first = bridge.client("3.1").await;
    assert!(create(&mut first, "a", &key, "samovar.linger=60").await.contains("RESULT=OK"));
    drop(first);
    until(|| bridge.server.sessions() == 0).await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let mut second = bridge.client("3.1").await;
    assert!(create(&mut second, "never", &key, "samovar.linger=0").await.contains("RESULT=OK"));
    drop(second);
    until(|| bridge.server.sessions() == 0).await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let mut third = bridge.client("3.1").await;
    assert!(create(&mut third, "broken", &key, "").await.contains("RESULT=I2P_ERROR"));
    bridge.stop().await;
}
