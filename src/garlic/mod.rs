// SPDX-License-Identifier: MIT
//! End-to-end garlic of one local destination: ECIES-X25519-AEAD-Ratchet sessions (encryption type 4).
//!
//! [`Sessions`] is an engine without I/O. Its owner, a destination, calls
//!
//! * [`Sessions::seal`] with Data bodies for a remote and sends the garlic bodies that come back,
//! * [`Sessions::open`] with every garlic body that arrived for the destination,
//! * [`Sessions::poll_action`] until it answers `None` after every call of any kind, because a session
//!   sends messages of its own (replies, ratchet steps, acknowledgements, payloads it held back),
//! * [`Sessions::handle_timeout`] when [`Sessions::poll_timeout`] says so.
//!
//! The life of a session with one remote static key:
//!
//! ```text
//! we begin:    nothing --seal--> NS sent (further payloads wait) --NSR--> ES both ways
//! they begin:  nothing --NS----> NSR for each seal, or an empty one ----ES--> ES both ways
//! ```
//!
//! Sessions are never shared between local destinations. Every map and list has a bound in [`Limits`];
//! what is dropped is counted in [`Metrics`]. Spec: ECIES-X25519-AEAD-Ratchet (proposals 144 and 155).

mod admission;
mod api;
mod chain;
mod datagrams;
mod error;
mod handshake;
mod limits;
mod metrics;
mod open;
mod payload;
mod peer;
mod ratchet;
mod seal;
mod sessions;
mod upkeep;
mod window;

pub use api::{
    Action, Mark, Opened, OpenedKind, Received, Remote, SealOptions, Sealed, Sender, State, Stats,
};
pub use datagrams::Allowance;
pub use error::Error;
pub use limits::Limits;
pub use metrics::Metrics;
pub use sessions::{Sessions, Strangers};

#[cfg(test)]
mod tests;
