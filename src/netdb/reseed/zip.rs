// SPDX-License-Identifier: MIT
//! A zip reader for small archives from strangers: central directory only, stored and deflated entries, hard limits.
//!
//! Sizes come from the central directory, so entries written by a streaming packer, whose local headers hold zeros,
//! are read as well. Zip64, encryption and anything larger than the limits refuse the whole archive.

use std::io::Read as _;

use super::ReseedError;

/// Most entries.
const ENTRIES_MAX: usize = 2000;
/// Largest entry when unpacked.
const ENTRY_MAX: usize = 8 << 10;
/// Largest entry when packed: nothing that packs well is larger than its contents and a little.
const PACKED_MAX: usize = ENTRY_MAX + 1024;

const END_LEN: usize = 22;
const COMMENT_MAX: usize = 65_535;
const CENTRAL_LEN: usize = 46;
const LOCAL_LEN: usize = 30;
const ENCRYPTED: u16 = 1;
const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// Which names an archive may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// Plain file names.
    Flat,
    /// Folders too, but no way out of them.
    Nested,
}

/// One unpacked file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the archive.
    pub name: String,
    /// Its contents.
    pub bytes: Vec<u8>,
}

/// Unpacks an archive.
///
/// # Errors
/// [`ReseedError::Zip`] with the first thing that is wrong or over a limit.
pub(super) fn read(archive: &[u8], names: Names) -> Result<Vec<Entry>, ReseedError> {
    let (count, mut at) = find_directory(archive)?;
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let (entry, next) = read_entry(archive, at, names)?;
        entries.extend(entry);
        at = next;
    }
    Ok(entries)
}

/// Number of entries and offset of the central directory.
fn find_directory(archive: &[u8]) -> Result<(usize, usize), ReseedError> {
    let missing = ReseedError::Zip("no end of directory");
    let last = archive.len().checked_sub(END_LEN).ok_or(missing.clone())?;
    let first = last.saturating_sub(COMMENT_MAX);
    for at in (first..=last).rev() {
        if array::<4>(archive, at) != Some(*b"PK\x05\x06") {
            continue;
        }
        let comment = u16_at(archive, at + 20).ok_or(missing.clone())?;
        if at + END_LEN + usize::from(comment) != archive.len() {
            continue;
        }
        let disk = (u16_at(archive, at + 4), u16_at(archive, at + 6));
        let (here, total) = (u16_at(archive, at + 8), u16_at(archive, at + 10));
        if disk != (Some(0), Some(0)) || here != total {
            return Err(ReseedError::Zip("more than one volume"));
        }
        let count = usize::from(total.unwrap_or(u16::MAX));
        if count > ENTRIES_MAX {
            return Err(ReseedError::Zip("more than 2000 entries"));
        }
        let start = u32_at(archive, at + 16).and_then(|n| usize::try_from(n).ok()).filter(|n| *n <= at);
        return Ok((count, start.ok_or(ReseedError::Zip("directory offset"))?));
    }
    Err(missing)
}

/// Reads the entry whose central header is at `at`; also where the next one begins. Folders give no entry.
fn read_entry(archive: &[u8], at: usize, names: Names) -> Result<(Option<Entry>, usize), ReseedError> {
    let cut = || ReseedError::Zip("directory cut off");
    let header: [u8; CENTRAL_LEN] = array(archive, at).ok_or_else(cut)?;
    if !header.starts_with(b"PK\x01\x02") {
        return Err(ReseedError::Zip("directory entry"));
    }
    let short = |i: usize| u16_at(&header, i).map_or(0, usize::from);
    let long = |i: usize| u32_at(&header, i).and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    let (name_len, extra, comment) = (short(28), short(30), short(32));
    let name_at = at + CENTRAL_LEN;
    let name = archive.get(name_at..name_at + name_len).ok_or_else(cut)?;
    let name = std::str::from_utf8(name).ok().filter(|n| is_safe(n, names));
    let name = name.ok_or(ReseedError::Zip("an entry with a path or a strange name"))?;
    let next = name_at + name_len + extra + comment;
    if name.ends_with('/') {
        return Ok((None, next));
    }
    if u16_at(&header, 8).is_none_or(|flags| flags & ENCRYPTED != 0) {
        return Err(ReseedError::Zip("an encrypted entry"));
    }
    let (packed, size) = (long(20), long(24));
    if size > ENTRY_MAX || packed > PACKED_MAX {
        return Err(ReseedError::Zip("an entry larger than 8 KiB"));
    }
    let data = local_data(archive, long(42), packed)?;
    let bytes = unpack(data, u16_at(&header, 10).unwrap_or(u16::MAX), size)?;
    if Some(crc32fast::hash(&bytes)) != u32_at(&header, 16) {
        return Err(ReseedError::Zip("an entry with a wrong checksum"));
    }
    Ok((Some(Entry { name: name.to_owned(), bytes }), next))
}

/// The packed bytes of an entry, behind its local header.
fn local_data(archive: &[u8], at: usize, packed: usize) -> Result<&[u8], ReseedError> {
    let bad = ReseedError::Zip("an entry outside of the archive");
    let header = archive.get(at..).and_then(|rest| rest.get(..LOCAL_LEN)).ok_or(bad.clone())?;
    if !header.starts_with(b"PK\x03\x04") {
        return Err(bad);
    }
    let names = u16_at(header, 26).map_or(0, usize::from) + u16_at(header, 28).map_or(0, usize::from);
    let start = at + LOCAL_LEN + names;
    archive.get(start..start + packed).ok_or(bad)
}

fn unpack(data: &[u8], method: u16, size: usize) -> Result<Vec<u8>, ReseedError> {
    let bytes = match method {
        STORED => data.to_vec(),
        DEFLATED => {
            let mut out = Vec::with_capacity(size);
            // One byte more than promised is enough to know a lie.
            let mut limited = flate2::read::DeflateDecoder::new(data).take(size as u64 + 1);
            limited.read_to_end(&mut out).map_err(|_| ReseedError::Zip("an entry that does not unpack"))?;
            out
        }
        _ => return Err(ReseedError::Zip("an unknown packing method")),
    };
    if bytes.len() == size {
        Ok(bytes)
    } else {
        Err(ReseedError::Zip("an entry of another size than stated"))
    }
}

/// Names are never used as paths; these rules only tell honest archives from others.
fn is_safe(name: &str, names: Names) -> bool {
    let plain = !name.is_empty() && name.len() <= 255 && name.bytes().all(|b| (b' '..0x7f).contains(&b));
    let folders = match names {
        Names::Flat => !name.contains('/'),
        Names::Nested => !name.starts_with('/') && !name.contains("//"),
    };
    plain && folders && !name.contains(['\\', ':']) && name.split('/').all(|part| part != ".." && part != ".")
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}
