#!/usr/bin/env bash
# Unpacks packages of Debian's archive into a folder: neither root nor the machine's own lists are needed, nothing is installed.
# Usage: tools/debian.sh FOLDER NAME-PATTERN...   Of several names that a pattern fits, the last by version is taken.
# Ends with 3, and says why, where they are not to be had: no Debian, or no way to its archive.
set -euo pipefail
into=$1
shift
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
lists=()

without() {
  echo "$1" >&2
  exit 3
}

bring() {
  local pattern package
  for pattern in "$@"; do
    package=$(apt-cache "${lists[@]}" search --names-only "^$pattern\$" | cut -d' ' -f1 | sort -V | tail -1)
    [ -n "$package" ] && (cd "$folder" && apt-get "${lists[@]}" -qq download "$package" >&2) || return 1
  done
}

# lists of one's own: a fresh machine has none, an old one's name what the archive holds no more, and only root may renew those
renew() {
  mkdir -p "$folder"/{lists,cache/archives}/partial
  lists=(-o "Dir::State::Lists=$folder/lists" -o "Dir::Cache=$folder/cache" -o "APT::Sandbox::User=" -o "Acquire::Retries=2" -o "Acquire::http::Timeout=20")
  apt-get "${lists[@]}" -qq update >&2
}

command -v apt-get >/dev/null || without "it is not installed, and this is no Debian"
bring "$@" || { renew && bring "$@"; } || without "it is not installed, and Debian's archive does not answer"
for package in "$folder"/*.deb; do
  dpkg-deb --extract "$package" "$folder/unpacked"
done
mkdir -p "$(dirname "$into")"
rm -rf "$into"
mv "$folder/unpacked" "$into"
