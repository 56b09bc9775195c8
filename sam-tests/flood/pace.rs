// SPDX-License-Identifier: MIT
//! So many of something a second, for so long; and what a flood tells when it is over.

use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Counts out `rate` a second until `seconds` are over.
pub struct Pace {
    start: Instant,
    end: Instant,
    rate: f64,
    given: u64,
}

impl Pace {
    pub fn new(rate: u64, seconds: f64) -> Self {
        let start = Instant::now();
        Self { start, end: start + Duration::from_secs_f64(seconds), rate: rate as f64, given: 0 }
    }

    /// Waits a few milliseconds and answers how many are due; `None` when the time is over. What could not be done in
    /// time is not made up for: at most a tenth of a second's worth is due at once.
    pub async fn due(&mut self) -> Option<u64> {
        sleep(Duration::from_millis(4)).await;
        let now = Instant::now();
        if now >= self.end {
            return None;
        }
        let all = (now.duration_since(self.start).as_secs_f64() * self.rate) as u64;
        let due = (all - self.given.min(all)).min((self.rate / 10.0).ceil() as u64);
        self.given = all;
        Some(due)
    }

    pub const fn end(&self) -> Instant {
        self.end
    }

    pub fn elapsed(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }
}

/// Figures of a flood, in the order in which they were added.
#[derive(Default)]
pub struct Report(Vec<(String, f64)>);

impl Report {
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<f64>) {
        self.0.push((name.into(), value.into()));
    }

    pub fn count(&mut self, name: impl Into<String>, value: u64) {
        self.add(name, value as f64);
    }

    /// One line of JSON.
    pub fn json(&self) -> String {
        let fields: Vec<String> = self.0.iter().map(|(k, v)| format!("\"{k}\": {v}")).collect();
        format!("{{{}}}", fields.join(", "))
    }
}
