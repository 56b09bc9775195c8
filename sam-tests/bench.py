#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Speed and memory of our router beside i2pd, in one run, as one Markdown table.

  bench.py [--quick] [--only PART]... [--rounds 3] [--routers 7] [--seconds 4] [--json FILE]

Parts: streams (session creation, connect, echo, goodput), datagrams, fairness (50 streams at once), memory (idle
streams, sessions, sockets; in networks of its own, as memory that other parts have used would hide it).

Two networks of equally many routers, one of i2pd alone and one of ours alone, each router a process of its own. The
same SAM client measures both in turns, so that other work on the machine hits both; the figures are medians over the
rounds. See docs/bench.md.
"""
import argparse
import hashlib
import json
import os
import platform
import resource
import signal
import statistics
import sys
import time

import bench_datagrams
import bench_many
import testnet
from samclient import CHUNK, SamError, Task, echo, pair
from testnet import Net, Unavailable, until

HOPS = (0, 1, 2, 3)
PINGS = 100
PARTS = ("streams", "datagrams", "fairness", "memory")
FAIR = 50
IDLE_STREAMS, SESSIONS, SOCKETS = 1000, 100, 500
SESSION_HOPS = (0, 1)


class Side:
    """One network and what was measured on it."""

    def __init__(self, name, routers, floodfills, base, figures=None):
        self.name, add = name, f"add_{name}"
        self.net = Net(name, netid=77 if name == "i2pd" else 78, base=base, loglevel="error", our_log="warn")
        for k in range(1, routers + 1):
            getattr(self.net, add)(k, floodfill=k <= floodfills)
        self.server, self.client = self.net.routers[-2], self.net.routers[-1]
        self.sessions, self.figures = {}, {} if figures is None else figures

    def note(self, key, value):
        self.figures.setdefault(key, []).append(value)

    def median(self, key):
        return statistics.median(self.figures[key]) if self.figures.get(key) else None

    def open_sessions(self, hop_counts):
        """Opens a pair for each hop count. i2pd does so side by side, as each takes 20 s whatever else goes on."""
        pairs = {hops: [] for hops in hop_counts}
        for hops in pairs:
            for router in (self.client, self.server):
                task = Task(self.net.session, router, hops, timeout=180)
                if self.name != "i2pd":
                    task.result(600)
                pairs[hops].append(task)
        for hops, (client, server) in pairs.items():
            self.sessions[hops] = (client.result(600), server.result(600))
            if hops:
                for session in self.sessions[hops]:
                    self.note("session", session.seconds)


def measure_echo(side, hops):
    near, far, seconds = pair(*side.sessions[hops])
    side.note(("connect", hops), seconds * 1000)
    try:
        Task(echo, far)
        times = []
        for _ in range(PINGS):
            start = time.perf_counter()
            near.socket.sendall(b"x" * 64)
            near.receive_exactly(64)
            times.append((time.perf_counter() - start) * 1000)
        times.sort()
        side.note(("p50", hops), times[len(times) // 2])
        side.note(("p95", hops), times[len(times) * 95 // 100])
    finally:
        near.close()
        far.close()


def timed_send(sam, seconds):
    """Sends numbered blocks for so long, then the mark of the end and the hash of all; returns when it began."""
    digest, body, number, start = hashlib.sha256(), os.urandom(CHUNK - 12), 0, time.monotonic()
    while time.monotonic() - start < seconds:
        block = len(body).to_bytes(4, "big") + number.to_bytes(8, "big") + body
        digest.update(block)
        sam.socket.sendall(block)
        number += 1
    sam.socket.sendall(bytes(4) + digest.digest())
    return start


def timed_receive(sam):
    digest, total = hashlib.sha256(), 0
    while size := int.from_bytes(head := sam.receive_exactly(4), "big"):
        digest.update(head)
        left = size + 8
        while left:
            data = sam.receive(min(CHUNK, left))
            if not data:
                raise SamError("stream ended early")
            digest.update(data)
            left -= len(data)
        total += size + 12
    if sam.receive_exactly(32) != digest.digest():
        raise SamError("hash differs")
    return total, time.monotonic()


def measure_goodput(side, hops, streams, seconds):
    """MiB/s of so many streams together, from the first byte sent to the last one received; hashes checked."""
    pairs = [pair(*side.sessions[hops]) for _ in range(streams)]
    before = sum(r.cpu_s() for r in side.net.routers)
    try:
        sinks = [Task(timed_receive, far) for _, far, _ in pairs]
        sources = [Task(timed_send, near, seconds) for near, _, _ in pairs]
        start = min(s.result(180) for s in sources)
        ends = [s.result(180) for s in sinks]
    finally:
        for near, far, _ in pairs:
            near.close()
            far.close()
    mib = sum(total for total, _ in ends) / 1048576
    side.note(("goodput", hops, streams), mib / (max(at for _, at in ends) - start))
    side.note(("cpu", hops, streams), (sum(r.cpu_s() for r in side.net.routers) - before) * 1000 / mib)


def attempt(side, key, call, *args):
    """A measurement that fails is noted and the bench goes on: the table must not hide it."""
    dead = [r.name for r in side.net.routers if not r.alive()]
    try:
        if dead:
            raise SamError(f"{dead[0]} is dead")
        call(side, *args)
    except (SamError, OSError) as e:
        died = [r.name for r in side.net.routers if not r.alive() and r.name not in dead]
        text = f"{e}; {died[0]} has died" if died else str(e)
        side.note("failures", f"{key}: {text}")
        print(f"  {side.name}, {key}: FAILED: {text}", flush=True)


def idle_memory(name, base):
    """Resident memory of a router that knows nobody, ten seconds after its start."""
    net = Net(f"idle-{name}", netid=79, base=base, loglevel="error", our_log="warn")
    router = net.add_i2pd(50) if name == "i2pd" else net.add_ours(50)
    try:
        router.start()
        until(router.sam_open, 30, f"{name} answers SAM")
        time.sleep(10)
        return router.rss_mib()
    finally:
        net.close()


def rows_of(parts):
    """Rows of the table: label, unit, key of the figure, whether more is better (None: no comparison)."""
    rows = []
    if "streams" in parts:
        rows.append(("session creation, 1 to 3 hops", "s", "session", False))
        for hops in HOPS:
            rows.append((f"connect to first byte back, {hops} hops", "ms", ("connect", hops), False))
        for hops in HOPS:
            rows.append((f"echo round trip p50, {hops} hops", "ms", ("p50", hops), False))
            rows.append((f"echo round trip p95, {hops} hops", "ms", ("p95", hops), False))
        for hops in HOPS:
            rows.append((f"goodput of one stream, {hops} hops", "MiB/s", ("goodput", hops, 1), True))
        rows.append(("goodput of 8 streams, 2 hops", "MiB/s", ("goodput", 2, 8), True))
        rows.append(("CPU of all routers per MiB, 2 hops, 8 streams", "ms", ("cpu", 2, 8), False))
        rows.append(("resident, lone idle router", "MiB", "idle", False))
        rows.append(("resident, mean of the routers after the run", "MiB", "after", False))
    if "datagrams" in parts:
        rows += bench_datagrams.rows()
    if "fairness" in parts:
        rows.append((f"{FAIR} streams at once, 2 hops: Jain's index", "", ("fairness", FAIR), None))
        rows.append((f"{FAIR} streams at once: the slowest, of a fair share", "%", ("slowest", FAIR), None))
        rows.append((f"{FAIR} streams at once: goodput of all", "MiB/s", ("fair goodput", FAIR), True))
    if "memory" in parts:
        rows.append(("memory of an idle stream", "KiB", "idle stream", False))
        for hops in SESSION_HOPS:
            rows.append((f"memory of a session without traffic, {hops} hops", "KiB", ("session memory", hops), False))
        rows.append(("memory of an idle SAM socket", "KiB", "idle socket", False))
    return rows


def table(sides, parts):
    def number(value):
        if value is None:
            return "failed"
        return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2 if value >= 0.1 else 4}f}"

    lines = ["| | | ours | i2pd | ours better by |", "|---|---|---:|---:|---:|"]
    ours, theirs = sides["ours"], sides["i2pd"]
    for label, unit, key, more_is_better in rows_of(parts):
        a, b = ours.median(key), theirs.median(key)
        factor = "" if not a or not b or more_is_better is None else f"{(a / b if more_is_better else b / a):.1f} x"
        lines.append(f"| {label} | {unit} | {number(a)} | {number(b)} | {factor} |")
    return "\n".join(lines)


def networks(routers, figures):
    sides = {"i2pd": Side("i2pd", routers, 3, None, figures["i2pd"])}
    sides["ours"] = Side("ours", routers, 3, sides["i2pd"].net.base, figures["ours"])
    return sides


def start(sides, began):
    for side in sides.values():
        side.net.start()
    for side in sides.values():
        side.net.wait_up()
    print(f"networks up after {time.monotonic() - began:.0f} s; opening sessions", flush=True)


def run_streams(sides, a, began):
    for n in range(a.rounds):
        print(f"round {n + 1} of {a.rounds}, {time.monotonic() - began:.0f} s", flush=True)
        for hops in HOPS:
            for side in sides.values():
                attempt(side, f"echo, {hops} hops", measure_echo, hops)
            for side in sides.values():
                attempt(side, f"one stream, {hops} hops", measure_goodput, hops, 1, a.seconds)
        for side in sides.values():
            attempt(side, "8 streams, 2 hops", measure_goodput, 2, 8, a.seconds)
    for side in sides.values():
        side.note("after", statistics.mean(r.rss_mib() for r in side.net.routers if r.alive()))


def run_traffic(sides, a, began):
    """The parts that measure speed."""
    if "streams" in a.only:
        for name, side in sides.items():
            side.note("idle", idle_memory(name, side.net.base))
    start(sides, began)
    if "streams" in a.only or "fairness" in a.only:
        for side in sides.values():
            side.open_sessions(HOPS if "streams" in a.only else (2,))
    if "streams" in a.only:
        run_streams(sides, a, began)
    if "fairness" in a.only:
        print(f"fairness, {time.monotonic() - began:.0f} s", flush=True)
        for _ in range(a.rounds):
            for side in sides.values():
                attempt(side, f"{FAIR} streams", bench_many.measure_fairness, 2, FAIR, 2 * a.seconds)
    if "datagrams" in a.only:
        print(f"datagrams, {time.monotonic() - began:.0f} s; without routers {' and '.join(f'{r:.0f}/s' for r in bench_datagrams.alone())} "
              "by UDP and TCP", flush=True)
        bench_datagrams.measure(sides, attempt, a.seconds / 4)


def run_memory(sides, a, began):
    start(sides, began)
    settle = 4 if a.quick else 15

    def sockets(side):
        attempt(side, "idle sockets", bench_many.measure_sockets, SOCKETS, settle)

    def sessions(side):
        for hops in SESSION_HOPS:
            attempt(side, f"sessions, {hops} hops", bench_many.measure_sessions, hops, SESSIONS, settle)

    def streams(side):
        attempt(side, "idle streams", bench_many.measure_streams, 1, IDLE_STREAMS, settle)
    # Both networks at the same time: nothing here is a matter of speed.
    for part in (sockets, sessions, streams):
        for task in [Task(part, side) for side in sides.values()]:
            task.result()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--only", action="append", choices=PARTS, help="measure this part alone; can be repeated")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--routers", type=int, default=7, help="of each network")
    p.add_argument("--seconds", type=float, default=4, help="how long each transfer sends")
    p.add_argument("--quick", action="store_true", help="one round of two seconds")
    p.add_argument("--json", help="write every single figure there")
    a = p.parse_args()
    a.only = a.only or PARTS
    if a.quick:
        a.rounds, a.seconds = 1, 2
    try:
        ours, version = testnet.binary(), testnet.i2pd_version()
        testnet.enter_namespace()
    except Unavailable as e:
        print(f"bench left out: {e}")
        return 3
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    began = time.monotonic()
    print(f"{a.routers} routers of ours ({ours.parent.name} build) and {a.routers} of i2pd {version}, {os.cpu_count()} CPUs, "
          f"{platform.machine()}, load at start {os.getloadavg()[0]:.1f}", flush=True)
    figures = {"i2pd": {}, "ours": {}}
    for run in [run_traffic] * (set(a.only) != {"memory"}) + [run_memory] * ("memory" in a.only):
        sides = networks(a.routers, figures)
        try:
            run(sides, a, began)
        finally:
            for side in sides.values():
                side.net.close()
    print()
    print(table(sides, a.only))
    failures = [f"{s.name}: {f}" for s in sides.values() for f in s.figures.pop("failures", [])]
    print()
    print(f"Medians of {a.rounds} round{'s' * (a.rounds > 1)}, {PINGS} echoes of 64 bytes and {a.seconds:g} s of sending each, hashes checked; "
          f"{time.monotonic() - began:.0f} s in all; {len(failures)} failed measurements.")
    if a.json:
        with open(a.json, "w") as f:
            json.dump({s.name: {str(k): v for k, v in s.figures.items()} for s in sides.values()}, f, indent=1)
    return 1 if any(f.startswith("ours") for f in failures) else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
