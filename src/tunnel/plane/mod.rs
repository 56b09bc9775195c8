// SPDX-License-Identifier: MIT
//! The data plane: every tunnel that touches this router, and the one gateway for messages to other routers.

mod message;

pub use message::{Action, Input, InstallError, Via};
