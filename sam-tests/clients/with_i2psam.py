# SPDX-License-Identifier: MIT
"""i2psam 1.0.0 (PyPI `i2psam`, asyncio and pydantic, SAM 3.0 unless told otherwise): streams, datagrams, look-ups, errors.

Some things of the library do not work against any bridge, and the tests go round them with other parts of it.
`Session.create_datagram()` asks for a second session on a socket that has one, and hands a text to a field HOST that
takes numbers only. A `host` given to `SAMConfig` becomes an object that asyncio does not take, so it stays at its
default, 127.0.0.1. `Connection.write()` puts a line end behind bytes that have none, so payload goes to its writer.
"""
import asyncio
import hashlib
import os

from harness import MIB, LeftOut

STREAM_S = 60


def library():
    try:
        import i2psam
    except ImportError:
        raise LeftOut("the Python package i2psam is not installed; see requirements.txt") from None
    return i2psam


def test(body, version="3.0"):
    """A test of the harness from a coroutine function of two clients of the library, each at a router of its own."""
    def run(net):
        lib = library()
        near, far = (lib.SAMClient(lib.SAMConfig(port=port, udp_port=port - 1, connection_timeout=90, min_version=version,
                                                 max_version=version)) for _, port in net.sam[:2])
        return asyncio.run(asyncio.wait_for(body(near, far), 240))
    return run


def b32(destination):
    import base64
    digest = hashlib.sha256(base64.b64decode(destination, b"-~")).digest()
    return base64.b32encode(digest).decode().lower().rstrip("=") + ".b32.i2p"


async def exactly(connection, size):
    return await asyncio.wait_for(connection.reader.readexactly(size), STREAM_S)


async def send(connection, data):
    connection.writer.write(data)
    await connection.writer.drain()


# --- streams ---------------------------------------------------------------------------------------------------------

async def streams(near, far):
    """Echo by b32 name and by destination, 1 MiB each way at once."""
    mine, theirs = await near.dest_generate(), await far.dest_generate()
    async with far.session("i2psam-far", theirs.priv) as server, near.session("i2psam-near", mine.priv) as client:
        if client.priv_destination != mine.priv:
            raise AssertionError("the bridge did not give the key back as it was")
        for target in (b32(theirs.pub), theirs.pub):
            async def echo():
                async with server.accept_stream() as (peer, stream):
                    while data := await stream.reader.read(65536):
                        await send(stream, data)
                    return peer
            answering = asyncio.create_task(echo())
            await asyncio.sleep(0.05)
            async with client.connect_stream(target) as stream:
                for text in (b"hello\n", b"\x00\xff" * 700, b"and again\n"):
                    await send(stream, text)
                    if await exactly(stream, len(text)) != text:
                        raise AssertionError("the echo differs")
            peer = await asyncio.wait_for(answering, STREAM_S)
            if peer.decode().split()[0] != mine.pub:
                raise AssertionError("the accepting side was told a wrong destination")
        return "echo by b32 and by destination, the peer's destination is right; " + await both_ways(server, client, theirs.pub)


async def both_ways(server, client, target):
    up, down = os.urandom(MIB), os.urandom(MIB)

    async def answer():
        async with server.accept_stream() as (_, stream):
            sending = asyncio.create_task(send(stream, down))
            got = await exactly(stream, MIB)
            await sending
            await send(stream, b"!")
            await stream.reader.read(1)
            return got

    answering = asyncio.create_task(answer())
    await asyncio.sleep(0.05)
    start = asyncio.get_running_loop().time()
    async with client.connect_stream(target) as stream:
        sending = asyncio.create_task(send(stream, up))
        got_down = await exactly(stream, MIB)
        await sending
        await exactly(stream, 1)
    took = asyncio.get_running_loop().time() - start
    if await asyncio.wait_for(answering, STREAM_S) != up or got_down != down:
        raise AssertionError("1 MiB differs")
    return f"1 MiB each way at once in {took:.2f} s"


async def forward(near, far):
    """Streams forwarded to a local port: the bridge connects there and sends the peer's destination first."""
    theirs = await far.dest_generate()
    peers = []

    async def local(reader, writer):
        peers.append((await reader.readline()).decode().split()[0])
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()

    service = await asyncio.start_server(local, "127.0.0.1", 0)
    port = service.sockets[0].getsockname()[1]
    async with far.session("i2psam-forward", theirs.priv), far.connection() as listening:
        # `forward_stream()` waits for a line that only comes to the port, unless it is silent.
        from i2psam.commands import StreamForward
        reply = await listening.request(StreamForward(ID="i2psam-forward", PORT=port, HOST="127.0.0.1", SILENT=False))
        if not reply.is_ok:
            raise AssertionError(f"forward: {listening.raw}")
        mine = await near.dest_generate()
        async with near.session("i2psam-caller", mine.priv) as client:
            for text in (b"one\n", b"two\n"):
                async with client.connect_stream(theirs.pub) as stream:
                    await send(stream, text)
                    if await asyncio.wait_for(stream.reader.readline(), STREAM_S) != text.upper():
                        raise AssertionError("the forwarded service answered wrongly")
    service.close()
    if peers != [mine.pub] * 2:
        raise AssertionError("the forwarded service was told a wrong destination")
    return "two streams forwarded to a local port, the peer's destination before each"


# --- look-ups and errors ---------------------------------------------------------------------------------------------

async def lookups(near, far):
    from i2psam.exceptions import SAMError
    from i2psam.types import SigningKeyType
    keys = await far.dest_generate()
    async with far.session("i2psam-look", keys.priv) as session:
        own = await session.conn.naming_lookup("ME")
        found = await near.naming_lookup(b32(keys.pub))
        if not own.value == found.value == keys.pub:
            raise AssertionError("ME, the b32 name and the key do not agree")
    for name in ("no-such-name.i2p", "abc.b32.i2p"):
        # The library's type for the answer wants a VALUE, so it raises for every failed look-up.
        try:
            await near.naming_lookup(name)
        except SAMError as e:
            if "RESULT=" not in str(e) or name not in str(e):
                raise
        else:
            raise AssertionError(f"{name} was found")
    kinds = [SigningKeyType.ECDSA_SHA256_P256, SigningKeyType.EDDSA_SHA512_ED25519, SigningKeyType.REDDSA_SHA512_ED25519]
    for kind in kinds:
        await near.dest_generate(SIGNATURE_TYPE=kind)
    return "ME and b32 agree with the key; unknown and malformed names fail; keys of types 1, 7 and 11"


async def errors(near, far):
    from i2psam.commands import SessionCreate, StreamAccept, StreamConnect
    from i2psam.exceptions import SAMError
    keys, nobody = await near.dest_generate(), await far.dest_generate()

    async def answer(message):
        """The RESULT of a reply; codes that the library does not know it raises with the whole line."""
        async with near.connection() as connection:
            try:
                return str((await connection.request(message)).result)
            except SAMError as e:
                return str(e).split("RESULT=")[1].split()[0].strip("'\"")

    async with near.session("i2psam-err", keys.priv) as session:
        wanted = [
            (SessionCreate(ID="i2psam-err", DESTINATION="TRANSIENT"), "DUPLICATED_ID"),
            (SessionCreate(ID="i2psam-err2", DESTINATION=keys.priv), "DUPLICATED_DEST"),
            (SessionCreate(ID="i2psam-err3", DESTINATION="abcd"), "INVALID_KEY"),
            (StreamConnect(ID="i2psam-none", DESTINATION=keys.pub), "INVALID_ID"),
            (StreamAccept(ID="i2psam-none"), "INVALID_ID"),
            (StreamConnect(ID="i2psam-err", DESTINATION="no-such-name.i2p"), "INVALID_KEY"),
            (StreamConnect(ID="i2psam-err", DESTINATION=nobody.pub), "CANT_REACH_PEER"),
        ]
        for message, code in wanted:
            got = await answer(message)
            if got != code:
                raise AssertionError(f"{got} instead of {code} for {str(message)[:60]}")
        if (await session.conn.naming_lookup("ME")).value != keys.pub:
            raise AssertionError("the session has not lived through the errors")
    return ", ".join(dict.fromkeys(code for _, code in wanted)) + "; the session lives on"


# --- datagrams -------------------------------------------------------------------------------------------------------

async def open_datagrams(client, name):
    """What `create_datagram()` means to do: a DATAGRAM session that forwards to a UDP port, and the library's queue on it."""
    from i2psam.client.datagram import Datagram, SAMDatagramProtocol
    from i2psam.client.session import Session
    from i2psam.commands import SessionCreate
    from i2psam.types import SessionStyle
    loop, queue = asyncio.get_running_loop(), asyncio.Queue()
    receiving, _ = await loop.create_datagram_endpoint(lambda: SAMDatagramProtocol.with_q(queue), local_addr=("127.0.0.1", 0))
    keys = await client.dest_generate()
    connection = await client._connect()
    await connection.handshake()
    reply = await connection.request(SessionCreate(STYLE=SessionStyle.DATAGRAM, ID=name, DESTINATION=keys.priv,
                                                   PORT=receiving.get_extra_info("sockname")[1]))
    if not reply.is_ok:
        raise AssertionError(f"no datagram session: {reply.result} {reply.message}")
    sending, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(client.cfg.host, client.cfg.udp_port))
    return Datagram(Session(client, connection, name, keys.priv), queue, sending), keys.pub


async def datagrams(near, far):
    """Repliable datagrams of several sizes there and back."""
    there, far_dest = await open_datagrams(far, "i2psam-dgram-far")
    here, near_dest = await open_datagrams(near, "i2psam-dgram-near")

    async def one(sender, to, receiver, expected_from, payload):
        # Datagrams may be lost, so each is sent again until it comes; a late copy is not taken for the next.
        for _ in range(20):
            sender.sendto(to, payload)
            try:
                while True:
                    source, got = await asyncio.wait_for(receiver.recv(), 1)
                    if got == payload:
                        if source != expected_from:
                            raise AssertionError("the datagram names a wrong sender")
                        return
            except TimeoutError:
                pass
        raise AssertionError(f"no datagram of {len(payload)} bytes arrived")

    sizes = (1, 100, 1024, 4096, 16384, 31744)
    for size in sizes:
        await one(here, far_dest, there, near_dest, os.urandom(size))
        await one(there, near_dest, here, far_dest, os.urandom(size))
    for end in (here, there):
        await end.session.conn.close()
    return f"there and back with {', '.join(map(str, sizes))} bytes, senders right"


TESTS = [("i2psam-streams", test(streams)), ("i2psam-streams-3.3", test(streams, "3.3")), ("i2psam-forward", test(forward)),
         ("i2psam-lookups", test(lookups)), ("i2psam-errors", test(errors)), ("i2psam-datagrams", test(datagrams))]
