// SPDX-License-Identifier: MIT
//! Tests of the cryptography room.
