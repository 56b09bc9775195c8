// SPDX-License-Identifier: MIT

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::destination::Target;
use crate::router::Router;
use crate::wire::{KeysAndCert, SigType};

/// A directory that goes away with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("samovar-names-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn destination(seed: u8) -> Destination {
    Destination::new(KeysAndCert::build(SigType::Ed25519, &[seed; 32], 0, &[], [seed; 32]))
}

fn book_in(dir: Option<PathBuf>) -> AddressBook {
    AddressBook::new(dir, Vec::new(), Tasks::new(), Clock::system())
}

#[tokio::test]
async fn changes_by_others_are_seen_before_a_name_is_called_unknown() {
    let scratch = Scratch::new();
    let book = book_in(Some(scratch.0.clone()));
    let missing = book.lookup("a.i2p").await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NameNotFound);
    assert_eq!(book.lookup("a.com").await.unwrap_err().kind(), ErrorKind::InvalidTarget);
    std::fs::write(scratch.0.join("hosts.txt"), format!("a.i2p={}\n", destination(1).to_base64())).unwrap();
    tokio::time::sleep(LOOK_AGAIN).await;
    assert_eq!(book.lookup("A.i2p").await.unwrap(), destination(1));
    // What the command writes.
    let files = BookFiles::new(Some(&scratch.0), Vec::new());
    let name = HostName::parse("b.i2p").unwrap();
    assert_eq!(files.add(&name, &destination(2), false, 0).unwrap(), Added::New);
    tokio::time::sleep(LOOK_AGAIN).await;
    assert_eq!(book.lookup("b.i2p").await.unwrap(), destination(2));
}

#[tokio::test]
async fn a_book_in_memory_does_the_same() {
    let book = book_in(None);
    assert_eq!(book.add("a.i2p", destination(1), false).await.unwrap(), Added::New);
    assert_eq!(book.add("a.i2p", destination(1), false).await.unwrap(), Added::Same);
    let taken = book.add("a.i2p", destination(2), false).await.unwrap_err();
    assert!(matches!(taken, NamesError::Taken { .. }), "{taken}");
    assert_eq!(book.lookup("a.i2p").await.unwrap(), destination(1));
    let replaced = book.add("a.i2p", destination(2), true).await.unwrap();
    assert_eq!(replaced, Added::Replaced { hash: destination(1).hash(), source: "hosts.txt".into() });
    assert_eq!(book.remove("a.i2p").await.unwrap(), Removed::Own { left: None });
    assert!(matches!(book.remove("a.i2p").await, Err(NamesError::Unknown { .. })));
}

#[tokio::test]
async fn subscribed_names_can_be_kept_out_and_let_in_again() {
    let scratch = Scratch::new();
    let files = BookFiles::new(Some(&scratch.0), Vec::new());
    let text = format!("a.i2p={}\n", destination(1).to_base64());
    assert_eq!(files.subscription("http://feed.i2p/", &text, 0).unwrap().added, 1);
    let name = HostName::parse("a.i2p").unwrap();
    let shown = |files: &BookFiles| files.load(0).unwrap().get(&name).map(|f| f.destination.clone());
    assert_eq!(shown(&files), Some(destination(1)));
    // An entry of one's own over a subscribed one is a replacement, too.
    assert!(matches!(files.add(&name, &destination(2), false, 0), Err(NamesError::Taken { .. })));
    let source = "http://feed.i2p/".to_owned();
    let replaced = Added::Replaced { hash: destination(1).hash(), source: source.clone() };
    assert_eq!(files.add(&name, &destination(2), true, 0).unwrap(), replaced);
    assert_eq!(shown(&files), Some(destination(2)));
    assert_eq!(files.remove(&name, 0).unwrap(), Removed::Own { left: Some(source.clone()) });
    assert_eq!(shown(&files), Some(destination(1)));
    assert_eq!(files.remove(&name, 0).unwrap(), Removed::Hidden { source });
    assert_eq!(shown(&files), None);
    files.subscription("http://feed.i2p/", &text, 0).unwrap();
    assert_eq!(shown(&files), None);
    assert_eq!(files.add(&name, &destination(1), false, 0).unwrap(), Added::New);
    assert_eq!(shown(&files), Some(destination(1)));
}

#[tokio::test]
async fn a_router_resolves_what_its_book_has() {
    let router = Router::builder().start().await.unwrap();
    router.names().add("a.i2p", destination(1), false).await.unwrap();
    assert_eq!(router.resolve("a.i2p").await.unwrap(), Target::Destination(destination(1)));
    assert_eq!(router.resolve("b.i2p").await.unwrap_err().kind(), ErrorKind::NameNotFound);
    assert_eq!(router.resolve("nonsense").await.unwrap_err().kind(), ErrorKind::InvalidTarget);
    router.shutdown().await;
}
