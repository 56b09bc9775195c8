// SPDX-License-Identifier: MIT
//! Words for people who type: which commands there are, and which one was probably meant.

/// Commands that take an opcode, and their opcodes.
const COMMANDS: [(&str, &[&str]); 7] = [
    ("HELLO", &["VERSION"]),
    ("SESSION", &["CREATE", "ADD", "REMOVE"]),
    ("STREAM", &["CONNECT", "ACCEPT", "FORWARD"]),
    ("DATAGRAM", &["SEND"]),
    ("RAW", &["SEND"]),
    ("DEST", &["GENERATE"]),
    ("NAMING", &["LOOKUP"]),
];
const AUTH: (&str, &[&str]) = ("AUTH", &["ENABLE", "DISABLE", "ADD", "REMOVE"]);
/// Commands that stand alone.
const PLAIN: [&str; 4] = ["PING", "QUIT", "HELP", "AUTH"];

/// Whether the word is a command that takes an opcode.
pub(super) fn is_command(word: &str) -> bool {
    word == AUTH.0 || COMMANDS.iter().any(|(name, _)| *name == word)
}

/// `expected STREAM CONNECT, STREAM ACCEPT or STREAM FORWARD`
pub(super) fn opcodes_of(command: &str) -> String {
    let table = COMMANDS.iter().chain(std::iter::once(&AUTH));
    let opcodes = table.filter(|(name, _)| *name == command).flat_map(|(_, opcodes)| opcodes.iter());
    let forms: Vec<String> = opcodes.map(|opcode| format!("{command} {opcode}")).collect();
    match forms.split_last() {
        Some((last, [])) => format!("expected {last}"),
        Some((last, rest)) => format!("expected {} or {last}", rest.join(", ")),
        None => "HELP lists the commands".to_owned(),
    }
}

/// What to say about a word that is no command.
pub(super) fn unknown_command(word: &str) -> String {
    let names = COMMANDS.iter().map(|(name, _)| *name).chain(PLAIN);
    let nearest = names.map(|name| (distance(word, name), name)).min();
    match nearest {
        Some((distance, name)) if distance <= 2 && distance < name.len() / 2 + 1 => {
            format!("unknown command; did you mean {name}? HELP lists them")
        }
        _ => "unknown command; HELP lists them".to_owned(),
    }
}

/// Edits from one word to the other (insert, delete, replace); words over 16 letters are simply far.
fn distance(left: &str, right: &str) -> usize {
    if left.len() > 16 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = i;
        let mut last = i.saturating_add(1);
        for (slot, b) in row.iter_mut().skip(1).zip(right.bytes()) {
            let cost = diagonal.saturating_add(usize::from(a != b));
            diagonal = *slot;
            last = cost.min(last.saturating_add(1)).min(slot.saturating_add(1));
            *slot = last;
        }
        if let Some(first) = row.first_mut() {
            *first = i.saturating_add(1);
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}
