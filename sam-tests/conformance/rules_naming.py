# SPDX-License-Identifier: MIT
"""Section 3: NAMING LOOKUP."""
import re
import time

import keys
from client import Fail, Reply, Skip
from rules_line import dest_line
from runner import SHOULD, rule

# A well-formed name of a destination that nobody has.
NOBODY = "nobodyhasthisdestinationnobodyhasthisdestinationnoby"[:51] + "a.b32.i2p"


def found(conn, name, timeout):
    """A look-up that succeeds, in exactly the form that XD reads; returns the destination's text."""
    line = conn.ask(f"NAMING LOOKUP NAME={name}", timeout)
    match = re.fullmatch(r"NAMING REPLY RESULT=OK NAME=(\S+) VALUE=([A-Za-z0-9~=-]+)", line)
    if not match:
        raise Fail("expected exactly NAMING REPLY RESULT=OK NAME=.. VALUE=..")
    if match[1] != name:
        raise Fail(f"expected NAME={name} verbatim")
    return match[2]


def not_found(t, name, result, timeout=None):
    reply = t.hello().want(f"NAMING LOOKUP NAME={name}", result, timeout)
    if reply.get("VALUE"):
        raise Fail("expected no VALUE with an error")
    return reply


@rule("naming.me", "3")
def _(t):
    """libtorrent, libsam3, XD and npm's i2p ask for ME right after SESSION CREATE."""
    a = t.session()
    if found(a.conn, "ME", t.timeout) != a.destination:
        raise Fail("expected the public part of the session's key")


@rule("naming.me-no-session", "3", danger=True)
def _(t):
    """Without a session there is no ME; i2pd hands out a destination shared by others."""
    not_found(t, "ME", "KEY_NOT_FOUND")


@rule("naming.me-stream-socket", "3", danger=True)
def _(t):
    """ME belongs to the control socket that owns the session, not to other sockets of the same program."""
    t.session()
    not_found(t, "ME", "KEY_NOT_FOUND")


@rule("naming.full", "3", danger=True)
def _(t):
    """A full destination is its own answer, at once; i2pd 2.45.1 without a shared destination dies of it."""
    key = keys.Key()
    start = time.monotonic()
    if found(t.hello(), key.public, t.timeout) != key.public:
        raise Fail("expected the same destination")
    if time.monotonic() - start > 2:
        raise Fail("expected the answer at once, without the network")


@rule("naming.full-i2p", "15")
def _(t):
    """libtorrent 2.1 asks for `<base64>.i2p` when a tracker gives a long-form peer."""
    key = keys.Key()
    a = t.session()
    if found(a.conn, key.public + ".i2p", t.timeout) != key.public:
        raise Fail("expected the destination without .i2p")


@rule("naming.full-bad", "3")
def _(t):
    """Base64 that is no destination is INVALID_KEY: a wrong letter, a cut, a byte too many, another alphabet."""
    a = t.session()
    public = keys.Key().public
    for name in (public[:-8], public[:200] + "!" + public[201:], keys.b64(keys.unb64(public) + b"x"), "+/" + public[2:]):
        a.conn.want(f"NAMING LOOKUP NAME={name}", "INVALID_KEY")


@rule("naming.b32-own", "3")
def _(t):
    """A session's own b32 is known without the network."""
    a = t.session()
    if found(a.conn, a.b32, t.patience) != a.destination:
        raise Fail("expected the session's destination")


@rule("naming.b32", "3")
def _(t):
    """The b32 of a session on another router, as for every peer of bitcoin and libtorrent."""
    a, b = t.pair()
    if found(a.conn, b.b32, t.patience) != b.destination:
        raise Fail("expected the destination of that session")


@rule("naming.b32-case", "3")
def _(t):
    """Host names have no case."""
    a, b = t.pair()
    for name in (b.b32.upper(), b.b32.title()):
        if found(a.conn, name, t.patience) != b.destination:
            raise Fail("expected the destination of that session")


@rule("naming.b32-no-session", "3", danger=True)
def _(t):
    """Bitcoin Core looks up on a fresh socket that will carry the stream; there need be no session at all on it."""
    _, b = t.pair()
    if found(t.hello(), b.b32, t.patience) != b.destination:
        raise Fail("expected the destination of that session")


@rule("naming.cached", "3", SHOULD)
def _(t):
    """libtorrent looks its tracker up at every announce: the second answer comes from a cache."""
    a, b = t.pair()
    found(a.conn, b.b32, t.patience)
    start = time.monotonic()
    found(a.conn, b.b32, t.patience)
    if time.monotonic() - start > 1:
        raise Fail("expected the second answer within a second")


@rule("naming.unknown-host", "3")
def _(t):
    """A host name in no address book: KEY_NOT_FOUND with the name, so that a client can tell it from a mistake."""
    a = t.session()
    reply = a.conn.want("NAMING LOOKUP NAME=nosuch-host.i2p", "KEY_NOT_FOUND", t.patience)
    if reply["NAME"] != "nosuch-host.i2p":
        raise Fail("expected the name as it was sent")


@rule("naming.no-lease-set", "3")
def _(t):
    """A b32 that nobody publishes: KEY_NOT_FOUND within 30 s, the limit of one look-up."""
    a = t.session()
    start = time.monotonic()
    a.conn.want(f"NAMING LOOKUP NAME={NOBODY}", "KEY_NOT_FOUND", 60)
    seconds = time.monotonic() - start
    t.note(f"after {seconds:.1f} s")
    if seconds > 31:
        raise Fail(f"expected an answer within 30 s, it took {seconds:.0f}")


@rule("naming.malformed-b32", "3")
def _(t):
    """A b32 of the wrong length or with a wrong letter is INVALID_KEY at once; i2pd asks the network for 10 s."""
    a = t.session()
    for name in ("abc.b32.i2p", "1" * 52 + ".b32.i2p", "a" * 53 + ".b32.i2p"):
        start = time.monotonic()
        reply = a.conn.want(f"NAMING LOOKUP NAME={name}", "INVALID_KEY", 40)
        if reply["NAME"] != name:
            raise Fail(f"expected NAME={name} verbatim")
        if time.monotonic() - start > 2:
            raise Fail("expected the answer at once")


@rule("naming.no-name", "3")
def _(t):
    """NAME missing or empty: an error with a MESSAGE and without an empty NAME=, at which libtorrent stumbles."""
    for line in ("NAMING LOOKUP", "NAMING LOOKUP NAME="):
        c = t.hello()
        reply = c.want(line, {"INVALID_KEY", "I2P_ERROR"})
        if reply.get("NAME") == "" or not reply.get("MESSAGE"):
            raise Fail('expected RESULT=INVALID_KEY MESSAGE=".." and no NAME=')


@rule("naming.order", "8")
def _(t):
    """Replies keep the order of the commands, even when the first one needs the network and the second does not."""
    a = t.session()
    a.conn.raw(f"NAMING LOOKUP NAME={NOBODY[:50]}ba.b32.i2p\nNAMING LOOKUP NAME=ME\n")
    first, second = Reply(a.conn.line(60)), Reply(a.conn.line(5))
    if first.result == "OK" or second.get("NAME") != "ME":
        raise Fail("expected the answers in the order of the commands")


@rule("naming.no-blocking", "8")
def _(t):
    """A slow look-up holds up its own socket only."""
    a = t.session()
    a.conn.send(f"NAMING LOOKUP NAME={NOBODY[:50]}ca.b32.i2p")
    start = time.monotonic()
    dest_line(t.hello())
    if time.monotonic() - start > 2:
        raise Fail("expected other sockets to be served meanwhile")
    a.conn.line(60)


@rule("naming.many", "3", SHOULD)
def _(t):
    """Look-ups of different sockets run side by side: ten unknown names take no longer than one."""
    conns = [t.hello() for _ in range(10)]
    t.session()
    start = time.monotonic()
    for i, c in enumerate(conns):
        c.send(f"NAMING LOOKUP NAME={NOBODY[:49]}{'abcdefghij'[i]}da.b32.i2p")
    for c in conns:
        c.line(120)
    seconds = time.monotonic() - start
    if seconds > 35:
        raise Fail(f"expected ten look-ups within 35 s, they took {seconds:.0f}")


@rule("naming.host", "3")
def _(t):
    """Host names come out of the server's address book."""
    if not t.options.host_name:
        raise Skip("give --host-name NAME of a host that the server knows")
    keys.unb64(found(t.hello(), t.options.host_name, t.patience))


@rule("naming.options-none", "3", SHOULD)
def _(t):
    """OPTIONS=true on a lease set without options gives the plain reply; go-sam-go always asks so."""
    a, b = t.pair()
    reply = a.conn.want(f"NAMING LOOKUP NAME={b.b32} OPTIONS=true", "OK", t.patience)
    if reply["VALUE"] != b.destination:
        raise Fail("expected the destination of that session")


@rule("naming.options", "3", SHOULD)
def _(t):
    """OPTIONS=true shows the options in the lease set, after VALUE, each as OPTION:key="value"."""
    b = t.create(where=t.far, options="i2cp.leaseSetOption.0=_smtp._tcp=1,86400,0,0,25,example i2cp.leaseSetOption.1=colour=blue".replace(
        "0=_smtp._tcp=1,86400,0,0,25,example", '0="_smtp._tcp=1 86400 0 0 25 example"'))
    a = t.session()
    line = a.conn.ask(f"NAMING LOOKUP NAME={b.b32} OPTIONS=true", t.patience)
    match = re.fullmatch(r'NAMING REPLY RESULT=OK NAME=\S+ VALUE=[A-Za-z0-9~=-]+((?: OPTION:[^ =]+="[^"]*")*)', line)
    if not match:
        raise Fail('expected NAMING REPLY RESULT=OK NAME=.. VALUE=..[ OPTION:key="value"]*')
    if 'OPTION:colour="blue"' not in match[1]:
        raise Fail('expected OPTION:colour="blue" out of i2cp.leaseSetOption.1')
    plain = a.conn.ask(f"NAMING LOOKUP NAME={b.b32}", t.patience)
    if "OPTION:" in plain:
        raise Fail("expected no options without OPTIONS=true")


@rule("naming.options-not-found", "3", SHOULD)
def _(t):
    """With OPTIONS=true a missing lease set has a code of its own."""
    a = t.session()
    name = NOBODY[:50] + "ea.b32.i2p"
    line = a.conn.ask(f"NAMING LOOKUP NAME={name} OPTIONS=true", 60)
    reply = Reply(line)
    a.conn.check(reply, "LEASESET_NOT_FOUND")
    if reply["NAME"] != name:
        raise Fail(f"expected NAME={name}")


@rule("naming.options-full", "3", SHOULD)
def _(t):
    """With OPTIONS=true a full destination is looked up too, since the options are in its lease set."""
    a, b = t.pair()
    a.conn.want(f"NAMING LOOKUP NAME={b.destination} OPTIONS=true", "OK", t.patience)
    a.conn.want(f"NAMING LOOKUP NAME={keys.Key().public} OPTIONS=true", "LEASESET_NOT_FOUND", 60)


@rule("naming.b33", "3", SHOULD)
def _(t):
    """The long name of an encrypted lease set is looked up by its blinded key and opened with it."""
    b = t.create(where=t.far, options="i2cp.leaseSetType=5")
    a = t.session()
    if found(a.conn, keys.b33(b.bytes), t.patience) != b.destination:
        raise Fail("expected the destination behind the name")


@rule("naming.b33-bad", "3", SHOULD)
def _(t):
    """A long name with a wrong check sum is INVALID_KEY at once."""
    a = t.session()
    name = keys.b33(keys.Key().destination)
    wrong = ("b" if name[0] == "a" else "a") + name[1:]
    start = time.monotonic()
    a.conn.want(f"NAMING LOOKUP NAME={wrong}", "INVALID_KEY", 60)
    if time.monotonic() - start > 2:
        raise Fail("expected the answer at once")
