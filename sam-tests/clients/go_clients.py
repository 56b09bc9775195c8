#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the tests of the Go clients, ours and other people's, on a private network of our own routers.

  go_clients.py [ARGUMENT of go test]...

Modules and what is built of them go into target/go, nothing outside the checkout is touched. Where there is no Go, or
one that is too old, it says so; that is a failure with CI=true and none elsewhere.
"""
import os
import random
import re
import shutil
import socket
import subprocess
import sys

from harness import CI, HERE, ROOT, Devnet

# Our own, which needs nothing but the standard library, and those that need the modules of others.
MODULES = [ROOT / "clients" / "go", HERE / "go"]


def left_out(what, why):
    print(f"{'FAIL' if CI else 'LEFT OUT'} {what}: {why}", flush=True)
    return not CI


def numbers(version):
    return tuple(int(part) for part in version.split("."))


def bridges():
    """Two addresses with the ports 7656 and 7655, since go-sam-go knows no others; None where there are none."""
    hosts = [f"127.{random.randrange(1, 255)}.{random.randrange(1, 255)}.{last}" for last in (1, 2)]
    for host in hosts:
        for kind, port in ((socket.SOCK_STREAM, 7656), (socket.SOCK_DGRAM, 7655)):
            try:
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind((host, port))
            except OSError:
                return None
    return [(host, 7656) for host in hosts]


def go_version():
    """The version of Go, installed from the system's packages if root may do so; None if there is none."""
    if not shutil.which("go") and os.geteuid() == 0 and shutil.which("apt-get"):
        print("go is missing: installing the system's package", flush=True)
        for command in (["update"], ["install", "-y", "--no-install-recommends", "golang-go"]):
            subprocess.run(["apt-get", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    if not shutil.which("go"):
        return None
    told = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, cwd=HERE, env=environment())
    found = re.search(r"go(\d+(?:\.\d+)+)", told.stdout)
    return found and found.group(1)


def environment():
    caches = ROOT / "target" / "go"
    return os.environ | {
        "GOCACHE": str(caches / "build"), "GOMODCACHE": str(caches / "mod"), "GOTOOLCHAIN": "local",
        "GOFLAGS": "-modcacherw -buildvcs=false", "GOWORK": "off",
    }


def test(module, version, arguments, env):
    name = str(module.relative_to(ROOT))
    needs = re.search(r"^go (\S+)", (module / "go.mod").read_text(), re.M).group(1)
    if version is None:
        return left_out(name, f"there is no Go here; it needs Go {needs}")
    if numbers(version) < numbers(needs):
        return left_out(name, f"Go {version} is too old; it needs Go {needs}")
    got = subprocess.run(["go", "mod", "download"], cwd=module, env=env, capture_output=True, text=True)
    if got.returncode:
        return left_out(name, "its modules cannot be had: " + got.stderr.strip()[-500:])
    good = True
    for command in (["go", "vet", "./..."], ["go", "test", "-count=1", "-timeout=10m", *arguments, "./..."]):
        print(f"{name}: {' '.join(command)}", flush=True)
        good = good and subprocess.run(command, cwd=module, env=env).returncode == 0
    return good


def main(arguments):
    modules = [module for module in MODULES if (module / "go.mod").exists()]
    version = go_version()
    if version is None:
        return 0 if all([test(module, version, arguments, None) for module in modules]) else 1
    with Devnet(bridges=2, routers=6, sam=bridges()) as net:
        print(f"private network of our routers up in {net.seconds:.1f} s", flush=True)
        near, far = (f"{host}:{port}" for host, port in net.sam)
        env = environment() | {"SAM": near, "SAM2": far, "SAM_MAY_LOCK": "1"}
        good = all([test(module, version, arguments, env) for module in modules])
        if not good:
            print("\n".join(line for line in net.lines[-40:] if " WARN " in line or " ERROR " in line), flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
