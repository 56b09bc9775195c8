// SPDX-License-Identifier: MIT
//! Composition root: starts the rooms, wires the queues, keeps the state on disk.

pub mod config;
pub mod identity;
pub mod reseed;
pub mod storage;

pub use config::{ConfigError, ReseedConfig, RouterConfig};
