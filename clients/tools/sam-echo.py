#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An address in I2P that sends back what it is sent, and a ping for it.

  sam-echo.py serve                       prints its address and answers until Ctrl-C
  sam-echo.py ping x.b32.i2p              how long an answer takes
"""
from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import time

from toolbox import opened, options, parser, run, sam, say, serve


async def echo(stream: sam.Stream) -> None:
    while data := await stream.read(65536):
        await stream.send(data)


async def echo_datagrams(session: sam.DatagramSession) -> None:
    async for datagram in session:
        try:
            await session.send(datagram.data, datagram.reply_to,
                               from_port=datagram.to_port, to_port=datagram.from_port)
        except (sam.KeyNotFound, sam.InvalidKey) as error:
            say(f"cannot answer: {error}")


async def answer(args: argparse.Namespace) -> None:
    async def streams(session: sam.StreamSession) -> None:
        print(session.b32, flush=True)
        await session.serve(echo)

    async def both(session: sam.PrimarySession) -> None:
        stream_session = await session.add_stream()
        datagram_session = await session.add_datagrams()
        print(session.b32, flush=True)
        await asyncio.gather(stream_session.serve(echo), echo_datagrams(datagram_session))

    if args.datagrams:
        await serve(sam.primary(**opened(args)), both)
    else:
        await serve(sam.session(**opened(args)), streams)


async def ping(args: argparse.Namespace) -> int:
    times: list[float] = []
    if args.datagrams:
        async with sam.datagrams(**opened(args)) as datagrams:
            for number in range(args.count):
                await once(args, number, times, ping_datagram(datagrams, args.address, args.size))
    else:
        async with sam.session(**opened(args)) as session, await session.connect(args.address) as stream:
            for number in range(args.count):
                await once(args, number, times, ping_stream(stream, args.size))
    lost = args.count - len(times)
    if times:
        print(f"{args.count} sent, {lost} lost; least {min(times):.0f} ms, mean {sum(times) / len(times):.0f} ms, "
              f"most {max(times):.0f} ms")
    else:
        print(f"{args.count} sent, all lost")
    return 1 if lost else 0


async def once(args: argparse.Namespace, number: int, times: list[float], trip: asyncio.Future[None]) -> None:
    started = time.monotonic()
    try:
        await asyncio.wait_for(trip, args.timeout)
        times.append((time.monotonic() - started) * 1000)
        print(f"{number + 1}: {args.size} bytes in {times[-1]:.0f} ms", flush=True)
    except TimeoutError:
        print(f"{number + 1}: no answer in {args.timeout:.0f} s", flush=True)
    if number + 1 < args.count:
        await asyncio.sleep(args.interval)


def ping_stream(stream: sam.Stream, size: int) -> asyncio.Future[None]:
    async def trip() -> None:
        data = secrets.token_bytes(size)
        await stream.send(data)
        if await stream.readexactly(size) != data:
            raise ValueError("something else came back")
    return asyncio.ensure_future(trip())


def ping_datagram(session: sam.DatagramSession, address: str, size: int) -> asyncio.Future[None]:
    async def trip() -> None:
        data = secrets.token_bytes(size)
        await session.send(data, address)
        while (await session.recv()).data != data:
            pass            # late, of an earlier trip
    return asyncio.ensure_future(trip())


def main() -> None:
    tool = parser(__doc__)
    modes = tool.add_subparsers(required=True, metavar="serve|ping")
    server = modes.add_parser("serve", parents=[options(keys=True)], help="answer")
    server.add_argument("--datagrams", action="store_true", help="answer datagrams too (needs SAM 3.3)")
    server.set_defaults(main=answer)
    client = modes.add_parser("ping", parents=[options()], help="ask")
    client.add_argument("address", help="where it runs: a .b32.i2p name, a host name or a destination")
    client.add_argument("--datagrams", action="store_true", help="by datagrams instead of a stream")
    client.add_argument("-c", "--count", type=int, default=4, help="how often [4]")
    client.add_argument("-s", "--size", type=int, default=64, help="bytes each time, at least 16 [64]")
    client.add_argument("-i", "--interval", type=float, default=1.0, metavar="S", help="seconds between two [1]")
    client.add_argument("--timeout", type=float, default=60.0, metavar="S", help="seconds to wait for an answer [60]")
    client.set_defaults(main=ping)
    args = tool.parse_args()
    if "size" in args and (args.size < 16 or args.datagrams and args.size > sam.DATAGRAM_MAX):
        sys.exit(f"sam-echo.py: the size is 16 at least, and {sam.DATAGRAM_MAX} at most for datagrams")
    run(args.main, args)


if __name__ == "__main__":
    main()
