// SPDX-License-Identifier: MIT
//! What the transport counts.

crate::metrics! {
    /// Counters of one router's transport.
    pub struct TransportMetrics {
        /// Open sessions now.
        sessions: Counter,
        /// Dials under way now.
        dials: Counter,
        /// Inbound sessions ever established.
        inbound_up: Counter,
        /// Outbound sessions ever established.
        outbound_up: Counter,
        /// Inbound handshakes that failed.
        inbound_failed: Counter,
        /// Dials that failed.
        outbound_failed: Counter,
        /// Connections refused by a limit before the handshake.
        accept_refused: Counter,
        /// Inbound handshakes dropped to make room for newer ones.
        accept_evicted: Counter,
        /// Authenticated sessions dropped for a limit, a ban or a duplicate.
        session_refused: Counter,
        /// Bytes read from peers.
        bytes_in: Counter,
        /// Bytes written to peers.
        bytes_out: Counter,
        /// Messages received.
        messages_in: Counter,
        /// Messages sent.
        messages_out: Counter,
        /// Messages dropped because the link was gone.
        dropped_closed: Counter,
        /// Messages dropped because they had expired.
        dropped_expired: Counter,
        /// Messages dropped because too many waited for a dial.
        dropped_dialling: Counter,
        /// Transit dropped early because the peer's queue was waiting too long.
        dropped_late: Counter,
        /// Messages dropped because the peer's queue was full.
        dropped_full: Counter,
        /// Transit dropped because the router is short of memory.
        dropped_memory: Counter,
        /// Messages dropped because they had waited too long when their turn came.
        dropped_stale: Counter,
        /// Messages too long for a frame.
        dropped_oversize: Counter,
        /// RouterInfo blocks dropped because too many came at once.
        dropped_router_infos: Counter,
    }
}
