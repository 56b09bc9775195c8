#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Bad days for real routers: eight of ours and two i2pd in a private network, under load that is checked by hash.

  chaos.py [--list] [--quick] [--only WORD]... [--kills 100] [--seed N] [--soak SECONDS] [--keep]

Routers are killed, stopped, starved of disk and descriptors, given broken files, wrong clocks and bad links. All the
while streams and datagrams run between them. A stream may end only when a router at one of its ends died; then both
sides must be told. Nothing that arrives may differ from what was sent. docs/chaos.md says what each test checks.

Each test prints one line, PASS, FAIL or LEFT OUT; a table ends the run. Exit code 0 only if none failed, 3 if no
private network can be had on this machine. With CI=true what is left out counts as failed.
"""
import argparse
import calendar
import os
import random
import re
import resource
import shutil
import signal
import statistics
import stat
import sys
import time
import traceback

import chaos_net
import testnet
from chaos_load import TOLD_S, Datagrams, Line, Load
from chaos_net import Ailing, Loss, address, fill, flip
from chaos_soak import Watch
from samclient import Sam, SamError, Session, Task, pair, transfer
from testnet import Late, Net, Unavailable, until

RESTART_S = 3
EXIT_S = 10
SOAK_LEAST_S = 300


class Failed(Exception):
    """A promise was not kept."""


class LeftOut(Exception):
    """The machine lacks what the test needs; the text says what."""


def must(condition, text):
    if not condition:
        raise Failed(text)


class World:
    """The network, its load, and what is known about both."""

    def __init__(self, a):
        self.a, self.rng = a, random.Random(a.seed)
        self.net = Net("chaos", our_log=a.log, loglevel="warn")
        self.load = Load(a.rate * 1024)
        self.mounts = []
        for k in (1, 2):
            self.net.add_i2pd(k, floodfill=True)
        for k in range(1, 9):
            self.net.routers.append(Ailing(self.net, k, floodfill=k == 3))
        self.ours, self.i2pds = self.net.ours, self.net.i2pds
        self.keepers, self.victims = self.ours[:2], self.ours[2:]

    def start(self):
        self.net.start()
        self.net.wait_up()
        for router in self.ours:
            router.check_identity()
            router.bootstrap = False  # from now on each lives by its own disk
        one, two, three, four, five, six, seven, eight = self.ours
        pairs = [(one, two), (one, three), (four, two), (five, six), (seven, one), (two, eight)]
        self.load.lines = [Line(self.load, a, b) for a, b in pairs]
        self.load.datagrams = [Datagrams(self.load, one, two), Datagrams(self.load, three, four)]
        self.foreign = Line(self.load, self.i2pds[1], one, strict=False)
        until(lambda: all(line.moving(0) for line in self.load.lines), 120, "all streams of the load move")

    def spare(self, k, name):
        """A router that is not of the network yet; its number is from 20 on."""
        router = Ailing(self.net, k)
        router.name = name
        return router

    def kill(self, router):
        self.load.died(router)
        router.kill()
        self.load.died(router)

    def stop(self, router, seconds=EXIT_S):
        """SIGTERM; it must end in time and in order."""
        self.load.died(router)
        begun = time.monotonic()
        code = router.stop(seconds + 2)
        took = time.monotonic() - begun
        self.load.died(router)
        must(code == 0, f"{router.name} ended with code {code} on SIGTERM after {took:.1f} s")
        must(took <= seconds, f"{router.name} took {took:.1f} s to end")
        return took

    def restart(self, router, limit=RESTART_S):
        seconds = router.restart()
        must(seconds <= limit, f"SAM of {router.name} answered only {seconds:.2f} s after its start")
        return seconds

    def settle(self, seconds=90):
        """All routers up and every line moving again; answers with the seconds that took."""
        begun = time.monotonic()
        for router in self.net.routers:
            if not router.alive():
                if isinstance(router, Ailing):
                    raise Failed(f"{router.name} has ended:\n" + testnet.tail(router.log_text()))
                print(f"     {router.name} has ended by itself; started again", flush=True)
                router.start()
        def moving():
            return all(line.moving(begun) for line in self.load.lines)
        try:
            until(moving, seconds, "all lines move")
        except Late:
            still = ", ".join(f"{line.name} ({line.trouble})" for line in self.load.lines if not line.moving(begun))
            raise Failed(f"{seconds} s later these lines still stand: {still}")
        return time.monotonic() - begun

    def judge(self, since):
        complaints = self.load.complaints(since)
        must(not complaints, "; ".join(complaints[:5]) + (f" and {len(complaints) - 5} more" if len(complaints) > 5 else ""))
        for router in self.ours:
            must("panicked" not in router.log_now(), f"{router.name} panicked")

    def at_line(self, router):
        return [line for line in self.load.lines if router in (line.a, line.b)]

    def tmpfs(self, path, size):
        path.mkdir(parents=True, exist_ok=True)
        if not chaos_net.mount("-t", "tmpfs", "-o", f"size={size},mode=0700", "none", path):
            raise LeftOut("no tmpfs can be mounted here (run as root)")
        self.mounts.append(path)

    def unmount(self, path):
        chaos_net.unmount(path)
        self.mounts.remove(path)

    def close(self, keep):
        for router in self.ours:
            if router.alive():
                router.go_on()
        self.net.close(keep=True)
        for path in list(self.mounts):
            self.unmount(path)
        if not keep:
            shutil.rmtree(self.net.base, ignore_errors=True)


# --- files (K1, K2) --------------------------------------------------------------------------------------------------

def first_start_modes(w):
    """A directory of 0700, key files of 0600 by their open mode, put in place by rename after fsync."""
    router = w.spare(20, "modes")
    trace = router.dir / "strace.txt"
    strace = shutil.which("strace")
    if strace:
        router.wrap = [strace, "-D", "-f", "-o", trace, "-e", "trace=open,openat,creat,chmod,fchmod,fchmodat,rename,renameat,renameat2,fsync,mkdir"]
    old = os.umask(0)
    try:
        router.restart()
    finally:
        os.umask(old)
    router.stop()
    mode = lambda p: stat.S_IMODE(p.stat().st_mode)
    must(mode(router.data) == 0o700, f"the data directory has mode {mode(router.data):o}")
    keys = sorted(router.data.glob("router.keys*"))
    must(keys and all(mode(p) == 0o600 for p in keys), f"key files: {[(p.name, oct(mode(p))) for p in keys]}")
    wide = [p.name for p in router.data.rglob("*") if mode(p) & 0o022]
    must(not wide, f"with umask 0 these can be written by others: {wide}")
    if not strace:
        return f"directory 0700, {', '.join(p.name for p in keys)} 0600; strace is not here, so system calls were not seen"
    calls = trace.read_text()
    opened = re.search(r'"[^"]*router\.keys\.new", O_WRONLY\|O_CREAT\|O_EXCL[^,]*, 0600\)', calls)
    must(opened, "router.keys was not made with O_EXCL and mode 0600")
    must(not re.search(r"chmod\w*\([^)]*router\.keys", calls), "the mode of router.keys was set after its making")
    renamed = calls.find("rename", opened.end())
    must(0 < calls.find("fsync(", opened.end()) < renamed and calls.find("fsync(", renamed) > 0,
         "not in the order open, fsync, rename, fsync of the directory")
    return f"directory 0700, {', '.join(p.name for p in keys)} 0600 by open(O_EXCL), fsync, rename, fsync; umask 0 changes nothing"


def bad_keys_refused(w):
    """Key files that somebody else could have read or put there, and damaged ones: refused in words, never overwritten."""
    router = w.spare(21, "badkeys")
    router.restart()
    router.stop()
    keys, copy = router.data / "router.keys", router.data / "router.keys.bak"
    good = keys.read_bytes()
    elsewhere = router.dir / "elsewhere"
    elsewhere.write_bytes(good)
    elsewhere.chmod(0o600)

    def put(data):
        for path in (keys, copy):
            path.unlink(missing_ok=True)
            path.write_bytes(data)
            path.chmod(0o600)

    def link():
        keys.unlink()
        keys.symlink_to(elsewhere)

    spoiled = bytearray(good)
    spoiled[200] ^= 1
    cases = [("symbolic link", link, "symbolic link"), ("group-readable", lambda: keys.chmod(0o640), "chmod 600"),
             ("world-readable", lambda: keys.chmod(0o604), "chmod 600"), ("one bit changed", lambda: put(spoiled), "damaged"),
             ("cut short", lambda: put(good[:-1]), "damaged"), ("empty", lambda: put(b""), "damaged"),
             ("of a later version", lambda: put(b"SMVRKEY9" + good[8:]), "version"),
             ("a directory", lambda: (keys.unlink(), copy.unlink(), keys.mkdir()), "router.keys")]
    for name, spoil, word in cases:
        if keys.is_dir():
            keys.rmdir()
        put(good)
        spoil()
        before = keys.read_bytes() if keys.is_file() else None
        code, said = router.run_to_end()
        must(code == 2, f"keys {name}: exit code {code}: {testnet.tail(said, 3)}")
        must(word in said and "router.keys" in said, f"keys {name}: it said {testnet.tail(said, 3)!r}")
        must((keys.read_bytes() if keys.is_file() else None) == before, f"keys {name}: the file was changed")
    if keys.is_dir():
        keys.rmdir()
    put(good)
    router.restart()
    router.stop()
    return f"{', '.join(c[0] for c in cases)}: exit code 2 with words, the file untouched; the good one again: same identity"


def lost_keys_come_back(w):
    """One of the two copies of the keys is lost or damaged: the router is who it was, and both are there again."""
    router = w.spare(22, "lostkeys")
    router.restart()
    router.stop()
    keys, copy = router.data / "router.keys", router.data / "router.keys.bak"
    good = keys.read_bytes()
    must(copy.read_bytes() == good, "router.keys.bak is not a copy")
    half = good[:len(good) // 2]
    for name, spoil in (("copy lost", copy.unlink), ("keys lost", keys.unlink), ("keys cut", lambda: keys.write_bytes(half)),
                        ("copy cut", lambda: copy.write_bytes(half)), ("a half-written one beside", lambda: (router.data / "router.keys.new").write_bytes(half))):
        spoil()
        router.restart()
        router.stop()
        must(keys.read_bytes() == good == copy.read_bytes(), f"{name}: not both copies are whole afterwards")
    return "either copy lost or cut: same identity, both whole again"


def corrupt_netdb(w):
    """A netDb of 2,000 files of which one in ten is damaged: starts in time, sets them aside, knows the others."""
    victim = w.victims[-1]
    w.stop(victim)
    known = len(victim.netdb_files())
    made = chaos_net.multiply_netdb(victim, w.a.netdb_files, w.rng)
    for path in w.rng.sample(made, len(made) // 10):
        flip(path, w.rng, 4)
    odd = [victim.data / "netDb" / "rA" / n for n in ("routerInfo-empty.dat", "routerInfo-huge.dat", "routerInfo-link.dat", "routerInfo-dir.dat")]
    odd[0].parent.mkdir(exist_ok=True)
    odd[0].write_bytes(b"")
    odd[1].write_bytes(bytes(17 << 20))
    odd[2].symlink_to("/dev/zero")
    odd[3].mkdir()
    (victim.data / "profiles.txt").write_bytes(os.urandom(5000))
    seconds = w.restart(victim)
    until(lambda: victim.status()["known"] >= known - 1, 10, f"{known} routers are known again")
    must(victim.status()["known"] <= 12, "it believes damaged files")
    until(lambda: len(victim.netdb_files()) <= known + 5, 10, "files that are no good are out of the way")
    aside = len(list((victim.data / "netDb").rglob("*.broken")))
    w.stop(victim)
    again = w.restart(victim)
    return f"{len(made)} files, {len(made) // 10} of them flipped, 4 odd ones: started in {seconds:.2f} s, {aside} set aside; next start {again:.2f} s"


# --- death (K3, K10) -------------------------------------------------------------------------------------------------

def sigkill(w):
    """SIGKILL at random under load, also while starting: same identity, quickly back, nothing known lost."""
    times, known_again, in_start = [], [], 0
    begun = time.monotonic()
    for n in range(1, w.a.kills + 1):
        victim = w.rng.choice(w.victims)
        time.sleep(w.rng.uniform(0, w.a.pause))
        before = {p.name for p in victim.netdb_files()}
        w.kill(victim)
        if w.rng.random() < 0.2:
            # Killed again while it starts.
            victim.start()
            time.sleep(w.rng.uniform(0, 0.3))
            w.kill(victim)
            in_start += 1
        lost = before - {p.name for p in victim.netdb_files()}
        must(len(lost) <= 1, f"{victim.name} lost {len(lost)} of {len(before)} files of its netDb")
        must(not victim.netdb_broken(), f"broken files of {victim.name}: {victim.netdb_broken()}")
        times.append(w.restart(victim))
        at = time.monotonic()
        until(lambda: victim.status()["known"] >= len(before) - 1, 10, f"{victim.name} knows its {len(before)} routers again", every=0.02)
        known_again.append(time.monotonic() - at)
        if n % max(1, min(10, w.a.kills // 2)) == 0:
            over = [r for r in w.load.records if r["ended"] > begun]
            print(f"     {n} kills ({in_start} more in a start), restart {statistics.median(times):.2f} s median {max(times):.2f} s most; streams ended "
                  f"{len(over)}, without excuse {sum(not r['excused'] for r in over)}; {w.load.received() / 1048576:.0f} MiB checked", flush=True)
            w.judge(begun)
    up = time.monotonic()
    for victim in w.victims:
        until(victim.up, 60, f"{victim.name} has tunnels again")
    up = time.monotonic() - up
    settled = w.settle()
    keep = w.load.lines[0]
    gap = max(f.gap() for f in keep.stream.flows)
    told = [r["told"] for r in w.load.records if r["ended"] > begun and r["excused"]]
    return (f"{w.a.kills} kills and {in_start} in a start: SAM answers after {statistics.median(times):.2f} s (most {max(times):.2f}), netDb known after "
            f"{max(known_again):.2f} s at most; all tunnels {up:.1f} s, all lines {settled:.1f} s later; stream between survivors "
            f"{'unbroken' if keep.opened == 1 else f'opened {keep.opened} times'}, longest pause {gap:.1f} s; {len(told)} streams of the killed ended, the "
            f"other side told after {statistics.median(told or [0]):.1f} s median, {max(told, default=0):.0f} s most")


def sigstop(w):
    """Ten seconds of silence: a router at the end of streams, then three in the middle. No stream is lost."""
    end, middle = w.victims[0], w.victims[1:4]
    # In the quick form at the same time.
    for group in ([end, *middle],) if w.a.quick else ([end], middle):
        for router in group:
            router.pause()
        time.sleep(10)
        for router in group:
            router.go_on()
        w.settle()
    return f"{end.name} and {', '.join(r.name for r in middle)} stood still for 10 s; longest pause of a stream {w.load.longest_gap():.1f} s"


def sigterm(w):
    """SIGTERM in mid-load: in order, code 0, peers told. A second one ends at once. One in the start as well."""
    took, told, wanted = [], [], 0
    for victim in w.rng.sample(w.victims, 2 if w.a.quick else 6):
        w.settle()  # by a broken way no goodbye arrives
        since, lines = time.monotonic(), len(w.at_line(victim))
        took.append(w.stop(victim))
        wanted += lines
        try:
            until(lambda: sum(r["ended"] > since for r in w.load.records) >= lines, 15, "both sides are told")
        except Late:
            pass  # a goodbye goes out once, and may be lost with a tunnel of others; silence tells later
        told += [r["told"] for r in w.load.records if r["ended"] > since]
        w.restart(victim)
    must(len(told) >= wanted / 2, f"of {wanted} streams only {len(told)} ended at both sides within 15 s")
    victim = w.victims[0]
    w.settle()
    w.load.died(victim)
    victim.process.terminate()
    time.sleep(0.35)
    if victim.process.poll() is None:
        victim.process.terminate()
        begun = time.monotonic()
        code = victim.process.wait(5)
        second = time.monotonic() - begun
        must(second < 1, f"the second signal took {second:.1f} s")
        twice = f"second signal: ended after {second:.2f} s with code {code}"
    else:
        twice = "ended before a second signal could be sent"
    victim.process = None
    for delay in (0.02, 0.1) if w.a.quick else (0.0, 0.02, 0.05, 0.1, 0.2):
        victim.start()
        time.sleep(delay)
        victim.process.terminate()
        begun = time.monotonic()
        code = victim.process.wait(EXIT_S)
        victim.process = None
        # Before the command has taken over its signals the system ends it.
        must(code in (0, -signal.SIGTERM), f"SIGTERM {delay} s into the start: code {code}")
    w.restart(victim)
    return (f"{len(took)} times in {max(took):.1f} s at most, code 0; of {wanted} other sides {len(told)} were told within {max(told, default=0):.1f} s; {twice}; "
            f"in the start: clean")


# --- disk (K4) -------------------------------------------------------------------------------------------------------

def disk_full(w):
    """Its disk of 1 MiB, log included, is full: it goes on, says so, starts again on it, and saves when there is room."""
    victim, other = w.victims[-1], w.victims[0]
    small = victim.dir / "small"
    w.tmpfs(small, "1m")
    w.stop(victim)
    kept, victim.data = victim.data, small / "data"
    shutil.copytree(kept, victim.data)
    log, victim.output = victim.output, small / "output.log"
    try:
        w.restart(victim)
        w.settle()
        filler = fill(small)
        # A peer with a new RouterInfo is something to be written.
        w.kill(other)
        w.restart(other)
        wait = until(lambda: "disk" in victim.status()["text"], 60, "HELP STATUS says that nothing is saved")
        settled = w.settle()
        must(victim.alive(), "it ended when its disk was full")
        w.kill(victim)
        seconds = w.restart(victim)
        w.settle()
        broken = victim.netdb_broken()
        must(not broken, f"half-written files: {broken}")
        fresh = w.spare(23, "fresh")
        fresh.data = small / "fresh"
        code, said = fresh.run_to_end()
        must(code == 2 and "cannot be written" in said, f"a first start on the full disk: code {code}, {testnet.tail(said, 3)!r}")
        must(not (fresh.data / "router.keys").exists(), "keys without a whole file were made")
        filler.unlink()
        begun = time.monotonic()
        until(lambda: "disk" not in victim.status()["text"], 70, "it saves again")
        saves = time.monotonic() - begun
        must(not victim.netdb_broken(), f"half-written files: {victim.netdb_broken()}")
    finally:
        if victim.alive():
            w.stop(victim)
        shutil.copytree(victim.data, kept, dirs_exist_ok=True)
        victim.data, victim.output = kept, log
        w.restart(victim)
        w.unmount(small)
    return (f"lines move {settled:.1f} s later, status says so; restarted on the full disk in {seconds:.2f} s with the same identity; a first start "
            f"refused with code 2; {saves:.1f} s after there was room again it saved")


def file_size_limit(w):
    """RLIMIT_FSIZE of 0 from one moment to the next, for its log as well: no write works, the router does."""
    victim, other = w.victims[-1], w.victims[0]
    resource.prlimit(victim.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    w.kill(other)
    w.restart(other)
    until(lambda: "disk" in victim.status()["text"], 60, "HELP STATUS says that nothing is saved")
    settled = w.settle()
    must(not victim.netdb_broken(), f"half-written files: {victim.netdb_broken()}")
    resource.prlimit(victim.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    begun = time.monotonic()
    until(lambda: "disk" not in victim.status()["text"], 70, "it saves again")
    return f"lines move {settled:.1f} s later; saved again {time.monotonic() - begun:.1f} s after the limit was gone"


def read_only(w):
    """Its directory becomes read-only while it runs, and is so at its next start: it goes on as who it is."""
    victim, other = w.victims[-1], w.victims[0]
    small = victim.dir / "readonly"
    w.tmpfs(small, "4m")
    w.stop(victim)
    kept, victim.data = victim.data, small / "data"
    shutil.copytree(kept, victim.data)
    try:
        w.restart(victim)
        # The lock file is open for writing; so the file system cannot be made read-only, but a view of it can.
        must(chaos_net.mount("--bind", small, small), "no bind mount")
        w.kill(victim)
        must(chaos_net.mount("-o", "remount,bind,ro", small), "no read-only view")
        seconds = w.restart(victim)
        w.kill(other)
        w.restart(other)
        until(lambda: "disk" in victim.status()["text"], 60, "HELP STATUS says that nothing is saved")
        settled = w.settle()
        second = w.spare(24, "second")
        second.data = victim.data
        code, said = second.run_to_end()
        must(code == 2 and "in use by another router" in said, f"a second router there: code {code}, {testnet.tail(said, 3)!r}")
        fresh = w.spare(25, "fresh2")
        fresh.data = small / "fresh"
        code, said = fresh.run_to_end()
        must(code == 2 and "--data-dir" in said, f"a first start there: code {code}, {testnet.tail(said, 3)!r}")
        w.kill(victim)
        chaos_net.unmount(small)
        w.restart(victim)
        w.stop(victim)
    finally:
        if victim.alive():
            w.kill(victim)
        victim.data = kept
        w.restart(victim)
        chaos_net.unmount(small)
        w.unmount(small)
    return f"started read-only in {seconds:.2f} s with the same identity, lines move {settled:.1f} s later; a second and a first router refused in words"


# --- descriptors (K5) ------------------------------------------------------------------------------------------------

def few_files(w):
    """128 descriptors: the router and SAM work; a storm of clients is refused or waits, and costs no processor time."""
    victim = w.victims[-1]
    w.stop(victim)
    victim.limits = {resource.RLIMIT_NOFILE: 128}
    try:
        w.restart(victim)
        w.settle()
        quiet = victim.cpu_share(3)
        held, refused = [], 0
        for _ in range(200):
            try:
                held.append(Sam(victim.sam, timeout=0.5))
            except (SamError, OSError):
                refused += 1
        files = victim.open_files()
        storm = victim.cpu_share(5)
        must(storm - quiet < 0.05, f"{storm * 100:.1f} % of a core with {files} files open, {quiet * 100:.1f} % before")
        must(refused, "200 clients were all let in")
        moved = w.settle()
        for sam in held:
            sam.close()
        with Session(victim.sam, 1) as near, Session(w.keepers[0].sam, 1) as far:
            ends = pair(near, far)
            transfer(ends[0], ends[1], 1 << 20, 60)
            for sam in ends[:2]:
                sam.close()
        clients = len(held)
    finally:
        victim.limits = {}
        w.stop(victim)
        w.restart(victim)
    return (f"200 clients: {clients} let in, {refused} not; {files} files open; {storm * 100:.1f} % of a core ({quiet * 100:.1f} % before); lines moved "
            f"{moved:.1f} s later; then 1 MiB over a new session")


# --- time (K6) -------------------------------------------------------------------------------------------------------

def clock_shift(w):
    """The clock of one router jumps by an hour, a day, and back, while it runs: its own traffic is back in a minute."""
    library = chaos_net.faketime_library()
    if not library:
        raise LeftOut("libfaketime is missing (Debian package faketime)")
    victim = w.victims[-1]
    w.stop(victim)
    clock = victim.dir / "clock"
    clock.write_text("+0\n")
    victim.env = {"LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_CACHE_DURATION": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                  "FAKETIME_NO_CACHE": "0", "DONT_FAKE_MONOTONIC": "1"}
    seen = []
    try:
        w.restart(victim, limit=2 * RESTART_S)
        w.settle()
        known = victim.status()["known"]
        for shift in ("+1h", "+0", "-1h", "+0", "-1d", "+0") if not w.a.quick else ("+1h", "+0"):
            seconds = {"+0": 0, "+1h": 3600, "-1h": -3600, "-1d": -86400}[shift]
            w.load.died(victim)
            clock.write_text(f"{seconds:+d}\n")
            begun = time.monotonic()
            # Longer than what was sent before the jump can still be on its way.
            time.sleep(5)
            w.load.died(victim)
            try:
                until(lambda: abs(log_ahead(victim) - seconds) < 30, 20, "its log has the new time")
            except Late:
                raise LeftOut(f"libfaketime has no effect here: told {seconds:+d} s, the log is {log_ahead(victim):+.0f} s ahead") from None
            try:
                took = w.settle(75)
                seen.append(f"{shift}: {took + 5:.0f} s")
                must(time.monotonic() - begun < 75, f"{shift}: own traffic took {took + 5:.0f} s")
            except Failed:
                seen.append(f"{shift}: not in 75 s")
                raise Failed(f"traffic of the router with the wrong clock did not come back: {', '.join(seen)}")
            must(victim.status()["known"] >= known - 2, f"{shift}: it knew {known} routers and now knows {victim.status()['known']}")
            w.load.died(victim)
    finally:
        victim.env = {}
        w.stop(victim)
        w.restart(victim)
    return "its lines moved again after " + ", ".join(seen)


def log_ahead(router):
    """How far its clock is ahead, by its last line."""
    stamp = re.findall(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)", router.log_now(), re.M)[-1]
    return calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%S")) - time.time()


# --- network (K7, K8) ------------------------------------------------------------------------------------------------

def loss(w):
    """1, 5 and 20 % of all packets of all links between routers are lost: no stream is."""
    chaos_net.small_packets()
    seen, rate = [], w.load.rate
    try:
        for share in (0.05, 0.20) if w.a.quick else (0.01, 0.05, 0.20):
            w.load.rate = min(rate, 4096) if share > 0.1 else min(rate, 16384)
            try:
                with Loss([r for r in w.net.routers], share) as lossy:
                    w.load.restart_gaps()
                    before, begun = w.load.received(), time.monotonic()
                    time.sleep(6 if w.a.quick else 45)
                    settled = w.settle(120)
                    speed = (w.load.received() - before) / (time.monotonic() - begun) / 1024
                    seen.append(f"{share:.0%}: {speed:.0f} KiB/s in all, longest pause {w.load.longest_gap():.1f} s ({lossy.filtered} links)")
            except Unavailable as e:
                raise LeftOut(str(e)) from None
            print(f"     {seen[-1]}", flush=True)
    finally:
        w.load.rate = rate
    return "; ".join(seen)


def link_down(w):
    """The address of one router is gone for 30 s (and for 5 min): its traffic is back within 30 s of its return."""
    victim, seen = w.victims[-1], []
    for down in (10,) if w.a.quick else (30, 300):
        address(victim, up=False)
        if down > 60:
            w.load.died(victim)
        time.sleep(down)
        address(victim, up=True)
        begun = time.monotonic()
        if down > 60:
            w.load.died(victim)
        w.settle(60)
        took = time.monotonic() - begun
        must(took < 30, f"after {down} s without its address it took {took:.0f} s")
        seen.append(f"after {down} s down: {took:.1f} s")
    return "lines at it moved again " + ", ".join(seen)


def address_change(w):
    """A router stops and comes back at another address, with the same identity: others find it there."""
    victim = w.victims[-1]
    w.stop(victim)
    old, port = victim.ip, victim.port
    victim.ip, victim.port = "198.19.58.1", port + 100
    try:
        seconds = w.restart(victim)
        settled = w.settle()
    finally:
        w.stop(victim)
        victim.ip, victim.port = old, port
        w.restart(victim)
    return f"started in {seconds:.2f} s, lines at it moved {settled:.1f} s later; and back again"


# --- running ---------------------------------------------------------------------------------------------------------

# Name, whether it is of the quick form.
TESTS = [
    (first_start_modes, True),
    (bad_keys_refused, True),
    (lost_keys_come_back, True),
    (sigkill, True),
    (sigstop, True),
    (sigterm, True),
    (corrupt_netdb, True),
    (few_files, True),
    (disk_full, True),
    (file_size_limit, False),
    (read_only, False),
    (address_change, False),
    (link_down, False),
    (clock_shift, False),
    (loss, True),
]


def run(w, tests):
    rows = []
    for test in tests:
        begun, cpu = time.monotonic(), os.times()
        word = "PASS"
        try:
            text = test(w)
            settled = w.settle()
            w.judge(begun)
            text += f" [all lines move {settled:.1f} s later]" if settled > 5 else ""
        except LeftOut as e:
            word, text = ("FAIL" if os.environ.get("CI") == "true" else "LEFT OUT"), str(e)
        except Exception as e:
            word, text = "FAIL", str(e) or repr(e)
            if not isinstance(e, (Failed, Late, SamError, OSError, RuntimeError)):
                traceback.print_exc()
            mend(w)
        rows.append((word, test.__name__, time.monotonic() - begun, text))
        print(f"{word} {test.__name__} ({rows[-1][2]:.1f} s): {text}", flush=True)
    return rows


def mend(w):
    """After a failure: everybody up again, so that the next test means something."""
    for router in w.ours:
        router.limits, router.env = {}, {}
        w.load.died(router)
        if router.alive():
            router.go_on()
        else:
            router.process = None
            try:
                router.restart()
            except Exception as e:
                print(f"     {router.name} cannot be started again: {e}", flush=True)
    try:
        w.settle(120)
    except Failed as e:
        print(f"     {e}", flush=True)


def soak(w, seconds):
    """Kills, stops and joins at random; memory and files of the survivors must not grow (K11)."""
    begun, events, watch = time.monotonic(), {"kill": 0, "term": 0, "stop": 0}, Watch(w.keepers)
    said = begun
    while time.monotonic() - begun < seconds:
        victim = w.rng.choice(w.victims)
        kind = w.rng.choice(sorted(events))
        events[kind] += 1
        if kind == "stop":
            victim.pause()
            time.sleep(w.rng.uniform(0.5, 5))
            victim.go_on()
        else:
            w.kill(victim) if kind == "kill" else w.stop(victim)
            w.restart(victim)
        end = time.monotonic() + w.rng.uniform(1, 2 * w.a.pause)
        while time.monotonic() < end:
            watch.sample()
            time.sleep(0.5)
        w.judge(begun)
        if time.monotonic() - said > 30:
            said = time.monotonic()
            print(f"     {said - begun:4.0f} s: {events}, {watch.now()}, {w.load.received() / 1048576:.0f} MiB checked", flush=True)
    w.settle()
    seen, faults = watch.verdict(w.a.slope)
    must(not faults, "; ".join(faults + seen))
    return f"{seconds:.0f} s, {events}; " + "; ".join(seen)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--list", action="store_true", help="print the names of the tests")
    p.add_argument("--quick", action="store_true", help="the short form: fewer kills, shorter waits, about two minutes")
    p.add_argument("--only", action="append", default=[], help="run the tests whose names contain this")
    p.add_argument("--kills", type=int, help="how many times sigkill kills (100; 12 in the quick form)")
    p.add_argument("--pause", type=float, help="longest pause between kills in seconds (4; 1 in the quick form)")
    p.add_argument("--netdb-files", type=int, default=2000, help="files of corrupt_netdb")
    p.add_argument("--soak", type=float, help="instead of the tests: churn for so many seconds, memory and files watched")
    p.add_argument("--slope", type=float, help="per cent in ten minutes that memory beyond the account may grow in a soak (3; 30 in one of less than 24 min)")
    p.add_argument("--rate", type=int, default=32, help="KiB/s of each direction of each stream")
    p.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="of what is chosen at random")
    p.add_argument("--log", default="info,samovar=debug", help="filter of ours")
    p.add_argument("--keep", action="store_true", help="keep the routers' files")
    a = p.parse_args()
    a.kills = a.kills or (12 if a.quick else 100)
    a.pause = a.pause if a.pause is not None else (1 if a.quick else 4)
    if a.soak is not None and a.soak < SOAK_LEAST_S:
        p.error(f"a soak of less than {SOAK_LEAST_S} s tells nothing about memory")
    tests = [t for t, quick in TESTS if (quick or not a.quick or a.only) and (not a.only or any(word in t.__name__ for word in a.only))]
    if a.list:
        print("\n".join(t.__name__ for t in tests))
        return 0
    try:
        ours, theirs = testnet.binary(), testnet.i2pd_version()
        testnet.enter_namespace()
        chaos_net.own_mounts()
    except Unavailable as e:
        print(f"chaos left out: {e}")
        return 3
    began, w, rows, late = time.monotonic(), World(a), [], []
    print(f"chaos: {ours.name} ({ours.parent.name} build) and i2pd {theirs}, --seed {a.seed}", flush=True)
    try:
        w.start()
        print(f"10 routers with {len(w.load.lines)} busy lines after {time.monotonic() - began:.1f} s", flush=True)
        if a.soak:
            def soaked(w):
                return soak(w, a.soak)
            soaked.__name__ = "soak"
            tests = [soaked]
        rows = run(w, tests)
        late = w.load.close(told=10 if a.quick else TOLD_S) + w.load.complaints()
    except Exception as e:
        rows.append(("FAIL", "network", time.monotonic() - began, str(e) or repr(e)))
        traceback.print_exc()
    finally:
        failed = sum(word == "FAIL" for word, *_ in rows) + bool(late)
        w.load.closing.set()
        w.load.over.set()
        w.close(keep=failed > 0 or a.keep)
        if failed or a.keep:
            print(f"logs are kept in {w.net.dir}", flush=True)
    table(w, rows, late, time.monotonic() - began)
    return 1 if failed or not any(word == "PASS" for word, *_ in rows) else 0


def table(w, rows, late, seconds):
    print(f"\n{'':8}  {'test':22} {'s':>6}")
    for word, name, took, _ in rows:
        print(f"{word:8}  {name:22} {took:6.1f}")
    for text in late:
        print(f"FAIL      at the end: {text}")
    records, sent = w.load.records, sum(d.sent for d in w.load.datagrams)
    print(f"{w.load.received() / 1048576:.0f} MiB of streams checked, {len(records)} streams ended with a router of theirs; "
          f"{sum(d.received for d in w.load.datagrams)} of {sent} datagrams arrived, all as sent; {seconds:.0f} s")
    count = {word: sum(word == r[0] for r in rows) for word in ("PASS", "FAIL", "LEFT OUT")}
    print(f"{count['PASS']} passed, {count['FAIL'] + bool(late)} failed" + (f", {count['LEFT OUT']} left out" if count["LEFT OUT"] else ""), flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
