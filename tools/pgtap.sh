#!/usr/bin/env bash
# Prints where pgTAP's SQL lies; brings it from Debian's archive the first time. Only SQL is used: any Postgres can load it, none needs it installed.
# Ends with 3, and says why, where it is not to be had: no Debian, or no way to its archive.
set -euo pipefail
cd "$(dirname "$0")/.."
kept=.venv/share/pgtap.sql
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
lists=()

without() {
  echo "pgTAP is not to be had: $1. Install Debian's package postgresql-NN-pgtap, NN being any version of Postgres." >&2
  exit 3
}

bring() {
  local package
  package=$(apt-cache "${lists[@]}" search --names-only '^postgresql-[0-9]+-pgtap$' | cut -d' ' -f1 | sort -V | tail -1)
  [ -n "$package" ] && (cd "$folder" && apt-get "${lists[@]}" -qq download "$package" >&2)
}

# lists of one's own: a fresh machine has none, an old one's name what the archive holds no more, and only root may renew those
renew() {
  mkdir -p "$folder"/{lists,cache/archives}/partial
  lists=(-o "Dir::State::Lists=$folder/lists" -o "Dir::Cache=$folder/cache" -o "APT::Sandbox::User=" -o "Acquire::Retries=2" -o "Acquire::http::Timeout=20")
  apt-get "${lists[@]}" -qq update >&2
}

if [ ! -s "$kept" ]; then
  source=$(find /usr/share/postgresql -path '*/extension/pgtap.sql' 2>/dev/null | sort -V | tail -1 || true)
  if [ -z "$source" ]; then
    command -v apt-get >/dev/null || without "it is not installed, and this is no Debian"
    bring || { renew && bring; } || without "it is not installed, and Debian's archive does not answer"
    dpkg-deb --extract "$folder"/*.deb "$folder/unpacked"
    source=$(echo "$folder"/unpacked/usr/share/postgresql/*/extension/pgtap.sql)
  fi
  mkdir -p "$(dirname "$kept")"
  cp "$source" "$kept.$$"
  mv "$kept.$$" "$kept"
fi
printf '%s\n' "$kept"
