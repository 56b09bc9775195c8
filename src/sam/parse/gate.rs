// SPDX-License-Identifier: MIT
//! The first bytes of a socket: is this a SAM client, or a browser or TLS client that lost its way?
//!
//! A web page can make a browser connect to a local port, but it cannot choose the first bytes: they are an HTTP
//! verb or a TLS record. Such sockets are closed without an answer and without reading on, so that nothing in
//! their body is ever taken for a command.

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

/// Methods of HTTP and its relatives. None is a SAM word or the beginning of one.
const VERBS: [&[u8]; 16] = [
    b"GET",
    b"HEAD",
    b"POST",
    b"PUT",
    b"DELETE",
    b"CONNECT",
    b"OPTIONS",
    b"TRACE",
    b"PATCH",
    b"PRI",
    b"PROPFIND",
    b"SEARCH",
    b"REPORT",
    b"SUBSCRIBE",
    b"NOTIFY",
    b"EHLO",
];
/// Longest word worth waiting for before it is judged.
const WORD_MAX: usize = 10;
/// Most blanks and blank lines before the first word.
const BLANKS_MAX: usize = 512;
/// Telnet's "interpret as command".
const IAC: u8 = 0xFF;

/// Judges the first bytes of a socket.
pub fn judge(bytes: &[u8]) -> Verdict {
    let Some(skip) = telnet_prefix(bytes) else { return Verdict::More };
    let rest = bytes.get(skip..).unwrap_or_default();
    let text = rest.trim_ascii_start();
    let Some(first) = text.first() else {
        return if rest.len() < BLANKS_MAX { Verdict::More } else { Verdict::Foreign };
    };
    if !first.is_ascii_graphic() {
        return Verdict::Foreign;
    }
    let end = text.iter().position(|byte| !byte.is_ascii_alphabetic());
    let word = text.get(..end.unwrap_or(text.len())).unwrap_or_default();
    match end {
        Some(_) if VERBS.iter().any(|verb| word.eq_ignore_ascii_case(verb)) => Verdict::Foreign,
        None if word.len() < WORD_MAX => Verdict::More,
        _ => Verdict::Sam(skip),
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
