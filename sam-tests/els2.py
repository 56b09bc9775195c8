#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Encrypted lease sets, written from the specifications alone: names, blinding, both layers, client authorisation.

Only the standard library. Slow and not constant in time: for tests, to judge what routers do and to make vectors.
As a command it prints the vectors that the tests of the library hold.
Specs: "Encrypted LeaseSet Specification" (proposal 123) and "B32 for Encrypted Leasesets" (proposal 149).
"""
import base64
import hashlib
import hmac
import os
import struct
import time
import zlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ED25519, REDDSA = 7, 11


# ---- the curve, in affine coordinates ----

def _recover_x(y, sign):
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - xx) % P:
        raise ValueError("not on the curve")
    return P - x if x & 1 != sign else x


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = (_recover_x(BASE_Y, 0), BASE_Y)


def add(a, b):
    (x1, y1), (x2, y2) = a, b
    t = D * x1 * x2 * y1 * y2 % P
    return ((x1 * y2 + x2 * y1) * pow(1 + t, P - 2, P) % P, (y1 * y2 + x1 * x2) * pow(1 - t, P - 2, P) % P)


def times(n, point):
    result = (0, 1)
    while n:
        if n & 1:
            result = add(result, point)
        point, n = add(point, point), n >> 1
    return result


def pack(point):
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def unpack(data):
    n = int.from_bytes(data, "little")
    return (_recover_x(n & (1 << 255) - 1, n >> 255), n & (1 << 255) - 1)


def clamp(data):
    n = int.from_bytes(data, "little")
    return n & ((1 << 254) - 8) | 1 << 254


def secret_scalar(sig_type, private):
    if sig_type == ED25519:
        return clamp(hashlib.sha512(private).digest()[:32])
    return int.from_bytes(private, "little")


def verify(public, message, signature):
    r, s = unpack(signature[:32]), int.from_bytes(signature[32:], "little")
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    return times(s, BASE) == add(r, times(k, unpack(public)))


def sign(scalar, public, message):
    r = int.from_bytes(hashlib.sha512(os.urandom(80) + public + message).digest(), "little") % L
    point = pack(times(r, BASE))
    k = int.from_bytes(hashlib.sha512(point + public + message).digest(), "little") % L
    return point + ((r + k * scalar) % L).to_bytes(32, "little")


def x25519(private, public):
    """RFC 7748, the ladder."""
    k, u = clamp(private), int.from_bytes(public, "little") & (1 << 255) - 1
    x2, z2, x3, z3, swap = 1, 0, u, 1, 0
    for t in reversed(range(255)):
        bit = k >> t & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb, aa, bb = d * a % P, c * b % P, a * a % P, b * b % P
        x3, z3 = (da + cb) ** 2 % P, u * (da - cb) ** 2 % P
        x2, z2 = aa * bb % P, (aa - bb) * (aa + 121665 * (aa - bb)) % P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def x25519_public(private):
    return x25519(private, (9).to_bytes(32, "little"))


# ---- primitives ----

def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def hkdf(salt, ikm, info, size):
    prk, block, out, n = hmac.new(salt, ikm, hashlib.sha256).digest(), b"", b"", 1
    while len(out) < size:
        block = hmac.new(prk, block + info + bytes([n]), hashlib.sha256).digest()
        out, n = out + block, n + 1
    return out[:size]


def chacha20(key, iv, data):
    """RFC 7539 from block 1 on."""
    rot = lambda v, n: (v << n | v >> 32 - n) & 0xFFFFFFFF
    start = list(struct.unpack("<4I", b"expand 32-byte k") + struct.unpack("<8I", key))
    out = bytearray()
    for block in range(0, len(data), 64):
        state = start + [1 + block // 64] + list(struct.unpack("<3I", iv))
        w = state[:]
        for _ in range(10):
            for a, b, c, d in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                               (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
                for x, y, z, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                    w[x] = w[x] + w[y] & 0xFFFFFFFF
                    w[z] = rot(w[z] ^ w[x], n)
        stream = struct.pack("<16I", *(a + b & 0xFFFFFFFF for a, b in zip(w, state)))
        out += bytes(a ^ b for a, b in zip(data[block:block + 64], stream))
    return bytes(out)


# ---- names and blinding ----

def b64(data):
    return base64.b64encode(data, b"-~").decode()


def unb64(text):
    return base64.b64decode(text + "=" * (-len(text) % 4), b"-~")


def signing_key(destination):
    """(signature type, signing key) of a destination in base64 that can be blinded."""
    data = unb64(destination)
    sig_type = struct.unpack(">H", data[387:389])[0]
    if data[384] != 5 or sig_type not in (ED25519, REDDSA):
        raise ValueError("a destination that cannot be blinded")
    return sig_type, data[352:384]


def b33(sig_type, key, secret=False, auth=False):
    data = bytearray([2 * secret + 4 * auth, sig_type, REDDSA]) + key
    crc = zlib.crc32(bytes(data[3:]))
    for i in range(3):
        data[i] ^= crc >> 8 * i & 255
    return base64.b32encode(bytes(data)).decode().lower() + ".b32.i2p"


def b33_of(destination, secret=False, auth=False):
    return b33(*signing_key(destination), secret, auth)


def offline_keys(keys, expires, transient=None):
    """Private keys in base64 with an Ed25519 key that is authorised until `expires`, from such with their own key."""
    data = unb64(keys)
    end = 387 + struct.unpack(">H", data[385:387])[0]
    sig_type, own = signing_key(keys)
    transient = transient or os.urandom(32)
    public = pack(times(secret_scalar(ED25519, transient), BASE))
    section = struct.pack(">IH", expires, ED25519) + public
    signature = sign(secret_scalar(sig_type, data[end + 256:]), own, section)
    return b64(data[:end + 256] + bytes(32) + section + signature + transient)


class Day:
    """A key on one day (UTC): its blinded form, where it is stored, and what its lease sets are sealed with."""

    def __init__(self, sig_type, key, date=None, secret=b""):
        date = date or time.strftime("%Y%m%d", time.gmtime())
        data = key + struct.pack(">HH", sig_type, REDDSA)
        seed = hkdf(sha(b"I2PGenerateAlpha", data), date.encode() + secret, b"i2pblinding1", 64)
        self.alpha = int.from_bytes(seed, "little") % L
        self.key = pack(add(unpack(key), times(self.alpha, BASE)))
        self.subcredential = sha(b"subcredential", sha(b"credential", data), self.key)
        self.store_key = sha(struct.pack(">H", REDDSA), self.key)

    def private(self, sig_type, private):
        return (secret_scalar(sig_type, private) + self.alpha) % L


# ---- the layers ----

def _client(salt, ikm, info):
    okm = hkdf(salt, ikm, info, 52)
    return okm[:32], okm[32:44], okm[44:52]


def seal(day, published, inner, dh=(), psk=(), random=os.urandom):
    """The outer ciphertext of `inner`: store type and lease set. `dh`: clients' public keys; `psk`: shared keys."""
    stamp, cookie, auth, flags = struct.pack(">I", published), b"", b"", 0
    if dh or psk:
        cookie = random(32)
        own = random(32)
        head = x25519_public(own) if dh else own
        auth = head + struct.pack(">H", len(dh or psk))
        for client in dh or psk:
            ikm = (x25519(own, client) if dh else b"") + client + day.subcredential + stamp
            key, iv, name = _client(head, ikm, b"ELS2_XCA" if dh else b"ELS2PSKA")
            auth += name + chacha20(key, iv, cookie)
        flags = 1 if dh else 3
    salt = random(32)
    okm = hkdf(salt, cookie + day.subcredential + stamp, b"ELS2_L2K", 44)
    plain = bytes([flags]) + auth + salt + chacha20(okm[:32], okm[32:], inner)
    salt = random(32)
    okm = hkdf(salt, day.subcredential + stamp, b"ELS2_L1K", 44)
    return salt + chacha20(okm[:32], okm[32:], plain)


def open_layers(day, published, outer, private=None):
    """Undoes `seal`; `private` is the client's X25519 key or shared key where one is needed."""
    stamp = struct.pack(">I", published)
    okm = hkdf(outer[:32], day.subcredential + stamp, b"ELS2_L1K", 44)
    plain = chacha20(okm[:32], okm[32:], outer[32:])
    flags, rest, cookie = plain[0], plain[1:], b""
    if flags & 1:
        head, count = rest[:32], struct.unpack(">H", rest[32:34])[0]
        entries, rest = rest[34:34 + 40 * count], rest[34 + 40 * count:]
        if flags >> 1:
            key, iv, name = _client(head, private + day.subcredential + stamp, b"ELS2PSKA")
        else:
            ikm = x25519(private, head) + x25519_public(private) + day.subcredential + stamp
            key, iv, name = _client(head, ikm, b"ELS2_XCA")
        found = [entries[i + 8:i + 40] for i in range(0, len(entries), 40) if entries[i:i + 8] == name]
        if not found:
            raise ValueError("this client is not authorised")
        cookie = chacha20(key, iv, found[0])
    okm = hkdf(rest[:32], cookie + day.subcredential + stamp, b"ELS2_L2K", 44)
    return chacha20(okm[:32], okm[32:], rest[32:])


def encrypted(day, scalar, published, life, outer):
    """A whole encrypted lease set, signed with the blinded private key `scalar`."""
    body = struct.pack(">H", REDDSA) + day.key + struct.pack(">IHHH", published, life, 0, len(outer)) + outer
    return body + sign(scalar, day.key, b"\5" + body)


def vectors():
    counter = [0]

    def random(n):
        counter[0] += 1
        return hashlib.shake_256(b"vectors" + bytes([counter[0]])).digest(n)

    print("# Printed by sam-tests/els2.py, which knows nothing of this library. Keys: see there.")
    date, published = "20261123", 1795392000
    private, inner = bytes(range(1, 32)) + b"\1", b"\3" + bytes(range(200))
    for sig_type in (ED25519, REDDSA):
        public = pack(times(secret_scalar(sig_type, private), BASE))
        for n, text in enumerate((b"", "gar\u00e7on".encode())):
            day = Day(sig_type, public, date, text)
            scalar = day.private(sig_type, private)
            assert pack(times(scalar, BASE)) == day.key
            values = {"public": public, "blinded": day.key, "private": scalar.to_bytes(32, "little"),
                      "subcredential": day.subcredential, "store": day.store_key}
            for name, value in values.items():
                print(f"{sig_type}.{n}.{name} {value.hex()}")
    csk, psk = bytes(range(50, 82)), bytes(range(100, 132))
    others = [bytes([n]) * 32 for n in (1, 2)]
    print(f"client.public {x25519_public(csk).hex()}")
    for name, more, key in (("everybody", {}, None), ("dh", {"dh": [x25519_public(k) for k in (*others, csk)]}, csk),
                            ("psk", {"psk": [psk, *others]}, psk)):
        outer = seal(day, published, inner, random=random, **more)
        assert open_layers(day, published, outer, key) == inner
        print(f"{name} {outer.hex()}")
    whole = encrypted(day, scalar, published, 600, outer)
    assert verify(day.key, b"\5" + whole[:-64], whole[-64:])


if __name__ == "__main__":
    vectors()
