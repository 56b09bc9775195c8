# SPDX-License-Identifier: MIT
"""The rules' registry, what a rule is given to work with, and the machine that runs them.

Rules run side by side. Those that change the server for everybody, or that are known to kill some server, run alone
afterwards. A server that dies is noticed: the rules under way are tried again one by one, so that the one at fault
is known by name.
"""
import dataclasses
import fnmatch
import itertools
import os
import queue
import subprocess
import threading
import time
import traceback

import keys
from client import Conn, Fail, Listener, Reply, Skip, Task, Udp, shown

MUST, SHOULD, MAY = "MUST", "SHOULD", "MAY"
RULES = []
_ids = itertools.count(1)
_run = keys.b32(os.urandom(8))[:4]


@dataclasses.dataclass
class Rule:
    name: str
    row: str
    level: str
    why: str
    function: object
    slow: bool = False      # takes a minute or more on purpose: only with --slow
    alone: bool = False     # changes the server for others, or loads it
    danger: bool = False    # kills a server known to us; runs alone and last


def rule(name, row, level=MUST, **more):
    """Registers a rule. Its docstring says why the rule exists."""
    def register(function):
        if any(r.name == name for r in RULES):
            raise ValueError(f"two rules are named {name}")
        why = " ".join((function.__doc__ or "").split())
        if not why:
            raise ValueError(f"{name} does not say why")
        RULES.append(Rule(name, row, level, why, function, **more))
        return function
    return register


@dataclasses.dataclass
class Outcome:
    rule: Rule
    status: str             # PASS, FAIL, SKIP
    text: str = ""          # what was expected, why it was skipped, or a note
    sent: str = ""
    got: str = ""
    seconds: float = 0.0
    journal: tuple = ()
    died: bool = False
    left_out: bool = False  # skipped because it was not asked for, as against: could not be tried


@dataclasses.dataclass
class Server:
    tcp: tuple
    udp: tuple
    label: str


class Session:
    """A session and its control socket."""

    def __init__(self, conn, name, private, destination, where, style):
        self.conn, self.id, self.private, self.destination = conn, name, private, destination
        self.where, self.style = where, style

    @property
    def bytes(self):
        return keys.unb64(self.destination)

    @property
    def b32(self):
        return keys.b32(self.bytes)


class World:
    """What all rules share: the servers, options, the pool of sessions, and what was seen of replies."""

    def __init__(self, options):
        self.options = options
        self.servers = options.servers
        self.lock = threading.Lock()
        self.epoch = 0
        self.pool, self.best, self.styles, self.locks = {}, {}, {}, {}
        self.replies = {}

    def lint(self, line):
        """Keeps every different reply, numbers and keys aside, for the rules about form."""
        with self.lock:
            if len(self.replies) < 5000:
                self.replies.setdefault(line, time.monotonic())

    def take(self, kind):
        with self.lock:
            kept = self.pool.setdefault(kind, [])
            return kept.pop() if kept else None

    def give(self, kind, sessions, epoch):
        with self.lock:
            if epoch == self.epoch:
                self.pool.setdefault(kind, []).append(sessions)
                return
        for session in sessions:
            session.conn.close()

    def forget(self):
        """After a restart of a server: all sessions are gone."""
        with self.lock:
            self.epoch += 1
            kept, self.pool = self.pool, {}
        for sessions in itertools.chain(*kept.values()):
            for session in sessions:
                session.conn.close()


class T:
    """What a rule gets: connections, sessions, streams, and the journal of what passed."""

    def __init__(self, world, rule):
        self.world, self.rule, self.options = world, rule, world.options
        self.epoch = world.epoch
        self.entries, self.notes = [], []
        self.conns, self.others, self.leases = [], [], []
        self.timeout, self.patience = self.options.timeout, self.options.patience
        self.lock = threading.Lock()

    # --- journal ---

    def journal(self, name, mark, data):
        with self.lock:
            if len(self.entries) < 400:
                self.entries.append((name, mark, data if isinstance(data, str) else shown(data)))

    def note(self, text):
        self.notes.append(text)

    # --- connections ---

    def open(self, where=0, timeout=None):
        """A bare connection, nothing said."""
        name = "abcdefghijklmnopqrstuvwxyz"[len(self.conns) % 26]
        conn = Conn(self.journal, self.world.servers[where].tcp, timeout or self.timeout, name, self.world.lint)
        self.conns.append(conn)
        return conn

    def adopt(self, sock):
        """A Conn around a socket that the server opened to us."""
        conn = Conn.__new__(Conn)
        conn.journal, conn.timeout, conn.name, conn.lint = self.journal, self.patience, f"in{len(self.conns)}", None
        conn.rest, conn.ended, conn.reads, conn.version, conn.sock = b"", False, 0, None, sock
        self.conns.append(conn)
        return conn

    @property
    def auth(self):
        """Words for HELLO when the server under test asks who we are."""
        if not self.options.auth:
            return ""
        user, _, password = self.options.auth.partition(":")
        return f' USER="{user}" PASSWORD="{password}"'

    def hello(self, version=None, where=0, timeout=None):
        """A connection past HELLO, at this version or the highest there is."""
        conn = self.open(where, timeout)
        version = version or self.best(where)
        reply = Reply(conn.ask(f"HELLO VERSION MIN={version} MAX={version}{self.auth}"))
        if reply.result != "OK":
            raise Fail(f"no HELLO at version {version}")
        conn.version = version
        return conn

    def best(self, where=0):
        """Highest version that this server offers, from 3.0 to 3.3."""
        if where not in self.world.best:
            for version in ("3.3", "3.2", "3.1", "3.0"):
                conn = self.open(where)
                reply = Reply(conn.ask(f"HELLO VERSION MIN={version} MAX={version}{self.auth}"))
                conn.close()
                if reply.result == "OK":
                    self.world.best[where] = version
                    break
            else:
                raise Fail("no HELLO for any version from 3.0 to 3.3")
        return self.world.best[where]

    def need(self, version, where=0):
        best = self.best(where)
        if tuple(map(int, best.split("."))) < tuple(map(int, version.split("."))):
            raise Skip(f"needs version {version}, the server speaks {best} at most")

    def udp(self, where=0, host="127.0.0.1"):
        out = Udp(self, self.world.servers[where].udp, host)
        self.others.append(out)
        return out

    def listener(self):
        out = Listener(self)
        self.others.append(out)
        return out

    # --- sessions ---

    @staticmethod
    def id(prefix="k"):
        return f"{prefix}{_run}{next(_ids)}"

    def style(self, style, where=None):
        """Skips the rule where a server has no sessions of this style; the rule `style.<name>` is the FAIL."""
        for where in {0, self.far} if where is None else {where}:
            with self.world.lock:
                lock = self.world.locks.setdefault((style, where), threading.Lock())
            with lock:
                if (style, where) not in self.world.styles:
                    conn = self.hello(where=where)
                    forward = "" if style in ("STREAM", "PRIMARY", "MASTER") else " PORT=9 HOST=127.0.0.1"
                    reply = conn.reply(f"SESSION CREATE STYLE={style} ID={self.id()} DESTINATION=TRANSIENT SIGNATURE_TYPE=7"
                                       f"{forward} {self.options.session_options}", self.patience)
                    self.world.styles[style, where] = "" if reply.result == "OK" else shown(reply.text)
                    conn.close()
            if why := self.world.styles[style, where]:
                raise Skip(f"no {style} session here: {why}")

    def create(self, style="STREAM", where=0, id=None, key="TRANSIENT", options="", version=None, plain=False, conn=None):
        """A new session, closed when the rule ends. `plain` leaves out the usual options."""
        conn = conn or self.hello(version, where)
        id = id or self.id()
        kind = " SIGNATURE_TYPE=7" if key == "TRANSIENT" and "SIGNATURE_TYPE" not in options else ""
        usual = "" if plain else " " + self.options.session_options
        line = f"SESSION CREATE STYLE={style} ID={id} DESTINATION={key}{kind}{usual} {options}".rstrip()
        try:
            reply = conn.reply(line, self.patience)
        except Fail as e:
            if options or key != "TRANSIENT":
                raise
            raise Skip(f"no session to try this with: {e}") from None
        if reply.result != "OK":
            usual = not options and key == "TRANSIENT" and style == "STREAM"
            raise (Skip if usual else Fail)("no session to try this with: " + shown(reply.text))
        return self._session(conn, id, reply["DESTINATION"], where, style)

    def _session(self, conn, id, private, where, style):
        try:
            data = keys.unb64(private)
            destination = keys.b64(data[:keys.destination_size(data)])
        except ValueError as e:
            raise Fail(f"SESSION STATUS gave no private key: {e}") from None
        return Session(conn, id, private, destination, where, style)

    def session(self, where=0):
        """A STREAM session out of the pool, for this rule alone while it runs."""
        return self._lease(("session", where), lambda: [self.create(where=where)])[0]

    def pair(self):
        """Two STREAM sessions out of the pool, one on each server, between which streams are known to work."""
        return self._lease("pair", self._make_pair)

    def _lease(self, kind, make):
        sessions = self.world.take(kind)
        if sessions is None:
            sessions = make()
            for session in sessions:
                self.conns.remove(session.conn)
        for session in sessions:
            session.conn.journal = self.journal
        self.leases.append((kind, sessions))
        return sessions

    def friends(self, a="", far_fresh=False):
        """A new session (with these options) and one of the far server, between which streams are known to work."""
        return self._meet(lambda: self.create(options=a), lambda: self.create(where=self.far) if far_fresh else self.session(self.far))

    def _make_pair(self):
        return self._meet(lambda: self.create(where=0), lambda: self.create(where=self.far))

    def _meet(self, make_a, make_b):
        """Some servers forget to publish a lease set, or lose the first packets to a new peer. That is the matter of
        other rules, so here the silent session is left and another one made."""
        other = Task(make_b)
        a = make_a()
        b = other.result(2 * self.patience)
        for _ in range(6):
            silent = self._prove(a, b)
            if silent is None:
                silent = self._prove(b, a)
            if silent is None:
                return a, b
            silent.conn.ended = True
            if silent is a:
                a = make_a()
            else:
                b = make_b()
        why = f"no stream between two new sessions: {shown(self.entries[-1][2]) if self.entries else ''}"
        raise (Fail if self.rule.name == "stream.connect" else Skip)(why)

    def _prove(self, a, b):
        """A byte each way from a to b, in attempts of 15 s. Returns None, or the session that nobody can reach."""
        start, reached = time.monotonic(), False
        while True:
            before = len(self.conns)
            try:
                near, far = self.stream(a, b, timeout=15)
                near.close()
                far.until_end(15)
                return None
            except Fail:
                reached |= ("<", "STREAM STATUS RESULT=OK") in [e[1:] for e in self.entries[-8:] if e[0] == self.conns[-1].name]
                if time.monotonic() - start > (60 if reached else 20):
                    return b
                time.sleep(1)
            finally:
                for conn in self.conns[before:]:
                    if conn is not a.conn and conn is not b.conn:
                        conn.close()

    @property
    def far(self):
        """Index of the server for the other end: the second one, where there is one."""
        return len(self.world.servers) - 1

    # --- streams ---

    def accept(self, session, version=None, options=" SILENT=false"):
        """A pending ACCEPT, past its STATUS line."""
        conn = self.hello(version, session.where)
        conn.want(f"STREAM ACCEPT ID={session.id}{options}", "OK")
        return conn

    def connect(self, session, destination, version=None, options=" SILENT=false", timeout=None):
        """A connected stream, past its STATUS line."""
        conn = self.hello(version, session.where)
        conn.want(f"STREAM CONNECT ID={session.id} DESTINATION={destination}{options}", "OK", timeout or self.patience)
        return conn

    def stream(self, a, b, timeout=None, version=None):
        """A stream from session a to session b: (near end, far end), proven by a byte each way."""
        timeout = timeout or self.patience
        far = self.accept(b, version)
        try:
            near = self.connect(a, b.destination, version, timeout=timeout)
            near.push(b"?")
            far.line(timeout)
            far.exactly(1, timeout)
            far.push(b"!")
            near.exactly(1, timeout)
        except Fail:
            far.close()
            raise
        return near, far

    # --- end ---

    def finish(self, clean):
        for conn in self.conns + self.others:
            conn.close()
        for kind, sessions in self.leases:
            if clean and all(not s.conn.rest and not s.conn.ended for s in sessions):
                self.world.give(kind, sessions, self.epoch)
            else:
                for session in sessions:
                    session.conn.close()

    def spoil(self):
        """The sessions out of the pool are not to be used again."""
        for _, sessions in self.leases:
            for session in sessions:
                session.conn.ended = True


def last_exchange(entries):
    """What was sent and what came back, at the end of the journal."""
    got = next((i for i in range(len(entries) - 1, -1, -1) if entries[i][1] == "<"), None)
    sent = next((i for i in range(len(entries) - 1, -1, -1) if entries[i][1] == ">"), None)
    if got is None:
        return (entries[sent][2] if sent is not None else "", "")
    name = entries[got][0]
    before = next((i for i in range(got, -1, -1) if entries[i][:2] == (name, ">")), sent)
    return (entries[before][2] if before is not None else "", entries[got][2])


class Runner:
    def __init__(self, world, report):
        self.world, self.report, self.options = world, report, world.options
        self.outcomes = []
        self.down = False
        self.restart_lock = threading.Lock()
        self.suspects = []

    def chosen(self):
        o = self.options
        for r in RULES:
            if o.only and not any(_matches(r, p) for p in o.only):
                continue
            yield r

    def run(self):
        together, alone = queue.SimpleQueue(), []
        for r in self.chosen():
            if any(_matches(r, p) for p in self.options.skip):
                self.done(Outcome(r, "SKIP", "left out with --skip", left_out=True))
            elif r.slow and not self.options.slow:
                self.done(Outcome(r, "SKIP", "takes a minute or more: give --slow", left_out=True))
            elif r.alone or r.danger:
                alone.append(r)
            else:
                together.put(r)
        workers = [threading.Thread(target=self._work, args=(together,), daemon=True) for _ in range(self.options.jobs)]
        for w in workers:
            w.start()
        for w in workers:
            w.join()
        alone = self.suspects + sorted(alone, key=lambda r: r.danger)
        for r in alone:
            self._alone(r)
        self.world.forget()
        return self.outcomes

    def done(self, outcome):
        with self.world.lock:
            self.outcomes.append(outcome)
            self.report.outcome(outcome)

    def _work(self, rules):
        while not self.down:
            try:
                r = rules.get_nowait()
            except queue.Empty:
                return
            epoch = self.world.epoch
            outcome = self.one(r)
            if outcome.status != "PASS":
                with self.restart_lock:
                    if epoch != self.world.epoch or not self.alive():
                        # Somebody's rule ended the server while this one ran: try this one again by itself.
                        self.suspects.append(r)
                        if epoch == self.world.epoch:
                            self.report.say(f"the server died or hangs while several rules ran, {r.name} among them")
                            self.restart()
                        continue
            self.done(outcome)
        while True:
            try:
                self.suspects.append(rules.get_nowait())
            except queue.Empty:
                return

    def _alone(self, r):
        if self.down:
            self.done(Outcome(r, "SKIP", "the server is down"))
            return
        outcome = self.one(r)
        if (outcome.status == "FAIL" or r.danger) and not self.alive():
            outcome.status, outcome.died = "FAIL", True
            outcome.text = "the server died or hangs" + (f"; {outcome.text}" if outcome.text else "")
            self.restart()
        self.done(outcome)

    def one(self, r):
        """Runs one rule."""
        t = T(self.world, r)
        start = time.monotonic()
        try:
            r.function(t)
            status, text = "PASS", "; ".join(t.notes)
        except Fail as e:
            status, text = "FAIL", str(e)
        except Skip as e:
            status, text = "SKIP", str(e)
        except Exception as e:  # a mistake of the rule or an answer beyond all imagination
            place = traceback.extract_tb(e.__traceback__)[-1]
            status, text = "FAIL", f"{type(e).__name__}: {e} ({place.name}, line {place.lineno})"
        seconds = time.monotonic() - start
        sent, got = last_exchange(t.entries)
        t.finish(status == "PASS")
        return Outcome(r, status, text, sent, got, seconds, tuple(t.entries))

    def alive(self):
        """Both servers answer HELLO."""
        return all(self._answers(s) for s in self.world.servers)

    def _answers(self, server, seconds=5):
        for _ in range(2):
            conn = None
            try:
                conn = Conn(lambda *_: None, server.tcp, seconds)
                conn.ask("HELLO VERSION MIN=3.1 MAX=3.1")
                return True
            except Fail:
                time.sleep(0.5)
            finally:
                if conn:
                    conn.close()
        return False

    def restart(self):
        """Has the servers started again, or gives up."""
        self.world.forget()
        if not self.options.restart_cmd:
            self.down = True
            return
        dead = [name for name, s in zip(("sam", "sam2"), self.world.servers) if not self._answers(s, 2)]
        self.report.say("starting again: " + " ".join(dead))
        subprocess.run(self.options.restart_cmd, shell=True, check=False, env=os.environ | {"SAM_DEAD": " ".join(dead)})
        end = time.monotonic() + 180
        while not all(self._answers(s, 2) for s in self.world.servers):
            if time.monotonic() > end:
                self.down = True
                return
            time.sleep(1)


def _matches(r, pattern):
    return fnmatch.fnmatch(r.name, pattern) or r.name.startswith(pattern + ".") or r.row == pattern
