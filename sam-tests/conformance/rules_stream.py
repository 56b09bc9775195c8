# SPDX-License-Identifier: MIT
"""Section 5: STREAM CONNECT and ACCEPT, their options, their errors, the lines before the payload."""
import re
import time

import keys
from client import Fail, Reply
from rules_line import dest_line
from rules_naming import NOBODY
from runner import SHOULD, rule


def fails(t, line, results, version=None, timeout=None):
    """A STREAM command that fails with one of these results as a STREAM STATUS, and then the socket is closed."""
    c = t.hello(version)
    reply = c.reply(line, timeout or t.timeout)
    if (reply.domain, reply.opcode) != ("STREAM", "STATUS"):
        raise Fail("expected STREAM STATUS")
    c.check(reply, results)
    c.gone()
    return reply


def talk(t, near, far, text=b"hello\n"):
    """Bytes pass in both directions."""
    near.push(text)
    if far.exactly(len(text), t.patience) != text:
        raise Fail("expected the bytes as they were sent")
    far.push(text[::-1])
    if near.exactly(len(text), t.patience) != text[::-1]:
        raise Fail("expected the bytes as they were sent")


@rule("stream.connect", "5")
def _(t):
    """A stream by the full destination, bytes both ways."""
    a, b = t.pair()
    near, far = t.stream(a, b)
    talk(t, near, far)


@rule("stream.connect-b32", "5")
def _(t):
    """DESTINATION may be a b32 name: the server looks it up."""
    a, b = t.pair()
    far = t.accept(b)
    near = t.connect(a, b.b32)
    near.push(b"x")
    far.line(t.patience)
    far.exactly(1)


@rule("stream.connect-b64-i2p", "15", SHOULD)
def _(t):
    """The long form with .i2p behind it, as trackers hand it out."""
    a, b = t.pair()
    far = t.accept(b)
    t.connect(a, b.destination + ".i2p").push(b"x")
    far.line(t.patience)


@rule("stream.connect-b33", "5", SHOULD)
def _(t):
    """The long name of a destination with an encrypted lease set."""
    b = t.create(where=t.far, options="i2cp.leaseSetType=5")
    a = t.session()
    far = t.accept(b)
    near = t.connect(a, keys.b33(b.bytes))
    near.push(b"x")
    far.line(t.patience)
    far.exactly(1)


@rule("stream.private-key-destination", "15")
def _(t):
    """yosemite passes on what SESSION STATUS gave it, a private key: the public part counts, the rest goes nowhere."""
    a, b = t.pair()
    far = t.accept(a)
    t.connect(b, a.private).push(b"x")
    if not far.line(t.patience).startswith(b.destination):
        raise Fail("expected the peer's destination")


@rule("stream.status-first", "5")
def _(t):
    """STREAM STATUS RESULT=OK and nothing else before the payload."""
    a, b = t.pair()
    t.accept(b)
    c = t.hello()
    if c.ask(f"STREAM CONNECT ID={a.id} DESTINATION={b.destination} SILENT=false", t.patience) != "STREAM STATUS RESULT=OK":
        raise Fail("expected exactly STREAM STATUS RESULT=OK")


@rule("stream.silent-default", "5")
def _(t):
    """Without SILENT there is a status line: libtorrent sends none."""
    a, b = t.pair()
    c, d = t.hello(), t.hello(where=t.far)
    d.want(f"STREAM ACCEPT ID={b.id}", "OK")
    c.want(f"STREAM CONNECT ID={a.id} DESTINATION={b.destination}", "OK", t.patience)
    d.line(t.patience)


@rule("stream.accept-at-once", "5")
def _(t):
    """ACCEPT is confirmed when it is registered, not when somebody comes."""
    a = t.session()
    start = time.monotonic()
    if t.hello().ask(f"STREAM ACCEPT ID={a.id} SILENT=false") != "STREAM STATUS RESULT=OK":
        raise Fail("expected exactly STREAM STATUS RESULT=OK")
    if time.monotonic() - start > 2:
        raise Fail("expected it at once")


@rule("stream.line-3.1", "5")
def _(t):
    """At 3.0 and 3.1 the line is the bare destination: bitcoin and libtorrent decode all of it as base64."""
    a, b = t.pair()
    for version in ("3.0", "3.1"):
        far = t.accept(a, version)
        t.connect(b, a.destination).push(b"x")
        if far.line(t.patience) != b.destination:
            raise Fail("expected the peer's destination and nothing else")
        far.exactly(1)


@rule("stream.line-3.2", "5")
def _(t):
    """From 3.2 on the line ends with FROM_PORT and TO_PORT."""
    t.need("3.2")
    a, b = t.pair()
    for version in ("3.2", "3.3"):
        if t.best() < version:
            continue
        far = t.accept(a, version)
        t.connect(b, a.destination).push(b"x")
        if far.line(t.patience) != f"{b.destination} FROM_PORT=0 TO_PORT=0":
            raise Fail("expected <destination> FROM_PORT=0 TO_PORT=0")
        far.exactly(1)


@rule("stream.ports", "5")
def _(t):
    """FROM_PORT on the accepting side is the peer's port, TO_PORT is ours."""
    t.need("3.2")
    t.need("3.2", t.far)
    a, b = t.pair()
    far = t.accept(a)
    t.connect(b, a.destination, options=" FROM_PORT=1234 TO_PORT=80 SILENT=false").push(b"x")
    if far.line(t.patience) != f"{b.destination} FROM_PORT=1234 TO_PORT=80":
        raise Fail("expected FROM_PORT=1234 TO_PORT=80")


@rule("stream.session-ports", "5")
def _(t):
    """Without ports on the command the session's are used."""
    t.need("3.2")
    t.need("3.2", t.far)
    b = t.create(options="FROM_PORT=71 TO_PORT=72")
    a = t.session(t.far)
    for options, line in ((" SILENT=false", "FROM_PORT=71 TO_PORT=72"), (" TO_PORT=9 SILENT=false", "FROM_PORT=71 TO_PORT=9")):
        far = t.accept(a)
        t.connect(b, a.destination, options=options).push(b"x")
        if far.line(t.patience) != f"{b.destination} {line}":
            raise Fail(f"expected {line}")


@rule("stream.ports-range", "5", SHOULD)
def _(t):
    """Ports that are none are an error."""
    a, b = t.pair()
    for words in ("FROM_PORT=65536", "TO_PORT=-1", "TO_PORT=x"):
        fails(t, f"STREAM CONNECT ID={a.id} DESTINATION={b.destination} {words} SILENT=false", "I2P_ERROR")


@rule("stream.options-ignored", "T9")
def _(t):
    """Options for the streaming library and unknown ones do not matter."""
    a, b = t.pair()
    t.accept(b)
    t.connect(a, b.destination, options=" SILENT=false PORT=6881 i2p.streaming.profile=2 FOO=bar")


@rule("stream.glued", "T3")
def _(t):
    """STATUS, destination line and payload are separate writes: what is glued to a line is lost to go-sam-go and npm's i2p."""
    a, b = t.pair()
    c = t.hello()
    c.send(f"STREAM ACCEPT ID={a.id} SILENT=false")
    near = t.hello(where=t.far)
    c.check(Reply(c.line()), "OK")
    if (before := c.segments()) is None:
        raise Fail("this system does not count segments")
    near.raw(f"STREAM CONNECT ID={b.id} DESTINATION={a.destination} SILENT=false\nPAYLOAD")
    time.sleep(0.2)
    c.line(t.patience)
    c.exactly(7, t.patience)
    if c.segments() - before < 2:
        raise Fail("expected the destination line and the payload in two segments at least, they came in one")


# --- errors ----------------------------------------------------------------------------------------------------------

@rule("stream.on-session-socket", "5")
def _(t):
    """The control socket carries no stream: an error, and the session lives on."""
    a, b = t.friends()
    for line in (f"STREAM CONNECT ID={a.id} DESTINATION={b.destination}", f"STREAM ACCEPT ID={a.id}", f"STREAM FORWARD ID={a.id} PORT=9999"):
        a.conn.want(line, "I2P_ERROR", t.patience)
    a.conn.want("NAMING LOOKUP NAME=ME", "OK")


@rule("stream.id-unknown", "5")
def _(t):
    """INVALID_ID makes Bitcoin Core build its session anew."""
    dest = keys.Key().public
    for line in (f"STREAM CONNECT ID=nosuch DESTINATION={dest}", "STREAM ACCEPT ID=nosuch", "STREAM FORWARD ID=nosuch PORT=9999"):
        fails(t, line, "INVALID_ID")


@rule("stream.id-missing", "5", SHOULD)
def _(t):
    """A missing ID is a mistake of the program, not a lost session."""
    dest = keys.Key().public
    for line in (f"STREAM CONNECT DESTINATION={dest}", "STREAM ACCEPT", "STREAM FORWARD PORT=9999", "STREAM ACCEPT ID="):
        fails(t, line, "I2P_ERROR")


@rule("stream.wrong-style", "5", danger=True)
def _(t):
    """Streams on a RAW session: i2pd says OK and dies later."""
    t.style("RAW", 0)
    a = t.create("RAW")
    for line in (f"STREAM CONNECT ID={a.id} DESTINATION={keys.Key().public}", f"STREAM ACCEPT ID={a.id}",
                 f"STREAM FORWARD ID={a.id} PORT=9999"):
        fails(t, line, "I2P_ERROR", timeout=t.patience)


@rule("stream.no-destination", "5")
def _(t):
    """CONNECT needs DESTINATION."""
    a = t.session()
    fails(t, f"STREAM CONNECT ID={a.id} SILENT=false", "I2P_ERROR")
    fails(t, f"STREAM CONNECT ID={a.id} DESTINATION= SILENT=false", {"I2P_ERROR", "INVALID_KEY"})


@rule("stream.bad-destination", "5")
def _(t):
    """Neither a destination nor a name: INVALID_KEY, at once."""
    a = t.session()
    public = keys.Key().public
    for name in ("junk", public[:-8], "abc.b32.i2p", "+/" + public[2:], "."):
        fails(t, f"STREAM CONNECT ID={a.id} DESTINATION={name} SILENT=false", "INVALID_KEY", timeout=t.patience)


@rule("stream.unknown-host", "5")
def _(t):
    """An unknown host name: KEY_NOT_FOUND is not among a stream's results, so INVALID_KEY."""
    a = t.session()
    fails(t, f"STREAM CONNECT ID={a.id} DESTINATION=nosuch-host.i2p SILENT=false", "INVALID_KEY", timeout=t.patience)


@rule("stream.no-lease-set", "5")
def _(t):
    """A destination that nobody publishes: CANT_REACH_PEER, which Bitcoin Core counts as the peer's fault."""
    a = t.session()
    start = time.monotonic()
    fails(t, f"STREAM CONNECT ID={a.id} DESTINATION={keys.Key().public} SILENT=false", {"CANT_REACH_PEER", "TIMEOUT"}, timeout=90)
    fails(t, f"STREAM CONNECT ID={a.id} DESTINATION={NOBODY[:50]}fa.b32.i2p SILENT=false", {"CANT_REACH_PEER", "TIMEOUT"}, timeout=90)
    if time.monotonic() - start > 150:
        raise Fail("expected each answer within 75 s")


@rule("stream.dead-peer", "5", slow=True)
def _(t):
    """A peer that has gone, whose lease set is still known: TIMEOUT or CANT_REACH_PEER within 75 s."""
    a, b = t.session(), t.create(where=t.far)
    t.stream(a, b)
    b.conn.close()
    time.sleep(1)
    start = time.monotonic()
    fails(t, f"STREAM CONNECT ID={a.id} DESTINATION={b.destination} SILENT=false", {"CANT_REACH_PEER", "TIMEOUT"}, timeout=120)
    seconds = time.monotonic() - start
    t.note(f"after {seconds:.0f} s")
    if seconds > 76:
        raise Fail(f"expected an answer within 75 s, it took {seconds:.0f}")


@rule("stream.refused", "5", SHOULD)
def _(t):
    """A peer whose FORWARD leads to a closed port: CANT_REACH_PEER or a stream that ends at once."""
    a, b = t.pair()
    sink = t.listener()
    t.hello(where=t.far).want(f"STREAM FORWARD ID={b.id} PORT={sink.port} HOST=127.0.0.1", "OK")
    sink.close()
    c = t.hello()
    reply = c.reply(f"STREAM CONNECT ID={a.id} DESTINATION={b.destination} SILENT=false", t.patience)
    c.check(reply, {"OK", "CANT_REACH_PEER"})
    c.until_end(t.patience)


@rule("stream.incompatible", "5", SHOULD)
def _(t):
    """A peer with other kinds of encryption only is CANT_REACH_PEER, soon."""
    b = t.hello(where=t.far)
    reply = b.reply(f"SESSION CREATE STYLE=STREAM ID={t.id()} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 inbound.length=1 outbound.length=1 "
                    "i2cp.leaseSetEncType=0", t.patience)
    if reply.result != "OK":
        t.note("the server makes no such session")
        return
    me = b.want("NAMING LOOKUP NAME=ME", "OK")["VALUE"]
    a = t.create(options="i2cp.leaseSetEncType=4 inbound.length=1 outbound.length=1", plain=True)
    fails(t, f"STREAM CONNECT ID={a.id} DESTINATION={me} SILENT=false", {"CANT_REACH_PEER", "TIMEOUT"}, timeout=90)


@rule("stream.to-itself", "5")
def _(t):
    """A program that connects to its own destination, as tests and games do, gets a stream."""
    a = t.session()
    near, far = t.stream(a, a)
    talk(t, near, far)


@rule("stream.same-server", "5")
def _(t):
    """Two sessions on one server reach each other."""
    a, b = t.create(), t.create()
    near, far = t.stream(a, b)
    talk(t, near, far)


@rule("stream.silent-connect", "5")
def _(t):
    """With SILENT=true the first byte is the peer's."""
    a, b = t.pair()
    far = t.accept(b)
    c = t.hello()
    c.raw(f"STREAM CONNECT ID={a.id} DESTINATION={b.destination} SILENT=true\nfirst")
    far.line(t.patience)
    far.exactly(5, t.patience)
    far.push(b"answer")
    if c.exactly(6, t.patience) != b"answer":
        raise Fail("expected the peer's bytes and no line before them")


@rule("stream.silent-accept", "5")
def _(t):
    """With SILENT=true ACCEPT says neither its status nor who came."""
    a, b = t.pair()
    c = t.hello()
    c.send(f"STREAM ACCEPT ID={a.id} SILENT=true")
    c.quiet(0.5)
    near = t.connect(b, a.destination)
    near.push(b"payload")
    if c.exactly(7, t.patience) != b"payload":
        raise Fail("expected the peer's bytes and no line before them")


@rule("stream.silent-fail", "5")
def _(t):
    """With SILENT=true a failure is a plain close: the client takes whatever comes for the peer's bytes."""
    a = t.session()
    for line in (f"STREAM CONNECT ID={a.id} DESTINATION=junk SILENT=true", f"STREAM CONNECT ID=nosuch DESTINATION={keys.Key().public} SILENT=true",
                 "STREAM ACCEPT ID=nosuch SILENT=true"):
        c = t.hello()
        c.send(line)
        c.gone(t.patience)


# --- S1 to S4: who gets which peer -----------------------------------------------------------------------------------

def _name(line):
    return line.split(" ")[0]


@rule("stream.accept-64", "S1")
def _(t):
    """64 pending ACCEPTs on one session, in any version: i2pd 2.45.1 has room for one."""
    a = t.create()
    for i in range(64):
        t.accept(a, ("3.0", "3.1")[i % 2])


@rule("stream.accept-order", "S1")
def _(t):
    """First come, first served."""
    a, b = t.friends()
    waiting = [t.accept(a, "3.1") for _ in range(8)]
    for i, c in enumerate(waiting):
        t.connect(b, a.destination).push(bytes([65 + i]))
        c.line(t.patience)
        if c.exactly(1, t.patience) != bytes([65 + i]):
            raise Fail(f"expected peer {i + 1} at ACCEPT {i + 1}")


@rule("stream.accept-gone", "S2")
def _(t):
    """An ACCEPT whose client has left is forgotten: a peer given to it would be lost."""
    a, b = t.friends()
    for how in ("close", "reset"):
        gone = t.accept(a, "3.1")
        stays = t.accept(a, "3.1")
        getattr(gone, how)()
        time.sleep(0.3)
        t.connect(b, a.destination).push(b"x")
        stays.line(t.patience)
        stays.exactly(1, t.patience)


@rule("stream.accept-gone-race", "S2", SHOULD)
def _(t):
    """The same when the client leaves in the very moment that the peer comes: the next gets it, or the peer sees an end."""
    a, b = t.friends()
    for _ in range(5):
        gone, stays = t.accept(a, "3.1"), t.accept(a, "3.1")
        near = t.hello(where=t.far)
        near.send(f"STREAM CONNECT ID={b.id} DESTINATION={a.destination} SILENT=false")
        gone.reset()
        near.check(Reply(near.line(t.patience)), "OK")
        near.push(b"x")
        end = time.monotonic() + 15
        while not stays.rest and not near.ended:
            stays._more(time.monotonic() + 0.1)
            near._more(time.monotonic() + 0.01)
            if time.monotonic() > end:
                raise Fail("expected the peer at the next ACCEPT, or its stream ended")
        near.close()
        stays.close()


@rule("stream.backlog", "S3")
def _(t):
    """A peer that comes while no ACCEPT is pending waits: bitcoin and libtorrent accept again only after the last one."""
    a, b = t.friends()
    near = t.hello(where=t.far)
    near.raw(f"STREAM CONNECT ID={b.id} DESTINATION={a.destination} SILENT=false\nearly")
    time.sleep(4)
    far = t.accept(a)
    far.line(t.patience)
    if far.exactly(5, t.patience) != b"early":
        raise Fail("expected the bytes that were sent while the peer waited")
    near.check(Reply(near.line(t.patience)), "OK")


@rule("stream.backlog-32", "S3")
def _(t):
    """Up to 64 peers wait; here 32 of them, each served in the end."""
    a, b = t.friends()
    peers = []
    for i in range(32):
        c = t.hello(where=t.far)
        c.raw(f"STREAM CONNECT ID={b.id} DESTINATION={a.destination} SILENT=false\n" + chr(48 + i))
        peers.append(c)
    time.sleep(1)
    got = set()
    for _ in peers:
        far = t.accept(a)
        far.line(t.patience)
        got.add(far.exactly(1, t.patience))
    if len(got) != len(peers):
        raise Fail(f"expected {len(peers)} different peers, got {len(got)}")


@rule("stream.backlog-full", "S3", alone=True)
def _(t):
    """Beyond 64 waiting peers the newest are turned away, not the oldest, and the server's memory is not theirs to fill."""
    a, b = t.friends(far_fresh=True)
    peers = []
    for i in range(80):
        c = t.hello(where=t.far)
        c.raw(f"STREAM CONNECT ID={b.id} DESTINATION={a.destination} SILENT=false\n{i:03}")
        peers.append(c)
        time.sleep(0.02)
    time.sleep(3)
    far = t.accept(a)
    far.line(t.patience)
    if far.exactly(3, t.patience) != b"000":
        raise Fail("expected the first peer to be served first")
    turned = 0
    for c in peers[64:]:
        try:
            if Reply(c.line(1)).result != "OK":
                turned += 1
                continue
            if c._more(time.monotonic() + 1) is False:
                turned += 1
        except Fail:
            pass
    t.note(f"{turned} of the last 16 turned away")
    if not turned:
        raise Fail("expected some of 80 waiting peers to be turned away")


@rule("stream.reaccept-gap", "S3")
def _(t):
    """One ACCEPT after the other, with gaps, loses nobody."""
    a, b = t.friends()
    for i in range(6):
        near = t.hello(where=t.far)
        near.raw(f"STREAM CONNECT ID={b.id} DESTINATION={a.destination} SILENT=false\n{i}")
        time.sleep(0.1)
        far = t.accept(a)
        far.line(t.patience)
        if far.exactly(1, t.patience) != str(i).encode():
            raise Fail("expected the peers in their order")
        far.close()


@rule("stream.early-payload", "S4")
def _(t):
    """Bytes right behind CONNECT, before its OK, are payload and arrive; i2pd loses them."""
    a, b = t.pair()
    far = t.accept(b)
    near = t.hello()
    near.raw(f"STREAM CONNECT ID={a.id} DESTINATION={b.destination} SILENT=false\nGET / HTTP/1.0\r\n\r\n")
    near.check(Reply(near.line(t.patience)), "OK")
    far.line(t.patience)
    if far.exactly(18, t.patience) != b"GET / HTTP/1.0\r\n\r\n":
        raise Fail("expected the bytes behind the command")


@rule("stream.early-payload-accept", "S4")
def _(t):
    """The same behind ACCEPT."""
    a, b = t.pair()
    c = t.hello()
    c.raw(f"STREAM ACCEPT ID={a.id} SILENT=false\n220 welcome\r\n")
    c.check(Reply(c.line()), "OK")
    near = t.connect(b, a.destination)
    if near.exactly(13, t.patience) != b"220 welcome\r\n":
        raise Fail("expected the bytes behind the command")


@rule("stream.accept-after-error", "S8", SHOULD)
def _(t):
    """When the session goes, an ACCEPT at 3.1 is closed without a line: libtorrent would decode it as a destination."""
    a = t.create()
    c = t.accept(a, "3.1")
    a.conn.close()
    c.gone(15)


@rule("stream.accept-dead-session", "11")
def _(t):
    """After the session has gone ACCEPT itself fails: OK and then an error makes bitcoin's loop spin."""
    a = t.create()
    a.conn.close()
    time.sleep(1)
    fails(t, f"STREAM ACCEPT ID={a.id} SILENT=false", {"INVALID_ID", "I2P_ERROR"})


@rule("stream.junk-name", "5", danger=True)
def _(t):
    """Odd destinations in CONNECT end the connection, not the server."""
    a = t.session()
    for name in ("A" * 4000, "-" * 700, "....", "a" * 300 + ".i2p", "%s%n" * 20, keys.b64(bytes(391)), keys.b64(bytes(384) + b"\x05\xff\xff")):
        c = t.hello()
        reply = c.reply(f"STREAM CONNECT ID={a.id} DESTINATION={name} SILENT=false", t.patience)
        if reply.result in (None, "OK"):
            raise Fail("expected an error")
    dest_line(t.hello())
