#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Other people's SAM clients against our routers, in a private network in one process.

  third.py [--quick] [--list] [--only WORD]...

Prints one line for each test: PASS, FAIL or LEFT OUT, with what was seen; the last line is "N passed, N failed".
"""
import argparse
import sys

import harness
import qbittorrent
import swarm
import with_i2plib
import with_i2psam
from harness import MIB

# (name, in the quick run too, test)
TESTS = [
    ("libtorrent-quick", True, lambda net: swarm.swarm(net, 8 * MIB, hops=1, limit=90)),
    ("libtorrent-1-hop", False, lambda net: swarm.swarm(net, 64 * MIB, hops=1)),
    ("libtorrent-3-hops", False, lambda net: swarm.swarm(net, 64 * MIB, hops=3)),
    *((name, True, test) for name, test in with_i2plib.TESTS + with_i2psam.TESTS),
    *((name, False, test) for name, test in qbittorrent.TESTS),
]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--quick", action="store_true", help="the quick tests only")
    p.add_argument("--list", action="store_true", help="name the tests")
    p.add_argument("--only", action="append", default=[], help="tests whose name has this word")
    p.add_argument("--log", default="warn", help="what the routers log")
    a = p.parse_args()
    if a.list:
        print("\n".join(name for name, _, _ in TESTS))
        return 0
    return harness.run([(name, test) for name, quick, test in TESTS if quick or not a.quick], a.only, log=a.log)


if __name__ == "__main__":
    sys.exit(main())
