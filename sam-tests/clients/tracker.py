# SPDX-License-Identifier: MIT
"""A BitTorrent tracker on an I2P address: an HTTP server behind STREAM FORWARD.

It knows a peer by the destination that the bridge puts before each forwarded connection, never by what the peer says
of itself; that must agree (`ip=` in the announce), or the announce counts as false. Peers are listed as their 32-byte
hashes, the compact form of I2P trackers, and nothing else is ever handed out.
"""
import base64
import hashlib
import socketserver
import threading
import time
import urllib.parse

from samclient import Sam, Session


def destination_hash(text):
    return hashlib.sha256(base64.b64decode(text, b"-~")).digest()


class Tracker:
    """The tracker's session and its server; `url` is what goes into a torrent."""

    def __init__(self, sam, hops=1, interval=10):
        self.interval = interval
        self.swarms, self.announces, self.false, self.lock = {}, [], [], threading.Lock()
        self.server = _Server(("127.0.0.1", 0), _Handler)
        self.server.tracker = self
        threading.Thread(target=self.server.serve_forever, args=(0.1,), daemon=True).start()
        self.session = Session(sam, hops)
        self.url = f"http://{self.session.b32}.b32.i2p/announce"
        # The bridge keeps forwarding for as long as this socket is open.
        self.forward = Sam(sam)
        self.forward.must(f"STREAM FORWARD ID={self.session.id} PORT={self.server.server_address[1]} HOST=127.0.0.1")

    def announce(self, peer, query):
        """Answers one announce of the peer with this destination."""
        fields = dict(pair.split("=", 1) for pair in query.split("&") if "=" in pair)
        info_hash = urllib.parse.unquote_to_bytes(fields.get("info_hash", ""))
        if len(info_hash) != 20:
            return b"d14:failure reason20:info_hash is not 20be"
        claimed = fields.get("ip", "").removesuffix(".i2p")
        me = destination_hash(peer)
        with self.lock:
            if claimed and claimed != peer:
                self.false.append(f"{peer[:12]}.. announced itself as {claimed[:12]}..")
            swarm = self.swarms.setdefault(info_hash, {})
            if fields.get("event") == "stopped":
                swarm.pop(me, None)
            else:
                swarm[me] = int(fields.get("left", 1))
            self.announces.append((time.monotonic(), me, fields.get("event", ""), int(fields.get("left", -1))))
            others = b"".join(h for h in swarm if h != me)
            complete = sum(1 for left in swarm.values() if left == 0)
            incomplete = len(swarm) - complete
        return (b"d8:completei%de10:incompletei%de8:intervali%de12:min intervali%de5:peers%d:%be"
                % (complete, incomplete, self.interval, self.interval, len(others), others))

    def close(self):
        self.forward.close()
        self.session.close()
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


class _Handler(socketserver.StreamRequestHandler):
    timeout = 60

    def handle(self):
        try:
            self.serve()
        except OSError:
            pass  # the peer is gone; it will ask again if it wants

    def serve(self):
        # From version 3.2 on the line also has the ports: the destination is its first word.
        words = self.rfile.readline(2048).decode("ascii", "replace").split()
        request = self.rfile.readline(8192).decode("ascii", "replace").split()
        if not words or len(request) != 3:
            return
        while self.rfile.readline(8192).strip():
            pass
        path, _, query = request[1].partition("?")
        if request[0] == "GET" and path == "/announce":
            status, body = "200 OK", self.server.tracker.announce(words[0], query)
        else:
            status, body = "404 Not Found", b"only /announce is here\n"
        head = f"HTTP/1.0 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        self.wfile.write(head.encode() + body)
