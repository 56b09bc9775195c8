# SPDX-License-Identifier: MIT
"""I2P for asyncio programs: a client of SAMv3, the text protocol by which routers serve programs.

    import asyncio
    import samovar_sam as sam

    async def main():
        async with sam.session() as session:                    # an address of our own, with its tunnels
            stream = await session.connect("name.i2p")          # or x.b32.i2p, or a destination in base64
            stream.write(b"GET / HTTP/1.0\\r\\nHost: name.i2p\\r\\n\\r\\n")
            print(await stream.read())

    asyncio.run(main())

Four kinds of session: `session` for streams, `datagrams` for messages that name their sender, `raw` for messages
that do not, `primary` for several of these behind one address. Each call can be used in three ways:

    async with sam.session() as session: ...    # closed at the end of the block
    session = await sam.session()               # closed by you
    async for session in sam.session(): ...     # opened again, with the same address, each time the router is lost

Needs Python 3.11 and nothing else, and works with every router that speaks SAM 3.1 to 3.3 (Samovar, i2pd, Java I2P,
emissary). What a router's version cannot do raises `Unsupported` instead of being left out in silence.

Errors are `SamError`s, one class for each RESULT of the protocol; `message` is what the router said. A time limit
that runs out on this side is the built-in `TimeoutError`. Every call may be cancelled: what it had opened is closed.
"""
from __future__ import annotations

import asyncio
import base64
import binascii
import collections
import contextlib
import dataclasses
import hashlib
import logging
import os
import random
import re
import secrets
import socket
import ssl as ssl_module
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar, Union

__version__ = "0.1.0"
__all__ = [
    "AlreadyAccepting", "Bridge", "BridgeUnreachable", "CantReachPeer", "Connection", "Datagram", "DatagramSession",
    "Destination", "Disconnected", "DuplicatedDest", "DuplicatedId", "Forward", "Found", "I2PError", "InvalidId",
    "InvalidKey", "KeyNotFound", "Keys", "LeaseSetNotFound", "Listener", "NoVersion", "Opening", "PeerNotFound",
    "PeerTimeout", "PrimarySession", "RawSession", "Refused", "Reply", "SamError", "SessionClosed", "Stream",
    "StreamSession", "Unsupported", "control", "datagrams", "generate_keys", "lookup", "primary", "raw", "session",
]

log = logging.getLogger("samovar_sam")

#: Largest payloads that the protocol takes; those of 10 KB and less get through best.
DATAGRAM_MAX = 31744
RAW_MAX = 32768

_LINE_MAX = 64 * 1024       # of a reply; also the read-ahead of a control socket
_STREAM_BUFFER = 256 * 1024
_LOOKUP_S = 90.0            # routers give up after 10 to 60 s
_CREATE_S = 300.0           # tunnels are built first; slow routers need minutes
_CONNECT_S = 120.0
_REPLY_S = 30.0             # what a router answers at once
_RESOLVED_S = 600.0         # how long a name's destination is used again for datagrams
_RESOLVED_MAX = 256
_RETRY_MAX_S = 60.0

Address = Union["Destination", str]
Value = str | int | bool
Version = tuple[int, int]


# --- errors ---------------------------------------------------------------------------------------------------------

class SamError(Exception):
    """The router said no, or went away. `result` is the RESULT word, `message` the router's explanation, if any."""

    result = ""

    def __init__(self, message: str = "", *, result: str = "", about: str = "") -> None:
        self.result = result or type(self).result
        self.message = message
        self.about = about
        super().__init__(": ".join(part for part in (about, self.result, message) if part) or type(self).__name__)


class I2PError(SamError):
    """RESULT=I2P_ERROR: anything the other codes do not name."""
    result = "I2P_ERROR"


class Refused(I2PError):
    """The router refused the greeting: wrong user or password, or too many connections."""


class NoVersion(SamError):
    """RESULT=NOVERSION: the router speaks no version from 3.1 to 3.3."""
    result = "NOVERSION"


class CantReachPeer(SamError, ConnectionError):
    """RESULT=CANT_REACH_PEER: nobody there, or it refused."""
    result = "CANT_REACH_PEER"


class PeerTimeout(SamError, TimeoutError):
    """RESULT=TIMEOUT: the peer did not answer the router in time."""
    result = "TIMEOUT"


class PeerNotFound(SamError):
    """RESULT=PEER_NOT_FOUND."""
    result = "PEER_NOT_FOUND"


class InvalidKey(SamError, ValueError):
    """RESULT=INVALID_KEY: a destination, private key or name that is none."""
    result = "INVALID_KEY"


class InvalidId(SamError):
    """RESULT=INVALID_ID: the router does not know the session."""
    result = "INVALID_ID"


class KeyNotFound(SamError, LookupError):
    """RESULT=KEY_NOT_FOUND: the name is not known, or nobody publishes the address."""
    result = "KEY_NOT_FOUND"


class LeaseSetNotFound(SamError, LookupError):
    """RESULT=LEASESET_NOT_FOUND: the options that were asked for are not to be had now."""
    result = "LEASESET_NOT_FOUND"


class DuplicatedId(SamError):
    """RESULT=DUPLICATED_ID: another session has this name."""
    result = "DUPLICATED_ID"


class DuplicatedDest(SamError):
    """RESULT=DUPLICATED_DEST: another session has this address."""
    result = "DUPLICATED_DEST"


class AlreadyAccepting(SamError):
    """RESULT=ALREADY_ACCEPTING: an old router takes one ACCEPT at a time."""
    result = "ALREADY_ACCEPTING"


class Unsupported(SamError):
    """The router's version of SAM lacks what was asked for."""


class Disconnected(SamError, ConnectionError):
    """The router closed the connection without a reply, or sent something that is none."""


class BridgeUnreachable(Disconnected):
    """Nobody listens at the bridge's address."""


class SessionClosed(Disconnected):
    """The session is over: closed here, or its router is gone."""


_ERRORS: dict[str, type[SamError]] = {
    cls.result: cls
    for cls in (I2PError, NoVersion, CantReachPeer, PeerTimeout, PeerNotFound, InvalidKey, InvalidId, KeyNotFound,
                LeaseSetNotFound, DuplicatedId, DuplicatedDest, AlreadyAccepting)
}


# --- destinations and keys ------------------------------------------------------------------------------------------

_HEAD = 387                 # encryption key, signing key, certificate type and length
_ENCRYPTION_KEY = 256


def _encode(data: bytes) -> str:
    return base64.b64encode(data, b"-~").decode()


def _decode(text: str) -> bytes:
    text = text.strip().rstrip("=")
    if not re.fullmatch(r"[A-Za-z0-9~-]+", text):
        raise InvalidKey("not base64 of I2P")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), b"-~", validate=True)
    except binascii.Error as error:
        raise InvalidKey(f"not base64 of I2P: {error}") from None


def _b32(digest: bytes) -> str:
    return base64.b32encode(digest).decode().lower().rstrip("=") + ".b32.i2p"


def _length(data: bytes) -> int:
    """Of the destination at the beginning of `data`."""
    if len(data) < _HEAD:
        raise InvalidKey(f"a destination has at least {_HEAD} bytes, this has {len(data)}")
    return _HEAD + int.from_bytes(data[_HEAD - 2:_HEAD], "big")


class Destination:
    """An address in I2P: a public key. `str()` of it is the long form in base64, `b32` the short one."""

    __slots__ = ("base64", "hash")

    def __init__(self, text: str) -> None:
        data = _decode(text)
        if len(data) != _length(data):
            raise InvalidKey(f"a destination of {_length(data)} bytes is expected, this has {len(data)}")
        self.base64: str = _encode(data)
        self.hash: bytes = hashlib.sha256(data).digest()

    @property
    def b32(self) -> str:
        """`<52 characters>.b32.i2p`"""
        return _b32(self.hash)

    def __str__(self) -> str:
        return self.base64

    def __repr__(self) -> str:
        return f"<Destination {self.b32}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Destination) and self.base64 == other.base64

    def __hash__(self) -> int:
        return hash(self.hash)


class Keys:
    """The private keys of a destination. Who has them has the address. They never show in `repr`."""

    __slots__ = ("destination", "private")

    def __init__(self, private: str) -> None:
        data = _decode(private)
        length = _length(data)
        if len(data) <= length + _ENCRYPTION_KEY:
            raise InvalidKey("this is too short for private keys")
        self.private: str = private.strip()
        self.destination: Destination = Destination(_encode(data[:length]))

    @property
    def b32(self) -> str:
        """The short form of the address."""
        return self.destination.b32

    def __repr__(self) -> str:
        return f"<Keys of {self.b32}>"

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Keys:
        """Reads a file that `save` wrote, or a binary key file of i2pd or Java I2P."""
        data = Path(path).read_bytes()
        try:
            return cls(data.decode("latin-1"))
        except InvalidKey as error:
            with contextlib.suppress(InvalidKey):
                return cls(_encode(data))
            raise InvalidKey(error.message, about=str(path)) from None

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Writes the keys for the owner of the file alone (mode 0600), whole or not at all."""
        path = Path(path)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")    # mode 0600
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(self.private + "\n")
                file.flush()
                os.fsync(file.fileno())
            if overwrite:
                os.replace(temporary, path)
                return
            try:
                os.link(temporary, path)        # refuses to replace
            except FileExistsError:
                raise
            except OSError:                     # a file system without links
                with open(path, "xb"):
                    os.replace(temporary, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)


# --- lines ----------------------------------------------------------------------------------------------------------

@dataclasses.dataclass(frozen=True)
class Reply:
    """One line of the router: two words, then keys and values."""

    command: str
    opcode: str
    fields: Mapping[str, str]

    @property
    def result(self) -> str:
        """The RESULT word, or nothing."""
        return self.fields.get("RESULT", "")

    @classmethod
    def parse(cls, line: str) -> Reply:
        """Understands quotes and backslashes; words without `=` belong to the value before them."""
        words = _split(line)
        fields: dict[str, str] = {}
        last = ""
        for word in words[2:]:
            key, equals, value = word.partition("=")
            if equals and key:
                fields[key] = value
                last = key
            elif last == "MESSAGE":
                fields[last] += " " + word
        return cls(words[0] if words else "", words[1] if len(words) > 1 else "", fields)

    def check(self, about: str = "") -> Reply:
        """Returns itself if RESULT is OK (or there is none), and raises the class of its RESULT otherwise."""
        if self.result in ("OK", ""):
            return self
        cls = _ERRORS.get(self.result, SamError)
        raise cls(self.fields.get("MESSAGE", ""), result=self.result, about=about)


def _split(line: str) -> list[str]:
    words: list[str] = []
    word, started, quoted = "", False, False
    rest = iter(line)
    for char in rest:
        if char == "\\":
            word += next(rest, "")
        elif char == '"':
            quoted = not quoted
        elif char in " \t" and not quoted:
            if started:
                words.append(word)
            word, started = "", False
            continue
        else:
            word += char
        started = True
    return words + [word] if started else words


def _text(value: object) -> str:
    """A value as it stands in a command. Nothing that could end the line or begin another key gets through."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if any(ord(char) < 32 or ord(char) == 127 for char in text):
        raise ValueError("control characters cannot be sent to the router")
    if text and not re.search(r'[\s"\\]', text):
        return text
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def _line(words: str, fields: Mapping[str, object]) -> str:
    """A command: keys whose value is None are left out."""
    for key in fields:
        if not re.fullmatch(r"[^\s\"\\=\x00-\x1f\x7f]+", key):
            raise ValueError(f"not a key: {key!r}")
    return " ".join([words, *(f"{key}={_text(value)}" for key, value in fields.items() if value is not None)])


def _shown(line: str) -> str:
    """For the log: without keys and passwords."""
    line = re.sub(r"(PASSWORD|USER)=(\"(\\.|[^\"])*\"|\S*)", r"\1=..", line)
    return re.sub(r"[A-Za-z0-9~-]{100,}=*", lambda found: found[0][:12] + "..", line)


def _port(value: int | None, name: str) -> int | None:
    if value is not None and not 0 <= value <= 65535:
        raise ValueError(f"{name} must be 0 to 65535")
    return value


# --- where the router is --------------------------------------------------------------------------------------------

@dataclasses.dataclass(frozen=True)
class Bridge:
    """Where and how a router's SAM bridge is reached.

    `udp` is where it takes datagrams; without it, the TCP port minus one at the same host. `tls` is True for a
    certificate that this system trusts, or a context of your own. `unix` is the path of a socket and replaces host
    and port. `user` and `password` are sent if set.
    """

    host: str = "127.0.0.1"
    port: int = 7656
    unix: str | None = None
    tls: ssl_module.SSLContext | bool = False
    user: str | None = None
    password: str | None = dataclasses.field(default=None, repr=False)
    udp: tuple[str, int] | None = None
    timeout: float = 15.0

    @classmethod
    def parse(cls, text: str) -> Bridge:
        """`host`, `host:port`, `[::1]:port`, `tls://host:port`, `unix:/path`; `user:password@` may stand before
        the host."""
        if text.startswith("unix:"):
            return cls(unix=re.sub("^//", "", text[5:]))
        scheme, _, rest = text.rpartition("://")
        if scheme not in ("", "tcp", "tls"):
            raise ValueError(f"not an address of a SAM bridge: {text!r}")
        login, _, place = rest.rpartition("@")
        found = re.fullmatch(r"(?:\[([^]]*)]|([^:]*))(?::(\d{1,5}))?", place)
        if not found or not 0 < int(found[3] or 7656) < 65536:
            raise ValueError(f"not an address of a SAM bridge: {place!r}")
        user, _, password = login.partition(":")
        return cls(host=found[1] or found[2] or "127.0.0.1", port=int(found[3] or 7656), tls=scheme == "tls",
                   user=user or None, password=password if user else None)

    def __str__(self) -> str:
        if self.unix:
            return f"unix:{self.unix}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tls://' if self.tls else ''}{host}:{self.port}"

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.unix:
            return await asyncio.open_unix_connection(self.unix, limit=_STREAM_BUFFER)
        tls = ssl_module.create_default_context() if self.tls is True else self.tls
        reader, writer = await asyncio.open_connection(self.host, self.port, ssl=tls or None, limit=_STREAM_BUFFER)
        sock = writer.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return reader, writer

    def _udp(self) -> tuple[str, int]:
        return self.udp or ("127.0.0.1" if self.unix else self.host, self.port - 1)


def _bridge(sam: Bridge | str | None) -> Bridge:
    return sam if isinstance(sam, Bridge) else Bridge.parse(sam) if sam else Bridge()


class _Socket:
    """A connection to the bridge after the greeting."""

    def __init__(self, bridge: Bridge, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.bridge = bridge
        self.reader = reader
        self.writer = writer
        self.version: Version = (3, 1)

    @classmethod
    async def dial(cls, bridge: Bridge) -> _Socket:
        try:
            async with asyncio.timeout(bridge.timeout):
                reader, writer = await bridge._open()
        except (OSError, TimeoutError) as error:
            why = f"no SAM bridge at {bridge} ({error or 'timeout'}); is the router running, with SAM enabled?"
            raise BridgeUnreachable(why) from error
        self = cls(bridge, reader, writer)
        try:
            fields = {"MIN": "3.1", "MAX": "3.3", "USER": bridge.user, "PASSWORD": bridge.password}
            reply = await self.ask(_line("HELLO VERSION", fields), bridge.timeout)
            if reply.result == "I2P_ERROR":
                raise Refused(reply.fields.get("MESSAGE", ""), about="HELLO")
            reply.check("HELLO")
            found = re.fullmatch(r"(\d+)\.(\d+)", reply.fields.get("VERSION", ""))
            self.version = (int(found[1]), int(found[2])) if found else (3, 1)
            return self
        except BaseException:
            self.abort()
            raise

    async def ask(self, line: str, limit: float | None) -> Reply:
        async with asyncio.timeout(limit):
            self.send(line)
            return Reply.parse(await self.line(line))

    def send(self, line: str) -> None:
        log.debug("> %s", _shown(line))
        self.writer.write(line.encode() + b"\n")

    async def line(self, after: str) -> str:
        """The next line; `after` is what it answers."""
        about = " ".join(after.split()[:2])
        try:
            line = await self.reader.readline()
        except ValueError:
            raise Disconnected("the router sent a line without end", about=about) from None
        except OSError as error:
            raise Disconnected(str(error), about=about) from error
        if not line.endswith(b"\n"):
            raise Disconnected("the router closed the connection without a reply", about=about)
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        log.debug("< %s", _shown(text))
        return text

    def abort(self) -> None:
        self.writer.transport.abort()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError, ssl_module.SSLError):
            await self.writer.wait_closed()

    def ports(self, **ports: int | None) -> dict[str, int]:
        """The port options that were given, which need 3.2; zero is the default and needs nothing."""
        given = {key: port for key, port in ports.items() if _port(port, key) is not None}
        if self.version >= (3, 2):
            return {key: port for key, port in given.items() if port is not None}
        if any(given.values()):
            raise Unsupported(f"ports need SAM 3.2, the router speaks {_dotted(self.version)}")
        return {}


def _dotted(version: Version) -> str:
    return f"{version[0]}.{version[1]}"


# --- the control connection -----------------------------------------------------------------------------------------

@dataclasses.dataclass(frozen=True)
class Found:
    """What a name stands for, with the options its owner publishes (such as service records)."""

    destination: Destination
    options: Mapping[str, str]


class Connection:
    """A connection on which commands are given one after the other; sessions have one each. See `control`."""

    def __init__(self, wire: _Socket) -> None:
        self._wire = wire
        self._waiting: collections.deque[tuple[str, asyncio.Future[Reply]]] = collections.deque()
        self._last_word = ""
        self._ended = asyncio.Event()
        self._on_message: Callable[[Reply, bytes], None] | None = None
        self._on_end: list[Callable[[], None]] = []
        self._reading = asyncio.create_task(self._read(), name="samovar_sam.control")

    @classmethod
    async def _connect(cls, bridge: Bridge) -> Connection:
        return cls(await _Socket.dial(bridge))

    @property
    def version(self) -> Version:
        """What was agreed on, (3, 1) to (3, 3)."""
        return self._wire.version

    @property
    def bridge(self) -> Bridge:
        """Where it leads."""
        return self._wire.bridge

    @property
    def closed(self) -> bool:
        """Whether either side has closed it."""
        return self._ended.is_set()

    async def command(self, words: str, fields: Mapping[str, object] | None = None, *,
                      timeout: float | None = _REPLY_S) -> Reply:
        """Sends any command and returns its reply, unchecked. A cancelled command's reply is read and thrown away."""
        line = _line(words, fields or {})
        if re.search(r"[\x00-\x1f\x7f]", line):
            raise ValueError("control characters cannot be sent to the router")
        if self.closed:
            raise self._gone()
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append((words.split()[0].upper(), future))
        self._wire.send(line)
        async with asyncio.timeout(timeout):
            return await future

    async def lookup(self, name: Address, *, timeout: float | None = _LOOKUP_S) -> Destination:
        """The destination of a host name or a `.b32.i2p` name."""
        reply = await self.command("NAMING LOOKUP", {"NAME": name}, timeout=timeout)
        reply.check(f"look-up of {_shown(str(name))}")
        return Destination(reply.fields.get("VALUE", ""))

    async def lookup_with_options(self, name: Address, *, timeout: float | None = _LOOKUP_S) -> Found:
        """The destination of a name, and the options in its lease set if the router can tell them."""
        reply = await self.command("NAMING LOOKUP", {"NAME": name, "OPTIONS": True}, timeout=timeout)
        reply.check(f"look-up of {_shown(str(name))}")
        options = {key[7:]: value for key, value in reply.fields.items() if key.startswith("OPTION:")}
        return Found(Destination(reply.fields.get("VALUE", "")), options)

    async def generate_keys(self, signature_type: int | str = 7) -> Keys:
        """New keys. Type 7 is Ed25519, 11 is for addresses whose lease sets are to be encrypted."""
        reply = await self.command("DEST GENERATE", {"SIGNATURE_TYPE": signature_type})
        return Keys(reply.check("DEST GENERATE").fields.get("PRIV", ""))

    async def ping(self, text: str = "") -> float:
        """Seconds until the router's answer (SAM 3.2)."""
        if self.version < (3, 2):
            raise Unsupported(f"PING needs SAM 3.2, the router speaks {_dotted(self.version)}")
        started = time.monotonic()
        await self.command(f"PING {text}" if text else "PING")
        return time.monotonic() - started

    async def auth_enable(self) -> None:
        """From now on, new connections need a user and a password (SAM 3.2)."""
        await self._auth("ENABLE")

    async def auth_disable(self) -> None:
        """From now on, nobody needs a password."""
        await self._auth("DISABLE")

    async def auth_add(self, user: str, password: str) -> None:
        """Adds a user."""
        await self._auth("ADD", USER=user, PASSWORD=password)

    async def auth_remove(self, user: str) -> None:
        """Removes a user."""
        await self._auth("REMOVE", USER=user)

    async def _auth(self, opcode: str, **fields: str) -> None:
        (await self.command(f"AUTH {opcode}", fields)).check(f"AUTH {opcode}")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def wait_closed(self) -> None:
        """Returns when either side has closed the connection."""
        await self._ended.wait()

    async def close(self) -> None:
        """Closes it; a session on it ends."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        self._end()
        await self._wire.close()

    def _abort(self) -> None:
        self._reading.cancel()
        self._wire.abort()

    def _gone(self) -> Disconnected:
        return SessionClosed(self._last_word or "the connection to the router is closed")

    def _end(self) -> None:
        self._ended.set()
        while self._waiting:
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_exception(self._gone())
        for callback in self._on_end:
            callback()
        self._on_end.clear()

    async def _read(self) -> None:
        try:
            while True:
                await self._handle(await self._wire.line("control connection"))
        except (SamError, OSError, ValueError, EOFError) as error:
            log.debug("control connection ended: %s", error)
        finally:
            self._end()
            self._wire.abort()

    async def _handle(self, line: str) -> None:
        if line.split(" ", 1)[0] == "PING":
            self._wire.send("PONG" + line[4:])
            return
        reply = Reply.parse(line)
        if reply.opcode == "RECEIVED" and reply.command in ("DATAGRAM", "RAW"):
            size = int(reply.fields.get("SIZE", "-1"))
            if not 0 <= size <= 65536:
                raise Disconnected(f"a message of {size} bytes")
            payload = await self._wire.reader.readexactly(size)
            if self._on_message:
                self._on_message(reply, payload)
        elif reply.command in ("DATAGRAM", "RAW"):
            log.warning("the router refused a message: %s", reply.fields.get("MESSAGE") or reply.result)
        else:
            self._answer(reply)

    def _answer(self, reply: Reply) -> None:
        expected = self._waiting[0][0].replace("PING", "PONG") if self._waiting else None
        if expected is None or (expected != reply.command and reply.result in ("OK", "")):
            self._last_word = reply.fields.get("MESSAGE") or reply.result
            log.warning("the router said unasked: %s %s %s", reply.command, reply.opcode, self._last_word)
            return
        _, future = self._waiting.popleft()
        if not future.done():
            future.set_result(reply)


# --- streams --------------------------------------------------------------------------------------------------------

class Stream:
    """A connection to a peer: ordered bytes both ways.

    `reader` and `writer` are asyncio's own; the methods here are theirs, for short. At the end of an `async with`
    block the stream is closed after everything written has gone to the router.
    """

    def __init__(self, wire: _Socket, peer: Destination | None, from_port: int, to_port: int) -> None:
        self.reader = wire.reader
        self.writer = wire.writer
        #: Who is at the other end; None if we connected to a name.
        self.peer = peer
        #: The sender's port and the receiver's, as the one who connected chose them.
        self.from_port = from_port
        self.to_port = to_port

    async def read(self, n: int = -1) -> bytes:
        """Up to `n` bytes; b"" at the end. Without `n` everything until the end."""
        return await self.reader.read(n)

    async def readexactly(self, n: int) -> bytes:
        """Exactly `n` bytes, or `asyncio.IncompleteReadError`."""
        return await self.reader.readexactly(n)

    async def readline(self) -> bytes:
        """A line with its LF, or what is left at the end."""
        return await self.reader.readline()

    async def readuntil(self, separator: bytes = b"\n") -> bytes:
        """Everything up to the separator, which is included."""
        return await self.reader.readuntil(separator)

    def write(self, data: bytes) -> None:
        """Buffers; `drain` after it waits while too much is on the way."""
        self.writer.write(data)

    async def drain(self) -> None:
        """Waits until more may be written."""
        await self.writer.drain()

    async def send(self, data: bytes) -> None:
        """`write` and `drain`."""
        self.writer.write(data)
        await self.writer.drain()

    def write_eof(self) -> None:
        """No more from us; the peer may go on. Does nothing over TLS, which cannot say that."""
        if self.writer.can_write_eof():
            self.writer.write_eof()

    def abort(self) -> None:
        """Closes at once; what was not sent is lost."""
        self.writer.transport.abort()

    async def close(self) -> None:
        """Closes when everything written has gone to the router."""
        self.writer.close()
        with contextlib.suppress(OSError, ssl_module.SSLError):
            await self.writer.wait_closed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, asyncio.CancelledError):
            self.abort()
        else:
            await self.close()


class Listener:
    """Peers that call. Iterate over it, or `accept`. As a context manager it begins to listen at once, and stops at
    the end of the block; otherwise it begins with the first `accept` and stops with its session."""

    def __init__(self, owner: StreamSession, pending: int, backlog: int) -> None:
        self._session = owner
        self._pending = pending
        self._room = asyncio.Semaphore(pending + backlog)
        self._streams: asyncio.Queue[Stream | None] = asyncio.Queue()
        self._workers: list[asyncio.Task[None]] = []
        self._failure: BaseException | None = None
        self._stopped = False
        self._listening: asyncio.Future[None] | None = None

    async def accept(self) -> Stream:
        """The next peer. Raises `SessionClosed` when there will be none."""
        self._start()
        stream = await self._streams.get()
        if stream is None:
            self._streams.put_nowait(None)
            raise self._failure or SessionClosed("the listener is closed")
        self._room.release()
        return stream

    def __aiter__(self) -> Listener:
        return self

    async def __anext__(self) -> Stream:
        try:
            return await self.accept()
        except SessionClosed:
            if self._stopped:
                raise StopAsyncIteration from None
            raise

    async def __aenter__(self) -> Self:
        self._start()
        assert self._listening is not None
        await asyncio.shield(self._listening)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Stops listening; peers that were not taken yet are hung up on."""
        self._stopped = True
        self._fail(SessionClosed("the listener is closed"))
        await asyncio.gather(*self._workers, return_exceptions=True)
        while not self._streams.empty():
            stream = self._streams.get_nowait()
            if stream is not None:
                stream.abort()
        self._streams.put_nowait(None)
        self._session._listeners.discard(self)

    def _start(self) -> None:
        if self._listening is None:
            self._listening = asyncio.get_running_loop().create_future()
            self._listening.add_done_callback(lambda future: future.cancelled() or future.exception())
            if self._session.closed:
                self._fail(SessionClosed("the session is closed"))
            elif not self._failure:
                self._workers = [asyncio.create_task(self._work()) for _ in range(self._pending)]

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
            self._streams.put_nowait(None)
        if self._listening and not self._listening.done():
            self._listening.set_exception(error)
        for worker in self._workers:
            if worker is not asyncio.current_task():
                worker.cancel()

    def _ready(self) -> None:
        if self._listening and not self._listening.done():
            self._listening.set_result(None)

    async def _work(self) -> None:
        delay = 0.1
        while self._failure is None:
            await self._room.acquire()
            try:
                stream = await self._session.accept(_ready=self._ready)
                self._streams.put_nowait(stream)
                delay = 0.1
                continue
            except (SessionClosed, InvalidId) as error:
                self._fail(error if isinstance(error, SessionClosed) else SessionClosed(str(error)))
                return
            except (SamError, TimeoutError, OSError) as error:
                if self._listening and not self._listening.done():
                    self._fail(error)           # it never worked: say so
                    return
                # Once is nothing: it comes before the news that the session is over.
                log.log(logging.INFO if delay < 1 else logging.WARNING, "accepting again in %.1f s: %s", delay, error)
            self._room.release()
            await asyncio.sleep(delay)
            delay = min(delay * 2, 5.0)


class Forward:
    """The router hands peers on to a TCP port of ours, until this is closed."""

    def __init__(self, owner: StreamSession, wire: _Socket) -> None:
        self._session = owner
        self._wire = wire

    async def wait_closed(self) -> None:
        """Returns when the router has stopped, which it does with the session."""
        with contextlib.suppress(OSError):
            while await self._wire.reader.read(1024):
                pass

    async def close(self) -> None:
        """Stops; streams that stand go on."""
        self._session._forwards.discard(self)
        await self._wire.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


# --- sessions -------------------------------------------------------------------------------------------------------

class _Session:
    """What all sessions have."""

    style = ""

    def __init__(self, connection: Connection, id: str, keys: Keys, parent: PrimarySession | None) -> None:
        self._connection = connection
        self._parent = parent
        self._over = asyncio.Event()
        #: The name of the session at the router.
        self.id = id
        #: The private keys. `keys.save(path)` and `session(keys=path)` keep the address for the next time.
        self.keys = keys
        connection._on_end.append(self._ended)

    @property
    def destination(self) -> Destination:
        """Our address."""
        return self.keys.destination

    @property
    def b32(self) -> str:
        """The short form of our address."""
        return self.keys.b32

    @property
    def bridge(self) -> Bridge:
        """Where the router is."""
        return self._connection.bridge

    @property
    def version(self) -> Version:
        """The version of SAM that was agreed on."""
        return self._connection.version

    @property
    def closed(self) -> bool:
        """Whether the session is over."""
        return self._over.is_set()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.b32}{' closed' if self.closed else ''}>"

    async def lookup(self, name: Address, *, timeout: float | None = _LOOKUP_S) -> Destination:
        """The destination of a host name or a `.b32.i2p` name. Several at once wait for each other: the module's
        `lookup` does not."""
        return await self._connection.lookup(name, timeout=timeout)

    async def wait_closed(self) -> None:
        """Returns when the session is over, by us or by the router."""
        await self._over.wait()

    async def close(self) -> None:
        """Ends the session with all its streams. Of a primary session, all subsessions too."""
        if self.closed and self._parent:
            return
        self._ended()
        if self._parent is None:
            await self._connection.close()
            return
        self._parent._subsessions.discard(self)
        if self._ended in self._connection._on_end:
            self._connection._on_end.remove(self._ended)
        with contextlib.suppress(SamError, TimeoutError):
            (await self._connection.command("SESSION REMOVE", {"ID": self.id})).check("SESSION REMOVE")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _ended(self) -> None:
        """The control connection is gone, or we close."""
        self._over.set()

    def _check(self) -> None:
        if self.closed or self._connection.closed:
            raise SessionClosed(self._connection._last_word or "the session is closed")


S = TypeVar("S", bound=_Session)


class StreamSession(_Session):
    """An address with streams. Opened by `session`, or by `PrimarySession.add_stream`."""

    style = "STREAM"

    def __init__(self, connection: Connection, id: str, keys: Keys, parent: PrimarySession | None = None) -> None:
        self._listeners: set[Listener] = set()
        self._forwards: set[Forward] = set()
        super().__init__(connection, id, keys, parent)

    async def connect(self, peer: Address, *, from_port: int | None = None, to_port: int | None = None,
                      timeout: float | None = _CONNECT_S) -> Stream:
        """A stream to a destination, a host name or a `.b32.i2p` name."""
        self._check()
        wire = await _Socket.dial(self.bridge)
        try:
            ports = wire.ports(FROM_PORT=from_port, TO_PORT=to_port)
            line = _line("STREAM CONNECT", {"ID": self.id, "DESTINATION": peer, "SILENT": False, **ports})
            (await wire.ask(line, timeout)).check(f"connect to {_short(peer)}")
        except BaseException:
            wire.abort()
            raise
        return Stream(wire, _known(peer), from_port or 0, to_port or 0)

    async def accept(self, *, _ready: Callable[[], None] | None = None) -> Stream:
        """One peer that calls. `listen` is better for many: it misses nobody between two."""
        self._check()
        wire = await _Socket.dial(self.bridge)
        try:
            reply = await wire.ask(_line("STREAM ACCEPT", {"ID": self.id, "SILENT": False}), _REPLY_S)
            reply.check("STREAM ACCEPT")
            if _ready:
                _ready()
            line = await wire.line("STREAM ACCEPT")
            if line.startswith("STREAM STATUS"):
                Reply.parse(line).check("STREAM ACCEPT")
            words = line.split() or [""]
            ports = dict(word.partition("=")[::2] for word in words[1:])
            return Stream(wire, Destination(words[0]), _number(ports.get("FROM_PORT")), _number(ports.get("TO_PORT")))
        except BaseException:
            wire.abort()
            raise

    def listen(self, *, pending: int = 0, backlog: int = 16) -> Listener:
        """Peers that call: `async for stream in session.listen()`.

        `pending` ACCEPTs wait at the router at a time (3, or 1 before SAM 3.2), and up to `backlog` peers here.
        """
        self._check()
        listener = Listener(self, pending or (3 if self.version >= (3, 2) else 1), backlog)
        self._listeners.add(listener)
        return listener

    async def serve(self, handler: Callable[[Stream], Awaitable[object]], *, limit: int = 256) -> None:
        """Calls `handler(stream)` for every peer, up to `limit` at a time, and closes the stream after it. What a
        handler raises is logged. Runs until the session is over (`SessionClosed`) or it is cancelled."""
        free = asyncio.Semaphore(limit)

        async def handle(stream: Stream) -> None:
            try:
                async with stream:
                    await handler(stream)
            except (OSError, EOFError) as error:
                log.debug("a peer went away: %s", error)
            except Exception:
                log.exception("a handler failed")
            finally:
                free.release()

        tasks: set[asyncio.Task[None]] = set()
        try:
            async with self.listen() as listener:
                while True:
                    await free.acquire()
                    task = asyncio.create_task(handle(await listener.accept()))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def forward(self, port: int, host: str | None = None, *, silent: bool = False,
                      ssl: bool = False) -> Forward:
        """Lets the router connect to `host:port` (ours, if no host is given) for every peer that calls.

        Each such connection begins with a line that names the peer, or with the payload if `silent`.
        """
        self._check()
        wire = await _Socket.dial(self.bridge)
        try:
            fields = {"ID": self.id, "PORT": _port(port, "port"), "HOST": host, "SILENT": silent,
                      "SSL": True if ssl else None}
            (await wire.ask(_line("STREAM FORWARD", fields), _REPLY_S)).check("STREAM FORWARD")
        except BaseException:
            wire.abort()
            raise
        forward = Forward(self, wire)
        self._forwards.add(forward)
        return forward

    def _ended(self) -> None:
        super()._ended()
        for listener in list(self._listeners):
            listener._fail(SessionClosed(self._connection._last_word or "the session is closed"))
        for forward in list(self._forwards):
            forward._wire.abort()
        self._forwards.clear()


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else 0


def _known(peer: Address) -> Destination | None:
    if isinstance(peer, Destination):
        return peer
    try:
        return Destination(peer)
    except InvalidKey:
        return None


def _short(peer: Address) -> str:
    known = _known(peer)
    return known.b32 if known else _shown(str(peer))


# --- datagrams ------------------------------------------------------------------------------------------------------

@dataclasses.dataclass(frozen=True)
class Datagram:
    """A message. `sender` is known and proven for DATAGRAM and DATAGRAM2; DATAGRAM3 has only `sender_b32`, which
    anybody can claim; raw messages have neither."""

    data: bytes
    sender: Destination | None = None
    sender_b32: str | None = None
    from_port: int = 0
    to_port: int = 0
    protocol: int = 0

    @property
    def reply_to(self) -> Address:
        """What `send` takes to answer."""
        address = self.sender or self.sender_b32
        if address is None:
            raise ValueError("a raw message has no sender")
        return address


class _Port(asyncio.DatagramProtocol):
    """Our UDP port, to which the router forwards."""

    def __init__(self) -> None:
        self.transport: asyncio.DatagramTransport | None = None
        self.router = ""
        self.receive: Callable[[bytes], None] | None = None
        self.writable = asyncio.Event()
        self.writable.set()

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        if addr[0] == self.router and self.receive:     # nobody else may put words into the router's mouth
            self.receive(data)

    def error_received(self, exc: Exception) -> None:
        log.debug("UDP: %s", exc)

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()


class _MessageSession(_Session):
    """What sessions with messages have: a bounded queue, and UDP or the control connection as the way."""

    _limit = DATAGRAM_MAX
    _verb = "DATAGRAM"

    def __init__(self, connection: Connection, id: str, keys: Keys, parent: PrimarySession | None, way: _Way) -> None:
        self._way = way
        self._queue: collections.deque[Datagram] = collections.deque()
        self._arrived = asyncio.Event()
        self._names: dict[str, tuple[float, str]] = {}
        #: Messages that came while the queue was full, and those that could not be read.
        self.dropped = 0
        super().__init__(connection, id, keys, parent)
        if way.port:
            way.port.receive = self._from_udp
        else:
            connection._on_message = self._from_control

    async def recv(self) -> Datagram:
        """The next message."""
        while not self._queue:
            self._check()
            self._arrived.clear()
            await self._arrived.wait()
        return self._queue.popleft()

    def __aiter__(self) -> AsyncIterator[Datagram]:
        return self

    async def __anext__(self) -> Datagram:
        return await self.recv()

    async def _send(self, data: bytes, peer: Address, fields: dict[str, int], extra: dict[str, object]) -> None:
        self._check()
        if not 0 < len(data) <= self._limit:
            raise ValueError(f"a message has 1 to {self._limit} bytes, not {len(data)}")
        peer = await self._resolve(peer)
        if self._way.port is None:
            line = _line(f"{self._verb} SEND", {"DESTINATION": peer, "SIZE": len(data), **fields})
            self._connection._wire.writer.write(line.encode() + b"\n" + data)
            await self._connection._wire.writer.drain()
            return
        head = _line(f"{_dotted(self.version)} {self.id} {peer}", {**fields, **extra})
        await self._way.port.writable.wait()
        self._check()
        assert self._way.port.transport is not None
        self._way.port.transport.sendto(head.encode() + b"\n" + data, self._way.router)

    async def _resolve(self, peer: Address) -> str:
        """Routers before SAM 3.3 take destinations only in the long form."""
        known = _known(peer)
        if known:
            return str(known)
        name, now = str(peer), time.monotonic()
        cached = self._names.get(name)
        if cached and cached[0] > now:
            return cached[1]
        found = str(await lookup(name, self.bridge))
        if len(self._names) >= _RESOLVED_MAX:
            del self._names[next(iter(self._names))]
        self._names[name] = (now + _RESOLVED_S, found)
        return found

    def _put(self, datagram: Datagram) -> None:
        if len(self._queue) >= self._way.queue:
            self.dropped += 1
            return
        self._queue.append(datagram)
        self._arrived.set()

    def _from_udp(self, packet: bytes) -> None:
        raise NotImplementedError

    def _from_control(self, reply: Reply, payload: bytes) -> None:
        self._put(_datagram(reply.fields.get("DESTINATION"), reply.fields, payload))

    def _ended(self) -> None:
        super()._ended()
        self._arrived.set()
        if self._way.port and self._way.port.transport:
            self._way.port.transport.close()


def _datagram(sender: str | None, fields: Mapping[str, str], payload: bytes) -> Datagram:
    ports = _number(fields.get("FROM_PORT")), _number(fields.get("TO_PORT")), _number(fields.get("PROTOCOL"))
    if sender is None:
        return Datagram(payload, None, None, *ports)
    raw_sender = _decode(sender)
    if len(raw_sender) == 32:
        return Datagram(payload, None, _b32(raw_sender), *ports)
    destination = Destination(sender)
    return Datagram(payload, destination, destination.b32, *ports)


class DatagramSession(_MessageSession):
    """Messages that name their sender. Opened by `datagrams`, or by `PrimarySession.add_datagrams`."""

    style = "DATAGRAM"

    async def send(self, data: bytes, peer: Address, *, from_port: int | None = None, to_port: int | None = None,
                   expires: int | None = None) -> None:
        """Sends a message, which may be lost like any. A name is looked up first, and remembered for a while.

        `expires` is how many seconds it may be on its way (by UDP, SAM 3.3).
        """
        ports = self._connection._wire.ports(FROM_PORT=from_port, TO_PORT=to_port)
        await self._send(data, peer, ports, {"EXPIRES": expires})

    def _from_udp(self, packet: bytes) -> None:
        line, _, payload = packet.partition(b"\n")
        try:
            words = line.decode("ascii").split()
            self._put(_datagram(words[0], dict(word.partition("=")[::2] for word in words[1:]), payload))
        except (ValueError, IndexError) as error:
            self.dropped += 1
            log.debug("not a datagram: %s", error)


class RawSession(_MessageSession):
    """Messages without a sender. Opened by `raw`, or by `PrimarySession.add_raw`."""

    style = "RAW"
    _limit = RAW_MAX
    _verb = "RAW"
    _header = False

    async def send(self, data: bytes, peer: Address, *, from_port: int | None = None, to_port: int | None = None,
                   protocol: int | None = None, expires: int | None = None) -> None:
        """Sends a message, which may be lost like any; `protocol` is the session's if not given."""
        wire = self._connection._wire
        ports = wire.ports(FROM_PORT=from_port, TO_PORT=to_port)
        if protocol is not None:
            if wire.version < (3, 2):
                raise Unsupported(f"protocols need SAM 3.2, the router speaks {_dotted(wire.version)}")
            ports["PROTOCOL"] = protocol
        await self._send(data, peer, ports, {"EXPIRES": expires})

    def _from_udp(self, packet: bytes) -> None:
        fields: dict[str, str] = {}
        if self._header:
            line, _, payload = packet.partition(b"\n")
            if re.fullmatch(rb"(?:(?:FROM_PORT|TO_PORT|PROTOCOL)=\d+ ?)+\r?", line):
                fields = dict(word.partition("=")[::2] for word in line.decode("ascii").split())
                packet = payload
        self._put(_datagram(None, fields, packet))


@dataclasses.dataclass(frozen=True)
class _Way:
    """How messages come and go."""

    port: _Port | None
    router: tuple[str, int]
    options: Mapping[str, object]
    queue: int

    @classmethod
    async def by(cls, via: str, wire: _Socket, host: str | None, port: int, queue: int) -> _Way:
        if via == "control":
            return cls(None, ("", 0), {}, queue)
        if via != "udp":
            raise ValueError('via is "udp" or "control"')
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(*wire.bridge._udp(), type=socket.SOCK_DGRAM)
        router = found[0][4]
        if host is None:
            name = wire.writer.get_extra_info("sockname")
            host = name[0] if isinstance(name, tuple) else "127.0.0.1"
        transport, protocol = await loop.create_datagram_endpoint(_Port, local_addr=(host, port))
        sock = transport.get_extra_info("socket")
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, option, 1 << 20)
        protocol.transport = transport
        protocol.router = str(router[0])
        bound = transport.get_extra_info("sockname")
        return cls(protocol, (str(router[0]), int(router[1])), {"PORT": bound[1], "HOST": bound[0]}, queue)

    def close(self) -> None:
        if self.port and self.port.transport:
            self.port.transport.close()


# --- several sessions behind one address ----------------------------------------------------------------------------

class PrimarySession(_Session):
    """An address that several sessions share (SAM 3.3). Opened by `primary`.

    Subsessions differ in style or in the port they listen on. Closing one removes it; closing this closes all.
    """

    style = "PRIMARY"

    def __init__(self, connection: Connection, id: str, keys: Keys) -> None:
        self._subsessions: set[_Session] = set()
        super().__init__(connection, id, keys, None)

    @property
    def subsessions(self) -> frozenset[_Session]:
        """Those that were added and not removed."""
        return frozenset(self._subsessions)

    async def add_stream(self, *, id: str | None = None, from_port: int | None = None, to_port: int | None = None,
                         listen_port: int | None = None) -> StreamSession:
        """A subsession for streams, which takes those to `listen_port`: one of its own, which is then its `from_port`
        too, or 0 for all that no other subsession takes. Without it, those to `from_port`."""
        from_port = from_port if from_port is not None or not listen_port else listen_port
        fields = {"FROM_PORT": from_port, "TO_PORT": to_port, "LISTEN_PORT": listen_port}
        id = await self._add("STREAM", id, fields)
        return self._added(StreamSession(self._connection, id, self.keys, self))

    async def add_datagrams(self, *, kind: Kind = "DATAGRAM", id: str | None = None, from_port: int | None = None,
                            to_port: int | None = None, listen_port: int | None = None, host: str | None = None,
                            port: int = 0, queue: int = 1024) -> DatagramSession:
        """A subsession for messages with a sender; `host` and `port` are of our UDP socket."""
        way = await _Way.by("udp", self._connection._wire, host, port, queue)
        try:
            fields = {"FROM_PORT": from_port, "TO_PORT": to_port, "LISTEN_PORT": listen_port, **way.options}
            id = await self._add(_kind(kind), id, fields)
        except BaseException:
            way.close()
            raise
        return self._added(DatagramSession(self._connection, id, self.keys, self, way))

    async def add_raw(self, *, id: str | None = None, protocol: int | None = None, listen_protocol: int | None = None,
                      from_port: int | None = None, to_port: int | None = None, listen_port: int | None = None,
                      host: str | None = None, port: int = 0, queue: int = 1024) -> RawSession:
        """A subsession for messages without a sender; `listen_protocol` 0 takes every protocol nobody else has."""
        way = await _Way.by("udp", self._connection._wire, host, port, queue)
        try:
            fields = {"PROTOCOL": protocol, "LISTEN_PROTOCOL": listen_protocol, "FROM_PORT": from_port,
                      "TO_PORT": to_port, "LISTEN_PORT": listen_port, "HEADER": True, **way.options}
            id = await self._add("RAW", id, fields)
        except BaseException:
            way.close()
            raise
        added = RawSession(self._connection, id, self.keys, self, way)
        added._header = True
        return self._added(added)

    async def remove(self, subsession: _Session) -> None:
        """The same as closing it."""
        if subsession._parent is not self:
            raise ValueError("not a subsession of this session")
        await subsession.close()

    async def _add(self, style: str, id: str | None, fields: Mapping[str, object]) -> str:
        self._check()
        id = id or _new_id()
        for key in ("FROM_PORT", "TO_PORT", "LISTEN_PORT"):
            value = fields.get(key)
            _port(value if isinstance(value, int) else None, key)
        reply = await self._connection.command("SESSION ADD", {"STYLE": style, "ID": id, **fields})
        reply.check(f"SESSION ADD {style}")
        return id

    def _added(self, subsession: S) -> S:
        self._subsessions.add(subsession)
        return subsession

    def _ended(self) -> None:
        super()._ended()
        for subsession in list(self._subsessions):
            subsession._ended()
        self._subsessions.clear()


# --- opening --------------------------------------------------------------------------------------------------------

Kind = Literal["DATAGRAM", "DATAGRAM2", "DATAGRAM3"]
Way = Literal["udp", "control"]
KeySource = Union[Keys, str, "os.PathLike[str]", None]
C = TypeVar("C")


class Opening(Generic[C]):
    """What `session`, `datagrams`, `raw`, `primary` and `control` return: await it, enter it, or iterate over it."""

    def __init__(self, open: Callable[[KeySource], Coroutine[Any, Any, C]], keys: KeySource) -> None:
        self._make = open
        self._keys = keys
        self._opened: Any = None

    def __await__(self) -> Generator[Any, Any, C]:
        return self._make(self._keys).__await__()

    async def __aenter__(self) -> C:
        self._opened = opened = await self._make(self._keys)
        return opened

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        await self._opened.close()

    async def __aiter__(self) -> AsyncIterator[C]:
        """Opens; when the loop comes round, closes and opens again with the same keys. While the router is away it
        tries again, after 1 s at first and 60 s at most. What waiting cannot heal is raised."""
        keys = self._keys
        delay = 1.0
        while True:
            try:
                opened: Any = await self._make(keys)
            except Refused:
                raise
            except (I2PError, DuplicatedId, DuplicatedDest, CantReachPeer, Disconnected, TimeoutError) as error:
                pause = delay * random.uniform(0.7, 1.3)
                log.warning("trying again in %.0f s: %s", pause, error or type(error).__name__)
                await asyncio.sleep(pause)
                delay = min(delay * 2, _RETRY_MAX_S)
                continue
            since = time.monotonic()
            try:
                keys = getattr(opened, "keys", keys)
                yield opened
            finally:
                await opened.close()
            if time.monotonic() - since > _RETRY_MAX_S:
                delay = 1.0
            else:
                await asyncio.sleep(delay)
                delay = min(delay * 2, _RETRY_MAX_S)


def _new_id() -> str:
    return secrets.token_hex(8)


def _kind(kind: str) -> str:
    if kind not in ("DATAGRAM", "DATAGRAM2", "DATAGRAM3"):
        raise ValueError(f"not a kind of datagrams: {kind!r}")
    return kind


@dataclasses.dataclass(frozen=True)
class _Plan:
    """What all kinds of session are opened with."""

    sam: Bridge | str | None
    id: str | None
    hops: int | None
    tunnels: int | None
    nickname: str | None
    options: Mapping[str, Value] | None
    timeout: float | None

    async def connect(self) -> Connection:
        return await Connection._connect(_bridge(self.sam))

    async def create(self, connection: Connection, style: str, source: KeySource,
                     fields: Mapping[str, object]) -> tuple[str, Keys]:
        keys = await _load(connection, source)
        id = self.id or _new_id()
        words: dict[str, object] = {"STYLE": style, "ID": id, "DESTINATION": keys.private if keys else "TRANSIENT"}
        if keys is None:
            words["SIGNATURE_TYPE"] = 7
        words.update({key: value for key, value in fields.items() if value is not None})
        words["i2cp.leaseSetEncType"] = "4"     # the default of some routers is a type that nobody uses any more
        for way in ("inbound", "outbound"):
            words[f"{way}.length"] = self.hops
            words[f"{way}.quantity"] = self.tunnels
            words[f"{way}.nickname"] = self.nickname
        words.update(self.options or {})
        reply = (await connection.command("SESSION CREATE", words, timeout=self.timeout)).check("SESSION CREATE")
        answer = reply.fields.get("DESTINATION", "")
        if keys is None:
            keys = Keys(answer)
        return id, keys


async def _load(connection: Connection, source: KeySource) -> Keys | None:
    if source is None or isinstance(source, Keys):
        return source
    try:
        return Keys.load(source)
    except FileNotFoundError:
        pass
    keys = await connection.generate_keys()
    try:
        keys.save(source)
    except FileExistsError:         # somebody was faster
        return Keys.load(source)
    return keys


def session(sam: Bridge | str | None = None, *, keys: KeySource = None, from_port: int | None = None,
            to_port: int | None = None, id: str | None = None, hops: int | None = None, tunnels: int | None = None,
            nickname: str | None = None, options: Mapping[str, Value] | None = None,
            timeout: float | None = _CREATE_S) -> Opening[StreamSession]:
    """Opens an address with streams.

    `sam` is the router, `"127.0.0.1:7656"` if not given; see `Bridge.parse` for other forms. `keys` are the keys of
    the address: a file's path (made at the first use), a `Keys`, or None for an address that nobody had before and
    nobody has again. `hops` is the length of each tunnel and `tunnels` their number each way. `options` go to the
    router as they are, for instance `{"inbound.lengthVariance": 1}`. `from_port` and `to_port` are defaults for
    `connect`.
    """
    plan = _Plan(sam, id, hops, tunnels, nickname, options, timeout)

    async def open(source: KeySource) -> StreamSession:
        connection = await plan.connect()
        try:
            ports = connection._wire.ports(FROM_PORT=from_port, TO_PORT=to_port)
            return StreamSession(connection, *await plan.create(connection, "STREAM", source, ports))
        except BaseException:
            connection._abort()
            raise

    return Opening(open, keys)


def datagrams(sam: Bridge | str | None = None, *, kind: Kind = "DATAGRAM", via: Way = "udp", keys: KeySource = None,
              from_port: int | None = None, to_port: int | None = None, host: str | None = None, port: int = 0,
              queue: int = 1024, id: str | None = None, hops: int | None = None, tunnels: int | None = None,
              nickname: str | None = None, options: Mapping[str, Value] | None = None,
              timeout: float | None = _CREATE_S) -> Opening[DatagramSession]:
    """Opens an address with messages that name their sender.

    `kind` is DATAGRAM (signed, known by every router), DATAGRAM2 (signed, and bound to its receiver) or DATAGRAM3
    (not signed: small, but anybody can claim to be the sender). `via` is the way between us and the router: "udp"
    to a port of ours (`host` and `port`, by default any), or "control" through the control connection, which works
    over TLS and Unix sockets too. `queue` messages wait for `recv`; more are dropped and counted. The rest is as in
    `session`.
    """
    plan = _Plan(sam, id, hops, tunnels, nickname, options, timeout)

    async def open(source: KeySource) -> DatagramSession:
        connection = await plan.connect()
        way = None
        try:
            way = await _Way.by(via, connection._wire, host, port, queue)
            fields = {**way.options, **connection._wire.ports(FROM_PORT=from_port, TO_PORT=to_port)}
            created = await plan.create(connection, _kind(kind), source, fields)
            return DatagramSession(connection, *created, None, way)
        except BaseException:
            if way:
                way.close()
            connection._abort()
            raise

    return Opening(open, keys)


def raw(sam: Bridge | str | None = None, *, protocol: int | None = None, header: bool = True, via: Way = "udp",
        keys: KeySource = None, from_port: int | None = None, to_port: int | None = None, host: str | None = None,
        port: int = 0, queue: int = 1024, id: str | None = None, hops: int | None = None, tunnels: int | None = None,
        nickname: str | None = None, options: Mapping[str, Value] | None = None,
        timeout: float | None = _CREATE_S) -> Opening[RawSession]:
    """Opens an address with messages that have no sender.

    `protocol` is the number they carry, 18 if not given; 6, 17, 19 and 20 are taken by the other styles. With
    `header` received messages tell their ports and protocol (SAM 3.2; it is not asked for below). The rest is as in
    `datagrams`.
    """
    plan = _Plan(sam, id, hops, tunnels, nickname, options, timeout)

    async def open(source: KeySource) -> RawSession:
        connection = await plan.connect()
        way = None
        try:
            if protocol is not None and connection.version < (3, 2):
                raise Unsupported(f"protocols need SAM 3.2, the router speaks {_dotted(connection.version)}")
            way = await _Way.by(via, connection._wire, host, port, queue)
            headed = header and way.port is not None and connection.version >= (3, 2)
            fields = {"PROTOCOL": protocol, "HEADER": True if headed else None, **way.options,
                      **connection._wire.ports(FROM_PORT=from_port, TO_PORT=to_port)}
            opened = RawSession(connection, *await plan.create(connection, "RAW", source, fields), None, way)
            opened._header = headed
            return opened
        except BaseException:
            if way:
                way.close()
            connection._abort()
            raise

    return Opening(open, keys)


def primary(sam: Bridge | str | None = None, *, style: Literal["PRIMARY", "MASTER"] = "PRIMARY",
            keys: KeySource = None, id: str | None = None, hops: int | None = None, tunnels: int | None = None,
            nickname: str | None = None, options: Mapping[str, Value] | None = None,
            timeout: float | None = _CREATE_S) -> Opening[PrimarySession]:
    """Opens an address that several sessions share (SAM 3.3); older routers know it as MASTER. The rest is as in
    `session`."""
    plan = _Plan(sam, id, hops, tunnels, nickname, options, timeout)

    async def open(source: KeySource) -> PrimarySession:
        connection = await plan.connect()
        try:
            if connection.version < (3, 3):
                raise Unsupported(f"{style} needs SAM 3.3, the router speaks {_dotted(connection.version)}")
            return PrimarySession(connection, *await plan.create(connection, style, source, {}))
        except BaseException:
            connection._abort()
            raise

    return Opening(open, keys)


def control(sam: Bridge | str | None = None) -> Opening[Connection]:
    """Opens a connection for commands that need no session: look-ups, keys, PING, AUTH."""

    async def open(_: KeySource) -> Connection:
        return await Connection._connect(_bridge(sam))

    return Opening(open, None)


async def lookup(name: Address, sam: Bridge | str | None = None, *, timeout: float | None = _LOOKUP_S) -> Destination:
    """The destination of a host name or a `.b32.i2p` name, asked on a connection of its own."""
    async with control(sam) as connection:
        return await connection.lookup(name, timeout=timeout)


async def generate_keys(sam: Bridge | str | None = None, signature_type: int | str = 7) -> Keys:
    """New keys of an address, made by the router, which forgets them."""
    async with control(sam) as connection:
        return await connection.generate_keys(signature_type)
