# SPDX-License-Identifier: MIT
"""Datagrams per second and loss, for bench.py: 1 KiB each, repliable and raw, by UDP and on the control socket.

Sender and receiver are processes of their own and move many datagrams with one system call, so that Python is not what
is measured; `alone()` tells how far they get without a router. Every datagram carries the number of its run and its own
number in the run: one that comes twice, or late from an earlier run, is not counted.
"""
import ctypes
import mmap
import multiprocessing
import os
import socket
import statistics
import struct
import time

from samclient import SamError, Session, Task

SIZE = 1024
BATCH = 32
LOSS = 0.01
RUN_MAX = 1 << 21  # datagrams of one run
COUNTS = struct.Struct("<QQQdd")  # run, different ones, repeated ones, time of the first and of the last
# (style, by UDP, hops)
KINDS = (("DATAGRAM", True, 0), ("RAW", True, 0), ("DATAGRAM", True, 2), ("RAW", True, 2), ("DATAGRAM", False, 2), ("RAW", False, 2))
FORK = multiprocessing.get_context("fork")
LIBC = ctypes.CDLL(None, use_errno=True)


def label(style, udp, hops):
    return f"{'raw' if style == 'RAW' else 'repliable'} by {'UDP' if udp else 'TCP'}, {hops} hops"


# --- many datagrams with one call ------------------------------------------------------------------------------------

class IoVec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]


class MsgHdr(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint32), ("iov", ctypes.POINTER(IoVec)), ("iovlen", ctypes.c_size_t),
                ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t), ("flags", ctypes.c_int)]


class MMsgHdr(ctypes.Structure):
    _fields_ = [("hdr", MsgHdr), ("size", ctypes.c_uint32)]


class Vector:
    """So many buffers of one size, one after the other in `memory`, for sendmmsg and recvmmsg."""

    def __init__(self, size):
        self.memory, self.size = bytearray(BATCH * size), size
        base = ctypes.addressof((ctypes.c_char * len(self.memory)).from_buffer(self.memory))
        self.parts = (IoVec * BATCH)(*[IoVec(base + k * size, size) for k in range(BATCH)])
        self.headers = (MMsgHdr * BATCH)()
        for k, header in enumerate(self.headers):
            header.hdr.iov, header.hdr.iovlen = ctypes.pointer(self.parts[k]), 1

    def send(self, fd, count):
        """Sends the first `count`; those that the socket does not take are lost, as on any UDP socket."""
        LIBC.sendmmsg(fd, self.headers, count, 0)

    def receive(self, fd):
        """Waits for one, takes all that are there; their sizes."""
        got = LIBC.recvmmsg(fd, self.headers, BATCH, 0x10000, None)  # MSG_WAITFORONE
        return [self.headers[k].size for k in range(max(got, 0))]


# --- the two processes -----------------------------------------------------------------------------------------------

class Sink:
    """A process that counts what arrives at a socket."""

    def __init__(self, sock, udp):
        self.counts = mmap.mmap(-1, COUNTS.size)
        self.process = FORK.Process(target=self._udp if udp else self._tcp, args=(sock,), daemon=True)
        self.process.start()

    def read(self):
        return COUNTS.unpack_from(self.counts)

    def await_run(self, run, sent, seconds=6, quiet=0.5):
        """Waits until all of a run have come, or nothing came for a while, late ones of earlier runs included:
        (different ones, repeated, first, last)."""
        end, before, since = time.monotonic() + seconds, None, time.monotonic()
        while True:
            now, state = time.monotonic(), self.read()
            if state != before:
                before, since = state, now
            at, *counts = state
            if (at == run and counts[0] >= sent) or now > end or now - since > quiet:
                return counts if at == run else (0, 0, 0.0, 0.0)
            time.sleep(0.01)

    def _take(self, state, payloads):
        run, seen, count, twice, first, last = state
        now = time.monotonic()
        for at, number in payloads:
            if at != run:
                if at < run:
                    continue
                run, seen, count, twice, first = at, bytearray(RUN_MAX), 0, 0, now
            if number >= RUN_MAX or seen[number]:
                twice += 1
            else:
                seen[number] = 1
                count += 1
        COUNTS.pack_into(self.counts, 0, run, count, twice, first, now)
        return run, seen, count, twice, first, now

    def _udp(self, sock):
        vector, state, words = Vector(4096), (0, bytearray(RUN_MAX), 0, 0, 0.0, 0.0), struct.Struct("<II")
        sock.settimeout(None)
        while True:
            sizes = vector.receive(sock.fileno())
            # The payload is the end of each, whatever header line is in front of it.
            state = self._take(state, [words.unpack_from(vector.memory, k * 4096 + size - SIZE) for k, size in enumerate(sizes) if size >= SIZE])

    def _tcp(self, sock):
        state, words, rest = (0, bytearray(RUN_MAX), 0, 0, 0.0, 0.0), struct.Struct("<II"), b""
        sock.settimeout(None)
        while data := sock.recv(1 << 18):
            data, at, found = rest + data, 0, []
            while (line := data.find(b"\n", at)) >= 0 and line + 1 + SIZE <= len(data):
                found.append(words.unpack_from(data, line + 1))
                at = line + 1 + SIZE
            rest = data[at:]
            state = self._take(state, found)

    def close(self):
        self.process.kill()
        self.process.join()


def send_run(sock, to, head, run, rate, seconds):
    """In a process of its own: sends numbered datagrams for so long, `rate` of them a second or as many as it can.
    Returns how many were sent and how long that took. `to` is the UDP address of the bridge, None on a TCP socket."""
    ours, theirs = FORK.Pipe(duplex=False)
    process = FORK.Process(target=_send, args=(theirs, sock, to, head, run, rate, seconds), daemon=True)
    process.start()
    try:
        if not ours.poll(seconds + 60):
            raise SamError("the bridge takes no more datagrams")
        sent, took = ours.recv()
    finally:
        process.kill()
        process.join()
    return sent, took


def _send(answer, sock, to, head, run, rate, seconds):
    size = len(head) + SIZE
    vector, words = Vector(size), struct.Struct("<II")
    for k in range(BATCH):
        vector.memory[k * size:(k + 1) * size] = head + os.urandom(SIZE)
    if to:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect(to)
    else:
        sock.settimeout(None)  # the flag is shared with the other processes
    whole, sent, start = memoryview(vector.memory), 0, time.monotonic()
    while (now := time.monotonic() - start) < seconds and sent + BATCH < RUN_MAX:
        due = BATCH if not rate else min(BATCH, int(now * rate) - sent)
        if due <= 0:
            time.sleep(0.001)
            continue
        for k in range(due):
            words.pack_into(vector.memory, k * size + len(head), run, sent + k)
        if to:
            vector.send(sock.fileno(), due)
        else:
            sock.sendall(whole[:due * size])
        sent += due
    answer.send((sent, time.monotonic() - start))


def alone():
    """Datagrams a second from the sender to the receiver, no router between them: by UDP and by TCP."""
    out = []
    for udp in (True, False):
        head = b"x" * 530 + b"\n"
        if udp:
            far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            far.bind(("127.0.0.1", 0))
            near, to = None, far.getsockname()
        else:
            (near, far), to = socket.socketpair(), None
        sink = Sink(far, udp)
        try:
            sent, _ = send_run(near, to, head, 1, None, 1)
            count, _, first, last = sink.await_run(1, sent)
            out.append(count / max(last - first, 0.001))
        finally:
            sink.close()
            far.close()
    return out


# --- over routers ----------------------------------------------------------------------------------------------------

class Way:
    """Two sessions and what sends from one to the other."""

    def __init__(self, side, kind):
        self.style, self.udp, self.hops = kind
        self.run = 0
        tasks = [Task(self._session, side, router) for router in (side.client, side.server)]
        (self.near, self.near_box), (self.far, self.far_box) = [t.result(180) for t in tasks]
        self.sink = Sink(self.far_box or self.far.control.socket, self.udp)
        # The receiver also sends, so that each has found the other and the session has keys of both.
        self.back_sink = Sink(self.near_box or self.near.control.socket, self.udp)

    def _session(self, side, router):
        words, box = "", None
        if self.udp:
            box = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            box.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            box.bind(("127.0.0.1", 0))
            words = f"HOST=127.0.0.1 PORT={box.getsockname()[1]}"
        return side.net.session(router, self.hops, style=self.style, words=words, timeout=180), box

    def send(self, near, far, rate, seconds, run):
        if self.udp:
            to, head = (near.address[0], near.address[1] - 1), f"3.0 {near.id} {far.destination}\n"
        else:
            to, head = None, f"{self.style} SEND DESTINATION={far.destination} SIZE={SIZE}\n"
        return send_run(near.control.socket, to, head.encode(), run, rate, seconds)

    def warm_up(self, seconds=90):
        """Until nothing is lost in either direction: both have each other's lease set, and keys of the session."""
        end = time.monotonic() + seconds
        while True:
            lost = 0
            for near, far, sink in ((self.near, self.far, self.sink), (self.far, self.near, self.back_sink)):
                self.run += 1
                sent, _ = self.send(near, far, 50, 0.4, self.run)
                lost += sent - sink.await_run(self.run, sent)[0]
            if not lost:
                return
            if time.monotonic() > end:
                raise SamError(f"after {seconds} s still lost {lost} of the first datagrams")

    def measure(self, rate, seconds):
        """One run: (sent, received, rate sent, rate received, repeated)."""
        self.run += 1
        sent, took = self.send(self.near, self.far, rate, seconds, self.run)
        count, twice, first, last = self.sink.await_run(self.run, sent)
        return sent, count, sent / took, count / max(last - first, took, 0.001), twice

    def holds(self, rate, seconds):
        """Whether less than one in a hundred is lost at this rate, with one more try; a bridge that makes its client
        wait, so that it cannot send at the rate, does not hold it."""
        for _ in range(2):
            sent, count, sent_rate, _, _ = self.measure(rate, seconds)
            if count >= sent * (1 - LOSS) and sent_rate >= rate * 0.95:
                return True
        return False

    def highest(self, seconds, start=500):
        """The highest rate that holds, found by steps of 2 and then two of halves."""
        low, high = 0, start
        while high <= 200_000 and self.holds(high, seconds):
            low, high = high, high * 2
        while not low and high > 8:
            high /= 2
            if self.holds(high, seconds):
                low, high = high, high * 2
        for _ in range(2 if low else 0):
            middle = round((low * high) ** 0.5)
            low, high = (middle, high) if self.holds(middle, seconds) else (low, middle)
        return low

    def close(self):
        """Ends what counts; the sessions stay, as i2pd's bridge may hang when they are closed."""
        self.sink.close()
        self.back_sink.close()


def measure(sides, attempt, seconds, kinds=KINDS):
    """All kinds on both sides. `attempt` notes what fails and goes on."""
    ways = {(name, kind): Task(Way, side, kind) for name, side in sides.items() for kind in kinds}
    for kind in kinds:
        for name, side in sides.items():
            attempt(side, f"datagrams {label(*kind)}", _measure_kind, ways[name, kind], kind, seconds)


def _measure_kind(side, task, kind, seconds):
    way = task.result(240)
    try:
        way.warm_up()
        side.note(("datagrams", kind), way.highest(seconds))
        cpu = sum(r.cpu_s() for r in side.net.routers)
        runs = [way.measure(None, 2 * seconds) for _ in range(2)]
        cpu = sum(r.cpu_s() for r in side.net.routers) - cpu
    finally:
        way.close()
    side.note(("flat out", kind), statistics.mean(r[3] for r in runs))
    side.note(("offered", kind), statistics.mean(r[2] for r in runs))
    side.note(("loss", kind), statistics.mean(100 * (1 - r[1] / r[0]) for r in runs))
    side.note(("datagram cpu", kind), cpu * 1000 / max(1, sum(r[1] for r in runs)))
    side.note(("repeated", kind), sum(r[4] for r in runs))
    shown = {name: side.median((name, kind)) for name in ("datagrams", "offered", "flat out", "loss")}
    print(f"  {side.name}, {label(*kind)}: {shown['datagrams']:.0f}/s without loss; flat out {shown['offered']:.0f}/s sent, "
          f"{shown['flat out']:.0f}/s received, {shown['loss']:.1f} % lost", flush=True)


def rows(kinds=KINDS):
    """Rows of the table: label, unit, key, whether more is better."""
    out = []
    for kind in kinds:
        out.append((f"datagrams {label(*kind)}: highest rate with less than 1 % lost", "1/s", ("datagrams", kind), True))
        out.append((f"datagrams {label(*kind)}: received when sent flat out", "1/s", ("flat out", kind), True))
        out.append((f"datagrams {label(*kind)}: lost when sent flat out", "%", ("loss", kind), None))
    return out
