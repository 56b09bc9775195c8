# SPDX-License-Identifier: MIT
"""For flood.py: a router with the least memory there is, in a cage of 128 MiB, under all floods at once (row Z3).

The victim has a budget of 64 MiB. It is put into a memory cgroup of 128 MiB (version 2 or 1), or, where none can be
made, gets so much address space as it has after the start, and what is missing to 128 MiB. Besides the floods there are
downloads whose programs do not read, so that the budget is used up. An honest stream runs meanwhile; every byte of it is
compared.
"""
import mmap
import os
import pathlib
import re
import resource
import struct
import time

import testnet
from flood_net import HOPS, Busy, Flooder, Victim, call
from samclient import Sam, SamError, Session, Task
from testnet import until

SECONDS = 120
BUDGET_MIB = 64
CAGE_MIB = 128
# Programs that do not read, each of a stream that could hold 1.5 MiB.
HOGS = 60
# The stream must move in each.
WINDOW_S = 10
BLOCK = 1 << 16
FIGURES = struct.Struct("<QQ")
CGROUP = pathlib.Path("/sys/fs/cgroup")
REFUSALS = ("memory.refused_", "_busy", "dropped_memory", "accept_refused", "accept_evicted", "requests_dropped",
            "sockets_refused", "session_refused", "dropped_rate", "lookups_dropped")


# --- the cage --------------------------------------------------------------------------------------------------------

class Cage:
    """A memory cgroup of our own, or a bound on address space."""

    def __init__(self, wanted="auto"):
        self.path = self.kind = None
        name = f"samovar-flood-{os.getpid()}"
        for kind, root, files in (("cgroup v2", CGROUP, [("memory.max", CAGE_MIB << 20), ("memory.swap.max", 0)]),
                                  ("cgroup v1", CGROUP / "memory", [("memory.limit_in_bytes", CAGE_MIB << 20), ("memory.memsw.limit_in_bytes", CAGE_MIB << 20)])):
            if wanted not in ("auto", kind.split()[1]) or self.path:
                continue
            if self._make(root / name, files):
                self.kind, self.path = kind, root / name
        if not self.path:
            self.kind = "address space"

    @staticmethod
    def _make(path, files):
        try:
            path.mkdir()
        except OSError:
            return False
        try:
            first, *more = files
            if not (path / first[0]).exists():
                raise OSError("no cgroup")
            (path / first[0]).write_text(str(first[1]))
            for name, value in more:
                if (path / name).exists():
                    (path / name).write_text(str(value))
            return True
        except OSError:
            path.rmdir()
            return False

    def enter(self):
        """To be called by the process that goes in."""
        if self.path:
            (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def close_door(self, pid):
        """For the bound on address space: what a router has when it is up has been asked for already."""
        if not self.path:
            text = pathlib.Path(f"/proc/{pid}/status").read_text()
            size, held = (int(re.search(rf"{word}:\s+(\d+)", text)[1]) << 10 for word in ("VmSize", "VmRSS"))
            most = size + (CAGE_MIB << 20) - held
            resource.prlimit(pid, resource.RLIMIT_AS, (most, most))
            self.kind = f"address space of {most >> 20} MiB, {size >> 20} of it taken at the start"

    def _number(self, file, pattern):
        try:
            found = re.search(pattern, (self.path / file).read_text(), re.M)
            return int(found[1]) if found else 0
        except OSError:
            return 0

    def kills(self):
        """Processes that the system has ended for want of memory."""
        if not self.path:
            return 0
        return self._number("memory.events" if self.kind.endswith("2") else "memory.oom_control", r"^oom_kill (\d+)")

    def told(self):
        """What the cage itself has seen."""
        if not self.path:
            return "no counters of the system"
        if self.kind.endswith("2"):
            most, full = self._number("memory.peak", r"^(\d+)"), self._number("memory.events", r"^max (\d+)")
        else:
            most, full = self._number("memory.max_usage_in_bytes", r"^(\d+)"), self._number("memory.failcnt", r"^(\d+)")
        return f"most {most >> 20} MiB with the system's buffers and files, {full} times full, {self.kills()} kills"

    def remove(self):
        if self.path:
            try:
                until(lambda: not (self.path / "cgroup.procs").read_text().strip(), 5, "the cage is empty")
                self.path.rmdir()
            except (OSError, testnet.Late) as e:
                print(f"     {self.path} stays: {e}")


class Caged(Victim):
    """The victim with the least memory, in the cage that its network has."""

    lines = f"sam-spare = false\nmemory-max = {BUDGET_MIB}\n"

    def __init__(self, net, k, **more):
        super().__init__(net, k, log="warn,samovar::cli::run=debug", **more)

    def before(self):
        self.net.cage.enter()


# --- the honest stream -----------------------------------------------------------------------------------------------

def _pour(sock, pattern):
    sock.setblocking(True)
    sock.settimeout(None)
    n = 0
    while True:
        sock.sendall(n.to_bytes(8, "big") + pattern)
        n += 1


def _check(sock, pattern, figures):
    """Counts bytes that came and blocks that are not what was sent."""
    sock.setblocking(True)
    sock.settimeout(None)
    n, wrong, total, block = 0, 0, 0, bytearray(BLOCK)
    while True:
        view = memoryview(block)
        while view:
            size = sock.recv_into(view)
            if not size:
                return
            total += size
            FIGURES.pack_into(figures, 0, total, wrong)
            view = view[size:]
        wrong += int.from_bytes(block[:8], "big") != n or block[8:] != pattern
        n += 1


class Checked(Busy):
    """One of which every byte is compared."""

    def __init__(self, near, far):
        super().__init__(near, far, patience=120)
        pattern, self.figures = os.urandom(BLOCK - 8), mmap.mmap(-1, FIGURES.size)
        self.work((_pour, self.near.socket, pattern), (_check, self.far.socket, pattern, self.figures))

    def read(self):
        return FIGURES.unpack_from(self.figures, 0)


class Hogs:
    """Streams into a session of the victim whose programs do not read, and senders who never stop."""

    def __init__(self, side):
        self.session = side.net.session(side.victim, HOPS, timeout=120)
        self.ends, self.pattern = [], os.urandom(BLOCK)
        for k in range(HOGS):
            far = self.session.accept()
            near = side.caller.connect(self.session.destination, 60)
            near.socket.settimeout(0.02)
            self.ends.append((near, far))
        self.going = True
        self.task = Task(self.push)

    def push(self):
        while self.going:
            for near, _ in self.ends:
                try:
                    near.socket.send(self.pattern)
                except OSError:
                    pass

    def close(self):
        self.going = False
        for near, far in self.ends:
            near.close()
            far.close()
        self.session.close()


# --- the run ---------------------------------------------------------------------------------------------------------

class Person:
    """Asks HELP STATUS on a connection that stood before the floods, which may take all places of the SAM port."""

    def __init__(self, address):
        self.sam, self.answers, self.slowest, self.budget, self.parts = Sam(address, 20), 0, 0.0, 0.0, ""

    def ask(self):
        begun = time.monotonic()
        self.sam.send("HELP STATUS")
        while (line := self.sam.line()) != "# end":
            if found := re.search(r"memory ([\d.]+) of (\d+) MiB: (.*);", line):
                self.budget, self.parts = max((self.budget, self.parts), (float(found[1]), found[3]))
        self.answers, self.slowest = self.answers + 1, max(self.slowest, time.monotonic() - begun)


def watch(side, stream, person, seconds):
    """Looks at everything for so long: (RSS most, bytes of each window, complaints)."""
    begun, window = time.monotonic(), min(WINDOW_S, seconds / 2)
    most, windows, bad = 0.0, [], []
    last, window_end, ask_at = stream.read()[0], begun + window, begun
    while (now := time.monotonic()) < begun + seconds:
        if not side.victim.alive():
            return most, windows, [f"the victim has ended after {now - begun:.0f} s"]
        most = max(most, side.victim.rss_mib())
        if now >= window_end:
            total = stream.read()[0]
            windows.append(total - last)
            last, window_end = total, window_end + window
        if now >= ask_at:
            ask_at = now + 5
            try:
                person.ask()
            except (SamError, OSError) as e:
                bad.append(f"HELP STATUS after {now - begun:.0f} s: {e}")
                ask_at = begun + seconds
        time.sleep(0.1)
    return most, windows, bad


def refusals(text):
    """What the router says at its end that it refused."""
    lines = re.findall(r"counters: (.*)", text)
    found = dict(w.rsplit("=", 1) for w in lines[-1].split() if "=" in w) if lines else {}
    return {k: int(v) for k, v in found.items() if any(r in k for r in REFUSALS)}, int(found.get("memory.peak", 0))


def start_floods(side, floods, seconds):
    """All of them, prepared, from addresses of their own."""
    out = []
    try:
        for n, (name, words, _) in enumerate(floods):
            words = ["--prepared=10000" if w.startswith("--prepared") else w for w in words]
            out.append((name, Flooder(side, words, seconds, base=f"31.{60 + 4 * n}.0.1")))
        for _, flood in out:
            flood.ready()
    except BaseException:
        for _, flood in out:
            flood.stop()
        raise
    return out


def run(side, cage, floods, seconds):
    """The floods together for so long; complaints."""
    bad = []
    cage.close_door(side.victim.process.pid)
    side.meter.close()
    stream, hogs, person = Checked(side.near, side.far), Hogs(side), Person(side.victim.sam)
    running = []
    try:
        before = side.victim.rss_mib()
        running = start_floods(side, floods, seconds)
        person.ask()
        print(f"     in {cage.kind}: {before:.0f} MiB at the start, budget {person.budget:.0f} of {BUDGET_MIB} MiB with {HOGS} downloads "
              f"that nobody reads; {len(running)} floods: {', '.join(n for n, _ in running)}", flush=True)
        for _, flood in running:
            flood.go()
        most, windows, bad = watch(side, stream, person, seconds)
        if side.victim.alive():
            results = [(name, flood.result()) for name, flood in running]
            print("     sent a second: " + ", ".join(f"{name} {r.get('per_second', 0):,.0f}" for name, r in results), flush=True)
    finally:
        for _, flood in running:
            flood.stop()
    total, wrong = stream.read()
    if wrong:
        bad.append(f"{wrong} blocks of the stream came wrong")
    if not windows or min(windows) == 0:
        bad.append(f"the stream stood still: bytes of each {WINDOW_S} s {windows}")
    if most >= CAGE_MIB:
        bad.append(f"{most:.0f} MiB of memory")
    if cage.kills():
        bad.append("the system ended it for want of memory")
    hogs.close()
    bad += after(side)
    windows = sorted(windows) or [0]
    print(f"     {seconds:.0f} s: memory of the process {most:.0f} MiB at most; cage: {cage.told()}; stream {windows[0] / 1048576:.1f} MiB at least, {windows[len(windows) // 2] / 1048576:.1f} in the middle, "
          f"{windows[-1] / 1048576:.1f} at most in {WINDOW_S} s, {total / 1048576:.0f} MiB compared; HELP STATUS {person.answers} times, {person.slowest:.2f} s at most; budget when it held most: {person.parts}", flush=True)
    stream.close()
    bad += ended(side)
    return bad


def after(side):
    """New streams and sessions come again when it is over."""
    if not side.victim.alive():
        return []
    begun = time.monotonic()
    for _ in range(8):
        try:
            call(side.caller, side.served.destination, patience=10)
            Session(side.victim.sam, HOPS, timeout=30).close()
            print(f"     a new stream and a new session {time.monotonic() - begun:.1f} s after the end", flush=True)
            return []
        except (SamError, OSError):
            time.sleep(0.5)
    return ["no stream or session comes through afterwards"]


def ended(side):
    """Ends the victim in order; its counters say what was refused."""
    if not side.victim.alive():
        return []
    code = side.victim.stop()
    refused, peak = refusals(side.victim.log_text())
    print(f"     budget {peak / 1048576:.1f} of {BUDGET_MIB} MiB at most; refused: "
          + ", ".join(f"{k} {v:,}" for k, v in sorted(refused.items(), key=lambda i: -i[1])), flush=True)
    bad = [] if code == 0 else [f"it ended with code {code}"]
    if "panicked" in side.victim.log_text():
        bad.append("it panicked")
    # Links and SAM clients have bounds of their own and are not refused for want of memory.
    if peak > 1.1 * BUDGET_MIB * 1048576:
        bad.append("the budget was exceeded by more than a tenth")
    if peak > 0.8 * BUDGET_MIB * 1048576 and not any(k.startswith("memory.refused") for k in refused):
        bad.append("the budget was short and nothing was refused")
    return bad
