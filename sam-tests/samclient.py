# SPDX-License-Identifier: MIT
"""A plain SAM client for the test scripts: sessions, streams, and transfers that are checked by hash."""
import base64
import hashlib
import itertools
import os
import socket
import threading
import time

CHUNK = 1 << 18
_numbers = itertools.count(1)


class SamError(Exception):
    """The bridge said no, or went away."""


class Sam:
    """One connection to a SAM bridge, past its HELLO."""

    def __init__(self, address, timeout=120):
        self.socket = socket.create_connection(address, timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""
        answer = self.ask("HELLO VERSION MIN=3.1 MAX=3.3")
        if "RESULT=OK" not in answer:
            raise SamError(answer)

    def send(self, line):
        self.socket.sendall(line.encode() + b"\n")

    def line(self):
        while b"\n" not in self.rest:
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                raise SamError("no answer in time") from None
            if not data:
                raise SamError("connection closed" + (f" after {self.rest!r}" if self.rest else ""))
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode().rstrip("\r")

    def ask(self, line):
        self.send(line)
        return self.line()

    def must(self, line):
        answer = self.ask(line)
        if "RESULT=OK" not in answer:
            raise SamError(answer)
        return answer

    def receive(self, limit=CHUNK):
        """Next bytes of the stream; b"" at its end."""
        if self.rest:
            data, self.rest = self.rest[:limit], self.rest[limit:]
            return data
        return self.socket.recv(limit)

    def receive_exactly(self, size):
        parts, left = [], size
        while left:
            data = self.receive(left)
            if not data:
                raise SamError(f"stream ended {left} bytes early")
            parts.append(data)
            left -= len(data)
        return b"".join(parts)

    def close(self):
        try:
            # Closing alone would not wake a thread that reads, and until then the bridge would not hear of it.
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Session:
    """A session, with a transient destination unless told; `seconds` tells how long its creation took."""

    def __init__(self, address, hops=1, quantity=2, timeout=120, style="STREAM", keys="TRANSIENT", sig_type=7, words="", **more):
        """`hops`: a number, or a pair for inbound and outbound. `more`: options, with `_` for the first `.` in their
        names; `words`: options as they are."""
        self.address, self.timeout, self.style = address, timeout, style
        self.id = f"s{os.getpid()}x{next(_numbers)}"
        inbound, outbound = hops if isinstance(hops, tuple) else (hops, hops)
        # i2pd 2.45.1 publishes an ElGamal key alone unless it is told the type.
        options = {"inbound.length": inbound, "outbound.length": outbound, "inbound.quantity": quantity, "outbound.quantity": quantity,
                   "inbound.lengthVariance": 0, "outbound.lengthVariance": 0, "i2cp.leaseSetEncType": 4}
        options |= {k.replace("_", ".", 1): v for k, v in more.items()}
        start = time.monotonic()
        self.control = Sam(address, timeout)
        try:
            words += " ".join([""] + [f"{k}={v}" for k, v in options.items()])
            self.control.must(f"SESSION CREATE STYLE={style} ID={self.id} DESTINATION={keys} SIGNATURE_TYPE={sig_type} {words}")
            self.seconds = time.monotonic() - start
            self.destination = self.control.must("NAMING LOOKUP NAME=ME").split("VALUE=")[1].split()[0]
        except BaseException:
            self.control.close()
            raise

    @property
    def b32(self):
        digest = hashlib.sha256(base64.b64decode(self.destination, b"-~")).digest()
        return base64.b32encode(digest).decode().lower().rstrip("=")

    def connect_once(self, destination):
        sam = Sam(self.address, self.timeout)
        try:
            sam.must(f"STREAM CONNECT ID={self.id} DESTINATION={destination} SILENT=false")
        except BaseException:
            sam.close()
            raise
        return sam

    def connect(self, destination, seconds):
        """Connects, trying again for so long."""
        end = time.monotonic() + seconds
        while True:
            try:
                return self.connect_once(destination)
            except (SamError, OSError):
                if time.monotonic() > end:
                    raise
                time.sleep(1)

    def accept(self):
        """Registers an ACCEPT; `line()` of the result is the peer's destination when one comes."""
        sam = Sam(self.address, self.timeout)
        try:
            sam.must(f"STREAM ACCEPT ID={self.id} SILENT=false")
        except BaseException:
            sam.close()
            raise
        return sam

    def send_datagram(self, destination, payload):
        """Sends on the control socket of a DATAGRAM or RAW session."""
        head = f"{self.style} SEND DESTINATION={destination} SIZE={len(payload)}\n".encode()
        self.control.socket.sendall(head + payload)

    def receive_datagram(self, seconds):
        """The next datagram on the control socket: (sender's destination or None, payload); None after `seconds`."""
        self.control.socket.settimeout(seconds)
        try:
            line = self.control.line()
        except SamError as e:
            if "in time" in str(e):
                return None
            raise
        finally:
            self.control.socket.settimeout(self.timeout)
        words = dict(w.split("=", 1) for w in line.split() if "=" in w)
        if not line.startswith(f"{self.style} RECEIVED") or "SIZE" not in words:
            raise SamError(f"not a datagram: {line!r}")
        return words.get("DESTINATION"), self.control.receive_exactly(int(words["SIZE"]))

    def close(self):
        self.control.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Task(threading.Thread):
    """A thread whose result or error is had by `result()`."""

    def __init__(self, function, *args, **more):
        super().__init__(daemon=True)
        self.call, self.value, self.error = (function, args, more), None, None
        self.start()

    def run(self):
        function, args, more = self.call
        try:
            self.value = function(*args, **more)
        except BaseException as e:  # handed to whoever asks for the result
            self.error = e

    def result(self, seconds=None):
        self.join(seconds)
        if self.is_alive():
            raise SamError(f"not done after {seconds:.0f} s")
        if self.error:
            raise self.error
        return self.value


def pair(client, server, patience=90, target=None):
    """A stream from `client` to `server`, both Sessions: (near end, far end, seconds to connect). `target`: the name to
    call it by, if not its destination.

    A bridge may say OK before the peer has been reached (i2pd does), so a byte in each direction proves the stream.
    An attempt whose first byte is not answered in time is left and made anew.
    """
    start = time.monotonic()
    end = start + patience
    while True:
        far = server.accept()
        greeter = Task(_greet, far)
        near = None
        try:
            near = client.connect(target or server.destination, end - time.monotonic())
            near.socket.sendall(b"?")
            near.socket.settimeout(45)
            if near.receive_exactly(1) != b"!":
                raise SamError("the first byte came back wrong")
            seconds = time.monotonic() - start
            greeter.result(30)
            near.socket.settimeout(client.timeout)
            return near, far, seconds
        except (SamError, OSError):
            for sam in (near, far):
                if sam:
                    sam.close()
            if time.monotonic() > end:
                raise
            time.sleep(1)


def _greet(far):
    far.line()
    if far.receive_exactly(1) != b"?":
        raise SamError("the first byte arrived wrong")
    far.socket.sendall(b"!")


def send_blob(sam, size, block):
    """Sends `size` bytes made of `block` and a running number, so that no two blocks are alike; returns their hash."""
    digest, left, n = hashlib.sha256(), size, 0
    while left:
        part = (n.to_bytes(8, "big") + block)[:left]
        digest.update(part)
        sam.socket.sendall(part)
        left -= len(part)
        n += 1
    return digest.hexdigest()


def receive_blob(sam, size):
    """Takes `size` bytes; returns their hash and the time when the last one came."""
    digest, left = hashlib.sha256(), size
    while left:
        data = sam.receive(min(CHUNK, left))
        if not data:
            raise SamError(f"stream ended {left} of {size} bytes early")
        digest.update(data)
        left -= len(data)
    return digest.hexdigest(), time.monotonic()


def transfer(source, sink, size, seconds):
    """Sends `size` bytes from one end of a stream to the other, checks the hash, returns MiB/s."""
    block = os.urandom(1 << 16)
    start = time.monotonic()
    receiver = Task(receive_blob, sink, size)
    sender = Task(send_blob, source, size, block)
    end = start + seconds
    sent = sender.result(seconds)
    got, last = receiver.result(max(1, end - time.monotonic()))
    if sent != got:
        raise SamError(f"hash differs: sent {sent}, received {got}")
    return size / 1048576 / (last - start)


def echo(sam):
    """Sends back what comes, until the end of the stream."""
    try:
        while data := sam.receive():
            sam.socket.sendall(data)
    except OSError:
        pass
