// SPDX-License-Identifier: MIT
//! TCP-like streams over lossy packets: the I2P streaming protocol as one engine per destination.
//!
//! [`Table`] owns every stream of one local destination. It does no I/O and never looks at a clock: the owner
//! feeds packets and calls, asks for packets and events, and comes back when [`Table::poll_timeout`] says so.
//!
//! ```text
//! connect / write / read / close ─┐                 ┌─ poll_packet: packets in their gzip wrapper
//! handle_packet (unwrapped) ──────┤ Table ──────────┤
//! handle_timeout ─────────────────┘                 └─ poll_event: what the application has to know
//! ```
//!
//! Limits: a stream holds at most 256 KiB unsent, 512 packets in flight, 512 packets and 1 MiB out of order, and
//! 1 MiB (plus what was out of order) unread. Streams, waiting streams, early packets, known peers and closed ids
//! are bounded by [`Config`] or by constants in their modules.
//! Spec: streaming specification; end-to-end notes, sections 11 to 13 and 17.

mod author;
mod closed;
mod config;
mod congestion;
mod connection;
mod incoming;
mod input;
mod metrics;
mod output;
mod peers;
mod recv;
mod rtt;
mod send;
mod table;
mod types;

use author::Author;

pub use config::{Bounds, Config, ConnectOptions};
pub use metrics::StreamMetrics;
pub use table::Table;
pub use types::{CloseReason, Event, OutPacket, PacketKind, PathHint, StreamId, StreamStats};

#[cfg(test)]
mod tests;
