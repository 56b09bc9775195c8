// SPDX-License-Identifier: MIT
//! Publishing our own RouterInfo.
//!
//! Goes straight to the floodfill nearest to our hash, with a token that it must send back; a silent one is
//! followed by the next nearest, up to fifteen. Around UTC midnight the floodfills of both days get it. Once it is
//! confirmed, a freshly signed one follows after some forty minutes. Spec: network database, "Publishing".

use super::super::message::{nonzero, store};
use super::super::routing::{MIDNIGHT_WINDOW_MS, day_number, neighbour_day};
use super::super::standing::Report;
use super::{Action, Engine, Timer};
use crate::base::{Mono, Now};
use crate::wire::{DatabaseStore, Hash, RouterHash, StoreData, TunnelId};
use std::time::Duration;

const TRIES_MAX: usize = 15;
const ACK_CONNECTED: Duration = Duration::from_secs(3);
const ACK_DIALLED: Duration = Duration::from_secs(6);
/// After all tries failed, or while there is nobody to publish to.
const PAUSE: Duration = Duration::from_secs(30);
/// Between two publications because of changes.
const CHANGE_INTERVAL: Duration = Duration::from_secs(20);
const REPUBLISH: Duration = Duration::from_secs(38 * 60);
const REPUBLISH_SPREAD_MS: u64 = 4 * 60_000;

#[derive(Clone, Copy, Debug)]
struct Pending {
    floodfill: RouterHash,
    token: u32,
    sent: Mono,
}

/// Where the publication of our RouterInfo stands.
#[derive(Debug, Default)]
pub(super) struct Publisher {
    pending: Option<Pending>,
    asked: Vec<RouterHash>,
    /// Days (as a wall-clock time within each) whose floodfills still have to get it.
    days: Vec<u64>,
    /// When the last round began.
    began: Option<Mono>,
    /// Whether the present RouterInfo was confirmed.
    confirmed: bool,
    /// Whether a newer signature has been asked for and has not come yet.
    refreshing: bool,
    day: u64,
}

impl Publisher {
    pub(super) fn awaits(&self, token: u32) -> bool {
        self.pending.is_some_and(|p| p.token == token)
    }
}

impl Engine {
    /// Our RouterInfo is new: plans its publication.
    pub(super) fn publish_soon(&mut self, now: Now) {
        let at = match self.publisher.began {
            None => now.mono + self.config.publish_delay,
            Some(_) if self.publisher.refreshing => now.mono,
            Some(began) => (began + CHANGE_INTERVAL).max(now.mono + Duration::from_secs(1)),
        };
        self.publisher.refreshing = false;
        self.publisher.confirmed = false;
        self.publisher.pending = None;
        self.publisher.asked.clear();
        self.publisher.days.clear();
        self.timers.set(Timer::Publish, at);
    }

    /// The timer came: begin a round, move on from a silent floodfill, or ask for a fresh signature.
    pub(super) fn publish_step(&mut self, now: Now) {
        if let Some(pending) = self.publisher.pending.take() {
            self.metrics.publications_unanswered.inc();
            self.report(now, pending.floodfill, Report::LookupSilent);
        }
        if self.publisher.confirmed {
            self.ask_for_refresh(now);
            return;
        }
        if self.publisher.days.is_empty() {
            self.publisher.asked.clear();
            self.publisher.began = Some(now.mono);
            self.publisher.day = day_number(now.wall_ms);
            self.publisher.days.push(now.wall_ms);
            self.publisher.days.extend(neighbour_day(now.wall_ms, MIDNIGHT_WINDOW_MS));
        }
        self.publish_next(now);
    }

    fn ask_for_refresh(&mut self, now: Now) {
        self.publisher.refreshing = true;
        self.actions.push_back(Action::RefreshOwn);
        self.timers.set(Timer::Publish, now.mono + PAUSE); // asks again should nothing come
    }

    fn publish_next(&mut self, now: Now) {
        let (Some(own), Some(day)) = (self.own.clone(), self.publisher.days.first().copied()) else { return };
        let asked = &self.publisher.asked;
        let skip = |h: &RouterHash| *h == own.hash || asked.contains(h);
        let next = self.view.closest_floodfills(&Hash::from(own.hash), day, skip, 1).first().cloned();
        let Some(floodfill) = next.filter(|_| asked.len() < TRIES_MAX) else {
            if !asked.is_empty() {
                self.actions.push_back(Action::PublishFailed { asked: asked.len() });
            }
            self.publisher.days.clear();
            self.timers.set(Timer::Publish, now.mono + PAUSE);
            return;
        };
        let token = nonzero(&mut self.rng);
        let body = DatabaseStore {
            key: own.hash.into(),
            reply: Some((token, TunnelId(0), own.hash)),
            data: StoreData::RouterInfo(own.info.raw().to_vec()),
        };
        let message = store(&mut self.rng, now.wall_ms, &body);
        self.actions.push_back(Action::Send { to: floodfill.hash, message });
        self.publisher.asked.push(floodfill.hash);
        self.publisher.pending = Some(Pending { floodfill: floodfill.hash, token, sent: now.mono });
        let patience = if floodfill.connected { ACK_CONNECTED } else { ACK_DIALLED };
        self.timers.set(Timer::Publish, now.mono + patience);
    }

    /// A DeliveryStatus came.
    pub(super) fn on_confirmed(&mut self, now: Now, token: u32) {
        let Some(pending) = self.publisher.pending.filter(|p| p.token == token) else { return };
        self.publisher.pending = None;
        self.metrics.publications_confirmed.inc();
        let rtt_ms = u32::try_from((now.mono - pending.sent).as_millis()).unwrap_or(u32::MAX);
        self.report(now, pending.floodfill, Report::LookupAnswered { rtt_ms });
        self.actions.push_back(Action::Published { by: pending.floodfill });
        self.publisher.days.remove(0);
        if self.publisher.days.is_empty() {
            self.publisher.confirmed = true;
            let spread = Duration::from_millis(self.rng.below(REPUBLISH_SPREAD_MS));
            self.timers.set(Timer::Publish, now.mono + REPUBLISH + spread);
        } else {
            self.publish_next(now);
        }
    }

    /// The floodfill that we wait for cannot be reached: on to the next.
    pub(super) fn publish_dial_failed(&mut self, now: Now, peer: RouterHash) {
        if self.publisher.pending.is_some_and(|p| p.floodfill == peer) {
            self.publish_step(now);
        }
    }

    /// A floodfill became known: publish at once if we had been waiting for one.
    pub(super) fn publish_floodfill_known(&mut self, now: Now) {
        let p = &self.publisher;
        if p.began.is_some() && !p.confirmed && p.pending.is_none() && p.asked.is_empty() {
            self.timers.set(Timer::Publish, now.mono + Duration::from_millis(200));
        }
    }

    /// After UTC midnight other floodfills are responsible for us: they get a fresh RouterInfo within a minute.
    pub(super) fn publish_check_day(&mut self, now: Now) {
        let today = day_number(now.wall_ms);
        if self.publisher.confirmed && self.publisher.day != today {
            self.publisher.day = today;
            let spread = Duration::from_millis(self.rng.below(60_000));
            self.timers.set(Timer::Publish, now.mono + spread);
        }
    }
}
