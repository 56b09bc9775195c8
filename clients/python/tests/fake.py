# SPDX-License-Identifier: MIT
"""A bridge that says what a test wants it to say, and remembers what it was told."""
from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from typing import Self

import samovar_sam as sam

HEAD = 384
ED25519 = bytes([5, 0, 4, 0, 7, 0, 0])


def destination(number: int) -> str:
    """A well-formed destination; its keys are nobody's."""
    return base64.b64encode(bytes([number]) * HEAD + ED25519, b"-~").decode()


def private(number: int) -> str:
    """The same with private keys."""
    return base64.b64encode(bytes([number]) * HEAD + ED25519 + bytes(256) + bytes([number]) * 32, b"-~").decode()


Answer = str | bytes | None | Callable[[str, "Peer"], Awaitable[str | bytes | None]]


class Peer:
    """A client's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.gone = asyncio.Event()

    def say(self, text: str | bytes) -> None:
        self.writer.write(text.encode() if isinstance(text, str) else text)


class Fake:
    """Answers the beginnings of lines. An answer is text or bytes to send as they are, None to hang up, or a
    coroutine function of the line and the connection that returns one of these ("" for nothing)."""

    def __init__(self, version: str = "3.3", **answers: Answer) -> None:
        self.answers: dict[str, Answer] = {
            "HELLO": f"HELLO REPLY RESULT=OK VERSION={version}\n",
            "SESSION CREATE": f"SESSION STATUS RESULT=OK DESTINATION={private(1)}\n",
            "DEST GENERATE": f"DEST REPLY PUB={destination(2)} PRIV={private(2)}\n",
            "STREAM": "STREAM STATUS RESULT=OK\n",
            "NAMING LOOKUP": f"NAMING REPLY RESULT=OK NAME=x VALUE={destination(3)}\n",
        }
        self.answers.update({key.replace("_", " "): answer for key, answer in answers.items()})
        self.lines: list[str] = []
        self.peers: list[Peer] = []
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, tls: ssl.SSLContext | None = None, unix: str | None = None) -> Self:
        if unix:
            self._server = await asyncio.start_unix_server(self._accepted, unix)
        else:
            self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0, ssl=tls)
            self.port = self._server.sockets[0].getsockname()[1]
        return self

    @property
    def bridge(self) -> sam.Bridge:
        return sam.Bridge(port=self.port, timeout=5)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def said(self, beginning: str) -> list[str]:
        return [line for line in self.lines if line.startswith(beginning)]

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(Peer(reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, peer: Peer) -> None:
        self.peers.append(peer)
        try:
            with contextlib.suppress(OSError):
                while line := (await peer.reader.readline()).decode().rstrip("\n"):
                    self.lines.append(line)
                    answer = await self._answer(line, peer)
                    if answer is None:
                        return
                    peer.say(answer)
        finally:
            peer.gone.set()
            peer.writer.transport.abort()

    async def _answer(self, line: str, peer: Peer) -> str | bytes | None:
        fitting = [key for key in self.answers if line.startswith(key)]
        if not fitting:
            return f"{line.split()[0]} STATUS RESULT=I2P_ERROR MESSAGE=\"not in the script\"\n"
        answer = self.answers[max(fitting, key=len)]
        return await answer(line, peer) if callable(answer) else answer
