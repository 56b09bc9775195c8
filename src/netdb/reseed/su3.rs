// SPDX-License-Identifier: MIT
//! The SU3 container: 40 bytes of header, version, signer id, content, signature.

use super::{BUNDLE_MAX, ReseedError};
use crate::wire::Reader;

/// RSA with SHA-512, the only signature type that reseed operators use; 4096 bits in practice.
const RSA_SHA512: u16 = 6;

/// Signature lengths that we check: keys of 2048 to 4096 bits.
const SIGNATURE_BYTES: std::ops::RangeInclusive<usize> = 256..=512;

const FILE_ZIP: u8 = 0;
const CONTENT_RESEED: u8 = 3;

/// A parsed container; nothing in it is to be trusted before [`super::Signers::check`].
#[derive(Clone, Copy, Debug)]
pub struct Su3<'a> {
    version: &'a [u8],
    signer: &'a str,
    content: &'a [u8],
    signed: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Su3<'a> {
    /// Reads a container that holds a reseed zip. Every unused byte must be zero and nothing may follow.
    ///
    /// # Errors
    /// [`ReseedError::Su3`] with the part that is wrong, [`ReseedError::TooLarge`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ReseedError> {
        if bytes.len() > BUNDLE_MAX {
            return Err(ReseedError::TooLarge);
        }
        let mut r = Reader::new(bytes);
        let head = header(&mut r)?;
        let version = take(&mut r, head.version_len, "version")?;
        let signer = std::str::from_utf8(take(&mut r, head.signer_len, "signer id")?)
            .ok()
            .filter(|s| s.bytes().all(|b| b.is_ascii_graphic()))
            .ok_or(ReseedError::Su3("signer id"))?;
        let content = take(&mut r, head.content_len, "content")?;
        let signed = bytes.get(..bytes.len().saturating_sub(r.remaining())).unwrap_or_default();
        let signature = take(&mut r, head.signature_len, "signature")?;
        if r.remaining() > 0 {
            return Err(ReseedError::Su3("bytes behind the signature"));
        }
        Ok(Self { version, signer, content, signed, signature })
    }

    /// Who says that he signed it, such as `name@mail.i2p`.
    pub const fn signer(&self) -> &'a str {
        self.signer
    }

    /// The file inside.
    pub const fn content(&self) -> &'a [u8] {
        self.content
    }

    /// Everything that is signed.
    pub(super) const fn signed(&self) -> &'a [u8] {
        self.signed
    }

    /// The signature over it.
    pub(super) const fn signature(&self) -> &'a [u8] {
        self.signature
    }

    /// When it was built, in seconds since 1970: the version field of reseed bundles.
    pub(super) fn built_s(&self) -> Result<u64, ReseedError> {
        let end = self.version.iter().position(|b| *b == 0).unwrap_or(self.version.len());
        let (digits, padding) = self.version.split_at_checked(end).ok_or(ReseedError::Su3("version"))?;
        std::str::from_utf8(digits)
            .ok()
            .filter(|d| padding.iter().all(|b| *b == 0) && d.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|d| d.parse().ok())
            .ok_or(ReseedError::Su3("version"))
    }
}

struct Header {
    signature_len: usize,
    version_len: usize,
    signer_len: usize,
    content_len: usize,
}

/// The fixed 40 bytes.
fn header(r: &mut Reader<'_>) -> Result<Header, ReseedError> {
    let short = |_| ReseedError::Su3("header");
    expect(r.array::<8>().map_err(short)? == *b"I2Psu3\0\0", "magic")?;
    expect(r.u16().map_err(short)? == RSA_SHA512, "signature type")?;
    let signature_len = usize::from(r.u16().map_err(short)?);
    expect(SIGNATURE_BYTES.contains(&signature_len), "signature length")?;
    expect(r.u8().map_err(short)? == 0, "unused byte 12")?;
    let version_len = usize::from(r.u8().map_err(short)?);
    expect(version_len >= 16, "version length")?;
    expect(r.u8().map_err(short)? == 0, "unused byte 14")?;
    let signer_len = usize::from(r.u8().map_err(short)?);
    expect(signer_len > 0, "signer id length")?;
    let content_len = usize::try_from(u64::from_be_bytes(r.array().map_err(short)?)).unwrap_or(usize::MAX);
    expect(content_len <= BUNDLE_MAX, "content length")?;
    expect(r.u8().map_err(short)? == 0, "unused byte 24")?;
    expect(r.u8().map_err(short)? == FILE_ZIP, "file type")?;
    expect(r.u8().map_err(short)? == 0, "unused byte 26")?;
    expect(r.u8().map_err(short)? == CONTENT_RESEED, "content type")?;
    expect(r.array::<12>().map_err(short)? == [0; 12], "unused bytes 28 to 39")?;
    Ok(Header { signature_len, version_len, signer_len, content_len })
}

const fn expect(right: bool, part: &'static str) -> Result<(), ReseedError> {
    if right { Ok(()) } else { Err(ReseedError::Su3(part)) }
}

fn take<'a>(r: &mut Reader<'a>, len: usize, part: &'static str) -> Result<&'a [u8], ReseedError> {
    r.bytes(len).map_err(|_| ReseedError::Su3(part))
}
