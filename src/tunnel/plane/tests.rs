// SPDX-License-Identifier: MIT
//! Planes against each other in memory: no runtime, a clock moved by hand, the wire under the test's control.

mod bounds;
mod chains;
mod hostile;
mod memory;
mod random;
mod speed;
mod world;
