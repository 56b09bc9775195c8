# SPDX-License-Identifier: MIT
"""What people and programs get to read: lines while it runs, a summary, a Markdown matrix, JSON."""
import json
import re
import sys


class Report:
    def __init__(self, verbose=False, quiet=False, out=sys.stdout):
        self.verbose, self.quiet, self.out = verbose, quiet, out

    def say(self, text):
        print(text, file=self.out, flush=True)

    def outcome(self, o):
        """One line, and with -v all that passed."""
        if self.quiet and o.status == "PASS":
            return
        status = "FAIL (server died)" if o.died else o.status
        line = f"{status} {o.rule.name:<28} {o.rule.level:<6} {o.rule.row:<4}"
        if o.status == "SKIP":
            line += f" {o.text}"
        else:
            line += f" > {o.sent}  < {o.got or '(nothing)'}" + (f"  | {o.text}" if o.text else "")
        self.say(line)
        if self.verbose or (o.status == "FAIL" and not self.quiet):
            for name, mark, text in o.journal[-40:]:
                self.say(f"       {name}{mark} {text}")

    def summary(self, outcomes):
        self.say("")
        failed = [o for o in outcomes if o.status == "FAIL"]
        untried = [o for o in outcomes if o.status == "SKIP" and not o.left_out]
        for title, some in (("FAIL", failed), ("could not be tried", untried)):
            if some:
                self.say(f"{title}: " + " ".join(o.rule.name for o in some))
        self.say(counts(outcomes))


def counts(outcomes):
    """All numbers in one line."""
    def n(status, level=None):
        return sum(o.status == status and level in (None, o.rule.level) for o in outcomes)
    left_out = sum(o.left_out for o in outcomes)
    return (f"{n('PASS')} passed, {n('FAIL')} failed ({n('FAIL', 'MUST')} of them MUST), "
            f"{n('SKIP') - left_out} could not be tried, {left_out} left out")


def as_json(outcomes, about):
    rows = [{"rule": o.rule.name, "row": o.rule.row, "level": o.rule.level, "why": o.rule.why, "status": o.status,
             "died": o.died, "left_out": o.left_out, "text": o.text, "sent": o.sent, "got": o.got,
             "seconds": round(o.seconds, 3)} for o in outcomes]
    return json.dumps({"about": about, "rules": rows}, indent=1) + "\n"


def _cell(text):
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def word(row):
    """Contents of a result's cell."""
    if row is None:
        return ""
    if row["status"] == "FAIL":
        return "**FAIL** (server died)" if row["died"] else "**FAIL**"
    return {"PASS": "pass", "SKIP": "-" if row["left_out"] else "(untried)"}[row["status"]]


def matrix(results, order, notes=()):
    """Markdown: counts, a table with one row a rule and one column each of `results` (label, JSON object), and what
    failed, explained by `notes`: a list of (rule names, sentence)."""
    tables = [(label, {r["rule"]: r for r in data["rules"]}) for label, data in results]
    lines = ["| server | rules | passed | failed | of these MUST | could not be tried | left out |", "|---|---|---|---|---|---|---|"]
    for label, table in tables:
        rows = list(table.values())
        failed = [r for r in rows if r["status"] == "FAIL"]
        skipped = [r for r in rows if r["status"] == "SKIP"]
        left_out = sum(r["left_out"] for r in skipped)
        lines.append(f"| {label} | {len(rows)} | {sum(r['status'] == 'PASS' for r in rows)} | {len(failed)} | "
                     f"{sum(r['level'] == 'MUST' for r in failed)} | {len(skipped) - left_out} | {left_out} |")
    lines += ["", "## The matrix", "", "| rule | row | level | " + " | ".join(label for label, _ in tables) + " | why it exists |",
              "|" + "---|" * (4 + len(tables))]
    for r in order:
        cells = [word(table.get(r.name)) for _, table in tables]
        lines.append(f"| `{r.name}` | {r.row} | {r.level} | " + " | ".join(cells) + f" | {_cell(r.why)} |")
    for label, table in tables:
        lines += _failures(label, table, notes)
    return "\n".join(lines) + "\n"


def _failures(label, table, notes):
    broken = {name: r for name, r in table.items() if r["status"] == "FAIL"}
    untried = [name for name, r in table.items() if r["status"] == "SKIP" and not r["left_out"]]
    lines = []
    if broken:
        lines += ["", f"## What {label} fails", "", "The last line sent, what came back, and what was expected of it. Keys are cut short."]
    for names, sentence in [*notes, ([], "Others.")]:
        group = [n for n in (names or list(broken)) if n in broken]
        if group:
            lines += ["", sentence, ""]
        for r in (broken.pop(n) for n in group):
            lines.append(f"- `{r['rule']}`: {_code(r['sent'])} gives {_code(r['got'] or '(nothing)')}: {_cell(r['text'])}")
    if untried:
        lines += ["", f"Could not be tried on {label}, mostly because what they build on is missing: " + ", ".join(f"`{n}`" for n in untried) + "."]
    return lines


def _code(text):
    text = re.sub(r"( (in|out)bound\.\w+=\S+)+( i2cp\.leaseSetEncType=4,0)?", " ..", text.replace("`", "'")).strip()
    if not text:
        return "nothing"
    return f"`{text[:150]}..`" if len(text) > 150 else f"`{text}`"
