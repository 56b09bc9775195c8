# SPDX-License-Identifier: MIT
"""What the tests of other people's SAM clients share: a private network of ours, and one line for each test.

A test is a function that takes a `Devnet` and returns what it saw, in words. It raises to fail, or `LeftOut` when this
machine lacks what it needs; with CI=true that is a failure too, so that nothing is skipped in silence.
"""
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import testnet  # noqa: E402  (lies one folder up)

ROOT = testnet.ROOT
CI = os.environ.get("CI") == "true"
MIB = 1 << 20


class LeftOut(Exception):
    """The test needs something that this machine does not have; the text says what, and how to get it."""


def free_ports(count):
    """Pairs of free ports (SAM's TCP port and, one below it, its UDP port); returns the TCP ones."""
    found, held = [], []
    while len(found) < count:
        tcp = socket.socket()
        tcp.bind(("127.0.0.1", 0))
        port = tcp.getsockname()[1]
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        held += [tcp, udp]
        try:
            udp.bind(("127.0.0.1", port - 1))
        except OSError:
            continue
        found.append(port)
    for s in held:
        s.close()
    return found


class Devnet:
    """`samovar devnet` with a SAM bridge on so many of its routers; `sam` has their addresses, or gives them."""

    def __init__(self, bridges=4, routers=8, threads=2, log="warn", sam=None):
        self.sam = sam or [("127.0.0.1", port) for port in free_ports(bridges)]
        self.lines = []
        self.up = threading.Event()
        command = [str(testnet.binary()), "devnet", "--routers", str(routers), "--threads", str(threads), "--log", log]
        for host, port in self.sam:
            command += ["--sam", f"{host}:{port}"]
        start = time.monotonic()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True, preexec_fn=testnet._die_with_parent)
        threading.Thread(target=self._read, daemon=True).start()
        if not self.up.wait(120) or self.process.poll() is not None:
            self.close()
            raise RuntimeError("the private network did not come up:\n" + testnet.tail("\n".join(self.lines)))
        self.seconds = time.monotonic() - start

    def _read(self):
        for line in self.process.stdout:
            self.lines = self.lines[-500:] + [line.rstrip()]
            if re.match(r"All \d+ routers have tunnels", line):
                self.up.set()
        self.up.set()

    def cpu_seconds(self):
        """Processor time that the network has used so far, or None where the system does not tell."""
        try:
            fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            return None
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def run(tests, only=(), **network):
    """Runs `tests`, a list of (name, function), on one network; returns the exit code."""
    chosen = [(name, test) for name, test in tests if not only or any(word in name for word in only)]
    if not chosen:
        print(f"no test is named so; there are: {', '.join(name for name, _ in tests)}")
        return 2
    passed, failed, skipped = 0, 0, 0
    with Devnet(**network) as net:
        print(f"private network of our routers up in {net.seconds:.1f} s", flush=True)
        for name, test in chosen:
            start = time.monotonic()
            try:
                saw = test(net)
                passed += 1
                print(f"PASS {name} ({time.monotonic() - start:.1f} s): {saw}", flush=True)
            except LeftOut as e:
                failed, skipped = failed + CI, skipped + (not CI)
                print(f"{'FAIL' if CI else 'LEFT OUT'} {name}: {e}", flush=True)
            except Exception as e:
                failed += 1
                print(f"FAIL {name} ({time.monotonic() - start:.1f} s): {type(e).__name__}: {e}", flush=True)
                traceback.print_exc()
            if net.process.poll() is not None:
                print("the network has ended:\n" + testnet.tail("\n".join(net.lines), 40), flush=True)
                return 1
        said = [line for line in net.lines if " WARN " in line or " ERROR " in line]
        if failed and said:
            print("the network said:\n" + testnet.tail("\n".join(said), 40))
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""), flush=True)
    return 1 if failed else 0
