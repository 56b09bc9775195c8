// SPDX-License-Identifier: MIT
//! What a task must do about an error: the only thing that it looks at.

/// The fate of an error. Each room maps its errors to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Drop the message and count it.
    Drop,
    /// Close the link, lower the peer's profile, perhaps ban it.
    Peer,
    /// Close this stream, session or tunnel and tell its client.
    Owner,
    /// I/O or configuration here: retry or report.
    Local,
    /// An invariant of ours broke.
    Bug,
}
