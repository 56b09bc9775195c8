// SPDX-License-Identifier: MIT
//! Floods of a SAM bridge, by programs on the same machine.

use crate::Args;
use crate::pace::{Pace, Report};
use anyhow::{Context, Result};
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout};

const HELLO: &[u8] = b"HELLO VERSION MIN=3.1 MAX=3.3\n";

#[derive(Default)]
struct Counts {
    opened: Cell<u64>,
    failed: Cell<u64>,
    answered: Cell<u64>,
    refused: Cell<u64>,
    closed: Cell<u64>,
}

fn inc(count: &Cell<u64>) {
    count.set(count.get() + 1);
}

/// Connections of three sorts: silent, past HELLO, nonsense.
pub async fn sockets(args: &Args) -> Result<Report> {
    let sam = args.sam.context("--sam is missing")?;
    let counts = Rc::new(Counts::default());
    run(args, &counts, move |n, end, counts| async move {
        let Ok(Ok(mut socket)) = timeout(Duration::from_secs(5), TcpStream::connect(sam)).await else {
            return inc(&counts.failed);
        };
        inc(&counts.opened);
        let _ = match n % 3 {
            0 => Ok(()),
            1 => socket.write_all(HELLO).await,
            _ => socket.write_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await,
        };
        let (mut lines, mut line) = (BufReader::new(socket), Vec::new());
        loop {
            line.clear();
            tokio::select! { biased;
                () = sleep_until(end) => return,
                read = lines.read_until(b'\n', &mut line) => match read {
                    Ok(1..) if line.starts_with(b"HELLO REPLY RESULT=OK") => inc(&counts.answered),
                    Ok(1..) => inc(&counts.refused),
                    _ => return inc(&counts.closed),
                },
            }
        }
    })
    .await
}

/// Sessions, each on a connection of its own, kept until the end.
pub async fn sessions(args: &Args) -> Result<Report> {
    let sam = args.sam.context("--sam is missing")?;
    let counts = Rc::new(Counts::default());
    run(args, &counts, move |n, end, counts| async move {
        if session(sam, n, end, &counts).await.is_err() {
            inc(&counts.failed);
        }
    })
    .await
}

async fn session(sam: SocketAddr, n: u64, end: Instant, counts: &Counts) -> std::io::Result<()> {
    let mut socket = BufReader::new(TcpStream::connect(sam).await?);
    inc(&counts.opened);
    socket.write_all(HELLO).await?;
    let mut line = String::new();
    socket.read_line(&mut line).await?;
    let command = format!(
        "SESSION CREATE STYLE=STREAM ID=flood{n} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 \
         inbound.length=1 outbound.length=1 inbound.quantity=2 outbound.quantity=2\n"
    );
    socket.write_all(command.as_bytes()).await?;
    line.clear();
    tokio::select! { biased;
        () = sleep_until(end) => return Ok(()),
        read = socket.read_line(&mut line) => read?,
    };
    inc(match line.contains("RESULT=OK") {
        true => &counts.answered,
        false if line.is_empty() => &counts.closed,
        false => &counts.refused,
    });
    if line.contains("RESULT=OK") {
        sleep_until(end).await;
    }
    Ok(())
}

async fn run<F, Fut>(args: &Args, counts: &Rc<Counts>, one: F) -> Result<Report>
where
    F: Fn(u64, Instant, Rc<Counts>) -> Fut,
    Fut: Future<Output = ()> + 'static,
{
    args.ready()?;
    let mut pace = Pace::new(args.rate, args.seconds);
    let (open, mut n) = (Arc::new(Semaphore::new(args.sockets)), 0u64);
    let (local, end, mut held) = (tokio::task::LocalSet::new(), pace.end(), 0u64);
    local
        .run_until(async {
            while let Some(due) = pace.due().await {
                for _ in 0..due {
                    let Ok(permit) = open.clone().try_acquire_owned() else {
                        held += 1;
                        continue;
                    };
                    n += 1;
                    let one = one(n, end, counts.clone());
                    tokio::task::spawn_local(async move {
                        one.await;
                        drop(permit);
                    });
                }
            }
        })
        .await;
    let mut report = Report::default();
    report.count("sent", counts.opened.get());
    report.add("per_second", counts.opened.get() as f64 / pace.elapsed());
    report.count("own_sockets_full", held);
    report.count("not_connected", counts.failed.get());
    report.count("answered", counts.answered.get());
    report.count("refused", counts.refused.get());
    report.count("closed", counts.closed.get());
    Ok(report)
}
