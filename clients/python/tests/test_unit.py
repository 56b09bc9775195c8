# SPDX-License-Identifier: MIT
"""What the library sends and how it takes what comes, without a router."""
from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import unittest
from pathlib import Path

from fake import Fake, Peer, destination, private

import samovar_sam as sam

for name in ("samovar_sam", "asyncio"):
    logging.getLogger(name).setLevel(logging.CRITICAL)


class Keys(unittest.TestCase):
    def test_destinations_are_checked_and_have_a_short_form(self) -> None:
        known = sam.Destination(destination(7))
        self.assertEqual(len(str(known)), 524)
        self.assertRegex(known.b32, r"^[a-z2-7]{52}\.b32\.i2p$")
        self.assertEqual(known, sam.Destination(destination(7).rstrip("=")))
        self.assertNotEqual(known, sam.Destination(destination(8)))
        self.assertNotIn(str(known)[:20], repr(known))
        for wrong in ("", "name.i2p", destination(7)[:-8], private(7), destination(7).replace("B", "+"), "é" * 516):
            with self.assertRaises(sam.InvalidKey):
                sam.Destination(wrong)

    def test_keys_have_a_destination_and_stay_hidden(self) -> None:
        keys = sam.Keys(private(7))
        self.assertEqual(str(keys.destination), destination(7))
        self.assertNotIn(private(7)[600:620], repr(keys))
        with self.assertRaises(sam.InvalidKey):
            sam.Keys(destination(7))

    def test_files_are_private_whole_and_not_replaced(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "my.keys")
            os.umask(os.umask(0))
            sam.Keys(private(7)).save(path)
            self.assertEqual(path.stat().st_mode & 0o777, 0o600)
            with self.assertRaises(FileExistsError):
                sam.Keys(private(8)).save(path)
            self.assertEqual(sam.Keys.load(path).private, private(7))
            sam.Keys(private(8)).save(path, overwrite=True)
            self.assertEqual(sam.Keys.load(path).b32, sam.Destination(destination(8)).b32)
            self.assertEqual([entry.name for entry in Path(folder).iterdir()], ["my.keys"])
            Path(folder, "i2pd.dat").write_bytes(base64.b64decode(private(9), b"-~"))
            self.assertEqual(sam.Keys.load(Path(folder, "i2pd.dat")).private, private(9))
            Path(folder, "junk").write_text("junk")
            with self.assertRaisesRegex(sam.InvalidKey, "junk"):
                sam.Keys.load(Path(folder, "junk"))


class Lines(unittest.TestCase):
    def test_replies(self) -> None:
        reply = sam.Reply.parse('STREAM  STATUS RESULT=CANT_REACH_PEER MESSAGE="no \\"lease\\" set" x:a="b=c" FLAG')
        self.assertEqual((reply.command, reply.opcode, reply.result), ("STREAM", "STATUS", "CANT_REACH_PEER"))
        self.assertEqual(dict(reply.fields),
                         {"RESULT": "CANT_REACH_PEER", "MESSAGE": 'no "lease" set', "x:a": "b=c"})
        self.assertEqual(sam.Reply.parse("A B MESSAGE=without any quotes").fields["MESSAGE"], "without any quotes")
        self.assertEqual(sam.Reply.parse("").result, "")
        self.assertEqual(sam.Reply.parse('X "').command, "X")
        with self.assertRaises(sam.CantReachPeer) as raised:
            reply.check("connect")
        self.assertEqual(raised.exception.message, 'no "lease" set')
        self.assertIsInstance(raised.exception, ConnectionError)

    def test_every_result_has_its_class(self) -> None:
        kinds = {"I2P_ERROR": sam.I2PError, "NOVERSION": sam.NoVersion, "TIMEOUT": sam.PeerTimeout,
                 "INVALID_ID": sam.InvalidId, "INVALID_KEY": sam.InvalidKey, "KEY_NOT_FOUND": sam.KeyNotFound,
                 "DUPLICATED_ID": sam.DuplicatedId, "DUPLICATED_DEST": sam.DuplicatedDest,
                 "LEASESET_NOT_FOUND": sam.LeaseSetNotFound, "PEER_NOT_FOUND": sam.PeerNotFound,
                 "ALREADY_ACCEPTING": sam.AlreadyAccepting, "SOMETHING_NEW": sam.SamError}
        for result, kind in kinds.items():
            with self.assertRaises(kind) as raised:
                sam.Reply.parse(f"X STATUS RESULT={result}").check()
            self.assertEqual((type(raised.exception), raised.exception.result), (kind, result))

    def test_nothing_gets_out_of_its_value(self) -> None:
        self.assertEqual(sam._line("A B", {"x": 'with "quotes" \\ and blanks', "y": "", "z": None, "b": True}),
                         'A B x="with \\"quotes\\" \\\\ and blanks" y="" b=true')
        for wrong in ("a\nQUIT", "a\r", "\0", "\x7f"):
            with self.assertRaises(ValueError):
                sam._line("A", {"x": wrong})
        for wrong in ("a b", "a=b", "", "a\n"):
            with self.assertRaises(ValueError):
                sam._line("A", {wrong: 1})

    def test_the_log_shows_no_secrets(self) -> None:
        shown = sam._shown(f'HELLO VERSION USER=me PASSWORD="a \\" b" x={private(1)}')
        self.assertEqual(shown, f"HELLO VERSION USER=.. PASSWORD=.. x={private(1)[:12]}..")
        self.assertNotIn("secret", repr(sam.Bridge(password="secret")))

    def test_addresses_of_bridges(self) -> None:
        for text, host, port in (("a", "a", 7656), ("a:1", "a", 1), (":9", "127.0.0.1", 9), ("[::1]:8", "::1", 8)):
            bridge = sam.Bridge.parse(text)
            self.assertEqual((bridge.host, bridge.port, bridge.tls), (host, port, False))
        bridge = sam.Bridge.parse("tls://me:pass:word@there:7")
        self.assertEqual((bridge.host, bridge.tls, bridge.user, bridge.password), ("there", True, "me", "pass:word"))
        self.assertEqual(str(bridge), "tls://there:7")
        self.assertEqual(sam.Bridge.parse("unix:/run/sam").unix, "/run/sam")
        self.assertEqual(sam.Bridge.parse("unix:///run/sam").unix, "/run/sam")
        for wrong in ("http://a", "a:0", "a:65536", "a:b", "a:1:2"):
            with self.assertRaises(ValueError):
                sam.Bridge.parse(wrong)


class Async(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        self.stack = contextlib.AsyncExitStack()
        self.addAsyncCleanup(self.stack.aclose)

    async def fake(self, version: str = "3.3", **answers: object) -> Fake:
        return await self.stack.enter_async_context(Fake(version, **answers))    # type: ignore[arg-type]


class Greeting(Async):
    async def test_words_and_refusals(self) -> None:
        fake = await self.fake()
        await (await sam.control(fake.bridge)).close()
        await (await sam.control(sam.Bridge(port=fake.port, user="me", password='a "b" c'))).close()
        self.assertEqual(fake.lines, ["HELLO VERSION MIN=3.1 MAX=3.3",
                                      'HELLO VERSION MIN=3.1 MAX=3.3 USER=me PASSWORD="a \\"b\\" c"'])
        for answer, kind in (("HELLO REPLY RESULT=NOVERSION\n", sam.NoVersion), (None, sam.Disconnected),
                             ('HELLO REPLY RESULT=I2P_ERROR MESSAGE="bad password"\n', sam.Refused),
                             (b"x" * 600_000, sam.Disconnected)):
            fake.answers["HELLO"] = answer
            with self.assertRaises(kind):
                await sam.control(fake.bridge)
        for peer in fake.peers:
            await asyncio.wait_for(peer.gone.wait(), 5)

    async def test_a_silent_bridge_runs_into_the_limit(self) -> None:
        fake = await self.fake(HELLO="")
        with self.assertRaises(TimeoutError):
            await sam.control(sam.Bridge(port=fake.port, timeout=0.1))
        await asyncio.wait_for(fake.peers[0].gone.wait(), 5)

    async def test_what_an_old_router_cannot_do_is_said(self) -> None:
        fake = await self.fake("3.1")
        async with sam.session(fake.bridge, from_port=0) as session:
            with self.assertRaises(sam.Unsupported):
                await session.connect("a.i2p", to_port=80)
            await (await session.connect("a.i2p", to_port=0)).close()
        self.assertTrue(fake.said("STREAM CONNECT")[0].endswith("DESTINATION=a.i2p SILENT=false"))
        for opening in (sam.primary(fake.bridge), sam.raw(fake.bridge, protocol=99),
                        sam.session(fake.bridge, to_port=1)):
            with self.assertRaises(sam.Unsupported):
                await opening
        async with sam.raw(fake.bridge):
            self.assertNotIn("HEADER", fake.lines[-1])

    async def test_tls_and_unix_sockets(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "sam")
            fake = Fake()
            await fake.start(unix=path)
            async with fake, sam.control(f"unix:{path}") as control:
                self.assertEqual((await control.lookup("x.i2p")).base64, destination(3))
            if shutil.which("openssl") is None:
                self.skipTest("openssl makes the certificate")
            certificate = os.path.join(folder, "both.pem")
            command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                       "-nodes", "-subj", "/CN=sam", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2",
                       "-keyout", certificate + ".key", "-out", certificate]
            subprocess.run(command, check=True, capture_output=True)
            server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            server.load_cert_chain(certificate, certificate + ".key")
            fake = await Fake().start(tls=server)
            self.stack.push_async_exit(fake)
            trusting = ssl.create_default_context(cafile=certificate)
            async with sam.control(sam.Bridge(port=fake.port, tls=trusting)) as control:
                self.assertEqual((await control.lookup("x.i2p")).base64, destination(3))
            with self.assertRaisesRegex(sam.BridgeUnreachable, "CERTIFICATE_VERIFY_FAILED"):
                await sam.control(sam.Bridge(port=fake.port, tls=True))


class Control(Async):
    async def test_a_cancelled_command_does_not_shift_the_replies(self) -> None:
        release = asyncio.Event()

        async def slow(line: str, peer: Peer) -> str:
            await release.wait()
            return f"NAMING REPLY RESULT=OK NAME=a VALUE={destination(4 if 'slow' in line else 5)}\n"
        fake = await self.fake(NAMING_LOOKUP=slow)
        async with sam.control(fake.bridge) as control:
            first = asyncio.create_task(control.lookup("slow.i2p"))
            second = asyncio.create_task(control.lookup("fast.i2p"))
            await asyncio.sleep(0.05)
            first.cancel()
            with self.assertRaises(TimeoutError):
                await control.lookup("late.i2p", timeout=0.05)
            release.set()
            self.assertEqual((await second).base64, destination(5))
            self.assertTrue(first.cancelled())

    async def test_pings_are_answered_and_strange_lines_change_nothing(self) -> None:
        async def lookup(line: str, peer: Peer) -> str:
            peer.say("PING  are you there\nSESSION STATUS RESULT=OK\n")
            peer.say("DATAGRAM STATUS RESULT=I2P_ERROR\nRAW RECEIVED SIZE=1\n\n")
            return f"NAMING REPLY RESULT=OK NAME=a VALUE={destination(4)}\n"
        fake = await self.fake(NAMING_LOOKUP=lookup, PONG="", PING="PONG a b\n")
        async with sam.control(fake.bridge) as control:
            self.assertEqual((await control.lookup("a.i2p")).base64, destination(4))
            await control.ping("a b")
            self.assertIn("PONG  are you there", fake.lines)

    async def test_options_of_a_name(self) -> None:
        reply = f'NAMING REPLY RESULT=OK NAME=a VALUE={destination(4)} OPTION:_smtp._tcp="1 86400"\n'
        fake = await self.fake(NAMING_LOOKUP=reply)
        async with sam.control(fake.bridge) as control:
            found = await control.lookup_with_options("a.i2p")
        self.assertEqual((found.destination.base64, dict(found.options)), (destination(4), {"_smtp._tcp": "1 86400"}))
        self.assertEqual(fake.lines[-1], "NAMING LOOKUP NAME=a.i2p OPTIONS=true")

    async def test_auth(self) -> None:
        fake = await self.fake(AUTH="AUTH STATUS RESULT=OK\n",
                               AUTH_REMOVE='AUTH STATUS RESULT=I2P_ERROR MESSAGE="no such user"\n')
        async with sam.control(fake.bridge) as control:
            await control.auth_add("me", "my password")
            await control.auth_enable()
            with self.assertRaisesRegex(sam.I2PError, "no such user"):
                await control.auth_remove("you")
            await control.auth_disable()
        self.assertEqual(fake.lines[1:], ['AUTH ADD USER=me PASSWORD="my password"', "AUTH ENABLE",
                                          "AUTH REMOVE USER=you", "AUTH DISABLE"])

    async def test_the_end_of_the_bridge_reaches_everyone_who_waits(self) -> None:
        fake = await self.fake(NAMING_LOOKUP=None)
        async with sam.session(fake.bridge) as session:
            with self.assertRaises(sam.SessionClosed):
                await session.lookup("a.i2p")
            await session.wait_closed()
            self.assertTrue(session.closed)


class Sessions(Async):
    async def test_what_is_asked_for(self) -> None:
        fake = await self.fake()
        async with sam.session(fake.bridge, id="x", hops=2, tunnels=3, nickname="my site", from_port=1,
                               options={"i2cp.leaseSetEncType": "6,4", "inbound.length": 0}) as session:
            self.assertEqual(session.keys.private, private(1))
        self.assertEqual(fake.lines[1], 'SESSION CREATE STYLE=STREAM ID=x DESTINATION=TRANSIENT SIGNATURE_TYPE=7 '
                         'FROM_PORT=1 i2cp.leaseSetEncType=6,4 inbound.length=0 inbound.quantity=3 '
                         'inbound.nickname="my site" '
                         'outbound.length=2 outbound.quantity=3 outbound.nickname="my site"')

    async def test_keys_come_from_a_file_or_are_made_for_it(self) -> None:
        fake = await self.fake()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "keys")
            for _ in range(2):
                async with sam.session(fake.bridge, keys=path) as session:
                    self.assertEqual(session.keys.private, private(2))
                self.assertIn(f"DESTINATION={private(2)} i2cp", fake.lines[-1])
        self.assertEqual(len(fake.said("DEST GENERATE")), 1)

    async def test_a_cancelled_opening_leaves_nothing(self) -> None:
        fake = await self.fake(SESSION_CREATE="")
        opening = asyncio.ensure_future(asyncio.wait_for(sam.session(fake.bridge), 0.1))
        with self.assertRaises(TimeoutError):
            await opening
        await asyncio.wait_for(fake.peers[0].gone.wait(), 5)
        with self.assertRaises(TimeoutError):
            await sam.session(fake.bridge, timeout=0.05)

    async def test_the_loop_opens_again_and_gives_up_on_what_cannot_heal(self) -> None:
        fake = await self.fake()
        seen = []
        async for session in sam.session(fake.bridge):
            seen.append(session)
            if len(seen) == 2:
                break
            fake.peers[-1].writer.close()
            await session.wait_closed()
        self.assertIn(f"DESTINATION={private(1)} ", fake.said("SESSION CREATE")[1])
        fake.answers["SESSION CREATE"] = "SESSION STATUS RESULT=INVALID_KEY\n"
        with self.assertRaises(sam.InvalidKey):
            async for _ in sam.session(fake.bridge):
                self.fail("opened")
        await session.close()


class Streams(Async):
    async def test_a_cancelled_connect_hangs_up(self) -> None:
        fake = await self.fake(STREAM_CONNECT="")
        async with sam.session(fake.bridge) as session:
            with self.assertRaises(TimeoutError):
                await session.connect("a.i2p", timeout=0.05)
            await asyncio.wait_for(fake.peers[1].gone.wait(), 5)

    async def test_both_forms_of_the_line_that_names_the_peer(self) -> None:
        for version, ports, expected in (("3.1", "", (0, 0)), ("3.3", " FROM_PORT=7 TO_PORT=80", (7, 80))):
            async def accept(line: str, peer: Peer, ports: str = ports) -> str:
                peer.say("STREAM STATUS RESULT=OK\n")
                await asyncio.sleep(0.01)
                return f"{destination(6)}{ports}\nfirst bytes"
            fake = await self.fake(version, STREAM_ACCEPT=accept)
            async with sam.session(fake.bridge) as session, await session.accept() as stream:
                assert stream.peer
                self.assertEqual((stream.peer.base64, stream.from_port, stream.to_port), (destination(6), *expected))
                self.assertEqual(await stream.readexactly(11), b"first bytes")

    async def test_the_listener_tries_again_until_the_session_ends(self) -> None:
        attempts = 0

        async def accept(line: str, peer: Peer) -> str | None:
            nonlocal attempts
            attempts += 1
            peer.say("STREAM STATUS RESULT=OK\n")
            await asyncio.sleep(0.01)
            if attempts == 1:
                return None
            if attempts == 2:
                return 'STREAM STATUS RESULT=I2P_ERROR MESSAGE="try again"\n'
            return f"{destination(6)}\n" if attempts == 3 else ""
        fake = await self.fake(STREAM_ACCEPT=accept)
        async with sam.session(fake.bridge) as session:
            listener = session.listen(pending=1)
            (await asyncio.wait_for(listener.accept(), 5)).abort()
            self.assertEqual(attempts, 3)
            waiting = asyncio.create_task(listener.accept())
            await asyncio.sleep(0.05)
            fake.peers[0].writer.close()
            with self.assertRaises(sam.SessionClosed):
                await asyncio.wait_for(waiting, 5)

    async def test_a_listener_that_cannot_begin_says_why(self) -> None:
        fake = await self.fake(STREAM_ACCEPT='STREAM STATUS RESULT=I2P_ERROR MESSAGE="a FORWARD is active"\n')
        async with sam.session(fake.bridge) as session:
            with self.assertRaisesRegex(sam.I2PError, "a FORWARD is active"):
                async with session.listen():
                    self.fail("listens")

    async def test_a_closed_listener_hangs_up_on_those_it_has(self) -> None:
        async def accept(line: str, peer: Peer) -> str:
            peer.say("STREAM STATUS RESULT=OK\n")
            return f"{destination(6)}\n"
        fake = await self.fake(STREAM_ACCEPT=accept)
        async with sam.session(fake.bridge) as session:
            async with session.listen(pending=2, backlog=3) as listener:
                await asyncio.sleep(0.2)
                self.assertEqual(len(fake.said("STREAM ACCEPT")), 5)
            self.assertEqual([stream async for stream in listener], [])
            for peer in fake.peers[1:]:
                await asyncio.wait_for(peer.gone.wait(), 5)

    async def test_forward(self) -> None:
        fake = await self.fake()
        async with sam.session(fake.bridge, id="x") as session:
            forward = await session.forward(80, "::1", silent=True, ssl=True)
            self.assertEqual(fake.lines[-1], "STREAM FORWARD ID=x PORT=80 HOST=::1 SILENT=true SSL=true")
            fake.peers[-1].writer.close()
            await asyncio.wait_for(forward.wait_closed(), 5)
            await forward.close()
            with self.assertRaises(ValueError):
                await session.forward(65536)

    async def test_serving_goes_on_after_a_handler_has_failed(self) -> None:
        calls = 0

        async def accept(line: str, peer: Peer) -> str:
            peer.say("STREAM STATUS RESULT=OK\n")
            return f"{destination(6)}\n" if len(fake.said("STREAM ACCEPT")) < 4 else ""

        async def handler(stream: sam.Stream) -> None:
            nonlocal calls
            calls += 1
            raise (RuntimeError, ConnectionResetError, EOFError)[calls % 3]("at work")
        fake = await self.fake(STREAM_ACCEPT=accept)
        async with sam.session(fake.bridge) as session:
            with self.assertRaises(TimeoutError):
                await asyncio.wait_for(session.serve(handler, limit=1), 0.5)
        self.assertEqual(calls, 3)


class Messages(Async):
    async def udp(self, fake: Fake) -> tuple[socket.socket, sam.Bridge]:
        """The router's UDP port."""
        port = socket.socket(type=socket.SOCK_DGRAM)
        self.addCleanup(port.close)
        port.bind(("127.0.0.1", 0))
        port.setblocking(False)
        return port, sam.Bridge(port=fake.port, udp=port.getsockname())

    async def sent(self, port: socket.socket) -> bytes:
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(port, 65536), 5)

    async def test_datagrams_by_udp(self) -> None:
        fake = await self.fake()
        port, bridge = await self.udp(fake)
        async with sam.datagrams(bridge, id="x", kind="DATAGRAM2", queue=2) as session:
            self.assertRegex(fake.lines[-1], r"^SESSION CREATE STYLE=DATAGRAM2 ID=x .* PORT=\d+ HOST=127\.0\.0\.1 ")
            ours = int(fake.lines[-1].split(" PORT=")[1].split()[0])
            await session.send(b"one\ntwo", destination(4))
            self.assertEqual(await self.sent(port), f"3.3 x {destination(4)}\none\ntwo".encode())
            await session.send(b"!", sam.Destination(destination(4)), from_port=1, to_port=0, expires=9)
            head = f"3.3 x {destination(4)} FROM_PORT=1 TO_PORT=0 EXPIRES=9\n"
            self.assertEqual(await self.sent(port), head.encode() + b"!")
            for _ in range(2):
                await session.send(b"by name", "a.i2p")
                self.assertIn(destination(3).encode(), await self.sent(port))
            self.assertEqual(len(fake.said("NAMING")), 1)
            for wrong in (b"", b"x" * 31745):
                with self.assertRaises(ValueError):
                    await session.send(wrong, destination(4))

            digest = base64.b64encode(sam.Destination(destination(4)).hash, b"-~")
            good = destination(4).encode() + b" FROM_PORT=7 TO_PORT=8\nhi\nyou"
            for packet in (b"junk\nx", b"\n", b"", b"\xff\n", good, digest + b"\nthree", digest + b"\ntoo many"):
                port.sendto(packet, ("127.0.0.1", ours))
            async with asyncio.timeout(5):
                while session.dropped < 5:
                    await asyncio.sleep(0.01)
            first, second = await session.recv(), await session.recv()
            self.assertEqual((first.data, str(first.sender), first.from_port, first.to_port),
                             (b"hi\nyou", destination(4), 7, 8))
            self.assertEqual((second.data, second.sender, second.reply_to), (b"three", None, first.sender_b32))
            waiting = asyncio.create_task(session.recv())
            await asyncio.sleep(0)
        with self.assertRaises(sam.SessionClosed):
            await waiting

    async def test_datagrams_on_the_control_connection(self) -> None:
        got: list[bytes] = []

        async def take(line: str, peer: Peer) -> str:
            got.append(await peer.reader.readexactly(int(line.split("SIZE=")[1].split()[0])))
            return f"DATAGRAM RECEIVED DESTINATION={destination(5)} SIZE=6 FROM_PORT=1 TO_PORT=2\nPING x"
        fake = await self.fake(DATAGRAM_SEND=take)
        async with sam.datagrams(fake.bridge, via="control", id="x") as session:
            self.assertNotIn("PORT", fake.lines[-1])
            await session.send(b"PING\n", destination(4))
            message = await asyncio.wait_for(session.recv(), 5)
            self.assertEqual((message.data, str(message.sender), message.to_port), (b"PING x", destination(5), 2))
            self.assertEqual(fake.lines[-1], f"DATAGRAM SEND DESTINATION={destination(4)} SIZE=5")
            self.assertEqual(got, [b"PING\n"])

    async def test_raw(self) -> None:
        fake = await self.fake()
        port, bridge = await self.udp(fake)
        async with sam.raw(bridge, id="x", protocol=99) as session:
            self.assertIn(" PROTOCOL=99 HEADER=true PORT=", fake.lines[-1])
            ours = int(fake.lines[-1].split(" PORT=")[1].split()[0])
            await session.send(b"x", destination(4), protocol=98)
            self.assertEqual(await self.sent(port), f"3.3 x {destination(4)} PROTOCOL=98\nx".encode())
            for packet in (b"PROTOCOL=18 FROM_PORT=1 TO_PORT=2\npayload\n", b"FROM_PORT=1 TO_PORT=2 PROTOCOL=18\n",
                           b"no header\nx"):
                port.sendto(packet, ("127.0.0.1", ours))
            messages = [await session.recv() for _ in range(3)]
            self.assertEqual([message.data for message in messages], [b"payload\n", b"", b"no header\nx"])
            self.assertEqual((messages[0].protocol, messages[0].from_port, messages[0].to_port), (18, 1, 2))
            with self.assertRaises(ValueError):
                _ = messages[0].reply_to


class Primary(Async):
    async def test_subsessions_come_and_go(self) -> None:
        fake = await self.fake(SESSION_ADD='SESSION STATUS RESULT=OK ID="s" MESSAGE="ADD s"\n',
                               SESSION_REMOVE="SESSION STATUS RESULT=OK ID=s\n")
        async with sam.primary(fake.bridge, id="p") as primary:
            web = await primary.add_stream(id="web", listen_port=80)
            self.assertEqual(fake.lines[-1], "SESSION ADD STYLE=STREAM ID=web FROM_PORT=80 LISTEN_PORT=80")
            async with await primary.add_datagrams(kind="DATAGRAM3", id="d", from_port=5):
                self.assertRegex(fake.lines[-1], "^SESSION ADD STYLE=DATAGRAM3 ID=d FROM_PORT=5 PORT=[0-9]+ HOST=127")
            self.assertEqual(fake.lines[-1], "SESSION REMOVE ID=d")
            raw = await primary.add_raw(id="r", listen_protocol=0)
            self.assertRegex(fake.lines[-1], "^SESSION ADD STYLE=RAW ID=r LISTEN_PROTOCOL=0 HEADER=true PORT=[0-9]+ ")
            self.assertEqual(primary.subsessions, {web, raw})
            self.assertEqual(web.b32, primary.b32)
            await (await web.connect("a.i2p")).close()
            self.assertIn(" ID=web ", fake.lines[-1])
            await primary.remove(web)
            with self.assertRaises(sam.SessionClosed):
                await web.connect("a.i2p")
            refusal = 'SESSION STATUS RESULT=I2P_ERROR ID="s" MESSAGE="duplicate protocol 6 and port 80"\n'
            fake.answers["SESSION ADD"] = refusal
            with self.assertRaisesRegex(sam.I2PError, "duplicate protocol"):
                await primary.add_stream()
            self.assertFalse(primary.closed)
        self.assertTrue(raw.closed)


if __name__ == "__main__":
    unittest.main()
