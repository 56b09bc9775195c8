// SPDX-License-Identifier: MIT
//! NTCP2 blocks: what a data-phase frame and the second part of message 3 consist of.
//!
//! Every block is type (1), size (2), data. Borrowed where a caller only looks (RouterInfo), owned where it goes on
//! (I2NP). Spec: NTCP2, "Unencrypted data". Order rules and policy live in `transport::ntcp2`.

use super::{DecodeError, I2np, Reader};

/// Bytes in front of a block's data.
pub const HEADER_BYTES: usize = 3;
/// Header of an I2NP message inside a block: type, id, expiration in seconds.
pub const I2NP_HEADER_BYTES: usize = 9;
/// Data bytes of a Termination block without optional data.
const TERMINATION_BYTES: u16 = 9;

const DATE_TIME: u8 = 0;
const OPTIONS: u8 = 1;
const ROUTER_INFO: u8 = 2;
const I2NP: u8 = 3;
const TERMINATION: u8 = 4;
const PADDING: u8 = 254;

/// Padding and dummy-traffic parameters a peer asks for. Nobody enforces them; they are parsed and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Options {
    /// Least padding we should send, in sixteenths of the data (4.4 fixed point).
    pub send_padding_min: u8,
    /// Most padding we should send, 4.4 fixed point.
    pub send_padding_max: u8,
    /// Least padding the peer will send, 4.4 fixed point.
    pub receive_padding_min: u8,
    /// Most padding the peer will send, 4.4 fixed point.
    pub receive_padding_max: u8,
    /// Dummy bytes per second the peer is willing to send.
    pub send_dummy: u16,
    /// Dummy bytes per second the peer asks for.
    pub receive_dummy: u16,
    /// Delay inside a message the peer is willing to add, in milliseconds.
    pub send_delay: u16,
    /// Delay inside a message the peer asks for, in milliseconds.
    pub receive_delay: u16,
}

/// Why a session ends, as written in a Termination block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TerminationReason {
    /// Normal close or unspecified.
    Normal,
    /// Answer to a Termination.
    Received,
    /// Idle for too long.
    Idle,
    /// The router shuts down.
    Shutdown,
    /// A data-phase frame failed authentication.
    Aead,
    /// Incompatible options.
    Options,
    /// Signature type not supported.
    SignatureType,
    /// Clocks differ too much.
    ClockSkew,
    /// Padding violation.
    Padding,
    /// Framing error.
    Framing,
    /// Payload format error.
    Payload,
    /// Message 1 was in error.
    Message1,
    /// Message 2 was in error.
    Message2,
    /// Message 3 was in error.
    Message3,
    /// The rest of a frame did not come in time.
    FrameTimeout,
    /// The RouterInfo's signature is wrong.
    RouterInfoSignature,
    /// The static key is missing, wrong, or differs from `s`.
    StaticKey,
    /// Banned.
    Banned,
    /// A code without a meaning here.
    Other(u8),
}

const REASONS: [TerminationReason; 18] = {
    use TerminationReason as R;
    [
        R::Normal,
        R::Received,
        R::Idle,
        R::Shutdown,
        R::Aead,
        R::Options,
        R::SignatureType,
        R::ClockSkew,
        R::Padding,
        R::Framing,
        R::Payload,
        R::Message1,
        R::Message2,
        R::Message3,
        R::FrameTimeout,
        R::RouterInfoSignature,
        R::StaticKey,
        R::Banned,
    ]
};

impl TerminationReason {
    /// From the code on the wire.
    pub fn from_code(code: u8) -> Self {
        REASONS.get(usize::from(code)).copied().unwrap_or(Self::Other(code))
    }

    /// The code on the wire.
    pub fn code(self) -> u8 {
        if let Self::Other(code) = self {
            return code;
        }
        REASONS.iter().zip(0u8..).find(|(reason, _)| **reason == self).map_or(0, |(_, code)| code)
    }
}

/// One block.
#[derive(Clone, Debug, PartialEq)]
pub enum Block<'a> {
    /// The sender's clock, seconds since 1970.
    DateTime(u32),
    /// Padding parameters.
    Options(Options),
    /// A RouterInfo, uncompressed.
    RouterInfo {
        /// The sender asks us to pass it on to other floodfills.
        flood: bool,
        /// The signed bytes.
        raw: &'a [u8],
    },
    /// An I2NP message.
    I2np(I2np),
    /// The sender closes.
    Termination {
        /// Valid frames it had received.
        frames: u64,
        /// Why.
        reason: TerminationReason,
    },
    /// Bytes without meaning; always the last block.
    Padding(usize),
    /// A type we do not know, to be skipped.
    Unknown(u8),
}

impl<'a> Block<'a> {
    /// Reads one block from the front of `r`.
    pub fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let kind = r.u8()?;
        let size = r.u16()?;
        let data = r.bytes(usize::from(size))?;
        let mut d = Reader::new(data);
        Ok(match kind {
            DATE_TIME => {
                let seconds = d.u32()?;
                d.finish()?;
                Self::DateTime(seconds)
            }
            OPTIONS => Self::Options(decode_options(&mut d)?),
            ROUTER_INFO => {
                let flood = d.u8()? & 1 != 0;
                Self::RouterInfo { flood, raw: d.take_rest() }
            }
            I2NP => Self::I2np(I2np::decode_short(data)?),
            TERMINATION => {
                let frames = d.u64()?;
                Self::Termination { frames, reason: TerminationReason::from_code(d.u8()?) }
            }
            PADDING => Self::Padding(data.len()),
            other => Self::Unknown(other),
        })
    }
}

fn decode_options(d: &mut Reader<'_>) -> Result<Options, DecodeError> {
    Ok(Options {
        send_padding_min: d.u8()?,
        send_padding_max: d.u8()?,
        receive_padding_min: d.u8()?,
        receive_padding_max: d.u8()?,
        send_dummy: d.u16()?,
        receive_dummy: d.u16()?,
        send_delay: d.u16()?,
        receive_delay: d.u16()?,
    })
}

/// The blocks of `payload`, in order; ends after the first error.
pub fn blocks(payload: &[u8]) -> impl Iterator<Item = Result<Block<'_>, DecodeError>> {
    let mut reader = Reader::new(payload);
    std::iter::from_fn(move || {
        if reader.is_empty() {
            return None;
        }
        let block = Block::decode(&mut reader);
        if block.is_err() {
            reader.take_rest();
        }
        Some(block)
    })
}

fn header(w: &mut Vec<u8>, kind: u8, size: u16) {
    w.push(kind);
    w.extend_from_slice(&size.to_be_bytes());
}

/// Appends a DateTime block.
pub fn put_date_time(w: &mut Vec<u8>, seconds: u32) {
    header(w, DATE_TIME, 4);
    w.extend_from_slice(&seconds.to_be_bytes());
}

/// Appends an Options block.
pub fn put_options(w: &mut Vec<u8>, o: &Options) {
    header(w, OPTIONS, 12);
    w.extend_from_slice(&[
        o.send_padding_min,
        o.send_padding_max,
        o.receive_padding_min,
        o.receive_padding_max,
    ]);
    for field in [o.send_dummy, o.receive_dummy, o.send_delay, o.receive_delay] {
        w.extend_from_slice(&field.to_be_bytes());
    }
}

/// Appends a RouterInfo block. A RouterInfo that cannot be stated in the size field is left out (they are refused
/// above 4 KiB everywhere), and `false` is answered.
pub fn put_router_info(w: &mut Vec<u8>, raw: &[u8], flood: bool) -> bool {
    let Some(size) = raw.len().checked_add(1).and_then(|n| u16::try_from(n).ok()) else { return false };
    header(w, ROUTER_INFO, size);
    w.push(u8::from(flood));
    w.extend_from_slice(raw);
    true
}

/// Bytes that [`put_i2np`] would append.
pub fn i2np_bytes(message: &I2np) -> usize {
    message.body.len().saturating_add(HEADER_BYTES + I2NP_HEADER_BYTES)
}

/// Appends an I2NP block. A message too long for the size field is left out, and `false` is answered.
pub fn put_i2np(w: &mut Vec<u8>, message: &I2np) -> bool {
    let Some(size) = message.body.len().checked_add(I2NP_HEADER_BYTES).and_then(|n| u16::try_from(n).ok())
    else {
        return false;
    };
    header(w, I2NP, size);
    message.encode_short(w);
    true
}

/// Appends a Termination block.
pub fn put_termination(w: &mut Vec<u8>, frames: u64, reason: TerminationReason) {
    header(w, TERMINATION, TERMINATION_BYTES);
    w.extend_from_slice(&frames.to_be_bytes());
    w.push(reason.code());
}

/// Appends a Padding block with `size` zero bytes: they are encrypted, so their value does not show.
pub fn put_padding(w: &mut Vec<u8>, size: u16) {
    header(w, PADDING, size);
    w.resize(w.len().saturating_add(usize::from(size)), 0);
}

#[cfg(test)]
mod tests;
