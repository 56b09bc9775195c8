// SPDX-License-Identifier: MIT
//! One line to one typed command, or to the answer that refuses it.
//!
//! Pure. Everything that can be judged from the line alone is judged here: missing and malformed options, unknown
//! words, versions. What needs the state of the server (IDs, destinations, keys) is left to the connection.
//! Spec: SAMv3, all command sections.

mod auth;
mod send;
mod stream;
mod suggest;
mod version;

pub use auth::AuthRequest;
pub use send::SendRequest;
pub(super) use stream::connect_timeout_ms;
pub use stream::{AcceptRequest, ConnectRequest, ForwardRequest};
pub use version::{Hello, Version};

use super::parse::{Line, Params, Words};
use super::reply::{self, Domain, ResultCode};

/// A command that is well formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `HELLO VERSION`
    Hello(Hello),
    /// `SESSION CREATE`; the options are read by [`super::options`].
    SessionCreate(Params),
    /// `SESSION ADD`
    SessionAdd(Params),
    /// `SESSION REMOVE`
    SessionRemove(Params),
    /// `STREAM CONNECT`
    Connect(ConnectRequest),
    /// `STREAM ACCEPT`
    Accept(AcceptRequest),
    /// `STREAM FORWARD`
    Forward(ForwardRequest),
    /// `DATAGRAM SEND` and `RAW SEND`, which are followed by `size` bytes of payload.
    Send(SendRequest),
    /// `DEST GENERATE` with the signature type as it was written.
    DestGenerate {
        /// Number or name, if given.
        signature_type: Option<String>,
    },
    /// `NAMING LOOKUP`
    Lookup {
        /// What to look up; not empty.
        name: String,
        /// Whether the options of the lease set are wanted.
        options: bool,
    },
    /// `PING` and everything behind it.
    Ping(String),
    /// `PONG`
    Pong,
    /// `QUIT`, `STOP` and `EXIT`
    Quit,
    /// `HELP` and the word behind it.
    Help(Option<String>),
    /// `AUTH` and its opcode.
    Auth(AuthRequest),
}

/// A line that is refused, with the answer to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// What the client is told.
    pub reply: String,
    /// What happens to the connection.
    pub then: Then,
    /// The client asked for silence, so the answer is not sent.
    pub silent: bool,
}

/// What happens to a connection after a refused line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It stays open.
    Stay,
    /// It stays open, but eight of these in a row are junk.
    StayButCount,
    /// It is closed unless it owns a session: a socket for one stream has no further use.
    CloseStream,
    /// It is closed.
    Close,
}

impl Rejection {
    fn new(domain: &Domain, message: &str, then: Then) -> Self {
        Self { reply: reply::error(domain, message), then, silent: false }
    }

    /// Refuses a stream command; `silent` clients only see the close.
    fn stream(message: &str, silent: bool) -> Self {
        Self { silent, ..Self::new(&Domain::Stream, message, Then::CloseStream) }
    }
}

impl Command {
    /// Reads a line. `Ok(None)` is a blank line.
    ///
    /// # Errors
    /// A [`Rejection`] that says what is wrong and how it should look.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, Rejection> {
        let line = Line::new(bytes);
        let Some(word) = line.domain() else { return Ok(None) };
        let domain = Domain::from_word(&word);
        if let Some(command) = ping(&word, &line)? {
            return Ok(Some(command));
        }
        let words = line.words().map_err(|error| Rejection::new(&domain, &error.to_string(), Then::Close))?;
        let Some(words) = words else { return Ok(None) };
        Self::from_words(words, &domain).map(Some)
    }

    fn from_words(words: Words, domain: &Domain) -> Result<Self, Rejection> {
        let Words { command, opcode, params } = words;
        match command.as_str() {
            "QUIT" | "STOP" | "EXIT" => return Ok(Self::Quit),
            "HELP" => return Ok(Self::Help(opcode)),
            _ => {}
        }
        if !suggest::is_command(&command) {
            return Err(Rejection::new(domain, &suggest::unknown_command(&command), Then::StayButCount));
        }
        let Some(opcode) = opcode else {
            let message = format!("command not specified; {}", suggest::opcodes_of(&command));
            return Err(Rejection::new(domain, &message, Then::StayButCount));
        };
        match (command.as_str(), opcode.as_str()) {
            ("HELLO", "VERSION") => Ok(Self::Hello(Hello::new(&params))),
            ("SESSION", "CREATE") => Ok(Self::SessionCreate(params)),
            ("SESSION", "ADD") => Ok(Self::SessionAdd(params)),
            ("SESSION", "REMOVE") => Ok(Self::SessionRemove(params)),
            ("STREAM", "CONNECT") => ConnectRequest::new(&params).map(Self::Connect),
            ("STREAM", "ACCEPT") => AcceptRequest::new(&params).map(Self::Accept),
            ("STREAM", "FORWARD") => ForwardRequest::new(&params).map(Self::Forward),
            ("DATAGRAM" | "RAW", "SEND") => SendRequest::new(&params, domain).map(Self::Send),
            ("DEST", "GENERATE") => {
                Ok(Self::DestGenerate { signature_type: params.filled("SIGNATURE_TYPE").map(str::to_owned) })
            }
            ("NAMING", "LOOKUP") => lookup(&params),
            ("AUTH", _) => AuthRequest::new(&opcode, &params).map(Self::Auth),
            _ => {
                let message =
                    format!("unknown command {command} {opcode}; {}", suggest::opcodes_of(&command));
                Err(Rejection::new(domain, &message, Then::StayButCount))
            }
        }
    }
}

/// `PING` and `PONG` carry free text, which the tokenizer must not touch.
fn ping(word: &str, line: &Line<'_>) -> Result<Option<Command>, Rejection> {
    match word {
        "PONG" => Ok(Some(Command::Pong)),
        "PING" => {
            let text = std::str::from_utf8(line.tail()).ok();
            let clean = text.filter(|text| !text.chars().any(|c| c.is_control() && c != '\t'));
            match clean {
                Some(text) => Ok(Some(Command::Ping(text.to_owned()))),
                None => {
                    let domain = Domain::Other("PING".to_owned());
                    Err(Rejection::new(&domain, "the text is not plain UTF-8", Then::Close))
                }
            }
        }
        _ => Ok(None),
    }
}

fn lookup(params: &Params) -> Result<Command, Rejection> {
    let Some(name) = params.filled("NAME") else {
        let reply = reply::naming_error(ResultCode::InvalidKey, "", "NAME not specified");
        return Err(Rejection { reply, then: Then::Stay, silent: false });
    };
    Ok(Command::Lookup { name: name.to_owned(), options: params.flag("OPTIONS") })
}

/// Reads a port option: absent is `Ok(None)`, anything but 0-65535 is an error text.
pub(super) fn port(params: &Params, key: &str) -> Result<Option<u16>, String> {
    match params.filled(key) {
        None => Ok(None),
        Some(text) => match text.parse() {
            Ok(port) => Ok(Some(port)),
            Err(_) => Err(format!("{key} must be a number from 0 to 65535")),
        },
    }
}

#[cfg(test)]
mod tests;
