# SPDX-License-Identifier: MIT
"""Datagrams, raw messages and primary sessions against real routers: SAM and SAM2 in the environment (see run.py)."""
from __future__ import annotations

import asyncio
import os
import random
import unittest
from typing import Any, TypeVar

import samovar_sam as sam
from test_network import HERE, THERE, Network, echo

T = TypeVar("T")


class Messages(Network):
    async def enter(self, opening: sam.Opening[T]) -> T:
        return await self.stack.enter_async_context(opening)

    async def there_and_back(self, ours: Any, theirs: Any, size: int) -> sam.Datagram:
        """Sends until something arrives, since messages may be lost. Returns what came."""
        data = random.randbytes(size)
        for _ in range(10):
            await ours.send(data, theirs.destination)
            try:
                async with asyncio.timeout(3):
                    message: sam.Datagram = await theirs.recv()
                    self.assertEqual(message.data, data)
                    return message
            except TimeoutError:
                continue
        self.fail("nothing arrives")


class Repliable(Messages):
    async def kind(self, kind: sam.Kind, via: sam.Way) -> None:
        ours = await self.enter(sam.datagrams(HERE, kind=kind, via=via, hops=1))
        theirs = await self.enter(sam.datagrams(THERE, kind=kind, via=via, hops=1))
        for size in (1, 1000, 31744 if kind == "DATAGRAM" else 30000):
            message = await self.there_and_back(ours, theirs, size)
            self.assertEqual(message.sender_b32, ours.b32)
            self.assertEqual(message.sender, None if kind == "DATAGRAM3" else ours.destination)
        await theirs.send(b"back", message.reply_to)
        self.assertEqual((await ours.recv()).data, b"back")

    async def test_datagrams_by_udp(self) -> None:
        await self.kind("DATAGRAM", "udp")

    async def test_datagrams_on_the_control_connection(self) -> None:
        await self.kind("DATAGRAM", "control")

    async def test_datagram2(self) -> None:
        await self.kind("DATAGRAM2", "udp")

    async def test_datagram3(self) -> None:
        await self.kind("DATAGRAM3", "udp")

    async def test_ports(self) -> None:
        ours = await self.enter(sam.datagrams(HERE, hops=1, from_port=5))
        theirs = await self.enter(sam.datagrams(THERE, hops=1, via="control"))
        if ours.version < (3, 2):
            self.skipTest("SAM 3.2")
        await ours.send(b"x", theirs.b32, to_port=7)
        message = await theirs.recv()
        self.assertEqual((message.from_port, message.to_port), (5, 7))
        await ours.send(b"y", theirs.destination, from_port=8)
        message = await theirs.recv()
        self.assertEqual((message.from_port, message.to_port), (8, 0))


class Raw(Messages):
    async def test_by_udp_with_a_header(self) -> None:
        ours = await self.enter(sam.raw(HERE, hops=1))
        theirs = await self.enter(sam.raw(THERE, hops=1))
        message = await self.there_and_back(ours, theirs, 1000)
        self.assertEqual((message.sender, message.sender_b32), (None, None))
        await self.there_and_back(ours, theirs, 32768)
        if ours.version >= (3, 2):
            await ours.send(b"x", theirs.destination, from_port=1, to_port=2)
            message = await theirs.recv()
            self.assertEqual((message.from_port, message.to_port, message.protocol), (1, 2, 18))

    async def test_on_the_control_connection_with_a_protocol(self) -> None:
        ours = await self.enter(sam.raw(HERE, hops=1, protocol=99, via="control"))
        theirs = await self.enter(sam.raw(THERE, hops=1, protocol=99, via="control"))
        message = await self.there_and_back(ours, theirs, 1000)
        self.assertEqual(message.protocol, 99)

    async def test_without_a_header(self) -> None:
        ours = await self.enter(sam.raw(HERE, hops=1))
        theirs = await self.enter(sam.raw(THERE, hops=1, header=False))
        self.assertEqual((await self.there_and_back(ours, theirs, 100)).protocol, 0)


class Primary(Messages):
    async def test_styles_share_an_address(self) -> None:
        primary = await self.enter(sam.primary(THERE, hops=1))
        web = await primary.add_stream(listen_port=80)
        rest = await primary.add_stream()
        datagrams = await primary.add_datagrams()
        raw = await primary.add_raw(listen_protocol=0)
        serving = asyncio.create_task(rest.serve(echo))

        async with web.listen() as listener:
            session = await self.open(sam.session(HERE, hops=1))
            async with await session.connect(primary.destination, to_port=80) as stream:
                peer = await listener.accept()
                self.assertEqual(peer.to_port, 80)
                await peer.send(b"web\n")
                self.assertEqual(await stream.readline(), b"web\n")
                await peer.close()
            async with await session.connect(primary.b32, to_port=81) as stream:
                await stream.send(b"echo\n")
                self.assertEqual(await stream.readline(), b"echo\n")
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)

        ours = await self.enter(sam.datagrams(HERE, hops=1))
        message = await self.there_and_back(ours, datagrams, 100)
        await datagrams.send(b"back", message.reply_to)
        self.assertEqual(str((await ours.recv()).sender), str(primary.destination))
        self.assertEqual((await self.there_and_back(await self.enter(sam.raw(HERE, hops=1)), raw, 100)).sender, None)

    async def test_a_subsession_calls_under_the_common_address(self) -> None:
        primary = await self.enter(sam.primary(HERE, hops=1))
        caller = await primary.add_stream(from_port=9)
        theirs = await self.open(sam.session(THERE, hops=1))
        async with theirs.listen() as listener, await caller.connect(theirs.destination) as stream:
            peer = await listener.accept()
            self.assertEqual((peer.peer, peer.from_port), (primary.destination, 9))
            await peer.close()
            self.assertEqual(await stream.read(), b"")

    async def test_what_is_refused_and_what_is_removed(self) -> None:
        primary = await self.enter(sam.primary(HERE, hops=1))
        first = await primary.add_stream(listen_port=80, id="first")
        with self.assertRaises(sam.I2PError):
            await primary.add_stream(listen_port=80)
        with self.assertRaises(sam.DuplicatedId):
            await primary.add_stream(listen_port=81, id="first")
        waiting = asyncio.create_task(first.listen().accept())
        await asyncio.sleep(0.1)
        await primary.remove(first)
        with self.assertRaises(sam.SessionClosed):
            await waiting
        again = await primary.add_stream(listen_port=80, id="first")
        self.assertEqual(primary.subsessions, {again})
        self.assertEqual(await primary.lookup("ME"), primary.destination)


@unittest.skipUnless(os.environ.get("SAM_MAY_LOCK"), "only at a router of the tests' own")
class Passwords(Network):
    async def test_users_and_passwords(self) -> None:
        async with sam.control(HERE) as control:
            await control.auth_add("test user", 'pass "word" \\')
            await control.auth_enable()
            try:
                with self.assertRaises(sam.Refused):
                    await sam.control(HERE)
                bridge = sam.Bridge.parse(HERE)
                good = sam.Bridge(bridge.host, bridge.port, user="test user", password='pass "word" \\')
                async with sam.session(good, hops=1) as session:
                    await session.lookup("ME")
                    with self.assertRaises((sam.CantReachPeer, sam.PeerTimeout)):
                        await session.connect((await sam.generate_keys(good)).destination)
                with self.assertRaises(sam.Refused):
                    await sam.control(sam.Bridge(bridge.host, bridge.port, user="test user", password="wrong"))
            finally:
                await control.auth_disable()
                await control.auth_remove("test user")
        async with sam.control(HERE):
            pass


if __name__ == "__main__":
    unittest.main()
