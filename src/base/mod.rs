// SPDX-License-Identifier: MIT
//! What code may ask of the world: time, randomness, network, files, queues, timers.
//!
//! Nothing here is global. A process holds many routers, each with its own clock, seed and counters.

mod budget;
mod clock;
mod fault;
mod files;
#[cfg(feature = "sim")]
mod keeper;
mod map;
pub mod metrics;
#[cfg(feature = "sim")]
mod misdeeds;
mod net;
mod pace;
pub mod pipe;
mod queue;
mod rate;
mod rng;
mod room;
mod tasks;
mod timers;
pub mod watch;

pub use budget::{Account, Ask, Budget, Charge, Part};
pub use clock::{Clock, Mono, Now};
pub use fault::Fault;
pub(crate) use files::{NotPrivate, read_at_most, read_private, write_atomically};
#[cfg(feature = "sim")]
pub(crate) use keeper::Keeper;
pub use map::{KeyedState, Map, Set, map, set};
pub use metrics::Counter;
#[cfg(feature = "sim")]
pub use misdeeds::{Answers, Builds, Misdeeds, Stores};
pub use net::{BoxFuture, Connection, Duplex, Listener, Net, TcpNet};
pub use pace::Pace;
pub use pipe::Doorbell;
#[cfg(feature = "sim")]
pub(crate) use queue::marks;
pub use queue::{Queue, QueueReceiver, QueueSender};
pub use rate::SharedRate;
pub use rng::Rng;
pub use room::{Room, Share};
pub use tasks::Tasks;
pub use timers::TimerQueue;

#[cfg(test)]
mod tests;
