// SPDX-License-Identifier: MIT
//! The line in front of a datagram. Pure.

use std::time::Duration;

use crate::sam::backend::{InDatagram, OutDatagram, Peer, Sender};
use crate::sam::command::Version;
use crate::sam::options::{Style, raw_protocol};
use crate::sam::parse::{LINE_MAX, Params};
use crate::wire::b64;

/// Longest useful time to live of a datagram, in seconds.
const EXPIRES_MAX: i64 = 600;

/// What a client may say about one datagram; the session's defaults stand in for the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendOptions {
    /// Our port.
    pub from_port: Option<u16>,
    /// The receiver's port.
    pub to_port: Option<u16>,
    /// I2CP protocol as it was written, for raw datagrams; out of range is `u16::MAX`.
    pub protocol: Option<u16>,
    /// How long it is worth delivering.
    pub expires: Option<Duration>,
    /// Whether our lease set goes with it.
    pub send_lease_set: Option<bool>,
}

impl SendOptions {
    /// Reads the options of `DATAGRAM SEND` and `RAW SEND`.
    ///
    /// # Errors
    /// The text for `MESSAGE`.
    pub fn new(params: &Params) -> Result<Self, String> {
        let mut options = Self::default();
        for (key, value) in params.iter().filter(|(_, value)| !value.is_empty()) {
            options.set(key, value).map_err(|()| format!("{key} must be a number from 0 to 65535"))?;
        }
        Ok(options)
    }

    /// Takes one option; unknown ones are ignored, and so are numbers of router internals that we do not have.
    fn set(&mut self, key: &str, value: &str) -> Result<(), ()> {
        match key {
            "FROM_PORT" => self.from_port = Some(value.parse().map_err(|_| ())?),
            "TO_PORT" => self.to_port = Some(value.parse().map_err(|_| ())?),
            "PROTOCOL" => self.protocol = Some(value.parse().unwrap_or(u16::MAX)),
            "EXPIRES" => {
                let seconds = value.parse::<i64>().ok().map(|seconds| seconds.clamp(1, EXPIRES_MAX));
                self.expires = seconds.and_then(|n| u64::try_from(n).ok()).map(Duration::from_secs);
            }
            "SEND_LEASESET" => self.send_lease_set = Some(value.eq_ignore_ascii_case("true")),
            _ => {}
        }
        Ok(())
    }
}

/// Why a datagram of a client's is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sam) enum Refused {
    /// No line, or not one that we know.
    Header,
    /// A port or protocol out of range.
    Number,
    /// Empty or too large.
    Size,
}

/// A datagram as it came from UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FromClient<'a> {
    pub(super) id: &'a str,
    pub(super) destination: &'a str,
    pub(super) options: SendOptions,
    pub(super) payload: &'a [u8],
}

impl<'a> FromClient<'a> {
    /// `3.<digits> ID DESTINATION[ KEY=VALUE]*\n` payload. Words without `=` are skipped, as old clients send them.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Refused> {
        let end = bytes.iter().take(LINE_MAX).position(|byte| *byte == b'\n').ok_or(Refused::Header)?;
        let line = bytes.get(..end).unwrap_or_default();
        let payload = bytes.get(end.saturating_add(1)..).unwrap_or_default();
        let line = std::str::from_utf8(line).map_err(|_| Refused::Header)?;
        let mut words = line.split_ascii_whitespace();
        let version = words.next().and_then(|word| word.strip_prefix("3.")).ok_or(Refused::Header)?;
        if version.is_empty() || !version.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Refused::Header);
        }
        let (Some(id), Some(destination)) = (words.next(), words.next()) else { return Err(Refused::Header) };
        let mut options = SendOptions::default();
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            options.set(key, value).map_err(|()| Refused::Number)?;
        }
        if payload.is_empty() {
            return Err(Refused::Size);
        }
        Ok(Self { id, destination, options, payload })
    }
}

/// The payload behind a header that can be read.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_header(bytes: &[u8]) -> Option<&[u8]> {
    FromClient::parse(bytes).ok().map(|datagram| datagram.payload)
}

/// What a session fills in where a client says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sam) struct Defaults {
    pub(in crate::sam) style: Style,
    pub(in crate::sam) from_port: u16,
    pub(in crate::sam) to_port: u16,
    pub(in crate::sam) protocol: u8,
}

/// A datagram for the router.
pub(in crate::sam) fn compose(
    defaults: &Defaults,
    options: &SendOptions,
    to: Peer,
    payload: Vec<u8>,
) -> Result<OutDatagram, Refused> {
    if payload.is_empty() || payload.len() > defaults.style.payload_max() {
        return Err(Refused::Size);
    }
    let protocol = match options.protocol.filter(|_| defaults.style == Style::Raw) {
        None => defaults.protocol,
        Some(number) => raw_protocol(number).ok_or(Refused::Number)?,
    };
    Ok(OutDatagram {
        to,
        from_port: options.from_port.unwrap_or(defaults.from_port),
        to_port: options.to_port.unwrap_or(defaults.to_port),
        protocol,
        expires: options.expires,
        send_lease_set: options.send_lease_set,
        payload,
    })
}

/// How datagrams that arrived are written down for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) style: Style,
    pub(super) version: Version,
    /// On the control socket, or by UDP.
    pub(super) control: bool,
    /// By UDP: raw datagrams get a line as well.
    pub(super) header: bool,
}

impl Form {
    /// Writes the line and the payload into `out`.
    pub(super) fn write(&self, datagram: &InDatagram, out: &mut Vec<u8>) {
        out.clear();
        out.reserve(datagram.payload.len().saturating_add(640));
        if self.control {
            self.control_line(datagram, out);
        } else {
            self.udp_line(datagram, out);
        }
        out.extend_from_slice(&datagram.payload);
    }

    fn control_line(&self, datagram: &InDatagram, out: &mut Vec<u8>) {
        let raw = self.style == Style::Raw;
        out.extend_from_slice(if raw { b"RAW RECEIVED" } else { b"DATAGRAM RECEIVED DESTINATION=" });
        push_sender(&datagram.from, out);
        out.extend_from_slice(b" SIZE=");
        push_number(datagram.payload.len(), out);
        if self.version.has_ports() {
            push_ports(datagram, out);
            if raw {
                push_protocol(datagram, out);
            }
        }
        out.push(b'\n');
    }

    fn udp_line(&self, datagram: &InDatagram, out: &mut Vec<u8>) {
        match self.style {
            Style::Raw if !self.header => return,
            Style::Raw => {
                out.extend_from_slice(b"FROM_PORT=");
                push_number(datagram.from_port.into(), out);
                out.extend_from_slice(b" TO_PORT=");
                push_number(datagram.to_port.into(), out);
                push_protocol(datagram, out);
            }
            _ => {
                push_sender(&datagram.from, out);
                // The newer format came with ports; there is no older client to spare.
                if self.version.has_ports() || self.style == Style::Datagram3 {
                    push_ports(datagram, out);
                }
            }
        }
        out.push(b'\n');
    }
}

fn push_sender(sender: &Sender, out: &mut Vec<u8>) {
    match sender {
        Sender::Proven(destination) => out.extend_from_slice(b64::encode(destination.as_bytes()).as_bytes()),
        Sender::Claimed(hash) => out.extend_from_slice(b64::encode(&hash.0).as_bytes()),
        Sender::Nobody => {}
    }
}

fn push_ports(datagram: &InDatagram, out: &mut Vec<u8>) {
    out.extend_from_slice(b" FROM_PORT=");
    push_number(datagram.from_port.into(), out);
    out.extend_from_slice(b" TO_PORT=");
    push_number(datagram.to_port.into(), out);
}

fn push_protocol(datagram: &InDatagram, out: &mut Vec<u8>) {
    out.extend_from_slice(b" PROTOCOL=");
    push_number(datagram.protocol.into(), out);
}

fn push_number(mut number: usize, out: &mut Vec<u8>) {
    let start = out.len();
    loop {
        out.push(b'0'.wrapping_add(u8::try_from(number % 10).unwrap_or(0)));
        number /= 10;
        if number == 0 {
            break;
        }
    }
    if let Some(digits) = out.get_mut(start..) {
        digits.reverse();
    }
}
