#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Everything hostile thrown at the SAM port of a real process: browsers, broken lines, slow readers, floods, storms.

  sam_abuse.py [--only WORD] [--quick] [--rounds N] [--verbose]

Starts our own devnet and looks at the process from outside: open files, memory, processor time, sockets. Each check is
named by its row in docs/limits.md. Ends with code 0 when all hold.
"""
import argparse
import hashlib
import os
import pathlib
import random
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import testnet
from samclient import Sam, SamError, Session

CHECKS = []
# Seconds that a machine with other things to do may add to what is measured.
LATE = float(os.environ.get("LATE", 1))
SEED = int(os.environ.get("SEED", random.randrange(1 << 30)))
RNG = random.Random(SEED)


class Fail(Exception):
    """A rule does not hold."""


def check(slow=False, files=None):
    """Registers a check; `files` is the limit of open files of the process that it needs for itself."""
    def register(function):
        CHECKS.append((function.__name__, slow, files, function))
        return function
    return register


def need(condition, text):
    if not condition:
        raise Fail(text)


def mib(bytes_):
    return f"{bytes_ / (1 << 20):.1f} MiB"


# --- the process under test -------------------------------------------------------------------------------------------

class Net:
    """A devnet of our own, with two bridges, seen from outside."""

    def __init__(self, folder, files=None, routers=5):
        self.folder, self.files = pathlib.Path(folder), files
        self.sams = [("127.0.0.1", free_port()) for _ in range(2)]
        self.log = self.folder / f"devnet-{files or 'usual'}.log"
        words = [w for s in self.sams for w in ("--sam", "%s:%d" % s)]
        self.command = [str(testnet.binary()), "devnet", "--routers", str(routers), "--log", "info", *words]

    def start(self):
        def before():
            testnet._die_with_parent()
            if self.files:
                resource.setrlimit(resource.RLIMIT_NOFILE, (self.files, self.files))
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(self.command, stdout=out, stderr=out, preexec_fn=before)
        testnet.until(lambda: "have tunnels" in self.text() or not self.alive(), 90, "the devnet is up")
        need(self.alive(), "the devnet ended:\n" + testnet.tail(self.text()))
        return self

    def text(self):
        return self.log.read_text(errors="replace")

    def alive(self):
        return self.process.poll() is None

    def stop(self):
        self.process.terminate()
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Fail("the process did not end within 20 s of SIGTERM")

    @property
    def sam(self):
        return self.sams[0]

    @property
    def udp(self):
        return (self.sam[0], self.sam[1] - 1)

    def fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def rss(self):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def cpu(self):
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def status(self, sam=None):
        """`HELP STATUS` as text."""
        with Sam(sam or self.sam, 20) as client:
            client.send("HELP STATUS")
            lines = []
            while not lines or lines[-1] != "# end":
                lines.append(client.line())
            return "\n".join(lines)

    def counts(self):
        """Connections and sessions of the bridge, this question's connection left out, and the router's tasks."""
        text = self.status()
        connections, sessions = re.search(r"bridge: (\d+) connections, (\d+) sessions", text).groups()
        tasks = re.search(r"(\d+) tasks", text)
        return int(connections) - 1, int(sessions), int(tasks.group(1)) if tasks else 0

    def is_quiet(self):
        connections, sessions, _ = self.counts()
        return connections == 0 and sessions == 0


def free_port():
    while True:
        port = random.randrange(33000, 60000)
        try:
            with socket.create_server(("127.0.0.1", port)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.bind(("127.0.0.1", port - 1))
                return port
        except OSError:
            continue


def raw(net, timeout=20):
    s = socket.create_connection(net.sam, timeout=timeout)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def everything(s, seconds=20):
    """What comes until the other end closes."""
    s.settimeout(seconds)
    out = b""
    try:
        while data := s.recv(65536):
            out += data
    except ConnectionResetError:
        pass
    except TimeoutError:
        raise Fail(f"still open after {seconds} s; had {out[:80]!r}") from None
    return out


def reset(s):
    """Closes by a reset."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def session(net, **more):
    return Session(net.sam, hops=0, quantity=1, **more)


# --- S1: exposure -----------------------------------------------------------------------------------------------------

@check()
def s1_remote_exposure(net):
    """Listening for other machines needs a password, or the start fails with a clear message."""
    for words in (["--sam", f"0.0.0.0:{free_port()}"], ["--sam", f"[::]:{free_port()}"]):
        with tempfile.TemporaryDirectory() as folder:
            command = [str(testnet.binary()), "run", "--data-dir", folder + "/d", "--netid", "77", "--test-network"]
            done = subprocess.run(command + words, capture_output=True, text=True, timeout=20)
        need(done.returncode not in (0, None), f"{words}: started")
        need("password" in done.stderr, f"{words}: {done.stderr!r} does not say what to do")


# --- S2: browsers, TLS ------------------------------------------------------------------------------------------------

SMUGGLED = b"HELLO VERSION\nDEST GENERATE\nSESSION CREATE STYLE=STREAM ID=smuggled DESTINATION=TRANSIENT inbound.length=0 outbound.length=0\n"
HEAD = b" / HTTP/1.1\r\nHost: 127.0.0.1:7656\r\nContent-Type: text/plain\r\nContent-Length: 500\r\n\r\n"
TLS_HELLO = bytes.fromhex("1603010200010001fc0303") + bytes(range(200))
SOCKET_UPGRADE = (b"GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
FOREIGN = {verb.decode(): verb + HEAD + SMUGGLED for verb in
           (b"GET", b"POST", b"PUT", b"HEAD", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE", b"CONNECT", b"PRI", b"get", b"PROPFIND")}
FOREIGN |= {"TLS": TLS_HELLO + SMUGGLED, "WebSocket": SOCKET_UPGRADE + SMUGGLED, "SMTP": b"EHLO me\r\n" + SMUGGLED,
            "SSH": b"SSH-2.0-OpenSSH_9\r\n" + SMUGGLED, "redis": b"*1\r\n$4\r\nPING\r\n" + SMUGGLED, "NUL": bytes(20) + SMUGGLED,
            "BOM": b"\xef\xbb\xbfHELLO VERSION\n" + SMUGGLED, "HTTP body first": b"\x80\r\n" + SMUGGLED}


@check()
def s2_foreign_protocols(net):
    """A browser's or TLS client's socket is closed within 50 ms without an answer, and nothing in it is obeyed."""
    slowest = 0
    for name, bytes_ in FOREIGN.items():
        for how in ("at once", "the body later", "byte by byte"):
            s = raw(net)
            start = time.monotonic()
            try:
                if how == "at once":
                    s.sendall(bytes_)
                elif how == "the body later":
                    s.sendall(bytes_[:12])
                    time.sleep(0.02)
                    s.sendall(bytes_[12:])
                else:
                    for k in range(0, 40):
                        start = time.monotonic()
                        s.sendall(bytes_[k:k + 1])
                        if select.select([s], [], [], 0.02)[0]:
                            break
            except (BrokenPipeError, ConnectionResetError):
                pass
            got = everything(s, 5)
            took = time.monotonic() - start
            slowest = max(slowest, took)
            s.close()
            need(got == b"", f"{name} {how}: answered {got[:60]!r}")
            need(took < 1, f"{name} {how}: closed after {took * 1000:.0f} ms")
    need("smuggled" not in net.status(), "a command out of a body was obeyed")
    warnings = net.text().count("not a SAM client")
    need(warnings > 0, "nothing in the log")
    return f"slowest {slowest * 1000:.0f} ms, {warnings} warnings logged"


@check()
def s2_real_browsers_tools(net):
    """curl, if there is one, gets no byte."""
    url = "http://%s:%d/" % net.sam
    for words in (["-d", "HELLO VERSION\nDEST GENERATE\n"], ["-X", "PUT", "-d", "x"], ["-k"]):
        target = url.replace("http:", "https:") if words == ["-k"] else url
        try:
            done = subprocess.run(["curl", "-s", "-S", "-m", "5", *words, target], capture_output=True, timeout=20)
        except FileNotFoundError:
            return "no curl here"
        need(done.returncode != 0 and done.stdout == b"", f"curl {words}: {done.stdout[:60]!r}")
    return None


# --- S3: junk by UDP --------------------------------------------------------------------------------------------------

@check()
def s3_udp_junk(net):
    """Neither STUN nor junk by UDP has any effect, and what is right still passes."""
    here = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    here.bind(("127.0.0.1", 0))
    here.settimeout(10)
    s = session(net, style="RAW", words=f"PORT={here.getsockname()[1]}")
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stun = bytes.fromhex("000100002112a442") + os.urandom(12)
    junk = [stun, b"", b"3", b"3.", b"3.3\n", b"3.3 nobody x\nhi", b"2.0 %s %s\nhi" % (s.id.encode(), s.destination.encode()),
            b"3.3 %s \nhi" % s.id.encode(), b"3.3 %s nowhere.i2p\nhi" % s.id.encode(), b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 1400,
            b"3.3 %s %s FROM_PORT=99999\nhi" % (s.id.encode(), s.destination.encode()), b"x" * 60000]
    for _ in range(200):
        sender.sendto(RNG.choice(junk), net.udp)
    for bytes_ in junk:
        sender.sendto(bytes_, net.udp)
    sender.sendto(b"3.3 %s %s\nthe right one" % (s.id.encode(), s.destination.encode()), net.udp)
    got = here.recv(2000)
    need(got == b"the right one", f"{got[:60]!r} arrived")
    here.settimeout(0.3)
    try:
        raise Fail(f"{here.recv(2000)[:60]!r} arrived as well")
    except TimeoutError:
        pass
    sender.setblocking(False)
    try:
        raise Fail(f"answered by UDP: {sender.recv(2000)[:60]!r}")
    except BlockingIOError:
        pass
    s.control.close()


# --- S5: lines --------------------------------------------------------------------------------------------------------

def transcript(net, bytes_, pieces):
    """What is answered to `bytes_`, sent in pieces of this size, up to the end."""
    s = raw(net)
    try:
        for k in range(0, len(bytes_), pieces):
            s.sendall(bytes_[k:k + pieces])
        s.shutdown(socket.SHUT_WR)
    except (BrokenPipeError, ConnectionResetError):
        pass
    got = everything(s)
    s.close()
    return got


HELLO = b"HELLO VERSION MIN=3.1 MAX=3.3\n"
DIALOGUES = [
    HELLO + b"PING a\nPING b\nNAMING LOOKUP NAME=ME\nQUIT\n",
    HELLO.replace(b"\n", b"\r\n") + b"PING  two  blanks \r\n\r\n\nNAMING LOOKUP NAME=nosuch.i2p\nQUIT\n",
    HELLO + b"SESSION CREATE STYLE=STREAM ID=\"a b\" DESTINATION=TRANSIENT\nPING 1\nQUIT\n",
    HELLO + b"SESSION CREATE STYLE=STREAM ID=x ID=y DESTINATION=TRANSIENT\nPING 1\nQUIT\n",
    HELLO + b"NAMING LOOKUP NAME=\"unbalanced\nPING 1\nQUIT\n",
    HELLO + b"NAMING LOOKUP NAME=\xff\xfe\nPING 1\nQUIT\n",
    HELLO + b"PING a\x00b\nPING 1\nQUIT\n",
    HELLO + b"DEST GENERATE SIGNATURE_TYPE=99\nSTREAM CONNECT ID=nosuch DESTINATION=x\n",
    HELLO + b"FOO\nBAR\nPING 1\nQUIT\n",
    HELLO + b"".join(b"JUNK%d\n" % k for k in range(9)),
    b"HELLO VERSION MIN=9.9 MAX=9.9\n",
    b"HELP\nQUIT\n",
    b"SESSION CREATE STYLE=STREAM ID=x DESTINATION=TRANSIENT\n",
    b"\n\n  \nHELLO VERSION\nPING\nQUIT\n",
]


@check()
def s5_segments(net):
    """A byte at a time or all at once: the same answers."""
    for bytes_ in DIALOGUES:
        whole = transcript(net, bytes_, len(bytes_))
        for pieces in (1, 7):
            cut = transcript(net, bytes_, pieces)
            need(cut == whole, f"{bytes_[:80]!r} in pieces of {pieces}: {cut[-120:]!r} instead of {whole[-120:]!r}")


@check()
def s5_line_lengths(net):
    """1,024 bytes before HELLO and 16,384 after it, and one more is too many."""
    def hello(length):
        line = b"HELLO VERSION MIN=3.1 MAX=3.3 X="
        return line + b"x" * (length - len(line)) + b"\n"
    need(b"RESULT=OK" in transcript(net, hello(1024) + b"QUIT\n", 1 << 20), "1,024 bytes refused")
    need(b"RESULT=OK" not in transcript(net, hello(1025) + b"QUIT\n", 1 << 20), "1,025 bytes taken")
    for length, fine in ((16384, True), (16385, False)):
        got = transcript(net, HELLO + b"PING " + b"y" * (length - 5) + b"\nPING z\nQUIT\n", 1 << 20)
        need((b"PONG z\n" in got) == fine, f"a line of {length} bytes: {got[-60:]!r}")
    # Without any line end memory stays where it is.
    before = net.rss()
    s = raw(net)
    try:
        s.sendall(HELLO)
        for _ in range(64):
            s.sendall(b"z" * (1 << 20))
    except (BrokenPipeError, ConnectionResetError):
        pass
    s.close()
    grown = net.rss() - before
    need(grown < 4 << 20, f"a line without end: {mib(grown)} more")
    # Telnet negotiation without end, before HELLO.
    s = raw(net)
    try:
        for _ in range(64):
            s.sendall(b"\xff\xf1" * (1 << 19))
        raise Fail("negotiation without end is read on")
    except (BrokenPipeError, ConnectionResetError):
        pass
    s.close()


@check()
def s5_noise(net):
    """Random lines: answers or a close, and the process lives."""
    words = [b"SESSION", b"CREATE", b"STREAM", b"CONNECT", b"ACCEPT", b"DATAGRAM", b"SEND", b"RAW", b"AUTH", b"NAMING", b"LOOKUP", b"DEST",
             b"GENERATE", b"ID=", b"ID=x", b"STYLE=STREAM", b"SIZE=99999999999999999999", b"SIZE=-1", b"DESTINATION=", b"=", b"\"", b"\\",
             b"\xff", b"\x00", b"NAME=ME", b"PORT=0", b"HOST=10.0.0.1", b"TRANSIENT", b"  ", b"\t", b"PING", b"ADD", b"REMOVE", b"SILENT=maybe"]
    for _ in range(150):
        lines = [b" ".join(RNG.choice(words) for _ in range(RNG.randrange(1, 9))) for _ in range(RNG.randrange(1, 12))]
        s = raw(net)
        try:
            s.sendall(HELLO + b"\n".join(lines) + b"\n")
            s.settimeout(0.05)
            s.recv(65536)
        except (TimeoutError, BrokenPipeError, ConnectionResetError):
            pass
        reset(s) if RNG.random() < 0.5 else s.close()
    need(net.alive(), "the process ended")
    testnet.until(net.is_quiet, 30, "all of it is gone")


# --- S6, S7: slow readers, idle clients -------------------------------------------------------------------------------

def pair(net, host, caller):
    """A stream between two sessions: the caller's end, the host's end."""
    waiting = host.accept()
    out = caller.connect(host.destination, 30)
    waiting.line()
    return out, waiting


@check()
def s6_slow_reader(net):
    """A client that never reads holds up its own peer, costs little, and gets every byte when it wakes up."""
    host, caller = session(net), Session(net.sams[1], hops=1, quantity=1)
    sleeper, awake = pair(net, host, caller), pair(net, host, caller)
    size = 32 << 20
    data = RNG.randbytes(1 << 20)
    before, sent = net.rss(), 0
    out = sleeper[0].socket
    out.setblocking(False)
    end = time.monotonic() + 8
    while sent < size and time.monotonic() < end:
        try:
            sent += out.send(data[sent % len(data):])
        except BlockingIOError:
            select.select([], [out], [], 0.2)
    grown = net.rss() - before
    need(sent < 16 << 20, f"{mib(sent)} were taken although nobody reads")
    need(grown < 12 << 20, f"{mib(grown)} more memory for one stream that nobody reads, both ends in this process")
    # The other stream of the same sessions moves.
    awake[0].socket.sendall(b"still here")
    need(awake[1].receive_exactly(10) == b"still here", "the neighbour stands still")
    # It wakes up.
    hashed, got = hashlib.sha256(), 0
    while got < sent:
        part = sleeper[1].receive(1 << 18)
        need(part, f"ended after {got} of {sent} bytes")
        hashed.update(part)
        got += len(part)
    want = hashlib.sha256((data * (sent // len(data) + 1))[:sent]).digest()
    need(hashed.digest() == want, "the bytes differ")
    for end in (*sleeper, *awake, host.control, caller.control):
        end.close()
    return f"{mib(sent)} in flight, {mib(grown)} of memory"


@check()
def s6_replies_nobody_reads(net):
    """A client that asks and never reads is not read either: its own buffers fill, ours do not."""
    before, s = net.rss(), raw(net)
    s.sendall(HELLO)
    s.setblocking(False)
    sent, end = 0, time.monotonic() + 5
    line = b"DEST GENERATE\n" * 500
    while time.monotonic() < end:
        try:
            sent += s.send(line)
        except BlockingIOError:
            time.sleep(0.05)
    grown = net.rss() - before
    need(grown < 4 << 20, f"{mib(grown)} more after {mib(sent)} of commands")
    reset(s)
    testnet.until(net.is_quiet, 20, "it is gone")
    return f"{mib(sent)} of commands taken"


@check()
def s10_idle_clients(net):
    """1,000 idle clients cost 8 MiB at most."""
    net.status()
    before = net.rss()
    clients = []
    for _ in range(1000):
        s = raw(net)
        s.sendall(HELLO)
        clients.append(s)
    for s in clients:
        need(b"RESULT=OK" in s.recv(200), "refused")
    grown = net.rss() - before
    for s in clients:
        s.close()
    testnet.until(net.is_quiet, 20, "they are gone")
    need(grown <= 8 << 20, f"{mib(grown)} for 1,000 clients")
    return f"{grown / 1000 / 1024:.1f} KiB each"


# --- S8, S9: floods ---------------------------------------------------------------------------------------------------

@check(files=512)
def s8_connection_flood(net):
    """5,000 connections at a process with 512 files: it lives, links and streams live, and it recovers within a second."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft[1], 8192), soft[1]))
    host, caller = session(net), Session(net.sams[1], hops=1, quantity=1)
    out, into = pair(net, host, caller)
    flood, refused = [], 0
    cpu, start = net.cpu(), time.monotonic()
    for _ in range(5000):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(net.sam)
        flood.append(s)
    for k in range(20):
        out.socket.sendall(b"during the flood %02d" % k)
        need(into.receive_exactly(19) == b"during the flood %02d" % k, "the stream stands still")
        time.sleep(0.1)
    busy = (net.cpu() - cpu) / (time.monotonic() - start)
    # Out of files and nobody asks anything: it must not spin.
    cpu, start = net.cpu(), time.monotonic()
    time.sleep(3)
    idle = (net.cpu() - cpu) / (time.monotonic() - start)
    need(net.alive(), "the process ended")
    fds = net.fds()
    for s in flood:
        s.close()
    start = time.monotonic()
    testnet.until(lambda: Sam(net.sam, 2).close() or True, 20, "a new client gets in", every=0.02)
    took = time.monotonic() - start
    need(took < 1 + LATE, f"a new client had to wait {took:.1f} s")
    out.socket.sendall(b"after the flood")
    need(into.receive_exactly(15) == b"after the flood", "the stream is dead")
    need(idle < 0.5, f"{idle:.0%} of a processor while out of files")
    for end in (out, into, host.control, caller.control):
        end.close()
    # Where the backlog ran over, the system gives us connections that their clients gave up: they say no HELLO.
    testnet.until(net.is_quiet, 90, "all of it is gone")
    return f"{fds} files, {busy:.0%} busy, {idle:.0%} while full, back after {took * 1000:.0f} ms"


@check(slow=True)
def s9_session_flood(net):
    """1,000 SESSION CREATE: at most 100 sessions, the rest are told; all of it goes away again."""
    clients = []
    for k in range(1000):
        s = raw(net, 200)
        s.sendall(HELLO + b"SESSION CREATE STYLE=STREAM ID=f%d DESTINATION=TRANSIENT inbound.length=0 outbound.length=0 "
                  b"inbound.quantity=1 outbound.quantity=1 i2cp.dontPublishLeaseSet=true\n" % k)
        clients.append(s)
    opened = refused = 0
    for s in clients:
        got, end = b"", time.monotonic() + 120
        while got.count(b"\n") < 2 and time.monotonic() < end:
            part = s.recv(65536)
            if not part:
                break
            got += part
        opened += b"SESSION STATUS RESULT=OK" in got
        refused += b"in use" in got
    need(opened <= 100, f"{opened} sessions")
    need(opened >= 90 and opened + refused == 1000, f"{opened} opened, {refused} refused")
    for s in clients:
        s.close()
    testnet.until(net.is_quiet, 60, "all of it is gone")
    return f"{opened} opened, {refused} refused"


# --- S11 to S13 -------------------------------------------------------------------------------------------------------

@check()
def s11_other_hosts(net):
    """Neither a FORWARD nor a datagram session may be aimed at another machine."""
    s = session(net)
    for host in ("10.0.0.1", "192.168.1.1", "8.8.8.8", "::ffff:8.8.8.8", "0x08080808", "134744072", "example.com"):
        with Sam(net.sam) as client:
            answer = client.ask(f"STREAM FORWARD ID={s.id} PORT=80 HOST={host}")
            need("RESULT=I2P_ERROR" in answer, f"FORWARD to {host}: {answer}")
        with Sam(net.sam) as client:
            answer = client.ask(f"SESSION CREATE STYLE=RAW ID=r{RNG.random()} DESTINATION=TRANSIENT PORT=80 HOST={host} inbound.length=0 outbound.length=0")
            need("RESULT=OK" not in answer, f"datagrams to {host}: {answer}")
    s.control.close()


@check()
def s12_option_table(net):
    """64 options and not one more; wild numbers are clamped."""
    def create(words):
        with Sam(net.sam) as client:
            return client.ask(f"SESSION CREATE STYLE=STREAM ID=o{RNG.randrange(1 << 30)} DESTINATION=TRANSIENT inbound.length=0 outbound.length=0 {words}")
    fill = lambda n: " ".join(f"x{k}=1" for k in range(n))
    need("RESULT=OK" in create(fill(59)), "64 options refused: " + create(fill(59)))
    need("RESULT=OK" not in create(fill(60)), "65 options taken")
    need("RESULT=OK" in create("inbound.quantity=99999999999 outbound.quantity=-7 inbound.backupQuantity=zzz i2p.streaming.maxWindowSize=0"), "wild numbers")


def sockets_of(pid):
    """Remote ports of all sockets of a process, UDP and TCP."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            link = os.readlink(f"/proc/{pid}/fd/{fd}")
        except OSError:
            continue
        if link.startswith("socket:["):
            inodes.add(link[8:-1])
    ports = set()
    for name in ("udp", "udp6", "tcp", "tcp6"):
        for line in open(f"/proc/{pid}/net/{name}").read().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes:
                ports.add(int(fields[2].rsplit(":", 1)[1], 16))
    return ports


@check()
def s13_no_leaks(net):
    """Names never go to DNS, and no message holds a path, an address or a key that nobody asked for."""
    stop, seen = threading.Event(), set()

    def watch():
        while not stop.is_set():
            seen.update(sockets_of(net.process.pid))
            time.sleep(0.002)
    watcher = threading.Thread(target=watch)
    watcher.start()
    lines = ["NAMING LOOKUP NAME=example.com", "NAMING LOOKUP NAME=www.example.org", "NAMING LOOKUP NAME=nosuch.i2p", "NAMING LOOKUP NAME=localhost",
             f"NAMING LOOKUP NAME={'a' * 52}.b32.i2p", "STREAM CONNECT ID=nosuch DESTINATION=example.com", "SESSION CREATE STYLE=STREAM ID=q DESTINATION=AAAA",
             "SESSION CREATE STYLE=STREAM", "DEST GENERATE SIGNATURE_TYPE=77", "AUTH ENABLE", "AUTH ADD USER=x", "FOO", "DATAGRAM SEND SIZE=5"]
    messages = []
    for line in lines:
        with Sam(net.sam, 60) as client:
            messages.append(client.ask(line))
    s = session(net)
    with Sam(net.sam, 60) as client:
        messages.append(client.ask(f"STREAM CONNECT ID={s.id} DESTINATION=nosuch.i2p"))
    s.control.close()
    stop.set()
    watcher.join()
    need(53 not in seen and 853 not in seen, "DNS was asked")
    for text in messages:
        need("RESULT=OK" not in text or text.startswith("AUTH"), f"taken: {text}")
        found = re.search(r"\d+\.\d+\.\d+\.\d+|/(home|tmp|var|root|work|etc)|\.rs\b|os error", text)
        need(not found, f"{found and found.group(0)!r} in {text}")
    # AUTH ENABLE must not have locked us out.
    with Sam(net.sam) as client:
        client.ask("AUTH DISABLE")


# --- S14: the storm ---------------------------------------------------------------------------------------------------

def storm(net, streams):
    """One session with everything on it, torn down in random order."""
    s = session(net)
    target = socket.create_server(("127.0.0.1", 0))
    ends, calls = [], []
    for _ in range(streams):
        ends += pair(net, s, s)
    for e in ends[::3]:
        e.socket.sendall(b"x" * RNG.randrange(1, 20000))
    for _ in range(RNG.randrange(1, 6)):
        ends.append(s.accept())
    for line in ("NAMING LOOKUP NAME=" + "b" * 52 + ".b32.i2p", f"STREAM CONNECT ID={s.id} DESTINATION=" + "c" * 52 + ".b32.i2p",
                 f"SESSION CREATE STYLE=STREAM ID=w{RNG.randrange(1 << 30)} DESTINATION=TRANSIENT"):
        client = Sam(net.sam)
        client.send(line)
        calls.append(client)
    forward = None
    if RNG.random() < 0.5:
        f = session(net)
        forward = Sam(net.sam)
        forward.must(f"STREAM FORWARD ID={f.id} PORT={target.getsockname()[1]}")
        ends.append(s.connect(f.destination, 30))
        calls += [forward, f.control]
    first = RNG.random() < 0.5
    end = RNG.choice(("close", "reset", "half", "quit"))
    order = ends + calls
    RNG.shuffle(order)

    def finish():
        sock = s.control.socket
        if end == "reset":
            reset(sock)
        elif end == "half":
            sock.shutdown(socket.SHUT_WR)
        elif end == "quit":
            sock.sendall(b"QUIT\n")
        else:
            sock.close()
    if first:
        finish()
        start = time.monotonic()
        for e in ends:
            # Its streams and accepts are closed by the bridge; what was on its way may come first.
            e.socket.settimeout(10)
            try:
                while e.socket.recv(65536):
                    pass
            except ConnectionResetError:
                pass
            except TimeoutError:
                raise Fail("a socket of the dead session is still open after 10 s") from None
        took = time.monotonic() - start
    for e in order:
        reset(e.socket) if RNG.random() < 0.3 else e.close()
    if not first:
        finish()
        took = 0
    if end in ("half", "quit"):
        s.control.close()
    target.close()
    return took


@check()
def s14_teardown_storm(net):
    """Sessions torn down with all that is on them, over and over: nothing is left, neither file nor task nor session."""
    storm(net, 5)
    testnet.until(net.is_quiet, 40, "all of it is gone")
    time.sleep(1)
    fds, rss, tasks = net.fds(), net.rss(), net.counts()[2]
    slowest = 0
    for _ in range(OPTIONS.rounds):
        slowest = max(slowest, storm(net, RNG.randrange(1, 12)))
    storm(net, 30 if OPTIONS.quick else 200)
    testnet.until(net.is_quiet, 60, "all of it is gone")
    testnet.until(lambda: net.counts()[2] <= tasks + 4, 60, f"tasks are back at {tasks}")
    testnet.until(lambda: net.fds() <= fds + 4, 60, f"files are back at {fds}")
    grown = net.rss() - rss
    need(grown < 64 << 20, f"{mib(grown)} more")
    need("panicked" not in net.text(), "a task panicked")
    return f"{OPTIONS.rounds} rounds, slowest close {slowest:.1f} s, {net.fds() - fds:+d} files, {net.counts()[2] - tasks:+d} tasks, {mib(grown)}"


@check()
def s15_shutdown(net):
    """The last: SIGTERM with streams open ends the process in order, within ten seconds, with code 0."""
    host, caller = session(net), Session(net.sams[1], hops=1, quantity=1)
    ends = pair(net, host, caller)
    ends[0].socket.sendall(b"last words")
    need(ends[1].receive_exactly(10) == b"last words", "no stream")
    start = time.monotonic()
    code = net.stop()
    took = time.monotonic() - start
    need(code == 0 and took < 10, f"code {code} after {took:.1f} s")
    ends[1].socket.settimeout(5)
    try:
        need(ends[1].socket.recv(10) == b"", "bytes from nowhere")
    except ConnectionResetError:
        pass
    return f"{took:.1f} s"


# --- the log ----------------------------------------------------------------------------------------------------------

def z6_log(net, text, secrets):
    """Nothing in the log at its usual level tells who talks to whom or what is said."""
    for name, secret in secrets:
        need(secret not in text, f"{name} is in the log")
    found = re.search(r"[a-z2-7]{52}\.b32\.i2p|[A-Za-z0-9~-]{120,}", text)
    need(not found, f"{found and found.group(0)[:80]!r} is in the log")
    return f"{len(text.splitlines())} lines"


def main():
    names = [name for name, *_ in CHECKS]
    failures, ran = [], 0
    with tempfile.TemporaryDirectory(prefix="samovar-abuse-") as folder:
        for files in sorted({f for *_, f, _ in CHECKS}, key=lambda f: f or 0):
            chosen = [(name, slow, function) for name, slow, f, function in CHECKS if f == files and OPTIONS.only in name]
            chosen = [(name, function) for name, slow, function in chosen if not (slow and OPTIONS.quick)]
            if not chosen:
                continue
            net = Net(folder, files).start()
            for name, function in chosen:
                ran += 1
                start = time.monotonic()
                try:
                    need(net.alive() or name.startswith("s15"), "the process is gone")
                    told = function(net)
                    print(f"ok    {name:28} {time.monotonic() - start:5.1f} s  {told or ''}", flush=True)
                except Exception as error:
                    failures.append(name)
                    print(f"FAIL  {name:28} {error}", flush=True)
                    if OPTIONS.verbose or not isinstance(error, (Fail, testnet.Late, SamError)):
                        traceback.print_exc()
            text = net.text()
            if net.alive():
                net.stop()
            try:
                told = z6_log(net, text, [("a payload", s) for s in ("last words", "still here", "during the flood", "the right one")])
                print(f"ok    {'z6_log':28}          {told}")
            except Fail as error:
                failures.append("z6_log")
                print(f"FAIL  {'z6_log':28} {error}")
            if "panicked" in text:
                failures.append("panic")
                print("FAIL  a task panicked:\n" + "\n".join(l for l in text.splitlines() if "panicked" in l))
            if failures:
                print(testnet.tail(net.text()), file=sys.stderr)
    print(f"{ran} checks of {len(names)}, {len(failures)} failed{': ' + ', '.join(failures) if failures else ''} (SEED={SEED})")
    return 1 if failures else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="checks with this in their name")
    parser.add_argument("--quick", action="store_true", help="without the slow ones")
    parser.add_argument("--rounds", type=int, default=20, help="rounds of the storm")
    parser.add_argument("--verbose", action="store_true")
    OPTIONS = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
