// SPDX-License-Identifier: MIT
//! What we remember about how routers behaved, and the tiers that follow from it.
//!
//! Counters decay with a half-life of six hours, so that a bad day is forgotten and a good reputation has to be
//! kept. Only our own experience counts: nothing a router says about itself or about others enters a profile.
//! At most [`PROFILES_MAX`] are kept; when full, the one with the least experience goes. Times inside a profile
//! are wall-clock seconds, since profiles outlive the process.
//! Spec: peer selection, "Peer Profiles", "Peer Organization".

use super::standing::{Report, Standing, Tier};
use crate::base::{Map, Now, Rng, map};
use crate::wire::{RouterHash, b64};
use std::fmt::Write as _;

/// Most profiles kept at once; about 100 bytes each.
pub(crate) const PROFILES_MAX: usize = 8_000;
/// Most routers in the high-capacity tier.
pub(crate) const HIGH_CAPACITY_MAX: usize = 75;
/// Most routers in the fast tier.
pub(crate) const FAST_MAX: usize = 30;

const HALF_LIFE_S: f32 = 6.0 * 3600.0;
/// Who may have lost builds because of another hop need not be shunned for long.
const STREAK_HALF_LIFE_S: f32 = 900.0;
const REJECT_REST_S: u64 = 20;
const LOST_REST_S: u64 = 60;
const UNREACHABLE_REST_S: u64 = 480;
const FORMAT_LINE: &str = "samovar-profiles 1";

/// A router's record. Counters are decayed sums.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
struct Profile {
    updated_s: u64,
    agreed: f32,
    rejected: f32,
    lost: f32,
    /// Lost since it last agreed; decays sooner than the rest and is not saved.
    streak: f32,
    /// The capacity that others know of: by the last report or the last [`Profiles::rank`] that named the router.
    told: f32,
    tests_passed: f32,
    tests_failed: f32,
    answered: f32,
    silent: f32,
    rtt_ms: f32,
    peak_kbps: f32,
    rest_until_s: u64,
    unreachable_until_s: u64,
    contacted_s: u64,
}

impl Profile {
    fn decay(&mut self, now_s: u64) {
        let elapsed = now_s.saturating_sub(self.updated_s);
        if elapsed < 60 {
            return; // too little to matter, and exp2 for each report would be waste
        }
        #[expect(clippy::cast_precision_loss, reason = "a decay factor needs no precision")]
        let factor = (-(elapsed as f32) / HALF_LIFE_S).exp2();
        for counter in [
            &mut self.agreed,
            &mut self.rejected,
            &mut self.lost,
            &mut self.tests_passed,
            &mut self.tests_failed,
            &mut self.answered,
            &mut self.silent,
            &mut self.peak_kbps,
        ] {
            *counter *= factor;
        }
        #[expect(clippy::cast_precision_loss, reason = "a decay factor needs no precision")]
        let factor = (-(elapsed as f32) / STREAK_HALF_LIFE_S).exp2();
        self.streak *= factor;
        self.updated_s = now_s;
    }

    fn apply(&mut self, now_s: u64, report: Report) {
        self.decay(now_s);
        match report {
            Report::BuildAgreed => {
                self.agreed += 1.0;
                self.streak = 0.0;
                self.contacted_s = now_s;
                self.rest_until_s = 0;
            }
            Report::BuildRejected => {
                self.rejected += 1.0;
                self.contacted_s = now_s;
                self.rest_until_s = now_s + REJECT_REST_S;
            }
            Report::BuildTimedOut { hops } => {
                let share = 1.0 / f32::from(hops.max(1));
                self.lost += share;
                self.streak += share;
                if hops <= 1 {
                    self.rest_until_s = now_s + LOST_REST_S;
                }
            }
            Report::TestPassed { rtt_ms } => {
                self.tests_passed += 1.0;
                self.sample_rtt(rtt_ms);
            }
            Report::TestFailed { hops } => self.tests_failed += 1.0 / f32::from(hops.max(1)),
            Report::DialFailed => self.unreachable_until_s = now_s + UNREACHABLE_REST_S,
            Report::Connected => {
                self.unreachable_until_s = 0;
                self.contacted_s = now_s;
            }
            Report::LookupAnswered { .. } => {
                self.answered += 1.0;
                self.contacted_s = now_s;
            }
            Report::LookupSilent => self.silent += 1.0,
            #[expect(clippy::cast_precision_loss, reason = "a rate needs no precision")]
            Report::Carried { kbps } => self.peak_kbps = self.peak_kbps.max(kbps as f32),
        }
    }

    fn sample_rtt(&mut self, rtt_ms: u32) {
        #[expect(clippy::cast_precision_loss, reason = "an average needs no precision")]
        let sample = rtt_ms as f32;
        self.rtt_ms = if self.rtt_ms > 0.0 { self.rtt_ms * 0.875 + sample * 0.125 } else { sample.max(0.1) };
    }

    /// Losses weigh more than refusals: a router that refuses is honest and quick about it.
    fn ratio(&self) -> f32 {
        let bad = self.rejected + 2.0 * self.lost + self.tests_failed;
        let good = self.agreed + 0.25 * self.tests_passed;
        (good + 1.0) / (good + bad + 2.0)
    }

    fn capacity(&self) -> f32 {
        self.ratio() * (1.0 + self.agreed.min(32.0)) * (-2.0 * self.streak).exp2()
    }

    /// Whether time alone has moved the capacity by more than a tenth from what others know.
    fn drifted(&self) -> bool {
        let capacity = self.capacity();
        (capacity - self.told).abs() > 0.1 * capacity.max(self.told)
    }

    fn speed(&self) -> f32 {
        let by_latency = if self.rtt_ms > 0.0 { 1000.0 / (self.rtt_ms + 10.0) } else { 0.0 };
        by_latency + self.peak_kbps / 16.0
    }

    fn experience(&self) -> f32 {
        self.agreed
            + self.rejected
            + self.lost
            + self.tests_passed
            + self.tests_failed
            + self.answered
            + self.silent
    }

    fn failing(&self) -> bool {
        self.rejected + self.lost >= 5.0 && self.agreed * 4.0 < self.rejected + self.lost
    }

    fn standing(&self, tier: Tier) -> Standing {
        Standing {
            tier,
            capacity: self.capacity(),
            speed: self.speed(),
            rest_until_ms: self.rest_until_s * 1000,
            unreachable_until_ms: self.unreachable_until_s * 1000,
            contacted: self.contacted_s != 0,
            answers: (self.answered + 1.0) / (self.answered + self.silent + 2.0),
        }
    }
}

/// All profiles of a router.
#[derive(Debug)]
pub struct Profiles {
    table: Map<RouterHash, (Profile, Tier)>,
    limit: usize,
}

impl Profiles {
    /// An empty table.
    pub fn new(rng: &mut Rng) -> Self {
        Self { table: map(rng), limit: PROFILES_MAX }
    }

    /// Number of profiles.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Takes a report in.
    pub fn report(&mut self, now: Now, router: RouterHash, report: Report) {
        let now_s = now.wall_ms / 1000;
        if !self.table.contains_key(&router) && self.table.len() >= self.limit {
            self.shrink();
        }
        let fresh = || (Profile { updated_s: now_s, ..Profile::default() }, Tier::Standard);
        let (profile, tier) = self.table.entry(router).or_insert_with(fresh);
        profile.apply(now_s, report);
        profile.told = profile.capacity();
        if profile.failing() {
            *tier = Tier::Failing;
        }
    }

    /// Where `router` stands.
    pub fn standing(&self, router: &RouterHash) -> Standing {
        self.table.get(router).map_or_else(Standing::default, |(profile, tier)| profile.standing(*tier))
    }

    /// Recomputes the tiers; to be called every 45 s or so. Answers the routers whose tier changed, or whose capacity
    /// is another by now since what they did is longer ago: without that, who lost a few in a row would be shunned
    /// until somebody used it again, which nobody does while it is shunned.
    pub fn rank(&mut self, now: Now) -> Vec<RouterHash> {
        let now_s = now.wall_ms / 1000;
        let mut ranked: Vec<(RouterHash, f32, f32)> = Vec::new();
        for (hash, (profile, _)) in &mut self.table {
            profile.decay(now_s);
            if profile.agreed >= 0.5 && !profile.failing() {
                ranked.push((*hash, profile.capacity(), profile.speed()));
            }
        }
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let median = ranked.get(ranked.len() / 2).map_or(f32::MAX, |r| r.1);
        ranked.retain(|r| r.1 >= median);
        ranked.truncate(HIGH_CAPACITY_MAX);
        let mut fast = ranked.clone();
        fast.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)));
        let median = fast.get(fast.len() / 2).map_or(f32::MAX, |r| r.2);
        fast.retain(|r| r.2 >= median && r.2 > 0.0);
        fast.truncate(FAST_MAX);
        let mut tiers: std::collections::BTreeMap<RouterHash, Tier> =
            ranked.iter().map(|r| (r.0, Tier::HighCapacity)).collect();
        tiers.extend(fast.iter().map(|r| (r.0, Tier::Fast)));
        let mut changed = Vec::new();
        for (hash, (profile, tier)) in &mut self.table {
            let new = if profile.failing() {
                Tier::Failing
            } else {
                tiers.get(hash).copied().unwrap_or(Tier::Standard)
            };
            if new != *tier || profile.drifted() {
                *tier = new;
                profile.told = profile.capacity();
                changed.push(*hash);
            }
        }
        changed.sort_unstable();
        changed
    }

    /// Drops the tenth with the least experience: rare, so the cost of a sort does not matter.
    fn shrink(&mut self) {
        let mut order: Vec<(f32, RouterHash)> =
            self.table.iter().map(|(hash, (profile, _))| (profile.experience(), *hash)).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for (_, hash) in order.iter().take(self.limit / 10 + 1) {
            self.table.remove(hash);
        }
    }

    /// The profiles as text, one router a line, best known first. Resting times are not kept.
    pub fn save(&self) -> String {
        let mut rows: Vec<(&RouterHash, &Profile)> = self.table.iter().map(|(h, (p, _))| (h, p)).collect();
        rows.sort_by(|a, b| b.1.experience().total_cmp(&a.1.experience()).then(a.0.cmp(b.0)));
        let mut out = String::from(FORMAT_LINE);
        out.push('\n');
        for (hash, p) in rows {
            let _ = writeln!(
                out,
                "{} {} {:.2} {:.2} {:.2} {:.2} {:.2} {:.2} {:.2} {:.1} {:.1} {}",
                hash.to_base64(),
                p.updated_s,
                p.agreed,
                p.rejected,
                p.lost,
                p.tests_passed,
                p.tests_failed,
                p.answered,
                p.silent,
                p.rtt_ms,
                p.peak_kbps,
                p.contacted_s
            );
        }
        out
    }

    /// Takes in what [`Profiles::save`] wrote. Lines that make no sense are skipped; answers how many were taken.
    pub fn load(&mut self, text: &str) -> usize {
        let mut lines = text.lines();
        if lines.next() != Some(FORMAT_LINE) {
            return 0;
        }
        let mut taken = 0;
        for (hash, profile) in lines.filter_map(parse_line) {
            if self.table.len() >= self.limit {
                break;
            }
            self.table.insert(hash, (profile, Tier::Standard));
            taken += 1;
        }
        taken
    }
}

fn parse_line(line: &str) -> Option<(RouterHash, Profile)> {
    let mut fields = line.split_ascii_whitespace();
    let hash: [u8; 32] = b64::decode(fields.next()?)?.try_into().ok()?;
    let updated_s = fields.next()?.parse().ok()?;
    let mut number = || -> Option<f32> {
        let value: f32 = fields.next()?.parse().ok()?;
        (value.is_finite() && (0.0..=1.0e6).contains(&value)).then_some(value)
    };
    let mut profile = Profile {
        updated_s,
        agreed: number()?,
        rejected: number()?,
        lost: number()?,
        tests_passed: number()?,
        tests_failed: number()?,
        answered: number()?,
        silent: number()?,
        rtt_ms: number()?,
        peak_kbps: number()?,
        ..Profile::default()
    };
    profile.contacted_s = fields.next()?.parse().ok()?;
    Some((RouterHash(hash), profile))
}

#[cfg(test)]
mod tests;
