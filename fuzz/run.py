#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Builds the fuzz targets and runs all of them in turn, or one; or runs one on a file that it failed on."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
# Dependencies are those of `cargo test`, built the same way, so that a build there is a build here.
TARGET_DIR = ROOT / "target"
# What cargo-fuzz passes to rustc, for our own crates only (rustc.sh).
FLAGS = """
    -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0
    --cfg fuzzing
"""


def targets():
    manifest = (HERE / "Cargo.toml").read_text()
    return re.findall(r'^name = "fuzz_(\w+)"$', manifest, re.M)


def build(names):
    env = dict(os.environ, CARGO_INCREMENTAL="0", RUSTC_WRAPPER=str(HERE / "rustc.sh"), FUZZ_FLAGS=" ".join(FLAGS.split()))
    cargo = os.environ.get("CARGO", "cargo")
    command = [cargo, "build", "--locked", "--manifest-path", str(HERE / "Cargo.toml"), "--target-dir", str(TARGET_DIR)]
    for name in names:
        command += ["--bin", f"fuzz_{name}"]
    began = time.monotonic()
    if subprocess.run(command, env=env).returncode != 0:
        sys.exit("the fuzz targets do not build")
    print(f"built {len(names)} targets in {time.monotonic() - began:.0f} s", flush=True)


def binary(name):
    return TARGET_DIR / "debug" / f"fuzz_{name}"


def run(name, seconds, seed):
    """Runs one target; gives the line to print and whether it went well."""
    corpus, seeds = HERE / "corpus" / name, TARGET_DIR / "fuzz-seeds" / name
    artifacts = HERE / "artifacts" / name
    shutil.rmtree(seeds, ignore_errors=True)
    for folder in (corpus, seeds, artifacts):
        folder.mkdir(parents=True, exist_ok=True)
    before = set(artifacts.iterdir())
    command = [
        binary(name), corpus, seeds, f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=2048",
        "-max_len=4096", "-print_final_stats=1", f"-artifact_prefix={artifacts}/", f"-seed={seed}",
    ]
    env = dict(os.environ, FUZZ_SEEDS=str(seeds), RUST_BACKTRACE="1")
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    runs = re.findall(r"number_of_executed_units:\s*(\d+)", done.stdout)
    edges = re.findall(r" cov: (\d+)", done.stdout)
    numbers = f"{runs[-1] if runs else '?':>9} runs, {edges[-1] if edges else '?':>5} edges"
    if done.returncode == 0:
        return f"{name:18} {numbers}  ok", True
    told = [line for line in done.stdout.splitlines() if "panicked at" in line or "ERROR:" in line]
    lines = done.stdout.splitlines()
    if told and (at := lines.index(told[0])) + 1 < len(lines):
        told.insert(1, lines[at + 1])
    made = sorted(set(artifacts.iterdir()) - before)
    text = [f"{name:18} {numbers}  FAILED"] + [f"    {line}" for line in told[:4] or lines[-20:]]
    for file in made:
        text.append(f"    {file.read_bytes().hex()}" if file.stat().st_size <= 600 else "    (a long input)")
        text.append(f"    repeat with: make fuzz TARGET={name} INPUT={file.relative_to(ROOT)}")
    return "\n".join(text), False


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="time for each target")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="targets at a time")
    parser.add_argument("--seed", type=int, default=0, help="of the fuzzer's choices; 0: another each time")
    parser.add_argument("--target", default="", help="this one alone")
    parser.add_argument("--input", default="", help="a file to run the target on once")
    options = parser.parse_args()
    names = [n for n in targets() if options.target in ("", n)]
    if not names:
        sys.exit(f"no target {options.target}; there are {', '.join(targets())}")
    build(names)
    if options.input:
        sys.exit(subprocess.run([binary(names[0]), options.input]).returncode)
    queue, failed, lock = iter(names), [], threading.Lock()

    def work():
        while True:
            with lock:
                name = next(queue, None)
            if name is None:
                return
            line, good = run(name, options.seconds, options.seed)
            with lock:
                print(line, flush=True)
                if not good:
                    failed.append(name)

    threads = [threading.Thread(target=work) for _ in range(max(1, options.jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")
    print(f"{len(names)} targets, {options.seconds} s each: no failure")


if __name__ == "__main__":
    main()
