# SPDX-License-Identifier: MIT
"""Load for chaos.py: streams and datagrams between routers, checked by hash, opened anew when an end of theirs dies.

A `Line` keeps one stream between two routers busy in both directions. Every block carries its number and the hash of
all that was sent before it, so a receiver can tell at once whether what it holds is an honest beginning of what was
sent. A stream that ends is judged: with a router at one of its ends killed it may end, and both sides must be told in
time; otherwise it was lost, which is a failure. A block that does not fit is a failure whatever happened.
"""
import hashlib
import os
import select
import socket
import threading
import time

from samclient import Sam, SamError, Session, Task

BLOCK = 8192
HEAD = 1 + 8 + 32
# After a router died the other end of its streams has so long to find out; two minutes are ours, the rest the machine's.
TOLD_S = 150
# An attempt to open a stream takes so long at most; its router may have gone meanwhile.
OPEN_S = 15
# A stream that nobody broke never stands still for longer.
STILL_S = 100
POOL = os.urandom(4 * BLOCK)


class Corrupt(Exception):
    """Something arrived that was not sent."""


def block(number, last, chain):
    at = number * 37 % (3 * BLOCK)
    return bytes([last]) + number.to_bytes(8, "big") + chain.digest() + POOL[at:at + BLOCK - HEAD]


class Flow:
    """One direction of a stream: a thread that sends and one that receives."""

    def __init__(self, load, source, sink):
        self.load, self.source, self.sink = load, source, sink
        self.sent = self.received = 0
        self.longest_gap, self.moved = 0.0, time.monotonic()
        self.done, self.corrupt, self.ends = False, None, {}
        for end in (source, sink):
            end.socket.settimeout(None)
        self.tasks = [Task(self._run, "sender", self._send), Task(self._run, "receiver", self._receive)]

    def _run(self, side, work):
        try:
            work()
        except Corrupt as e:
            self.corrupt = str(e)
        except (SamError, OSError, ValueError) as e:
            self.ends[side] = (time.monotonic(), str(e) or type(e).__name__)

    def _send(self):
        chain, number, due = hashlib.sha256(), 0, time.monotonic()
        while True:
            last = self.load.closing.is_set()
            piece = block(number, last, chain)
            chain.update(piece)
            self.source.socket.sendall(piece)
            self.sent += BLOCK
            number += 1
            if last:
                return
            due = max(due + BLOCK / self.load.rate, time.monotonic() - 1)
            self.load.closing.wait(max(0, due - time.monotonic()))

    def _receive(self):
        chain, number = hashlib.sha256(), 0
        while True:
            piece = self.sink.receive_exactly(BLOCK)
            last = piece[0]
            if piece != block(number, last, chain):
                raise Corrupt(f"block {number} after {self.received} bytes is not what was sent")
            chain.update(piece)
            now = time.monotonic()
            self.longest_gap, self.moved = max(self.longest_gap, now - self.moved), now
            self.received += BLOCK
            number += 1
            if last:
                self.done = True
                return

    def gap(self):
        """The longest time without a block, the one under way included."""
        return max(self.longest_gap, 0 if self.done or self.ends else time.monotonic() - self.moved)

    def running(self):
        return any(t.is_alive() for t in self.tasks)


class Stream:
    """Both directions between two SAM sockets."""

    def __init__(self, line, near, far):
        self.line, self.near, self.far = line, near, far
        self.opened = time.monotonic()
        line.load.streams.append(self)
        self.flows = [Flow(line.load, near, far), Flow(line.load, far, near)]

    def broken(self):
        return any(f.ends or f.corrupt for f in self.flows)

    def running(self):
        return any(f.running() for f in self.flows)

    def bury(self, first):
        """Waits until both sides know, closes what is left, and writes the record."""
        end = first + TOLD_S
        while self.running() and time.monotonic() < end and not self.line.load.over.is_set():
            time.sleep(0.2)
        hung = self.running() and not self.line.load.over.is_set()
        told = max((t for f in self.flows for t, _ in f.ends.values()), default=first) - first
        why = "; ".join(sorted({text for f in self.flows for _, text in f.ends.values()}))
        for sam in (self.near, self.far):
            sam.close()
        self.line.load.record(self, first, told, hung, why)


class Porter:
    """Accepts at one router until the caller of one attempt is there: those of earlier ones may still stand in the queue."""

    def __init__(self, server):
        self.server, self.word, self.near = server, os.urandom(8), None
        self.left, self.doors = threading.Event(), []
        self._accept()
        self.task = Task(self._greet)

    def _accept(self):
        self.doors.append(self.server.accept())
        # A porter who stayed would take the callers of all later attempts, and send each of them away.
        if self.left.is_set():
            self.doors[-1].close()
            raise SamError("the attempt is over")
        return self.doors[-1]

    def expects(self, near):
        """Who is going to call. If the router here goes meanwhile, nobody has to wait for the call to fail."""
        self.near = near
        if self.task.error:
            raise self.task.error

    def _greet(self):
        try:
            return self._await_word()
        except BaseException:
            if self.near:
                self.near.close()
            raise

    def _await_word(self):
        far = self.doors[-1]
        while True:
            far.line()
            try:
                if far.receive_exactly(len(self.word)) == self.word:
                    far.socket.sendall(b"!")
                    return far
            except (SamError, OSError):
                pass
            far.close()
            far = self._accept()

    def leave(self):
        """The attempt has failed."""
        self.left.set()
        for sam in list(self.doors):
            sam.close()


class Line:
    """Keeps a stream between two routers, until told to close. One that is not `strict` may end for no reason: i2pd's."""

    def __init__(self, load, a, b, hops=2, strict=True):
        self.load, self.a, self.b, self.hops, self.strict = load, a, b, hops, strict
        self.name = f"{a.name}-{b.name}"
        self.sessions, self.stream, self.opened, self.trouble = {}, None, 0, None
        self.task = Task(self._run)

    def _session(self, router):
        session = self.sessions.get(router.name)
        if session and not _hung_up(session.control):
            return session
        session = Session(router.sam, self.hops, timeout=OPEN_S)
        self.sessions[router.name] = session
        return session

    def _open(self):
        """One attempt: a stream over which a word went forth and a byte came back."""
        client, server = self._session(self.a), self._session(self.b)
        near, porter = None, Porter(server)
        try:
            near = Sam(client.address, client.timeout)
            porter.expects(near)
            near.must(f"STREAM CONNECT ID={client.id} DESTINATION={server.destination} SILENT=false")
            near.socket.sendall(porter.word)
            if near.receive_exactly(1) != b"!":
                raise SamError("the first byte came back wrong")
            return near, porter.task.result(OPEN_S)
        except BaseException:
            porter.leave()
            if near:
                near.close()
            raise

    def _run(self):
        while not self.load.closing.is_set():
            try:
                near, far = self._open()
            except (SamError, OSError) as e:
                self.trouble = str(e)
                self.load.closing.wait(0.5)
                continue
            self.trouble = None
            self.opened += 1
            self.stream = stream = Stream(self, near, far)
            while stream.running() and not stream.broken():
                time.sleep(0.1)
            if stream.broken():
                self.stream = None
                self.load.graves.append(Task(stream.bury, time.monotonic()))

    def moving(self, since):
        """A block has come in both directions since then."""
        stream = self.stream
        return stream is not None and all(f.moved > since and f.received for f in stream.flows)


def _hung_up(sam):
    readable, _, _ = select.select([sam.socket], [], [], 0)
    try:
        return bool(readable) and not sam.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except OSError:
        return True


class Datagrams:
    """Numbered datagrams from one router to another; loss is allowed, change is not."""

    SIZE = 700

    def __init__(self, load, a, b, hops=2):
        self.load, self.a, self.b, self.hops = load, a, b, hops
        self.name = f"{a.name}~{b.name}"
        self.sent = self.received = 0
        self.corrupt, self.moved = None, 0.0
        self.task = Task(self._run)

    def _run(self):
        while not self.load.closing.is_set():
            try:
                with Session(self.a.sam, self.hops, style="DATAGRAM", timeout=60) as near, \
                        Session(self.b.sam, self.hops, style="DATAGRAM", timeout=60) as far:
                    receiver = Task(self._receive, near.destination, far)
                    while receiver.is_alive() and not self.load.closing.is_set():
                        number = self.sent.to_bytes(8, "big")
                        body = number + POOL[:self.SIZE - 40]
                        near.send_datagram(far.destination, body + hashlib.sha256(body).digest())
                        self.sent += 1
                        self.load.closing.wait(0.1)
            except (SamError, OSError):
                self.load.closing.wait(0.5)

    def _receive(self, sender, far):
        while not self.load.closing.is_set():
            got = far.receive_datagram(5)
            if got is None:
                if _hung_up(far.control):
                    return
                continue
            body, digest = got[1][:-32], got[1][-32:]
            if got[0] != sender or hashlib.sha256(body).digest() != digest:
                self.corrupt = f"a datagram of {len(got[1])} bytes arrived changed or with another sender"
            self.received += 1
            self.moved = time.monotonic()


class Load:
    """All lines, what broke them, and what became of their streams."""

    def __init__(self, rate):
        self.rate = rate
        self.closing, self.over = threading.Event(), threading.Event()
        self.lines, self.datagrams, self.streams, self.graves, self.records = [], [], [], [], []
        self.deaths = []
        self.lock = threading.Lock()

    def died(self, router):
        """From now on streams at this router may end."""
        with self.lock:
            self.deaths.append((time.monotonic(), router))

    def excused(self, stream, end):
        if not stream.line.strict:
            return True
        with self.lock:
            return any(r in (stream.line.a, stream.line.b) and stream.opened - 5 <= t <= end for t, r in self.deaths)

    def record(self, stream, ended, told, hung, why):
        corrupt = next((f.corrupt for f in stream.flows if f.corrupt), None)
        self.records.append({"line": stream.line.name, "ended": ended, "lived": ended - stream.opened, "told": told, "hung": hung,
                             "why": why, "corrupt": corrupt, "excused": self.excused(stream, ended)})

    def received(self):
        return sum(f.received for stream in self.streams for f in stream.flows)

    def complaints(self, since=0.0):
        """What must not have happened since then, as lines of text."""
        out = []
        for r in list(self.records):
            if r["ended"] < since:
                continue
            if r["corrupt"]:
                out.append(f"CORRUPT {r['line']}: {r['corrupt']}")
            elif r["hung"]:
                out.append(f"{r['line']}: a side was not told within {TOLD_S} s that the stream had ended ({r['why']})")
            elif not r["excused"]:
                out.append(f"{r['line']}: a stream of two living routers ended after {r['lived']:.0f} s: {r['why']}")
        for line in self.lines:
            for flow in line.stream.flows if line.stream else []:
                if flow.corrupt:
                    out.append(f"CORRUPT {line.name}: {flow.corrupt}")
                if flow.gap() > STILL_S:
                    out.append(f"{line.name}: nothing moved for {flow.gap():.0f} s")
        return out + [f"CORRUPT {d.name}: {d.corrupt}" for d in self.datagrams if d.corrupt]

    def longest_gap(self):
        return max((f.gap() for line in self.lines if line.stream for f in line.stream.flows), default=0.0)

    def restart_gaps(self):
        for line in self.lines:
            for flow in line.stream.flows if line.stream else []:
                flow.longest_gap, flow.moved = 0.0, time.monotonic()

    def close(self, seconds=90, told=TOLD_S):
        """Ends every stream in order; complaints about those that did not. `told`: patience with sides of streams that
        were broken lately and do not know it yet."""
        self.closing.set()
        end, out = time.monotonic() + seconds, []
        for line in self.lines:
            while line.stream and line.stream.running() and time.monotonic() < end:
                time.sleep(0.1)
            if line.stream and not all(f.done for f in line.stream.flows) and not line.stream.broken():
                out.append(f"{line.name}: its stream did not come to its end")
        for line in self.lines:
            line.task.join(max(1, end - time.monotonic()))
        end = time.monotonic() + told
        for grave in self.graves:
            grave.join(max(0.1, end - time.monotonic()))
        self.over.set()
        return out


def sam_answers(address, seconds=2):
    Sam(address, timeout=seconds).close()
    return True
