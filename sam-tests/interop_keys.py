#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Keys of every kind between our routers and i2pd's: signature types, offline keys, encrypted lease sets.

  interop_keys.py [--list] [--keep] [--only WORD]...

The second half of interop.py, with a network of its own (two i2pd floodfills, an i2pd and two of ours): i2pd 2.45.1
now and then ends when many sessions come and go, and shall not take the other tests with it. Then it is started again
and the test gets a second attempt. Sessions on i2pd are never closed, for the same reason.
"""
import argparse
import base64
import os
import signal
import sys
import time

import els2
import testnet
from samclient import Sam, SamError, Task, pair, transfer
from testnet import Late, until

SIZE = 1 << 18
SESSION_S, TRANSFER_S = 180, 120
TYPES = {0: "DSA-SHA1", 1: "ECDSA-P256", 2: "ECDSA-P384", 3: "ECDSA-P521", 11: "RedDSA"}


def _session(w, router, words="", **more):
    return w.mixed.session(router, 1, check=False, timeout=SESSION_S, words=words, **more)


def _close(w, *sessions):
    """Ends our sessions; those on i2pd stay to the end."""
    ours = [router.sam for router in w.mixed.ours]
    for session in sessions:
        if session.address in ours:
            session.close()
        else:
            w.mixed.silent.append(session)


def _open(w, *wanted):
    """Sessions as (router, words, more), opened side by side since i2pd takes its time."""
    tasks = [Task(_session, w, router, words, **more) for router, words, more in wanted]
    return [task.result(2 * SESSION_S) for task in tasks]


def _cross(client, server, target=None, patience=120):
    """A stream and some bytes each way."""
    near, far, seconds = pair(client, server, patience, target)
    try:
        transfer(near, far, SIZE, TRANSFER_S)
        transfer(far, near, SIZE, TRANSFER_S)
    finally:
        near.close()
        far.close()
    return seconds


def signature_types(w):
    us, them = w.mixed.ours[0], w.mixed.i2pds[2]
    types = [t for t in TYPES if t]
    ours, theirs, *rest = _open(w, (us, "", {}), (them, "", {}), *((us, "", {"sig_type": t}) for t in types),
                                *((them, "", {"sig_type": t}) for t in TYPES))
    mine, others = rest[:len(types)], rest[len(types):]
    for session in mine:
        _cross(theirs, session)
    for session in others:
        # Called by them first: i2pd publishes late now and then, and we learn its lease set from the call.
        _cross(session, ours)
        _cross(ours, session)
    _close(w, ours, theirs, *rest)
    return "ours: " + ", ".join(TYPES[t] for t in types) + "; i2pd's: " + ", ".join(TYPES.values())


def offline_keys(w):
    """A session of ours whose own key stays elsewhere: i2pd finds its lease set, calls it and is called."""
    us, them = w.mixed.ours[0], w.mixed.i2pds[2]
    seen = []
    theirs = _session(w, them)
    for own in (7, 11):
        with Sam(us.sam) as sam:
            keys = sam.ask(f"DEST GENERATE SIGNATURE_TYPE={own}").split("PRIV=")[1]
        offline = els2.offline_keys(keys, int(time.time()) + 1200)
        ours = _session(w, us, keys=offline)
        _cross(theirs, ours)
        _cross(ours, theirs)
        seen.append(f"type {own}")
        _close(w, ours)
    _close(w, theirs)
    return f"lease set and packets with a transient key hold for i2pd: {', '.join(seen)}"


def _kinds():
    """What there is to say to server and client: (name, server's words, client's words, whether the name asks for a key)."""
    key = os.urandom(32)
    client = f" i2cp.leaseSetPrivKey={els2.b64(key)}"
    named = els2.b64(b"them")
    yield "everybody", "", "", False
    yield "DH", f" i2cp.leaseSetAuthType=1 i2cp.leaseSetClient.dh.0={named}:{els2.b64(els2.x25519_public(key))}", client, True
    yield "PSK", f" i2cp.leaseSetAuthType=2 i2cp.leaseSetClient.psk.0={named}:{els2.b64(key)}", client, True


def _published(w, router, words, own):
    """A session whose encrypted lease set a floodfill shows under today's key; i2pd forgets now and then to publish."""
    floodfills = [r for r in w.mixed.i2pds if r.floodfill]
    for last in (False, False, False, False, True):
        session = _session(w, router, "i2cp.leaseSetType=5" + words, sig_type=own)
        def stored():
            key = els2.Day(*els2.signing_key(session.destination)).store_key
            return any(base64.b32encode(key).decode().lower().rstrip("=") in f.console("leasesets") for f in floodfills)
        try:
            until(stored, 15, f"{router.name} publishes an encrypted lease set", every=0.5)
            return session
        except Late:
            w.mixed.silent.append(session)
            if last:
                raise


def _encrypted(w, server_of, client_of):
    opening = []
    for own in (7, 11):
        for name, server_words, client_words, auth in _kinds():
            pair_of = Task(_published, w, server_of, server_words, own), Task(_session, w, client_of, client_words)
            opening.append((f"{name} (type {own})", auth, pair_of))
    for _, auth, tasks in opening:
        server, client = (task.result(4 * SESSION_S) for task in tasks)
        _cross(client, server, els2.b33_of(server.destination, auth=auth), 180)
        _close(w, server, client)
    return "found by name: " + ", ".join(name for name, *_ in opening)


def encrypted_of_ours_read_by_i2pd(w):
    return _encrypted(w, w.mixed.ours[0], w.mixed.i2pds[2])


def encrypted_of_i2pd_read_by_us(w):
    return _encrypted(w, w.mixed.i2pds[2], w.mixed.ours[0])


TESTS = [signature_types, offline_keys, encrypted_of_ours_read_by_i2pd, encrypted_of_i2pd_read_by_us]


class World:
    def __init__(self, loglevel, log):
        self.mixed = testnet.Net("keys", netid=79, loglevel=loglevel, our_log=log)
        for k in range(1, 4):
            self.mixed.add_i2pd(k, floodfill=k <= 2)
        for k in range(1, 3):
            self.mixed.add_ours(k)


def run(test, world):
    """The outcome of a test, with a second attempt when i2pd has ended under it."""
    for last in (False, True):
        try:
            return "PASS", test(world)
        except (Late, SamError, OSError) as e:
            dead = [r for r in world.mixed.i2pds if not r.alive()]
            if last or not dead:
                return "FAIL", repr(e)
            for router in dead:
                router.start()
            for router in dead:
                until(router.up, 120, f"{router.name} has tunnels again")
            print(f"     {', '.join(r.name for r in dead)} ended during {test.__name__} and was started again", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--list", action="store_true", help="print the names of the tests")
    p.add_argument("--only", action="append", default=[], help="run the tests whose names contain this")
    p.add_argument("--keep", action="store_true", help="keep the routers' files")
    p.add_argument("--loglevel", default="info", help="of i2pd")
    p.add_argument("--log", default="info,samovar=debug", help="filter of ours")
    a = p.parse_args()
    tests = [t for t in TESTS if not a.only or any(word in t.__name__ for word in a.only)]
    if a.list:
        print("\n".join(t.__name__ for t in tests))
    if a.list or not tests:
        return 0
    try:
        testnet.enter_namespace()
    except testnet.Unavailable as e:
        print(f"left out: {e}")
        return 3
    world, failed = World(a.loglevel, a.log), 0
    try:
        world.mixed.start()
        world.mixed.wait_up()
        for test in tests:
            start = time.monotonic()
            word, seen = run(test, world)
            failed += word == "FAIL"
            print(f"{word} {test.__name__} ({time.monotonic() - start:.1f} s): {seen}", flush=True)
    finally:
        world.mixed.close(failed > 0 or a.keep)
    print(f"{len(tests) - failed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
