// SPDX-License-Identifier: MIT
//! Whole networks of routers in one process, in virtual time, the same way each time (feature `sim`).
//!
//! The routers are production routers with production tasks. Only what is around them is simulated: the network, the
//! clocks, the disk, and the machine that may stop or die. One seed decides every random number, so a run can be
//! repeated exactly; [`Outcome::trace`] is a hash of everything that crossed the network, to prove it.
//!
//! ```
//! use samovar::destination::SessionConfig;
//! use samovar::sim::{self, RouterSetup};
//! use std::time::Duration;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! let outcome = sim::run(7, |world| async move {
//!     let routers = world.network(6, |_| RouterSetup::default()).await;
//!     let (alice, bob) = (&routers[1], &routers[2]);
//!     let config = SessionConfig::transient().tunnels(1, 2);
//!     let server = alice.router().session(config.clone()).await?;
//!     let client = bob.router().session(config).await?;
//!     let (far, near) = tokio::join!(server.accept(), client.connect(server.destination().clone()));
//!     let (mut far, mut near) = (far?.stream, near?);
//!     near.write_all(b"tea?").await.expect("writes");
//!     world.cut(&routers[3]); // a router drops off the net; the stream does not care
//!     world.sleep(Duration::from_secs(60)).await;
//!     let mut got = [0; 4];
//!     far.read_exact(&mut got).await.expect("reads");
//!     assert_eq!(&got, b"tea?");
//!     Ok::<_, samovar::destination::Error>(world.now())
//! });
//! assert!(outcome.value.unwrap() > Duration::from_secs(60)); // which took a fraction of a second
//! ```
//!
//! | what | where |
//! |---|---|
//! | [`run`], [`World`]: time, topology, faults, observation | `world.rs` |
//! | [`Node`]: one machine and its router: crash, restart, sleep, clocks, misdeeds | `node.rs` |
//! | [`LinkProfile`]: latency, jitter, loss, disorder, bandwidth | `link.rs` |
//! | [`Tap`]: who changes or loses bytes on a link | `tap.rs` |
//! | the network itself, as `base::Net` | `fabric.rs`, `conn.rs`, `net.rs` |
//! | the trace hash | `trace.rs` |
//!
//! A world lives on one thread. Nothing in it may ask the system for time, randomness or threads: what a scenario
//! wants of these it takes from the [`World`].

mod conn;
mod fabric;
mod link;
mod net;
mod node;
mod tap;
mod trace;
mod world;

pub use crate::base::{Answers, Builds, Misdeeds, Stores};
pub use crate::router::storage::Disk;
pub use fabric::{Nat, NetStats};
pub use link::LinkProfile;
pub use net::SimNet;
pub use node::{Crash, Node, RouterSetup, Timing};
pub use tap::{Chunk, Leak, Seen, Tap, Verdict};
pub use trace::TraceHash;
pub use world::{Outcome, QueueMark, World, WorldConfig, run, run_with};

#[cfg(test)]
mod tests;
