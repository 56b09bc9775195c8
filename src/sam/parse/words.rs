// SPDX-License-Identifier: MIT
//! The tokenizer: one line to command, opcode and `key=value` words.

use std::fmt;

use zeroize::{Zeroize as _, Zeroizing};

use super::PARAMS_MAX;

/// The one key whose value may be rubbish: a client library in wide use sends uninitialised memory there.
const RUBBISH_KEY: &str = "SILENT";

/// Why a line could not be read. Each of these ends the connection: a line that is not understood as a whole
/// must not act in part.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyntaxError {
    /// A `"` without its partner.
    Quote,
    /// A backslash with nothing behind it.
    Escape,
    /// A word that begins with `=`, or a quote within a key.
    Key,
    /// The same key twice.
    Duplicate(String),
    /// More than [`PARAMS_MAX`] words.
    Count,
    /// Bytes that are not UTF-8, or control characters.
    Text,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quote => f.write_str("unterminated quote"),
            Self::Escape => f.write_str("nothing behind the last backslash"),
            Self::Key => f.write_str("a word must be key=value with a plain, non-empty key"),
            Self::Duplicate(key) => write!(f, "{key} is given twice"),
            Self::Count => write!(f, "more than {PARAMS_MAX} options"),
            Self::Text => f.write_str("not UTF-8 text, or control characters in it"),
        }
    }
}

/// The `key=value` words of a line, in the order they came, without duplicates. Values are wiped when dropped.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, Zeroizing<String>)>);

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be private keys or passwords.
        f.debug_list().entries(self.0.iter().map(|(key, _)| key)).finish()
    }
}

impl Params {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The value of `key` where an empty one counts as absent.
    pub fn filled(&self, key: &str) -> Option<&str> {
        self.get(key).filter(|value| !value.is_empty())
    }

    /// Whether `key` is the word `true`. Everything else, rubbish included, is false.
    pub fn flag(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// All pairs.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn insert(&mut self, key: String, value: Zeroizing<String>) -> Result<(), SyntaxError> {
        if self.get(&key).is_some() {
            return Err(SyntaxError::Duplicate(key));
        }
        if self.0.len() >= PARAMS_MAX {
            return Err(SyntaxError::Count);
        }
        self.0.push((key, value));
        Ok(())
    }
}

/// A line cut into words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// The first word, upper case.
    pub command: String,
    /// The second word, upper case, if there is one and it is not `key=value`.
    pub opcode: Option<String>,
    /// Everything behind.
    pub params: Params,
}

/// One line, before it is read as a whole.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    bytes: &'a [u8],
}

impl<'a> Line<'a> {
    /// Wraps the bytes of one line, without its line end.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The first word in upper case, for addressing an answer; `None` for a blank line.
    ///
    /// Cut at 32 characters and freed of everything but letters, digits and `-_`, so it may be echoed.
    pub fn domain(&self) -> Option<String> {
        let text = self.bytes.trim_ascii_start();
        let word = text.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        if word.is_empty() {
            return None;
        }
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let name: String = word
            .iter()
            .filter(|byte| plain(byte))
            .take(32)
            .map(|byte| char::from(byte.to_ascii_uppercase()))
            .collect();
        Some(if name.is_empty() { "UNKNOWN".to_owned() } else { name })
    }

    /// Everything behind the first word, byte for byte, with the blank that separates them.
    pub fn tail(&self) -> &'a [u8] {
        let text = self.bytes.trim_ascii_start();
        let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
        text.get(end..).unwrap_or_default()
    }

    /// The line for logs: long words, which may be keys, cut to twelve characters, passwords left out.
    pub fn redacted(&self) -> String {
        const LONG: usize = 48;
        let text = String::from_utf8_lossy(self.bytes);
        // A password may be quoted, have blanks, or hide behind escapes: lines that can carry one show little.
        let second = text.split_ascii_whitespace().nth(1).unwrap_or_default();
        let secret = matches!(self.domain().as_deref(), Some("HELLO" | "AUTH"))
            && !matches!(second, "REPLY" | "STATUS");
        let shown = |(at, word): &(usize, &str)| {
            !secret || *at < 2 || word.starts_with("MIN=") || word.starts_with("MAX=")
        };
        let words = text.split_ascii_whitespace().enumerate().filter(shown).map(|(_, word)| {
            let (key, value) = word.split_once('=').unwrap_or(("", word));
            let equals = if key.is_empty() { "" } else { "=" };
            if is_secret(key) {
                return format!("{key}=..");
            }
            let cut = |text: &str| {
                if text.len() > LONG {
                    text.chars().take(12).collect::<String>() + ".."
                } else {
                    text.to_owned()
                }
            };
            cut(key) + equals + &cut(value)
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// Reads the whole line. `Ok(None)` is a blank line.
    ///
    /// # Errors
    /// [`SyntaxError`] when any part of the line is malformed.
    pub fn words(&self) -> Result<Option<Words>, SyntaxError> {
        let mut scanner = Scanner { bytes: self.bytes, at: 0 };
        let Some(command) = scanner.bare_word()? else { return Ok(None) };
        let mut words = Words { command, opcode: None, params: Params::default() };
        let second = scanner.at;
        match scanner.bare_word() {
            Ok(Some(word)) if !word.contains('=') && !word.contains('"') => words.opcode = Some(word),
            _ => scanner.at = second,
        }
        while let Some((key, value)) = scanner.pair()? {
            words.params.insert(key, value)?;
        }
        Ok(Some(words))
    }
}

/// Reads words from left to right.
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at = self.at.saturating_add(1);
        Some(byte)
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(is_blank) {
            self.at = self.at.saturating_add(1);
        }
    }

    /// A word without any structure, upper case: the command and the opcode.
    fn bare_word(&mut self) -> Result<Option<String>, SyntaxError> {
        self.skip_blanks();
        let mut word = Vec::new();
        while let Some(byte) = self.peek().filter(|byte| !is_blank(*byte)) {
            word.push(byte.to_ascii_uppercase());
            self.at = self.at.saturating_add(1);
        }
        if word.is_empty() { Ok(None) } else { text(word).map(Some) }
    }

    /// The next `key`, `key=`, `key=value` or `key="value"`.
    fn pair(&mut self) -> Result<Option<(String, Zeroizing<String>)>, SyntaxError> {
        self.skip_blanks();
        if self.peek().is_none() {
            return Ok(None);
        }
        let (key, has_value) = self.key()?;
        if !has_value {
            return Ok(Some((key, "true".to_owned().into())));
        }
        let value = self.value()?;
        let value = match text(value) {
            Ok(value) => value,
            // Never a value with a meaning, so never an error either.
            Err(_) if key == RUBBISH_KEY => String::new(),
            Err(error) => return Err(error),
        };
        Ok(Some((key, value.into())))
    }

    fn key(&mut self) -> Result<(String, bool), SyntaxError> {
        let mut key = Vec::new();
        let mut has_value = false;
        while let Some(byte) = self.next() {
            match byte {
                b'=' => {
                    has_value = true;
                    break;
                }
                b'"' => return Err(SyntaxError::Key),
                b'\\' => key.push(self.next().ok_or(SyntaxError::Escape)?),
                byte if is_blank(byte) => break,
                byte => key.push(byte),
            }
        }
        if key.is_empty() {
            return Err(SyntaxError::Key);
        }
        Ok((text(key)?, has_value))
    }

    /// The value, in a buffer that never grows: one that did would leave parts of a key behind.
    fn value(&mut self) -> Result<Vec<u8>, SyntaxError> {
        let mut length = 0usize;
        Scanner { bytes: self.bytes, at: self.at }.each_of_value(|_| length = length.saturating_add(1))?;
        let mut value = Vec::with_capacity(length);
        self.each_of_value(|byte| value.push(byte))?;
        Ok(value)
    }

    fn each_of_value(&mut self, mut take: impl FnMut(u8)) -> Result<(), SyntaxError> {
        let mut quoted = false;
        while let Some(byte) = self.next() {
            match byte {
                b'"' => quoted = !quoted,
                b'\\' => take(self.next().ok_or(SyntaxError::Escape)?),
                byte if is_blank(byte) && !quoted => break,
                byte => take(byte),
            }
        }
        if quoted { Err(SyntaxError::Quote) } else { Ok(()) }
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Checks that a word is text that may be handled and echoed.
fn text(bytes: Vec<u8>) -> Result<String, SyntaxError> {
    let mut text = String::from_utf8(bytes).map_err(|error| {
        error.into_bytes().zeroize();
        SyntaxError::Text
    })?;
    if text.chars().any(|character| character.is_control() && character != '\t') {
        text.zeroize();
        return Err(SyntaxError::Text);
    }
    Ok(text)
}

/// Whether the value of this key must not be seen, however short it is.
fn is_secret(key: &str) -> bool {
    const PREFIXES: [&str; 6] = [
        "PASSWORD",
        "i2cp.leaseSetPrivKey",
        "i2cp.leaseSetSecret",
        "i2cp.leaseSetClient.",
        "i2cp.leaseSetPrivateKey",
        "i2cp.leaseSetSigningPrivateKey",
    ];
    let starts =
        |prefix: &&str| key.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
    PREFIXES.iter().any(starts)
}
