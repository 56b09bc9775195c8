# SPDX-License-Identifier: MIT
"""Sockets that remember what passed over them, and replies taken apart strictly."""
import re
import select
import socket
import struct
import threading
import time


class Fail(Exception):
    """The server broke the rule; the text says what was expected."""


class Skip(Exception):
    """The rule cannot be tried here; the text says why."""


LONG_TOKEN = re.compile(r"[A-Za-z0-9~-]{60,}={0,2}")
REPLY = re.compile(r"[^ ]+ (REPLY|STATUS)( |$)")


def readable(sock, seconds):
    """Waits for something to read, the end included."""
    watch = select.poll()
    watch.register(sock, select.POLLIN)
    return bool(watch.poll(seconds * 1000))


def shorten(text):
    """Text for people: keys cut down to their first characters, long texts in the middle."""
    text = LONG_TOKEN.sub(lambda m: f"{m[0][:6]}..({len(m[0])})", text)
    return text if len(text) <= 240 else f"{text[:110]} ..({len(text)} characters).. {text[-50:]}"


def shown(data):
    """Bytes for people, on one line."""
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogateescape")
    printable = sum(32 <= b < 127 or b in b"\r\n\t" for b in data)
    if len(data) > 400 and printable < len(data) * 0.9:
        return f"<{len(data)} bytes>"
    text = data.decode("utf-8", "backslashreplace")
    text = "".join(c if c.isprintable() else {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(c, f"\\x{ord(c):02x}") for c in text)
    return shorten(text)


class Reply:
    """A reply line, split by the rules of SAM: words, KEY=value pairs, quotes and escapes."""

    def __init__(self, line):
        self.text = line
        self.keys, self.quoted = [], []
        words = _words(line)
        self.domain = words[0][0] if words else ""
        self.opcode = words[1][0] if len(words) > 1 else ""
        for word, quoted in words[2:]:
            key, _, value = word.partition("=")
            self.keys.append((key, value))
            if quoted:
                self.quoted.append(key)

    def get(self, key, default=None):
        return next((v for k, v in self.keys if k == key), default)

    def __getitem__(self, key):
        value = self.get(key)
        if value is None:
            raise Fail(f"expected {key}= in the reply")
        return value

    @property
    def result(self):
        return self.get("RESULT")


def _words(line):
    """Words of a line as (word without quotes, was anything quoted)."""
    out, word, started, quoted, inside, escaped = [], "", False, False, False, False
    for c in line:
        if escaped:
            word, escaped = word + c, False
        elif c == "\\":
            escaped = started = True
        elif c == '"':
            inside, quoted, started = not inside, True, True
        elif c in " \t" and not inside:
            if started:
                out.append((word, quoted))
            word, started, quoted = "", False, False
        else:
            word, started = word + c, True
    if started:
        out.append((word, quoted))
    return out


class Conn:
    """One TCP connection. Reads never wait longer than `timeout`; a closed or silent server is a `Fail`."""

    def __init__(self, journal, address, timeout, name="a", lint=None):
        self.journal, self.timeout, self.name, self.lint = journal, timeout, name, lint
        self.rest, self.ended, self.reads = b"", False, 0
        self.version = None
        try:
            self.sock = socket.create_connection(address, timeout=timeout)
        except OSError as e:
            raise Fail(f"no connection to the server: {e}") from None
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # --- out ---

    def raw(self, data):
        """Sends exactly these bytes."""
        if isinstance(data, str):
            data = data.encode()
        self.journal(self.name, ">", data)
        self.push(data)

    def push(self, data):
        """Sends without writing it down, for payload."""
        try:
            self.sock.settimeout(self.timeout)
            self.sock.sendall(data)
        except OSError as e:
            raise Fail(f"sending failed: {e}") from None

    def send(self, line):
        self.raw(line.encode() + b"\n")

    def shut(self):
        """Ends our direction only."""
        self.journal(self.name, ">", "(end of our direction)")
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass

    def reset(self):
        """Leaves with a TCP reset."""
        self.journal(self.name, ">", "(reset)")
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    # --- in ---

    def _more(self, end):
        """Reads once, until the time `end`. False at the end of the stream, None when time is up."""
        wait = end - time.monotonic()
        if wait <= 0 or not readable(self.sock, wait):
            return None
        try:
            data = self.sock.recv(65536)
        except OSError:
            data = b""
        self.reads += 1
        if not data:
            self.ended = True
            return False
        self.rest += data
        return True

    def line(self, timeout=None):
        """The next line without its LF."""
        timeout = timeout or self.timeout
        end, before = time.monotonic() + timeout, self.reads
        while b"\n" not in self.rest:
            more = self._more(end)
            if more is None:
                self.journal(self.name, "<", f"(nothing for {timeout:.0f} s)" + (f" after {shown(self.rest)}" if self.rest else ""))
                raise Fail(f"expected a line, got nothing for {timeout:.0f} s")
            if more is False:
                self.journal(self.name, "<", self.rest + b"" if self.rest else "(closed)")
                raise Fail("expected a line, the server closed" + (f" after {shown(self.rest)} without LF" if self.rest else ""))
        raw, self.rest = self.rest.split(b"\n", 1)
        self.journal(self.name, "<", raw)
        self.glued, self.parts = bool(self.rest), self.reads - before
        line = raw.decode("utf-8", "surrogateescape")
        if self.lint and REPLY.match(line):
            self.lint(line)
        return line

    def ask(self, line, timeout=None):
        self.send(line)
        return self.line(timeout)

    def reply(self, line, timeout=None):
        return Reply(self.ask(line, timeout))

    def want(self, line, result, timeout=None):
        """Sends a command and expects this RESULT (one, or a set of them); returns the Reply."""
        reply = self.reply(line, timeout)
        self.check(reply, result)
        return reply

    @staticmethod
    def check(reply, result):
        results = {result} if isinstance(result, str) else set(result)
        if reply.result not in results:
            raise Fail(f"expected RESULT={' or '.join(sorted(results))}")

    def gone(self, timeout=None):
        """Expects the server to close, with nothing more said."""
        timeout = timeout or self.timeout
        end = time.monotonic() + timeout
        while not self.ended:
            more = self._more(end)
            if more is None:
                raise Fail(f"expected the server to close, still open after {timeout:.0f} s")
        self.journal(self.name, "<", self.rest if self.rest else "(closed)")
        if self.rest:
            raise Fail(f"expected a plain close, got {shown(self.rest)} before it")

    def quiet(self, seconds):
        """Expects nothing at all, not even a close, for so long."""
        end = time.monotonic() + seconds
        if not self.rest:
            while (more := self._more(end)) is True and not self.rest:
                pass
            if more is False:
                self.journal(self.name, "<", "(closed)")
                raise Fail(f"expected silence for {seconds:g} s, the server closed")
        if self.rest:
            self.journal(self.name, "<", self.rest)
            raise Fail(f"expected silence for {seconds:g} s, got {shown(self.rest)}")

    def exactly(self, size, timeout=None):
        """So many bytes of payload. The timeout counts anew from each that comes."""
        timeout = timeout or self.timeout
        while len(self.rest) < size:
            more = self._more(time.monotonic() + timeout)
            if more is None:
                raise Fail(f"expected {size} bytes of payload, got {len(self.rest)} and then nothing for {timeout:.0f} s")
            if more is False:
                raise Fail(f"expected {size} bytes of payload, the end came after {len(self.rest)}")
        data, self.rest = self.rest[:size], self.rest[size:]
        if size <= 200:
            self.journal(self.name, "<", data)
        return data

    def until_end(self, timeout=None):
        """Everything up to the end of the stream. The timeout counts anew from each byte that comes."""
        timeout = timeout or self.timeout
        while (more := self._more(time.monotonic() + timeout)) is True:
            pass
        if more is None:
            raise Fail(f"expected the end of the stream, got {len(self.rest)} bytes and no end in {timeout:.0f} s")
        data, self.rest = self.rest, b""
        return data

    def segments(self):
        """TCP data segments received so far, or None where the system does not say."""
        try:
            info = self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)
            return struct.unpack_from("=I", info, 152)[0]
        except (AttributeError, OSError, struct.error):
            return None


class Listener:
    """A TCP server of the test's own, for FORWARD."""

    def __init__(self, t, host="127.0.0.1"):
        self.t = t
        self.sock = socket.create_server((host, 0), backlog=64)
        self.host, self.port = self.sock.getsockname()[:2]

    def take(self, timeout):
        """The next connection, as a Conn."""
        if not readable(self.sock, timeout):
            raise Fail(f"expected the server to connect to our port, it did not within {timeout:.0f} s")
        sock, _ = self.sock.accept()
        return self.t.adopt(sock)

    def none(self, seconds):
        if readable(self.sock, seconds):
            raise Fail("expected no connection to our port, one came")

    def close(self):
        self.sock.close()


class Udp:
    """A UDP socket of the test's own."""

    def __init__(self, t, server, host="127.0.0.1"):
        self.t, self.server = t, server
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((host, 0))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.host, self.port = self.sock.getsockname()[:2]
        self.source = None

    def send(self, header, payload, lf=b"\n"):
        """A datagram for the server: header line and payload."""
        if isinstance(header, str):
            header = header.encode()
        if isinstance(payload, str):
            payload = payload.encode()
        data = header + lf + payload
        self.t.journal("udp", ">", data)
        self.sock.sendto(data, self.server)

    def take(self, timeout):
        """The next datagram, None when none came in time."""
        if not readable(self.sock, max(timeout, 0)):
            return None
        data, self.source = self.sock.recvfrom(1 << 16)
        self.t.journal("udp", "<", data)
        return data

    def close(self):
        self.sock.close()


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

    def result(self, seconds):
        self.join(seconds)
        if self.is_alive():
            raise Fail(f"a part of the test was not done after {seconds:.0f} s")
        if self.error:
            raise self.error
        return self.value
