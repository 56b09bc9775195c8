// SPDX-License-Identifier: MIT
//! SAM clients that vanish at every step of what they do, and one that does not.

use std::time::Duration;

use samovar::destination::{Session, SessionConfig};
use samovar::router::RouterConfig;
use samovar::sim::RouterSetup;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::content;
use super::kit::{Plan, Stage, play};

/// Where a client disappears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Connected,
    HalfHello,
    HelloSent,
    Hello,
    CreateSent,
    WhileTunnels,
    Created,
    LookupSent,
    ConnectHello,
    ConnectSent,
    Streaming,
    ControlGone,
    AcceptSent,
    Never,
}

const STEPS: [Step; 14] = [
    Step::Connected,
    Step::HalfHello,
    Step::HelloSent,
    Step::Hello,
    Step::CreateSent,
    Step::WhileTunnels,
    Step::Created,
    Step::LookupSent,
    Step::ConnectHello,
    Step::ConnectSent,
    Step::Streaming,
    Step::ControlGone,
    Step::AcceptSent,
    Step::Never,
];

/// Bytes that a stream carries and gets back.
const LEN: usize = 20_000;

async fn send(socket: &mut DuplexStream, line: &str) {
    // The bridge may have closed: the client finds out when it reads.
    let _ = socket.write_all(line.as_bytes()).await;
}

async fn line(socket: &mut DuplexStream) -> String {
    let mut line = Vec::new();
    while let Ok(byte) = socket.read_u8().await {
        if byte == b'\n' {
            break;
        }
        line.push(byte);
    }
    String::from_utf8(line).expect("text")
}

async fn ask(socket: &mut DuplexStream, text: &str) {
    send(socket, text).await;
    let answer = line(socket).await;
    assert!(answer.contains("RESULT=OK"), "{text:?}: {answer:?}");
}

const HELLO: &str = "HELLO VERSION MIN=3.1 MAX=3.3\n";

/// One client, up to its step. Answers whether it did all there is to do.
#[expect(clippy::too_many_lines, reason = "one step after the other")]
async fn client(stage: &Stage, name: &str, target: &str, last: Step) -> bool {
    let node = &stage.nodes[1];
    let create = format!(
        "SESSION CREATE STYLE=STREAM ID={name} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 inbound.length=1 \
         outbound.length=1 inbound.quantity=1 outbound.quantity=1\n"
    );
    let mut control = node.sam_client().await;
    match last {
        Step::Connected => return false,
        Step::HalfHello => {
            send(&mut control, "HELLO VERS").await;
            return false;
        }
        Step::HelloSent => {
            send(&mut control, HELLO).await;
            return false;
        }
        _ => ask(&mut control, HELLO).await,
    }
    match last {
        Step::Hello => return false,
        Step::CreateSent | Step::WhileTunnels => {
            send(&mut control, &create).await;
            if last == Step::WhileTunnels {
                stage.world.sleep(Duration::from_millis(120)).await;
            }
            return false;
        }
        _ => ask(&mut control, &create).await,
    }
    if last == Step::Created {
        return false;
    }
    if last == Step::LookupSent {
        send(&mut control, "NAMING LOOKUP NAME=ME\nNAMING LOOKUP NAME=nobody.i2p\n").await;
        return false;
    }
    let mut data = node.sam_client().await;
    ask(&mut data, HELLO).await;
    if last == Step::AcceptSent {
        ask(&mut data, &format!("STREAM ACCEPT ID={name} SILENT=false\n")).await;
        stage.seconds(1).await;
        return false;
    }
    let connect = format!("STREAM CONNECT ID={name} DESTINATION={target} SILENT=false\n");
    match last {
        Step::ConnectHello => return false,
        Step::ConnectSent => {
            send(&mut data, &connect).await;
            stage.world.sleep(Duration::from_millis(50)).await;
            return false;
        }
        _ => ask(&mut data, &connect).await,
    }
    let sent = content::bytes(stage.world.seed(), 0, LEN);
    match last {
        Step::Streaming | Step::ControlGone => {
            send_bytes(&mut data, &sent[..LEN / 2]).await;
            let mut some = vec![0; 100];
            data.read_exact(&mut some).await.expect("an echo");
            if last == Step::Streaming {
                return false;
            }
            drop(control);
            // The session is over, and the stream with it.
            let mut rest = Vec::new();
            let _ = data.read_to_end(&mut rest).await;
            return false;
        }
        _ => {}
    }
    let (mut reader, mut writer) = tokio::io::split(data);
    let mut got = vec![0; LEN];
    let (wrote, read) = tokio::join!(writer.write_all(&sent), reader.read_exact(&mut got));
    wrote.expect("writes");
    read.expect("reads");
    assert!(got == sent, "the echo differs at {:?}", content::first_wrong(stage.world.seed(), 0, &got));
    drop(control);
    true
}

async fn send_bytes(socket: &mut DuplexStream, bytes: &[u8]) {
    let _ = socket.write_all(bytes).await;
}

/// Gives everything back.
fn echo(stage: &Stage, session: &Session) {
    let (world, session) = (stage.world.clone(), session.clone());
    stage.world.spawn(async move {
        while let Ok(incoming) = session.accept().await {
            world.spawn(async move {
                let (mut reader, mut writer) = tokio::io::split(incoming.stream);
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
                let _ = writer.shutdown().await;
            });
        }
    });
}

/// Each step by a client of its own, all at once or one after the other, as the seed has it. Nothing may be left of
/// them: no session, no socket, no task (which the kit checks), and a client that stays is served throughout.
pub(crate) fn vanishing(seed: u64) -> String {
    // Without spare sessions, so that each client waits for tunnels of its own and nothing is left when they are gone.
    let setup = |_| {
        let config = RouterConfig { sam: None, sam_spare: false, ..RouterConfig::default() };
        RouterSetup { config: Some(config), ..RouterSetup::default() }
    };
    play(seed, Plan { setup, ..Plan::of(8) }, async move |stage: Stage| {
        let server =
            stage.nodes[3].router().session(SessionConfig::transient().tunnels(1, 2)).await.expect("opens");
        echo(&stage, &server);
        let target = server.destination().to_base64();
        let mut steps = STEPS.to_vec();
        stage.world.rng("steps").shuffle(&mut steps);
        let name = |i: usize| format!("c{i}x{seed}");
        if seed.is_multiple_of(2) {
            for (i, step) in steps.iter().enumerate() {
                let done = client(&stage, &name(i), &target, *step).await;
                assert_eq!(done, *step == Step::Never, "{step:?}");
            }
        } else {
            let finished = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
            for (i, step) in steps.iter().enumerate() {
                let (stage, name, target, step) = (stage.clone(), name(i), target.clone(), *step);
                let finished = finished.clone();
                stage.world.clone().spawn(async move {
                    let done = client(&stage, &name, &target, step).await;
                    finished.lock().expect("no panic here").push((step, done));
                });
            }
            let count = || finished.lock().expect("no panic here").len();
            let all = stage.world.wait_for(Duration::from_secs(300), || count() == STEPS.len()).await;
            assert!(all, "only these came to their end: {:?}", finished.lock().expect("no panic here"));
            let done = finished.lock().expect("no panic here").clone();
            assert!(done.iter().all(|(step, done)| *done == (*step == Step::Never)), "{done:?}");
        }
        let node = &stage.nodes[1];
        let names =
            || -> Vec<String> { node.router().sessions().iter().map(|s| s.nickname().to_owned()).collect() };
        let gone = || node.sam_sessions() == 0 && names().is_empty();
        let left = stage.world.wait_for(Duration::from_secs(60), gone).await;
        assert!(left, "{} sessions of SAM are left, of the router {:?}", node.sam_sessions(), names());
        server.close().await;
        format!("{} clients vanished", STEPS.len() - 1)
    })
}
