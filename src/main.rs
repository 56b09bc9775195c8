// SPDX-License-Identifier: MIT
//! The `samovar` command.

fn main() {}
