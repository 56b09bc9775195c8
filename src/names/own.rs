// SPDX-License-Identifier: MIT
//! Changes to the user's own hosts file, which may also be written by hand: other lines stay as they are.

use super::HostName;
use super::line::Line;
use crate::wire::Destination;

/// What a change did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnChange {
    /// The name is new.
    Added,
    /// The name had this destination already.
    Same,
    /// The name had this other destination.
    Replaced(Destination),
}

fn entry(line: &str) -> Option<(HostName, Destination)> {
    let (name, destination, _) = Line::parse(line).ok()??.entry?;
    Some((name, destination))
}

/// The text of a hosts file with `name` set to `destination`.
///
/// # Errors
/// The destination that the name has, if it is another and `replace` is not set; then nothing changes.
pub fn put(
    text: &str,
    name: &HostName,
    destination: &Destination,
    replace: bool,
) -> Result<(String, OwnChange), Destination> {
    let known = text.lines().filter_map(entry).find(|(n, _)| n == name).map(|(_, d)| d);
    let change = match known {
        Some(known) if known == *destination => return Ok((text.to_owned(), OwnChange::Same)),
        Some(known) if !replace => return Err(known),
        Some(known) => OwnChange::Replaced(known),
        None => OwnChange::Added,
    };
    let mut out = match change {
        OwnChange::Replaced(_) => without(text, name),
        _ => text.to_owned(),
    };
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
    for part in [name.as_str(), "=", &destination.to_base64(), "\n"] {
        out.push_str(part);
    }
    Ok((out, change))
}

/// The text of a hosts file without `name`; `None` if it does not have it.
pub fn take(text: &str, name: &HostName) -> Option<String> {
    text.lines().filter_map(entry).any(|(n, _)| n == *name).then(|| without(text, name))
}

fn without(text: &str, name: &HostName) -> String {
    text.split_inclusive('\n').filter(|line| entry(line).is_none_or(|(n, _)| n != *name)).collect()
}
