#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs a program here with the Python packages that it needs: run.sh third.py [ARGUMENT]...
#
# The packages of requirements.txt go into target/py, nothing outside the checkout is touched. Where they cannot be had
# it says so; that is a failure with CI=true and no failure elsewhere.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../../target}
env=$target/py
stamp=$env/requirements.txt
program=$1
shift

left_out() {
    echo "clients: LEFT OUT, no third-party client was tested: $1"
    echo "clients: it needs Python 3.10 or later with venv and pip, and a way to install requirements.txt"
    [ "${CI:-}" = true ] && exit 1
    exit 0
}

install() {
    local log
    log=$(mktemp)
    echo "clients: installing the packages of requirements.txt in $env"
    if ! python3 -m venv --clear "$env" >"$log" 2>&1; then
        # Debian keeps venv in a package of its own.
        if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
            tail -n 5 "$log"
            left_out "python3 cannot make a virtual environment"
        fi
        if ! { apt-get update && apt-get install -y --no-install-recommends python3-venv \
            && python3 -m venv --clear "$env"; } >"$log" 2>&1; then
            tail -n 20 "$log"
            left_out "python3-venv could not be installed"
        fi
    fi
    if ! "$env/bin/python" -m pip install --quiet --require-hashes -r "$here/requirements.txt" >"$log" 2>&1; then
        tail -n 20 "$log"
        left_out "pip could not install the packages"
    fi
    rm -f "$log"
    cp "$here/requirements.txt" "$stamp"
}

command -v python3 >/dev/null || left_out "python3 is missing"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || left_out "python3 is older than 3.10"
cmp -s "$here/requirements.txt" "$stamp" || install
exec "$env/bin/python" -B "$here/$program" "$@"
