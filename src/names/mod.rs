// SPDX-License-Identifier: MIT
//! The address book: host names, where they come from, and what happens when two sources disagree.
//!
//! Three layers: the user's own entries, further hosts files, subscriptions. A look-up takes the first layer that has
//! the name. Within a layer the first entry of a name stays; another destination for it is kept out and remembered
//! as a [`Conflict`], unless a command in the feed carries the old destination's signature. Nothing here does I/O:
//! texts come in, texts go out; files, locks and fetching live in the router. Never asks DNS.
//!
//! [`Schedule`] says when which subscription is asked, and [`FeedUrl`] how.
//!
//! Limits: [`NAMES_MAX`] names in a layer, [`CONFLICTS_MAX`] conflicts, [`LINE_MAX`] bytes in a line; what is beyond
//! is left out and counted. Spec: "Naming and Address Book", "Address Subscription Feed Commands" (proposal 112).

mod book;
mod feed;
mod layer;
mod line;
mod name;
mod own;
mod saved;
mod schedule;
mod url;

pub use book::{Book, Conflict, Found, Listed, Origin};
pub use feed::FeedReport;
pub use line::LINE_MAX;
pub use name::{BadName, HostName};
pub use own::{OwnChange, put, take};
pub use schedule::{Outcome, Schedule, Validators};
pub use url::FeedUrl;

/// Most names in one layer. An Ed25519 entry takes about 600 bytes of memory.
pub const NAMES_MAX: usize = 100_000;
/// Most conflicts that are remembered; further ones are counted.
pub const CONFLICTS_MAX: usize = 1024;
/// Most names that are kept from coming back.
pub const REMOVED_MAX: usize = 10_000;
/// Most further destinations of a name (`adddest`).
pub const ALSO_MAX: usize = 3;

#[cfg(test)]
pub(crate) mod tests;
