# SPDX-License-Identifier: MIT
"""Section 6: datagrams, by UDP and on the control socket."""
import os
import re
import socket
import time

import keys
from client import Fail, Reply, Skip
from runner import MAY, SHOULD, rule

# What a client may send at most, and what it cannot.
REPLIABLE_MAX, RAW_MAX = 31744, 32768
STYLES = ("DATAGRAM", "RAW", "DATAGRAM2", "DATAGRAM3")


class Got:
    """A datagram that came, from either way, taken apart."""

    def __init__(self, header, payload):
        self.header, self.payload = header, payload
        words = header.split()
        self.fields = dict(w.split("=", 1) for w in words if re.match(r"[A-Z_]+=", w))
        self.sender = self.fields.get("DESTINATION") or (words[0] if words and "=" not in words[0].rstrip("=") else None)

    @property
    def ports(self):
        return self.fields.get("FROM_PORT"), self.fields.get("TO_PORT")


class Box:
    """A datagram session and the way on which its datagrams come: a UDP socket, or its control socket."""

    def __init__(self, t, style, where=0, way="udp", options="", version=None, session=None, key="TRANSIENT"):
        self.t, self.style, self.way, self.where = t, style, way, where
        self.header = style != "RAW" or "HEADER=true" in options
        self.udp = t.udp(where)
        if way == "udp":
            options = f"PORT={self.udp.port} HOST=127.0.0.1 {options}"
        self.session = session or t.create(style, where, options=options.strip(), version=version, key=key)
        self.id, self.destination = self.session.id, self.session.destination

    def send(self, to, payload, options="", way="udp", version="3.3", size=None):
        """To a destination, by UDP or on the control socket; nothing is answered."""
        data = payload.encode() if isinstance(payload, str) else payload
        if way == "udp":
            self.udp.send(f"{version} {self.id} {to}{options and ' ' + options}", data)
        else:
            word = "RAW" if self.style == "RAW" else "DATAGRAM"
            line = f"{word} SEND DESTINATION={to} SIZE={len(data) if size is None else size}{options and ' ' + options}\n"
            self.session.conn.raw(line.encode() + data)

    def take(self, timeout):
        """The next datagram, or None."""
        if self.way == "udp":
            data = self.udp.take(timeout)
            if data is None:
                return None
            if not self.header:
                return Got("", data)
            header, lf, payload = data.partition(b"\n")
            if not lf:
                raise Fail("expected a header line before the payload")
            return Got(header.decode("utf-8", "replace"), payload)
        conn = self.session.conn
        end = time.monotonic() + timeout
        while not conn.rest:
            more = conn._more(end)
            if more is None:
                return None
            if more is False:
                raise Fail("expected a datagram, the control socket was closed")
        line = conn.line(self.t.timeout)
        found = re.match(r"(DATAGRAM|RAW) RECEIVED (.*)", line)
        if not found:
            raise Fail("expected DATAGRAM RECEIVED or RAW RECEIVED")
        size = re.search(r"\bSIZE=(\d+)", line)
        if not size:
            raise Fail("expected SIZE=")
        return Got(line, conn.exactly(int(size[1])))

    def next_reply(self, line):
        """The first line that is no datagram must be the answer to this command: datagrams that were sent have none."""
        conn = self.session.conn
        conn.send(line)
        while re.match(r"(DATAGRAM|RAW) RECEIVED ", text := conn.line(self.t.timeout)):
            conn.exactly(int(re.search(r"SIZE=(\d+)", text)[1]))
        reply = Reply(text)
        if reply.domain != line.split()[0] or reply.result != "OK":
            raise Fail(f"expected the answer to {line} and nothing before it")

    def drain(self):
        while self.take(0.05):
            pass


def boxes(t, style="DATAGRAM", way="udp", options="", far_options="", version=None):
    """Two sessions that are known to reach each other. Some servers forget to publish, or lose the first packets to a
    new peer; that is the matter of other rules, so here up to three pairs are tried."""
    t.style(style)
    for _ in range(3):
        a = Box(t, style, 0, way, options, version)
        b = Box(t, style, t.far, "udp", far_options)
        try:
            meet(t, a, b, patience=t.patience / 3)
            meet(t, b, a, patience=t.patience / 3)
        except Fail as e:
            why = e
            a.session.conn.close()
            b.session.conn.close()
            continue
        a.drain()
        b.drain()
        return a, b
    asked_for = t.rule.name.endswith(".udp") or way == "tcp"
    raise (Fail if asked_for else Skip)(f"no datagrams between three pairs of new sessions: {why}")


def meet(t, a, b, patience=None, **more):
    """Sends from a to b again and again until one arrives; returns it."""
    return again(t, lambda: a.send(b.destination, "knock", **more), b, patience=patience)


def again(t, send, b, want=None, patience=None):
    """The same for any way to send. Datagrams may be lost: only that none of many arrives is a failure."""
    patience = patience or t.patience
    end, pause = time.monotonic() + patience, 0.7
    while True:
        send()
        got = b.take(pause)
        while got and want is not None and got.payload != want:
            got = b.take(0.3)
        if got:
            return got
        if time.monotonic() > end:
            raise Fail(f"expected a datagram, none arrived in {patience:.0f} s")
        pause = min(pause * 1.5, 5)


def arrives(t, a, b, payload, **more):
    """This payload arrives at b, perhaps at the second try."""
    data = payload.encode() if isinstance(payload, str) else payload
    return again(t, lambda: a.send(b.destination, data, **more), b, data)


def never(t, a, b, send, mark=b"the end"):
    """What `send` sends does not arrive; what is sent properly after it does."""
    b.drain()
    send()
    time.sleep(0.2)
    for _ in range(3):
        a.send(b.destination, mark)
    seen = [again(t, lambda: a.send(b.destination, mark), b)]
    while got := b.take(0.5):
        seen.append(got)
    if any(got.payload != mark for got in seen):
        raise Fail("expected this datagram to be dropped, it arrived")


# --- that there are such sessions ------------------------------------------------------------------------------------

def _style(style):
    @rule(f"style.{style.lower()}", "4")
    def _(t):
        """Sessions of this style exist, with PORT and HOST and without."""
        for words in ("PORT=9999 HOST=127.0.0.1", ""):
            c = t.hello()
            c.want(f"SESSION CREATE STYLE={style} ID={t.id()} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 {words} {t.options.session_options}",
                   "OK", t.patience)


for _name in STYLES:
    _style(_name)


# --- by UDP, every style ---------------------------------------------------------------------------------------------

def _exchange(style):
    name = {"DATAGRAM": "dgram", "RAW": "raw", "DATAGRAM2": "dgram2", "DATAGRAM3": "dgram3"}[style]

    @rule(f"{name}.udp", "6")
    def _(t):
        """A datagram by UDP arrives at the other session's UDP socket, with its header line and unchanged payload."""
        a, b = boxes(t, style)
        data = b"pay\nload\x00" + bytes(range(256))
        for one, two in ((a, b), (b, a)):
            got = arrives(t, one, two, data)
            if style == "DATAGRAM3":
                if got.sender != keys.b64(keys.hashlib.sha256(one.session.bytes).digest()):
                    raise Fail("expected the 44 characters of the sender's hash")
            elif style != "RAW" and got.sender != one.destination:
                raise Fail("expected the sender's destination in the header")

    @rule(f"{name}.ports", "6")
    def _(t):
        """FROM_PORT and TO_PORT of the header travel to the other side."""
        t.need("3.2")
        t.need("3.2", t.far)
        options = "HEADER=true" if style == "RAW" else ""
        a, b = boxes(t, style, options=options, far_options=options)
        for one, two in ((a, b), (b, a)):
            got = arrives(t, one, two, "with ports", options="FROM_PORT=1 TO_PORT=65535")
            if got.ports != ("1", "65535"):
                raise Fail("expected FROM_PORT=1 TO_PORT=65535")

    @rule(f"{name}.session-ports", "6")
    def _(t):
        """Without ports in the header the session's count."""
        t.need("3.2")
        t.need("3.2", t.far)
        header = " HEADER=true" if style == "RAW" else ""
        a, b = boxes(t, style, options="FROM_PORT=11 TO_PORT=12" + header, far_options=header.strip())
        got = arrives(t, a, b, "no ports")
        if got.ports != ("11", "12"):
            raise Fail("expected FROM_PORT=11 TO_PORT=12")

    @rule(f"{name}.tcp-received", "6")
    def _(t):
        """Without PORT datagrams come on the control socket, SIZE bytes behind their line, binary and with LF in them."""
        a, b = boxes(t, style, "tcp")
        data = b"\n\nDATAGRAM RECEIVED \xff\x00" + bytes(range(256))
        got = arrives(t, b, a, data)
        first = "RAW RECEIVED SIZE=" if style == "RAW" else "DATAGRAM RECEIVED DESTINATION="
        if not got.header.startswith(first):
            raise Fail(f"expected {first}..")
        if style == "DATAGRAM3":
            if got.sender != keys.b64(keys.hashlib.sha256(b.session.bytes).digest()):
                raise Fail("expected the 44 characters of the sender's hash")
        elif style != "RAW" and got.sender != b.destination:
            raise Fail("expected the sender's destination")

    @rule(f"{name}.tcp-send", "6", "MUST" if style in ("DATAGRAM", "RAW") else MAY)
    def _(t):
        """Datagrams are sent on the control socket too, where there is no reply and the socket stays usable."""
        a, b = boxes(t, style, "tcp")
        data = b"line\nSESSION\n" + bytes(range(256))
        if arrives(t, a, b, data, way="tcp").payload != data:
            raise Fail("expected the payload unchanged")
        a.next_reply("NAMING LOOKUP NAME=ME")

    @rule(f"{name}.max", "6")
    def _(t):
        """The largest payload arrives whole, and the smallest."""
        a, b = boxes(t, style)
        largest = RAW_MAX if style == "RAW" else REPLIABLE_MAX
        for size in (1, 1000, 16384, largest):
            arrives(t, a, b, os.urandom(size))
        arrives(t, b, a, os.urandom(largest))

    @rule(f"{name}.private-destination", "15")
    def _(t):
        """yosemite puts a private key where a destination belongs; the public part counts."""
        a, b = boxes(t, style)
        again(t, lambda: a.send(b.session.private, "found"), b, b"found")


for _name in STYLES:
    _exchange(_name)


# --- the header line -------------------------------------------------------------------------------------------------

@rule("dgram.header-3.1", "6")
def _(t):
    """At 3.1 and below the forwarded header is the bare destination: diva takes the whole line."""
    a, b = boxes(t, version="3.1")
    if arrives(t, b, a, "x").header != b.destination:
        raise Fail("expected the destination and nothing else")


@rule("dgram.header-3.3", "6")
def _(t):
    """From 3.2 on the header ends with FROM_PORT and TO_PORT: yosemite unwraps at the blank."""
    t.need("3.2")
    a, b = boxes(t)
    if arrives(t, b, a, "x").header != f"{b.destination} FROM_PORT=0 TO_PORT=0":
        raise Fail("expected <destination> FROM_PORT=0 TO_PORT=0")


@rule("dgram.tcp-line-3.1", "6")
def _(t):
    """DATAGRAM RECEIVED has no ports at 3.1."""
    a, b = boxes(t, "DATAGRAM", "tcp", version="3.1")
    if arrives(t, b, a, "1234567").header != f"DATAGRAM RECEIVED DESTINATION={b.destination} SIZE=7":
        raise Fail("expected DATAGRAM RECEIVED DESTINATION=<destination> SIZE=7")


@rule("dgram.tcp-line-3.3", "6")
def _(t):
    """And has them from 3.2 on, behind SIZE."""
    t.need("3.2")
    a, b = boxes(t, "DATAGRAM", "tcp")
    if arrives(t, b, a, "1234567").header != f"DATAGRAM RECEIVED DESTINATION={b.destination} SIZE=7 FROM_PORT=0 TO_PORT=0":
        raise Fail("expected DATAGRAM RECEIVED DESTINATION=<destination> SIZE=7 FROM_PORT=0 TO_PORT=0")


@rule("dgram.udp-versions", "6")
def _(t):
    """The version in the header is any 3.x: libsam3, yosemite and diva write 3.0, go-sam-go 3.3."""
    a, b = boxes(t)
    for version in ("3.0", "3.1", "3.2", "3.3"):
        arrives(t, a, b, version, version=version)


@rule("dgram.udp-header-options", "6")
def _(t):
    """Options behind the destination, known and unknown; i2pd 2.45.1 drops such datagrams."""
    a, b = boxes(t)
    arrives(t, a, b, "all", options="FROM_PORT=5 TO_PORT=6 SEND_TAGS=40 TAG_THRESHOLD=30 EXPIRES=60 SEND_LEASESET=true FOO=bar")


@rule("dgram.udp-header-words", "6")
def _(t):
    """yosemite writes `3.0 id dest 0 0 40 30 true`: words without = are skipped."""
    a, b = boxes(t)
    arrives(t, a, b, "words", options="0 0 40 30 true", version="3.0")


@rule("dgram.udp-b32", "6", SHOULD)
def _(t):
    """The destination may be a b32 name, as in Java."""
    a, b = boxes(t)
    again(t, lambda: a.send(b.session.b32, "by name"), b, b"by name")


@rule("dgram.expires", "6", SHOULD)
def _(t):
    """EXPIRES out of range is clamped, not an error."""
    a, b = boxes(t)
    for value in ("0", "100000", "x"):
        arrives(t, a, b, value + "!", options=f"EXPIRES={value}")


@rule("dgram.source", "6")
def _(t):
    """Forwarded datagrams come from the server's UDP port: leaflet and i2p.socket connect() theirs to it."""
    a, b = boxes(t)
    arrives(t, b, a, "from where")
    if a.udp.source[:2] != t.world.servers[0].udp:
        raise Fail(f"expected them from {t.world.servers[0].udp}, they come from {a.udp.source[:2]}")


@rule("dgram.host-default", "6")
def _(t):
    """PORT without HOST means the client's own address; i2pd required HOST."""
    a, b = boxes(t)
    a.session.conn.close()
    a.session = t.create("DATAGRAM", options=f"PORT={a.udp.port}")
    a.id, a.destination = a.session.id, a.session.destination
    meet(t, b, a)


@rule("dgram.host-name", "4", SHOULD)
def _(t):
    """HOST may be a name."""
    t.style("DATAGRAM")
    b = Box(t, "DATAGRAM", t.far)
    a = Box(t, "DATAGRAM", 0)
    a.session = t.create("DATAGRAM", options=f"PORT={a.udp.port} HOST=localhost")
    a.id, a.destination = a.session.id, a.session.destination
    meet(t, b, a)


@rule("dgram.any-port", "6")
def _(t):
    """A plain session takes datagrams to any port."""
    a, b = boxes(t)
    arrives(t, b, a, "to 4321", options="TO_PORT=4321")


@rule("dgram.same-server", "6")
def _(t):
    """Two sessions on one server, and one with itself."""
    t.style("DATAGRAM", 0)
    a, b = Box(t, "DATAGRAM"), Box(t, "DATAGRAM")
    meet(t, a, b)
    meet(t, a, a)


@rule("dgram.me", "3")
def _(t):
    """NAMING LOOKUP NAME=ME works on every style's control socket."""
    t.style("DATAGRAM", 0)
    a = Box(t, "DATAGRAM")
    if a.session.conn.want("NAMING LOOKUP NAME=ME", "OK")["VALUE"] != a.destination:
        raise Fail("expected the session's destination")


@rule("dgram.burst", "6", SHOULD)
def _(t):
    """A hundred datagrams of a KiB, a few ms apart: nearly all arrive."""
    a, b = boxes(t)
    block = os.urandom(1020)
    for i in range(100):
        a.udp.sock.sendto(f"3.3 {a.id} {b.destination}\n".encode() + b"%04d" % i + block, a.udp.server)
        time.sleep(0.004)
    seen = set()
    while got := b.take(2):
        seen.add(got.payload[:4])
    t.note(f"{len(seen)} of 100")
    if len(seen) < 90:
        raise Fail(f"expected at least 90 of 100, got {len(seen)}")


# --- what must not arrive --------------------------------------------------------------------------------------------

@rule("dgram.bad-udp", "6", danger=True)
def _(t):
    """Broken UDP packets are dropped without an answer and without harm; a good one afterwards arrives."""
    a, b = boxes(t)
    d = b.destination
    packets = [b"", b"\n", b"no line feed at all", b"3.3\n", f"3.3 {a.id}\nx".encode(), f"3.3 {a.id} {d}".encode(),
               f"2.0 {a.id} {d}\nx".encode(), f"4.0 {a.id} {d}\nx".encode(), f"x {a.id} {d}\nx".encode(), f"3.3 nosuch {d}\nx".encode(),
               f"3.3 {a.id} junk\nx".encode(), f"3.3 {a.id} {d[:-8]}\nx".encode(), f"3.3 {a.id} {d} FROM_PORT=65536\nx".encode(),
               f"3.3 {a.id} {d} TO_PORT=-1\nx".encode(), f"3.3 {a.id} {d} FROM_PORT=x\nx".encode(), f"3.3 {a.id} {d}\n".encode(),
               b"\xff\xfe\x00" * 50 + b"\nx", b"3.3 " + b"A" * 9000 + b" B\nx", bytes(60000)]
    b.drain()
    for packet in packets:
        a.udp.sock.sendto(packet, a.udp.server)
    never(t, a, b, lambda: None)
    if (answer := a.udp.take(0.2)) and not answer.startswith(b.destination.encode()):
        raise Fail("expected no answer to a broken packet")


@rule("dgram.over-udp", "6")
def _(t):
    """A payload beyond the limit is dropped, not cut."""
    a, b = boxes(t)
    never(t, a, b, lambda: a.send(b.destination, bytes(40000)))


def _own_address():
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
            return probe.getsockname()[0]
        except OSError:
            raise Skip("this machine has no address but loopback") from None


@rule("dgram.foreign-address", "6", SHOULD)
def _(t):
    """UDP knows no passwords: packets for a session are taken from its control socket's host only."""
    a, b = boxes(t)
    if not a.udp.server[0].startswith("127."):
        raise Skip("needs a server on loopback")
    other = t.udp(host=_own_address())
    never(t, a, b, lambda: other.send(f"3.3 {a.id} {b.destination}", "from elsewhere"))


@rule("dgram.after-end", "6")
def _(t):
    """After its session a packet for it is dropped."""
    a, b = boxes(t)
    c = Box(t, "DATAGRAM", 0)
    c.session.conn.close()
    time.sleep(1)
    never(t, a, b, lambda: c.send(b.destination, "from the dead"))


@rule("dgram.not-raw", "6")
def _(t):
    """A raw datagram for a session of repliable ones is dropped: its bytes would be taken for a sender."""
    a, b = boxes(t)
    c, _ = boxes(t, "RAW")
    never(t, a, b, lambda: c.send(b.destination, "raw"))


@rule("raw.any-protocol", "6", SHOULD)
def _(t):
    """A plain RAW session takes raw datagrams of any protocol number, as in Java: PROTOCOL is what it sends with."""
    a, b = boxes(t, "RAW")
    for number in (0, 1, 200, 255):
        arrives(t, a, b, f"protocol {number}", options=f"PROTOCOL={number}")


@rule("dgram2.not-dgram", "6")
def _(t):
    """Each format has a protocol number of its own, and a session takes only its own."""
    t.style("DATAGRAM")
    a, b = boxes(t, "DATAGRAM2")
    c, d = Box(t, "DATAGRAM", 0), Box(t, "DATAGRAM", t.far)
    meet(t, c, d)
    never(t, a, b, lambda: c.send(b.destination, "format 1"))
    never(t, c, d, lambda: a.send(d.destination, "format 2"))


# --- on the control socket -------------------------------------------------------------------------------------------

@rule("dgram.tcp-ports", "6")
def _(t):
    """FROM_PORT and TO_PORT on DATAGRAM SEND."""
    t.need("3.2", t.far)
    a, b = boxes(t, "DATAGRAM", "tcp")
    if arrives(t, a, b, "ports", way="tcp", options="FROM_PORT=7 TO_PORT=8").ports != ("7", "8"):
        raise Fail("expected FROM_PORT=7 TO_PORT=8")


@rule("dgram.tcp-id", "6")
def _(t):
    """go-sam-go adds an ID to DATAGRAM SEND; it is ignored."""
    a, b = boxes(t, "DATAGRAM", "tcp")
    arrives(t, a, b, "with ID", way="tcp", options="ID=whatever")


@rule("dgram.tcp-split", "6")
def _(t):
    """Line and payload in several segments, and two datagrams in one."""
    a, b = boxes(t, "DATAGRAM", "tcp")
    conn = a.session.conn
    line = f"DATAGRAM SEND DESTINATION={b.destination} SIZE=10\n"
    def split():
        for part in (line[:40], line[40:], "first", " half"):
            conn.raw(part)
            time.sleep(0.05)
    again(t, split, b, b"first half")
    seen = set()
    end = time.monotonic() + t.patience
    while not seen >= {b"number one", b"number two"}:
        conn.raw(line + "number one" + line + "number two")
        while got := b.take(1):
            seen.add(got.payload)
        if time.monotonic() > end:
            raise Fail("expected both datagrams of one segment")


@rule("dgram.tcp-bad-size", "6")
def _(t):
    """A SIZE out of range is an error whose bytes are skipped; Java closes, and the session is lost for one mistake."""
    t.style("DATAGRAM")
    a, b = Box(t, "DATAGRAM", 0, "tcp"), Box(t, "DATAGRAM", t.far)
    conn = a.session.conn
    for size in (REPLIABLE_MAX + 1, 0):
        conn.raw(f"DATAGRAM SEND DESTINATION={b.destination} SIZE={size}\n".encode() + bytes(size))
        reply = Reply(conn.line())
        if reply.domain != "DATAGRAM" or reply.result != "I2P_ERROR":
            raise Fail("expected DATAGRAM STATUS RESULT=I2P_ERROR")
    conn.want("NAMING LOOKUP NAME=ME", "OK")
    meet(t, a, b, way="tcp")


@rule("dgram.tcp-huge-size", "6", SHOULD)
def _(t):
    """A SIZE that nobody would skip closes the socket: what follows cannot be told from payload."""
    t.style("DATAGRAM", 0)
    a = Box(t, "DATAGRAM", 0, "tcp")
    conn = a.session.conn
    conn.send(f"DATAGRAM SEND DESTINATION={a.destination} SIZE=100000000")
    conn.check(Reply(conn.line()), "I2P_ERROR")
    conn.gone()


@rule("dgram.tcp-no-session", "6")
def _(t):
    """DATAGRAM SEND belongs on a session's own control socket; elsewhere it sends nothing."""
    t.style("DATAGRAM", 0)
    b = Box(t, "DATAGRAM", 0)
    c = t.hello()
    c.raw(f"DATAGRAM SEND ID={b.id} DESTINATION={b.destination} SIZE=5\nhello")
    try:
        if Reply(c.line(3)).result == "OK":
            raise Fail("expected no OK")
    except Fail:
        if c.rest:
            raise
    if b.take(1):
        raise Fail("expected the datagram not to be sent")


@rule("dgram.tcp-bad-destination", "6", SHOULD)
def _(t):
    """A bad destination on DATAGRAM SEND does not end the session."""
    t.style("DATAGRAM", 0)
    a = Box(t, "DATAGRAM", 0, "tcp")
    conn = a.session.conn
    conn.raw("DATAGRAM SEND DESTINATION=junk SIZE=5\nhelloNAMING LOOKUP NAME=ME\n")
    line = conn.line(t.patience)
    if line.startswith("DATAGRAM STATUS"):
        line = conn.line(t.patience)
    conn.check(Reply(line), "OK")


@rule("dgram.unreachable", "6")
def _(t):
    """A destination that nobody has costs nothing: no reply, and the next datagram is sent."""
    a, b = boxes(t)
    for _ in range(3):
        a.send(keys.Key().public, "to nobody")
    arrives(t, a, b, "to somebody")
    a.session.conn.quiet(0.5)


# --- RAW -------------------------------------------------------------------------------------------------------------

@rule("raw.no-header", "6")
def _(t):
    """By default a forwarded raw datagram is its payload and nothing else."""
    a, b = boxes(t, "RAW")
    data = b"FROM_PORT=1\nnot a header"
    arrives(t, b, a, data)


@rule("raw.header", "6")
def _(t):
    """HEADER=true puts FROM_PORT, TO_PORT and PROTOCOL before it, in whatever order."""
    t.need("3.2")
    a, b = boxes(t, "RAW", options="HEADER=true")
    got = arrives(t, b, a, "x")
    if set(got.fields) != {"FROM_PORT", "TO_PORT", "PROTOCOL"} or got.fields["PROTOCOL"] != "18":
        raise Fail("expected FROM_PORT=0 TO_PORT=0 PROTOCOL=18")


@rule("raw.protocol", "6")
def _(t):
    """The session's PROTOCOL, and PROTOCOL on a single datagram, travel to the other side."""
    t.need("3.2")
    t.style("RAW")
    a = Box(t, "RAW", 0, "udp", "HEADER=true PROTOCOL=99")
    b = Box(t, "RAW", t.far, "udp", "HEADER=true PROTOCOL=99")
    if meet(t, a, b).fields.get("PROTOCOL") != "99":
        raise Fail("expected PROTOCOL=99")
    c, d = Box(t, "RAW", 0, "udp"), Box(t, "RAW", t.far, "udp", "HEADER=true PROTOCOL=77")
    got = again(t, lambda: c.send(d.destination, "one", options="PROTOCOL=77"), d, b"one")
    if got.fields.get("PROTOCOL") != "77":
        raise Fail("expected PROTOCOL=77")


@rule("raw.tcp-line", "6")
def _(t):
    """RAW RECEIVED names SIZE first, and from 3.2 on ports and protocol."""
    t.need("3.2")
    a, b = boxes(t, "RAW", "tcp")
    got = arrives(t, b, a, "1234567", options="FROM_PORT=1 TO_PORT=2")
    if not got.header.startswith("RAW RECEIVED SIZE=7 ") or got.ports != ("1", "2") or got.fields.get("PROTOCOL") != "18":
        raise Fail("expected RAW RECEIVED SIZE=7 FROM_PORT=1 TO_PORT=2 PROTOCOL=18")


@rule("raw.tcp-line-3.1", "6")
def _(t):
    """At 3.1 there is SIZE alone."""
    a, b = boxes(t, "RAW", "tcp", version="3.1")
    if arrives(t, b, a, "1234567").header != "RAW RECEIVED SIZE=7":
        raise Fail("expected RAW RECEIVED SIZE=7")


@rule("dgram2.offline", "6", SHOULD)
def _(t):
    """DATAGRAM2 carries an offline signature: a session with such a key is answered to."""
    t.style("DATAGRAM2")
    a = Box(t, "DATAGRAM2", 0, key=keys.Key().offline())
    b = Box(t, "DATAGRAM2", t.far)
    if meet(t, a, b).sender != a.destination:
        raise Fail("expected the sender's destination")
    meet(t, b, a)
