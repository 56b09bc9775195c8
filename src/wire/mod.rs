// SPDX-License-Identifier: MIT
//! Byte layouts: every structure of the protocol, decoded without trust and encoded without failure.
