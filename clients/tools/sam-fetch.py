#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fetches a page from an I2P site, without a proxy.

  sam-fetch.py http://name.i2p/                       the page to standard output
  sam-fetch.py http://x.b32.i2p/file.iso -o .         into a file of the same name
  sam-fetch.py -I http://name.i2p/                    only the headers

The exit code is 0 for a page, 22 for an error of the site (status 400 and more), 1 for everything else.
"""
from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote, urljoin, urlsplit

from toolbox import opened, options, parser, run, sam, say

HEAD_MAX = 64 * 1024
# What all I2P proxies say, so that a site cannot tell their users apart.
USER_AGENT = "MYOB/6.66 (AN/ON)"


class HttpError(ValueError):
    """The site speaks something else than HTTP, or leads out of I2P."""


@dataclass
class Url:
    """http://host[:port]/path?query, with a host in I2P."""

    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, text: str) -> Url:
        if "://" not in text:
            text = f"http://{text}"
        parts = urlsplit(text)
        found = re.fullmatch(r"([A-Za-z0-9.~=-]+)(?::(\d{1,5}))?", parts.netloc)
        if parts.scheme != "http" or not found:
            raise HttpError(f"not the http:// address of an I2P site: {text!a}")
        host = found[1]
        if host.lower().endswith(".i2p"):
            host = host.lower()
        elif len(host) < 500:
            raise HttpError(f"{host} is not in I2P")
        path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
        query = quote(parts.query, safe="/%:@!$&'()*+,;=~-._?")
        return cls(host, int(found[2] or 80), path + (f"?{query}" if query else ""))

    def __str__(self) -> str:
        return f"http://{self.authority}{self.path}"

    @property
    def authority(self) -> str:
        return self.host if self.port == 80 else f"{self.host}:{self.port}"


@dataclass
class Answer:
    """Status and headers of a response; names are in lower case."""

    status: int
    reason: str
    headers: list[tuple[str, str]]

    def get(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


async def read_answer(stream: sam.Stream) -> Answer:
    while True:
        lines = await read_head(stream)
        found = re.fullmatch(r"HTTP/\d\.\d (\d{3})(?: (.*))?", lines[0])
        if not found:
            raise HttpError(f"this is not HTTP: {lines[0][:60]!a}")
        headers = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if colon:
                headers.append((name.strip().lower(), value.strip()))
        if int(found[1]) // 100 != 1 or found[1] == "101":
            return Answer(int(found[1]), found[2] or "", headers)


async def read_head(stream: sam.Stream) -> list[str]:
    lines: list[str] = []
    size = 0
    while True:
        try:
            line = await stream.readline()
        except ValueError:
            raise HttpError("a header without end") from None
        size += len(line)
        if not line.endswith(b"\n"):
            raise HttpError("the site hung up before the end of its headers")
        if size > HEAD_MAX:
            raise HttpError("too many headers")
        text = line.decode("latin-1").rstrip("\r\n")
        if text:
            lines.append(text)
        elif lines:
            return lines


async def body(stream: sam.Stream, answer: Answer) -> AsyncGenerator[bytes, None]:
    """The content, whichever way its end is marked. Raises if it ends early."""
    if (answer.get("transfer-encoding") or "").lower().endswith("chunked"):
        async for part in chunks(stream):
            yield part
        return
    length = answer.get("content-length")
    if length is None:
        while part := await stream.read(65536):
            yield part
        return
    if not re.fullmatch(r"\d{1,18}", length):
        raise HttpError(f"not a length: {length!a}")
    left = int(length)
    while left:
        part = await stream.read(min(left, 65536))
        if not part:
            raise HttpError(f"cut off, {left} bytes are missing")
        left -= len(part)
        yield part


async def chunks(stream: sam.Stream) -> AsyncIterator[bytes]:
    while True:
        line = await stream.readline()
        found = re.fullmatch(rb"([0-9A-Fa-f]{1,15})\s*(?:;.*)?\r?\n", line)
        if not found:
            raise HttpError("cut off, or not a chunk")
        left = int(found[1], 16)
        if left == 0:
            while (await stream.readline()).strip():
                pass        # trailers
            return
        while left:
            part = await stream.read(min(left, 65536))
            if not part:
                raise HttpError("cut off in a chunk")
            left -= len(part)
            yield part
        if (await stream.readline()).strip():
            raise HttpError("a chunk is longer than it says")


@contextlib.asynccontextmanager
async def request(session: sam.StreamSession, url: Url,
                  args: argparse.Namespace) -> AsyncIterator[tuple[sam.Stream, Answer]]:
    headers = {"host": ("Host", url.authority), "user-agent": ("User-Agent", USER_AGENT),
               "accept-encoding": ("Accept-Encoding", "identity"), "connection": ("Connection", "close")}
    for header in args.header:
        name, _, value = header.partition(":")
        headers[name.lower()] = (name, value.strip())
    lines = [f"{'HEAD' if args.head else 'GET'} {url.path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.values()]
    port = url.port if session.version >= (3, 2) else 0
    async with await session.connect(url.host, to_port=port, timeout=args.timeout) as stream:
        await stream.send("".join(f"{line}\r\n" for line in [*lines, ""]).encode("utf-8"))
        async with asyncio.timeout(args.timeout):
            answer = await read_answer(stream)
        yield stream, answer


async def fetch(args: argparse.Namespace) -> int:
    url = Url.parse(args.url)
    async with sam.session(**opened(args)) as session:
        for _ in range(args.redirects + 1):
            async with request(session, url, args) as (stream, answer):
                location = answer.get("location")
                if answer.status not in (301, 302, 303, 307, 308) or not location or not args.redirects:
                    return await deliver(args, url, stream, answer)
            url = Url.parse(urljoin(str(url), location))
            say(f"{answer.status}, goes on at {url}")
    raise HttpError(f"more than {args.redirects} redirections")


async def deliver(args: argparse.Namespace, url: Url, stream: sam.Stream, answer: Answer) -> int:
    if args.head or args.include:
        print(f"{answer.status} {printable(answer.reason)}")
        for name, value in answer.headers:
            print(f"{name}: {printable(value)}")
        print(flush=True)
    code = 22 if answer.status >= 400 else 0
    if code:
        say(f"{url}: {answer.status} {printable(answer.reason)}")
    if args.head or answer.status in (204, 304):
        return code
    size, started = 0, time.monotonic()
    with output(args.output, url) as (file, name):
        async with contextlib.aclosing(body(stream, answer)) as parts:
            while part := await next_part(parts, args.timeout):
                size += len(part)
                if args.max_size and size > args.max_size:
                    raise HttpError(f"more than {args.max_size} bytes; --max-size allows more")
                file.write(part)
    took = max(time.monotonic() - started, 0.001)
    say(f"{size} bytes in {took:.1f} s, {size / took / 1024:.0f} KiB/s{f', in {name}' if name else ''}")
    return code


async def next_part(parts: AsyncIterator[bytes], limit: float) -> bytes:
    async with asyncio.timeout(limit):
        return await anext(parts, b"")


@contextlib.contextmanager
def output(wanted: str | None, url: Url) -> Iterator[tuple[BinaryIO, str]]:
    """Standard output, or a file that appears when it is complete."""
    if wanted in (None, "-"):
        yield sys.stdout.buffer, ""
        sys.stdout.buffer.flush()
        return
    path = Path(str(wanted))
    if path.is_dir():
        name = Path(unquote(url.path.partition("?")[0])).name.replace("\0", "")
        path = path / (name.lstrip(".") or "index.html")
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        yield file, str(path)
    part.replace(path)


def printable(text: str) -> str:
    """Nothing that would steer the terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)


def header(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+:[^\x00-\x1f\x7f]*", text):
        raise argparse.ArgumentTypeError(f"not of the form NAME: VALUE: {text!a}")
    return text


def main() -> None:
    tool = parser(__doc__, options())
    tool.add_argument("url", help="http://NAME.i2p/..., http://x.b32.i2p/..., or a destination instead of the name")
    tool.add_argument("-o", "--output", metavar="FILE", help="write there, or into this folder [standard output]")
    tool.add_argument("-H", "--header", action="append", default=[], type=header, metavar="'NAME: VALUE'",
                      help="a header to send; instead of ours if it has the same name")
    tool.add_argument("-i", "--include", action="store_true", help="show status and headers before the content")
    tool.add_argument("-I", "--head", action="store_true", help="ask for status and headers alone")
    tool.add_argument("--redirects", type=int, default=5, metavar="N", help="redirections to follow, within I2P [5]")
    tool.add_argument("--max-size", type=int, default=0, metavar="BYTES", help="give up if there is more [no limit]")
    tool.add_argument("--timeout", type=float, default=120.0, metavar="S", help="longest silence in seconds [120]")
    run(fetch, tool.parse_args())


if __name__ == "__main__":
    main()
