// SPDX-License-Identifier: MIT
//! `SESSION ADD`: a subsession of a primary session. Spec: SAMv3 "SAM Primary Sessions".

use super::{CreateRequest, PROTOCOL_RAW, Style, id, style};
use crate::sam::command::port;
use crate::sam::parse::Params;

/// I2CP protocol of streams.
const PROTOCOL_STREAM: u8 = 6;

/// `SESSION ADD` as far as the line alone can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddRequest {
    /// What it has in common with a session of its own.
    pub create: CreateRequest,
    /// Port taken, 0 for those that no other subsession takes.
    pub listen_port: u16,
    /// I2CP protocol taken; for raw datagrams 0 for those that no other subsession takes.
    pub listen_protocol: u8,
}

impl AddRequest {
    /// Reads the options of a line.
    ///
    /// # Errors
    /// The text for `MESSAGE`.
    pub fn new(params: &Params) -> Result<Self, String> {
        let style = style(params)?;
        let id = id(params)?;
        if style == Style::Primary {
            return Err("a subsession cannot be PRIMARY".to_owned());
        }
        if params.get("DESTINATION").is_some() {
            return Err("DESTINATION is that of the PRIMARY session and cannot be given".to_owned());
        }
        let create = CreateRequest::of(style, id, params)?;
        if style.is_datagram() && create.datagrams.port.is_none() {
            return Err(format!("{} subsession must specify PORT", style.word()));
        }
        let listen_port = port(params, "LISTEN_PORT")?.unwrap_or(create.from_port);
        if style == Style::Stream && listen_port != create.from_port && listen_port != 0 {
            return Err("LISTEN_PORT of a STREAM subsession must be its FROM_PORT or 0".to_owned());
        }
        let listen_protocol = listen_protocol(style, &create, params)?;
        Ok(Self { create, listen_port, listen_protocol })
    }
}

fn listen_protocol(style: Style, create: &CreateRequest, params: &Params) -> Result<u8, String> {
    Ok(match style {
        Style::Stream | Style::Primary => PROTOCOL_STREAM,
        Style::Datagram => 17,
        Style::Datagram2 => 19,
        Style::Datagram3 => 20,
        Style::Raw => match params.filled("LISTEN_PROTOCOL") {
            None if params.filled("PROTOCOL").is_none() => PROTOCOL_RAW,
            None => create.datagrams.protocol,
            Some(text) => text
                .parse()
                .ok()
                .filter(|protocol| *protocol != PROTOCOL_STREAM)
                .ok_or_else(|| "LISTEN_PROTOCOL must be a number from 0 to 255, and not 6".to_owned())?,
        },
    })
}
