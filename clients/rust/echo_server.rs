// SPDX-License-Identifier: MIT
//! A service in I2P that sends back whatever it is sent:
//!
//! ```text
//! cargo run --release --example echo_server
//! ```
//!
//! It prints its address, which the example `hello` takes. Ctrl-C ends it.
#![allow(clippy::print_stdout, reason = "the address has to be shown")]

use samovar::destination::{Error, Session, SessionConfig};
use samovar::router::{Router, Stage};
use tokio::task::JoinSet;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let router = Box::pin(Router::builder().data_dir("echo-data").start()).await?;
    router.ready(Stage::Tunnels).await?;

    // A new address at each start. To keep one, store `DestinationKeys::to_base64` and use `SessionConfig::with_keys`.
    // `session` answers when its tunnels stand and others can find it.
    let session = router.session(SessionConfig::transient().tunnels(3, 2)).await?;
    println!("{}", session.destination().b32());

    tokio::select! { biased;
        _ = tokio::signal::ctrl_c() => {}
        ended = serve(&session) => ended?,
    }
    router.shutdown().await;
    Ok(())
}

/// Gives every peer a task of its own, until the session ends.
async fn serve(session: &Session) -> Result<(), Error> {
    let listener = session.listen(0)?;
    let mut peers = JoinSet::new();
    loop {
        let (mut from, mut to) = tokio::io::split(listener.accept().await?);
        // Reads until the peer's end of file; dropping both halves then closes our end behind the last byte.
        peers.spawn(async move { tokio::io::copy(&mut from, &mut to).await });
        while peers.try_join_next().is_some() {}
    }
}
