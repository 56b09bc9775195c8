#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Our routers and real i2pd routers in one private network: every promise of one side is seen from the other.

  interop.py [--list] [--keep] [--only WORD]...

Two networks run side by side. In "mixed" only i2pd routers are floodfills; in "served" only ours are. Each test prints
one line, PASS or FAIL, with what was seen; the last line is "N passed, N failed". Exit code 0 only if none failed,
3 if no private network can be had on this machine. Logs are kept when something failed.
"""
import argparse
import os
import re
import signal
import sys
import time
import traceback

import testnet
from samclient import Sam, SamError, Session, Task, pair, transfer
from testnet import Late, Net, Unavailable, until

MIB = 1 << 20
SIZE = 16 * MIB
# Patience of a transfer: the slowest i2pd stream measured runs at over 1 MiB/s on a quiet machine.
TRANSFER_S = 300
SESSION_S = 180


class World:
    """The two networks and the sessions that tests share."""

    def __init__(self, loglevel, our_log):
        self.mixed = Net("mixed", netid=77, loglevel=loglevel, our_log=our_log)
        for k in range(1, 6):
            self.mixed.add_i2pd(k, floodfill=k <= 2)
        for k in range(1, 4):
            self.mixed.add_ours(k)
        self.served = Net("served", netid=78, base=self.mixed.base, loglevel=loglevel, our_log=our_log)
        for k in range(11, 14):
            self.served.add_i2pd(k)
        for k in range(11, 13):
            self.served.add_ours(k, floodfill=True)
        self.opening = {}

    def start(self):
        for net in (self.mixed, self.served):
            net.start()

    def open(self, key, router, hops, **more):
        """Begins to open a session; i2pd takes 20 s for one, so they are opened side by side."""
        self.opening[key] = Task(router.net.session, router, hops, timeout=SESSION_S, **more)

    def session(self, key):
        return self.opening[key].result(2 * SESSION_S)

    def open_all(self):
        us, them = self.mixed.ours, self.mixed.i2pds
        for hops in (1, 2, 3):
            self.open(("ours", hops), us[0], hops)
            self.open(("i2pd", hops), them[2], hops)
        # i2pd takes exactly these routers as hops, in this order seen from itself.
        for name, path in (("by-us-first", [us[1], them[3]]), ("by-us-last", [them[4], us[2]]), ("sandwich", [us[1], them[4], us[2]])):
            self.open(("i2pd", name), them[3] if name == "by-us-last" else them[2], len(path), quantity=1, check=False,
                      explicitPeers=",".join(r.b64 for r in path))
        self.open(("i2pd", "long"), them[3], 2, quantity=1, check=False,
                  explicitPeers=f"{us[1].b64},{us[2].b64}", i2cp_leaseSetEncType=0)
        self.open(("ours", "mixed"), us[0], (3, 2))
        for style in ("DATAGRAM", "RAW"):
            self.open(("ours", style), us[1], 2, style=style)
            self.open(("i2pd", style), them[2], 2, style=style)
        for k, router in enumerate(self.served.i2pds):
            self.open(("served", k), router, 1)
        self.open(("served", "ours"), self.served.ours[0], 1)

    def close(self, keep):
        self.mixed.close(keep)
        self.served.close(keep)


# --- (a) links -------------------------------------------------------------------------------------------------------

def ntcp2_dialled_by_us(w):
    return _linked(w, False, "Outbound")


def ntcp2_dialled_by_i2pd(w):
    return _linked(w, True, "Inbound")


def _linked(w, theirs, our_word):
    """A link that i2pd's console shows in this direction, and that our log shows in the other one's words."""
    def seen():
        for ours in w.mixed.ours:
            log = ours.log_text()
            for i2pd in w.mixed.i2pds:
                line = re.search(rf"session established peer={re.escape(i2pd.logged)} direction={our_word}", log)
                if line and (theirs, ours.short) in i2pd.links():
                    dialler, listener = (i2pd, ours) if theirs else (ours, i2pd)
                    return f"{dialler.name} dialled {listener.name}; both say so"
    return until(seen, 60, f"an NTCP2 link that i2pd {'dialled' if theirs else 'took in'}")


# --- (b) tunnels -----------------------------------------------------------------------------------------------------

def i2pd_builds_through_us_long(w):
    """i2pd sends long records for the outbound tunnels of a destination that cannot open ECIES replies."""
    b32 = w.session(("i2pd", "long")).b32
    ours = {r.short: r for r in w.mixed.ours}
    def seen():
        paths = [hops for way, state, hops in w.mixed.i2pds[3].destination_tunnels(b32) if way == "out" and state == "established"]
        accepted = {r.name: n for r in ours.values() if (n := _answered(r, "Long"))}
        if len(accepted) >= 2 and any(len(hops) == 2 and set(hops) <= ours.keys() for hops in paths):
            path = "+".join(ours[h].name for h in paths[0])
            return f"accepted by {', '.join(f'{k} {n} times' for k, n in accepted.items())}; i2pd shows its tunnel by {path}"
    return until(seen, 60, "long builds of i2pd through us")


def _answered(router, size):
    return len(re.findall(rf"tunnel build answered size={size} .*accepted=true", router.log_text()))


def i2pd_builds_through_us_short(w):
    """We accepted such a build, hold transit tunnels, and i2pd has established tunnels with us as a hop."""
    def seen():
        us = {r.short: r for r in w.mixed.ours}
        users = [i.name for i in w.mixed.i2pds if any(state == "established" and us.keys() & set(hops) for _, state, hops in i.tunnels())]
        accepted = sum(_answered(r, "Short") for r in us.values())
        transit = sum(r.status()["transit"] for r in us.values())
        if users and accepted and transit:
            return f"{accepted} short builds accepted, {transit} transit tunnels; {', '.join(users)} show us as hop"
    return until(seen, 90, "short builds of i2pd through us")


def we_build_through_i2pd(w):
    """Tunnels of ours whose hops are all i2pd, in both directions; and those i2pd carry tunnels."""
    def seen():
        names = {i.logged: i for i in w.mixed.i2pds}
        found = {}
        for r in w.mixed.ours:
            for way, hops in _established(r):
                if hops and all(h in names for h in hops) and names[hops[0]].counts().get("Transit Tunnels"):
                    found[way] = f"{r.name} {way.lower()} by {'+'.join(names[h].name for h in hops)}"
        return len(found) == 2 and "; ".join(found.values())
    return until(seen, 60, "our tunnels through i2pd in both directions")


def _established(router):
    """Tunnels of one of ours that came to stand: (direction, [hops])."""
    out = []
    for way, hops in re.findall(r"tunnel established pool=\d+ direction=(\w+) hops=\[(.*?)\]", router.log_text()):
        out.append((way, hops.split(", ")))
    return out


def i2pd_tunnels_by_us_pass_tests(w):
    """i2pd sends its own tests through tunnels that we are part of, and calls the tunnels good: none of them failed."""
    def seen():
        us, good, failed = {r.short for r in w.mixed.ours}, 0, 0
        for i in w.mixed.i2pds:
            for _, state, hops in i.tunnels():
                if us & set(hops):
                    good += state == "established"
                    failed += state == "failed"
        return good >= 5 and good > 4 * failed and f"{good} established tunnels of i2pd with us as hop, {failed} failed"
    return until(seen, 90, "i2pd calls tunnels by us good")


# --- (c) the network database ----------------------------------------------------------------------------------------

def i2pd_floodfills_serve_us(w):
    floodfills = [i for i in w.mixed.i2pds if i.floodfill]
    until(lambda: all(r.status()["published"] for r in w.mixed.ours), 60, "i2pd confirms our RouterInfo")
    session = w.session(("ours", 2))
    def stored():
        return [i.name for i in floodfills if session.b32 in i.console("leasesets")]
    holders = until(stored, 60, "an i2pd floodfill shows the lease set of our session")
    target = w.session(("i2pd", 2))
    def found():
        with Sam(w.mixed.ours[1].sam, 60) as sam:
            answer = sam.ask(f"NAMING LOOKUP NAME={target.b32}.b32.i2p")
            if f"VALUE={target.destination}" not in answer:
                raise SamError(answer)
            return True
    until(found, 90, "another of ours finds the lease set of an i2pd session")
    return f"our RouterInfos confirmed; our lease set at {', '.join(holders)}; i2pd's lease set found by name"


def our_floodfills_serve_i2pd(w):
    for i in w.served.i2pds:
        until(lambda: "Publishing confirmed" in i.log_text(), 90, f"our floodfills confirm the RouterInfo of {i.name}")
    for last in (False, False, False, False, True):
        try:
            near, far, _ = pair(w.session(("served", 0)), w.session(("served", 1)), patience=20)
            break
        except SamError:
            # See Net.session: i2pd may not have published at all, and says so.
            if last or "Can't publish LeaseSet. Destination is not ready" not in w.served.i2pds[1].log_text():
                raise
            w.served.silent.append(w.session(("served", 1)))
            w.open(("served", 1), w.served.i2pds[1], 1)
    transfer(near, far, MIB, TRANSFER_S)
    for sam in (near, far):
        sam.close()
    ours = w.session(("served", "ours"))
    near, far, _ = pair(w.session(("served", 2)), ours)
    transfer(far, near, MIB, TRANSFER_S)
    for sam in (near, far):
        sam.close()
    return "RouterInfos of all i2pd confirmed; i2pd finds i2pd's and our lease sets here alone; 1 MiB over each"


# --- (d) streams -----------------------------------------------------------------------------------------------------

def _both_ways(client, server):
    near, far, seconds = pair(client, server)
    try:
        up = transfer(near, far, SIZE, TRANSFER_S)
        down = transfer(far, near, SIZE, TRANSFER_S)
    finally:
        near.close()
        far.close()
    return f"16 MiB each way, hashes equal, {up:.1f} up and {down:.1f} MiB/s down, first byte answered after {seconds:.2f} s"


def _stream_test(client, server, name):
    def test(w):
        return _both_ways(w.session(client), w.session(server))
    test.__name__ = name
    return test


def _mixed_test(name, client, server, path):
    def test(w):
        key = client if client[0] == "i2pd" else server
        if server == key:
            # With one tunnel each way i2pd rarely publishes (see Net.session): we learn its lease set as it calls us.
            for sam in pair(w.session(server), w.session(client))[:2]:
                sam.close()
        text = _both_ways(w.session(client), w.session(server))
        i2pd = w.mixed.i2pds[3] if key[1] == "by-us-last" else w.mixed.i2pds[2]
        short = {r.short: r.name for r in w.mixed.routers}
        hops = {tuple(short.get(h, h) for h in hops) for _, state, hops in i2pd.destination_tunnels(w.session(key).b32) if state != "failed" and hops}
        wanted = set(path)
        if not hops or any(set(h) != wanted for h in hops):
            raise SamError(f"i2pd's tunnels run by {hops}, not by {path}")
        return text + "; i2pd's hops " + " ".join("+".join(h) for h in sorted(hops))
    test.__name__ = name
    return test


# --- (e) datagrams ---------------------------------------------------------------------------------------------------

COUNT = 400


def _datagrams(source, sink):
    """Sends numbered datagrams of 1 KiB at 200 a second; answers how many arrived, each once and by its right sender."""
    received = set()

    def receive():
        while (got := sink.receive_datagram(4)) is not None:
            sender, payload = got
            if sender not in (None, source.destination):
                raise SamError("a datagram names another sender")
            if payload[:4] != b"num:" or len(payload) != 1024:
                continue
            number = int.from_bytes(payload[4:8], "big")
            if number in received:
                raise SamError(f"datagram {number} came twice")
            received.add(number)

    task = Task(receive)
    for number in range(COUNT):
        source.send_datagram(sink.destination, b"num:" + number.to_bytes(4, "big") + bytes(1016))
        time.sleep(0.005)
    task.result(60)
    return len(received)


def _first_datagram(source, sink, size):
    """Sends one datagram again and again until it arrives: i2pd drops those that wait for a lease set."""
    payload, end = os.urandom(size), time.monotonic() + 60
    while time.monotonic() < end:
        source.send_datagram(sink.destination, payload)
        while (got := sink.receive_datagram(2)) is not None:
            if got[1] == payload:
                return
    raise SamError(f"no datagram of {size} bytes arrived")


def _datagram_test(style, client, server):
    def test(w):
        near, far = w.session((client, style)), w.session((server, style))
        # i2pd 2.45.1 has 8 KiB for a datagram on the control socket.
        for size in (1, 1000, 6000):
            _first_datagram(near, far, size)
        there = _datagrams(near, far)
        _first_datagram(far, near, 100)
        back = _datagrams(far, near)
        if min(there, back) < COUNT * 0.97:
            raise SamError(f"of {COUNT} datagrams {there} arrived there and {back} back")
        return f"1 to 6,000 bytes; of {COUNT} of 1 KiB {there} arrived there and {back} back"
    test.__name__ = f"{style.lower()}_{client}_to_{server}"
    return test


# --- (f) sudden death ------------------------------------------------------------------------------------------------

def kill_9_in_mid_transfer(w):
    """Streams of a router that dies end at the other side within two minutes, whether that one sends or receives."""
    victim, survivor = w.mixed.ours[2], w.mixed.ours[0]
    server = Session(victim.sam, 1, timeout=SESSION_S)
    client = Session(survivor.sam, 1, timeout=SESSION_S)
    sending, receiving = pair(client, server), pair(client, server)
    moved = {"sent": 0, "received": 0}

    def send():
        sending[0].socket.settimeout(150)
        block = bytes(65536)
        while True:
            sending[0].socket.sendall(block)
            moved["sent"] += len(block)

    def drain(sam):
        while sam.receive():
            pass

    def feed(sam):
        while True:
            sam.socket.sendall(bytes(65536))

    def receive():
        receiving[0].socket.settimeout(150)
        while data := receiving[0].receive():
            moved["received"] += len(data)

    Task(drain, sending[1])
    Task(feed, receiving[1])
    tasks = {"sender": Task(send), "receiver": Task(receive)}
    until(lambda: min(moved.values()) > MIB, 120, "both transfers are under way")
    w.old_hash = victim.hash
    victim.kill()
    died = time.monotonic()
    ends = {}
    while len(ends) < 2:
        for name, task in tasks.items():
            if name not in ends and not task.is_alive():
                if isinstance(task.error, TimeoutError):
                    raise SamError(f"the {name} of the surviving router was left hanging")
                ends[name] = time.monotonic() - died
        if time.monotonic() - died > 120:
            raise SamError(f"two minutes after the kill not ended: {set(tasks) - set(ends)}")
        time.sleep(0.1)
    client.close()
    return ", ".join(f"the {name}'s client was told after {s:.1f} s" for name, s in ends.items())


def restarts_with_the_same_identity(w):
    victim = w.mixed.ours[2]
    old = getattr(w, "old_hash", None) or victim.hash
    if victim.alive():
        victim.kill()
    start = time.monotonic()
    victim.start()
    until(victim.sam_open, 30, "SAM answers again", every=0.02)
    seconds = time.monotonic() - start
    if victim.hash != old:
        raise SamError("the router came back as another one")
    if seconds > 3:
        raise SamError(f"SAM answered only after {seconds:.2f} s")
    until(victim.up, 60, "the restarted router has tunnels again")
    with Session(victim.sam, 1, timeout=SESSION_S) as session:
        near, far, _ = pair(w.session(("ours", 1)), session)
        transfer(near, far, MIB, TRANSFER_S)
        near.close()
        far.close()
    return f"SAM answered after {seconds:.2f} s, same hash, carries streams again"


def nobody_fell_over(w):
    """Every router still runs, and neither side ever complained of the other's cells or records."""
    words = ("TunnelMessage: Checksum verification failed", "Short reply AEAD encryption failed", "Response AEAD decryption failed",
             "NTCP2: Phase verification failed", "panicked")
    for router in w.mixed.routers + w.served.routers:
        if not router.alive():
            raise SamError(f"{router.name} has ended")
        log = router.log_text()
        for word in words:
            if word in log:
                raise SamError(f"{router.name} logged: {next(l for l in log.splitlines() if word in l)}")
    return f"{len(w.mixed.routers + w.served.routers)} routers alive, no complaints about cells, records or links"


TESTS = [
    ntcp2_dialled_by_us,
    ntcp2_dialled_by_i2pd,
    we_build_through_i2pd,
    i2pd_builds_through_us_short,
    i2pd_builds_through_us_long,
    i2pd_tunnels_by_us_pass_tests,
    i2pd_floodfills_serve_us,
    our_floodfills_serve_i2pd,
    *(_stream_test((a, n), (b, n), f"stream_{a}_to_{b}_{n}_hop{'s' * (n > 1)}") for n in (1, 2, 3) for a, b in (("ours", "i2pd"), ("i2pd", "ours"))),
    _mixed_test("stream_mixed_hops_ours_to_i2pd", ("ours", "mixed"), ("i2pd", "by-us-first"), ("ours2", "i2pd4")),
    _mixed_test("stream_mixed_hops_i2pd_to_ours", ("i2pd", "by-us-last"), ("ours", "mixed"), ("i2pd5", "ours3")),
    _mixed_test("stream_mixed_hops_three", ("i2pd", "sandwich"), ("ours", "mixed"), ("ours2", "i2pd5", "ours3")),
    *(_datagram_test(style, a, b) for style in ("DATAGRAM", "RAW") for a, b in (("ours", "i2pd"), ("i2pd", "ours"))),
    kill_9_in_mid_transfer,
    restarts_with_the_same_identity,
    nobody_fell_over,
]


def run(tests, world):
    passed = failed = 0
    for test in tests:
        start = time.monotonic()
        try:
            seen = test(world)
        except Exception as e:
            failed += 1
            print(f"FAIL {test.__name__} ({time.monotonic() - start:.1f} s): {e!r}", flush=True)
            if not isinstance(e, (Late, SamError, OSError)):
                traceback.print_exc()
        else:
            passed += 1
            print(f"PASS {test.__name__} ({time.monotonic() - start:.1f} s): {seen}", flush=True)
    return passed, failed


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--list", action="store_true", help="print the names of the tests")
    p.add_argument("--only", action="append", default=[], help="run the tests whose names contain this")
    p.add_argument("--keep", action="store_true", help="keep the routers' files")
    p.add_argument("--loglevel", default="info", help="of i2pd")
    p.add_argument("--log", default="info,samovar=debug", help="filter of ours; the tests read its debug lines")
    a = p.parse_args()
    tests = [t for t in TESTS if not a.only or any(word in t.__name__ for word in a.only)]
    if a.list:
        print("\n".join(t.__name__ for t in tests))
    if a.list or not tests:  # the word may name tests of interop_keys.py
        return 0
    try:
        ours, theirs = testnet.binary(), testnet.i2pd_version()
        testnet.enter_namespace()
    except Unavailable as e:
        print(f"interop left out: {e}")
        return 3
    began = time.monotonic()
    world, passed, failed = World(a.loglevel, a.log), 0, 0
    print(f"interop: {ours.name} ({ours.parent.name} build) and i2pd {theirs}", flush=True)
    try:
        world.start()
        for net in (world.mixed, world.served):
            net.wait_up()
        print(f"{len(world.mixed.routers) + len(world.served.routers)} routers with tunnels after {time.monotonic() - began:.1f} s", flush=True)
        world.open_all()
        passed, failed = run(tests, world)
    except Exception as e:
        failed += 1
        print(f"FAIL the networks did not come up: {e}", flush=True)
    finally:
        keep = failed > 0 or a.keep
        world.close(keep)
        if keep:
            print(f"logs are kept in {world.mixed.base}", flush=True)
    print(f"interop took {time.monotonic() - began:.0f} s")
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
