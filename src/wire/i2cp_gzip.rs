// SPDX-License-Identifier: MIT
//! The gzip wrapper around everything that destinations send each other.
//!
//! The member's header carries the addressing: the time field holds the two ports and the OS byte the
//! protocol (I2CP, "I2CP Payload Data Format and Multiplexing"). We write the stored form by hand, which costs
//! 23 bytes and no state; compression is for packets with a destination in them, whose padding shrinks.
//! Reading takes any deflate stream, bounded by the caller's cap, and checks both trailer fields.

use super::{DecodeError, Reader};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use std::borrow::Cow;
use std::cell::RefCell;

/// Protocol number of streaming.
pub const PROTOCOL_STREAMING: u8 = 6;
/// Protocol number of repliable datagrams, first format.
pub const PROTOCOL_DATAGRAM1: u8 = 17;
/// Protocol number of raw datagrams.
pub const PROTOCOL_RAW: u8 = 18;
/// Protocol number of repliable datagrams, second format.
pub const PROTOCOL_DATAGRAM2: u8 = 19;
/// Protocol number of datagrams that carry the sender's hash.
pub const PROTOCOL_DATAGRAM3: u8 = 20;

/// Bytes that the stored form adds to a payload of at most 65,535 bytes.
pub const STORED_OVERHEAD: usize = 23;
/// Largest payload of one stored block.
const BLOCK_MAX: usize = 65_535;
/// Where the data of a single stored block begins.
const STORED_DATA_AT: usize = 15;
/// i2pd refuses shorter members; an empty stored payload is exactly this long.
const MEMBER_MIN: usize = 23;
/// The shortest that can be: header, an empty deflate stream, trailer. i2pd compresses datagrams of a few bytes to less
/// than it takes itself.
const READ_MIN: usize = 20;
const MAGIC: [u8; 4] = [0x1f, 0x8b, 0x08, 0x00];

thread_local! {
    // A compressor takes 380 KB, a decompressor 48 KB. Made anew for every packet, they leave holes in the heap that
    // small blocks then keep open. So each thread that needs them keeps one of each.
    static DEFLATE: RefCell<Compress> = RefCell::new(Compress::new(Compression::default(), false));
    static INFLATE: RefCell<Decompress> = RefCell::new(Decompress::new(false));
}

/// Who speaks to whom inside a pair of destinations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Ports {
    /// Port of the sender.
    pub from: u16,
    /// Port of the receiver; 0 is the wildcard.
    pub to: u16,
}

/// What a wrapper held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwrapped<'a> {
    /// Protocol number, such as [`PROTOCOL_STREAMING`].
    pub protocol: u8,
    /// The two ports.
    pub ports: Ports,
    /// The payload; borrowed when it was stored in one block.
    pub data: Cow<'a, [u8]>,
}

fn header(w: &mut Vec<u8>, protocol: u8, ports: Ports) {
    w.extend_from_slice(&MAGIC);
    w.extend_from_slice(&ports.from.to_be_bytes());
    w.extend_from_slice(&ports.to.to_be_bytes());
    w.extend_from_slice(&[2, protocol]);
}

fn trailer(w: &mut Vec<u8>, crc: u32, len: usize) {
    w.extend_from_slice(&crc.to_le_bytes());
    w.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
}

/// Starts a stored member in an empty buffer; the caller appends at most 65,535 bytes and calls [`finish_stored`].
///
/// This form exists so that a packet can be written straight into its wrapper, without a copy.
pub fn begin_stored(w: &mut Vec<u8>, protocol: u8, ports: Ports) {
    debug_assert!(w.is_empty(), "the wrapper starts the buffer");
    header(w, protocol, ports);
    w.extend_from_slice(&[1, 0, 0, 0xff, 0xff]);
}

/// The bytes appended since [`begin_stored`].
pub fn stored_data(w: &mut [u8]) -> &mut [u8] {
    w.get_mut(STORED_DATA_AT..).unwrap_or_default()
}

/// Ends what [`begin_stored`] started: fills in the block's length and appends the trailer.
pub fn finish_stored(w: &mut Vec<u8>) {
    let data = w.get(STORED_DATA_AT..).unwrap_or_default();
    debug_assert!(data.len() <= BLOCK_MAX, "one stored block");
    let (crc, len) = (crc32fast::hash(data), data.len());
    let block = u16::try_from(len).unwrap_or(u16::MAX);
    if let Some(field) = w.get_mut(11..15) {
        let [a, b] = block.to_le_bytes();
        field.copy_from_slice(&[a, b, !a, !b]);
    }
    trailer(w, crc, len);
}

/// Wraps `data` without compressing it.
pub fn encode_stored(protocol: u8, ports: Ports, data: &[u8]) -> Vec<u8> {
    let mut w = Vec::with_capacity(data.len().saturating_add(STORED_OVERHEAD));
    if data.len() <= BLOCK_MAX {
        begin_stored(&mut w, protocol, ports);
        w.extend_from_slice(data);
        finish_stored(&mut w);
        return w;
    }
    header(&mut w, protocol, ports);
    let mut blocks = data.chunks(BLOCK_MAX).peekable();
    while let Some(block) = blocks.next() {
        w.push(u8::from(blocks.peek().is_none()));
        let [a, b] = u16::try_from(block.len()).unwrap_or(u16::MAX).to_le_bytes();
        w.extend_from_slice(&[a, b, !a, !b]);
        w.extend_from_slice(block);
    }
    trailer(&mut w, crc32fast::hash(data), data.len());
    w
}

/// Wraps `data` compressed when that makes it shorter, else stored.
pub fn encode_compressed(protocol: u8, ports: Ports, data: &[u8]) -> Vec<u8> {
    let stored_len = data.len().saturating_add(STORED_OVERHEAD);
    // Room for data that does not shrink as well: a stream that was cut short leaves less room in the compressor each
    // time, reset or not, until it panics (zlib-rs 0.6).
    let mut body = vec![0; data.len().saturating_add(data.len() / 8).saturating_add(64)];
    let (done, body_len) = DEFLATE.with_borrow_mut(|deflate| {
        deflate.reset();
        let done = deflate.compress(data, &mut body, FlushCompress::Finish);
        let written = usize::try_from(deflate.total_out()).unwrap_or(usize::MAX);
        if !matches!(done, Ok(Status::StreamEnd)) {
            *deflate = Compress::new(Compression::default(), false);
        }
        (done, written)
    });
    let total = body_len.saturating_add(18);
    match (done, body.get(..body_len)) {
        (Ok(Status::StreamEnd), Some(body)) if total < stored_len && total >= MEMBER_MIN => {
            let mut w = Vec::with_capacity(total);
            header(&mut w, protocol, ports);
            w.extend_from_slice(body);
            trailer(&mut w, crc32fast::hash(data), data.len());
            w
        }
        _ => encode_stored(protocol, ports, data),
    }
}

/// The beginning of many payloads, compressed once: a destination, whose padding shrinks to almost nothing.
#[derive(Clone, Debug)]
pub struct Prefix {
    /// A deflate block that is not the last and ends at a byte; `None` when it would be longer than the bytes.
    block: Option<Vec<u8>>,
    bytes: Vec<u8>,
    crc: u32,
}

impl Prefix {
    /// Compresses the beginning.
    pub fn new(bytes: &[u8]) -> Self {
        let mut out = Vec::with_capacity(bytes.len().saturating_add(64));
        let mut deflate = Compress::new(Compression::best(), false);
        let done = deflate.compress_vec(bytes, &mut out, FlushCompress::Sync);
        let whole = usize::try_from(deflate.total_in()) == Ok(bytes.len());
        // The second stored block's header costs five bytes.
        let block = (done.is_ok() && whole && out.len().saturating_add(5) < bytes.len()).then_some(out);
        Self { block, bytes: bytes.to_vec(), crc: crc32fast::hash(bytes) }
    }

    /// Wraps the beginning and `rest`, which is stored and together at most 65,535 bytes with the beginning.
    pub fn wrap(&self, protocol: u8, ports: Ports, rest: &[&[u8]]) -> Vec<u8> {
        let len = rest.iter().map(|r| r.len()).sum::<usize>();
        debug_assert!(self.bytes.len().saturating_add(len) <= BLOCK_MAX, "one stored block");
        let mut w = Vec::with_capacity(self.bytes.len().saturating_add(len).saturating_add(STORED_OVERHEAD));
        header(&mut w, protocol, ports);
        let stored = match &self.block {
            Some(block) => {
                w.extend_from_slice(block);
                len
            }
            None => self.bytes.len().saturating_add(len),
        };
        let [a, b] = u16::try_from(stored).unwrap_or(u16::MAX).to_le_bytes();
        w.extend_from_slice(&[1, a, b, !a, !b]);
        if self.block.is_none() {
            w.extend_from_slice(&self.bytes);
        }
        let before = u64::try_from(self.bytes.len()).unwrap_or(u64::MAX);
        let mut crc = crc32fast::Hasher::new_with_initial_len(self.crc, before);
        for part in rest {
            w.extend_from_slice(part);
            crc.update(part);
        }
        trailer(&mut w, crc.finalize(), self.bytes.len().saturating_add(len));
        w
    }
}

/// Opens a wrapper whose payload is at most `max` bytes.
pub fn decode(bytes: &[u8], max: usize) -> Result<Unwrapped<'_>, DecodeError> {
    if bytes.len() < READ_MIN {
        return Err(DecodeError::Short);
    }
    let mut r = Reader::new(bytes);
    if r.array::<4>()? != MAGIC {
        return Err(DecodeError::Value("gzip header"));
    }
    let ports = Ports { from: r.u16()?, to: r.u16()? };
    let _xfl = r.u8()?;
    let protocol = r.u8()?;
    let body = r.bytes(r.remaining().checked_sub(8).ok_or(DecodeError::Short)?)?;
    let crc = u32::from_le_bytes(r.array()?);
    let size = u32::from_le_bytes(r.array()?);
    let data = inflate(body, size, max)?;
    if crc32fast::hash(&data) != crc {
        return Err(DecodeError::Value("gzip checksum"));
    }
    Ok(Unwrapped { protocol, ports, data })
}

fn inflate(body: &[u8], size: u32, max: usize) -> Result<Cow<'_, [u8]>, DecodeError> {
    let len = usize::try_from(size).unwrap_or(usize::MAX);
    if len > max {
        return Err(DecodeError::count("gzip payload", size, u32::try_from(max).unwrap_or(u32::MAX)));
    }
    if let Some(data) = single_stored(body) {
        return if data.len() == len {
            Ok(Cow::Borrowed(data))
        } else {
            Err(DecodeError::Value("gzip size"))
        };
    }
    let mut out = vec![0; len];
    let (status, all_in, all_out) = INFLATE.with_borrow_mut(|state| {
        state.reset(false);
        let status = state.decompress(body, &mut out, FlushDecompress::Finish);
        let all_in = usize::try_from(state.total_in()) == Ok(body.len());
        let all_out = usize::try_from(state.total_out()) == Ok(len);
        (status, all_in, all_out)
    });
    match status {
        Ok(Status::StreamEnd) if all_in && all_out => Ok(Cow::Owned(out)),
        Ok(Status::StreamEnd) if !all_in => Err(DecodeError::Trailing),
        _ => Err(DecodeError::Value("deflate stream")),
    }
}

/// The payload when the whole body is one final stored block.
fn single_stored(body: &[u8]) -> Option<&[u8]> {
    let (&[1, a, b, c, d], data) = body.split_first_chunk::<5>()? else { return None };
    let ok = a == !c && b == !d && usize::from(u16::from_le_bytes([a, b])) == data.len();
    ok.then_some(data)
}

#[cfg(test)]
#[path = "i2cp_gzip_tests.rs"]
mod tests;
