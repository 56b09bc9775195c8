// SPDX-License-Identifier: MIT
//! Subscriptions: feeds of names, fetched over I2P through a session that lives for one fetch.
//!
//! Each fetch has a destination of its own, so that sites cannot tell one visit from another's. An answer is bounded
//! ([`FEED_MAX`], also unpacked), a fetch limited in time ([`FETCH_LIMIT`], [`SILENCE`]); redirects are not followed. Of an
//! answer that breaks off nothing is taken.

use std::fmt;
use std::io::{self, Read as _};
use std::sync::{Arc, Weak};
use std::time::Duration;

use flate2::read::GzDecoder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::files::SUBSCRIPTIONS;
use crate::base::Rng;
use crate::destination::{ConnectOptions, Error, ErrorKind, Session, SessionConfig, Target};
use crate::metrics;
use crate::names::{FeedReport, FeedUrl, Outcome, Schedule, Validators};
use crate::router::api::{Inner, Router};
use crate::router::http::{Receiver, Response};
use crate::router::status::Stage;
use crate::router::storage::StorageError;

/// Largest feed, packed and unpacked.
pub(super) const FEED_MAX: usize = 8 << 20;
/// Longest fetch: a large feed over slow tunnels.
const FETCH_LIMIT: Duration = Duration::from_secs(900);
/// Longest silence of the site.
const SILENCE: Duration = Duration::from_secs(90);

metrics! {
    /// What subscriptions brought.
    pub struct NamesMetrics {
        /// New versions of feeds taken.
        feeds_taken: Counter,
        /// Answers that nothing is new.
        feeds_unchanged: Counter,
        /// Questions without a usable answer.
        feeds_failed: Counter,
        /// Names that were not known.
        names_added: Counter,
        /// Names with another destination by the old one's signature.
        names_changed: Counter,
        /// Names gone by their own signature.
        names_removed: Counter,
        /// Entries kept out because the name has another destination.
        names_kept_out: Counter,
        /// Lines refused: no entry, not signed as they must be, out of date, beyond a bound.
        lines_refused: Counter,
    }
}

/// Why a fetch brought nothing.
#[derive(Debug)]
pub(super) enum FetchError {
    /// The site cannot be found or reached, or our tunnels failed.
    Reach(Error),
    /// The stream broke.
    Stream(io::Error),
    /// Too slow.
    Time(&'static str),
    /// Another answer than 200 and 304.
    Status(u16),
    /// An answer that cannot be read.
    Answer(&'static str),
    /// The disk refuses what came.
    Storage(StorageError),
    /// The router is stopping.
    Stopping,
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reach(e) if e.kind() == ErrorKind::NameNotFound => {
                write!(f, "its own name is not in the address book; give it by its .b32.i2p address")
            }
            Self::Reach(e) => write!(f, "the site cannot be reached: {e}"),
            Self::Stream(e) => write!(f, "the connection broke: {e}"),
            Self::Time(what) => write!(f, "{what}"),
            Self::Status(code @ (301..=303 | 307 | 308)) => {
                write!(f, "it answered with HTTP status {code}, a redirect, which is not followed")
            }
            Self::Status(code) => write!(f, "it answered with HTTP status {code}"),
            Self::Answer(what) => write!(f, "its answer cannot be used: {what}"),
            Self::Storage(e) => e.fmt(f),
            Self::Stopping => f.write_str("the router is stopping"),
        }
    }
}

/// A new version of a feed.
#[derive(Debug)]
struct Fetched {
    text: String,
    validators: Validators,
}

/// Starts the task, if there are subscriptions.
pub(in crate::router) fn start(router: &Router, rng: Rng) {
    let urls: Vec<FeedUrl> =
        router.config().subscriptions.urls.iter().filter_map(|url| FeedUrl::parse(url).ok()).collect();
    if urls.is_empty() {
        return;
    }
    let weak = Arc::downgrade(&router.inner);
    router.inner.tasks.spawn("subscriptions", run(weak, urls, rng));
}

/// Holds the router weakly between fetches: it is one of the router's tasks and must not keep it alive.
async fn run(router: Weak<Inner>, urls: Vec<FeedUrl>, rng: Rng) {
    let Some(inner) = router.upgrade() else { return };
    let mut status = inner.status.clone();
    let clock = inner.clock.clone();
    drop(inner);
    if status.wait_for(|s| s.stage >= Stage::Tunnels).await.is_err() {
        return;
    }
    let Some(inner) = router.upgrade() else { return };
    let config = &inner.config.subscriptions;
    let times = (config.interval, config.delay);
    let files = inner.names.files.clone();
    let saved = inner.tasks.blocking("names", move || files.read(SUBSCRIPTIONS)).await;
    let saved = saved.and_then(Result::ok).unwrap_or_default();
    let mut schedule = Schedule::new(urls, &saved, times, clock.now(), rng);
    drop(inner);
    loop {
        clock.sleep_until(schedule.next()).await;
        let Some((url, validators)) = schedule.due(clock.now()) else { continue };
        let result = one(&router, &url, &validators).await;
        let Some(inner) = router.upgrade() else { return };
        let metrics = inner.names.metrics.clone();
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(why) => {
                metrics.feeds_failed.inc();
                let wait = schedule.done(clock.now(), &url, Outcome::Failed);
                let (minutes, failures) = (wait.as_secs() / 60, schedule.failures(&url));
                // A site that stays away need not be named every time.
                if failures.is_power_of_two() {
                    tracing::warn!(%url, failures, "subscription not fetched: {why}; again in {minutes} min");
                }
                continue;
            }
        };
        schedule.done(clock.now(), &url, outcome);
        let (files, text) = (inner.names.files.clone(), schedule.to_text());
        let written = inner.tasks.blocking("names", move || files.write(SUBSCRIPTIONS, &text)).await;
        if let Some(Err(error)) = written {
            tracing::warn!(%error, "what subscriptions answered is not remembered");
        }
    }
}

/// Asks one subscription and takes what it answers.
async fn one(router: &Weak<Inner>, url: &FeedUrl, known: &Validators) -> Result<Outcome, FetchError> {
    let handle = || router.upgrade().map(|inner| Router { inner }).ok_or(FetchError::Stopping);
    // Without its names, as after a loss of the file, a version that we have is of no use.
    let held = handle()?.names().book().await.has_subscription(url.as_str());
    let known = if held { known.clone() } else { Validators::default() };
    let (session, target) = open(&handle()?, url).await?;
    let fetched = timeout(FETCH_LIMIT, Box::pin(fetch(&session, target, url, &known))).await;
    session.begin_close();
    let fetched = answer(fetched.map_err(|_| FetchError::Time("the feed did not come within 15 minutes"))??)?;
    let router = handle()?;
    let names = router.names();
    let Some(Fetched { text, validators }) = fetched else {
        names.metrics.feeds_unchanged.inc();
        tracing::debug!(%url, "subscription unchanged");
        return Ok(Outcome::Unchanged);
    };
    let (files, wall_s, source) =
        (names.files.clone(), router.inner.clock.now().wall_ms / 1000, url.to_string());
    let work = move || files.subscription(&source, &text, wall_s);
    let report = router.inner.tasks.blocking("names", work).await.ok_or(FetchError::Stopping)?;
    let report = report.map_err(FetchError::Storage)?;
    names.forget().await;
    count(&names.metrics, &report);
    tell(url, &report);
    Ok(Outcome::Fetched(validators))
}

/// A session for one fetch, and whom to call.
async fn open(router: &Router, url: &FeedUrl) -> Result<(Session, Target), FetchError> {
    let target = router.resolve(url.host()).await.map_err(FetchError::Reach)?;
    let mut config = SessionConfig::transient().nickname("subscription");
    config.unpublished = true;
    if router.config().test_network {
        // Networks on one machine may have few routers.
        config.tunnels = router.config().exploratory_pool();
    }
    let session = router.session(config).await.map_err(FetchError::Reach)?;
    Ok((session, target))
}

/// One request and its answer.
async fn fetch(
    session: &Session,
    target: Target,
    url: &FeedUrl,
    known: &Validators,
) -> Result<Response, FetchError> {
    let options = ConnectOptions { to_port: url.port(), ..ConnectOptions::default() };
    let mut stream = session.connect_with(target, options).await.map_err(FetchError::Reach)?;
    stream.write_all(url.request(known).as_bytes()).await.map_err(FetchError::Stream)?;
    stream.flush().await.map_err(FetchError::Stream)?;
    let mut receiver = Receiver::new(FEED_MAX);
    let mut buf = vec![0; 16 << 10];
    loop {
        let read = timeout(SILENCE, stream.read(&mut buf)).await;
        let n = read.map_err(|_| FetchError::Time("the site was silent for 90 s"))?;
        let n = n.map_err(FetchError::Stream)?;
        if n == 0 || receiver.push(buf.get(..n).unwrap_or_default()).map_err(FetchError::Answer)? {
            return receiver.finish().map_err(FetchError::Answer);
        }
    }
}

/// What an answer says.
fn answer(response: Response) -> Result<Option<Fetched>, FetchError> {
    match response.status {
        200 => {}
        304 => return Ok(None),
        status => return Err(FetchError::Status(status)),
    }
    let body = match response.encoding.as_deref() {
        None | Some("" | "identity") => response.body,
        Some("gzip" | "x-gzip" | "x-i2p-gzip") => unpack(&response.body)?,
        Some(_) => return Err(FetchError::Answer("it is packed in a way that was not asked for")),
    };
    let text = String::from_utf8_lossy(&body).into_owned();
    // A page that says sorry is no feed, and an empty feed would be remembered as the newest.
    if !text.lines().any(|line| line.split_once('=').is_some_and(|(_, rest)| rest.len() >= 516)) {
        return Err(FetchError::Answer("there are no entries in it"));
    }
    Ok(Some(Fetched { text, validators: Validators::new(response.etag, response.last_modified) }))
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>, FetchError> {
    let mut out = Vec::new();
    let read = GzDecoder::new(packed).take(FEED_MAX as u64 + 1).read_to_end(&mut out);
    match read {
        Ok(n) if n > FEED_MAX => Err(FetchError::Answer("larger than 8 MiB when unpacked")),
        Ok(_) => Ok(out),
        Err(_) => Err(FetchError::Answer("it does not unpack")),
    }
}

fn count(metrics: &NamesMetrics, report: &FeedReport) {
    metrics.feeds_taken.inc();
    for (counter, n) in [
        (&metrics.names_added, report.added),
        (&metrics.names_changed, report.changed),
        (&metrics.names_removed, report.removed),
        (&metrics.names_kept_out, report.conflicts),
        (&metrics.lines_refused, report.unusable + report.unsigned + report.stale + report.beyond),
    ] {
        counter.add(n as u64);
    }
}

fn tell(url: &FeedUrl, report: &FeedReport) {
    tracing::info!(
        %url, added = report.added, changed = report.changed, removed = report.removed, known = report.known,
        unusable = report.unusable, unsigned = report.unsigned, stale = report.stale, beyond = report.beyond,
        "subscription taken"
    );
    if report.conflicts > 0 {
        let names: Vec<&str> = report.conflict_names.iter().map(|n| n.as_str()).collect();
        let more = if report.conflicts > names.len() { " and more" } else { "" };
        tracing::warn!(
            %url, conflicts = report.conflicts,
            "kept what we had for {}{more}: the subscription has other destinations; `samovar names list \
             --conflicts` shows them",
            names.join(", ")
        );
    }
}
