// SPDX-License-Identifier: MIT
//! How subscribed names are kept between runs: hosts.txt lines with a few keys of our own, grouped by source.
//!
//! ```text
//! #@ http://example.i2p/hosts.txt
//! name.i2p=<destination>#!date=1700000000#former=<b32>,<b32>
//! name.i2p=<another destination>#!also=1
//! ```
//!
//! Other programs read such a file as a plain hosts file. Nothing in it is signed: it is as trusted as its place.

use std::fmt::Write as _;

use super::layer::{Layer, Offer, Put};
use super::line::Line;
use crate::wire::{DestHash, b32};

/// What stands before the name of a source.
const SOURCE: &str = "#@ ";

impl Layer {
    /// Reads what [`Layer::to_text`] wrote.
    pub(super) fn from_text(text: &str) -> Self {
        let mut layer = Self::default();
        let mut source = None;
        for line in text.lines() {
            if let Some(label) = line.strip_prefix(SOURCE) {
                source = Some(layer.source(label.trim()));
                continue;
            }
            let Ok(Some(line)) = Line::parse(line) else { continue };
            let Some((name, destination, _)) = &line.entry else { continue };
            let source = *source.get_or_insert_with(|| layer.source("unknown"));
            if line.get("also").is_some()
                && let Some(record) = layer.names.get_mut(name)
            {
                if !record.knows(destination) && record.also.len() < super::ALSO_MAX {
                    record.also.push(destination.clone());
                }
            } else if layer.put(name, destination, source, 0) == Put::Added
                && let Some(record) = layer.names.get_mut(name)
            {
                record.date_s = line.seconds("date").unwrap_or(0);
                for former in line.get("former").unwrap_or_default().split(',') {
                    if let Some(hash) = b32::decode(former).and_then(|b| b.try_into().ok()) {
                        record.leave(DestHash(hash));
                    }
                }
            }
        }
        layer.offers.clear();
        layer
    }

    /// Every name, to be read again.
    pub(super) fn to_text(&self) -> String {
        let mut out = String::new();
        for (source, label) in self.sources().iter().enumerate() {
            let _ = writeln!(out, "{SOURCE}{label}");
            for (name, record) in self.names.iter().filter(|(_, r)| r.source == source) {
                let _ = write!(out, "{name}={}", record.destination.to_base64());
                let mut mark = "#!";
                if record.date_s != 0 {
                    let _ = write!(out, "{mark}date={}", record.date_s);
                    mark = "#";
                }
                let former: Vec<String> = record.former.iter().map(|hash| b32::encode(&hash.0)).collect();
                if !former.is_empty() {
                    let _ = write!(out, "{mark}former={}", former.join(","));
                }
                out.push('\n');
                for also in &record.also {
                    let _ = writeln!(out, "{name}={}#!also=1", also.to_base64());
                }
            }
        }
        out
    }

    /// Reads what [`Layer::offers_text`] wrote, after the names.
    pub(super) fn load_offers(&mut self, text: &str) {
        let mut source = 0;
        for line in text.lines() {
            if let Some(label) = line.strip_prefix(SOURCE) {
                source = self.source(label.trim());
            } else if let Ok(Some(line)) = Line::parse(line)
                && let Some((name, destination, _)) = &line.entry
            {
                self.offer(name, destination, source, line.seconds("seen").unwrap_or(0));
            }
        }
        self.settle();
    }

    /// Every conflict, to be read again.
    pub(super) fn offers_text(&self) -> String {
        let mut out = String::new();
        for (source, label) in self.sources().iter().enumerate() {
            let mut head = Some(label);
            for Offer { name, destination, seen_s, .. } in self.offers.iter().filter(|o| o.source == source) {
                if let Some(label) = head.take() {
                    let _ = writeln!(out, "{SOURCE}{label}");
                }
                let _ = writeln!(out, "{name}={}#!seen={seen_s}", destination.to_base64());
            }
        }
        out
    }
}
