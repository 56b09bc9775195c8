# SPDX-License-Identifier: MIT
"""Routers to which bad things can be done, and the bad things that are done to the network: for chaos.py."""
import ctypes
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

import testnet
from chaos_load import sam_answers
from testnet import LIBC, Ours, Unavailable, router_hash, until

CLONE_NEWNS = 0x20000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
FAKETIME = [pathlib.Path(p) for p in ("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
                                       "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
                                       "/usr/lib/faketime/libfaketimeMT.so.1")]


def own_mounts():
    """File systems mounted from now on are seen by this process and its children alone."""
    if LIBC.unshare(CLONE_NEWNS) != 0 or LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        raise Unavailable("no mount namespace can be made here: " + os.strerror(ctypes.get_errno()))


def mount(*words):
    done = subprocess.run(["mount", *map(str, words)], text=True, capture_output=True)
    return done.returncode == 0


def unmount(path):
    subprocess.run(["umount", "-l", str(path)], capture_output=True)


def faketime_library():
    return next((p for p in FAKETIME if p.exists()), None)


class Ailing(Ours):
    """A router of ours whose directory, limits and clock can be tampered with."""

    def __init__(self, net, k, **more):
        super().__init__(net, k, **more)
        self.data = self.dir / "data"
        self.limits, self.env, self.wrap = {}, {}, []
        self.bootstrap, self.log_at, self.identity = True, 0, None
        self.output = self.dir / "output.log"

    @property
    def info_file(self):
        return self.data / "router.info"

    @property
    def keys(self):
        return (self.data / "router.keys").read_bytes()

    def command(self):
        words = [*self.wrap, testnet.binary(), "run", "--data-dir", self.data, "--host", self.ip, "--port", self.port, "--netid", self.net.netid,
                 "--test-network", "--no-reseed", "--sam", "%s:%d" % self.sam, "--log", self.log, *self.extra]
        words += ["--bootstrap", self.net.infos_dir] if self.bootstrap else []
        return [str(w) for w in words + (["--floodfill"] if self.floodfill else [])]

    def _prepare(self):
        testnet._die_with_parent()
        for which, value in self.limits.items():
            resource.setrlimit(which, (value, value))

    def start(self):
        self.log_at = self.output.stat().st_size if self.output.exists() else 0
        with open(self.output, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                            env=os.environ | self.env, preexec_fn=self._prepare)

    def run_to_end(self, seconds=10):
        """Starts it where it ought to refuse; answers with the code of its exit (None: it went on) and what it said."""
        self.start()
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
            self.kill()
        self.process = None
        return code, self.log_now()

    def log_now(self):
        """What it logged since its last start."""
        with open(self.output, "rb") as log:
            log.seek(self.log_at)
            return re.sub(r"\x1b\[[0-9;]*m", "", log.read().decode(errors="replace"))

    def restart(self, patience=30):
        """Starts it and answers with the seconds until SAM answered; it must be who it was."""
        begun = time.monotonic()
        self.start()
        until(self._answers, patience, f"SAM of {self.name} answers", every=0.01)
        seconds = time.monotonic() - begun
        # At a first start these are written a moment later; at others the log may have no room.
        until(lambda: self.info_file.exists() and (self.identity or "router started" in self.log_now()), 10,
              f"{self.name} writes its RouterInfo", every=0.01)
        self.check_identity()
        return seconds

    def _answers(self):
        if not self.alive():
            raise RuntimeError(f"{self.name} ended at its start:\n" + testnet.tail(self.log_now()))
        return sam_answers(self.sam)

    def check_identity(self):
        found = re.search(r"router started router=(\S+)", self.log_now())
        now = (self.keys, router_hash(self.info), found and found[1])
        self.identity = self.identity or now
        if now[:2] != self.identity[:2] or None not in (now[2], self.identity[2]) and now[2] != self.identity[2]:
            raise RuntimeError(f"{self.name} came back as another router")

    def netdb_files(self):
        return sorted(p for p in (self.data / "netDb").glob("r*/routerInfo-*.dat") if p.is_file())

    def netdb_broken(self):
        """Files of its netDb that do not hold what their names say."""
        out = []
        for path in self.netdb_files():
            try:
                info = path.read_bytes()
            except FileNotFoundError:
                continue
            if len(info) < 400 or f"routerInfo-{testnet.i2p_base64(router_hash(info))}.dat" != path.name:
                out.append(path.name)
        return out

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def open_files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def cpu_share(self, seconds):
        """Part of a core that it uses over so long."""
        before, begun = self.cpu_s(), time.monotonic()
        time.sleep(seconds)
        return (self.cpu_s() - before) / (time.monotonic() - begun)


# --- loss ------------------------------------------------------------------------------------------------------------

SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
SYS_PIDFD_OPEN, SYS_PIDFD_GETFD = 434, 438


class Loss:
    """Loses a share of the packets of every link between routers, without netem.

    The kernel lets a socket filter decide about each packet that arrives for a socket. This one throws dice. It is put
    on the sockets of the routers' processes from outside (pidfd_getfd), on listeners as well, from which accepted
    sockets have it; sockets that a router opens are found within a tenth of a second. TCP then does what it does.
    """

    def __init__(self, routers, share):
        self.routers, self.share = routers, share
        self.stopped, self.seen, self.filtered = threading.Event(), set(), 0
        threshold = int(share * (1 << 32))
        # ld random; if it is at least the threshold: take all, else: nothing
        code = struct.pack("=HBBI", 0x20, 0, 0, 0xFFFFF038) + struct.pack("=HBBI", 0x35, 0, 1, threshold)
        code += struct.pack("=HBBI", 0x06, 0, 0, 0xFFFFFFFF) + struct.pack("=HBBI", 0x06, 0, 0, 0)
        self.buffer = ctypes.create_string_buffer(code, len(code))
        self.program = struct.pack("HL", 4, ctypes.addressof(self.buffer))

    def __enter__(self):
        self._sweep()
        if not self.filtered:
            self._each(self._detach)
            raise Unavailable("no socket of another process can be had here (pidfd_getfd)")
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()
        self._each(self._detach)

    def _watch(self):
        while not self.stopped.wait(0.1):
            self._sweep()

    def _sweep(self):
        self._each(self._attach, fresh=True)

    def _attach(self, sock):
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, self.program)
        self.filtered += 1

    @staticmethod
    def _detach(sock):
        try:
            sock.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
        except OSError:
            pass  # it had none

    def _each(self, work, fresh=False):
        for router in self.routers:
            if router.alive():
                self._each_of(router.process.pid, work, fresh)

    def _each_of(self, pid, work, fresh):
        pidfd = LIBC.syscall(SYS_PIDFD_OPEN, pid, 0)
        if pidfd < 0:
            return
        try:
            for name in os.listdir(f"/proc/{pid}/fd"):
                try:
                    link = os.readlink(f"/proc/{pid}/fd/{name}")
                except OSError:
                    continue
                if not link.startswith("socket:") or fresh and (pid, link) in self.seen:
                    continue
                self.seen.add((pid, link))
                fd = LIBC.syscall(SYS_PIDFD_GETFD, pidfd, int(name), 0)
                if fd >= 0:
                    self._one(fd, work)
        except FileNotFoundError:
            pass  # the process has ended
        finally:
            os.close(pidfd)

    @staticmethod
    def _one(fd, work):
        with socket.socket(fileno=fd) as sock:
            try:
                if sock.family == socket.AF_INET and sock.type == socket.SOCK_STREAM and sock.getsockname()[0].startswith("198."):
                    work(sock)
            except OSError:
                pass


def small_packets():
    """Makes the packets of the loopback link as small as those of a real one, so that losing one is losing little."""
    for words in (["mtu", "1500"], ["gso_max_segs", "1"], ["gso_max_size", "1500", "gro_max_size", "1500"]):
        subprocess.run(["ip", "link", "set", "dev", "lo", *words], capture_output=True)


# --- addresses, files ------------------------------------------------------------------------------------------------

def address(router, up):
    """Takes a router's address away from the machine, or gives it back."""
    subprocess.run(["ip", "addr", "add" if up else "del", f"{router.ip}/32", "dev", "lo"], check=up, capture_output=True)


def fill(directory):
    """Leaves no room on the file system of a directory; answers with the file that takes it."""
    filler = directory / "filler"
    with open(filler, "wb", buffering=0) as f:
        for size in (4096, 1):
            try:
                while True:
                    f.write(bytes(size))
            except OSError:
                pass
    return filler


def flip(path, rng, times=1):
    """Changes some bytes of a file, each for another."""
    data = bytearray(path.read_bytes())
    for _ in range(times):
        data[rng.randrange(len(data))] ^= rng.randrange(1, 256)
    path.write_bytes(data)


def multiply_netdb(router, count, rng: random.Random):
    """Fills a stopped router's netDb with copies of what it holds, under names of their own."""
    infos = [p.read_bytes() for p in router.netdb_files()]
    made = []
    for n in range(count):
        name = testnet.i2p_base64(rng.randbytes(32))
        folder = router.data / "netDb" / f"r{name[0]}"
        folder.mkdir(parents=True, exist_ok=True)
        made.append(folder / f"routerInfo-{name}.dat")
        made[-1].write_bytes(infos[n % len(infos)])
    return made


def copy_data(router, to):
    shutil.copytree(router.data, to, dirs_exist_ok=True)
