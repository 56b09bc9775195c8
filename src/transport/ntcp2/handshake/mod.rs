// SPDX-License-Identifier: MIT
//! The NTCP2 handshake, both roles, without I/O.
//!
//! ```text
//! Initiator: (sends 1) ExpectCreated -> ExpectPadding -> (sends 3) established
//! Responder: ExpectRequest -> ExpectPadding -> (sends 2) ExpectConfirmed -> established, or termination
//!            any of them -> Tarpit: swallow a random number of bytes for a random time, then reset
//! ```
//! One struct per state, consumed by its transition. The owner feeds bytes and timeouts, then drains
//! [`Action`]s until there is none. An engine buffers one message at most: [`MESSAGE1_BYTES`] and [`LinkLimits::padding`], or
//! [`PART1_BYTES`] and [`LinkLimits::message3`], plus one read. Spec: NTCP2, "1) SessionRequest" to "KDF (for data phase)".

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

mod failure;
mod info;
mod initiator;
mod responder;

pub use failure::Failure;
pub(crate) use initiator::Initiator;
pub(crate) use responder::Responder;

use super::DataKeys;
use crate::base::{Now, Rng};
use crate::crypto::Verified;
use crate::transport::LinkLimits;
use crate::wire::{RouterHash, RouterInfo};
use std::net::IpAddr;

/// Messages 1 and 2 without their padding.
const MESSAGE1_BYTES: usize = 64;
/// Part 1 of message 3: static key and tag.
const PART1_BYTES: usize = 48;
/// Least size of message 3 part 2 that is taken: less cannot hold a RouterInfo. The largest is [`LinkLimits::message3`].
const PART2_MIN: usize = 200;
/// Largest that we send.
const PART2_MAX: usize = LinkLimits::USUAL.message3;
/// Padding that we send: older peers close above 223, and Java sends as much.
const PADDING_SENT_MAX: u64 = 63;
/// The protocol version in message 1.
const VERSION: u8 = 2;

/// What the owner has to do.
#[derive(Debug)]
pub(crate) enum Action {
    /// Write these bytes, at once and together.
    Send(Vec<u8>),
    /// Hand over to a session.
    Established(Box<Established>),
    /// Close after everything is written.
    Close(Failure),
    /// Close with a TCP reset.
    Reset(Failure),
}

/// What an inbound handshake has shown so far; the first is dropped first when there are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// It has failed, and only does not know yet.
    Doomed,
    /// Nothing.
    Stranger,
    /// Its first message was right: it knows our keys, and has done some work.
    Knows,
}

/// What a finished handshake yields.
#[derive(Debug)]
pub(crate) struct Established {
    /// Who the peer is: authenticated by its static key and, inbound, its signed RouterInfo.
    pub(crate) peer: RouterHash,
    /// Keys of the data phase.
    pub(crate) keys: DataKeys,
    /// The peer's RouterInfo from message 3 (inbound only), and whether it asks to be flooded.
    pub(crate) info: Option<(Verified<RouterInfo>, bool)>,
    /// The peer's clock minus ours, in milliseconds, as good as the protocol's whole seconds allow.
    pub(crate) skew_ms: i64,
    /// Bytes received behind the handshake.
    pub(crate) rest: Vec<u8>,
}

/// The rules that a responder checks against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// Network id; 2 is the live network.
    pub(crate) net_id: u8,
    /// Skip the check that a peer connects from the address it publishes.
    pub(crate) any_source: bool,
    /// The peer's address.
    pub(crate) remote: IpAddr,
}

/// Options of message 1 and 2: 16 bytes under AEAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Options {
    net_id: u8,
    version: u8,
    padding: u16,
    part2: u16,
    seconds: u32,
}

impl Options {
    fn encode(self) -> [u8; 16] {
        let mut out = [0; 16];
        out[0] = self.net_id;
        out[1] = self.version;
        out[2..4].copy_from_slice(&self.padding.to_be_bytes());
        out[4..6].copy_from_slice(&self.part2.to_be_bytes());
        out[8..12].copy_from_slice(&self.seconds.to_be_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let [net_id, version, p0, p1, l0, l1, _, _, s0, s1, s2, s3, ..] = *bytes else { return None };
        Some(Self {
            net_id,
            version,
            padding: u16::from_be_bytes([p0, p1]),
            part2: u16::from_be_bytes([l0, l1]),
            seconds: u32::from_be_bytes([s0, s1, s2, s3]),
        })
    }
}

/// Wall-clock seconds, rounded to the nearest.
pub(super) fn seconds(now: Now) -> u32 {
    u32::try_from(now.wall_ms.saturating_add(500) / 1000).unwrap_or(u32::MAX)
}

/// Milliseconds by which a clock showing `peer_s` is ahead of ours.
pub(super) fn skew_ms(peer_s: u32, wall_ms: u64) -> i64 {
    i64::from(peer_s).saturating_mul(1000).saturating_sub(i64::try_from(wall_ms).unwrap_or(i64::MAX))
}

/// Whether the clocks are too far apart.
fn is_skewed(skew_ms: i64, limits: &LinkLimits) -> bool {
    u128::from(skew_ms.unsigned_abs()) > limits.skew.as_millis()
}

/// Random bytes for padding, at most [`PADDING_SENT_MAX`].
fn random_padding(rng: &mut Rng) -> Vec<u8> {
    let mut padding = vec![0; usize::try_from(rng.between(0, PADDING_SENT_MAX)).unwrap_or(0)];
    rng.fill(&mut padding);
    padding
}

/// Takes the first `n` bytes out of `input` when they are all there.
fn take(input: &mut Vec<u8>, n: usize) -> Option<Vec<u8>> {
    if input.len() < n {
        return None;
    }
    let rest = input.split_off(n);
    Some(std::mem::replace(input, rest))
}

#[cfg(test)]
mod tests;
