# SPDX-License-Identifier: MIT
"""The library against real routers: SAM and SAM2 in the environment name two bridges (see run.py)."""
from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import os
import random
import tempfile
import unittest
from collections.abc import Awaitable, Callable
from pathlib import Path

import samovar_sam as sam

HERE = os.environ.get("SAM", "")
THERE = os.environ.get("SAM2", HERE)
LIMIT_S = 60


def limited(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(test)
    async def within(self: Network) -> None:
        async with asyncio.timeout(LIMIT_S):
            await test(self)
    return within


@unittest.skipUnless(HERE, "no router: set SAM=host:port")
class Network(unittest.IsolatedAsyncioTestCase):
    def __init_subclass__(cls) -> None:
        for name in [name for name in vars(cls) if name.startswith("test_")]:
            setattr(cls, name, limited(getattr(cls, name)))

    async def asyncSetUp(self) -> None:
        self.stack = contextlib.AsyncExitStack()
        self.addAsyncCleanup(self.stack.aclose)

    async def open(self, opening: sam.Opening[sam.StreamSession]) -> sam.StreamSession:
        return await self.stack.enter_async_context(opening)

    async def pair(self) -> tuple[sam.StreamSession, sam.StreamSession]:
        return await self.open(sam.session(HERE, hops=1)), await self.open(sam.session(THERE, hops=1))


async def echo(stream: sam.Stream) -> None:
    while data := await stream.read(65536):
        await stream.send(data)


class Streams(Network):
    async def test_bytes_come_back_and_the_half_closed_end_is_seen(self) -> None:
        ours, theirs = await self.pair()
        serving = asyncio.create_task(theirs.serve(echo))
        data = random.randbytes(1 << 20)
        async with await ours.connect(theirs.destination) as stream:
            async def write() -> None:
                await stream.send(data)
                stream.write_eof()
            writing = asyncio.create_task(write())
            back = await stream.read()
            await writing
        self.assertEqual(hashlib.sha256(back).digest(), hashlib.sha256(data).digest())
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)

    async def test_the_listener_learns_who_calls_and_on_which_ports(self) -> None:
        ours, theirs = await self.pair()
        async with theirs.listen() as listener:
            stream = await ours.connect(theirs.b32, from_port=11, to_port=22)
            peer = await listener.accept()
            self.assertEqual(peer.peer, ours.destination)
            if theirs.version >= (3, 2):
                self.assertEqual((peer.from_port, peer.to_port), (11, 22))
            peer.write(b"hello\n")
            self.assertEqual(await stream.readline(), b"hello\n")
            await peer.close()
            self.assertEqual(await stream.read(), b"")
            await stream.close()

    async def test_many_peers_at_once(self) -> None:
        ours, theirs = await self.pair()
        serving = asyncio.create_task(theirs.serve(echo))

        async def call(number: int) -> bytes:
            async with await ours.connect(theirs.destination) as stream:
                await stream.send(b"%d\n" % number)
                return await stream.readline()
        lines = await asyncio.gather(*(call(number) for number in range(20)))
        self.assertEqual(lines, [b"%d\n" % number for number in range(20)])
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)

    async def test_everything_written_before_close_arrives(self) -> None:
        ours, theirs = await self.pair()
        data = random.randbytes(300_000)
        async with theirs.listen() as listener:
            async with await ours.connect(theirs.destination) as stream:
                stream.write(data)
            peer = await listener.accept()
            self.assertEqual(await peer.read(), data)
            await peer.close()

    async def test_forward_leads_peers_to_a_local_port(self) -> None:
        ours, theirs = await self.pair()

        async def upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            who = await reader.readline()
            writer.write(who.split()[0] + b"\n" + (await reader.readline()).upper())
            writer.close()
        server = await asyncio.start_server(upper, "127.0.0.1", 0)
        async with server, await theirs.forward(server.sockets[0].getsockname()[1], "127.0.0.1"):
            async with await ours.connect(theirs.destination) as stream:
                await stream.send(b"quiet\n")
                self.assertEqual(await stream.readline(), f"{ours.destination}\n".encode())
                self.assertEqual(await stream.readline(), b"QUIET\n")

    async def test_a_cancelled_accept_does_not_swallow_the_next_peer(self) -> None:
        ours, theirs = await self.pair()
        accepting = asyncio.create_task(theirs.accept())
        await asyncio.sleep(0.3)
        accepting.cancel()
        await asyncio.gather(accepting, return_exceptions=True)
        async with theirs.listen() as listener, await ours.connect(theirs.destination) as stream:
            peer = await listener.accept()
            await peer.send(b"x")
            self.assertEqual(await stream.readexactly(1), b"x")
            await peer.close()

    async def test_the_end_of_a_session_ends_its_listener_and_its_streams(self) -> None:
        ours, theirs = await self.pair()
        listener = await theirs.listen().__aenter__()
        stream = await ours.connect(theirs.destination)
        peer = await listener.accept()
        waiting = asyncio.create_task(listener.accept())
        await asyncio.sleep(0)
        await theirs.close()
        with self.assertRaises(sam.SessionClosed):
            await waiting
        with contextlib.suppress(ConnectionError):
            self.assertEqual(await peer.read(), b"")
        with contextlib.suppress(ConnectionError):
            self.assertEqual(await stream.read(), b"")
        with self.assertRaises(sam.SessionClosed):
            await theirs.connect(ours.destination)
        await asyncio.gather(stream.close(), peer.close())


class Errors(Network):
    async def test_addresses_that_are_none(self) -> None:
        ours = await self.open(sam.session(HERE, hops=1))
        for name in ("junk", "nosuchname.i2p", "A" * 100):
            with self.assertRaises(sam.SamError) as raised:
                await ours.connect(name)
            self.assertIn(raised.exception.result, ("INVALID_KEY", "CANT_REACH_PEER", "KEY_NOT_FOUND"))
        with self.assertRaises(sam.KeyNotFound):
            await ours.lookup("nosuchname.i2p")

    async def test_an_address_that_nobody_has(self) -> None:
        ours = await self.open(sam.session(HERE, hops=1))
        keys = await sam.generate_keys(HERE)
        with self.assertRaises((sam.CantReachPeer, sam.PeerTimeout)):
            await ours.connect(keys.destination)

    async def test_the_same_name_or_address_twice(self) -> None:
        ours = await self.open(sam.session(HERE, hops=1, id="twice"))
        with self.assertRaises(sam.DuplicatedId):
            await sam.session(HERE, hops=1, id="twice")
        with self.assertRaises(sam.DuplicatedDest):
            await sam.session(HERE, hops=1, keys=ours.keys)

    async def test_no_bridge(self) -> None:
        with self.assertRaisesRegex(sam.BridgeUnreachable, "is the router running"):
            await sam.session("127.0.0.1:9")


class Names(Network):
    async def test_look_ups(self) -> None:
        ours, theirs = await self.pair()
        self.assertEqual(await ours.lookup("ME"), ours.destination)
        self.assertEqual(await ours.lookup(theirs.b32), theirs.destination)
        self.assertEqual(await sam.lookup(theirs.b32, HERE), theirs.destination)
        self.assertEqual(await sam.lookup(str(theirs.destination), HERE), theirs.destination)

    async def test_keys_keep_the_address(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "site.keys")
            async with sam.session(HERE, hops=1, keys=path) as ours:
                address = ours.b32
            self.assertEqual(path.stat().st_mode & 0o777, 0o600)
            async with sam.session(HERE, hops=1, keys=path) as ours:
                self.assertEqual(ours.b32, address)

    async def test_ping(self) -> None:
        async with sam.control(HERE) as control:
            if control.version < (3, 2):
                self.skipTest("SAM 3.2")
            self.assertLess(await control.ping("are  you there"), 5)

    async def test_a_session_that_is_lost_comes_back_with_its_address(self) -> None:
        addresses = []
        async for session in sam.session(HERE, hops=1):
            addresses.append(session.b32)
            if len(addresses) == 2:
                break
            session._connection._wire.abort()
            await session.wait_closed()
        self.assertEqual(addresses[0], addresses[1])


if __name__ == "__main__":
    unittest.main()
