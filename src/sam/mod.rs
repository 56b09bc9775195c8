// SPDX-License-Identifier: MIT
//! The SAMv3 text protocol on top of destinations.
