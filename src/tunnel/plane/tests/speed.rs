// SPDX-License-Identifier: MIT
//! To come.
