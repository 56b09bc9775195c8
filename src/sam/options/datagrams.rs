// SPDX-License-Identifier: MIT
//! Options of `SESSION CREATE` and `SESSION ADD` that concern datagrams.
//!
//! Spec: SAMv3 "SAM Repliable Datagrams", "SAM Anonymous Datagrams", "SAM Primary Sessions".

use super::Style;
use crate::sam::command::port;
use crate::sam::parse::Params;

/// I2CP protocol of raw datagrams unless the client says otherwise.
pub(in crate::sam) const PROTOCOL_RAW: u8 = 18;
/// Protocols that have a format of their own, which raw datagrams must not pretend to: streams and the three
/// formats with a sender.
const PROTOCOLS_TAKEN: [u8; 4] = [6, 17, 19, 20];
/// Keys that mean something for a subsession and nothing for the primary session itself.
const SUBSESSION_KEYS: [&str; 8] =
    ["PORT", "HOST", "FROM_PORT", "TO_PORT", "PROTOCOL", "HEADER", "LISTEN_PORT", "LISTEN_PROTOCOL"];

/// Where the datagrams of a session go to and come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatagramOptions {
    /// UDP port of the client that gets what arrives; `None`: it is written to the control socket.
    pub port: Option<u16>,
    /// Host of that port; the client's own address if absent.
    pub host: Option<String>,
    /// I2CP protocol of raw datagrams sent.
    pub protocol: u8,
    /// Raw datagrams are forwarded with a line that tells ports and protocol.
    pub header: bool,
}

impl Default for DatagramOptions {
    fn default() -> Self {
        Self { port: None, host: None, protocol: PROTOCOL_RAW, header: false }
    }
}

impl DatagramOptions {
    /// Reads the options that matter to a style. Streams ignore them all.
    ///
    /// # Errors
    /// The text for `MESSAGE`.
    pub fn new(style: Style, params: &Params) -> Result<Self, String> {
        match style {
            Style::Stream => return Ok(Self::default()),
            Style::Primary => {
                return match SUBSESSION_KEYS.iter().find(|key| params.get(key).is_some()) {
                    Some(key) => {
                        Err(format!("{key} is not for PRIMARY sessions; give it to each SESSION ADD"))
                    }
                    None => Ok(Self::default()),
                };
            }
            Style::Datagram | Style::Datagram2 | Style::Datagram3 | Style::Raw => {}
        }
        let protocol = match params.filled("PROTOCOL").filter(|_| style == Style::Raw) {
            None => PROTOCOL_RAW,
            Some(text) => text.parse().ok().and_then(raw_protocol).ok_or_else(|| {
                "PROTOCOL must be a number from 0 to 255, and not 6, 17, 19 or 20".to_owned()
            })?,
        };
        Ok(Self {
            port: udp_port(params)?,
            host: params.filled("HOST").map(str::to_owned),
            protocol,
            header: style == Style::Raw && params.flag("HEADER"),
        })
    }
}

/// A protocol under which raw datagrams may be sent.
pub(in crate::sam) fn raw_protocol(number: u16) -> Option<u8> {
    u8::try_from(number).ok().filter(|protocol| !PROTOCOLS_TAKEN.contains(protocol))
}

fn udp_port(params: &Params) -> Result<Option<u16>, String> {
    match port(params, "PORT") {
        Ok(Some(0)) | Err(_) => Err("PORT must be a number from 1 to 65535".to_owned()),
        Ok(port) => Ok(port),
    }
}
