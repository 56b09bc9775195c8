// SPDX-License-Identifier: MIT
//! Every line that a SAM client can get from us.
//!
//! Clients in the field are brittle, so the form is fixed here and nowhere else: one LF at the end; `RESULT` is
//! the first key; at most one quoted value, which is `MESSAGE`, which is last, never empty, and free of quotes,
//! backslashes, apostrophes and control characters. Four answers are compared as whole lines by a client library
//! and therefore never carry a message: `DUPLICATED_ID`, `DUPLICATED_DEST`, the session's `INVALID_KEY` and
//! `NOVERSION`.

use std::fmt::Write as _;

use super::command::Version;

/// Longest message text.
const MESSAGE_MAX: usize = 400;

/// A result code of the specification. Clients look these up in tables, so there are no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultCode {
    /// Done.
    Ok,
    /// The far side cannot be reached: no lease set, no route, refused or reset.
    CantReachPeer,
    /// The destination is in use by another session here.
    DuplicatedDest,
    /// The session ID is in use.
    DuplicatedId,
    /// Anything that has no code of its own.
    I2pError,
    /// No session has this ID.
    InvalidId,
    /// Not a destination, key or name.
    InvalidKey,
    /// The name is well formed and unknown.
    KeyNotFound,
    /// The lease set asked for does not exist.
    LeaseSetNotFound,
    /// The far side did not answer in time.
    Timeout,
}

impl ResultCode {
    /// The word on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::CantReachPeer => "CANT_REACH_PEER",
            Self::DuplicatedDest => "DUPLICATED_DEST",
            Self::DuplicatedId => "DUPLICATED_ID",
            Self::I2pError => "I2P_ERROR",
            Self::InvalidId => "INVALID_ID",
            Self::InvalidKey => "INVALID_KEY",
            Self::KeyNotFound => "KEY_NOT_FOUND",
            Self::LeaseSetNotFound => "LEASESET_NOT_FOUND",
            Self::Timeout => "TIMEOUT",
        }
    }
}

/// Which command an answer belongs to; decides the two words it begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Domain {
    /// `HELLO REPLY`
    Hello,
    /// `SESSION STATUS`
    Session,
    /// `STREAM STATUS`
    Stream,
    /// `NAMING REPLY`
    Naming,
    /// `DEST REPLY`
    Dest,
    /// `AUTH STATUS`
    Auth,
    /// `DATAGRAM STATUS`
    Datagram,
    /// `RAW STATUS`
    Raw,
    /// `<WORD> STATUS`, for words that are no command. Holds only what [`super::parse::Line::domain`] lets pass.
    Other(String),
}

impl Domain {
    /// From the first word of a line, upper case.
    pub fn from_word(word: &str) -> Self {
        match word {
            "HELLO" => Self::Hello,
            "SESSION" => Self::Session,
            "STREAM" => Self::Stream,
            "NAMING" => Self::Naming,
            "DEST" => Self::Dest,
            "AUTH" => Self::Auth,
            "DATAGRAM" => Self::Datagram,
            "RAW" => Self::Raw,
            other => Self::Other(other.to_owned()),
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Hello => "HELLO REPLY".to_owned(),
            Self::Session => "SESSION STATUS".to_owned(),
            Self::Stream => "STREAM STATUS".to_owned(),
            Self::Naming => "NAMING REPLY".to_owned(),
            Self::Dest => "DEST REPLY".to_owned(),
            Self::Auth => "AUTH STATUS".to_owned(),
            Self::Datagram => "DATAGRAM STATUS".to_owned(),
            Self::Raw => "RAW STATUS".to_owned(),
            Self::Other(word) => format!("{word} STATUS"),
        }
    }
}

/// `<domain> RESULT=<code>` with a message where one is allowed.
pub(super) fn status(domain: &Domain, code: ResultCode, message: &str) -> String {
    let mut line = format!("{} RESULT={}", domain.words(), code.word());
    push_message(&mut line, domain, code, message);
    line.push('\n');
    line
}

/// `<domain> RESULT=I2P_ERROR MESSAGE="..."`.
pub(super) fn error(domain: &Domain, message: &str) -> String {
    status(domain, ResultCode::I2pError, message)
}

/// `HELLO REPLY RESULT=OK VERSION=3.x`
pub(super) fn hello_ok(version: Version) -> String {
    format!("HELLO REPLY RESULT=OK VERSION={version}\n")
}

/// `HELLO REPLY RESULT=NOVERSION`
pub(super) fn hello_no_version() -> String {
    "HELLO REPLY RESULT=NOVERSION\n".to_owned()
}

/// `AUTH STATUS RESULT=OK`
pub(super) fn auth_ok() -> String {
    "AUTH STATUS RESULT=OK\n".to_owned()
}

/// `SESSION STATUS RESULT=OK DESTINATION=<private key>`; nothing may follow the key.
pub(super) fn session_ok(private_key: &str) -> String {
    // Concatenated, not formatted: a buffer that grew would leave parts of the key behind.
    ["SESSION STATUS RESULT=OK DESTINATION=", private_key, "\n"].concat()
}

/// `SESSION STATUS RESULT=OK ID=<id> MESSAGE="ADD <id>"`: clients tell subsessions from sessions by the ID.
pub(super) fn subsession_ok(id: &str, verb: &str) -> String {
    format!("SESSION STATUS RESULT=OK{} MESSAGE=\"{verb} {}\"\n", id_word(id), clean(id))
}

/// `SESSION STATUS RESULT=<code> ID=<id> MESSAGE="..."`; `DUPLICATED_ID` stands alone, as everywhere.
pub(super) fn subsession_error(code: ResultCode, id: Option<&str>, message: &str) -> String {
    if code == ResultCode::DuplicatedId {
        return status(&Domain::Session, code, "");
    }
    let id = id.map(id_word).unwrap_or_default();
    let mut line = format!("SESSION STATUS RESULT={}{id}", ResultCode::I2pError.word());
    push_message(&mut line, &Domain::Session, ResultCode::I2pError, message);
    line.push('\n');
    line
}

/// ` ID=<id>`, with quotes only around IDs that need them: many parsers know just one quoted value.
fn id_word(id: &str) -> String {
    const SHOWN: usize = 255;
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '`' | '\\');
    if !id.contains(odd) {
        return format!(" ID={}", id.chars().take(SHOWN).collect::<String>());
    }
    let mut word = " ID=\"".to_owned();
    for c in id.chars().filter(|c| !c.is_control()).take(SHOWN) {
        if matches!(c, '"' | '\\') {
            word.push('\\');
        }
        word.push(c);
    }
    word.push('"');
    word
}

/// `STREAM STATUS RESULT=OK`
pub(super) fn stream_ok() -> String {
    "STREAM STATUS RESULT=OK\n".to_owned()
}

/// The line before the first payload of an accepted stream: the peer's destination, and from 3.2 on the ports.
pub(super) fn peer_line(destination: &str, from_port: u16, to_port: u16, version: Version) -> String {
    if version.has_ports() {
        format!("{destination} FROM_PORT={from_port} TO_PORT={to_port}\n")
    } else {
        format!("{destination}\n")
    }
}

/// `DEST REPLY PUB=<public> PRIV=<private>`
pub(super) fn dest_ok(public: &str, private: &str) -> String {
    ["DEST REPLY PUB=", public, " PRIV=", private, "\n"].concat()
}

/// `NAMING REPLY RESULT=OK NAME=<name> VALUE=<destination>` with lease set options behind.
pub(super) fn naming_ok(name: &str, value: &str, options: &[(String, String)]) -> String {
    let mut line = format!("NAMING REPLY RESULT=OK NAME={} VALUE={value}", echo(name));
    let clean =
        |text: &str| !text.is_empty() && !text.chars().any(|c| c.is_control() || c == '"' || c == '\\');
    for (key, value) in options.iter().filter(|(key, value)| clean(key) && clean(value)) {
        if !key.contains(['=', ' ']) {
            let _ = write!(line, " OPTION:{key}=\"{value}\"");
        }
    }
    line.push('\n');
    line
}

/// `NAMING REPLY RESULT=<code> NAME=<name>` with a message where there is something to say.
pub(super) fn naming_error(code: ResultCode, name: &str, message: &str) -> String {
    let mut line = format!("NAMING REPLY RESULT={}", code.word());
    if !name.is_empty() {
        let _ = write!(line, " NAME={}", echo(name));
    }
    push_message(&mut line, &Domain::Naming, code, message);
    line.push('\n');
    line
}

/// `PONG` and the text of the ping, byte for byte.
pub(super) fn pong(tail: &str) -> String {
    format!("PONG{tail}\n")
}

/// The answer to `QUIT`, `STOP` and `EXIT`.
pub(super) fn quit_ok() -> String {
    "QUIT STATUS RESULT=OK MESSAGE=bye\n".to_owned()
}

fn push_message(line: &mut String, domain: &Domain, code: ResultCode, message: &str) {
    let bare = match code {
        ResultCode::Ok | ResultCode::DuplicatedId | ResultCode::DuplicatedDest => true,
        ResultCode::InvalidKey => *domain == Domain::Session,
        _ => false,
    };
    if bare {
        return;
    }
    let clean = clean(message);
    if !clean.is_empty() {
        let _ = write!(line, " MESSAGE=\"{clean}\"");
    }
}

/// Makes any text fit between the quotes of `MESSAGE`.
fn clean(message: &str) -> String {
    let safe = |character: char| match character {
        '"' | '\'' | '`' | '\\' => ' ',
        other if other.is_control() => ' ',
        other => other,
    };
    let text: String = message.chars().map(safe).take(MESSAGE_MAX).collect();
    text.trim().to_owned()
}

/// A name as it came, except for characters that would break the line apart.
fn echo(name: &str) -> String {
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\\');
    name.chars().map(|c| if odd(c) { '_' } else { c }).collect()
}

#[cfg(test)]
mod tests;
