// SPDX-License-Identifier: MIT
//! The datagrams of one destination, without I/O: which binding takes what arrives and whether it is what it says it
//! is, and queues of what is to be sent, one for each remote.
//!
//! A session without datagrams has none of this. Spec: datagrams; SAMv3, "Repliable Datagrams".

mod incoming;
mod outgoing;
mod replays;

pub(crate) use incoming::Incoming;
pub(crate) use outgoing::{Outgoing, Parcel};

crate::metrics! {
    /// What the datagrams of a destination count.
    pub(crate) struct DatagramMetrics {
        /// Datagrams handed to programs.
        datagrams_in: Counter,
        /// Dropped: no program takes the protocol and port.
        datagrams_unbound: Counter,
        /// Dropped: not of the format that the protocol stands for.
        datagrams_malformed: Counter,
        /// Dropped: the signature does not hold, is for another receiver, or its offline key has run out.
        datagrams_unsigned: Counter,
        /// Dropped: the session that brought it belongs to somebody else than it says.
        datagrams_foreign: Counter,
        /// Dropped: came before.
        datagrams_replayed: Counter,
        /// Dropped: the program does not keep up.
        datagrams_in_full: Counter,
        /// Datagrams handed to the tunnels.
        datagrams_out: Counter,
        /// Dropped: the receiver has no lease set, or none that we can encrypt to.
        datagrams_no_lease_set: Counter,
        /// Dropped: too many wait for the receiver's lease set, or for too many receivers.
        datagrams_waiting_full: Counter,
        /// Dropped: waited too long.
        datagrams_late: Counter,
        /// Dropped: could not be signed or sealed, or there was no tunnel.
        datagrams_unsent: Counter,
    }
}

#[cfg(test)]
mod tests;
