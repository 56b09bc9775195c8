# SPDX-License-Identifier: MIT
"""Section 1, T12 and T13, and section 15: the form of every reply. Clients' parsers are brittle, each in its way."""
import re

import keys
from client import Fail, Reply
from runner import SHOULD, rule

# What clients know; i2plib and i2psam look codes up in a table and raise on others.
KNOWN = {"OK", "CANT_REACH_PEER", "DUPLICATED_DEST", "DUPLICATED_ID", "I2P_ERROR", "INVALID_ID", "INVALID_KEY", "KEY_NOT_FOUND",
         "LEASESET_NOT_FOUND", "NOVERSION", "PEER_NOT_FOUND", "TIMEOUT"}
BARE = {"DUPLICATED_ID", "DUPLICATED_DEST", "NOVERSION"}
KEYS = {"HELLO": {"RESULT", "VERSION", "MESSAGE"}, "SESSION": {"RESULT", "DESTINATION", "ID", "MESSAGE"},
        "STREAM": {"RESULT", "MESSAGE"}, "NAMING": {"RESULT", "NAME", "VALUE", "MESSAGE"}, "DEST": {"RESULT", "PUB", "PRIV", "MESSAGE"},
        "QUIT": {"RESULT", "MESSAGE"}}


def samples(t):
    """Replies of every kind that needs no session, asked for here, so that these rules can run by themselves."""
    c = t.hello()
    out = []
    lines = ["NAMING LOOKUP NAME=abc.b32.i2p", "NAMING LOOKUP NAME=nosuch-host.i2p", "NAMING LOOKUP NAME=ME", "NAMING LOOKUP",
             "DEST GENERATE SIGNATURE_TYPE=99", "DEST GENERATE SIGNATURE_TYPE=7", f"SESSION CREATE STYLE=FOO ID={t.id()} DESTINATION=TRANSIENT",
             f"SESSION CREATE STYLE=STREAM ID={t.id()} DESTINATION=abcd", "FOO BAR", 'FOO X="it\'s a \\"quote\\""', "STREAM"]
    for line in lines:
        if c.ended:
            c = t.hello()
        try:
            out.append(c.ask(line))
        except Fail:
            if not c.ended:
                raise
    for line in (f"STREAM CONNECT ID={t.id()} DESTINATION={keys.Key().public}", f"STREAM ACCEPT ID={t.id()}", "STREAM FORWARD ID=x PORT=0",
                 "STREAM ACCEPT ID=it's\\\"odd"):
        c = t.hello()
        try:
            out.append(c.ask(line))
        except Fail:
            pass
    if len(out) < 4:
        raise Fail("expected replies to look at; most commands just closed the socket")
    return [(line, Reply(line)) for line in out]


def every(t):
    """The samples and all other replies that passed in this run so far."""
    asked = samples(t)
    with t.world.lock:
        seen = list(t.world.replies)
    return asked + [(line, Reply(line)) for line in seen]


def offend(t, found):
    if found:
        t.journal("all", ">", "(some command of this run)")
        t.journal("all", "<", found[0])
        more = f" ({len(found)} different replies)" if len(found) > 1 else ""
        raise Fail("this reply breaks it" + more)


@rule("reply.result-first", "T12", alone=True)
def _(t):
    """XD looks for RESULT=OK before anything else."""
    offend(t, [line for line, r in every(t) if r.keys and r.keys[0][0] != "RESULT" and r.domain != "DEST" and r.domain != "HELP"])


@rule("reply.message-last", "T12", alone=True)
def _(t):
    """Greedy parsers take everything behind a quote for the value, so MESSAGE is last, and nothing else is quoted."""
    def bad(r):
        where = [k for k, _ in r.keys]
        return "MESSAGE" in where and where[-1] != "MESSAGE" or any(k != "MESSAGE" for k in r.quoted)
    offend(t, [line for line, r in every(t) if bad(r) and not any(k.startswith("OPTION:") for k, _ in r.keys)])


@rule("reply.no-empty-value", "T12", alone=True)
def _(t):
    """libtorrent fails on a key whose value is empty."""
    offend(t, [line for line, r in every(t) if any(v == "" for _, v in r.keys)])


@rule("reply.no-inner-quote", "T12", alone=True)
def _(t):
    """Nobody unescapes: quotes and backslashes inside MESSAGE are replaced."""
    offend(t, [line for line, _ in every(t) if "\\" in line or line.count('"') not in (0, 2) and " OPTION:" not in line])


@rule("reply.no-apostrophe", "15", SHOULD, alone=True)
def _(t):
    """i2psam splits replies as a shell does: a lone apostrophe is an exception."""
    offend(t, [line for line, _ in every(t) if "'" in line and " OPTION:" not in line])


@rule("reply.known-results", "9", alone=True)
def _(t):
    """i2plib and i2psam raise on result codes that are not in the specification."""
    offend(t, [line for line, r in every(t) if r.result is not None and r.result not in KNOWN])


@rule("reply.no-extra-keys", "15", alone=True)
def _(t):
    """txi2p makes an argument of every key, so there are none beyond the specified."""
    offend(t, [line for line, r in every(t) if r.domain in KEYS
               and any(k not in KEYS[r.domain] and not k.startswith("OPTION:") for k, _ in r.keys)])


@rule("reply.three-words", "9", alone=True)
def _(t):
    """i2plib takes a reply apart into at least three words."""
    offend(t, [line for line, r in every(t) if r.domain in KEYS and len(line.split()) < 3])


@rule("reply.bare-codes", "T13", alone=True)
def _(t):
    """go-sam-go compares DUPLICATED_ID, DUPLICATED_DEST, NOVERSION and the session's INVALID_KEY as whole lines."""
    offend(t, [line for line, r in every(t) if len(r.keys) > 1
               and (r.result in BARE or r.domain == "SESSION" and r.result == "INVALID_KEY")])


@rule("reply.message", "T13", SHOULD, alone=True)
def _(t):
    """An I2P_ERROR says what is wrong: without MESSAGE nobody can help a user."""
    offend(t, [line for line, r in every(t) if r.result == "I2P_ERROR" and not r.get("MESSAGE")])


@rule("reply.not-raw", "T11", alone=True)
def _(t):
    """Control bytes of a request are not repeated in a reply."""
    offend(t, [line for line, _ in every(t) if re.search(r"[\x00-\x1f\x7f]", line)])


@rule("reply.one-read", "T3", alone=True)
def _(t):
    """Every kind of reply comes in one piece and with nothing glued to it."""
    c = t.hello()
    for line in ("NAMING LOOKUP NAME=abc.b32.i2p", "DEST GENERATE SIGNATURE_TYPE=7", "NAMING LOOKUP NAME=ME"):
        c.ask(line)
        if c.parts != 1 or c.glued:
            raise Fail("expected the reply in one read")
