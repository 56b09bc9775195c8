// SPDX-License-Identifier: MIT
//! As much of a SAM client as the demonstration needs, written as any program would write it.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Answers are lines of at most a few destinations.
const LINE_MAX: usize = 16 << 10;

/// One connection to a bridge. As long as lines are spoken it is this; afterwards it is the stream.
pub(super) struct SamSocket {
    socket: BufReader<TcpStream>,
}

impl SamSocket {
    /// Connects and says hello.
    pub(super) async fn open(at: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(at).await.with_context(|| format!("no SAM bridge at {at}"))?;
        socket.set_nodelay(true)?;
        let mut sam = Self { socket: BufReader::with_capacity(64 << 10, socket) };
        sam.ask("HELLO VERSION MIN=3.1 MAX=3.3").await?;
        Ok(sam)
    }

    /// Sends a command and takes the answer, which must be a good one.
    pub(super) async fn ask(&mut self, command: &str) -> anyhow::Result<String> {
        let name = command.split(' ').take(2).collect::<Vec<_>>().join(" ");
        self.socket.get_mut().write_all(format!("{command}\n").as_bytes()).await?;
        let answer = self.line().await.with_context(|| format!("no answer to {name}"))?;
        if !answer.split(' ').any(|word| word == "RESULT=OK") {
            bail!("{name} was answered with: {answer}");
        }
        Ok(answer)
    }

    /// The next line.
    pub(super) async fn line(&mut self) -> anyhow::Result<String> {
        let mut line = Vec::new();
        loop {
            let available = self.socket.fill_buf().await?;
            if available.is_empty() {
                bail!("the bridge closed the connection");
            }
            let end = available.iter().position(|b| *b == b'\n');
            let taken = end.map_or(available.len(), |at| at + 1);
            line.extend_from_slice(available.get(..taken).unwrap_or_default());
            self.socket.consume(taken);
            if end.is_some() {
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if line.len() > LINE_MAX {
                bail!("the bridge sent an endless line");
            }
        }
    }

    /// The bytes after `STREAM CONNECT` or after the line of an accepted peer.
    pub(super) fn into_stream(self) -> BufReader<TcpStream> {
        self.socket
    }
}

/// The value of `KEY=` in an answer.
pub(super) fn value<'a>(answer: &'a str, key: &str) -> Option<&'a str> {
    answer.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}
