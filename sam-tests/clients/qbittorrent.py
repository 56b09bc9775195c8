# SPDX-License-Identifier: MIT
"""qBittorrent (qbittorrent-nox, headless, driven by its WebAPI) as two Debian releases have it.

Debian 12 has 4.5.2, which knows nothing of I2P: qBittorrent's settings for it came with 4.6. The test shows that and
no more. Debian 13 has 5.1.0 over libtorrent 2.0.11, which has all the settings: there, one seeds and one loads, with
libtorrent 2.1 as a third peer, all over our routers.

The packages are fetched by apt into target/debian and unpacked there, with the libraries that they need. Nothing is
installed on the machine, and no rights are needed but those of a user.
"""
import errno
import json
import os
import pathlib
import random
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

import swarm
import testnet
from harness import MIB, ROOT, LeftOut, free_ports
from testnet import until
from tracker import Tracker

KEYRING = pathlib.Path("/usr/share/keyrings/debian-archive-keyring.gpg")
NOX = "usr/bin/qbittorrent-nox"
MULTIPART = "samovar-boundary"


# --- the packages of a Debian release ---------------------------------------------------------------------------------

def debian(release):
    """The folder with the unpacked program of this release and what it needs."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "debian" / release
    done = target / "root"
    if (done / NOX).exists():
        return done
    for tool in ("apt-get", "dpkg-deb", "dpkg"):
        if not shutil.which(tool):
            raise LeftOut(f"{tool} is missing: the test needs Debian, or a qbittorrent-nox of 4.6 or later in $QBITTORRENT_NOX")
    if not KEYRING.exists():
        raise LeftOut(f"{KEYRING} is missing (Debian package debian-archive-keyring)")
    shutil.rmtree(target, ignore_errors=True)
    for part in ("etc/apt/apt.conf.d", "etc/apt/preferences.d", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/lib/dpkg"):
        (target / part).mkdir(parents=True)
    (target / "var/lib/dpkg/status").touch()
    (target / "etc/apt/sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror()} {release} main\n")
    apt = ["apt-get", "-q", "-o", f"Dir={target}", "-o", f"Dir::State::status={target}/var/lib/dpkg/status", "-o", "APT::Sandbox::User="]
    _must(apt + ["update"], f"apt-get cannot read the list of {release}")
    _must(apt + ["-y", "--no-install-recommends", "--download-only", "install", "qbittorrent-nox"], f"apt-get cannot fetch qbittorrent-nox of {release}")
    unpacking = target / "unpacking"
    for package in sorted((target / "var/cache/apt/archives").glob("*.deb")):
        _must(["dpkg-deb", "-x", str(package), str(unpacking)], f"{package.name} cannot be unpacked")
        package.unlink()
    unpacking.rename(done)
    return done


def mirror():
    """Where this machine's own apt gets Debian from."""
    listed = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"], text=True, capture_output=True)
    uris = [uri for uri in listed.stdout.split() if "security" not in uri and "debian" in uri]
    if not uris:
        raise LeftOut("this machine's apt has no Debian mirror")
    return uris[0]


def _must(command, what):
    done = subprocess.run(command, text=True, capture_output=True, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})
    if done.returncode != 0:
        raise LeftOut(f"{what}: {testnet.tail(done.stderr or done.stdout, 3)}")


def command(root):
    """How to run the program with the release's own libraries, whatever the machine's are."""
    loaders = sorted(root.glob("usr/lib/*/ld-linux-*.so.*")) + sorted(root.glob("lib/*/ld-linux-*.so.*"))
    if not loaders:
        raise LeftOut(f"no dynamic loader in {root}")
    triplet = loaders[0].parent.name
    folders = [root / place / triplet for place in ("usr/lib", "lib")]
    folders += [f.parent for f in (root / "usr/lib" / triplet).glob("*/libpxbackend-*.so")]
    return [str(loaders[0]), "--library-path", ":".join(map(str, folders)), str(root / NOX)], \
        {"QT_PLUGIN_PATH": ":".join(str(root / "usr/lib" / triplet / qt / "plugins") for qt in ("qt6", "qt5"))}


def quiet_port():
    """A port for both TCP and UDP on loopback that the system gives nobody by itself in the meantime."""
    while True:
        port = random.randrange(15000, 30000)
        try:
            for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    with socket.socket(family, kind) as s:
                        s.bind((host, port))
        except OSError as e:
            if e.errno != errno.EADDRINUSE:
                return port  # no IPv6 here
            continue
        return port


# --- one running program ----------------------------------------------------------------------------------------------

class Program:
    """One qbittorrent-nox with an empty profile, and its WebAPI."""

    def __init__(self, name, root, folder):
        self.name, self.folder = name, folder
        self.start = time.monotonic()
        self.first = self.done = None
        self.plain, self.asked = set(), 0
        settings = folder / "profile/qBittorrent/config/qBittorrent.conf"
        settings.parent.mkdir(parents=True)
        [self.port] = free_ports(1)
        # It must listen on loopback: of peers that come by SAM it takes only those on an address that it listens on.
        listen = quiet_port()
        settings.write_text("[LegalNotice]\nAccepted=true\n[Preferences]\nWebUI\\Address=127.0.0.1\n"
                            f"WebUI\\Port={self.port}\nWebUI\\LocalHostAuth=false\nGeneral\\Locale=en\n"
                            "[BitTorrent]\nSession\\Interface=lo\nSession\\InterfaceName=lo\nSession\\DHTEnabled=false\n"
                            f"Session\\LSDEnabled=false\nSession\\Port={listen}\n[Network]\nPortForwardingEnabled=false\n")
        words, more = command(root)
        with open(folder / "log", "wb") as log:
            self.process = subprocess.Popen(words + [f"--profile={folder / 'profile'}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=os.environ | more | {"HOME": str(folder)}, preexec_fn=testnet._die_with_parent)
        try:
            until(self._answers, 60, f"{name} answers", every=0.2)
        except BaseException:
            self.close()
            raise
        self.version = self.get("app/version").lstrip("v")
        self.build = json.loads(self.get("app/buildInfo"))

    def _answers(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name} ended at its start: " + testnet.tail((self.folder / "log").read_text(errors="replace"), 5))
        return self.get("app/version")

    def get(self, path, **query):
        return self._ask(path + ("?" + urllib.parse.urlencode(query) if query else ""), None, {})

    def post(self, path, **form):
        return self._ask(path, urllib.parse.urlencode(form).encode(), {})

    def _ask(self, path, body, headers):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/api/v2/{path}", body, headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=20) as answer:
            return answer.read().decode()

    def preferences(self):
        return json.loads(self.get("app/preferences"))

    def set(self, **more):
        self.post("app/setPreferences", json=json.dumps(more))

    def use_i2p(self, sam, hops):
        host, port = sam
        self.set(i2p_enabled=True, i2p_address=host, i2p_port=port, i2p_mixed_mode=False, i2p_inbound_length=hops, i2p_outbound_length=hops,
                 i2p_inbound_quantity=3, i2p_outbound_quantity=3, dht=False, lsd=False, upnp=False, queueing_enabled=False, anonymous_mode=True)
        now = self.preferences()
        if not now.get("i2p_enabled") or now.get("i2p_port") != port:
            raise AssertionError(f"{self.name} {self.version} did not take the I2P settings")

    def add(self, info, lt, folder, seeding):
        torrent = lt.bencode(lt.create_torrent(info).generate())
        parts = {"savepath": str(folder), "skip_checking": "true" if seeding else "false", "paused": "false", "stopped": "false"}
        body = b"".join(f'--{MULTIPART}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in parts.items())
        body += (f'--{MULTIPART}\r\nContent-Disposition: form-data; name="torrents"; filename="t.torrent"\r\n'
                 "Content-Type: application/x-bittorrent\r\n\r\n").encode() + torrent + f"\r\n--{MULTIPART}--\r\n".encode()
        self.start = time.monotonic()
        answer = self._ask("torrents/add", body, {"Content-Type": f"multipart/form-data; boundary={MULTIPART}"})
        if not answer.startswith("Ok"):
            raise AssertionError(f"{self.name} refused the torrent: {answer}")
        self.hash = str(info.info_hashes().v1 if hasattr(info, "info_hashes") else info.info_hash())

    def poll(self):
        """Looks at the torrent once; asks the tracker again where that failed for want of a session."""
        now = time.monotonic()
        found = json.loads(self.get("torrents/info", hashes=self.hash))
        if not found:
            return "the torrent is not there yet"
        state = found[0]
        if self.first is None and state["downloaded"] > 0:
            self.first = now
        if self.done is None and state["progress"] == 1 and state["state"] in ("uploading", "stalledUP", "forcedUP"):
            self.done = now
            self.first = self.first or now
        # The WebAPI lists peers that have an IP address, and so none of those on I2P.
        self.plain.update(json.loads(self.get("sync/torrentPeers", hash=self.hash)).get("peers", {}))
        trackers = [t for t in json.loads(self.get("torrents/trackers", hash=self.hash)) if t["url"].startswith("http")]
        # Not too often: each wish puts off the one before.
        if trackers and trackers[0]["status"] == 4 and now > self.asked + 3:
            self.asked = now
            self.post("torrents/reannounce", hashes=self.hash)
        return f"{state['state']} {state['progress']:.0%}, tracker says {trackers[0]['msg']!r}" if trackers else state["state"]

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


# --- the tests --------------------------------------------------------------------------------------------------------

def without_i2p(net):
    """Debian 12's version: what it does with the settings of later ones."""
    base = pathlib.Path(tempfile.mkdtemp(prefix="samovar-qb-"))
    program = None
    try:
        program = Program("qBittorrent", debian("bookworm"), base)
        has = [name for name in program.preferences() if "i2p" in name.lower()]
        if has:
            raise AssertionError(f"version {program.version} has I2P settings: {', '.join(has)}; it should be tested like a newer one")
        program.set(i2p_enabled=True, i2p_address=net.sam[0][0], i2p_port=net.sam[0][1])
        if any("i2p" in name.lower() for name in program.preferences()):
            raise AssertionError("the settings were taken after all")
        return (f"qBittorrent {program.version} over libtorrent {program.build['libtorrent']} has no I2P setting and ignores those of later "
                "versions; it cannot use I2P (4.6 and later can)")
    finally:
        if program:
            program.close()
        shutil.rmtree(base, ignore_errors=True)


def with_i2p(net, size=64 * MIB, hops=3, limit=300):
    """Debian 13's version: one seeds, another and libtorrent load."""
    lt = swarm.speaker()
    root = debian("trixie")
    base = pathlib.Path(tempfile.mkdtemp(prefix="samovar-qb-"))
    programs, peer = [], None
    try:
        with Tracker(net.sam[-1], hops) as tracker:
            info, hashes = swarm.make_torrent(lt, base / "seed", size, tracker.url, seed=size)
            for k, name in enumerate(("seed", "leecher")):
                folder = base / name
                folder.mkdir(exist_ok=True)
                programs.append(Program(f"qBittorrent as {name}", root, folder))
                programs[k].use_i2p(net.sam[k], hops)
                programs[k].add(info, lt, folder, seeding=k == 0)
            (base / "libtorrent").mkdir()
            peer = swarm.Peer(lt, "libtorrent", net.sam[2], info, base / "libtorrent", hops, seeding=False)
            begun = time.monotonic()
            while True:
                states = [program.poll() for program in programs]
                status = peer.poll()
                if programs[1].done and peer.done:
                    break
                if time.monotonic() - begun > limit:
                    raise AssertionError(f"not done after {limit} s: " + "; ".join(f"{p.name}: {s}" for p, s in zip(programs, states))
                                         + f"; libtorrent {status.progress:.0%}, said {peer.said()}; {len(tracker.announces)} announces")
                time.sleep(0.25)
            words = _words(programs, peer, size, hashes, tracker)
            # While the tracker is there to hear it: otherwise each waits long for it.
            swarm.farewell([peer], tracker)
            for program in programs:
                program.close()
            return words
    finally:
        if peer:
            peer.close()
        for program in programs:
            program.close()
        shutil.rmtree(base, ignore_errors=True)


def _words(programs, peer, size, hashes, tracker):
    if tracker.false:
        raise AssertionError("; ".join(tracker.false))
    for one in (programs[1], peer):
        swarm.check(one, hashes)
    plain = sorted(set().union(*(program.plain for program in programs)))
    if plain:
        raise AssertionError(f"peers that are not on I2P: {', '.join(plain)}")
    version = f"qBittorrent {programs[0].version} over libtorrent {programs[0].build['libtorrent']}"
    rates = [f"{one.name}: first byte after {one.first - one.start:.1f} s, whole after {one.done - one.start:.1f} s"
             f" ({size / MIB / max(one.done - one.first, 0.25):.0f} MiB/s)" for one in (programs[1], peer)]
    return f"{version} seeded {size // MIB} MiB; " + "; ".join(rates) + f"; all equal, {len(tracker.announces)} announces"


TESTS = [("qbittorrent-4.5", without_i2p), ("qbittorrent-5.1", with_i2p)]
