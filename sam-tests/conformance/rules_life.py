# SPDX-License-Identifier: MIT
"""Section 4, L1 to L6: when sessions begin and end."""
import pathlib
import socket
import time

import keys
from client import Fail, Reply, Skip
from rules_line import dest_line
from rules_session import base, long
from runner import SHOULD, rule


def id_free(t, name, seconds=3):
    """The ID can be used again, at once or nearly."""
    end = time.monotonic() + seconds
    while True:
        c = t.hello()
        reply = c.reply(f"SESSION CREATE STYLE=STREAM ID={name} {base(t)}", t.patience)
        if reply.result == "OK":
            return
        c.close()
        if reply.result != "DUPLICATED_ID" or time.monotonic() > end:
            raise Fail("expected the ID to be free")
        time.sleep(0.1)


@rule("life.close", "L1")
def _(t):
    """Closing the control socket ends the session; its ID is free at once."""
    a = t.create()
    a.conn.close()
    id_free(t, a.id)


@rule("life.reset", "L1")
def _(t):
    """A client that crashes leaves with a reset; its session goes too."""
    a = t.create()
    a.conn.reset()
    id_free(t, a.id)


@rule("life.half-close", "L2", SHOULD)
def _(t):
    """The end of the client's direction is the end of the session: there is nobody to hold it for."""
    a = t.create()
    a.conn.shut()
    a.conn.gone()
    id_free(t, a.id)


@rule("life.streams-end", "L1")
def _(t):
    """When a session goes its streams go: both ends see the end, and no peer is left hanging."""
    a, b = t.friends()
    near, far = t.stream(a, b)
    other, mine = t.stream(b, a)
    a.conn.close()
    for c in (near, mine, far, other):
        c.until_end(t.patience)


@rule("life.accepts-end", "L1")
def _(t):
    """Pending ACCEPTs of a session that goes are closed: a client that waits there would wait for ever."""
    a = t.create(version="3.1")
    waiting = [t.accept(a, "3.1") for _ in range(3)]
    a.conn.close()
    for c in waiting:
        c.gone(15)


@rule("life.forward-ends", "L1")
def _(t):
    """The same for FORWARD: its socket is closed."""
    a = t.create(version="3.1")
    sink = t.listener()
    c = t.hello("3.1")
    c.want(f"STREAM FORWARD ID={a.id} PORT={sink.port} HOST=127.0.0.1", "OK")
    a.conn.close()
    c.gone(15)


@rule("life.unreachable-after", "L1")
def _(t):
    """After the end the ID is unknown."""
    a = t.create()
    a.conn.close()
    end = time.monotonic() + 3
    while (reply := t.hello().reply(f"STREAM ACCEPT ID={a.id} SILENT=false")).result == "OK" and time.monotonic() < end:
        time.sleep(0.1)
    if reply.result != "INVALID_ID":
        raise Fail("expected RESULT=INVALID_ID")


@rule("life.abandoned-build", "L3", danger=True)
def _(t):
    """A client that gives up while tunnels are built: the build ends, the ID is free, and the server lives (i2pd crashed)."""
    for how in ("close", "reset", "shut"):
        name = t.id()
        c = t.hello()
        c.send(f"SESSION CREATE STYLE=STREAM ID={name} {long(t)}")
        getattr(c, how)()
        id_free(t, name, 5)


@rule("life.recreate", "L4")
def _(t):
    """The same key again right after the close gives a session that works: RetroShare waits 10 s because i2pd's does not."""
    a, b = t.friends()
    for _ in range(2):
        a.conn.close()
        a = t.create(key=a.private)
    near, far = t.stream(b, a)
    near.push(b"again")
    far.exactly(5)


@rule("life.recreate-lasts", "L4")
def _(t):
    """i2pd's second session dies 5 s after its OK, when the first one is finally cleared away."""
    a, b = t.friends()
    a.conn.close()
    a = t.create(key=a.private)
    near, far = t.stream(b, a)
    a.conn.quiet(9)
    near.push(b"still")
    far.exactly(5)
    t.stream(b, a)


@rule("life.recreate-after-reset", "L4")
def _(t):
    """The same with streams open and the control socket reset."""
    a, b = t.friends()
    near, _ = t.stream(b, a)
    a.conn.reset()
    a = t.create(key=a.private)
    t.stream(b, a)
    near.until_end(t.patience)


@rule("life.others-untouched", "L1")
def _(t):
    """The end of one session is nothing to the others on the same server."""
    a, b = t.pair()
    near, far = t.stream(a, b)
    c = t.create()
    c.conn.close()
    d = t.create()
    d.conn.reset()
    time.sleep(0.3)
    near.push(b"here")
    far.exactly(4)


def has_keep_alive(c):
    """The server's end of this connection has a keep-alive timer, as the kernel of the same machine shows."""
    here, there = c.sock.getsockname(), c.sock.getpeername()
    table = pathlib.Path("/proc/net/tcp")
    if not table.exists() or ":" in here[0]:
        raise Skip("needs Linux and a server on this machine")
    def entry(address):
        return "%08X:%04X" % (int.from_bytes(socket.inet_aton(address[0]), "little"), address[1])
    def timer():
        rows = [line.split() for line in table.read_text().splitlines()[1:]]
        return next((r[5] for r in rows if r[1] == entry(there) and r[2] == entry(here)), None)
    # While something is unacknowledged another timer stands there.
    end = time.monotonic() + 3
    while (row := timer()) and not row.startswith("02:") and time.monotonic() < end:
        time.sleep(0.1)
    if row is None:
        raise Skip("needs a server on this machine")
    if not row.startswith("02:"):
        raise Fail("expected the keep-alive timer on the server's socket")


@rule("life.keep-alive", "L6", SHOULD)
def _(t):
    """TCP keep-alive on the server's side frees the sessions of clients that vanished; seen in the kernel's table."""
    has_keep_alive(t.create().conn)


@rule("life.no-unsolicited", "L6")
def _(t):
    """Nothing is ever sent on a session's socket that was not asked for: libtorrent's parser would stumble."""
    conns = [t.create(version="3.1").conn, t.create().conn]
    for c in conns:
        c.quiet(5)


@rule("life.no-ping", "L6", SHOULD, slow=True)
def _(t):
    """No PING from the server in four minutes, even at 3.3: many clients of 3.2 and 3.3 do not answer one."""
    conns = [t.create(version="3.1").conn, t.create().conn]
    end = time.monotonic() + 240
    for c in conns:
        c.quiet(max(end - time.monotonic(), 0.1))
        c.want("NAMING LOOKUP NAME=ME", "OK")


@rule("life.crash-many", "L3", danger=True)
def _(t):
    """Sessions with streams under way that vanish all at once leave the server standing."""
    b = t.session(t.far)
    sessions = [t.create() for _ in range(4)]
    for a in sessions:
        near, far = t.stream(a, b)
        far.push(bytes(200_000))
        t.accept(a)
    for a in sessions:
        a.conn.reset()
    dest_line(t.hello())
    t.spoil()


@rule("life.key-in-use-elsewhere", "L4", SHOULD)
def _(t):
    """A CREATE with a key whose session is just closing waits for it, and does not say DUPLICATED_DEST."""
    key = keys.Key()
    c = t.hello()
    c.check(Reply(c.ask(f"SESSION CREATE STYLE=STREAM ID={t.id()} DESTINATION={key.private} {t.options.session_options}", t.patience)), "OK")
    for _ in range(5):
        d = t.hello()
        c.close()
        d.check(Reply(d.ask(f"SESSION CREATE STYLE=STREAM ID={t.id()} DESTINATION={key.private} {t.options.session_options}", t.patience)), "OK")
        c = d
