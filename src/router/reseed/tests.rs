// SPDX-License-Identifier: MIT
use super::url::Url;
use super::*;
use crate::base::{Tasks, TcpNet};
use crate::netdb::reseed::ReseedError;
use crate::netdb::reseed::tests::{sample_routers, sample_zip, signed_bundle};
use crate::router::http::{Receiver, Response};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

const TODAY: u64 = 1_900_000_000;
const TEST_CERT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sam-tests/data/reseed/test-signer.crt");
const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sam-tests/data/reseed/sample.su3");

/// A directory that goes away with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("samovar-reseed-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A reseed host on this machine with a certificate of its own; gives one answer to each connection.
struct Host {
    port: u16,
    pem: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Host {
    async fn start(tasks: &Tasks, answers: Vec<Vec<u8>>) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        tasks.spawn("host", async move {
            for answer in answers.iter().cycle() {
                let (tcp, _) = listener.accept().await.unwrap();
                let Ok(mut tls) = acceptor.accept(tcp).await else { continue };
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(tls.read_u8().await.unwrap());
                }
                seen.lock().unwrap().push(String::from_utf8(request).unwrap());
                let _ = tls.write_all(answer).await;
                let _ = tls.shutdown().await;
            }
        });
        Self { port, pem: made.cert.pem(), requests }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}/", self.port)
    }
}

fn ok(body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

fn redirect(to: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

fn good_bundle() -> Vec<u8> {
    signed_bundle(&sample_zip(4), "tester@mail.i2p", TODAY - 3600)
}

/// A reseeder that asks `hosts`, trusts their TLS certificates and the test signer.
fn reseeder(scratch: &Scratch, hosts: &[&Host]) -> Reseeder {
    let mut config = RouterConfig::default();
    for host in hosts {
        config.reseed.urls.push(host.url());
        config.reseed.certs.push(scratch.file(&format!("{}.crt", host.port), host.pem.as_bytes()));
    }
    config.reseed.certs.push(TEST_CERT.into());
    let clock = Clock::starting_at(TODAY * 1000);
    let mut made = Reseeder::new(&config, Arc::new(TcpNet), clock, Rng::from_seed(1)).unwrap();
    made.pauses = (Duration::from_millis(10), Duration::from_millis(20));
    made
}

/// What a host that gives `answers` leads to.
async fn outcome(answers: Vec<Vec<u8>>) -> Result<usize, String> {
    let (tasks, scratch) = (Tasks::new(), Scratch::new());
    let host = Host::start(&tasks, answers).await;
    let reseeder = reseeder(&scratch, &[&host]);
    let result = reseeder.fetch(&reseeder.urls[0]).await;
    result.map(|b| b.routers.len()).map_err(|e| e.to_string())
}

#[tokio::test]
async fn a_bundle_comes_over_https_as_any_router_asks_for_it() {
    let (tasks, scratch) = (Tasks::new(), Scratch::new());
    let host = Host::start(&tasks, vec![ok(&good_bundle())]).await;
    let reseeder = reseeder(&scratch, &[&host]);
    let bundle = reseeder.fetch(&reseeder.urls[0]).await.unwrap();
    assert_eq!((bundle.routers.len(), bundle.signer.as_deref()), (4, Some("tester@mail.i2p")));
    let request = host.requests.lock().unwrap().remove(0);
    assert!(request.starts_with("GET /i2pseeds.su3?netid=2 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("\r\nUser-Agent: Wget/1.11.4\r\n"), "{request}");
    assert!(request.contains(&format!("\r\nHost: localhost:{}\r\n", host.port)), "{request}");
}

#[tokio::test]
async fn bodies_in_chunks_and_bodies_until_the_close_are_taken() {
    let bundle = good_bundle();
    let mut chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in bundle.chunks(1000) {
        chunked.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(outcome(vec![chunked]).await, Ok(4));
    let close = [b"HTTP/1.0 200 OK\r\n\r\n".as_slice(), &bundle].concat();
    assert_eq!(outcome(vec![close]).await, Ok(4));
}

#[tokio::test]
async fn redirects_are_followed_three_times_and_never_out_of_https() {
    let follow = |n: usize| {
        let mut answers = vec![redirect("/elsewhere.su3"); n];
        answers.push(ok(&good_bundle()));
        outcome(answers)
    };
    assert_eq!(follow(3).await, Ok(4));
    assert!(follow(4).await.unwrap_err().contains("redirects"));
    assert!(outcome(vec![redirect("http://localhost/x.su3")]).await.unwrap_err().contains("redirects"));
}

#[tokio::test]
async fn what_is_wrong_with_a_host_is_said() {
    let says = |answer: Vec<u8>| async move { outcome(vec![answer]).await.unwrap_err() };
    assert!(
        says(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec()).await.contains("status 404")
    );
    assert!(says(b"hello\r\n\r\n".to_vec()).await.contains("not an HTTP answer"));
    assert!(says(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n".to_vec()).await.contains("8 MiB"));
    assert!(
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc".to_vec()).await.contains("in the middle")
    );
    assert!(says(ok(b"<html>")).await.contains("not a reseed bundle"));
    let mut forged = good_bundle();
    forged[100] ^= 1;
    assert!(says(ok(&forged)).await.contains("signature of tester@mail.i2p does not fit"));
    let old = signed_bundle(&sample_zip(1), "tester@mail.i2p", TODAY - 31 * 86_400);
    assert!(says(ok(&old)).await.contains("31 days ago"));
    let stranger = signed_bundle(&sample_zip(1), "stranger@mail.i2p", TODAY);
    assert!(says(ok(&stranger)).await.contains("no certificate"));
}

#[tokio::test]
async fn a_host_with_an_unknown_certificate_is_refused() {
    let (tasks, scratch) = (Tasks::new(), Scratch::new());
    let known = Host::start(&tasks, vec![ok(&good_bundle())]).await;
    let stranger = Host::start(&tasks, vec![ok(&good_bundle())]).await;
    let reseeder = reseeder(&scratch, &[&known]);
    let error = reseeder.fetch(&stranger.url()).await.unwrap_err();
    assert!(matches!(error, FetchError::Tls(_)), "{error}");
    assert!(stranger.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn nobody_at_the_port_is_a_failure_like_any_other() {
    let (tasks, scratch) = (Tasks::new(), Scratch::new());
    let host = Host::start(&tasks, vec![]).await;
    let reseeder = reseeder(&scratch, &[&host]);
    let error = reseeder.fetch("https://localhost:1/").await.unwrap_err();
    assert!(matches!(error, FetchError::Connect(..)), "{error}");
    let error = reseeder.fetch("https://no-such-host.invalid/").await.unwrap_err();
    assert!(matches!(error, FetchError::Name(_)), "{error}");
}

#[tokio::test]
async fn a_round_goes_past_bad_hosts_until_two_good_ones_have_answered() {
    let (tasks, scratch) = (Tasks::new(), Scratch::new());
    let bad = Host::start(&tasks, vec![b"HTTP/1.1 500 Oops\r\n\r\n".to_vec()]).await;
    let one = Host::start(&tasks, vec![ok(&good_bundle())]).await;
    let two = Host::start(&tasks, vec![ok(&good_bundle())]).await;
    let mut bundles = Vec::new();
    reseeder(&scratch, &[&bad, &one, &two]).round(&mut |b| bundles.push(b.routers.len())).await;
    assert_eq!(bundles, vec![4, 4]);
    assert!(!one.requests.lock().unwrap().is_empty() && !two.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_round_asks_again_until_a_host_has_recovered() {
    let (tasks, scratch) = (Tasks::new(), Scratch::new());
    let bad = Host::start(&tasks, vec![b"HTTP/1.1 500 Oops\r\n\r\n".to_vec()]).await;
    let moody = Host::start(&tasks, vec![ok(b"later"), ok(b"later"), ok(&good_bundle())]).await;
    let mut bundles = Vec::new();
    reseeder(&scratch, &[&bad, &moody]).round(&mut |b| bundles.push(b.routers.len())).await;
    assert_eq!(bundles, vec![4]);
}

#[tokio::test]
async fn the_task_asks_only_while_too_few_routers_are_known() {
    let (tasks, scratch) = (Tasks::new(), Scratch::new());
    let host = Host::start(&tasks, vec![ok(&good_bundle())]).await;
    let idle = reseeder(&scratch, &[&host]).run(|| 25, |_| panic!("nothing was asked for"));
    assert!(tokio::time::timeout(Duration::from_millis(100), idle).await.is_err());
    let (got, count) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (known, seen) = (got.clone(), count.clone());
    let busy = reseeder(&scratch, &[&host]).run(
        move || known.load(Ordering::Relaxed),
        move |b| {
            got.store(b.routers.len() + 25, Ordering::Relaxed);
            seen.fetch_add(1, Ordering::Relaxed);
        },
    );
    assert!(tokio::time::timeout(Duration::from_millis(1500), busy).await.is_err());
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[test]
fn bootstrap_takes_directories_routers_zips_and_bundles() {
    let scratch = Scratch::new();
    let routers = sample_routers(3);
    fs::create_dir_all(scratch.0.join("netDb/r0")).unwrap();
    scratch.file("netDb/r0/routerInfo-x.dat", &routers[0].1);
    scratch.file("netDb/router.info", &routers[1].1);
    scratch.file("netDb/notes.txt", b"no");
    let config = RouterConfig {
        bootstrap: vec![
            scratch.0.join("netDb"),
            scratch.file("one", &routers[2].1),
            scratch.file("some.zip", &sample_zip(5)),
            SAMPLE.into(),
        ],
        ..RouterConfig::default()
    };
    assert_eq!(bootstrap(&config, 1_780_000_000).unwrap().len(), 2 + 1 + 5 + 75);
}

#[test]
fn bootstrap_names_the_file_that_it_cannot_use() {
    let scratch = Scratch::new();
    let says = |path: PathBuf| {
        let config = RouterConfig { bootstrap: vec![path], ..RouterConfig::default() };
        bootstrap(&config, 1_780_000_000).unwrap_err().to_string()
    };
    assert!(says(scratch.0.join("missing")).contains("missing: cannot be read"));
    assert!(says(scratch.file("text", b"hello")).contains("text: is neither a RouterInfo"));
    assert!(says(scratch.file("bad.zip", b"PK\x03\x04rest")).contains("bad.zip: unusable zip"));
    assert!(says(scratch.file("bad.su3", b"I2Psu3 rest")).contains("bad.su3: not a reseed bundle"));
}

#[test]
fn certificates_that_cannot_be_used_are_named() {
    let scratch = Scratch::new();
    let says = |path: PathBuf| {
        let mut config = RouterConfig::default();
        config.reseed.certs.push(path);
        read_certificates(&config).unwrap_err().to_string()
    };
    assert!(says(scratch.0.join("missing.crt")).starts_with("reseed-certs: "));
    assert!(says(scratch.file("text.crt", b"hello")).contains("text.crt: is not a certificate"));
    assert!(says(scratch.file("bytes.crt", &[0xff; 10])).contains("bytes.crt: is not a certificate"));
}

fn receive(bytes: &[u8], piece: usize) -> Result<Response, &'static str> {
    let mut receiver = Receiver::new(1000);
    for part in bytes.chunks(piece) {
        if receiver.push(part)? {
            break;
        }
    }
    receiver.finish()
}

#[test]
fn http_answers_are_read_in_pieces_of_any_size() {
    let answers: [&[u8]; 5] = [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer: x\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nServer: x\r\n\r\nhello",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello and more",
    ];
    for answer in answers {
        for piece in [1, 2, 7, 1000] {
            assert_eq!(receive(answer, piece).unwrap().body, b"hello", "{piece}");
        }
    }
}

#[test]
fn broken_http_is_refused() {
    let answers: [&[u8]; 12] = [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
    ];
    for answer in answers {
        assert!(receive(answer, 3).is_err(), "{}", String::from_utf8_lossy(answer));
    }
    assert!(receive(&[b"HTTP/1.1 200 OK\r\nX: ".as_slice(), &[b'x'; 20_000]].concat(), 4096).is_err());
    assert!(receive(&[b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &[b'x'; 1001]].concat(), 100).is_err());
}

#[test]
fn addresses_are_read_strictly() {
    let url = Url::parse("https://a.b:8443/c?d=e#f").unwrap();
    assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("a.b", 8443, "/c?d=e"));
    assert_eq!(Url::parse("https://a").unwrap().path, "/");
    assert_eq!(Url::parse("https://[::1]:99/").unwrap().authority(), "[::1]:99");
    assert_eq!(Url::parse("https://a?x=y").unwrap().path, "/?x=y");
    assert_eq!(url.join("/z").unwrap().path, "/z");
    assert_eq!(url.join("https://q/z").unwrap().host, "q");
    for bad in [
        "http://a/",
        "https://",
        "https:///x",
        "https://u@a/",
        "https://a:0/",
        "https://a:x/",
        "https://a b/",
        "https://[::1/",
    ] {
        assert_eq!(Url::parse(bad), None, "{bad}");
    }
    for bad in ["//q/z", "z", "http://a/"] {
        assert_eq!(url.join(bad), None, "{bad}");
    }
    let text = FetchError::from(ReseedError::NoRouters).to_string();
    assert_eq!(text, "its bundle is refused: there is no RouterInfo in it");
}

#[test]
fn mutated_http_never_does_more_than_fail() {
    let good: &[u8] =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer: x\r\n\r\n";
    let mut rng = Rng::from_seed(8);
    for _ in 0..5_000 {
        let mut bad = good.to_vec();
        for _ in 0..rng.between(1, 4) {
            let (at, value) = (rng.index(bad.len()), rng.bytes::<1>());
            bad[at] = value[0];
        }
        if let Ok(response) = receive(&bad, rng.index(20) + 1) {
            assert!(response.body.len() <= 1000);
        }
    }
}
