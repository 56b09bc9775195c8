// SPDX-License-Identifier: MIT
//! Datagrams between two destinations in a private network inside this program:
//!
//! ```text
//! cargo run --release --example datagram_ping            ten pings and their round trips
//! cargo run --release --example datagram_ping -- flood   1 KiB each, as fast as they go, for five seconds
//! ```
//!
//! A second argument sets the number of hops, 2 if there is none.
#![allow(clippy::print_stdout, reason = "the times are what this is about")]

use std::time::Duration;

use tokio::time::Instant;

use samovar::destination::{
    DatagramBinding, DatagramSender, DatagramSocket, DatagramStyle, Error, SessionConfig,
};
use samovar::router::devnet::{Devnet, DevnetConfig};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let flood = args.next().is_some_and(|a| a == "flood");
    let hops = args.next().and_then(|a| a.parse().ok()).unwrap_or(2);

    let net = Devnet::start(DevnetConfig::default()).await?;
    net.ready(Duration::from_secs(30)).await?;
    let [first, second, ..] = net.routers() else { return Err("no routers".into()) };
    let config = || SessionConfig::transient().tunnels(hops, 2);
    let (here, there) = (first.session(config()).await?, second.session(config()).await?);

    for style in
        [DatagramStyle::Datagram1, DatagramStyle::Datagram2, DatagramStyle::Datagram3, DatagramStyle::Raw]
    {
        let near = here.datagrams(DatagramBinding::of(style, 7))?;
        let far = there.datagrams(DatagramBinding::of(style, 7))?;
        println!("{style:?}");
        // Whichever ends first ends the other.
        tokio::select! { biased;
            done = async { if flood { send_many(&near, &far).await } else { ping(&near, &far).await } } => done?,
            ended = answer(&far, near.session().destination().hash()), if !flood => ended?,
        }
    }
    net.shutdown().await;
    Ok(())
}

/// Sends back what comes. A raw datagram does not tell where to: that one has to be agreed on.
async fn answer(socket: &DatagramSocket, agreed: samovar::wire::DestHash) -> Result<(), Error> {
    loop {
        let ping = socket.recv().await?;
        let to = match ping.from {
            DatagramSender::Proven(destination) => destination.hash(),
            DatagramSender::Claimed(hash) => hash,
            DatagramSender::Nobody => agreed,
        };
        socket.send_to(ping.payload, to, ping.from_port).await?;
    }
}

async fn ping(near: &DatagramSocket, far: &DatagramSocket) -> Result<(), Error> {
    let to = far.session().destination();
    for number in 0u8..10 {
        let start = Instant::now();
        near.send_to([number], to.clone(), 7).await?;
        match tokio::time::timeout(Duration::from_secs(5), near.recv()).await {
            Ok(pong) => println!("  {:?} after {:?}", pong?.payload, start.elapsed()),
            Err(_) => println!("  [{number}] was lost"),
        }
    }
    Ok(())
}

async fn send_many(near: &DatagramSocket, far: &DatagramSocket) -> Result<(), Error> {
    let (to, start) = (far.session().destination(), Instant::now());
    let send = async {
        while start.elapsed() < Duration::from_secs(5) {
            near.send_to(vec![0; 1024], to.clone(), 7).await?;
        }
        Ok::<(), Error>(())
    };
    let receive = async {
        let (mut count, mut last) = (0u32, start);
        while let Ok(datagram) = tokio::time::timeout(Duration::from_secs(2), far.recv()).await {
            datagram?;
            (count, last) = (count + 1, Instant::now());
        }
        Ok::<_, Error>((count, last))
    };
    let ((), (count, last)) = tokio::try_join!(send, receive)?;
    let rate = f64::from(count) / last.duration_since(start).as_secs_f64();
    println!("  {rate:.0} a second, {:?}, {:?}", near.counts(), far.counts());
    Ok(())
}
