// SPDX-License-Identifier: MIT
mod datagrams;
mod hostile;
mod pair;
mod speed;
mod traffic;
mod vectors;
mod world;
