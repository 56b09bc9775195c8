// SPDX-License-Identifier: MIT
//! Data-phase frames: a masked length (2), then ciphertext and tag.
//!
//! One [`Sealer`] and one [`Opener`] per session, each with its own counter and SipHash chain. Both work in the
//! caller's buffer. Spec: NTCP2, "Data phase", "SipHash obfuscated length".

use super::keys::DirectionKeys;
use crate::crypto::aead::{Cipher, TAG_LEN};
use crate::crypto::siphash::LengthMask;
use std::ops::Range;

/// Bytes of the length field.
pub(crate) const LENGTH_BYTES: usize = 2;
/// Largest payload of one frame.
pub(crate) const PAYLOAD_MAX: usize = u16::MAX as usize - TAG_LEN;
/// Largest frame on the wire.
pub(crate) const FRAME_MAX: usize = LENGTH_BYTES + u16::MAX as usize;

/// Seals the frames of one direction.
pub(crate) struct Sealer {
    cipher: Cipher,
    mask: LengthMask,
    counter: u64,
}

/// Where a frame under construction begins in its buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Open {
    start: usize,
}

impl Open {
    /// Payload bytes written so far.
    pub(crate) fn payload_len(self, out: &[u8]) -> usize {
        out.len().saturating_sub(self.start + LENGTH_BYTES)
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

    /// Encrypts what was appended since [`Self::begin`]. A frame without payload or with too much is taken back.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>, open: Open) {
        let payload = open.payload_len(out);
        if payload == 0 || payload > PAYLOAD_MAX {
            debug_assert_eq!(payload, 0, "frame too long");
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
        self.counter += 1;
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

    /// Frames opened so far.
    pub(crate) const fn frames(&self) -> u64 {
        self.counter
    }

    /// Bytes that must be in the buffer before the next frame can be opened, as far as is known.
    pub(crate) fn needs(&self) -> usize {
        LENGTH_BYTES + self.length.unwrap_or(0)
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
        if length < TAG_LEN {
            return Err(BadFrame);
        }
        let Some(sealed) = rest.get_mut(..length) else { return Ok(None) };
        let payload = self.cipher.open_slice(self.counter, &[], sealed).map_err(|_| BadFrame)?;
        self.counter += 1;
        self.length = None;
        Ok(Some(LENGTH_BYTES..LENGTH_BYTES + payload))
    }
}
