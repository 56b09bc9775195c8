# SPDX-License-Identifier: MIT
"""Section 1: sockets, lines, words, quotes, and what happens to lines that are wrong."""
import time

import keys
from client import Fail, Reply
from runner import SHOULD, rule

HELLO = "HELLO VERSION MIN=3.1 MAX=3.1"
DEST = "DEST GENERATE SIGNATURE_TYPE=7"


def dest_line(conn, line=DEST):
    """The connection still works: DEST GENERATE is the one command that every server has and that needs nothing."""
    text = conn.ask(line) if line else conn.line()
    if not text.startswith("DEST REPLY PUB="):
        raise Fail("expected DEST REPLY PUB=..")
    return text


def seven(conn, line):
    """DEST GENERATE, however it is written, gives a key of type 7: the option was understood."""
    kind = keys.signature_type(keys.unb64(Reply(dest_line(conn, line))["PUB"]))
    if kind != 7:
        raise Fail(f"expected a key of type 7, got type {kind}")


def error_line(conn, domain):
    """Expects `<DOMAIN> STATUS|REPLY RESULT=I2P_ERROR MESSAGE=..`."""
    reply = Reply(conn.line())
    if reply.domain != domain or reply.result != "I2P_ERROR" or not reply.get("MESSAGE"):
        raise Fail(f'expected {domain} STATUS RESULT=I2P_ERROR MESSAGE=".."')


def refused(t, line, domain, version=None):
    """The line is answered with an error of this domain, and the server closes."""
    c = t.hello(version)
    c.raw(line if isinstance(line, bytes) else line.encode() + b"\n")
    error_line(c, domain)
    c.gone()


@rule("line.tcp", "T1")
def _(t):
    """Every client begins with a TCP connection and speaks first."""
    c = t.open()
    if Reply(c.ask(HELLO + t.auth)).result != "OK":
        raise Fail("expected RESULT=OK")


@rule("line.no-banner", "T1")
def _(t):
    """A greeting before the client's first line would be taken for the reply to HELLO."""
    c = t.open()
    c.quiet(1)
    c.want(HELLO + t.auth, "OK")


@rule("line.byte-by-byte", "T2")
def _(t):
    """A line may come in any number of segments; telnet in character mode and slow links send single bytes."""
    c = t.open()
    for byte in (HELLO + t.auth + "\n" + DEST + "\n").encode():
        c.push(bytes([byte]))
        time.sleep(0.002)
    c.journal(c.name, ">", f"(byte by byte) {HELLO}\\n{DEST}\\n")
    c.check(Reply(c.line()), "OK")
    dest_line(c, None)


@rule("line.split", "T2")
def _(t):
    """i2pd took a half-arrived line for the whole and failed it; TCP gives no promise about segments."""
    c = t.open()
    for part in (HELLO[:9], HELLO[9:] + t.auth + "\nDEST GENE", "RATE SIGNATURE_TYPE=7", "\n"):
        c.raw(part)
        time.sleep(0.15)
    c.check(Reply(c.line()), "OK")
    dest_line(c, None)


@rule("line.pipelined", "T2")
def _(t):
    """Lines that come together are all answered, in order; servers that drop the rest leave the client waiting."""
    c = t.open()
    c.raw(f"{HELLO}{t.auth}\n{DEST}\nDEST GENERATE SIGNATURE_TYPE=1\n{DEST}\n")
    c.check(Reply(c.line()), "OK")
    kinds = [keys.signature_type(keys.unb64(Reply(dest_line(c, None))["PUB"])) for _ in range(3)]
    if kinds != [7, 1, 7]:
        raise Fail(f"expected keys of types 7, 1, 7 in this order, got {kinds}")


@rule("line.pipelined-session", "T2")
def _(t):
    """HELLO, SESSION CREATE and a look-up in one segment: the look-up waits for the session and then finds it."""
    c = t.open()
    c.raw(f"{HELLO}{t.auth}\nSESSION CREATE STYLE=STREAM ID={t.id()} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 "
          f"{t.options.session_options}\nNAMING LOOKUP NAME=ME\n")
    c.check(Reply(c.line()), "OK")
    c.check(Reply(c.line(t.patience)), "OK")
    c.check(Reply(c.line()), "OK")


@rule("line.lf-only", "T3")
def _(t):
    """Clients compare whole lines with their LF, so a CR must not stand before it."""
    c = t.open()
    for line in (HELLO + t.auth, DEST, "NAMING LOOKUP NAME=a.b.invalid.b32.i2p"):
        if c.ask(line).endswith("\r"):
            raise Fail("expected LF alone at the line's end, got CR LF")


@rule("line.one-write", "T3")
def _(t):
    """go-sam-go, i2psam and diva read once per reply: a reply in two pieces is half a reply to them."""
    c = t.open()
    c.ask(HELLO + t.auth)
    for _ in range(30):
        dest_line(c)
        if c.parts > 1:
            raise Fail(f"expected a reply in one piece, it came in {c.parts}")


@rule("line.nodelay", "T3", SHOULD)
def _(t):
    """Without TCP_NODELAY small replies wait 40 ms for the other side's acknowledgement."""
    c = t.open()
    c.ask(HELLO + t.auth)
    spans = []
    for _ in range(15):
        start = time.monotonic()
        c.push(DEST.encode() + b"\n")
        c.push(DEST.encode() + b"\n")
        dest_line(c, None)
        dest_line(c, None)
        spans.append(time.monotonic() - start)
    median = sorted(spans)[7]
    t.note(f"two replies in {median * 1000:.1f} ms")
    if median > 0.035:
        raise Fail(f"expected two pipelined replies in under 35 ms, the median was {median * 1000:.0f} ms")


@rule("line.long", "T4")
def _(t):
    """Java takes lines of 8192 bytes; keys, options and quoted texts may fill them."""
    c = t.hello()
    seven(c, DEST + " X=" + "y" * 8000)


def _endless(t, c, domain):
    """Sends a line without end until the server ends it."""
    try:
        for _ in range(64):
            c.push(b"A" * 16384)
            if c._more(time.monotonic() + 0.01) is not None:
                break
    except Fail:
        pass
    c.journal(c.name, ">", "(up to 1 MiB without LF)")
    line = c.line()
    if Reply(line).result != "I2P_ERROR":
        raise Fail('expected RESULT=I2P_ERROR MESSAGE="line too long" and a close')
    try:
        c.gone()
    except Fail:
        if not c.ended:
            raise


@rule("line.too-long", "T4", danger=True)
def _(t):
    """A line without end must not fill the server's memory: an error and a close, after 16 KiB or a little more."""
    c = t.hello()
    c.push(b"NAMING LOOKUP NAME=")
    _endless(t, c, "NAMING")


@rule("line.too-long-first", "T4", danger=True)
def _(t):
    """The same before HELLO, where anybody can try it."""
    c = t.open()
    c.push(b"HELLO VERSION X=")
    _endless(t, c, "HELLO")


@rule("line.blank", "T5")
def _(t):
    """People at telnet press return; programs end blocks with an empty line."""
    c = t.open()
    c.raw(f"\n\r\n{HELLO}{t.auth}\n\n\r\n  \n{DEST}\n")
    c.check(Reply(c.line()), "OK")
    dest_line(c, None)


@rule("line.double-blank", "T5")
def _(t):
    """libsam3 writes two blanks where an option is empty, also between the first two words' ends."""
    c = t.open()
    c.want(f"HELLO  VERSION  MIN=3.1   MAX=3.1{t.auth}", "OK")
    seven(c, "DEST  GENERATE  SIGNATURE_TYPE=7")


@rule("line.trailing-blank", "T5")
def _(t):
    """i2plib, yosemite and the Go libraries end lines with a blank."""
    c = t.open()
    c.want(HELLO + t.auth + " ", "OK")
    seven(c, DEST + "  ")


@rule("line.leading-blank", "T5", SHOULD)
def _(t):
    """A line pasted into telnet often begins with blanks."""
    c = t.open()
    c.want("  " + HELLO + t.auth, "OK")
    seven(c, " \t" + DEST)


@rule("line.tab", "T5")
def _(t):
    """Tabs separate words as blanks do."""
    c = t.open()
    c.want(HELLO.replace(" ", "\t") + t.auth, "OK")
    seven(c, "DEST\tGENERATE\t SIGNATURE_TYPE=7\t")


@rule("line.crlf", "T2")
def _(t):
    """telnet and Windows programs end lines with CR LF; the CR is no part of the last value."""
    c = t.open()
    c.raw(HELLO + t.auth + "\r\n")
    c.check(Reply(c.line()), "OK")
    c.raw(DEST + "\r\n")
    if keys.signature_type(keys.unb64(Reply(dest_line(c, None))["PUB"])) != 7:
        raise Fail("expected a key of type 7")


@rule("line.case-words", "T6", SHOULD)
def _(t):
    """Java takes the two words of a command in any case, and people type them in lower case."""
    c = t.open()
    c.want("hello version MIN=3.1 MAX=3.1" + t.auth, "OK")
    seven(c, "Dest generate SIGNATURE_TYPE=7")


@rule("line.case-keys", "T6")
def _(t):
    """Keys are case-sensitive: `name=` is an unknown key, so the look-up has no NAME."""
    c = t.hello()
    reply = c.reply("NAMING LOOKUP name=ME")
    if reply.result == "OK" or reply.result == "KEY_NOT_FOUND":
        raise Fail("expected an error for a missing NAME")


@rule("line.key-order", "T6")
def _(t):
    """Programs that keep options in a hash table send them in any order."""
    c = t.open()
    c.want(f"HELLO VERSION MAX=3.1{t.auth} MIN=3.1", "OK")
    name = t.id()
    c.want(f"SESSION CREATE {t.options.session_options} SIGNATURE_TYPE=7 DESTINATION=TRANSIENT ID={name} STYLE=STREAM", "OK", t.patience)


@rule("line.quotes", "T7")
def _(t):
    """Values may stand in quotes; Java clients quote freely."""
    c = t.open()
    c.want(f'HELLO VERSION MIN="3.1" MAX="3.1"{t.auth}', "OK")
    seven(c, 'DEST GENERATE SIGNATURE_TYPE="7"')


@rule("line.quoted-blank", "T7")
def _(t):
    """Blanks and = inside quotes belong to the value; taken apart they become other keys."""
    c = t.hello()
    seven(c, 'DEST GENERATE X="a b SIGNATURE_TYPE=99 c" SIGNATURE_TYPE=7')


@rule("line.escape", "T7")
def _(t):
    r"""`\x` means x, inside quotes and outside, so that a password may hold a quote."""
    c = t.hello()
    seven(c, 'DEST GENERATE SIGNATURE_TYPE=\\7')
    seven(c, 'DEST GENERATE X="a \\" SIGNATURE_TYPE=99 \\\\" SIGNATURE_TYPE="\\7"')


@rule("line.later-equals", "T7")
def _(t):
    """Only the first = splits: base64 ends in ==, unquoted."""
    c = t.session().conn
    public = Reply(dest_line(c))["PUB"]
    if not public.endswith("=="):
        raise Fail("expected a key that ends in ==")
    reply = c.want(f"NAMING LOOKUP NAME={public}", "OK", t.patience)
    if reply["VALUE"] != public:
        raise Fail("expected the same destination back")


@rule("line.bare-key", "T8")
def _(t):
    """A key without a value is true, as in Java: `SILENT` makes ACCEPT silent."""
    a = t.session()
    c = t.hello()
    c.send(f"STREAM ACCEPT ID={a.id} SILENT")
    c.quiet(0.7)


@rule("line.empty-boolean", "T8")
def _(t):
    """`SILENT=` is empty and not true."""
    a = t.session()
    t.hello().want(f"STREAM ACCEPT ID={a.id} SILENT=", "OK")


@rule("line.garbage-boolean", "T8")
def _(t):
    """libsam3 sends whatever its memory held behind SILENT=; anything but the word true is false."""
    a = t.session()
    for value in ("@Qx7", "truely", "1"):
        c = t.hello()
        c.want(f"STREAM ACCEPT ID={a.id} SILENT={value}", "OK")
        c.close()


@rule("line.true-any-case", "T8", SHOULD)
def _(t):
    """Python clients print True."""
    a = t.session()
    c = t.hello()
    c.send(f"STREAM ACCEPT ID={a.id} SILENT=True")
    c.quiet(0.7)


@rule("line.unknown-key", "T9")
def _(t):
    """Keys of later versions, and XD's PORT= on STREAM CONNECT, must not make a command fail."""
    c = t.open()
    c.want(f"HELLO VERSION FOO=bar MIN=3.1 MAX=3.1{t.auth} X.y=1", "OK")
    seven(c, "DEST GENERATE FOO=bar SIGNATURE_TYPE=7 BARE")


@rule("line.duplicate-key", "T10")
def _(t):
    """Which of two values counts is a guess; Java refuses to guess."""
    refused(t, "DEST GENERATE SIGNATURE_TYPE=7 SIGNATURE_TYPE=1", "DEST")


@rule("line.open-quote", "T10")
def _(t):
    """An unterminated quote would swallow the rest of the line."""
    refused(t, 'NAMING LOOKUP NAME="ME', "NAMING")


@rule("line.open-escape", "T10")
def _(t):
    """A backslash at the end escapes nothing."""
    refused(t, "NAMING LOOKUP NAME=ME\\", "NAMING")


@rule("line.empty-key", "T10")
def _(t):
    """`=7` has no key; taking it for something would hide a mistake."""
    refused(t, "DEST GENERATE =7", "DEST")


@rule("line.utf8", "T11")
def _(t):
    """Lines are UTF-8; a nickname may have any letters."""
    c = t.hello()
    seven(c, "DEST GENERATE X=\u00e4\u00f6\u4e2d SIGNATURE_TYPE=7")


@rule("line.bad-utf8", "T11")
def _(t):
    """Bytes that are no UTF-8 are answered with an error, not with a crash."""
    c = t.hello()
    c.raw(b"NAMING LOOKUP NAME=\xff\xfe\x80.i2p\n")
    reply = Reply(c.line())
    if reply.result in (None, "OK"):
        raise Fail("expected an error reply")
    dest_line(t.hello())


@rule("line.control-bytes", "T11")
def _(t):
    """NUL and control bytes come back neither raw nor as a terminal's commands."""
    c = t.hello()
    c.raw(b"NAMING LOOKUP NAME=a\x00b\x1b[2J\x07c.i2p\n")
    line = c.line()
    if any(ord(x) < 32 or ord(x) == 127 for x in line):
        raise Fail("expected no control bytes in the reply")
    if Reply(line).result in (None, "OK"):
        raise Fail("expected an error reply")


@rule("line.unknown-command", "T14")
def _(t):
    """A closed socket tells a person at telnet nothing (the commonest complaint about i2pd's SAM)."""
    c = t.hello()
    c.send("FOO BAR")
    error_line(c, "FOO")
    dest_line(c)


@rule("line.unknown-opcode", "T14")
def _(t):
    """The same for a known first word with an unknown second."""
    c = t.hello()
    for line in ("NAMING FIND NAME=x", "STREAM OPEN ID=x", "SESSION DESTROY ID=x", "DEST MAKE"):
        c.send(line)
        error_line(c, line.split()[0])
    dest_line(c)


@rule("line.junk", "T14")
def _(t):
    """A browser or a port scanner sends line after line of nonsense; after eight it is let go."""
    c = t.hello()
    c.raw("".join(f"JUNK{i} x\n" for i in range(20)))
    for _ in range(8):
        c.line()
    c.rest = b""
    end = time.monotonic() + t.timeout
    while not c.ended:
        if c._more(end) is None:
            raise Fail("expected a close after eight unknown commands in a row")


@rule("line.no-opcode", "T15")
def _(t):
    """A command word alone gets an answer that says what is missing, and the socket stays."""
    c = t.hello()
    for word in ("NAMING", "STREAM", "SESSION", "DEST"):
        c.send(word)
        error_line(c, word)
    dest_line(c)


@rule("line.half-close", "T16")
def _(t):
    """`printf .. | nc` ends its direction at once and still wants the replies."""
    c = t.open()
    c.raw(f"{HELLO}{t.auth}\n{DEST}\n")
    c.shut()
    c.check(Reply(c.line()), "OK")
    dest_line(c, None)
    c.gone()


@rule("line.nul-storm", "T11", danger=True)
def _(t):
    """Binary rubbish on the port, as from a TLS client or a scanner, leaves the server standing."""
    for blob in (bytes(300), bytes(range(256)) * 4, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), b"\n" * 3000,
                 b" \n\t\n" * 500, b"\xff\xfb\x1f" * 100 + b"\n", b"HELLO VERSION " + b'"' * 999 + b"\n"):
        c = t.open()
        try:
            c.push(blob)
            c.shut()
            c._more(time.monotonic() + 0.3)
        except Fail:
            pass
        c.close()
    t.hello()
