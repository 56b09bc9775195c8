# SPDX-License-Identifier: MIT
"""Section 13: the reference exchanges, line by line; section 8: limits."""
import re
import resource
import time

import keys
from client import Fail, Reply
from rules_datagram import Box, again, meet
from rules_line import dest_line
from runner import SHOULD, rule


def exchange(c, line, pattern, timeout=None):
    """A command and a reply that matches the whole pattern."""
    got = c.ask(line, timeout)
    if not re.fullmatch(pattern, got):
        raise Fail(f"expected {pattern}")
    return got


PRIVATE, PUBLIC = r"[A-Za-z0-9~-]{906}==", r"[A-Za-z0-9~-]{522}=="
MESSAGE = r' MESSAGE="[^"\\]+"'


@rule("ref.session", "13")
def _(t):
    """HELLO, SESSION CREATE, NAMING LOOKUP ME at 3.1, as every client begins."""
    c = t.open()
    exchange(c, "HELLO VERSION MIN=3.1 MAX=3.1" + t.auth, "HELLO REPLY RESULT=OK VERSION=3.1")
    exchange(c, f"SESSION CREATE STYLE=STREAM ID={t.id()} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 {t.options.session_options}",
             f"SESSION STATUS RESULT=OK DESTINATION={PRIVATE}", t.patience)
    exchange(c, "NAMING LOOKUP NAME=ME", f"NAMING REPLY RESULT=OK NAME=ME VALUE={PUBLIC}")


@rule("ref.stream", "13")
def _(t):
    """ACCEPT on one side, CONNECT by base64 and by b32 on the other."""
    a, b = t.pair()
    for name in (b.destination, b.b32):
        far = t.hello("3.1", t.far)
        exchange(far, f"STREAM ACCEPT ID={b.id} SILENT=false", "STREAM STATUS RESULT=OK")
        near = t.hello("3.1")
        exchange(near, f"STREAM CONNECT ID={a.id} DESTINATION={name} SILENT=false", "STREAM STATUS RESULT=OK", t.patience)
        near.push(b"payload")
        if far.line(t.patience) != a.destination:
            raise Fail("expected the peer's destination")
        far.exactly(7, t.patience)


def _error(name, line, pattern, closes):
    @rule(f"ref.error-{name}", "13")
    def _(t):
        """An error of the reference exchanges, and whether the socket stays."""
        a = t.session()
        c = t.hello()
        exchange(c, line.replace("{a}", a.id).replace("{new}", t.id()).replace("{opt}", t.options.session_options)
                 .replace("{nobody}", keys.Key().public), pattern.replace("{m}", MESSAGE).replace("{om}", f"({MESSAGE})?"), t.patience)
        if closes:
            c.gone()
        else:
            dest_line(c)


for _words in (
    ("dup-id", "SESSION CREATE STYLE=STREAM ID={a} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 {opt}", "SESSION STATUS RESULT=DUPLICATED_ID", False),
    ("key", "SESSION CREATE STYLE=STREAM ID={new} DESTINATION=abcd", "SESSION STATUS RESULT=INVALID_KEY", False),
    ("style", "SESSION CREATE STYLE=FOO ID={new} DESTINATION=TRANSIENT", "SESSION STATUS RESULT=I2P_ERROR{m}", False),
    ("id", "STREAM CONNECT ID=nosuch DESTINATION={nobody}", "STREAM STATUS RESULT=INVALID_ID{om}", True),
    ("destination", "STREAM CONNECT ID={a} DESTINATION=junk", "STREAM STATUS RESULT=INVALID_KEY{om}", True),
    ("forward", "STREAM FORWARD ID={a}", "STREAM STATUS RESULT=I2P_ERROR{m}", True),
    ("host", "NAMING LOOKUP NAME=nosuch.i2p", "NAMING REPLY RESULT=KEY_NOT_FOUND NAME=nosuch.i2p{om}", False),
    ("b32", "NAMING LOOKUP NAME=abc.b32.i2p", "NAMING REPLY RESULT=INVALID_KEY NAME=abc.b32.i2p{om}", False),
    ("type", "DEST GENERATE SIGNATURE_TYPE=99", "DEST REPLY RESULT=I2P_ERROR{m}", False),
):
    _error(*_words)


@rule("ref.ping", "13")
def _(t):
    """PING with its blanks, then QUIT."""
    c = t.hello()
    exchange(c, "PING  x  y", "PONG  x  y")
    exchange(c, "QUIT", "QUIT STATUS RESULT=OK MESSAGE=bye")
    c.gone()


@rule("ref.datagrams", "13")
def _(t):
    """The datagram exchanges: by UDP with ports, and on the control socket."""
    t.need("3.2")
    t.need("3.2", t.far)
    t.style("DATAGRAM")
    t.style("RAW")
    for style in ("DATAGRAM", "RAW"):
        b = Box(t, style, t.far)
        udp, tcp = Box(t, style, 0, options="HEADER=true" if style == "RAW" else ""), Box(t, style, 0, "tcp")
        for box in (udp, tcp):
            meet(t, b, box)
            got = again(t, lambda: b.send(box.destination, "payload", options="FROM_PORT=1 TO_PORT=2"), box, b"payload")
            if got.ports != ("1", "2"):
                raise Fail("expected FROM_PORT=1 TO_PORT=2")
            if style == "RAW" and got.fields.get("PROTOCOL") != "18":
                raise Fail("expected PROTOCOL=18")


@rule("ref.primary", "13")
def _(t):
    """The exchange on a primary's control socket."""
    t.style("PRIMARY", 0)
    c = t.hello()
    p, s, u, x = (t.id(n) for n in "psux")
    exchange(c, f"SESSION CREATE STYLE=PRIMARY ID={p} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 {t.options.session_options}",
             f"SESSION STATUS RESULT=OK DESTINATION={PRIVATE}", t.patience)
    exchange(c, f"SESSION ADD STYLE=STREAM ID={s} FROM_PORT=80", f'SESSION STATUS RESULT=OK ID="?{s}"? MESSAGE="ADD {s}"')
    exchange(c, f"SESSION ADD STYLE=DATAGRAM ID={u} PORT=9000", f'SESSION STATUS RESULT=OK ID="?{u}"? MESSAGE="ADD {u}"')
    exchange(c, f"SESSION ADD STYLE=STREAM ID={x} FROM_PORT=80", f'SESSION STATUS RESULT=I2P_ERROR ID="?{x}"?{MESSAGE}')
    exchange(c, f"SESSION REMOVE ID={s}", f'SESSION STATUS RESULT=OK ID="?{s}"? MESSAGE="REMOVE {s}"')


# --- limits ----------------------------------------------------------------------------------------------------------

@rule("limit.idle-sockets", "8", alone=True)
def _(t):
    """Three hundred connections that say nothing keep nobody out."""
    conns = [t.open() for _ in range(300)]
    start = time.monotonic()
    dest_line(t.hello())
    if time.monotonic() - start > 3:
        raise Fail("expected others to be served at once")
    conns[0].want("HELLO VERSION MIN=3.1 MAX=3.1" + t.auth, "OK")


@rule("limit.many-sockets", "8", SHOULD, alone=True)
def _(t):
    """At its cap the server says so and closes, or has none below 1500; afterwards it serves as before."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2000:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    refused = 0
    conns = []
    for _ in range(1500):
        c = t.open(timeout=15)
        conns.append(c)
        reply = c.reply("HELLO VERSION MIN=3.1 MAX=3.1" + t.auth) if not refused else None
        if reply and reply.result != "OK":
            c.check(reply, "I2P_ERROR")
            c.gone()
            refused = len(conns)
            break
    t.note(f"the server refused number {refused}" if refused else "1500 sockets were served")
    for c in conns:
        c.close()
    end = time.monotonic() + 10
    while True:
        try:
            dest_line(t.hello())
            return
        except Fail:
            if time.monotonic() > end:
                raise
            time.sleep(0.3)


@rule("limit.accepts", "8", SHOULD, alone=True)
def _(t):
    """More ACCEPTs than the server will hold are an error on the socket, not a crash."""
    a = t.create()
    last = "OK"
    count = 0
    while last == "OK" and count < 300:
        c = t.hello("3.1")
        last = Reply(c.ask(f"STREAM ACCEPT ID={a.id} SILENT=false")).result
        count += 1
    t.note(f"{count - 1} ACCEPTs" if last != "OK" else "300 ACCEPTs were taken")
    if last not in ("OK", "I2P_ERROR"):
        raise Fail("expected I2P_ERROR beyond the limit")
    a.conn.want("NAMING LOOKUP NAME=ME", "OK")


@rule("limit.sessions", "8", SHOULD, alone=True, slow=True)
def _(t):
    """A hundred sessions; what is beyond the limit is an error with a MESSAGE."""
    conns = []
    for _ in range(110):
        c = t.hello()
        conns.append(c)
        c.send(f"SESSION CREATE STYLE=STREAM ID={t.id()} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 {t.options.session_options}")
    replies = [Reply(c.line(5 * t.patience)) for c in conns]
    made = sum(r.result == "OK" for r in replies)
    t.note(f"{made} sessions")
    if any(r.result not in ("OK", "I2P_ERROR") for r in replies):
        raise Fail("expected OK or I2P_ERROR")
    if made < 100 and not any(r.get("MESSAGE") for r in replies if r.result != "OK"):
        raise Fail("expected a MESSAGE")


@rule("limit.reconnects", "8", alone=True)
def _(t):
    """A thousand short connections leave nothing behind that would slow the next."""
    for _ in range(1000):
        c = t.open()
        c.close()
    t.conns.clear()
    dest_line(t.hello())
