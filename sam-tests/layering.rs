// SPDX-License-Identifier: MIT
//! Holds the source to its own architecture: which room may import which, where the runtime may be named, and a few
//! rules that no lint knows. The table below is the one in `docs/architecture.md`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test stops at the first thing that is not as it should be, and says what"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// A room and the rooms whose items its files may name. `crate::metrics!` and `crate::base` macros are free.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("base", &[]),
    ("crypto", &["wire", "base"]),
    ("transport", &["wire", "base", "crypto"]),
    ("netdb", &["wire", "base", "crypto"]),
    ("garlic", &["wire", "base", "crypto"]),
    ("stream", &["wire", "base", "crypto"]),
    ("tunnel", &["wire", "base", "crypto", "netdb"]),
    ("destination", &["wire", "base", "crypto", "garlic", "stream", "tunnel", "netdb"]),
    ("names", &["wire", "base", "crypto"]),
    ("sam", &["wire", "base", "crypto", "destination"]),
    (
        "fuzzing",
        &[
            "wire",
            "base",
            "crypto",
            "transport",
            "netdb",
            "garlic",
            "stream",
            "tunnel",
            "destination",
            "names",
            "sam",
            "router",
        ],
    ),
    (
        "router",
        &[
            "wire",
            "base",
            "crypto",
            "transport",
            "netdb",
            "garlic",
            "stream",
            "tunnel",
            "destination",
            "names",
            "sam",
        ],
    ),
];

/// Files outside tests that may name tokio; all others are engines, codecs and values.
const TOKIO_FILES: &[&str] = &[
    "src/base/clock.rs",
    "src/base/net.rs",
    "src/base/pipe.rs",
    "src/base/queue.rs",
    "src/base/room.rs",
    "src/base/tasks.rs",
    "src/base/keeper.rs",
    "src/base/watch.rs",
    "src/destination/handles.rs",
    "src/destination/ports.rs",
    "src/destination/socket.rs",
    "src/destination/task.rs",
    "src/tunnel/task.rs",
    "src/transport/task.rs",
    "src/transport/ntcp2/conn.rs",
    "src/transport/ntcp2/task.rs",
    "src/sam/",
    "src/router/",
    "src/sim/",
    "src/fuzzing/bridge.rs",
    "src/cli/",
    "src/main.rs",
];

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut todo: Vec<PathBuf> = vec![root.join("src")];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir).expect("readable").flatten() {
            let path = entry.path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root).expect("below").to_string_lossy().replace('\\', "/");
                found.push((name, fs::read_to_string(&path).expect("readable")));
            }
        }
    }
    found.sort();
    assert!(found.len() > 50, "the source was not found");
    found
}

fn is_test(name: &str) -> bool {
    name.contains("/tests/") || name.ends_with("tests.rs") || name.ends_with("testing.rs")
}

/// The code without comments, line by line.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(i, l)| (i + 1, l.split("//").next().unwrap_or_default()))
}

/// Names behind `crate::` in a line, `use crate::{a, b}` included.
fn imports(line: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        if line[..at].ends_with('$') {
            continue; // a macro's own crate
        }
        let rest = &line[at + "crate::".len()..];
        let group = rest.strip_prefix('{').map_or(rest, |r| r.split('}').next().unwrap_or(r));
        let parts: Vec<&str> = if rest.starts_with('{') { group.split(',').collect() } else { vec![rest] };
        for part in parts {
            let end =
                part.trim().find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(part.trim().len());
            names.push(&part.trim()[..end]);
        }
    }
    names
}

#[test]
fn no_room_imports_what_the_table_does_not_allow() {
    let mut broken = Vec::new();
    for (name, text) in sources() {
        let Some(room) = name.strip_prefix("src/").and_then(|n| n.split_once('/')).map(|(r, _)| r) else {
            continue;
        };
        if room == "cli" || room == "sim" || is_test(&name) {
            continue;
        }
        let (_, allowed) =
            MAY_IMPORT.iter().find(|(r, _)| *r == room).unwrap_or_else(|| panic!("unknown room {room}"));
        for (line, code) in code(&text) {
            for import in imports(code) {
                let known = MAY_IMPORT.iter().any(|(r, _)| *r == import);
                if known && import != room && !allowed.contains(&import) {
                    broken.push(format!("{name}:{line}: {room} imports {import}"));
                }
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn the_runtime_is_named_only_where_tasks_live() {
    let mut broken = Vec::new();
    for (name, text) in sources() {
        if is_test(&name) || TOKIO_FILES.iter().any(|f| name.starts_with(f)) {
            continue;
        }
        for (line, code) in code(&text) {
            if code.contains("tokio") {
                broken.push(format!("{name}:{line}: {}", code.trim()));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn every_select_is_biased() {
    let mut broken = Vec::new();
    for (name, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (i, line) in lines.iter().enumerate() {
            let next = lines.get(i + 1).copied().unwrap_or_default();
            if line.contains("select! {") && !line.contains("biased;") && !next.contains("biased;") {
                broken.push(format!("{name}:{}", i + 1));
            }
        }
    }
    assert!(broken.is_empty(), "select! without biased:\n{}", broken.join("\n"));
}

#[test]
fn every_file_names_its_licence() {
    for (name, text) in sources() {
        assert!(text.starts_with("// SPDX-License-Identifier: MIT"), "{name} has no SPDX line");
    }
}

#[test]
fn the_checks_above_can_fail() {
    assert_eq!(imports("use crate::{base, wire::Hash};"), ["base", "wire"]);
    assert_eq!(imports("let x = crate::router::Router;"), ["router"]);
    assert!(imports("$crate::base::Counter").is_empty());
    assert!(code("// tokio").all(|(_, c)| c.is_empty()));
}
