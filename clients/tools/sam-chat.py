#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A chat for two over I2P, line by line. Nobody in between can read it or knows who talks to whom.

  sam-chat.py                             prints its address and waits; give the address to your friend
  sam-chat.py x.b32.i2p                   calls it

Ctrl-D says goodbye, Ctrl-C stops at once.
"""
from __future__ import annotations

import argparse
import asyncio
import os
import threading

from toolbox import opened, options, parser, run, sam, say

LINE_MAX = 4000


class Keyboard:
    """Lines of standard input, of which b"" is the end."""

    def __init__(self) -> None:
        self.lines: asyncio.Queue[bytes] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def read() -> None:
            rest = b""
            while data := os.read(0, 65536):
                *whole, rest = (rest + data).split(b"\n")
                for line in whole:
                    loop.call_soon_threadsafe(self.lines.put_nowait, line + b"\n")
            loop.call_soon_threadsafe(self.lines.put_nowait, rest + b"\n" if rest else b"")
            if rest:
                loop.call_soon_threadsafe(self.lines.put_nowait, b"")

        # A daemon, which does not keep the program from ending while it waits for a key.
        threading.Thread(target=read, daemon=True).start()


async def speak(keyboard: Keyboard, stream: sam.Stream) -> None:
    while line := await keyboard.lines.get():
        await stream.send(line)
    keyboard.lines.put_nowait(b"")      # for the next one, too, it is the end
    stream.write_eof()


async def hear(stream: sam.Stream) -> None:
    while line := await stream.readline():
        text = line.decode("utf-8", "replace").rstrip("\r\n")[:LINE_MAX]
        print("> " + "".join(char if char.isprintable() else "?" for char in text), flush=True)


async def talk(keyboard: Keyboard, stream: sam.Stream) -> None:
    """Until the other one has gone."""
    speaking = asyncio.create_task(speak(keyboard, stream))
    try:
        await hear(stream)
        say("the other one has gone")
    except (OSError, ValueError) as error:
        say(f"the line is broken: {error}")
    finally:
        speaking.cancel()
        await asyncio.gather(speaking, return_exceptions=True)


async def chat(args: argparse.Namespace) -> None:
    keyboard = Keyboard()
    async with sam.session(**opened(args)) as session:
        if args.address:
            async with await session.connect(args.address) as stream:
                say("connected")
                await talk(keyboard, stream)
            return
        print(session.b32, flush=True)
        say("waiting for a call")
        await wait(session, keyboard, args.once)


async def wait(session: sam.StreamSession, keyboard: Keyboard, once: bool) -> None:
    busy = asyncio.Lock()
    done = asyncio.Event()

    async def called(stream: sam.Stream) -> None:
        if busy.locked():
            await stream.send(b"(somebody else is talking here; try later)\n")
            return
        async with busy:
            say(f"{stream.peer.b32 if stream.peer else 'somebody'} calls")
            await talk(keyboard, stream)
        if once:
            done.set()

    serving = asyncio.create_task(session.serve(called, limit=8))
    ending = asyncio.create_task(done.wait())
    finished, _ = await asyncio.wait({serving, ending}, return_when=asyncio.FIRST_COMPLETED)
    for task in (serving, ending):
        task.cancel()
    if serving in finished:
        serving.result()


def main() -> None:
    tool = parser(__doc__, options(keys=True))
    tool.add_argument("address", nargs="?", help="whom to call; without it, wait for calls")
    tool.add_argument("--once", action="store_true", help="end after the first call")
    run(chat, tool.parse_args())


if __name__ == "__main__":
    main()
