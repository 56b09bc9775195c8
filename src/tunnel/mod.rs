// SPDX-License-Identifier: MIT
//! Build, keep and run tunnels.
