# SPDX-License-Identifier: MIT
"""Section 7: PRIMARY sessions and their subsessions."""
import re
import time

from client import Fail, Reply
from rules_datagram import Box, again, meet
from rules_session import base, refused
from rules_stream import fails, talk
from runner import SHOULD, Session, rule


def primary(t, where=0):
    t.style("PRIMARY", where)
    return t.create("PRIMARY", where)


def add(t, p, words, result="OK"):
    """SESSION ADD; returns the subsession as a Session with the primary's destination."""
    name = t.id("s")
    reply = p.conn.want(f"SESSION ADD ID={name} {words}", result)
    if result == "OK" and reply.get("DESTINATION"):
        raise Fail("expected no DESTINATION: yosemite tells subsessions from sessions by that")
    return Session(p.conn, name, p.private, p.destination, p.where, words)


def add_box(t, p, style, options="", where=0):
    """A datagram subsession with a UDP socket of its own."""
    udp = t.udp(where)
    sub = add(t, p, f"STYLE={style} PORT={udp.port} HOST=127.0.0.1 {options}".rstrip())
    box = Box(t, style, where, session=sub, options=options)
    box.udp.close()
    box.udp = udp
    return box


@rule("primary.create", "7")
def _(t):
    """A primary session, also under its old name MASTER, answers with its key like any other."""
    for style in ("PRIMARY", "MASTER"):
        c = t.hello()
        line = c.ask(f"SESSION CREATE STYLE={style} ID={t.id()} {base(t)}", t.patience)
        if not re.fullmatch(r"SESSION STATUS RESULT=OK DESTINATION=[A-Za-z0-9~=-]+", line):
            raise Fail("expected SESSION STATUS RESULT=OK DESTINATION=<private key>")


@rule("primary.no-ports", "4")
def _(t):
    """Ports, hosts and listeners belong to subsessions; on the primary they are an error."""
    t.style("PRIMARY", 0)
    for words in ("PORT=9999", "HOST=127.0.0.1", "FROM_PORT=1", "TO_PORT=1", "LISTEN_PORT=1", "LISTEN_PROTOCOL=18"):
        refused(t, f"STYLE=PRIMARY ID={t.id()} {words} {base(t)}")


@rule("primary.add-reply", "7")
def _(t):
    """ADD is answered at once, with ID and without DESTINATION."""
    p = primary(t)
    start = time.monotonic()
    name = t.id("s")
    line = p.conn.ask(f"SESSION ADD STYLE=STREAM ID={name}")
    if not re.fullmatch(rf'SESSION STATUS RESULT=OK ID="?{name}"? MESSAGE="ADD {name}"', line):
        raise Fail(f'expected SESSION STATUS RESULT=OK ID={name} MESSAGE="ADD {name}"')
    if time.monotonic() - start > 2:
        raise Fail("expected it at once")


@rule("primary.plain-id", "13", SHOULD)
def _(t):
    """An ordinary ID is not quoted in the reply: parsers stop at the second quoted value."""
    p = primary(t)
    name = t.id("s")
    if f'ID={name} ' not in p.conn.ask(f"SESSION ADD STYLE=STREAM ID={name}") + " ":
        raise Fail(f"expected ID={name} without quotes")


@rule("primary.remove-reply", "7")
def _(t):
    """REMOVE is answered in the same form."""
    p = primary(t)
    sub = add(t, p, "STYLE=STREAM")
    line = p.conn.ask(f"SESSION REMOVE ID={sub.id}")
    if not re.fullmatch(rf'SESSION STATUS RESULT=OK ID="?{sub.id}"? MESSAGE="REMOVE {sub.id}"', line):
        raise Fail(f'expected SESSION STATUS RESULT=OK ID={sub.id} MESSAGE="REMOVE {sub.id}"')


@rule("primary.stream", "P4")
def _(t):
    """Streams go by the subsession's ID, in both directions."""
    p = primary(t)
    sub = add(t, p, "STYLE=STREAM")
    b = t.session(t.far)
    for one, two in ((sub, b), (b, sub)):
        near, far = t.stream(one, two)
        talk(t, near, far)


@rule("primary.forward", "P4")
def _(t):
    """FORWARD works on a subsession too."""
    p = primary(t)
    sub, b = add(t, p, "STYLE=STREAM"), t.session(t.far)
    sink = t.listener()
    t.hello().want(f"STREAM FORWARD ID={sub.id} PORT={sink.port} HOST=127.0.0.1 SILENT=true", "OK")
    t.connect(b, p.destination).push(b"x")
    sink.take(t.patience).exactly(1, t.patience)


@rule("primary.id-for-streams", "P4")
def _(t):
    """The primary's own ID carries no streams."""
    p = primary(t)
    add(t, p, "STYLE=STREAM")
    fails(t, f"STREAM ACCEPT ID={p.id} SILENT=false", "I2P_ERROR")
    fails(t, f"STREAM CONNECT ID={p.id} DESTINATION={p.destination} SILENT=false", "I2P_ERROR", timeout=t.patience)


@rule("primary.me", "P5")
def _(t):
    """ME on the control socket is the primary's destination."""
    p = primary(t)
    add(t, p, "STYLE=STREAM")
    if p.conn.want("NAMING LOOKUP NAME=ME", "OK")["VALUE"] != p.destination:
        raise Fail("expected the primary's destination")


@rule("primary.published", "4", SHOULD)
def _(t):
    """A primary is always published, whatever i2cp.dontPublishLeaseSet says: its subsessions want to be found."""
    t.style("PRIMARY", 0)
    p = t.create("PRIMARY", options="i2cp.dontPublishLeaseSet=true")
    t.hello(where=t.far).want(f"NAMING LOOKUP NAME={p.b32}", "OK", t.patience)


# --- refusals --------------------------------------------------------------------------------------------------------

def add_refused(t, p, words, result="I2P_ERROR"):
    reply = p.conn.want(f"SESSION ADD {words}", result)
    if result == "I2P_ERROR" and not reply.get("MESSAGE"):
        raise Fail("expected a MESSAGE that says what is wrong")


@rule("primary.dup-id", "P2")
def _(t):
    """IDs are unique over all sessions and subsessions of the server."""
    p, other = primary(t), t.create()
    sub = add(t, p, "STYLE=STREAM")
    for name in (sub.id, p.id, other.id):
        p.conn.want(f"SESSION ADD STYLE=RAW PORT=9999 ID={name}", {"DUPLICATED_ID", "I2P_ERROR"})
    c = t.hello()
    c.want(f"SESSION CREATE STYLE=STREAM ID={sub.id} {base(t)}", "DUPLICATED_ID", t.patience)


@rule("primary.dup-id-code", "P2", SHOULD)
def _(t):
    """The specification's code for it is DUPLICATED_ID."""
    p = primary(t)
    sub = add(t, p, "STYLE=STREAM")
    if p.conn.ask(f"SESSION ADD STYLE=RAW PORT=9999 ID={sub.id}") != "SESSION STATUS RESULT=DUPLICATED_ID":
        raise Fail("expected exactly SESSION STATUS RESULT=DUPLICATED_ID")


@rule("primary.dup-port", "P2")
def _(t):
    """Two subsessions cannot both have the same protocol and port."""
    p = primary(t)
    add(t, p, "STYLE=STREAM FROM_PORT=80")
    add_refused(t, p, f"STYLE=STREAM FROM_PORT=80 ID={t.id()}")
    add(t, p, "STYLE=RAW PORT=9999 LISTEN_PORT=80 PROTOCOL=33")
    add_refused(t, p, f"STYLE=RAW PORT=9998 LISTEN_PORT=80 PROTOCOL=33 ID={t.id()}")
    add(t, p, "STYLE=RAW PORT=9998 LISTEN_PORT=80 PROTOCOL=34")
    add(t, p, "STYLE=STREAM FROM_PORT=81")


@rule("primary.destination-given", "P2")
def _(t):
    """The destination is the primary's; one of its own for a subsession is a mistake."""
    add_refused(t, primary(t), f"STYLE=STREAM DESTINATION=TRANSIENT ID={t.id()}")


@rule("primary.datagram-port", "P2")
def _(t):
    """Datagram subsessions are forwarded by UDP, so PORT is required: the control socket is not theirs."""
    p = primary(t)
    for style in ("DATAGRAM", "RAW", "DATAGRAM2", "DATAGRAM3"):
        add_refused(t, p, f"STYLE={style} ID={t.id()}")


@rule("primary.raw-protocol", "P2")
def _(t):
    """RAW never takes the protocol of streams."""
    p = primary(t)
    add_refused(t, p, f"STYLE=RAW PORT=9999 LISTEN_PROTOCOL=6 ID={t.id()}")
    add_refused(t, p, f"STYLE=RAW PORT=9999 PROTOCOL=6 ID={t.id()}")


@rule("primary.bad-options", "P2")
def _(t):
    """Ports out of range, no ID, no style, a style that does not exist, a primary below a primary."""
    p = primary(t)
    for words in (f"STYLE=STREAM FROM_PORT=65536 ID={t.id()}", f"STYLE=DATAGRAM PORT=0 ID={t.id()}", f"STYLE=DATAGRAM PORT=9 LISTEN_PORT=-1 ID={t.id()}",
                  "STYLE=STREAM", f"ID={t.id()}", f"STYLE=FOO ID={t.id()}", f"STYLE=PRIMARY ID={t.id()}",
                  f"STYLE=RAW PORT=9 LISTEN_PROTOCOL=256 ID={t.id()}"):
        add_refused(t, p, words)
    add(t, p, "STYLE=STREAM")


@rule("primary.stream-listen-port", "P1")
def _(t):
    """A STREAM subsession listens on its FROM_PORT or on 0, nothing else."""
    p = primary(t)
    add_refused(t, p, f"STYLE=STREAM FROM_PORT=80 LISTEN_PORT=81 ID={t.id()}")
    add(t, p, "STYLE=STREAM FROM_PORT=80 LISTEN_PORT=80")
    add(t, p, "STYLE=STREAM FROM_PORT=82 LISTEN_PORT=0")


@rule("primary.not-on-others", "P2")
def _(t):
    """ADD and REMOVE belong on a primary's control socket."""
    a = t.create()
    for c in (a.conn, t.hello()):
        for line in (f"SESSION ADD STYLE=STREAM ID={t.id()}", f"SESSION REMOVE ID={a.id}"):
            c.want(line, "I2P_ERROR")
    a.conn.want("NAMING LOOKUP NAME=ME", "OK")


@rule("primary.remove-unknown", "P2")
def _(t):
    """REMOVE of an unknown ID, or of another primary's subsession, is an error, and everything lives on."""
    p, q = primary(t), primary(t)
    sub = add(t, q, "STYLE=STREAM")
    for name in ("nosuch", sub.id, p.id):
        p.conn.want(f"SESSION REMOVE ID={name}", {"I2P_ERROR", "INVALID_ID"})
    p.conn.want("SESSION REMOVE", "I2P_ERROR")
    add(t, p, "STYLE=STREAM")
    t.accept(sub)


@rule("primary.send-on-control", "P4")
def _(t):
    """DATAGRAM SEND and RAW SEND on the control socket: which subsession would send? An error, and the bytes are skipped."""
    p = primary(t)
    add(t, p, "STYLE=DATAGRAM PORT=9999")
    for word in ("DATAGRAM", "RAW"):
        p.conn.raw(f"{word} SEND DESTINATION={p.destination} SIZE=5\nhello")
        p.conn.check(Reply(p.conn.line()), "I2P_ERROR")
    p.conn.want("NAMING LOOKUP NAME=ME", "OK")


# --- routing ---------------------------------------------------------------------------------------------------------

@rule("primary.routing", "P3")
def _(t):
    """A stream goes to the subsession of its port, else to the one on port 0."""
    t.need("3.2", t.far)
    p = primary(t)
    b = t.session(t.far)
    web, rest = add(t, p, "STYLE=STREAM FROM_PORT=80"), add(t, p, "STYLE=STREAM")
    at_web, at_rest = t.accept(web), t.accept(rest)
    t.connect(b, p.destination, options=" TO_PORT=80 SILENT=false").push(b"web")
    t.connect(b, p.destination, options=" TO_PORT=25 SILENT=false").push(b"any")
    for c, text in ((at_web, b"web"), (at_rest, b"any")):
        c.line(t.patience)
        if c.exactly(3, t.patience) != text:
            raise Fail(f"expected the stream that says {text.decode()}")


@rule("primary.routing-nobody", "P3")
def _(t):
    """Without a subsession for it a stream is turned away, and no RAW subsession ever sees it."""
    t.need("3.2", t.far)
    p = primary(t)
    b = t.session(t.far)
    web = add(t, p, "STYLE=STREAM FROM_PORT=80")
    raw = add_box(t, p, "RAW", "LISTEN_PROTOCOL=0 LISTEN_PORT=0 HEADER=true")
    waiting = t.accept(web)
    t.connect(b, p.destination, options=" TO_PORT=80 SILENT=false").push(b"x")
    waiting.line(t.patience)
    fails(t, f"STREAM CONNECT ID={b.id} DESTINATION={p.destination} TO_PORT=81 SILENT=false", {"CANT_REACH_PEER", "TIMEOUT"}, timeout=90) \
        if t.far == 0 else _turned_away(t, b, p)
    if raw.take(0.3):
        raise Fail("expected no stream's packet at the RAW subsession")


def _turned_away(t, b, p):
    c = t.hello(where=t.far)
    reply = c.reply(f"STREAM CONNECT ID={b.id} DESTINATION={p.destination} TO_PORT=81 SILENT=false", 90)
    c.check(reply, {"CANT_REACH_PEER", "TIMEOUT"})


def _datagrams(style):
    @rule(f"primary.{style.lower()}", "P3")
    def _(t):
        """Datagram subsessions: by exact port first, then port 0; UDP lines name the subsession."""
        t.need("3.2")
        t.style(style, t.far)
        p = primary(t)
        header = "HEADER=true" if style == "RAW" else ""
        exact, rest = add_box(t, p, style, f"LISTEN_PORT=5 {header}".strip()), add_box(t, p, style, f"LISTEN_PORT=0 {header}".strip())
        b = Box(t, style, t.far, options=header)
        meet(t, b, rest)
        again(t, lambda: b.send(p.destination, "five", options="TO_PORT=5"), exact, b"five")
        again(t, lambda: b.send(p.destination, "six", options="TO_PORT=6"), rest, b"six")
        got = again(t, lambda: exact.send(b.destination, "out"), b, b"out")
        if style in ("DATAGRAM", "DATAGRAM2") and got.sender != p.destination:
            raise Fail("expected the primary's destination as the sender")
        while got := exact.take(0.1):
            if got.payload != b"five":
                raise Fail("expected only what was sent to port 5 at the subsession on port 5")


for _name in ("DATAGRAM", "RAW", "DATAGRAM2", "DATAGRAM3"):
    _datagrams(_name)


@rule("primary.raw-wildcards", "P3")
def _(t):
    """RAW: exact protocol and port, then the protocol on port 0, then protocol 0 on that port, then 0 and 0."""
    t.need("3.2")
    t.style("RAW", t.far)
    p = primary(t)
    subs = {}
    for protocol, port in ((50, 5), (50, 0), (0, 5), (0, 0)):
        subs[protocol, port] = add_box(t, p, "RAW", f"LISTEN_PROTOCOL={protocol} LISTEN_PORT={port} HEADER=true")
    b = Box(t, "RAW", t.far)
    for (protocol, port), at in (((50, 5), (50, 5)), ((50, 6), (50, 0)), ((51, 5), (0, 5)), ((51, 6), (0, 0))):
        text = f"{protocol}/{port}".encode()
        again(t, lambda: b.send(p.destination, text, options=f"PROTOCOL={protocol} TO_PORT={port}"), subs[at], text)


@rule("primary.styles-apart", "P3")
def _(t):
    """Each style of one session gets its own protocol only."""
    t.need("3.2")
    p = primary(t)
    styles = ("DATAGRAM", "RAW", "DATAGRAM2", "DATAGRAM3")
    for style in styles:
        t.style(style, t.far)
    subs = {style: add_box(t, p, style) for style in styles}
    for style in styles:
        b = Box(t, style, t.far)
        again(t, lambda: b.send(p.destination, style), subs[style], style.encode())
    for style in styles:
        while got := subs[style].take(0.1):
            if got.payload not in (style.encode(), b"knock"):
                raise Fail(f"expected only {style} at the {style} subsession")


@rule("primary.default-ports", "P4")
def _(t):
    """A subsession's FROM_PORT and TO_PORT are the defaults of its streams and datagrams."""
    t.need("3.2", t.far)
    p = primary(t)
    sub = add(t, p, "STYLE=STREAM FROM_PORT=21 TO_PORT=22")
    b = t.session(t.far)
    far = t.accept(b)
    t.connect(sub, b.destination).push(b"x")
    if far.line(t.patience) != f"{p.destination} FROM_PORT=21 TO_PORT=22":
        raise Fail("expected FROM_PORT=21 TO_PORT=22")
    t.style("DATAGRAM", t.far)
    box = add_box(t, p, "DATAGRAM", "FROM_PORT=31 TO_PORT=32")
    if meet(t, box, Box(t, "DATAGRAM", t.far)).ports != ("31", "32"):
        raise Fail("expected FROM_PORT=31 TO_PORT=32")


@rule("primary.udp-by-primary-id", "P4")
def _(t):
    """A UDP line that names the primary is dropped."""
    t.style("DATAGRAM", t.far)
    p = primary(t)
    sub = add_box(t, p, "DATAGRAM")
    b = Box(t, "DATAGRAM", t.far)
    meet(t, sub, b)
    b.drain()
    sub.udp.send(f"3.3 {p.id} {b.destination}", "by the primary")
    got = again(t, lambda: sub.send(b.destination, "by the subsession"), b)
    if got.payload == b"by the primary":
        raise Fail("expected it to be dropped")


# --- ends ------------------------------------------------------------------------------------------------------------

@rule("primary.remove", "P5")
def _(t):
    """REMOVE closes the subsession's streams and ACCEPTs, frees its ID and port, and touches no other."""
    p = primary(t)
    b = t.session(t.far)
    keeps = add(t, p, "STYLE=STREAM FROM_PORT=1")
    goes = add(t, p, "STYLE=STREAM")
    near, far = t.stream(b, goes)
    waiting = t.accept(goes, "3.1")
    stays = t.accept(keeps)
    p.conn.want(f"SESSION REMOVE ID={goes.id}", "OK")
    waiting.gone(15)
    far.until_end(t.patience)
    near.until_end(t.patience)
    stays.quiet(0.3)
    fails(t, f"STREAM ACCEPT ID={goes.id} SILENT=false", {"INVALID_ID"})
    p.conn.want(f"SESSION ADD STYLE=STREAM ID={goes.id}", "OK")
    near, far = t.stream(b, goes)
    talk(t, near, far)


@rule("primary.end", "P5")
def _(t):
    """The primary's end is the end of all: streams, ACCEPTs, FORWARD, IDs."""
    p = primary(t)
    b = t.session(t.far)
    one, two = add(t, p, "STYLE=STREAM"), add(t, p, "STYLE=STREAM FROM_PORT=7")
    near, far = t.stream(b, one)
    waiting = t.accept(two, "3.1")
    p.conn.close()
    waiting.gone(15)
    far.until_end(t.patience)
    near.until_end(t.patience)
    end = time.monotonic() + 3
    while (reply := t.hello().reply(f"SESSION CREATE STYLE=STREAM ID={one.id} {base(t)}", t.patience)).result != "OK":
        if time.monotonic() > end:
            t.hello().check(reply, "OK")
        time.sleep(0.1)


@rule("primary.many", "7", SHOULD)
def _(t):
    """Twenty subsessions on one primary."""
    p = primary(t)
    subs = [add(t, p, f"STYLE=STREAM FROM_PORT={1000 + i}") for i in range(20)]
    for sub in subs:
        t.accept(sub)
