// SPDX-License-Identifier: MIT
//! What code may ask of the world: time, randomness, network, queues, timers.
