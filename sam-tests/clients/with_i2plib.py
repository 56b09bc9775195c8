# SPDX-License-Identifier: MIT
"""i2plib 0.0.14 (PyPI `i2plib`, asyncio, SAM 3.1): every call it has, and every error it knows.

The library was written for Python 3.7 and hands `loop=` to functions of asyncio that lost that argument in Python
3.10. `Compat` stands where the library's modules say `asyncio`, and drops the argument; nothing else is changed, and
asyncio itself is not touched.
"""
import asyncio
import hashlib
import os
import socket

from harness import MIB, LeftOut

SESSION = {"inbound.length": 1, "outbound.length": 1, "inbound.quantity": 2, "outbound.quantity": 2}
STREAM_S = 60


class Compat:
    """asyncio for a library that still passes `loop`, which today is always the running one."""

    def __getattr__(self, name):
        return getattr(asyncio, name)

    @staticmethod
    def open_connection(*args, loop=None, **more):
        return asyncio.open_connection(*args, **more)

    @staticmethod
    def start_server(*args, loop=None, **more):
        return asyncio.start_server(*args, **more)

    @staticmethod
    def wait_for(*args, loop=None, **more):
        return asyncio.wait_for(*args, **more)


def library():
    try:
        import i2plib
        import i2plib.aiosam
        import i2plib.tunnel
    except ImportError:
        raise LeftOut("the Python package i2plib is not installed; see requirements.txt") from None
    i2plib.aiosam.asyncio = i2plib.tunnel.asyncio = Compat()
    return i2plib


def test(body):
    """A test of the harness from a coroutine function of (library, one bridge, another bridge)."""
    def run(net):
        lib = library()
        return asyncio.run(asyncio.wait_for(body(lib, net.sam[0], net.sam[1]), 240))
    return run


# --- streams ---------------------------------------------------------------------------------------------------------

async def serve(lib, name, bridge, answer, peers):
    """Takes one stream, keeps the peer's destination in `peers`, and has `answer` deal with the bytes."""
    async with lib.StreamAcceptor(name, sam_address=bridge) as stream:
        peers.append(lib.Destination((await stream.reader.readline()).decode().strip()))
        await answer(stream)


async def echo_back(stream):
    while data := await stream.read(65536):
        stream.write(data)
        await stream.writer.drain()


@test
async def streams(lib, near, far):
    """Echo by b32 name and by destination, and 1 MiB each way at once."""
    key = await lib.new_destination(sam_address=far)
    own = await lib.new_destination(sam_address=near)
    async with lib.Session("i2plib-far", sam_address=far, destination=key, options=SESSION), \
            lib.Session("i2plib-near", sam_address=near, destination=own, options=SESSION):
        peers = []
        for target in (f"{key.base32}.b32.i2p", lib.Destination(key.base64)):
            server = asyncio.create_task(serve(lib, "i2plib-far", far, echo_back, peers))
            await asyncio.sleep(0.05)
            async with lib.StreamConnection("i2plib-near", target, sam_address=near) as stream:
                for text in (b"hello\n", b"\x00\xff" * 700, b"and again\n"):
                    stream.write(text)
                    if await asyncio.wait_for(stream.reader.readexactly(len(text)), STREAM_S) != text:
                        raise AssertionError("the echo differs")
            await asyncio.wait_for(server, STREAM_S)
        if [p.base32 for p in peers] != [own.base32] * 2:
            raise AssertionError("the accepting side was told a wrong destination")
        return "echo by b32 and by destination, the peer's destination is right; " + await both_ways(lib, near, far, key)


async def both_ways(lib, near, far, key):
    up, down = os.urandom(MIB), os.urandom(MIB)
    got = {}

    async def swap(stream, mine, name):
        async def write():
            stream.write(mine)
            await stream.writer.drain()
        sending = asyncio.create_task(write())
        got[name] = await stream.reader.readexactly(MIB)
        await sending

    async def answer(stream):
        await swap(stream, down, "up")
        stream.write(b"!")
        await stream.writer.drain()
        await stream.read(1)

    server = asyncio.create_task(serve(lib, "i2plib-far", far, answer, []))
    await asyncio.sleep(0.05)
    start = asyncio.get_running_loop().time()
    async with lib.StreamConnection("i2plib-near", key, sam_address=near) as stream:
        await asyncio.wait_for(swap(stream, up, "down"), STREAM_S)
        await asyncio.wait_for(stream.reader.readexactly(1), STREAM_S)
    took = asyncio.get_running_loop().time() - start
    await asyncio.wait_for(server, STREAM_S)
    for name, sent in (("up", up), ("down", down)):
        if hashlib.sha256(got[name]).digest() != hashlib.sha256(sent).digest():
            raise AssertionError(f"1 MiB {name} differs")
    return f"1 MiB each way at once in {took:.2f} s"


# --- its tunnels -----------------------------------------------------------------------------------------------------

@test
async def tunnels(lib, near, far):
    """A local TCP service behind its ServerTunnel, reached through its ClientTunnel."""
    async def service(reader, writer):
        size = int(await reader.readline())
        body = await reader.readexactly(size)
        writer.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body[::-1])
        await writer.drain()
        writer.close()

    local = await asyncio.start_server(service, "127.0.0.1", 0)
    behind = lib.ServerTunnel(local.sockets[0].getsockname(), sam_address=far, options=SESSION)
    await behind.run()
    free = socket.create_server(("127.0.0.1", 0))
    door = free.getsockname()
    free.close()
    front = lib.ClientTunnel(f"{behind.destination.base32}.b32.i2p", door, sam_address=near, options=SESSION)
    await front.run()
    try:
        for size in (10, MIB):
            body = os.urandom(size)
            reader, writer = await asyncio.open_connection(*door)
            writer.write(b"%d\n" % size + body)
            await writer.drain()
            digest = (await asyncio.wait_for(reader.readline(), STREAM_S)).strip().decode()
            back = await asyncio.wait_for(reader.read(-1), STREAM_S)
            writer.close()
            if digest != hashlib.sha256(body).hexdigest() or back != body[::-1]:
                raise AssertionError(f"{size} bytes through both tunnels: {len(back)} came back")
    finally:
        front.stop()
        behind.stop()
        local.close()
    return "10 bytes and 1 MiB each way through ClientTunnel and ServerTunnel, whole to the end of the stream"


# --- look-ups and errors ---------------------------------------------------------------------------------------------

@test
async def lookups(lib, near, far):
    """Names without a session of one's own, keys of every type that the library names."""
    saw = []
    async with lib.Session("i2plib-look", sam_address=far, options=SESSION) as session:
        reader, writer = session.reader, session.writer
        writer.write(b"NAMING LOOKUP NAME=ME\n")
        own = lib.Destination((await reader.readline()).decode().split("VALUE=")[1].strip())
        found = await lib.dest_lookup(f"{own.base32}.b32.i2p", sam_address=near)
        if found.base64 != own.base64:
            raise AssertionError("the destination found by b32 differs from the session's")
        same = await lib.dest_lookup(own.base64, sam_address=near)
        if same.base64 != own.base64:
            raise AssertionError("a destination looked up is not itself")
        saw.append("b32 without a session of one's own, a destination is itself")
    await raises(lib.KeyNotFound, lib.dest_lookup("no-such-name.i2p", sam_address=near))
    await raises(lib.InvalidKey, lib.dest_lookup("abc.b32.i2p", sam_address=near))
    saw.append("unknown name: KeyNotFound, malformed b32: InvalidKey")
    for kind in (1, 2, 3, 7):
        key = await lib.new_destination(sam_address=near, sig_type=kind)
        if int.from_bytes(key.data[387:389], "big") != kind:
            raise AssertionError(f"a key of type {kind} was asked for, its certificate says {key.data[384:391].hex()}")
    saw.append("new keys of types 1, 2, 3 and 7")
    return "; ".join(saw)


async def raises(kind, awaitable):
    try:
        value = await awaitable
    except kind:
        return
    except Exception as e:
        raise AssertionError(f"{type(e).__name__} instead of {kind.__name__}") from e
    raise AssertionError(f"{value!r} instead of {kind.__name__}")


@test
async def errors(lib, near, far):
    """Each error reply becomes the library's own exception for it."""
    key = await lib.new_destination(sam_address=near)
    nobody = await lib.new_destination(sam_address=far)
    async with lib.Session("i2plib-err", sam_address=near, destination=key, options=SESSION):
        await raises(lib.DuplicatedId, lib.create_session("i2plib-err", sam_address=near, options=SESSION))
        await raises(lib.DuplicatedDest, lib.create_session("i2plib-err2", sam_address=near, destination=key, options=SESSION))
        await raises(lib.I2PError, lib.create_session("i2plib-err3", sam_address=near, style="FOO"))
        await raises(lib.InvalidId, lib.stream_connect("i2plib-none", key, sam_address=near))
        await raises(lib.InvalidId, lib.stream_accept("i2plib-none", sam_address=near))
        await raises(lib.InvalidKey, lib.stream_connect("i2plib-err", BadDestination(), sam_address=near))
        await raises(lib.CantReachPeer, lib.stream_connect("i2plib-err", nobody, sam_address=near))
        # The session has lived through all that.
        server = asyncio.create_task(serve(lib, "i2plib-err", near, echo_back, []))
        await asyncio.sleep(0.05)
        async with lib.Session("i2plib-err4", sam_address=far, options=SESSION), \
                lib.StreamConnection("i2plib-err4", key, sam_address=far) as stream:
            stream.write(b"still there?")
            await asyncio.wait_for(stream.reader.readexactly(12), STREAM_S)
            stream.writer.close()
            await asyncio.wait_for(server, STREAM_S)
    return "DuplicatedId, DuplicatedDest, I2PError, InvalidId, InvalidKey, CantReachPeer; the session lives on"


class BadDestination:
    """What the library takes for a destination, with a text that is none."""
    base64 = "A" * 100


TESTS = [("i2plib-streams", streams), ("i2plib-tunnels", tunnels), ("i2plib-lookups", lookups), ("i2plib-errors", errors)]
