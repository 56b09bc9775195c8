// SPDX-License-Identifier: MIT
//! `samovar devnet`: a private network until it is stopped.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use samovar::router::devnet::{Devnet, DevnetConfig};

use super::args::DevnetArgs;
use super::signals::{Signals, stop_or_quit};
use super::{Failure, logging, print, system};

/// How long the routers may take for their first tunnels.
const READY: Duration = Duration::from_secs(60);

/// Runs the network.
pub(super) fn main(args: &DevnetArgs) -> Result<(), Failure> {
    logging::start(args.log.as_deref(), "warn")?;
    system::raise_file_limit();
    system::runtime(args.threads)?.block_on(run(args))
}

fn config(args: &DevnetArgs) -> Result<DevnetConfig, Failure> {
    let sam = if args.sam.is_empty() {
        [7656, 7666].map(|port| SocketAddr::from(([127, 0, 0, 1], port))).to_vec()
    } else {
        args.sam.clone()
    };
    let routers = usize::from(args.routers);
    if sam.len() > routers {
        return Err(Failure::User(format!(
            "--sam: {} bridges for {routers} routers; each router opens one at most, so raise --routers",
            sam.len()
        )));
    }
    Ok(DevnetConfig { routers, sam, hops: args.hops, net_id: None, hosts: args.hosts.clone() })
}

async fn run(args: &DevnetArgs) -> Result<(), Failure> {
    let mut signals = Signals::new().context("signals cannot be taken over")?;
    let net = Devnet::start(config(args)?).await?;
    print(&introduce(&net))?;
    let stop = tokio::select! { biased;
        _ = signals.next() => true,
        ready = net.ready(READY) => {
            ready.context("the routers found no tunnels")?;
            false
        }
    };
    if !stop {
        print(&format!("All {} routers have tunnels. Ctrl-C stops them.\n", net.routers().len()))?;
        signals.next().await;
    }
    stop_or_quit(&mut signals, net.shutdown()).await;
    print("Stopped.\n")
}

/// The routers, as a table.
pub(super) fn introduce(net: &Devnet) -> String {
    let mut text =
        format!("A private I2P network of {} routers (network {}):\n", net.routers().len(), net.net_id());
    for (i, router) in net.routers().iter().enumerate() {
        let at = router.listening().first().map_or_else(String::new, ToString::to_string);
        let _ = write!(text, "  router {:<2} {}  at {at:<15}", i + 1, router.hash());
        if router.config().floodfill {
            text.push_str("  floodfill");
        }
        if let Some(sam) = router.sam_addr() {
            let _ = write!(text, "  SAM at {sam}");
        }
        text = text.trim_end().to_owned();
        text.push('\n');
    }
    text
}
