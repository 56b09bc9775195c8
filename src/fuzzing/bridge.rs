// SPDX-License-Identifier: MIT
//! SAM: lines in any pieces, the line in front of datagrams, and whole conversations with the bridge.
//!
//! How bytes were cut into pieces never changes an answer, every answer is one clean line, and when the clients are
//! gone nothing is left of their sessions.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::Target;
use super::input::Input;
use super::people::Place;
use crate::base::Tasks;
use crate::sam::parse::{LINE_MAX, Line, LineTooLong, Lines, Verdict, judge};
use crate::sam::{Command, PrivateKeys, SamConfig, SamServer, read_header};

pub(super) const BRIDGE: &[Target] = &[
    ("sam_line", sam_line, line_seeds),
    ("sam_header", sam_header, header_seeds),
    ("sam_session", sam_session, session_seeds),
];

#[path = "../../sam-tests/stand_in.rs"]
#[allow(missing_docs, dead_code, reason = "shared with other tests")]
mod stand_in;

/// The library as the stand-in sees it.
mod api {
    pub(super) use crate::base::Rng;
    pub(super) use crate::crypto::sign::AnySigningKey;
    pub(super) use crate::sam::{
        Backend, Binding, Boxed, BoxedStream, ConnectOptions, DatagramCounts, Failure, InDatagram, Incoming,
        OutDatagram, Peer, PrivateKeys, ResultCode, RouterStatus, SamDatagrams, SamListener, SamSession,
        SamStream, Sender, SessionConfig, SessionStatus, Style,
    };
    pub(super) use crate::wire::{DestHash, Destination, KeysAndCert, SigType};
}

/// Lines, what they mean, and what is said about them.
pub fn sam_line(data: &[u8]) {
    let mut input = Input::new(data);
    let (piece, limit) = (1 + input.below(40), 16 + input.below(400));
    let text = input.rest();
    let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let (mut lines, mut out, mut held) = (Lines::new(limit), Vec::new(), 0);
        for piece in pieces {
            lines.extend(piece);
            loop {
                match lines.next_line() {
                    Ok(Some(line)) => out.push(line),
                    Ok(None) => break,
                    Err(LineTooLong) => return (out, true),
                }
            }
            held = held.max(lines.pending().len());
        }
        assert!(held <= limit + 1);
        (out, false)
    };
    let whole = read(&mut std::iter::once(text));
    assert_eq!(read(&mut text.chunks(piece)), whole);
    assert!(whole.0.iter().all(|line| line.len() <= limit && !line.contains(&b'\n')));
    for line in &whole.0 {
        let shown = Line::new(line).redacted();
        assert!(!shown.contains('\n'));
        if let Err(refused) = Command::parse(line) {
            one_line(refused.reply.as_bytes());
        }
    }
    // What was foreign stays foreign, and who is let in is let in whatever comes after.
    let mut verdict = Verdict::More;
    for end in 0..=text.len().min(64) {
        let now = judge(&text[..end]);
        assert!(verdict == Verdict::More || now == verdict, "{verdict:?} became {now:?}");
        verdict = now;
    }
}

/// An answer: one line, without control characters.
fn one_line(reply: &[u8]) {
    let text = std::str::from_utf8(reply).expect("answers are UTF-8");
    let line = text.strip_suffix('\n').expect("answers end");
    assert!(!line.is_empty() && !line.chars().any(|c| c.is_control() && c != '\t'), "{line:?}");
}

fn line_seeds() -> Vec<Vec<u8>> {
    let lines = [
        "HELLO VERSION MIN=3.1 MAX=3.3 USER=joe PASSWORD=\"a b\"\r\nSESSION CREATE STYLE=STREAM ID=x DESTINATION=TRANSIENT\n",
        "STREAM CONNECT ID=x DESTINATION=abc FROM_PORT=1 TO_PORT=2 SILENT=true\nSTREAM FORWARD ID=x PORT=80 SSL=true\n",
        "DATAGRAM SEND DESTINATION=abc SIZE=5\nRAW SEND DESTINATION=abc SIZE=3 PROTOCOL=9\nNAMING LOOKUP NAME=ME\n",
        "DEST GENERATE SIGNATURE_TYPE=7\nAUTH ADD USER=a PASSWORD=b\nPING x y\nHELP SESSION\nQUIT\n",
        "GET / HTTP/1.1\r\n",
    ];
    lines.iter().map(|line| [b"\x05\x01\x80", line.as_bytes()].concat()).collect()
}

/// The line in front of datagrams that come by UDP.
pub fn sam_header(data: &[u8]) {
    if let Some(payload) = read_header(data) {
        assert!(!payload.is_empty() && data.ends_with(payload));
        assert!(data.len() - payload.len() <= LINE_MAX);
    }
}

fn header_seeds() -> Vec<Vec<u8>> {
    vec![
        b"3.0 id dest\npayload".to_vec(),
        b"3.3 id dest FROM_PORT=1 TO_PORT=65535 PROTOCOL=18 EXPIRES=9 SEND_LEASESET=false\nx".to_vec(),
    ]
}

/// Keys of a destination that clients may name, private and public.
static KEYS: LazyLock<(String, String)> = LazyLock::new(|| {
    let place = Place::new(1);
    let keys = PrivateKeys::new(place.destination.clone(), &*place.signing.seed()).unwrap();
    (keys.to_base64().to_owned(), place.destination.to_base64())
});

/// What one client sends at one time.
fn words(input: &mut Input<'_>) -> Vec<u8> {
    let (private, public) = &*KEYS;
    let line = match input.byte() % 24 {
        0 | 1 => "HELLO VERSION\n".into(),
        2 => "HELLO VERSION MIN=3.1 MAX=3.3\n".into(),
        3 => format!("SESSION CREATE STYLE=STREAM ID=a DESTINATION={private}\n"),
        4 => "SESSION CREATE STYLE=STREAM ID=b DESTINATION=TRANSIENT inbound.length=1\n".into(),
        5 => "SESSION CREATE STYLE=PRIMARY ID=p DESTINATION=TRANSIENT\n".into(),
        6 => "SESSION ADD STYLE=STREAM ID=q LISTEN_PORT=7\nSESSION REMOVE ID=q\n".into(),
        7 => format!("SESSION CREATE STYLE=RAW ID=r DESTINATION={private}\n"),
        8 => format!("STREAM CONNECT ID=a DESTINATION={public}\n"),
        9 => format!("STREAM CONNECT ID=b DESTINATION={public} SILENT=true\n"),
        10 | 11 => "STREAM ACCEPT ID=a\n".into(),
        12 => format!("RAW SEND DESTINATION={public} SIZE=5\nhello"),
        13 => format!("DATAGRAM SEND DESTINATION={public} SIZE=3\nabcPING on\n"),
        14 => "NAMING LOOKUP NAME=ME\n".into(),
        15 => "DEST GENERATE SIGNATURE_TYPE=7\n".into(),
        16 => "PING one two\n".into(),
        17 => "QUIT\n".into(),
        18 => "SESSION CREATE STYLE=DATAGRAM ID=linger DESTINATION=TRANSIENT\n".into(),
        19 => "SESSION CREATE STYLE=STREAM ID=broken DESTINATION=TRANSIENT\n".into(),
        20 => format!("SESSION ADD STYLE=RAW ID=s PROTOCOL=9\nRAW SEND DESTINATION={public} SIZE=2\nxy"),
        _ => return input.chunk(120).to_vec(),
    };
    let mut bytes = line.into_bytes();
    if input.byte() > 235 {
        input.damage(&mut bytes);
    }
    bytes
}

/// Three clients talk to the bridge, one after the other says something; once in whole pieces, once cut up.
pub fn sam_session(data: &[u8]) {
    let mut input = Input::new(data);
    let piece = 1 + input.below(60);
    let mut script = Vec::new();
    while !input.is_empty() && script.len() < 24 {
        let client = usize::from(input.byte() % 3);
        script.push((client, words(&mut input)));
    }
    let whole = converse(&script, usize::MAX);
    let cut = converse(&script, piece);
    for client in 0..3 {
        // Datagrams come between answers when they come; apart from that nothing may differ.
        let sorted = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            bytes.sort_unstable();
            bytes
        };
        let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (whole, cut) = (&whole[client], &cut[client]);
        assert!(sorted(whole) == sorted(cut), "in pieces of {piece}:\n{}\n\n{}", show(whole), show(cut));
    }
}

/// What each client heard.
fn converse(script: &[(usize, Vec<u8>)], piece: usize) -> [Vec<u8>; 3] {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let tasks = Tasks::new();
        let config = SamConfig { address: None, ..SamConfig::default() };
        let backend = stand_in::StandIn::new(&stand_in::Network::default(), 1);
        let server = SamServer::start(config, backend, &tasks).await.unwrap();
        let mut served = tokio::task::JoinSet::new();
        let mut clients = Vec::new();
        for _ in 0..3 {
            let (near, far) = UnixStream::pair().unwrap();
            served.spawn(server.clone().serve(far));
            clients.push(Some(near));
        }
        let mut heard: [Vec<u8>; 3] = Default::default();
        for (client, bytes) in script {
            for part in bytes.chunks(piece.min(bytes.len().max(1))) {
                let Some(socket) = &mut clients[*client] else { break };
                if socket.write_all(part).await.is_err() {
                    break;
                }
                settle(1).await;
            }
            settle(400).await;
            for (socket, heard) in clients.iter_mut().zip(&mut heard) {
                listen(socket, heard).await;
            }
        }
        settle(400).await;
        for (socket, heard) in clients.iter_mut().zip(&mut heard) {
            listen(socket, heard).await;
        }
        drop(clients);
        let all = async {
            while served.join_next().await.is_some_and(|done| done.map(|()| true).expect("no panic")) {}
        };
        tokio::time::timeout(Duration::from_secs(900), all).await.expect("clients are let go");
        tokio::time::sleep(Duration::from_secs(7200)).await;
        assert_eq!(server.sessions(), 0, "sessions without clients");
        tasks.stop();
        heard
    })
}

/// Time passes only when everybody waits.
async fn settle(ms: u64) {
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_micros(50)).await;
    }
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// Takes what is there; the socket goes at its end.
async fn listen(socket: &mut Option<UnixStream>, heard: &mut Vec<u8>) {
    let mut buffer = vec![0; 65_536];
    while let Some(open) = socket {
        match tokio::time::timeout(Duration::from_millis(1), open.read(&mut buffer)).await {
            Err(_) => return,
            Ok(Ok(count)) if count > 0 => heard.extend_from_slice(&buffer[..count]),
            Ok(_) => *socket = None,
        }
    }
}

fn session_seeds() -> Vec<Vec<u8>> {
    let one =
        vec![9, 0, 2, 0, 0, 3, 0, 1, 2, 0, 1, 10, 0, 2, 2, 0, 2, 8, 0, 2, 22, 5, 1, 2, 3, 4, 5, 0, 0, 17, 0];
    let two = vec![1, 0, 0, 0, 0, 5, 0, 0, 6, 0, 0, 20, 0, 0, 12, 0, 1, 0, 0, 1, 7, 0, 1, 12, 0, 1, 14, 0];
    let three =
        vec![30, 0, 2, 0, 0, 18, 0, 0, 13, 0, 1, 1, 0, 1, 15, 0, 1, 16, 0, 1, 19, 0, 2, 22, 3, 71, 69, 84];
    vec![one, two, three]
}
