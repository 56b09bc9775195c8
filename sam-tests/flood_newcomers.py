# SPDX-License-Identifier: MIT
"""For flood.py: what a flood of bogus New Sessions at one destination does to honest newcomers (row G3 of the limits).

Newcomers come at a steady rate, however long the ones before them take: a fresh destination on another router that opens
a stream and waits for the first byte back, for ten seconds. Half of them go to the destination that is flooded, half
to another one of the same router. An honest stream of the victim runs meanwhile, as fast as it can.
"""
import time

from flood_net import HOPS, Flooder, Greeter, call
from samclient import SamError, Session, Task

RATES = [0, 500, 2500, 10000, 20000]
RATES_QUICK = [0, 20000]
# Newcomers a second to each of the two destinations.
ARRIVALS = 4
PATIENCE = 10
# What 95 % of them shall need at most.
WANTED_S = 2


def newcomer(side, router, destination):
    """Seconds until the first byte came back, `inf` if it did not, None if its own router has too many sessions."""
    try:
        person = Session(router.sam, HOPS, timeout=30)
    except (SamError, OSError):
        return None
    with person:
        try:
            return call(person, destination, PATIENCE)
        except (SamError, OSError):
            return float("inf")


def arrivals(side, destinations, seconds):
    """They come one after the other; for each destination a list of those under way."""
    routers, tasks, begin = side.net.routers[1:-1], [[] for _ in destinations], time.monotonic()
    for n in range(int(seconds * ARRIVALS)):
        time.sleep(max(0, begin + n / ARRIVALS - time.monotonic()))
        for k, destination in enumerate(destinations):
            router = routers[(n * len(destinations) + k) % len(routers)]
            tasks[k].append(Task(newcomer, side, router, destination))
    return tasks


def gather(tasks):
    times = [task.result(60) for task in tasks]
    return sorted(t for t in times if t is not None)


def share_of(values, part):
    """The value that so large a part of them does not exceed."""
    return values[min(len(values) - 1, int(len(values) * part))] if values else float("inf")


def text(values):
    late = f"over {PATIENCE}"
    show = lambda v: late if v == float("inf") else f"{v:.2f}"
    lost = values.count(float("inf"))
    return f"{show(share_of(values, 0.5))} / {show(share_of(values, 0.95))} s ({lost} of {len(values)} failed)"


def measure(side, other, rate, seconds):
    """One phase: newcomers to both destinations, goodput and the victim's use of the processor."""
    flood = Flooder(side, ["leases", f"--rate={rate}", "--attackers=2"], seconds + PATIENCE + 8) if rate else None
    try:
        if flood:
            flood.ready()
            flood.go()
            time.sleep(3)  # until the budget has found its place
        begin, before, cpu = time.monotonic(), side.meter.bytes(), side.victim.cpu_s()
        tasks = arrivals(side, [session.destination for session in (side.served, other)], seconds)
        took = time.monotonic() - begin
        row = {"rate": rate, "goodput": (side.meter.bytes() - before) / 1048576 / took,
               "cpu": (side.victim.cpu_s() - cpu) / took}
        row["flooded"], row["other"] = (gather(t) for t in tasks)
        row["sent"] = flood.result() if flood else {}
    finally:
        if flood:
            flood.stop()
    return row


HEAD = ["bogus a second: asked, sent", "to the flooded destination: middle / 95 %", "to another: middle / 95 %",
        "goodput (MiB/s), share", "cores of the victim"]


def cells(row, quiet):
    share = f", {row['goodput'] / quiet['goodput']:.0%}" if row is not quiet and quiet["goodput"] else ""
    return [f"{row['rate']:,}, {row['sent'].get('per_second', 0):,.0f}", text(row["flooded"]), text(row["other"]),
            f"{row['goodput']:.1f}{share}", f"{row['cpu']:.2f}"]


def run(side, seconds, quick=False, rates=None):
    """All rates in turn; complaints."""
    other = side.net.session(side.victim, HOPS, timeout=180)
    Greeter(other)
    rows, bad = [], []
    print("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD), flush=True)
    for rate in rates or (RATES_QUICK if quick else RATES):
        row = measure(side, other, rate, seconds)
        rows.append(row)
        print("| " + " | ".join(cells(row, rows[0])) + " |", flush=True)
        if not side.victim.alive():
            return bad + ["the victim died"]
        # The others' 50 a second are theirs, whatever one of them has to bear.
        late = share_of(row["other"], 0.95)
        if rate and late > WANTED_S:
            bad.append(f"at {rate}/s at one destination 95 % of the newcomers to another took {late:.1f} s")
        time.sleep(2)
    return bad
