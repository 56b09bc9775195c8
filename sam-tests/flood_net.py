# SPDX-License-Identifier: MIT
"""For flood.py: one victim in its private network, honest people around it, and `samovar-flood` to flood it with."""
import json
import mmap
import os
import pathlib
import subprocess
import time

import bench_many
import testnet
from samclient import Sam, SamError, Session, Task, pair
from testnet import Net, Unavailable

ROUTERS = 8
HOPS = 1
NET_ID = 77


class WideNet(Net):
    """Routers each in a /16 of its own, at addresses that count as public: the live network's rules can be kept."""

    def address(self, second, k):
        return f"31.{second * 2 + k}.0.1"


class Victim(testnet.Ours):
    """One of our routers with the limits of the live network."""

    lines = "sam-spare = false\n"

    def command(self):
        config = self.dir / "flood.toml"
        config.write_text(self.lines)
        return [w for w in super().command() if w != "--test-network"] + ["--config", str(config)]


class Busy:
    """A stream that always has something to send: one process writes, another one reads."""

    def __init__(self, near, far, patience=300):
        self.near, self.far, _ = self.ends = pair(near, far, patience)
        self.workers = []

    def work(self, *jobs):
        """Begins them: each a function and its arguments."""
        self.workers = [bench_many.FORK.Process(target=job, args=args, daemon=True) for job, *args in jobs]
        for worker in self.workers:
            worker.start()

    def close(self):
        for worker in self.workers:
            worker.kill()
            worker.join()
        self.near.close()
        self.far.close()


class Meter(Busy):
    """One whose bytes are counted."""

    def __init__(self, near, far):
        super().__init__(near, far)
        self.counts = mmap.mmap(-1, bench_many.COUNT.size)
        self.work((bench_many._pour, [self.near.socket]), (bench_many._drain, [self.far.socket], self.counts))

    def bytes(self):
        return bench_many.COUNT.unpack_from(self.counts, 0)[0]


class Greeter:
    """A server on a session: takes whoever comes, and answers a `?` with a `!`. It does not wait for the silent."""

    def __init__(self, session):
        self.session, self.going, self.failures = session, True, 0
        Task(self.serve)

    def serve(self):
        while self.going:
            try:
                sam = self.session.accept()
                sam.socket.settimeout(600)
                sam.line()
                Task(self.greet, sam)
            except (SamError, OSError):
                self.failures += 1
                time.sleep(0.2)

    def greet(self, sam):
        try:
            sam.socket.settimeout(4)
            if sam.receive_exactly(1) == b"?":
                sam.socket.sendall(b"!")
                sam.receive()
        except (SamError, OSError):
            pass
        sam.close()


def call(client, destination, patience):
    """Seconds until a greeter has answered; tried once. i2pd says OK before anybody was reached, hence the greeting."""
    start = time.monotonic()
    with Sam(client.address, patience) as sam:
        sam.must(f"STREAM CONNECT ID={client.id} DESTINATION={destination} SILENT=false")
        sam.socket.sendall(b"?")
        if sam.receive_exactly(1) != b"!":
            raise SamError("the greeting came back wrong")
    return time.monotonic() - start


class Flooder:
    """One run of samovar-flood, prepared and waiting for its word."""

    def __init__(self, side, words, seconds, nice=5, base="31.200.0.1"):
        binary = flooder()
        words = [str(binary), words[0], "--victim", str(side.victim.info_file), "--seconds", str(seconds),
                 "--peers", str(side.net.infos_dir), "--netid", str(NET_ID), "--base", base,
                 "--sam", "%s:%d" % side.victim.sam, "--destination", side.served.destination] + words[1:]
        self.log = open(side.net.dir / f"flood-{words[1]}.log", "ab")
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
                                        preexec_fn=lambda: (os.nice(nice), testnet._die_with_parent()))
        self.seconds = seconds

    def ready(self):
        line = self.process.stdout.readline()
        if line.strip() != "ready":
            raise SamError(f"the flooder did not start: {self.error()}")

    def error(self):
        self.process.wait()
        return testnet.tail(pathlib.Path(self.log.name).read_text(), 6)

    def go(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def cpu_s(self):
        try:
            fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except OSError:
            return 0.0

    def result(self):
        """Its figures."""
        try:
            out, _ = self.process.communicate(timeout=self.seconds + 30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise SamError("the flooder did not end") from None
        if self.process.returncode != 0:
            raise SamError(f"the flooder failed: {self.error()}")
        return json.loads(out.strip().splitlines()[-1])

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def flooder():
    found = pathlib.Path(os.environ.get("SAMOVAR_FLOOD", testnet.ROOT / "target/release/examples/samovar-flood"))
    if not found.exists():
        raise Unavailable("samovar-flood is not built: cargo build --release --features sim --example samovar-flood")
    return found


class Side:
    """One victim in its network, and honest people around it."""

    def __init__(self, kind, base, victim=Victim, cage=None):
        self.kind = kind
        self.net = WideNet(kind, netid=NET_ID, base=base, loglevel="error", our_log="warn")
        self.net.cage = cage
        for k in range(1, ROUTERS + 1):
            if kind == "i2pd":
                self.net.add_i2pd(k, floodfill=k <= 3)
            elif k == 1:
                self.net.routers.append(victim(self.net, k, floodfill=True))
            else:
                self.net.add_ours(k, floodfill=k <= 3)
        self.victim = self.net.routers[0]

    def open(self):
        self.net.start()
        self.net.wait_up()
        peer, other = self.net.routers[-1], self.net.routers[-2]
        wanted = [(self.victim, "near"), (peer, "far"), (self.victim, "served"), (other, "caller")]
        tasks = [(name, Task(self.net.session, router, HOPS, timeout=180)) for router, name in wanted]
        for name, task in tasks:
            setattr(self, name, task.result(400))
        self.greeter = Greeter(self.served)
        self.meter = Meter(self.near, self.far)

    def close(self, keep):
        if hasattr(self, "meter"):
            self.meter.close()
        self.net.close(keep=keep)

    # What honest people do meanwhile. Each answers (seconds of each success, failures).

    def open_streams(self, end):
        times, failed = [], 0
        while time.monotonic() < end:
            try:
                times.append(call(self.caller, self.served.destination, patience=10))
            except (SamError, OSError):
                failed += 1
            time.sleep(0.5)
        return times, failed

    def open_sessions(self, end):
        if self.kind == "i2pd":
            return [], 0
        times, failed = [], 0
        while time.monotonic() < end:
            try:
                session = Session(self.victim.sam, HOPS, timeout=max(2, end + 10 - time.monotonic()))
                times.append(session.seconds)
                session.close()
            except (SamError, OSError):
                failed += 1
            time.sleep(1)
        return times, failed

    def phase(self, seconds, flood=None, honest=True):
        """Measures for so long; starts the flood with it, if there is one."""
        probe = Flooder(self, ["probe"], seconds, nice=0, base="31.190.0.1") if honest else None
        if probe:
            probe.ready()
        out, cpu, fcpu = {}, self.victim.cpu_s(), flood.cpu_s() if flood else 0
        fcpu_now = fcpu
        begin, bytes_before, rss = time.monotonic(), self.meter.bytes(), []
        for f in filter(None, (flood, probe)):
            f.go()
        end = begin + seconds
        tasks = [Task(self.open_streams, end), Task(self.open_sessions, end)] if honest else []
        while time.monotonic() < end:
            rss.append(self.victim.rss_mib())
            if flood and flood.process.poll() is None:
                fcpu_now = flood.cpu_s()
            time.sleep(0.2)
        took = time.monotonic() - begin
        out["goodput"] = (self.meter.bytes() - bytes_before) / 1048576 / took
        out["cpu"] = (self.victim.cpu_s() - cpu) / took
        out["flood_cpu"] = (fcpu_now - fcpu) / took if flood else 0
        out["rss"] = max(rss)
        if honest:
            out["streams"], out["sessions"] = (t.result(240) for t in tasks)
            out["links"] = probe.result()
        return out
