#!/usr/bin/env bash
# Prints where pgTAP's SQL lies; brings it from the Debian archive the first time. Only SQL is used: any Postgres can load it, none needs it installed.
set -euo pipefail
cd "$(dirname "$0")/.."
kept=.venv/share/pgtap.sql

newest() {
  apt-cache search --names-only '^postgresql-[0-9]+-pgtap$' | cut -d' ' -f1 | sort -V | tail -1
}

if [ ! -s "$kept" ]; then
  installed=$(ls /usr/share/postgresql/*/extension/pgtap.sql 2>/dev/null | sort -V | tail -1 || true)
  mkdir -p "$(dirname "$kept")"
  if [ -n "$installed" ]; then
    cp "$installed" "$kept"
  else
    command -v apt-get >/dev/null || { echo "pgtap: neither installed nor to be had: this is no Debian. Install pgTAP for any Postgres." >&2; exit 3; }
    package=$(newest)
    if [ -z "$package" ]; then
      apt-get update -qq >&2  # a fresh machine has no list of packages; only root may fetch one
      package=$(newest)
    fi
    [ -n "$package" ] || { echo "pgtap: the archive has no pgTAP for Postgres." >&2; exit 1; }
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    (cd "$folder" && apt-get download -qq "$package" >&2)
    dpkg-deb --extract "$folder"/*.deb "$folder/unpacked"
    cp "$folder"/unpacked/usr/share/postgresql/*/extension/pgtap.sql "$kept.part"
    mv "$kept.part" "$kept"
  fi
fi
printf '%s\n' "$kept"
