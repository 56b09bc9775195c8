// SPDX-License-Identifier: MIT
//! When which subscription is asked, and what it told about the version that we have.
//!
//! Each is asked every [`Schedule::new`]`(interval)` and up to a sixth longer, so that routers do not come in step; one that
//! failed is asked again after five minutes, then ten, and so on up to the interval. Dates of the last good answer are
//! kept between runs, so a restart asks nobody sooner.

use std::fmt::Write as _;
use std::time::Duration;

use super::FeedUrl;
use crate::base::{Mono, Now, Rng};

/// First pause after a failure.
const RETRY: Duration = Duration::from_secs(300);
/// Longest `ETag` or `Last-Modified` that is kept.
const VALIDATOR_MAX: usize = 256;

/// What a server says about a version, to be given back to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// `ETag`, for `If-None-Match`.
    pub etag: Option<String>,
    /// `Last-Modified`, for `If-Modified-Since`.
    pub modified: Option<String>,
}

impl Validators {
    /// Takes what came in a response, as far as it may stand in a request.
    pub fn new(etag: Option<String>, modified: Option<String>) -> Self {
        let fit = |text: &String| {
            !text.is_empty()
                && text.len() <= VALIDATOR_MAX
                && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
        };
        Self { etag: etag.filter(fit), modified: modified.filter(fit) }
    }
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A new version, which has been taken.
    Fetched(Validators),
    /// The version that we have.
    Unchanged,
    /// Nothing of use.
    Failed,
}

#[derive(Debug)]
struct Feed {
    url: FeedUrl,
    validators: Validators,
    /// When it last answered well, seconds since 1970; 0: never.
    checked_s: u64,
    failures: u32,
    next: Mono,
}

/// All subscriptions.
#[derive(Debug)]
pub struct Schedule {
    feeds: Vec<Feed>,
    interval: Duration,
    rng: Rng,
}

impl Schedule {
    /// The subscriptions `urls`, of which `saved` ([`Schedule::to_text`]) remembers some. One that is overdue is asked
    /// after `delay` and up to twice that.
    pub fn new(
        urls: Vec<FeedUrl>,
        saved: &str,
        (interval, delay): (Duration, Duration),
        now: Now,
        mut rng: Rng,
    ) -> Self {
        let known = parse(saved);
        let mut feeds = Vec::new();
        for url in urls {
            let (validators, checked_s) =
                known.iter().find(|k| k.0 == url.as_str()).map(|k| (k.1.clone(), k.2)).unwrap_or_default();
            // A clock that was wrong must not put it off for longer.
            let age = Duration::from_secs((now.wall_ms / 1000).saturating_sub(checked_s));
            let wait = interval.saturating_sub(age).max(delay) + jitter(&mut rng, delay);
            feeds.push(Feed { url, validators, checked_s, failures: 0, next: now.mono.after(wait) });
        }
        Self { feeds, interval, rng }
    }

    /// When the subscriptions of a saved text last answered well: addresses, and seconds since 1970.
    pub fn answered(saved: &str) -> Vec<(String, u64)> {
        parse(saved).into_iter().map(|(url, _, checked_s)| (url, checked_s)).collect()
    }

    /// When the next question is due; `None` without subscriptions.
    pub fn next(&self) -> Option<Mono> {
        self.feeds.iter().map(|f| f.next).min()
    }

    /// Whom to ask now.
    pub fn due(&self, now: Now) -> Option<(FeedUrl, Validators)> {
        let feed = self.feeds.iter().filter(|f| f.next <= now.mono).min_by_key(|f| f.next)?;
        Some((feed.url.clone(), feed.validators.clone()))
    }

    /// Takes the outcome of a question; answers how long the next one is away.
    pub fn done(&mut self, now: Now, url: &FeedUrl, outcome: Outcome) -> Duration {
        let Some(feed) = self.feeds.iter_mut().find(|f| f.url == *url) else { return self.interval };
        let wait = match outcome {
            Outcome::Failed => {
                let wait = RETRY.saturating_mul(1 << feed.failures.min(16)).min(self.interval);
                feed.failures = feed.failures.saturating_add(1);
                wait
            }
            Outcome::Fetched(_) | Outcome::Unchanged => {
                if let Outcome::Fetched(validators) = outcome {
                    feed.validators = validators;
                }
                feed.failures = 0;
                feed.checked_s = now.wall_ms / 1000;
                self.interval
            }
        };
        let wait = wait + jitter(&mut self.rng, wait / 6);
        feed.next = now.mono.after(wait);
        wait
    }

    /// How often in a row a subscription has failed.
    pub fn failures(&self, url: &FeedUrl) -> u32 {
        self.feeds.iter().find(|f| f.url == *url).map_or(0, |f| f.failures)
    }

    /// What shall be remembered.
    pub fn to_text(&self) -> String {
        let mut out = String::from("# What subscriptions answered last: written by the router.\n");
        for feed in self.feeds.iter().filter(|f| f.checked_s != 0) {
            let _ = writeln!(out, "url {}\nchecked {}", feed.url, feed.checked_s);
            if let Some(etag) = &feed.validators.etag {
                let _ = writeln!(out, "etag {etag}");
            }
            if let Some(modified) = &feed.validators.modified {
                let _ = writeln!(out, "modified {modified}");
            }
        }
        out
    }
}

fn jitter(rng: &mut Rng, most: Duration) -> Duration {
    Duration::from_millis(rng.below(u64::try_from(most.as_millis()).unwrap_or(u64::MAX).saturating_add(1)))
}

fn parse(saved: &str) -> Vec<(String, Validators, u64)> {
    let mut known: Vec<(String, Validators, u64)> = Vec::new();
    for (key, value) in saved.lines().filter_map(|line| line.split_once(' ')) {
        if key == "url" {
            known.push((value.to_owned(), Validators::default(), 0));
        } else if let Some((_, validators, checked_s)) = known.last_mut() {
            match key {
                "checked" => *checked_s = value.parse().unwrap_or(0),
                "etag" => *validators = Validators::new(Some(value.into()), validators.modified.take()),
                "modified" => *validators = Validators::new(validators.etag.take(), Some(value.into())),
                _ => {}
            }
        }
    }
    known
}
