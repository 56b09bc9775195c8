// SPDX-License-Identifier: MIT
mod datagrams;
mod hostile;
mod pair;
mod speed;
mod traffic;
mod vectors;
#[cfg(target_os = "linux")]
mod wiped;
mod world;
