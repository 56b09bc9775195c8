// SPDX-License-Identifier: MIT
//! The Mapping structure: sorted `key=value;` pairs behind a two-byte length.

use super::{DecodeError, Reader, Wire};

/// Most pairs that one mapping may hold; real RouterInfos have fewer than twenty in each.
const PAIRS_MAX: u16 = 256;

/// Pairs of strings, kept in the order in which they came or, when built here, sorted by key.
///
/// Parsing keeps unsorted input as it is (signatures cover the received bytes); [`Mapping::set`] keeps order sorted,
/// since Java re-serialises what it verifies. Strings are UTF-8, at most 255 bytes each.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Mapping {
    pairs: Vec<(String, String)>,
}

impl Mapping {
    /// An empty mapping.
    pub const fn new() -> Self {
        Self { pairs: Vec::new() }
    }

    /// The value of `key`, the first if the key was repeated.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// Sets `key`, replacing an earlier value, and keeps the pairs sorted. Strings over 255 bytes are cut at a
    /// character boundary, as the length field has one byte.
    pub fn set(&mut self, key: &str, value: &str) {
        let (key, value) = (cut(key), cut(value));
        match self.pairs.iter_mut().find(|(k, _)| *k == key) {
            Some(pair) => pair.1 = value,
            None => {
                self.pairs.push((key, value));
                // Java's order: by UTF-16 code units.
                self.pairs.sort_by(|a, b| a.0.encode_utf16().cmp(b.0.encode_utf16()));
            }
        }
    }

    /// The pairs in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// Whether there are no pairs.
    pub const fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }
}

/// The longest beginning of `s` that fits a length field of one byte.
pub(super) fn cut(s: &str) -> String {
    let mut end = s.len().min(255);
    while !s.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    s.get(..end).unwrap_or_default().to_owned()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Wire for Mapping {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let len = r.u16()?;
        let mut inner = Reader::new(r.bytes(usize::from(len))?);
        let mut pairs = Vec::new();
        while !inner.is_empty() {
            if pairs.len() >= usize::from(PAIRS_MAX) {
                return Err(DecodeError::count("mapping pairs", u32::from(PAIRS_MAX) + 1, PAIRS_MAX.into()));
            }
            let key = text(inner.string()?);
            if inner.u8()? != b'=' {
                return Err(DecodeError::Value("mapping: '=' expected"));
            }
            let value = text(inner.string()?);
            if inner.u8()? != b';' {
                return Err(DecodeError::Value("mapping: ';' expected"));
            }
            pairs.push((key, value));
        }
        Ok(Self { pairs })
    }

    fn encode(&self, w: &mut Vec<u8>) {
        let mut body = Vec::new();
        for (k, v) in &self.pairs {
            let (k, v) = (cut(k), cut(v));
            let size = [body.len(), k.len(), v.len(), 4].iter().sum::<usize>();
            if size > usize::from(u16::MAX) {
                break; // cannot be reached with pairs that were parsed or with any that we publish
            }
            body.push(u8::try_from(k.len()).unwrap_or(u8::MAX));
            body.extend_from_slice(k.as_bytes());
            body.push(b'=');
            body.push(u8::try_from(v.len()).unwrap_or(u8::MAX));
            body.extend_from_slice(v.as_bytes());
            body.push(b';');
        }
        w.extend_from_slice(&u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes());
        w.extend_from_slice(&body);
    }
}
