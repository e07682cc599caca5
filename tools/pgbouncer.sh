#!/usr/bin/env bash
# Prints the path of a pgbouncer to test with; brings it from Debian's archive the first time, with the libraries it needs beside it.
# Ends with 3, and says why, where it is not to be had.
set -euo pipefail
cd "$(dirname "$0")/.."
kept=$PWD/.venv/share/pgbouncer

found=$(command -v pgbouncer || ls "$kept/run" 2>/dev/null || true)
if [ -z "$found" ]; then
  said=$(tools/debian.sh "$kept" pgbouncer 'libevent-2\.1-7(t64)?' 'libc-ares2(t64)?' 2>&1) || {
    echo "pgbouncer is not to be had: ${said##*$'\n'}. Install Debian's package pgbouncer." >&2
    exit 3
  }
  found=$kept/run
  printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$(dirname "$(find "$kept" -name 'libevent-2*.so*' | head -1)")" "$kept/usr/sbin/pgbouncer" >"$found"
  chmod 755 "$found"
fi
printf '%s\n' "$found"
