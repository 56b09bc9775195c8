// SPDX-License-Identifier: MIT
//! Whole transports against each other: over loopback TCP on both runtimes, and over memory in paused time.

mod fixture;
mod loopback;
mod timed;
