// SPDX-License-Identifier: MIT
//! Looks for secrets in the memory of this process (Linux), where they should be no more.
//!
//! The heap is read through `/proc/self/mem`: everything writable that is not a file, and not a stack. Stacks are left
//! out because values pass over them as they are made, and the next call writes over what they leave. A test that
//! looks runs in a process of its own ([`in_child`]), since others would hold secrets meanwhile.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::process::Command;

/// What is looked for: half a key. Allocators write over the first 16 bytes of what is given back.
const MARK: usize = 16;
/// The marks themselves are kept so, or they would be found.
const MASK: u8 = 0x5a;
/// Stacks of threads, as Rust makes them.
const STACK: u64 = 2 << 20;
/// Says to the child that it is one.
const CHILD: &str = "SAMOVAR_TEST_HEAP";

/// Runs the test of this name alone in a process of its own. Answers false in that process, which is to do the work.
pub(crate) fn in_child(name: &str) -> bool {
    if std::env::var_os(CHILD).is_some() {
        return false;
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(CHILD, "1");
    let done = child.output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains("1 passed"), "no such test: {said}");
    true
}

/// Secrets to look for.
pub(crate) struct Search {
    marks: Vec<([u8; MARK], &'static str)>,
    first: [bool; 256],
    window: Vec<u8>,
}

impl Search {
    pub(crate) fn new() -> Self {
        Self { marks: Vec::new(), first: [false; 256], window: vec![0; 1 << 18] }
    }

    /// Adds every whole half-key of `secret`.
    pub(crate) fn add(&mut self, name: &'static str, secret: &[u8]) {
        for half in secret.as_chunks::<MARK>().0 {
            assert!(half.iter().any(|byte| byte != half.first().unwrap()), "{name} is no pattern");
            self.first[usize::from(half[0])] = true;
            self.marks.push((half.map(|byte| byte ^ MASK), name));
        }
    }

    /// How many halves of each secret there are.
    pub(crate) fn found(&mut self) -> BTreeMap<&'static str, usize> {
        let mut found = BTreeMap::new();
        let memory = File::open("/proc/self/mem").unwrap();
        let mut window = std::mem::take(&mut self.window);
        for (start, end) in regions() {
            let mut at = start;
            // Windows overlap by what could be cut in two.
            while at < end {
                let length = usize::try_from(end - at).unwrap().min(window.len());
                let Ok(read) = memory.read_at(&mut window[..length], at) else { break };
                let own = window.as_ptr().addr() as u64;
                let inside = |place: u64| (own..own + window.len() as u64).contains(&place);
                for (offset, bytes) in window[..read].windows(MARK).enumerate() {
                    if self.first[usize::from(bytes[0])] && !inside(at + offset as u64) {
                        for (_, name) in self.marks.iter().filter(|(mark, _)| same(mark, bytes)) {
                            *found.entry(*name).or_default() += 1;
                            if std::env::var_os("SAMOVAR_TEST_WHERE").is_some() {
                                let place = at + offset as u64;
                                let around = &window[offset.saturating_sub(32)..(offset + 64).min(read)];
                                eprintln!("{name} at {place:x} in {start:x}-{end:x}: {around:02x?}");
                            }
                        }
                    }
                }
                if length < window.len() || read < length {
                    break;
                }
                at += (read - MARK + 1) as u64;
            }
        }
        window.fill(0);
        self.window = window;
        found
    }

    /// Fails with the names of what is left.
    pub(crate) fn expect_nothing(&mut self, when: &str) {
        let found = self.found();
        assert!(found.is_empty(), "{when}: {found:?}");
    }

    /// Fails unless all of these are there: the search is not blind.
    pub(crate) fn expect_all(&mut self, when: &str) {
        self.expect_all_but(&[], when);
    }

    /// The same, where some are gone already.
    pub(crate) fn expect_all_but(&mut self, gone: &[&str], when: &str) {
        let (found, names) = (self.found(), self.marks.iter().map(|(_, name)| *name));
        let missing: Vec<_> = names.filter(|name| found.contains_key(name) == gone.contains(name)).collect();
        assert!(missing.is_empty(), "{when}: {missing:?} not seen, only {found:?}");
    }
}

fn same(mark: &[u8; MARK], bytes: &[u8]) -> bool {
    mark.iter().zip(bytes).all(|(a, b)| a ^ MASK == *b)
}

/// Where the heap is: anonymous memory that can be written, without stacks.
fn regions() -> Vec<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut regions = Vec::new();
    let mut guarded_at = 0;
    for line in text.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let (start, end) = words[0].split_once('-').unwrap();
        let [mut start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
        let name = words.get(5).copied().unwrap_or_default();
        if words[1].starts_with("rw") && (name.is_empty() || name == "[heap]") {
            // A stack has a guard in front; the arenas of the allocator, which may too, are aligned to 64 MiB.
            if guarded_at == start && !start.is_multiple_of(64 << 20) {
                start += STACK.min(end - start);
            }
            regions.push((start, end));
        }
        guarded_at = if words[1].starts_with("---") { end } else { 0 };
    }
    regions
}
