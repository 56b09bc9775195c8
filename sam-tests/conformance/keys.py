# SPDX-License-Identifier: MIT
"""Base64 of I2P, destinations, private keys, offline keys and b33 names, with an Ed25519 of our own.

Enough to make keys that a server has never seen and to look into those that it makes. The Ed25519 here follows
RFC 8032, is slow, and keeps no secrets: for tests only.
"""
import base64
import binascii
import hashlib
import os
import re
import time
import zlib

ALPHABET = re.compile(r"[A-Za-z0-9~-]*={0,2}")
# Signature types: name, length of the public and of the private key, length of a signature.
TYPES = {
    0: ("DSA_SHA1", 128, 20, 40),
    1: ("ECDSA_SHA256_P256", 64, 32, 64),
    2: ("ECDSA_SHA384_P384", 96, 48, 96),
    3: ("ECDSA_SHA512_P521", 132, 66, 132),
    7: ("EdDSA_SHA512_Ed25519", 32, 32, 64),
    11: ("RedDSA_SHA512_Ed25519", 32, 32, 64),
}


def b64(data):
    return base64.b64encode(data, b"-~").decode()


def unb64(text):
    """Bytes of a padded text in I2P's alphabet; ValueError for anything else."""
    if not ALPHABET.fullmatch(text) or len(text) % 4:
        raise ValueError(f"not I2P base64, {len(text)} characters")
    try:
        return base64.b64decode(text, b"-~")
    except binascii.Error as e:
        raise ValueError(str(e)) from None


def b32(destination):
    """The short name of a destination, given as bytes."""
    return base64.b32encode(hashlib.sha256(destination).digest()).decode().lower().rstrip("=") + ".b32.i2p"


def destination_size(data):
    """Length of the destination at the start of `data`: 384 bytes and a certificate."""
    if len(data) < 387:
        raise ValueError(f"{len(data)} bytes are too few for a destination")
    return 387 + int.from_bytes(data[385:387], "big")


def split_private(data):
    """(destination, encryption key, signing key) of a private key without an offline section."""
    size = destination_size(data)
    return data[:size], data[size:size + 256], data[size + 256:]


def signature_type(destination):
    """The signature type that its certificate names."""
    if destination[384] == 0:
        return 0
    if destination[384] != 5:
        raise ValueError(f"certificate of type {destination[384]}")
    return int.from_bytes(destination[387:389], "big")


def b33(destination, secret=False, per_client=False):
    """The name of an encrypted lease set of this destination (type 7 or 11)."""
    kind = signature_type(destination)
    key = destination[352:384]
    flags = (2 if secret else 0) | (4 if per_client else 0)
    data = bytearray(bytes([flags, kind, 11]) + key)
    check = zlib.crc32(bytes(data[3:]))
    for i in range(3):
        data[i] ^= check >> (8 * i) & 0xFF
    return base64.b32encode(bytes(data)).decode().lower().rstrip("=") + ".b32.i2p"


# --- Ed25519 ---------------------------------------------------------------------------------------------------------

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
_BASE_Y = 4 * pow(5, P - 2, P) % P


def _recover_x(y, odd):
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    return P - x if x & 1 != odd else x


_X = _recover_x(_BASE_Y, 0)
BASE = (_X, _BASE_Y, 1, _X * _BASE_Y % P)


def _add(p, q):
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _multiply(scalar, point):
    out = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            out = _add(out, point)
        point = _add(point, point)
        scalar >>= 1
    return out


def _compress(point):
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _expand(seed):
    digest = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little") & (1 << 254) - 8 | 1 << 254
    return scalar, digest[32:]


def public_of(seed):
    """Public Ed25519 key of a 32-byte seed."""
    return _compress(_multiply(_expand(seed)[0], BASE))


def sign(seed, message):
    scalar, prefix = _expand(seed)
    public = _compress(_multiply(scalar, BASE))
    nonce = int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % ORDER
    point = _compress(_multiply(nonce, BASE))
    challenge = int.from_bytes(hashlib.sha512(point + public + message).digest(), "little") % ORDER
    return point + ((nonce + challenge * scalar) % ORDER).to_bytes(32, "little")


# --- keys made here --------------------------------------------------------------------------------------------------

class Key:
    """A new Ed25519 destination with its private parts."""

    def __init__(self, kind=7):
        self.seed = os.urandom(32)
        block = os.urandom(32)
        certificate = bytes([5, 0, 4, 0, kind, 0, 0])
        self.destination = block * 11 + public_of(self.seed) + certificate
        self.encryption = bytes(256)

    @property
    def public(self):
        return b64(self.destination)

    @property
    def private_bytes(self):
        return self.destination + self.encryption + self.seed

    @property
    def private(self):
        return b64(self.private_bytes)

    @property
    def b32(self):
        return b32(self.destination)

    def offline(self, seconds=86400, spoiled=False):
        """A private key whose signing key stays at home: a transient key signs until it expires."""
        transient = os.urandom(32)
        expires = int(time.time()) + seconds
        signed = expires.to_bytes(4, "big") + (7).to_bytes(2, "big") + public_of(transient)
        signature = bytearray(sign(self.seed, signed))
        if spoiled:
            signature[5] ^= 1
        return b64(self.destination + self.encryption + bytes(32) + signed + bytes(signature) + transient)
