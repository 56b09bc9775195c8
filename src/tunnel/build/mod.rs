// SPDX-License-Identifier: MIT
//! Builds tunnels, answers build requests and keeps the pools.
