#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Streams that outlive their tunnels and leases: traffic in both directions, checked without a pause.

  soak.py [--seconds 900] [--hops 2] [--rate 256]

Five i2pd routers and two of ours. Three streams over tunnels of two hops: ours to ours, ours to i2pd, i2pd to ours.
Tunnels live ten minutes, so in fifteen every one is replaced and every lease set changes hands. Each block of 64 KiB
carries its number and the hash of everything sent before it; the other end checks both. A direction fails when a byte
is wrong, the stream ends, or nothing comes for a minute. The last line is "N passed, N failed".
"""
import argparse
import hashlib
import os
import signal
import sys
import threading
import time

import testnet
from samclient import SamError, Task, pair
from testnet import Net, Unavailable

BLOCK = 1 << 16
SILENCE_S = 60


class Flow:
    """One direction of one stream."""

    def __init__(self, name, source, sink, rate, end):
        self.name, self.source, self.sink, self.rate, self.end = name, source, sink, rate, end
        self.received, self.longest_gap = 0, 0.0
        source.socket.settimeout(SILENCE_S)
        sink.socket.settimeout(SILENCE_S)
        self.tasks = [Task(self.send), Task(self.receive)]

    def send(self):
        chain, body, number = hashlib.sha256(), os.urandom(BLOCK - 41), 0
        start = time.monotonic()
        while True:
            last = time.monotonic() >= self.end
            block = bytes([last]) + number.to_bytes(8, "big") + chain.digest() + body
            chain.update(block)
            self.source.socket.sendall(block)
            number += 1
            if last:
                return
            ahead = start + number * BLOCK / self.rate - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)

    def receive(self):
        chain, number, then = hashlib.sha256(), 0, time.monotonic()
        while True:
            block = self.sink.receive_exactly(BLOCK)
            if block[1:9] != number.to_bytes(8, "big") or block[9:41] != chain.digest():
                raise SamError(f"block {number} is not what was sent")
            chain.update(block)
            now = time.monotonic()
            self.longest_gap, then = max(self.longest_gap, now - then), now
            self.received += BLOCK
            number += 1
            if block[0]:
                return

    def verdict(self):
        """None if all went well."""
        for task in self.tasks:
            try:
                task.result(max(1, self.end + 2 * SILENCE_S - time.monotonic()))
            except TimeoutError:
                return f"nothing moved for {SILENCE_S} s"
            except (SamError, OSError) as e:
                return str(e)
        return None


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seconds", type=float, default=900, help="how long bytes are sent")
    p.add_argument("--hops", type=int, default=2)
    p.add_argument("--rate", type=int, default=256, help="KiB/s of each direction")
    p.add_argument("--log", default="info,samovar::tunnel=debug,samovar::destination=debug", help="filter of ours")
    p.add_argument("--keep", action="store_true", help="keep the routers' files")
    a = p.parse_args()
    try:
        testnet.binary(), testnet.net_i2pd()
        testnet.enter_namespace()
    except Unavailable as e:
        print(f"soak left out: {e}")
        return 3
    net, passed, failed = Net("soak", our_log=a.log, loglevel="warn"), 0, 0
    try:
        passed, failed = soak(net, a)
    except Exception as e:
        failed += 1
        print(f"FAIL {e}", flush=True)
    finally:
        net.close(keep=failed > 0 or a.keep)
        if failed or a.keep:
            print(f"logs are kept in {net.dir}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def soak(net, a):
    for k in range(1, 6):
        net.add_i2pd(k, floodfill=k <= 2)
    for k in range(1, 3):
        net.add_ours(k)
    net.start()
    net.wait_up()
    us, them = net.ours, net.i2pds
    ends = [("ours to ours", us[0], us[1]), ("ours to i2pd", us[0], them[2]), ("i2pd to ours", them[3], us[1])]
    opening = [(Task(net.session, c, a.hops, timeout=180), Task(net.session, s, a.hops, timeout=180)) for _, c, s in ends]
    flows, end = [], None
    sessions = [(c.result(600), s.result(600)) for c, s in opening]
    streams = [pair(c, s) for c, s in sessions]
    end = time.monotonic() + a.seconds
    for (name, _, _), (near, far, _) in zip(ends, streams):
        flows += [Flow(f"{name}, forth", near, far, a.rate * 1024, end), Flow(f"{name}, back", far, near, a.rate * 1024, end)]
    print(f"{len(streams)} streams over {a.hops} hops, {a.seconds:.0f} s, {a.rate} KiB/s each way", flush=True)
    watch(net, flows, end)
    passed = failed = 0
    for flow in flows:
        wrong = flow.verdict()
        failed, passed = failed + bool(wrong), passed + (not wrong)
        mib = flow.received / 1048576
        print(f"{'FAIL' if wrong else 'PASS'} {flow.name}: {mib:.1f} MiB checked, longest pause {flow.longest_gap:.1f} s"
              + (f": {wrong}" if wrong else ""), flush=True)
    return passed, failed


def watch(net, flows, end):
    """A line a minute, until the end or until every flow has ended."""
    start = time.monotonic()
    while time.monotonic() < end and any(t.is_alive() for f in flows for t in f.tasks):
        threading.Event().wait(min(60, max(0.1, end - time.monotonic())))
        mib = " ".join(f"{f.received / 1048576:.0f}" for f in flows)
        memory = " ".join(f"{r.rss_mib():.0f}" for r in net.ours)
        print(f"{time.monotonic() - start:5.0f} s: MiB received {mib}; MiB resident of ours {memory}", flush=True)
        dead = [r.name for r in net.routers if not r.alive()]
        if dead:
            raise SamError(f"{dead} ended")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
