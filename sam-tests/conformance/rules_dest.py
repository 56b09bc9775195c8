# SPDX-License-Identifier: MIT
"""Section 3: DEST GENERATE and the layout of keys."""
import re
import time

import keys
from client import Fail, Reply
from runner import SHOULD, rule


def generate(conn, words):
    """DEST GENERATE that succeeds: (public, private) as bytes."""
    line = conn.ask(f"DEST GENERATE {words}".rstrip())
    found = re.fullmatch(r"DEST REPLY PUB=([A-Za-z0-9~=-]+) PRIV=([A-Za-z0-9~=-]+)", line)
    if not found:
        raise Fail("expected exactly DEST REPLY PUB=.. PRIV=..")
    return keys.unb64(found[1]), keys.unb64(found[2])


def check_key(public, private, kind):
    """The destination names this signature type and the private key has the right lengths."""
    if keys.signature_type(public) != kind:
        raise Fail(f"expected a destination of type {kind}, got type {keys.signature_type(public)}")
    if keys.destination_size(public) != len(public):
        raise Fail(f"expected PUB to be a destination and nothing else, got {len(public)} bytes")
    if not private.startswith(public):
        raise Fail("expected PRIV to begin with PUB")
    expected = len(public) + 256 + keys.TYPES[kind][2]
    if len(private) != expected:
        raise Fail(f"expected PRIV of {expected} bytes, got {len(private)}")


def _type(kind):
    name = keys.TYPES[kind][0]
    level = "MUST" if kind == 7 else SHOULD

    @rule(f"dest.type-{kind}", "3", level)
    def _(t):
        """A type is asked for by its number or its name, in any case; libsam3 sends names."""
        c = t.hello()
        for word in (str(kind), name, name.lower(), name.upper()):
            check_key(*generate(c, f"SIGNATURE_TYPE={word}"), kind)


for _kind in (7, 11, 1, 2, 3):
    _type(_kind)


@rule("dest.type-0", "3")
def _(t):
    """DSA keys: given as asked, or refused in so many words; never a key of another type in their place."""
    c = t.hello()
    for word in ("0", "DSA_SHA1"):
        line = c.ask(f"DEST GENERATE SIGNATURE_TYPE={word}")
        reply = Reply(line)
        if reply.result == "I2P_ERROR" and reply.get("MESSAGE"):
            t.note("refused")
            continue
        check_key(keys.unb64(reply["PUB"]), keys.unb64(reply["PRIV"]), 0)


@rule("dest.order", "3")
def _(t):
    """Clients cut the reply at fixed words: PUB, then PRIV, no RESULT, nothing else."""
    generate(t.hello(), "SIGNATURE_TYPE=7")


@rule("dest.layout", "3")
def _(t):
    """An Ed25519 key is 391 + 256 + 32 bytes, 524 and 908 characters, the certificate names types 7 and 0, the seed fits."""
    public, private = generate(t.hello(), "SIGNATURE_TYPE=7")
    if len(keys.b64(public)) != 524 or len(keys.b64(private)) != 908:
        raise Fail(f"expected 524 and 908 characters, got {len(keys.b64(public))} and {len(keys.b64(private))}")
    if public[384:] not in (bytes([5, 0, 4, 0, 7, 0, 0]), bytes([5, 0, 4, 0, 7, 0, 4])):
        raise Fail(f"expected the certificate 05 0004 0007 0000, got {public[384:].hex()}")
    if keys.public_of(private[-32:]) != public[352:384]:
        raise Fail("expected the last 32 bytes of PRIV to be the seed of the key at 352..384")


@rule("dest.certificate", "3", SHOULD)
def _(t):
    """Encryption type 0 in the certificate: the real types are in the lease set, and old routers know no other."""
    public, _ = generate(t.hello(), "SIGNATURE_TYPE=7")
    if public[387:391] != bytes([0, 7, 0, 0]):
        raise Fail(f"expected 0007 0000 in the certificate, got {public[387:391].hex()}")


@rule("dest.padding", "3", SHOULD)
def _(t):
    """Padding repeats 32 random bytes (proposal 161), so that lease sets compress."""
    public, _ = generate(t.hello(), "SIGNATURE_TYPE=7")
    padding = public[:352]
    if padding != padding[:32] * 11:
        raise Fail("expected 352 bytes that repeat their first 32")


@rule("dest.different", "3")
def _(t):
    """Two calls give two keys."""
    c = t.hello()
    one, two = generate(c, "SIGNATURE_TYPE=7"), generate(c, "SIGNATURE_TYPE=7")
    if one[0][352:384] == two[0][352:384] or one[0][:32] == two[0][:32]:
        raise Fail("expected different keys and paddings")


@rule("dest.unsupported", "3")
def _(t):
    """A type that the server does not have is an error; i2pd hands out DSA in silence and clients store that key."""
    c = t.hello()
    for word in ("99", "FOO", "8", "-1"):
        reply = c.want(f"DEST GENERATE SIGNATURE_TYPE={word}", "I2P_ERROR")
        if reply.get("PRIV") or (reply.domain, reply.opcode) != ("DEST", "REPLY"):
            raise Fail('expected DEST REPLY RESULT=I2P_ERROR MESSAGE=".."')


@rule("dest.default-works", "15")
def _(t):
    """i2p.socket, npm's i2p and diva name no type: whatever the default is, the server must be able to serve it."""
    c = t.hello()
    public, private = generate(c, "")
    t.note(f"default type {keys.signature_type(public)}")
    reply = c.want(f"SESSION CREATE STYLE=STREAM ID={t.id()} DESTINATION={keys.b64(private)} {t.options.session_options}", "OK", t.patience)
    if reply["DESTINATION"] != keys.b64(private):
        raise Fail("expected the key back")


@rule("dest.usable", "3")
def _(t):
    """A generated key makes a session with that destination."""
    c = t.hello()
    public, private = generate(c, "SIGNATURE_TYPE=7")
    a = t.create(key=keys.b64(private), conn=c)
    reply = a.conn.want("NAMING LOOKUP NAME=ME", "OK")
    if reply["VALUE"] != keys.b64(public):
        raise Fail("expected the generated destination")


@rule("dest.speed", "8", SHOULD, alone=True)
def _(t):
    """Making keys takes no network and is not limited below 100 a second."""
    c = t.hello()
    start = time.monotonic()
    for _ in range(100):
        generate(c, "SIGNATURE_TYPE=7")
    seconds = time.monotonic() - start
    t.note(f"{100 / seconds:.0f} a second")
    if seconds > 1:
        raise Fail(f"expected 100 keys within a second, it took {seconds:.1f}")
