# SPDX-License-Identifier: MIT
"""Section 4: keys given to SESSION CREATE, good and bad, and offline keys."""
import time

import keys
from client import Fail
from rules_line import dest_line
from rules_session import create
from runner import SHOULD, rule


def with_key(t, text, style="STREAM", conn=None):
    c = conn or t.hello()
    return c, create(t, c, f"STYLE={style} ID={t.id()} DESTINATION={text} {t.options.session_options}")


def invalid(t, *texts):
    """Every one of these keys is answered with exactly INVALID_KEY, and the socket can be used again."""
    c = t.hello()
    for text in texts:
        line = c.ask(f"SESSION CREATE STYLE=STREAM ID={t.id()} DESTINATION={text} {t.options.session_options}", t.patience)
        if line != "SESSION STATUS RESULT=INVALID_KEY":
            raise Fail("expected exactly SESSION STATUS RESULT=INVALID_KEY")
    dest_line(c)


@rule("key.echo", "4")
def _(t):
    """A given key comes back byte for byte: go-sam-go ends the session otherwise."""
    key = keys.Key()
    c, reply = with_key(t, key.private)
    c.check(reply, "OK")
    if reply["DESTINATION"] != key.private:
        raise Fail("expected the same key")
    if c.want("NAMING LOOKUP NAME=ME", "OK")["VALUE"] != key.public:
        raise Fail("expected its destination under ME")


@rule("key.unpadded", "3")
def _(t):
    """diva cuts replies at = and so sends its own key without padding; it is taken, and echoed as it was sent."""
    key = keys.Key()
    text = key.private.rstrip("=")
    c, reply = with_key(t, text)
    c.check(reply, "OK")
    if reply["DESTINATION"] != text:
        raise Fail("expected the key back as it was sent")


@rule("key.any-encryption", "3")
def _(t):
    """The 256 bytes of the encryption key may hold anything: old clients have random bytes there."""
    key = keys.Key()
    key.encryption = bytes(range(256))
    c, reply = with_key(t, key.private)
    c.check(reply, "OK")
    if reply["DESTINATION"] != key.private:
        raise Fail("expected the same key")


@rule("key.junk", "4")
def _(t):
    """Text that is no key at all."""
    invalid(t, "abcd", "a" * 908, "TRANSIENTLY")


@rule("key.alphabet", "3")
def _(t):
    """+ and / belong to another base64; other characters to none."""
    private = keys.Key().private
    invalid(t, "+/" + private[2:], private[:600] + "!" + private[601:], private[:600] + "_" + private[601:])


@rule("key.length", "4")
def _(t):
    """Too short or too long: a cut key must not become a session with another destination's half."""
    data = keys.Key().private_bytes
    invalid(t, keys.b64(data[:-1]), keys.b64(data[:-32]), keys.b64(data + b"x"), keys.b64(data + bytes(64)))


@rule("key.public-only", "4")
def _(t):
    """People paste the address in place of the key."""
    invalid(t, keys.Key().public)


@rule("key.certificate", "4")
def _(t):
    """A certificate that no destination has: unknown type of certificate, length beyond the end, unknown signature type."""
    data = keys.Key().private_bytes
    invalid(t, keys.b64(data[:384] + bytes([9]) + data[385:]), keys.b64(data[:385] + b"\xff\xff" + data[387:]),
            keys.b64(data[:387] + b"\x00\x63" + data[389:]))


@rule("key.zero-no-offline", "4")
def _(t):
    """A signing key of zeros announces an offline section; without one the key signs nothing."""
    key = keys.Key()
    invalid(t, keys.b64(key.destination + bytes(256) + bytes(32)))


@rule("key.mismatch", "4", SHOULD)
def _(t):
    """A seed that does not belong to the destination signs lease sets that nobody accepts: say so at once."""
    one, two = keys.Key(), keys.Key()
    invalid(t, keys.b64(one.destination + bytes(256) + two.seed))


@rule("key.long-lived", "4")
def _(t):
    """The key of a transient session is a full key: given back later it makes the same destination."""
    a = t.create()
    a.conn.close()
    b = t.create(key=a.private)
    if b.destination != a.destination or b.private != a.private:
        raise Fail("expected the same destination and key")


# --- offline keys ----------------------------------------------------------------------------------------------------

@rule("offline.create", "4", SHOULD)
def _(t):
    """A key whose signing part is at home, with a transient key in its place; echoed unchanged."""
    text = keys.Key().offline()
    c, reply = with_key(t, text)
    c.check(reply, "OK")
    if reply["DESTINATION"] != text:
        raise Fail("expected the key back unchanged")


@rule("offline.stream", "4", SHOULD)
def _(t):
    """Streams to and from a session with an offline key: its packets carry the transient key and its signature."""
    a = t.create(key=keys.Key().offline())
    b = t.session(t.far)
    for one, two in ((b, a), (a, b)):
        near, far = t.stream(one, two)
        near.push(b"offline" * 1000)
        if far.exactly(7000, t.patience) != b"offline" * 1000:
            raise Fail("expected the bytes as they were sent")


@rule("offline.expired", "4", SHOULD)
def _(t):
    """An offline key that has run out is INVALID_KEY; i2pd takes it and publishes what its floodfills reject."""
    invalid(t, keys.Key().offline(seconds=-60))


@rule("offline.bad-signature", "4", SHOULD)
def _(t):
    """The transient key must be signed by the destination's key."""
    invalid(t, keys.Key().offline(spoiled=True))


@rule("offline.datagram", "4", SHOULD)
def _(t):
    """Repliable datagrams of the first format cannot carry an offline signature."""
    t.style("DATAGRAM", 0)
    c, reply = with_key(t, keys.Key().offline(), "DATAGRAM")
    if reply.result != "I2P_ERROR":
        raise Fail("expected RESULT=I2P_ERROR")


def _style(style):
    @rule(f"offline.{style.lower()}", "4", SHOULD)
    def _(t):
        """Offline keys work with every style whose format can carry them."""
        t.style(style, 0)
        text = keys.Key().offline()
        c, reply = with_key(t, text, style)
        c.check(reply, "OK")
        if reply["DESTINATION"] != text:
            raise Fail("expected the key back unchanged")


for _name in ("RAW", "DATAGRAM2", "DATAGRAM3", "PRIMARY"):
    _style(_name)


@rule("offline.runs-out", "4", SHOULD, slow=True)
def _(t):
    """When the offline key runs out the session can sign nothing any more: its control socket is closed."""
    c, reply = with_key(t, keys.Key().offline(seconds=45))
    c.check(reply, "OK")
    start = time.monotonic()
    try:
        c.until_end(120)
    except Fail:
        raise Fail("expected the session to be closed when its key ran out after 45 s") from None
    t.note(f"closed after {time.monotonic() - start:.0f} s")
