// SPDX-License-Identifier: MIT
//! Datagrams between whole routers.

use super::*;
use crate::destination::{
    DatagramBinding, DatagramOptions, DatagramSender, DatagramSocket, DatagramStyle, Session,
};

const STYLES: [DatagramStyle; 4] =
    [DatagramStyle::Datagram1, DatagramStyle::Datagram2, DatagramStyle::Datagram3, DatagramStyle::Raw];
const LIMIT: Duration = Duration::from_secs(30);

async fn sessions(routers: &[Router], hops: u8) -> (Session, Session) {
    for router in routers {
        router.ready_within(Stage::Tunnels, Duration::from_secs(20)).await.expect("tunnels");
    }
    let config = || SessionConfig::transient().tunnels(hops, 2);
    let (a, b) = tokio::time::timeout(LIMIT, async {
        tokio::join!(routers[0].session(config()), routers[1].session(config()))
    })
    .await
    .expect("in time");
    (a.expect("opens"), b.expect("opens"))
}

/// Sends until something comes: the first tunnels of a network may still lose a message.
async fn send_until_there(
    from: &DatagramSocket,
    to: &DatagramSocket,
    payload: &[u8],
) -> crate::destination::Datagram {
    let target = to.session().destination().clone();
    for _ in 0..15 {
        let options = DatagramOptions { to_port: 5, ..DatagramOptions::default() };
        from.send_with(payload, target.clone(), options).await.expect("room");
        if let Ok(got) = tokio::time::timeout(Duration::from_secs(2), to.recv()).await {
            return got.expect("open");
        }
    }
    panic!("nothing came: {:?} {:?}", from.counts(), to.counts());
}

#[tokio::test]
async fn datagrams_of_each_style_cross_both_ways_and_to_oneself() {
    let routers = network(6).await;
    let (a, b) = sessions(&routers, 2).await;
    for style in STYLES {
        let near = a.datagrams(DatagramBinding::of(style, 3)).expect("free");
        let far = b.datagrams(DatagramBinding::of(style, 5)).expect("free");
        let there = send_until_there(&near, &far, b"ping").await;
        assert_eq!((there.payload.as_slice(), there.from_port, there.to_port), (&b"ping"[..], 3, 5));
        let peer = match there.from {
            DatagramSender::Proven(peer) => peer.hash(),
            DatagramSender::Claimed(hash) => hash,
            DatagramSender::Nobody => a.destination().hash(),
        };
        assert_eq!(peer, a.destination().hash());
        far.send_to(&b"pong"[..], peer, 3).await.expect("room");
        let back = tokio::time::timeout(LIMIT, near.recv()).await.expect("in time").expect("open");
        assert_eq!(back.payload, b"pong");
        near.send_to(&b"me"[..], a.destination().clone(), 3).await.expect("room");
        let own = tokio::time::timeout(LIMIT, near.recv()).await.expect("in time").expect("open");
        assert_eq!((own.payload.as_slice(), own.from_port), (&b"me"[..], 3));
    }
    a.close().await;
    for router in routers {
        router.shutdown().await;
    }
}

#[tokio::test]
async fn large_datagrams_arrive_and_too_large_ones_are_refused() {
    let routers = network(6).await;
    let (a, b) = sessions(&routers, 1).await;
    let near = a.datagrams(DatagramBinding::repliable(0)).expect("free");
    let far = b.datagrams(DatagramBinding::repliable(0)).expect("free");
    let payload: Vec<u8> = (0..31_744u32).map(|i| (i % 253) as u8).collect();
    assert_eq!(send_until_there(&near, &far, &payload).await.payload, payload);
    let error = near.send_to(vec![0; 31_745], b.destination().clone(), 0).await.expect_err("too large");
    assert_eq!(error.kind(), crate::destination::ErrorKind::TooLarge);
    assert!(near.send_to(vec![], b.destination().clone(), 0).await.is_err());
    b.close().await;
    let closed = tokio::time::timeout(LIMIT, far.recv()).await.expect("in time");
    assert_eq!(closed.expect_err("ended").kind(), crate::destination::ErrorKind::Closed);
    assert!(far.send_to(vec![1], a.destination().clone(), 0).await.is_err());
    for router in routers {
        router.shutdown().await;
    }
}

#[tokio::test]
async fn a_socket_dropped_frees_its_port_and_two_cannot_have_one() {
    let routers = network(4).await;
    let (a, _b) = sessions(&routers, 0).await;
    let first = a.datagrams(DatagramBinding::raw(0)).expect("free");
    assert!(a.datagrams(DatagramBinding::raw(0)).is_err());
    let any = a.datagrams(DatagramBinding::raw_protocol(0, 0)).expect("another protocol");
    assert!(a.datagrams(DatagramBinding::raw_protocol(17, 0)).is_err(), "a format of its own");
    drop(first);
    first_takes(&a, &any, 18).await;
    let again = a.datagrams(DatagramBinding::raw(0)).expect("free again");
    first_takes(&a, &again, 18).await;
    first_takes(&a, &any, 200).await;
    for router in routers {
        router.shutdown().await;
    }
}

/// A datagram of `protocol` to ourselves comes out of `socket`.
async fn first_takes(session: &Session, socket: &DatagramSocket, protocol: u8) {
    let options = DatagramOptions { protocol: Some(protocol), ..DatagramOptions::default() };
    socket.send_with(vec![1], session.destination().clone(), options).await.expect("room");
    let got = tokio::time::timeout(LIMIT, socket.recv()).await.expect("in time").expect("open");
    assert_eq!(got.protocol, protocol);
}

/// How fast it is: `cargo test --release -- --ignored --nocapture datagrams_per_second`.
#[tokio::test]
#[ignore = "a measurement"]
async fn datagrams_per_second() {
    let hops = std::env::var("HOPS").ok().and_then(|h| h.parse().ok()).unwrap_or(2);
    let routers = network(8).await;
    let (a, b) = sessions(&routers, hops).await;
    for style in STYLES {
        let near = a.datagrams(DatagramBinding::of(style, 0)).expect("free");
        let far = b.datagrams(DatagramBinding::of(style, 5)).expect("free");
        send_until_there(&near, &far, b"warm").await;
        let start = tokio::time::Instant::now();
        let sender = async {
            let mut sent = 0u64;
            while start.elapsed() < Duration::from_secs(5) {
                near.send_to(vec![0; 1024], b.destination().clone(), 5).await.expect("room");
                sent += 1;
            }
            sent
        };
        let receiver = async {
            let (mut got, mut last) = (0u64, start);
            while let Ok(datagram) = tokio::time::timeout(Duration::from_secs(2), far.recv()).await {
                datagram.expect("open");
                got += 1;
                last = tokio::time::Instant::now();
            }
            (got, last)
        };
        let (sent, (got, last)) = tokio::join!(sender, receiver);
        let rate = got as f64 / last.duration_since(start).as_secs_f64();
        eprintln!("{style:?}: sent {sent}, got {got}, {rate:.0}/s, {:?}", near.counts());
    }
    let status = a.status().await.expect("open");
    eprintln!("{:?}", status.counters.iter().filter(|(_, n)| *n > 0).collect::<Vec<_>>());
    let status = b.status().await.expect("open");
    eprintln!("{:?}", status.counters.iter().filter(|(_, n)| *n > 0).collect::<Vec<_>>());
}
