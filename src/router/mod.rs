// SPDX-License-Identifier: MIT
//! Composition root: starts the rooms, wires the queues, keeps the state on disk.

pub mod identity;
pub mod storage;
