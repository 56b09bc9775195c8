#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A private I2P network on one machine: real i2pd routers and ours, in a network namespace with no way out.

As a library: `enter_namespace()` once, then `Net(...)`, add routers, `start()`, and `close()` (or use it in a `with`).
As a command:  testnet.py [--i2pd 5] [--ours 2] [--floodfills 2]      runs until Ctrl-C and prints where everything is

The namespace belongs to this process and its children alone; the kernel removes it with the last of them. Routers
that we start are killed with this process, whatever becomes of it. Nothing is waited for by sleeping a fixed time.

Addresses: i2pd takes 198.18.k.1, ours 198.19.k.1. That is the range for benchmarks (RFC 2544), never routed, and the
only one that i2pd 2.45.1 accepts here: it refuses loopback and private addresses for incoming links.
"""
import argparse
import base64
import ctypes
import hashlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

from samclient import Sam, SamError, Session

# The tools of an administrator are not on every path.
os.environ["PATH"] += ":/usr/sbin:/sbin"
ROOT = pathlib.Path(__file__).resolve().parent.parent
CLONE_NEWNET, CLONE_NEWUSER = 0x40000000, 0x10000000
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)

I2PD_CONF = """\
host = {ip}
address4 = {ip}
port = {port}
ipv4 = true
ipv6 = false
nat = false
reservedrange = false
netid = {netid}
bandwidth = X
share = 100
floodfill = {floodfill}
notransit = false
daemon = false
log = file
loglevel = {loglevel}
logfile = {dir}/router.log
{extra}
[limits]
transittunnels = 5000
[ntcp2]
enabled = true
published = true
[ssu2]
enabled = false
published = false
[http]
enabled = true
address = 127.0.0.1
port = {console}
[httpproxy]
enabled = false
[socksproxy]
enabled = false
[sam]
enabled = true
address = 127.0.0.1
port = {sam}
singlethread = false
[i2cp]
enabled = false
[upnp]
enabled = false
[reseed]
verify = false
threshold = 0
urls =
yggurls =
# i2pd 2.45.1 dies on STREAM CONNECT without an address book, and after three minutes with an empty address in it.
[addressbook]
enabled = true
defaulturl = http://{b32}.b32.i2p/hosts.txt
subscriptions = http://{b32}.b32.i2p/hosts.txt
[exploratory]
inbound.length = 1
outbound.length = 1
inbound.quantity = 2
outbound.quantity = 2
[nettime]
enabled = false
frompeers = false
[persist]
profiles = false
"""


class Unavailable(Exception):
    """The machine cannot hold a private network; the text says why."""


class Late(Exception):
    """A condition did not come true in time."""


def until(condition, seconds, what, every=0.1):
    """Waits for `condition()` to be true and returns its value. Errors of links not yet there count as not true."""
    end, last = time.monotonic() + seconds, None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = None
        except (OSError, SamError) as e:
            last = e
        if time.monotonic() > end:
            raise Late(f"after {seconds:.0f} s still not: {what}" + (f" ({last})" if last else ""))
        time.sleep(every)


# --- the namespace ---------------------------------------------------------------------------------------------------

def enter_namespace():
    """Moves this process into a network namespace of its own, with the addresses of up to 60 routers of each kind."""
    if not shutil.which("ip"):
        raise Unavailable("the command `ip` is missing (Debian package iproute2)")
    if LIBC.unshare(CLONE_NEWNET) != 0:
        uid, gid = os.getuid(), os.getgid()
        if LIBC.unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
            raise Unavailable("no network namespace can be made here: " + os.strerror(ctypes.get_errno()) + " (run as root)")
        pathlib.Path("/proc/self/setgroups").write_text("deny")
        pathlib.Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        pathlib.Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    lines = ["link set lo up"]
    for second in (18, 19):
        lines += [f"addr add 198.{second}.{k}.1/32 dev lo" for k in range(1, 61)]
    done = subprocess.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n", text=True, capture_output=True)
    if done.returncode != 0:
        raise Unavailable("addresses cannot be set in the namespace: " + done.stderr.strip())


def _die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


# --- routers ---------------------------------------------------------------------------------------------------------

def router_hash(info):
    """Hash of the router that a RouterInfo describes: of its identity, 387 bytes and the rest of its certificate."""
    size = 387 + int.from_bytes(info[385:387], "big")
    return hashlib.sha256(info[:size]).digest()


def i2p_base64(data):
    return base64.b64encode(data, b"-~").decode()


class Router:
    """One process. Start and stop it from the main thread only: it dies with the thread that started it."""

    def __init__(self, net, k, ip):
        self.net, self.k, self.ip = net, k, ip
        self.port = 17000 + k
        self.process = None
        self.dir = net.dir / self.name
        self.dir.mkdir(parents=True)

    @property
    def info_file(self):
        return self.dir / "router.info"

    @property
    def info(self):
        return self.info_file.read_bytes()

    @property
    def hash(self):
        return router_hash(self.info)

    @property
    def b64(self):
        return i2p_base64(self.hash)

    @property
    def short(self):
        """The first four characters: what i2pd's console shows."""
        return self.b64[:4]

    @property
    def logged(self):
        """The first six characters: what our log shows."""
        return self.b64[:6]

    def start(self):
        with open(self.dir / "output.log", "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True, preexec_fn=lambda: (_die_with_parent(), self.before()))

    def before(self):
        """What the process does first of all, before it becomes the router."""

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, seconds=12):
        """Ends it in order, or by force after `seconds`. Returns the exit code, None if it was not running."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
        code = self.process.wait()
        self.process = None
        return code

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def rss_mib(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024

    def cpu_s(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def log_text(self):
        return "".join(f.read_text(errors="replace") for f in (self.dir / "router.log", self.dir / "output.log") if f.exists())

    def sam_open(self):
        Sam(self.sam, timeout=5).close()
        return True


class I2pd(Router):
    """A real router, with its web console as witness."""

    def __init__(self, net, k, floodfill=False, extra=""):
        self.name = f"i2pd{k}"
        super().__init__(net, k, net.address(18, k))
        self.floodfill = floodfill
        self.sam = ("127.0.0.1", 17100 + 2 * k)
        self.console_port = 17300 + k
        (self.dir / "certificates").mkdir()
        text = I2PD_CONF.format(ip=self.ip, port=self.port, netid=net.netid, floodfill=str(floodfill).lower(), dir=self.dir,
                                loglevel=net.loglevel, console=self.console_port, sam=self.sam[1], b32="a" * 52, extra=extra)
        (self.dir / "i2pd.conf").write_text(text)

    def command(self):
        return [net_i2pd(), f"--datadir={self.dir}", f"--conf={self.dir}/i2pd.conf", f"--certsdir={self.dir}/certificates"]

    def learn(self, infos):
        """Puts RouterInfos in its netDb; to be read at its next start."""
        for info in infos:
            name = i2p_base64(router_hash(info))
            folder = self.dir / "netDb" / f"r{name[0]}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"routerInfo-{name}.dat").write_bytes(info)

    def console(self, page="", **more):
        query = "&".join([f"page={page}"] + [f"{k}={v}" for k, v in more.items()]) if page else ""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.console_port}/?{query}", timeout=10) as answer:
            html = answer.read().decode(errors="replace")
        return html.replace("&#8658;", "->").replace("&nbsp;", " ")

    def counts(self):
        """Routers, Floodfills, LeaseSets, Client Tunnels, Transit Tunnels, as its front page counts them."""
        html = self.console()
        names = ("Routers", "Floodfills", "LeaseSets", "Client Tunnels", "Transit Tunnels")
        return {n: int(m[1]) for n in names if (m := re.search(rf"<b>{n}:</b>\s*(\d+)", html))}

    def links(self):
        """Established NTCP2 links as (dialled by it, short name of the peer)."""
        items = _items(self.console("transports"))
        out = [re.match(r"(->)?\s*([\w~-]{4}): ", i) for i in items]
        return [(bool(m[1]), m[2]) for m in out if m]

    def tunnels(self, page="tunnels", **more):
        """Its tunnels as ("in" or "out", state, [short names of the hops, in the order bytes pass them])."""
        out = []
        for item in _items(self.console(page, **more)):
            state = re.search(r'class="tunnel (\w+)"', item)
            if not state or ":me" not in item:
                continue
            words = [w.strip() for w in re.sub(r"\(.*?\)", "", item.split("<span")[0]).split("->")]
            way = "out" if words[0].endswith(":me") else "in"
            out.append((way, state[1], [w for w in words if w and not w.endswith(":me")]))
        return out

    def destination_tunnels(self, b32):
        return self.tunnels("local_destination", b32=b32)

    def transit(self):
        """Tunnels that it carries for others as (role, bytes)."""
        out = []
        for item in _items(self.console("transit_tunnels")):
            m = re.match(r"(->)?\s*(\d+)\s*(->)?\s*(\d+)$", item)
            if m:
                role = {(True, True): "participant", (False, True): "gateway", (True, False): "endpoint"}[(bool(m[1]), bool(m[3]))]
                out.append((role, int(m[4])))
        return out

    def up(self):
        """Has exploratory tunnels with hops in both directions."""
        good = {way for way, state, hops in self.tunnels() if state == "established" and hops}
        return good == {"in", "out"}


def _items(html):
    """Contents of the console's list items, one line each."""
    return [" ".join(i.split()) for i in re.findall(r'<div class="listitem">(.*?)</div>', html, re.S)]


class Ours(Router):
    """A router of this project, run by its command."""

    def __init__(self, net, k, floodfill=False, log=None, extra=()):
        self.name = f"ours{k}"
        super().__init__(net, k, net.address(19, k))
        self.floodfill = floodfill
        self.sam = ("127.0.0.1", 17500 + 2 * k)
        self.log, self.extra = log or net.our_log, list(extra)

    def command(self):
        words = [str(binary()), "run", "--data-dir", self.dir, "--host", self.ip, "--port", self.port, "--netid", self.net.netid,
                 "--test-network", "--no-reseed", "--sam", "%s:%d" % self.sam, "--log", self.log, "--bootstrap", self.net.infos_dir]
        return [str(w) for w in words + (["--floodfill"] if self.floodfill else []) + self.extra]

    def status(self):
        """What HELP STATUS says, as numbers: known, connected, own, transit, floodfills, published."""
        with Sam(self.sam, timeout=10) as sam:
            sam.send("HELP STATUS")
            text = ""
            while not text.endswith("# end\n"):
                text += sam.line() + "\n"
        out = {"text": text, "published": ", published" in text}
        for key, pattern in (("known", r"(\d+) routers known"), ("connected", r"(\d+) connected"), ("own", r"(\d+) own tunnels"),
                             ("transit", r"(\d+) transit tunnels"), ("floodfills", r"(\d+) floodfills known")):
            found = re.search(pattern, text)
            out[key] = int(found[1]) if found else 0
        out["tunnels"] = "Tunnels," in text
        return out

    def up(self):
        return self.status()["tunnels"]


def binary():
    """Our command: $SAMOVAR, or the newest of the release and the debug build."""
    if "SAMOVAR" in os.environ:
        return pathlib.Path(os.environ["SAMOVAR"])
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    built = [p for p in (target / "release" / "samovar", target / "debug" / "samovar") if p.exists()]
    if not built:
        raise Unavailable("no samovar is built: run `cargo build --release` first, or set SAMOVAR")
    return max(built, key=lambda p: p.stat().st_mtime)


def net_i2pd():
    """The i2pd to run: $I2PD or the one on the path."""
    found = os.environ.get("I2PD") or shutil.which("i2pd")
    if not found:
        raise Unavailable("i2pd is not installed (Debian package i2pd)")
    return found


def i2pd_version():
    text = subprocess.run([net_i2pd(), "--version"], text=True, capture_output=True).stdout
    found = re.search(r"version (\S+)", text)
    return found[1] if found else "unknown"


# --- networks --------------------------------------------------------------------------------------------------------

class Net:
    """Routers that know each other and nobody else."""

    def __init__(self, name="net", netid=77, base=None, loglevel="info", our_log="info,samovar=debug"):
        self.base = pathlib.Path(base) if base else pathlib.Path(tempfile.mkdtemp(prefix="samovar-net-"))
        self.dir = self.base / name
        self.infos_dir = self.dir / "infos"
        self.infos_dir.mkdir(parents=True)
        self.netid, self.loglevel, self.our_log = netid, loglevel, our_log
        self.routers, self.silent = [], []

    def address(self, second, k):
        """Address of a router; networks of another plan override it."""
        return f"198.{second}.{k}.1"

    def add_i2pd(self, k, **more):
        self.routers.append(I2pd(self, k, **more))
        return self.routers[-1]

    def add_ours(self, k, **more):
        self.routers.append(Ours(self, k, **more))
        return self.routers[-1]

    @property
    def i2pds(self):
        return [r for r in self.routers if isinstance(r, I2pd)]

    @property
    def ours(self):
        return [r for r in self.routers if isinstance(r, Ours)]

    def introduce(self):
        """Lets every router make its identity, ends it, and gives everybody's RouterInfo to everybody."""
        for router in self.routers:
            router.start()
        for router in self.routers:
            until(lambda: self._has_info(router), 60, f"{router.name} writes its RouterInfo")
        for router in self.routers:
            router.stop()
        infos = [r.info for r in self.routers]
        for info in infos:
            (self.infos_dir / f"routerInfo-{i2p_base64(router_hash(info))}.dat").write_bytes(info)
        for router in self.i2pds:
            router.learn(i for i in infos if router_hash(i) != router.hash)

    def _has_info(self, router):
        if not router.alive():
            raise RuntimeError(f"{router.name} ended at its start:\n" + tail(router.log_text()))
        # i2pd takes its signals only when it is up, which the console shows; ours when SAM answers.
        return router.info_file.exists() and router.info_file.stat().st_size > 400 and router.sam_open()

    def start(self):
        self.introduce()
        for router in self.routers:
            router.start()

    def wait_up(self, seconds=120):
        """Until every router has tunnels of its own through others."""
        for router in self.routers:
            until(lambda: self._up(router), seconds, f"{router.name} has tunnels")

    def _up(self, router):
        if not router.alive():
            raise RuntimeError(f"{router.name} ended:\n" + tail(router.log_text()))
        return router.up()

    def session(self, router, hops, check=True, **more):
        """A SAM session on one of these routers whose lease set can be found.

        i2pd 2.45.1 now and then forgets to publish: its first attempt comes before its first outbound tunnel ("Can't
        publish LeaseSet. Destination is not ready"), and the next ten minutes later. Its floodfills show it; then
        another session is opened. The silent one is kept, since closing it may hang i2pd's bridge for good.
        """
        floodfills = [r for r in self.i2pds if r.floodfill]
        for last in (False, False, False, False, True):
            session = Session(router.sam, hops, **more)
            if isinstance(router, Ours) or not floodfills or not check:
                return session
            try:
                until(lambda: any(session.b32 in f.console("leasesets") for f in floodfills), 15, f"{router.name} publishes a lease set", every=0.5)
                return session
            except Late:
                self.silent.append(session)
                if last:
                    raise

    def close(self, keep=False):
        for router in self.routers:
            if router.process is not None and router.process.poll() is None:
                router.process.terminate()
        for router in self.routers:
            router.stop(seconds=5)
        if not keep:
            shutil.rmtree(self.dir, ignore_errors=True)
            if not any(self.base.iterdir()):
                self.base.rmdir()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.close(keep=kind is not None)
        if kind is not None:
            print(f"logs are kept in {self.dir}", file=sys.stderr)


def tail(text, lines=15):
    return "\n".join(text.splitlines()[-lines:])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--i2pd", type=int, default=5, help="how many i2pd routers")
    p.add_argument("--ours", type=int, default=2, help="how many of ours")
    p.add_argument("--floodfills", type=int, default=2, help="how many of the i2pd routers are floodfills")
    p.add_argument("--our-floodfills", type=int, default=0, help="how many of ours are floodfills")
    p.add_argument("--netid", type=int, default=77)
    p.add_argument("--loglevel", default="info", help="of i2pd: error, warn, info, debug")
    p.add_argument("--log", default="info,samovar=debug", help="filter of ours")
    p.add_argument("--dir", help="where files go; made, kept")
    a = p.parse_args()
    try:
        enter_namespace()
    except Unavailable as e:
        sys.exit(str(e))
    net = Net(netid=a.netid, base=a.dir, loglevel=a.loglevel, our_log=a.log)
    try:
        for k in range(1, a.i2pd + 1):
            net.add_i2pd(k, floodfill=k <= a.floodfills)
        for k in range(1, a.ours + 1):
            net.add_ours(k, floodfill=k <= a.our_floodfills)
        net.start()
        print(f"run commands inside with: nsenter --net=/proc/{os.getpid()}/ns/net COMMAND", flush=True)
        for r in net.routers:
            console = f", console 127.0.0.1:{r.console_port}" if isinstance(r, I2pd) else ""
            print(f"{r.name} {r.short} {r.ip}:{r.port} SAM {r.sam[0]}:{r.sam[1]}{console}, files {r.dir}", flush=True)
        net.wait_up()
        print("all have tunnels; Ctrl-C ends the network", flush=True)
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        net.close(keep=bool(a.dir))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    main()
