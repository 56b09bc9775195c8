#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the SAM conformance kit against servers that it starts itself.

  sam_check.py ours [KIT OPTIONS]      our devnet: eight routers in one process, two of them with SAM
  sam_check.py i2pd [KIT OPTIONS]      five i2pd routers in a private network, two of them under test
  sam_check.py matrix [KIT OPTIONS]    both, with --slow, and writes docs/sam-conformance.md

Our server must pass all rules, SHOULD included. What i2pd fails is the matter of the document, not an error.
The kit itself is the folder `conformance` beside this, and knows nothing of all this.
"""
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time

import testnet

HERE = pathlib.Path(__file__).resolve().parent
KIT = HERE / "conformance"
DOCUMENT = HERE.parent / "docs" / "sam-conformance.md"
# A name for the rule about the address book; nobody answers there.
HOST = "conformance.i2p"
KEY = testnet.i2p_base64(bytes(range(32)) * 12 + bytes([5, 0, 4, 0, 7, 0, 0]))
BEGIN, END = "<!-- the matrix begins -->\n", "<!-- the matrix ends -->\n"


def kit(sam, sam2, label, words):
    """Starts the kit against two servers."""
    command = [sys.executable, "-B", str(KIT), "--sam", "%s:%d" % sam, "--sam2", "%s:%d" % sam2, "--label", label]
    return subprocess.Popen(command + words, preexec_fn=testnet._die_with_parent)


def free_port():
    """A port that is free for TCP, and the one below it for UDP."""
    while True:
        port = random.randrange(20000, 32000)
        try:
            with socket.create_server(("127.0.0.1", port)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.bind(("127.0.0.1", port - 1))
                return port
        except OSError:
            continue


# --- ours ------------------------------------------------------------------------------------------------------------

def ours(words):
    """The kit against our devnet; its exit code."""
    sams = [("127.0.0.1", free_port()) for _ in range(2)]
    command = [str(testnet.binary()), "devnet", "--threads", "2"] + [w for s in sams for w in ("--sam", "%s:%d" % s)]
    with tempfile.TemporaryDirectory(prefix="samovar-check-") as folder:
        log, hosts = pathlib.Path(folder) / "log", pathlib.Path(folder) / "hosts.txt"
        hosts.write_text(f"{HOST}={KEY}\n")
        if "--hosts" in subprocess.run([command[0], "devnet", "--help"], capture_output=True, text=True).stdout:
            command += ["--hosts", str(hosts)]
            words = ["--host-name", HOST] + words
        with open(log, "wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out, preexec_fn=testnet._die_with_parent)
        try:
            testnet.until(lambda: "have tunnels" in log.read_text() or process.poll() is not None, 60, "the devnet is up")
            if process.poll() is not None:
                sys.exit("the devnet ended:\n" + testnet.tail(log.read_text()))
            version = subprocess.run([command[0], "--version"], capture_output=True, text=True).stdout.strip() or "samovar"
            code = kit(*sams, version, ["--strict"] + words).wait()
            if process.poll() is not None:
                print("the devnet ended:\n" + testnet.tail(log.read_text()), file=sys.stderr)
                code = 1
            return code
        finally:
            process.terminate()
            process.wait()


# --- i2pd ------------------------------------------------------------------------------------------------------------

class Targets:
    """i2pd routers that are started again whenever they end, so that one crash does not end the run."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.net = testnet.Net("check", base=folder)
        for k in range(1, 6):
            self.net.add_i2pd(k, floodfill=k <= 2)
        self.under_test = dict(zip(("sam", "sam2"), self.net.i2pds[2:4]))
        self.starts = 0

    def start(self):
        self.net.start()
        self.net.wait_up()
        self.write_pids()

    def write_pids(self):
        for name, router in self.under_test.items():
            (self.folder / f"{name}.pid").write_text(str(router.process.pid))

    @property
    def restart_command(self):
        """Ends those that hang and asks `revive` for the rest. The kit says in SAM_DEAD who does not answer."""
        return f'for s in $SAM_DEAD; do kill -KILL "$(cat {self.folder}/$s.pid)" 2>/dev/null; done; sleep 1; touch {self.folder}/revive; sleep 2'

    def revive(self):
        """A dead router under test stays dead until the kit has noticed."""
        asked = self.folder / "revive"
        for router in self.net.routers:
            if not router.alive() and (router not in self.under_test.values() or asked.exists()):
                self.starts += 1
                router.start()
        self.write_pids()
        asked.unlink(missing_ok=True)


# Each group has a network of its own: i2pd grows unsteady after a hundred sessions, and a crash costs less.
GROUPS = (["line", "reply", "hello", "dest", "ping", "quit", "help", "telnet", "auth", "limit"], ["naming"], ["session"], ["key", "offline"],
          ["life"], ["stream"], ["data"], ["forward"], ["style", "dgram", "raw"], ["dgram2", "dgram3", "primary", "client", "ref"])
AT_ONCE = 3


def i2pd(words):
    """The kit against i2pd; its exit code."""
    return one_network(words) if "--only" in words else all_groups(words)


def all_groups(words):
    """All rules, group by group, some groups side by side; results are put together."""
    target = words[words.index("--json") + 1] if "--json" in words else None
    if target:
        del words[words.index("--json"):words.index("--json") + 2]
    with tempfile.TemporaryDirectory(prefix="samovar-check-") as folder:
        waiting, running, files = list(enumerate(GROUPS)), [], []
        while waiting or running:
            while waiting and len(running) < AT_ONCE:
                k, group = waiting.pop(0)
                files.append(pathlib.Path(folder) / f"{k}.json")
                command = [sys.executable, "-B", __file__, "i2pd", "--json", str(files[-1])] + words
                out = open(pathlib.Path(folder) / f"{k}.log", "w+b")
                running.append((subprocess.Popen(command + [w for g in group for w in ("--only", g)], stdout=out, stderr=out,
                                                 preexec_fn=testnet._die_with_parent), out))
            for process, out in running:
                if process.poll() is not None:
                    out.seek(0)
                    print(out.read().decode(errors="replace"), flush=True)
                    out.close()
                    running.remove((process, out))
                    if process.returncode == 3:
                        return 3
                    break
            time.sleep(0.5)
        parts = [json.loads(f.read_text()) for f in files if f.exists()]
        merged = {"about": parts[0]["about"], "rules": [r for part in parts for r in part["rules"]]}
        if target:
            pathlib.Path(target).write_text(json.dumps(merged, indent=1) + "\n")
        count = {s: sum(r["status"] == s for r in merged["rules"]) for s in ("PASS", "FAIL", "SKIP")}
        print(f"i2pd: {count['PASS']} passed, {count['FAIL']} failed, {count['SKIP']} skipped")
        return 0


def one_network(words):
    """The kit against one network of five i2pd routers."""
    try:
        testnet.enter_namespace()
    except testnet.Unavailable as e:
        print(e, file=sys.stderr)
        return 3
    with tempfile.TemporaryDirectory(prefix="samovar-check-") as folder:
        targets = Targets(folder)
        try:
            targets.start()
            one, two = (r.sam for r in targets.under_test.values())
            run = kit(one, two, f"i2pd {testnet.i2pd_version()}",
                      ["--patience", "120", "--timeout", "12", "--restart-cmd", targets.restart_command] + words)
            while run.poll() is None:
                time.sleep(0.5)
                targets.revive()
            print(f"i2pd was started again {targets.starts} times")
            return run.returncode
        finally:
            targets.net.close()


# --- the document ----------------------------------------------------------------------------------------------------

def matrix(words):
    """Runs both and puts the matrix between its marks in the document."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("ours", "i2pd"):
            file = pathlib.Path(folder) / f"{name}.json"
            given = pathlib.Path(os.environ.get("SAM_CHECK_RESULTS", "/nonexistent")) / f"{name}.json"
            if given.exists():
                file = given
            else:
                subprocess.run([sys.executable, "-B", __file__, name, "--slow", "--quiet", "--json", str(file)] + words, check=False)
            data = json.loads(file.read_text())
            results.append((data["about"]["label"], data))
    sys.path.insert(0, str(KIT))
    import report
    import rules
    notes = rules.notes(HERE / "sam_check_notes.txt")
    text = DOCUMENT.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(before + BEGIN + "\n" + report.matrix(results, rules.RULES, notes) + "\n" + END + after)
    return 0


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    modes = {"ours": ours, "i2pd": i2pd, "matrix": matrix}
    if len(sys.argv) < 2 or sys.argv[1] not in modes:
        sys.exit(__doc__)
    try:
        return modes[sys.argv[1]](sys.argv[2:])
    except testnet.Unavailable as e:
        sys.exit(str(e))


if __name__ == "__main__":
    sys.exit(main())
