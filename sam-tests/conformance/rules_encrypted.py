# SPDX-License-Identifier: MIT
"""Sections 3 and 4: encrypted lease sets, published for all, for those with a secret, and for clients with keys."""
import os

import keys
from client import Fail
from runner import SHOULD, rule

P = 2**255 - 19


def public_of(private):
    """The X25519 public key of a private one (RFC 7748)."""
    k = int.from_bytes(private, "little") & ((1 << 254) - 8) | 1 << 254
    x2, z2, x3, z3, swap = 1, 0, 9, 1, 0
    for t in reversed(range(255)):
        bit = k >> t & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb, aa, bb = d * a % P, c * b % P, a * a % P, b * b % P
        x3, z3 = (da + cb) ** 2 % P, 9 * (da - cb) ** 2 % P
        x2, z2 = aa * bb % P, (aa - bb) * (aa + 121665 * (aa - bb)) % P
    x, z = (x3, z3) if swap else (x2, z2)
    return (x * pow(z, P - 2, P) % P).to_bytes(32, "little")


def reached(t, server, client, name):
    """A stream to `name`, with some bytes."""
    far = t.accept(server)
    near = t.connect(client, name)
    near.push(b"encrypted")
    if far.line(t.patience).split()[0] != client.destination:
        raise Fail("expected the caller's destination in front")
    if far.exactly(9, t.patience) != b"encrypted":
        raise Fail("expected the bytes as they were sent")


def closed(t, session, name):
    """Neither a look-up nor a stream gets through, and both say so with a result of the list."""
    session.conn.want(f"NAMING LOOKUP NAME={name}", "KEY_NOT_FOUND", t.patience)
    conn = t.hello(where=session.where)
    conn.want(f"STREAM CONNECT ID={session.id} DESTINATION={name} SILENT=false", "CANT_REACH_PEER", t.patience)


@rule("encrypted.stream", "3", SHOULD)
def _(t):
    """A stream to the long name of an encrypted lease set; keys of both types that can be blinded."""
    client = t.session()
    for kind in (7, 11):
        server = t.create(where=t.far, options=f"SIGNATURE_TYPE={kind} i2cp.leaseSetType=5")
        reached(t, server, client, keys.b33(server.bytes))


@rule("encrypted.secret", "4", SHOULD)
def _(t):
    """With i2cp.leaseSetSecret the lease set is found by those alone who have the secret."""
    words = "i2cp.leaseSetSecret=" + keys.b64("Gehe\u00edm".encode())
    server = t.create(where=t.far, options="i2cp.leaseSetType=5 " + words)
    name = keys.b33(server.bytes, secret=True)
    reached(t, server, t.create(options=words), name)
    closed(t, t.create(options="i2cp.leaseSetSecret=" + keys.b64(b"other")), name)
    closed(t, t.session(), name)


def clients(t, kind, words, private):
    others = f" i2cp.leaseSetClient.{kind}.1=:{keys.b64(os.urandom(32))}"
    auth = {"dh": 1, "psk": 2}[kind]
    server = t.create(where=t.far, options=f"i2cp.leaseSetType=5 i2cp.leaseSetAuthType={auth} {words}{others}")
    name = keys.b33(server.bytes, per_client=True)
    reached(t, server, t.create(options="i2cp.leaseSetPrivKey=" + keys.b64(private)), name)
    closed(t, t.create(options="i2cp.leaseSetPrivKey=" + keys.b64(os.urandom(32))), name)
    closed(t, t.session(), name)


@rule("encrypted.dh", "4", SHOULD)
def _(t):
    """Client authorisation with X25519 keys: who has the private half of one of them, and nobody else."""
    private = os.urandom(32)
    clients(t, "dh", f"i2cp.leaseSetClient.dh.0={keys.b64(b'joe')}:{keys.b64(public_of(private))}", private)


@rule("encrypted.psk", "4", SHOULD)
def _(t):
    """Client authorisation with shared keys."""
    private = os.urandom(32)
    clients(t, "psk", f"i2cp.leaseSetClient.psk.0={keys.b64(b'joe')}:{keys.b64(private)}", private)


@rule("encrypted.hidden", "3", SHOULD)
def _(t):
    """A destination that publishes encrypted is not found by its hash."""
    server = t.create(where=t.far, options="i2cp.leaseSetType=5")
    t.hello().want(f"NAMING LOOKUP NAME={keys.b32(server.bytes)}", "KEY_NOT_FOUND", t.patience)


@rule("encrypted.no-blinding", "4", SHOULD)
def _(t):
    """Keys that cannot be blinded (ECDSA) are not published in the clear instead: I2P_ERROR."""
    line = f"SESSION CREATE STYLE=STREAM ID={t.id()} DESTINATION=TRANSIENT SIGNATURE_TYPE=1 i2cp.leaseSetType=5"
    t.hello().want(f"{line} {t.options.session_options}", "I2P_ERROR", t.patience)
