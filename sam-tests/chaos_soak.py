# SPDX-License-Identifier: MIT
"""Memory and open files of routers that are watched over a long time: for chaos.py.

What a router has resident is more than what it remembers: the pages of its own program come one by one as they are
first run, and tables fill up that are meant to (transit tunnels live for eleven minutes, the filter against replayed
cells doubles every ten minutes until it fits the traffic). So three things are judged by themselves: the memory it has
beyond the program's pages and beyond what it accounts for, which must not grow; what it accounts for, which has a
bound; and open files. Memory that was freed may stay with the process or not, so once the account of the moment and once
the highest so far is taken off. A leak would show in both.
"""
import re
import statistics
import time

from samclient import Sam

# What is remembered of the dead goes after 8 to 11 minutes: until then it fills up.
WARM_S = 720
# By now the tables that follow the traffic have their size as well.
FULL_S = 1800
# Most that the tables of a router among ten may hold.
ACCOUNT_MIB = 16
# Per cent of growth in ten minutes, and in a soak that sees little more than the filling up.
USUAL, USUAL_SHORT = 3, 30
# Growth below this is the allocator's: its arenas grow by as much at a time.
GRAIN_MIB = 0.5
FILES = 10


class Watch:
    """Samples of some routers."""

    def __init__(self, routers):
        self.routers, self.begun, self.last = routers, time.monotonic(), 0.0
        self.samples = {router.name: [] for router in routers}

    def sample(self):
        """To be called often; looks every two seconds."""
        now = time.monotonic()
        if now - self.last >= 2:
            self.last = now
            for router in self.routers:
                self.samples[router.name].append((now - self.begun, own_mib(router), accounted_mib(router), router.open_files()))

    def now(self):
        return ", ".join(f"{name} {rows[-1][1]:.1f} MiB of its own with {rows[-1][2]:.1f} accounted for, {rows[-1][3]} files"
                         for name, rows in self.samples.items() if rows)

    def verdict(self, limit):
        """What was seen, and what must not be, as lines of text. `limit`: per cent of growth in ten minutes, if not the usual."""
        seen, faults = [], []
        for name, rows in self.samples.items():
            highest, table = 0.0, []
            for at, own, accounted, files in rows:
                highest = max(highest, accounted)
                table.append((at, own, highest, accounted, files))
            seconds = table[-1][0]
            percent = limit or (USUAL if seconds >= 2 * WARM_S else USUAL_SHORT)
            late = [row for row in table if row[0] > min(WARM_S, seconds / 2)]
            own = statistics.median(row[1] for row in late)
            beyond = [[(row[0], row[1] - row[column]) for row in late] for column in (2, 3)]
            growth = min(slope(rows, 1) for rows in beyond)
            allowed = max(own * percent / 100, GRAIN_MIB)
            half = len(late) // 2
            drift = statistics.median(r[4] for r in late[half:]) - statistics.median(r[4] for r in late[:half])
            seen.append(f"{name} {own:.1f} MiB of its own, {growth:+.2f} MiB in 10 min beyond its account of {late[-1][3]:.1f} (highest {highest:.1f}), "
                        f"files {drift:+.0f}")
            if growth > allowed:
                faults.append(f"memory of {name} grows by {growth:.2f} MiB in 10 min, {allowed:.2f} allowed")
            if highest > ACCOUNT_MIB:
                faults.append(f"the tables of {name} took {highest:.1f} MiB")
            full = [row for row in table if row[0] > FULL_S]
            if seconds >= 2 * FULL_S and slope(full, 3) > allowed:
                faults.append(f"the tables of {name} grow by {slope(full, 3):.2f} MiB in 10 min")
            if drift > FILES:
                faults.append(f"open files of {name} grow by {drift:.0f}")
        return seen, faults


def slope(rows, column):
    """Growth in ten minutes."""
    return statistics.linear_regression([row[0] for row in rows], [row[column] for row in rows]).slope * 600


def own_mib(router):
    """Resident memory without the pages of files."""
    with open(f"/proc/{router.process.pid}/status") as status:
        return int(re.search(r"RssAnon:\s+(\d+)", status.read())[1]) / 1024


def accounted_mib(router):
    """The sum of its account of memory."""
    with Sam(router.sam, timeout=10) as sam:
        sam.send("HELP STATUS")
        text = ""
        while not text.endswith("# end\n"):
            text += sam.line() + "\n"
    return float(re.search(r"memory ([\d.]+) of \d+ MiB", text)[1])
