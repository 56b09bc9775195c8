// SPDX-License-Identifier: MIT
mod hostile;
mod pair;
mod traffic;
mod vectors;
mod world;
