# SPDX-License-Identifier: MIT
"""Many of one kind at once, for bench.py: fairness between streams; memory of idle streams, sessions and sockets."""
import mmap
import multiprocessing
import os
import selectors
import struct
import time

from samclient import Sam, SamError, Task, pair

FORK = multiprocessing.get_context("fork")
COUNT = struct.Struct("<Q")


def jain(values):
    """1 if all are equal, 1/n if one has everything."""
    squares = sum(v * v for v in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else 0.0


# --- fairness --------------------------------------------------------------------------------------------------------

def measure_fairness(side, hops, streams, seconds):
    """So many streams of one session send to another for so long, all they can; Jain's index over the bytes that came.
    One process writes and one reads, each in turn whatever socket is ready."""
    near_session, far_session = side.sessions[hops]
    pairs = [pair(near_session, far_session) for _ in range(streams)]
    counts = mmap.mmap(-1, COUNT.size * streams)
    workers = [FORK.Process(target=_pour, args=([near.socket for near, _, _ in pairs],), daemon=True),
               FORK.Process(target=_drain, args=([far.socket for _, far, _ in pairs], counts), daemon=True)]
    try:
        for worker in workers:
            worker.start()
        time.sleep(seconds)
        values = [COUNT.unpack_from(counts, k * COUNT.size)[0] for k in range(streams)]
    finally:
        for worker in workers:
            worker.kill()
            worker.join()
        for near, far, _ in pairs:
            near.close()
            far.close()
    values.sort()
    side.note(("fairness", streams), jain(values))
    side.note(("fair goodput", streams), sum(values) / 1048576 / seconds)
    side.note(("slowest", streams), 100 * values[0] * streams / max(1, sum(values)))
    print(f"  {side.name}, {streams} streams: Jain {jain(values):.3f}, KiB least {values[0] >> 10}, middle {values[streams // 2] >> 10}, "
          f"most {values[-1] >> 10}", flush=True)


def _ready(sockets, event):
    selector = selectors.EpollSelector()
    for k, sock in enumerate(sockets):
        sock.setblocking(False)
        selector.register(sock, event, (k, sock))
    return selector


def _pour(sockets):
    selector, block = _ready(sockets, selectors.EVENT_WRITE), os.urandom(1 << 16)
    while True:
        for key, _ in selector.select():
            try:
                key.data[1].send(block)
            except BlockingIOError:
                pass
            except OSError:
                selector.unregister(key.fileobj)


def _drain(sockets, counts):
    selector, totals, buffer = _ready(sockets, selectors.EVENT_READ), [0] * len(sockets), bytearray(1 << 18)
    while True:
        for key, _ in selector.select():
            k, sock = key.data
            try:
                size = sock.recv_into(buffer)
            except BlockingIOError:
                continue
            except OSError:
                size = 0
            if not size:
                selector.unregister(sock)
                continue
            totals[k] += size
            COUNT.pack_into(counts, k * COUNT.size, totals[k])


# --- memory ----------------------------------------------------------------------------------------------------------

def settled(routers, at_least, quiet=6.0, at_most=40.0):
    """Sum of the resident memory in KiB, when it has not moved by one part in a hundred for a while."""
    time.sleep(at_least)
    end, since, value = time.monotonic() + at_most, time.monotonic(), None
    while True:
        now = sum(r.rss_mib() for r in routers) * 1024
        if value is None or abs(now - value) > value / 100:
            value, since = now, time.monotonic()
        if time.monotonic() - since > quiet or time.monotonic() > end:
            return now
        time.sleep(0.5)


def together(calls, at_once):
    """Results of calls made by so many threads; the first error is raised when all are done."""
    left, out = list(reversed(calls)), []

    def work():
        while left:
            try:
                call = left.pop()
            except IndexError:
                return
            out.append(call())
    tasks = [Task(work) for _ in range(at_once)]
    errors = []
    for task in tasks:
        try:
            task.result(300)
        except (SamError, OSError) as e:
            errors.append(e)
    return out, errors


def growth(side, key, routers, calls, at_once, what, settle, ends=1, keep=None):
    """Notes the memory that each of what `calls` make takes, in KiB, and keeps it all open."""
    before = settled(routers, 2)
    began = time.monotonic()
    made, errors = together(calls, at_once)
    took = time.monotonic() - began
    if keep is not None:
        keep.extend(made)
    if len(made) < len(calls) / 2:
        raise SamError(f"only {len(made)} of {len(calls)} {what}: {errors[0] if errors else ''}")
    after = settled(routers, settle)
    dead = [r.name for r in routers if not r.alive()]
    if dead:
        raise SamError(f"{dead[0]} died")
    side.note(key, (after - before) / len(made) / ends)
    side.note((key, "count"), len(made))
    print(f"  {side.name}, {len(made)} {what} in {took:.0f} s: {before:.0f} to {after:.0f} KiB"
          + (f"; {len(errors)} failed, first {errors[0]}" if errors else ""), flush=True)


def measure_sockets(side, count, settle):
    """Connections past their HELLO that say nothing more."""
    router = side.net.routers[3]
    side.idle_sockets = []
    growth(side, "idle socket", [router], [lambda: Sam(router.sam)] * count, 4, "idle SAM sockets", settle, keep=side.idle_sockets)
    for sam in side.idle_sockets:
        sam.close()


def measure_sessions(side, hops, count, settle):
    """Sessions without traffic, one tunnel each way."""
    router = side.net.routers[3 if hops == 0 else 4]
    side.idle_sessions = getattr(side, "idle_sessions", [])
    calls = [lambda: side.net.session(router, hops, quantity=1, check=False, timeout=240)] * count
    growth(side, ("session memory", hops), [router], calls, count, f"sessions of {hops} hops", settle, keep=side.idle_sessions)


def measure_streams(side, hops, count, settle, sessions=4):
    """Streams that have carried a byte each way, between a few sessions of one router and as many of another."""
    routers = side.net.routers[5:7]
    opened = [Task(side.net.session, router, hops, timeout=180) for _ in range(sessions) for router in routers]
    opened = [t.result(240) for t in opened]
    couples = list(zip(opened[::2], opened[1::2]))
    side.idle_streams = [opened]
    for couple in couples:
        side.idle_streams.append(pair(*couple))

    made = side.idle_streams

    def fill(couple):
        # One at a time for each couple: i2pd 2.45.1 takes one ACCEPT of a session.
        for _ in range(count // sessions):
            made.append(pair(*couple))
    before = settled(routers, 12)
    began = time.monotonic()
    first = len(made)
    _, errors = together([lambda c=c: fill(c) for c in couples], sessions)
    streams = len(made) - first
    if not streams:
        raise SamError(f"no {count} idle streams: {errors[0]}")
    took = time.monotonic() - began
    after = settled(routers, settle)
    side.note("idle stream", (after - before) / streams / 2)
    side.note(("idle stream", "count"), streams)
    print(f"  {side.name}, {streams} idle streams in {took:.0f} s: {before:.0f} to {after:.0f} KiB, both ends" +
          (f"; {len(errors)} failed, first {errors[0]}" if errors else ""), flush=True)
