// SPDX-License-Identifier: MIT
//! `samovar run`: one router until it is stopped.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use samovar::router::config::SUBSCRIPTION_DEFAULT;
use samovar::router::{Router, RouterConfig, Stage};

use super::args::RunArgs;
use super::signals::{Signals, stop_or_quit};
use super::{Failure, file, logging, system};

/// Without any other router for so long, advice is due.
const LONELY: Duration = Duration::from_secs(30);

/// Reads the settings and runs a router.
pub(super) fn main(args: RunArgs) -> Result<(), Failure> {
    let dumps_refused = if args.core_dumps { None } else { system::refuse_core_dumps() };
    let log_flag = args.log_flag();
    let mut config = configuration(args)?;
    logging::start(log_flag.as_deref(), &config.log)?;
    config.validate()?;
    if let Some(problem) = dumps_refused {
        tracing::warn!("core dumps cannot be switched off: {problem}");
    }
    config.open_files = system::raise_file_limit();
    let runtime = system::runtime(config.threads)?;
    runtime.block_on(run(config))
}

/// Defaults, then the file, then the flags.
fn configuration(args: RunArgs) -> Result<RouterConfig, Failure> {
    let mut config = RouterConfig { data_dir: system::default_data_dir(), ..RouterConfig::default() };
    let usual = vec![SUBSCRIPTION_DEFAULT.to_owned()];
    config.subscriptions.urls.clone_from(&usual);
    if let Some(path) = &args.config {
        file::load(path)?.apply(&mut config);
    }
    args.settings().apply(&mut config);
    // The registry is one of the live network.
    if !config.is_live() && config.subscriptions.urls == usual {
        config.subscriptions.urls.clear();
    }
    if config.data_dir.is_none() {
        return Err(Failure::User("data-dir: there is no home directory; choose one with --data-dir".into()));
    }
    Ok(config)
}

async fn run(config: RouterConfig) -> Result<(), Failure> {
    let mut signals = Signals::new().context("signals cannot be taken over")?;
    let (dir, net_id) = (config.data_dir.clone().unwrap_or_default(), config.net_id);
    let router = tokio::select! { biased;
        name = signals.next() => {
            tracing::info!("{name}: stopped before the start was done");
            return Ok(());
        }
        // Boxed: a start has much to hold.
        started = Box::pin(Router::builder().config(config).start()) => started?,
    };
    tracing::info!(router = %router.hash(), net_id, data = %dir.display(), "router started; Ctrl-C stops it");
    for at in router.listening() {
        tracing::info!("listening for other routers at {at}");
    }
    tokio::select! { biased;
        name = signals.next() => tracing::info!("{name}: stopping; once more stops at once"),
        () = advise(&router) => {}
        () = router.stopped() => {
            router.shutdown().await;
            return Err(anyhow!("the router stopped by itself; the log says why").into());
        }
    }
    let counted: Vec<String> =
        router.counters().iter().filter(|c| c.2 > 0).map(|(r, n, v)| format!("{r}.{n}={v}")).collect();
    tracing::debug!("counters: {}", counted.join(" "));
    stop_or_quit(&mut signals, router.shutdown()).await;
    tracing::info!("stopped");
    Ok(())
}

/// Tells once what to do when nobody is known; never ends.
async fn advise(router: &Router) {
    if router.ready_within(Stage::PeersKnown, LONELY).await.is_err() {
        let help = if router.config().may_reseed() {
            "no reseed host could help so far; is the internet reachable? --bootstrap takes first peers from a file"
        } else {
            "reseeding is off, so give the RouterInfo of another router with --bootstrap"
        };
        tracing::warn!("no other router is known: {help}");
    }
    std::future::pending().await
}
