// SPDX-License-Identifier: MIT
//! The `samovar` command as a user meets it: exit codes, messages, signals, files.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A directory that goes away with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("samovar-cli-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir).unwrap();
        close(&dir, 0o700);
        Self(dir)
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        close(&path, 0o600);
        path
    }
}

/// For its owner alone, as keys must be.
fn close(path: &Path, mode: u32) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    #[cfg(not(unix))]
    let _ = (path, mode);
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn samovar(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_samovar"));
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env_remove("RUST_LOG");
    command
}

/// `run` with a data directory and nothing else that could touch the machine.
fn run(dir: &Path, args: &[&str]) -> Command {
    let mut command = samovar(&["run", "--no-reseed", "--sam", "127.0.0.1:0", "--sam-udp", "127.0.0.1:0"]);
    command.arg("--data-dir").arg(dir).args(args);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Exit code 2, and exactly one line; returns it.
fn complaint(output: &Output) -> String {
    let line = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{line}");
    assert_eq!(line.trim_end().lines().count(), 1, "{line}");
    assert!(line.starts_with("samovar: "), "{line}");
    line
}

fn complains(command: &mut Command) -> String {
    complaint(&command.output().unwrap())
}

/// A running command that is killed when the test ends early.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Starts the command and waits for `mark` on stderr (logs) or stdout.
    fn until(command: &mut Command, mark: &str, on_stdout: bool) -> Self {
        let mut child = command.spawn().unwrap();
        let out = child.stdout.take().unwrap();
        let err = child.stderr.take().unwrap();
        let running = Self(child);
        let (wanted, other): (Box<dyn std::io::Read + Send>, Box<dyn std::io::Read + Send>) =
            if on_stdout { (Box::new(out), Box::new(err)) } else { (Box::new(err), Box::new(out)) };
        drain(other);
        let mut lines = BufReader::new(wanted);
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            assert!(lines.read_line(&mut line).unwrap() > 0, "ended before {mark:?}:\n{seen}");
            seen.push_str(&line);
            if line.contains(mark) {
                break;
            }
        }
        drain(Box::new(lines));
        running
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.0.id().to_string()).status();
        assert!(status.unwrap().success());
    }

    /// The exit code, within ten seconds.
    fn exit(&mut self) -> Option<i32> {
        for _ in 0..100 {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("still running after ten seconds");
    }
}

/// Reads on, so that the command never blocks on a full pipe.
#[allow(clippy::disallowed_methods, reason = "a test has no tasks")]
fn drain(mut from: Box<dyn std::io::Read + Send>) {
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        let _ = from.read_to_end(&mut rest);
    });
}

#[test]
fn help_teaches_and_versions_are_printed() {
    for (args, words) in [
        (vec!["--help"], vec!["demo", "devnet", "run", "config", "SAM"]),
        (
            vec!["run", "--help"],
            vec!["--data-dir", "--reseed-cert", "--test-network", "Examples:", "exit code 2"],
        ),
        (vec!["devnet", "--help"], vec!["--routers", "--hops", "SESSION CREATE"]),
        (vec!["demo", "--help"], vec!["--mib"]),
        (
            vec!["names", "--help"],
            vec!["add", "remove", "list", "lookup", "export", "Examples:", "hosts.txt"],
        ),
        (vec!["names", "add", "--help"], vec!["--replace", "--data-dir"]),
        (vec!["version"], vec!["router.version"]),
        (vec!["--version"], vec!["samovar"]),
    ] {
        let output = samovar(&args).output().unwrap();
        assert!(output.status.success());
        let stdout = text(&output.stdout);
        assert!(words.iter().all(|w| stdout.contains(w)), "{args:?}: {stdout}");
    }
}

#[test]
fn bad_arguments_get_one_line() {
    assert!(complains(&mut samovar(&["run", "--prot", "1"])).contains("unexpected argument '--prot'"));
    assert!(complains(&mut samovar(&["run", "--port", "70000"])).contains("'70000' for '--port <N>'"));
    assert!(complains(&mut samovar(&["runn"])).contains("'run'"));
    assert!(complains(&mut samovar(&["devnet", "--routers", "1"])).contains("--routers"));
    assert!(
        complains(&mut samovar(&["demo", "--hops", "4", "--routers", "3"])).contains("at least 5 routers")
    );
}

#[test]
fn the_printed_configuration_is_accepted_as_a_file() {
    let scratch = Scratch::new();
    let printed = samovar(&["config"]).output().unwrap();
    assert!(printed.status.success());
    let file = scratch.file("samovar.toml", &text(&printed.stdout));
    let mut command = run(&scratch.path("data"), &["--config"]);
    let mut router = Running::until(command.arg(file), "router started", false);
    router.signal("INT");
    assert_eq!(router.exit(), Some(0));
}

#[test]
fn a_bad_file_is_named_with_line_and_key() {
    let scratch = Scratch::new();
    let says = |contents: &str| {
        let file = scratch.file("c.toml", contents);
        complains(run(&scratch.path("data"), &["--config"]).arg(file))
    };
    let line = says("port = 1\ncolour = 'red'\n");
    assert!(line.contains("c.toml: line 2: there is no setting colour"), "{line}");
    assert!(says("port = 'x'\n").contains("c.toml: line 1: port: invalid type"));
    assert!(says("bandwidth = 'Q'\n").contains("bandwidth: Q is not one of"));
    let missing = complains(run(&scratch.path("data"), &["--config"]).arg(scratch.path("none.toml")));
    assert!(missing.contains("none.toml: the configuration file cannot be read"), "{missing}");
    assert!(!scratch.path("data").exists(), "nothing is made before the settings are good");
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let scratch = Scratch::new();
    let says = |args: &[&str]| complains(&mut run(&scratch.path("data"), args));
    assert!(says(&["--test-network"]).contains("test-network: refused in the live network"));
    assert!(says(&["--netid", "5"]).contains("netid: 5"));
    assert!(says(&["--host", "192.168.0.1"]).contains("host: 192.168.0.1 cannot be reached"));
    assert!(says(&["--threads", "0"]).contains("threads: 0"));
    assert!(says(&["--memory-max", "63"]).contains("memory-max: 63 MiB is too little"));
    assert!(says(&["--log", "a=b=c"]).contains("--log"));
    assert!(says(&["--reseed-url", "http://host/"]).contains("reseed-urls: http://host/"));
    assert!(says(&["--bootstrap", "/no/such/file"]).contains("bootstrap: /no/such/file"));
}

#[test]
fn an_unusable_data_directory_is_named() {
    let scratch = Scratch::new();
    let file = scratch.file("file", "");
    let line = complains(&mut run(&file, &[]));
    assert!(line.contains("file: is not a directory; choose another with --data-dir"), "{line}");
    assert!(complains(&mut run(&file.join("x"), &[])).contains("--data-dir"));
}

/// Only root can make a directory of somebody else; other users' runs leave this out.
#[test]
fn a_data_directory_of_somebody_else_is_refused() {
    let scratch = Scratch::new();
    let dir = scratch.path("theirs");
    fs::create_dir(&dir).unwrap();
    let given = Command::new("chown").arg("65534").arg(&dir).stderr(Stdio::null()).status();
    if !given.is_ok_and(|s| s.success()) {
        return;
    }
    let line = complains(&mut run(&dir, &[]));
    assert!(line.contains("theirs: belongs to user 65534, not to you"), "{line}");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "nothing is written into it");
}

#[test]
fn a_damaged_key_file_is_left_as_it_is() {
    let scratch = Scratch::new();
    scratch.file("router.keys", "these are no keys");
    let line = complains(&mut run(&scratch.0, &[]));
    assert!(line.contains("router.keys: is damaged"), "{line}");
    assert_eq!(fs::read_to_string(scratch.path("router.keys")).unwrap(), "these are no keys");
}

#[test]
fn a_port_in_use_is_named_with_the_setting() {
    let scratch = Scratch::new();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let at = taken.local_addr().unwrap();
    let mut command = samovar(&["run", "--no-reseed", "--sam", &at.to_string()]);
    let line = complains(command.arg("--data-dir").arg(scratch.path("a")));
    assert!(
        line.contains(&format!("sam: {at}: is in use by another program; choose another with --sam")),
        "{line}"
    );
    let network =
        ["--netid", "77", "--test-network", "--host", "127.0.0.1", "--port", &at.port().to_string()];
    let line = complains(&mut run(&scratch.path("b"), &network));
    assert!(
        line.contains(&format!("port: {at}: is in use by another program; choose another with --port")),
        "{line}"
    );
}

#[test]
fn a_router_leaves_its_description_stops_on_sigterm_and_comes_back_the_same() {
    let scratch = Scratch::new();
    let network = ["--netid", "77", "--test-network", "--host", "127.0.0.1"];
    let mut identities = Vec::new();
    for _ in 0..2 {
        let mut router = Running::until(&mut run(&scratch.0, &network), "router started", false);
        let second = complains(&mut run(&scratch.0, &network));
        assert!(second.contains("is in use by another router"), "{second}");
        router.signal("TERM");
        assert_eq!(router.exit(), Some(0));
        let info = fs::read(scratch.path("router.info")).unwrap();
        // The identity is 391 bytes; dates and signature behind it differ.
        identities.push(info[..391].to_vec());
    }
    assert_eq!(identities[0], identities[1]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |p: PathBuf| fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(scratch.path("router.keys")), 0o600);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_crash_leaves_no_keys_behind_unless_it_is_asked_to() {
    use std::os::unix::fs::{MetadataExt as _, chown};
    use std::os::unix::process::CommandExt as _;
    const NOBODY: u32 = 65_534;
    let scratch = Scratch::new();
    let mut user = fs::metadata("/proc/self/environ").unwrap().uid();
    // Whether a process is dumpable shows in who owns the files about it: root, if it is not. So it must not be root.
    let mut as_nobody = samovar(&["version"]);
    if user == 0 && as_nobody.uid(NOBODY).output().is_ok() {
        user = NOBODY;
        chown(&scratch.0, Some(NOBODY), None).unwrap();
    }
    let look = |args: &[&str]| {
        let mut command = run(&scratch.path("data"), args);
        command.uid(user);
        let router = Running::until(&mut command, "router started", false);
        let proc = PathBuf::from(format!("/proc/{}", router.0.id()));
        let limits = fs::read_to_string(proc.join("limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap().to_owned();
        (core, fs::metadata(proc.join("environ")).unwrap().uid())
    };
    let (core, owner) = look(&[]);
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    assert_eq!(owner, 0);
    assert_eq!(look(&["--core-dumps"]).1, user);
}

#[test]
fn a_router_takes_another_ones_description_as_first_peer() {
    let scratch = Scratch::new();
    let network = ["--netid", "77", "--test-network", "--host", "127.0.0.1", "--floodfill"];
    let one = Running::until(&mut run(&scratch.path("one"), &network), "router started", false);
    let info = scratch.path("one").join("router.info");
    let two = Running::until(
        run(&scratch.path("two"), &network).arg("--bootstrap").arg(info),
        "peers known",
        false,
    );
    drop((one, two));
}

/// A destination that nobody has: a null certificate behind any 384 bytes.
fn destination(seed: u8) -> String {
    samovar::wire::b64::encode(&[&[seed; 384][..], &[0; 3]].concat())
}

/// `names` on a data directory; its standard output.
fn names(dir: &Path, args: &[&str]) -> String {
    let output = samovar(&["names", "--data-dir"]).arg(dir).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn names_are_kept_in_a_hosts_file_without_a_router() {
    let scratch = Scratch::new();
    let dir = scratch.path("data");
    let (one, two) = (destination(1), destination(2));
    assert!(names(&dir, &["add", "Forum.i2p", &one]).starts_with("forum.i2p added: "));
    assert!(names(&dir, &["add", "forum.i2p", &one]).contains("already"));
    let hosts = fs::read_to_string(dir.join("hosts.txt")).unwrap();
    assert_eq!(hosts, format!("forum.i2p={one}\n"));
    // Another destination only when asked for, and said so.
    let bad = |args: &[&str]| complains(samovar(&["names", "--data-dir"]).arg(&dir).args(args));
    let refused = bad(&["add", "forum.i2p", &two]);
    assert!(refused.contains("another destination") && refused.contains("--replace"), "{refused}");
    assert!(names(&dir, &["add", "forum.i2p", &two, "--replace"]).contains("in place of"));
    assert!(bad(&["add", "forum.com", &one]).contains("end in .i2p"));
    assert!(bad(&["add", "forum.i2p", "abc"]).contains("base64"));
    let b32 = names(&dir, &["lookup", "forum.i2p"]).lines().nth(1).unwrap().replace("b32: ", "");
    assert!(bad(&["add", "forum.i2p", &b32]).contains("whole destination"));
    assert_eq!(names(&dir, &["lookup", "-q", &b32]), format!("{two}\n"));
    names(&dir, &["add", "other.i2p", &one]);
    assert_eq!(names(&dir, &["list"]).lines().count(), 2);
    assert_eq!(names(&dir, &["list", "forum*"]), format!("forum.i2p\t{b32}\thosts.txt\n"));
    assert_eq!(names(&dir, &["export"]), format!("forum.i2p={two}\nother.i2p={one}\n"));
    let copy = scratch.path("copy.txt");
    names(&dir, &["export", copy.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(&copy).unwrap(), names(&dir, &["export"]));
    names(&dir, &["remove", "forum.i2p"]);
    let gone = samovar(&["names", "--data-dir"]).arg(&dir).args(["lookup", "forum.i2p"]).output().unwrap();
    assert_eq!(gone.status.code(), Some(1));
    assert!(text(&gone.stderr).contains("not among the 1 names"));
}

#[test]
fn a_running_router_takes_names_over() {
    let scratch = Scratch::new();
    let (dir, one) = (scratch.path("data"), destination(1));
    let at = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let mut command = samovar(&["run", "--no-reseed", "--sam-udp", "127.0.0.1:0", "--sam", &at.to_string()]);
    let mut router = Running::until(command.arg("--data-dir").arg(&dir), "router started", false);
    let bridge = std::net::TcpStream::connect(at).unwrap();
    let mut lines = BufReader::new(bridge.try_clone().unwrap());
    let mut ask = |text: &str| {
        std::io::Write::write_all(&mut &bridge, format!("{text}\n").as_bytes()).unwrap();
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        line
    };
    ask("HELLO VERSION");
    let lookup = "NAMING LOOKUP NAME=forum.i2p";
    assert!(ask(lookup).starts_with("NAMING REPLY RESULT=KEY_NOT_FOUND NAME=forum.i2p MESSAGE="));
    names(&dir, &["add", "forum.i2p", &one]);
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(ask(lookup), format!("NAMING REPLY RESULT=OK NAME=forum.i2p VALUE={one}\n"));
    names(&dir, &["remove", "forum.i2p"]);
    std::thread::sleep(Duration::from_millis(1100));
    assert!(ask(lookup).contains("KEY_NOT_FOUND"));
    router.signal("TERM");
    assert_eq!(router.exit(), Some(0));
}

#[test]
fn subscriptions_lead_to_sites_on_i2p_alone() {
    let scratch = Scratch::new();
    let dir = scratch.path("data");
    let bad = |args: &[&str]| complains(&mut run(&dir, args));
    let refused = bad(&["--subscribe", "http://example.com/hosts.txt"]);
    assert!(refused.contains("subscriptions: http://example.com/hosts.txt") && refused.contains(".i2p"));
    assert!(bad(&["--subscribe", "http://a.i2p/", "--no-subscriptions"]).contains("cannot be used with"));
    assert!(bad(&["--hosts", "/nowhere/hosts.txt"]).contains("/nowhere/hosts.txt: cannot be read"));
}

#[test]
fn further_hosts_files_are_read_and_their_names_can_be_kept_out() {
    let scratch = Scratch::new();
    let dir = scratch.path("data");
    let (one, two) = (destination(1), destination(2));
    scratch.file("more.txt", &format!("a.i2p={two}\nb.i2p={two}\n"));
    let config = scratch.file("samovar.toml", "data-dir = \"data\"\nhosts = [\"more.txt\"]\n");
    let with = |args: &[&str]| {
        let output = samovar(&["names", "--config"]).arg(&config).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    names(&dir, &["add", "a.i2p", &one]);
    assert_eq!(with(&["export"]), format!("a.i2p={one}\nb.i2p={two}\n"));
    let conflicts = with(&["list", "--conflicts"]);
    assert_eq!(conflicts.lines().count(), 3);
    assert!(conflicts.contains("more.txt"), "{conflicts}");
    let sources = with(&["sources"]);
    let counted: Vec<&str> = sources.lines().filter_map(|l| l.split('\t').next()).collect();
    assert_eq!(counted, ["1", "1"], "{sources}");
    assert!(with(&["remove", "b.i2p"]).contains("kept out"));
    assert_eq!(with(&["export"]), format!("a.i2p={one}\n"));
    with(&["add", "b.i2p", &two]);
    assert_eq!(with(&["list", "b.i2p"]).lines().count(), 1);
    assert!(with(&["remove", "a.i2p"]).contains("more.txt still has it"));
}

#[test]
fn a_devnet_opens_its_bridges_and_stops() {
    let ports = [0, 0].map(|_| {
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        free.local_addr().unwrap()
    });
    let sams: Vec<String> = ports.iter().map(ToString::to_string).collect();
    let mut command = samovar(&["devnet", "--routers", "4", "--sam", &sams[0], "--sam", &sams[1]]);
    let mut net = Running::until(&mut command, "routers have tunnels", true);
    for at in ports {
        let mut bridge = std::net::TcpStream::connect(at).unwrap();
        std::io::Write::write_all(&mut bridge, b"HELLO VERSION\n").unwrap();
        let mut answer = [0; 22];
        bridge.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HELLO REPLY RESULT=OK ");
    }
    net.signal("TERM");
    assert_eq!(net.exit(), Some(0));
    let line = complains(&mut samovar(&[
        "devnet",
        "--routers",
        "2",
        "--sam",
        "127.0.0.1:0",
        "--sam",
        "127.0.0.1:0",
        "--sam",
        "127.0.0.1:0",
    ]));
    assert!(line.contains("3 bridges for 2 routers"), "{line}");
}

#[test]
fn the_demo_shows_bytes_arriving() {
    let output = samovar(&["demo", "--mib", "1", "--routers", "4"]).output().unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    for words in ["network of 4 routers", ".b32.i2p", "-> receiver", "1 MiB in ", "Equal: every byte arrived"]
    {
        assert!(stdout.contains(words), "{words}: {stdout}");
    }
    assert_eq!(stderr, "");
}

/// What a bridge on a Unix socket answers to a line.
#[cfg(unix)]
fn ask_socket(path: &Path, line: &str) -> String {
    use std::io::Write as _;
    let mut socket = std::os::unix::net::UnixStream::connect(path).unwrap();
    socket.write_all(line.as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::new(socket).read_line(&mut answer).unwrap();
    answer
}

#[cfg(unix)]
#[test]
fn a_bridge_may_be_a_unix_socket_alone() {
    let scratch = Scratch::new();
    let path = scratch.path("sam.sock");
    let start = || {
        let mut command = samovar(&["run", "--no-reseed", "--sam", "none", "--data-dir"]);
        command.arg(scratch.path("data")).arg("--sam-unix").arg(&path);
        command
    };
    let mut router = Running::until(&mut start(), "router started", false);
    assert_eq!(ask_socket(&path, "HELLO VERSION\n"), "HELLO REPLY RESULT=OK VERSION=3.3\n");
    let mut other = samovar(&["run", "--no-reseed", "--sam", "none", "--data-dir"]);
    other.arg(scratch.path("other")).arg("--sam-unix").arg(&path);
    let line = complains(&mut other);
    assert!(line.contains("sam-unix: ") && line.contains("in use by another program"), "{line}");
    router.signal("TERM");
    assert_eq!(router.exit(), Some(0));
    assert!(!path.exists());
    let mut router = Running::until(&mut start(), "router started", false);
    router.signal("KILL");
    router.exit();
    assert!(path.exists(), "left behind by force");
    let router = Running::until(&mut start(), "router started", false);
    assert!(ask_socket(&path, "HELLO VERSION\n").contains("RESULT=OK"));
    drop(router);
    let line = complains(&mut run(&scratch.path("third"), &["--sam-unix-user", "7"]));
    assert!(line.contains("sam-unix-users: needs sam-unix"), "{line}");
}

/// `samovar sam-users` with this on standard input.
fn sam_users(dir: &Path, args: &[&str], password: &str) -> Output {
    let mut command = samovar(&["sam-users"]);
    let mut child = command.args(args).arg("--data-dir").arg(dir).stdin(Stdio::piped()).spawn().unwrap();
    // A command that needs no password may have ended before it could be written.
    let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), password.as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn users_are_made_by_hand_and_the_router_asks_for_their_passwords() {
    use std::io::Write as _;
    let scratch = Scratch::new();
    let dir = scratch.path("data");
    let says = |args: &[&str], password: &str| {
        let output = sam_users(&dir, args, password);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let fails = |args: &[&str], password: &str| complaint(&sam_users(&dir, args, password));
    assert!(fails(&["enable"], "").contains("there is no user"));
    assert!(fails(&["add", "joe"], "").contains("no password was given"));
    assert!(fails(&["add", "a:b"], "x\n").contains("no colon"));
    assert!(!dir.exists(), "nothing is made before there is something to keep");
    // A bridge for other machines is refused, and the way out is told.
    let open = ["--sam", "0.0.0.0:0", "--sam-udp", "127.0.0.1:0"];
    let refused = |args: &[&str]| {
        let mut command = samovar(&["run", "--no-reseed"]);
        complains(command.args(args).arg("--data-dir").arg(&dir))
    };
    let line = refused(&open);
    assert!(line.contains("sam: 0.0.0.0:0 can be reached") && line.contains("sam-users add NAME"), "{line}");
    assert!(refused(&["--sam", "127.0.0.1:0", "--sam-auth"]).contains("sam-auth: there is no user yet"));
    assert!(
        says(&["add", "joe"], "two words\nrest").contains("user joe added; passwords are not asked for yet")
    );
    assert!(fails(&["add", "joe"], "x\n").contains("samovar sam-users password joe"));
    assert!(refused(&open).contains("can be reached"), "users, but nobody is asked");
    says(&["add", "jim"], "x\r\n");
    says(&["remove", "jim"], "");
    assert!(fails(&["remove", "jim"], "").contains("jim: user not found"));
    assert_eq!(says(&["enable"], ""), "passwords are asked for\n");
    assert_eq!(says(&["list"], ""), "# passwords are asked for\njoe\n");
    let file = fs::read_to_string(dir.join("sam-users")).unwrap();
    assert!(file.contains("joe:$argon2id$v=19$") && !file.contains("two words"), "{file}");
    let free = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let mut command = samovar(&["run", "--no-reseed", "--sam-udp", "127.0.0.1:0", "--sam"]);
    command.arg(format!("0.0.0.0:{}", free.port())).arg("--data-dir").arg(&dir);
    let router = Running::until(&mut command, "router started", false);
    let ask = |line: &str| {
        let mut socket = std::net::TcpStream::connect(free).unwrap();
        socket.write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::new(socket).read_line(&mut answer).unwrap();
        answer
    };
    assert!(ask("HELLO VERSION\n").contains("USER and PASSWORD required"));
    assert!(ask("HELLO VERSION USER=joe PASSWORD=x\n").contains("authorization failed"));
    assert!(ask("HELLO VERSION USER=joe PASSWORD=\"two words\"\n").contains("RESULT=OK"));
    // While it runs.
    says(&["password", "joe"], "new\n");
    assert!(ask("HELLO VERSION USER=joe PASSWORD=\"two words\"\n").contains("authorization failed"));
    assert!(ask("HELLO VERSION USER=joe PASSWORD=new\n").contains("RESULT=OK"));
    says(&["disable"], "");
    assert!(ask("HELLO VERSION\n").contains("USER and PASSWORD required"), "it is open to other machines");
    drop(router);
}
