#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Publishes a folder as an I2P site.

  sam-serve.py public/ --keys site.keys           prints http://x.b32.i2p/, the same every time

Only files below the folder are given out, read only: no hidden ones (.name), none that a link leads to outside. A
folder shows its index.html, or else a list. Nothing in the answers tells the time or the system of this machine.
"""
from __future__ import annotations

import argparse
import asyncio
import hashlib
import html
import mimetypes
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote

from toolbox import opened, options, parser, run, sam, say, serve

HEAD_MAX = 16 * 1024
IDLE_S = 120.0
REASONS = {200: "OK", 206: "Partial Content", 301: "Moved Permanently", 304: "Not Modified", 400: "Bad Request",
           404: "Not Found", 405: "Method Not Allowed", 416: "Range Not Satisfiable", 431: "Headers Too Large",
           505: "HTTP Version Not Supported"}


@dataclass
class Request:
    """A request's first line and headers; names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    keep: bool


@dataclass
class Response:
    """A status with a text, or with a part of a file."""

    status: int
    headers: dict[str, str]
    content: bytes = b""
    file: BinaryIO | None = None
    start: int = 0
    length: int = 0


def refusal(status: int, **headers: str) -> Response:
    text = f"{status} {REASONS[status]}\n".encode()
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, {"Content-Type": "text/plain; charset=utf-8", **fields}, text)


# --- files ---

class Folder:
    """What may be seen of a folder."""

    def __init__(self, root: Path, listing: bool) -> None:
        self.root = root.resolve(strict=True)
        self.listing = listing

    def find(self, path: str) -> Path | None:
        """The file or folder of a path as it stands in a request, if it is to be seen."""
        try:
            parts = unquote(path, errors="strict").split("/")
        except UnicodeDecodeError:
            return None
        parts = [part for part in parts if part]
        if any(part.startswith(".") or "\0" in part or os.sep in part or "\\" in part for part in parts):
            return None
        try:
            found = self.root.joinpath(*parts).resolve(strict=True)
        except (OSError, RuntimeError, ValueError):
            return None
        return found if found.is_relative_to(self.root) else None

    def respond(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return refusal(405, Allow="GET, HEAD")
        path = request.path.partition("?")[0]
        if not path.startswith("/"):
            return refusal(400)
        found = self.find(path)
        if found is None:
            return refusal(404)
        if found.is_dir():
            if not path.endswith("/"):
                return refusal(301, Location=f"./{path.rpartition('/')[2]}/")
            index = self.find(path + "index.html")
            if index is None or not index.is_file():
                return self.contents(found) if self.listing else refusal(404)
            found = index
        elif path.endswith("/"):
            return refusal(404)
        return open_file(found, request)

    def contents(self, folder: Path) -> Response:
        here = "/" + "/".join(folder.relative_to(self.root).parts)
        lines = ["<li><a href='../'>../</a>"] if folder != self.root else []
        try:
            entries = sorted(folder.iterdir(), key=lambda entry: (not entry.is_dir(), entry.name))
        except OSError:
            return refusal(404)
        for entry in entries:
            name = entry.name + ("/" if entry.is_dir() else "")
            try:
                shown = self.find(quote("/".join(entry.relative_to(self.root).parts)))
                size = f" {entry.stat().st_size} bytes" if entry.is_file() else ""
                link = quote(name)
            except (OSError, UnicodeEncodeError):
                continue
            if shown:
                lines.append(f"<li><a href='./{link}'>{html.escape(name)}</a>{size}")
        title = html.escape(here)
        page = (f"<!doctype html><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
                f"<title>{title}</title><h1>{title}</h1><ul>\n" + "\n".join(lines) + "\n</ul>\n")
        return Response(200, {"Content-Type": "text/html; charset=utf-8"}, page.encode("utf-8", "replace"))


def open_file(path: Path, request: Request) -> Response:
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return refusal(404)
    file = os.fdopen(handle, "rb")
    about = os.fstat(handle)
    if not stat.S_ISREG(about.st_mode):
        file.close()
        return refusal(404)
    kind, encoding = mimetypes.guess_type(path.name)
    kind = "application/octet-stream" if encoding or not kind else kind
    tag = '"' + hashlib.sha256(f"{about.st_mtime_ns} {about.st_size}".encode()).hexdigest()[:16] + '"'
    headers = {"Content-Type": kind + ("; charset=utf-8" if kind.startswith("text/") else ""), "ETag": tag,
               "Accept-Ranges": "bytes"}
    if tag in [part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")]:
        file.close()
        return Response(304, headers)
    wanted = request.headers.get("range") if request.headers.get("if-range", tag) == tag else None
    part = byte_range(wanted, about.st_size)
    if part is None:
        return Response(200, headers, file=file, length=about.st_size)
    start, length = part
    if length <= 0:
        file.close()
        return refusal(416, Content_Range=f"bytes */{about.st_size}")
    headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{about.st_size}"
    return Response(206, headers, file=file, start=start, length=length)


def byte_range(text: str | None, size: int) -> tuple[int, int] | None:
    """Start and length of the one range that is asked for; length 0 if it is outside. None for the whole file."""
    found = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", (text or "").replace(" ", ""))
    if not found or not (found[1] or found[2]):
        return None
    if not found[1]:
        length = min(int(found[2]), size)
        return size - length, length
    start, end = int(found[1]), min(int(found[2] or size - 1), size - 1)
    if found[2] and int(found[2]) < start:
        return None
    return start, max(0, end - start + 1) if start < size else 0


# --- HTTP ---

async def read_request(stream: sam.Stream) -> Request | Response | None:
    """None at the end of the connection."""
    lines: list[str] = []
    size = 0
    while True:
        try:
            line = await asyncio.wait_for(stream.readline(), IDLE_S)
        except ValueError:
            return refusal(431)
        except TimeoutError:
            return None
        size += len(line)
        if not line.endswith(b"\n"):
            return None
        if size > HEAD_MAX:
            return refusal(431)
        text = line.decode("latin-1").rstrip("\r\n")
        if text:
            lines.append(text)
        elif lines:
            break
    found = re.fullmatch(r"([A-Z]+) (\S+) HTTP/(\d)\.(\d)", lines[0])
    if not found:
        return refusal(400)
    if found[3] != "1":
        return refusal(505)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    connection = headers.get("connection", "").lower()
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    keep = ("close" not in connection if found[4] != "0" else "keep-alive" in connection) and not has_body
    path = re.sub(r"^http://[^/]*", "", found[2]) or "/"
    return Request(found[1], path, headers, keep)


async def send(stream: sam.Stream, response: Response, head_only: bool, keep: bool) -> int:
    length = response.length if response.file else len(response.content)
    headers = {**response.headers, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
               "Connection": "keep-alive" if keep else "close"}
    if response.status != 304:
        headers["Content-Length"] = str(length)
    head = f"HTTP/1.1 {response.status} {REASONS[response.status]}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
    file = response.file
    try:
        if file is None or head_only:
            await stream.send(head.encode("latin-1") + (b"" if head_only else response.content))
            return 0 if head_only else length
        stream.write(head.encode("latin-1"))
        await asyncio.to_thread(file.seek, response.start)
        left = length
        while left:
            data = await asyncio.to_thread(file.read, min(left, 256 * 1024))
            if not data:
                raise EOFError("the file has become shorter")
            await stream.send(data)
            left -= len(data)
        return length
    finally:
        if file is not None:
            file.close()


async def converse(folder: Folder, stream: sam.Stream, quiet: bool) -> None:
    """Answers one request after the other."""
    while True:
        request = await read_request(stream)
        if request is None:
            return
        if isinstance(request, Response):
            await send(stream, request, False, False)
            return
        response = await asyncio.to_thread(folder.respond, request)
        size = await send(stream, response, request.method == "HEAD", request.keep)
        if not quiet:
            who = stream.peer.b32[:8] if stream.peer else "?"
            say(f"{who} {request.method} {ascii(request.path)[1:-1]} {response.status} {size}")
        if not request.keep:
            return


async def publish(args: argparse.Namespace) -> None:
    folder = Folder(args.folder, not args.no_listing)

    async def work(session: sam.StreamSession) -> None:
        print(f"http://{session.b32}/", flush=True)
        await session.serve(lambda stream: converse(folder, stream, args.quiet), limit=args.limit)

    await serve(sam.session(**opened(args)), work)


def main() -> None:
    tool = parser(__doc__, options(keys=True))
    tool.add_argument("folder", type=Path, help="what to publish")
    tool.add_argument("--no-listing", action="store_true", help="no lists of folders without index.html")
    tool.add_argument("--limit", type=int, default=256, metavar="N", help="visitors at a time [256]")
    tool.add_argument("-q", "--quiet", action="store_true", help="no line for each request")
    args = tool.parse_args()
    if not args.folder.is_dir():
        tool.error(f"not a folder: {args.folder}")
    run(publish, args)


if __name__ == "__main__":
    main()
