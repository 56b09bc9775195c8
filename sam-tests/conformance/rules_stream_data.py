# SPDX-License-Identifier: MIT
"""Section 5, S5, S6, S9: payload, ends of streams, back-pressure."""
import hashlib
import os
import time

from client import Fail, Task
from runner import SHOULD, rule

MIB = 1 << 20


def blob(size):
    """Bytes of which no two parts are alike."""
    block = os.urandom(1 << 14)
    return b"".join(i.to_bytes(8, "big") + block for i in range(size // len(block) + 1))[:size]


def carry(source, sink, data, patience):
    """The bytes arrive complete and in order."""
    sender = Task(source.push, data)
    got = sink.exactly(len(data), patience)
    sender.result(patience)
    if hashlib.sha256(got).digest() != hashlib.sha256(data).digest():
        raise Fail("expected the bytes as they were sent")


@rule("data.binary", "5")
def _(t):
    """After the lines the socket is transparent: every byte value, LF and commands among them."""
    a, b = t.pair()
    near, far = t.stream(a, b)
    data = bytes(range(256)) * 8 + b"\nQUIT\nPING\nHELLO VERSION\n"
    carry(near, far, data, t.patience)
    carry(far, near, data, t.patience)


@rule("data.mib", "S6")
def _(t):
    """A MiB each way, one after the other."""
    a, b = t.pair()
    near, far = t.stream(a, b)
    carry(near, far, blob(MIB), t.patience)
    carry(far, near, blob(MIB), t.patience)


@rule("data.both-ways", "S6")
def _(t):
    """Half a MiB each way at once."""
    a, b = t.pair()
    near, far = t.stream(a, b)
    up = Task(carry, near, far, blob(MIB // 2), t.patience)
    down = Task(carry, far, near, blob(MIB // 2), t.patience)
    up.result(2 * t.patience)
    down.result(2 * t.patience)


@rule("data.parallel", "S1")
def _(t):
    """Ten streams between the same two sessions do not mix."""
    a, b = t.friends(far_fresh=True)
    pairs = [t.stream(a, b) for _ in range(10)]
    tasks = [Task(carry, near, far, blob(50_000), t.patience) for near, far in pairs]
    for task in tasks:
        task.result(2 * t.patience)


@rule("data.half-close", "S5", SHOULD)
def _(t):
    """A client that ends its direction after the request still gets the whole answer; i2pd and Java close both."""
    a, b = t.pair()
    near, far = t.stream(a, b)
    near.push(b"request")
    near.shut()
    if far.until_end(t.patience) != b"request":
        raise Fail("expected the request and then the end")
    answer = blob(100_000)
    far.push(answer)
    far.close()
    if near.until_end(t.patience) != answer:
        raise Fail("expected the whole answer after the half-close")


@rule("data.half-close-accept", "S5", SHOULD)
def _(t):
    """The same from the accepting side."""
    a, b = t.pair()
    near, far = t.stream(b, a)
    far.push(b"greeting")
    far.shut()
    if near.until_end(t.patience) != b"greeting":
        raise Fail("expected the greeting and then the end")
    near.push(b"still here")
    near.close()
    if far.until_end(t.patience) != b"still here":
        raise Fail("expected the other direction to stay open")


@rule("data.no-truncation", "S5")
def _(t):
    """A server that writes its answer and closes at once loses nothing of it."""
    a, b = t.pair()
    for size in (1, 70_000, MIB // 2):
        near, far = t.stream(a, b)
        data = blob(size)
        sender = Task(lambda far=far, data=data: (far.push(data), far.close()))
        got = near.until_end(t.patience)
        sender.result(t.patience)
        if got != data:
            raise Fail(f"expected {size} bytes before the end, got {len(got)}")


@rule("data.no-truncation-up", "S5")
def _(t):
    """The same from the connecting side."""
    a, b = t.pair()
    near, far = t.stream(a, b)
    data = blob(MIB // 2)
    sender = Task(lambda: (near.push(data), near.close()))
    got = far.until_end(t.patience)
    sender.result(t.patience)
    if got != data:
        raise Fail(f"expected {len(data)} bytes before the end, got {len(got)}")


@rule("data.remote-close", "S5")
def _(t):
    """When the peer closes, the client sees the end soon, on whichever side it is."""
    a, b = t.pair()
    near, far = t.stream(a, b)
    far.close()
    near.until_end(20)
    near, far = t.stream(a, b)
    near.close()
    far.until_end(20)


@rule("data.reset", "S5")
def _(t):
    """XD sets SO_LINGER 0 and so resets: bytes that were read are still delivered, and the peer sees an end."""
    a, b = t.pair()
    near, far = t.stream(a, b)
    near.push(b"last words")
    time.sleep(0.5)
    near.reset()
    if far.until_end(20) != b"last words":
        raise Fail("expected the bytes before the reset, and an end")


@rule("data.write-after-remote-close", "S5")
def _(t):
    """Writing on after the peer has gone ends in an error, not in a hang or a crash."""
    a, b = t.pair()
    near, far = t.stream(a, b)
    far.reset()
    end = time.monotonic() + t.patience
    try:
        while not near.ended:
            near.push(b"more" * 100)
            near._more(time.monotonic() + 0.1)
            if time.monotonic() > end:
                raise TimeoutError
    except Fail:
        pass
    except TimeoutError:
        raise Fail("expected the stream to end after the peer had gone") from None


@rule("data.back-pressure", "S6", danger=True)
def _(t):
    """A reader that stops stops its sender, within bounded buffers, and what was sent arrives later."""
    a, b = t.pair()
    near, far = t.stream(a, b)
    data = blob(16 * MIB)
    near.sock.settimeout(2)
    sent = 0
    try:
        while sent < len(data):
            sent += near.sock.send(data[sent:sent + 65536])
    except TimeoutError:
        pass
    t.note(f"the sender was stopped after {sent / MIB:.1f} MiB")
    if sent == len(data):
        raise Fail("expected the sender of 16 MiB to be stopped while nobody reads")
    near.shut()
    got = far.until_end(2 * t.patience)
    if got != data[:sent]:
        raise Fail(f"expected {sent} bytes, got {len(got)}")


@rule("data.stopped-reader-alone", "S6", danger=True)
def _(t):
    """A stream whose reader has stopped holds up no other stream of the same sessions."""
    a, b = t.friends(far_fresh=True)
    stuck, _ = t.stream(a, b)
    near, far = t.stream(a, b)
    stuck.sock.settimeout(1)
    try:
        while True:
            stuck.sock.send(bytes(65536))
    except OSError:
        pass
    carry(near, far, blob(300_000), t.patience)
    carry(far, near, blob(300_000), t.patience)


@rule("data.small-writes", "S6")
def _(t):
    """A hundred questions and answers of a few bytes."""
    a, b = t.pair()
    near, far = t.stream(a, b)
    start = time.monotonic()
    for i in range(100):
        near.push(b"%04d" % i)
        if far.exactly(4, t.patience) != b"%04d" % i:
            raise Fail("expected the bytes as they were sent")
        far.push(b"ok")
        near.exactly(2, t.patience)
    t.note(f"{(time.monotonic() - start) * 10:.1f} ms each")


@rule("data.idle", "S9", slow=True)
def _(t):
    """A stream on which nothing passes stays for as long as both want: here 100 s."""
    a, b = t.pair()
    near, far = t.stream(a, b)
    time.sleep(100)
    carry(near, far, b"awake", t.patience)
    carry(far, near, b"awake", t.patience)


@rule("data.idle-half-close", "S5", SHOULD, slow=True)
def _(t):
    """After the peer's end a client that just keeps its socket is let go after about a minute."""
    a, b = t.pair()
    near, far = t.stream(a, b)
    far.close()
    near.until_end(20)
    end = time.monotonic() + 120
    try:
        while time.monotonic() < end:
            near.push(b"x")
            time.sleep(5)
        raise TimeoutError
    except Fail:
        pass
    except TimeoutError:
        raise Fail("expected the socket to be closed within two minutes of the peer's end") from None


@rule("data.keep-alive", "S9", SHOULD)
def _(t):
    """TCP keep-alive on stream sockets: see life.keep-alive."""
    import rules_life
    a, b = t.pair()
    near, _ = t.stream(a, b)
    rules_life.has_keep_alive(near)
