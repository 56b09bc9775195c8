# SPDX-License-Identifier: MIT
"""Section 5, FORWARD and S7."""
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import time

from client import Fail, Reply, Skip
from rules_stream import fails
from runner import SHOULD, rule


def forward(t, session, sink, options="", version=None):
    c = t.hello(version, session.where)
    if c.ask(f"STREAM FORWARD ID={session.id} PORT={sink.port} HOST=127.0.0.1{options}") != "STREAM STATUS RESULT=OK":
        raise Fail("expected exactly STREAM STATUS RESULT=OK")
    return c


@rule("forward.basic", "S7")
def _(t):
    """Each peer is one TCP connection to HOST:PORT, which begins with the peer's destination."""
    a, b = t.friends()
    sink = t.listener()
    forward(t, a, sink, version="3.1")
    for i in range(3):
        near = t.connect(b, a.destination)
        near.push(b"question")
        inner = sink.take(t.patience)
        if inner.line(t.patience) != b.destination:
            raise Fail("expected the peer's destination and nothing else at 3.1")
        if inner.exactly(8, t.patience) != b"question":
            raise Fail("expected the peer's bytes")
        inner.push(b"answer")
        if near.exactly(6, t.patience) != b"answer":
            raise Fail("expected the answer")
        inner.close()
        near.until_end(t.patience)


@rule("forward.ports", "S7")
def _(t):
    """From 3.2 on the first line has the ports."""
    t.need("3.2")
    t.need("3.2", t.far)
    a, b = t.friends()
    sink = t.listener()
    forward(t, a, sink)
    t.connect(b, a.destination, options=" FROM_PORT=5 TO_PORT=6 SILENT=false").push(b"x")
    if sink.take(t.patience).line(t.patience) != f"{b.destination} FROM_PORT=5 TO_PORT=6":
        raise Fail("expected <destination> FROM_PORT=5 TO_PORT=6")


@rule("forward.silent", "S7")
def _(t):
    """SILENT=true leaves out the first line, for programs that know nothing of I2P; the command's own reply comes all the same."""
    a, b = t.friends()
    sink = t.listener()
    forward(t, a, sink, " SILENT=true")
    near = t.connect(b, a.destination)
    near.push(b"GET /")
    inner = sink.take(t.patience)
    if inner.exactly(5, t.patience) != b"GET /":
        raise Fail("expected the peer's bytes alone")
    inner.push(b"220 hi")
    near.exactly(6, t.patience)


@rule("forward.server-first", "S7")
def _(t):
    """Mail and IRC servers speak first."""
    a, b = t.friends()
    sink = t.listener()
    forward(t, a, sink, " SILENT=true")
    near = t.connect(b, a.destination)
    sink.take(t.patience).push(b"220 mail\r\n")
    if near.exactly(10, t.patience) != b"220 mail\r\n":
        raise Fail("expected the server's greeting")


@rule("forward.host-default", "S7")
def _(t):
    """Without HOST it is the client's own address."""
    a, b = t.friends()
    sink = t.listener()
    t.hello().want(f"STREAM FORWARD ID={a.id} PORT={sink.port}", "OK")
    t.connect(b, a.destination).push(b"x")
    sink.take(t.patience)


@rule("forward.port-missing", "5")
def _(t):
    """PORT is mandatory, and the error is a STREAM STATUS."""
    a = t.create()
    for words in ("", " PORT=0", " PORT=65536", " PORT=http", " PORT="):
        fails(t, f"STREAM FORWARD ID={a.id}{words}", "I2P_ERROR")


@rule("forward.twice", "5")
def _(t):
    """A session has one FORWARD."""
    a = t.create()
    sink = t.listener()
    forward(t, a, sink)
    fails(t, f"STREAM FORWARD ID={a.id} PORT={sink.port} HOST=127.0.0.1", "I2P_ERROR")


@rule("forward.then-accept", "5")
def _(t):
    """ACCEPT beside a FORWARD fails in its first reply; i2pd says OK and the client waits for ever."""
    a = t.create()
    forward(t, a, t.listener())
    fails(t, f"STREAM ACCEPT ID={a.id} SILENT=false", "I2P_ERROR")


@rule("forward.after-accept", "5")
def _(t):
    """FORWARD beside a pending ACCEPT fails too, and the ACCEPT still stands."""
    a, b = t.friends()
    waiting = t.accept(a)
    fails(t, f"STREAM FORWARD ID={a.id} PORT=9999 HOST=127.0.0.1", "I2P_ERROR")
    t.connect(b, a.destination).push(b"x")
    waiting.line(t.patience)


@rule("forward.accept-after-end", "S7")
def _(t):
    """When the FORWARD's socket is closed the session can ACCEPT again, and forward again."""
    a, b = t.friends()
    sink = t.listener()
    c = forward(t, a, sink)
    c.close()
    end = time.monotonic() + 3
    while True:
        d = t.hello()
        reply = d.reply(f"STREAM ACCEPT ID={a.id} SILENT=false")
        if reply.result == "OK" or time.monotonic() > end:
            break
        time.sleep(0.1)
    d.check(reply, "OK")
    t.connect(b, a.destination).push(b"x")
    d.line(t.patience)
    sink.none(0.2)


@rule("forward.streams-survive", "S7")
def _(t):
    """Closing the FORWARD's socket ends the listening, not the streams that stand."""
    a, b = t.friends()
    sink = t.listener()
    c = forward(t, a, sink, " SILENT=true")
    near = t.connect(b, a.destination)
    near.push(b"one")
    inner = sink.take(t.patience)
    inner.exactly(3, t.patience)
    c.close()
    time.sleep(0.5)
    near.push(b"two")
    inner.exactly(3, t.patience)
    inner.push(b"three")
    near.exactly(5, t.patience)


@rule("forward.refused", "S7")
def _(t):
    """Nobody at HOST:PORT: the peer is turned away soon, and the next one is tried again."""
    a, b = t.friends()
    sink = t.listener()
    forward(t, a, sink)
    port = sink.port
    sink.close()
    c = t.hello(where=t.far)
    reply = c.reply(f"STREAM CONNECT ID={b.id} DESTINATION={a.destination} SILENT=false", t.patience)
    c.check(reply, {"OK", "CANT_REACH_PEER"})
    c.until_end(30)
    again = t.listener()
    again.sock.close()
    again.sock = socket.create_server(("127.0.0.1", port), backlog=8)
    t.connect(b, a.destination).push(b"x")
    again.take(t.patience)


@rule("forward.socket-ping", "S7", SHOULD)
def _(t):
    """On the FORWARD's socket PING is answered; other bytes do not matter."""
    a = t.create()
    c = forward(t, a, t.listener())
    if c.ask("PING 7") != "PONG 7":
        raise Fail("expected PONG 7")


@rule("forward.socket-quit", "S7", SHOULD)
def _(t):
    """QUIT on the FORWARD's socket ends the forwarding, and the session stays."""
    a = t.create()
    c = forward(t, a, t.listener())
    c.send("QUIT")
    c.until_end()
    a.conn.want("NAMING LOOKUP NAME=ME", "OK")


@rule("forward.many", "S7")
def _(t):
    """Twenty peers at once are twenty connections."""
    a, b = t.friends()
    sink = t.listener()
    forward(t, a, sink, " SILENT=true")
    peers = []
    for i in range(20):
        c = t.hello(where=t.far)
        c.raw(f"STREAM CONNECT ID={b.id} DESTINATION={a.destination} SILENT=false\n{i:02}")
        peers.append(c)
    got = {sink.take(t.patience).exactly(2, t.patience) for _ in peers}
    if len(got) != 20:
        raise Fail(f"expected 20 different peers, got {len(got)}")


@rule("forward.ssl", "S7")
def _(t):
    """SSL=true means TLS to HOST:PORT, or a refusal; plain text to a program that asked for TLS is a leak."""
    a, b = t.friends()
    sink = t.listener()
    c = t.hello()
    reply = c.reply(f"STREAM FORWARD ID={a.id} PORT={sink.port} HOST=127.0.0.1 SSL=true SILENT=true")
    c.check(reply, {"OK", "I2P_ERROR"})
    if reply.result != "OK":
        t.note("refused")
        return
    near = t.hello(where=t.far)
    near.raw(f"STREAM CONNECT ID={b.id} DESTINATION={a.destination} SILENT=false\nsecret")
    inner = sink.take(t.patience)
    if inner.exactly(1, t.patience) != b"\x16":
        raise Fail("expected a TLS handshake, got plain text")


@rule("forward.ssl-data", "S7", SHOULD)
def _(t):
    """The same with a real TLS server behind it, whose certificate nobody signed."""
    if not shutil.which("openssl"):
        raise Skip("needs the command openssl to make a certificate")
    a, b = t.friends()
    sink = t.listener()
    with tempfile.TemporaryDirectory() as folder:
        key, cert = os.path.join(folder, "key.pem"), os.path.join(folder, "cert.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                        "-subj", "/CN=localhost"], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
    c = t.hello()
    reply = c.reply(f"STREAM FORWARD ID={a.id} PORT={sink.port} HOST=127.0.0.1 SSL=true SILENT=true")
    if reply.result == "I2P_ERROR":
        raise Skip("the server refuses SSL=true")
    near = t.hello(where=t.far)
    near.raw(f"STREAM CONNECT ID={b.id} DESTINATION={a.destination} SILENT=false\nsecret")
    inner = sink.take(t.patience)
    inner.sock.settimeout(t.patience)
    try:
        with context.wrap_socket(inner.sock, server_side=True) as tls:
            if tls.recv(6) != b"secret":
                raise Fail("expected the peer's bytes through TLS")
            tls.sendall(b"answer")
            near.check(Reply(near.line(t.patience)), "OK")
            if near.exactly(6, t.patience) != b"answer":
                raise Fail("expected the answer")
    except (ssl.SSLError, OSError) as e:
        raise Fail(f"expected a TLS handshake: {e}") from None

