#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the tree of dependencies against .ci/deny.toml, with nothing but Python and cargo.

  supply.py                     size of the default tree, licences, bans, duplicates, sources, build scripts
  supply.py --advisories DIR    known vulnerabilities too, from a checkout of the RustSec advisory database
  supply.py --list              the crates of the default tree

`make deny` checks the same rules with cargo-deny, which takes minutes to build and a network to be of use. What this
program could not check it says at the end.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Crates in the default build, our own among them. Reaching this number fails.
TREE_MAX = 150
# A crate that cargo may download again and get another content of is no dependency.
LOCK = ROOT / "Cargo.lock"


def cargo(*words):
    """The output of one cargo command; `CARGO` may name another."""
    command = [os.environ.get("CARGO", "cargo"), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit("%s failed:\n%s" % (" ".join(command), done.stderr))
    return done.stdout


def host():
    """The platform that is checked: this one."""
    text = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    return re.search(r"^host: (\S+)", text, re.M)[1]


def default_tree():
    """Names and versions that `cargo build` compiles into or for the command."""
    lines = cargo("tree", "--locked", "-e", "normal", "--prefix", "none", "--format", "{p}").splitlines()
    return sorted({" ".join(line.split()[:2]) for line in lines if line.strip()})


def packages():
    """All packages of the lock file that this platform needs, tests among them."""
    text = cargo("metadata", "--locked", "--format-version", "1", "--filter-platform", host())
    return json.loads(text)


# Licences ----------------------------------------------------------------------------------------------------------

def licensed(expression, allowed):
    """Whether an SPDX expression can be met with the licences in `allowed`."""
    words = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))

    def union():
        met = every()
        while words and words[0] == "OR":
            words.pop(0)
            met = every() or met
        return met

    def every():
        met = one()
        while words and words[0] == "AND":
            words.pop(0)
            met = one() and met
        return met

    def one():
        word = words.pop(0)
        if word == "(":
            met = union()
            words.pop(0)
            return met
        if words and words[0] == "WITH":
            words.pop(0)
            word += " WITH " + words.pop(0)
        return word in allowed

    return union()


def check_licences(policy, all_packages):
    for package in all_packages:
        allowed = set(policy["allow"])
        for exception in policy.get("exceptions", []):
            if exception["crate"] == package["name"]:
                allowed |= set(exception["allow"])
        if not licensed(package.get("license") or "none", allowed):
            yield "%(name)s %(version)s: the licence %(license)s is not among those allowed" % package


# Bans --------------------------------------------------------------------------------------------------------------

def matches(spec, package):
    """Whether `name` or `name@version` of the policy means this package; a version may be cut short."""
    name, _, version = spec.partition("@")
    return name == package["name"] and (not version or (package["version"] + ".").startswith(version + "."))


def check_bans(policy, metadata, tree):
    all_packages = metadata["packages"]
    by_id = {package["id"]: package for package in all_packages}
    users = {}
    for node in metadata["resolve"]["nodes"]:
        for dependency in node["dependencies"]:
            users.setdefault(dependency, []).append(by_id[node["id"]]["name"])
    for package in all_packages:
        for ban in policy["deny"]:
            strangers = set(users.get(package["id"], [])) - set(ban.get("wrappers", []))
            if matches(ban["crate"], package) and (strangers or "wrappers" not in ban):
                yield "%s is banned: %s; it is used by %s" % (ban["crate"], ban["reason"], ", ".join(sorted(strangers)))
        # Only a manifest of ours can have them: the registry takes no crate with a wildcard.
        for dependency in package["dependencies"]:
            if package["source"] is None and dependency["req"] == "*":
                yield "%s: any version will do for %s, which is none" % (package["name"], dependency["name"])
    skipped = [skip["crate"] for skip in policy.get("skip", [])]
    # As cargo-deny has it: two versions in the product count, in tests they do not.
    shipped = [package for package in all_packages if "%(name)s v%(version)s" % package in tree]
    for name in sorted({package["name"] for package in shipped}):
        same = [package for package in shipped if package["name"] == name]
        left = [package for package in same if not any(matches(skip, package) for skip in skipped)]
        if len(left) > 1:
            yield "%s is here in versions %s" % (name, ", ".join(package["version"] for package in left))
    scripts = set(policy.get("build", {}).get("allow-build-scripts", []))
    for package in all_packages:
        built = any("custom-build" in target["kind"] for target in package["targets"])
        if built and package["name"] not in scripts:
            yield "%(name)s %(version)s has a build script that nobody has read" % package


# Sources -----------------------------------------------------------------------------------------------------------

def check_sources(all_packages):
    locked = tomllib.loads(LOCK.read_text())["package"]
    sums = {(package["name"], package["version"]): package.get("checksum") for package in locked}
    registries = {package["source"] for package in all_packages if package["source"]}
    if len(registries) > 1 or not all(source.startswith("registry+") for source in registries):
        yield "crates come from more than one place, or not from a registry: %s" % ", ".join(sorted(registries))
    for package in all_packages:
        if package["source"] and not sums.get((package["name"], package["version"])):
            yield "%(name)s %(version)s has no checksum in Cargo.lock" % package


# Advisories --------------------------------------------------------------------------------------------------------

def numbers(version):
    """A version as something that sorts; one with a pre-release part comes before the one without."""
    version = version.partition("+")[0]
    main, _, pre = version.partition("-")
    parts = [int(part) for part in main.split(".")]
    early = [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in pre.split(".")] if pre else []
    return (parts + [0, 0, 0])[:3], not pre, early


def within(version, requirement):
    """Whether a version meets a requirement as the database writes them: `>= 1.2, < 2`, `^1.2`, `1.2`."""
    for clause in requirement.split(","):
        sign, wanted = re.match(r"\s*(>=|<=|>|<|=|\^|~)?\s*(\S+)", clause).groups()
        have, bound = numbers(version), numbers(wanted)
        if sign in (None, "^", "~"):
            parts = [int(part) for part in wanted.partition("-")[0].split(".")]
            keep = 1 if sign == "~" else next((i for i, part in enumerate(parts) if part), len(parts) - 1)
            keep = min(keep, len(parts) - 1)
            end = parts[:keep] + [parts[keep] + 1]
            if not bound <= have < numbers(".".join(map(str, end))):
                return False
        elif not {">=": have >= bound, "<=": have <= bound, ">": have > bound, "<": have < bound,
                  "=": have == bound}[sign]:
            return False
    return True


def check_advisories(policy, all_packages, database, notes):
    """Vulnerabilities fail; what is only unmaintained or unsound is told."""
    ignored = {entry["id"] for entry in policy.get("ignore", [])}
    looked = 0
    for package in all_packages:
        for path in sorted((database / "crates" / package["name"]).glob("*.md")):
            text = path.read_text()
            entry = tomllib.loads(text.partition("```toml")[2].partition("```")[0])
            advisory, versions = entry["advisory"], entry.get("versions", {})
            looked += 1
            safe = versions.get("patched", []) + versions.get("unaffected", [])
            if advisory.get("withdrawn") or any(within(package["version"], requirement) for requirement in safe):
                continue
            told = "%s: %s %s" % (advisory["id"], package["name"], package["version"])
            if advisory["id"] in ignored:
                notes.append("%s is ignored, see deny.toml" % told)
            elif advisory.get("informational"):
                notes.append("%s is %s" % (told, advisory["informational"]))
            else:
                yield told
    notes.append("%d advisories about crates of the tree were looked at" % looked)


# -------------------------------------------------------------------------------------------------------------------

def check_ourselves():
    """The two small readers above, tried on what they must tell apart."""
    allowed = {"MIT", "ISC"}
    for expression, met in {"MIT/Apache-2.0": True, "MIT AND ISC": True, "MIT AND GPL-3.0": False, "GPL-3.0": False,
                            "(MIT OR GPL-3.0) AND ISC": True, "MIT WITH X": False, "none": False}.items():
        assert licensed(expression, allowed) == met, expression
    for version, requirement, met in [("1.2.3", ">= 1.2.3", True), ("1.2.3", "> 1.2.3", False),
                                      ("1.2.3-rc.1", ">= 1.2.3", False), ("1.3.0", "^1.2", True),
                                      ("2.0.0", "^1.2", False), ("0.3.1", "^0.2.9", False), ("0.2.10", "0.2.9", True),
                                      ("1.5.0", ">= 1.2, < 1.5", False), ("0.10.0-rc.9", "< 0.10.0-rc.10", True)]:
        assert within(version, requirement) == met, (version, requirement)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--advisories", type=pathlib.Path, help="a checkout of the RustSec advisory database")
    parser.add_argument("--list", action="store_true", help="print the crates of the default tree")
    options = parser.parse_args()
    check_ourselves()
    policy = tomllib.loads((ROOT / ".ci" / "deny.toml").read_text())
    metadata, tree, notes, faults = packages(), default_tree(), [], []
    if options.list:
        print("\n".join(tree))
    if len(tree) >= TREE_MAX:
        faults.append("the default tree has %d crates; %d is too many" % (len(tree), TREE_MAX))
    faults += check_licences(policy["licenses"], metadata["packages"])
    faults += check_bans(policy["bans"], metadata, tree)
    faults += check_sources(metadata["packages"])
    if options.advisories:
        if not (options.advisories / "crates").is_dir():
            sys.exit("%s is no checkout of the advisory database" % options.advisories)
        faults += check_advisories(policy["advisories"], metadata["packages"], options.advisories, notes)
    else:
        notes.append("not checked: known vulnerabilities and yanked versions, which take a network (`make deny`) or a "
                     "copy of the advisory database (--advisories DIR)")
    notes.append("not checked: crates that only other platforms need, and licence texts against what crates declare")
    for line in notes:
        print("supply: %s" % line)
    for line in faults:
        print("supply: FAULT: %s" % line)
    print("supply: %d crates in the default tree (below %d), %d with tests, %d faults"
          % (len(tree), TREE_MAX, len(metadata["packages"]), len(faults)))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
