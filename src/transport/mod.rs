// SPDX-License-Identifier: MIT
//! Authenticated links to other routers.
