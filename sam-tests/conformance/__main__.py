#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A conformance kit for SAMv3 servers: black box, one line a rule, Python's standard library alone.

  python3 conformance --sam HOST:PORT [--sam2 HOST:PORT] [options]

Exit code: 0 if no MUST rule failed, 1 if one did, 2 if the server could not be reached. See README.md beside this.
"""
import argparse
import pathlib
import sys
import time

import report
import runner
from client import Fail
from rules import RULES


def address(text):
    host, _, port = text.rpartition(":")
    if not port.isdigit():
        raise argparse.ArgumentTypeError(f"{text} is not HOST:PORT")
    return host.strip("[]") or "127.0.0.1", int(port)


def arguments():
    p = argparse.ArgumentParser(prog="conformance", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--sam", type=address, help="the server under test")
    p.add_argument("--sam2", type=address, help="a SAM server on another router of the same network, for the far ends")
    p.add_argument("--udp", type=address, help="UDP address of the server (default: same host, TCP port - 1)")
    p.add_argument("--udp2", type=address, help="the same of --sam2")
    p.add_argument("--only", action="append", default=[], metavar="PATTERN", help="rules by name, group (`line`), glob or row (`S3`)")
    p.add_argument("--skip", action="append", default=[], metavar="PATTERN", help="leave these out")
    p.add_argument("--list", action="store_true", help="print all rules and why they exist, and end")
    p.add_argument("--slow", action="store_true", help="also the rules that wait for timeouts of a minute and more")
    p.add_argument("--strict", action="store_true", help="exit code 1 also for SHOULD and for rules that could not be tried")
    p.add_argument("--auth", metavar="USER:PASSWORD", help="for a server that asks for it in HELLO")
    p.add_argument("--host-name", metavar="NAME", help="a host name that the server knows, for look-ups")
    p.add_argument("--timeout", type=float, default=10, help="seconds for an answer that needs no network (10)")
    p.add_argument("--patience", type=float, default=90, help="seconds for a session, a look-up, a stream (90)")
    p.add_argument("--session-options", default="inbound.length=1 outbound.length=1 inbound.quantity=1 outbound.quantity=1 "
                   "i2cp.leaseSetEncType=4,0", metavar="WORDS", help="given to every SESSION CREATE that is not about options")
    p.add_argument("--jobs", type=int, default=8, help="rules side by side (8)")
    p.add_argument("--restart-cmd", metavar="COMMAND", help="run when the server died or hangs; then it is waited for")
    p.add_argument("--label", default="server", help="name of the server in reports")
    p.add_argument("--markdown", metavar="FILE", help="write the matrix here")
    p.add_argument("--json", metavar="FILE", help="write everything here")
    p.add_argument("-v", "--verbose", action="store_true", help="the whole exchange of every rule")
    p.add_argument("-q", "--quiet", action="store_true", help="no lines for rules that passed")
    return p.parse_args()


def listing():
    for r in RULES:
        flags = "".join(f" [{w}]" for w in ("slow", "alone", "danger") if getattr(r, w))
        print(f"{r.name:<28} {r.level:<6} {r.row:<4}{flags} {r.why}")


def main():
    o = arguments()
    if o.list:
        return listing()
    if not o.sam:
        sys.exit("--sam HOST:PORT is missing")
    o.servers = [runner.Server(o.sam, o.udp or (o.sam[0], o.sam[1] - 1), o.label)]
    if o.sam2:
        o.servers.append(runner.Server(o.sam2, o.udp2 or (o.sam2[0], o.sam2[1] - 1), "the other router"))
    world, out = runner.World(o), report.Report(o.verbose, o.quiet)
    machine = runner.Runner(world, out)
    if not machine.alive():
        print("no SAM server answers at " + " ".join("%s:%d" % s.tcp for s in o.servers), file=sys.stderr)
        return 2
    start = time.monotonic()
    outcomes = machine.run()
    order = {r.name: i for i, r in enumerate(RULES)}
    outcomes.sort(key=lambda x: order[x.rule.name])
    out.summary(outcomes)
    out.say(f"{time.monotonic() - start:.0f} s")
    text = report.as_json(outcomes, {"label": o.label, "slow": o.slow})
    if o.json:
        pathlib.Path(o.json).write_text(text)
    if o.markdown:
        chosen = [x.rule for x in outcomes]
        pathlib.Path(o.markdown).write_text(report.matrix([(o.label, report.json.loads(text))], chosen))
    bad = [x for x in outcomes if x.status == "FAIL" and (o.strict or x.rule.level == runner.MUST)]
    if o.strict:
        bad += [x for x in outcomes if x.status == "SKIP" and not x.left_out]
    return 1 if bad else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except Fail as e:
        sys.exit(str(e))
