// SPDX-License-Identifier: MIT
//! Calls an address in I2P, says hello and prints the answer:
//!
//! ```text
//! cargo run --release --example hello -- ADDRESS.b32.i2p
//! ```
//!
//! The other end may be the example `echo_server`. The first run has to find its first peers and takes longest.
#![allow(clippy::print_stdout, reason = "the answer is what this is about")]

use samovar::destination::SessionConfig;
use samovar::router::{Router, Stage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("usage: hello ADDRESS.b32.i2p")?;

    // A router of our own in the live network, inside this program. It keeps its keys and what it learns in a folder.
    let router = Box::pin(Router::builder().data_dir("hello-data").start()).await?;
    router.ready(Stage::Tunnels).await?;

    // An identity that dies with this program, and a stream from it to the address.
    let session = router.session(SessionConfig::transient()).await?;
    let mut stream = session.connect(router.resolve(&address).await?).await?;

    // From here on it is tokio's AsyncRead and AsyncWrite.
    stream.write_all(b"hello\n").await?;
    stream.shutdown().await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    print!("{answer}");

    router.shutdown().await;
    Ok(())
}
