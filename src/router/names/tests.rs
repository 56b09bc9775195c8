// SPDX-License-Identifier: MIT

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::destination::{Session, SessionConfig, Target};
use crate::names::tests::Owner;
use crate::router::{Router, RouterConfig, Stage, SubscriptionConfig};
use crate::wire::{KeysAndCert, SigType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

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

/// A site that gives one answer after the other and remembers the questions.
async fn serve(session: Session, answers: Vec<Vec<u8>>) -> Vec<String> {
    let mut questions = Vec::new();
    let listener = session.listen(0).unwrap();
    for answer in answers {
        let mut stream = listener.accept().await.unwrap();
        let (mut question, mut buf) = (Vec::new(), [0; 4096]);
        while !question.ends_with(b"\r\n\r\n") {
            let n = stream.read(&mut buf).await.unwrap();
            question.extend_from_slice(&buf[..n]);
        }
        questions.push(String::from_utf8(question).unwrap());
        stream.write_all(&answer).await.unwrap();
        stream.shutdown().await.unwrap();
    }
    questions
}

fn ok(head: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{head}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn packed(text: &str) -> Vec<u8> {
    use std::io::Write as _;
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(text.as_bytes()).unwrap();
    packer.finish().unwrap()
}

/// Routers of a private network; the last one has `config`.
async fn network(n: usize, config: impl Fn(&Session) -> RouterConfig) -> (Vec<Router>, Session) {
    let usual = |i: usize| RouterConfig {
        host: vec![std::net::Ipv4Addr::LOCALHOST.into()],
        net_id: 98,
        test_network: true,
        floodfill: i.is_multiple_of(2),
        sam: None,
        ..RouterConfig::default()
    };
    let mut routers = Vec::new();
    for i in 1..n {
        routers.push(Router::builder().config(usual(i)).start().await.unwrap());
    }
    let mut infos: Vec<Vec<u8>> = routers.iter().map(|r| r.info().raw().to_vec()).collect();
    for router in &routers {
        router.load_routers(infos.clone()).await;
    }
    for router in &routers {
        router.ready_within(Stage::Tunnels, Duration::from_secs(30)).await.unwrap();
    }
    let site = routers[0].session(SessionConfig::transient().tunnels(1, 2)).await.unwrap();
    let special = RouterConfig { subscriptions: config(&site).subscriptions, ..usual(0) };
    let data_dir = config(&site).data_dir;
    let last = Router::builder().config(RouterConfig { data_dir, ..special }).start().await.unwrap();
    infos.push(last.info().raw().to_vec());
    routers.push(last);
    for router in &routers {
        router.load_routers(infos.clone()).await;
    }
    (routers, site)
}

#[tokio::test]
async fn a_subscription_is_fetched_over_the_network_and_only_what_is_signed_replaces() {
    let scratch = Scratch::new();
    let (one, two, three) = (Owner::new(1), Owner::new(2), Owner::new(3));
    let first = format!("# feed\n{}\n{}\nbad line\n", one.entry("a.i2p"), one.entry("b.i2p"));
    let next = format!("{}{}\n{}\n", two.change("a.i2p", &one), three.entry("b.i2p"), three.entry("c.i2p"));
    let forged =
        three.line(&three.entry("a.i2p"), &[("action", "changedest"), ("olddest", &two.b64())], Some(&three));
    let short = ok("", next.as_bytes());
    let answers = vec![
        ok("ETag: \"v1\"\r\nLast-Modified: Mon, 20 Nov 2023 10:00:00 GMT\r\n", first.as_bytes()),
        b"HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n\r\n".to_vec(),
        b"HTTP/1.1 302 Found\r\nLocation: http://evil.i2p/\r\nContent-Length: 0\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n".to_vec(),
        short[..short.len() - 300].to_vec(),
        ok("", b"<html>come back later</html>"),
        ok("Content-Encoding: x-i2p-gzip\r\n", &packed(&" ".repeat(9 << 20))),
        ok("ETag: \"v2\"\r\nContent-Encoding: x-i2p-gzip\r\n", &packed(&next)),
        ok("ETag: \"v3\"\r\n", forged.as_bytes()),
        b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec(),
    ];
    let count = answers.len();
    let (routers, site) = network(4, |site| RouterConfig {
        data_dir: Some(scratch.0.clone()),
        subscriptions: SubscriptionConfig {
            urls: vec![format!("http://{}/hosts.txt", site.destination().b32())],
            interval: Duration::from_millis(50),
            delay: Duration::from_millis(10),
        },
        ..RouterConfig::default()
    })
    .await;
    let router = routers.last().unwrap();
    let questions =
        tokio::time::timeout(Duration::from_secs(120), serve(site.clone(), answers)).await.unwrap();
    let asked = |i: usize, header: &str| questions[i].contains(header);
    assert_eq!(questions.len(), count);
    assert!(!asked(0, "If-None-Match") && asked(0, &format!("Host: {}\r\n", site.destination().b32())));
    let date = "If-Modified-Since: Mon, 20 Nov 2023 10:00:00 GMT\r\n";
    assert!((1..8).all(|i| asked(i, "If-None-Match: \"v1\"\r\n") && asked(i, date)), "{questions:?}");
    assert!(asked(8, "If-None-Match: \"v2\"\r\n") && !asked(8, "If-Modified-Since"));
    assert!(asked(9, "If-None-Match: \"v3\"\r\n"));
    let names = router.names();
    assert_eq!(names.lookup("a.i2p").await.unwrap(), two.destination);
    assert_eq!(names.lookup("b.i2p").await.unwrap(), one.destination);
    assert_eq!(names.lookup("c.i2p").await.unwrap(), three.destination);
    let book = names.book().await;
    let conflicts: Vec<String> = book.conflicts().iter().map(|c| c.name.to_string()).collect();
    assert_eq!(conflicts, ["b.i2p"]);
    let counted = names.metrics().snapshot();
    for (name, least) in [
        ("feeds_taken", 3),
        ("feeds_unchanged", 1),
        ("feeds_failed", 5),
        ("names_added", 3),
        ("names_changed", 1),
        ("names_kept_out", 1),
        ("lines_refused", 2),
    ] {
        let value = counted.iter().find(|c| c.0 == name).unwrap().1;
        assert!(value >= least, "{name} is {value}: {counted:?}");
    }
    for router in &routers {
        router.shutdown().await;
    }
    // What was taken stays, and so does what the site said about it.
    let kept = BookFiles::new(Some(&scratch.0), Vec::new()).load(0).unwrap();
    assert_eq!(kept.len(), 3);
    let state = std::fs::read_to_string(scratch.0.join("names/subscriptions.txt")).unwrap();
    assert!(state.contains("etag \"v3\""), "{state}");
}
