# SPDX-License-Identifier: MIT
"""BitTorrent over our routers: libtorrent (PyPI `libtorrent`), a seed and leechers, I2P peers only.

Each peer has a SAM session of its own at a router of its own, finds the others by a tracker with an I2P address, and
must end with the same bytes. libtorrent's other ways to find or be found by peers are off, and it listens on nothing
but I2P; the tunnels' lengths and numbers are set in its own settings.
"""
import hashlib
import pathlib
import random
import shutil
import tempfile
import time

from harness import MIB, LeftOut
from testnet import until
from tracker import Tracker

# Names of the torrent's two files; the second is small, so that pieces span both.
NAME, BIG, SMALL = "swarm", "big.bin", "readme.txt"
PIECE = 256 * 1024


def speaker():
    """libtorrent, if it is here and speaks SAM."""
    try:
        import libtorrent
    except ImportError:
        raise LeftOut("the Python package libtorrent is not installed; see requirements.txt") from None
    if "i2p_inbound_length" not in libtorrent.default_settings():
        raise LeftOut(f"libtorrent {libtorrent.__version__} cannot set the length of I2P tunnels; 2.0.9 or later can")
    return libtorrent


def settings(lt, sam, hops, quantity=3):
    """Settings of a peer that talks over I2P alone."""
    host, port = sam
    return {
        "i2p_hostname": host, "i2p_port": port, "allow_i2p_mixed": False,
        "i2p_inbound_length": hops, "i2p_outbound_length": hops,
        "i2p_inbound_length_variance": 0, "i2p_outbound_length_variance": 0,
        "i2p_inbound_quantity": quantity, "i2p_outbound_quantity": quantity,
        "listen_interfaces": "", "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
        "user_agent": "", "anonymous_mode": True,
        "min_announce_interval": 5, "tracker_completion_timeout": 90, "min_reconnect_time": 5,
        "alert_mask": lt.alert.category_t.error_notification | lt.alert.category_t.tracker_notification
        | lt.alert.category_t.status_notification | lt.alert.category_t.connect_notification,
    }


def make_torrent(lt, folder, size, tracker, seed):
    """Writes the files and returns (torrent's description, {path: SHA-256})."""
    content = folder / NAME
    content.mkdir(parents=True)
    noise = random.Random(seed)
    hashes = {}
    for name, length in ((BIG, size - 1000), (SMALL, 1000)):
        digest = hashlib.sha256()
        with open(content / name, "wb") as f:
            while length:
                block = noise.randbytes(min(MIB, length))
                digest.update(block)
                f.write(block)
                length -= len(block)
        hashes[f"{NAME}/{name}"] = digest.hexdigest()
    files = lt.list_files(str(content)) if hasattr(lt, "list_files") else None
    if files is not None:
        maker = lt.create_torrent(files, PIECE, lt.create_torrent.v1_only)
    else:
        storage = lt.file_storage()
        lt.add_files(storage, str(content))
        maker = lt.create_torrent(storage, PIECE, lt.create_torrent.v1_only)
    maker.add_tracker(tracker)
    lt.set_piece_hashes(maker, str(folder))
    return lt.torrent_info(lt.bencode(maker.generate())), hashes


class Peer:
    """One libtorrent session with the one torrent."""

    def __init__(self, lt, name, sam, info, folder, hops, seeding, quantity=3):
        self.lt, self.name, self.folder, self.seeding = lt, name, folder, seeding
        self.trouble = []
        self.session = lt.session(settings(lt, sam, hops, quantity))
        params = lt.add_torrent_params()
        params.ti, params.save_path = info, str(folder)
        params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
        if seeding:
            params.flags |= lt.torrent_flags.seed_mode
        self.start = time.monotonic()
        self.announced = self.first = self.done = self.again = None
        self.handle = self.session.add_torrent(params)
        self.others = set()

    def poll(self):
        """Looks at the peer once."""
        lt = self.lt
        status = self.handle.status()
        now = time.monotonic()
        if self.first is None and status.total_payload_download > 0:
            self.first = now
        if self.done is None and status.is_seeding:
            self.done = now
        for alert in self.session.pop_alerts():
            if isinstance(alert, lt.tracker_error_alert) and not self.announced:
                # The torrent was added before the SAM session was there. libtorrent's own next try is 17 s away.
                self.again = now + 0.1
            elif isinstance(alert, lt.tracker_reply_alert):
                self.announced = self.announced or now
            if isinstance(alert, (lt.i2p_alert, lt.tracker_error_alert, lt.torrent_error_alert, lt.file_error_alert,
                                  lt.hash_failed_alert, lt.listen_failed_alert)):
                self.trouble.append(f"{now - self.start:.1f} s {alert.what()}: {alert.message()}")
        if self.again and now > self.again:
            self.again = None
            self.handle.force_reannounce(0, -1, self.lt.torrent_handle.ignore_min_interval)
        for peer in self.handle.get_peer_info():
            if not peer.flags & lt.peer_info.i2p_socket:
                raise AssertionError(f"{self.name} has a peer that is not on I2P: {peer.ip}")
            destination = peer.i2p_destination() if callable(getattr(peer, "i2p_destination", None)) else None
            self.others.add(bytes(destination.to_bytes()) if destination is not None else b"?")
        return status

    def seconds(self):
        """(until the tracker's first answer, until the first byte of the content, from there to the last)"""
        return self.announced - self.start, self.first - self.start, self.done - self.first

    def said(self):
        return "; ".join(self.trouble[-5:]) or "nothing"

    def close(self):
        # The binding ends a session, and waits for that, when its last reference goes.
        self.handle = self.session = None


def farewell(peers, tracker):
    """Peers tell the tracker that they leave, while there is one: without that libtorrent waits long when it ends."""
    def gone():
        return {me for _, me, event, _ in list(tracker.announces) if event == "stopped"}
    before = gone()
    for peer in peers:
        peer.session.pause()
    until(lambda: [peer.poll() for peer in peers] and len(gone() - before) >= len(peers), 30, "every peer tells the tracker that it leaves")


def check(peer, hashes):
    for path, expected in hashes.items():
        with open(peer.folder / path, "rb") as f:
            if hashlib.file_digest(f, "sha256").hexdigest() != expected:
                raise AssertionError(f"{peer.name}: {path} differs from the seed's")


def swarm(net, size, hops, leechers=2, limit=300):
    """One seed and so many leechers; returns what was measured, in words."""
    lt = speaker()
    base = pathlib.Path(tempfile.mkdtemp(prefix="samovar-swarm-"))
    peers = []
    cpu = net.cpu_seconds()
    try:
        with Tracker(net.sam[-1]) as tracker:
            folder = base / "seed"
            info, hashes = make_torrent(lt, folder, size, tracker.url, seed=hops)
            begun = time.monotonic()
            for k in range(leechers + 1):
                name = "seed" if k == 0 else f"leecher {k}"
                folder = base / ("seed" if k == 0 else f"leecher{k}")
                folder.mkdir(exist_ok=True)
                peers.append(Peer(lt, name, net.sam[k % (len(net.sam) - 1)], info, folder, hops, seeding=k == 0))
            while True:
                states = [peer.poll() for peer in peers]
                if all(peer.done for peer in peers):
                    break
                if time.monotonic() - begun > limit:
                    where = ", ".join(f"{p.name} {s.progress:.0%} of {s.num_peers} peers" for p, s in zip(peers, states))
                    raise AssertionError(f"not done after {limit} s: {where}; announces {len(tracker.announces)}; "
                                         + ", ".join(f"{p.name} said {p.said()}" for p in peers))
                time.sleep(0.1)
            if tracker.false:
                raise AssertionError("; ".join(tracker.false))
            for peer in peers[1:]:
                check(peer, hashes)
                bad = [t for t in peer.trouble if "hash" in t]
                if bad:
                    raise AssertionError(f"{peer.name}: {bad[0]}")
            members = {me for _, me, _, _ in tracker.announces}
            if len(members) != len(peers):
                raise AssertionError(f"the tracker saw {len(members)} destinations, not {len(peers)}")
            words = _words(peers, size, cpu, net, tracker)
            farewell(peers, tracker)
            return words
    finally:
        for peer in peers:
            peer.close()
        peers.clear()
        shutil.rmtree(base, ignore_errors=True)


def _words(peers, size, cpu, net, tracker):
    rates = []
    for peer in peers[1:]:
        tracked, wait, took = peer.seconds()
        rates.append(f"{peer.name}: tracker's answer after {tracked:.1f} s, first byte after {wait:.1f} s, the rest in {took:.1f} s = {size / MIB / max(took, 0.01):.1f} MiB/s")
    whole = max(peer.done for peer in peers) - min(peer.start for peer in peers)
    used = f", {net.cpu_seconds() - cpu:.1f} s of processor time of all routers" if cpu is not None else ""
    trouble = sum(len(peer.trouble) for peer in peers)
    return (f"{size // MIB} MiB, {len(peers) - 1} leechers, all whole and equal after {whole:.1f} s; " + "; ".join(rates)
            + f"; {len(tracker.announces)} announces, {trouble} complaints{used}")
