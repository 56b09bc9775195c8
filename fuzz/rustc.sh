#!/bin/sh
# SPDX-License-Identifier: MIT
# Stands in front of rustc (RUSTC_WRAPPER) and gives the flags of FUZZ_FLAGS to our own crates only: instrumented
# dependencies would make builds slow, runs slower, and fuzzers curious about things that are not ours.
name= previous=
for argument; do
    [ "$previous" = --crate-name ] && name=$argument
    previous=$argument
done
case "$name" in
    samovar | fuzz_*)
        # shellcheck disable=SC2086
        exec "$@" $FUZZ_FLAGS
        ;;
esac
exec "$@"
