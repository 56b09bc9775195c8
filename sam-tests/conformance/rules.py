# SPDX-License-Identifier: MIT
"""All rules in the order of the matrix: importing this registers them."""
import fnmatch

import rules_line
import rules_reply
import rules_hello
import rules_dest
import rules_naming
import rules_utility
import rules_session
import rules_keys
import rules_encrypted
import rules_life
import rules_stream
import rules_stream_data
import rules_forward
import rules_datagram
import rules_primary
import rules_clients
import rules_reference
from runner import RULES


def notes(file):
    """Explanations of failures, each `rule rule ...: sentence` on one line, `group.*` for all of a group."""
    out = []
    for line in file.read_text().splitlines() if file.exists() else ():
        names, colon, text = line.partition(": ")
        if colon and not line.startswith("#"):
            chosen = [r.name for pattern in names.split() for r in RULES if fnmatch.fnmatch(r.name, pattern)]
            out.append((chosen, text.strip()))
    return out
