// SPDX-License-Identifier: MIT
//! The Unix-domain socket: who gets in, what becomes of the file, and streams over it.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use super::client::{Udp, until};
use super::stand_in::{Network, StandIn};
use crate::base::Tasks;
use crate::sam::{SamConfig, SamError, SamServer, UnixSocket};

/// A directory of our own that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("sam-unix-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        Self(dir)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("sam.sock")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn start(path: PathBuf, users: Vec<u32>) -> Result<(SamServer, Tasks), SamError> {
    let unix = Some(UnixSocket { path, users });
    let config = SamConfig { address: None, unix, ..SamConfig::default() };
    let tasks = Tasks::new();
    let server = SamServer::start(config, StandIn::new(&Network::default(), 1), &tasks).await?;
    Ok((server, tasks))
}

async fn stop(tasks: Tasks) {
    tasks.stop();
    tasks.finished().await;
}

struct Client(BufReader<UnixStream>);

impl Client {
    async fn hello(path: &PathBuf) -> Self {
        let mut client = Self(BufReader::new(UnixStream::connect(path).await.unwrap()));
        assert_eq!(client.ask("HELLO VERSION").await, "HELLO REPLY RESULT=OK VERSION=3.3");
        client
    }

    async fn ask(&mut self, line: &str) -> String {
        self.0.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        self.line().await
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        line.trim_end().to_owned()
    }
}

#[tokio::test]
async fn sessions_and_streams_work_as_over_tcp() {
    let scratch = Scratch::new();
    let path = scratch.socket();
    let (server, tasks) = start(path.clone(), Vec::new()).await.unwrap();
    assert_eq!((server.address(), server.udp_address()), (None, None));
    let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let mut owner = Client::hello(&path).await;
    let reply = owner.ask("SESSION CREATE STYLE=STREAM ID=a DESTINATION=TRANSIENT").await;
    assert!(reply.starts_with("SESSION STATUS RESULT=OK"), "{reply}");
    let mut accept = Client::hello(&path).await;
    assert_eq!(accept.ask("STREAM ACCEPT ID=a").await, "STREAM STATUS RESULT=OK");
    let name = owner.ask("NAMING LOOKUP NAME=ME").await;
    let destination = name.split_once("VALUE=").unwrap().1.to_owned();
    let mut connect = Client::hello(&path).await;
    let line = format!("STREAM CONNECT ID=a DESTINATION={destination}");
    assert_eq!(connect.ask(&line).await, "STREAM STATUS RESULT=OK");
    assert!(accept.line().await.starts_with(&destination));
    let data: Vec<u8> = (0..300_000u32).map(|i| i as u8).collect();
    let (sent, mut got) = (data.clone(), Vec::new());
    let both = async {
        connect.0.write_all(&sent).await.unwrap();
        connect.0.shutdown().await.unwrap();
    };
    tokio::join!(both, async { accept.0.read_to_end(&mut got).await.unwrap() });
    assert!(got == data, "{} bytes", got.len());
    // Half-closed: the other way lives on.
    accept.0.write_all(b"back").await.unwrap();
    accept.0.shutdown().await.unwrap();
    let mut back = Vec::new();
    connect.0.read_to_end(&mut back).await.unwrap();
    assert_eq!(back, b"back");
    drop(owner);
    until(|| server.sessions() == 0).await;
    stop(tasks).await;
    assert!(!path.exists(), "removed at the end");
}

#[tokio::test]
async fn a_forward_without_a_host_goes_to_this_machine() {
    let scratch = Scratch::new();
    let path = scratch.socket();
    let (_server, tasks) = start(path.clone(), Vec::new()).await.unwrap();
    let target = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut owner = Client::hello(&path).await;
    owner.ask("SESSION CREATE STYLE=STREAM ID=a DESTINATION=TRANSIENT").await;
    let name = owner.ask("NAMING LOOKUP NAME=ME").await;
    let destination = name.split_once("VALUE=").unwrap().1.to_owned();
    let mut forward = Client::hello(&path).await;
    let port = target.local_addr().unwrap().port();
    assert_eq!(forward.ask(&format!("STREAM FORWARD ID=a PORT={port}")).await, "STREAM STATUS RESULT=OK");
    let mut connect = Client::hello(&path).await;
    connect.ask(&format!("STREAM CONNECT ID=a DESTINATION={destination}")).await;
    let (stream, _) = target.accept().await.unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await.unwrap();
    assert!(line.starts_with(&destination));
    stop(tasks).await;
}

#[tokio::test]
async fn a_dead_socket_is_replaced_and_nothing_else_is() {
    let scratch = Scratch::new();
    let path = scratch.socket();
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(fs::symlink_metadata(&path).unwrap().file_type().is_socket());
    let (_server, tasks) = start(path.clone(), Vec::new()).await.unwrap();
    Client::hello(&path).await;
    // A living one is left alone, and a refused start removes nothing.
    let error = start(path.clone(), Vec::new()).await.map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("in use by another program"), "{error}");
    Client::hello(&path).await;
    stop(tasks).await;
    fs::write(&path, "a diary").unwrap();
    let error = start(path.clone(), Vec::new()).await.map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("is no socket"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "a diary");
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(scratch.0.join("elsewhere"), &path).unwrap();
    assert!(start(path.clone(), Vec::new()).await.is_err());
    assert!(fs::symlink_metadata(&path).unwrap().file_type().is_symlink());
}

#[tokio::test]
async fn the_file_of_another_router_is_not_removed() {
    let scratch = Scratch::new();
    let path = scratch.socket();
    let (_server, tasks) = start(path.clone(), Vec::new()).await.unwrap();
    fs::remove_file(&path).unwrap();
    let (_second, second_tasks) = start(path.clone(), Vec::new()).await.unwrap();
    stop(tasks).await;
    Client::hello(&path).await;
    stop(second_tasks).await;
    assert!(!path.exists());
}

#[tokio::test]
async fn directories_that_others_may_change_are_refused() {
    let scratch = Scratch::new();
    let refused = async |mode: u32| {
        fs::set_permissions(&scratch.0, fs::Permissions::from_mode(mode)).unwrap();
        start(scratch.socket(), Vec::new()).await.map(|(_, tasks)| tasks.stop()).err().map(|e| e.to_string())
    };
    assert!(refused(0o777).await.unwrap().contains("other users may change"));
    assert!(refused(0o770).await.unwrap().contains("other users may change"));
    assert_eq!(refused(0o1777).await, None);
    let missing = start(scratch.0.join("none/sam.sock"), Vec::new()).await.map(|_| ()).unwrap_err();
    assert!(missing.to_string().contains("make "), "{missing}");
    let long = start(scratch.0.join("x".repeat(200)), Vec::new()).await.map(|_| ()).unwrap_err();
    assert!(long.to_string().contains("too long"), "{long}");
}

#[tokio::test]
async fn a_list_of_users_opens_the_file_and_the_kernel_is_asked() {
    let scratch = Scratch::new();
    let path = scratch.socket();
    let (server, tasks) = start(path.clone(), vec![65_534]).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
    Client::hello(&path).await;
    // Only root can become somebody else; other users leave this out.
    fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o755)).unwrap();
    if rustix::process::geteuid().is_root() {
        assert!(ask_as(&tasks, 65_534, &path).await.starts_with("HELLO REPLY RESULT=OK"));
        let answer = ask_as(&tasks, 65_533, &path).await;
        assert_eq!(answer, "HELLO REPLY RESULT=I2P_ERROR MESSAGE=\"user 65533 may not use this socket\"\n");
        assert_eq!(server.metrics().sockets_refused_user.get(), 1);
    }
    stop(tasks).await;
}

/// What another user is answered.
async fn ask_as(tasks: &Tasks, uid: u32, path: &std::path::Path) -> String {
    let script = "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n\
                  s.sendall(b'HELLO VERSION\\n')\nprint(s.recv(200).decode(),end='')";
    let mut command = std::process::Command::new("python3");
    command.args(["-c", script]).arg(path).uid(uid).gid(uid);
    let output = tasks.blocking("client", move || command.output().unwrap()).await.unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn datagrams_go_by_udp_beside_the_socket_and_over_it() {
    let scratch = Scratch::new();
    let unix = Some(UnixSocket { path: scratch.socket(), users: Vec::new() });
    let udp = Some("127.0.0.1:0".parse().unwrap());
    let config = SamConfig { address: None, udp, unix, ..SamConfig::default() };
    let tasks = Tasks::new();
    let server = SamServer::start(config, StandIn::new(&Network::default(), 1), &tasks).await.unwrap();
    let mine = Udp::open().await;
    let mut by_udp = Client::hello(&scratch.socket()).await;
    let create = |style: &str, rest: String| {
        format!("SESSION CREATE STYLE={style} ID={style} DESTINATION=TRANSIENT {rest}")
    };
    let reply = by_udp.ask(&create("RAW", format!("PORT={}", mine.port()))).await;
    assert!(reply.starts_with("SESSION STATUS RESULT=OK"), "{reply}");
    mine.0.send_to(b"3.3 RAW ME\nto me", server.udp_address().unwrap()).await.unwrap();
    assert_eq!(mine.text().await, "to me");
    let mut over_it = Client::hello(&scratch.socket()).await;
    let reply = over_it.ask(&create("DATAGRAM3", String::new())).await;
    assert!(reply.starts_with("SESSION STATUS RESULT=OK"), "{reply}");
    let line = over_it.ask("DATAGRAM SEND DESTINATION=ME SIZE=6\nhello").await;
    assert!(line.starts_with("DATAGRAM RECEIVED DESTINATION="), "{line}");
    assert_eq!(over_it.line().await, "hello");
    stop(tasks).await;
}

#[tokio::test]
async fn without_a_datagram_port_a_udp_port_cannot_be_served() {
    let scratch = Scratch::new();
    let (_server, tasks) = start(scratch.socket(), Vec::new()).await.unwrap();
    let mut client = Client::hello(&scratch.socket()).await;
    let reply = client.ask("SESSION CREATE STYLE=RAW ID=r DESTINATION=TRANSIENT PORT=9000").await;
    let why = "the datagram port of this bridge is not open, so PORT cannot be served";
    assert_eq!(reply, format!("SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"{why}\""));
    stop(tasks).await;
}
