#!/usr/bin/env bash
# Prints where pgTAP's SQL lies; brings it from Debian's archive the first time. Only SQL is used: any Postgres can load it, none needs it installed.
# Ends with 3, and says why, where it is not to be had.
set -euo pipefail
cd "$(dirname "$0")/.."
kept=.venv/share/pgtap

lies() {
  find "$@" -path '*/extension/pgtap.sql' 2>/dev/null | sort -V | tail -1 || true
}

found=$(lies /usr/share/postgresql "$kept")
if [ -z "$found" ]; then
  said=$(tools/debian.sh "$kept" 'postgresql-[0-9]+-pgtap' 2>&1) || {
    echo "pgTAP is not to be had: ${said##*$'\n'}. Install Debian's package postgresql-NN-pgtap, NN being any version of Postgres." >&2
    exit 3
  }
  found=$(lies "$kept")
fi
printf '%s\n' "$found"
