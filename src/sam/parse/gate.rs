// SPDX-License-Identifier: MIT
//! The first bytes of a socket: is this a SAM client, or a browser or TLS client that lost its way?
//!
//! A web page can make a browser connect to a local port, but it cannot choose the first bytes: they are an HTTP
//! verb or a TLS record. Whatever cannot be the beginning of a SAM word is closed at the first byte that shows it,
//! without an answer and without reading on, so that nothing in a body is ever taken for a command. Row S2.

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not enough bytes yet.
    More,
    /// May be a SAM client; this many leading bytes (telnet negotiation) are to be skipped.
    Sam(usize),
    /// Certainly none: close without a word.
    Foreign,
}

/// Words with which a SAM client, or a person at a keyboard, may begin. Only `HELLO` is right; the others are answered
/// with what is missing. No method of HTTP or of any of its relatives is among them or a beginning of one of them.
const WORDS: [&[u8]; 14] = [
    b"HELLO",
    b"SESSION",
    b"STREAM",
    b"DATAGRAM",
    b"RAW",
    b"NAMING",
    b"DEST",
    b"AUTH",
    b"PING",
    b"PONG",
    b"HELP",
    b"QUIT",
    b"STOP",
    b"EXIT",
];
/// Most blanks and blank lines before the first word.
const BLANKS_MAX: usize = 512;
/// Most bytes of telnet negotiation.
const TELNET_MAX: usize = 256;
/// Telnet's "interpret as command".
const IAC: u8 = 0xFF;

/// Judges the first bytes of a socket.
pub fn judge(bytes: &[u8]) -> Verdict {
    let skip = match telnet_prefix(bytes) {
        Some(skip) if skip <= TELNET_MAX => skip,
        None if bytes.len() <= TELNET_MAX => return Verdict::More,
        _ => return Verdict::Foreign,
    };
    let rest = bytes.get(skip..).unwrap_or_default();
    let text = rest.trim_ascii_start();
    let Some(first) = text.first() else {
        return if rest.len() < BLANKS_MAX { Verdict::More } else { Verdict::Foreign };
    };
    if !first.is_ascii_alphabetic() {
        return Verdict::Foreign;
    }
    let end = text.iter().position(|byte| !byte.is_ascii_alphabetic());
    let word = text.get(..end.unwrap_or(text.len())).unwrap_or_default();
    let begins = |known: &&[u8]| known.get(..word.len()).is_some_and(|part| part.eq_ignore_ascii_case(word));
    let known = WORDS.iter().any(|known| begins(known) && (end.is_none() || known.len() == word.len()));
    match (known, end) {
        (false, _) => Verdict::Foreign,
        (true, None) => Verdict::More,
        (true, Some(_)) => Verdict::Sam(skip),
    }
}

/// Length of the telnet negotiation at the beginning; `None` while it is cut short.
fn telnet_prefix(bytes: &[u8]) -> Option<usize> {
    let mut at: usize = 0;
    while bytes.get(at) == Some(&IAC) {
        // WILL, WONT, DO and DONT carry an option byte; the others stand alone.
        let length = match bytes.get(at.saturating_add(1))? {
            0xFB..=0xFE => 3,
            _ => 2,
        };
        at = at.saturating_add(length);
        if at > bytes.len() {
            return None;
        }
    }
    Some(at)
}
