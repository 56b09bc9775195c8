#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the tests of the Python client and of the tools.

  run.py [SAMOVAR] [-k WORD]...

SAMOVAR is the router's program; it runs a private network for the tests. Without it, SAM=host:port (and SAM2, of
another router) in the environment name bridges that run already, and without those only the tests that need none
are run.
"""
from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROUTERS = 5
START_S = 60


def free_port() -> int:
    """A TCP port whose neighbour below is free for UDP, as SAM wants them."""
    while True:
        port = random.randrange(20000, 60000)
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp, contextlib.suppress(OSError):
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port - 1))
            return port


@contextlib.contextmanager
def devnet(program: str, routers: int = ROUTERS) -> Iterator[list[str]]:
    """A private network, and the addresses of two bridges into it."""
    bridges = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    command = [program, "devnet", "--routers", str(routers), "--sam", bridges[0], "--sam", bridges[1]]
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(tempfile.TemporaryFile())
        net = stack.enter_context(subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL))
        try:
            deadline = time.monotonic() + START_S
            while True:
                log.seek(0)
                text = log.read().decode()
                if re.search("have tunnels", text):
                    break
                if net.poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"the private network does not start:\n{text}")
                time.sleep(0.1)
            yield bridges
        finally:
            net.terminate()
            try:
                net.wait(20)
            except subprocess.TimeoutExpired:
                net.kill()


def run(words: list[str]) -> bool:
    loader = unittest.TestLoader()
    loader.testNamePatterns = [f"*{word}*" for word in words] or None
    suite = unittest.TestSuite()
    for folder in (HERE, HERE.parent.parent / "tools" / "tests"):
        for file in sorted(folder.glob("test_*.py")):
            sys.path.insert(0, str(folder))
            suite.addTests(loader.loadTestsFromName(file.stem))
    return unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samovar", nargs="?")
    parser.add_argument("-k", action="append", default=[], metavar="WORD", help="only tests with this in their name")
    args = parser.parse_args()
    if sys.version_info < (3, 11):
        print("left out: the Python client needs Python 3.11")
        return
    sys.path.insert(0, str(HERE.parent))
    with contextlib.ExitStack() as stack:
        if args.samovar:
            os.environ["SAM"], os.environ["SAM2"] = stack.enter_context(devnet(args.samovar))
            os.environ["SAM_MAY_LOCK"] = "1"
            os.environ["SAMOVAR"] = args.samovar
        good = run(args.k)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
