// SPDX-License-Identifier: MIT
//! Who exists, and how good they are.
