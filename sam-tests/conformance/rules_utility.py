# SPDX-License-Identifier: MIT
"""Section 3: PING, QUIT, AUTH; section 10: HELP and people at telnet."""
from client import Fail, Reply
from rules_line import dest_line
from runner import SHOULD, rule


@rule("ping.plain", "3")
def _(t):
    """Clients of 3.2 ping to learn whether the server lives."""
    c = t.hello()
    if c.ask("PING") != "PONG":
        raise Fail("expected PONG")


@rule("ping.text", "3")
def _(t):
    """The text comes back byte for byte, inner blanks too, so that a client can match answers to questions."""
    c = t.hello()
    for text in (" 1700000000", "  x  y", " a=b \"c\" \\d", " \u00e4\u4e2d"):
        if c.ask("PING" + text) != "PONG" + text:
            raise Fail(f"expected PONG{text}")


@rule("ping.session-lives", "3")
def _(t):
    """i2pd closes the socket after PONG and kills the session with it."""
    a = t.create()
    if a.conn.ask("PING 1") != "PONG 1":
        raise Fail("expected PONG 1")
    a.conn.want("NAMING LOOKUP NAME=ME", "OK")


@rule("ping.pong", "3")
def _(t):
    """A PONG from the client, as an answer or as a mistake, is answered with nothing."""
    c = t.hello()
    c.send("PONG")
    c.send("PONG 123")
    dest_line(c)


def _quit(word):
    @rule(f"quit.{word.lower()}", "3")
    def _(t):
        """QUIT, STOP and EXIT say goodbye and close."""
        c = t.hello()
        if c.ask(word) != "QUIT STATUS RESULT=OK MESSAGE=bye":
            raise Fail("expected QUIT STATUS RESULT=OK MESSAGE=bye")
        c.gone()


for _word in ("QUIT", "STOP", "EXIT"):
    _quit(_word)


@rule("quit.ends-session", "3")
def _(t):
    """QUIT on the control socket ends the session; its ID is free afterwards."""
    a = t.create()
    a.conn.ask("QUIT")
    a.conn.gone()
    t.create(id=a.id)


# --- HELP ------------------------------------------------------------------------------------------------------------

def help_text(conn, line):
    """Lines of a HELP reply without its first."""
    first = conn.ask(line)
    if first != "HELP REPLY RESULT=OK":
        raise Fail("expected HELP REPLY RESULT=OK")
    out = []
    while not out or out[-1] != "# end":
        out.append(conn.line())
        if not out[-1].startswith("#"):
            raise Fail('expected every line to begin with "# "')
    return out[:-1]


@rule("help.plain", "10", SHOULD)
def _(t):
    """HELP lists the commands, in lines that no program takes for a reply, up to `# end`."""
    text = "\n".join(help_text(t.hello(), "HELP"))
    for word in ("HELLO", "SESSION", "STREAM", "NAMING", "DEST"):
        if word not in text:
            raise Fail(f"expected {word} in the text")


@rule("help.topic", "10", SHOULD)
def _(t):
    """HELP STREAM names the options of STREAM."""
    text = "\n".join(help_text(t.hello(), "HELP STREAM"))
    for word in ("CONNECT", "ACCEPT", "FORWARD", "SILENT"):
        if word not in text:
            raise Fail(f"expected {word} in the text")


@rule("help.before-hello", "10", SHOULD)
def _(t):
    """A person who types HELP first learns how to begin."""
    c = t.open()
    c.send("HELP")
    lines = [c.line()]
    while len(lines) < 50 and lines[-1] != "# end" and "RESULT=I2P_ERROR" not in lines[-1]:
        lines.append(c.line())
    if "HELLO VERSION" not in "\n".join(lines):
        raise Fail("expected a line that says HELLO VERSION")


@rule("help.status", "10", SHOULD)
def _(t):
    """HELP STATUS on a second telnet shows the sessions and how far they are, without private keys."""
    a = t.create()
    text = "\n".join(help_text(t.hello(), "HELP STATUS"))
    if a.id not in text:
        raise Fail("expected the session's ID in the text")
    if a.private[550:600] in text:
        raise Fail("expected no private key in the text")


@rule("telnet.hint", "10", SHOULD)
def _(t):
    """The first slip of a telnet user is answered with an example of how to begin."""
    c = t.open()
    if "HELLO VERSION" not in (c.reply("HELLO WORLD").get("MESSAGE") or ""):
        raise Fail("expected a MESSAGE that says HELLO VERSION")


@rule("telnet.iac", "10", SHOULD)
def _(t):
    """telnet may open with negotiation bytes; they are swallowed."""
    c = t.open()
    c.raw(b"\xff\xfd\x03\xff\xfb\x18\xff\xfb\x1f")
    c.raw(f"HELLO VERSION MIN=3.1 MAX=3.1{t.auth}\r\n")
    c.check(Reply(c.line()), "OK")


@rule("telnet.explains", "10", SHOULD)
def _(t):
    """INVALID_ID names the ID, and a missing option is named: errors say how it should look."""
    c = t.hello()
    reply = c.want("STREAM ACCEPT ID=nosuch-id", "INVALID_ID")
    if "nosuch-id" not in (reply.get("MESSAGE") or ""):
        raise Fail("expected the ID in MESSAGE")
    reply = t.hello().want("SESSION CREATE STYLE=STREAM DESTINATION=TRANSIENT", "I2P_ERROR")
    if "ID" not in (reply.get("MESSAGE") or ""):
        raise Fail("expected ID in MESSAGE")


@rule("telnet.silent-build", "10")
def _(t):
    """While tunnels are built nothing is printed: a progress line would be taken for the reply."""
    c = t.hello()
    reply = Reply(c.ask(f"SESSION CREATE STYLE=STREAM ID={t.id()} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 inbound.length=3 outbound.length=3", t.patience))
    if (reply.domain, reply.opcode) != ("SESSION", "STATUS"):
        raise Fail("expected SESSION STATUS as the first line")


# --- AUTH ------------------------------------------------------------------------------------------------------------

def _auth(t):
    """A connection, even while AUTH is on, and words for the tests' own users."""
    if t.options.auth:
        raise Fail("these rules switch AUTH on and off: run them against a server that has it off")
    return t.hello()


@rule("auth.add-remove", "3", alone=True)
def _(t):
    """Users are added and removed over the protocol; adding one twice or removing nobody is an error."""
    c = _auth(t)
    c.want("AUTH ADD USER=samcheck PASSWORD=secret", "OK")
    try:
        c.want("AUTH ADD USER=samcheck PASSWORD=other", "I2P_ERROR")
    finally:
        reply = c.reply("AUTH REMOVE USER=samcheck")
    c.check(reply, "OK")
    c.want("AUTH REMOVE USER=samcheck", "I2P_ERROR")


@rule("auth.reply-form", "3", alone=True)
def _(t):
    """The reply is AUTH STATUS with RESULT first."""
    c = _auth(t)
    reply = c.reply("AUTH REMOVE USER=nobody-of-this-name")
    if (reply.domain, reply.opcode, reply.result) != ("AUTH", "STATUS", "I2P_ERROR") or not reply.get("MESSAGE"):
        raise Fail('expected AUTH STATUS RESULT=I2P_ERROR MESSAGE=".."')


@rule("auth.incomplete", "3", alone=True)
def _(t):
    """USER and PASSWORD are both required; an unknown word behind AUTH is an error."""
    c = _auth(t)
    for line in ("AUTH ADD USER=x", "AUTH ADD PASSWORD=x", "AUTH ADD", "AUTH REMOVE", "AUTH FOO"):
        if c.ended:
            c = t.hello()
        c.want(line, "I2P_ERROR")


@rule("auth.enable-empty", "3", SHOULD, alone=True)
def _(t):
    """ENABLE without a single user would lock everybody out."""
    c = _auth(t)
    reply = c.reply("AUTH ENABLE")
    if reply.result == "OK":
        c.want("AUTH DISABLE", "OK")
    c.check(reply, "I2P_ERROR")


@rule("auth.enable", "3", alone=True)
def _(t):
    """With AUTH on, HELLO needs a right USER and PASSWORD; sockets that are open stay, DISABLE opens the door again."""
    c = _auth(t)
    c.want('AUTH ADD USER=samcheck PASSWORD="a \\"secret\\" word"', "OK")
    try:
        c.want("AUTH ENABLE", "OK")
        for words in ("", " USER=samcheck", " USER=samcheck PASSWORD=wrong", ' USER=nobody PASSWORD="a \\"secret\\" word"'):
            d = t.open()
            reply = d.want("HELLO VERSION MIN=3.1 MAX=3.3" + words, "I2P_ERROR")
            if reply.domain != "HELLO":
                raise Fail("expected HELLO REPLY RESULT=I2P_ERROR")
            d.gone()
        t.open().want('HELLO VERSION MIN=3.1 MAX=3.3 USER=samcheck PASSWORD="a \\"secret\\" word"', "OK")
        dest_line(c)
    finally:
        c.ask("AUTH DISABLE")
        c.ask("AUTH REMOVE USER=samcheck")
    t.open().want("HELLO VERSION MIN=3.1 MAX=3.3", "OK")
