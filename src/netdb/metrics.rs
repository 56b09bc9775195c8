// SPDX-License-Identifier: MIT
//! What the netDb counts.

use crate::metrics;

metrics! {
    /// Counters of the netDb engine of one router.
    pub struct NetDbMetrics {
        /// Routers known now.
        routers_known: Counter,
        /// Floodfills known now.
        floodfills_known: Counter,
        /// Lease sets kept for others now.
        lease_sets_kept: Counter,
        /// RouterInfos taken in, new or newer.
        router_infos_taken: Counter,
        /// RouterInfos refused because they did not parse or break a rule.
        router_infos_refused_invalid: Counter,
        /// RouterInfos refused because their signature is wrong.
        router_infos_refused_signature: Counter,
        /// RouterInfos that were not newer than what we have.
        router_infos_refused_old: Counter,
        /// RouterInfos that nobody had asked for.
        router_infos_refused_unasked: Counter,
        /// Entries refused because too many came at once.
        stores_refused_busy: Counter,
        /// RouterInfos dropped because the table was full.
        router_infos_evicted: Counter,
        /// RouterInfos dropped because they were too old.
        router_infos_expired: Counter,
        /// Lease sets taken in as floodfill.
        lease_sets_taken: Counter,
        /// Lease sets refused.
        lease_sets_refused: Counter,
        /// Entries flooded to other floodfills.
        entries_flooded: Counter,
        /// Entries not flooded because their key was flooded too often.
        floods_suppressed: Counter,
        /// Lookups answered with the entry.
        lookups_served_found: Counter,
        /// Lookups answered with other routers to ask.
        lookups_served_closer: Counter,
        /// Lookups dropped because the asker asked too often, or all askers together did.
        lookups_dropped_busy: Counter,
        /// Lookups dropped because of how they came or how they wanted to be answered.
        lookups_dropped_policy: Counter,
        /// Answers dropped because we could not find the router they should go to.
        answers_dropped_unknown: Counter,
        /// Router lookups of ours that found their router.
        searches_found: Counter,
        /// Router lookups of ours that failed.
        searches_failed: Counter,
        /// Router lookups not begun because too many were running.
        searches_dropped_busy: Counter,
        /// Single questions that brought no answer in time.
        questions_unanswered: Counter,
        /// Exploratory questions asked.
        explorations: Counter,
        /// Search replies that matched no question of ours.
        replies_unmatched: Counter,
        /// Messages that did not parse, were out of time or of no use here.
        messages_dropped: Counter,
        /// Times that our RouterInfo was confirmed by a floodfill.
        publications_confirmed: Counter,
        /// Times that a floodfill did not confirm our RouterInfo.
        publications_unanswered: Counter,
    }
}
