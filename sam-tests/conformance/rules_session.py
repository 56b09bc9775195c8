# SPDX-License-Identifier: MIT
"""Section 4: SESSION CREATE, its options, its errors."""
import re
import time

import keys
from client import Fail, Reply
from rules_line import dest_line
from runner import SHOULD, rule


def create(t, conn, words, timeout=None):
    """SESSION CREATE with exactly these words."""
    return conn.reply("SESSION CREATE " + words, timeout or t.patience)


def base(t):
    return "DESTINATION=TRANSIENT SIGNATURE_TYPE=7 " + t.options.session_options


def long(t):
    """The same with tunnels of three hops, which take their time to build."""
    return "DESTINATION=TRANSIENT SIGNATURE_TYPE=7 inbound.length=3 outbound.length=3 i2cp.leaseSetEncType=4"


def refused(t, words, result="I2P_ERROR", conn=None):
    """The command fails with this result as a SESSION STATUS, the socket stays open, and nothing is registered."""
    c = conn or t.hello()
    reply = create(t, c, words)
    if (reply.domain, reply.opcode) != ("SESSION", "STATUS") or reply.result != result:
        raise Fail(f"expected SESSION STATUS RESULT={result}")
    if result == "I2P_ERROR" and not reply.get("MESSAGE"):
        raise Fail("expected a MESSAGE that says what is wrong")
    dest_line(c)
    return reply


@rule("session.ok-line", "4")
def _(t):
    """Nothing stands behind the key: go-sam-go takes all up to the LF for it."""
    c = t.hello()
    line = c.ask(f"SESSION CREATE STYLE=STREAM ID={t.id()} {base(t)}", t.patience)
    found = re.fullmatch(r"SESSION STATUS RESULT=OK DESTINATION=([A-Za-z0-9~=-]+)", line)
    if not found:
        raise Fail("expected exactly SESSION STATUS RESULT=OK DESTINATION=<private key>")
    if len(found[1]) != 908:
        raise Fail(f"expected a private key of 908 characters, got {len(found[1])}")


@rule("session.time", "8", SHOULD)
def _(t):
    """Tunnels and lease set stand within a minute; a client that waits longer gives up."""
    start = time.monotonic()
    t.create()
    seconds = time.monotonic() - start
    t.note(f"{seconds:.2f} s")
    if seconds > 60:
        raise Fail(f"expected a session within 60 s, it took {seconds:.0f}")


@rule("session.published", "4")
def _(t):
    """OK means that the lease set is published: the other router finds it at the first try."""
    a = t.create()
    t.hello(where=t.far).want(f"NAMING LOOKUP NAME={a.b32}", "OK", t.patience)


@rule("session.order", "4")
def _(t):
    """Options come in any order, DESTINATION last or first."""
    c = t.hello()
    reply = create(t, c, f"{t.options.session_options} SIGNATURE_TYPE=7 ID={t.id()} DESTINATION=TRANSIENT STYLE=STREAM")
    c.check(reply, "OK")


@rule("session.style-missing", "4")
def _(t):
    """Without STYLE nobody knows what is wanted."""
    refused(t, f"ID={t.id()} {base(t)}")


@rule("session.style-unknown", "4")
def _(t):
    """An unknown style is an error with the style in words."""
    refused(t, f"STYLE=FOO ID={t.id()} {base(t)}")


@rule("session.id-missing", "4")
def _(t):
    """i2pd makes a session with an empty name, and the next such client finds it a duplicate."""
    refused(t, f"STYLE=STREAM {base(t)}")
    refused(t, f"STYLE=STREAM ID= {base(t)}")


@rule("session.id-long", "4")
def _(t):
    """IDs have up to 255 characters: libtorrent uses 40, libsam3 64."""
    c = t.hello()
    c.check(create(t, c, f"STYLE=STREAM ID={'x' * (255 - 20) + t.id().rjust(20, 'y')} {base(t)}"), "OK")


@rule("session.id-too-long", "4", SHOULD)
def _(t):
    """256 characters are too many."""
    refused(t, f"STYLE=STREAM ID={'z' * 256} {base(t)}")


@rule("session.id-characters", "4", SHOULD)
def _(t):
    """An ID may hold anything but blanks; i2pd refuses some marks."""
    c = t.hello()
    c.check(create(t, c, f"STYLE=STREAM ID={t.id()}.a/b:c;d[e]<f>#g@h {base(t)}"), "OK")


@rule("session.destination-missing", "4")
def _(t):
    """Without DESTINATION: a missing option, not a bad key."""
    refused(t, f"STYLE=STREAM ID={t.id()} SIGNATURE_TYPE=7")


@rule("session.second", "4")
def _(t):
    """A socket owns one session; a second CREATE fails and the first lives on."""
    a = t.create()
    refused(t, f"STYLE=STREAM ID={t.id()} {base(t)}", conn=a.conn)
    if a.conn.want("NAMING LOOKUP NAME=ME", "OK")["VALUE"] != a.destination:
        raise Fail("expected the first session untouched")


@rule("session.dup-id", "4")
def _(t):
    """An ID in use: exactly DUPLICATED_ID (libtorrent makes a new ID then), the other session untouched, socket usable."""
    a = t.create()
    c = t.hello()
    if c.ask(f"SESSION CREATE STYLE=STREAM ID={a.id} {base(t)}", t.patience) != "SESSION STATUS RESULT=DUPLICATED_ID":
        raise Fail("expected exactly SESSION STATUS RESULT=DUPLICATED_ID")
    c.check(create(t, c, f"STYLE=STREAM ID={t.id()} {base(t)}"), "OK")
    a.conn.want("NAMING LOOKUP NAME=ME", "OK")


@rule("session.dup-id-other-style", "4")
def _(t):
    """IDs are one space for all styles."""
    t.style("RAW", 0)
    a = t.create()
    c = t.hello()
    if c.ask(f"SESSION CREATE STYLE=RAW ID={a.id} {base(t)}", t.patience) != "SESSION STATUS RESULT=DUPLICATED_ID":
        raise Fail("expected exactly SESSION STATUS RESULT=DUPLICATED_ID")


@rule("session.dup-id-building", "4")
def _(t):
    """The ID is taken from the moment that CREATE is read, not from OK on."""
    name = t.id()
    a, c = t.hello(), t.hello()
    a.send(f"SESSION CREATE STYLE=STREAM ID={name} {long(t)}")
    time.sleep(0.0005)
    c.send(f"SESSION CREATE STYLE=STREAM ID={name} {base(t)}")
    results = sorted([Reply(a.line(t.patience)).result, Reply(c.line(t.patience)).result])
    if results != ["DUPLICATED_ID", "OK"]:
        raise Fail(f"expected one OK and one DUPLICATED_ID, got {' and '.join(map(str, results))}")


@rule("session.dup-dest", "4")
def _(t):
    """A destination in use: exactly DUPLICATED_DEST; i2pd lets two sessions share it in silence, and each gets half."""
    a = t.create()
    c = t.hello()
    for key in (a.private, a.private.rstrip("=")):
        if c.ask(f"SESSION CREATE STYLE=STREAM ID={t.id()} DESTINATION={key} {t.options.session_options}", t.patience) != \
                "SESSION STATUS RESULT=DUPLICATED_DEST":
            raise Fail("expected exactly SESSION STATUS RESULT=DUPLICATED_DEST")
    c.check(create(t, c, f"STYLE=STREAM ID={t.id()} {base(t)}"), "OK")
    a.conn.want("NAMING LOOKUP NAME=ME", "OK")


@rule("session.dup-dest-raw-style", "4")
def _(t):
    """The same key under another style is the same destination."""
    t.style("RAW", 0)
    a = t.create()
    c = t.hello()
    reply = create(t, c, f"STYLE=RAW ID={t.id()} DESTINATION={a.private} {t.options.session_options}")
    c.check(reply, "DUPLICATED_DEST")


@rule("session.errors-leave-nothing", "4")
def _(t):
    """After an error the ID and the destination are as free as before, on the same socket."""
    c = t.hello()
    name, key = t.id(), keys.Key()
    create(t, c, f"STYLE=FOO ID={name} DESTINATION={key.private}")
    create(t, c, f"STYLE=STREAM ID={name} DESTINATION={key.private[:400]}")
    c.check(create(t, c, f"STYLE=STREAM ID={name} DESTINATION={key.private} {t.options.session_options}"), "OK")


@rule("session.stream-port-ignored", "4")
def _(t):
    """PORT and HOST are for datagrams; a STREAM session ignores them, as in Java."""
    c = t.hello()
    c.check(create(t, c, f"STYLE=STREAM ID={t.id()} PORT=9999 HOST=127.0.0.1 {base(t)}"), "OK")


@rule("session.ports-range", "4")
def _(t):
    """FROM_PORT and TO_PORT are numbers from 0 to 65535."""
    c = t.hello()
    for words in ("FROM_PORT=65536", "TO_PORT=-1", "FROM_PORT=http", "TO_PORT=99999999999999999999"):
        refused(t, f"STYLE=STREAM ID={t.id()} {words} {base(t)}", conn=c)
    c.check(create(t, c, f"STYLE=STREAM ID={t.id()} FROM_PORT=65535 TO_PORT=0 {base(t)}"), "OK")


@rule("session.udp-port-range", "4")
def _(t):
    """PORT of a datagram session is 1 to 65535."""
    t.style("RAW", 0)
    c = t.hello()
    for port in ("0", "65536", "abc", "-5"):
        refused(t, f"STYLE=RAW ID={t.id()} PORT={port} HOST=127.0.0.1 {base(t)}", conn=c)


@rule("session.raw-protocol", "4")
def _(t):
    """PROTOCOL of a RAW session is 0 to 255, but not 6, 17, 19, 20: those belong to streams and signed datagrams."""
    t.style("RAW", 0)
    c = t.hello()
    for number in ("6", "17", "19", "20", "256", "-1", "x"):
        refused(t, f"STYLE=RAW ID={t.id()} PROTOCOL={number} {base(t)}", conn=c)
    c.check(create(t, c, f"STYLE=RAW ID={t.id()} PROTOCOL=255 {base(t)}"), "OK")


@rule("session.listen-ignored", "4", SHOULD)
def _(t):
    """LISTEN_PORT and LISTEN_PROTOCOL belong to SESSION ADD and are ignored on a plain session."""
    c = t.hello()
    c.check(create(t, c, f"STYLE=STREAM ID={t.id()} LISTEN_PORT=80 LISTEN_PROTOCOL=6 {base(t)}"), "OK")


@rule("session.clamp", "4")
def _(t):
    """Tunnel options out of range are clamped, not refused: old configuration files hold all sorts of numbers."""
    c = t.hello()
    words = "inbound.length=1 outbound.length=1 inbound.quantity=99 outbound.quantity=0 inbound.lengthVariance=-9 " \
            "outbound.lengthVariance=0 inbound.backupQuantity=99 outbound.backupQuantity=-3 i2cp.leaseSetEncType=4"
    c.check(create(t, c, f"STYLE=STREAM ID={t.id()} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 {words}"), "OK")


@rule("session.options-garbage", "4", SHOULD)
def _(t):
    """Nonsense in an option falls back to its default."""
    c = t.hello()
    words = "inbound.length=two outbound.length= inbound.quantity=1e3 outbound.quantity=many inbound.allowZeroHop=perhaps"
    c.check(create(t, c, f"STYLE=STREAM ID={t.id()} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 {words}"), "OK")


@rule("session.options-unknown", "4")
def _(t):
    """Options of I2CP and streaming that a server does not have are ignored, never an error."""
    c = t.hello()
    words = "inbound.nickname=\"a test\" outbound.nickname=test i2cp.gzip=true i2cp.dontPublishLeaseSet=false i2cp.reduceOnIdle=true " \
            "i2cp.closeOnIdle=false i2p.streaming.profile=1 i2p.streaming.maxWindowSize=64 shouldBundleReplyInfo=false " \
            "clientMessageTimeout=30000 crypto.tagsToSend=40 i2cp.fastReceive=true sam.udp.host=127.0.0.1 sam.udp.port=7655 foo.bar=baz"
    c.check(create(t, c, f"STYLE=STREAM ID={t.id()} {base(t)} {words}"), "OK")


@rule("session.no-options", "4")
def _(t):
    """npm's i2p gives nothing but the three keys that are required."""
    c = t.hello()
    c.check(create(t, c, f"STYLE=STREAM ID={t.id()} DESTINATION=TRANSIENT"), "OK")


@rule("session.zero-hop", "4", SHOULD)
def _(t):
    """Length 0 is a choice that servers of public sites make; emissary refuses it."""
    c = t.hello()
    c.check(create(t, c, f"STYLE=STREAM ID={t.id()} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 inbound.length=0 outbound.length=0 "
                   "i2cp.leaseSetEncType=4"), "OK")


@rule("session.enctype-lists", "4")
def _(t):
    """Bitcoin Core asks for 4,0 and yosemite for 6,4: the known types of the list are taken, others skipped."""
    for words in ("4,0", "6,4", "4", "99,4"):
        c = t.hello()
        c.check(create(t, c, f"STYLE=STREAM ID={t.id()} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 inbound.length=1 outbound.length=1 "
                       f"i2cp.leaseSetEncType={words}"), "OK")


@rule("session.enctype-0", "4")
def _(t):
    """ElGamal alone: a session of that kind or an error in words, never a session with other keys than asked for."""
    c = t.hello()
    reply = create(t, c, f"STYLE=STREAM ID={t.id()} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 inbound.length=1 outbound.length=1 "
                   "i2cp.leaseSetEncType=0")
    c.check(reply, {"OK", "I2P_ERROR"})
    t.note("supported" if reply.result == "OK" else "refused")


@rule("session.enctype-default", "4")
def _(t):
    """The default must hold type 4: libtorrent names none, and its users could not reach ECIES-only trackers."""
    c = t.hello()
    reply = create(t, c, f"STYLE=STREAM ID={t.id()} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 inbound.length=1 outbound.length=1")
    c.check(reply, "OK")
    me = c.want("NAMING LOOKUP NAME=ME", "OK")["VALUE"]
    b = t.create(where=t.far, options="i2cp.leaseSetEncType=4", plain=True)
    t.connect(b, me, options=" SILENT=false").push(b"x")


def _type(kind):
    level = "MUST" if kind == 7 else SHOULD

    @rule(f"session.type-{kind}", "4", level)
    def _(t):
        """A transient session with this signature type, and a stream to it, which verifies its signatures."""
        a, b = t.friends(f"SIGNATURE_TYPE={kind}")
        if keys.signature_type(a.bytes) != kind:
            raise Fail(f"expected a destination of type {kind}, got {keys.signature_type(a.bytes)}")
        t.stream(b, a)


for _kind in (7, 11, 1, 2, 3):
    _type(_kind)


@rule("session.type-names", "4")
def _(t):
    """libsam3 gives the type by name."""
    a = t.create(options="SIGNATURE_TYPE=EdDSA_SHA512_Ed25519")
    if keys.signature_type(a.bytes) != 7:
        raise Fail("expected a destination of type 7")


@rule("session.type-unsupported", "4", danger=True)
def _(t):
    """A type that the server does not have is an error; i2pd 2.45.1 ends as a whole."""
    for word in ("99", "FOO", "4"):
        refused(t, f"STYLE=STREAM ID={t.id()} DESTINATION=TRANSIENT SIGNATURE_TYPE={word} {t.options.session_options}")


@rule("session.type-with-key", "4")
def _(t):
    """With a given key SIGNATURE_TYPE means nothing: yosemite, XD and libsam3 always send it."""
    key = keys.Key()
    for word in ("1", "7"):
        c = t.hello()
        reply = create(t, c, f"STYLE=STREAM ID={t.id()} DESTINATION={key.private} SIGNATURE_TYPE={word} {t.options.session_options}")
        c.check(reply, "OK")
        if reply["DESTINATION"] != key.private:
            raise Fail("expected the key back")
        c.ask("QUIT") if t.best() != "3.1" else None
        c.close()
        key = keys.Key()


@rule("session.many", "8", SHOULD)
def _(t):
    """Programs make a session for each peer (Bitcoin Core does): a dozen side by side are no trouble."""
    conns = [t.hello() for _ in range(12)]
    for c in conns:
        c.send(f"SESSION CREATE STYLE=STREAM ID={t.id()} {base(t)}")
    for c in conns:
        c.check(Reply(c.line(2 * t.patience)), "OK")
