// SPDX-License-Identifier: MIT
//! TCP-like streams over lossy packets.
