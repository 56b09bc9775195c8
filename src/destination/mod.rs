// SPDX-License-Identifier: MIT
//! One local identity: its sessions, streams, leases and paths.
