// SPDX-License-Identifier: MIT
//! The four formats of datagrams (datagrams specification; proposal 163). The protocol number of the wrapper tells
//! which it is; the bytes do not.
//!
//! | protocol | layout |
//! |---|---|
//! | 17 | destination, signature, payload |
//! | 19 | destination, flags (2), options?, offline signature?, payload, signature |
//! | 20 | hash of the sender (32), flags (2), options?, payload |
//! | 18 and others | payload |
//!
//! Signatures are checked elsewhere; the decoders say over which bytes they go.

use super::{DecodeError, DestHash, Destination, Mapping, OfflineSignature, Reader, Wire};

/// Low bits of the flags: the format's version.
const VERSION_MASK: u16 = 0x000f;
/// A mapping with options follows the flags.
const OPTIONS: u16 = 0x0010;
/// An offline signature follows the options.
const OFFLINE: u16 = 0x0020;
const VERSION_2: u16 = 2;
const VERSION_3: u16 = 3;

/// Format 1, protocol 17.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram1<'a> {
    /// Who says that it sent this.
    pub from: Destination,
    /// Over the payload; for DSA over its SHA-256.
    pub signature: &'a [u8],
    /// The content.
    pub payload: &'a [u8],
}

impl<'a> Datagram1<'a> {
    /// Reads a datagram that fills `bytes`.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let from = Destination::decode(&mut r)?;
        let signature = r.bytes(from.sig_type().signature_len())?;
        Ok(Self { from, signature, payload: r.take_rest() })
    }
}

/// Format 2, protocol 19.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram2<'a> {
    /// Who says that it sent this.
    pub from: Destination,
    /// Options; none are defined yet.
    pub options: Mapping,
    /// The transient key that signed, if it was not the destination's own.
    pub offline: Option<OfflineSignature>,
    /// The content.
    pub payload: &'a [u8],
    /// What is signed, behind the hash of the receiver: flags to payload.
    pub signed: &'a [u8],
    /// Over the receiver's hash and [`Self::signed`].
    pub signature: &'a [u8],
}

impl<'a> Datagram2<'a> {
    /// Reads a datagram that fills `bytes`.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let from = Destination::decode(&mut r)?;
        let body = r.peek();
        let flags = version(r.u16()?, VERSION_2)?;
        let options = if flags & OPTIONS == 0 { Mapping::new() } else { Mapping::decode(&mut r)? };
        let offline = match flags & OFFLINE {
            0 => None,
            _ => Some(OfflineSignature::decode(&mut r, from.sig_type())?),
        };
        let signer = offline.as_ref().map_or(from.sig_type(), |o| o.sig_type);
        let len = r.remaining().checked_sub(signer.signature_len()).ok_or(DecodeError::Short)?;
        let payload = r.bytes(len)?;
        let signature = r.take_rest();
        let signed = body.get(..body.len().saturating_sub(signature.len())).ok_or(DecodeError::Short)?;
        Ok(Self { from, options, offline, payload, signed, signature })
    }

    /// Starts the part that is signed: flags and offline signature. The payload and the signature follow.
    pub fn begin_signed(offline: Option<&OfflineSignature>, out: &mut Vec<u8>) {
        let flags = if offline.is_some() { VERSION_2 | OFFLINE } else { VERSION_2 };
        out.extend_from_slice(&flags.to_be_bytes());
        if let Some(offline) = offline {
            offline.encode(out);
        }
    }
}

/// Format 3, protocol 20. Nothing in it is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram3<'a> {
    /// Who says that it sent this.
    pub from: DestHash,
    /// Options; none are defined yet.
    pub options: Mapping,
    /// The content.
    pub payload: &'a [u8],
}

/// What stands in front of the payload of a [`Datagram3`] without options.
pub const DATAGRAM3_HEADER: usize = 34;

impl<'a> Datagram3<'a> {
    /// Reads a datagram that fills `bytes`.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let from = DestHash(r.array()?);
        let flags = version(r.u16()?, VERSION_3)?;
        let options = if flags & OPTIONS == 0 { Mapping::new() } else { Mapping::decode(&mut r)? };
        Ok(Self { from, options, payload: r.take_rest() })
    }

    /// Hash and flags; the payload follows.
    pub fn header(from: &DestHash) -> [u8; DATAGRAM3_HEADER] {
        let mut header = [0; DATAGRAM3_HEADER];
        let [.., high, low] = &mut header;
        [*high, *low] = VERSION_3.to_be_bytes();
        if let Some(hash) = header.first_chunk_mut() {
            *hash = from.0;
        }
        header
    }
}

/// The flags, if they are of this version.
fn version(flags: u16, wanted: u16) -> Result<u16, DecodeError> {
    if flags & VERSION_MASK == wanted { Ok(flags) } else { Err(DecodeError::Value("datagram version")) }
}

#[cfg(test)]
mod tests;
