// SPDX-License-Identifier: MIT
//! Replays a transcript against any SAM bridge.
//!
//! A transcript is text, one step a line; blank lines and lines that begin with `#` are skipped. A step begins with
//! the name of a socket, which is opened at its first use. `b@2` is socket `b` at the second bridge.
//!
//! | step | meaning |
//! |---|---|
//! | `a> text` | sends the text and LF |
//! | `a>> text` | sends the text as it is; `\n \r \t \\ \xNN` as in Rust |
//! | `a< pattern` | the next line must match |
//! | `a<< text` | the next bytes must be these |
//! | `a! closed` | the bridge must close the socket without another byte |
//! | `a! reset` | the same, and an abrupt end counts as well |
//! | `a! silent MS` | nothing may come for so long |
//! | `a! eof` | closes our direction |
//! | `a! close` | closes the socket |
//! | `sleep MS` | waits |
//! | `listen s` | opens a server; `{s.port}` is its port |
//! | `accept s c` | the next connection of the server becomes socket `c` |
//! | `udp u` | opens a UDP socket; `{u.port}` is its port, and `u>>` sends one datagram to the bridge |
//! | `u< pattern` | the first line of the next datagram must match; `u<<` takes from the rest, or the next datagram |
//!
//! In texts and patterns `{name}` stands for what was captured under that name; in a pattern a new name captures
//! characters up to a blank or what follows in the pattern, `{name:524}` exactly so many. `{*}` in a pattern is any text, `{unique}` a word that is
//! different in every run, `{name.b32}` the `.b32.i2p` name of a
//! captured destination.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::api::Destination;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Replays `script`; an error names the line and what was expected.
pub async fn replay(script: &str, bridges: &[SocketAddr]) -> Result<(), String> {
    let mut player = Player {
        bridges: bridges.to_vec(),
        sockets: BTreeMap::new(),
        servers: BTreeMap::new(),
        names: BTreeMap::new(),
    };
    let unique = format!("{:x}", std::process::id() as u64 * 1_000_003 + script.len() as u64);
    player.names.insert("unique".to_owned(), unique);
    for (number, line) in script.lines().enumerate() {
        let line = line.trim_end_matches('\r');
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let start = tokio::time::Instant::now();
        let step = player.step(line).await;
        if start.elapsed() > Duration::from_secs(3) {
            eprintln!("slow: line {}: {line} took {:?}", number + 1, start.elapsed());
        }
        step.map_err(|why| format!("line {}: {line}\n  {why}", number + 1))?;
    }
    Ok(())
}

struct Socket {
    way: Way,
    buffer: Vec<u8>,
}

enum Way {
    Tcp(TcpStream),
    /// With the datagram port of the bridge.
    Udp(UdpSocket, SocketAddr),
}

struct Player {
    bridges: Vec<SocketAddr>,
    sockets: BTreeMap<String, Socket>,
    servers: BTreeMap<String, TcpListener>,
    names: BTreeMap<String, String>,
}

impl Player {
    async fn step(&mut self, line: &str) -> Result<(), String> {
        if let Some(ms) = line.strip_prefix("sleep ") {
            tokio::time::sleep(millis(ms)?).await;
            return Ok(());
        }
        if let Some(name) = line.strip_prefix("listen ") {
            return self.listen(name.trim()).await;
        }
        if let Some((server, name)) = line.strip_prefix("accept ").and_then(|rest| rest.split_once(' ')) {
            return self.accept(server, name.trim()).await;
        }
        if let Some(name) = line.strip_prefix("udp ") {
            return self.open_udp(name.trim()).await;
        }
        let at = line.find(['>', '<', '!']).ok_or("not a step")?;
        let (name, rest) = line.split_at(at);
        let name = name.trim().to_owned();
        let (verb, text) = if rest.starts_with(">>") || rest.starts_with("<<") {
            rest.split_at(2)
        } else {
            rest.split_at(1)
        };
        let text = text.strip_prefix(' ').unwrap_or(text);
        match verb {
            ">" => self.send(&name, format!("{}\n", self.fill_in(text)?).as_bytes()).await,
            ">>" => self.send(&name, &unescape(&self.fill_in(text)?)?).await,
            "<" => self.expect_line(&name, text).await,
            "<<" => self.expect_bytes(&name, &unescape(&self.fill_in(text)?)?).await,
            _ => self.act(&name, text.trim()).await,
        }
    }

    async fn socket(&mut self, name: &str) -> Result<&mut Socket, String> {
        if !self.sockets.contains_key(name) {
            let address = self.bridge(name)?;
            let stream = TcpStream::connect(address).await.map_err(|error| format!("connect: {error}"))?;
            stream.set_nodelay(true).map_err(|error| error.to_string())?;
            self.sockets.insert(name.to_owned(), Socket { way: Way::Tcp(stream), buffer: Vec::new() });
        }
        self.sockets.get_mut(name).ok_or_else(|| "no socket".to_owned())
    }

    /// The bridge that a socket of this name talks to.
    fn bridge(&self, name: &str) -> Result<SocketAddr, String> {
        let bridge = name.split_once('@').map_or(Ok(1), |(_, number)| number.parse::<usize>());
        let index = bridge.map_err(|_| "bad bridge number")?.saturating_sub(1);
        self.bridges.get(index).or(self.bridges.last()).copied().ok_or_else(|| "no bridge".to_owned())
    }

    async fn open_udp(&mut self, name: &str) -> Result<(), String> {
        let mut bridge = self.bridge(name)?;
        bridge.set_port(bridge.port() - 1);
        let socket = UdpSocket::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
        let port = socket.local_addr().map_err(|error| error.to_string())?.port();
        self.names.insert(format!("{name}.port"), port.to_string());
        self.sockets.insert(name.to_owned(), Socket { way: Way::Udp(socket, bridge), buffer: Vec::new() });
        Ok(())
    }

    async fn listen(&mut self, name: &str) -> Result<(), String> {
        let server = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
        let port = server.local_addr().map_err(|error| error.to_string())?.port();
        self.names.insert(format!("{name}.port"), port.to_string());
        self.servers.insert(name.to_owned(), server);
        Ok(())
    }

    async fn accept(&mut self, server: &str, name: &str) -> Result<(), String> {
        let server = self.servers.get(server).ok_or("no such server")?;
        let accepted = tokio::time::timeout(PATIENCE, server.accept()).await.map_err(|_| "nobody came")?;
        let (stream, _) = accepted.map_err(|error| error.to_string())?;
        self.sockets.insert(name.to_owned(), Socket { way: Way::Tcp(stream), buffer: Vec::new() });
        Ok(())
    }

    async fn send(&mut self, name: &str, bytes: &[u8]) -> Result<(), String> {
        let socket = self.socket(name).await?;
        let sent = match &mut socket.way {
            Way::Tcp(stream) => stream.write_all(bytes).await,
            Way::Udp(udp, bridge) => udp.send_to(bytes, *bridge).await.map(|_| ()),
        };
        sent.map_err(|error| format!("write: {error}"))
    }

    async fn expect_line(&mut self, name: &str, pattern: &str) -> Result<(), String> {
        let line = self.socket(name).await?.line().await?;
        let names = &mut self.names;
        matches(pattern, &line, names).map_err(|why| format!("came: {line}\n  {why}"))
    }

    async fn expect_bytes(&mut self, name: &str, bytes: &[u8]) -> Result<(), String> {
        let socket = self.socket(name).await?;
        while socket.buffer.len() < bytes.len() {
            if socket.more().await? == 0 {
                break;
            }
        }
        let came: Vec<u8> = socket.buffer.drain(..bytes.len().min(socket.buffer.len())).collect();
        if came == bytes { Ok(()) } else { Err(format!("came: {:?}", String::from_utf8_lossy(&came))) }
    }

    async fn act(&mut self, name: &str, action: &str) -> Result<(), String> {
        if let Some(ms) = action.strip_prefix("silent ") {
            let patience = millis(ms)?;
            let socket = self.socket(name).await?;
            let came = tokio::time::timeout(patience, socket.more()).await;
            return match came {
                Err(_) if socket.buffer.is_empty() => Ok(()),
                _ => Err(format!("came: {:?}", String::from_utf8_lossy(&socket.buffer))),
            };
        }
        match action {
            "close" => {
                self.sockets.remove(name);
                Ok(())
            }
            "eof" => match &mut self.socket(name).await?.way {
                Way::Tcp(stream) => stream.shutdown().await.map_err(|error| error.to_string()),
                Way::Udp(..) => Err("UDP has no end".to_owned()),
            },
            "closed" | "reset" => {
                let socket = self.socket(name).await?;
                match socket.more().await {
                    Ok(0) if socket.buffer.is_empty() => Ok(()),
                    Err(error) if action == "reset" && error.starts_with("read") => Ok(()),
                    Ok(_) => Err(format!("came: {:?}", String::from_utf8_lossy(&socket.buffer))),
                    Err(error) => Err(error),
                }
            }
            _ => Err("unknown action".to_owned()),
        }
    }

    /// Replaces the names of a text by what they stand for.
    fn fill_in(&self, text: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, name, after)) = placeholder(rest) {
            out.push_str(before);
            out.push_str(&known(name, &self.names).ok_or_else(|| format!("nothing captured as {name}"))?);
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }
}

impl Socket {
    async fn more(&mut self) -> Result<usize, String> {
        let mut scratch = vec![0; 65_536];
        let read = match &mut self.way {
            Way::Tcp(stream) => tokio::time::timeout(PATIENCE, stream.read(&mut scratch)).await,
            Way::Udp(udp, _) => tokio::time::timeout(PATIENCE, udp.recv(&mut scratch)).await,
        };
        let count = read.map_err(|_| "nothing came in time")?.map_err(|error| format!("read: {error}"))?;
        self.buffer.extend_from_slice(&scratch[..count]);
        Ok(count)
    }

    async fn line(&mut self) -> Result<String, String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if self.more().await? == 0 {
                return Err(format!("closed; before that came: {:?}", String::from_utf8_lossy(&self.buffer)));
            }
        }
    }
}

/// What a name stands for: what was captured, or what follows from it.
fn known(name: &str, names: &BTreeMap<String, String>) -> Option<String> {
    match name.strip_suffix(".b32") {
        Some(base) => {
            names.get(base).and_then(|text| Destination::from_base64(text).ok()).map(|found| found.b32())
        }
        None => names.get(name).cloned(),
    }
}

/// The first `{name}` of a text, with what is before and behind.
fn placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let open = text.find('{')?;
    let close = open + text[open..].find('}')?;
    Some((&text[..open], &text[open + 1..close], &text[close + 1..]))
}

/// Compares a line with a pattern and captures its new names.
pub fn matches(pattern: &str, line: &str, names: &mut BTreeMap<String, String>) -> Result<(), String> {
    let Some((before, name, after)) = placeholder(pattern) else {
        return if pattern == line { Ok(()) } else { Err(format!("expected {pattern:?}, not {line:?}")) };
    };
    let rest = line.strip_prefix(before).ok_or_else(|| format!("expected {before:?} before {line:?}"))?;
    if name == "*" {
        // The shortest text that lets the rest match.
        let cuts = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
        for cut in cuts {
            let mut attempt = names.clone();
            if matches(after, &rest[cut..], &mut attempt).is_ok() {
                *names = attempt;
                return Ok(());
            }
        }
        return Err(format!("nothing fits {after:?}"));
    }
    let (name, length) = match name.split_once(':') {
        Some((name, length)) => (name, Some(length.parse::<usize>().map_err(|_| "bad length")?)),
        None => (name, None),
    };
    let value = match known(name, names) {
        Some(known) => known,
        None => {
            let stop = after.chars().next().filter(|c| *c != '{');
            rest.split(|c| c == ' ' || Some(c) == stop).next().unwrap_or_default().to_owned()
        }
    };
    if length.is_some_and(|length| length != value.len()) {
        return Err(format!("{name} has {} characters", value.len()));
    }
    let Some(rest) = rest.strip_prefix(value.as_str()) else {
        return Err(format!("{name} was {value:?}"));
    };
    names.insert(name.to_owned(), value);
    matches(after, rest, names)
}

fn millis(text: &str) -> Result<Duration, String> {
    text.trim().parse().map(Duration::from_millis).map_err(|_| "not a number of milliseconds".to_owned())
}

fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.extend_from_slice(c.to_string().as_bytes());
            continue;
        }
        match chars.next() {
            Some('n') => out.push(b'\n'),
            Some('r') => out.push(b'\r'),
            Some('t') => out.push(b'\t'),
            Some('\\') => out.push(b'\\'),
            Some('x') => {
                let hex: String = chars.by_ref().take(2).collect();
                out.push(u8::from_str_radix(&hex, 16).map_err(|_| "bad \\x")?);
            }
            _ => return Err("bad escape".to_owned()),
        }
    }
    Ok(out)
}
