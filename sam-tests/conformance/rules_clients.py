# SPDX-License-Identifier: MIT
"""Section 9 and 15: what real clients send, byte for byte, and their replies read as each of them reads."""
import re
import shlex
import struct
import time

import keys
from client import Fail, Reply
from rules_datagram import Box, again, meet
from runner import SHOULD, rule


def one_read(c, line, timeout=None):
    """A client that reads once per reply: the whole line must be there, and nothing else."""
    got = c.ask(line, timeout)
    if c.parts != 1 or c.glued:
        raise Fail("expected the reply, and nothing else, in one read")
    return got


def plain(text):
    """Bitcoin Core's parser: words at blanks, key and value at the first =."""
    return dict(word.split("=", 1) for word in text.split(" ") if "=" in word)


def destination_of(private):
    """The destination at the start of a private key, its length out of bytes 385 and 386."""
    data = keys.unb64(private)
    return data[:387 + struct.unpack(">H", data[385:387])[0]]


def small(t):
    """Session options, where a client gives none of its own that fit the network of the test."""
    return "inbound.length=1 outbound.length=1"


# --- Bitcoin Core ----------------------------------------------------------------------------------------------------

def bitcoin(t, where=0):
    c = t.open(where)
    if plain(c.ask("HELLO VERSION MIN=3.1 MAX=3.1" + t.auth)).get("RESULT") != "OK":
        raise Fail("expected RESULT=OK")
    return c


@rule("client.bitcoin", "9")
def _(t):
    """Bitcoin Core: a transient session for each outgoing connection, look-up and CONNECT on one socket, ACCEPT in a loop."""
    home = bitcoin(t, t.far)
    made = plain(home.ask("DEST GENERATE SIGNATURE_TYPE=7"))
    server_id = t.id("b" * 6)
    reply = plain(home.ask(f"SESSION CREATE STYLE=STREAM ID={server_id} DESTINATION={made['PRIV']} i2cp.leaseSetEncType=4,0 "
                           f"inbound.quantity=3 outbound.quantity=3 {small(t)}", t.patience))
    if reply.get("RESULT") != "OK":
        raise Fail("expected RESULT=OK for the persistent key")
    destination = destination_of(made["PRIV"])
    listening = bitcoin(t, t.far)
    if plain(listening.ask(f"STREAM ACCEPT ID={server_id} SILENT=false")).get("RESULT") != "OK":
        raise Fail("expected RESULT=OK for ACCEPT")
    control = bitcoin(t)
    client_id = t.id("c" * 6)
    reply = plain(control.ask(f"SESSION CREATE STYLE=STREAM ID={client_id} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 i2cp.leaseSetEncType=4,0 "
                              f"inbound.quantity=1 outbound.quantity=1 {small(t)}", t.patience))
    me = destination_of(reply["DESTINATION"])
    out = bitcoin(t)
    end = time.monotonic() + t.patience
    while "VALUE" not in (reply := plain(out.ask(f"NAMING LOOKUP NAME={keys.b32(destination)}", t.patience))):
        if time.monotonic() > end:
            raise Fail("expected VALUE for the peer's b32")
        time.sleep(1)
    if plain(out.ask(f"STREAM CONNECT ID={client_id} DESTINATION={reply['VALUE']} SILENT=false", t.patience)).get("RESULT") != "OK":
        raise Fail("expected RESULT=OK for CONNECT on the socket of the look-up")
    out.push(b"\xf9\xbe\xb4\xd9version")
    if keys.unb64(listening.line(t.patience)) != me:
        raise Fail("expected the peer's destination and nothing else")
    listening.exactly(11, t.patience)


@rule("client.bitcoin-errors", "9")
def _(t):
    """Bitcoin Core tells a dead session (INVALID_ID) from a dead peer (CANT_REACH_PEER, TIMEOUT) and anything else."""
    a = t.create(version="3.1")
    nobody = keys.Key().public
    if plain(bitcoin(t).ask(f"STREAM CONNECT ID={a.id} DESTINATION={nobody} SILENT=false", 90)).get("RESULT") not in ("CANT_REACH_PEER", "TIMEOUT"):
        raise Fail("expected CANT_REACH_PEER or TIMEOUT")
    a.conn.close()
    end = time.monotonic() + 3
    while plain(bitcoin(t).ask(f"STREAM CONNECT ID={a.id} DESTINATION={nobody} SILENT=false", 90)).get("RESULT") != "INVALID_ID":
        if time.monotonic() > end:
            raise Fail("expected INVALID_ID once the session has gone")


# --- libtorrent ------------------------------------------------------------------------------------------------------

LIBTORRENT = {"OK", "CANT_REACH_PEER", "I2P_ERROR", "INVALID_KEY", "INVALID_ID", "TIMEOUT", "KEY_NOT_FOUND", "DUPLICATED_ID"}


def torrent(c, line, words, timeout=None):
    """libtorrent's parser: the two words it expects, then key=value with a value each, no quotes understood."""
    parts = c.ask(line, timeout).split(" ")
    if parts[:2] != words:
        raise Fail(f"expected {' '.join(words)}")
    out = {}
    for part in parts[2:]:
        key, equals, value = part.partition("=")
        if key == "MESSAGE":
            break
        if not equals or not value:
            raise Fail("expected every word to be key=value with a value")
        out[key] = value
    if out.get("RESULT", "OK") not in LIBTORRENT:
        raise Fail("expected a result that libtorrent knows")
    return out


def torrent_session(t, where):
    c = t.open(where)
    torrent(c, "HELLO VERSION MIN=3.1 MAX=3.1" + t.auth, ["HELLO", "REPLY"])
    name = t.id("0123456789abcdef0123456789abcdef").ljust(40, "f")[:44]
    out = torrent(c, f"SESSION CREATE STYLE=STREAM ID={name} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 inbound.quantity=3 outbound.quantity=3 "
                  "inbound.length=1 outbound.length=1 i2cp.leaseSetEncType=4,0 inbound.lengthVariance=0 outbound.lengthVariance=0",
                  ["SESSION", "STATUS"], t.patience)
    if out.get("RESULT") != "OK":
        raise Fail("expected RESULT=OK")
    me = torrent(c, "NAMING LOOKUP NAME=ME", ["NAMING", "REPLY"])
    if me.get("NAME") != "ME" or "VALUE" not in me:
        raise Fail("expected NAME=ME and VALUE")
    return c, name, me["VALUE"]


def torrent_open(t, where, line, timeout):
    c = t.open(where)
    torrent(c, "HELLO VERSION MIN=3.1 MAX=3.1" + t.auth, ["HELLO", "REPLY"])
    return c, torrent(c, line, ["STREAM", "STATUS"], timeout).get("RESULT")


@rule("client.libtorrent", "9")
def _(t):
    """libtorrent and qBittorrent: ME and look-ups on the control socket, one ACCEPT after the other, no SILENT."""
    a, a_id, a_dest = torrent_session(t, 0)
    b, b_id, b_dest = torrent_session(t, t.far)
    b32 = keys.b32(keys.unb64(b_dest))
    end = time.monotonic() + t.patience
    while torrent(a, f"NAMING LOOKUP NAME={b32}", ["NAMING", "REPLY"], t.patience).get("VALUE") != b_dest:
        if time.monotonic() > end:
            raise Fail("expected the tracker's destination for its b32")
        time.sleep(1)
    for i in range(3):
        far, result = torrent_open(t, t.far, f"STREAM ACCEPT ID={b_id}", t.timeout)
        if result != "OK":
            raise Fail("expected RESULT=OK for ACCEPT")
        near, result = torrent_open(t, 0, f"STREAM CONNECT ID={a_id} DESTINATION={b_dest}", t.patience)
        if result != "OK":
            raise Fail("expected RESULT=OK for CONNECT")
        near.push(b"\x13BitTorrent protocol")
        if far.line(t.patience) != a_dest:
            raise Fail("expected the peer's destination and nothing else")
        far.exactly(20, t.patience)


@rule("client.libtorrent-both", "15")
def _(t):
    """Two clients that learn of each other at once connect to each other at once: both streams stand."""
    sides = t.pair()
    accepts = [t.accept(s, "3.1", "") for s in sides]
    outs = []
    for one, two in (sides, sides[::-1]):
        c = t.hello("3.1", one.where)
        c.raw(f"STREAM CONNECT ID={one.id} DESTINATION={two.destination}\nhi")
        outs.append(c)
    for c in outs:
        c.check(Reply(c.line(t.patience)), "OK")
    for c in accepts:
        c.line(t.patience)
        c.exactly(2, t.patience)


@rule("client.libtorrent-long-peer", "15")
def _(t):
    """libtorrent 2.1 looks up `<base64>.i2p` for long-form peers, and bare base64 likewise."""
    a, _, _ = torrent_session(t, 0)
    public = keys.Key().public
    for name in (public + ".i2p", public):
        if torrent(a, f"NAMING LOOKUP NAME={name}", ["NAMING", "REPLY"], t.patience).get("VALUE") != public:
            raise Fail("expected the destination itself")


# --- Python ----------------------------------------------------------------------------------------------------------

@rule("client.i2plib", "9")
def _(t):
    """i2plib ends lines with a blank and looks results up in a table of the specification's codes."""
    c = t.open()
    for line in ("HELLO VERSION MIN=3.1 MAX=3.1" + t.auth, f"SESSION CREATE STYLE=STREAM ID={t.id()} DESTINATION=TRANSIENT {small(t)} "):
        reply = c.ask(line, t.patience).split()
        if len(reply) < 3 or plain(" ".join(reply[2:])).get("RESULT") != "OK":
            raise Fail("expected three words and RESULT=OK")
    private = plain(" ".join(reply))["DESTINATION"]
    destination_of(private)


@rule("client.i2psam", "9")
def _(t):
    """i2psam (C++ coins) and the Python one take one recv per reply, and split it as a shell does."""
    c = t.open()
    for line in ("HELLO VERSION MIN=3.0 MAX=3.1" + t.auth, "DEST GENERATE", "NAMING LOOKUP NAME=nosuch-host.i2p"):
        text = one_read(c, line, t.patience)
        try:
            words = shlex.split(text)
        except ValueError as e:
            raise Fail(f"expected a reply that a shell could split: {e}") from None
        if line.startswith("HELLO") and not any(w.startswith("VERSION=") for w in words):
            raise Fail("expected VERSION in the HELLO REPLY")
    one_read(c, f"SESSION CREATE STYLE=STREAM ID={t.id()} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 {t.options.session_options}", t.patience)


@rule("client.txi2p", "9")
def _(t):
    """txi2p makes an argument of each key: none but those it knows."""
    known = {"HELLO": {"RESULT", "VERSION", "MESSAGE"}, "SESSION": {"RESULT", "DESTINATION", "MESSAGE"},
             "NAMING": {"RESULT", "NAME", "VALUE", "MESSAGE"}, "STREAM": {"RESULT", "MESSAGE"}}
    c = t.open()
    name = t.id()
    for line in ("HELLO VERSION MIN=3.0 MAX=3.1" + t.auth,
                 f"SESSION CREATE STYLE=STREAM ID={name} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 {t.options.session_options}",
                 "NAMING LOOKUP NAME=ME"):
        reply = c.want(line, "OK", t.patience)
        if extra := {k for k, _ in reply.keys} - known[reply.domain]:
            raise Fail(f"expected no key beyond the specified, got {extra}")
    d = t.hello("3.1")
    if d.ask(f"STREAM ACCEPT ID={name} SILENT=false") != "STREAM STATUS RESULT=OK":
        raise Fail("expected STREAM STATUS RESULT=OK")


# --- C ---------------------------------------------------------------------------------------------------------------

@rule("client.libsam3", "9")
def _(t):
    """libsam3: double blanks, a type by name, an ID of 64, FORWARD with whatever its memory held behind SILENT=."""
    c = t.open()
    c.want("HELLO VERSION MIN=3.0 MAX=3.1" + t.auth, "OK")
    name = t.id("s" * 50)
    reply = c.want(f"SESSION CREATE STYLE=STREAM ID={name} DESTINATION=TRANSIENT SIGNATURE_TYPE=EdDSA_SHA512_Ed25519  {t.options.session_options} ",
                   "OK", t.patience)
    if len(reply["DESTINATION"]) > 1024:
        raise Fail("expected a key below 1024 characters")
    c.want("NAMING LOOKUP NAME=ME", "OK")
    d = t.open()
    d.want("HELLO VERSION MIN=3.0 MAX=3.1" + t.auth, "OK")
    sink = t.listener()
    d.want(f"STREAM FORWARD ID={name} PORT={sink.port} HOST=127.0.0.1 SILENT=P@}}\x7fU", "OK")


@rule("client.libsam3-datagram", "9")
def _(t):
    """libsam3's datagrams: a session with PORT, UDP lines that begin with 3.0."""
    t.style("DATAGRAM")
    a, b = Box(t, "DATAGRAM", 0, version="3.1"), Box(t, "DATAGRAM", t.far)
    meet(t, a, b, version="3.0")
    meet(t, b, a)


# --- Rust ------------------------------------------------------------------------------------------------------------

def yosemite(t, where=0):
    c = t.open(where)
    c.want("HELLO VERSION" + t.auth, "OK")
    return c


@rule("client.yosemite", "9")
def _(t):
    """yosemite: no version, encryption 6,4, ports on CONNECT, and its private key as the peer's destination."""
    ids, privates = [], []
    for where in (0, t.far):
        c = yosemite(t, where)
        ids.append(t.id("yosemite-"))
        reply = c.want(f"SESSION CREATE STYLE=STREAM ID={ids[-1]} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 i2cp.leaseSetEncType=6,4 "
                       f"inbound.length=1 outbound.length=1 inbound.quantity=2 outbound.quantity=2 ", "OK", t.patience)
        privates.append(reply["DESTINATION"])
    far = yosemite(t)
    far.want(f"STREAM ACCEPT ID={ids[0]} SILENT=false", "OK")
    end = time.monotonic() + t.patience
    while True:
        near = yosemite(t, t.far)
        reply = near.reply(f"STREAM CONNECT ID={ids[1]} DESTINATION={privates[0]} FROM_PORT=0 TO_PORT=0 SILENT=false", t.patience)
        if reply.result == "OK" or time.monotonic() > end:
            break
        time.sleep(1)
    near.check(reply, "OK")
    near.push(b"x")
    line = far.line(t.patience)
    if keys.unb64(line.split(" ")[0]) != destination_of(privates[1]):
        raise Fail("expected the public destination only")
    far.exactly(1, t.patience)


@rule("client.yosemite-datagram", "9")
def _(t):
    """yosemite's datagrams: five bare words in the UDP line, a header that it splits at the blank."""
    t.style("DATAGRAM")
    c = yosemite(t)
    box = Box(t, "DATAGRAM", 0)
    box.session.conn.close()
    name = t.id()
    private = c.want(f"SESSION CREATE STYLE=DATAGRAM ID={name} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 PORT={box.udp.port} HOST=127.0.0.1 "
                     f"i2cp.leaseSetEncType=6,4 {small(t)}", "OK", t.patience)["DESTINATION"]
    box.id, box.destination = name, keys.b64(destination_of(private))
    b = Box(t, "DATAGRAM", t.far)
    again(t, lambda: box.send(b.session.private, "out", options="0 0 40 30 true", version="3.0"), b, b"out")
    got = again(t, lambda: b.send(box.destination, "in"), box, b"in")
    if " " not in got.header:
        raise Fail("expected a blank behind the destination: yosemite's version is the highest, which has ports")


@rule("client.yosemite-primary", "9")
def _(t):
    """yosemite tells a subsession's reply from a session's by ID= in place of DESTINATION=."""
    t.style("PRIMARY", 0)
    c = yosemite(t)
    c.want(f"SESSION CREATE STYLE=PRIMARY ID={t.id()} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 i2cp.leaseSetEncType=6,4 {small(t)}", "OK", t.patience)
    for words in ("STYLE=STREAM", "STYLE=DATAGRAM PORT=9999 HOST=127.0.0.1", "STYLE=RAW PORT=9998 HOST=127.0.0.1"):
        name = t.id()
        reply = c.want(f"SESSION ADD {words} ID={name}", "OK")
        if reply.get("ID") != name or reply.get("DESTINATION"):
            raise Fail("expected ID= and no DESTINATION=")


# --- Go --------------------------------------------------------------------------------------------------------------

@rule("client.go-sam-go", "9")
def _(t):
    """go-sam-go: one read per reply, trailing blanks, whole error lines compared with their LF, the key echoed."""
    c = t.open()
    if not one_read(c, "HELLO VERSION MIN=3.1 MAX=3.3" + t.auth).startswith("HELLO REPLY RESULT=OK"):
        raise Fail("expected HELLO REPLY RESULT=OK")
    line = one_read(c, "DEST GENERATE SIGNATURE_TYPE=7 ")
    private = re.search(r"PRIV=(\S+)", line)[1]
    name = t.id()
    text = one_read(c, f"SESSION CREATE STYLE=STREAM ID={name} DESTINATION={private} {t.options.session_options}  ", t.patience)
    if text != f"SESSION STATUS RESULT=OK DESTINATION={private}":
        raise Fail("expected the key that was sent up to the LF")
    d = t.open()
    one_read(d, "HELLO VERSION MIN=3.1 MAX=3.3" + t.auth)
    for words, expected in ((f"ID={name} DESTINATION=TRANSIENT", "DUPLICATED_ID"), (f"ID={t.id()} DESTINATION={private}", "DUPLICATED_DEST"),
                            (f"ID={t.id()} DESTINATION=junk", "INVALID_KEY")):
        if one_read(d, f"SESSION CREATE STYLE=STREAM {words} {t.options.session_options} ", t.patience) != f"SESSION STATUS RESULT={expected}":
            raise Fail(f"expected exactly SESSION STATUS RESULT={expected}")
    one_read(d, f"NAMING LOOKUP NAME={keys.b32(destination_of(private))} OPTIONS=true", t.patience)


def _go_datagram(style):
    @rule(f"client.go-sam-go-{style.lower()}", "9")
    def _(t):
        """go-sam-go's datagrams by UDP, lines that begin with 3.3."""
        t.style(style)
        a, b = Box(t, style, 0), Box(t, style, t.far)
        meet(t, a, b, version="3.3")
        meet(t, b, a)


for _style in ("DATAGRAM", "DATAGRAM2", "DATAGRAM3"):
    _go_datagram(_style)


# --- JavaScript ------------------------------------------------------------------------------------------------------

@rule("client.diva", "9")
def _(t):
    """diva i2p-sam cuts replies at =, so its own key comes back unpadded; RAW session, raw bytes in."""
    t.style("RAW")
    c = t.open()
    c.want("HELLO VERSION" + t.auth, "OK")
    line = c.ask("DEST GENERATE")
    private = re.search(r"PRIV=([^=\s]+)", line)[1]
    box = Box(t, "RAW", 0)
    box.session.conn.close()
    name = t.id()
    c.want(f"SESSION CREATE ID={name} DESTINATION={private} STYLE=RAW PORT={box.udp.port} HOST=127.0.0.1 {small(t)}", "OK", t.patience)
    me = c.want("NAMING LOOKUP NAME=ME", "OK")["VALUE"]
    box.id, box.destination = name, me
    b = Box(t, "RAW", t.far)
    meet(t, box, b, version="3.0")
    again(t, lambda: b.send(me, b"bytes\nonly"), box, b"bytes\nonly")


@rule("client.diva-forward", "9")
def _(t):
    """diva's server: FORWARD with SILENT first among the options."""
    a, b = t.friends()
    sink = t.listener()
    t.hello().want(f"STREAM FORWARD SILENT=true ID={a.id} PORT={sink.port} HOST=127.0.0.1", "OK")
    t.connect(b, a.destination).push(b"x")
    sink.take(t.patience).exactly(1, t.patience)


@rule("client.npm-i2p", "9")
def _(t):
    """npm's i2p: MIN=2.0 MAX=4.0, CREATE without a type, values taken by a greedy expression."""
    c = t.open()
    c.want("HELLO VERSION MIN=2.0 MAX=4.0" + t.auth, "OK")
    line = c.ask(f"SESSION CREATE STYLE=STREAM ID={t.id()} DESTINATION=TRANSIENT {small(t)}", t.patience)
    found = re.search(r"DESTINATION=(.*)$", line)
    if "RESULT=OK" not in line or not found:
        raise Fail("expected RESULT=OK DESTINATION=..")
    destination_of(found[1])
    line = c.ask("NAMING LOOKUP NAME=ME")
    found = re.search(r"VALUE=(.*)$", line)
    if not found or keys.destination_size(keys.unb64(found[1])) != len(keys.unb64(found[1])):
        raise Fail("expected a destination up to the line's end")


@rule("client.npm-i2p-forward", "15")
def _(t):
    """npm's i2p drops what is glued to the first line of a forwarded connection: line and payload are separate."""
    a, b = t.friends()
    sink = t.listener()
    t.hello("3.1").want(f"STREAM FORWARD ID={a.id} PORT={sink.port} HOST=127.0.0.1 SILENT=false", "OK")
    near = t.hello(where=t.far)
    near.raw(f"STREAM CONNECT ID={b.id} DESTINATION={a.destination} SILENT=false\nPAYLOAD")
    inner = sink.take(t.patience)
    time.sleep(0.3)
    inner.line(t.patience)
    inner.exactly(7, t.patience)
    if (count := inner.segments()) is not None and count < 2:
        raise Fail("expected the line and the payload in two segments at least, they came in one")


@rule("client.i2p-socket", "9")
def _(t):
    """i2p.socket: MIN=3.0 and its own MAX, default key type, UDP from one address and port only."""
    c = t.open()
    c.want("HELLO VERSION MIN=3.0 MAX=3.3" + t.auth, "OK")
    c.want(f"SESSION CREATE STYLE=STREAM ID={t.id()} DESTINATION=TRANSIENT {small(t)}", "OK", t.patience)
    t.style("DATAGRAM")
    box = Box(t, "DATAGRAM", 0)
    box.udp.sock.connect(box.udp.server)
    b = Box(t, "DATAGRAM", t.far)
    end = time.monotonic() + t.patience
    while not box.take(1):
        b.send(box.destination, "to a connected socket")
        if time.monotonic() > end:
            raise Fail("expected datagrams at a UDP socket that is connected to the server's")


# --- Go BitTorrent ---------------------------------------------------------------------------------------------------

@rule("client.xd", "9")
def _(t):
    """XD: 3.0, RESULT=OK looked for before all else, RESULT NAME VALUE in this order, PORT on CONNECT, reset at the end."""
    c = t.open()
    if not c.ask("HELLO VERSION MIN=3.0 MAX=3.0" + t.auth).startswith("HELLO REPLY RESULT=OK"):
        raise Fail("expected HELLO REPLY RESULT=OK")
    name = t.id()
    line = c.ask(f"SESSION CREATE STYLE=STREAM ID={name} SIGNATURE_TYPE=7 DESTINATION=TRANSIENT inbound.name=XD i2cp.leaseSetEncType=4,0 {small(t)}", t.patience)
    if not line.startswith("SESSION STATUS RESULT=OK "):
        raise Fail("expected SESSION STATUS RESULT=OK first")
    if not re.fullmatch(r"NAMING REPLY RESULT=OK NAME=ME VALUE=\S+", c.ask("NAMING LOOKUP NAME=ME")):
        raise Fail("expected RESULT NAME VALUE in this order")
    b = t.session(t.far)
    far = t.accept(b)
    end = time.monotonic() + t.patience
    while True:
        near = t.hello("3.0")
        reply = near.reply(f"STREAM CONNECT ID={name} DESTINATION={b.destination} PORT=6881 SILENT=false", t.patience)
        if reply.result == "OK" or time.monotonic() > end:
            break
        time.sleep(1)
    near.check(reply, "OK")
    near.push(b"\x13BitTorrent protocol")
    far.line(t.patience)
    far.exactly(20, t.patience)
    near.reset()
    far.until_end(30)


@rule("client.xd-udp", "T1")
def _(t):
    """XD sends datagrams to the TCP port minus one."""
    t.style("DATAGRAM")
    a, b = Box(t, "DATAGRAM", 0), Box(t, "DATAGRAM", t.far)
    host, port = t.world.servers[0].tcp
    end = time.monotonic() + t.patience
    while not b.take(1):
        a.udp.sock.sendto(f"3.0 {a.id} {b.destination}\nx".encode(), (host, port - 1))
        if time.monotonic() > end:
            raise Fail(f"expected UDP port {port - 1} to take datagrams")


@rule("client.retroshare", "11", SHOULD)
def _(t):
    """RetroShare closes and makes its session again with the same key at each change of settings."""
    a = t.create(version="3.1")
    a.conn.close()
    for _ in range(3):
        c = t.hello("3.1")
        c.want(f"SESSION CREATE STYLE=STREAM ID={t.id()} DESTINATION={a.private} {t.options.session_options}", "OK", t.patience)
        c.close()
