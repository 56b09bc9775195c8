// SPDX-License-Identifier: MIT
//! End-to-end encrypted sessions between destinations.
