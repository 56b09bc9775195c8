# SPDX-License-Identifier: MIT
"""All rules in the order of the matrix: importing this registers them."""
import rules_line
import rules_reply
import rules_hello
import rules_dest
import rules_naming
import rules_utility
import rules_session
import rules_keys
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
    """Explanations of failures, one a line: `rule: sentence`."""
    out = {}
    if file.exists():
        for line in file.read_text().splitlines():
            name, colon, text = line.partition(": ")
            if colon and not line.startswith("#"):
                out[name.strip()] = text.strip()
    return out
