// SPDX-License-Identifier: MIT
//! Z2: every collection that grows is listed in `sam-tests/bounds.txt` with what bounds it, and nothing else is.
//!
//! Fields of structs whose type is a map, a set, a queue or a table of deadlines are looked for in the sources; a new one
//! without a line in the list fails, and so does a line whose field is gone or whose constant does not exist. Whether a
//! bound is kept is for the tests of its room, by the ids in `docs/limits.md`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first thing that is not as it should be, and says what"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const ROOMS: [&str; 10] =
    ["base", "destination", "garlic", "names", "netdb", "router", "sam", "stream", "transport", "tunnel"];

/// Types that grow by themselves.
const GROWING: [&str; 9] =
    ["VecDeque", "BTreeMap", "BTreeSet", "Map", "Set", "TimerQueue", "PerKey", "BinaryHeap", "HashMap"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

fn is_test(path: &str) -> bool {
    path.contains("/tests") || path.ends_with("tests.rs") || path.ends_with("testing.rs")
}

fn without_visibility(line: &str) -> &str {
    let Some(rest) = line.strip_prefix("pub") else { return line };
    let rest = rest.strip_prefix('(').and_then(|r| r.split_once(')')).map_or(rest, |(_, rest)| rest);
    rest.trim_start()
}

fn grows(kind: &str) -> bool {
    let words = |c: char| !(c.is_alphanumeric() || c == '_' || c == '<');
    !kind.contains('&')
        && kind.split(words).any(|word| {
            GROWING.iter().any(|g| word.starts_with(&format!("{g}<")) || word.contains(&format!("<{g}<")))
        })
}

/// `Struct.field` of everything that grows in one file.
fn growing_fields(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut current = None;
    for line in text.lines() {
        if let Some(name) = without_visibility(line).strip_prefix("struct ") {
            let end = name.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(name.len());
            current = name.get(..end);
        } else if line.starts_with('}') {
            current = None;
        } else if let (Some(name), Some(field)) = (current, line.strip_prefix("    ")) {
            let Some((field, kind)) = without_visibility(field).split_once(": ") else { continue };
            if field.chars().all(|c| c.is_alphanumeric() || c == '_') && kind.ends_with(',') && grows(kind) {
                found.push(format!("{name}.{field}"));
            }
        }
    }
    found
}

/// The list: file, field, what bounds it.
fn listed() -> BTreeMap<(String, String), String> {
    let text = fs::read_to_string(root().join("sam-tests/bounds.txt")).unwrap();
    let (mut list, mut file) = (BTreeMap::new(), String::new());
    for line in text.lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
        match line.strip_prefix("  ") {
            None => line.clone_into(&mut file),
            Some(entry) => {
                let (field, bound) = entry.split_once(": ").unwrap_or_else(|| panic!("{line}: no bound"));
                assert!(bound.len() > 2 && bound != "?", "{file} {field}: no bound");
                let before = list.insert((file.clone(), field.to_owned()), bound.to_owned());
                assert!(before.is_none(), "{file} {field}: listed twice");
            }
        }
    }
    list
}

#[test]
fn z2_every_collection_that_grows_is_listed_with_its_bound() {
    let mut list = listed();
    let mut missing = Vec::new();
    let mut constants: BTreeMap<&str, String> = BTreeMap::new();
    for room in ROOMS {
        let mut files = Vec::new();
        sources(&root().join("src").join(room), &mut files);
        for path in files {
            let name = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
            let text = fs::read_to_string(&path).unwrap();
            if is_test(&name) {
                continue;
            }
            for field in growing_fields(&text) {
                let key = (name.clone(), field);
                match list.remove(&key) {
                    None => missing.push(format!("{}: {}", key.0, key.1)),
                    Some(bound) => constants.entry(room).or_default().push_str(&format!("{bound}\n")),
                }
            }
            let room = constants.entry(room).or_default();
            room.extend(text.lines().filter(|l| l.contains("const ")).map(|l| format!("\u{1}{l}\n")));
        }
    }
    assert!(missing.is_empty(), "no line in sam-tests/bounds.txt for {missing:#?}");
    assert!(list.is_empty(), "in sam-tests/bounds.txt and not in the sources: {:#?}", list.keys());
    for (room, text) in constants {
        let (declared, bounds): (Vec<&str>, Vec<&str>) = text.lines().partition(|l| l.starts_with('\u{1}'));
        for word in bounds.iter().flat_map(|b| b.split(|c: char| !(c.is_ascii_uppercase() || c == '_'))) {
            let constant = word.len() > 3 && word.contains('_');
            let exists = declared.iter().any(|l| l.contains(&format!("const {word}:")));
            assert!(!constant || exists, "{room} has no constant {word}");
        }
    }
}

#[test]
fn z2_the_audit_sees_what_grows_and_nothing_else() {
    let text = "pub(crate) struct A {\n    pub(super) one: Map<K, V>,\n    two: Mutex<BTreeMap<K, V>>,\n    three: u32,\n    \
                four: &'a Set<K>,\n}\nfn f() {\n    let five: Set<K>,\n}\n";
    assert_eq!(growing_fields(text), ["A.one", "A.two"]);
}
