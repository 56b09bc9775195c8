#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs one of the Python programs here that need i2pd: interop.sh interop.py|bench.py|soak.py|chaos.py [ARGUMENT]...
#
# Installs what is missing where that can be done (root, Debian). Where no private network can be had it says so and
# how to get one; that is a failure with CI=true and no failure elsewhere.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$1
shift

left_out() {
    echo "interop: LEFT OUT, nothing was tested against i2pd: $1"
    echo "interop: it needs Linux, Debian's packages i2pd, iproute2 and python3, and root (or user namespaces):"
    echo "interop:     sudo apt-get install i2pd iproute2 python3 && sudo make interop"
    [ "${CI:-}" = true ] && exit 1
    exit 0
}

have() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]; }

missing=()
[ -n "${I2PD:-}" ] || have i2pd || missing+=(i2pd)
have ip || missing+=(iproute2)
have python3 || missing+=(python3)
if [ "$program" = chaos.py ] && [ "$(id -u)" -eq 0 ] && have apt-get; then
    # Single tests need these, and are left out without them.
    have faketime || missing+=(faketime)
    have strace || missing+=(strace)
fi
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" -ne 0 ] || ! have apt-get; then
        left_out "${missing[*]} is missing"
    fi
    echo "interop: installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    if ! { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
        tail -n 20 "$log"
        left_out "apt-get could not install ${missing[*]}"
    fi
    rm -f "$log"
    # Debian starts the daemon that it installs; this machine did not ask for a live router.
    case " ${missing[*]} " in *" i2pd "*) service i2pd stop >/dev/null 2>&1 || true ;; esac
fi

code=0
python3 -B "$here/$program" "$@" || code=$?
[ $code -eq 3 ] && left_out "see above"
exit $code
