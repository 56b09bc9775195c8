// SPDX-License-Identifier: MIT
//! What the builder counts.

use super::hop::Dropped;

crate::metrics! {
    /// What the builder counts.
    pub struct BuildMetrics {
        /// Own builds sent.
        builds_sent: Counter,
        /// Own builds of which every hop agreed.
        builds_succeeded: Counter,
        /// Own builds that some hop refused.
        builds_rejected: Counter,
        /// Own builds without an answer in time.
        builds_timed_out: Counter,
        /// Own builds whose first hop could not be reached.
        builds_unsent: Counter,
        /// Own builds whose reply had been changed on the way.
        builds_tampered: Counter,
        /// Own builds that could not start for lack of routers.
        builds_no_hops: Counter,
        /// Own builds that were put off because nobody answers.
        builds_held_back: Counter,
        /// Replies that came after their time.
        replies_late: Counter,
        /// Replies that belong to no build of ours.
        replies_unknown: Counter,
        /// Tests sent through tunnels.
        tests_sent: Counter,
        /// Tests that came back.
        tests_passed: Counter,
        /// Tests that did not.
        tests_failed: Counter,
        /// Tunnels given up because their tests failed.
        tunnels_failed: Counter,
        /// Transit tunnels accepted.
        transit_accepted: Counter,
        /// Transit tunnels refused with a code.
        transit_rejected: Counter,
        /// Transit tunnels carried now.
        transit_now: Counter,
        /// Requests dropped: one peer sent too many.
        requests_dropped_peer_rate: Counter,
        /// Requests dropped: too many in all.
        requests_dropped_router_rate: Counter,
        /// Requests dropped: the router is short of memory.
        requests_dropped_memory: Counter,
        /// Requests dropped: not readable.
        requests_dropped_malformed: Counter,
        /// Requests dropped: no record for us.
        requests_dropped_not_for_us: Counter,
        /// Requests dropped: ephemeral key seen before.
        requests_dropped_replay: Counter,
        /// Requests dropped: record cannot be opened.
        requests_dropped_undecryptable: Counter,
        /// Requests dropped: a rule of the record was broken.
        requests_dropped_rule: Counter,
        /// Requests dropped: too old or too far ahead.
        requests_dropped_time: Counter,
        /// Requests dropped: their message had expired.
        requests_dropped_expired: Counter,
        /// Answered requests dropped because the next hop stayed unknown, or too many waited.
        requests_dropped_next_unknown: Counter,
        /// Garlic messages to the router that were opened.
        garlic_opened: Counter,
        /// Garlic messages to the router that were dropped.
        garlic_dropped: Counter,
        /// Garlic messages to the router that were dropped unopened: too many in all.
        garlic_dropped_rate: Counter,
        /// Messages of a kind that has no business here.
        messages_dropped_kind: Counter,
        /// Pools refused because there were too many.
        pools_refused: Counter,
    }
}

impl BuildMetrics {
    pub(super) fn dropped(&self, why: Dropped) {
        match why {
            Dropped::PeerRate => &self.requests_dropped_peer_rate,
            Dropped::RouterRate => &self.requests_dropped_router_rate,
            Dropped::Memory => &self.requests_dropped_memory,
            Dropped::Malformed => &self.requests_dropped_malformed,
            Dropped::NotForUs => &self.requests_dropped_not_for_us,
            Dropped::Replay => &self.requests_dropped_replay,
            Dropped::Undecryptable => &self.requests_dropped_undecryptable,
            Dropped::Time => &self.requests_dropped_time,
            Dropped::ZeroTunnel
            | Dropped::NextIsUs
            | Dropped::NotDirect
            | Dropped::TurnsBack
            | Dropped::LayerType => &self.requests_dropped_rule,
        }
        .inc();
    }
}
