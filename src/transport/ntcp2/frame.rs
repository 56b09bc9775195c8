// SPDX-License-Identifier: MIT
//! Data-phase frames: a masked length (2), then ciphertext and tag.
//!
//! One [`Sealer`] and one [`Opener`] per session, each with its own counter and SipHash chain. Both work in the
//! caller's buffer. Spec: NTCP2, "Data phase", "SipHash obfuscated length".

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

use super::keys::DirectionKeys;
use crate::crypto::aead::{Cipher, TAG_LEN};
use crate::crypto::siphash::LengthMask;
use std::ops::Range;

/// Bytes of the length field.
pub(crate) const LENGTH_BYTES: usize = 2;
/// Largest payload of one frame.
pub(crate) const PAYLOAD_MAX: usize = 0xffff - TAG_LEN;
/// Largest frame on the wire.
pub(crate) const FRAME_MAX: usize = LENGTH_BYTES + 0xffff;

/// Seals the frames of one direction.
pub(crate) struct Sealer {
    cipher: Cipher,
    mask: LengthMask,
    counter: u64,
}

/// Most frames under one key, far below what the cipher bears: who comes near it sets up a new session.
const FRAMES_MAX: u64 = 0xffff_ffff;
/// From here on the session is closed, with room for what is on its way and for the Termination.
const FRAMES_SPENT: u64 = FRAMES_MAX - 1024;

#[cfg(test)]
impl Sealer {
    /// As if so many frames less than the most had been sent.
    pub(crate) fn age(&mut self, left: u64) {
        self.counter = FRAMES_MAX.saturating_sub(left);
    }
}

#[cfg(test)]
impl Opener {
    /// As if so many frames less than the most had been opened.
    pub(crate) fn age(&mut self, left: u64) {
        self.counter = FRAMES_MAX.saturating_sub(left);
    }
}

/// Where a frame under construction begins in its buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Open {
    start: usize,
}

impl Open {
    /// Payload bytes written so far.
    pub(crate) fn payload_len(self, out: &[u8]) -> usize {
        out.len().saturating_sub(self.start.saturating_add(LENGTH_BYTES))
    }
}

impl Sealer {
    pub(crate) fn new(keys: &DirectionKeys) -> Self {
        Self { cipher: Cipher::new(&keys.cipher), mask: LengthMask::from_derived(&keys.sip), counter: 0 }
    }

    /// Starts a frame at the end of `out`; the caller appends blocks, at most [`PAYLOAD_MAX`] bytes, and calls
    /// [`Self::finish`].
    pub(crate) fn begin(out: &mut Vec<u8>) -> Open {
        let start = out.len();
        out.extend_from_slice(&[0; LENGTH_BYTES]);
        Open { start }
    }

    /// Whether the key has served its time: the session is to be closed.
    pub(crate) const fn is_spent(&self) -> bool {
        self.counter >= FRAMES_SPENT
    }

    /// Encrypts what was appended since [`Self::begin`]. A frame without payload or with too much is taken back, and so
    /// is every frame beyond [`FRAMES_MAX`]: no counter is used twice.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>, open: Open) {
        let payload = open.payload_len(out);
        if payload == 0 || payload > PAYLOAD_MAX || self.counter >= FRAMES_MAX {
            debug_assert!(payload <= PAYLOAD_MAX, "frame too long");
            out.truncate(open.start);
            return;
        }
        out.extend_from_slice(&[0; TAG_LEN]);
        let Some((length, body)) =
            out.get_mut(open.start..).and_then(|f| f.split_first_chunk_mut::<LENGTH_BYTES>())
        else {
            return;
        };
        let size = u16::try_from(body.len()).unwrap_or(u16::MAX);
        *length = (size ^ self.mask.next_mask()).to_be_bytes();
        self.cipher.seal_slice(self.counter, &[], body);
        self.counter = self.counter.saturating_add(1);
    }
}

/// The peer sent a frame that is none: too short, or it does not authenticate. The two are not told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadFrame;

/// Opens the frames of one direction.
pub(crate) struct Opener {
    cipher: Cipher,
    mask: LengthMask,
    counter: u64,
    /// Length of the frame at the front of the buffer, once its first two bytes are there.
    length: Option<usize>,
}

impl Opener {
    pub(crate) fn new(keys: &DirectionKeys) -> Self {
        let mask = LengthMask::from_derived(&keys.sip);
        Self { cipher: Cipher::new(&keys.cipher), mask, counter: 0, length: None }
    }

    /// Whether the peer's key has served its time.
    pub(crate) const fn is_spent(&self) -> bool {
        self.counter >= FRAMES_SPENT
    }

    /// Frames opened so far.
    pub(crate) const fn frames(&self) -> u64 {
        self.counter
    }

    /// Bytes that must be in the buffer before the next frame can be opened, as far as is known.
    pub(crate) fn needs(&self) -> usize {
        LENGTH_BYTES.saturating_add(self.length.unwrap_or(0))
    }

    /// Opens the frame at the front of `buf` in place. Answers where its payload lies and, at the payload's end plus a
    /// tag, where the next frame begins; `None` when the frame is not complete.
    pub(crate) fn open(&mut self, buf: &mut [u8]) -> Result<Option<Range<usize>>, BadFrame> {
        let Some((field, rest)) = buf.split_first_chunk_mut::<LENGTH_BYTES>() else { return Ok(None) };
        let length = match self.length {
            Some(length) => length,
            None => {
                let length = usize::from(u16::from_be_bytes(*field) ^ self.mask.next_mask());
                self.length = Some(length);
                length
            }
        };
        if length < TAG_LEN || self.counter >= FRAMES_MAX {
            return Err(BadFrame);
        }
        let Some(sealed) = rest.get_mut(..length) else { return Ok(None) };
        let payload = self.cipher.open_slice(self.counter, &[], sealed).map_err(|_| BadFrame)?;
        self.counter = self.counter.saturating_add(1);
        self.length = None;
        Ok(Some(LENGTH_BYTES..LENGTH_BYTES.saturating_add(payload)))
    }
}
