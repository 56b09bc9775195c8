// SPDX-License-Identifier: MIT
//! What the sessions of a destination count.

crate::metrics! {
    /// What the sessions of a destination count.
    pub struct Metrics {
        /// New Sessions sealed.
        new_session_sealed: Counter,
        /// New Sessions opened, bound or not.
        new_session_opened: Counter,
        /// New Session Replies sealed.
        reply_sealed: Counter,
        /// New Session Replies opened.
        reply_opened: Counter,
        /// Existing Session messages sealed.
        existing_sealed: Counter,
        /// Existing Session messages opened.
        existing_opened: Counter,
        /// One-time replies opened.
        one_time_opened: Counter,
        /// Messages that the sessions sent without a payload.
        empty_sealed: Counter,
        /// Tag sets begun by Diffie-Hellman steps, sending side.
        ratchet_sent: Counter,
        /// Tag sets begun by Diffie-Hellman steps, receiving side.
        ratchet_received: Counter,
        /// Messages dropped: framing.
        open_dropped_malformed: Counter,
        /// Messages dropped: no tag of ours and no New Session either.
        open_dropped_unrecognised: Counter,
        /// Messages dropped: authentication.
        open_dropped_bad_mac: Counter,
        /// Messages dropped: a New Session seen before.
        open_dropped_replay: Counter,
        /// Messages dropped: a New Session outside the clock window.
        open_dropped_out_of_time: Counter,
        /// Messages dropped undecrypted: too many New Sessions.
        open_dropped_rate: Counter,
        /// Cloves dropped: type, destination or delivery not allowed, malformed, expired, or too many.
        clove_dropped: Counter,
        /// Lease sets dropped: malformed, not the sender's, badly signed, or too many.
        lease_set_dropped: Counter,
        /// Ratchet steps that do not fit the tag set they came on.
        next_key_dropped: Counter,
        /// Held payloads dropped: no answer in time.
        held_dropped: Counter,
        /// Payloads refused: too many wait already.
        held_refused: Counter,
        /// Sessions dropped to make room.
        session_evicted: Counter,
        /// Tag sets dropped to make room.
        tag_set_evicted: Counter,
        /// Sessions begun anew because the remote fell silent.
        session_restarted: Counter,
        /// Sessions held now.
        sessions: Counter,
        /// Tags listened for now.
        tags: Counter,
    }
}
