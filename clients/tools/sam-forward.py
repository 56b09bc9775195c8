#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""TCP through I2P: publish a local port, or bring a remote one here.

  sam-forward.py expose 22 --keys ssh.keys                        people reach our port 22 at the address it prints
  sam-forward.py reach 6668=irc.ilita.i2p:6667                    IRC: connect your client to 127.0.0.1:6668
  sam-forward.py reach 7660=pop.postman.i2p 7659=smtp.postman.i2p mail
"""
from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import ssl
from collections.abc import Awaitable

from toolbox import opened, options, parser, run, sam, say, serve


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
    else:
        writer.close()          # TLS knows no half-closed connections


async def splice(stream: sam.Stream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Both ways until both ends are done. If one breaks, so does the other."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(pump(stream.reader, writer))
            group.create_task(pump(reader, stream.writer))
        writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await writer.wait_closed()
    except* OSError:
        stream.abort()
    finally:
        writer.transport.abort()


# --- expose ---

async def expose(args: argparse.Namespace) -> None:
    host, port = args.target

    async def call(stream: sam.Stream) -> None:
        if args.verbose and stream.peer:
            say(f"{stream.peer.b32} calls")
        try:
            reader, writer = await asyncio.open_connection(host, port)
        except OSError as error:
            say(f"nobody at {host}:{port}: {error}")
            stream.abort()
            return
        await splice(stream, reader, writer)

    async def work(session: sam.StreamSession) -> None:
        print(session.b32, flush=True)
        say(f"leads to {host}:{port}")
        if args.by_router:
            async with await session.forward(port, host, silent=True) as forward:
                await forward.wait_closed()
            raise sam.SessionClosed("the router has stopped forwarding")
        await session.serve(call)

    await serve(sam.session(**opened(args)), work)


# --- reach ---

async def reach(args: argparse.Namespace) -> None:
    """The ports stay open while the router is away; who connects then is hung up on."""
    current: sam.StreamSession | None = None
    calls: set[asyncio.Task[None]] = set()

    def listener(name: str, to_port: int) -> Awaitable[asyncio.Server]:
        async def call(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                if current is None or current.closed:
                    raise sam.SessionClosed("the router is away")
                port = to_port if current.version >= (3, 2) else 0
                async with await current.connect(name, to_port=port) as stream:
                    await splice(stream, reader, writer)
            except (sam.SamError, TimeoutError, OSError) as error:
                say(f"{name}: {error}")
            finally:
                writer.transport.abort()

        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(call(reader, writer))
            calls.add(task)
            task.add_done_callback(calls.discard)
        return asyncio.start_server(accepted, host, port, limit=256 * 1024)

    async def work(session: sam.StreamSession) -> None:
        nonlocal current
        current = session
        say(f"ready, as {session.b32}")
        await session.wait_closed()
        raise sam.SessionClosed("the router is away")

    async with contextlib.AsyncExitStack() as stack:
        for host, port, name, to_port in args.map:
            server = await listener(name, to_port)
            stack.callback(server.close)
            bound = server.sockets[0].getsockname()
            print(f"{bound[0]}:{bound[1]} leads to {name}", flush=True)
        await serve(sam.session(**opened(args)), work)


# --- arguments ---

def target(text: str) -> tuple[str, int]:
    found = re.fullmatch(r"(?:(?:\[([^]]+)]|([^:]+)):)?(\d{1,5})", text)
    if not found or not 0 < int(found[3]) < 65536:
        raise argparse.ArgumentTypeError(f"not a port or HOST:PORT: {text}")
    return found[1] or found[2] or "127.0.0.1", int(found[3])


def mapping(text: str) -> tuple[str, int, str, int]:
    local, equals, remote = text.partition("=")
    found = re.fullmatch(r"([^:\s]+)(?::(\d{1,5}))?", remote)
    if not equals or not found:
        raise argparse.ArgumentTypeError(f"not of the form [HOST:]PORT=NAME[:PORT]: {text}")
    host, port = ("127.0.0.1", 0) if local == "0" else target(local)
    return host, port, found[1], int(found[2] or 0)


def main() -> None:
    tool = parser(__doc__)
    modes = tool.add_subparsers(required=True, metavar="expose|reach")
    server = modes.add_parser("expose", parents=[options(keys=True)], help="publish a TCP port")
    server.add_argument("target", type=target, metavar="[HOST:]PORT", help="where to connect for every peer")
    server.add_argument("--by-router", action="store_true",
                        help="let the router connect (STREAM FORWARD); it must be able to reach HOST")
    server.set_defaults(main=expose)
    client = modes.add_parser("reach", parents=[options(keys=True)], help="bring remote ports here")
    client.add_argument("map", type=mapping, nargs="+", metavar="[HOST:]PORT=NAME[:PORT]",
                        help="listen on PORT (0: any) and lead each connection to NAME, to its port if one is given")
    client.set_defaults(main=reach)
    args = tool.parse_args()
    run(args.main, args)


if __name__ == "__main__":
    main()
