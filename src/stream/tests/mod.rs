// SPDX-License-Identifier: MIT
//! Pairs of tables over a simulated path, with a clock moved by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod closing;
mod flow;
mod goodput;
mod hostile;
mod memory;
mod models;
mod parts;
mod rows;
mod world;
