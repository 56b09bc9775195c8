// SPDX-License-Identifier: MIT
//! What the streams of a destination count.

crate::metrics! {
    /// What the streams of a destination count.
    pub struct StreamMetrics {
        /// Streams that we opened.
        streams_opened: Counter,
        /// Streams that peers opened.
        streams_accepted: Counter,
        /// Streams that ended with both sides' CLOSE.
        streams_closed: Counter,
        /// Streams that ended otherwise.
        streams_failed: Counter,
        /// Packets polled.
        packets_sent: Counter,
        /// Packets taken.
        packets_received: Counter,
        /// Packets sent again.
        packets_repeated: Counter,
        /// Packets that could not be read.
        packets_dropped_malformed: Counter,
        /// Packets whose sender or ids do not fit their stream.
        packets_dropped_foreign: Counter,
        /// Packets whose signature is missing or wrong.
        packets_dropped_unsigned: Counter,
        /// Packets of streams that do not exist.
        packets_dropped_unknown: Counter,
        /// Packets before their SYN for which there was no room.
        packets_dropped_early: Counter,
        /// SYNs meant for another destination.
        syns_dropped_misdirected: Counter,
        /// SYNs seen before.
        syns_dropped_replayed: Counter,
        /// SYNs above the rate limits.
        syns_dropped_rate: Counter,
        /// SYNs refused with a reset: no listener, no room, or a limit of the client's.
        syns_refused: Counter,
        /// SYNs beyond the limits per minute, hour or day.
        syns_refused_limits: Counter,
        /// Answers that found the queue of resets and pongs full.
        replies_dropped: Counter,
    }
}
