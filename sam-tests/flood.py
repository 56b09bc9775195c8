#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What floods do to honest traffic: the same floods against our router and against i2pd, side by side.

  flood.py [--only NAME]... [--seconds 15] [--victims ours,i2pd] [--quick] [--json FILE] [--markdown FILE] [--list]

After the floods two parts that have a network of their own: `newcomers` and `small-memory` (flood_newcomers.py and
flood_small.py say what they do).

For each victim a private network of eight routers of its kind. The victim of ours runs with the limits of the live
network; only its network id is another. An honest stream runs from a session on the victim to another router all the
time, as fast as it can. Meanwhile, in a quiet phase and while `samovar-flood` floods: other routers link to the
victim, streams to a session on it are opened, sessions on it are opened, and its memory is watched.

How to read it: victim, other routers, clients and the flooder share the machine's cores, so `share` (goodput during
the flood, of that before and after) also holds what the flooder takes from everybody. It runs at a lower priority and
its use of a core stands in the table; the flood called `spin` uses half a core and sends nothing. `cost` is the part
of a core that the victim spent on the flood: what it used, less what the bytes of the stream cost in the quiet. A
busy machine spoils shares and times, but hardly the cost.

Exit code 1 if a victim of ours dies, takes memory without bound, or its stream or sessions do not come through. There
are no other demands: the rest is measured.
"""
import argparse
import json
import pathlib
import resource
import signal
import statistics
import subprocess
import sys
import time

import flood_newcomers
import flood_small
import testnet
from flood_net import HOPS, ROUTERS, Flooder, Side, call, flooder
from samclient import SamError, Session
from testnet import Unavailable

# name, kind, arguments of the flooder, what it is
FLOODS = [
    ("spin", ["spin", "--rate=50"], "no flood: half a core is used up"),
    ("m1-random", ["random", "--rate=2000"], "NTCP2 message 1, random bytes, from 500 subnets"),
    ("m1-valid", ["valid", "--rate=1000", "--prepared=15000"], "NTCP2 message 1 in order and nothing after it"),
    ("m1-replay", ["replay", "--rate=1000"], "NTCP2 messages 1 seen before"),
    ("slow", ["slow", "--rate=500", "--sockets=1000"], "1,000 handshakes at a byte a second"),
    ("builds", ["builds", "--rate=20000", "--attackers=5"], "build requests from 5 routers, half of them readable"),
    ("builds-many", ["builds", "--rate=5000", "--attackers=60"], "the same from 60 routers"),
    ("lookups", ["lookups", "--rate=10000", "--attackers=5"], "lookups of random keys, answers to be sent"),
    ("garlic", ["garlic", "--rate=10000", "--attackers=5"], "garlic that nobody can open, to the router"),
    ("leases", ["leases", "--rate=2000", "--attackers=2"], "the same to a destination, through its tunnels"),
    ("syns", ["syns", "--rate=1000"], "streams from 3 destinations, given up at once"),
    ("sam-sockets", ["sam-sockets", "--rate=1000", "--sockets=3000"], "SAM connections: silent, HELLO, HTTP"),
    ("sam-sessions", ["sam-sessions", "--rate=50", "--sockets=300"], "SAM sessions"),
    ("sybils", ["sybils", "--attackers=40", "--caps=XfR"], "40 routers that link and then keep silent"),
    ("infos", ["infos", "--rate=5000", "--prepared=100000", "--attackers=5"], "signed RouterInfos of nobody"),
]
# Parts of their own, each in a network of ours alone; not in the short form unless they are asked for by name.
PARTS = [
    ("newcomers", "bogus New Sessions to one destination, and honest newcomers to it and to another (G3)"),
    ("small-memory", "all floods at once at a router with 64 MiB in a cage of 128 MiB (Z3)"),
]
# Networks of i2pd that are tried until one comes up.
I2PD_TRIES = 4
# What i2pd 2.45.1 cannot be measured with: its bridge hangs when many sessions are closed.
NOT_FOR_I2PD = {"sam-sessions"}
QUICK = {"m1-random", "slow", "sybils", "builds", "lookups", "garlic", "leases", "syns", "sam-sockets", "sam-sessions", "infos"}
RSS_GROWTH_MAX_MIB = 64


# --- a flood ---------------------------------------------------------------------------------------------------------

def measure(side, name, words, seconds, quiet, after):
    flood = Flooder(side, words, seconds)
    try:
        flood.ready()
        row = {"flood": name, "victim": side.kind, "rss_before": side.victim.rss_mib()}
        row["quiet"] = side.phase(quiet)
        row["during"] = side.phase(seconds, flood)
        row["sent"] = flood.result()
    finally:
        flood.stop()
    time.sleep(1)
    row["after"] = side.phase(after, honest=False)
    row["recovered"] = recover(side)
    row["rss_after"] = side.victim.rss_mib()
    calm = [row["quiet"], row["after"]]
    base = statistics.mean(c["goodput"] for c in calm)
    row["share"] = row["during"]["goodput"] / base if base else 0
    honest = statistics.mean(c["cpu"] for c in calm) * min(1, row["share"])
    row["cost"] = max(0, row["during"]["cpu"] - honest)
    return row


def recover(side):
    """Seconds until a stream and, on ours, a session come through after a flood."""
    start = time.monotonic()
    for _ in range(8):
        try:
            call(side.caller, side.served.destination, patience=10)
            if side.kind == "ours":
                Session(side.victim.sam, HOPS, timeout=30).close()
            return time.monotonic() - start
        except (SamError, OSError):
            time.sleep(0.5)
    return None


def wrongs(side, row):
    """What must not be, of a router of ours."""
    out = []
    if not side.victim.alive():
        out.append("the victim died")
    if row["after"]["goodput"] <= 0:
        out.append("the honest stream does not move any more")
    growth = max(row["during"]["rss"], row["rss_after"]) - row["rss_before"]
    if growth > RSS_GROWTH_MAX_MIB:
        out.append(f"{growth:.0f} MiB more memory")
    if row["recovered"] is None:
        out.append("no stream or session comes through after it")
    # Programs on the same machine may use up the places of the SAM port; the router's own doings go on.
    if not row["flood"].startswith("sam-"):
        if not row["during"]["streams"][0]:
            out.append("no stream to the victim came through")
        if not row["during"]["sessions"][0]:
            out.append("no session of the victim came through")
    return out


def span(values, unit="s"):
    """Middle and most of (times, failures)."""
    times, failed = values
    if not times:
        return f"none ({failed} failed)" if failed else "-"
    text = f"{statistics.median(times):.2f} / {max(times):.2f} {unit}"
    return text + (f" ({failed} of {failed + len(times)} failed)" if failed else "")


def links(result):
    total = result["linked"] + result["failed"]
    text = f"{result['p50_ms']:.0f} / {result['p95_ms']:.0f} ms" if result["linked"] else "none"
    return text + (f" ({result['failed']:.0f} of {total:.0f} failed)" if result["failed"] else "")


HEAD = ["flood", "victim", "sent/s", "goodput quiet, during (MiB/s)", "share", "cost", "stream to it: middle / most", "session on it: middle / most",
        "link to it: middle / 95 %", "memory before, most, after (MiB)", "cores: victim quiet, during; flooder"]


def cells(row):
    q, d = row["quiet"], row["during"]
    return [row["flood"], row["victim"], f"{row['sent'].get('per_second', 0):,.0f}", f"{q['goodput']:.1f}, {d['goodput']:.1f}", f"{row['share']:.0%}", f"{row['cost']:.2f}",
            span(d["streams"]), span(d["sessions"]), links(d["links"]), f"{row['rss_before']:.0f}, {d['rss']:.0f}, {row['rss_after']:.0f}",
            f"{q['cpu']:.2f}, {d['cpu']:.2f}; {d['flood_cpu']:.2f}"]


def markdown(rows):
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    names = [name for name, _, _ in FLOODS]
    rows = sorted(rows, key=lambda r: (names.index(r["flood"]), r["victim"] != "ours"))
    return "\n".join(lines + ["| " + " | ".join(cells(r)) + " |" for r in rows])


def opened(kind, base):
    """A network with its sessions. i2pd forgets now and then to publish one: then another network is tried."""
    for tries in range(I2PD_TRIES if kind == "i2pd" else 1, 0, -1):
        side = Side(kind, base)
        try:
            side.open()
            return side
        except Exception as e:
            side.close(tries == 1)
            if tries == 1:
                print(f"logs are kept in {side.net.dir}")
                raise
            print(f"     once more: {e}", flush=True)


def run_side(kind, floods, a, base):
    """Rows and complaints of one victim."""
    side, rows, bad = opened(kind, base), [], []
    keep = a.keep
    try:
        print(f"{kind}: {ROUTERS} routers, the victim is {side.victim.name}, {side.victim.ip}", flush=True)
        for name, words, _ in floods:
            try:
                row = measure(side, name, words, a.seconds, a.quiet, a.after)
            except (SamError, OSError) as e:
                dead = "" if side.victim.alive() else " (the victim has ended)"
                print(f"FAIL {kind} {name}: {e}{dead}", flush=True)
                if kind == "ours":
                    bad.append(name)
                if not side.victim.alive():
                    break
                continue
            rows.append(row)
            wrong = wrongs(side, row) if kind == "ours" else []
            bad += [name] if wrong else []
            print(f"{'FAIL' if wrong else 'PASS'} {' | '.join(cells(row)[:-1])}" + (f": {'; '.join(wrong)}" if wrong else ""), flush=True)
            extra = {k: v for k, v in row["sent"].items() if k not in ("per_second",) and v}
            print(f"     cores {cells(row)[-1]}; flooder {extra}", flush=True)
            if a.json:
                pathlib.Path(f"{a.json}.{kind}").write_text(json.dumps(rows, indent=1))
        keep |= bool(bad)
    except Exception:
        keep = True
        raise
    finally:
        side.close(keep)
        if keep:
            print(f"logs are kept in {side.net.dir}")
    return rows, bad


def run_part(name, a):
    """Complaints of one of the parts."""
    cage = flood_small.Cage(a.cage) if name == "small-memory" else None
    side, keep, bad = None, a.keep, ["it was not done"]
    print(f"{name}: {ROUTERS} routers of ours", flush=True)
    try:
        side = Side("ours", None, flood_small.Caged, cage) if cage else Side("ours", None)
        side.open()
        if cage:
            floods = [f for f in FLOODS if f[0] != "spin"]
            bad = flood_small.run(side, cage, floods, a.seconds if a.given else flood_small.SECONDS)
        else:
            bad = flood_newcomers.run(side, a.seconds, a.quick)
    finally:
        keep |= bool(bad)
        if side:
            side.close(keep)
            if keep:
                print(f"logs are kept in {side.net.dir}")
        if cage:
            cage.remove()
    print(f"{'FAIL' if bad else 'PASS'} {name}" + (f": {'; '.join(bad)}" if bad else ""), flush=True)
    return bad


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--only", action="append", default=[], help="floods whose name contains this")
    p.add_argument("--seconds", type=float, help="of each flood [default: 15; small-memory 120]")
    p.add_argument("--quiet", type=float, default=8, help="seconds before each")
    p.add_argument("--after", type=float, default=5, help="seconds after each")
    p.add_argument("--victims", default="ours,i2pd")
    p.add_argument("--quick", action="store_true", help="the short form: ours alone, a few seconds each")
    p.add_argument("--json", help="write the figures there")
    p.add_argument("--markdown", help="write the table there")
    p.add_argument("--cage", default="auto", choices=["auto", "v2", "v1", "none"],
                   help="of small-memory: which cgroup; `none` bounds the address space alone")
    p.add_argument("--keep", action="store_true", help="keep the routers' files")
    p.add_argument("--list", action="store_true", help="say what floods there are")
    a = p.parse_args()
    a.given = a.seconds is not None
    if a.quick:
        a.victims, a.quiet, a.after = "ours", 1.5, 1
    a.seconds = a.seconds or (3 if a.quick else 15)
    return a


def main():
    a = arguments()
    shrink = lambda words: [w if not w.startswith("--prepared") else "--prepared=2000" for w in words] if a.quick else words
    floods = [(name, shrink(words), about) for name, words, about in FLOODS]
    floods = [f for f in floods if (not a.only or any(o in f[0] for o in a.only)) and (not a.quick or f[0] in QUICK)]
    parts = [name for name, _ in PARTS if any(o in name for o in a.only) or not (a.only or a.quick)]
    if a.list:
        print("\n".join(f"{row[0]:13} {row[-1]}" for row in FLOODS + PARTS))
        return 0
    victims = a.victims.split(",")
    try:
        testnet.binary(), flooder()
        if "i2pd" in victims:
            testnet.net_i2pd()
        testnet.enter_namespace()
        subprocess.run(["ip", "route", "add", "local", "31.0.0.0/8", "dev", "lo"], check=True)
    except (Unavailable, subprocess.CalledProcessError) as e:
        print(f"flood left out: {e}")
        return 3
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    rows, bad = [], []
    for kind in victims if floods else []:
        chosen = [f for f in floods if kind != "i2pd" or f[0] not in NOT_FOR_I2PD]
        more, wrong = run_side(kind, chosen, a, None)
        rows += more
        bad += wrong
    if "ours" in victims:
        bad += [name for name in parts if run_part(name, a)]
    if rows:
        print("\n" + markdown(rows))
    if a.json:
        pathlib.Path(a.json).write_text(json.dumps(rows, indent=1))
    if a.markdown:
        pathlib.Path(a.markdown).write_text(markdown(rows) + "\n")
    tried = {r["flood"] for r in rows if r["victim"] == "ours"} | set(parts if "ours" in victims else [])
    print(f"{len(tried - set(bad))} passed, {len(set(bad))} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
