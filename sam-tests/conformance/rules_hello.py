# SPDX-License-Identifier: MIT
"""Section 2: HELLO."""
import time

from client import Fail, Reply
from rules_line import dest_line
from runner import SHOULD, rule


def says(t, words, version):
    """HELLO VERSION with these words is answered with exactly this version."""
    c = t.open()
    line = c.ask(f"HELLO VERSION{' ' if words else ''}{words}{t.auth}")
    if line != f"HELLO REPLY RESULT=OK VERSION={version}":
        raise Fail(f"expected HELLO REPLY RESULT=OK VERSION={version}")
    return c


def no_version(t, words):
    c = t.open()
    if c.ask(f"HELLO VERSION {words}{t.auth}") != "HELLO REPLY RESULT=NOVERSION":
        raise Fail("expected exactly HELLO REPLY RESULT=NOVERSION")
    c.gone()


@rule("hello.3.1", "2")
def _(t):
    """Bitcoin Core, libtorrent, qBittorrent and i2plib ask for 3.1 and nothing else."""
    says(t, "MIN=3.1 MAX=3.1", "3.1")


@rule("hello.3.0-3.1", "2")
def _(t):
    """libsam3, txi2p, i2psam and older Go libraries."""
    says(t, "MIN=3.0 MAX=3.1", "3.1")


@rule("hello.3.0", "2")
def _(t):
    """XD (2026) says MIN=3.0 MAX=3.0."""
    says(t, "MIN=3.0 MAX=3.0", "3.0")


@rule("hello.highest", "2")
def _(t):
    """The highest version not above MAX is chosen: Go clients ask for 3.1 to 3.3 and then use what 3.3 has."""
    for low, high in (("3.1", "3.3"), ("3.0", "3.2"), ("3.3", "3.3"), ("3.2", "3.2"), ("3.0", "3.3")):
        says(t, f"MIN={low} MAX={high}", high)


@rule("hello.none", "2")
def _(t):
    """yosemite and diva name no version; yosemite then expects ports in datagrams, which are there from 3.2 on."""
    says(t, "", "3.3")


@rule("hello.min-only", "2")
def _(t):
    """Without MAX there is no upper end: our highest."""
    says(t, "MIN=3.0", "3.3")
    says(t, "MIN=3.2", "3.3")


@rule("hello.max-only", "2")
def _(t):
    """Without MIN there is no lower end."""
    says(t, "MAX=3.2", "3.2")
    says(t, "MAX=3.0", "3.0")


@rule("hello.wide", "2")
def _(t):
    """npm's i2p sends MIN=2.0 MAX=4.0; a range around ours has all of ours in it."""
    says(t, "MIN=2.0 MAX=4.0", "3.3")


@rule("hello.single-digit", "2", SHOULD)
def _(t):
    """MIN=3 MAX=3 means some 3.x."""
    c = t.open()
    reply = Reply(c.ask(f"HELLO VERSION MIN=3 MAX=3{t.auth}"))
    if reply.result != "OK" or not reply["VERSION"].startswith("3."):
        raise Fail("expected RESULT=OK VERSION=3.x")


@rule("hello.noversion", "2")
def _(t):
    """go-sam-go compares the whole line; nothing stands behind NOVERSION."""
    no_version(t, "MIN=4.0 MAX=9.9")


@rule("hello.too-old", "2", SHOULD)
def _(t):
    """Versions 1 and 2 of SAM were another protocol; nobody should be led into it."""
    no_version(t, "MIN=1.0 MAX=2.9")


@rule("hello.min-above-max", "2")
def _(t):
    """A range turned around has nothing in it."""
    no_version(t, "MIN=3.3 MAX=3.1")


@rule("hello.numeric", "2")
def _(t):
    """Versions are numbers, component by component: 3.10 is above 3.3, not between 3.1 and 3.2."""
    says(t, "MIN=3.1 MAX=3.10", "3.3")
    no_version(t, "MIN=3.10 MAX=3.10")


@rule("hello.garbage", "2")
def _(t):
    """A version that is no version gets an answer other than OK, or our highest, and no crash."""
    for words in ("MIN=abc MAX=def", "MIN=3.1.1.1.1 MAX=99999999999999999999.1", "MIN=-3 MAX=3.", "MIN=. MAX=."):
        c = t.open()
        reply = Reply(c.ask(f"HELLO VERSION {words}{t.auth}"))
        if reply.domain != "HELLO" or reply.result not in ("OK", "NOVERSION", "I2P_ERROR"):
            raise Fail("expected a HELLO REPLY")


@rule("hello.first", "2")
def _(t):
    """Any other first line is answered with what is missing, then closed; a silent close explains nothing."""
    for line in ("DEST GENERATE SIGNATURE_TYPE=7", "SESSION CREATE STYLE=STREAM ID=x DESTINATION=TRANSIENT", "PONG x"):
        c = t.open()
        reply = c.reply(line)
        if (reply.domain, reply.opcode, reply.result) != ("HELLO", "REPLY", "I2P_ERROR") or not reply.get("MESSAGE"):
            raise Fail('expected HELLO REPLY RESULT=I2P_ERROR MESSAGE=".."')
        c.gone()


@rule("hello.web-page", "2", SHOULD)
def _(t):
    """A web page can make a browser post anything to a local port: no line of the body may be taken for a command."""
    c = t.open()
    c.raw(f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nHELLO VERSION MIN=3.1 MAX=3.1{t.auth}\nDEST GENERATE SIGNATURE_TYPE=7\n")
    try:
        got = c.until_end()
    except Fail:
        got = c.rest
    if b"RESULT=OK" in got or b"DEST REPLY" in got:
        c.journal(c.name, "<", got)
        raise Fail("expected a close after the first line")


@rule("hello.again", "2")
def _(t):
    """A second HELLO is a mistake that need not cost the session."""
    c = t.hello("3.1")
    reply = c.reply("HELLO VERSION MIN=3.1 MAX=3.1")
    if (reply.domain, reply.result) != ("HELLO", "I2P_ERROR"):
        raise Fail("expected HELLO REPLY RESULT=I2P_ERROR")
    dest_line(c)


@rule("hello.auth-ignored", "2")
def _(t):
    """With AUTH off, USER and PASSWORD mean nothing: clients send them from their settings."""
    if t.options.auth:
        c = t.open()
        c.want(f"HELLO VERSION MIN=3.1 MAX=3.1{t.auth}", "OK")
        return
    c = t.open()
    c.want('HELLO VERSION MIN=3.1 MAX=3.1 USER="nobody here" PASSWORD="wrong"', "OK")


@rule("hello.timeout", "2", slow=True)
def _(t):
    """A connection without HELLO is closed after about a minute, with a line that says so; 10 s is too short to type."""
    c = t.open()
    start = time.monotonic()
    reply = Reply(c.line(90))
    seconds = time.monotonic() - start
    if (reply.domain, reply.result) != ("HELLO", "I2P_ERROR"):
        raise Fail("expected HELLO REPLY RESULT=I2P_ERROR with a timeout message")
    if not 45 <= seconds <= 75:
        raise Fail(f"expected it after 60 s, it came after {seconds:.0f}")
    c.gone()


@rule("hello.command-timeout", "2", slow=True)
def _(t):
    """After HELLO at 3.1 the first command must come within a minute; then an error line and a close."""
    c = t.hello("3.1")
    start = time.monotonic()
    reply = Reply(c.line(90))
    seconds = time.monotonic() - start
    if (reply.domain, reply.result) != ("SESSION", "I2P_ERROR"):
        raise Fail("expected SESSION STATUS RESULT=I2P_ERROR with a timeout message")
    if not 45 <= seconds <= 75:
        raise Fail(f"expected it after 60 s, it came after {seconds:.0f}")
    c.gone()


@rule("hello.telnet-patience", "10", slow=True)
def _(t):
    """On a 3.2 or 3.3 socket a person has five minutes for the next command."""
    t.need("3.2")
    c = t.hello()
    c.quiet(75)
    dest_line(c)


@rule("hello.session-idle", "2", slow=True)
def _(t):
    """A socket that owns a session waits for the next command for ever: most clients never send one."""
    c = t.create(version="3.1").conn
    c.quiet(80)
    c.want("NAMING LOOKUP NAME=ME", "OK")


@rule("hello.version-is-the-sockets", "2")
def _(t):
    """Each socket has the version of its own HELLO: a 3.1 ACCEPT on a 3.3 session gets a line without ports."""
    t.need("3.2")
    a, b = t.pair()
    for version, ports in (("3.1", False), ("3.2", True)):
        far = t.accept(a, version)
        near = t.connect(b, a.destination)
        line = far.line(t.patience)
        if (" FROM_PORT=" in line) != ports:
            raise Fail(f"expected {'ports' if ports else 'no ports'} on the destination line of a {version} socket")
        near.close()
        far.close()
