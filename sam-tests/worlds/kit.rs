// SPDX-License-Identifier: MIT
//! What all scenarios share: a network, sessions, streams with their books, and the checks that end every world.
//!
//! [`play`] checks in every world, besides the rules of [`super::ledger`]:
//! - no plaintext and no destination of a client was on any link, nor any of a client's bytes in any message between
//!   two routers;
//! - counters conserve and gauges are within their bounds, see [`super::counters`];
//! - after the sessions' end every router has the tasks that it had before them, and links;
//! - after the shutdown no task runs and no connection stands.

use std::fmt::Write as _;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use samovar::destination::{Session, SessionConfig};
use samovar::router::Router;
use samovar::sim::{self, LinkProfile, Node, Outcome, RouterSetup, World, WorldConfig};

use super::counters;
use super::ledger::{KNOWN_AFTER, Ledger, Tally};

/// A network as a scenario wants it.
pub(crate) struct Plan {
    pub(crate) routers: usize,
    pub(crate) setup: fn(usize) -> RouterSetup,
    /// The links from when the network stands.
    pub(crate) link: LinkProfile,
    /// Length of the sessions' tunnels.
    pub(crate) hops: u8,
    pub(crate) tunnels: u8,
    /// Least share of own builds that must succeed, in percent.
    pub(crate) builds: Option<u64>,
    /// Whether what a scenario did to clocks or machines makes counters of two routers incomparable.
    pub(crate) faults: bool,
}

impl Plan {
    pub(crate) fn of(routers: usize) -> Self {
        Self {
            routers,
            setup: |_| RouterSetup::default(),
            link: LinkProfile::default(),
            hops: 2,
            tunnels: 2,
            builds: None,
            faults: false,
        }
    }

    /// Checks this share of successful builds at the end.
    pub(crate) const fn builds(mut self, percent: u64) -> Self {
        self.builds = Some(percent);
        self
    }

    pub(crate) fn link(mut self, link: LinkProfile) -> Self {
        self.link = link;
        self
    }

    pub(crate) const fn faults(mut self) -> Self {
        self.faults = true;
        self
    }
}

/// A world with its network and its books.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) nodes: Vec<Node>,
    pub(crate) ledger: Ledger,
    hops: u8,
    tunnels: u8,
    sessions: Arc<Mutex<Vec<(usize, Session)>>>,
}

/// Own builds of some routers: ended, succeeded.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BuildCount {
    pub(crate) ended: u64,
    pub(crate) good: u64,
}

impl BuildCount {
    pub(crate) fn of(nodes: &[Node]) -> Self {
        let sum = |names: &[&str]| -> u64 {
            nodes.iter().map(|n| names.iter().map(|name| n.counter("tunnel_build", name)).sum::<u64>()).sum()
        };
        let good = sum(&["builds_succeeded"]);
        let bad = sum(&["builds_rejected", "builds_timed_out", "builds_unsent", "builds_tampered"]);
        Self { ended: good + bad, good }
    }

    pub(crate) fn since(self, before: Self) -> Self {
        Self { ended: self.ended - before.ended, good: self.good - before.good }
    }

    pub(crate) fn percent(self) -> u64 {
        self.good * 100 / self.ended.max(1)
    }
}

impl Stage {
    /// Opens a session on a router, takes what comes to it, and declares its names secret.
    pub(crate) async fn session(&self, node: usize) -> Session {
        let config = SessionConfig::transient().tunnels(self.hops, self.tunnels);
        self.session_with(node, config).await
    }

    pub(crate) async fn session_with(&self, node: usize, config: SessionConfig) -> Session {
        let number = self.sessions.lock().unwrap_or_else(PoisonError::into_inner).len();
        let config = config.nickname(format!("s{number}@r{node}"));
        let router = self.nodes[node].router();
        let opened = tokio::time::timeout(Duration::from_secs(300), router.session(config)).await;
        let session = opened.expect("a session opens in time").expect("a session opens");
        let name = session.destination().b32();
        self.world.secret(name.as_bytes());
        self.world.secret(&session.destination().hash().0);
        self.ledger.serve(&session);
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).push((node, session.clone()));
        session
    }

    /// Sessions on routers `from` and following.
    pub(crate) async fn sessions(&self, nodes: impl IntoIterator<Item = usize>) -> Vec<Session> {
        let mut sessions = Vec::new();
        for node in nodes {
            sessions.push(self.session(node).await);
        }
        sessions
    }

    /// Waits until every stream has ended at both ends and checks the books.
    pub(crate) async fn settle(&self) -> Tally {
        self.ledger.settle(KNOWN_AFTER * 2).await
    }

    /// Waits for the end of all streams, none of which may have failed.
    pub(crate) async fn all_through(&self) -> Tally {
        let tally = self.settle().await;
        assert_eq!(tally.failed, 0, "streams failed: {}", self.ledger.failures().join("; "));
        tally
    }

    /// Waits so many seconds.
    pub(crate) async fn seconds(&self, n: u64) {
        self.world.sleep(Duration::from_secs(n)).await;
    }

    /// Closes every session, when its streams are over.
    async fn close_sessions(&self) {
        let sessions = std::mem::take(&mut *self.sessions.lock().unwrap_or_else(PoisonError::into_inner));
        for (_, session) in &sessions {
            let mut wrong = counters::streams(session).await;
            for _ in 0..120 {
                if wrong.is_none() {
                    break;
                }
                self.seconds(1).await;
                wrong = counters::streams(session).await;
            }
            assert_eq!(wrong, None, "streams that are neither open nor over");
        }
        for (node, session) in sessions {
            let closing = session.close();
            let closed = tokio::time::timeout(Duration::from_secs(30), closing).await;
            assert!(closed.is_ok(), "a session of r{node} does not close");
        }
    }
}

/// Tasks of a router that are neither links nor about to become some.
fn settled_tasks(router: &Router) -> usize {
    let counters = router.counters();
    let of =
        |name| counters.iter().filter(|(r, n, _)| *r == "transport" && *n == name).map(|c| c.2).sum::<u64>();
    router.tasks().saturating_sub(usize::try_from(of("sessions") + of("dials")).expect("few"))
}

/// Plays a scenario in a network of its own, checks everything, and answers a line of figures.
pub(crate) fn play<F, Fut>(seed: u64, plan: Plan, scenario: F) -> String
where
    F: FnOnce(Stage) -> Fut,
    Fut: Future<Output = String>,
{
    let outcome = outcome(seed, plan, scenario);
    let (minutes, mb) = (outcome.passed.as_secs_f64() / 60.0, outcome.net.bytes >> 20);
    format!("{minutes:5.1} min, {mb} MB on links; {}", outcome.value)
}

/// As [`play`], but answers everything that is known of the run.
pub(crate) fn outcome<F, Fut>(seed: u64, plan: Plan, scenario: F) -> Outcome<String>
where
    F: FnOnce(Stage) -> Fut,
    Fut: Future<Output = String>,
{
    sim::run_with(WorldConfig::new(seed), |world| async move {
        let nodes = world.network(plan.routers, plan.setup).await;
        world.set_default_link(plan.link.clone());
        world.sleep(Duration::from_secs(1)).await;
        let base: Vec<usize> = nodes.iter().map(|n| settled_tasks(&n.router())).collect();
        let stage = Stage {
            ledger: Ledger::new(&world),
            world: world.clone(),
            nodes: nodes.clone(),
            hops: plan.hops,
            tunnels: plan.tunnels,
            sessions: Arc::default(),
        };
        let figures = scenario(stage.clone()).await;
        stage.settle().await;
        finish(&stage, &plan, &base).await;
        figures
    })
}

/// What must hold at the end of every world.
async fn finish(stage: &Stage, plan: &Plan, base: &[usize]) {
    let world = &stage.world;
    let running: Vec<Node> = stage.nodes.iter().filter(|n| n.running().is_some()).cloned().collect();
    counters::gauges(&running);
    for queue in world.queues() {
        assert!(queue.most <= queue.bound, "a queue beyond its bound: {queue:?}");
    }
    stage.close_sessions().await;
    let left = || {
        let mut left = String::new();
        for (node, base) in stage.nodes.iter().zip(base) {
            let Some(router) = node.running() else { continue };
            let now = settled_tasks(&router);
            if now > *base || !router.sessions().is_empty() {
                let _ = write!(left, "{}: {now} tasks, {base} before; ", node.name());
            }
        }
        left
    };
    let gone = world.wait_for(Duration::from_secs(60), || left().is_empty()).await;
    assert!(gone, "left after the sessions' end: {}", left());
    counters::conserve(&running);
    if !plan.faults {
        counters::links(world, &running).await;
    }
    if let Some(least) = plan.builds {
        let builds = BuildCount::of(&running);
        assert!(builds.percent() >= least, "{} % of builds succeed: {builds:?}", builds.percent());
    }
    let routers: Vec<(String, Router)> = running.iter().map(|n| (n.name(), n.router())).collect();
    for node in &running {
        node.shutdown().await;
    }
    for (name, router) in &routers {
        assert_eq!(router.tasks(), 0, "tasks of {name} after its shutdown");
    }
    world.sleep(Duration::from_secs(60)).await;
    assert_eq!(world.net_stats().open, 0, "connections after every router's shutdown");
    assert_eq!(world.leaks(), [], "plaintext on a link");
}
